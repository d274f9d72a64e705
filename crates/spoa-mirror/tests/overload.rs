//! More load than targets can take, for a while: a good target gets everything, every other one costs its
//! own copies and says why, production notices nothing, and memory stays under the ceiling that `check`
//! computes.
//!
//! `SPOA_MIRROR_SOAK_SECONDS` sets how long it goes on (`scripts/soak.sh`).
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

#[path = "faults/dice.rs"]
#[allow(dead_code, reason = "the other tests need more")]
mod dice;
#[path = "faults/mischief.rs"]
mod mischief;
mod running;

use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use testbed::agent::Agent;
use testbed::backend::{Behaviour, Blackhole, Recorder, Response};
use testbed::client::load::{Load, Report};
use testbed::counters::{Tally, Target};
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::{ports, wait};

use dice::Dice;
use running::mirror::{Mirror, PROGRAM};

/// Clients that send their next request when the last one is answered.
const CLIENTS: usize = 8;

/// One round of load: what its clients saw fits into memory.
const ROUND: Duration = Duration::from_secs(5);

/// How long it goes on without `SPOA_MIRROR_SOAK_SECONDS`.
const DEFAULT: Duration = Duration::from_secs(15);

/// More than any client may wait on a busy machine; HAProxy waits for the agent as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a target may hold if its table does not say less.
const IN_FLIGHT: u64 = 64;
const QUEUE_BYTES: u64 = 4 << 20;

/// Files that the program may open: the ceiling counts the connections that HAProxy could open.
const FILES: u64 = 1000;

/// A target's name, the lines of its table, what ends its copies, and what must have done so.
struct Part {
    name: &'static str,
    table: &'static str,
    answered: &'static [&'static str],
    failed: &'static [&'static str],
    dropped: &'static [&'static str],
    expected: &'static [&'static str],
}

/// What depends on the request alone.
const CUT: &str = "truncated-body";

const PARTS: &[Part] = &[
    Part {
        name: "good",
        table: "limit = { queue = 10000, max-age = \"1h\" }",
        answered: &["2xx"],
        failed: &[],
        dropped: &[CUT],
        expected: &["2xx", CUT],
    },
    Part {
        name: "slow",
        table: "limit = { in-flight = 4, queue = 20, max-age = \"1h\" }",
        answered: &["2xx"],
        failed: &[],
        dropped: &[CUT, "queue-full"],
        expected: &["2xx", "queue-full"],
    },
    Part {
        name: "heavy",
        table: "limit = { in-flight = 16, queue = 10000, queue-bytes = \"32KiB\", max-age = \"1h\" }",
        answered: &["2xx"],
        failed: &[],
        dropped: &[CUT, "queue-bytes"],
        expected: &["2xx", "queue-bytes"],
    },
    Part {
        name: "late",
        table: "limit = { in-flight = 1, queue = 500, max-age = \"200ms\" }",
        answered: &["2xx"],
        failed: &[],
        dropped: &[CUT, "queue-full", "too-old"],
        expected: &["2xx", "too-old"],
    },
    Part {
        name: "limited",
        table: "limit = { rate = \"50/s\" }",
        answered: &["2xx"],
        failed: &[],
        dropped: &[CUT, "rate-limit"],
        expected: &["2xx", "rate-limit"],
    },
    Part {
        name: "dead",
        table: "limit = { in-flight = 8, queue = 20 }",
        answered: &[],
        failed: &["connect-refused"],
        dropped: &[CUT, "queue-full", "too-old"],
        expected: &["connect-refused"],
    },
    Part {
        name: "deaf",
        table: "limit = { in-flight = 8, queue = 20, max-age = \"1s\" }\ntimeout = { connect = \"300ms\" }",
        answered: &[],
        failed: &["connect-timeout"],
        dropped: &[CUT, "queue-full", "too-old"],
        expected: &["connect-timeout", "queue-full"],
    },
    Part {
        name: "given-up",
        table: "breaker = { failures = 5, open = \"1s\" }\nlimit = { in-flight = 8, queue = 20 }",
        answered: &[],
        failed: &["connect-refused"],
        dropped: &[CUT, "queue-full", "too-old", "breaker-open"],
        expected: &["connect-refused", "breaker-open"],
    },
    Part {
        name: "hostile",
        table: "limit = { in-flight = 20, queue = 50, max-age = \"500ms\" }\ntimeout = { total = \"500ms\" }",
        answered: &["2xx", "unparsable"],
        failed: &["reset", "closed", "timeout", "incomplete-answer"],
        dropped: &[CUT, "queue-full", "too-old"],
        expected: &["2xx"],
    },
    Part {
        name: "few",
        table: "match = { path = \"/load/*\" }\nsample = { percent = 5, by = \"header:x-user\" }\namplify = 2",
        answered: &["2xx"],
        failed: &[],
        dropped: &[CUT, "queue-full", "too-old", "not-sampled"],
        expected: &["2xx", "not-sampled"],
    },
    Part {
        name: "none",
        table: "match = { path = \"/elsewhere\" }",
        answered: &[],
        failed: &[],
        dropped: &["not-matched"],
        expected: &["not-matched"],
    },
];

