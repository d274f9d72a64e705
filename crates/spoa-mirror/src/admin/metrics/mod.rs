//! The agent's state in Prometheus' text format: the workers' counters as they were added up for this
//! scrape, each target's settings in force, and what the kernel knows of the process.
//!
//! The number of series is bounded: labels are targets' names, words of this program, SPOP's status
//! codes, and at most 65 engines of HAProxy.

mod catalogue;
mod process;

use std::fmt;
use std::time::Instant;

use prometheus::TextEncoder;
use prometheus::proto;

use shadow_diff::verdict::Answer;

use crate::ceiling::Ceiling;
use crate::comparison::Standing;
use crate::control::{Status, TargetStatus};
use crate::history;
use crate::outcome::{self, Scale, Tally};
use crate::target::limits::breaker;

pub use catalogue::{CATALOGUE, Kind, Metric};
use process::Process;

/// The content type of what [`render`] gives.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// There are no counters to show now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// Some workers did not answer in time. Sums without them would look like a restart.
    Workers {
        /// How many did.
        answered: usize,
        /// How many there are.
        of: usize,
    },
    /// A defect in this program.
    Inconsistent(String),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workers { answered, of } => {
                write!(f, "{answered} of {of} workers told their counters in time; try again")
            }
            Self::Inconsistent(why) => write!(f, "the metrics cannot be written: {why}"),
        }
    }
}

impl std::error::Error for Unavailable {}

/// The metrics, in the text format 0.0.4.
///
/// # Errors
/// The counters are not all there: the scrape must fail rather than show counters that went down.
pub fn render(status: &Status) -> Result<String, Unavailable> {
    let snapshot = &status.snapshot;
    if snapshot.workers < snapshot.all_workers {
        let (answered, of) = (snapshot.workers, snapshot.all_workers);
        return Err(Unavailable::Workers { answered, of });
    }
    let mut page = Page::default();
    agent(&mut page, status);
    spop(&mut page, status);
    targets(&mut page, status);
    if let Some(standing) = &status.comparison {
        comparison(&mut page, standing);
    }
    if let Some(standing) = &status.history {
        history(&mut page, standing);
    }
    process(&mut page, &Process::read());
    TextEncoder::new()
        .encode_to_string(&page.families)
        .map_err(|error| Unavailable::Inconsistent(error.to_string()))
}

fn agent(page: &mut Page, status: &Status) {
    page.add(&catalogue::BUILD_INFO, |family| {
        family.number(&[env!("CARGO_PKG_VERSION")], 1);
    });
    page.number(&catalogue::WORKERS, status.snapshot.all_workers as u64);
    page.number(&catalogue::DRAINING, u64::from(status.draining));
    let reloads = &status.reloads;
    page.add(&catalogue::RELOADS, |family| {
        family.number(&["done"], reloads.done).number(&["failed"], reloads.failed);
    });
    page.number(&catalogue::LAST_RELOAD_SUCCESSFUL, u64::from(reloads.error.is_empty()));
    page.add(&catalogue::MEMORY_CEILING, |family| {
        family
            .number(&["any"], Ceiling::of(&status.config).bytes())
            .number(&["usual"], Ceiling::usual(&status.config).bytes());
    });
    page.number(&catalogue::LOG_LOST, status.snapshot.lost_lines);
}

