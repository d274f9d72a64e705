//! Which places differ more often than noise does.
//!
//! For each place: that the candidate differs there no more often than the control would give as many
//! differing pairs to the candidate, of those in both series, by chance alone, as Fisher's exact test says.
//! All places of a run are one family: with the configured confidence *no* place is reported wrongly, at
//! any of the looks that the run has. So the error allowed is divided by the number of looks, and at each
//! look by Holm's method among the places that could be reported at all (Tarone): a place at which so few
//! pairs differ that not even the worst split would be significant costs the others nothing.
//!
//! Nothing is assumed of the responses but that under "no difference" a pair is as likely to differ whether
//! it is the candidate's or the control's, one pair independent of the other. Where both series have the
//! same requests, the noise of the one goes with the other's, and the test errs on the safe side.

mod exact;
mod interval;
#[cfg(test)]
mod tests;

use crate::books::{Books, LOOKS, SampleId, Site};
use crate::endpoint::EndpointId;

pub use interval::{Interval, Share};
pub(crate) use interval::{excess, normal_quantile};

/// How sure reports are: the probability that a run reports nothing that is noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence(f64);

impl Confidence {
    /// From a half to all but a millionth.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (0.5..=0.999_999).contains(&share).then_some(Self(share))
    }

    /// As a share of 1.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0
    }

    /// The probability with which all that is said at one look may be wrong anywhere.
    #[must_use]
    pub fn error_of_look(self) -> f64 {
        (1.0 - self.0) / f64::from(LOOKS)
    }

    /// For an interval that is looked at once and alone.
    pub(crate) fn two_sided(self) -> f64 {
        normal_quantile((1.0 - self.0) / 2.0)
    }
}

impl Default for Confidence {
    /// 99 %.
    fn default() -> Self {
        Self(0.99)
    }
}

/// How often a place differs in both series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Table {
    /// In pairs with the version under test.
    pub candidate: Share,
    /// In pairs of one version.
    pub control: Share,
}

impl Table {
    /// The probability of a split at least as bad by chance: Fisher's exact test.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        let Self { candidate, control } = self;
        exact::fisher(candidate.differing, candidate.pairs, control.differing, control.pairs)
    }

    /// The smallest that this could be with as many pairs that differ.
    fn least_p_value(&self) -> f64 {
        let Self { candidate, control } = self;
        exact::least_fisher(candidate.differing, candidate.pairs, control.differing, control.pairs)
    }
}

/// What the test says of one place of many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The probability of a split at least as bad by chance, for this place alone.
    pub p_value: f64,
    /// Whether it is reported, beside all others.
    pub beyond_noise: bool,
}

/// Decides on all places of a run at one look. At most `error` is the probability that any of them is
/// reported that differs no more often than in the control. Also how many of them could be reported at
/// all.
#[must_use]
pub fn decide(tables: &[Table], error: f64) -> (Vec<Decision>, usize) {
    let least: Vec<_> = tables.iter().map(Table::least_p_value).collect();
    let bar = error / tarone(least.clone(), error) as f64;
    let undecided = |table: &Table| Decision { p_value: table.p_value(), beyond_noise: false };
    let mut decisions: Vec<_> = tables.iter().map(undecided).collect();

    let mut order: Vec<_> =
        decisions.iter_mut().zip(least).filter(|(_, least)| *least <= bar).collect();
    let family = order.len();
    order.sort_by(|(one, _), (other, _)| one.p_value.total_cmp(&other.p_value));
    for (left, (decision, _)) in (1..=family).rev().zip(order) {
        if decision.p_value > error / left as f64 {
            break;
        }
        decision.beyond_noise = true;
    }
    (decisions, family)
}

/// The smallest k for which no more than k places could be significant at `error` / k.
fn tarone(mut least: Vec<f64>, error: f64) -> usize {
    least.sort_by(f64::total_cmp);
    let enough = |k: &usize| {
        let bar = error / *k as f64;
        least.partition_point(|least| *least <= bar) <= *k
    };
    (1..=least.len()).find(enough).unwrap_or(1)
}

