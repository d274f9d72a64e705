//! What must be true of the program's counters, whatever happens.

use testbed::counters::Tally;
use testbed::lines::Lines;

/// Every state of the counters that was logged. The last one is left out as long as lines of it are
/// missing.
///
/// # Panics
/// When one does not add up, or a target did not receive every request.
pub(crate) fn all(log: &Lines, targets: usize) -> Vec<Tally> {
    let mut states = Tally::all(&log.all());
    if states.last().is_some_and(|state| state.targets.len() < targets) {
        states.pop();
    }
    for state in &states {
        assert_eq!(state.targets.len(), targets, "{state:#?}");
        for target in &state.targets {
            assert_eq!(target.received, state.spop.requests, "not every request: {state:#?}");
        }
    }
    states
}