fn spop(page: &mut Page, status: &Status) {
    let snapshot = &status.snapshot;
    let spop = &snapshot.spop;
    page.number(&catalogue::SPOP_CONNECTIONS_OPENED, spop.connections);
    page.number(&catalogue::SPOP_CONNECTIONS, spop.open);
    page.number(&catalogue::SPOP_CONNECTIONS_LIMIT, snapshot.max_connections as u64);
    page.number(&catalogue::SPOP_CONNECTIONS_REFUSED, snapshot.refused);
    page.add(&catalogue::SPOP_ENGINE_CONNECTIONS, |family| {
        for engine in &snapshot.engines {
            family.number(&[&engine.id, &engine.versions], engine.open);
        }
    });
    page.number(&catalogue::SPOP_HEALTH_CHECKS, spop.health_checks);
    page.add(&catalogue::SPOP_FRAMES, |family| {
        family
            .number(&["hello"], spop.frames.hello)
            .number(&["notify"], spop.frames.notify)
            .number(&["fragment"], spop.frames.fragment)
            .number(&["disconnect"], spop.frames.disconnect)
            .number(&["other"], spop.frames.other);
    });
    page.number(&catalogue::SPOP_ACKS, spop.notifies);
    page.add(&catalogue::SPOP_ACK_DELAY, |family| {
        family.histogram(&[], &spop.ack_delay);
    });
    page.add(&catalogue::SPOP_MESSAGES, |family| {
        family
            .number(&["request"], spop.requests)
            .number(&["answer"], spop.answers)
            .number(&["incomplete"], spop.incomplete);
    });
    page.number(&catalogue::SPOP_ABORTED, spop.aborted);
    for (metric, counts) in [
        (&catalogue::SPOP_PROTOCOL_ERRORS, &spop.protocol_errors),
        (&catalogue::SPOP_DISCONNECTS, &spop.disconnects),
    ] {
        page.add(metric, |family| {
            for (status, count) in counts.iter() {
                family.number(&[&status.code().to_string()], count);
            }
        });
    }
    page.number(&catalogue::SPOP_RECEIVED_BYTES, spop.bytes_received);
    page.number(&catalogue::SPOP_SENT_BYTES, spop.bytes_sent);
}

/// How a number is found.
type Find<T, N> = fn(&T) -> N;

/// What is shown of a target's counters by one number.
const COUNTERS: &[(Metric, Find<Tally, u64>)] = &[
    (catalogue::RECEIVED, |tally| tally.received),
    (catalogue::REPEATS, |tally| tally.repeats),
    (catalogue::ANSWERS_CUT, |tally| tally.answers_cut),
    (catalogue::QUEUE_COPIES, |tally| tally.waiting),
    (catalogue::IN_FLIGHT, |tally| tally.in_flight),
    (catalogue::REQUEST_BYTES, |tally| tally.request_bytes),
    (catalogue::ANSWER_BODY_BYTES, |tally| tally.answer_body_bytes),
    (catalogue::CONNECTIONS, Tally::connections_open),
    (catalogue::CONNECTIONS_OPENED, |tally| tally.connections_opened),
    (catalogue::CONNECTIONS_CLOSED, |tally| tally.connections_closed),
    (catalogue::ADDRESS_FAILURES, |tally| tally.address_failures),
];

/// What is shown of a target's settings and state by one number.
const STATES: &[(Metric, Find<TargetStatus, Option<f64>>)] = &[
    (catalogue::QUEUE_COPIES_LIMIT, |target| whole(target.shared.live.queue())),
    (catalogue::QUEUE_BYTES, |target| whole(target.shared.queued_bytes())),
    (catalogue::QUEUE_BYTES_LIMIT, |target| whole(target.shared.live.queue_bytes())),
    (catalogue::QUEUE_AGE_LIMIT, |target| Some(target.shared.live.max_age().as_secs_f64())),
    (catalogue::IN_FLIGHT_LIMIT, |target| whole(target.shared.in_flight_limit())),
    (catalogue::CONNECTIONS_LIMIT, |target| whole(target.shared.connections_limit())),
    (catalogue::PAUSED, |target| whole(target.shared.live.paused().into())),
    (catalogue::SAMPLE_RATIO, |target| Some(target.shared.live.sample().as_percent() / 100.0)),
    (catalogue::RATE_LIMIT, |target| target.shared.live.rate().map(|limit| limit.rate.per_second)),
];

#[allow(clippy::cast_precision_loss, clippy::unnecessary_wraps, reason = "as the others are")]
fn whole(number: usize) -> Option<f64> {
    Some(number as f64)
}

