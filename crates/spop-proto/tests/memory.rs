//! What a connection holds stays under the bound that its settings state, whatever it receives. The
//! allocator here counts, thread by thread.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use spop_proto::{
    Capabilities, Connection, Event, Flags, FrameType, Hello, LENGTH_PREFIX, MAX_HELLO_SIZE,
    Settings, encode_frame,
};
use support::generate::broken_stream;
use support::random_pieces;

proptest! {
    #[test]
    fn no_stream_makes_a_connection_hold_more_than_its_bound(
        stream in broken_stream(),
        max_message_size in 0..30_000usize,
        max_frame_size in 256..30_000u32,
        seed in any::<u64>(),
    ) {
        let settings = Settings { max_message_size, max_frame_size, ..Settings::default() };
        let mut held = Held::new(settings);
        for piece in random_pieces(&stream, seed) {
            held.read(piece);
        }
    }
}

#[test]
fn the_bound_is_reached_and_not_passed() {
    for max_message_size in [1000, 100_000, 1 << 20] {
        let settings = Settings { max_message_size, ..Settings::default() };
        let bound = settings.memory_bound();
        let mut held = Held::new(settings);
        held.read(&hello());

        // As many events as one call tells, and a message of the longest kind begun in fragments
        // whose lengths do not divide it.
        let mut stream = Vec::new();
        for _ in 0..255 {
            encode_frame(FrameType::Notify, Flags::FIN, 1, 1, &mut stream, |_| {});
        }
        encode_frame(FrameType::Notify, Flags(0), 2, 1, &mut stream, |_| {});
        for part in vec![0; max_message_size].chunks(777) {
            encode_frame(FrameType::Unset, Flags(0), 2, 1, &mut stream, |output| {
                output.extend_from_slice(part);
            });
        }
        held.read(&stream);
        assert!(held.bytes > bound / 100 * 99, "{} bytes held, {bound} allowed", held.bytes);

        // One byte more ends it.
        stream.clear();
        encode_frame(FrameType::Unset, Flags(0), 2, 1, &mut stream, |output| output.push(0));
        held.read(&stream);
        assert!(held.connection.is_closed());
    }
}

#[test]
fn more_events_than_one_call_tells_hold_no_more() {
    let mut held = Held::new(Settings::default());
    held.read(&hello());
    let mut stream = Vec::new();
    for id in 0..5000 {
        encode_frame(FrameType::Notify, Flags::FIN, id, 1, &mut stream, |_| {});
    }
    held.read(&stream);
    assert_eq!(held.notifies, 5000);
}

#[test]
fn a_long_message_is_given_back_once_it_was_told() {
    let mut held = Held::new(Settings::default());
    let mut stream = hello();
    encode_frame(FrameType::Notify, Flags(0), 2, 1, &mut stream, |_| {});
    for _ in 0..60 {
        encode_frame(FrameType::Unset, Flags(0), 2, 1, &mut stream, |output| {
            output.resize(output.len() + 16_000, 0);
        });
    }
    encode_frame(FrameType::Unset, Flags::FIN, 2, 1, &mut stream, |_| {});
    held.read(&stream);
    assert_eq!(held.longest, 960_000);
    assert!(held.bytes < 70_000, "{} bytes are held for nothing", held.bytes);
}

#[test]
fn a_length_that_is_only_announced_holds_nothing() {
    let mut held = Held::new(Settings::default());
    held.read(&MAX_HELLO_SIZE.to_be_bytes());
    assert_eq!(held.bytes, 0);
    let mut held = Held::new(Settings::default());
    held.read(&[0xff, 0xff, 0xff, 0xff, 3]);
    assert!(held.connection.is_closed());
    assert!(held.bytes < 1000, "{} bytes", held.bytes);

    // As long as lengths may be, in fields that reach past their frame.
    let mut stream = hello();
    encode_frame(FrameType::Notify, Flags::FIN, 1, 1, &mut stream, |output| {
        output.extend_from_slice(&[0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e]);
    });
    let mut held = Held::new(Settings::default());
    held.read(&stream);
    assert!(held.bytes < 1000, "{} bytes", held.bytes);
}

/// A connection and what it holds.
struct Held {
    connection: Connection,
    settings: Settings,
    stash: Vec<u8>,
    output: Vec<u8>,
    /// Bytes that it allocated and did not give back.
    bytes: usize,
    /// NOTIFY frames told.
    notifies: usize,
    /// The longest payload told, in bytes.
    longest: usize,
}

impl Held {
    fn new(settings: Settings) -> Self {
        Self {
            connection: Connection::new(settings.clone()),
            stash: Vec::new(),
            output: Vec::with_capacity(settings.output_bound()),
            settings,
            bytes: 0,
            notifies: 0,
            longest: 0,
        }
    }

    /// What follows when `bytes` arrive; the bounds are asserted after each step.
    fn read(&mut self, bytes: &[u8]) {
        self.stash.extend_from_slice(bytes);
        loop {
            self.output.clear();
            let mut taken = 0;
            let step = allocation_counter::measure(|| {
                taken = self.connection.receive(&self.stash, &mut self.output);
            });
            let bytes = i64::try_from(self.bytes).unwrap() + step.bytes_current;
            self.bytes = usize::try_from(bytes).unwrap();
            let bound = self.settings.memory_bound();
            assert!(self.bytes <= bound, "{} bytes held, {bound} allowed", self.bytes);
            let bound = self.settings.output_bound();
            assert!(self.output.len() <= bound, "{} bytes answered", self.output.len());
            let telling = allocation_counter::measure(|| {
                while let Some(event) = self.connection.next_event(&self.stash) {
                    if let Event::Notify(notify) = event {
                        self.notifies += 1;
                        self.longest = self.longest.max(notify.payload_len());
                    }
                }
            });
            assert_eq!(telling.count_total, 0, "telling events allocates");
            self.stash.drain(..taken);
            if taken == 0 {
                break;
            }
        }
        if !self.connection.is_closed() {
            let bound = self.connection.max_frame_size() as usize + LENGTH_PREFIX;
            assert!(self.stash.len() <= bound, "{} bytes are left over", self.stash.len());
        }
    }
}

fn hello() -> Vec<u8> {
    let mut stream = Vec::new();
    let hello = Hello {
        versions: b"2.0",
        max_frame_size: 16380,
        capabilities: Capabilities::default(),
        engine_id: None,
        healthcheck: false,
    };
    hello.encode(&mut stream);
    stream
}
