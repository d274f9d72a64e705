//! What HAProxy may not send: each mistake ends the connection with the right status, and the error
//! says what is wrong, in which frame, at which byte.
#![allow(clippy::unwrap_used)]

mod support;

use spop_proto::ErrorKind::{self, *};
use spop_proto::FrameType::{
    self, Ack, AgentDisconnect, AgentHello, HaproxyDisconnect, HaproxyHello, Notify, Unset,
};
use spop_proto::{
    Action, Actions, Client, Flags, HeaderBlock, HeaderBlockError, Scope, Settings, Status, Value,
    encode_frame, varint,
};
use support::{Agent, Answer, Seen};

/// Where the payload begins in frames whose ids are under 240.
const PAYLOAD: usize = 11;

#[test]
fn frames_that_cannot_be_read() {
    for case in [
        Case {
            sent: raw(
                3,
                &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            ),
            error: (BadVarint, Some(Notify), 9),
            status: (Status::Invalid, 4),
            text: "NOTIFY frame, offset 9: a variable-length integer does not fit 64 bits",
        },
        Case {
            // Ten bytes, but of more than 64 bits.
            sent: raw(
                3,
                &[0, 0, 0, 1, 5, 0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0f],
            ),
            error: (BadVarint, Some(Notify), 10),
            status: (Status::Invalid, 4),
            text: "NOTIFY frame, offset 10: a variable-length integer does not fit 64 bits",
        },
        Case {
            sent: raw(3, &[0, 0, 0, 1, 0xf0, 0x80]),
            error: (Truncated, Some(Notify), 9),
            status: (Status::Invalid, 4),
            text: "NOTIFY frame, offset 9: a field reaches past the end of its frame",
        },
        Case {
            sent: raw(0, &[0, 0, 0, 1, 7, 0xf0]),
            error: (Truncated, Some(Unset), 10),
            status: (Status::Invalid, 4),
            text: "UNSET frame, offset 10: a field reaches past the end of its frame",
        },
        Case {
            sent: [&16_381u32.to_be_bytes()[..], &[3]].concat(),
            error: (FrameTooLong { length: 16_381, limit: 16_380 }, Some(Notify), 0),
            status: (Status::TooBig, 3),
            text: "NOTIFY frame, offset 0: frame of 16381 bytes, 16380 are allowed",
        },
        Case {
            sent: raw(3, &[0, 0, 0, 1, 0]),
            error: (FrameTooShort, Some(Notify), 0),
            status: (Status::Invalid, 4),
            text: "NOTIFY frame, offset 0: frame shorter than a frame's fixed fields",
        },
        Case {
            sent: raw(3, &[]),
            error: (FrameTooShort, Some(Notify), 0),
            status: (Status::Invalid, 4),
            text: "NOTIFY frame, offset 0: frame shorter than a frame's fixed fields",
        },
        Case {
            sent: vec![0, 0, 0, 0],
            error: (FrameTooShort, None, 0),
            status: (Status::Invalid, 4),
            text: "frame header, offset 0: frame shorter than a frame's fixed fields",
        },
    ] {
        case.check(&Settings::default(), &[Answer::hello(16_380, true)], &good_hello());
    }
}

#[test]
fn lengths_before_the_hello() {
    for case in [
        Case {
            sent: [&16_385u32.to_be_bytes()[..], &[1]].concat(),
            error: (FrameTooLong { length: 16_385, limit: 16_384 }, Some(HaproxyHello), 0),
            status: (Status::TooBig, 3),
            text: "HAPROXY-HELLO frame, offset 0: frame of 16385 bytes, 16384 are allowed",
        },
        Case {
            // Another protocol.
            sent: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            error: (
                FrameTooLong { length: 0x4745_5420, limit: 16_384 },
                Some(FrameType::Unknown(b'/')),
                0,
            ),
            status: (Status::TooBig, 3),
            text: "type 47 frame, offset 0: frame of 1195725856 bytes, 16384 are allowed",
        },
    ] {
        case.check(&Settings::default(), &[], &[]);
    }
}

