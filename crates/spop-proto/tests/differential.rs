//! A second opinion: the `spop` crate and this one agree on frames that either writes, on the
//! recorded ones, and on any bytes that both accept.
//!
//! They differ, on purpose, in what they accept and keep:
//! - `spop` makes strings and names UTF-8 and loses the bytes that are not; here strings are bytes.
//! - It cuts 32-bit integers that are too large; here they are an error. It shifts excess bits out
//!   of variable-length integers; here they are an error.
//! - It knows no fragments and of all capabilities only `pipelining`; it refuses reserved flags and
//!   frames of unknown kinds, and HELLO and DISCONNECT frames that have an item twice or not at
//!   all.
#![allow(clippy::unwrap_used)]

mod support;

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use spop::frames::{
    Ack, AgentDisconnect, AgentHello, FrameCapabilities, HaproxyDisconnect, HaproxyHello,
};
use spop::parser::parse_frame_with_limit;
use spop::types::typed_data;
use spop::{Action as TheirAction, FramePayload, SpopFrame, TypedData, VarScope, Version};
use spop_proto::{
    Action, Capabilities, Client, ClientEvent, ErrorKind, Flags, Frame, FrameType, Items, Messages,
    Scope, Settings, Status, Value, decode_frame, encode_frame, varint,
};
use support::generate::{bytes, integer, messages, payload, value};
use support::{Agent, Answer, Owned, Seen, SeenHello, SeenMessage};

#[test]
fn recorded_frames() {
    let (mut same, mut fragments) = (0, 0);
    for stream in recorded_streams() {
        let mut rest = &stream[..];
        while let Some(frame) = decode_frame(rest, u32::MAX).unwrap() {
            let theirs = parse_frame_with_limit(rest, u32::MAX);
            if frame.flags.is_fin() && frame.kind != FrameType::Unset {
                let (behind, theirs) = theirs.expect("a frame that they take");
                assert_eq!(behind.len(), rest.len() - frame.wire_len());
                assert_same_frame(&frame, &*theirs);
                same += 1;
            } else {
                assert!(theirs.is_err(), "they took a fragment");
                fragments += 1;
            }
            rest = &rest[frame.wire_len()..];
        }
    }
    assert_eq!((same, fragments), (356, 66));
}

