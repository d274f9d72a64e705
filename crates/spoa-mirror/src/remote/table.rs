//! How an agent stands, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::admin::times::TimesView;
use crate::admin::view::{ComparisonView, CountersView, StatusView, TargetView};

/// Shows `now`; with what was a moment `before`, rates and latencies of the time between.
pub(super) fn table(now: &StatusView, before: Option<&StatusView>, styled: bool) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "spoa-mirror {}, {} for {}",
        now.version,
        now.state,
        duration(now.uptime_seconds)
    );
    if now.workers.answered < now.workers.configured {
        let (answered, all) = (now.workers.answered, now.workers.configured);
        let line = format!("{answered} of {all} workers told their counters: what follows is low");
        let _ = writeln!(text, "{}", colour(styled, RED, &line));
    }
    spop(&mut text, now, before);
    if let (Some(error), Some(last)) = (&now.reloads.error, &now.reloads.last) {
        let line = format!("reload at {last} failed: {error}");
        let _ = writeln!(text, "{}", colour(styled, RED, &line));
    }
    text.push('\n');
    if now.targets.is_empty() {
        text.push_str("no targets: requests are acknowledged, and nothing is copied\n");
        return text;
    }
    targets(&mut text, now, before, styled);
    if let Some(compared) = &now.comparison {
        text.push('\n');
        comparison(&mut text, compared, styled);
    }
    text
}

