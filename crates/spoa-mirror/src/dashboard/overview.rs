//! The overview: may the candidates be shipped, and does the mirror do its work?

use askama::Template;
use axum::extract::State;

use super::figures::{age, count, percent, time};
use super::frame::{Answer, Frame, filters, show};
use super::verdict::{Card, cards};
use crate::admin::comparison::shown;
use crate::admin::comparison::view::VerdictsView;
use crate::admin::view::{ChangeView, CountersView, StatusView, TargetView};
use crate::control::Control;
use crate::outcome::{DropClass, DropReason};

/// Changes that are shown, of those that are remembered.
const CHANGES: usize = 5;

pub(super) async fn page(State(control): State<Control>) -> Answer {
    let status = StatusView::from(&control.status().await);
    let changes: Vec<_> =
        control.changes().iter().rev().take(CHANGES).map(ChangeView::from).collect();
    show(&Overview::new(&status, verdicts(&control).as_ref(), &changes))
}

/// Those of all candidates; `None` when there are none.
pub(super) fn verdicts(control: &Control) -> Option<VerdictsView> {
    let verdicts = shown::verdicts(&control.comparing()?.ledger(), None);
    (!verdicts.targets.is_empty()).then_some(verdicts)
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    frame: Frame,
    notices: Vec<String>,
    verdicts: Option<Vec<Card<'a>>>,
    status: &'a StatusView,
    uptime: String,
    tiles: Vec<Tile>,
    targets: Vec<Row<'a>>,
    fates: Vec<Fate<'a>>,
    haproxy: Vec<(&'static str, String)>,
    changes: &'a [ChangeView],
}

/// A number that is worth a large type.
struct Tile {
    name: &'static str,
    value: String,
    /// What it is made of.
    note: String,
    class: &'static str,
}

/// A target.
struct Row<'a> {
    name: &'a str,
    url: &'a str,
    /// Word and class: how it stands.
    state: (&'static str, &'static str),
    paused: bool,
    sample: f64,
    /// What was set by hand.
    by_hand: String,
    in_flight: String,
    queue: String,
    received: String,
    answered: String,
    failed: String,
    lost: String,
    left_out: String,
    split: Split,
    p50: String,
    p99: String,
}

/// What became of a target's requests, in parts of a hundred for a bar.
#[derive(Debug, PartialEq)]
struct Split {
    answered: f64,
    failed: f64,
    lost: f64,
    left_out: f64,
}

/// What became of requests in one way, for each target.
struct Fate<'a> {
    what: &'static str,
    class: &'static str,
    label: &'a str,
    explanation: String,
    counts: Vec<String>,
}

/// Drops that nobody asked for, and those that the configuration asks for.
fn drops(counters: &CountersView) -> (u64, u64) {
    let (mut lost, mut left_out) = (0u64, 0u64);
    for (label, count) in &counters.dropped {
        let configured = reason(label).is_some_and(|it| it.class() == DropClass::Configured);
        let sum = if configured { &mut left_out } else { &mut lost };
        *sum = sum.saturating_add(*count);
    }
    (lost, left_out)
}

fn reason(label: &str) -> Option<DropReason> {
    DropReason::ALL.iter().copied().find(|reason| reason.label() == label)
}

impl<'a> Overview<'a> {
    fn new(
        status: &'a StatusView,
        verdicts: Option<&'a VerdictsView>,
        changes: &'a [ChangeView],
    ) -> Self {
        Self {
            frame: Frame::new("overview"),
            notices: notices(status),
            verdicts: verdicts.map(cards),
            status,
            uptime: age(status.uptime_seconds),
            tiles: tiles(status),
            targets: status.targets.iter().map(row).collect(),
            fates: fates(&status.targets),
            haproxy: haproxy(status),
            changes,
        }
    }
}

/// What somebody should look at now.
fn notices(status: &StatusView) -> Vec<String> {
    let mut notices = Vec::new();
    if status.state != "serving" {
        notices.push(
            "The agent takes its leave: copies under way come to their end, and HAProxy is not \
             served any more."
                .to_owned(),
        );
    }
    let workers = &status.workers;
    if workers.answered < workers.configured {
        notices.push(format!(
            "Only {} of {} workers told their counters within a second; the numbers below lack \
             those of the others.",
            workers.answered, workers.configured
        ));
    }
    if let Some(error) = &status.reloads.error {
        notices.push(format!("The last reload of the configuration changed nothing: {error}"));
    }
    notices
}

