//! The most memory that the agent can take, computed from its configuration: whatever HAProxy, clients
//! and targets send, it stays below. Usual traffic takes a small part of it.

use serde_json::json;
use shadow_diff::{Action, Rule};

use crate::config::{
    Compare, Config, HttpVersion, JsonStep, Match, PathStep, Pattern, Piece, TargetConfig, Template,
};
use crate::{admin, agent, comparison, history, log, os, serve, target};

/// The program, its libraries, tables of counters and histograms, in bytes.
const PROGRAM: u64 = 24 << 20;
/// What a copy that waits or flies takes besides its bytes.
const BOOKKEEPING: u64 = 1024;
/// What the buffers of a TLS session hold at most: a few records each way.
const TLS_SESSION: u64 = 128 << 10;
/// Unread data that an HTTP/2 stream may hold: its flow-control window.
const HTTP2_WINDOW: u64 = 64 << 10;
/// A request and an answer of the admin API, with TLS.
const ADMIN_CONNECTION: u64 = 512 << 10;
/// The compiled form of a regular expression, and what a search by it keeps, each. It is compiled once
/// for itself and once together with others.
const REGEX: u64 = 1 << 20;
/// Two bodies decoded (`shadow_diff::Limits`), and their parts: values and lines, with what is between them.
const COMPARING: u64 = 2 * (8 << 20) + 2 * 500_000 * 64;
/// The same of one in a rule for comparison, with the cache that a search usually has.
const COMPARED_REGEX: u64 = REGEX + (2 << 20);
/// All counts of a run (`shadow_diff::books`), and once more as they are written down.
const COUNTED: u64 = 2 * (16 << 20);
/// What HAProxy's `tune.bufsize` is when nobody set it.
const USUAL_BUFFER: u64 = 16 * 1024;

/// A bound, and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// The parts, the program first.
    pub parts: Vec<Part>,
}

/// One reason to take memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What takes it.
    pub what: String,
    /// How many of them there are at most.
    pub count: u64,
    /// What one of them takes at most, in bytes.
    pub each: u64,
}

impl Part {
    /// What all of them take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.each)
    }
}

impl Ceiling {
    /// Whatever HAProxy sends.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let settings = serve::settings(config);
        let message = (settings.max_message_size as u64).max(u64::from(settings.max_frame_size));
        let connection = u64::from(settings.max_frame_size)
            + settings.memory_bound() as u64
            + settings.output_bound() as u64;
        Self::with(config, message, connection)
    }

    /// With HAProxy's own `tune.bufsize` as it usually is, and no fragments (HAProxy 3.1 and later).
    #[must_use]
    pub fn usual(config: &Config) -> Self {
        let settings = serve::settings(config);
        let frame = USUAL_BUFFER.min(u64::from(settings.max_frame_size));
        Self::with(config, frame, frame + settings.output_bound() as u64)
    }

    /// `message`: the largest request, `connection`: what a connection from HAProxy holds, in bytes.
    fn with(config: &Config, message: u64, connection: u64) -> Self {
        let (connections, share) = os::descriptors::bounds(config);
        let connections = connections as u64;
        let workers = config.agent.workers as u64;
        let part = |what: &str, count, each| Part { what: what.to_owned(), count, each };
        let mut parts = vec![
            part("program and libraries", 1, PROGRAM),
            part(
                "worker: buffers for reading and writing",
                workers,
                agent::WORKER_BYTES as u64 + target::WORKER_BYTES as u64,
            ),
            part("log lines that wait to be written", 1, log::QUEUED_BYTES as u64),
            part(
                "connections from HAProxy",
                connections,
                connection + agent::CONNECTION_KEEPS as u64,
            ),
        ];
        if !config.admin.listen.is_empty() {
            let count = (config.admin.listen.len() * admin::MAX_CONNECTIONS) as u64;
            parts.push(part("connections to the admin API", count, ADMIN_CONNECTION));
        }
        if history::is_wanted(config) {
            let bounds = &config.comparison.history;
            let held = match bounds.file {
                Some(_) => history::CACHE,
                None => bounds.max_size.min(history::IN_MEMORY),
            };
            parts.push(part("history: in memory", 1, held));
            // What is being written is held twice.
            parts.push(part("history: what waits to be written", 2, history::QUEUED as u64));
        }
        if config.targets.iter().any(|target| target.compare != Compare::No) {
            let halves = config.comparison.memory as u64;
            parts.push(part("comparison: answers that are held", 1, halves));
            parts.push(part("comparison: places for them", 1, comparison::FIXED_BYTES as u64));
            parts.push(part("comparison: work room", 1, COMPARING));
            let candidates = config.targets.iter().filter(|t| t.compare == Compare::Candidate);
            // One run goes on while the one before it is written down.
            let counts = 2 * candidates.count() as u64;
            parts.push(part("comparison: counts of a candidate's run", counts, COUNTED));
            let shelf = comparison::ledger::SHELF_BYTES as u64;
            parts.push(part("comparison: pairs that people may look at", 1, shelf));
            let replaces = |rule: &&Rule| matches!(rule.action, Action::Replace { .. });
            let patterns = config.comparison.rules.iter().filter(replaces).count() as u64;
            if patterns > 0 {
                parts.push(part("comparison: regular expressions", patterns, COMPARED_REGEX));
            }
        }
        for target in &config.targets {
            add_target(&mut parts, target, message, workers, share);
        }
        Self { parts }
    }

    /// The sum, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes()))
    }

    /// The parts and their sum.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let parts: Vec<_> = self
            .parts
            .iter()
            .map(|part| {
                json!({"what": part.what, "count": part.count, "each": part.each, "bytes": part.bytes()})
            })
            .collect();
        json!({"bytes": self.bytes(), "parts": parts})
    }
}