fn targets(page: &mut Page, status: &Status) {
    let current = status.targets.iter();
    let current = current.map(|target| (target.shared.config.name.as_str(), &target.tally));
    let removed = status.removed.iter().map(|(name, tally)| (name.as_str(), tally));
    let tallies: Vec<(&str, &Tally)> = current.chain(removed).collect();
    for (metric, value) in COUNTERS {
        page.add(metric, |family| {
            for (name, tally) in &tallies {
                family.number(&[name], value(tally));
            }
        });
    }
    for (metric, value) in STATES {
        page.add(metric, |family| {
            for target in &status.targets {
                if let Some(value) = value(target) {
                    family.value(&[&target.shared.config.name], value);
                }
            }
        });
    }
    let now = Instant::now();
    let breakers: Vec<_> = status
        .targets
        .iter()
        .filter_map(|target| Some((&target.shared.config.name, target.shared.breaker(now)?)))
        .collect();
    page.add(&catalogue::BREAKER_STATE, |family| {
        for (name, breaker) in &breakers {
            for &state in breaker::State::ALL {
                family.number(&[name, state.label()], u64::from(breaker.state == state));
            }
        }
    });
    page.add(&catalogue::BREAKER_OPENED, |family| {
        for (name, breaker) in &breakers {
            family.number(&[name], breaker.opened);
        }
    });
    page.add(&catalogue::ANSWERED, |family| {
        for (name, tally) in &tallies {
            for (answer, count) in tally.answered() {
                family.number(&[name, answer.label()], count);
            }
        }
    });
    page.add(&catalogue::FAILED, |family| {
        for (name, tally) in &tallies {
            for (cause, count) in tally.failed() {
                family.number(&[name, cause.label(), cause.fault().label()], count);
            }
        }
    });
    page.add(&catalogue::DROPPED, |family| {
        for (name, tally) in &tallies {
            for (reason, count) in tally.dropped() {
                let (class, fault) = (reason.class().label(), reason.fault().label());
                family.number(&[name, reason.label(), class, fault], count);
            }
        }
    });
    page.add(&catalogue::TLS_HANDSHAKES, |family| {
        for (name, tally) in &tallies {
            let full = tally.tls_handshakes.saturating_sub(tally.tls_resumed);
            family
                .number(&[name, "full"], full)
                .number(&[name, "resumed"], tally.tls_resumed)
                .number(&[name, "failed"], tally.tls_failed);
        }
    });
    page.add(&catalogue::DURATION, |family| {
        for (name, tally) in &tallies {
            family.histogram(&[name], &tally.duration);
        }
    });
    page.add(&catalogue::FIRST_BYTE, |family| {
        for (name, tally) in &tallies {
            family.histogram(&[name], &tally.first_byte);
        }
    });
}

fn comparison(page: &mut Page, standing: &Standing) {
    page.number(&catalogue::COMPARISON_COPIES, standing.taken.copies);
    for (metric, targets) in [
        (&catalogue::COMPARISON_PAIRS, &standing.targets),
        (&catalogue::COMPARISON_CONTROL, &standing.control),
    ] {
        page.add(metric, |family| {
            for (name, outcomes) in targets {
                for (result, count) in outcomes.counts() {
                    family.number(&[name, result], count);
                }
            }
        });
    }
    page.add(&catalogue::VERDICT, |family| {
        for (name, judged) in &standing.candidates {
            for answer in Answer::ALL {
                family.number(&[name, answer.label()], u64::from(judged.answer == answer));
            }
        }
    });
    page.add(&catalogue::VERDICT_REASONS, |family| {
        for (name, judged) in &standing.candidates {
            family.number(&[name], judged.reasons as u64);
        }
    });
    page.add(&catalogue::VERDICT_REQUESTS, |family| {
        for (name, judged) in &standing.candidates {
            family.number(&[name], judged.requests);
        }
    });
    page.add(&catalogue::COMPARISON_UNPAIRED, |family| {
        for (reason, count) in standing.unpaired() {
            family.number(&["shadow", reason], count);
        }
        for (reason, count) in standing.answers_unpaired() {
            family.number(&["production", reason], count);
        }
    });
    page.add(&catalogue::COMPARISON_WAITING, |family| {
        family
            .number(&["shadow"], standing.waiting_copies())
            .number(&["production"], standing.waiting_answers);
    });
    page.number(&catalogue::COMPARISON_HELD, standing.held as u64);
    page.number(&catalogue::COMPARISON_MEMORY, standing.most_held as u64);
}

