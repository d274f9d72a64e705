//! Comparison over the admin API.

pub mod view;
