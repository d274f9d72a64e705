//! The SPOP side: listeners, the workers that serve HAProxy's connections, and the connections.

mod connection;
#[cfg(test)]
mod defects;
mod engines;
mod lineup;
mod listener;
mod stream;
mod worker;

pub use engines::Engine;
pub use lineup::{Route, TargetPlan};
pub(crate) use listener::{Bound, bind_with_mode};
pub use listener::{Listener, bind, inherit};
pub use worker::{Handle, Plan, Snapshot, Workers};
