//! How the agent stands, as the API writes it and `spoa-mirror status` reads it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::Problem;
use super::times::TimesView;
use crate::comparison::{Judged, Outcomes, Standing};
use crate::control::{Change, Reloaded, Reloads, Status, TargetStatus};
use crate::date::rfc3339;
use crate::outcome::{SpopTally, Tally};
use crate::target::Overrides;

/// How the agent stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// The program's version.
    pub version: String,
    /// `serving`, or `draining` once it was told to end.
    #[schema(example = "serving")]
    pub state: String,
    /// When it started.
    #[schema(format = DateTime)]
    pub since: String,
    /// How long it has been running.
    pub uptime_seconds: f64,
    /// Its data plane threads.
    pub workers: WorkersView,
    /// HAProxy's side.
    pub spop: SpopView,
    /// The targets, in the order of the configuration.
    pub targets: Vec<TargetView>,
    /// Targets that a reload took away, and their counters.
    pub removed: BTreeMap<String, CountersView>,
    /// What was compared, if any target's answers are or were.
    pub comparison: Option<ComparisonView>,
    /// The reloads since the start.
    pub reloads: ReloadsView,
}

/// The data plane threads.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WorkersView {
    /// How many there are.
    pub configured: usize,
    /// How many told their counters within a second; those of the others are missing.
    pub answered: usize,
}

/// HAProxy's side.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SpopView {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// Health checks answered.
    pub health_checks: u64,
    /// NOTIFY frames acknowledged.
    pub notifies: u64,
    /// Messages in them.
    pub messages: u64,
    /// Messages that hold a whole request: what each target receives.
    pub requests: u64,
    /// Messages that hold production's answer to a request that another message held.
    #[serde(default)]
    pub answers: u64,
    /// Messages that lack what a copy needs.
    pub incomplete: u64,
    /// Fragmented frames that HAProxy gave up.
    pub aborted: u64,
    /// Connections ended because of a malformed frame.
    pub protocol_errors: u64,
    /// From a NOTIFY read to its ACK written.
    pub ack_delay: TimesView,
}

/// A target.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TargetView {
    /// Its name.
    pub name: String,
    /// Where copies go.
    pub url: String,
    /// The settings in force.
    pub settings: SettingsView,
    /// Which of them were set by hand, and hold until the agent ends.
    pub overrides: Vec<String>,
    /// The circuit breaker, where there is one.
    pub breaker: Option<BreakerView>,
    /// Copies that may be under way while the target is slow, where that is adapted.
    pub adaptive_in_flight: Option<usize>,
    /// What became of its requests.
    pub counters: CountersView,
}

/// A target's circuit breaker.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BreakerView {
    /// `closed`: copies are sent; `open`: the target is left alone; `half-open`: a few are tried.
    #[schema(example = "closed")]
    pub state: String,
    /// For how long.
    pub lasts_seconds: f64,
    /// How often it opened since the target was configured.
    pub opened: u64,
}

/// The settings of a target that may change while it works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingsView {
    /// Whether requests are counted only, and not copied.
    pub paused: bool,
    /// The share of requests that is copied, in percent.
    pub sample_percent: f64,
    /// Copies sent in a time, or `none`.
    #[schema(example = "500/s")]
    pub rate: String,
    /// How many of them may go at once after a pause.
    pub burst: u32,
    /// Copies under way at once.
    pub in_flight: usize,
    /// Copies waiting.
    pub queue: usize,
    /// Bytes of the copies waiting.
    pub queue_bytes: usize,
    /// A copy that waited longer is dropped.
    #[schema(example = "5s")]
    pub max_age: String,
}

/// What became of a target's requests: received = answered + failed + dropped + waiting + in_flight.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct CountersView {
    /// Requests that came, and copies more than one of a request.
    pub received: u64,
    /// Those of them that repeat a request, so that the target's two answers can be held against each other.
    #[serde(default)]
    pub repeats: u64,
    /// Copies answered, by class of status.
    pub answered: BTreeMap<String, u64>,
    /// Copies failed, by cause.
    pub failed: BTreeMap<String, u64>,
    /// Requests not copied, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Answers that were cut at the size limit; they count as answered.
    pub answers_cut: u64,
    /// Copies waiting now.
    pub waiting: u64,
    /// Copies under way now.
    pub in_flight: u64,
    /// Connections open now.
    pub connections: u64,
    /// From a copy's first byte to the last of its answer.
    pub duration: TimesView,
}

