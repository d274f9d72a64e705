//! Every recorded stream decodes to what was written down of it, however its bytes arrive, and is
//! answered as HAProxy expects. `data/captures/README.md` says what the streams are.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};
use spop_proto::{
    Capabilities, Client, FrameType, HeaderBlock, Settings, Status, decode_frame, needed,
};
use support::{Agent, Answer, Owned, Seen, SeenHello, SeenMessage, answers, random_pieces};

#[test]
fn frames_are_those_that_were_recorded() {
    for capture in captures() {
        for (stream, frames) in [
            (&capture.from_haproxy, &capture.haproxy_frames),
            (&capture.from_agent, &capture.agent_frames),
        ] {
            let mut rest = &stream[..];
            for expected in frames {
                let frame = decode_frame(rest, u32::MAX).unwrap().expect("the stream ends early");
                let found = (
                    frame.kind,
                    u64::from(frame.flags.0),
                    frame.stream_id,
                    frame.frame_id,
                    frame.payload.len() as u64,
                );
                let number = |key| expected[key].as_u64().unwrap();
                let recorded = (
                    kind(expected["type"].as_str().unwrap()),
                    number("flags"),
                    number("stream"),
                    number("frame"),
                    number("payload"),
                );
                assert_eq!(found, recorded, "{}", capture.name);
                assert_eq!(needed(rest), Some(frame.wire_len()));
                rest = &rest[frame.wire_len()..];
            }
            assert_eq!(rest, b"", "{}: bytes behind the last frame", capture.name);
        }
    }
}

#[test]
fn whole_streams_tell_what_was_recorded_and_get_the_right_answers() {
    for capture in captures() {
        let agent = Agent::fed(Settings::default(), [&capture.from_haproxy[..]]);
        assert_eq!(told(&agent.events), capture.told(), "{}", capture.name);
        assert_eq!(agent.answers(), capture.right_answers(), "{}", capture.name);
        assert_eq!(agent.stash, b"", "{}", capture.name);
    }
}

#[test]
fn any_cutting_tells_the_same_and_gets_the_same_answers() {
    for capture in captures() {
        let stream = &capture.from_haproxy[..];
        let whole = Agent::fed(Settings::default(), [stream]);
        let mut cuttings = vec![stream.chunks(1).collect(), capture.recorded_pieces("H", stream)];
        cuttings.extend((0..8).map(|seed| random_pieces(stream, seed)));
        for pieces in cuttings {
            let lengths: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
            let agent = Agent::fed(Settings::default(), pieces);
            assert_eq!(agent.events, whole.events, "{}, cut in {lengths:?}", capture.name);
            assert_eq!(agent.output, whole.output, "{}, cut in {lengths:?}", capture.name);
            assert_eq!(agent.stash, b"", "{}, cut in {lengths:?}", capture.name);
        }
    }
}

#[test]
fn recorded_agents_are_understood_however_their_bytes_arrive() {
    for capture in captures() {
        let stream = &capture.from_agent[..];
        let recorded: Vec<_> = capture.agent_frames.iter().map(recorded_answer).collect();
        assert_eq!(answers(&mut capture.client(), stream), recorded, "{}", capture.name);

        let mut cuttings = vec![stream.chunks(1).collect(), capture.recorded_pieces("A", stream)];
        cuttings.extend((0..8).map(|seed| random_pieces(stream, seed)));
        for pieces in cuttings {
            let (mut client, mut stash, mut found) = (capture.client(), Vec::new(), Vec::new());
            for piece in pieces {
                stash.extend_from_slice(piece);
                while let Some((taken, event)) = client.receive(&stash).unwrap() {
                    found.extend(event.map(Answer::from));
                    stash.drain(..taken);
                }
            }
            assert_eq!(found, recorded, "{}", capture.name);
        }
    }
}

#[test]
fn headers_keep_their_order_repetition_and_bytes() {
    for version in ["2.6", "3.4"] {
        let name = format!("{version}-basic/conn-02");
        let capture = captures().into_iter().find(|capture| capture.name == name).unwrap();
        let agent = Agent::fed(Settings::default(), [&capture.from_haproxy[..]]);
        let block = agent
            .events
            .iter()
            .find_map(|event| match event {
                Seen::Notify { messages, .. }
                    if bytes(messages[0].get("arg_path")) == Some(b"/get2") =>
                {
                    bytes(messages[0].get("arg_hdrs"))
                }
                _ => None,
            })
            .expect("the request for /get2");
        let headers: Vec<_> = HeaderBlock::new(block).map(Result::unwrap).collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"x-a", b"1"), (b"x-a", b"2"), (b"x-empty", b""), (b"x-bin", b"caf\xc3\xa9 \xff")];
        let custom: Vec<_> =
            headers.into_iter().filter(|(name, _)| name.starts_with(b"x-")).collect();
        assert_eq!(custom, expected, "{name}");
    }
}

