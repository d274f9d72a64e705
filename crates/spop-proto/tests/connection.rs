//! HAProxy's side and the agent's, in memory: what one sends the other gets, whatever the frame
//! size and however the bytes arrive; and no bytes bring the agent out of step.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use spop_proto::{
    Capabilities, Client, Connection, ErrorKind, Flags, FrameType, Settings, Status, encode_frame,
};
use support::generate::{broken_stream, integer, messages, payload};
use support::{Agent, Answer, Owned, Seen, SeenHello, SeenMessage, answers_due, random_pieces};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_haproxy_sends_the_agent_gets(
        offered in 256..=1u32 << 20,
        settings in settings(),
        steps in vec(step(), 0..12),
        seed in any::<u64>(),
    ) {
        let mut client = Client::new(offered);
        let mut agent = Agent::new(settings.clone());
        let hello = hello(offered);
        let mut expected = vec![Seen::Hello(hello.clone())];
        let mut stream = Vec::new();
        client.hello(&hello.borrow(), &mut stream);
        agent.read(&stream);
        let size = offered.min(settings.max_frame_size);
        let answers = support::answers(&mut client, &agent.output);
        prop_assert_eq!(answers, [Answer::hello(size, settings.fragmentation)]);
        prop_assert_eq!(agent.connection.max_frame_size(), size);

        stream.clear();
        for step in steps {
            let before = stream.len();
            expected.extend(step.write(&client, size, settings.fragmentation, &mut stream));
            assert_frames_fit(&stream[before..], size);
        }
        for piece in random_pieces(&stream, seed) {
            agent.read(piece);
        }
        prop_assert_eq!(agent.answers(), answers_due(&settings, &expected));
        prop_assert!(agent.events == expected, "{:#?}\ninstead of\n{:#?}", agent.events, expected);
        prop_assert_eq!(&agent.stash[..], b"");
    }

    /// Any stream is answered frame by frame, and the same way however it is cut.
    #[test]
    fn a_broken_haproxy_is_answered_the_same_however_its_bytes_arrive(
        stream in broken_stream(),
        max_message_size in 0..20_000usize,
        fragmentation in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let settings = Settings { max_message_size, fragmentation, ..Settings::default() };
        let mut whole = Agent { closes: false, ..Agent::new(settings.clone()) };
        whole.read(&stream);
        prop_assert_eq!(whole.answers(), answers_due(&settings, &whole.events));

        for pieces in [random_pieces(&stream, seed), stream.chunks(1).collect()] {
            let mut cut = Agent { closes: false, ..Agent::new(settings.clone()) };
            for piece in pieces {
                cut.read(piece);
            }
            prop_assert_eq!(&cut.events, &whole.events);
            prop_assert_eq!(&cut.output, &whole.output);
        }
    }

    /// A stash that grows as far as the connection wants is taken or refused, and not before.
    #[test]
    fn a_frame_is_taken_or_refused_as_soon_as_it_wants_no_more(
        stream in prop_oneof![broken_stream(), vec(any::<u8>(), 1..40), any::<[u8; 2]>()
            .prop_map(|[length, kind]| [&[0, 0, 0, length, kind][..], &[0; 300]].concat())],
    ) {
        let mut connection = Connection::new(Settings::default());
        let mut rest = &stream[..];
        while !connection.is_closed() && !rest.is_empty() {
            let mut stash = 0;
            while stash < connection.wanted(&rest[..stash]) && stash < rest.len() {
                let wanted = connection.wanted(&rest[..stash]).min(rest.len());
                for early in (stash..wanted).filter(|len| len - stash < 8 || len + 1 == wanted) {
                    prop_assert_eq!(connection.receive(&rest[..early], &mut Vec::new()), 0);
                    prop_assert!(!connection.is_closed(), "refused with {} bytes", early);
                }
                stash = wanted;
            }
            let whole = stash >= connection.wanted(&rest[..stash]);
            let taken = connection.receive(&rest[..stash], &mut Vec::new());
            prop_assert_eq!(taken == stash || connection.is_closed(), whole);
            rest = &rest[stash..];
        }
    }

    #[test]
    fn any_bytes_are_answered_or_refused(stream in vec(any::<u8>(), 0..500), seed in any::<u64>()) {
        let agent = Agent::fed(Settings::default(), random_pieces(&stream, seed));
        prop_assert_eq!(agent.answers(), answers_due(&Settings::default(), &agent.events));
    }
}

