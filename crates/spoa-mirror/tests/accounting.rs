//! Nothing disappears: whatever HAProxy hands over and whatever targets do, at every moment each target's
//! books hold every request exactly once.
#![allow(clippy::unwrap_used, reason = "a broken assumption must stop the test where it breaks")]

#[path = "faults/books.rs"]
#[allow(dead_code, reason = "the other tests need more")]
mod books;
#[path = "faults/dice.rs"]
mod dice;
#[path = "faults/mischief.rs"]
mod mischief;
#[path = "faults/scene.rs"]
#[allow(dead_code, reason = "the other tests need more")]
mod scene;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;

use testbed::agent::Agent;
use testbed::backend::Recorder;
use testbed::counters::{Labels, Tally};
use testbed::spop_client::{Event, Request, SpopClient};
use testbed::{ports, wait};

use dice::Dice;
use scene::{PROGRAM, assert_never_twice, end, end_with, start_agent};

/// Causes of failures that the targets' mischief brings.
const FAILURES: &[&str] = &["reset", "closed", "timeout", "incomplete-answer", "shutdown"];

/// Reasons for drops that depend on the moment; all others depend on the request alone.
const PASSING: &[&str] = &["queue-full", "queue-bytes", "too-old", "shutdown"];

/// Two workers, two targets, small limits, counters every second.
fn start(targets: &[Recorder; 2]) -> (Agent, SocketAddr) {
    let address = ports::free_addr();
    let [first, second] = targets.each_ref().map(Recorder::url);
    let limits = "--max-in-flight 20 --max-queue 50 --max-queue-bytes 100k --max-queue-age 500ms \
                  --timeout 200ms --grace 300ms -n 2 -i 1s";
    let mut args = vec!["-u", &first, "-u", &second];
    args.extend(limits.split_whitespace());
    (start_agent(Agent::builder(PROGRAM), address, &args), address)
}

/// What a sender handed over.
#[derive(Default)]
struct Sent {
    notifies: u64,
    messages: u64,
    incomplete: u64,
    /// Requests that must be dropped, by the reason.
    drops: Labels,
}

impl Sent {
    fn add(&mut self, other: &Self) {
        self.notifies += other.notifies;
        self.messages += other.messages;
        self.incomplete += other.incomplete;
        for (label, count) in &other.drops {
            *self.drops.entry(label.clone()).or_default() += count;
        }
    }

    /// A message, and what must become of it in the books.
    fn message(&mut self, dice: &mut Dice, path: &str) -> Vec<u8> {
        self.messages += 1;
        let get = || Request::get(path);
        let (drop, request) = match dice.below(20) {
            0 => ("truncated-body", Request::get(path).header("content-length", "100")),
            1 => ("upgrade", get().header("connection", "upgrade").header("upgrade", "websocket")),
            2 => ("malformed", Request::get(&format!("{path} HTTP/1.1\r\nx: "))),
            3 => ("malformed", get().header("content-length", "1x")),
            4 => ("malformed", get().header("x", "a\r\nhost: evil")),
            5 => ("loop", get().header("x-shadow", "1")),
            6 => ("connect-method", Request { method: b"CONNECT".to_vec(), ..get() }),
            7 => {
                self.drop("truncated-headers");
                let mut block = get().header_block();
                block.truncate(block.len() - 1);
                return get().payload_with_headers(&block);
            }
            8 => {
                self.incomplete += 1;
                return Request { method: Vec::new(), ..get() }.payload();
            }
            9 => return get().header("upgrade", "h2c").payload(),
            10..14 => {
                let length = dice.below(5000).try_into().expect("small");
                return Request::post(path, vec![b'b'; length]).payload();
            }
            _ => return get().payload(),
        };
        self.drop(drop);
        request.payload()
    }

    fn drop(&mut self, reason: &str) {
        *self.drops.entry(reason.to_owned()).or_default() += 1;
    }

    /// Up to five NOTIFY frames of up to three messages each, as one piece.
    fn batch(&mut self, dice: &mut Dice, sender: u64, client: &SpopClient) -> (usize, Vec<u8>) {
        let mut bytes = Vec::new();
        let frames = 1 + dice.below(5);
        for _ in 0..frames {
            let mut payload = Vec::new();
            for _ in 0..dice.below(4) {
                let path = format!("/{sender}/{}", self.messages);
                payload.extend(self.message(dice, &path));
            }
            self.notifies += 1;
            bytes.extend(client.frame(self.notifies, 1, &payload).unwrap());
        }
        (frames.try_into().expect("small"), bytes)
    }
}

