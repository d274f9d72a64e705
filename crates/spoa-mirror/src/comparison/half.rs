//! What the data plane hands over about one request: production's answer and the targets' answers, each
//! by itself, as they come.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use shadow_diff::{Body, Response};

use crate::config::{Compare, TargetConfig};
use crate::exchange::Headers;
use crate::outcome::Failure;

/// Which request it is: a hash of HAProxy's id for it, or a number of ours where one message says
/// everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    /// The key of a request that HAProxy calls `id`.
    #[must_use]
    pub fn of_id(id: &[u8]) -> Self {
        // A number of ours has no such bit.
        Self(xxhash_rust::xxh3::xxh3_128(id) | 1 << 127)
    }

    /// The key of a worker's request of this number.
    #[must_use]
    pub fn of_number(worker: usize, number: u64) -> Self {
        Self(((worker as u128) << 64 | u128::from(number)) & !(1 << 127))
    }

    /// Two words of it, each as good as the other.
    pub(super) fn words(self) -> (u64, u64) {
        let mixed = xxhash_rust::xxh3::xxh3_128(&self.0.to_le_bytes());
        #[allow(clippy::cast_possible_truncation)] // the halves of it
        ((mixed >> 64) as u64, mixed as u64)
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
    pub(super) _weight: Weight,
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
        /// Who answered.
        target: Arc<Compared>,
        /// The copy as it was sent.
        asked: Box<Asked>,
        /// Its end.
        end: End,
        /// How many copies of the request are compared.
        copies: u32,
    },
}

/// A target whose answers are compared.
#[derive(Debug, PartialEq, Eq)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// As what.
    pub role: Compare,
}

impl Compared {
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
    Answered(Box<Recorded>),
    /// It failed.
    Failed(Failure, Duration),
    /// It was not sent after all.
    Dropped,
}

/// A copy as it was sent: HTTP/1 bytes, head and as much of the body as is kept.
#[derive(Debug, Default)]
pub struct Asked {
    /// The method.
    pub method: Box<[u8]>,
    /// The request target.
    pub target: Box<[u8]>,
    /// The header lines.
    pub headers: Box<[u8]>,
    /// The beginning of the body.
    pub body: Box<[u8]>,
    /// Bytes of the whole body.
    pub body_len: u64,
}

/// An answer, as much of it as is kept.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The status.
    pub status: u16,
    /// The headers, in the form that they came in.
    pub headers: HeaderBytes,
    /// The body, or its beginning.
    pub body: Box<[u8]>,
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
    Block(Box<[u8]>),
    /// `name: value` lines.
    Text(Box<[u8]>),
}

impl Default for HeaderBytes {
    fn default() -> Self {
        Self::Text(Box::default())
    }
}

/// How much of a body is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// The beginning of it: its length in bytes, where that is known.
    Part(Option<u64>),
    /// Nothing is known of it.
    #[default]
    Unknown,
}

impl Recorded {
    /// Names and values of the headers; none where they cannot be read.
    #[must_use]
    pub fn headers(&self) -> Vec<(&[u8], &[u8])> {
        let headers = match &self.headers {
            HeaderBytes::Block(bytes) => Headers::Block(bytes),
            HeaderBytes::Text(bytes) => Headers::Text(bytes),
        };
        headers.iter().map_while(Result::ok).collect()
    }

    /// The answer as it is compared; `headers` are its [`headers`](Self::headers).
    #[must_use]
    pub fn response<'r>(&'r self, headers: &'r [(&'r [u8], &'r [u8])]) -> Response<'r> {
        let body = match self.extent {
            Extent::Whole => Body::Whole(&self.body),
            Extent::Part(total) => Body::Part { bytes: &self.body, total },
            Extent::Unknown => Body::Unknown,
        };
        Response { status: self.status, headers, body }
    }

    /// Bytes that it holds in memory.
    pub(super) fn bytes(&self) -> usize {
        let headers = match &self.headers {
            HeaderBytes::Block(bytes) | HeaderBytes::Text(bytes) => bytes.len(),
        };
        size_of::<Self>() + headers + self.body.len()
    }
}

impl Part {
    /// Bytes that it holds in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Half>()
            + match self {
                Self::Production { answer, .. } => answer.bytes(),
                Self::Shadow { asked, end, .. } => {
                    let answer = match end {
                        End::Answered(answer) => answer.bytes(),
                        End::Failed(..) | End::Dropped => 0,
                    };
                    let asked = [&asked.method, &asked.target, &asked.headers, &asked.body]
                        .map(|b| b.len());
                    size_of::<Asked>() + asked.iter().sum::<usize>() + answer
                }
            }
    }
}

/// Bytes that count against the bound of what is held, until it is dropped.
#[derive(Debug)]
pub(super) struct Weight {
    bytes: usize,
    held: Arc<AtomicUsize>,
}

impl Weight {
    /// Takes `bytes` of `most`; `None` when they are not there.
    pub(super) fn take(bytes: usize, most: usize, held: &Arc<AtomicUsize>) -> Option<Self> {
        if held.fetch_add(bytes, Relaxed).saturating_add(bytes) > most {
            held.fetch_sub(bytes, Relaxed);
            return None;
        }
        Some(Self { bytes, held: Arc::clone(held) })
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Relaxed);
    }
}
