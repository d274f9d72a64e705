//! Makes the views from the ledger.

use std::time::{Duration, SystemTime};

use shadow_diff::Place;
use shadow_diff::books::{Book, Histogram, PlaceBook, SampleId, Site};
use shadow_diff::endpoint::EndpointId;
use shadow_diff::significance::{Confidence, Noise, Share};
use shadow_diff::verdict::{Answer, Cause, Gap, Reason};

use super::view::{
    AnswerView, BucketView, EndpointDetailView, EndpointView, EndpointsView, GapView, PlaceView,
    ReasonView, ReportView, RunView, ShareView, StatusChangeView, TimesView, VerdictView,
    VerdictsView,
};
use crate::comparison::ledger::{Candidate, Ledger};
use crate::date::rfc3339;
use crate::history::KeptRun;

/// Pairs that a report shows.
const REPORT_SAMPLES: usize = 50;

/// The verdict of all candidates, or of these.
pub(crate) fn verdicts(ledger: &Ledger, only: Option<&str>) -> VerdictsView {
    let wanted = |(name, _): &(&str, _)| only.is_none_or(|only| only == *name);
    let of = |(name, candidate)| verdict(ledger, name, candidate);
    let targets: Vec<_> = ledger.candidates().filter(wanted).map(of).collect();
    let any = |answer| targets.iter().any(|target| target.answer == answer);
    let answer = match () {
        () if any(AnswerView::Fail) => AnswerView::Fail,
        () if any(AnswerView::NotEnoughData) || targets.is_empty() => AnswerView::NotEnoughData,
        () => AnswerView::Pass,
    };
    VerdictsView { answer, targets }
}

/// A candidate's verdict.
pub(crate) fn verdict(ledger: &Ledger, target: &str, candidate: &Candidate) -> VerdictView {
    let verdict = &candidate.verdict;
    VerdictView {
        target: target.to_owned(),
        run: candidate.books.run().to_owned(),
        started: rfc3339(candidate.started),
        answer: answer(verdict.answer),
        requests: verdict.requests,
        counted: candidate.books.requests(),
        next_look: candidate.books.next_look(),
        confidence_percent: percent(verdict.confidence.share()),
        reasons: verdict.reasons.iter().map(|of| reason(ledger, of)).collect(),
        gaps: verdict.gaps.iter().map(gap).collect(),
        text: verdict.to_string(),
    }
}

pub(crate) fn answer(answer: Answer) -> AnswerView {
    match answer {
        Answer::Pass => AnswerView::Pass,
        Answer::Fail => AnswerView::Fail,
        Answer::NotEnoughData => AnswerView::NotEnoughData,
    }
}

fn reason(ledger: &Ledger, reason: &Reason) -> ReasonView {
    let (kind, site) = match &reason.cause {
        Cause::Errors { .. } => ("errors", None),
        Cause::Difference(finding) => ("difference", Some(&finding.site)),
        Cause::Latency { .. } => ("latency", None),
    };
    ReasonView {
        endpoint: reason.endpoint.clone(),
        kind: kind.to_owned(),
        place: site.map(|site| place_and_kind(site).0),
        place_kind: site.map(|site| place_and_kind(site).1),
        text: reason.cause.to_string(),
        requests: reason.requests,
        samples: kept(ledger, &reason.samples),
    }
}

fn gap(gap: &Gap) -> GapView {
    let (kind, endpoint) = match gap {
        Gap::Requests { .. } => ("requests", None),
        Gap::Judged { .. } => ("judged", None),
        Gap::Endpoint { endpoint, .. } => ("endpoint", Some(endpoint)),
        Gap::Noise { endpoint } => ("noise", Some(endpoint)),
        Gap::Latency { endpoint, .. } => ("latency", Some(endpoint)),
    };
    GapView { kind: kind.to_owned(), endpoint: endpoint.cloned(), text: gap.to_string() }
}

