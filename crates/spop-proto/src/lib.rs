//! HAProxy's Stream Processing Offload Protocol (SPOP) as a pure state machine: bytes in, events and
//! bytes out.
//!
//! This crate does no I/O and knows no runtime. [`Connection`] is the agent's side of one SPOP
//! connection, [`Client`] is HAProxy's side (for tests, benchmarks and demonstrations). Whoever owns
//! the socket feeds them the bytes that arrived and writes the bytes that they queue.
//!
//! Everything here takes input from the network: no function panics, every length is checked
//! before it is used, and what is held in memory is bounded by [`Settings`].
//!
//! The protocol is described in HAProxy's `doc/SPOE.txt`, section 3; section numbers in this crate's
//! comments are those of that document.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable
)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic))]

mod action;
mod client;
mod connection;
mod cursor;
mod error;
mod fragment;
mod frame;
mod handshake;
mod header_block;
mod message;
mod value;
pub mod varint;

pub use action::{Action, Actions, Scope};
pub use client::{Client, ClientEvent};
pub use connection::{Connection, Event, FrameCounts, Notify, Settings};
pub use error::{Error, ErrorKind, Status};
pub use frame::{Flags, Frame, FrameType, decode as decode_frame, encode as encode_frame, needed};
pub use handshake::{AgentHello, Capabilities, Disconnect, Hello, Items};
pub use header_block::{HeaderBlock, HeaderBlockError, encode as encode_header_block};
pub use message::{Arguments, Message, Messages, encode as encode_message};
pub use value::Value;

/// The only version of the protocol that exists in HAProxy 1.8 and later.
pub const VERSION: &str = "2.0";

/// Smallest `max-frame-size` that the protocol allows, in bytes (section 3.2.3).
pub const MIN_FRAME_SIZE: u32 = 256;

/// The longest frame that an agent takes before the sizes are agreed on, in bytes: a HELLO takes
/// about 150.
pub const MAX_HELLO_SIZE: u32 = 16 * 1024;

/// The length prefix of a frame, in bytes; a frame's stated length does not count it.
pub const LENGTH_PREFIX: usize = 4;
