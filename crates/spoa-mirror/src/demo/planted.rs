//! What is wrong with version 2 of the shop on purpose, and whether a verdict names just that.

use crate::admin::comparison::view::{AnswerView, ReasonView, VerdictView};

/// Version 2 of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Candidate {
    /// With all planted changes
    Bad,
    /// It behaves as version 1
    Good,
}

/// Answers about products with a wrong price, in thousandths.
pub(super) const WRONG_PRICES: u64 = 20;
/// Searches that end with an error, in thousandths.
pub(super) const ERRORS: u64 = 30;
/// Reports take so many times as long.
pub(super) const SLOWER: u32 = 3;

/// A change for the worse.
pub(super) struct Planted {
    /// What it is.
    pub(super) what: &'static str,
    endpoint: &'static str,
    /// Kind and place of the reason that must name it, and of others that it leads to.
    reasons: &'static [(&'static str, Option<&'static str>)],
}

/// All that is planted in a bad candidate.
pub(super) const PLANTED: [Planted; 4] = [
    Planted {
        what: "a wrong price in 2 % of the answers",
        endpoint: "GET /products/{id}",
        reasons: &[("difference", Some("body $.price"))],
    },
    Planted {
        what: "a missing field",
        endpoint: "GET /customers/{id}",
        reasons: &[("difference", Some("body $.tier"))],
    },
    Planted {
        what: "3 % errors",
        endpoint: "GET /search",
        reasons: &[("errors", None), ("difference", Some("status"))],
    },
    Planted {
        what: "answers take three times as long",
        endpoint: "GET /reports/{id}",
        reasons: &[("latency", None)],
    },
];

impl Planted {
    /// What was planted in `candidate`.
    pub(super) fn in_candidate(candidate: Candidate) -> &'static [Self] {
        match candidate {
            Candidate::Bad => &PLANTED,
            Candidate::Good => &[],
        }
    }

    /// Whether a verdict names it.
    pub(super) fn is_named(&self, verdict: &VerdictView) -> bool {
        let first = self.reasons.first();
        verdict.reasons.iter().any(|reason| self.is_at(reason) && first == Some(&key(reason)))
    }

    /// Where it is.
    pub(super) fn endpoint(&self) -> &'static str {
        self.endpoint
    }

    fn explains(&self, reason: &ReasonView) -> bool {
        self.is_at(reason) && self.reasons.contains(&key(reason))
    }

    fn is_at(&self, reason: &ReasonView) -> bool {
        reason.endpoint == self.endpoint
    }
}

fn key(reason: &ReasonView) -> (&str, Option<&str>) {
    (&reason.kind, reason.place.as_deref())
}

/// The reasons of a verdict that name nothing that was planted.
pub(super) fn unexpected(candidate: Candidate, verdict: &VerdictView) -> Vec<&ReasonView> {
    let planted = Planted::in_candidate(candidate);
    let is_unexpected = |reason: &&ReasonView| !planted.iter().any(|one| one.explains(reason));
    verdict.reasons.iter().filter(is_unexpected).collect()
}

/// Whether the answer is what the candidate deserves, with exactly the reasons for it.
pub(super) fn is_deserved(candidate: Candidate, verdict: &VerdictView) -> bool {
    let deserved = match candidate {
        Candidate::Bad => AnswerView::Fail,
        Candidate::Good => AnswerView::Pass,
    };
    verdict.answer == deserved
        && Planted::in_candidate(candidate).iter().all(|planted| planted.is_named(verdict))
        && unexpected(candidate, verdict).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASONS: [(&str, &str, Option<&str>); 5] = [
        ("GET /search", "errors", None),
        ("GET /customers/{id}", "difference", Some("body $.tier")),
        ("GET /search", "difference", Some("status")),
        ("GET /products/{id}", "difference", Some("body $.price")),
        ("GET /reports/{id}", "latency", None),
    ];

    fn verdict(answer: AnswerView, reasons: &[(&str, &str, Option<&str>)]) -> VerdictView {
        let reason = |&(endpoint, kind, place): &(&str, &str, Option<&str>)| ReasonView {
            endpoint: endpoint.to_owned(),
            kind: kind.to_owned(),
            place: place.map(str::to_owned),
            place_kind: None,
            text: String::new(),
            requests: 40.0,
            samples: Vec::new(),
        };
        VerdictView {
            target: "candidate".to_owned(),
            run: "version 2".to_owned(),
            started: String::new(),
            answer,
            requests: 4000,
            counted: 4000,
            next_look: Some(5000),
            confidence_percent: 99.0,
            reasons: reasons.iter().map(reason).collect(),
            gaps: Vec::new(),
            text: String::new(),
        }
    }

    #[test]
    fn a_bad_candidate_deserves_just_what_is_planted() {
        let deserved =
            |reasons: &[_]| is_deserved(Candidate::Bad, &verdict(AnswerView::Fail, reasons));
        assert!(deserved(&REASONS));
        for missing in REASONS {
            let rest: Vec<_> = REASONS.into_iter().filter(|reason| *reason != missing).collect();
            // Errors are named without it.
            assert_eq!(deserved(&rest), missing.2 == Some("status"), "{missing:?}");
        }
        for more in [
            ("GET /products/{id}", "difference", Some("body $.recommended")),
            ("POST /orders", "latency", None),
            ("GET /products/{id}", "difference", Some("status")),
        ] {
            let all = [&REASONS[..], &[more]].concat();
            assert!(!deserved(&all), "{more:?}");
            let verdict = verdict(AnswerView::Fail, &all);
            let endpoints =
                unexpected(Candidate::Bad, &verdict).into_iter().map(|it| &*it.endpoint);
            assert!(endpoints.eq([more.0]), "{more:?}");
        }
    }

    #[test]
    fn a_good_candidate_deserves_to_pass() {
        let deserved =
            |answer, reasons: &[_]| is_deserved(Candidate::Good, &verdict(answer, reasons));
        assert!(deserved(AnswerView::Pass, &[]));
        assert!(!deserved(AnswerView::NotEnoughData, &[]));
        assert!(!deserved(AnswerView::Fail, &REASONS[..1]));
    }
}
