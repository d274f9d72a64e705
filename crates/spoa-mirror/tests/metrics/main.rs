//! What operators see: metrics that say what is, documents and rules that know every one of them, log lines
//! that can be found again.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod documents;
mod exposition;
mod figures;
mod ids;
mod rules;
#[path = "../running/mod.rs"]
mod running;
