//! What is looked for. Each topic has its file; a rule is a function that looks at the [`Setup`].

mod answers;
mod arguments;
mod bodies;
#[cfg(test)]
mod examined;
mod health;
mod keywords;
mod told;
mod traffic;
mod waiting;
mod wiring;

use super::finding::{Code, Finding};
use super::setup::Setup;

/// What the rules of a file have in common.
pub(crate) struct Topic {
    /// All codes that its rules may give.
    pub(crate) codes: &'static [&'static Code],
    /// Looks for them.
    pub(crate) examine: fn(&Setup<'_>, &mut Vec<Finding>),
}

/// The topics, those first whose findings explain others: the order in which findings of one severity are told.
pub(crate) const TOPICS: &[Topic] = &[
    wiring::TOPIC,
    keywords::TOPIC,
    arguments::TOPIC,
    bodies::TOPIC,
    waiting::TOPIC,
    health::TOPIC,
    answers::TOPIC,
    traffic::TOPIC,
];

/// All that there is to find, worst first.
pub(crate) fn examine(setup: &Setup<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for topic in TOPICS {
        (topic.examine)(setup, &mut findings);
    }
    // Stable: of one severity the topics' order stays.
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// A share from 0 to 1, in percent.
fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}
