//! Intervals of rates.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use super::Confidence;

/// Where a rate lies, between 0 and 1; the difference of two between -1 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Of how many pairs how many differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Share {
    /// Those that differ.
    pub differing: u64,
    /// All.
    pub pairs: u64,
}

impl Share {
    /// The rate, between 0 and 1; 0 without pairs.
    #[must_use]
    pub fn rate(self) -> f64 {
        if self.pairs == 0 { 0.0 } else { self.differing as f64 / self.pairs as f64 }
    }

    /// Where the rate lies: Wilson's score interval at this confidence, of a rate that is looked at once and
    /// alone.
    #[must_use]
    pub fn bounds(self, confidence: Confidence) -> Interval {
        self.interval(confidence.two_sided())
    }

    /// Wilson's score interval, which is good for rare and for common differences; `z` as of
    /// [`normal_quantile`].
    pub(crate) fn interval(self, z: f64) -> Interval {
        if self.pairs == 0 {
            return Interval { low: 0.0, high: 1.0 };
        }
        let (n, p, square) = (self.pairs as f64, self.rate(), z * z);
        let middle = p + square / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt();
        let scale = 1.0 + square / n;
        Interval {
            // At the ends the formula is exact, floating point is not.
            low: if self.differing == 0 { 0.0 } else { ((middle - half) / scale).max(0.0) },
            high: if self.differing >= self.pairs {
                1.0
            } else {
                ((middle + half) / scale).min(1.0)
            },
        }
    }
}

/// By how much the first rate is higher than the second: Newcombe's hybrid score interval.
pub(crate) fn excess(more: Share, less: Share, z: f64) -> Interval {
    let (one, other) = (more.interval(z), less.interval(z));
    let (p, q) = (more.rate(), less.rate());
    Interval {
        low: p - q - (p - one.low).hypot(other.high - q),
        high: p - q + (one.high - p).hypot(q - other.low),
    }
}

/// Above which a normal variable is with the probability `tail`, from 1e-300 to a half.
pub(crate) fn normal_quantile(tail: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 38.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_tail(middle) > tail { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The probability that a normal variable is above z >= 0: a series near the middle, Laplace's continued
/// fraction further out.
fn normal_tail(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / TAU.sqrt();
    if z > 3.0 {
        let fraction = (1..=80).rev().fold(z, |rest, k| z + f64::from(k) / rest);
        return density / fraction;
    }
    let (mut sum, mut term, mut odd) = (z, z, 1.0);
    while term > sum * 1e-17 {
        odd += 2.0;
        term *= z * z / odd;
        sum += term;
    }
    0.5 - density * sum
}
