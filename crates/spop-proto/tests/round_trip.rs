//! Whatever is encoded decodes to itself: integers, values, messages, frames, header blocks,
//! handshakes and actions; and a decoder never reads past what it was given.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use spop_proto::varint::{self, VarintError};
use spop_proto::{
    Action, Actions, AgentHello, Client, ClientEvent, Connection, ErrorKind, Event, Flags,
    FrameType, HeaderBlock, HeaderBlockError, Items, LENGTH_PREFIX, Messages, Scope, Settings,
    Status, Value, decode_frame, encode_frame, encode_header_block, needed,
};
use support::generate::{bytes, capabilities, hello, integer, messages, payload, value};
use support::{Owned, Seen, SeenMessage};

proptest! {
    #[test]
    fn integers(value in integer(), behind in bytes()) {
        let mut encoded = Vec::new();
        varint::encode(value, &mut encoded);
        let len = encoded.len();
        prop_assert!(len <= varint::MAX_LEN);
        for short in 0..len {
            prop_assert_eq!(varint::decode(&encoded[..short]), Err(VarintError::Truncated));
        }
        encoded.extend(behind);
        prop_assert_eq!(varint::decode(&encoded), Ok((value, len)));
    }

    /// Each integer has one encoding only, so that bytes that decode are those that it encodes to.
    #[test]
    fn integers_have_one_encoding(input in prop_oneof![
        vec(prop_oneof![any::<u8>(), 240u8..], 0..12),
        // As long as one may be, or longer.
        (vec(128u8.., 9), any::<u8>()).prop_map(|(mut bytes, last)| {
            bytes[0] |= 240;
            bytes.push(last);
            bytes
        }),
    ]) {
        if let Ok((value, len)) = varint::decode(&input) {
            let mut encoded = Vec::new();
            varint::encode(value, &mut encoded);
            prop_assert_eq!(&encoded[..], &input[..len]);
        }
    }

    #[test]
    fn messages_and_values(sent in messages()) {
        let payload = payload(&sent);
        prop_assert_eq!(decode_messages(&payload), (sent, None));
    }

    /// However a payload is cut off, the messages before the cut come out and the rest is an error.
    #[test]
    fn messages_cut_off(sent in messages(), cut in any::<prop::sample::Index>()) {
        let whole = payload(&sent);
        prop_assume!(!whole.is_empty());
        let cut = cut.index(whole.len());
        let (found, error) = decode_messages(&whole[..cut]);
        prop_assert_eq!(&found[..], &sent[..found.len()]);
        let complete = payload(&found).len();
        match error {
            None => prop_assert_eq!(complete, cut),
            Some(error) => {
                prop_assert_eq!(error.kind, ErrorKind::Truncated);
                prop_assert!(complete < cut && error.offset <= cut, "{error}, cut at {cut}");
            }
        }
    }

    #[test]
    fn frames(
        kind in any::<u8>(),
        flags in any::<u32>(),
        ids in (integer(), integer()),
        content in bytes(),
        behind in bytes(),
    ) {
        let kind = FrameType::from_byte(kind);
        let mut encoded = Vec::new();
        encode_frame(kind, Flags(flags), ids.0, ids.1, &mut encoded, |output| {
            output.extend_from_slice(&content);
        });
        let len = encoded.len();
        for short in 0..len {
            prop_assert_eq!(decode_frame(&encoded[..short], u32::MAX), Ok(None));
        }
        encoded.extend(behind);
        let frame = decode_frame(&encoded, u32::MAX).unwrap().unwrap();
        prop_assert_eq!(frame.kind, kind);
        prop_assert_eq!(frame.flags, Flags(flags));
        prop_assert_eq!((frame.stream_id, frame.frame_id), ids);
        prop_assert_eq!(frame.payload, &content[..]);
        prop_assert_eq!(frame.wire_len(), len);
        prop_assert_eq!(needed(&encoded), Some(len));

        // The limit is the length without its prefix.
        let length = u32::try_from(len - LENGTH_PREFIX).unwrap();
        prop_assert_eq!(decode_frame(&encoded, length), Ok(Some(frame)));
        let refused = decode_frame(&encoded, length - 1).unwrap_err();
        prop_assert_eq!(refused.kind, ErrorKind::FrameTooLong { length, limit: length - 1 });
    }

    #[test]
    fn header_blocks(headers in vec((bytes(), bytes()), 0..20), behind in bytes()) {
        // A header without a name cannot be written down: it looks like the end mark.
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| !name.is_empty()).collect();
        let mut block = Vec::new();
        encode_header_block(
            headers.iter().map(|(name, value)| (&name[..], &value[..])),
            &mut block,
        );
        let end = block.len();
        block.extend(behind);
        let found: Result<Vec<_>, _> = HeaderBlock::new(&block).collect();
        let expected: Vec<_> =
            headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        prop_assert_eq!(found, Ok(expected));

        // Cut anywhere, it is known to be cut, and the headers before the cut are right.
        for cut in (0..end).step_by(1 + end / 50) {
            let mut found: Vec<_> = HeaderBlock::new(&block[..cut]).collect();
            prop_assert_eq!(found.pop(), Some(Err(HeaderBlockError::Truncated)));
            for (found, (name, value)) in found.into_iter().zip(&headers) {
                prop_assert_eq!(found, Ok((&name[..], &value[..])));
            }
        }
    }

    #[test]
    fn hellos_of_haproxy(mut sent in hello()) {
        sent.versions = b"2.0".to_vec();
        sent.max_frame_size = sent.max_frame_size.max(256);
        let mut stream = Vec::new();
        sent.borrow().encode(&mut stream);
        let mut connection = Connection::new(Settings::default());
        connection.receive(&stream, &mut Vec::new());
        let seen = connection.next_event(&stream).map(Seen::from);
        prop_assert_eq!(seen, Some(Seen::Hello(sent)));
    }

    #[test]
    fn hellos_of_agents(
        version in bytes(),
        max_frame_size in any::<u32>(),
        capabilities in capabilities(),
    ) {
        let sent = AgentHello { version: &version, max_frame_size, capabilities };
        let mut stream = Vec::new();
        sent.encode(&mut stream);
        let mut client = Client::new(u32::MAX);
        let Some((taken, Some(ClientEvent::Hello(found)))) = client.receive(&stream).unwrap() else {
            return Err(TestCaseError::fail("no AGENT-HELLO"));
        };
        prop_assert_eq!((taken, found), (stream.len(), sent));
    }

    #[test]
    fn disconnects_of_both_sides(code in any::<u32>()) {
        let status = Status::from_code(code);
        prop_assert_eq!(status.code(), code);

        let mut stream = Vec::new();
        Client::new(16380).disconnect(status, &mut stream);
        let mut connection = Connection::new(Settings::default());
        let mut answer = Vec::new();
        connection.receive(&stream, &mut answer);
        let Some(Event::Disconnected(found)) = connection.next_event(&stream) else {
            return Err(TestCaseError::fail("no HAPROXY-DISCONNECT"));
        };
        prop_assert_eq!((found.status, found.message), (status, status.text().as_bytes()));

        let mut stream = Vec::new();
        Connection::new(Settings::default()).disconnect(status, &mut stream);
        let mut client = Client::new(16380);
        let Some((_, Some(ClientEvent::Disconnected(found)))) = client.receive(&stream).unwrap()
        else {
            return Err(TestCaseError::fail("no AGENT-DISCONNECT"));
        };
        prop_assert_eq!((found.status, found.message), (status, status.text().as_bytes()));
    }

    #[test]
    fn items(sent in vec((bytes(), value()), 0..8), behind in bytes()) {
        let mut stream = Vec::new();
        encode_frame(FrameType::HaproxyDisconnect, Flags::FIN, 0, 0, &mut stream, |output| {
            for (name, value) in &sent {
                varint::encode(name.len() as u64, output);
                output.extend_from_slice(name);
                value.borrow().encode(output);
            }
            output.extend_from_slice(&behind);
        });
        let frame = decode_frame(&stream, u32::MAX).unwrap().unwrap();
        let mut items = Items::new(&frame);
        for (name, value) in &sent {
            prop_assert_eq!(items.next(), Some(Ok((&name[..], value.borrow()))));
        }
        // Whatever is behind them comes to an end, with an error at most once.
        let errors = items.by_ref().filter(Result::is_err).count();
        prop_assert!(errors <= 1 && items.next().is_none());
    }

    #[test]
    fn actions(sent in vec((scope(), bytes(), proptest::option::of(value())), 0..8)) {
        let sent: Vec<_> = sent
            .iter()
            .map(|(scope, name, value)| match value {
                Some(value) => Action::SetVar { scope: *scope, name, value: value.borrow() },
                None => Action::UnsetVar { scope: *scope, name },
            })
            .collect();
        let mut payload = Vec::new();
        for action in &sent {
            action.encode(&mut payload);
        }
        let found: Result<Vec<_>, _> = Actions::new(&payload, 0).collect();
        prop_assert_eq!(found, Ok(sent));
    }

    /// No decoder panics on any bytes, and each comes to an end.
    #[test]
    fn any_bytes_are_decoded_or_refused(input in vec(any::<u8>(), 0..200), limit in any::<u32>()) {
        let _ = varint::decode(&input);
        let _ = needed(&input);
        if let Ok(Some(frame)) = decode_frame(&input, limit) {
            prop_assert!(frame.wire_len() <= input.len());
        }
        prop_assert!(HeaderBlock::new(&input).count() <= input.len() + 1);
        prop_assert!(Actions::new(&input, 0).count() <= input.len() + 1);
        let (found, error) = decode_messages(&input);
        prop_assert!(error.is_none_or(|error| error.offset <= input.len()));
        // Only flags of the type byte, which mean nothing but for booleans, may differ.
        prop_assert_eq!(decode_messages(&payload(&found)), (found, None));
        let mut client = Client::new(limit);
        let _ = client.receive(&input);
    }
}

