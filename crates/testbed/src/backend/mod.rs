//! Backends: production stubs and mirror targets that record exactly what they receive and answer, or
//! fail to, as told.
//!
//! [`Recorder`] speaks HTTP/1 over TCP or TLS and keeps the bytes as they came; [`h2::Recorder`] speaks
//! HTTP/2; at a [`Blackhole`] nobody answers at all.

mod behaviour;
mod blackhole;
mod connection;
pub mod h2;
mod recorder;
mod request;

pub use behaviour::{Behaviour, Framing, Response, Step};
pub use blackhole::Blackhole;
pub use recorder::{Builder, Counts, Recorder};
pub use request::Request;
pub(crate) use request::{BodyEnd, Dechunker, body_end, head_end, header_lines, split_header};
