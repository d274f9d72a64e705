//! A share and what is known of it, as a dot with whiskers beside that of the control.

use super::figures::percent;
use crate::admin::comparison::view::ShareView;

/// The drawing's length.
const LENGTH: f64 = 120.0;

/// The least share that is told from none, in percent: the scale is logarithmic.
const LEAST: f64 = 0.01;

/// How often something differs, and how often it does in the control.
pub(super) struct Interval {
    pub(super) candidate: Dot,
    pub(super) control: Option<Dot>,
    /// Whether it is beyond noise, or of unknown noise.
    pub(super) reported: bool,
}

/// A share with its bounds.
pub(super) struct Dot {
    /// Where it is in the drawing, and its bounds.
    pub(super) at: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) text: String,
    /// `4.71 % to 12.5 %`
    pub(super) bounds: String,
    /// `25 of 323`
    pub(super) counts: String,
}

impl Interval {
    pub(super) fn new(candidate: &ShareView, control: Option<&ShareView>, reported: bool) -> Self {
        Self { candidate: dot(candidate), control: control.map(dot), reported }
    }
}

fn dot(share: &ShareView) -> Dot {
    use super::figures::count;
    let measured = share.pairs > 0;
    Dot {
        at: place(share.percent),
        low: place(share.low),
        high: place(share.high),
        text: if measured { percent(share.percent) } else { "–".to_owned() },
        bounds: format!("{} to {}", percent(share.low), percent(share.high)),
        counts: format!("{} of {}", count(share.differing), count(share.pairs)),
    }
}

/// Where a share of so many percent is.
fn place(percent: f64) -> f64 {
    let decades = (100.0 / LEAST).log10();
    let place = (percent.max(LEAST) / LEAST).log10() / decades * (LENGTH - 8.0) + 4.0;
    // A tenth is finer than eyes are.
    (place.min(LENGTH - 4.0) * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_placed_by_their_magnitude() {
        let places = [0.0, 0.01, 0.1, 1.0, 10.0, 100.0].map(place);
        for (place, expected) in places.iter().zip([4.0, 4.0, 32.0, 60.0, 88.0, 116.0]) {
            assert!((place - expected).abs() < 0.01, "{places:?}");
        }
    }
}