/// What came of comparing answers.
fn comparison(text: &mut String, view: &ComparisonView, styled: bool) {
    const RESULTS: [&str; 4] = ["same", "different", "incomparable", "failed"];
    let heads = ["compared"].into_iter().chain(RESULTS).map(str::to_owned);
    let mut rows = vec![heads.collect::<Vec<_>>()];
    let control = view.control.iter().map(|(target, pairs)| (format!("{target}, control"), pairs));
    let pairs = view.pairs.iter().map(|(target, pairs)| (target.clone(), pairs));
    for (name, pairs) in pairs.chain(control) {
        let counts = RESULTS.map(|result| pairs.get(result).copied().unwrap_or(0).to_string());
        rows.push([name].into_iter().chain(counts).collect());
    }
    let lines = align(&rows);
    for (index, line) in lines.iter().enumerate() {
        let line = if index == 0 { colour(styled, BOLD, line) } else { line.clone() };
        let _ = writeln!(text, "{line}");
    }
    for (target, judged) in &view.verdicts {
        let answer = match judged.answer.as_str() {
            "pass" => "pass".to_owned(),
            "fail" => colour(styled, RED, "fail"),
            other => other.replace('-', " "),
        };
        let _ = writeln!(
            text,
            "    {target}, {}: {answer}, {} reasons, {} requests judged",
            judged.run, judged.reasons, judged.requests
        );
    }
    let counts = |counts: &BTreeMap<String, u64>| {
        counts
            .iter()
            .map(|(label, count)| format!("{label} {count}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut details = vec![format!("copies {}, waiting {}", view.copies, view.waiting)];
    if !view.unpaired.is_empty() {
        details.push(format!("unpaired: {}", counts(&view.unpaired)));
    }
    if !view.answers_unpaired.is_empty() {
        details.push(format!("answers unpaired: {}", counts(&view.answers_unpaired)));
    }
    let details = format!("    {}", details.join("; "));
    let _ = writeln!(text, "{}", colour(styled, DIM, &details));
}

/// Columns under each other: names and words to the left, numbers to the right.
fn align(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(line, "{cell:width$}"),
                STATE => write!(line, "  {cell}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The column of words.
const STATE: usize = 10;

fn spop(text: &mut String, now: &StatusView, before: Option<&StatusView>) {
    let spop = &now.spop;
    let _ = write!(text, "HAProxy: {} connections, {} requests", spop.open, spop.requests);
    if let Some(rate) = rate(now, before, |status| Some(status.spop.requests)) {
        let _ = write!(text, " ({rate}/s)");
    }
    let delay = since(&spop.ack_delay, before.map(|before| &before.spop.ack_delay));
    let _ = write!(text, ", ACK delay {}", quantiles(&delay));
    for (what, count) in
        [("incomplete messages", spop.incomplete), ("protocol errors", spop.protocol_errors)]
    {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    text.push('\n');
}

fn targets(text: &mut String, now: &StatusView, before: Option<&StatusView>, styled: bool) {
    const HEADS: [&str; 11] = [
        "target",
        "received",
        "/s",
        "answered",
        "failed",
        "dropped",
        "waiting",
        "in flight",
        "p50",
        "p99",
        "state",
    ];
    let mut rows = vec![HEADS.map(str::to_owned).to_vec()];
    for target in &now.targets {
        let earlier = before.and_then(|before| find(before, &target.name));
        let counters = &target.counters;
        let times = since(&counters.duration, earlier.map(|target| &target.counters.duration));
        let received = |status: &StatusView| Some(find(status, &target.name)?.counters.received);
        rows.push(
            [
                target.name.clone(),
                counters.received.to_string(),
                rate(now, before, received).unwrap_or_else(|| "-".to_owned()),
                sum(&counters.answered),
                sum(&counters.failed),
                sum(&counters.dropped),
                counters.waiting.to_string(),
                counters.in_flight.to_string(),
                quantile(&times, times.p50_seconds),
                quantile(&times, times.p99_seconds),
                state(target),
            ]
            .to_vec(),
        );
    }
    for (index, line) in align(&rows).into_iter().enumerate() {
        let head = index == 0;
        let _ = writeln!(text, "{}", if head { colour(styled, BOLD, &line) } else { line });
        let target = index.checked_sub(1).and_then(|index| now.targets.get(index));
        if let Some(details) = target.map(|target| details(&target.counters)) {
            if !details.is_empty() {
                let _ = writeln!(text, "{}", colour(styled, DIM, &format!("    {details}")));
            }
        }
    }
}

/// What the sums consist of.
fn details(counters: &CountersView) -> String {
    let groups = [
        ("answered", &counters.answered),
        ("failed", &counters.failed),
        ("dropped", &counters.dropped),
    ];
    let groups = groups.iter().filter(|(_, counts)| !counts.is_empty()).map(|(what, counts)| {
        let parts: Vec<_> =
            counts.iter().map(|(label, count)| format!("{label} {count}")).collect();
        format!("{what}: {}", parts.join(", "))
    });
    groups.collect::<Vec<_>>().join("; ")
}

/// Whether a target copies, and what was set by hand.
fn state(target: &TargetView) -> String {
    let settings = &target.settings;
    let mut words = Vec::new();
    if settings.paused {
        words.push("paused".to_owned());
    } else if settings.sample_percent < 100.0 {
        words.push(format!("{} %", settings.sample_percent));
    } else {
        words.push("copies".to_owned());
    }
    if let Some(breaker) = target.breaker.as_ref().filter(|breaker| breaker.state != "closed") {
        words.push(format!("(breaker {} for {})", breaker.state, short(breaker.lasts_seconds)));
    }
    if let Some(limit) = target.adaptive_in_flight.filter(|&l| l < settings.in_flight) {
        words.push(format!("(adapted to {limit} in flight)"));
    }
    if !target.overrides.is_empty() {
        words.push(format!("(by hand: {})", target.overrides.join(", ")));
    }
    words.join(" ")
}

fn find<'a>(status: &'a StatusView, name: &str) -> Option<&'a TargetView> {
    status.targets.iter().find(|target| target.name == name)
}

fn sum(counts: &BTreeMap<String, u64>) -> String {
    counts.values().sum::<u64>().to_string()
}

/// How much a counter grows in a second; nothing where the agent was restarted in between.
fn rate(
    now: &StatusView,
    before: Option<&StatusView>,
    counter: impl Fn(&StatusView) -> Option<u64>,
) -> Option<String> {
    let before = before.filter(|before| before.since == now.since)?;
    let seconds = now.uptime_seconds - before.uptime_seconds;
    let grown = counter(now)?.checked_sub(counter(before)?)?;
    #[allow(clippy::cast_precision_loss, reason = "rates far below 2^53")]
    (seconds > 0.0).then(|| format!("{:.0}", grown as f64 / seconds))
}

fn since(now: &TimesView, before: Option<&TimesView>) -> TimesView {
    before.map_or_else(|| now.clone(), |before| now.since(before))
}

fn quantiles(times: &TimesView) -> String {
    format!(
        "p50 {}, p99 {}",
        quantile(times, times.p50_seconds),
        quantile(times, times.p99_seconds)
    )
}

fn quantile(times: &TimesView, quantile: Option<f64>) -> String {
    match (quantile, times.buckets.last()) {
        (Some(seconds), _) => short(seconds),
        (None, Some(last)) if times.count > 0 => format!(">{}", short(last.seconds)),
        _ => "-".to_owned(),
    }
}

/// A short time with two digits or more that count.
fn short(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "us"),
    };
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// A long time in its two largest units.
fn duration(seconds: f64) -> String {
    let seconds = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

pub(super) const BOLD: &str = "1";
const DIM: &str = "2";
pub(super) const RED: &str = "31";

pub(super) fn colour(styled: bool, code: &str, text: &str) -> String {
    if styled { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(uptime: f64, received: u64, fast: u64) -> StatusView {
        let times = json!({
            "count": fast, "sum_seconds": 1.0, "p50_seconds": 0.004, "p99_seconds": 0.005,
            "buckets": [{"seconds": 0.0025, "count": 0}, {"seconds": 0.005, "count": fast}],
        });
        serde_json::from_value(json!({
            "version": "1.2.3", "state": "serving", "since": "2026-01-01T00:00:00.000Z",
            "uptime_seconds": uptime,
            "workers": {"configured": 1, "answered": 1},
            "spop": {
                "connections": 3, "open": 2, "health_checks": 0, "notifies": received,
                "messages": received, "requests": received, "incomplete": 0, "aborted": 0,
                "protocol_errors": 4, "ack_delay": times,
            },
            "targets": [{
                "name": "staging", "url": "http://staging",
                "settings": {
                    "paused": false, "sample_percent": 12.5, "rate": "none", "burst": 0,
                    "in_flight": 10, "queue": 10, "queue_bytes": 10, "max_age": "5s",
                },
                "overrides": ["sample_percent"],
                "breaker": {"state": "open", "lasts_seconds": 2.5, "opened": 1},
                "adaptive_in_flight": 4,
                "counters": {
                    "received": received, "answered": {"2xx": fast, "5xx": 1}, "failed": {},
                    "dropped": {"not-sampled": 3}, "answers_cut": 0, "waiting": 1, "in_flight": 2,
                    "connections": 2, "duration": times,
                },
            }],
            "removed": {},
            "reloads": {"done": 0, "failed": 0, "last": null, "error": null},
        }))
        .unwrap()
    }

    #[test]
    fn a_person_sees_what_matters() {
        let shown = table(&view(3700.0, 107, 100), None, false);
        let expected = "\
spoa-mirror 1.2.3, serving for 1 h 1 min
HAProxy: 2 connections, 107 requests, ACK delay p50 4.0 ms, p99 5.0 ms, 4 protocol errors

target   received  /s  answered  failed  dropped  waiting  in flight     p50     p99  state
staging       107   -       101       0        3        1          2  4.0 ms  5.0 ms  12.5 % (breaker open for 2.5 s) (adapted to 4 in flight) (by hand: sample_percent)
    answered: 2xx 100, 5xx 1; dropped: not-sampled 3
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn rates_are_those_of_the_time_between() {
        let (before, now) = (view(10.0, 100, 100), view(12.0, 300, 200));
        let shown = table(&now, Some(&before), false);
        assert!(shown.contains("300 requests (100/s)"), "{shown}");
        let mut restarted = before;
        restarted.since = "2025-12-31T00:00:00.000Z".to_owned();
        assert!(!table(&now, Some(&restarted), false).contains("/s)"));
    }

    #[test]
    fn times_are_short() {
        for (seconds, text) in
            [(0.000_012_3, "12 us"), (0.0042, "4.2 ms"), (0.25, "250 ms"), (2.5, "2.5 s")]
        {
            assert_eq!(short(seconds), text);
        }
        assert_eq!(duration(90_000.0), "1 d 1 h");
        assert_eq!(duration(59.9), "59 s");
    }
}
