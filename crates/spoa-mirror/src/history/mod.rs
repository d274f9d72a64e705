//! What the agent remembers: figures over time, pairs and counts of comparison, finished runs. In a SQLite
//! file, so that it survives restarts, or in memory; bounded by age and size either way.
//!
//! [`History`] is how the rest of the program writes and reads. It hands commands to a thread of its own,
//! which alone has the database: whoever writes never waits, whoever reads waits for a bounded time.
//! Losing history costs no copy: a database that fails is told, counted and lived with.

mod database;
mod figures;
mod place;
mod recorder;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod thread;

pub use database::{FinishedRun, KeptRun, RunReport};
pub use figures::{Amount, Figures, Series};
pub use place::{Unusable, Why, check};
pub(crate) use recorder::{Recording, ack_delays};
pub(crate) use store::is_wanted;
pub use store::{Changes, History, Standing, Unread};

/// Without a file, this much is kept in memory at most, in bytes, whatever `max_size` allows.
pub(crate) const IN_MEMORY: u64 = 64 << 20;

/// What waits to be written takes at most this much memory, in bytes.
pub(crate) const QUEUED: usize = 32 << 20;

/// What the database keeps of its file in memory, in bytes.
pub(crate) const CACHE: u64 = 2 << 20;
