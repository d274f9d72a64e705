//! What the end-to-end tests of the program share.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod bodies;
pub(crate) mod copy;
pub(crate) mod stage;
