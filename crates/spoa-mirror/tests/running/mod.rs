//! A running program: how tests start it, what its log says of its work, HAProxy's side of a connection
//! to it, and HAProxy itself with the guide's configuration around it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod gate;
pub mod mirror;
pub mod spop;
pub mod stage;

pub use testbed::counters as tally;

/// Makes a test of a function for each version of HAProxy.
#[allow(unused_macros, reason = "each test file uses a part of it")]
macro_rules! on_each_haproxy {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            use testbed::haproxy::Version;

            #[test]
            fn haproxy_2_6() {
                super::$test(Version::V2_6);
            }

            #[test]
            fn haproxy_3_0() {
                super::$test(Version::V3_0);
            }

            #[test]
            fn haproxy_3_2() {
                super::$test(Version::V3_2);
            }

            #[test]
            fn haproxy_3_4() {
                super::$test(Version::V3_4);
            }
        })+
    };
}
#[allow(unused_imports, reason = "each test file uses a part of it")]
pub(crate) use on_each_haproxy;