#[test]
fn an_agent_that_closes_for_a_malformed_message_says_so_once_and_hears_no_more() {
    let mut stream = Vec::new();
    hello(16380).borrow().encode(&mut stream);
    let mut agent = Agent::fed(Settings::default(), [&stream[..]]);
    let mut notifies = Vec::new();
    for payload in [&b"\x01m\x02\x00"[..], b"\x01m\x00"] {
        encode_frame(FrameType::Notify, Flags::FIN, 7, 1, &mut notifies, |output| {
            output.extend_from_slice(payload);
        });
    }
    agent.read(&notifies);
    agent.read(&notifies);
    assert!(agent.connection.is_closed());
    assert_eq!(agent.events.len(), 3, "both NOTIFY frames of the first read are told");
    assert_eq!(
        agent.answers()[1..],
        [Answer::ack(7, 1), Answer::ack(7, 1), Answer::disconnected(Status::Invalid)]
    );
}

#[test]
fn frames_behind_a_disconnect_are_not_taken() {
    let mut stream = Vec::new();
    let client = Client::new(16380);
    client.hello(&hello(16380).borrow(), &mut stream);
    client.disconnect(Status::Timeout, &mut stream);
    let end = stream.len();
    client.notify(1, 1, &[], &mut stream).unwrap();
    client.hello(&hello(16380).borrow(), &mut stream);

    let mut connection = Connection::new(Settings::default());
    let mut output = Vec::new();
    assert_eq!(connection.receive(&stream, &mut output), end);
    assert_eq!(
        support::answers(&mut Client::new(16380), &output),
        [Answer::hello(16380, true), Answer::disconnected(Status::Normal)]
    );
    assert!(connection.is_closed());
    assert_eq!(connection.receive(&stream[end..], &mut output), 0);
    assert!(connection.next_event(&stream[end..]).is_none());
    connection.disconnect(Status::Io, &mut output);
    assert_eq!(support::answers(&mut Client::new(16380), &output).len(), 2, "one DISCONNECT");
}

#[test]
fn haproxy_may_disconnect_before_any_hello_and_within_fragments() {
    let mut before = Vec::new();
    Client::new(16380).disconnect(Status::Io, &mut before);
    let mut within = Vec::new();
    hello(16380).borrow().encode(&mut within);
    encode_frame(FrameType::Notify, Flags(0), 1, 1, &mut within, |_| {});
    Client::new(16380).disconnect(Status::Io, &mut within);
    for stream in [before, within] {
        let agent = Agent::fed(Settings::default(), [&stream[..]]);
        let last = Seen::Disconnected { status: Status::Io, message: b"I/O error".to_vec() };
        assert_eq!(agent.events.last(), Some(&last));
        assert_eq!(agent.answers().last(), Some(&Answer::disconnected(Status::Normal)));
    }
}

#[test]
fn frames_of_unknown_kinds_are_skipped_before_a_hello_too() {
    let mut stream = Vec::new();
    encode_frame(FrameType::Unknown(200), Flags::FIN, 0, 0, &mut stream, |_| {});
    hello(16380).borrow().encode(&mut stream);
    let agent = Agent::fed(Settings::default(), [&stream[..]]);
    assert_eq!(agent.answers(), [Answer::hello(16380, true)]);
    assert_eq!(agent.events, [Seen::Hello(hello(16380))]);
}

#[test]
fn more_events_than_one_call_tells_come_out_all_the_same() {
    let mut client = Client::new(16380);
    let mut agent = Agent::new(Settings::default());
    let mut stream = Vec::new();
    client.hello(&hello(16380).borrow(), &mut stream);
    agent.read(&stream);
    support::answers(&mut client, &agent.output);
    stream.clear();
    for id in 0..1000 {
        client.notify(id, 1, &[], &mut stream).unwrap();
        // Frames of a kind that is not known cost no event.
        encode_frame(FrameType::Unknown(42), Flags::FIN, id, 1, &mut stream, |_| {});
        // Each of these takes a call of its own.
        client.notify(id, 2, &payload(&[big_message(20_000)]), &mut stream).unwrap();
    }
    agent.read(&stream);
    let acks: Vec<_> = (0..1000).flat_map(|id| [Answer::ack(id, 1), Answer::ack(id, 2)]).collect();
    assert_eq!(agent.answers()[1..], acks);
    assert_eq!(agent.events.len(), 2001);
}