/// A candidate's endpoints, those with the most requests first.
pub(crate) fn endpoints(ledger: &Ledger, target: &str, candidate: &Candidate) -> EndpointsView {
    let of = |(id, book)| endpoint(ledger, candidate, id, book);
    let mut endpoints: Vec<_> = candidate.books.endpoints().map(of).collect();
    endpoints.sort_by(|one, other| {
        other.requests.cmp(&one.requests).then_with(|| one.name.cmp(&other.name))
    });
    EndpointsView {
        target: target.to_owned(),
        run: candidate.books.run().to_owned(),
        endpoints,
        overflow: ledger.endpoints().overflow(),
    }
}

fn endpoint(ledger: &Ledger, candidate: &Candidate, id: EndpointId, book: &Book) -> EndpointView {
    let confidence = ledger.thresholds().confidence;
    let counts = &book.now;
    let different = Share { differing: counts.different.candidate, pairs: counts.pairs.candidate };
    let control = Share { differing: counts.different.control, pairs: counts.pairs.control };
    let changes = book.status_changes().map(|(_, _, pairs)| pairs).sum::<u64>();
    let findings = candidate.findings().iter().filter(|found| found.endpoint == id);
    EndpointView {
        name: ledger.endpoints().name(id).to_string(),
        requests: counts.errors.requests,
        different: share(different, confidence),
        control: (control.pairs > 0).then(|| share(control, confidence)),
        errors: counts.errors.shadow,
        production_errors: counts.errors.production,
        both_errors: counts.errors.both,
        status_changes: changes + book.other_status_changes(),
        production: times(&counts.production),
        shadow: times(&counts.shadow),
        reported: findings.filter(|found| found.is_reported()).count(),
    }
}

/// An endpoint in detail; `None` if the candidate has none of that name.
pub(crate) fn endpoint_detail(
    ledger: &Ledger,
    target: &str,
    candidate: &Candidate,
    name: &str,
) -> Option<EndpointDetailView> {
    let named = |(id, _): &(EndpointId, _)| ledger.endpoints().name(*id).to_string() == name;
    let (id, book) = candidate.books.endpoints().find(named)?;
    Some(detail(ledger, target, candidate, id, book))
}

fn detail(
    ledger: &Ledger,
    target: &str,
    candidate: &Candidate,
    id: EndpointId,
    book: &Book,
) -> EndpointDetailView {
    let of = |(site, of): (&Site, &PlaceBook)| place(ledger, candidate, id, book, site, of);
    let mut places: Vec<_> = book.places().filter_map(of).collect();
    places.sort_by(|one, other| {
        other
            .reported
            .cmp(&one.reported)
            .then_with(|| other.candidate.percent.total_cmp(&one.candidate.percent))
            .then_with(|| one.place.cmp(&other.place))
    });
    let statuses = book.status_changes();
    let mut statuses: Vec<_> = statuses
        .map(|(production, shadow, pairs)| StatusChangeView { production, shadow, pairs })
        .collect();
    statuses.sort_by_key(|change| std::cmp::Reverse(change.pairs));
    EndpointDetailView {
        target: target.to_owned(),
        run: candidate.books.run().to_owned(),
        endpoint: endpoint(ledger, candidate, id, book),
        places,
        statuses,
        production: buckets(&book.now.production),
        shadow: buckets(&book.now.shadow),
    }
}

/// A place, if any of the candidate's pairs differ there.
fn place(
    ledger: &Ledger,
    candidate: &Candidate,
    id: EndpointId,
    book: &Book,
    site: &Site,
    of: &PlaceBook,
) -> Option<PlaceView> {
    let confidence = ledger.thresholds().confidence;
    let (differing, control) = book.shares(site, of);
    if differing.differing == 0 {
        return None;
    }
    let (place, kind) = place_and_kind(site);
    let finding = candidate.finding(id, site);
    let noise = match finding.map(|finding| &finding.noise) {
        _ if control.pairs == 0 => "unmeasured",
        Some(Noise::Measured { exceeded: true, .. }) => "beyond",
        Some(Noise::NotMeasured) => "unmeasured",
        Some(Noise::Measured { .. }) | None => "within",
    };
    Some(PlaceView {
        place,
        kind,
        candidate: share(differing, confidence),
        control: (control.pairs > 0).then(|| share(control, confidence)),
        noise: noise.to_owned(),
        reported: finding.is_some_and(|finding| finding.is_reported()),
        rule: in_a_rule(site),
        samples: kept(ledger, of.samples()),
    })
}

