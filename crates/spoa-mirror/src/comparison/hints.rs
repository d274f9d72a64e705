//! What is said, once each, when comparison is on and nothing comes of it: what HAProxy's configuration
//! lacks.

use std::collections::BTreeMap;

use shadow_diff::Reason;
use tracing::warn;

use super::comparing::Outcomes;
use super::intake::Taken;
use super::pairing::Counts;

/// So many copies without an answer of production are no accident, where none has one.
const UNPAIRED: u64 = 20;

/// So many pairs that cannot be compared are no accident, where none can.
const INCOMPARABLE: u64 = 100;

#[derive(Default)]
pub(super) struct Hints {
    unpaired: bool,
    incomparable: bool,
    reason: Option<Reason>,
}

impl Hints {
    /// A pair could not be compared.
    pub(super) fn incomparable(&mut self, reason: Reason) {
        self.reason = Some(reason);
    }

    /// Looks at the counters, and says what there is to say.
    pub(super) fn look(
        &mut self,
        taken: &Taken,
        halves: &Counts,
        targets: &BTreeMap<String, Outcomes>,
    ) {
        if !self.unpaired {
            if let Some(why) = unpaired(taken, halves) {
                warn!("nothing is compared: {why}; see docs/COMPARISON.md (said once)");
                self.unpaired = true;
            }
        }
        if !self.incomparable && is_incomparable(targets) {
            let reason = self.reason.map_or_else(String::new, |reason| format!("; {reason}"));
            warn!(
                "no bodies are compared{reason}: let HAProxy wait for production's bodies \
                 (`http-response wait-for-body`), hand them over with `res_body=res.body \
                 res_body_size=res.body_size res_body_waited=bool(true)`, and raise `tune.bufsize`; \
                 see docs/COMPARISON.md (said once)"
            );
            self.incomparable = true;
        }
    }
}

/// Why no copy meets production's answer, if none does.
fn unpaired(taken: &Taken, halves: &Counts) -> Option<&'static str> {
    if taken.copies == 0 && taken.nameless >= UNPAIRED {
        return Some(
            "requests come without production's answer and without an id; send both at response \
             time, or add `id=unique-id` to the `args` lines of both messages",
        );
    }
    if taken.answers > 0 || halves.without_production + halves.pushed_out < UNPAIRED {
        return None;
    }
    Some(if taken.late == 0 {
        "production's answers do not come; send a message with `id=unique-id status=status \
         res_hdrs=res.hdrs_bin res_body=res.body` at response time"
    } else {
        "production's answers come with ids that no request here had; both messages need the same \
         `id`, and with several agents both must reach the same one"
    })
}

/// Whether there are pairs, and none of them tells anything.
fn is_incomparable(targets: &BTreeMap<String, Outcomes>) -> bool {
    let sum = |of: fn(&Outcomes) -> u64| targets.values().map(of).sum::<u64>();
    sum(|outcomes| outcomes.incomparable) >= INCOMPARABLE
        && sum(|outcomes| outcomes.same + outcomes.different) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let halves = Counts { without_production: UNPAIRED, ..Counts::default() };
        let taken = Taken { copies: 50, ..Taken::default() };
        let why = |taken: &Taken, halves: &Counts| unpaired(taken, halves).unwrap_or_default();
        assert!(why(&taken, &halves).contains("do not come"));
        assert!(why(&Taken { late: 1, ..taken }, &halves).contains("ids that no request"));
        // One that pairs shows that HAProxy's configuration is right.
        assert_eq!(unpaired(&Taken { answers: 1, ..taken }, &halves), None);
        assert_eq!(unpaired(&taken, &Counts::default()), None);
        let nameless = Taken { nameless: UNPAIRED, ..Taken::default() };
        assert!(why(&nameless, &Counts::default()).contains("without an id"));
        assert_eq!(unpaired(&Taken { copies: 1, ..nameless }, &Counts::default()), None);
    }

    #[test]
    fn bodies_are_spoken_of_when_no_pair_tells_anything() {
        let targets = |same, incomparable| {
            let outcomes = Outcomes { same, incomparable, ..Outcomes::default() };
            BTreeMap::from([("a".to_owned(), outcomes)])
        };
        assert!(is_incomparable(&targets(0, INCOMPARABLE)));
        assert!(!is_incomparable(&targets(1, INCOMPARABLE)));
        assert!(!is_incomparable(&targets(0, INCOMPARABLE - 1)));
        assert!(!is_incomparable(&BTreeMap::new()));
    }
}
