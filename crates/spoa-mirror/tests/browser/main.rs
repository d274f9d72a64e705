//! The dashboard as people use it: in a real browser, with the mouse, with the keyboard alone, without
//! JavaScript, on a telephone; and with what an attacker would have a server answer.
#![allow(clippy::unwrap_used, reason = "a broken assumption must stop the test where it breaks")]

#[path = "../admin/api.rs"]
#[allow(dead_code, reason = "shared with the tests of the admin API")]
mod api;
mod comparing;
mod hostile;
mod overview;
mod pages;
#[path = "../running/mod.rs"]
mod running;
#[path = "../comparison/scene.rs"]
#[allow(dead_code, reason = "shared with the tests of comparison")]
mod scene;
mod shop;
