//! What is handed over to be compared: times as they are, and what limits leave of the control.
#![allow(clippy::unwrap_used)]

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spop_proto::Value;
use testbed::backend::{Behaviour, Recorder, Response, Step};
use testbed::spop_client::{Request, SpopClient};
use testbed::wait;

use super::defects::{Running, end, start_comparing};
use crate::comparison::{End, Half, Intake, Pairing, Part, Recorded, Turn};
use crate::config::tests_support::target;
use crate::config::{Compare, ComparisonConfig, DropWhich, Share, TargetConfig};
use crate::outcome::DropReason;

/// A worker with this target as a candidate, a connection to it, and what comes to be compared.
fn start(config: TargetConfig) -> (Running, SpopClient, Receiver<Half>) {
    let (intake, halves) = Intake::new(&ComparisonConfig::default());
    let config = TargetConfig { compare: Compare::Candidate, ..config };
    let (running, client) = start_comparing(vec![config], Some(Arc::new(intake)));
    (running, client, halves)
}

/// A message with a request, whose answer is to come with the same id.
fn message(method: &str, path: &str) -> Vec<u8> {
    let block = Request::get(path).header_block();
    let arguments: [(&[u8], Value<'_>); 4] = [
        (b"method", Value::String(method.as_bytes())),
        (b"url", Value::String(path.as_bytes())),
        (b"hdrs", Value::Binary(&block)),
        (b"id", Value::String(path.as_bytes())),
    ];
    let mut payload = Vec::new();
    spop_proto::encode_message(b"asked", &arguments, &mut payload);
    payload
}

/// Which copies came to their end, and their answers.
fn ends(halves: &[Half]) -> Vec<(Turn, Option<&Recorded>)> {
    let of = |half| match half {
        &Half { part: Part::Shadow { end: End::Answered(ref answer), turn, .. }, .. } => {
            (turn, Some(&**answer))
        }
        &Half { part: Part::Shadow { turn, .. }, .. } => (turn, None),
        half => panic!("{half:?}"),
    };
    halves.iter().map(of).collect()
}

/// From the first byte sent: to the whole head, and to the end.
#[test]
fn an_answer_has_the_times_of_its_head_and_of_its_end() {
    const PAUSE: Duration = Duration::from_millis(100);
    let slow = Behaviour::steps(|_| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        // A head is not there with its first byte.
        let (begun, rest) = head.split_at(10);
        let send = |bytes: &[u8]| Step::Send(bytes.to_vec());
        let wait = || Step::Wait(PAUSE);
        vec![wait(), send(begun), wait(), send(rest), wait(), send(b"ok")]
    });
    let recorder = Recorder::with(slow);
    let (running, mut client, halves) = start(target(&recorder.url()));
    let mut apart = Duration::ZERO;
    for round in 0..5 {
        client.notify(round, 1, &message("GET", "/")).unwrap();
        let half = [halves.recv_timeout(wait::LIMIT).unwrap()];
        let [(Turn::Only, Some(answer))] = ends(&half)[..] else { panic!("{half:?}") };
        let (head, whole) = (answer.head_time.unwrap(), answer.time.unwrap());
        assert!(head >= 2 * PAUSE && whole >= 3 * PAUSE && head <= whole, "{head:?} {whole:?}");
        apart = apart.max(whole - head);
    }
    // A busy machine may see head and end at once, but not every time.
    assert!(apart >= PAUSE / 2, "{apart:?}");
    assert!(end(running).adds_up());
}

/// The queue has room for one, and prefers new copies: a second copy may push out the first one.
#[test]
fn what_limits_drop_of_two_copies_is_accounted_for() {
    let closed = Arc::new(Mutex::new(()));
    let gate = Arc::clone(&closed);
    let recorder = Recorder::with(Behaviour::custom(move |request| {
        drop(gate.lock().unwrap());
        Response::ok("ok").to_bytes(request.method())
    }));
    let mut config = TargetConfig { control: Share::ALL, ..target(&recorder.url()) };
    config.limits.in_flight = 1;
    config.limits.queue = 1;
    config.limits.drop = DropWhich::Oldest;
    let (running, mut client, halves) = start(config);
    // One that comes once, so that there is a connection, which no copy waits for.
    client.notify(1, 1, &message("POST", "/")).unwrap();
    assert_eq!(ends(&[halves.recv_timeout(wait::LIMIT).unwrap()])[0].0, Turn::Only);
    let shut = closed.lock().unwrap();
    // The worker looks at no answer before it is through with both.
    client.notify(2, 1, &[message("GET", "/a"), message("GET", "/b")].concat()).unwrap();
    assert_eq!(client.acks(2).unwrap(), [(1, 1), (2, 1)]);
    drop(shut);
    recorder.wait_for(3, wait::LIMIT);
    let tally = end(running);
    let halves: Vec<Half> = halves.try_iter().collect();

    // /a: the first is under way, the second gives way to /b; of /b the first gives way to the second.
    assert!(tally.adds_up(), "{tally}");
    assert_eq!((tally.received, tally.repeats), (5, 2), "{tally}");
    let full = tally.dropped().find(|(reason, _)| *reason == DropReason::QueueFull).unwrap();
    assert_eq!(full.1, 2, "{tally}");
    let mut turns: Vec<_> =
        ends(&halves).iter().map(|(turn, answer)| (*turn as u8, answer.is_some())).collect();
    turns.sort_unstable();
    let [first, second] = [Turn::First as u8, Turn::Second as u8];
    assert_eq!(turns, [(first, true), (second, false), (second, true)]);

    let (mut pairing, mut made) = (Pairing::default(), Vec::new());
    for half in halves {
        pairing.take(half, Instant::now(), &mut made);
    }
    let counts = pairing.counts();
    assert_eq!((counts.copies, counts.not_sent, counts.without_first), (3, 1, 1), "{counts:?}");
    assert_eq!((made.len(), pairing.waiting_copies()), (0, 1), "it waits for production");
}
