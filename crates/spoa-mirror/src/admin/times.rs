//! How long things took, as the API writes it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::outcome::{Histogram, Scale};

/// How long something took, since the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimesView {
    /// How many times it was measured.
    pub count: u64,
    /// All times together.
    pub sum_seconds: f64,
    /// Half of them took no longer, as far as the buckets tell.
    pub p50_seconds: Option<f64>,
    /// 99 of 100 took no longer, as far as the buckets tell; none when that is beyond the last.
    pub p99_seconds: Option<f64>,
    /// How many took how long.
    pub buckets: Vec<BucketView>,
}

/// How many took no longer than so long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BucketView {
    /// So long.
    pub seconds: f64,
    /// So many, those of the shorter times included.
    pub count: u64,
}

impl<S: Scale> From<&Histogram<S>> for TimesView {
    fn from(histogram: &Histogram<S>) -> Self {
        let buckets = histogram.cumulative();
        let buckets = buckets.map(|(seconds, count)| BucketView { seconds, count }).collect();
        let times = Self {
            count: histogram.count(),
            sum_seconds: histogram.seconds(),
            buckets,
            ..Self::default()
        };
        times.with_quantiles()
    }
}

impl TimesView {
    /// What came after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |index: usize| earlier.buckets.get(index).map_or(0, |bucket| bucket.count);
        let buckets = self.buckets.iter().enumerate().map(|(index, bucket)| BucketView {
            count: bucket.count.saturating_sub(before(index)),
            ..*bucket
        });
        let times = Self {
            count: self.count.saturating_sub(earlier.count),
            sum_seconds: (self.sum_seconds - earlier.sum_seconds).max(0.0),
            buckets: buckets.collect(),
            ..Self::default()
        };
        times.with_quantiles()
    }

    fn with_quantiles(mut self) -> Self {
        self.p50_seconds = self.quantile(0.5);
        self.p99_seconds = self.quantile(0.99);
        self
    }

    /// The time that the share `q` did not exceed, taken to be spread evenly within its bucket.
    fn quantile(&self, q: f64) -> Option<f64> {
        quantile(self.buckets.iter().map(|bucket| (bucket.seconds, bucket.count)), self.count, q)
    }
}

/// What the share `q` of `count` observations did not exceed, taken to be spread evenly within each bucket:
/// an upper bound, and how many did not exceed it. None when it is beyond the last one.
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53, and an estimate anyway")]
pub(super) fn quantile(
    buckets: impl IntoIterator<Item = (f64, u64)>,
    count: u64,
    q: f64,
) -> Option<f64> {
    let rank = count as f64 * q;
    let (mut below, mut lower) = (0.0, 0.0);
    for (upper, count) in buckets {
        let count = count as f64;
        if count >= rank && count > below {
            return Some(lower + (upper - lower) * (rank - below) / (count - below));
        }
        (below, lower) = (count, upper);
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outcome::CopyTimes;

    #[test]
    fn quantiles_are_found_in_their_buckets() {
        let mut histogram = Histogram::<CopyTimes>::default();
        assert_eq!(TimesView::from(&histogram).p50_seconds, None);
        histogram.observe_many(Duration::from_millis(4), 90);
        histogram.observe_many(Duration::from_millis(80), 10);
        let times = TimesView::from(&histogram);
        let (p50, p99) = (times.p50_seconds.unwrap(), times.p99_seconds.unwrap());
        assert!((0.0025..=0.005).contains(&p50), "{p50}");
        assert!((0.05..=0.1).contains(&p99), "{p99}");
        histogram.observe_many(Duration::from_secs(300), 100);
        let later = TimesView::from(&histogram);
        assert_eq!(later.p99_seconds, None, "beyond the last bucket");
        let between = later.since(&times);
        assert_eq!((between.count, between.p50_seconds), (100, None));
    }
}
