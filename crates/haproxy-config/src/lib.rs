//! Reads haproxy.cfg and SPOE files as HAProxy does, into sections, lines and words, each with its place.
//!
//! The program's doctor looks at people's configurations with it. Which files there are, and reading them, is the
//! caller's: each is a [`Document`], and [`Document::ancestry`] takes those that HAProxy reads before it.
//!
//! Pure: no I/O. The text, and what `${VARIABLES}` stand for, come from the caller, and may be hostile: no
//! function panics, and sizes, counts and depth are bounded ([`limits`]). It knows HAProxy's syntax, not its
//! keywords: what it does not know it keeps. Nothing is lost: [`Document::to_bytes`] gives back what was read.
//!
//! ```
//! use haproxy_config::{Surroundings, Syntax, parse};
//!
//! let text = b"defaults\n  mode http\n\nfrontend www\n  bind \"${ADDRESS-127.0.0.1}\":80 # here\n";
//! let surroundings = Surroundings::default();
//! let document = parse(text, Syntax::Haproxy, &surroundings)?;
//! assert!(document.mistakes.is_empty());
//! let www = &document.sections[1];
//! assert_eq!(www.name().unwrap().text, b"www");
//! let address = &www.lines[0].words[1];
//! assert_eq!((address.text.as_slice(), address.column), (&b"127.0.0.1:80"[..], 8));
//! let lines: Vec<_> = document.ancestry(1, &[]).lines().map(|line| line.keyword().unwrap()).collect();
//! assert_eq!(lines, [b"mode", b"bind"]);
//! assert_eq!(document.to_bytes(), text);
//! # Ok::<(), haproxy_config::Mistake>(())
//! ```
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable
)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic))]

mod ancestry;
mod blocks;
mod condition;
mod document;
pub mod limits;
mod mistake;
mod parse;
mod spoe;
mod surroundings;
mod word;

pub use ancestry::Ancestry;
pub use document::{Document, Line, Presence, Section};
pub use mistake::{Mistake, MistakeKind};
pub use parse::{Syntax, parse};
pub use spoe::{Argument, Scope};
pub use surroundings::{Surroundings, Version};
pub use word::{Reference, Word};
