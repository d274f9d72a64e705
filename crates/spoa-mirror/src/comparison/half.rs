//! What the data plane hands over about one request: production's answer and the targets' answers, each
//! by itself, as they come.

use std::sync::Arc;
use std::time::Duration;

use shadow_diff::{Body, Response};

use crate::config::{Compare, TargetConfig};
use crate::exchange::Headers;
use crate::outcome::Failure;

use super::memory::Weight;

/// A request, by the worker that has it and its number there: no other ever has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// The key of a worker's request of this number. Workers are counted from 1.
    #[must_use]
    pub fn new(worker: usize, number: u64) -> Self {
        const BITS: u32 = 48;
        Self((worker as u64) << BITS | number & ((1 << BITS) - 1))
    }

    pub(super) fn of_number(number: u64) -> Self {
        Self(number)
    }

    /// Never 0.
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

/// The part of a pair that one side knows.
#[derive(Debug)]
pub struct Half {
    /// Whose it is.
    pub key: Key,
    /// What is known.
    pub part: Part,
    /// Its bytes, as the bound of what is held counts them.
    pub(super) weight: Weight,
}

/// What one side knows.
#[derive(Debug)]
pub enum Part {
    /// What production answered, and how many copies of the request are compared with it where that is
    /// known by then.
    Production {
        /// The answer.
        answer: Box<Recorded>,
        /// Copies, in the message that holds request and answer.
        copies: Option<u32>,
    },
    /// What became of a copy.
    Shadow {
        /// Who was asked.
        target: Arc<Subject>,
        /// The copy as it was sent.
        asked: Box<Asked>,
        /// Its end.
        end: End,
        /// What it is held against.
        turn: Turn,
        /// How many copies of the request are compared, where that is known by then.
        copies: Option<u32>,
    },
}

/// Which of a request's copies to one target it is, of those whose answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The only one.
    Only,
    /// The first of two: held against production's answer.
    First,
    /// The second of two: held against the first one's answer.
    Second,
}

/// A target whose answers are compared.
#[derive(Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// As what.
    pub role: Compare,
}

impl Subject {
    /// What `target` is for comparison, if it is compared.
    #[must_use]
    pub fn of(target: &TargetConfig) -> Option<Self> {
        let role = target.compare;
        (role != Compare::No).then(|| Self { name: target.name.clone(), role })
    }
}

/// The end of a copy whose answer is to be compared.
#[derive(Debug)]
pub enum End {
    /// It was answered.
    Answered(Arc<Recorded>),
    /// It failed.
    Failed(Failure, Duration),
    /// It was not sent after all.
    NotSent,
    /// It was answered, and there was no room for the answer.
    Lost,
}

/// A copy as it was sent: HTTP/1 bytes, head and as much of the body as is kept.
#[derive(Debug, Default)]
pub struct Asked {
    /// The method.
    pub method: Vec<u8>,
    /// The path that the client asked for, without its query.
    pub path: Vec<u8>,
    /// The request target.
    pub target: Vec<u8>,
    /// The header lines.
    pub headers: Vec<u8>,
    /// The beginning of the body.
    pub body: Vec<u8>,
    /// Bytes of the whole body.
    pub body_len: u64,
}

/// An answer, as much of it as is kept.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The status.
    pub status: u16,
    /// The headers, in the form that they came in; `None` when they are not known.
    pub headers: Option<HeaderBytes>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// Whether that is all of it.
    pub extent: Extent,
    /// Until its head was there.
    pub head_time: Option<Duration>,
    /// Until its end.
    pub time: Option<Duration>,
}

/// Headers in one of the forms that they come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderBytes {
    /// HAProxy's `res.hdrs_bin`.
    Block(Vec<u8>),
    /// `name: value` lines.
    Text(Vec<u8>),
}

/// How much of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// The beginning of it, or nothing: its length in bytes, where that is known. Without one these bytes
    /// may also be all; Content-Length may say so.
    Part(Option<u64>),
}

impl Default for Extent {
    fn default() -> Self {
        Self::Part(None)
    }
}

impl Recorded {
    /// Names and values of the headers; `None` where they are not known, or not all of them.
    #[must_use]
    pub fn headers(&self) -> Option<Vec<(&[u8], &[u8])>> {
        let headers = match self.headers.as_ref()? {
            HeaderBytes::Block(bytes) => Headers::Block(bytes),
            HeaderBytes::Text(bytes) => Headers::Text(bytes),
        };
        headers.iter().collect::<Result<_, _>>().ok()
    }

    /// The answer as it is compared; `headers` are its [`headers`](Self::headers).
    #[must_use]
    pub fn response<'r>(&'r self, headers: &'r [(&'r [u8], &'r [u8])]) -> Response<'r> {
        let body = match self.extent {
            Extent::Whole => Body::Whole(&self.body),
            Extent::Part(total) => Body::Part { bytes: &self.body, total },
        };
        Response { status: self.status, headers, body }
    }

    /// Bytes that it holds in memory.
    pub(super) fn bytes(&self) -> usize {
        let headers = self.headers.as_ref().map_or(0, |headers| match headers {
            HeaderBytes::Block(bytes) | HeaderBytes::Text(bytes) => bytes.capacity(),
        });
        size_of::<Self>() + headers + self.body.capacity()
    }
}

/// What a half takes besides its bytes: its places in the channel and among those that wait, and what the
/// allocator rounds up.
pub(super) const BOOKKEEPING: usize = 512;

impl Part {
    /// Bytes that it holds in memory.
    pub(super) fn bytes(&self) -> usize {
        let held = match self {
            Self::Production { answer, .. } => answer.bytes(),
            Self::Shadow { asked, end, .. } => {
                let answer = if let End::Answered(answer) = end { answer.bytes() } else { 0 };
                let asked =
                    [&asked.method, &asked.path, &asked.target, &asked.headers, &asked.body];
                asked.iter().map(|part| part.capacity()).sum::<usize>() + answer
            }
        };
        BOOKKEEPING + held
    }
}