#[test]
fn events_not_asked_for_are_forgotten() {
    let mut stream = Vec::new();
    hello(16380).borrow().encode(&mut stream);
    let mut connection = Connection::new(Settings::default());
    connection.receive(&stream, &mut Vec::new());
    connection.receive(b"", &mut Vec::new());
    assert!(connection.next_event(b"").is_none());
}

#[test]
fn a_later_minor_version_stands_for_ours() {
    for (versions, accepted) in [
        ("2.0", true),
        ("1.5, 2.0", true),
        (" 2.0 ,1.0", true),
        ("2.1", true),
        ("3.0,2.17", true),
        ("", false),
        ("1.9", false),
        ("3.0", false),
        ("2", false),
        ("2.", false),
        ("2.x", false),
        ("22.0", false),
        ("2.0.1", false),
    ] {
        let hello = SeenHello { versions: versions.into(), ..hello(16380) };
        assert_eq!(hello.borrow().offers_our_version(), accepted, "{versions:?}");
        let mut stream = Vec::new();
        hello.borrow().encode(&mut stream);
        let agent = Agent::fed(Settings::default(), [&stream[..]]);
        let expected = if accepted {
            Answer::hello(16380, true)
        } else {
            Answer::disconnected(Status::UnsupportedVersion)
        };
        assert_eq!(agent.answers(), [expected], "{versions:?}");
    }
}

#[test]
fn the_frame_size_is_the_lower_offer_and_never_under_the_minimum() {
    for (offered, ours, agreed) in [
        (16380, 1 << 20, 16380),
        (65532, 16384, 16384),
        (256, 1 << 20, 256),
        (u32::MAX, u32::MAX, u32::MAX),
        (16380, 0, 256),
    ] {
        let settings = Settings { max_frame_size: ours, ..Settings::default() };
        let mut stream = Vec::new();
        hello(offered).borrow().encode(&mut stream);
        let agent = Agent::fed(settings, [&stream[..]]);
        assert_eq!(agent.answers(), [Answer::hello(agreed, true)], "{offered} and {ours}");
    }
}

#[test]
fn a_hello_longer_than_the_agents_frames_is_taken() {
    let settings = Settings { max_frame_size: 256, ..Settings::default() };
    let hello = SeenHello { engine_id: Some(vec![b'e'; 1000]), ..hello(16380) };
    let mut stream = Vec::new();
    hello.borrow().encode(&mut stream);
    assert_eq!(Agent::fed(settings, [&stream[..]]).answers(), [Answer::hello(256, true)]);
}

#[test]
fn every_ack_carries_the_actions_of_the_settings() {
    let mut actions = Vec::new();
    let set = spop_proto::Action::SetVar {
        scope: spop_proto::Scope::Transaction,
        name: b"mirrored",
        value: spop_proto::Value::Bool(true),
    };
    set.encode(&mut actions);
    let settings = Settings { ack_actions: actions.clone(), ..Settings::default() };
    let mut stream = Vec::new();
    hello(16380).borrow().encode(&mut stream);
    for (kind, flags) in [(FrameType::Notify, 1), (FrameType::Notify, 0), (FrameType::Unset, 1)] {
        encode_frame(kind, Flags(flags), 3, 4, &mut stream, |_| {});
    }
    let ack = Answer::Ack { stream_id: 3, frame_id: 4, actions };
    let agent = Agent::fed(settings, [&stream[..]]);
    assert_eq!(agent.answers(), [Answer::hello(16380, true), ack.clone(), ack]);
}

