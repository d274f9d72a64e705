//! `[comparison.verdict]`: what a candidate must and may not.

use shadow_diff::significance::Confidence;
use shadow_diff::verdict::{Allowed, LatencyThresholds, Thresholds};

use super::super::walk::{Place, Section};
use super::rule::MAX_TEXT;
use super::{check_endpoint, tables};

/// Places that may differ, in a file.
const MAX_ALLOWED: usize = 1000;

/// Counts are judged no more after so many.
const MAX_PAIRS: u64 = 1_000_000_000;

/// Reads it into `thresholds`, which has the defaults. Gives the control's pairs if the file says how many.
pub(super) fn read(
    parent: &mut Section<'_, '_, '_>,
    thresholds: &mut Thresholds,
) -> Option<(u64, Place)> {
    let mut section = parent.section("verdict", "{ pairs = 1000 }");
    let reader = section.reader;
    if let Some(share) = section.share("confidence") {
        match Confidence::new(f64::from(share.millionths()) / 1e6) {
            Some(confidence) => thresholds.confidence = confidence,
            None => {
                if let Some(place) = section.place_of("confidence") {
                    let message = "out of range: from 50 to 99.9999 percent";
                    reader.error(&place, message, Some("write it like confidence = 99".to_owned()));
                }
            }
        }
    }
    if let Some(pairs) = section.integer("pairs", 1..=MAX_PAIRS) {
        thresholds.pairs = pairs;
    }
    if let Some(pairs) = section.integer("endpoint-pairs", 1..=MAX_PAIRS) {
        thresholds.endpoint_pairs = pairs;
    }
    let control_pairs = section.integer("control-pairs", 0..=MAX_PAIRS);
    for (key, share) in [
        ("judged", &mut thresholds.judged_share),
        ("difference-rate", &mut thresholds.difference_rate),
        ("error-rate-increase", &mut thresholds.error_rate_increase),
    ] {
        if let Some(read) = section.share(key) {
            *share = f64::from(read.millionths()) / 1e6;
        }
    }
    latency(&mut section, &mut thresholds.latency);
    thresholds.allowed =
        tables(&mut section, "allow", "comparison.verdict.allow", MAX_ALLOWED, allowed);
    control_pairs.zip(section.place_of("control-pairs"))
}

fn latency(parent: &mut Section<'_, '_, '_>, latency: &mut LatencyThresholds) {
    let mut section = parent.section("latency", "{ p99 = 2.0, slack = \"5ms\" }");
    for (key, ratio) in
        [("p50", &mut latency.p50), ("p95", &mut latency.p95), ("p99", &mut latency.p99)]
    {
        let Some(value) = section.get(key) else { continue };
        match section.reader.number(&value) {
            None => section.reader.wrong_type(&value, "a ratio", &format!("{key} = 1.5")),
            Some(number) if (0.1..=1000.0).contains(&number) => *ratio = Some(number),
            Some(_) => {
                let message = "out of range: from 0.1 to 1000 times as long as production";
                let help = format!("write it like {key} = 1.5");
                section.reader.error(&value.place, message, Some(help));
            }
        }
    }
    if let Some(time) = section.time("slack", "0ms", "1h") {
        latency.slack = time;
    }
}

fn allowed(section: &mut Section<'_, '_, '_>) -> Option<Allowed> {
    let reader = section.reader;
    let endpoint = section.written("endpoint", "an endpoint", "\"GET /items/*\"", MAX_TEXT);
    let place = section.written("place", "a place", "\"header x-build\"", MAX_TEXT);
    if section.place_of("place").is_none() && !reader.is_cataloguing() {
        let help = "write place = \"header x-build\", or \"*\" for all places";
        reader.error(&section.place(), "what may differ has a `place`", Some(help.to_owned()));
    }
    if endpoint.is_none() && section.place_of("endpoint").is_some() {
        return None;
    }
    if let Some(endpoint) = endpoint.as_ref().filter(|endpoint| endpoint.text.is_empty()) {
        let message = "an endpoint is missing; `*` is any";
        endpoint.error(reader, 0, message, "endpoint = \"GET /items/*\"");
        return None;
    }
    let place = place?;
    let name = endpoint.as_ref().map_or("*", |endpoint| &endpoint.text);
    match Allowed::new(name, &place.text) {
        Ok(allowed) => {
            endpoint.iter().for_each(|endpoint| check_endpoint(reader, endpoint));
            Some(allowed)
        }
        Err(error) => {
            place.error(reader, error.at, &error.message, "place = \"header x-build\"");
            None
        }
    }
}