#[test]
fn a_message_of_more_arguments_than_a_count_holds_keeps_the_first_255() {
    let arguments = [(&b"a"[..], Value::Null); 300];
    let mut payload = Vec::new();
    spop_proto::encode_message(b"many", &arguments, &mut payload);
    let (found, error) = decode_messages(&payload);
    assert_eq!((found[0].arguments.len(), found.len(), error), (255, 1, None));
}

#[test]
fn flags_of_a_type_byte_matter_for_booleans_only() {
    for (byte, expected) in [
        (0x10, Owned::Null),
        (0x01, Owned::Bool(false)),
        (0x11, Owned::Bool(true)),
        (0xf1, Owned::Bool(true)),
        (0xe1, Owned::Bool(false)),
    ] {
        let (found, error) = decode_messages(&[1, b'm', 1, 0, byte]);
        assert_eq!(error, None);
        assert_eq!(found[0].arguments, [(Vec::new(), expected)]);
    }
}

fn decode_messages(payload: &[u8]) -> (Vec<SeenMessage>, Option<spop_proto::Error>) {
    let mut found = Vec::new();
    for message in Messages::new(payload, 0) {
        match message {
            Ok(message) => found.push(SeenMessage {
                name: message.name.to_vec(),
                arguments: message
                    .arguments()
                    .map(|(name, value)| (name.to_vec(), Owned::from(value)))
                    .collect(),
            }),
            Err(error) => return (found, Some(error)),
        }
    }
    (found, None)
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::Process),
        Just(Scope::Session),
        Just(Scope::Transaction),
        Just(Scope::Request),
        Just(Scope::Response),
    ]
}
