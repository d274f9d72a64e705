//! Production's answers beside those of the targets.
//!
//! The data plane records halves of pairs ([`intake`]) and drops them into a bounded channel; what
//! happens to them then is the control plane's, on a thread of its own.

mod comparing;
mod expected;
mod half;
mod hints;
pub mod intake;
mod keeping;
pub mod ledger;
mod memory;
pub mod pairing;
mod recording;
pub mod redaction;
pub mod sample;
mod secrets;
pub mod side_by_side;

pub use comparing::{Comparing, Judged, Outcomes, Standing};
pub use half::{Asked, End, Extent, Half, HeaderBytes, Key, Part, Recorded, Subject, Turn};
pub use intake::{Intake, Opened, Taken, Ticket};
pub use pairing::{Counts, Of, Pair, Pairing};
pub use recording::Recording;
pub use redaction::Redaction;
pub use sample::Sample;

/// What is there besides the halves, in bytes: places in the channel, and the ids of requests whose answers
/// are awaited.
pub(crate) const FIXED_BYTES: usize = intake::CHANNEL * size_of::<Half>() + expected::BYTES;
