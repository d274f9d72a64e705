//! NOTIFY frames in fragments: put together, given up, and bounded.
#![allow(clippy::unwrap_used)]

mod support;

use spop_proto::{ErrorKind, Flags, FrameType, Settings, Status, encode_frame};
use support::generate::payload;
use support::{Agent, Answer, Owned, Seen, SeenHello, SeenMessage};

const MORE: Flags = Flags(0);
const FIN: Flags = Flags::FIN;
const ABORT: Flags = Flags(3);

#[test]
fn a_payload_is_put_together_wherever_it_was_cut() {
    let message = message();
    let whole = payload(std::slice::from_ref(&message));
    for first in 0..=whole.len() {
        for second in [first, (first + whole.len()) / 2, whole.len()] {
            let mut agent = agent(Settings::default());
            agent.read(&frame(FrameType::Notify, MORE, (9, 2), &whole[..first]));
            agent.read(&frame(FrameType::Unset, MORE, (9, 2), &whole[first..second]));
            assert_eq!(agent.answers().len(), 1, "no ACK before the last fragment");
            agent.read(&frame(FrameType::Unset, FIN, (9, 2), &whole[second..]));
            assert_eq!(agent.events[1..], [notify((9, 2), &message)]);
            assert_eq!(agent.answers()[1..], [Answer::ack(9, 2)]);
        }
    }
}

#[test]
fn one_read_may_hold_many_fragmented_messages() {
    let message = message();
    let whole = payload(std::slice::from_ref(&message));
    let mut stream = Vec::new();
    for id in 0..50 {
        stream.extend(frame(FrameType::Notify, MORE, (id, 1), &whole[..3]));
        stream.extend(frame(FrameType::Unset, FIN, (id, 1), &whole[3..]));
        stream.extend(frame(FrameType::Notify, FIN, (id, 2), &whole));
    }
    let mut agent = agent(Settings::default());
    agent.read(&stream);
    let expected: Vec<_> =
        (0..50).flat_map(|id| [notify((id, 1), &message), notify((id, 2), &message)]).collect();
    assert_eq!(agent.events[1..], expected);
    let acks: Vec<_> = (0..50).flat_map(|id| [Answer::ack(id, 1), Answer::ack(id, 2)]).collect();
    assert_eq!(agent.answers()[1..], acks);
}

#[test]
fn a_given_up_message_is_forgotten_and_not_acknowledged() {
    let message = message();
    let whole = payload(std::slice::from_ref(&message));
    let mut agent = agent(Settings::default());
    agent.read(&frame(FrameType::Notify, MORE, (4, 1), b"left over"));
    agent.read(&frame(FrameType::Unset, MORE, (4, 1), b"left over too"));
    agent.read(&frame(FrameType::Unset, ABORT, (4, 1), b""));
    assert_eq!(agent.events[1..], [Seen::Aborted { stream_id: 4, frame_id: 1 }]);
    assert_eq!(agent.answers().len(), 1);

    // The same ids may come again.
    agent.read(&frame(FrameType::Notify, MORE, (4, 1), &whole[..5]));
    agent.read(&frame(FrameType::Unset, FIN, (4, 1), &whole[5..]));
    assert_eq!(agent.events[2..], [notify((4, 1), &message)]);
    assert_eq!(agent.answers()[1..], [Answer::ack(4, 1)]);
}

#[test]
fn what_is_given_up_at_once_is_not_acknowledged_either() {
    for fragmentation in [true, false] {
        for flags in [ABORT, Flags::ABORT] {
            let mut agent = agent(Settings { fragmentation, ..Settings::default() });
            agent.read(&frame(FrameType::Notify, flags, (4, 1), b"never looked into"));
            assert_eq!(agent.events[1..], [Seen::Aborted { stream_id: 4, frame_id: 1 }]);
            assert_eq!(agent.answers().len(), 1);
            assert!(!agent.connection.is_closed());
        }
    }
}