#[test]
fn the_books_are_right_at_every_moment() {
    let mut dice = Dice::new();
    let targets = [Recorder::start(), Recorder::start()];
    let (mut agent, address) = start(&targets);
    let stop = AtomicBool::new(false);
    let mut sent = Sent::default();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let (mut dice, stop) = (dice.split(), &stop);
                scope.spawn(move || {
                    let mut sent = Sent::default();
                    while !stop.load(Ordering::Relaxed) {
                        // A new connection now and then, for the other worker perhaps.
                        let mut client = SpopClient::connect(address).unwrap();
                        for _ in 0..dice.below(100) {
                            let (frames, bytes) = sent.batch(&mut dice, sender, &client);
                            client.send(&bytes).unwrap();
                            client.acks(frames).unwrap();
                        }
                    }
                    sent
                })
            })
            .collect();
        let stopper = Stopper(&stop);
        wait::holds(wait::LIMIT, "four reports", || {
            let target = &targets[usize::from(dice.below(2) == 1)];
            target.set(mischief::any(&mut dice));
            books::all(agent.stdout(), 2).len() >= 4
        });
        drop(stopper);
        for sender in senders {
            sent.add(&join(sender));
        }
    });
    // Everything was acknowledged, so that it is in the books by now.
    let reports = books::all(agent.stdout(), 2).len();
    wait::holds(wait::LIMIT, "one more report", || {
        books::all(agent.stdout(), 2).len() > reports + 1
    });
    let quiet = books::all(agent.stdout(), 2).pop().expect("reports");
    let last = end(&mut agent, 2);
    for books in [&quiet, &last] {
        assert_eq!(books.spop.notifies, sent.notifies);
        assert_eq!(books.spop.messages, sent.messages);
        assert_eq!(books.spop.incomplete, sent.incomplete);
        for account in &books.targets {
            account.assert_only(&["2xx", "unparsable"], FAILURES, &allowed(&sent.drops));
            for (reason, count) in &sent.drops {
                assert_eq!(account.dropped.get(reason), Some(count), "{reason}: {account:#?}");
            }
        }
    }
    for (account, target) in last.targets.iter().zip(&targets) {
        // An answer takes a request that arrived, and what arrived was answered or has failed.
        let arrived = target.counts().complete;
        assert!(account.answers() <= arrived, "{arrived} arrived: {account:#?}");
        assert!(arrived <= account.answers() + account.failures(), "{arrived}: {account:#?}");
        assert_never_twice(target);
    }
    println!("{} requests; {:?}", last.spop.requests, last.targets);
}

/// What was acknowledged before the end is in the last books, and nothing else is.
#[test]
fn the_last_books_hold_what_was_acknowledged() {
    let mut dice = Dice::new();
    let targets = [Recorder::start(), Recorder::start()];
    targets.iter().for_each(|target| target.set(mischief::any(&mut dice)));
    let (mut agent, address) = start(&targets);
    let mut books = None;
    let mut acknowledged = 0;
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let mut dice = dice.split();
                let mut client = SpopClient::connect(address).unwrap();
                scope.spawn(move || {
                    let mut sent = Sent::default();
                    let mut acknowledged = 0;
                    loop {
                        let (frames, bytes) = sent.batch(&mut dice, sender, &client);
                        if client.send(&bytes).is_err() {
                            return acknowledged;
                        }
                        for _ in 0..frames {
                            match client.event() {
                                Ok(Event::Ack { .. }) => acknowledged += 1,
                                _ => return acknowledged,
                            }
                        }
                    }
                })
            })
            .collect();
        wait::holds(wait::LIMIT, "something to happen", || {
            targets.iter().all(|target| target.counts().connections > 0)
        });
        books = Some(end(&mut agent, 2));
        acknowledged = senders.into_iter().map(join).sum();
    });
    let books = books.expect("the last counters");
    assert_eq!(books.spop.notifies, acknowledged, "{books:#?}");
    assert!(books.spop.requests > 0);
    targets.iter().for_each(assert_never_twice);
}

