//! What the benchmarks share; see the binary of this crate for what it measures with real HAProxy.
#![allow(
    clippy::unwrap_used,
    reason = "a tool for the checkout: a broken assumption must stop it where it breaks"
)]

pub mod decode;
pub mod http;
pub mod machine;
pub mod micro;
pub mod server;