/// The targets, running.
struct Cast {
    good: Recorder,
    slow: Recorder,
    hostile: Recorder,
    deaf: Blackhole,
    dead: String,
}

impl Cast {
    fn start() -> Self {
        let recorder = |behaviour| Recorder::builder().behaviour(behaviour).record(false).start();
        let ok = || Behaviour::respond(Response::ok("ok"));
        Self {
            good: recorder(ok()),
            slow: recorder(Behaviour::delay(Duration::from_millis(100), ok())),
            hostile: recorder(ok()),
            deaf: Blackhole::start(),
            dead: format!("http://{}", ports::free_addr()),
        }
    }

    fn url(&self, name: &str) -> String {
        match name {
            "slow" | "heavy" | "late" => self.slow.url(),
            "dead" | "given-up" => self.dead.clone(),
            "deaf" => format!("http://{}", self.deaf.address()),
            "hostile" => self.hostile.url(),
            _ => self.good.url(),
        }
    }

    fn toml(&self) -> String {
        let table = |part: &Part| {
            let url = self.url(part.name);
            format!("[[target]]\nname = \"{}\"\nurl = \"{url}\"\n{}\n\n", part.name, part.table)
        };
        let head = format!(
            "[log]\ncopies = \"none\"\n\n[defaults]\n\
             limit = {{ in-flight = {IN_FLIGHT}, queue-bytes = \"{QUEUE_BYTES}B\" }}\n\n"
        );
        PARTS.iter().fold(head, |toml, part| toml + &table(part))
    }
}

