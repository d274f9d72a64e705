//! `spoa-mirror init`: what it writes is taken by real HAProxy without a warning, mirrors requests, and can be
//! switched off; what it is given is never altered, and stands in its files as it was meant.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

#[path = "../running/mod.rs"]
mod running;

mod command;
mod files;
mod mirroring;
mod patching;
mod scene;
