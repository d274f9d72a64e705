//! The dashboard as a browser gets it: pages that are well-formed, safe and readable without JavaScript,
//! whom they let in, and how they are told of changes.
#![allow(clippy::unwrap_used, reason = "a broken assumption must stop the test where it breaks")]

mod access;
#[path = "../admin/api.rs"]
#[allow(dead_code, reason = "shared with the tests of the admin API")]
mod api;
mod assets;
mod comparison;
mod events;
mod html;
mod overview;
#[path = "../running/mod.rs"]
mod running;
mod scene;
