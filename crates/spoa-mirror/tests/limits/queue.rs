use testbed::wait;

use crate::running::gate;
use crate::running::mirror::Mirror;
use crate::sender::{Sender, toml};

/// Ten requests for a target that takes one at a time and lets three wait: the paths of those that arrive.
fn arrive(limit: &str, reason: &str) -> Vec<String> {
    // Three of them are just under a kilobyte.
    let padding = "x".repeat(250);
    let (recorder, gate) = gate::recorder();
    let lines = format!("limit = {{ in-flight = 1, max-age = \"1h\", {limit} }}");
    let mut mirror = Mirror::configured(&toml(1, &recorder.url(), &lines));
    let mut sender = Sender::connect(mirror.address);
    sender.get(&format!("/1?{padding}"));
    mirror.wait_report(|tally| tally.target().in_flight == 1);
    (2..=10).for_each(|number| sender.get(&format!("/{number}?{padding}")));
    gate.open();
    recorder.wait_count(4, wait::LIMIT);
    let tally = mirror.finish();
    tally.target().assert_only(&["2xx"], &[], &[reason]);
    assert_eq!((tally.target().answers(), tally.target().drops()), (4, 6), "{tally:?}");
    let requests = recorder.requests();
    let path =
        |target: &[u8]| String::from_utf8_lossy(target).split('?').next().unwrap().to_owned();
    requests.iter().map(|request| path(request.target())).collect()
}

#[test]
fn the_newest_are_dropped() {
    assert_eq!(arrive("queue = 3", "queue-full"), ["/1", "/2", "/3", "/4"]);
    assert_eq!(arrive("queue = 3, drop = \"newest\"", "queue-full"), ["/1", "/2", "/3", "/4"]);
}

#[test]
fn the_oldest_are_dropped() {
    assert_eq!(arrive("queue = 3, drop = \"oldest\"", "queue-full"), ["/1", "/8", "/9", "/10"]);
    assert_eq!(
        arrive("queue-bytes = \"1KiB\", drop = \"oldest\"", "queue-bytes"),
        ["/1", "/8", "/9", "/10"]
    );
}
