//! The agent's side of one SPOP connection.
//!
//! [`Connection::receive`] takes the bytes of one read, queues every answer they call for (each
//! NOTIFY is acknowledged here, before anybody looks into it) and notes what happened;
//! [`Connection::next_event`] then tells it, each NOTIFY borrowed from the same bytes.

use std::collections::VecDeque;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Status};
use crate::fragment::{Reassembly, Step};
use crate::frame::{self, Flags, Frame, FrameType};
use crate::handshake::{AgentHello, Capabilities, Disconnect, Hello};
use crate::message::Messages;
use crate::{MAX_HELLO_SIZE, MIN_FRAME_SIZE, VERSION};

/// What an agent accepts on a connection, and with it the memory that a [`Connection`] takes: at
/// most [`memory_bound`](Settings::memory_bound) in its own buffers. To that comes what its owner
/// keeps: the beginning of a frame that has not arrived in full ([`Connection::wanted`]), at most
/// [`max_frame_size`](Connection::max_frame_size) and [`LENGTH_PREFIX`](crate::LENGTH_PREFIX) bytes,
/// and the answers of one `receive`, at most [`output_bound`](Settings::output_bound).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The longest frame accepted, in bytes; HAProxy's offer counts when it is lower. Less than
    /// [`MIN_FRAME_SIZE`] counts as that. A HELLO may take [`MAX_HELLO_SIZE`] bytes whatever this is.
    pub max_frame_size: u32,
    /// The largest payload put together from fragments, in bytes.
    pub max_message_size: usize,
    /// Whether to announce fragmentation. HAProxy up to 3.0 otherwise drops the connection, again
    /// and again, for each message over the frame size.
    pub fragmentation: bool,
    /// The encoded actions sent with every ACK; normally empty. They must fit the frame size that
    /// HAProxy will offer, with 25 bytes left for an ACK's fixed fields.
    pub ack_actions: Vec<u8>,
}

impl Settings {
    /// The most that a [`Connection`] holds in its buffers at any time between two calls, in bytes,
    /// whatever its peer sends.
    #[must_use]
    pub fn memory_bound(&self) -> usize {
        self.max_message_size
            .saturating_add(self.ack_actions.capacity())
            .saturating_add(MAX_EVENTS * size_of::<Note>())
    }

    /// The most that one [`Connection::receive`] appends to its output, in bytes.
    #[must_use]
    pub fn output_bound(&self) -> usize {
        ACK_OVERHEAD
            .saturating_add(self.ack_actions.len())
            .max(MAX_OTHER)
            .saturating_mul(MAX_EVENTS)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_frame_size: 1 << 20,
            max_message_size: 1 << 20,
            fragmentation: true,
            ack_actions: Vec::new(),
        }
    }
}

/// One `receive` notes at most so many events; the caller comes back for the rest.
const MAX_EVENTS: usize = 256;

/// What an ACK takes without its actions, at most, in bytes: length, type, flags and two ids.
const ACK_OVERHEAD: usize = 4 + 1 + 4 + 10 + 10;

/// What an AGENT-HELLO or AGENT-DISCONNECT takes, at most, in bytes: their texts are ours.
const MAX_OTHER: usize = 128;

/// What happened on a connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// HAProxy said HELLO and was answered.
    Hello(Hello<'a>),
    /// HAProxy sent messages and was acknowledged.
    Notify(Notify<'a>),
    /// HAProxy gave a NOTIFY up; its fragments are forgotten, and it waits for no ACK.
    Aborted {
        /// The stream of the NOTIFY.
        stream_id: u64,
        /// The frame-id of the NOTIFY.
        frame_id: u64,
    },
    /// HAProxy closed the connection and was answered.
    Disconnected(Disconnect<'a>),
    /// HAProxy broke the protocol and was told so; the connection must be closed.
    Failed(Error),
}

/// A NOTIFY, acknowledged but not yet looked into.
#[derive(Debug, Clone, Copy)]
pub struct Notify<'a> {
    /// The stream-id, as echoed in the ACK. It does not pair a request with its response.
    pub stream_id: u64,
    /// The frame-id, as echoed in the ACK.
    pub frame_id: u64,
    payload: &'a [u8],
    offset: usize,
}

impl<'a> Notify<'a> {
    /// The messages, decoded as they are asked for.
    #[must_use]
    pub fn messages(&self) -> Messages<'a> {
        Messages::new(self.payload, self.offset)
    }

    /// The payload's length in bytes.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.payload.len()
    }
}