#[test]
fn frames_that_may_not_come_before_a_hello() {
    for (kind, name) in [
        (Notify, "NOTIFY"),
        (Unset, "UNSET"),
        (AgentHello, "AGENT-HELLO"),
        (AgentDisconnect, "AGENT-DISCONNECT"),
        (Ack, "ACK"),
    ] {
        let case = Case {
            sent: frame(kind, 1, (0, 0), b""),
            error: (UnexpectedFrame, Some(kind), PAYLOAD),
            status: (Status::Invalid, 4),
            text: &format!("{name} frame, offset 11: this frame may not come here"),
        };
        case.check(&Settings::default(), &[], &[]);
    }
}

#[test]
fn frames_that_may_not_come_after_a_hello() {
    let begun = [good_hello(), frame(Notify, 0, (5, 1), b"begun")].concat();
    for (kind, name) in [
        (HaproxyHello, "HAPROXY-HELLO"),
        (AgentHello, "AGENT-HELLO"),
        (AgentDisconnect, "AGENT-DISCONNECT"),
        (Ack, "ACK"),
    ] {
        for before in [&good_hello(), &begun] {
            let case = Case {
                sent: frame(kind, 1, (5, 1), b""),
                error: (UnexpectedFrame, Some(kind), PAYLOAD),
                status: (Status::Invalid, 4),
                text: &format!("{name} frame, offset 11: this frame may not come here"),
            };
            case.check(&Settings::default(), &[Answer::hello(16_380, true)], before);
        }
    }
}

#[test]
fn fragments_of_nothing() {
    let begun = [good_hello(), frame(Notify, 0, (5, 1), b"begun")].concat();
    let ended = [begun.clone(), frame(Unset, 3, (5, 1), b"")].concat();
    for (before, flags, ids) in [
        (&good_hello(), 0, (5, 1)),
        (&good_hello(), 1, (5, 1)),
        (&good_hello(), 3, (5, 1)),
        (&begun, 1, (6, 1)),
        (&begun, 1, (5, 2)),
        (&begun, 3, (6, 1)),
        (&ended, 1, (5, 1)),
    ] {
        let case = Case {
            sent: frame(Unset, flags, ids, b"more"),
            error: (UnknownFragment, Some(Unset), PAYLOAD),
            status: (Status::FrameIdNotFound, 12),
            text: "UNSET frame, offset 11: a fragment continues no known frame",
        };
        case.check(&Settings::default(), &[Answer::hello(16_380, true)], before);
    }
}

#[test]
fn a_notify_within_fragments() {
    let begun = [good_hello(), frame(Notify, 0, (5, 1), b"begun")].concat();
    for (flags, ids) in [(1, (6, 1)), (0, (6, 1)), (1, (5, 1)), (0, (5, 1)), (3, (5, 1))] {
        let case = Case {
            sent: frame(Notify, flags, ids, b""),
            error: (Interlaced, Some(Notify), PAYLOAD),
            status: (Status::Interlaced, 11),
            text: "NOTIFY frame, offset 11: a frame begins inside another one's fragments",
        };
        case.check(&Settings::default(), &[Answer::hello(16_380, true)], &begun);
    }
}

#[test]
fn fragments_though_they_were_not_announced() {
    let case = Case {
        sent: frame(Notify, 0, (300, 1), b"begun"),
        error: (FragmentationNotAnnounced, Some(Notify), PAYLOAD + 1),
        status: (Status::FragmentationNotSupported, 10),
        text: "NOTIFY frame, offset 12: a fragment, though fragmentation was not announced",
    };
    let settings = Settings { fragmentation: false, ..Settings::default() };
    case.check(&settings, &[Answer::hello(16_380, false)], &good_hello());
}

#[test]
fn fragments_that_add_up_to_too_much() {
    let settings = Settings { max_message_size: 100, ..Settings::default() };
    let first = Case {
        sent: frame(Notify, 0, (5, 1), &[0; 101]),
        error: (MessageTooLong { limit: 100 }, Some(Notify), PAYLOAD),
        status: (Status::TooBig, 3),
        text: "NOTIFY frame, offset 11: fragments add up to more than the 100 bytes allowed",
    };
    first.check(&settings, &[Answer::hello(16_380, true)], &good_hello());
    let begun = [good_hello(), frame(Notify, 0, (5, 1), &[0; 60])].concat();
    for flags in [0, 1] {
        let second = Case {
            sent: frame(Unset, flags, (5, 1), &[0; 41]),
            error: (MessageTooLong { limit: 100 }, Some(Unset), PAYLOAD),
            status: (Status::TooBig, 3),
            text: "UNSET frame, offset 11: fragments add up to more than the 100 bytes allowed",
        };
        second.check(&settings, &[Answer::hello(16_380, true)], &begun);
    }
}

