//! Frames that no HAProxy sends: each ends its own connection, with the status that the protocol has for
//! it and one line in the log, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::time::Instant;

use spop_proto::{Flags, FrameType, Status, Value, encode_frame, encode_message, varint};
use testbed::agent::Agent;
use testbed::backend::Recorder;
use testbed::spop_client::{FRAME_SIZE, Request};
use testbed::wait;

use running::mirror::{Mirror, PROGRAM};
use running::spop::{self, Peer, Said};

/// A frame with FIN and this payload.
fn frame(kind: FrameType, payload: &[u8]) -> Vec<u8> {
    frame_with(kind, Flags::FIN, payload)
}

fn frame_with(kind: FrameType, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(kind, flags, 7, 1, &mut bytes, |output| output.extend_from_slice(payload));
    bytes
}

/// The payload of a NOTIFY with a request.
fn get(path: &str) -> Vec<u8> {
    Request::get(path).payload()
}

/// A frame's bytes with a length of their own.
fn raw(length: u32, rest: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes(), rest].concat()
}

/// The items of a HELLO or DISCONNECT.
fn items(items: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in items {
        varint::encode(name.len() as u64, &mut payload);
        payload.extend_from_slice(name.as_bytes());
        value.encode(&mut payload);
    }
    payload
}