fn history(page: &mut Page, standing: &history::Standing) {
    page.number(&catalogue::HISTORY_BYTES, standing.size);
    page.number(&catalogue::HISTORY_LIMIT, standing.max_size);
    page.number(&catalogue::HISTORY_LOST, standing.lost);
    page.number(&catalogue::HISTORY_ERRORS, standing.errors);
}

fn process(page: &mut Page, process: &Process) {
    for (metric, value) in [
        (&catalogue::CPU_SECONDS, process.cpu_seconds),
        (&catalogue::RESIDENT_BYTES, process.resident_bytes),
        (&catalogue::VIRTUAL_BYTES, process.virtual_bytes),
        (&catalogue::OPEN_FDS, process.open_fds),
        (&catalogue::MAX_FDS, process.max_fds),
        (&catalogue::THREADS, process.threads),
        (&catalogue::START_TIME, process.start_time),
    ] {
        page.add(metric, |family| {
            if let Some(value) = value {
                family.value(&[], value);
            }
        });
    }
}

/// The metrics that are to be shown, in their order.
#[derive(Default)]
struct Page {
    families: Vec<proto::MetricFamily>,
}

impl Page {
    /// Adds a metric with the samples that `fill` gives it; without any it is left out.
    fn add(&mut self, metric: &Metric, fill: impl FnOnce(&mut Family<'_>)) {
        let mut family = Family { metric, samples: Vec::new() };
        fill(&mut family);
        if family.samples.is_empty() {
            return;
        }
        let mut encoded = proto::MetricFamily::default();
        encoded.set_name(metric.name.to_owned());
        encoded.set_help(metric.help.to_owned());
        encoded.set_field_type(metric.kind.encoded());
        encoded.set_metric(family.samples);
        self.families.push(encoded);
    }

    /// Adds a metric without labels.
    fn number(&mut self, metric: &Metric, value: u64) {
        self.add(metric, |family| {
            family.number(&[], value);
        });
    }
}

/// A metric and its samples.
struct Family<'a> {
    metric: &'a Metric,
    samples: Vec<proto::Metric>,
}