/// One recorded connection.
struct Capture {
    name: String,
    folder: PathBuf,
    from_haproxy: Vec<u8>,
    from_agent: Vec<u8>,
    haproxy_frames: Vec<Json>,
    agent_frames: Vec<Json>,
}

fn captures() -> Vec<Capture> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/captures"));
    let mut captures = Vec::new();
    for entry in fs::read_dir(&root).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let text = fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected: Map<String, Json> = serde_json::from_str(&text).unwrap();
        for (connection, sides) in expected {
            let capture = folder.file_name().unwrap().to_str().unwrap();
            let frames = |side: &str| sides[side].as_array().unwrap().clone();
            let folder = folder.join(&connection);
            captures.push(Capture {
                name: format!("{capture}/{connection}"),
                from_haproxy: fs::read(folder.join("haproxy-to-agent.bin")).unwrap(),
                from_agent: fs::read(folder.join("agent-to-haproxy.bin")).unwrap(),
                folder,
                haproxy_frames: frames("haproxy_to_agent"),
                agent_frames: frames("agent_to_haproxy"),
            });
        }
    }
    assert_eq!(captures.len(), 99, "recorded connections");
    captures
}

impl Capture {
    /// What must be told of HAProxy's stream.
    fn told(&self) -> Vec<Told> {
        let mut told = Vec::new();
        let mut fragments = 0;
        for frame in &self.haproxy_frames {
            let number = |key| frame[key].as_u64().unwrap();
            let items = &frame["kv"];
            match frame["type"].as_str().unwrap() {
                "HA-HELLO" => told.push(Told::Hello(SeenHello {
                    versions: text(&items["supported-versions"]),
                    max_frame_size: u32::try_from(items["max-frame-size"].as_u64().unwrap())
                        .unwrap(),
                    capabilities: Capabilities::parse(&text(&items["capabilities"])),
                    engine_id: items.get("engine-id").map(text),
                    healthcheck: items.get("healthcheck").is_some_and(|v| v.as_bool().unwrap()),
                })),
                "HA-DISCONNECT" => told.push(Told::Disconnected {
                    status: items["status-code"].as_u64().unwrap(),
                    message: text(&items["message"]),
                }),
                "HA-NOTIFY" | "UNSET" => {
                    fragments += number("payload");
                    if frame.get("fragment").is_some() {
                        continue;
                    }
                    let messages = frame["messages"].as_array().unwrap();
                    told.push(Told::Notify {
                        stream_id: number("stream"),
                        frame_id: number("frame"),
                        payload_len: std::mem::take(&mut fragments),
                        requests: messages.iter().map(Request::recorded).collect(),
                    });
                }
                other => panic!("{}: frame type {other}", self.name),
            }
        }
        told
    }

    /// What this crate must answer: one ACK for each NOTIFY, in their order and with their ids.
    fn right_answers(&self) -> Vec<Answer> {
        self.told()
            .into_iter()
            .map(|told| match told {
                Told::Hello(hello) => Answer::hello(hello.max_frame_size, true),
                Told::Notify { stream_id, frame_id, .. } => Answer::ack(stream_id, frame_id),
                Told::Disconnected { .. } => Answer::disconnected(Status::Normal),
            })
            .collect()
    }

    /// HAProxy's side of this connection.
    fn client(&self) -> Client {
        let offered = self.haproxy_frames[0]["kv"]["max-frame-size"].as_u64().unwrap();
        Client::new(u32::try_from(offered).unwrap())
    }

    /// `stream` as the relay read it from this direction.
    fn recorded_pieces<'a>(&self, direction: &str, stream: &'a [u8]) -> Vec<&'a [u8]> {
        let times = fs::read_to_string(self.folder.join("times.txt")).unwrap();
        let mut pieces = Vec::new();
        for line in times.lines() {
            let fields: Vec<_> = line.split(' ').collect();
            if fields[0] == direction {
                let start: usize = fields[1].parse().unwrap();
                let len: usize = fields[2].parse().unwrap();
                pieces.push(&stream[start..start + len]);
            }
        }
        assert_eq!(pieces.concat(), stream, "{}", self.name);
        pieces
    }
}

