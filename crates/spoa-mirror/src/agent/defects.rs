//! What a defect in this program costs: one copy, and nothing else.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use spop_proto::Settings;
use testbed::backend::{Behaviour, Recorder, Response, h2};
use testbed::spop_client::{Request, SpopClient};
use testbed::wait;

use super::stream::Accepted;
use super::{Plan, Route, TargetPlan, Workers};
use crate::comparison::Intake;
use crate::config::tests_support::target;
use crate::config::{CopyLines, HttpVersion, LogConfig, LogFormat, Marker, TargetConfig};
use crate::log::Sink;
use crate::outcome::{Failure, Tally};
use crate::target::{Shared, resolve};

/// A worker and its targets.
pub(super) struct Running {
    workers: Workers,
    shared: Vec<Arc<Shared>>,
}

/// A worker with this target, and a connection to it.
fn start(recorder: &Recorder) -> (Running, SpopClient) {
    start_with(target(&recorder.url()))
}

fn start_with(config: TargetConfig) -> (Running, SpopClient) {
    start_all(vec![config])
}

fn start_all(configs: Vec<TargetConfig>) -> (Running, SpopClient) {
    start_comparing(configs, None)
}

/// A worker with these targets, whose answers go to be compared there.
pub(super) fn start_comparing(
    configs: Vec<TargetConfig>,
    intake: Option<Arc<Intake>>,
) -> (Running, SpopClient) {
    let marker = Marker { name: Some("x-shadow".to_owned()), max_hops: 1 };
    let targets: Vec<_> = configs
        .into_iter()
        .map(|config| {
            let (_, addresses) = resolve::resolver(&config.url.host, config.url.port);
            let shared = Arc::new(Shared::new(config, marker.clone()));
            TargetPlan { shared, tls: None, addresses }
        })
        .collect();
    let shared = targets.iter().map(|target| Arc::clone(&target.shared)).collect();
    let log = LogConfig {
        file: None,
        level: tracing::Level::INFO,
        format: LogFormat::Text,
        copies: CopyLines::None,
    };
    let plan = Plan {
        settings: Settings::default(),
        route: Route::new(marker, targets, intake),
        sink: Sink::open(&log).unwrap(),
        log,
        started: Instant::now(),
        max_connections: 10,
    };
    let workers = Workers::start(plan, 1).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || SpopClient::connect(address).unwrap());
    let (stream, peer) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    workers.handle().hand_over(Accepted::Tcp(stream), peer.to_string());
    (Running { workers, shared }, client.join().unwrap())
}

/// The last counters, after everything was given back that is counted for all workers.
pub(super) fn end(running: Running) -> Tally {
    let [tally] = end_all(running).try_into().unwrap();
    tally
}

/// Those of all targets, by their names.
fn end_all(running: Running) -> Vec<Tally> {
    let Running { workers, shared } = running;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let last = runtime.block_on(workers.wind_down(deadline, Arc::new(AtomicBool::new(false))));
    assert_eq!((last.workers, last.targets.len()), (1, shared.len()));
    for shared in shared {
        assert_eq!((shared.in_flight(), shared.queued_bytes(), shared.connections()), (0, 0, 0));
    }
    last.targets.into_values().collect()
}

fn payload(method: &[u8], path: &str) -> Vec<u8> {
    Request { method: method.to_vec(), ..Request::get(path) }.payload()
}

fn internal(tally: &Tally) -> u64 {
    tally.failed().find(|(failure, _)| *failure == Failure::Internal).unwrap().1
}

/// Requests before and after it, in the same frame and on the same connection, are copied.
#[test]
fn one_while_a_copy_is_made() {
    let recorder = Recorder::start();
    let (running, mut client) = start(&recorder);
    for round in 0..3 {
        let messages = [&b"GET"[..], b"DEFECT", b"GET"].map(|method| payload(method, "/"));
        client.notify(round, 1, &messages.concat()).unwrap();
        assert_eq!(client.acks(1).unwrap(), [(round, 1)]);
    }
    recorder.wait_count(6, wait::LIMIT);
    let tally = end(running);
    assert!(tally.adds_up(), "{tally}");
    assert_eq!((tally.received, internal(&tally)), (9, 3), "{tally}");
    assert_eq!(tally.answered().map(|(_, count)| count).sum::<u64>(), 6, "{tally}");
}

/// One target's defect is none of those that come after it: they get the request, or meet their own.
#[test]
fn one_while_a_copy_is_made_for_one_of_several_targets() {
    let recorder = Recorder::start();
    let named = |name: &str, methods: &[&str]| {
        let mut config = target(&recorder.url());
        name.clone_into(&mut config.name);
        config.matching.methods = methods.iter().map(|&method| method.to_owned()).collect();
        config
    };
    let configs = vec![
        named("a", &["DEFECT"]),
        named("b", &["GET"]),
        named("c", &["GET", "DEFECT"]),
        named("d", &["GET"]),
    ];
    let (running, mut client) = start_all(configs);
    let messages = [&b"DEFECT"[..], b"GET"].map(|method| payload(method, "/"));
    client.notify(1, 1, &messages.concat()).unwrap();
    assert_eq!(client.acks(1).unwrap(), [(1, 1)]);
    recorder.wait_count(3, wait::LIMIT);
    let tallies = end_all(running);
    for (tally, (answered, defects)) in tallies.iter().zip([(0, 1), (1, 0), (1, 1), (1, 0)]) {
        assert!(tally.adds_up(), "{tally}");
        let sum = tally.answered().map(|(_, count)| count).sum::<u64>();
        assert_eq!((tally.received, sum, internal(tally)), (2, answered, defects), "{tally}");
    }
}

