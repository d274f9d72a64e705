//! What may wait and fly, and when sending is given up: `limit`, `breaker`, `timeout`.

use std::time::Duration;

use super::walk::Section;
use crate::config::{Adaptive, Breaker, DropWhich, Limits, RateLimit, TargetConfig};

/// More copies than this nobody keeps waiting.
const MAX_QUEUE: u64 = 10_000_000;
const MAX_IN_FLIGHT: u64 = 1_000_000;

/// Reads `limit` and `timeout` into `config`, which has the defaults, and `breaker`.
pub(super) fn read(target: &mut Section<'_, '_, '_>, config: &mut TargetConfig) {
    config.limits = limit(target.section("limit", "{ rate = \"500/s\" }"), config.limits);
    config.breaker = breaker(target);
    let mut timeout = target.section("timeout", "{ total = \"10s\" }");
    if let Some(time) = timeout.time("connect", "1ms", "1h") {
        config.connect_timeout = time;
    }
    if let Some(time) = timeout.time("total", "1ms", "1d") {
        config.timeout = time;
    }
}

fn limit(mut section: Section<'_, '_, '_>, mut limits: Limits) -> Limits {
    let reader = section.reader;
    let unlimited = section.is_none("rate");
    let rate = if unlimited { None } else { section.rate("rate") };
    let burst: Option<u32> = section.integer("burst", 1..=10_000_000);
    if let Some(place) = section.own("burst") {
        if section.place_of("rate").is_none() || unlimited {
            reader.clash(&place, "`burst` has no effect without `rate`", None);
        }
    }
    limits.rate = rate.map(|rate| {
        // Without more words, what comes in a second may come at once.
        let second = rate.per_second.ceil().clamp(1.0, 10_000_000.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        RateLimit { rate, burst: burst.unwrap_or(second as u32) }
    });
    if let Some(count) = section.integer("in-flight", 1..=MAX_IN_FLIGHT) {
        limits.in_flight = count;
    }
    if let Some(count) = section.integer("queue", 1..=MAX_QUEUE) {
        limits.queue = count;
    }
    if let Some(size) = section.size("queue-bytes", 1024, "1024GiB") {
        limits.queue_bytes = usize::try_from(size).unwrap_or(usize::MAX);
    }
    if let Some(time) = section.time("max-age", "1ms", "1h") {
        limits.max_age = time;
    }
    if let Some(drop) =
        section.word("drop", &[("newest", DropWhich::Newest), ("oldest", DropWhich::Oldest)])
    {
        limits.drop = drop;
    }
    limits.adaptive = adaptive(&mut section, limits.in_flight);
    limits
}

fn adaptive(limit: &mut Section<'_, '_, '_>, in_flight: usize) -> Option<Adaptive> {
    let reader = limit.reader;
    let most = limit.place_of("in-flight");
    let (plain, section) = limit.shape("adaptive");
    let enabled = switch(limit, plain.as_ref(), "adaptive = { min = 10, tolerance = 2.0 }");
    let there = section.as_ref().is_some_and(Section::is_there);
    let mut section = section.unwrap_or_else(|| Section::nothing(reader, "target.limit.adaptive"));
    let min: Option<usize> = section.integer("min", 1..=MAX_IN_FLIGHT);
    let tolerance = section.get("tolerance").and_then(|value| {
        let number = reader.number(&value);
        let fits = number.filter(|number| (1.1..=100.0).contains(number));
        match (number, fits) {
            (None, _) => reader.wrong_type(&value, "a number", "tolerance = 2.0"),
            (_, None) => reader.error(&value.place, "out of range: from 1.1 to 100", None),
            _ => {}
        }
        fits
    });
    if enabled == Some(false) || (enabled.is_none() && !there) {
        return None;
    }
    let adaptive =
        Adaptive { min: min.unwrap_or(in_flight.min(10)), tolerance: tolerance.unwrap_or(2.0) };
    if adaptive.min > in_flight {
        let place = section.place_of("min").unwrap_or_else(|| section.place());
        let message = format!("`min` is more than `in-flight`, {in_flight}");
        reader.clash(&place, message, most.as_ref().map(|place| (place, "given here")));
    }
    Some(adaptive)
}

/// `true`: on, with what is usual; `false` or `"none"`: off, whatever the defaults say.
fn switch(
    parent: &Section<'_, '_, '_>,
    plain: Option<&super::walk::Value<'_>>,
    example: &str,
) -> Option<bool> {
    let plain = plain?;
    let on = match plain.node.as_str() {
        Some("none") => Some(false),
        _ => plain.node.as_bool(),
    };
    if on.is_none() {
        parent.reader.wrong_type(plain, "a table, true or false", example);
    }
    on
}

fn breaker(target: &mut Section<'_, '_, '_>) -> Option<Breaker> {
    let reader = target.reader;
    let (plain, section) = target.shape("breaker");
    let enabled = switch(target, plain.as_ref(), "breaker = { failures = 20 }");
    let there = section.as_ref().is_some_and(Section::is_there);
    let mut section = section.unwrap_or_else(|| Section::nothing(reader, "target.breaker"));
    let usual = Breaker::default();
    let failures = section.integer("failures", 0..=1_000_000);
    let share = section.share("share");
    let breaker = Breaker {
        // Who names a share means it alone.
        failures: failures.unwrap_or(if share.is_some() { 0 } else { usual.failures }),
        share,
        window: section.time("window", "1s", "1h").unwrap_or(usual.window),
        minimum: section.integer("minimum", 1..=1_000_000).unwrap_or(usual.minimum),
        open: section.time("open", "10ms", "1h").unwrap_or(usual.open),
        probes: section.integer("probes", 1..=1000).unwrap_or(usual.probes),
        server_errors: section.flag("server-errors").unwrap_or(usual.server_errors),
    };
    if enabled == Some(false) || (enabled.is_none() && !there) {
        return None;
    }
    if breaker.failures == 0 && breaker.share.is_none() {
        let place = section.place_of("failures").unwrap_or_else(|| section.place());
        reader.clash(&place, "without `failures` and without `share` it never opens", None);
    }
    if breaker.share.is_some_and(|share| share.millionths() == 0) {
        let place = section.place_of("share").unwrap_or_else(|| section.place());
        reader.clash(&place, "a share of 0 % would open it at once", None);
    }
    for key in ["window", "minimum"] {
        if let Some(place) = section.place_of(key).filter(|_| section.place_of("share").is_none()) {
            reader.warn(&place, format!("`{key}` has no effect without `share`"), None);
        }
    }
    if breaker.open < Duration::from_millis(100) {
        if let Some(place) = section.place_of("open") {
            reader.warn(&place, "a breaker that opens for so short protects nothing", None);
        }
    }
    Some(breaker)
}