/// Tables of targets with whatever rules and limits, and whatever the targets do: the books add up all the
/// time, and no copy comes twice.
#[test]
fn the_books_are_right_whatever_the_policy() {
    let mut dice = Dice::new();
    let targets: Vec<_> = (0..8).map(|_| Recorder::start()).collect();
    let address = ports::free_addr();
    let mut toml = format!(
        "[agent]\nlisten = [\"{address}\"]\nworkers = 2\n[log]\ninterval = \"1s\"\ncopies = \"none\"\n"
    );
    for (number, target) in targets.iter().enumerate() {
        let url = target.url();
        let table = policy(&mut dice);
        toml += &format!("[[target]]\nname = \"t{number}\"\nurl = \"{url}\"\n{table}\n");
    }
    println!("{toml}");
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("spoa-mirror.toml");
    std::fs::write(&path, toml).unwrap();
    let mut agent = Agent::builder(PROGRAM).arg("--config").arg(&path).start();
    agent.wait_line(wait::LIMIT, |line| line.contains("listening on"));

    let mut sent = Sent::default();
    let mut clients: Vec<_> = (0..4).map(|_| SpopClient::connect(address).unwrap()).collect();
    let reports = || Tally::all(&agent.stdout().all()).len();
    wait::holds(wait::LIMIT, "four reports", || {
        let any = usize::try_from(dice.below(8)).unwrap();
        targets[any].set(mischief::any(&mut dice));
        for (client, sender) in clients.iter_mut().zip(0..) {
            let (frames, bytes) = sent.batch(&mut dice, sender, client);
            client.send(&bytes).unwrap();
            client.acks(frames).unwrap();
        }
        reports() >= 4
    });
    let last = end_with(&mut agent, targets.len(), |log, targets| {
        let mut tallies = Tally::all(&log.all());
        tallies.retain(|tally| tally.targets.len() == targets);
        tallies
    });
    assert_eq!(last.spop.notifies, sent.notifies);
    let requests = sent.messages - sent.incomplete;
    assert_eq!(last.spop.requests, requests);
    for (account, target) in last.targets.iter().zip(&targets) {
        println!("{account}");
        assert!(account.received >= requests, "{account}");
        let mut copies: Vec<_> = target
            .requests()
            .iter()
            .map(|request| (request.target().to_vec(), request.header("x-shadow").unwrap()))
            .collect();
        copies.sort_unstable();
        let count = copies.len();
        copies.dedup();
        assert_eq!(copies.len(), count, "a copy came twice: {account}");
    }
}

/// The lines of a target's table.
fn policy(dice: &mut Dice) -> String {
    let mut lines = vec!["timeout = { connect = \"1s\", total = \"200ms\" }".to_owned()];
    let mut maybe = |choices: &[&str]| {
        let at = usize::try_from(dice.below(2 * choices.len() as u64)).unwrap();
        lines.extend(choices.get(at).map(|&line| line.to_owned()));
    };
    maybe(&[
        "match = { methods = [\"POST\"] }",
        "match = { path = [\"/0/*\", \"/1/*\"] }",
        "match = { headers = { x = \"*\" } }",
    ]);
    maybe(&["except = { methods = [\"GET\"] }", "except = { path = \"^/[23]/\" }"]);
    maybe(&["sample = { percent = 50 }", "sample = { percent = 20, by = \"header:host\" }"]);
    maybe(&["amplify = 2", "amplify = 5"]);
    maybe(&["truncated-body = \"send\"", "truncated-body = \"headers-only\""]);
    maybe(&["max-body = \"1KiB\"", "max-body = \"100B\""]);
    maybe(&["breaker = { failures = 3, open = \"100ms\", probes = 2 }"]);
    maybe(&[
        "limit = { in-flight = 1, queue = 1 }",
        "limit = { in-flight = 20, queue = 50, queue-bytes = \"64KiB\", max-age = \"300ms\" }",
        "limit = { in-flight = 20, queue = 50, drop = \"oldest\" }",
        "limit = { rate = \"100/s\", in-flight = 5 }",
    ]);
    lines.join("\n")
}

/// Ends the senders, also when the test fails before it can.
struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn allowed(drops: &BTreeMap<String, u64>) -> Vec<&str> {
    drops.keys().map(String::as_str).chain(PASSING.iter().copied()).collect()
}