fn tiles(status: &StatusView) -> Vec<Tile> {
    let sum = |of: fn(&CountersView) -> u64| {
        status.targets.iter().map(|it| of(&it.counters)).fold(0u64, u64::saturating_add)
    };
    let (answered, failed) = (sum(|it| total(&it.answered)), sum(|it| total(&it.failed)));
    let (lost, left_out) = (sum(|it| drops(it).0), sum(|it| drops(it).1));
    let (waiting, under_way) = (sum(|it| it.waiting), sum(|it| it.in_flight));
    let spop = &status.spop;
    let delay = &spop.ack_delay;
    let if_any = |number: u64, class| if number > 0 { class } else { "" };
    vec![
        Tile {
            name: "Requests from HAProxy",
            value: count(spop.requests),
            note: match spop.open {
                1 => "over 1 open connection".to_owned(),
                open => format!("over {} open connections", count(open)),
            },
            class: "",
        },
        Tile {
            name: "ACK delay, p50",
            value: time(delay.p50_seconds),
            note: format!("p99 {}", time(delay.p99_seconds)),
            class: "",
        },
        Tile {
            name: "Copies answered",
            value: count(answered),
            note: format!("{} waiting, {} under way", count(waiting), count(under_way)),
            class: "",
        },
        Tile {
            name: "Copies failed",
            value: count(failed),
            note: share(failed, answered.saturating_add(failed), "of those sent"),
            class: if_any(failed, "bad"),
        },
        Tile {
            name: "Dropped",
            value: count(lost),
            note: "overload, not copyable".to_owned(),
            class: if_any(lost, "warn"),
        },
        Tile {
            name: "Left out",
            value: count(left_out),
            note: "as configured".to_owned(),
            class: "",
        },
    ]
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn share(part: u64, whole: u64, of: &str) -> String {
    if whole == 0 {
        return format!("0 {of}");
    }
    format!("{} {of}", percent(part as f64 * 100.0 / whole as f64))
}

fn total(counts: &std::collections::BTreeMap<String, u64>) -> u64 {
    counts.values().fold(0, |sum, count| sum.saturating_add(*count))
}

fn row(target: &TargetView) -> Row<'_> {
    let (counters, settings) = (&target.counters, &target.settings);
    let (lost, left_out) = drops(counters);
    let (answered, failed) = (total(&counters.answered), total(&counters.failed));
    let limit = target.adaptive_in_flight.unwrap_or(settings.in_flight);
    Row {
        name: &target.name,
        url: &target.url,
        state: state(target),
        paused: settings.paused,
        sample: settings.sample_percent,
        by_hand: target.overrides.join(", "),
        in_flight: format!("{} / {limit}", counters.in_flight),
        queue: format!("{} / {}", counters.waiting, settings.queue),
        received: count(counters.received),
        answered: count(answered),
        failed: count(failed),
        lost: count(lost),
        left_out: count(left_out),
        split: Split::new(answered, failed, lost, left_out),
        p50: time(counters.duration.p50_seconds),
        p99: time(counters.duration.p99_seconds),
    }
}

fn state(target: &TargetView) -> (&'static str, &'static str) {
    let breaker = target.breaker.as_ref().map_or("closed", |breaker| &breaker.state);
    match (target.settings.paused, breaker) {
        (true, _) => ("paused", "unsure"),
        (false, "open") => ("breaker open", "fail"),
        (false, "half-open") => ("breaker half open", "unsure"),
        _ => ("active", "pass"),
    }
}

impl Split {
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    fn new(answered: u64, failed: u64, lost: u64, left_out: u64) -> Self {
        let whole = [answered, failed, lost, left_out].iter().map(|it| *it as f64).sum::<f64>();
        let part = |count: u64| if whole > 0.0 { count as f64 * 100.0 / whole } else { 0.0 };
        Self {
            answered: part(answered),
            failed: part(failed),
            lost: part(lost),
            left_out: part(left_out),
        }
    }

    /// Where each part begins.
    fn from(&self) -> [f64; 4] {
        let failed = self.answered;
        let lost = failed + self.failed;
        [0.0, failed, lost, lost + self.lost]
    }
}

/// All that became of requests, in the order in which it is good or bad.
fn fates(targets: &[TargetView]) -> Vec<Fate<'_>> {
    let answered = labels(targets, |it| &it.answered).map(|label| Fate {
        what: "answered",
        class: "answered",
        label,
        explanation: String::new(),
        counts: counts(targets, label, |it| &it.answered),
    });
    let failed = labels(targets, |it| &it.failed).map(|label| Fate {
        what: "failed",
        class: "failed",
        label,
        explanation: String::new(),
        counts: counts(targets, label, |it| &it.failed),
    });
    let dropped = labels(targets, |it| &it.dropped).map(|label| {
        let reason = reason(label);
        let configured = reason.is_some_and(|it| it.class() == DropClass::Configured);
        Fate {
            what: if configured { "left out" } else { "dropped" },
            class: if configured { "left-out" } else { "lost" },
            label,
            // It is Markdown.
            explanation: reason.map_or("", DropReason::explanation).replace('`', ""),
            counts: counts(targets, label, |it| &it.dropped),
        }
    });
    let mut fates: Vec<_> = answered.chain(failed).chain(dropped).collect();
    fates.sort_by_key(|fate| fate.what == "left out");
    fates
}

type Counts = std::collections::BTreeMap<String, u64>;

fn labels(targets: &[TargetView], of: fn(&CountersView) -> &Counts) -> impl Iterator<Item = &str> {
    let labels = targets.iter().flat_map(move |it| of(&it.counters).keys().map(String::as_str));
    labels.collect::<std::collections::BTreeSet<_>>().into_iter()
}

fn counts(targets: &[TargetView], label: &str, of: fn(&CountersView) -> &Counts) -> Vec<String> {
    let of_target = |it: &TargetView| of(&it.counters).get(label).copied().unwrap_or(0);
    targets.iter().map(|target| count(of_target(target))).collect()
}

fn haproxy(status: &StatusView) -> Vec<(&'static str, String)> {
    let spop = &status.spop;
    let mut facts = vec![
        ("Connections open", count(spop.open)),
        ("Connections so far", count(spop.connections)),
        ("Health checks answered", count(spop.health_checks)),
        ("Frames acknowledged", count(spop.notifies)),
        ("Requests in them", count(spop.requests)),
    ];
    for (name, number) in [
        ("Production's answers in frames of their own", spop.answers),
        ("Messages that lack what a copy needs", spop.incomplete),
        ("Frames given up half-way", spop.aborted),
        ("Connections ended for a malformed frame", spop.protocol_errors),
    ] {
        if number > 0 {
            facts.push((name, count(number)));
        }
    }
    facts
}
