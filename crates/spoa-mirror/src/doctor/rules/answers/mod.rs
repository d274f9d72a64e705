//! Production's answers, paired with their requests.

mod bodies;
mod ids;
mod split;

use super::Topic;
use super::told::{Told, told};
use crate::config::Compare;
use crate::doctor::finding::{Code, Finding, Place, Severity, code};
use crate::doctor::setup::Setup;

static COMPARE_WITHOUT_ANSWERS: Code = code!("compare-without-answers");

pub(super) const TOPIC: Topic = Topic {
    codes: &[
        &COMPARE_WITHOUT_ANSWERS,
        &ids::ID_MISSING,
        &split::ANSWERS_SPLIT,
        &ids::PAIRS_SAMPLED_APART,
        &bodies::RESPONSE_BODY_RACE,
    ],
    examine,
};

fn examine(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    let mut any = false;
    let mut first = None;
    for filter in setup.mirrors() {
        let all = told(setup, filter);
        any |= all.iter().any(Told::answers);
        // Without messages something else is wrong, which has its own finding.
        first = first.or_else(|| all.first().map(|told| told.last_line().place()));
        for told in all.iter().filter(|told| told.answers()) {
            bodies::examine(told, findings);
        }
        for (asked, answered) in pairs(&all) {
            ids::examine(asked, answered, findings);
            split::examine(asked, answered, findings);
        }
    }
    if let Some(place) = first.filter(|_| !any) {
        findings.extend(compared_without(setup, place));
    }
}

/// The messages that have only the request with those that have only the answer.
fn pairs<'t, 's, 'a>(all: &'t [Told<'s, 'a>]) -> Vec<(&'t Told<'s, 'a>, &'t Told<'s, 'a>)> {
    let asked = all.iter().find(|told| told.asks() && !told.answers());
    let answered = all.iter().filter(|told| told.answers() && !told.asks());
    asked.map(|asked| answered.map(|answered| (asked, answered)).collect()).unwrap_or_default()
}

/// The agent is to compare, and HAProxy sends no answers.
fn compared_without(setup: &Setup<'_>, place: Place) -> Option<Finding> {
    let (path, config) = setup.agent?;
    let target = config.targets.iter().find(|target| target.compare != Compare::No)?;
    Some(
        Finding::new(
            &COMPARE_WITHOUT_ANSWERS,
            Severity::Warning,
            format!(
                "{} compares the answers of `{}` with production's, and HAProxy does not send those",
                path.display(),
                target.name
            ),
        )
        .at(place)
        .consequence("requests are copied, and nothing is compared")
        .mend("send production's answers in one of the two forms of docs/COMPARISON.md, or leave `compare` out"),
    )
}
