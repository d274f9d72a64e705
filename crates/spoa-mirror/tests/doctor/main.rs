//! The doctor: what it finds in HAProxy's files, and that what it says is so with real HAProxy.
#![allow(clippy::unwrap_used, reason = "a broken assumption must stop the test where it breaks")]

mod answers;
mod arguments;
mod bodies;
mod command;
mod documented;
mod fixtures;
mod health;
mod keywords;
mod live;
mod reading;
mod reference;
#[path = "../running/mod.rs"]
mod running;
mod staged;
mod traffic;
mod waiting;
mod wiring;
