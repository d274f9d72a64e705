//! What keeps a target from being sent more than it can, or shall, take. Each limit is shared by all
//! workers, works by atomics alone, and is told the time, so that tests decide what time it is.

pub mod adaptive;
pub mod breaker;
pub mod rate;
pub mod slots;
