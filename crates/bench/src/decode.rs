//! NOTIFY to method, target and headers: ours beside the `spop` crate's, each as its user would do it.
//!
//! What is compared starts with the same bytes of a frame and ends with the same bytes of method, target
//! and headers; the test beside this crate shows that it does, and counts what each allocates. The `spop`
//! crate leaves the block of headers as it is. So there are two comparisons: as far as it goes, to the
//! block; and to each header's name and value, for which its user decodes the block with the crate's
//! `decode_varint` into a list of slices. Neither side acknowledges the frame or keeps a connection's
//! state: `spop` leaves both to its user too.

use spop::{FramePayload, TypedData, decode_varint};
use spop_proto::{HeaderBlock, Messages, decode_frame};

/// The longest frame that either takes, in bytes: HAProxy's default.
const LIMIT: u32 = 16380;

/// Ours, to method, target and block of headers; `found` is given them for each message.
pub fn ours(frame: &[u8], mut found: impl FnMut([&[u8]; 3])) {
    let frame = decode_frame(frame, LIMIT).unwrap().unwrap();
    let mut messages = Messages::new(frame.payload, frame.payload_offset);
    let (mut method, mut target, mut headers) = (None, None, None);
    while let Some(message) = messages.next_with(|name, value| match name {
        b"arg_method" => method = value.as_bytes(),
        b"arg_path" => target = value.as_bytes(),
        b"arg_hdrs" => headers = value.as_bytes(),
        _ => {}
    }) {
        message.unwrap();
        found([&mut method, &mut target, &mut headers].map(|part| part.take().unwrap()));
    }
}

/// The same with the `spop` crate.
pub fn theirs(frame: &[u8], mut found: impl FnMut([&[u8]; 3])) {
    let (_, frame) = spop::parser::parse_frame_with_limit(frame, LIMIT).unwrap();
    let FramePayload::ListOfMessages(messages) = frame.payload() else { return };
    for message in messages {
        let argument = |wanted| {
            let (_, value) = message.args.iter().find(|(name, _)| name == wanted).unwrap();
            match value {
                TypedData::String(text) => text.as_bytes(),
                TypedData::Binary(bytes) => bytes,
                _ => &[],
            }
        };
        found(["arg_method", "arg_path", "arg_hdrs"].map(argument));
    }
}

/// Ours, on to each header's name and value.
pub fn our_headers(
    frame: &[u8],
    mut found: impl FnMut([&[u8]; 2]),
    mut header: impl FnMut([&[u8]; 2]),
) {
    ours(frame, |[method, target, block]| {
        found([method, target]);
        for pair in HeaderBlock::new(block) {
            header(pair.unwrap().into());
        }
    });
}

/// The same with the `spop` crate.
pub fn their_headers(
    frame: &[u8],
    mut found: impl FnMut([&[u8]; 2]),
    mut header: impl FnMut([&[u8]; 2]),
) {
    theirs(frame, |[method, target, block]| {
        found([method, target]);
        let mut headers = Vec::new();
        let mut rest = block;
        loop {
            let (name, value);
            (name, rest) = split_string(rest);
            (value, rest) = split_string(rest);
            if name.is_empty() {
                break;
            }
            headers.push([name, value]);
        }
        for pair in headers {
            header(pair);
        }
    });
}

fn split_string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (rest, length) = decode_varint(bytes).unwrap();
    rest.split_at(usize::try_from(length).unwrap())
}
