//! How long answers take: counts in buckets whose width grows with the time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Each power of two has so many buckets.
const STEPS: u64 = 32;

/// Longer times count as this one: 2^32 - 1 microseconds, over an hour.
const LONGEST: u64 = u32::MAX as u64;

/// A histogram of times in microseconds: exact below 64 microseconds; above, a bucket is at most 1/32 as
/// wide as the times in it are long, so that its middle is off by at most 1.6 %. Holds the buckets between
/// the shortest and the longest time seen: 896 of 4 bytes at most, less than 4 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// The number of the first bucket in `counts`.
    first: usize,
    counts: Vec<u32>,
    count: u64,
}

impl Histogram {
    /// Counts one time.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST).min(LONGEST);
        self.add_at(bucket(micros), 1);
    }

    /// How many times were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The buckets in use, in order: from, below, and how many times.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, Duration, u32)> + '_ {
        let used = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        used.map(|(place, count)| {
            let bucket = self.first + place;
            let from = Duration::from_micros(start(bucket));
            (from, Duration::from_micros(start(bucket + 1)), *count)
        })
    }

    /// The time that the share `quantile` of all is not over: the middle of its bucket. `None` without any.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A share of `count`.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = (self.count as f64 * quantile.clamp(0.0, 1.0)).ceil() as u64;
        let (from, below) = self.bucket_of(rank.max(1))?;
        Some(from + (below - from) / 2)
    }

    /// The bounds of the bucket of the `rank`th time, from 1.
    pub(crate) fn bucket_of(&self, rank: u64) -> Option<(Duration, Duration)> {
        let mut seen = 0_u64;
        for (from, below, count) in self.buckets() {
            seen += u64::from(count);
            if seen >= rank {
                return Some((from, below));
            }
        }
        None
    }

    /// Adds what another counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (place, count) in other.counts.iter().enumerate() {
            if *count > 0 {
                self.add_at(other.first.saturating_add(place), *count);
            }
        }
    }

    fn add_at(&mut self, bucket: usize, more: u32) {
        let bucket = bucket.min(bucket_of_longest());
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            self.counts.splice(0..0, std::iter::repeat_n(0, self.first - bucket));
            self.first = bucket;
        }
        let place = bucket - self.first;
        if place >= self.counts.len() {
            self.counts.reserve_exact(place + 1 - self.counts.len());
            self.counts.resize(place + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(place) {
            let sum = count.saturating_add(more);
            self.count += u64::from(sum - *count);
            *count = sum;
        }
    }
}

fn bucket_of_longest() -> usize {
    bucket(LONGEST)
}

/// The bucket of a time.
fn bucket(micros: u64) -> usize {
    let power = micros.max(1).ilog2();
    let number = match power.checked_sub(STEPS.ilog2() + 1) {
        None => micros,
        // One bit more for each power; the leading bit is what `STEPS` counts twice.
        Some(shift) => (micros >> (shift + 1)) + u64::from(shift + 1) * STEPS,
    };
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The shortest time of a bucket.
fn start(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    match (bucket / STEPS).checked_sub(2) {
        None => bucket,
        Some(power) => (STEPS + bucket % STEPS) << (power + 1).min(32),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other() {
        let last = bucket_of_longest();
        assert_eq!(last + 1, 896);
        for number in 0..=last {
            assert_eq!(bucket(start(number)), number);
            assert_eq!(bucket(start(number + 1) - 1), number);
            let width = start(number + 1) - start(number);
            assert!(width == 1 || width * STEPS <= start(number), "{number}");
        }
    }

    proptest! {
        #[test]
        fn quantiles_are_near(
            mut micros in proptest::collection::vec(1_u64..10_000_000, 1..300),
            quantile in 0.0..=1.0_f64,
        ) {
            let (mut whole, mut parts) = (Histogram::default(), [Histogram::default(), Histogram::default()]);
            for (number, &time) in micros.iter().enumerate() {
                whole.record(Duration::from_micros(time));
                parts[number % 2].record(Duration::from_micros(time));
            }
            let [mut one, other] = parts;
            one.merge(&other);
            prop_assert_eq!(&one, &whole);
            prop_assert_eq!(whole.count(), micros.len() as u64);

            micros.sort_unstable();
            #[allow(clippy::cast_possible_truncation)] // Up to 300.
            let rank = ((micros.len() as f64 * quantile).ceil() as usize).max(1);
            let (exact, near) = (micros[rank - 1] as f64, whole.quantile(quantile).unwrap());
            prop_assert!((near.as_secs_f64() * 1e6 - exact).abs() <= (exact / 64.0).max(0.5) + 0.001);
        }
    }

    #[test]
    fn hours_and_nothing_are_counted() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        histogram.record(Duration::MAX);
        histogram.record(Duration::ZERO);
        assert_eq!(histogram.count(), 2);
        assert_eq!(histogram.quantile(0.0), Some(Duration::from_nanos(500)));
        assert!(histogram.quantile(1.0).unwrap() > Duration::from_secs(3600));
        assert_eq!(histogram.counts.len(), 896);
    }
}
