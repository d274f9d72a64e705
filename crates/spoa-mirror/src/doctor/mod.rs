//! `spoa-mirror doctor`: whether HAProxy's files do what their author means them to do for mirroring.
//!
//! [`reading`] reads the files, [`setup`] makes sense of them, [`rules`] look for what is wrong, which are
//! [`finding`]s, of which [`patch`] makes a patch. [`live`] asks what runs.

mod expression;
mod fetches;
mod finding;
mod live;
mod patch;
mod reading;
mod rules;
mod setup;
mod versions;
