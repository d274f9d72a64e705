//! May the version under test be shipped? Thresholds in, an answer with its reasons out.
//!
//! What is judged are the counts of the last look. Three families of statements are made of them: places
//! differ, errors increase, answers take longer. Each is wrong about any endpoint at any look with at most
//! the error that the confidence leaves.

mod allowed;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::time::Duration;

pub use allowed::{Allowed, AllowedError};

use crate::Place;
use crate::books::{Book, Books, Histogram, SampleId, Site};
use crate::endpoint::{EndpointId, Endpoints};
use crate::significance::{
    Confidence, Finding, Interval, Noise, Share, excess, findings, normal_quantile, ranks,
    sign_test,
};

/// What a candidate must and may not.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// How sure a reason to fail must be.
    pub confidence: Confidence,
    /// Requests of all endpoints before there is an answer other than "fail". Counted are pairs and
    /// requests that the shadow did not answer.
    pub pairs: u64,
    /// Requests of an endpoint before it is judged.
    pub endpoint_pairs: u64,
    /// Pairs that the control must have before an endpoint is judged whose method is safe; 0 where there is
    /// no control.
    pub control_pairs: u64,
    /// The share of the requests that endpoints must have that are judged, before a candidate passes.
    pub judged_share: f64,
    /// By how much more often than in the control a place may differ, as a share of its pairs. Without a
    /// control: how often.
    pub difference_rate: f64,
    /// How much more often than production the shadow may answer with an error.
    pub error_rate_increase: f64,
    /// How much longer than production the shadow may take.
    pub latency: LatencyThresholds,
    /// Places that may differ.
    pub allowed: Vec<Allowed>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            confidence: Confidence::default(),
            pairs: 1000,
            endpoint_pairs: 100,
            control_pairs: 0,
            judged_share: 0.95,
            difference_rate: 0.0,
            error_rate_increase: 0.0,
            latency: LatencyThresholds::default(),
            allowed: Vec::new(),
        }
    }
}

/// Highest ratios of the shadow's times to production's, at three quantiles; `None` allows any.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyThresholds {
    /// At the median.
    pub p50: Option<f64>,
    /// What 95 % take no longer than.
    pub p95: Option<f64>,
    /// What 99 % take no longer than.
    pub p99: Option<f64>,
    /// A difference that is no longer than this is allowed whatever the ratio.
    pub slack: Duration,
}

impl Default for LatencyThresholds {
    /// No ratio is too high; a slack of a millisecond.
    fn default() -> Self {
        Self { p50: None, p95: None, p99: None, slack: Duration::from_millis(1) }
    }
}

impl LatencyThresholds {
    fn set(&self) -> impl Iterator<Item = (f64, f64)> + Clone {
        let all = [(0.5, self.p50), (0.95, self.p95), (0.99, self.p99)];
        all.into_iter().filter_map(|(quantile, ratio)| Some((quantile, ratio?)))
    }
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Enough was compared, and nothing is over a threshold beyond chance.
    Pass,
    /// Something is.
    Fail,
    /// Nothing is so far, but too little was compared to say that nothing will be.
    NotEnoughData,
}

impl Answer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pass, Self::Fail, Self::NotEnoughData];

    /// Its name in one word with hyphens.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotEnoughData => "not-enough-data",
        }
    }
}

/// The answer and why. Shown as text for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The answer.
    pub answer: Answer,
    /// Why it is "fail": errors, then differences, then times, of each kind first what most requests met.
    pub reasons: Vec<Reason>,
    /// What is missing: to an answer, or said beside it.
    pub gaps: Vec<Gap>,
    /// The candidate's requests that were judged.
    pub requests: u64,
    /// The confidence of all of it.
    pub confidence: Confidence,
}

/// One reason to fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// The endpoint's name.
    pub endpoint: String,
    /// What is over a threshold there.
    pub cause: Cause,
    /// How many of the run's requests are concerned, as far as can be told.
    pub requests: f64,
    /// Some of them.
    pub samples: Vec<SampleId>,
}

/// What is over a threshold.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// The shadow answers with errors, or not at all, where production does not.
    Errors {
        /// Only the shadow's answer is an error.
        shadow: Share,
        /// Only production's is.
        production: Share,
        /// The first rate less the second.
        increase: Interval,
    },
    /// A place differs.
    Difference(Finding),
    /// Answers take longer.
    Latency {
        /// At which quantile.
        quantile: f64,
        /// What production takes there.
        production: Duration,
        /// What the shadow takes there.
        shadow: Duration,
        /// Where the ratio lies, with all corrections.
        ratio: Interval,
    },
}

