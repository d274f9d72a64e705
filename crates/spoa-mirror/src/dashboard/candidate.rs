//! Which candidate a page is about.

use std::sync::MutexGuard;

use super::verdict::{self, Answer};
use crate::admin::ApiError;
use crate::admin::comparison::api::pick;
use crate::admin::comparison::shown;
use crate::comparison::ledger::{Candidate, Ledger};

/// The candidates to choose from.
pub(super) struct Choice {
    pub(super) target: String,
    pub(super) answer: Answer,
    pub(super) chosen: bool,
}

/// The candidate that is asked for, or else the one that needs somebody most; `None` if there is none.
///
/// # Errors
/// The one asked for is none.
pub(super) fn choose<'l>(
    ledger: &'l MutexGuard<'_, Ledger>,
    asked: Option<&str>,
) -> Result<Option<(&'l str, &'l Candidate)>, ApiError> {
    if asked.is_some() {
        return pick(ledger, asked).map(Some);
    }
    let rank = |candidate: &Candidate| verdict::rank(shown::answer(candidate.verdict.answer));
    Ok(ledger.candidates().min_by_key(|(_, candidate)| rank(candidate)))
}

/// All candidates, one of them chosen.
pub(super) fn choices(ledger: &Ledger, chosen: &str) -> Vec<Choice> {
    let choice = |(target, candidate): (&str, &Candidate)| Choice {
        target: target.to_owned(),
        answer: verdict::answer(shown::answer(candidate.verdict.answer)),
        chosen: target == chosen,
    };
    ledger.candidates().map(choice).collect()
}