#[test]
fn an_abort_without_fin_gives_up_too() {
    let mut agent = agent(Settings::default());
    agent.read(&frame(FrameType::Notify, MORE, (4, 1), b"begun"));
    agent.read(&frame(FrameType::Unset, Flags::ABORT, (4, 1), b""));
    agent.read(&frame(FrameType::Notify, FIN, (5, 1), b""));
    assert_eq!(agent.events[1], Seen::Aborted { stream_id: 4, frame_id: 1 });
    assert_eq!(agent.answers()[1..], [Answer::ack(5, 1)]);
}

#[test]
fn frames_of_unknown_kinds_may_come_between_fragments() {
    let message = message();
    let whole = payload(std::slice::from_ref(&message));
    let mut agent = agent(Settings::default());
    agent.read(&frame(FrameType::Notify, MORE, (9, 2), &whole[..4]));
    agent.read(&frame(FrameType::Unknown(77), FIN, (1, 1), b"skipped"));
    agent.read(&frame(FrameType::Unset, FIN, (9, 2), &whole[4..]));
    assert_eq!(agent.events[1..], [notify((9, 2), &message)]);
}

#[test]
fn a_message_may_be_as_long_as_the_limit_and_no_longer() {
    let settings = Settings { max_message_size: 1000, ..Settings::default() };
    for (len, fits) in [(999, true), (1000, true), (1001, false)] {
        for parts in [1, 7, 300, 2000] {
            let content = vec![0; len];
            // Its messages are not what this is about.
            let mut agent = Agent { closes: false, ..agent(settings.clone()) };
            agent.read(&frame(FrameType::Notify, MORE, (1, 1), b""));
            for part in content.chunks(parts) {
                agent.read(&frame(FrameType::Unset, MORE, (1, 1), part));
            }
            agent.read(&frame(FrameType::Unset, FIN, (1, 1), b""));
            let expected =
                if fits { Answer::ack(1, 1) } else { Answer::disconnected(Status::TooBig) };
            assert_eq!(agent.answers()[1..], [expected], "{len} bytes in parts of {parts}");
            if !fits {
                let Some(Seen::Failed(error)) = agent.events.last() else { panic!("no failure") };
                assert_eq!(error.kind, ErrorKind::MessageTooLong { limit: 1000 });
            }
        }
    }
}

#[test]
fn the_limit_is_for_fragments_only() {
    let settings = Settings { max_message_size: 0, ..Settings::default() };
    let mut agent = agent(settings);
    agent.read(&frame(FrameType::Notify, FIN, (1, 1), &payload(&[message()])));
    assert_eq!(agent.answers()[1..], [Answer::ack(1, 1)]);
}

/// An agent that has answered a HELLO.
fn agent(settings: Settings) -> Agent {
    let hello = SeenHello {
        versions: b"2.0".to_vec(),
        max_frame_size: 16380,
        capabilities: spop_proto::Capabilities::default(),
        engine_id: None,
        healthcheck: false,
    };
    let mut stream = Vec::new();
    hello.borrow().encode(&mut stream);
    Agent::fed(settings, [&stream[..]])
}

fn frame(kind: FrameType, flags: Flags, ids: (u64, u64), content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_frame(kind, flags, ids.0, ids.1, &mut frame, |output| {
        output.extend_from_slice(content);
    });
    frame
}

fn message() -> SeenMessage {
    SeenMessage {
        name: b"mirror".to_vec(),
        arguments: vec![
            (b"method".to_vec(), Owned::String(b"GET".to_vec())),
            (b"size".to_vec(), Owned::Int64(-1)),
            (b"body".to_vec(), Owned::Binary(vec![0xab; 300])),
        ],
    }
}

fn notify((stream_id, frame_id): (u64, u64), message: &SeenMessage) -> Seen {
    Seen::Notify {
        stream_id,
        frame_id,
        payload_len: payload(std::slice::from_ref(message)).len(),
        messages: vec![message.clone()],
        error: None,
    }
}