/// What is written down of an event.
#[derive(Debug, PartialEq)]
enum Told {
    Hello(SeenHello),
    Notify { stream_id: u64, frame_id: u64, payload_len: u64, requests: Vec<Request> },
    Disconnected { status: u64, message: Vec<u8> },
}

/// What is written down of a message.
#[derive(Debug, PartialEq)]
struct Request {
    name: Vec<u8>,
    method: Vec<u8>,
    path: Vec<u8>,
    version: Vec<u8>,
    /// None where the headers are a string.
    header_pairs: Option<u64>,
    headers_len: u64,
    body_len: u64,
    body_null: bool,
    body_sha256: String,
}

impl Request {
    fn recorded(message: &Json) -> Self {
        Self {
            name: text(&message["name"]),
            method: text(&message["method"]),
            path: text(&message["path"]),
            version: text(&message["ver"]),
            header_pairs: message["header_pairs"].as_u64(),
            headers_len: message["hdrs_len"].as_u64().unwrap(),
            body_len: message["body_len"].as_u64().unwrap(),
            body_null: message["body_null"].as_bool().unwrap(),
            body_sha256: message["body_sha256"].as_str().unwrap().to_owned(),
        }
    }

    fn found(message: &SeenMessage) -> Self {
        let argument = |name| bytes(message.get(name)).expect(name).to_vec();
        let headers = message.get("arg_hdrs").expect("arg_hdrs");
        let body = message.get("arg_body").expect("arg_body");
        let body_bytes = bytes(Some(body)).unwrap_or_default();
        Self {
            name: message.name.clone(),
            method: argument("arg_method"),
            path: argument("arg_path"),
            version: argument("arg_ver"),
            header_pairs: match headers {
                Owned::Binary(block) => {
                    Some(HeaderBlock::new(block).map(Result::unwrap).count() as u64)
                }
                _ => None,
            },
            headers_len: bytes(Some(headers)).expect("headers").len() as u64,
            body_len: body_bytes.len() as u64,
            body_null: *body == Owned::Null,
            body_sha256: Sha256::digest(body_bytes).iter().map(|b| format!("{b:02x}")).collect(),
        }
    }
}

/// What a capture writes down of these events.
fn told(events: &[Seen]) -> Vec<Told> {
    let told = events.iter().map(|event| match event {
        Seen::Hello(hello) => Told::Hello(hello.clone()),
        Seen::Notify { stream_id, frame_id, payload_len, messages, error: None } => Told::Notify {
            stream_id: *stream_id,
            frame_id: *frame_id,
            payload_len: *payload_len as u64,
            requests: messages.iter().map(Request::found).collect(),
        },
        Seen::Disconnected { status, message } => {
            Told::Disconnected { status: status.code().into(), message: message.clone() }
        }
        other => panic!("no HAProxy did this: {other:?}"),
    });
    told.collect()
}

/// What a capture says that the agent answered.
fn recorded_answer(frame: &Json) -> Answer {
    let items = &frame["kv"];
    let number = |value: &Json| u32::try_from(value.as_u64().unwrap()).unwrap();
    match frame["type"].as_str().unwrap() {
        "AG-HELLO" => Answer::Hello {
            version: text(&items["version"]),
            max_frame_size: number(&items["max-frame-size"]),
            capabilities: Capabilities::parse(&text(&items["capabilities"])),
        },
        "AG-ACK" => {
            Answer::ack(frame["stream"].as_u64().unwrap(), frame["frame"].as_u64().unwrap())
        }
        "AG-DISCONNECT" => Answer::Disconnected {
            status: Status::from_code(number(&items["status-code"])),
            message: text(&items["message"]),
        },
        other => panic!("frame type {other}"),
    }
}

fn kind(name: &str) -> FrameType {
    match name {
        "UNSET" => FrameType::Unset,
        "HA-HELLO" => FrameType::HaproxyHello,
        "HA-DISCONNECT" => FrameType::HaproxyDisconnect,
        "HA-NOTIFY" => FrameType::Notify,
        "AG-HELLO" => FrameType::AgentHello,
        "AG-DISCONNECT" => FrameType::AgentDisconnect,
        "AG-ACK" => FrameType::Ack,
        other => panic!("frame type {other}"),
    }
}

fn text(value: &Json) -> Vec<u8> {
    value.as_str().unwrap().into()
}

fn bytes(value: Option<&Owned>) -> Option<&[u8]> {
    value.and_then(|value| value.borrow().as_bytes())
}
