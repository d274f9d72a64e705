//! For how long a connection is kept.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use crate::config::Connections;

/// When a connection has had its time. Each gets a little less than what is configured, by chance, so
/// that connections that were made together do not end together.
#[derive(Debug)]
pub(super) struct Keep {
    idle: Duration,
    until: Option<Instant>,
}

impl Keep {
    /// For a connection made `now`.
    pub(super) fn new(connections: &Connections, now: Instant) -> Self {
        let spread = |time: Duration| time.mul_f64(1.0 - SPREAD * chance());
        Self {
            idle: spread(connections.idle),
            until: connections.lifetime.and_then(|lifetime| now.checked_add(spread(lifetime))),
        }
    }

    /// Whether no further copy goes over it.
    pub(super) fn is_old(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// Whether it is to be closed, having carried nothing since then.
    pub(super) fn is_over(&self, now: Instant, idle_since: Instant) -> bool {
        self.is_old(now) || now.duration_since(idle_since) > self.idle
    }
}

/// The largest part by which a time is shortened.
const SPREAD: f64 = 0.1;

/// A number from 0 to 1.
fn chance() -> f64 {
    // Each RandomState has other keys.
    let bits = u32::from_le_bytes(match RandomState::new().hash_one(0).to_le_bytes() {
        [a, b, c, d, ..] => [a, b, c, d],
    });
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spread_and_never_longer_than_configured() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let connections =
            Connections { max: None, idle: 100 * second, lifetime: Some(1000 * second) };
        let keeps: Vec<_> = (0..1000).map(|_| Keep::new(&connections, now)).collect();
        let old = |seconds| keeps.iter().filter(|k| k.is_old(now + seconds * second)).count();
        assert_eq!((old(899), old(1001)), (0, 1000));
        assert!((350..650).contains(&old(950)), "{}", old(950));
        let over =
            |seconds| keeps.iter().filter(|k| k.is_over(now + seconds * second, now)).count();
        assert_eq!((over(89), over(101)), (0, 1000));
        let forever = Keep::new(&Connections { lifetime: None, ..connections }, now);
        assert!(!forever.is_old(now + 1_000_000 * second));
    }
}