#[test]
fn hellos_that_cannot_be_answered() {
    const VERSIONS: (&str, Value<'_>) = ("supported-versions", Value::String(b"2.0"));
    const SIZE: (&str, Value<'_>) = ("max-frame-size", Value::Uint32(16_380));
    const CAPABILITIES: (&str, Value<'_>) = ("capabilities", Value::String(b"pipelining"));
    // Items take: versions 24 bytes, size 19, capabilities 25.
    let hello = |items: &[(&str, Value<'_>)]| frame(HaproxyHello, 1, (0, 0), &list(items));
    let size = |size| hello(&[VERSIONS, ("max-frame-size", size), CAPABILITIES]);
    let mut unknown_type = list(&[VERSIONS]);
    unknown_type.extend(b"\x05extra\x0a");
    let mut name_too_long = list(&[VERSIONS]);
    name_too_long.extend(b"\x0emax-frame-siz");
    let mut no_value = list(&[VERSIONS]);
    no_value.extend(b"\x0emax-frame-size");
    let mut value_too_long = list(&[VERSIONS]);
    value_too_long.extend(b"\x0ccapabilities\x08\x0bpipelining");
    for case in [
        Case {
            sent: hello(&[SIZE, CAPABILITIES]),
            error: (MissingItem("supported-versions"), Some(HaproxyHello), PAYLOAD + 44),
            status: (Status::NoVersion, 5),
            text: "HAPROXY-HELLO frame, offset 55: `supported-versions` is missing",
        },
        Case {
            sent: hello(&[VERSIONS, CAPABILITIES]),
            error: (MissingItem("max-frame-size"), Some(HaproxyHello), PAYLOAD + 49),
            status: (Status::NoFrameSize, 6),
            text: "HAPROXY-HELLO frame, offset 60: `max-frame-size` is missing",
        },
        Case {
            sent: hello(&[VERSIONS, SIZE]),
            error: (MissingItem("capabilities"), Some(HaproxyHello), PAYLOAD + 43),
            status: (Status::NoCapabilities, 7),
            text: "HAPROXY-HELLO frame, offset 54: `capabilities` is missing",
        },
        Case {
            sent: hello(&[]),
            error: (MissingItem("supported-versions"), Some(HaproxyHello), PAYLOAD),
            status: (Status::NoVersion, 5),
            text: "HAPROXY-HELLO frame, offset 11: `supported-versions` is missing",
        },
        Case {
            sent: hello(&[("supported-versions", Value::String(b"1.0, 3.0")), SIZE, CAPABILITIES]),
            error: (UnsupportedVersion, Some(HaproxyHello), PAYLOAD),
            status: (Status::UnsupportedVersion, 8),
            text: "HAPROXY-HELLO frame, offset 11: no supported version offered (need 2.0)",
        },
        Case {
            sent: size(Value::Uint32(255)),
            error: (BadFrameSize(255), Some(HaproxyHello), PAYLOAD),
            status: (Status::BadFrameSize, 9),
            text: "HAPROXY-HELLO frame, offset 11: max-frame-size 255 is under the minimum of 256",
        },
        Case {
            sent: size(Value::String(b"16380")),
            error: (WrongType, Some(HaproxyHello), PAYLOAD + 24 + 15),
            status: (Status::Invalid, 4),
            text: "HAPROXY-HELLO frame, offset 50: a value has another type than its place demands",
        },
        Case {
            sent: size(Value::Int64(-1)),
            error: (WrongType, Some(HaproxyHello), PAYLOAD + 24 + 15),
            status: (Status::Invalid, 4),
            text: "HAPROXY-HELLO frame, offset 50: a value has another type than its place demands",
        },
        Case {
            sent: size(Value::Uint64(1 << 32)),
            error: (OutOfRange, Some(HaproxyHello), PAYLOAD + 24 + 15),
            status: (Status::Invalid, 4),
            text: "HAPROXY-HELLO frame, offset 50: an integer is outside its type's range",
        },
        Case {
            sent: hello(&[("supported-versions", Value::Uint32(2)), SIZE, CAPABILITIES]),
            error: (WrongType, Some(HaproxyHello), PAYLOAD + 19),
            status: (Status::Invalid, 4),
            text: "HAPROXY-HELLO frame, offset 30: a value has another type than its place demands",
        },
        Case {
            sent: hello(&[VERSIONS, SIZE, ("capabilities", Value::Null)]),
            error: (WrongType, Some(HaproxyHello), PAYLOAD + 43 + 13),
            status: (Status::Invalid, 4),
            text: "HAPROXY-HELLO frame, offset 67: a value has another type than its place demands",
        },
        Case {
            sent: frame(HaproxyHello, 1, (0, 0), &unknown_type),
            error: (UnknownType(10), Some(HaproxyHello), PAYLOAD + 24 + 6),
            status: (Status::Invalid, 4),
            text: "HAPROXY-HELLO frame, offset 41: value type 10 does not exist",
        },
        Case {
            sent: frame(HaproxyHello, 1, (0, 0), &name_too_long),
            error: (Truncated, Some(HaproxyHello), PAYLOAD + 24 + 1),
            status: (Status::Invalid, 4),
            text: "HAPROXY-HELLO frame, offset 36: a field reaches past the end of its frame",
        },
        Case {
            sent: frame(HaproxyHello, 1, (0, 0), &no_value),
            error: (Truncated, Some(HaproxyHello), PAYLOAD + 24 + 15),
            status: (Status::Invalid, 4),
            text: "HAPROXY-HELLO frame, offset 50: a field reaches past the end of its frame",
        },
        Case {
            sent: frame(HaproxyHello, 1, (0, 0), &value_too_long),
            error: (Truncated, Some(HaproxyHello), PAYLOAD + 24 + 15),
            status: (Status::Invalid, 4),
            text: "HAPROXY-HELLO frame, offset 50: a field reaches past the end of its frame",
        },
        Case {
            sent: frame(HaproxyHello, 0, (0, 0), &list(&[VERSIONS, SIZE, CAPABILITIES])),
            error: (FragmentationNotAnnounced, Some(HaproxyHello), PAYLOAD),
            status: (Status::FragmentationNotSupported, 10),
            text: "HAPROXY-HELLO frame, offset 11: a fragment, though fragmentation was not announced",
        },
    ] {
        case.check(&Settings::default(), &[], &[]);
    }
}

#[test]
fn disconnects_that_cannot_be_read() {
    let disconnect =
        |items: &[(&str, Value<'_>)]| frame(HaproxyDisconnect, 1, (0, 0), &list(items));
    for case in [
        Case {
            sent: disconnect(&[("status-code", Value::String(b"2"))]),
            error: (WrongType, Some(HaproxyDisconnect), PAYLOAD + 12),
            status: (Status::Invalid, 4),
            text: "HAPROXY-DISCONNECT frame, offset 23: a value has another type than its place \
                   demands",
        },
        Case {
            sent: disconnect(&[("message", Value::Uint32(2))]),
            error: (WrongType, Some(HaproxyDisconnect), PAYLOAD + 8),
            status: (Status::Invalid, 4),
            text: "HAPROXY-DISCONNECT frame, offset 19: a value has another type than its place \
                   demands",
        },
        Case {
            sent: frame(HaproxyDisconnect, 1, (0, 0), b"\x0bstatus-code\x03\xf0"),
            error: (Truncated, Some(HaproxyDisconnect), PAYLOAD + 13),
            status: (Status::Invalid, 4),
            text: "HAPROXY-DISCONNECT frame, offset 24: a field reaches past the end of its frame",
        },
    ] {
        case.check(&Settings::default(), &[Answer::hello(16_380, true)], &good_hello());
    }
}

#[test]
fn messages_that_cannot_be_read() {
    // Behind a good message of ten bytes; an argument's value begins three bytes into
    // `\x01m\x01\x01a`.
    let good: &[u8] = b"\x04good\x01\x01x\x08\x00";
    const AT: usize = PAYLOAD + 10;
    let past_end = "a field reaches past the end of its frame";
    let no_type = "value type 15 does not exist";
    let range = "an integer is outside its type's range";
    let varint = "a variable-length integer does not fit 64 bits";
    let endless = [0xff; 11];
    let argument = |value: &[u8]| [b"\x01m\x01\x01a", value].concat();
    for (what, bytes, kind, offset, text) in [
        ("a name past the end", b"\x05name".to_vec(), Truncated, AT + 1, past_end),
        ("a name whose length does not end", vec![0xf0], Truncated, AT, past_end),
        ("a name of a length over 64 bits", endless.to_vec(), BadVarint, AT, varint),
        ("a name without a count", b"\x01m".to_vec(), Truncated, AT + 2, past_end),
        ("a count without arguments", b"\x01m\x01".to_vec(), Truncated, AT + 3, past_end),
        ("a count of one too many", b"\x01m\x02\x01a\x00".to_vec(), Truncated, AT + 6, past_end),
        ("the highest count", b"\x01m\xff\x01a\x00".to_vec(), Truncated, AT + 6, past_end),
        // The argument that was not counted is read as a message: name "a", 8 arguments, the first
        // of them named "bcd", which is not there.
        (
            "a count of one too few",
            b"\x01m\x00\x01a\x08\x03bc".to_vec(),
            Truncated,
            AT + 7,
            past_end,
        ),
        (
            "an argument's name past the end",
            b"\x01m\x01\x02a".to_vec(),
            Truncated,
            AT + 4,
            past_end,
        ),
        ("an argument without a value", argument(b""), Truncated, AT + 5, past_end),
        ("a type that does not exist", argument(b"\x0f"), UnknownType(15), AT + 5, no_type),
        ("the same with flags", argument(b"\xff"), UnknownType(15), AT + 5, no_type),
        ("a signed integer cut off", argument(b"\x02\xf0"), Truncated, AT + 6, past_end),
        ("an unsigned integer cut off", argument(b"\x03\xf0"), Truncated, AT + 6, past_end),
        ("a long signed integer cut off", argument(b"\x04\xf0\x80"), Truncated, AT + 6, past_end),
        ("a long unsigned integer cut off", argument(b"\x05"), Truncated, AT + 6, past_end),
        ("an IPv4 address cut off", argument(b"\x06\x7f\x00\x00"), Truncated, AT + 6, past_end),
        ("an IPv6 address cut off", argument(&[7; 16]), Truncated, AT + 6, past_end),
        ("a string without a length", argument(b"\x08"), Truncated, AT + 6, past_end),
        ("a string cut off", argument(b"\x08\x03ab"), Truncated, AT + 7, past_end),
        ("binary data cut off", argument(b"\x09\x03ab"), Truncated, AT + 7, past_end),
        (
            "a string longer than memory",
            argument(b"\x08\xff\xf0\xfe\xfe\xfe\xfe\xfe\xfe\xfe\x0e"),
            Truncated,
            AT + 16,
            past_end,
        ),
        (
            "an integer over 64 bits",
            argument(&[&[5][..], &endless].concat()),
            BadVarint,
            AT + 6,
            varint,
        ),
        (
            "a signed integer over 32 bits",
            argument(&integer(2, 1 << 31)),
            OutOfRange,
            AT + 6,
            range,
        ),
        (
            "a signed integer under 32 bits",
            argument(&integer(2, i64::MIN as u64)),
            OutOfRange,
            AT + 6,
            range,
        ),
        (
            "an unsigned integer over 32 bits",
            argument(&integer(3, 1 << 32)),
            OutOfRange,
            AT + 6,
            range,
        ),
    ] {
        let payload = [good, &bytes].concat();
        let sent = frame(Notify, 1, (5, 1), &payload);
        let text = format!("NOTIFY frame, offset {offset}: {text}");
        check_message(what, &sent, (kind, offset), &text);

        // In fragments the offset counts from where the payload begins.
        let offset = offset - PAYLOAD;
        let sent =
            [frame(Notify, 0, (5, 1), &payload[..4]), frame(Unset, 1, (5, 1), &payload[4..])]
                .concat();
        let text =
            text.replace(&format!("offset {}", offset + PAYLOAD), &format!("offset {offset}"));
        check_message(what, &sent, (kind, offset), &text);
    }
}

#[test]
fn actions_that_cannot_be_read() {
    // Behind a good action of six bytes, in a payload that begins at byte 20.
    let good: &[u8] = b"\x02\x02\x01\x02ab";
    let unknown =
        |byte| format!("no action has this type or scope ({byte}) or number of arguments");
    let past_end = "a field reaches past the end of its frame".to_owned();
    for (behind, kind, offset, text) in [
        (&b"\x03\x02\x01\x01a"[..], UnknownAction(3), 26, unknown(3)),
        (b"\x01\x02\x01\x01a\x00", UnknownAction(1), 26, unknown(1)),
        (b"\x02\x03\x01\x01a", UnknownAction(2), 26, unknown(2)),
        (b"\x01\x03\x05\x01a\x00", UnknownAction(5), 28, unknown(5)),
        (b"\x02\x02\xff\x01a", UnknownAction(255), 28, unknown(255)),
        (b"\x01", Truncated, 27, past_end.clone()),
        (b"\x01\x03", Truncated, 28, past_end.clone()),
        (b"\x01\x03\x00\x02a", Truncated, 30, past_end.clone()),
        (b"\x01\x03\x00\x01a", Truncated, 31, past_end),
        (b"\x01\x03\x00\x01a\x0c", UnknownType(12), 31, "value type 12 does not exist".into()),
    ] {
        let payload = [good, behind].concat();
        let mut actions = Actions::new(&payload, 20);
        assert_eq!(
            actions.next(),
            Some(Ok(Action::UnsetVar { scope: Scope::Session, name: b"ab" }))
        );
        let error = actions.next().unwrap().unwrap_err();
        assert_eq!((error.kind, error.offset), (kind, offset), "{behind:?}");
        assert_eq!(error.to_string(), format!("ACK frame, offset {offset}: {text}"));
        assert_eq!(error.status(), Status::Invalid);
        assert!(actions.next().is_none());
    }
}

#[test]
fn frames_that_an_agent_may_not_send() {
    for (kind, name) in [
        (Notify, "NOTIFY"),
        (Unset, "UNSET"),
        (HaproxyHello, "HAPROXY-HELLO"),
        (HaproxyDisconnect, "HAPROXY-DISCONNECT"),
    ] {
        let error = Client::new(16_380).receive(&frame(kind, 1, (0, 0), b"")).unwrap_err();
        let text = format!("{name} frame, offset 11: this frame may not come here");
        assert_eq!(error.to_string(), text);
    }
    for (items, status, text) in [
        (&[][..], Status::NoVersion, "AGENT-HELLO frame, offset 11: `version` is missing"),
        (
            &[("version", Value::String(b"2.0"))],
            Status::NoFrameSize,
            "AGENT-HELLO frame, offset 24: `max-frame-size` is missing",
        ),
    ] {
        let sent = frame(AgentHello, 1, (0, 0), &list(items));
        let error = Client::new(16_380).receive(&sent).unwrap_err();
        assert_eq!((error.status(), error.to_string().as_str()), (status, text));
    }
    let error = Client::new(256).receive(&frame(Ack, 1, (1, 1), &[0; 250])).unwrap_err();
    assert_eq!(error.status(), Status::TooBig);
    assert_eq!(error.to_string(), "ACK frame, offset 0: frame of 257 bytes, 256 are allowed");
}

#[test]
fn header_blocks_that_are_none() {
    let good = (&b"host"[..], &b"a"[..]);
    let endless = [0xff; 11];
    for (behind, error) in [
        (&b"\x00\x01v"[..], HeaderBlockError::Malformed),
        (&endless[..], HeaderBlockError::Malformed),
        (b"\x04name\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", HeaderBlockError::Malformed),
        (b"", HeaderBlockError::Truncated),
        (b"\x00", HeaderBlockError::Truncated),
        (b"\x04nam", HeaderBlockError::Truncated),
        (b"\x04name", HeaderBlockError::Truncated),
        (b"\x04name\x02v", HeaderBlockError::Truncated),
        (b"\x04name\xf0", HeaderBlockError::Truncated),
    ] {
        let block = [b"\x04host\x01a", behind].concat();
        let found: Vec<_> = HeaderBlock::new(&block).collect();
        assert_eq!(found, [Ok(good), Err(error)], "{behind:?}");
    }
    assert_eq!(
        HeaderBlockError::Malformed.to_string(),
        "the header block has a bad length or a value without a name"
    );
    assert_eq!(
        HeaderBlockError::Truncated.to_string(),
        "the header block ends before its end mark"
    );
}

#[test]
fn the_status_of_each_code_has_a_text() {
    for code in (0..=13).chain([99]) {
        let status = Status::from_code(code);
        assert!(!matches!(status, Status::Other(_)), "{code}");
        assert_eq!(status.text() == "unknown error", code == 99, "{code}");
    }
}

/// Bytes that end a connection, and how.
struct Case<'a> {
    sent: Vec<u8>,
    error: (ErrorKind, Option<FrameType>, usize),
    status: (Status, u32),
    text: &'a str,
}

impl Case<'_> {
    /// Sends them behind `before`, which gets the answers `answered`, at once and byte by byte.
    fn check(&self, settings: &Settings, answered: &[Answer], before: &[u8]) {
        assert_eq!(self.status.0.code(), self.status.1);
        let mut answers = answered.to_vec();
        answers.push(Answer::disconnected(self.status.0));
        // What comes behind is not looked at.
        let stream = [before, &self.sent, &good_hello()].concat();
        for pieces in [vec![&stream[..]], stream.chunks(1).collect()] {
            let agent = Agent::fed(settings.clone(), pieces);
            let Some(Seen::Failed(error)) = agent.events.last() else {
                panic!("{:?} instead of {}", agent.events, self.text);
            };
            assert_eq!((error.kind, error.frame_type, error.offset), self.error, "{}", self.text);
            assert_eq!(error.to_string(), self.text);
            assert_eq!(agent.answers(), answers, "{}", self.text);
            assert!(agent.connection.is_closed());
        }
    }
}

/// Sends a NOTIFY whose second message is malformed: it is acknowledged, and its first message is
/// told.
fn check_message(what: &str, sent: &[u8], error: (ErrorKind, usize), text: &str) {
    let mut agent = Agent::fed(Settings::default(), [&good_hello()[..]]);
    agent.read(sent);
    let Some(Seen::Notify { messages, error: Some(found), .. }) = agent.events.last() else {
        panic!("{:?} of {what}", agent.events);
    };
    assert_eq!((found.kind, found.offset), error, "{what}");
    assert_eq!(found.frame_type, Some(Notify), "{what}");
    assert_eq!(found.to_string(), text, "{what}");
    assert_eq!(messages[0].name, b"good", "{what}");
    let answers = [Answer::ack(5, 1), Answer::disconnected(Status::Invalid)];
    assert_eq!(agent.answers()[1..], answers, "{what}");
}

fn good_hello() -> Vec<u8> {
    let items = [
        ("supported-versions", Value::String(b"2.0")),
        ("max-frame-size", Value::Uint32(16_380)),
        ("capabilities", Value::String(b"pipelining,async")),
    ];
    frame(HaproxyHello, 1, (0, 0), &list(&items))
}

fn list(items: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (name, value) in items {
        varint::encode(name.len() as u64, &mut list);
        list.extend_from_slice(name.as_bytes());
        value.encode(&mut list);
    }
    list
}

fn integer(kind: u8, value: u64) -> Vec<u8> {
    let mut bytes = vec![kind];
    varint::encode(value, &mut bytes);
    bytes
}

fn frame(kind: FrameType, flags: u32, ids: (u64, u64), content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_frame(kind, Flags(flags), ids.0, ids.1, &mut frame, |output| {
        output.extend_from_slice(content);
    });
    frame
}

/// A frame of this type, and of these bytes behind it.
fn raw(kind: u8, rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + rest.len()).unwrap();
    [&length.to_be_bytes()[..], &[kind], rest].concat()
}