/// The connection that it happened on is closed; others take its place.
#[test]
fn one_while_an_answer_is_read() {
    let recorder = Recorder::start();
    let (running, mut client) = start(&recorder);
    for (round, method) in [b"GET".as_slice(), b"LATE-DEFECT", b"GET"].into_iter().enumerate() {
        let round = u64::try_from(round).unwrap();
        client.notify(round, 1, &payload(method, "/")).unwrap();
        assert_eq!(client.acks(1).unwrap(), [(round, 1)]);
        recorder.wait_count(round + 1, wait::LIMIT);
    }
    let tally = end(running);
    assert!(tally.adds_up(), "{tally}");
    assert_eq!((tally.received, internal(&tally)), (3, 1), "{tally}");
    assert_eq!(tally.answered().map(|(_, count)| count).sum::<u64>(), 2, "{tally}");
}

/// Asserts that of `received` requests so many met a defect, and all others were answered.
#[track_caller]
fn assert_cost(tally: &Tally, received: u64, defects: u64) {
    assert!(tally.adds_up(), "{tally}");
    assert_eq!((tally.received, internal(tally)), (received, defects), "{tally}");
    let answered: u64 = tally.answered().map(|(_, count)| count).sum();
    assert_eq!(answered, received - defects, "{tally}");
}

/// It is met by the task of a new connection, which what waits is sent by.
#[test]
fn one_while_a_copy_that_waited_is_sent() {
    let recorder = Recorder::start();
    let (running, mut client) = start(&recorder);
    let messages = [&b"SEND-DEFECT"[..], b"GET", b"SEND-DEFECT", b"GET"].map(|m| payload(m, "/"));
    client.notify(1, 1, &messages.concat()).unwrap();
    client.acks(1).unwrap();
    recorder.wait_count(2, wait::LIMIT);
    // Timeouts and idle connections are looked after as before.
    client.notify(2, 1, &payload(b"GET", "/")).unwrap();
    client.acks(1).unwrap();
    recorder.wait_count(3, wait::LIMIT);
    assert_cost(&end(running), 5, 2);
}

/// It is met by the sweep.
#[test]
fn one_while_an_old_copy_is_dropped() {
    let slow = Behaviour::delay(Duration::from_millis(400), Behaviour::respond(Response::ok("")));
    let recorder = Recorder::with(slow);
    let mut config = target(&recorder.url());
    config.limits.in_flight = 1;
    config.limits.max_age = Duration::from_millis(50);
    let (running, mut client) = start_with(config);
    for (number, method) in [&b"GET"[..], b"OLD-DEFECT"].into_iter().enumerate() {
        client.notify(number as u64, 1, &payload(method, "/")).unwrap();
        client.acks(1).unwrap();
        // Under way, so that the other one waits.
        recorder.wait_count(1, wait::LIMIT);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = running.workers.handle();
    wait::holds(wait::LIMIT, "the old copy to be met, and the other one answered", || {
        let tally = runtime.block_on(handle.snapshot()).targets.into_values().next().unwrap();
        assert!(tally.adds_up(), "{tally}");
        internal(&tally) == 1 && tally.in_flight == 0
    });
    client.notify(3, 1, &payload(b"GET", "/")).unwrap();
    client.acks(1).unwrap();
    recorder.wait_count(2, wait::LIMIT);
    drop(handle);
    assert_cost(&end(running), 3, 1);
}

#[test]
fn one_on_an_http2_stream() {
    let recorder = h2::Recorder::start(h2::Behaviour::Respond(200, Vec::new()));
    let mut config = target(&format!("http://{}", recorder.address()));
    config.http = HttpVersion::Http2;
    let (running, mut client) = start_with(config);
    for round in 0..3 {
        let messages = [&b"GET"[..], b"LATE-DEFECT", b"GET"].map(|method| payload(method, "/"));
        client.notify(round, 1, &messages.concat()).unwrap();
        client.acks(1).unwrap();
    }
    assert_cost(&end(running), 9, 3);
}

/// Each costs the copy that a connection would have been for.
#[test]
fn one_while_connecting() {
    let recorder = Recorder::start();
    let mut config = target(&recorder.url());
    config.name = "DEFECT".to_owned();
    let (running, mut client) = start_with(config);
    for round in 0..3 {
        client.notify(round, 1, &payload(b"GET", "/")).unwrap();
        client.acks(1).unwrap();
    }
    assert_cost(&end(running), 3, 3);
}