/// All about a candidate's run.
pub(crate) fn report(ledger: &Ledger, target: &str, candidate: &Candidate) -> ReportView {
    let verdict = verdict(ledger, target, candidate);
    let mut numbers: Vec<_> =
        verdict.reasons.iter().flat_map(|reason| reason.samples.iter().copied()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let samples = numbers.into_iter().filter_map(|id| ledger.sample(id).cloned());
    let samples = samples.take(REPORT_SAMPLES).collect();
    let of = |(id, book)| detail(ledger, target, candidate, id, book);
    let mut endpoints: Vec<_> = candidate.books.endpoints().map(of).collect();
    endpoints.sort_by_key(|of| std::cmp::Reverse(of.endpoint.requests));
    ReportView {
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        made: rfc3339(SystemTime::now()),
        verdict,
        endpoints,
        samples,
    }
}

/// A run that goes on.
pub(crate) fn run(target: &str, candidate: &Candidate) -> RunView {
    RunView {
        id: None,
        target: target.to_owned(),
        name: candidate.books.run().to_owned(),
        started: rfc3339(candidate.started),
        ended: None,
        answer: answer(candidate.verdict.answer),
        requests: Some(candidate.books.requests()),
    }
}

/// A run that ended.
pub(crate) fn ended_run(run: KeptRun) -> RunView {
    let time = |milliseconds| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds));
    RunView {
        id: Some(run.id),
        target: run.target,
        name: run.name,
        started: time(run.started_ms),
        ended: Some(time(run.ended_ms)),
        answer: match run.answer.as_str() {
            "pass" => AnswerView::Pass,
            "fail" => AnswerView::Fail,
            _ => AnswerView::NotEnoughData,
        },
        requests: None,
    }
}

/// Those pairs that are still kept.
fn kept(ledger: &Ledger, samples: &[SampleId]) -> Vec<u64> {
    let kept = samples.iter().filter(|SampleId(id)| ledger.sample(*id).is_some());
    kept.map(|SampleId(id)| *id).collect()
}

fn place_and_kind(site: &Site) -> (String, String) {
    match site {
        Site::At(place, kind) => (place.to_string(), kind.name().to_owned()),
        Site::Unlisted | Site::Elsewhere => (site.to_string(), String::new()),
    }
}

/// How a rule names the place.
fn in_a_rule(site: &Site) -> Option<String> {
    match site {
        Site::At(Place::Body(path), _) => Some(path.to_string()),
        Site::At(place, _) => Some(place.to_string()),
        Site::Unlisted | Site::Elsewhere => None,
    }
}

fn share(share: Share, confidence: Confidence) -> ShareView {
    let bounds = share.bounds(confidence);
    ShareView {
        differing: share.differing,
        pairs: share.pairs,
        percent: percent(share.rate()),
        low: percent(bounds.low),
        high: percent(bounds.high),
    }
}

/// Exact to a ten-thousandth, so that 0.07 is not 0.06999999999999999.
fn percent(share: f64) -> f64 {
    (share * 1e6).round() / 1e4
}

fn times(histogram: &Histogram) -> TimesView {
    let quantile = |quantile| histogram.quantile(quantile).map(milliseconds);
    TimesView {
        count: histogram.count(),
        p50: quantile(0.5),
        p95: quantile(0.95),
        p99: quantile(0.99),
    }
}

fn buckets(histogram: &Histogram) -> Vec<BucketView> {
    let of =
        |(from, to, count)| BucketView { from: milliseconds(from), to: milliseconds(to), count };
    histogram.buckets().map(of).collect()
}

/// Divided once, so that 2.08 is not 2.0799999999999996.
fn milliseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_are_exact() {
        for (micros, text) in
            [(280, "0.28"), (2_080, "2.08"), (61_952, "61.952"), (3_000_000, "3000")]
        {
            assert_eq!(milliseconds(Duration::from_micros(micros)).to_string(), text);
        }
        assert_eq!(
            [percent(0.0007), percent(1.0 / 3.0)].map(|share| share.to_string()),
            ["0.07", "33.3333"]
        );
    }
}