fn add_target(
    parts: &mut Vec<Part>,
    target: &TargetConfig,
    message: u64,
    workers: u64,
    share: usize,
) {
    let mut add = |what: &str, count: u64, each: u64| {
        parts.push(Part { what: format!("target {}: {what}", target.name), count, each });
    };
    // A buffer that grows may have twice the room that it needs.
    let copy = 2 * (message.saturating_add(growth(target, message))) + BOOKKEEPING;
    let limits = &target.limits;
    let in_flight = limits.in_flight.min(share);
    let (queue, queue_bytes) = (limits.queue as u64, limits.queue_bytes as u64);
    let waiting = queue_bytes
        .saturating_mul(2)
        .saturating_add(queue.saturating_mul(BOOKKEEPING))
        .min(queue.saturating_mul(copy));
    add("copies that wait", 1, waiting);
    add("copies under way", in_flight as u64, copy);
    // Each worker opens no more connections than it has copies under way, and keeps them for a while.
    let connections = target.connections.max.unwrap_or(in_flight).min(in_flight) as u64;
    let tls = if target.url.https { TLS_SESSION } else { 0 };
    if target.http != HttpVersion::Http2 {
        let each = target::CONNECTION_BYTES as u64 + tls;
        add("connections", connections, each);
    }
    if target.http == HttpVersion::Http2 || (target.http == HttpVersion::Auto && target.url.https) {
        let count = workers * target::HTTP2_CONNECTIONS as u64;
        let each = (target::HTTP2_STREAMS as u64 + 1) * HTTP2_WINDOW + tls;
        add("HTTP/2 connections", count, each);
    }
    if target.rewrite != Default::default() || !target.redact.rules.is_empty() {
        add("work room for rewriting", workers, copy);
    }
    let patterns = regexes(target);
    if patterns > 0 {
        add("regular expressions", patterns, 2 * REGEX + workers * 2 * REGEX);
    }
}

/// By how much rewriting can make a copy longer.
fn growth(target: &TargetConfig, message: u64) -> u64 {
    let rewrite = &target.rewrite;
    let template = |template: &Template| {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.len() as u64,
            _ => message,
        };
        template.pieces.iter().map(piece).fold(0, u64::saturating_add)
    };
    let templates =
        rewrite.headers_set.iter().chain(&rewrite.headers_add).chain(&rewrite.query_set);
    let templates =
        templates.map(|(name, value)| (name.len() as u64 + 4).saturating_add(template(value)));
    let json = rewrite.json_set.iter().map(|(path, value)| {
        let everywhere = path.steps.iter().any(|s| matches!(s, JsonStep::Every | JsonStep::Deep));
        // An element takes two bytes at least.
        let places = if everywhere { message / 2 + 1 } else { 1 };
        places.saturating_mul(value.len() as u64 + 64)
    });
    let hidden =
        if target.redact.rules.is_empty() { 0 } else { longest_text(target) * (message / 2) };
    let path = if rewrite.path.is_empty() { 0 } else { 64 << 10 };
    templates.chain(json).fold(1024 + path, u64::saturating_add).saturating_add(hidden)
}

/// The longest text that redaction puts in place of a value.
fn longest_text(target: &TargetConfig) -> u64 {
    let text = |rule: &crate::config::RedactRule| match &rule.with {
        crate::config::RedactWith::Text(text) => text.len() as u64,
        crate::config::RedactWith::Token => 32,
        crate::config::RedactWith::Remove => 0,
    };
    target.redact.rules.iter().map(text).max().unwrap_or(0)
}

fn regexes(target: &TargetConfig) -> u64 {
    let of = |rule: &Match| {
        let named = [&rule.headers, &rule.query, &rule.cookies, &rule.args];
        let named = named.into_iter().flatten().flat_map(|(_, patterns)| patterns);
        let all = rule.path.iter().chain(&rule.host).chain(named);
        all.filter(|pattern| matches!(pattern, Pattern::Regex(_))).count()
    };
    let steps = target.rewrite.path.iter();
    let steps = steps.filter(|step| matches!(step, PathStep::Replace { .. })).count();
    (of(&target.matching) + target.except.as_ref().map_or(0, of) + steps) as u64
}

/// Bytes as a person reads them.
#[must_use]
pub fn shown(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let amount = bytes as f64;
    match bytes {
        0..=1023 => format!("{bytes} B"),
        1024..=1_048_575 => format!("{:.0} KiB", amount / 1024.0),
        1_048_576..=1_073_741_823 => format!("{:.1} MiB", amount / 1_048_576.0),
        _ => format!("{:.1} GiB", amount / 1_073_741_824.0),
    }
}