const VERSIONS: (&str, Value<'_>) = ("supported-versions", Value::String(b"2.0"));
const SIZE: (&str, Value<'_>) = ("max-frame-size", Value::Uint32(16380));
const CAPABILITIES: (&str, Value<'_>) = ("capabilities", Value::String(b"pipelining"));

fn hello(list: &[(&str, Value<'_>)]) -> Vec<u8> {
    frame(FrameType::HaproxyHello, &items(list))
}

/// A mistake, and what becomes of it.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    /// NOTIFY frames among them that are acknowledged before the mistake is seen.
    acks: usize,
    status: Status,
    /// What the log line says besides the peer: frame type and offset, then the reason.
    says: [&'static str; 2],
}

impl Case {
    fn new(name: &'static str, bytes: Vec<u8>, status: Status, says: [&'static str; 2]) -> Self {
        Self { name, bytes, acks: 0, status, says }
    }

    fn after_acks(mut self, acks: usize) -> Self {
        self.acks = acks;
        self
    }
}

/// Each case by itself: the peer sends its bytes, after HELLO if `greets`, while another one works.
fn assert_each_ends_its_connection_only(cases: Vec<Case>, greets: bool) {
    for case in cases {
        let Case { name, bytes, acks, status, says } = case;
        let shadow = Recorder::start();
        let mut mirror = Mirror::start(&["-u", &shadow.url()]);
        let mut bystander = Peer::greeted(mirror.address);
        bystander.mirror(1, "/before");
        let mut peer = Peer::connect(mirror.address);
        if greets {
            peer.greet(FRAME_SIZE);
        }
        peer.try_send(&bytes);
        for _ in 0..acks {
            assert_eq!(peer.read(), Said::Ack(7, 1), "{name}");
        }
        assert_eq!(peer.read(), Said::Disconnect(status), "{name}");
        assert_eq!(peer.read(), Said::End, "{name}");
        bystander.mirror(2, "/after");
        shadow.wait_count(2, wait::LIMIT);

        let line = mirror.wait_told(&format!(" {}: ", peer.name()));
        let status_text = format!("status {} ({})", status.code(), status.text());
        for part in ["WARN", says[0], says[1], &status_text] {
            assert!(line.contains(part), "{name}: {part:?} is not in {line:?}");
        }
        let tally = mirror.finish();
        assert_eq!(mirror.told(&peer.name()).len(), 1, "{name}: one line");
        assert_eq!(mirror.told("WARN").len(), 1, "{name}: {:?}", mirror.told("WARN"));
        assert_eq!(tally.spop.protocol_errors, 1, "{name}");
        assert_eq!((tally.target().received, tally.target().answers()), (2, 2), "{name}");
    }
}

#[test]
fn mistakes_before_and_in_hello() {
    let invalid = Status::Invalid;
    let cases = vec![
        Case::new(
            "another protocol",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            Status::TooBig,
            ["offset 0", "16384 are allowed"],
        ),
        Case::new(
            "a frame of no bytes",
            raw(0, &[]),
            invalid,
            ["frame header, offset 0", "shorter than"],
        ),
        Case::new(
            "a frame of three bytes",
            raw(3, &[1, 0, 0]),
            invalid,
            ["HAPROXY-HELLO frame, offset 0", "shorter than"],
        ),
        Case::new(
            "NOTIFY instead of HELLO",
            frame(FrameType::Notify, &get("/")),
            invalid,
            ["NOTIFY frame, offset 11", "may not come here"],
        ),
        Case::new(
            "an agent's frame",
            frame(FrameType::AgentHello, b""),
            invalid,
            ["AGENT-HELLO frame, offset 11", "may not come here"],
        ),
        Case::new(
            "no version",
            hello(&[SIZE, CAPABILITIES]),
            Status::NoVersion,
            ["HAPROXY-HELLO frame", "`supported-versions` is missing"],
        ),
        Case::new(
            "no frame size",
            hello(&[VERSIONS, CAPABILITIES]),
            Status::NoFrameSize,
            ["HAPROXY-HELLO frame", "`max-frame-size` is missing"],
        ),
        Case::new(
            "no capabilities",
            hello(&[VERSIONS, SIZE]),
            Status::NoCapabilities,
            ["HAPROXY-HELLO frame", "`capabilities` is missing"],
        ),
        Case::new(
            "a version of the future",
            hello(&[("supported-versions", Value::String(b"3.0, 4.1")), SIZE, CAPABILITIES]),
            Status::UnsupportedVersion,
            ["HAPROXY-HELLO frame", "no supported version"],
        ),
        Case::new(
            "frames too small",
            hello(&[VERSIONS, ("max-frame-size", Value::Uint32(255)), CAPABILITIES]),
            Status::BadFrameSize,
            ["HAPROXY-HELLO frame", "under the minimum of 256"],
        ),
        Case::new(
            "a size that is no number",
            hello(&[VERSIONS, ("max-frame-size", Value::String(b"big")), CAPABILITIES]),
            invalid,
            ["HAPROXY-HELLO frame, offset 50", "another type"],
        ),
        Case::new(
            "a HELLO in fragments",
            frame_with(FrameType::HaproxyHello, Flags(0), &items(&[VERSIONS, SIZE, CAPABILITIES])),
            Status::FragmentationNotSupported,
            ["HAPROXY-HELLO frame, offset 11", "fragmentation was not announced"],
        ),
    ];
    assert_each_ends_its_connection_only(cases, false);
}

#[test]
fn frames_that_are_malformed_or_out_of_place() {
    let invalid = Status::Invalid;
    let fragment = frame_with(FrameType::Notify, Flags(0), &[1, b'm']);
    let good = frame(FrameType::Notify, &get("/"));
    let piece = vec![b'x'; 16_000];
    let mut endless = frame_with(FrameType::Notify, Flags(0), &piece);
    for _ in 0..66 {
        endless.extend(frame_with(FrameType::Unset, Flags(0), &piece));
    }
    let cases = vec![
        Case::new(
            "a second HELLO",
            spop::hello(),
            invalid,
            ["HAPROXY-HELLO frame", "may not come here"],
        ),
        Case::new(
            "an ACK from HAProxy",
            frame(FrameType::Ack, b""),
            invalid,
            ["ACK frame, offset 11", "may not come here"],
        ),
        Case::new(
            "a frame longer than agreed",
            raw(16_381, &[3, 0, 0, 0, 1]),
            Status::TooBig,
            ["NOTIFY frame, offset 0", "frame of 16381 bytes, 16380 are allowed"],
        ),
        Case::new(
            "a length of four thousand million bytes",
            raw(u32::MAX, &[3]),
            Status::TooBig,
            ["NOTIFY frame, offset 0", "frame of 4294967295 bytes"],
        ),
        Case::new(
            "a stream-id without an end",
            raw(
                20,
                &[
                    3, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
                    255, 0,
                ],
            ),
            invalid,
            ["NOTIFY frame, offset 9", "variable-length integer"],
        ),
        Case::new(
            "a frame that ends within its ids",
            raw(7, &[3, 0, 0, 0, 1, 250, 130]),
            invalid,
            ["NOTIFY frame, offset 9", "past the end"],
        ),
        Case::new(
            "a continuation of nothing",
            frame(FrameType::Unset, b"x"),
            Status::FrameIdNotFound,
            ["UNSET frame, offset 11", "continues no known frame"],
        ),
        Case::new(
            "a NOTIFY between fragments",
            [fragment.clone(), good].concat(),
            Status::Interlaced,
            ["NOTIFY frame, offset 11", "inside another one's fragments"],
        ),
        Case::new(
            "fragments without an end",
            endless,
            Status::TooBig,
            ["UNSET frame, offset 11", "more than the 1048576 bytes allowed"],
        ),
        Case::new(
            "a DISCONNECT whose status is no number",
            frame(FrameType::HaproxyDisconnect, &items(&[("status-code", Value::String(b"0"))])),
            invalid,
            ["HAPROXY-DISCONNECT frame, offset 23", "another type"],
        ),
    ];
    assert_each_ends_its_connection_only(cases, true);
}

/// The payload is looked into only after the ACK: these are acknowledged first.
#[test]
fn messages_that_are_malformed() {
    let invalid = Status::Invalid;
    let notify = |payload: &[u8]| frame(FrameType::Notify, payload);
    let mut lies = Vec::new();
    encode_message(b"m", &[(b"a", Value::Null)], &mut lies);
    lies[2] = 9;
    let good = get("/");
    let mut cut = good.clone();
    cut.truncate(good.len() - 1);
    let mut in_two = frame_with(FrameType::Notify, Flags(0), &[1]);
    in_two.extend(frame(FrameType::Unset, &[b'm', 1, 1, b'a', 15]));
    let cases = vec![
        Case::new(
            "a name longer than the frame",
            notify(&[200, b'm']),
            invalid,
            ["NOTIFY frame, offset 12", "past the end"],
        ),
        Case::new(
            "more arguments announced than there are",
            notify(&lies),
            invalid,
            ["NOTIFY frame, offset 17", "past the end"],
        ),
        Case::new(
            "a type that does not exist",
            notify(&[1, b'm', 1, 1, b'a', 15]),
            invalid,
            ["NOTIFY frame, offset 16", "value type 15"],
        ),
        Case::new(
            "an integer that does not end",
            notify(&[
                1, b'm', 1, 1, b'a', 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
            ]),
            invalid,
            ["NOTIFY frame, offset 17", "variable-length integer"],
        ),
        Case::new(
            "an address of three bytes",
            notify(&[1, b'm', 1, 1, b'a', 6, 127, 0, 0]),
            invalid,
            ["NOTIFY frame, offset 17", "past the end"],
        ),
        Case::new("a body that is cut", notify(&cut), invalid, ["NOTIFY frame", "past the end"]),
        Case::new(
            "a malformed message in fragments",
            in_two,
            invalid,
            ["NOTIFY frame, offset 5", "value type 15"],
        ),
    ];
    let cases = cases.into_iter().map(|case| case.after_acks(1)).collect();
    assert_each_ends_its_connection_only(cases, true);
}

/// What is acknowledged in the same read as the mistake is copied: nothing disappears.
#[test]
fn requests_acknowledged_with_the_mistake_are_copied() {
    let shadow = Recorder::start();
    let mut mirror = Mirror::start(&["-u", &shadow.url()]);
    let mut peer = Peer::greeted(mirror.address);
    let good = frame(FrameType::Notify, &get("/good"));
    let bad = frame(FrameType::Notify, &[200]);
    peer.send(&[good.as_slice(), &good, &bad, &good].concat());
    shadow.wait_count(3, wait::LIMIT);
    let tally = mirror.finish();
    assert_eq!((tally.spop.protocol_errors, tally.target().answers()), (1, 3), "{tally:?}");
}

#[test]
fn frames_of_unknown_kinds_and_frames_given_up_are_no_mistakes() {
    let shadow = Recorder::start();
    let mut mirror = Mirror::start(&["-u", &shadow.url()]);
    let mut peer = Peer::greeted(mirror.address);
    peer.send(&frame(FrameType::Unknown(42), b"whatever"));
    peer.mirror(1, "/a");
    peer.send(&frame_with(FrameType::Notify, Flags(0), &[1, b'm']));
    peer.send(&frame_with(FrameType::Unset, Flags(3), b""));
    peer.mirror(2, "/b");
    shadow.wait_count(2, wait::LIMIT);
    let tally = mirror.finish();
    assert_eq!((tally.spop.protocol_errors, tally.spop.aborted), (0, 1), "{tally:?}");
    assert_eq!(mirror.told("WARN"), [""; 0]);
}

/// Many mistakes at once are summed up: a flood of them does not flood the log.
#[test]
fn many_mistakes_get_few_lines() {
    let mut mirror = Mirror::start(&[]);
    let started = Instant::now();
    let count = 500;
    for _ in 0..count {
        let mut peer = Peer::connect(mirror.address);
        peer.send(&raw(0, &[]));
        assert_eq!(peer.read(), Said::Disconnect(Status::Invalid));
    }
    // Twenty lines a second are let through.
    let most = 20 * (started.elapsed().as_secs() + 2);
    let tally = mirror.finish();
    assert_eq!(tally.spop.protocol_errors, count);
    let lines = mirror.told("the connection is closed with status").len() as u64;
    assert!((20..=most.min(count)).contains(&lines), "{lines} lines, at most {most}");
}

/// 64 connections, each with half a frame of 1 MiB: what is kept of them is bounded by the sizes agreed
/// on, and other connections are served meanwhile.
#[test]
fn half_frames_stay_within_bounds() {
    const FRAME: u32 = 1 << 20;
    const CONNECTIONS: usize = 64;
    let shadow = Recorder::start();
    let mut mirror = Mirror::start(&["-u", &shadow.url(), "--max-frame-size", "1M"]);
    let mut bystander = Peer::greeted(mirror.address);
    bystander.mirror(1, "/before");
    let idle = mirror.process.rss();

    // A message with a value that fills the frame, and no request.
    let mut notify = Vec::new();
    let filler = vec![b'x'; FRAME as usize - 40];
    encode_message(b"filler", &[(b"value", Value::Binary(&filler))], &mut notify);
    let bytes = frame(FrameType::Notify, &notify);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut peers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let mut peer = Peer::connect(mirror.address);
            peer.greet(FRAME);
            peer.send(first);
            peer
        })
        .collect();
    bystander.mirror(2, "/meanwhile");
    for peer in &mut peers {
        peer.send(second);
        assert_eq!(peer.read(), Said::Ack(7, 1));
    }
    let bound = CONNECTIONS as u64 * u64::from(FRAME) + (16 << 20);
    let grown = mirror.process.peak_rss().saturating_sub(idle);
    assert!(grown <= bound, "{grown} bytes more than idle, {bound} allowed");
    let tally = mirror.finish();
    assert_eq!(tally.spop.incomplete, CONNECTIONS as u64);
    assert_eq!(tally.target().answers(), 2);
}

/// HAProxy greets at once. Who does not, or does not come to an end with it, is closed after 10 s; who has
/// greeted may be silent for as long as he likes.
#[test]
fn a_peer_that_never_says_hello_is_closed() {
    let mirror = Mirror::start(&[]);
    let mut greeted = Peer::greeted(mirror.address);
    let mut silent = Peer::connect(mirror.address);
    let mut slow = Peer::connect(mirror.address);
    slow.send(&spop::hello()[..20]);
    for peer in [&mut silent, &mut slow] {
        assert_eq!(peer.read(), Said::Disconnect(Status::Timeout));
        assert_eq!(peer.read(), Said::End);
    }
    greeted.mirror(1, "/");
    // Only the one about the missing --mirror-url: such peers are not worth a line.
    assert_eq!(mirror.told("WARN").len(), 1, "{:?}", mirror.told("WARN"));
}

#[test]
fn a_peer_on_a_unix_socket_is_named_by_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listen = format!("unix:{}", socket.display());
    let agent = Agent::start(PROGRAM, ["-a", &listen]);
    agent.wait_line(wait::LIMIT, |line| line.contains("listening on"));
    let mut peer = Peer::greeted_unix(&socket);
    peer.send(&raw(0, &[]));
    assert_eq!(peer.read(), Said::Disconnect(Status::Invalid));
    agent.wait_line(wait::LIMIT, |line| line.contains(&format!(" {listen}: frame header")));
}
