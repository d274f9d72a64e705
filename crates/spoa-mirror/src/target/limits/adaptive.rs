//! Lowers the number of copies under way while a target is slow, and raises it again.
//!
//! In rounds: the answers to copies that were sent in a round, and ended in it, give its latency.
//! The best latency that was ever seen says what the target can do when little is asked of it. As
//! long as the round's latency is within `tolerance` times the best, the limit grows by its square
//! root; beyond that it shrinks in proportion. It begins at `min`, so that the best is seen.
//!
//! What is best is forgotten slowly, and only at `min`: answers that are slow there are slow by
//! themselves, and after some minutes they are what is normal. Forgotten anywhere else, a target that
//! is kept busy would be found normal, and be given more and more.

use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use crate::config;

/// A round lasts at least so long, and takes so many answers.
const ROUND: Duration = Duration::from_millis(50);
const ANSWERS: u64 = 10;

/// No more than half of the limit goes in one round.
const STEEPEST: f64 = 0.5;

/// Part of the way that the best goes towards a better latency in one round: one lucky round does not
/// make it.
const LEARNING: f64 = 0.25;

/// The time in which most of an outdated best is forgotten, in seconds.
const FORGETTING: f64 = 120.0;

/// A limit that adapts itself. All times are since one beginning.
#[derive(Debug)]
pub struct Adaptive {
    config: config::Adaptive,
    limit: AtomicUsize,
    /// The limit with its fraction, as the bits of an `f64`.
    exact: AtomicU64,
    /// The best latency in seconds, as the bits of an `f64`; 0 before the first round.
    best: AtomicU64,
    /// When the round began, in nanoseconds.
    begun: AtomicU64,
    /// Nanoseconds and number of its answers.
    sum: AtomicU64,
    count: AtomicU64,
    /// A worker is ending the round.
    ending: AtomicBool,
}

impl Adaptive {
    /// A limit that knows nothing of its target yet.
    #[must_use]
    pub fn new(config: config::Adaptive) -> Self {
        let limit = config.min.max(1);
        Self {
            config,
            limit: AtomicUsize::new(limit),
            exact: AtomicU64::new(exact(limit).to_bits()),
            best: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            count: AtomicU64::new(0),
            ending: AtomicBool::new(false),
        }
    }

    /// Copies that may be under way at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// The best latency of the target, when one is known.
    #[must_use]
    pub fn best(&self) -> Option<Duration> {
        let best = f64::from_bits(self.best.load(Relaxed));
        (best > 0.0).then(|| Duration::from_secs_f64(best))
    }

    /// Takes note of an answer that came `now`, `latency` after its copy was sent. `in_flight`
    /// copies are under way, this one included, and never more than `most`.
    pub fn answered(&self, latency: Duration, now: Duration, in_flight: usize, most: usize) {
        // What was sent earlier tells of the limit before this one.
        if now.saturating_sub(latency) >= self.begun() {
            self.add(latency, now, in_flight, most);
        }
    }

    /// Takes note that no answer came within `timeout`: as slow as can be, whenever it was sent.
    pub fn timed_out(&self, timeout: Duration, now: Duration, in_flight: usize, most: usize) {
        self.add(timeout, now, in_flight, most);
    }

    fn add(&self, latency: Duration, now: Duration, in_flight: usize, most: usize) {
        self.sum.fetch_add(nanos(latency), Relaxed);
        let count = self.count.fetch_add(1, Relaxed) + 1;
        let lasted = now.saturating_sub(self.begun());
        if count < ANSWERS || lasted < ROUND || self.ending.swap(true, Acquire) {
            return;
        }
        // An answer that another worker adds right now counts in this round or in the next.
        let count = self.count.swap(0, Relaxed);
        let sum = self.sum.swap(0, Relaxed);
        self.begun.store(nanos(now), Relaxed);
        if let Some(mean) = sum.checked_div(count) {
            let mean = Duration::from_nanos(mean).as_secs_f64();
            self.end_round(mean.max(1e-9), lasted.as_secs_f64(), in_flight, most);
        }
        self.ending.store(false, Release);
    }

    fn end_round(&self, latency: f64, lasted: f64, in_flight: usize, most: usize) {
        let min = exact(self.config.min.clamp(1, most.max(1)));
        let limit = f64::from_bits(self.exact.load(Relaxed)).clamp(min, exact(most).max(min));
        let known = f64::from_bits(self.best.load(Relaxed));
        let best = if known == 0.0 {
            latency
        } else if latency < known {
            known + (latency - known) * LEARNING
        } else if limit <= min {
            known + (latency - known) * (lasted / FORGETTING).min(LEARNING)
        } else {
            known
        };
        self.best.store(best.to_bits(), Relaxed);
        let gradient = self.config.tolerance.max(1.0) * best / latency;
        let next = if gradient < 1.0 {
            limit * gradient.max(STEEPEST)
        } else if exact(in_flight) * 2.0 >= limit {
            limit + limit.sqrt()
        } else {
            // A limit that is not reached need not grow: nothing is known of what lies beyond.
            limit
        };
        let next = next.clamp(min, exact(most).max(min));
        self.exact.store(next.to_bits(), Relaxed);
        // Not below `min`, which is one at least, nor above `most`.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        self.limit.store(next as usize, Relaxed);
    }

    fn begun(&self) -> Duration {
        Duration::from_nanos(self.begun.load(Relaxed))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Numbers of copies are far below what an `f64` holds exactly.
#[allow(clippy::cast_precision_loss)]
fn exact(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_precision_loss)]
mod tests {
    use std::collections::BinaryHeap;