/// What is missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Gap {
    /// There are not enough requests in all.
    Requests {
        /// So many were judged.
        found: u64,
        /// So many are needed.
        wanted: u64,
    },
    /// Endpoints that are not judged have too many of the requests.
    Judged {
        /// The share that endpoints have that are judged.
        share: f64,
        /// What is needed.
        wanted: f64,
    },
    /// An endpoint is not judged.
    Endpoint {
        /// Its name.
        endpoint: String,
        /// Its requests.
        requests: u64,
        /// The control's pairs there, if it is these that are too few.
        control: Option<u64>,
    },
    /// There is no control at an endpoint that is judged: noise was not measured.
    Noise {
        /// Its name.
        endpoint: String,
    },
    /// An endpoint's times are too few to judge them at a quantile.
    Latency {
        /// Its name.
        endpoint: String,
        /// The quantile.
        quantile: f64,
    },
}

/// Judges the last look's counts.
#[must_use]
pub fn verdict(books: &Books, endpoints: &Endpoints, thresholds: &Thresholds) -> Verdict {
    let mut judged = Vec::new();
    let mut gaps = Vec::new();
    let (mut all, mut known) = (0, 0);
    for (id, book) in books.endpoints() {
        let requests = book.judged.errors.requests;
        all += requests;
        let name = endpoints.name(id);
        let too_few_controls =
            thresholds.control_pairs > book.judged.pairs.control && name.is_safe();
        let too_few = requests < thresholds.endpoint_pairs;
        let endpoint = name.to_string();
        if too_few || too_few_controls {
            let control = (!too_few).then_some(book.judged.pairs.control);
            gaps.push(Gap::Endpoint { endpoint, requests, control });
            continue;
        }
        known += requests;
        if book.judged.pairs.control == 0 {
            gaps.push(Gap::Noise { endpoint: endpoint.clone() });
        }
        judged.push(Judged { id, name: endpoint, book });
    }
    let mut reasons = Vec::new();
    reasons.extend(differences(books, &judged, thresholds));
    reasons.extend(judged.iter().filter_map(|of| errors(of, judged.len(), thresholds)));
    for of in &judged {
        latencies(of, judged.len(), thresholds, &mut reasons, &mut gaps);
    }
    reasons.sort_by(|one, other| {
        let (first, second) = (one.cause.order(), other.cause.order());
        first.cmp(&second).then_with(|| other.requests.total_cmp(&one.requests))
    });

    let share = if all == 0 { 0.0 } else { known as f64 / all as f64 };
    if share < thresholds.judged_share {
        gaps.push(Gap::Judged { share, wanted: thresholds.judged_share });
    }
    if all < thresholds.pairs {
        gaps.push(Gap::Requests { found: all, wanted: thresholds.pairs });
    }
    gaps.sort_by(Gap::order);
    let enough = !matches!(gaps.first(), Some(Gap::Requests { .. } | Gap::Judged { .. }));
    let answer = match (reasons.is_empty(), enough) {
        (false, _) => Answer::Fail,
        (true, false) => Answer::NotEnoughData,
        (true, true) => Answer::Pass,
    };
    Verdict { answer, reasons, gaps, requests: all, confidence: thresholds.confidence }
}

/// An endpoint with enough requests.
struct Judged<'a> {
    id: EndpointId,
    name: String,
    book: &'a Book,
}

