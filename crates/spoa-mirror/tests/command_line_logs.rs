//! What the agent logs: a line for each copy in the C program's shape or as JSON, counters that add up,
//! errors summed up, files opened as asked; and that a log that nobody reads holds up nothing.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value as Json;
use spop_proto::{FrameType, Value, encode_frame, encode_header_block, encode_message};
use testbed::agent::Agent;
use testbed::backend::{Behaviour, Recorder, Response};
use testbed::client::load::Load;
use testbed::haproxy::{Guide, Version};
use testbed::spop_client::Request;
use testbed::{ports, wait};

use running::gate;
use running::mirror::{Mirror, PROGRAM};
use running::spop::{Peer, Said};
use running::stage::production;
use running::tally::{Tally, Target};

/// A line about a copy, taken apart:
/// `[worker][ seconds] "METHOD URL VERSION" STATUS SENT/RECEIVED MILLISECONDS RESULT`
#[derive(Debug, PartialEq)]
struct CopyLine {
    worker: u32,
    seconds: f64,
    request: String,
    status: u16,
    sent: u64,
    received: u64,
    milliseconds: f64,
    result: String,
}

impl CopyLine {
    /// `None` for a line about something else.
    ///
    /// # Panics
    /// When a line that begins like one goes on differently.
    fn parse(line: &str) -> Option<Self> {
        let (worker, rest) = line.strip_prefix('[')?.split_once("][").unwrap();
        let (seconds, rest) = rest.split_once("] \"").unwrap();
        let (request, rest) = rest.rsplit_once("\" ").unwrap();
        let [status, bytes, milliseconds, result] =
            rest.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
        let (sent, received) = bytes.split_once('/').unwrap();
        // Blanks only before the numbers, six and three digits behind their points.
        for (number, digits) in [(seconds, 6), (milliseconds, 3)] {
            assert_eq!(number.split_once('.').unwrap().1.len(), digits, "{line:?}");
        }
        Some(Self {
            worker: worker.trim_start().parse().unwrap(),
            seconds: seconds.trim_start().parse().unwrap(),
            request: request.to_owned(),
            status: status.parse().unwrap(),
            sent: sent.parse().unwrap(),
            received: received.parse().unwrap(),
            milliseconds: milliseconds.parse().unwrap(),
            result: result.to_owned(),
        })
    }

    fn all(mirror: &Mirror) -> Vec<Self> {
        mirror.process.stdout().all().iter().filter_map(|line| Self::parse(line)).collect()
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(label, count)| ((*label).to_owned(), *count)).collect()
}

#[test]
fn a_copy_has_a_line_in_the_c_programs_shape() {
    let answer = Response::new(404).body("x".repeat(44));
    let shadow = Recorder::with(Behaviour::respond(answer));
    let url = format!("{}/prefix", shadow.url());
    let mut mirror = Mirror::start(&["-u", &url]);
    let mut peer = Peer::greeted(mirror.address);
    peer.mirror(1, "/path?query");
    shadow.wait_for(1, wait::LIMIT);
    peer.send(&notify(&Request::post("/form", "12345").payload()));
    assert_eq!(peer.read(), Said::Ack(7, 1));
    shadow.wait_for(2, wait::LIMIT);
    mirror.finish();
    let lines = CopyLine::all(&mirror);
    let [get, post] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(get.request, format!("GET {url}/path?query HTTP/1.1"));
    assert_eq!((get.worker, get.status, get.sent, get.received), (1, 404, 0, 44));
    assert_eq!(get.result, "ok");
    assert_eq!(post.request, format!("POST {url}/form HTTP/1.1"));
    assert_eq!((post.status, post.sent, post.received), (404, 5, 44));
    assert!(get.seconds > 0.0 && post.seconds >= get.seconds, "since the start: {lines:?}");
    assert!(get.milliseconds > 0.0, "{get:?}");
}

