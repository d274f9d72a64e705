//! Faults under load: whatever the target, the agent or HAProxy suffers, every client gets production's
//! answer, the counters add up, memory and descriptors stay under the bound that the command line sets,
//! and copies flow again once the fault is gone.
#![allow(clippy::unwrap_used, reason = "a broken assumption must stop the test where it breaks")]

mod agent;
mod books;
#[allow(dead_code, reason = "the other tests need more")]
mod dice;
mod haproxy;
mod invariants;
mod mischief;
mod scene;
mod target;

/// Makes a test of a function for each of these versions of HAProxy.
macro_rules! on_haproxy {
    ($($test:ident: $($version:ident),+;)+) => {
        $(mod $test {
            $(
                #[test]
                #[allow(non_snake_case, reason = "named after the version")]
                fn $version() {
                    super::$test(testbed::haproxy::Version::$version);
                }
            )+
        })+
    };
}
use on_haproxy;
