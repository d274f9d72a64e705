//! Production's answers beside a target's: brought together from real HAProxy in either form, with one
//! agent and with several, and counted whatever happens.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

#[path = "../running/mod.rs"]
mod running;

mod bodies;
mod command;
mod control;
mod outcomes;
mod pairs;
mod running_agent;
mod scene;
mod times;
mod unpaired;
mod verdict;
