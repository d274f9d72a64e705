//! What keeps a target from getting more than it can, or shall, take: rate, drop policy, circuit breaker,
//! adaptive concurrency, connections; all of it held over all workers.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

#[path = "../faults/dice.rs"]
#[allow(dead_code, reason = "the other tests need more")]
mod dice;
#[path = "../faults/mischief.rs"]
mod mischief;
#[path = "../running/mod.rs"]
mod running;

mod adaptive;
mod breaker;
mod concurrency;
mod queue;
mod random;
mod rate;
mod sender;
