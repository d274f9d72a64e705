use std::time::Duration;

use testbed::backend::Recorder;
use testbed::wait;

use crate::running::mirror::Mirror;
use crate::sender::{Busy, Load, toml};

/// A target that becomes ten times slower gets fewer copies at once, until it is fast again.
#[test]
fn a_slow_target_gets_fewer_copies_at_once() {
    let busy = Busy::new(30);
    let recorder = Recorder::builder().behaviour(busy.behaviour()).record(false).start();
    let limit = "limit = { in-flight = 30, queue = 60, adaptive = { min = 2, tolerance = 3.0 } }";
    let mut mirror = Mirror::configured(&toml(1, &recorder.url(), limit));
    let load = Load::start(mirror.address, 1, 20, Duration::from_millis(10));
    let patience = 3 * wait::LIMIT;
    wait::holds(patience, "many copies at once", || busy.now() >= 15);
    busy.takes(300);
    wait::holds(patience, "fewer copies at once", || (1..=6).contains(&busy.now()));
    busy.takes(30);
    wait::holds(patience, "many copies at once again", || busy.now() >= 15);
    assert!(busy.most() <= 30, "{}", busy.most());
    let sent = load.stop();
    let tally = mirror.finish();
    assert_eq!(tally.target().received, sent, "{tally:?}");
    tally.target().assert_only(&["2xx"], &[], &["queue-full"]);
}
