//! How long things take, counted in fixed buckets: no allocation, nothing to rotate, and histograms
//! of several workers add up.

use std::time::Duration;

/// Bounds of buckets; every scale has as many, so that histograms are plain arrays.
pub(super) const BOUNDS: usize = 16;

/// Which buckets a histogram has.
pub trait Scale {
    /// The upper bounds, which belong to their buckets, in nanoseconds, rising.
    const NANOSECONDS: [u64; BOUNDS];
}

/// From half a millisecond to half a minute: what targets take to answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyTimes;

/// From 5 microseconds to a second: what an ACK takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AckDelays;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

impl Scale for CopyTimes {
    const NANOSECONDS: [u64; BOUNDS] = [
        500 * MICROSECOND,
        MILLISECOND,
        2_500 * MICROSECOND,
        5 * MILLISECOND,
        10 * MILLISECOND,
        25 * MILLISECOND,
        50 * MILLISECOND,
        100 * MILLISECOND,
        250 * MILLISECOND,
        500 * MILLISECOND,
        SECOND,
        2_500 * MILLISECOND,
        5 * SECOND,
        10 * SECOND,
        20 * SECOND,
        30 * SECOND,
    ];
}

impl Scale for AckDelays {
    const NANOSECONDS: [u64; BOUNDS] = [
        5 * MICROSECOND,
        10 * MICROSECOND,
        25 * MICROSECOND,
        50 * MICROSECOND,
        100 * MICROSECOND,
        250 * MICROSECOND,
        500 * MICROSECOND,
        MILLISECOND,
        2_500 * MICROSECOND,
        5 * MILLISECOND,
        10 * MILLISECOND,
        25 * MILLISECOND,
        50 * MILLISECOND,
        100 * MILLISECOND,
        250 * MILLISECOND,
        SECOND,
    ];
}

/// How many observations fell into each bucket of a [`Scale`], and their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram<S> {
    /// The last one holds what is over every bound.
    counts: [u64; BOUNDS + 1],
    nanoseconds: u64,
    scale: std::marker::PhantomData<S>,
}

impl<S> Default for Histogram<S> {
    fn default() -> Self {
        Self { counts: [0; BOUNDS + 1], nanoseconds: 0, scale: std::marker::PhantomData }
    }
}

impl<S: Scale> Histogram<S> {
    /// Counts one observation.
    #[inline]
    pub fn observe(&mut self, time: Duration) {
        self.observe_many(time, 1);
    }

    /// Counts an observation that holds for `count` things at once.
    #[inline]
    pub fn observe_many(&mut self, time: Duration, count: u64) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = S::NANOSECONDS.partition_point(|&bound| bound < nanoseconds);
        self.counts[bucket] += count;
        self.nanoseconds = self.nanoseconds.saturating_add(nanoseconds.saturating_mul(count));
    }

    /// Adds another worker's observations.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.counts.iter_mut().zip(other.counts) {
            *sum += more;
        }
        self.nanoseconds = self.nanoseconds.saturating_add(other.nanoseconds);
    }

    /// How many observations there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all observations in seconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a sum of 100 days is still exact to 1 ns")]
    pub fn seconds(&self) -> f64 {
        self.nanoseconds as f64 / 1e9
    }

    /// Each upper bound, and how many observations were no longer than that and longer than the one before;
    /// at the end those that were longer than all.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = S::NANOSECONDS.iter().map(|&bound| Some(Duration::from_nanos(bound)));
        bounds.chain([None]).zip(self.counts)
    }

    /// Each upper bound in seconds, and how many observations were no longer than that.
    #[allow(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        S::NANOSECONDS.iter().zip(self.counts).scan(0, |sum, (&bound, count)| {
            *sum += count;
            Some((bound as f64 / 1e9, *sum))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::<AckDelays>::default();
        histogram.observe(Duration::from_micros(5));
        histogram.observe(Duration::from_nanos(5001));
        histogram.observe_many(Duration::from_micros(700), 3);
        histogram.observe(Duration::from_secs(2));
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 2, 2, 2, 2, 2, 2, 5, 5, 5, 5, 5, 5, 5, 5, 5]);
        assert_eq!(histogram.count(), 6);
        assert!((histogram.seconds() - 2.002_110_001).abs() < 1e-12, "{}", histogram.seconds());
    }

    #[test]
    fn bounds_rise() {
        fn rises<S: Scale>() -> bool {
            S::NANOSECONDS.is_sorted_by(|a, b| a < b)
        }
        assert!(rises::<AckDelays>() && rises::<CopyTimes>());
    }

    #[test]
    fn what_takes_for_ever_does_not_overflow() {
        let mut histogram = Histogram::<CopyTimes>::default();
        histogram.observe_many(Duration::MAX, 2);
        let mut sum = histogram.clone();
        sum.add(&histogram);
        assert_eq!(sum.count(), 4);
        assert!(sum.cumulative().all(|(_, count)| count == 0));
    }
}
