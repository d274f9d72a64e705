//! `program` sections.

use std::borrow::Cow;

use super::{PROGRAM_REMOVED, REFUSED};
use crate::doctor::finding::{Finding, Severity};
use crate::doctor::setup::{Lines, Setup};
use crate::doctor::versions::{PROGRAM_HIDDEN, PROGRAM_SECTION};

/// One that starts the agent.
pub(super) fn removed(setup: &Setup<'_>, section: &Lines<'_>) -> Option<Finding> {
    if section.header.text(0) != b"program" {
        return None;
    }
    let command = section.last(&["command"]).map_or(Cow::Borrowed(""), |at| at.statement());
    let is_ours = [section.name(), command].iter().any(|text| {
        let text = text.to_ascii_lowercase();
        ["mirror", "shadow"].iter().any(|part| text.contains(part))
    });
    if !is_ours {
        return None;
    }
    let version = setup.version;
    let own_unit = "start the agent by a systemd unit of its own (the package has one), or by the container's init";
    let finding = |severity, message: String| {
        Some(Finding::new(&PROGRAM_REMOVED, severity, message).at(section.header.place()))
    };
    if !PROGRAM_SECTION.may_hold(version) {
        return Some(
            finding(Severity::Error, format!("{version} has no `program` sections any more"))?
                .consequence(format!("{REFUSED}. They were removed in 3.3"))
                .mend(format!("remove the section, and {own_unit}")),
        );
    }
    let exposed = setup.global.iter().any(|at| at.begins(&["expose-deprecated-directives"]));
    if PROGRAM_HIDDEN.holds(version) && !exposed {
        let hidden = finding(
            Severity::Error,
            format!("{version} takes a `program` section only if it is told to"),
        )?
        .consequence(format!("{REFUSED}. 3.3 and later do not start with it in any case"))
        .mend(format!(
            "{own_unit}; for the time being write `expose-deprecated-directives` in `global`"
        ));
        return Some(hidden);
    }
    finding(Severity::Hint, "this `program` section keeps HAProxy from being upgraded".to_owned())
        .map(|finding| {
            finding
                .consequence("HAProxy 3.1 and 3.2 do not start with it unless they are told to, 3.3 and later not at all")
                .mend(format!("before an upgrade remove the section, and {own_unit}"))
        })
}
