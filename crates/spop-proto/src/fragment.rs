//! Puts fragmented NOTIFY payloads together (section 3.2.6; HAProxy up to 3.0 sends them).
//!
//! A connection carries the fragments of one frame at a time; other frames may not come between.

use std::ops::Range;

use crate::error::ErrorKind;
use crate::frame::Frame;

#[derive(Debug)]
pub(crate) struct Reassembly {
    limit: usize,
    /// Payloads that are whole, then the one being put together.
    buffer: Vec<u8>,
    /// The frame being put together: its ids and where it begins in `buffer`.
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    stream_id: u64,
    frame_id: u64,
    start: usize,
}

/// What a fragment did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More fragments must come.
    More,
    /// The payload is whole and stands in this part of the buffer.
    Whole(Range<usize>),
    /// HAProxy gave the frame up.
    Aborted,
}

/// A buffer larger than this is given back once it is empty, in bytes.
const KEEP: usize = 64 * 1024;

impl Reassembly {
    /// `limit`: the largest payload put together, in bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new(), open: None }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The payload in `range`, as [`Step::Whole`] gave it.
    pub(crate) fn payload(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }

    /// Forgets the payloads that are whole: their ranges are void from here on.
    pub(crate) fn discard_whole(&mut self) {
        let keep_from = self
            .open
            .as_mut()
            .map_or(self.buffer.len(), |open| std::mem::replace(&mut open.start, 0));
        if keep_from == 0 {
            return;
        }
        self.buffer.drain(..keep_from);
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
    }

    /// Takes a NOTIFY without FIN.
    pub(crate) fn begin(&mut self, frame: &Frame<'_>) -> Result<Step, ErrorKind> {
        if frame.flags.is_abort() {
            return Ok(Step::Aborted);
        }
        let start = self.buffer.len();
        self.open = Some(Open { stream_id: frame.stream_id, frame_id: frame.frame_id, start });
        self.append(frame.payload, start)?;
        Ok(Step::More)
    }

    /// Takes an UNSET frame.
    pub(crate) fn resume(&mut self, frame: &Frame<'_>) -> Result<Step, ErrorKind> {
        let open = self
            .open
            .filter(|open| open.stream_id == frame.stream_id && open.frame_id == frame.frame_id)
            .ok_or(ErrorKind::UnknownFragment)?;
        if frame.flags.is_abort() {
            self.buffer.truncate(open.start);
            self.open = None;
            return Ok(Step::Aborted);
        }
        self.append(frame.payload, open.start)?;
        if !frame.flags.is_fin() {
            return Ok(Step::More);
        }
        self.open = None;
        Ok(Step::Whole(open.start..self.buffer.len()))
    }

    fn append(&mut self, payload: &[u8], start: usize) -> Result<(), ErrorKind> {
        if self.buffer.len() - start + payload.len() > self.limit {
            return Err(ErrorKind::MessageTooLong { limit: self.limit });
        }
        self.buffer.extend_from_slice(payload);
        Ok(())
    }
}