impl Family<'_> {
    #[allow(clippy::cast_precision_loss, reason = "what Prometheus takes is an f64")]
    fn number(&mut self, labels: &[&str], value: u64) -> &mut Self {
        self.value(labels, value as f64)
    }

    fn value(&mut self, labels: &[&str], value: f64) -> &mut Self {
        let mut sample = self.sample(labels);
        if self.metric.kind == Kind::Counter {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            sample.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            sample.set_gauge(gauge);
        }
        self.samples.push(sample);
        self
    }

    fn histogram<S: Scale>(&mut self, labels: &[&str], observed: &outcome::Histogram<S>) {
        let buckets = observed.cumulative().map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(observed.count());
        histogram.set_sample_sum(observed.seconds());
        let mut sample = self.sample(labels);
        sample.set_histogram(histogram);
        self.samples.push(sample);
    }

    fn sample(&self, values: &[&str]) -> proto::Metric {
        debug_assert_eq!(self.metric.labels.len(), values.len(), "{}", self.metric.name);
        let labels = self.metric.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        proto::Metric::from_label(labels.collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use clap::Parser as _;

    use super::*;
    use crate::agent::{Engine, Snapshot};
    use crate::comparison::{Judged, Outcomes};
    use crate::config::{Breaker, Rate, RateLimit, tests_support};
    use crate::control::Reloads;
    use crate::outcome::{self, DropReason};
    use crate::target::{Overrides, Shared};

    fn status() -> Status {
        let cli = crate::cli::Cli::parse_from(["spoa-mirror", "-r", "0"]);
        let (agent, _, _) = cli.agent.into_config().unwrap();
        let mut config = tests_support::target("http://t");
        config.name = "a \"b\"".to_owned();
        config.breaker = Some(Breaker::default());
        config.limits.rate = Some(RateLimit { rate: Rate { per_second: 2.5 }, burst: 1 });
        let mut tally = Tally::default();
        tally.received = 3;
        tally.waiting = 1;
        tally.count_answer(outcome::Answer::Success);
        tally.duration.observe(Duration::from_millis(2));
        tally.count_drops(DropReason::QueueFull, 1);
        let engine = Engine { id: "e".to_owned(), versions: "2.0".to_owned(), open: 2 };
        let judged =
            Judged { run: "1".to_owned(), answer: Answer::Fail, reasons: 2, requests: 1000 };
        Status {
            config: Arc::new(agent.clone()),
            snapshot: Snapshot {
                engines: vec![engine],
                workers: 2,
                all_workers: 2,
                ..Snapshot::default()
            },
            targets: vec![TargetStatus {
                shared: Arc::new(Shared::new(config, agent.marker.clone())),
                overrides: Overrides::default(),
                tally,
            }],
            removed: BTreeMap::from([("gone".to_owned(), Tally::default())]),
            comparison: Some(Standing {
                targets: BTreeMap::from([("t".to_owned(), Outcomes::default())]),
                candidates: BTreeMap::from([("t".to_owned(), judged)]),
                control: BTreeMap::from([("t".to_owned(), Outcomes::default())]),
                ..Standing::default()
            }),
            history: Some(history::Standing::default()),
            reloads: Reloads::default(),
            draining: false,
            uptime: Duration::from_secs(1),
            since: SystemTime::now(),
        }
    }

    /// The lines of the metric `name`, which has labels.
    fn samples<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        let of = |line: &&str| line.starts_with(&format!("{name}{{"));
        text.lines().filter(of).collect()
    }

    #[test]
    fn every_metric_of_the_catalogue_is_shown_once() {
        let text = render(&status()).unwrap();
        for metric in CATALOGUE {
            let kind = format!("# TYPE {} {}", metric.name, metric.kind.name());
            assert_eq!(text.lines().filter(|line| **line == kind).count(), 1, "{kind}");
        }
        assert_eq!(text.matches("# TYPE").count(), CATALOGUE.len());
    }

    #[test]
    fn a_removed_target_keeps_its_counters_and_has_no_settings() {
        let text = render(&status()).unwrap();
        let received = samples(&text, "spoa_mirror_target_received_total");
        assert_eq!(received[0], r#"spoa_mirror_target_received_total{target="a \"b\""} 3"#);
        assert_eq!(received[1], r#"spoa_mirror_target_received_total{target="gone"} 0"#);
        let limits = samples(&text, "spoa_mirror_target_rate_limit_per_second");
        assert_eq!(limits, [r#"spoa_mirror_target_rate_limit_per_second{target="a \"b\""} 2.5"#]);
    }

    #[test]
    fn histograms_are_cumulative() {
        let text = render(&status()).unwrap();
        let shown = |suffix: &str| {
            let line = format!("spoa_mirror_target_duration_seconds{suffix} ");
            let found = text.lines().find_map(|found| found.strip_prefix(&line));
            found.unwrap_or_else(|| panic!("{line} is missing")).to_owned()
        };
        let target = r#"target="a \"b\"""#;
        assert_eq!(shown(&format!("_bucket{{{target},le=\"0.001\"}}")), "0");
        assert_eq!(shown(&format!("_bucket{{{target},le=\"0.0025\"}}")), "1");
        assert_eq!(shown(&format!("_bucket{{{target},le=\"30\"}}")), "1");
        assert_eq!(shown(&format!("_bucket{{{target},le=\"+Inf\"}}")), "1");
        assert_eq!(shown(&format!("_sum{{{target}}}")), "0.002");
        assert_eq!(shown(&format!("_count{{{target}}}")), "1");
    }

    #[test]
    fn without_all_counters_none_are_shown() {
        let mut status = status();
        status.snapshot.workers = 1;
        assert_eq!(render(&status), Err(Unavailable::Workers { answered: 1, of: 2 }));
    }
}
