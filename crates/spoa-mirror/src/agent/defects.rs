//! What a defect in this program costs: one copy, and nothing else.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use spop_proto::Settings;
use testbed::backend::Recorder;
use testbed::spop_client::{Request, SpopClient};
use testbed::wait;

use super::stream::Accepted;
use super::{Plan, Route, TargetPlan, Workers};
use crate::config::tests_support::target;
use crate::config::{CopyLines, LogConfig, LogFormat, Marker};
use crate::log::Sink;
use crate::outcome::{Failure, Tally};
use crate::target::{Shared, resolve};

/// A worker with this target, and a connection to it.
fn start(recorder: &Recorder) -> (Workers, SpopClient) {
    let config = target(&recorder.url());
    let marker = Marker { name: Some("x-shadow".to_owned()), max_hops: 1 };
    let (_, addresses) = resolve::resolver(&config.url.host, config.url.port);
    let shared = Arc::new(Shared::new(config, marker.clone()));
    let log = LogConfig {
        file: None,
        level: tracing::Level::INFO,
        format: LogFormat::Text,
        copies: CopyLines::None,
    };
    let plan = Plan {
        settings: Settings::default(),
        route: Route { marker, targets: vec![TargetPlan { shared, tls: None, addresses }] },
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
    (workers, client.join().unwrap())
}

fn end(workers: Workers) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let last = runtime.block_on(workers.wind_down(deadline, Arc::new(AtomicBool::new(false))));
    assert_eq!((last.workers, last.targets.len()), (1, 1));
    last.targets.into_values().next().unwrap()
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
    let (workers, mut client) = start(&recorder);
    for round in 0..3 {
        let messages = [&b"GET"[..], b"DEFECT", b"GET"].map(|method| payload(method, "/"));
        client.notify(round, 1, &messages.concat()).unwrap();
        assert_eq!(client.acks(1).unwrap(), [(round, 1)]);
    }
    recorder.wait_count(6, wait::LIMIT);
    let tally = end(workers);
    assert!(tally.adds_up(), "{tally}");
    assert_eq!((tally.received, internal(&tally)), (9, 3), "{tally}");
    assert_eq!(tally.answered().map(|(_, count)| count).sum::<u64>(), 6, "{tally}");
}

/// The connection that it happened on is closed; others take its place.
#[test]
fn one_while_an_answer_is_read() {
    let recorder = Recorder::start();
    let (workers, mut client) = start(&recorder);
    for (round, method) in [b"GET".as_slice(), b"LATE-DEFECT", b"GET"].into_iter().enumerate() {
        let round = u64::try_from(round).unwrap();
        client.notify(round, 1, &payload(method, "/")).unwrap();
        assert_eq!(client.acks(1).unwrap(), [(round, 1)]);
        recorder.wait_count(round + 1, wait::LIMIT);
    }
    let tally = end(workers);
    assert!(tally.adds_up(), "{tally}");
    assert_eq!((tally.received, internal(&tally)), (3, 1), "{tally}");
    assert_eq!(tally.answered().map(|(_, count)| count).sum::<u64>(), 2, "{tally}");
}
