//! What is looked for. Each topic has its file; a rule is a function that looks at the [`Setup`].

mod answers;
mod arguments;
pub(super) mod bodies;
#[cfg(test)]
mod examined;
pub(super) mod health;
mod keywords;
mod reading;
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

/// The topics with what they are about, those first whose findings explain others: the order in which findings
/// of one severity are told.
pub(crate) const TOPICS: &[(&str, Topic)] = &[
    ("Files", reading::TOPIC),
    ("Names", wiring::TOPIC),
    ("Keywords", keywords::TOPIC),
    ("What is handed over", arguments::TOPIC),
    ("Bodies", bodies::TOPIC),
    ("How long clients wait", waiting::TOPIC),
    ("Health checks", health::TOPIC),
    ("Production's answers", answers::TOPIC),
    ("Which requests", traffic::TOPIC),
];

/// All that there is to find, worst first.
pub(crate) fn examine(setup: &Setup<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, topic) in TOPICS {
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
