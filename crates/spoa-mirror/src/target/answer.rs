//! How a copy that was under way ended.

use std::time::Duration;

use crate::comparison::{End, Recording};
use crate::outcome::{Answer, Failure};

/// The end of a copy that was sent.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) result: Result<Answer, Failure>,
    /// The status code; 0 without one.
    pub(super) status: u16,
    /// Bytes of the request sent, head and body.
    pub(super) sent: u64,
    /// Bytes of the answer's body received.
    pub(super) received: u64,
    /// Whether the answer was over the size limit.
    pub(super) cut: bool,
    /// From the first byte sent to the last received.
    pub(super) time: Duration,
    /// From the first byte sent to the first received; zero when it has failed.
    pub(super) first_byte: Duration,
    pub(super) version: &'static str,
    /// The answer, when it is to be compared.
    pub(super) recording: Option<Box<Recording>>,
    /// What else is known of a failure.
    pub(super) detail: String,
}

impl Settled {
    /// How it ended, as comparison sees it.
    pub(super) fn end(&mut self) -> End {
        match (self.result, self.recording.take()) {
            (Ok(Answer::Unparsable), _) => End::Failed(Failure::IncompleteAnswer, self.time),
            (Ok(_), Some(recording)) => recording.end(self.status, self.cut, self.time),
            (Ok(_), None) => End::Lost,
            (Err(failure), _) => End::Failed(failure, self.time),
        }
    }

    pub(super) fn failed(failure: Failure, time: Duration) -> Self {
        Self {
            result: Err(failure),
            status: 0,
            sent: 0,
            received: 0,
            cut: false,
            time,
            first_byte: Duration::ZERO,
            version: "HTTP/1.1",
            recording: None,
            detail: String::new(),
        }
    }
}
