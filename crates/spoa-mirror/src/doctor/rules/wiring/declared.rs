//! Filters that must be declared now that there is one for mirroring.

use super::{REFUSED, Wired};
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::undeclared;

pub(super) static FILTER_UNDECLARED: Code = code!("filter-undeclared");

pub(super) fn examine(wired: &Wired<'_, '_>, findings: &mut Vec<Finding>) {
    let lines = &wired.proxy.lines;
    for missing in undeclared(lines) {
        let Some(at) = lines.lines.get(missing.needed_by) else { continue };
        let line = format!("filter {}", missing.filter);
        findings.push(
            Finding::new(
                &FILTER_UNDECLARED,
                Severity::Error,
                format!("`{}` needs `{line}` beside the filter that mirrors", wired.proxy.name()),
            )
            .at(at.place())
            .and_at(wired.filter.at.place(), "with this, HAProxy adds no filter by itself any more")
            .consequence(REFUSED)
            .mend(format!("declare it: `{line}`, behind the filter that mirrors"))
            .edit(wired.filter.at.followed_by(&wired.filter.at.indentation(), &[&line])),
        );
    }
}