/// Whether of `one` + `other` events more belong to the first than to a fair coin: the probability of
/// so many by chance.
pub(crate) fn sign_test(one: u64, other: u64) -> f64 {
    exact::fair_coin(one, one.saturating_add(other))
}

/// Ranks between which a quantile lies, each wrong with a probability of at most `error`.
pub(crate) fn ranks(count: u64, quantile: f64, error: f64) -> (Option<u64>, Option<u64>) {
    exact::ranks(count, quantile, error)
}

/// What is known of a place's noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// There is no control for the endpoint: what the candidate shows may be noise.
    NotMeasured,
    /// There is.
    Measured {
        /// How often the control differs.
        control: Share,
        /// Where that lies.
        interval: Interval,
        /// By how much the candidate's rate is higher.
        excess: Interval,
        /// The probability of this or worse by chance, for this place alone.
        p_value: f64,
        /// Whether the place is reported as a difference.
        exceeded: bool,
    },
}

/// A place at which pairs of the candidate differ. Intervals have the configured confidence each for
/// itself, once looked at; what is decided by is corrected for places and looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The place and the kind.
    pub site: Site,
    /// How often the candidate differs.
    pub candidate: Share,
    /// Where that lies.
    pub interval: Interval,
    /// What the control says.
    pub noise: Noise,
    /// The candidate's rate, less the control's where measured, is at least this, with all corrections.
    pub at_least: f64,
    /// Some of the pairs.
    pub samples: Vec<SampleId>,
}

impl Finding {
    /// Whether the place belongs on the page: it differs beyond noise, or nobody knows the noise.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        match self.noise {
            Noise::NotMeasured => true,
            Noise::Measured { exceeded, .. } => exceeded,
        }
    }

    /// The candidate's rate, less the control's where measured.
    #[must_use]
    pub fn excess(&self) -> f64 {
        match self.noise {
            Noise::NotMeasured => self.candidate.rate(),
            Noise::Measured { control, .. } => self.candidate.rate() - control.rate(),
        }
    }
}

/// All places at which pairs of the candidate differ, judged at the last look. Costs some microseconds a
/// place: keep the answer until [`Books::looks`] changes.
#[must_use]
pub fn findings(books: &Books, confidence: Confidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tables = Vec::new();
    for (endpoint, book) in books.endpoints() {
        for (site, place) in book.places().filter(|(_, place)| !place.partial) {
            let (candidate, control) = book.judged_shares(site, place);
            if candidate.differing > 0 || control.differing > 0 {
                let samples = place.samples().to_vec();
                tables.push(Table { candidate, control });
                findings.push((endpoint, site, samples));
            }
        }
    }
    let error = confidence.error_of_look();
    let (decisions, family) = decide(&tables, error);
    let z = confidence.two_sided();
    let corrected = normal_quantile(error / family.max(1) as f64);
    let unmeasured = tables.iter().filter(|table| table.control.pairs == 0).count();
    let corrected_alone = normal_quantile(error / unmeasured.max(1) as f64);

    let rows = findings.into_iter().zip(tables).zip(decisions);
    rows.filter(|((_, table), _)| table.candidate.differing > 0)
        .map(|(((endpoint, site, samples), Table { candidate, control }), decision)| {
            let (noise, at_least) = if control.pairs == 0 {
                (Noise::NotMeasured, candidate.interval(corrected_alone).low)
            } else {
                let noise = Noise::Measured {
                    control,
                    interval: control.interval(z),
                    excess: excess(candidate, control, z),
                    p_value: decision.p_value,
                    exceeded: decision.beyond_noise,
                };
                (noise, excess(candidate, control, corrected).low)
            };
            Finding {
                endpoint,
                site: site.clone(),
                candidate,
                interval: candidate.interval(z),
                noise,
                at_least,
                samples,
            }
        })
        .collect()
}
