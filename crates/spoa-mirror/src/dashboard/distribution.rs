//! How two latencies are distributed, as one drawing: two outlined areas over a logarithmic axis, and
//! beneath them where half, 95 and 99 of a hundred are.

use std::fmt::Write as _;

use crate::admin::comparison::view::{BucketView, TimesView};

/// The drawing's size, and what is left for the axis and the quantiles.
pub(super) const WIDTH: f64 = 720.0;
const LEFT: f64 = 10.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 150.0;
const ROWS: [f64; 2] = [168.0, 184.0];

/// Steps of an area: finer, and chance looks like shape.
const STEPS: usize = 60;

/// The greatest range, in decades; times beyond are drawn at its edge.
const MAX_DECADES: f64 = 7.0;

/// The drawing.
pub(super) struct Distribution {
    /// Production's and the candidate's.
    pub(super) sides: [Outline; 2],
    pub(super) ticks: Vec<Tick>,
}

/// One of the two.
pub(super) struct Outline {
    /// `production` or `shadow`.
    pub(super) class: &'static str,
    /// An SVG path; empty where nothing was measured.
    pub(super) path: String,
    /// The row's place, and its p50, p95, p99.
    pub(super) row: f64,
    pub(super) quantiles: Vec<f64>,
}

/// A mark on the axis.
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) text: String,
}

