//! One address of a target, and whether it is left alone for a while because it failed. All workers
//! see the same.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// After its first failure an address is avoided for this time; twice as long after each further one.
const AVOIDED_AT_FIRST: Duration = Duration::from_secs(1);

/// An address is avoided for no longer than this before it is tried again.
const AVOIDED_AT_MOST: Duration = Duration::from_secs(30);

/// An address of a target.
#[derive(Debug)]
pub struct Address {
    /// Address and port.
    pub socket: SocketAddr,
    known_since: Instant,
    /// Failures in a row in the lowest byte; above it the time, in milliseconds after `known_since`,
    /// until which the address is avoided.
    health: AtomicU64,
}

/// A connection about to be tried: what was known of the address at that moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    failures: u8,
}

impl Address {
    /// An address of which nothing bad is known.
    #[must_use]
    pub fn new(socket: SocketAddr) -> Self {
        Self { socket, known_since: Instant::now(), health: AtomicU64::new(0) }
    }

    /// Leave to connect to it; `None` while it is avoided. Once that time is over, one connection
    /// finds out for all.
    pub(super) fn claim(&self, now: Instant) -> Option<Trial> {
        let health = self.health.load(Relaxed);
        let failures = failures(health);
        if failures == 0 {
            return Some(Trial { failures });
        }
        let now = self.millis(now);
        if now < health >> 8 {
            return None;
        }
        let next = packed(failures, now + pause(failures));
        let claimed = self.health.compare_exchange(health, next, Relaxed, Relaxed).is_ok();
        claimed.then_some(Trial { failures })
    }

    /// No connection came about. Of several that were tried at once one counts. Gives the time for
    /// which the address is avoided if it was in use until now.
    pub(super) fn failed(&self, trial: Trial, now: Instant) -> Option<Duration> {
        let health = self.health.load(Relaxed);
        if failures(health) != trial.failures {
            return None;
        }
        let more = trial.failures.saturating_add(1);
        let next = packed(more, self.millis(now) + pause(more));
        let counted = self.health.compare_exchange(health, next, Relaxed, Relaxed).is_ok();
        (counted && trial.failures == 0).then(|| Duration::from_millis(pause(more)))
    }

    /// A connection came about; whether the address was avoided until now.
    pub(super) fn succeeded(&self) -> bool {
        // A look first: a write would take the line from the other workers' caches.
        self.health.load(Relaxed) != 0 && self.health.swap(0, Relaxed) != 0
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.known_since).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX >> 9)
    }
}

fn failures(health: u64) -> u8 {
    health.to_le_bytes()[0]
}

fn packed(failures: u8, until: u64) -> u64 {
    until << 8 | u64::from(failures)
}

/// For how long an address that failed so often is avoided, in milliseconds.
fn pause(failures: u8) -> u64 {
    let factor = 1 << failures.saturating_sub(1).min(5);
    let pause = AVOIDED_AT_FIRST.saturating_mul(factor).min(AVOIDED_AT_MOST);
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX >> 9)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn avoided_for_longer_and_longer() {
        let address = Address::new("127.0.0.1:1".parse().unwrap());
        let mut now = Instant::now();
        for seconds in [1, 2, 4, 8, 16, 30, 30, 30] {
            let trial = address.claim(now).unwrap();
            // One finds out for all.
            assert_eq!(address.claim(now).is_some(), seconds == 1);
            address.failed(trial, now);
            now += Duration::from_secs(seconds) - Duration::from_millis(2);
            assert!(address.claim(now).is_none(), "{seconds}");
            now += Duration::from_millis(4);
        }
        assert!(address.claim(now).is_some());
        assert!(address.succeeded());
        assert!(address.claim(now).is_some() && address.claim(now).is_some());
        assert!(!address.succeeded());
    }

    #[test]
    fn many_failures_at_once_count_once() {
        let address = Address::new("127.0.0.1:1".parse().unwrap());
        let now = Instant::now();
        let trials: Vec<_> = (0..10).map(|_| address.claim(now).unwrap()).collect();
        let told = trials.into_iter().filter_map(|trial| address.failed(trial, now));
        assert_eq!(told.collect::<Vec<_>>(), [AVOIDED_AT_FIRST]);
        assert!(address.claim(now + AVOIDED_AT_FIRST * 2).is_some());
    }
}