proptest! {
    #[test]
    fn integers(number in integer()) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        varint::encode(number, &mut ours);
        spop::encode_varint_into(number, &mut theirs);
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn integers_of_any_bytes(input in vec(prop_oneof![any::<u8>(), 240u8..], 0..12)) {
        let theirs = spop::decode_varint(&input).map(|(rest, value)| (value, input.len() - rest.len()));
        match varint::decode(&input) {
            Ok(ours) => prop_assert_eq!(theirs.ok(), Some(ours)),
            Err(varint::VarintError::Truncated) => prop_assert!(theirs.is_err()),
            Err(varint::VarintError::Overflow) => {}
        }
    }

    #[test]
    fn values(ours in value()) {
        let mut encoded = Vec::new();
        ours.borrow().encode(&mut encoded);
        let (behind, theirs) = typed_data(&encoded).unwrap();
        prop_assert_eq!(behind, b"");
        prop_assert!(same_value(ours.borrow(), &theirs), "{ours:?} and {theirs:?}");
        if let Some(theirs) = lossless(&ours) {
            let mut again = Vec::new();
            theirs.to_bytes(&mut again);
            prop_assert_eq!(again, encoded);
        }
    }

    #[test]
    fn notifies_that_we_write(ids in (integer(), integer()), sent in messages()) {
        let mut stream = Vec::new();
        Client::new(u32::MAX).notify(ids.0, ids.1, &payload(&sent), &mut stream).unwrap();
        let (behind, theirs) = parse_frame_with_limit(&stream, u32::MAX).unwrap();
        prop_assert_eq!(behind, b"");
        assert_same_frame(&decode_frame(&stream, u32::MAX).unwrap().unwrap(), &*theirs);
    }

    #[test]
    fn notifies_of_any_bytes(content in prop_oneof![
        vec(any::<u8>(), 0..40),
        // Messages with a byte that is not as it was written.
        (messages(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(messages, at, byte)| {
            let mut content = payload(&messages);
            if !content.is_empty() {
                let at = at.index(content.len());
                content[at] = byte;
            }
            content
        }),
    ]) {
        let mut stream = Vec::new();
        encode_frame(FrameType::Notify, Flags::FIN, 1, 2, &mut stream, |output| {
            output.extend_from_slice(&content);
        });
        let ours: Result<Vec<_>, _> = Messages::new(&content, 0).collect();
        let theirs = parse_frame_with_limit(&stream, u32::MAX);
        match (ours, theirs) {
            (Ok(_), Ok((_, theirs))) => {
                assert_same_frame(&decode_frame(&stream, u32::MAX).unwrap().unwrap(), &*theirs);
            }
            (Ok(_), Err(error)) => return Err(TestCaseError::fail(format!("they refuse: {error}"))),
            (Err(error), Ok(_)) => {
                prop_assert!(matches!(error.kind, ErrorKind::OutOfRange | ErrorKind::BadVarint));
            }
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn hellos_of_haproxy(
        max_frame_size in 256..u32::MAX,
        pipelining in any::<bool>(),
        engine_id in proptest::option::of("[a-z0-9-]{0,40}"),
        healthcheck in any::<bool>(),
    ) {
        let ours = SeenHello {
            versions: b"2.0".to_vec(),
            max_frame_size,
            capabilities: Capabilities { pipelining, ..Capabilities::default() },
            engine_id: engine_id.clone().map(String::into_bytes),
            healthcheck,
        };
        let mut stream = Vec::new();
        ours.borrow().encode(&mut stream);
        let (_, theirs) = parse_frame_with_limit(&stream, u32::MAX).unwrap();
        assert_same_frame(&decode_frame(&stream, u32::MAX).unwrap().unwrap(), &*theirs);

        let theirs = HaproxyHello {
            supported_versions: vec![Version::new(2, 0, 0)],
            max_frame_size,
            capabilities: pipelining.then_some(FrameCapabilities::Pipelining).into_iter().collect(),
            healthcheck: healthcheck.then_some(true),
            engine_id,
        };
        let stream = key_values(FrameType::HaproxyHello, &theirs.to_kv_list());
        let agent = Agent::fed(Settings::default(), [&stream[..]]);
        prop_assert_eq!(agent.events, [Seen::Hello(ours)]);
    }

    #[test]
    fn hellos_of_agents(max_frame_size in any::<u32>(), pipelining in any::<bool>()) {
        let theirs = AgentHello {
            version: Version::new(2, 0, 0),
            max_frame_size,
            capabilities: pipelining.then_some(FrameCapabilities::Pipelining).into_iter().collect(),
        };
        let expected = Answer::Hello {
            version: b"2.0".to_vec(),
            max_frame_size,
            capabilities: Capabilities { pipelining, ..Capabilities::default() },
        };
        prop_assert_eq!(their_answer(&theirs), expected);
    }

    #[test]
    fn disconnects(status_code in any::<u32>(), message in ".{0,40}") {
        let status = Status::from_code(status_code);
        let expected = Answer::Disconnected { status, message: message.clone().into_bytes() };
        let theirs = AgentDisconnect { status_code, message: message.clone() };
        prop_assert_eq!(their_answer(&theirs), expected);

        let theirs = HaproxyDisconnect { status_code, message: message.clone() };
        let stream = key_values(FrameType::HaproxyDisconnect, &theirs.to_kv_list());
        let agent = Agent::fed(Settings::default(), [&stream[..]]);
        let expected = Seen::Disconnected { status, message: message.into_bytes() };
        prop_assert_eq!(agent.events, [expected]);

        let mut stream = Vec::new();
        Client::new(u32::MAX).disconnect(status, &mut stream);
        let (_, theirs) = parse_frame_with_limit(&stream, u32::MAX).unwrap();
        assert_same_frame(&decode_frame(&stream, u32::MAX).unwrap().unwrap(), &*theirs);
    }

    #[test]
    fn acks(
        ids in (integer(), integer()),
        actions in vec((0..5usize, "[a-z_.]{0,20}", proptest::option::of(value())), 0..5),
    ) {
        let mut theirs = Ack::new(ids.0, ids.1);
        let mut expected = Vec::new();
        for (scope, name, value) in &actions {
            let (their_scope, scope) = SCOPES[*scope];
            match value.as_ref().map(|value| (value, lossless(value))) {
                Some((value, Some(lossless))) => {
                    theirs.actions.push(TheirAction::SetVar {
                        scope: their_scope,
                        name: name.clone(),
                        value: lossless,
                    });
                    let name = name.as_bytes();
                    Action::SetVar { scope, name, value: value.borrow() }.encode(&mut expected);
                }
                _ => {
                    let name = name.clone();
                    theirs.actions.push(TheirAction::UnSetVar { scope: their_scope, name: name.clone() });
                    Action::UnsetVar { scope, name: name.as_bytes() }.encode(&mut expected);
                }
            }
        }
        let expected = Answer::Ack { stream_id: ids.0, frame_id: ids.1, actions: expected };
        prop_assert_eq!(their_answer(&theirs), expected);
    }

    /// What is lost of strings, and nothing else is.
    #[test]
    fn strings_that_are_not_utf8(content in bytes()) {
        let message = SeenMessage {
            name: content.clone(),
            arguments: vec![(content.clone(), Owned::String(content.clone()))],
        };
        let mut stream = Vec::new();
        Client::new(u32::MAX).notify(1, 1, &payload(&[message]), &mut stream).unwrap();
        let (_, theirs) = parse_frame_with_limit(&stream, u32::MAX).unwrap();
        let FramePayload::ListOfMessages(messages) = theirs.payload() else { panic!("no messages") };
        let lossy = String::from_utf8_lossy(&content).into_owned();
        prop_assert_eq!(&messages[0].name, &lossy);
        prop_assert_eq!(&messages[0].args, &[(lossy.clone(), TypedData::String(lossy))]);
    }
}

const SCOPES: [(VarScope, Scope); 5] = [
    (VarScope::Process, Scope::Process),
    (VarScope::Session, Scope::Session),
    (VarScope::Transaction, Scope::Transaction),
    (VarScope::Request, Scope::Request),
    (VarScope::Response, Scope::Response),
];

/// What this crate's client reads of a frame of theirs.
fn their_answer(frame: &dyn SpopFrame) -> Answer {
    let stream = frame.serialize().unwrap();
    let mut client = Client::new(u32::MAX);
    let (taken, event): (usize, Option<ClientEvent<'_>>) =
        client.receive(&stream).unwrap().unwrap();
    assert_eq!(taken, stream.len());
    event.unwrap().into()
}

/// A frame of HAProxy's with the items that they write. (They give metadata of their own only to
/// frames that they have read.)
fn key_values<'a>(
    kind: FrameType,
    items: impl IntoIterator<Item = (&'a String, &'a TypedData)>,
) -> Vec<u8> {
    let mut stream = Vec::new();
    encode_frame(kind, Flags::FIN, 0, 0, &mut stream, |output| {
        for (name, value) in items {
            spop::encode_varint_into(name.len() as u64, output);
            output.extend_from_slice(name.as_bytes());
            value.to_bytes(output);
        }
    });
    stream
}

fn assert_same_frame(ours: &Frame<'_>, theirs: &dyn SpopFrame) {
    let metadata = theirs.metadata();
    assert_eq!(ours.kind.byte(), theirs.frame_type().to_u8());
    assert_eq!((ours.stream_id, ours.frame_id), (metadata.stream_id, metadata.frame_id));
    assert_eq!(ours.flags.is_fin(), metadata.flags.is_fin());
    match theirs.payload() {
        FramePayload::ListOfMessages(messages) => {
            let ours: Vec<_> =
                Messages::new(ours.payload, ours.payload_offset).map(Result::unwrap).collect();
            assert_eq!(ours.len(), messages.len());
            for (ours, theirs) in ours.iter().zip(messages) {
                assert_eq!(lossy(ours.name), theirs.name);
                assert_eq!(ours.len(), theirs.args.len());
                for ((name, value), (their_name, their_value)) in ours.arguments().zip(&theirs.args)
                {
                    assert_eq!(lossy(name), *their_name);
                    assert!(same_value(value, their_value), "{value:?} and {their_value:?}");
                }
            }
        }
        FramePayload::KVList(theirs) => {
            let mut count = 0;
            for item in Items::new(ours) {
                let (name, value) = item.unwrap();
                let name = lossy(name).into_owned();
                let theirs = theirs.get(&name).unwrap_or_else(|| panic!("they lost {name}"));
                if name == "capabilities" {
                    let list = |bytes| Capabilities::parse(bytes).pipelining;
                    let TypedData::String(theirs) = theirs else { panic!("{theirs:?}") };
                    assert_eq!(list(value.as_bytes().unwrap()), list(theirs.as_bytes()));
                } else {
                    assert!(same_value(value, theirs), "{name}: {value:?} and {theirs:?}");
                }
                count += 1;
            }
            assert_eq!(count, theirs.len());
        }
        FramePayload::ListOfActions(_) => panic!("they read no ACK"),
    }
}

fn same_value(ours: Value<'_>, theirs: &TypedData) -> bool {
    match (ours, theirs) {
        (Value::Null, TypedData::Null) => true,
        (Value::Bool(ours), TypedData::Bool(theirs)) => ours == *theirs,
        (Value::Int32(ours), TypedData::Int32(theirs)) => ours == *theirs,
        (Value::Uint32(ours), TypedData::UInt32(theirs)) => ours == *theirs,
        (Value::Int64(ours), TypedData::Int64(theirs)) => ours == *theirs,
        (Value::Uint64(ours), TypedData::UInt64(theirs)) => ours == *theirs,
        (Value::Ipv4(ours), TypedData::IPv4(theirs)) => ours == *theirs,
        (Value::Ipv6(ours), TypedData::IPv6(theirs)) => ours == *theirs,
        (Value::String(ours), TypedData::String(theirs)) => lossy(ours) == *theirs,
        (Value::Binary(ours), TypedData::Binary(theirs)) => ours == theirs,
        _ => false,
    }
}

/// The same value of theirs, unless it is a string that they cannot hold.
fn lossless(ours: &Owned) -> Option<TypedData> {
    Some(match ours {
        Owned::Null => TypedData::Null,
        Owned::Bool(value) => TypedData::Bool(*value),
        Owned::Int32(number) => TypedData::Int32(*number),
        Owned::Uint32(number) => TypedData::UInt32(*number),
        Owned::Int64(number) => TypedData::Int64(*number),
        Owned::Uint64(number) => TypedData::UInt64(*number),
        Owned::Ipv4(address) => TypedData::IPv4(*address),
        Owned::Ipv6(address) => TypedData::IPv6(*address),
        Owned::String(bytes) => TypedData::String(String::from_utf8(bytes.clone()).ok()?),
        Owned::Binary(bytes) => TypedData::Binary(bytes.clone()),
    })
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn recorded_streams() -> Vec<Vec<u8>> {
    fn folders(root: &Path) -> Vec<PathBuf> {
        let paths = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.is_dir()).collect()
    }
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/captures"));
    folders(root)
        .iter()
        .flat_map(|capture| folders(capture))
        .map(|connection| fs::read(connection.join("haproxy-to-agent.bin")).unwrap())
        .collect()
}