/// GETs, and POSTs with bodies that HAProxy's buffer holds, and now and then one that it does not hold.
fn request(number: u64) -> Vec<u8> {
    let (method, length) = match number % 50 {
        0 => ("POST", 40_000),
        remainder if remainder % 3 == 0 => ("POST", 4_000),
        _ => ("GET", 0),
    };
    let user = number % 997;
    let head = format!(
        "{method} /load/{number} HTTP/1.1\r\nHost: localhost\r\nX-User: {user}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    [head.into_bytes(), vec![b'b'; length]].concat()
}

#[test]
fn production_notices_nothing_and_the_books_say_why() {
    let duration = std::env::var("SPOA_MIRROR_SOAK_SECONDS").map_or(DEFAULT, |seconds| {
        Duration::from_secs(seconds.parse().expect("SPOA_MIRROR_SOAK_SECONDS is a number"))
    });
    let mut dice = Dice::new();
    let cast = Cast::start();
    let production = Recorder::builder()
        .behaviour(Behaviour::respond(Response::ok("production")))
        .record(false)
        .start();
    let builder = Agent::builder(PROGRAM).with_nofile_limit(FILES);
    let directory = TempDir::new().unwrap();
    let mut mirror = Mirror::configured_at(ports::free_addr(), builder, directory, &cast.toml());
    let ceiling = ceiling(&mirror);
    let haproxy = Guide::new(production.address())
        .agent(mirror.address)
        .processing("5s")
        // Lines for what went wrong only.
        .agent_line("option dontlog-normal")
        .start(Version::V3_4);

    let started = Instant::now();
    let mut sent = 0;
    let mut looked = Looked::default();
    while started.elapsed() < duration {
        let report = round(&haproxy, &cast, &mut dice, sent);
        sent += report.total();
        report.assert_all_ok();
        assert_eq!(report.slower_than(PATIENCE), 0, "{:?}", report.quantile(1.0));
        let refused = haproxy.log().matching(|line| line.contains("SPOE: ["));
        assert_eq!(refused, [""; 0], "HAProxy's trouble with the agent");
        looked.look(&mirror);
        assert!(mirror.process.is_running());
    }
    let elapsed = started.elapsed();
    let peak = mirror.process.peak_rss();
    println!("{sent} requests in {elapsed:?}; {} kB of {} kB", peak >> 10, ceiling >> 10);
    assert!(peak <= ceiling, "{} kB, the ceiling is {} kB", peak >> 10, ceiling >> 10);
    let last = mirror.finish();
    looked.no_less(&last);
    assert_eq!(last.spop.requests, sent);
    for part in PARTS {
        part.check(last.named(part.name), sent);
    }
    // 50 each second, and what had been saved up.
    let limited = last.named("limited").answers();
    let most = 50 * (elapsed.as_secs() + 3);
    assert!(limited <= most, "{limited} copies, {most} at most");
}

/// Load for a while, during which the hostile target changes its mind again and again; the numbers of its
/// requests begin with `first`.
fn round(haproxy: &Haproxy, cast: &Cast, dice: &mut Dice, first: u64) -> Report {
    let load = Load::builder(haproxy.address("http"))
        .threads(CLIENTS)
        .request(move |number| request(first + number))
        .start();
    let end = Instant::now() + ROUND;
    wait::holds(2 * ROUND, "the end of the round", || {
        cast.hostile.set(mischief::any(dice));
        Instant::now() >= end
    });
    load.stop()
}

impl Part {
    fn check(&self, target: &Target, sent: u64) {
        target.assert_only(self.answered, self.failed, self.dropped);
        let has = |label: &str| {
            let groups = [&target.answered, &target.failed, &target.dropped];
            groups.iter().any(|group| group.contains_key(label))
        };
        for label in self.expected {
            assert!(has(label), "no {label}: {target}");
        }
        if self.name == "few" {
            assert!(target.received > sent && target.received < sent * 2, "{target}");
        } else {
            assert_eq!(target.received, sent, "{target}");
        }
        println!("{}: {target}", self.name);
    }
}

/// What was seen of the reports so far.
#[derive(Default)]
struct Looked {
    lines: usize,
    last: Tally,
}

impl Looked {
    /// Looks at the reports since the last time: each one adds up (the parser sees to that), and no
    /// counter goes back.
    fn look(&mut self, mirror: &Mirror) {
        let lines = mirror.process.stdout().all();
        let begins = |line: &String| line.starts_with("counters spop: ");
        // The last one may not be there in full.
        let Some(end) = lines.iter().rposition(begins) else { return };
        for report in Tally::all(&lines[self.lines.min(end)..end]) {
            self.no_less(&report);
            self.last = report;
        }
        self.lines = end;
    }

    fn no_less(&self, report: &Tally) {
        for (before, after) in self.last.targets.iter().zip(&report.targets) {
            assert!(before.received <= after.received, "{before} then {after}");
            for (before, after) in [
                (&before.answered, &after.answered),
                (&before.failed, &after.failed),
                (&before.dropped, &after.dropped),
            ] {
                for (label, count) in before {
                    assert!(after.get(label) >= Some(count), "{label}: {before:?}, {after:?}");
                }
            }
        }
    }
}

/// The most memory that the program may take with its configuration and HAProxy's usual buffers, in bytes,
/// as `check` says.
fn ceiling(mirror: &Mirror) -> u64 {
    let mut check = Agent::builder(PROGRAM)
        .with_nofile_limit(FILES)
        .args(["check", "--json", "--config"])
        .arg(mirror.configuration())
        .start();
    assert!(check.wait_exit(wait::LIMIT).success());
    let answer: Value = serde_json::from_str(&check.stdout().all().concat()).unwrap();
    answer["memory_usual"]["bytes"].as_u64().unwrap_or_else(|| panic!("{answer:#}"))
}
