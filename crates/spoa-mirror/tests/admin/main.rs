//! The admin API: what it tells, what it changes, whom it lets in, what it bears.
#![allow(clippy::unwrap_used, reason = "a broken assumption must stop the test where it breaks")]

mod access;
mod api;
mod changes;
mod command;
mod configured;
mod documentation;
mod draining;
mod limits;
mod reading;
mod reload;
#[path = "../running/mod.rs"]
mod running;
mod verdict;