    use super::*;

    /// A target with endless requests for it: every copy that the limit lets go is sent at once.
    struct Simulation {
        adaptive: Adaptive,
        most: usize,
        now: Duration,
        /// When the copies under way end and how long they took, the next one last.
        under_way: BinaryHeap<std::cmp::Reverse<(Duration, Duration)>>,
        random: u64,
    }

    impl Simulation {
        fn new(min: usize, most: usize) -> Self {
            let adaptive = Adaptive::new(config::Adaptive { min, tolerance: 2.0 });
            let now = Duration::from_secs(1);
            Self { adaptive, most, now, under_way: BinaryHeap::new(), random: 1 }
        }

        /// From a half to one and a half.
        fn spread(&mut self) -> f64 {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            0.5 + (self.random >> 33) as f64 / f64::from(1u32 << 31)
        }

        /// Lets time pass; the latency follows from the number of copies under way. Gives the mean
        /// limit in the second half.
        fn run(&mut self, seconds: u64, latency: impl Fn(usize) -> f64) -> f64 {
            let (start, end) = (self.now, self.now + Duration::from_secs(seconds));
            let (mut sum, mut count) = (0.0, 0.0);
            while self.now < end {
                while self.under_way.len() < self.adaptive.limit().min(self.most) {
                    let latency = latency(self.under_way.len() + 1) * self.spread();
                    let latency = Duration::from_secs_f64(latency);
                    self.under_way.push(std::cmp::Reverse((self.now + latency, latency)));
                }
                let in_flight = self.under_way.len();
                let std::cmp::Reverse((at, latency)) = self.under_way.pop().unwrap();
                self.now = at;
                self.adaptive.answered(latency, self.now, in_flight, self.most);
                if self.now > start + (end - start) / 2 {
                    sum += self.adaptive.limit() as f64;
                    count += 1.0;
                }
            }
            sum / count
        }
    }

    /// A target that does 20 things at once; more of them wait for each other.
    fn knee(copies: usize) -> f64 {
        0.01 * (copies as f64 / 20.0).max(1.0)
    }

    #[test]
    fn it_settles_near_the_knee_and_stays_there() {
        let mut simulation = Simulation::new(1, 1000);
        let settled = simulation.run(30, knee);
        assert!((25.0..70.0).contains(&settled), "{settled}");
        let later = simulation.run(600, knee);
        assert!((25.0..70.0).contains(&later), "{later}: it creeps");
    }

    #[test]
    fn a_target_that_is_fast_gets_all_it_may() {
        let mut simulation = Simulation::new(1, 200);
        let limit = simulation.run(20, |_| 0.005);
        assert!(limit > 195.0, "{limit}");
    }

    #[test]
    fn a_target_that_becomes_slower_gets_less_until_it_is_fast_again() {
        let mut simulation = Simulation::new(2, 1000);
        let before = simulation.run(30, knee);
        let slow = simulation.run(20, |copies| 10.0 * knee(copies));
        assert!(slow < before / 4.0, "{before} before, {slow} while it is slow");
        let after = simulation.run(20, knee);
        assert!((before * 0.7..before * 1.3).contains(&after), "{before} before, {after} after");
    }

    #[test]
    fn what_is_slow_for_long_is_normal() {
        let mut simulation = Simulation::new(1, 100);
        simulation.run(10, |_| 0.005);
        let soon = simulation.run(5, |_| 0.05);
        assert!(soon < 10.0, "{soon}");
        let later = simulation.run(1200, |_| 0.05);
        assert!(later > 90.0, "{later}");
        let best = simulation.adaptive.best().unwrap();
        assert!(best > Duration::from_millis(20), "{best:?}");
    }

    #[test]
    fn timeouts_count_as_slow_answers() {
        let mut simulation = Simulation::new(1, 100);
        let before = simulation.run(10, |_| 0.005);
        let (adaptive, timeout) = (&simulation.adaptive, Duration::from_secs(10));
        // Half of the copies hang.
        for number in 0..200u32 {
            let now = simulation.now + Duration::from_millis(10) * number;
            adaptive.timed_out(timeout, now, 50, 100);
            adaptive.answered(Duration::from_millis(5), now, 50, 100);
        }
        assert!(before > 90.0 && adaptive.limit() < 10, "{before}, then {}", adaptive.limit());
    }

    #[test]
    fn a_limit_that_is_not_used_does_not_grow() {
        let adaptive = Adaptive::new(config::Adaptive { min: 4, tolerance: 2.0 });
        for number in 0..10_000u32 {
            let now = Duration::from_secs(1) + Duration::from_millis(10) * number;
            adaptive.answered(Duration::from_millis(5), now, 1, 100);
        }
        assert_eq!(adaptive.limit(), 4);
    }

    #[test]
    fn it_stays_between_its_bounds() {
        for (min, most) in [(0, 0), (5, 3), (1, 1), (10, 10)] {
            let adaptive = Adaptive::new(config::Adaptive { min, tolerance: 0.0 });
            for number in 0..1000u32 {
                let now = Duration::from_millis(20) * number;
                let latency = Duration::from_millis(u64::from(number % 7));
                adaptive.answered(latency, now, 50, most);
                let limit = adaptive.limit();
                assert!(limit >= 1 && limit <= min.max(most).max(1), "{min} {most}: {limit}");
            }
        }
    }
}
