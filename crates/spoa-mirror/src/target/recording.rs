//! What is kept of an answer that is to be compared: its headers, and its body up to a bound.

use std::time::Duration;

use crate::comparison::{Extent, HeaderBytes, Recorded};

/// An answer as it comes in.
#[derive(Debug, Default)]
pub struct Recording {
    /// Header lines.
    headers: Vec<u8>,
    body: Vec<u8>,
    /// Bytes of the body that are kept.
    most: usize,
    /// Bytes of the body so far.
    body_len: u64,
}

impl Recording {
    /// Keeps `max_body` bytes of the body.
    #[must_use]
    pub fn new(max_body: usize) -> Self {
        Self { most: max_body, ..Self::default() }
    }

    /// Adds a header.
    pub(super) fn header(&mut self, name: &[u8], value: &[u8]) {
        self.headers.reserve(name.len() + value.len() + 4);
        self.headers.extend_from_slice(name);
        self.headers.extend_from_slice(b": ");
        self.headers.extend_from_slice(value);
        self.headers.extend_from_slice(b"\r\n");
    }

    /// Adds bytes of the body.
    pub(super) fn body(&mut self, bytes: &[u8]) {
        self.body_len += bytes.len() as u64;
        let room = self.most - self.body.len();
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The answer, which ended so; `cut` says that its rest was not read.
    pub(super) fn end(
        self,
        status: u16,
        cut: bool,
        head_time: Duration,
        time: Duration,
    ) -> Recorded {
        let extent = match () {
            () if cut => Extent::Part(None),
            () if self.body.len() as u64 != self.body_len => Extent::Part(Some(self.body_len)),
            () => Extent::Whole,
        };
        Recorded {
            status,
            headers: HeaderBytes::Text(self.headers.into()),
            body: self.body.into(),
            extent,
            head_time: Some(head_time),
            time: Some(time),
        }
    }
}
