//! Waiting for a condition, with a limit: the only way to wait in a test.

use std::time::{Duration, Instant};

/// The limit for things that take milliseconds on an idle machine. Generous, because tests share their
/// machine: a test that passes never waits for it.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Calls `probe` until it gives a value, at most for `limit`; `None` when time is up.
///
/// Polls every 2 ms. The probe is called at least once, and once more at the end.
pub fn poll<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        let late = Instant::now() >= end;
        match probe() {
            Some(value) => return Some(value),
            None if late => return None,
            None => pause(Duration::from_millis(2)),
        }
    }
}

/// Does nothing for a moment, between two looks at a condition or two attempts.
#[allow(clippy::disallowed_methods, reason = "the one place where a thread of the testbed sleeps")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Waits until `probe` gives a value.
///
/// # Panics
/// When `limit` is over, naming `what` was waited for.
pub fn until<T>(limit: Duration, what: &str, probe: impl FnMut() -> Option<T>) -> T {
    poll(limit, probe).unwrap_or_else(|| panic!("waited {limit:?} in vain: {what}"))
}

/// Waits until `condition` holds.
///
/// # Panics
/// When `limit` is over, naming `what` was waited for.
pub fn holds(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    until(limit, what, || condition().then_some(()));
}
