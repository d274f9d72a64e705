//! The SPOP side: listeners, the workers that serve HAProxy's connections, and the connections.

#[cfg(test)]
mod compared;
mod connection;
#[cfg(test)]
mod defects;
mod engines;
mod lineup;
mod listener;
mod stream;
mod worker;

pub(crate) use connection::KEEP_STASH as CONNECTION_KEEPS;
pub use engines::Engine;
pub use lineup::{Route, TargetPlan};
pub(crate) use listener::{Bound, bind_with_mode};
pub use listener::{Listener, bind, inherit};
pub(crate) use worker::SCRATCH as WORKER_BYTES;
pub use worker::{Handle, Plan, Snapshot, Workers};
