//! Puts fragmented NOTIFY payloads together (section 3.2.6; HAProxy up to 3.0 sends them).
//!
//! A connection carries the fragments of one frame at a time; other frames may not come between.
//! Only one payload is held: the caller takes a whole one before it gives the next fragment.

use crate::error::ErrorKind;
use crate::frame::Frame;

#[derive(Debug)]
pub(crate) struct Reassembly {
    limit: usize,
    /// The payload being put together, or the one that is whole; otherwise empty.
    buffer: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// Fragments of the frame with these ids are missing.
    Open {
        stream_id: u64,
        frame_id: u64,
    },
    Whole,
}

/// What a fragment did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// More fragments must come.
    More,
    /// The payload is whole.
    Whole,
    /// HAProxy gave the frame up.
    Aborted,
}

/// A buffer larger than this is given back once its payload was taken, in bytes.
const KEEP: usize = 64 * 1024;

impl Reassembly {
    /// `limit`: the largest payload put together, in bytes. The buffer never takes more.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new(), state: State::Idle }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.state == State::Whole
    }

    /// The payload that is whole.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.buffer
    }

    /// Forgets the payload that is whole, if there is one.
    pub(crate) fn discard_whole(&mut self) {
        if self.is_open() {
            return;
        }
        self.state = State::Idle;
        self.buffer.clear();
        if self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
    }

    /// Takes a NOTIFY without FIN.
    pub(crate) fn begin(&mut self, frame: &Frame<'_>) -> Result<Step, ErrorKind> {
        self.append(frame.payload)?;
        self.state = State::Open { stream_id: frame.stream_id, frame_id: frame.frame_id };
        Ok(Step::More)
    }

    /// Takes an UNSET frame.
    pub(crate) fn resume(&mut self, frame: &Frame<'_>) -> Result<Step, ErrorKind> {
        let its = State::Open { stream_id: frame.stream_id, frame_id: frame.frame_id };
        if self.state != its {
            return Err(ErrorKind::UnknownFragment);
        }
        if frame.flags.is_abort() {
            self.state = State::Idle;
            self.buffer.clear();
            return Ok(Step::Aborted);
        }
        self.append(frame.payload)?;
        if !frame.flags.is_fin() {
            return Ok(Step::More);
        }
        self.state = State::Whole;
        Ok(Step::Whole)
    }

    fn append(&mut self, payload: &[u8]) -> Result<(), ErrorKind> {
        let len = self.buffer.len().saturating_add(payload.len());
        if len > self.limit {
            return Err(ErrorKind::MessageTooLong { limit: self.limit });
        }
        if len > self.buffer.capacity() {
            // Twice as much each time, as a vector does by itself, but never over the limit.
            let capacity = self.buffer.capacity().saturating_mul(2).max(len).min(self.limit);
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(payload);
        Ok(())
    }
}
