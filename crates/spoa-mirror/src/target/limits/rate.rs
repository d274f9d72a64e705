//! A token bucket: so many copies in a time on average, and some more at once after a pause.
//!
//! Instead of tokens it keeps the moment at which the bucket will be full again (the generic cell
//! rate algorithm): one number, which one exchange brings forward by the price of a token.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::config::RateLimit;

/// Times are counted in this part of a nanosecond, so that the price of a token is exact enough at
/// high rates: at 100000/s to three millionths. The count lasts for 36 years.
const UNITS: u32 = 16;

/// The state of a bucket; full at first. Rate and burst are told each time, and may change.
#[derive(Debug, Default)]
pub struct Bucket {
    /// When the bucket is full if nothing more is taken, in units since the beginning.
    full_at: AtomicU64,
}

impl Bucket {
    /// Takes a token if there is one. `now` is the time since the beginning; when it goes back, as
    /// it may seem between threads, nothing is won.
    ///
    /// A lower rate leaves the time that the bucket needs to be full as it is; it is never longer
    /// than an empty bucket needs.
    pub fn take(&self, limit: &RateLimit, now: Duration) -> bool {
        let now = units(now);
        let price = price(limit);
        let empty = now.saturating_add(price.saturating_mul(u64::from(limit.burst.max(1))));
        let mut full_at = self.full_at.load(Relaxed);
        loop {
            let next = full_at.clamp(now, empty).saturating_add(price);
            let taken = next <= empty;
            if !taken && full_at <= empty {
                return false;
            }
            // Without a token, what an earlier and lower rate owes is forgotten.
            let next = if taken { next } else { empty };
            match self.full_at.compare_exchange_weak(full_at, next, Relaxed, Relaxed) {
                Ok(_) => return taken,
                Err(seen) => full_at = seen,
            }
        }
    }
}

/// The time in units; as far as the count reaches.
fn units(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().saturating_mul(u128::from(UNITS))).unwrap_or(u64::MAX)
}

/// The time in which a token comes, in units; at least one.
fn price(limit: &RateLimit) -> u64 {
    let units = f64::from(UNITS) * 1e9 / limit.rate.per_second;
    // Saturates; a rate that is no number costs the most.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let units = units.round() as u64;
    units.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;
    use proptest::prelude::*;

    fn limit(per_second: f64, burst: u32) -> RateLimit {
        RateLimit { rate: Rate { per_second }, burst }
    }

    /// How many of `tries` get a token, one each `every`, from `start` on.
    fn taken(
        bucket: &Bucket,
        limit: &RateLimit,
        start: Duration,
        every: Duration,
        tries: u32,
    ) -> u32 {
        let passes = (0..tries).filter(|&number| bucket.take(limit, start + every * number));
        u32::try_from(passes.count()).unwrap_or(u32::MAX)
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_the_rate() {
        let (bucket, limit) = (Bucket::default(), limit(10.0, 5));
        let second = Duration::from_secs(1);
        assert_eq!(taken(&bucket, &limit, second, Duration::ZERO, 100), 5);
        assert_eq!(taken(&bucket, &limit, second * 2, Duration::ZERO, 100), 5, "never more than 5");
        // Ten seconds in steps of a millisecond: a full bucket, and ten a second.
        assert_eq!(taken(&bucket, &limit, second * 3, second / 1000, 10_000), 5 + 99);
    }

    #[test]
    fn the_rate_is_exact_over_long_runs() {
        for per_second in [3.0, 7.0, 333.3, 99_999.0, 1.0 / 3600.0] {
            let (bucket, limit) = (Bucket::default(), limit(per_second, 2));
            // Several looks in the time of a token, so that none is lost because the bucket is full.
            let every = Duration::from_secs_f64(0.13 / per_second);
            let tries = 300_000;
            let got = f64::from(taken(&bucket, &limit, Duration::from_secs(5), every, tries));
            let span = every.as_secs_f64() * f64::from(tries - 1);
            let due = 2.0 + span * per_second;
            assert!((due - 1.5..due + 0.5).contains(&got), "{per_second}/s: {got}, {due} are due");
        }
    }

    #[test]
    fn other_rates_hold_at_once() {
        let bucket = Bucket::default();
        let now = Duration::from_secs(10);
        assert_eq!(taken(&bucket, &limit(1.0 / 3600.0, 3), now, Duration::ZERO, 9), 3);
        // An hour for each token is owed; at ten a second an empty bucket needs 0.3 s.
        let fast = limit(10.0, 3);
        assert!(!bucket.take(&fast, now));
        assert!(!bucket.take(&fast, now + Duration::from_millis(99)));
        assert!(bucket.take(&fast, now + Duration::from_millis(101)));
    }

    #[test]
    fn extreme_limits_are_no_danger() {
        for (per_second, burst) in [(1e9, u32::MAX), (1e-6, u32::MAX), (1e-6, 0), (f64::NAN, 1)] {
            let bucket = Bucket::default();
            for now in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
                bucket.take(&limit(per_second, burst), now);
            }
        }
    }

    #[test]
    fn threads_share_the_tokens() {
        let (bucket, limit) = (Bucket::default(), limit(1.0, 1000));
        let now = Duration::from_secs(1);
        let total: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| taken(&bucket, &limit, now, Duration::ZERO, 600)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
        });
        assert_eq!(total, 1000);
    }

    /// The bucket as it is told in books: tokens that come with time.
    struct Model {
        tokens: f64,
        at: Duration,
    }

    impl Model {
        fn take(&mut self, limit: &RateLimit, now: Duration) -> bool {
            let came = (now - self.at).as_secs_f64() * limit.rate.per_second;
            self.tokens = (self.tokens + came).min(f64::from(limit.burst));
            self.at = now;
            let taken = self.tokens >= 1.0;
            self.tokens -= f64::from(u8::from(taken));
            taken
        }
    }

    proptest! {
        #[test]
        fn it_gives_what_a_bucket_of_tokens_gives(
            per_second in 0.01f64..100_000.0,
            burst in 1u32..200,
            // In parts of the time of a token: pauses, crowds, and what is in between.
            gaps in prop::collection::vec(prop_oneof![
                Just(0.0), 0.0..0.5f64, 0.5..2.0f64, 0.0..300.0f64
            ], 1..2000),
        ) {
            let (bucket, limit) = (Bucket::default(), limit(per_second, burst));
            let mut now = Duration::from_secs(1);
            let mut model = Model { tokens: f64::from(burst), at: now };
            let mut lead = 0i64;
            for gap in gaps {
                now += Duration::from_secs_f64(gap / per_second);
                lead += i64::from(bucket.take(&limit, now)) - i64::from(model.take(&limit, now));
                // Rounding may give a token a moment earlier or later, no more and no fewer.
                prop_assert!(lead.abs() <= 1, "{lead} tokens apart");
            }
        }
    }
}
