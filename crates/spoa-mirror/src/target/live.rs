//! The settings of a target that may change while it works, as all workers read them.
//!
//! Each is a number of its own: a worker that reads two of them while they change may see one old
//! and one new, which harms nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::config::{Rate, RateLimit, Share, TargetConfig};

/// What live control may change of a target; `None` leaves what the configuration says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// Whether requests are counted only, and not copied.
    pub paused: Option<bool>,
    /// The share of requests that is copied.
    pub sample: Option<Share>,
    /// Copies sent in a time; `Some(None)` lifts a limit.
    pub rate: Option<Option<RateLimit>>,
    /// Copies under way at once.
    pub in_flight: Option<usize>,
    /// Copies waiting.
    pub queue: Option<usize>,
    /// Bytes of the copies waiting.
    pub queue_bytes: Option<usize>,
    /// A copy that waited longer is dropped.
    pub max_age: Option<Duration>,
}

impl Overrides {
    /// Whether the configuration holds unchanged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The settings in force.
#[derive(Debug, Default)]
pub struct Live {
    paused: AtomicBool,
    sample: AtomicU32,
    /// Copies a second, as the bits of an `f64`; 0 for no limit.
    rate: AtomicU64,
    burst: AtomicU32,
    in_flight: AtomicUsize,
    queue: AtomicUsize,
    queue_bytes: AtomicUsize,
    /// In microseconds.
    max_age: AtomicU64,
}

impl Live {
    /// What `config` says.
    #[must_use]
    pub fn new(config: &TargetConfig) -> Self {
        let live = Self::default();
        live.set(config, &Overrides::default());
        live
    }

    /// Puts in force what `config` says, except where `overrides` say otherwise.
    pub fn set(&self, config: &TargetConfig, overrides: &Overrides) {
        let limits = &config.limits;
        let rate = overrides.rate.unwrap_or(limits.rate);
        self.paused.store(overrides.paused.unwrap_or(config.paused), Relaxed);
        let share = overrides.sample.unwrap_or(config.sample.share);
        self.sample.store(share.millionths(), Relaxed);
        self.burst.store(rate.map_or(0, |limit| limit.burst), Relaxed);
        self.rate.store(rate.map_or(0.0, |limit| limit.rate.per_second).to_bits(), Relaxed);
        self.in_flight.store(overrides.in_flight.unwrap_or(limits.in_flight), Relaxed);
        self.queue.store(overrides.queue.unwrap_or(limits.queue), Relaxed);
        self.queue_bytes.store(overrides.queue_bytes.unwrap_or(limits.queue_bytes), Relaxed);
        let age = overrides.max_age.unwrap_or(limits.max_age);
        self.max_age.store(u64::try_from(age.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Whether requests are counted only, and not copied.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

    /// The share of requests that is copied.
    #[must_use]
    pub fn sample(&self) -> Share {
        Share::of_millionths(self.sample.load(Relaxed))
    }

    /// Copies sent in a time.
    #[must_use]
    pub fn rate(&self) -> Option<RateLimit> {
        let per_second = f64::from_bits(self.rate.load(Relaxed));
        let burst = self.burst.load(Relaxed);
        (per_second > 0.0).then_some(RateLimit { rate: Rate { per_second }, burst })
    }

    /// Copies under way at once.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Copies waiting.
    #[must_use]
    pub fn queue(&self) -> usize {
        self.queue.load(Relaxed)
    }

    /// Bytes of the copies waiting.
    #[must_use]
    pub fn queue_bytes(&self) -> usize {
        self.queue_bytes.load(Relaxed)
    }

    /// A copy that waited longer is dropped.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        Duration::from_micros(self.max_age.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests_support::target;

    #[test]
    fn overrides_hold_until_they_are_taken_back() {
        let config = target("http://t");
        let live = Live::new(&config);
        assert_eq!((live.paused(), live.sample(), live.rate()), (false, Share::ALL, None));
        let rate = RateLimit { rate: Rate { per_second: 2.5 }, burst: 3 };
        let overrides = Overrides {
            paused: Some(true),
            rate: Some(Some(rate)),
            max_age: Some(Duration::from_millis(1)),
            ..Overrides::default()
        };
        live.set(&config, &overrides);
        assert_eq!((live.paused(), live.rate()), (true, Some(rate)));
        assert_eq!(live.max_age(), Duration::from_millis(1));
        assert_eq!(live.in_flight(), config.limits.in_flight);
        live.set(&config, &Overrides::default());
        assert_eq!((live.paused(), live.rate()), (false, None));
        assert_eq!(live.max_age(), config.limits.max_age);
    }
}