/// The axis, in the logarithm of milliseconds.
#[derive(Clone, Copy)]
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    /// From the shortest to the longest time that was measured.
    fn new<'a>(buckets: impl Iterator<Item = &'a BucketView> + Clone) -> Option<Self> {
        let counted = buckets.filter(|bucket| bucket.count > 0);
        let from = counted.clone().map(|bucket| log(bucket.from.max(bucket.to / 2.0)));
        let from = from.min_by(f64::total_cmp)?;
        let to = counted.map(|bucket| log(bucket.to)).max_by(f64::total_cmp)?;
        // A little room on both sides, and enough of it for a scale.
        let middle = (from + to) / 2.0;
        let half = ((to - from) / 2.0 + 0.05).clamp(0.5, MAX_DECADES / 2.0);
        Some(Self { from: middle - half, to: middle + half })
    }

    fn place(self, log: f64) -> f64 {
        let share = ((log - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        round(LEFT + share * (WIDTH - 2.0 * LEFT))
    }

    fn ticks(self) -> Vec<Tick> {
        let mut ticks = Vec::new();
        #[allow(clippy::cast_possible_truncation, reason = "a few decades")]
        let decades = self.from.floor() as i32..=self.to.ceil() as i32;
        let steps: &[f64] = if self.to - self.from > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        for decade in decades {
            for step in steps {
                let ms = step * 10f64.powi(decade);
                let log = log(ms);
                if log >= self.from && log <= self.to {
                    ticks.push(Tick { at: self.place(log), text: tick(ms) });
                }
            }
        }
        ticks
    }
}

impl Distribution {
    /// `None` where nothing was measured.
    pub(super) fn new(
        (production, production_times): (&[BucketView], &TimesView),
        (shadow, shadow_times): (&[BucketView], &TimesView),
    ) -> Option<Self> {
        let axis = Axis::new(production.iter().chain(shadow))?;
        let densities = [density(production, axis), density(shadow, axis)];
        let highest = densities.iter().flatten().copied().fold(0.0, f64::max);
        let [row_above, row_below] = ROWS;
        let outline = |class, density: &[f64], times: &TimesView, row| Outline {
            class,
            path: path(density, highest),
            row,
            quantiles: [times.p50, times.p95, times.p99]
                .into_iter()
                .flatten()
                .map(|ms| axis.place(log(ms)))
                .collect(),
        };
        let [above, below] = &densities;
        Some(Self {
            sides: [
                outline("production", above, production_times, row_above),
                outline("shadow", below, shadow_times, row_below),
            ],
            ticks: axis.ticks(),
        })
    }
}

impl Outline {
    /// Where a line from the first to the last quantile begins and ends.
    pub(super) fn span(&self) -> (f64, f64) {
        let first = self.quantiles.first().copied().unwrap_or_default();
        (first, self.quantiles.last().copied().unwrap_or(first))
    }
}

/// The share of all times in each step of the axis.
#[allow(clippy::cast_precision_loss, reason = "60 steps")]
fn density(buckets: &[BucketView], axis: Axis) -> Vec<f64> {
    let mut steps = vec![0.0; STEPS];
    let total: f64 = buckets.iter().map(|bucket| f64::from(bucket.count)).sum();
    let width = (axis.to - axis.from) / STEPS as f64;
    for bucket in buckets.iter().filter(|bucket| bucket.count > 0) {
        let from = log(bucket.from.max(bucket.to / 2.0)).clamp(axis.from, axis.to);
        let to = log(bucket.to).clamp(from, axis.to);
        let share = f64::from(bucket.count) / total;
        for (index, step) in steps.iter_mut().enumerate() {
            let begin = axis.from + index as f64 * width;
            let end = begin + width;
            let overlap = (to.min(end) - from.max(begin)).max(0.0);
            if to > from {
                *step += share * overlap / (to - from);
            } else if from >= begin && from < end {
                *step += share;
            }
        }
    }
    steps
}

#[allow(clippy::cast_precision_loss, reason = "60 steps")]
fn path(density: &[f64], highest: f64) -> String {
    if highest <= 0.0 || density.iter().all(|step| *step <= 0.0) {
        return String::new();
    }
    let width = (WIDTH - 2.0 * LEFT) / STEPS as f64;
    let mut path = format!("M{LEFT} {BOTTOM}");
    for (index, step) in density.iter().enumerate() {
        let height = round(BOTTOM - step / highest * (BOTTOM - TOP));
        // Writing to a String does not fail.
        let _ = write!(path, "V{height}H{}", round(LEFT + (index + 1) as f64 * width));
    }
    let _ = write!(path, "V{BOTTOM}Z");
    path
}

/// A microsecond at least: what took no time has no logarithm.
fn log(ms: f64) -> f64 {
    ms.max(0.001).log10()
}

fn tick(ms: f64) -> String {
    match ms {
        ms if ms < 0.999 => format!("{} µs", (ms * 1000.0).round()),
        ms if ms < 999.0 => format!("{} ms", ms.round()),
        ms => format!("{} s", (ms / 1000.0).round()),
    }
}

fn round(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn times(p50: f64) -> TimesView {
        TimesView { count: 1, p50: Some(p50), p95: Some(p50 * 2.0), p99: Some(p50 * 3.0) }
    }

    fn bucket(from: f64, to: f64, count: u32) -> BucketView {
        BucketView { from, to, count }
    }

    #[test]
    fn the_slower_one_is_to_the_right() {
        let fast = [bucket(1.0, 1.1, 50), bucket(1.1, 1.2, 50)];
        let slow = [bucket(3.0, 3.3, 50), bucket(3.3, 3.6, 50)];
        let drawn = Distribution::new((&fast, &times(1.1)), (&slow, &times(3.3))).unwrap();
        let [production, shadow] = &drawn.sides;
        assert!(production.span().0 < shadow.span().0);
        assert!(drawn.ticks.iter().any(|tick| tick.text == "1 ms"));
        assert!(drawn.ticks.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert!(production.path.starts_with('M') && production.path.ends_with('Z'));
    }

    #[test]
    fn each_area_has_all_of_its_times_whatever_they_are() {
        for buckets in [
            vec![bucket(0.0, 0.0, 3)],
            vec![bucket(0.0, 0.001, 1), bucket(1e9, 1e10, 1)],
            vec![bucket(5.0, 5.0, 7), bucket(5.0, 80.0, 3)],
        ] {
            let axis = Axis::new(buckets.iter()).unwrap();
            let sum: f64 = density(&buckets, axis).iter().sum();
            // Times beyond the greatest range are left at its edge, outside of the steps.
            assert!(sum <= 1.0 + 1e-9 && sum.is_finite(), "{sum}");
            let drawn = Distribution::new((&buckets, &times(5.0)), (&[], &times(5.0))).unwrap();
            let [production, shadow] = &drawn.sides;
            assert!(!production.path.contains("NaN"), "{}", production.path);
            assert_eq!(shadow.path, "");
        }
        assert!(Distribution::new((&[], &times(1.0)), (&[], &times(1.0))).is_none());
    }
}
