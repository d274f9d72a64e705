//! Which requests each target gets: rules, samples, several copies of one request, and what becomes of
//! bodies; with HAProxy in front and several targets behind one program.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

#[path = "../running/mod.rs"]
mod running;

mod bodies;
mod copies;
mod matching;
mod sampling;
mod scene;
