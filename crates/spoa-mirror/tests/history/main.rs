//! What a running agent remembers: over restarts, after it was killed, and when it cannot write.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

#[path = "../running/mod.rs"]
mod running;

mod asking;
mod remembering;
mod scene;
mod unusable;
