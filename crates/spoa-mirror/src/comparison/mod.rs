//! Production's answers beside those of the targets.
//!
//! The data plane records halves of pairs ([`intake`]) and drops them into a bounded channel; what
//! happens to them then is the control plane's, on a thread of its own.

mod comparing;
mod expected;
mod half;
pub mod intake;
pub mod pairing;

pub use comparing::Comparing;
pub use half::{Asked, Compared, End, Extent, Half, HeaderBytes, Key, Part, Recorded};
pub use intake::{Intake, Opened, Ticket};
pub use pairing::{Counts, Pair, Pairing};