/// Notes of what `receive` saw; positions instead of borrows.
#[derive(Debug)]
enum Note {
    /// A frame of the handshake, by its place in the input.
    Handshake(Range<usize>),
    /// A NOTIFY in one frame, by its payload's place in the input.
    Notify {
        stream_id: u64,
        frame_id: u64,
        payload: Range<usize>,
        /// Bytes from the start of the frame to the payload: no more than [`ACK_OVERHEAD`].
        offset: u8,
    },
    /// A NOTIFY put together from fragments; its payload is the reassembly's.
    Reassembled {
        stream_id: u64,
        frame_id: u64,
    },
    Aborted {
        stream_id: u64,
        frame_id: u64,
    },
    Failed(Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting for HAPROXY-HELLO.
    Fresh,
    Open,
    Closed,
}

/// The agent's side of one connection.
#[derive(Debug)]
pub struct Connection {
    settings: Settings,
    state: State,
    max_frame_size: u32,
    reassembly: Reassembly,
    notes: VecDeque<Note>,
    counts: FrameCounts,
}

/// Frames received, by type, and ACKs queued.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// HAPROXY-HELLO.
    pub hello: u64,
    /// NOTIFY: whole ones, and the first fragments of others.
    pub notify: u64,
    /// Further fragments of a NOTIFY (UNSET frames).
    pub fragment: u64,
    /// HAPROXY-DISCONNECT.
    pub disconnect: u64,
    /// Any other; ignored, or the end of the connection.
    pub other: u64,
    /// ACKs queued: one for each NOTIFY that came in full.
    pub acknowledged: u64,
}

impl FrameCounts {
    /// Adds another connection's counts.
    pub fn add(&mut self, other: &Self) {
        self.hello += other.hello;
        self.notify += other.notify;
        self.fragment += other.fragment;
        self.disconnect += other.disconnect;
        self.other += other.other;
        self.acknowledged += other.acknowledged;
    }

    fn count(&mut self, kind: FrameType) {
        match kind {
            FrameType::Notify => self.notify += 1,
            FrameType::Unset => self.fragment += 1,
            FrameType::HaproxyHello => self.hello += 1,
            FrameType::HaproxyDisconnect => self.disconnect += 1,
            _ => self.other += 1,
        }
    }
}