/// The reloads since the start.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReloadsView {
    /// Those that changed the configuration, or would have.
    pub done: u64,
    /// Those that a mistake stopped.
    pub failed: u64,
    /// When the last one was.
    #[schema(format = DateTime)]
    pub last: Option<String>,
    /// Why the last one failed.
    pub error: Option<String>,
}

/// What was compared. Copies = pairs and control pairs of all targets + unpaired + waiting.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ComparisonView {
    /// Copies whose answers are to be compared.
    pub copies: u64,
    /// Copies under way, or whose end is known and the answer that theirs is held against is not.
    pub waiting: u64,
    /// Copies that did not meet the answer that theirs is held against, by reason: `not-sent`,
    /// `without-production`, `without-first`, `pushed-out`, `lost`.
    pub unpaired: BTreeMap<String, u64>,
    /// Pairs by target: `same`, `different`, `incomparable`, `failed`.
    pub pairs: BTreeMap<String, BTreeMap<String, u64>>,
    /// Pairs of two answers of the same target, by target: `same`, `different`, `incomparable`, `failed`.
    #[serde(default)]
    pub control: BTreeMap<String, BTreeMap<String, u64>>,
    /// What is thought of each candidate.
    #[serde(default)]
    pub verdicts: BTreeMap<String, JudgedView>,
    /// Production's answers to requests that have such copies.
    pub answers: u64,
    /// Those of them that met no copy, by reason: `without-shadow`, `pushed-out`, `lost`.
    pub answers_unpaired: BTreeMap<String, u64>,
    /// Bytes of answers that are held.
    pub held_bytes: usize,
    /// Bytes of answers that may be held.
    pub memory_bytes: usize,
}

/// What is thought of a candidate; `/api/v1/verdict` says why.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JudgedView {
    /// The run's name.
    pub run: String,
    /// `pass`, `fail` or `not-enough-data`.
    pub answer: String,
    /// Reasons to fail.
    pub reasons: usize,
    /// Its requests that were judged.
    pub requests: u64,
}

impl From<&Judged> for JudgedView {
    fn from(judged: &Judged) -> Self {
        Self {
            run: judged.run.clone(),
            answer: judged.answer.label().to_owned(),
            reasons: judged.reasons,
            requests: judged.requests,
        }
    }
}

impl From<&Standing> for ComparisonView {
    fn from(standing: &Standing) -> Self {
        let pairs = |targets: &BTreeMap<String, Outcomes>| {
            let pairs = targets.iter();
            pairs.map(|(name, o)| (name.clone(), nonzero(o.counts().into_iter()))).collect()
        };
        Self {
            copies: standing.taken.copies,
            waiting: standing.waiting_copies(),
            unpaired: nonzero(standing.unpaired().into_iter()),
            pairs: pairs(&standing.targets),
            control: pairs(&standing.control),
            verdicts: standing.candidates.iter().map(|(n, of)| (n.clone(), of.into())).collect(),
            answers: standing.taken.answers,
            answers_unpaired: nonzero(standing.answers_unpaired().into_iter()),
            held_bytes: standing.held,
            memory_bytes: standing.most_held,
        }
    }
}

/// What a reload did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReloadedView {
    /// Targets that are new.
    added: Vec<String>,
    /// Targets that are gone; what they have begun comes to its end.
    removed: Vec<String>,
    /// Targets that work differently now.
    changed: Vec<String>,
    /// Targets that stay as they were.
    unchanged: Vec<String>,
    /// Keys whose change takes effect at a restart only.
    needs_restart: Vec<String>,
    /// What the file is warned about.
    warnings: Vec<Problem>,
}

impl ReloadedView {
    pub(super) fn new(reloaded: Reloaded, warnings: Vec<Problem>) -> Self {
        let Reloaded { added, removed, changed, unchanged, needs_restart } = reloaded;
        Self { added, removed, changed, unchanged, needs_restart, warnings }
    }
}

/// A change by hand or by a reload.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChangeView {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who: an address and the listener that it came through, or a signal.
    pub by: String,
    /// The target; none for a reload.
    pub target: Option<String>,
    /// The setting.
    pub setting: String,
    /// What it was.
    pub from: String,
    /// What it is now.
    pub to: String,
}

impl From<&Status> for StatusView {
    fn from(status: &Status) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: if status.draining { "draining" } else { "serving" }.to_owned(),
            since: rfc3339(status.since),
            uptime_seconds: status.uptime.as_secs_f64(),
            workers: WorkersView {
                configured: status.snapshot.all_workers,
                answered: status.snapshot.workers,
            },
            spop: (&status.snapshot.spop).into(),
            targets: status.targets.iter().map(Into::into).collect(),
            removed: status.removed.iter().map(|(n, tally)| (n.clone(), tally.into())).collect(),
            comparison: status.comparison.as_ref().map(Into::into),
            reloads: (&status.reloads).into(),
        }
    }
}

