//! Real HAProxy: four versions, started with a test's own configuration in a directory of its own.
//!
//! [`Guide`] writes the configuration that HAProxy's traffic-mirroring guide shows and lets a test change
//! it; [`Builder`] takes any configuration.

mod guide;
mod process;
mod version;

pub use guide::Guide;
pub use process::{Builder, Haproxy};
pub use version::Version;