fn differences(books: &Books, judged: &[Judged<'_>], thresholds: &Thresholds) -> Vec<Reason> {
    let over = |finding: &Finding| {
        let allowed = thresholds.difference_rate;
        finding.is_reported() && (allowed <= 0.0 || finding.at_least > allowed)
    };
    findings(books, thresholds.confidence)
        .into_iter()
        .filter(over)
        .filter_map(|finding| {
            let of = judged.iter().find(|of| of.id == finding.endpoint)?;
            if thresholds.allowed.iter().any(|allowed| allowed.allows(&of.name, &finding.site)) {
                return None;
            }
            Some(Reason {
                endpoint: of.name.clone(),
                requests: finding.excess() * finding.candidate.pairs as f64,
                samples: finding.samples.clone(),
                cause: Cause::Difference(finding),
            })
        })
        .collect()
}

/// Each request has both answers, so that only those count of which just one is an error: without an
/// increase either is as likely as the other (McNemar's test, exact).
fn errors(of: &Judged<'_>, endpoints: usize, thresholds: &Thresholds) -> Option<Reason> {
    let errors = of.book.judged.errors;
    let error = thresholds.confidence.error_of_look() / endpoints.max(1) as f64;
    let shadow = Share { differing: errors.shadow, pairs: errors.requests };
    let production = Share { differing: errors.production, pairs: errors.requests };
    let at_least = excess(shadow, production, normal_quantile(error)).low;
    let allowed = thresholds.error_rate_increase;
    if sign_test(errors.shadow, errors.production) > error || (allowed > 0.0 && at_least <= allowed)
    {
        return None;
    }
    let status = |(site, _): &(&Site, _)| matches!(site, Site::At(Place::Status, _));
    let samples = of.book.places().find(status).map(|(_, place)| place.samples().to_vec());
    let increase = excess(shadow, production, thresholds.confidence.two_sided());
    Some(Reason {
        endpoint: of.name.clone(),
        requests: errors.shadow as f64 - errors.production as f64,
        samples: samples.unwrap_or_default(),
        cause: Cause::Errors { shadow, production, increase },
    })
}

fn latencies(
    of: &Judged<'_>,
    endpoints: usize,
    thresholds: &Thresholds,
    reasons: &mut Vec<Reason>,
    gaps: &mut Vec<Gap>,
) {
    let latency = &thresholds.latency;
    // Each statement needs two bounds, one of production's times and one of the shadow's.
    let bounds = endpoints * latency.set().count() * 2;
    let error = thresholds.confidence.error_of_look() / bounds.max(1) as f64;
    for (quantile, allowed) in latency.set() {
        let endpoint = of.name.clone();
        let counts = &of.book.judged;
        let (Some(production), Some(shadow)) = (
            Bounds::of(&counts.production, quantile, error),
            Bounds::of(&counts.shadow, quantile, error),
        ) else {
            gaps.push(Gap::Latency { endpoint, quantile });
            continue;
        };
        let ratio = |shadow: Duration, production: Duration| {
            shadow.as_secs_f64() / production.as_secs_f64().max(1e-6)
        };
        let low = ratio(shadow.low, production.high);
        if low > allowed && shadow.low.saturating_sub(production.high) > latency.slack {
            let ratio = Interval { low, high: ratio(shadow.high, production.low) };
            let (production, shadow) = (production.middle, shadow.middle);
            reasons.push(Reason {
                endpoint,
                requests: (1.0 - quantile) * counts.shadow.count() as f64,
                samples: Vec::new(),
                cause: Cause::Latency { quantile, production, shadow, ratio },
            });
        }
    }
}

/// Where a quantile of times lies.
struct Bounds {
    low: Duration,
    middle: Duration,
    high: Duration,
}

impl Bounds {
    /// By the ranks between which it lies, whatever the distribution; the bounds of their buckets. `None` if
    /// there are too few times.
    fn of(times: &Histogram, quantile: f64, error: f64) -> Option<Self> {
        let (low, high) = ranks(times.count(), quantile, error);
        Some(Self {
            low: times.bucket_of(low?)?.0,
            middle: times.quantile(quantile)?,
            high: times.bucket_of(high?)?.1,
        })
    }
}

impl Cause {
    fn order(&self) -> u8 {
        match self {
            Self::Errors { .. } => 0,
            Self::Difference(_) => 1,
            Self::Latency { .. } => 2,
        }
    }
}

impl Gap {
    /// What keeps from an answer first; endpoints with many requests before those with few.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let class = |gap: &Self| match gap {
            Self::Requests { .. } => 0,
            Self::Judged { .. } => 1,
            Self::Endpoint { .. } => 2,
            Self::Noise { .. } => 3,
            Self::Latency { .. } => 4,
        };
        let requests = |gap: &Self| match gap {
            Self::Endpoint { requests, .. } => *requests,
            _ => 0,
        };
        class(self).cmp(&class(other)).then_with(|| requests(other).cmp(&requests(self)))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotEnoughData => "not enough data",
        })
    }
}
