//! Generated input for property tests.

use proptest::collection::vec;
use proptest::prelude::*;
use spop_proto::{Capabilities, Flags, FrameType, encode_frame};

use super::{Owned, SeenHello, SeenMessage};

/// Any bytes, mostly few, at times over the lengths at which a length takes another byte.
pub(crate) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..24),
        2 => vec(any::<u8>(), 230..260),
        1 => vec(any::<u8>(), 2280..2300),
    ]
}

/// Any integer, with those at which the encoding grows by a byte as likely as all others.
pub(crate) fn integer() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..5000u64,
        (0..64u32, 0..64u64).prop_map(|(shift, less)| (1u64 << shift).wrapping_sub(less)),
        (0..10u32, -3..4i64).prop_map(|(length, near)| {
            // 240, 2288, 264432, ...: the first values that take one byte more.
            let first =
                (0..length).fold(240u64, |at, n| at.saturating_add(1 << (11 + 7 * n).min(63)));
            first.saturating_add_signed(near)
        }),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Owned> {
    prop_oneof![
        Just(Owned::Null),
        any::<bool>().prop_map(Owned::Bool),
        any::<i32>().prop_map(Owned::Int32),
        any::<u32>().prop_map(Owned::Uint32),
        any::<i64>().prop_map(Owned::Int64),
        integer().prop_map(Owned::Uint64),
        any::<[u8; 4]>().prop_map(|octets| Owned::Ipv4(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| Owned::Ipv6(octets.into())),
        bytes().prop_map(Owned::String),
        bytes().prop_map(Owned::Binary),
    ]
}

pub(crate) fn message() -> impl Strategy<Value = SeenMessage> {
    let arguments = prop_oneof![
        9 => vec((bytes(), value()), 0..8),
        1 => vec((Just(Vec::new()), Just(Owned::Null)), 250..256),
    ];
    (bytes(), arguments).prop_map(|(name, arguments)| SeenMessage { name, arguments })
}

/// The messages of a NOTIFY.
pub(crate) fn messages() -> impl Strategy<Value = Vec<SeenMessage>> {
    vec(message(), 0..4)
}

pub(crate) fn capabilities() -> impl Strategy<Value = Capabilities> {
    any::<[bool; 3]>().prop_map(|[pipelining, fragmentation, asynchronous]| Capabilities {
        pipelining,
        fragmentation,
        asynchronous,
    })
}

pub(crate) fn hello() -> impl Strategy<Value = SeenHello> {
    (bytes(), any::<u32>(), capabilities(), proptest::option::of(bytes()), any::<bool>()).prop_map(
        |(versions, max_frame_size, capabilities, engine_id, healthcheck)| SeenHello {
            versions,
            max_frame_size,
            capabilities,
            engine_id,
            healthcheck,
        },
    )
}

/// A NOTIFY payload.
pub(crate) fn payload(messages: &[SeenMessage]) -> Vec<u8> {
    let mut payload = Vec::new();
    for message in messages {
        message.encode(&mut payload);
    }
    payload
}

/// A stream such as a broken HAProxy could send: a HELLO, mostly, then frames of all kinds, flags
/// and few different ids, and perhaps a byte that is not as it was sent.
pub(crate) fn broken_stream() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![9 => hello().prop_map(Some), 1 => Just(None)];
    let flaw = proptest::option::weighted(0.3, any::<(prop::sample::Index, u8)>());
    (start, vec(frame(), 0..40), flaw).prop_map(|(start, frames, flaw)| {
        let mut stream = Vec::new();
        if let Some(mut start) = start {
            start.versions = b"2.0".to_vec();
            start.max_frame_size = start.max_frame_size.max(4096);
            start.borrow().encode(&mut stream);
        }
        for (kind, flags, ids, payload) in frames {
            encode_frame(kind, Flags(flags), ids.0, ids.1, &mut stream, |output| {
                output.extend_from_slice(&payload);
            });
        }
        if let Some((place, byte)) = flaw.filter(|_| !stream.is_empty()) {
            let place = place.index(stream.len());
            stream[place] = byte;
        }
        stream
    })
}

fn frame() -> impl Strategy<Value = (FrameType, u32, (u64, u64), Vec<u8>)> {
    let kind = prop_oneof![
        10 => Just(FrameType::Notify),
        10 => Just(FrameType::Unset),
        3 => (4..100u8).prop_map(FrameType::Unknown),
        1 => any::<u8>().prop_map(FrameType::from_byte),
    ];
    // Mostly one NOTIFY at a time, begun (0), ended (1) or given up (3).
    let flags = prop_oneof![4 => Just(0), 4 => Just(1), 1 => Just(3), 1 => any::<u32>()];
    let ids = prop_oneof![9 => Just((1, 1)), 1 => (0..3u64, 0..3u64)];
    let content = prop_oneof![messages().prop_map(|messages| payload(&messages)), bytes()];
    (kind, flags, ids, content)
}
