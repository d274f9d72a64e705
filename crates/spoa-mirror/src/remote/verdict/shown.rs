//! Verdicts as text for people.

use std::fmt::Write as _;

use super::super::client::Place;
use super::super::table::{BOLD, RED, colour};
use crate::admin::comparison::view::{AnswerView, ReasonView, VerdictView, VerdictsView};
use crate::legible::legible;

/// Gaps that are shown one by one.
const GAPS: usize = 10;

const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Where the samples of an agent are shown.
pub(super) struct Samples(Option<String>);

impl Samples {
    pub(super) fn at(place: &Place) -> Self {
        Self(place.url())
    }

    /// The page with a sample; behind a unix socket, which no browser opens, its number.
    pub(super) fn page(&self, id: u64) -> String {
        match &self.0 {
            Some(url) => format!("{url}/sample/{id}"),
            None => format!("sample {id}"),
        }
    }
}

/// The answer in the first line, then what it rests on.
pub(super) fn text(view: &VerdictsView, samples: &Samples, styled: bool) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    if view.targets.len() > 1 {
        let same = view.targets.iter().filter(|target| target.answer == view.answer).count();
        let of = format!("{same} of {} targets", view.targets.len());
        let _ = writeln!(text, "{}: {of}", answer(view.answer, styled));
    }
    for target in &view.targets {
        of_target(&mut text, target, samples, styled);
    }
    text
}

/// The answer in words.
pub(super) fn words(answer: AnswerView) -> &'static str {
    match answer {
        AnswerView::Pass => "pass",
        AnswerView::Fail => "fail",
        AnswerView::NotEnoughData => "not enough data",
    }
}

/// What was judged, or is to be.
pub(super) fn basis(target: &VerdictView) -> String {
    let mut text = format!("{} requests judged", target.requests);
    if target.answer == AnswerView::NotEnoughData {
        let _ = write!(text, ", {} counted", target.counted);
        if let Some(next) = target.next_look {
            let _ = write!(text, ", next look at {next}");
        }
    } else {
        let _ = write!(text, " with {} % confidence", target.confidence_percent);
    }
    text
}

/// What is wrong, and where.
pub(super) fn reason(reason: &ReasonView) -> String {
    format!("{}: {}", reason.endpoint, reason.text)
}

fn of_target(text: &mut String, target: &VerdictView, samples: &Samples, styled: bool) {
    let head = format!("{}, run {}, {}", target.target, target.run, basis(target));
    let _ = writeln!(text, "{}: {}", answer(target.answer, styled), legible(&head, &[]));
    for (number, each) in (1..).zip(&target.reasons) {
        let _ = writeln!(text, "  {number}. {}", legible(&reason(each), &[]));
        for id in &each.samples {
            let _ = writeln!(text, "     {}", samples.page(*id));
        }
    }
    for gap in target.gaps.iter().take(GAPS) {
        let _ = writeln!(text, "  - {}", legible(&gap.text, &[]));
    }
    let more = target.gaps.len().saturating_sub(GAPS);
    if more > 0 {
        let _ = writeln!(text, "  - and {more} more, which --json lists");
    }
}

fn answer(answer: AnswerView, styled: bool) -> String {
    let code = match answer {
        AnswerView::Pass => GREEN,
        AnswerView::Fail => RED,
        AnswerView::NotEnoughData => YELLOW,
    };
    colour(styled, BOLD, &colour(styled, code, words(answer)))
}
