//! What the tests of spoa-mirror stand on: real HAProxy of several versions ([`haproxy`]), backends that
//! record the exact bytes they receive and misbehave on request ([`backend`]), clients that send exact
//! bytes ([`client`]), a fake HAProxy ([`spop_client`]), a handle on the program under test
//! ([`agent`]), and what its counters say ([`counters`]), Prometheus ([`prometheus`]), a browser
//! ([`browser`]), and configurations out of our documents ([`document`]).
//!
//! Everything is blocking and owns what it starts: dropping a value ends its processes, threads and
//! connections. Waiting is always for a condition, with a limit ([`wait`]). Not published, not for
//! production: a failed expectation panics with what was seen.
#![allow(
    clippy::unwrap_used,
    reason = "a test's infrastructure: a broken assumption must stop the test where it breaks"
)]

pub mod agent;
pub mod backend;
pub mod browser;
pub mod client;
pub mod counters;
pub mod document;
pub mod haproxy;
pub mod lines;
pub mod ports;
pub mod prometheus;
pub mod spop_client;
pub mod tls;
pub mod wait;
