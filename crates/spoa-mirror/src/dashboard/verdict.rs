//! The verdict of each candidate, for people in a hurry.

use super::figures::count;
use crate::admin::comparison::view::{AnswerView, ReasonView, VerdictView, VerdictsView};

/// One candidate's verdict.
pub(super) struct Card<'a> {
    pub(super) target: &'a str,
    pub(super) run: &'a str,
    /// When the run began, RFC 3339.
    pub(super) started: &'a str,
    pub(super) answer: Answer,
    pub(super) requests: String,
    /// How far it is to the next look; none after the last.
    pub(super) next: Option<Next>,
    pub(super) confidence: String,
    pub(super) reasons: Vec<Reason<'a>>,
    /// What is missing to an answer.
    pub(super) gaps: Vec<&'a str>,
}

/// The answer as the page shows it: never by colour alone.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) word: &'static str,
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
}

/// The way to the next look.
pub(super) struct Next {
    pub(super) at: u64,
    pub(super) counted: u64,
    pub(super) text: String,
}

pub(super) struct Reason<'a> {
    pub(super) endpoint: &'a str,
    pub(super) kind: &'a str,
    pub(super) place: Option<&'a str>,
    pub(super) place_kind: &'a str,
    pub(super) text: &'a str,
    pub(super) requests: String,
    pub(super) samples: &'a [u64],
}

/// Of all candidates, those that need somebody first.
pub(super) fn cards(verdicts: &VerdictsView) -> Vec<Card<'_>> {
    let mut targets: Vec<_> = verdicts.targets.iter().collect();
    targets.sort_by_key(|verdict| rank(verdict.answer));
    targets.into_iter().map(card).collect()
}

/// The less, the more it needs somebody.
pub(super) fn rank(answer: AnswerView) -> u8 {
    match answer {
        AnswerView::Fail => 0,
        AnswerView::NotEnoughData => 1,
        AnswerView::Pass => 2,
    }
}

/// Of one.
pub(super) fn card(verdict: &VerdictView) -> Card<'_> {
    Card {
        target: &verdict.target,
        run: &verdict.run,
        started: &verdict.started,
        answer: answer(verdict.answer),
        requests: count(verdict.requests),
        next: verdict.next_look.map(|at| Next {
            at,
            counted: verdict.counted.min(at),
            text: format!("{} of {}", count(verdict.counted), count(at)),
        }),
        confidence: format!("{}\u{202f}%", verdict.confidence_percent),
        reasons: verdict.reasons.iter().map(reason).collect(),
        gaps: verdict.gaps.iter().map(|gap| gap.text.as_str()).collect(),
    }
}

pub(super) fn answer(answer: AnswerView) -> Answer {
    match answer {
        AnswerView::Pass => Answer { word: "Pass", class: "pass", sign: "✓" },
        AnswerView::Fail => Answer { word: "Fail", class: "fail", sign: "✕" },
        AnswerView::NotEnoughData => {
            Answer { word: "Not enough data", class: "unsure", sign: "…" }
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn reason(reason: &ReasonView) -> Reason<'_> {
    Reason {
        endpoint: &reason.endpoint,
        kind: &reason.kind,
        place: reason.place.as_deref(),
        place_kind: reason.place_kind.as_deref().unwrap_or_default(),
        text: &reason.text,
        requests: count(reason.requests.round() as u64),
        samples: &reason.samples,
    }
}