impl Connection {
    /// A connection on which nothing has been received yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            state: State::Fresh,
            max_frame_size: MAX_HELLO_SIZE,
            reassembly: Reassembly::new(settings.max_message_size),
            notes: VecDeque::new(),
            counts: FrameCounts::default(),
            settings,
        }
    }

    /// Takes the frames at the start of `input` that are there in full, and appends the answers that
    /// they call for to `output`; gives the number of bytes taken.
    ///
    /// Tell the events with [`next_event`](Self::next_event), with the same `input`, before the next
    /// call: those that were not asked for are forgotten. When something was taken, call again with
    /// the rest, until nothing is: one call stops after 256 events, and after a NOTIFY that was put
    /// together from fragments.
    pub fn receive(&mut self, input: &[u8], output: &mut Vec<u8>) -> usize {
        self.notes.clear();
        self.reassembly.discard_whole();
        let mut taken = 0;
        while self.state != State::Closed
            && self.notes.len() < MAX_EVENTS
            && !self.reassembly.is_whole()
        {
            let rest = input.get(taken..).unwrap_or_default();
            match frame::decode(rest, self.max_frame_size) {
                Ok(Some(frame)) => {
                    let place = taken..taken + frame.wire_len();
                    taken = place.end;
                    self.counts.count(frame.kind);
                    if let Err(error) = self.frame(&frame, place, output) {
                        self.fail(error, output);
                    }
                }
                Ok(None) => break,
                Err(error) => self.fail(error, output),
            }
        }
        taken
    }

    /// The next thing that happened in the last [`receive`](Self::receive), whose `input` must be
    /// given again.
    pub fn next_event<'a>(&'a mut self, input: &'a [u8]) -> Option<Event<'a>> {
        match self.notes.pop_front()? {
            Note::Notify { stream_id, frame_id, payload, offset } => Some(Event::Notify(Notify {
                stream_id,
                frame_id,
                payload: input.get(payload)?,
                offset: usize::from(offset),
            })),
            Note::Handshake(place) => {
                // These bytes were decoded before; they fail only if other bytes are given here.
                let bytes = input.get(place)?;
                let frame = frame::decode(bytes, u32::MAX).ok().flatten()?;
                if frame.kind == FrameType::HaproxyHello {
                    Hello::decode(&frame).ok().map(Event::Hello)
                } else {
                    Disconnect::decode(&frame).ok().map(Event::Disconnected)
                }
            }
            Note::Reassembled { stream_id, frame_id } => Some(Event::Notify(Notify {
                stream_id,
                frame_id,
                payload: self.reassembly.payload(),
                offset: 0,
            })),
            Note::Aborted { stream_id, frame_id } => Some(Event::Aborted { stream_id, frame_id }),
            Note::Failed(error) => Some(Event::Failed(error)),
        }
    }

    /// Closes the connection from this side: appends AGENT-DISCONNECT with `status` to `output`.
    /// Does nothing when the connection is closed already.
    pub fn disconnect(&mut self, status: Status, output: &mut Vec<u8>) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        let message = status.text().as_bytes();
        Disconnect { status, message }.encode(FrameType::AgentDisconnect, output);
    }

    /// What was received, and acknowledged, since this was last asked.
    pub fn take_counts(&mut self) -> FrameCounts {
        std::mem::take(&mut self.counts)
    }

    /// Whether the connection is over: both sides know, or will once `output` is written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The longest frame accepted now, in bytes without the length prefix.
    #[must_use]
    pub fn max_frame_size(&self) -> u32 {
        self.max_frame_size
    }

    /// How many bytes of the frame that begins with `start` must be there before
    /// [`receive`](Self::receive) takes or refuses it: what a stash of an unfinished frame has to
    /// grow to, and no further. With less than a length prefix in `start`, ask again when there is
    /// as much as this.
    #[must_use]
    pub fn wanted(&self, start: &[u8]) -> usize {
        frame::wanted(start, self.max_frame_size)
    }

    fn fail(&mut self, error: Error, output: &mut Vec<u8>) {
        self.disconnect(error.status(), output);
        self.notes.push_back(Note::Failed(error));
    }

    fn frame(
        &mut self,
        frame: &Frame<'_>,
        place: Range<usize>,
        output: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match (frame.kind, self.state) {
            (FrameType::Unknown(_), _) => Ok(()),
            (FrameType::Notify, State::Open) => self.notify(frame, place, output),
            (FrameType::Unset, State::Open) => self.fragment(frame, output),
            (FrameType::HaproxyHello, State::Fresh) => {
                self.hello(&Hello::decode(frame)?, frame, output)?;
                self.notes.push_back(Note::Handshake(place));
                Ok(())
            }
            (FrameType::HaproxyDisconnect, _) => {
                Disconnect::decode(frame)?;
                self.disconnect(Status::Normal, output);
                self.notes.push_back(Note::Handshake(place));
                Ok(())
            }
            _ => Err(at(frame, ErrorKind::UnexpectedFrame)),
        }
    }

    fn hello(
        &mut self,
        hello: &Hello<'_>,
        frame: &Frame<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if !frame.flags.is_fin() {
            return Err(at(frame, ErrorKind::FragmentationNotAnnounced));
        }
        if !hello.offers_our_version() {
            return Err(at(frame, ErrorKind::UnsupportedVersion));
        }
        if hello.max_frame_size < MIN_FRAME_SIZE {
            return Err(at(frame, ErrorKind::BadFrameSize(hello.max_frame_size)));
        }
        let ours = self.settings.max_frame_size.max(MIN_FRAME_SIZE);
        self.max_frame_size = hello.max_frame_size.min(ours);
        self.state = State::Open;
        AgentHello {
            version: VERSION.as_bytes(),
            max_frame_size: self.max_frame_size,
            capabilities: Capabilities {
                pipelining: true,
                fragmentation: self.settings.fragmentation,
                asynchronous: false,
            },
        }
        .encode(output);
        Ok(())
    }

    #[inline]
    fn notify(
        &mut self,
        frame: &Frame<'_>,
        place: Range<usize>,
        output: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if self.reassembly.is_open() {
            return Err(at(frame, ErrorKind::Interlaced));
        }
        if frame.flags.is_fin() && !frame.flags.is_abort() {
            self.acknowledge(frame, output);
            self.notes.push_back(Note::Notify {
                stream_id: frame.stream_id,
                frame_id: frame.frame_id,
                payload: place.end - frame.payload.len()..place.end,
                offset: u8::try_from(frame.payload_offset).unwrap_or(u8::MAX),
            });
            return Ok(());
        }
        if frame.flags.is_abort() {
            self.note(Step::Aborted, frame, output);
            return Ok(());
        }
        if !self.settings.fragmentation {
            return Err(at(frame, ErrorKind::FragmentationNotAnnounced));
        }
        let step = self.reassembly.begin(frame).map_err(|kind| at(frame, kind))?;
        self.note(step, frame, output);
        Ok(())
    }

    fn fragment(&mut self, frame: &Frame<'_>, output: &mut Vec<u8>) -> Result<(), Error> {
        let step = self.reassembly.resume(frame).map_err(|kind| at(frame, kind))?;
        self.note(step, frame, output);
        Ok(())
    }

    fn note(&mut self, step: Step, frame: &Frame<'_>, output: &mut Vec<u8>) {
        let (stream_id, frame_id) = (frame.stream_id, frame.frame_id);
        match step {
            Step::More => {}
            Step::Whole => {
                self.acknowledge(frame, output);
                self.notes.push_back(Note::Reassembled { stream_id, frame_id });
            }
            Step::Aborted => self.notes.push_back(Note::Aborted { stream_id, frame_id }),
        }
    }

    #[inline]
    fn acknowledge(&mut self, frame: &Frame<'_>, output: &mut Vec<u8>) {
        self.counts.acknowledged += 1;
        frame::encode(
            FrameType::Ack,
            Flags::FIN,
            frame.stream_id,
            frame.frame_id,
            output,
            |output| output.extend_from_slice(&self.settings.ack_actions),
        );
    }
}

fn at(frame: &Frame<'_>, kind: ErrorKind) -> Error {
    Error::new(kind, Some(frame.kind), frame.payload_offset)
}
