//! HAProxy's side of one SPOP connection, for tests, benchmarks and demonstrations: it greets, sends
//! messages (in fragments where they are too long and the agent takes them), and reads answers.

use crate::action::Actions;
use crate::error::{Error, ErrorKind, Status};
use crate::frame::{self, Flags, FrameType};
use crate::handshake::{AgentHello, Disconnect, Hello};

/// What HAProxy leaves free in a frame for its fixed fields, in bytes.
const FRAME_OVERHEAD: usize = 32;

/// HAProxy's side of one connection. It keeps only what the handshake settled.
#[derive(Debug)]
pub struct Client {
    max_frame_size: u32,
    fragmentation: bool,
}

/// What the agent sent.
#[derive(Debug)]
pub enum ClientEvent<'a> {
    /// The agent answered the HELLO.
    Hello(AgentHello<'a>),
    /// The agent acknowledged a NOTIFY.
    Ack {
        /// The stream-id of the NOTIFY.
        stream_id: u64,
        /// The frame-id of the NOTIFY.
        frame_id: u64,
        /// What the agent asks for.
        actions: Actions<'a>,
    },
    /// The agent closes the connection.
    Disconnected(Disconnect<'a>),
}

impl Client {
    /// A client that takes frames of up to `max_frame_size` bytes.
    #[must_use]
    pub fn new(max_frame_size: u32) -> Self {
        Self { max_frame_size, fragmentation: false }
    }

    /// Appends a HELLO. Its `max_frame_size` should be the one that [`Client::new`] was given.
    pub fn hello(&self, hello: &Hello<'_>, output: &mut Vec<u8>) {
        hello.encode(output);
    }

    /// Appends a NOTIFY with `payload` (messages as [`crate::encode_message`] writes them), split
    /// into fragments when it is longer than a frame may be and the agent announced fragmentation.
    ///
    /// # Errors
    /// A payload too long for one frame and an agent that takes no fragments; nothing is appended.
    pub fn notify(
        &self,
        stream_id: u64,
        frame_id: u64,
        payload: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let room = (self.max_frame_size as usize).saturating_sub(FRAME_OVERHEAD).max(1);
        if payload.len() <= room {
            frame::encode(FrameType::Notify, Flags::FIN, stream_id, frame_id, output, |output| {
                output.extend_from_slice(payload);
            });
            return Ok(());
        }
        if !self.fragmentation {
            let kind = ErrorKind::FragmentationNotAnnounced;
            return Err(Error::new(kind, Some(FrameType::Notify), 0));
        }
        let last = payload.len().div_ceil(room) - 1;
        for (index, part) in payload.chunks(room).enumerate() {
            let kind = if index == 0 { FrameType::Notify } else { FrameType::Unset };
            let flags = if index == last { Flags::FIN } else { Flags(0) };
            frame::encode(kind, flags, stream_id, frame_id, output, |output| {
                output.extend_from_slice(part);
            });
        }
        Ok(())
    }

    /// Appends a DISCONNECT.
    pub fn disconnect(&self, status: Status, output: &mut Vec<u8>) {
        let message = status.text().as_bytes();
        Disconnect { status, message }.encode(FrameType::HaproxyDisconnect, output);
    }

    /// Reads the frame at the start of `input`: the bytes it took and what it says, or `None` when it
    /// is not there in full. Frames of unknown kinds are taken and say nothing.
    ///
    /// # Errors
    /// Whatever is wrong with the agent's frame.
    pub fn receive<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<Option<(usize, Option<ClientEvent<'a>>)>, Error> {
        let Some(frame) = frame::decode(input, self.max_frame_size)? else { return Ok(None) };
        let event = match frame.kind {
            FrameType::AgentHello => {
                let hello = AgentHello::decode(&frame)?;
                self.max_frame_size = self.max_frame_size.min(hello.max_frame_size);
                self.fragmentation = hello.capabilities.fragmentation;
                Some(ClientEvent::Hello(hello))
            }
            FrameType::Ack => Some(ClientEvent::Ack {
                stream_id: frame.stream_id,
                frame_id: frame.frame_id,
                actions: Actions::new(frame.payload, frame.payload_offset),
            }),
            FrameType::AgentDisconnect => {
                Some(ClientEvent::Disconnected(Disconnect::decode(&frame)?))
            }
            FrameType::Unknown(_) => None,
            _ => {
                let kind = ErrorKind::UnexpectedFrame;
                return Err(Error::new(kind, Some(frame.kind), frame.payload_offset));
            }
        };
        Ok(Some((frame.wire_len(), event)))
    }
}