impl From<&SpopTally> for SpopView {
    fn from(tally: &SpopTally) -> Self {
        Self {
            connections: tally.connections,
            open: tally.open,
            health_checks: tally.health_checks,
            notifies: tally.notifies,
            messages: tally.messages,
            requests: tally.requests,
            answers: tally.answers,
            incomplete: tally.incomplete,
            aborted: tally.aborted,
            protocol_errors: tally.protocol_errors.total(),
            ack_delay: (&tally.ack_delay).into(),
        }
    }
}

impl From<&TargetStatus> for TargetView {
    fn from(status: &TargetStatus) -> Self {
        let live = &status.shared.live;
        let rate = live.rate();
        Self {
            name: status.shared.config.name.clone(),
            url: status.shared.config.url.to_string(),
            settings: SettingsView {
                paused: live.paused(),
                sample_percent: live.sample().as_percent(),
                rate: rate.map_or_else(
                    || "none".to_owned(),
                    |limit| format!("{}/s", limit.rate.per_second),
                ),
                burst: rate.map_or(0, |limit| limit.burst),
                in_flight: live.in_flight(),
                queue: live.queue(),
                queue_bytes: live.queue_bytes(),
                max_age: time(live.max_age()),
            },
            overrides: names(&status.overrides),
            breaker: status.shared.breaker(Instant::now()).map(|breaker| BreakerView {
                state: breaker.state.label().to_owned(),
                lasts_seconds: breaker.lasts.as_secs_f64(),
                opened: breaker.opened,
            }),
            adaptive_in_flight: status.shared.adaptive_limit(),
            counters: (&status.tally).into(),
        }
    }
}

/// Which settings were set by hand.
fn names(overrides: &Overrides) -> Vec<String> {
    [
        ("paused", overrides.paused.is_some()),
        ("sample_percent", overrides.sample.is_some()),
        ("rate", overrides.rate.is_some()),
        ("in_flight", overrides.in_flight.is_some()),
        ("queue", overrides.queue.is_some()),
        ("queue_bytes", overrides.queue_bytes.is_some()),
        ("max_age", overrides.max_age.is_some()),
    ]
    .into_iter()
    .filter(|(_, set)| *set)
    .map(|(name, _)| name.to_owned())
    .collect()
}

/// A time as the configuration file writes it, in the largest unit that divides it.
pub(super) fn time(time: Duration) -> String {
    let micros = time.as_micros();
    for (unit, length) in [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)]
    {
        if micros > 0 && micros % length == 0 {
            return format!("{}{unit}", micros / length);
        }
    }
    format!("{micros}us")
}

impl From<&Tally> for CountersView {
    fn from(tally: &Tally) -> Self {
        Self {
            received: tally.received,
            repeats: tally.repeats,
            answered: nonzero(tally.answered()),
            failed: nonzero(tally.failed()),
            dropped: nonzero(tally.dropped()),
            answers_cut: tally.answers_cut,
            waiting: tally.waiting,
            in_flight: tally.in_flight,
            connections: tally.connections_open(),
            duration: (&tally.duration).into(),
        }
    }
}

fn nonzero<L: std::fmt::Display>(counts: impl Iterator<Item = (L, u64)>) -> BTreeMap<String, u64> {
    let counted = counts.filter(|(_, count)| *count > 0);
    counted.map(|(label, count)| (label.to_string(), count)).collect()
}

impl From<&Reloads> for ReloadsView {
    fn from(reloads: &Reloads) -> Self {
        Self {
            done: reloads.done,
            failed: reloads.failed,
            last: reloads.last.map(rfc3339),
            error: (!reloads.error.is_empty()).then(|| reloads.error.clone()),
        }
    }
}

impl From<&Change> for ChangeView {
    fn from(change: &Change) -> Self {
        Self {
            at: rfc3339(change.at),
            by: change.by.clone(),
            target: (!change.target.is_empty()).then(|| change.target.clone()),
            setting: change.setting.to_owned(),
            from: change.from.clone(),
            to: change.to.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_time;

    #[test]
    fn times_are_written_as_they_are_read() {
        for text in ["5s", "90m", "1500ms", "7us", "36h", "61s"] {
            assert_eq!(parse_time(text).map(time).as_deref(), Ok(text));
        }
        assert_eq!(parse_time("60s").map(time).as_deref(), Ok("1m"));
    }
}