#[test]
fn a_client_refuses_what_the_agent_does_not_take() {
    let mut client = Client::new(256);
    let mut output = Vec::new();
    let mut agent = Agent::new(Settings { fragmentation: false, ..Settings::default() });
    hello(256).borrow().encode(&mut output);
    agent.read(&output);
    support::answers(&mut client, &agent.output);
    output.clear();
    let error = client.notify(1, 1, &[0; 225], &mut output).unwrap_err();
    assert_eq!(error.kind, ErrorKind::FragmentationNotAnnounced);
    assert_eq!(output, b"", "nothing is written of it");
    client.notify(1, 1, &[0; 224], &mut output).unwrap();
}

/// One thing that HAProxy does on a connection.
#[derive(Debug, Clone)]
enum Step {
    Notify {
        ids: (u64, u64),
        messages: Vec<SeenMessage>,
        body: usize,
    },
    /// A NOTIFY begun and given up.
    Abort {
        ids: (u64, u64),
        fragments: usize,
    },
    /// A frame of a kind that is not known; within fragments too.
    Unknown(u8),
}

impl Step {
    /// Appends it, as far as the agent takes it, and gives what the agent must be told.
    fn write(
        self,
        client: &Client,
        size: u32,
        fragmentation: bool,
        stream: &mut Vec<u8>,
    ) -> Option<Seen> {
        match self {
            Self::Notify { ids: (stream_id, frame_id), mut messages, body } => {
                messages.push(big_message(body));
                let payload = payload(&messages);
                let fits = payload.len() + 32 <= size as usize;
                let written = client.notify(stream_id, frame_id, &payload, stream);
                assert_eq!(written.is_ok(), fits || fragmentation);
                written.ok()?;
                let payload_len = payload.len();
                Some(Seen::Notify { stream_id, frame_id, payload_len, messages, error: None })
            }
            Self::Abort { ids: (stream_id, frame_id), fragments } if fragmentation => {
                for fragment in 0..=fragments {
                    let kind = if fragment == 0 { FrameType::Notify } else { FrameType::Unset };
                    encode_frame(kind, Flags(0), stream_id, frame_id, stream, |output| {
                        output.extend_from_slice(&[0xee; 100]);
                    });
                }
                let flags = Flags(Flags::FIN.0 | Flags::ABORT.0);
                encode_frame(FrameType::Unset, flags, stream_id, frame_id, stream, |_| {});
                Some(Seen::Aborted { stream_id, frame_id })
            }
            Self::Abort { .. } => None,
            Self::Unknown(byte) => {
                let kind = FrameType::from_byte(byte);
                if matches!(kind, FrameType::Unknown(_)) {
                    encode_frame(kind, Flags::FIN, 0, 0, stream, |output| {
                        output.extend_from_slice(b"from a later version");
                    });
                }
                None
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || (integer(), integer());
    // Bodies about as long as frames are, and at times as long as a message may be.
    let body = prop_oneof![4 => 0..1000usize, 4 => 0..70_000usize, 1 => 900_000..1_000_000usize];
    prop_oneof![
        6 => (ids(), messages(), body)
            .prop_map(|(ids, messages, body)| Step::Notify { ids, messages, body }),
        1 => (ids(), 0..3usize).prop_map(|(ids, fragments)| Step::Abort { ids, fragments }),
        1 => any::<u8>().prop_map(Step::Unknown),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (256..=1u32 << 20, any::<bool>()).prop_map(|(max_frame_size, fragmentation)| Settings {
        max_frame_size,
        fragmentation,
        ..Settings::default()
    })
}

/// A message with a body of so many bytes, no two stretches of them alike.
fn big_message(body: usize) -> SeenMessage {
    let body = (0..body).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 16).to_le_bytes()[0]).collect();
    SeenMessage { name: b"big".to_vec(), arguments: vec![(b"body".to_vec(), Owned::Binary(body))] }
}

fn hello(max_frame_size: u32) -> SeenHello {
    SeenHello {
        versions: b"2.0".to_vec(),
        max_frame_size,
        capabilities: Capabilities::parse(b"pipelining,async"),
        engine_id: Some(b"engine".to_vec()),
        healthcheck: false,
    }
}

/// No frame in `stream` is longer than `size`.
fn assert_frames_fit(mut stream: &[u8], size: u32) {
    while let Some(frame) = spop_proto::decode_frame(stream, size).expect("a frame is too long") {
        stream = &stream[frame.wire_len()..];
    }
    assert_eq!(stream, b"");
}
