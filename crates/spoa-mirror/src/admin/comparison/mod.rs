//! Comparison over the admin API: verdicts, endpoints, kept pairs, runs, rules.

pub(crate) mod api;
mod rules;
pub(crate) mod shown;
pub mod view;