/// A NOTIFY with stream-id 7 and frame-id 1.
fn notify(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let fin = spop_proto::Flags::FIN;
    encode_frame(FrameType::Notify, fin, 7, 1, &mut bytes, |out| out.extend_from_slice(payload));
    bytes
}

/// Bytes that would confuse a terminal, or end the line, are written as escapes.
#[test]
fn odd_bytes_of_a_request_keep_the_line_whole() {
    for format in ["text", "json"] {
        let shadow = Recorder::start();
        let mut mirror = Mirror::start(&["-u", &shadow.url(), "--log-format", format]);
        let mut peer = Peer::greeted(mirror.address);
        let mut headers = Vec::new();
        encode_header_block([(&b"host"[..], &b"h"[..])], &mut headers);
        let mut message = Vec::new();
        encode_message(
            b"mirror",
            &[
                (b"arg_method", Value::String(b"GET")),
                (b"arg_path", Value::String(b"/a\"b\xff\xc3\xa9\\")),
                (b"arg_hdrs", Value::Binary(&headers)),
            ],
            &mut message,
        );
        peer.send(&notify(&message));
        assert_eq!(peer.read(), Said::Ack(7, 1));
        shadow.wait_count(1, wait::LIMIT);
        mirror.process.stop(wait::LIMIT);
        let lines = mirror.process.stdout().matching(|line| line.contains("/a"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert!(!line.bytes().any(|byte| byte < b' '), "{line:?}");
        if format == "text" {
            assert!(line.contains(r#"/a"b\xff\xc3\xa9\ HTTP/1.1" 200 "#), "{line:?}");
        } else {
            let object: Json = serde_json::from_str(line).unwrap();
            assert!(object["url"].as_str().unwrap().contains("/a\"b"), "{line:?}");
        }
    }
}

/// Sends a request to a program with a target that answers and one that is dead; gives the lines about
/// the copies.
fn lines_with(mode: Option<&str>) -> Vec<String> {
    let shadow = Recorder::start();
    let (good, dead) = (shadow.url(), format!("http://{}", ports::free_addr()));
    let mut args = vec!["-u", &good, "-u", &dead];
    args.extend(mode.iter().flat_map(|mode| ["-L", mode]));
    let mut mirror = Mirror::start(&args);
    Peer::greeted(mirror.address).mirror(1, "/");
    shadow.wait_for(1, wait::LIMIT);
    mirror.wait_told("connect-refused");
    let tally = mirror.finish();
    assert_eq!(tally.targets[0].answered, counts(&[("2xx", 1)]));
    assert_eq!(tally.targets[1].failed, counts(&[("connect-refused", 1)]));
    let mut lines = CopyLine::all(&mirror);
    lines.sort_by_key(|line| line.status);
    lines
        .iter()
        .map(|line| {
            let known = if line.request.contains(&good) { "good" } else { "dead" };
            format!("{known} {} {}/{} {}", line.status, line.sent, line.received, line.result)
        })
        .collect()
}

#[test]
fn which_copies_have_a_line_can_be_chosen() {
    let (good, dead) = ("good 200 0/2 ok", "dead 0 0/0 connect-refused");
    assert_eq!(lines_with(None), [good]);
    assert_eq!(lines_with(Some("SUCCESS")), [good]);
    assert_eq!(lines_with(Some("ERROR")), [dead]);
    assert_eq!(lines_with(Some("ALL")), [dead, good]);
    assert_eq!(lines_with(Some("NONE")), [""; 0]);
    // The C program looks at no more than the first letter.
    assert_eq!(lines_with(Some("a")), [dead, good]);
}

#[test]
fn a_level_over_info_leaves_copies_and_counters_out() {
    let shadow = Recorder::start();
    let address = ports::free_addr();
    let port = address.port().to_string();
    let url = shadow.url();
    let args =
        ["-a", "127.0.0.1", "-p", &port, "-u", &url, "--log-level", "warn", "-i", "1s", "-d", "1"];
    let mut agent = Agent::start(PROGRAM, args);
    // Without the line that it listens: a note, which is a warning, comes a little earlier.
    agent.wait_line(wait::LIMIT, |line| line.contains("--debug has no effect"));
    wait::holds(wait::LIMIT, "it listens", || std::net::TcpStream::connect(address).is_ok());
    let mut peer = Peer::greeted(address);
    peer.mirror(1, "/");
    shadow.wait_for(1, wait::LIMIT);
    peer.send(&[0, 0, 0, 0]);
    agent.wait_line(wait::LIMIT, |line| line.contains("the connection is closed"));
    agent.stop(wait::LIMIT);
    assert_eq!(agent.output().all().len(), 2, "{:?}", agent.output().all());
}

#[test]
fn every_line_of_a_json_log_is_json() {
    let shadow = Recorder::start();
    let (good, dead) = (shadow.url(), format!("http://{}", ports::free_addr()));
    let address = ports::free_addr();
    let port = address.port().to_string();
    let mut agent = Agent::start(
        PROGRAM,
        [
            "-a",
            "127.0.0.1",
            "-p",
            &port,
            "-u",
            &good,
            "-u",
            &dead,
            "-L",
            "ALL",
            "-i",
            "1s",
            "--log-format",
            "json",
            "--log-level",
            "debug",
            "-B",
            "EPOLL",
        ],
    );
    agent.wait_line(wait::LIMIT, |line| line.contains("listening on"));
    let mut peer = Peer::greeted(address);
    peer.mirror(1, "/\"quoted\"\\");
    let mut message = Vec::new();
    encode_message(b"odd \"\\\n\x00\xff name", &[], &mut message);
    peer.send(&notify(&message));
    assert_eq!(peer.read(), Said::Ack(7, 1));
    peer.send(&[0, 0, 0, 0]);
    shadow.wait_for(1, wait::LIMIT);
    agent.wait_line(wait::LIMIT, |line| line.contains("connect-refused"));
    agent.wait_line(wait::LIMIT, |line| line.contains("\"counters\""));
    assert_eq!(agent.stop(wait::LIMIT).code(), Some(0));
    let parse = |line: &String| -> Json {
        let parsed = serde_json::from_str(line);
        parsed.unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    let objects: Vec<_> = agent.output().all().iter().map(parse).collect();
    let with = |text: &str| {
        let found = |object: &&Json| object["message"].as_str().is_some_and(|m| m.contains(text));
        objects.iter().filter(found).collect::<Vec<_>>()
    };
    for text in ["listening on", "--libev-backend", "is not mirrored", "closed with status 4"] {
        assert_eq!(with(text).len(), 1, "{text}: {objects:#?}");
    }
    assert!(objects.iter().all(|object| object["level"].is_string()), "{objects:#?}");

    let mut copies = with("copy").into_iter().filter(|object| object["url"].is_string());
    let ok = copies.clone().find(|copy| copy["result"] == "ok").unwrap();
    assert_eq!(ok["url"], format!("{good}/\"quoted\"\\"));
    assert_eq!((&ok["method"], &ok["status"]), (&"GET".into(), &200.into()));
    assert_eq!((&ok["body_bytes_sent"], &ok["body_bytes_received"]), (&0.into(), &2.into()));
    assert!(ok["milliseconds"].as_f64().unwrap() > 0.0 && ok["time"].as_f64().unwrap() > 1.6e9);
    assert!(copies.any(|copy| copy["result"] == "connect-refused" && copy["status"] == 0));

    let last = objects.iter().rev().find(|object| object["message"] == "counters").unwrap();
    assert_eq!((&last["spop"]["messages"], &last["spop"]["incomplete"]), (&2.into(), &1.into()));
    let target = &last["targets"][good.trim_start_matches("http://")];
    assert_eq!((&target["received"], &target["answered"]["2xx"]), (&1.into(), &1.into()));
}

/// Each mode of `--logfile`: whether what was in the file is still there.
#[test]
fn log_files_are_appended_to_or_emptied() {
    let modes = [("", true), ("a:", true), ("A:", true), ("w:", false), ("W:", false)];
    for (mode, keeps) in modes {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        fs::write(&log, "from before\n").unwrap();
        let shadow = Recorder::start();
        let address = ports::free_addr();
        let (port, url) = (address.port().to_string(), shadow.url());
        let file = format!("{mode}{}", log.display());
        let args = ["-a", "127.0.0.1", "-p", &port, "-u", &url, "-l", &file, "-d", "1"];
        let mut agent = Agent::start(PROGRAM, args);
        wait::holds(wait::LIMIT, "it listens", || text(&log).contains("listening on"));
        Peer::greeted(address).mirror(1, "/");
        // While it runs, not only at its end.
        wait::holds(wait::LIMIT, "the copy's line", || text(&log).contains("\" 200 0/2 "));
        assert_eq!(agent.stop(wait::LIMIT).code(), Some(0));
        assert_eq!(text(&log).starts_with("from before\n"), keeps, "{mode}");
        assert_eq!(agent.output().all(), [""; 0], "everything is in the file");
        let lines: Vec<_> = text(&log).lines().map(str::to_owned).collect();
        assert_eq!(Tally::all(&lines).pop().unwrap().target().answers(), 1);
        assert!(text(&log).contains("--debug has no effect"), "problems too");
    }
}

#[test]
fn a_dead_target_gets_a_handful_of_lines_and_right_counts() {
    let dead = format!("http://{}", ports::free_addr());
    let mut mirror = Mirror::start(&["-u", &dead]);
    let mut peer = Peer::greeted(mirror.address);
    for number in 0..1000 {
        peer.mirror(number, "/");
    }
    let tally = mirror.finish();
    let target = tally.target();
    assert_eq!(target.received, 1000);
    assert_eq!(target.failures() + target.drops(), 1000, "{target:?}");
    assert!(target.failed["connect-refused"] > 0, "{target:?}");
    let warnings = mirror.told("WARN");
    assert!((1..=5).contains(&warnings.len()), "{warnings:#?}");
    assert!(warnings[0].contains(&dead) && warnings[0].contains("connect-refused"), "{warnings:?}");
    assert_eq!(CopyLine::all(&mirror), []);
}

#[test]
fn counters_come_at_each_interval_and_always_add_up() {
    let (shadow, gate) = gate::recorder();
    let mut mirror = Mirror::start(&[
        "-u",
        &shadow.url(),
        "-i",
        "1s",
        "--max-in-flight",
        "2",
        "--max-queue",
        "3",
    ]);
    let mut peer = Peer::greeted(mirror.address);
    for number in 0..10 {
        peer.mirror(number, "/");
    }
    // The parser asserts that each report adds up.
    let held = mirror.wait_report(|tally| tally.target().received == 10);
    let expected = Target {
        name: shadow.address().to_string(),
        received: 10,
        dropped: counts(&[("queue-full", 5)]),
        waiting: 3,
        in_flight: 2,
        ..Target::default()
    };
    assert_eq!(held.target(), &expected);
    gate.open();
    let let_go = mirror.wait_report(|tally| tally.target().answers() == 5);
    assert_eq!((let_go.target().waiting, let_go.target().in_flight), (0, 0));

    // More of them, one after the other, while nothing happens.
    let reports = mirror.reports().len();
    wait::holds(wait::LIMIT, "two more reports", || mirror.reports().len() >= reports + 2);
    let last = mirror.finish();
    assert_eq!(last.target(), let_go.target());
    let received: Vec<_> = mirror.reports().iter().map(|tally| tally.target().received).collect();
    assert!(received.is_sorted(), "{received:?}");
}

#[test]
fn counters_of_several_targets_add_up_each_for_itself() {
    let answers = [204, 302, 404, 500];
    let shadows = answers.map(|status| Recorder::with(Behaviour::respond(Response::new(status))));
    let urls = shadows.each_ref().map(Recorder::url);
    let args: Vec<_> = urls.iter().flat_map(|url| ["-u", url]).collect();
    let mut mirror = Mirror::start(&args);
    let mut peer = Peer::greeted(mirror.address);
    for number in 0..20 {
        peer.mirror(number, "/");
    }
    for shadow in &shadows {
        shadow.wait_count(20, wait::LIMIT);
    }
    let tally = mirror.finish();
    let classes = ["2xx", "3xx", "4xx", "5xx"];
    for (target, class) in tally.targets.iter().zip(classes) {
        assert_eq!(target.answered, counts(&[(class, 20)]), "{tally:?}");
    }
}

/// Standard output is a pipe that nobody reads: requests are answered and mirrored all the same, and the
/// agent ends when it is told to.
#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for (number, version) in [Version::V2_6, Version::V3_4].into_iter().enumerate() {
        let pipe = directory.path().join(format!("pipe-{number}"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Open for reading, so that the program can open it for writing; nothing is read.
        let _reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let (production, shadow) = (production(), Recorder::builder().record(false).start());
        let address = ports::free_addr();
        let mut agent = Agent::start(
            "/bin/sh",
            [
                "-c",
                "pipe=$1; shift; exec \"$0\" \"$@\" >$pipe 2>&1",
                PROGRAM,
                pipe.to_str().unwrap(),
                "-a",
                "127.0.0.1",
                "-p",
                &address.port().to_string(),
                "-u",
                &shadow.url(),
            ],
        );
        wait::holds(wait::LIMIT, "it listens", || std::net::TcpStream::connect(address).is_ok());
        let haproxy = Guide::new(production.address()).agent(address).start(version);
        // A line has some 90 bytes and a pipe holds 65536: it is full after a tenth of them.
        let total = 6000;
        Load::builder(haproxy.address("http")).total(total).run().assert_all_ok();
        shadow.wait_count(total, wait::LIMIT);
        assert_eq!(agent.stop(wait::LIMIT).code(), Some(0));
    }
}

/// Lines that found no room are counted, in the log's own format, as soon as somebody reads it.
#[test]
fn lines_that_found_no_room_are_counted() {
    for format in ["text", "json"] {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let shadow = Recorder::builder().record(false).start();
        let address = ports::free_addr();
        let (port, url) = (address.port().to_string(), shadow.url());
        // Each line by itself: the log's queue is full the sooner.
        let file = format!("A:{}", pipe.display());
        let args = [
            "-a",
            "127.0.0.1",
            "-p",
            &port,
            "-u",
            &url,
            "-l",
            &file,
            "--log-format",
            format,
            "-i",
            "1h",
        ];
        let _agent = Agent::start(PROGRAM, args);
        wait::holds(wait::LIMIT, "it listens", || std::net::TcpStream::connect(address).is_ok());
        let mut peer = Peer::greeted(address);
        let total = 6000;
        for number in 0..total {
            peer.mirror(number, "/");
        }
        shadow.wait_count(total, wait::LIMIT);
        let mut copies = 0;
        let lost = BufReader::new(reader).lines().map(Result::unwrap).find_map(|line| {
            if format == "json" {
                let object: Json = serde_json::from_str(&line).unwrap();
                copies += u64::from(object["message"] == "copy");
                let message = object["message"].as_str()?.to_owned();
                return lost_lines(&message);
            }
            copies += u64::from(CopyLine::parse(&line).is_some());
            lost_lines(&line)
        });
        assert!(copies > 0 && copies < total, "{format}: {copies} lines were written");
        assert!(lost.unwrap() > 0, "{format}");
    }
}

fn lost_lines(line: &str) -> Option<u64> {
    let (number, rest) = line.split_once(' ')?;
    rest.starts_with("log lines or blocks of lines were dropped").then(|| number.parse().unwrap())
}
