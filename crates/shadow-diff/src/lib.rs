//! Compares production's responses with a shadow's: typed differences, measured noise, a verdict.
//!
//! Pure: no I/O, no clock, no runtime. What is compared comes from outside and may be hostile: no
//! function panics, and depth, sizes and the number of what is remembered are bounded.
//!
//! [`Comparer`] finds the differences between two responses and settles those that rules excuse:
//!
//! ```
//! use std::time::SystemTime;
//!
//! use shadow_diff::{Body, Comparer, Outcome, Pair, Response, ShowAll};
//!
//! let headers: &[(&[u8], &[u8])] = &[(b"content-type", b"application/json")];
//! let response = |body| Response { status: 200, headers, body: Body::Whole(body) };
//! let comparison = Comparer::default().compare(
//!     &Pair {
//!         method: b"GET",
//!         endpoint: "GET /items/{id}",
//!         now: SystemTime::now(),
//!         production: response(br#"{"id": 7, "price": 9.90}"#),
//!         shadow: response(br#"{"price": 9.9, "id": 8}"#),
//!     },
//!     &ShowAll,
//! );
//! assert_eq!(comparison.outcome, Outcome::Different);
//! assert_eq!(comparison.differences.len(), 1);
//! assert_eq!(comparison.differences[0].place.to_string(), "body $.id");
//! ```
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable
)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic))]

pub mod books;
mod compare;
mod comparison;
mod content;
mod difference;
pub mod endpoint;
mod form;
mod headers;
mod json;
mod limits;
mod lines;
mod natural;
mod path;
mod pattern;
mod redact;
mod report;
mod response;
mod rules;
pub mod shown;
pub mod significance;
mod time;
pub mod verdict;
mod xml;

pub use compare::Comparer;
pub use comparison::{Comparison, Examined, Excuse, Outcome, Reason, Side};
pub use difference::{Difference, Kind, Place};
pub use limits::Limits;
pub use natural::{NaturalRule, NaturalRules, UnknownRule, natural_rules};
pub use redact::{Redact, ShowAll};
pub use response::{Body, Pair, Response};
pub use rules::{Action, Rule, RuleError, RulePart, Rules};
