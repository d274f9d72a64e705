use testbed::backend::{Behaviour, Recorder, Response};
use testbed::{ports, wait};

use crate::running::mirror::Mirror;
use crate::sender::{Sender, toml};

const OPEN: &str = "circuit breaker open";
const HALF_OPEN: &str = "circuit breaker half-open";
const CLOSED: &str = "circuit breaker closed";

/// Sends requests until a line about it is there.
fn send_until_told(mirror: &Mirror, sender: &mut Sender, line: &str) {
    wait::holds(wait::LIMIT, line, || {
        sender.get("/");
        !mirror.told(line).is_empty()
    });
}

/// A target that is not there is left alone, and found again when it comes back.
#[test]
fn a_dead_target_is_left_alone_until_it_is_back() {
    let address = ports::free_addr();
    let lines = "breaker = { failures = 3, open = \"300ms\", probes = 2 }";
    let mut mirror = Mirror::configured(&toml(2, &format!("http://{address}"), lines));
    let mut sender = Sender::connect(mirror.address);
    let mut other = Sender::connect(mirror.address);
    send_until_told(&mirror, &mut sender, OPEN);
    assert_eq!(mirror.told(CLOSED), [""; 0]);
    // Its time passes; the one copy that is tried then fails.
    send_until_told(&mirror, &mut other, HALF_OPEN);
    mirror.wait_report(|tally| tally.target().dropped.contains_key("breaker-open"));

    let recorder = Recorder::builder().address(address).start();
    send_until_told(&mirror, &mut other, CLOSED);
    let before = recorder.counts().complete;
    (0..20).for_each(|_| sender.get("/again"));
    recorder.wait_count(before + 20, wait::LIMIT);
    let tally = mirror.finish();
    let target = tally.target();
    target.assert_only(&["2xx"], &["connect-refused"], &["breaker-open"]);
    assert!(target.failed["connect-refused"] >= 3, "{target}");
    assert_eq!(target.received, sender.sent() + other.sent(), "{target}");
    assert_eq!(target.answers(), recorder.counts().complete, "{target}");
}

/// What waited for a target when it was given up is dropped at once: a dead target keeps no memory.
#[test]
fn what_waits_is_dropped_when_it_opens() {
    let recorder = Recorder::with(Behaviour::mute());
    let lines = "limit = { in-flight = 2, max-age = \"1h\" }\ntimeout = { total = \"500ms\" }\n\
                 breaker = { failures = 2, open = \"1h\" }";
    let mut mirror = Mirror::configured(&toml(1, &recorder.url(), lines));
    Sender::connect(mirror.address).batch(50);
    mirror.wait_told(OPEN);
    let tally =
        mirror.wait_report(|tally| tally.target().received == 50 && tally.target().open() == 0);
    let target = tally.target();
    target.assert_only(&[], &["timeout"], &["breaker-open"]);
    assert_eq!((target.failures(), target.drops()), (2, 48), "{target}");
    assert_eq!(recorder.counts().complete, 2);
    mirror.finish();
}

/// Answers that say that the target is in trouble count where the configuration says so, by their share.
#[test]
fn server_errors_open_it() {
    let recorder = Recorder::with(Behaviour::custom(|request| {
        let status = if request.target() == b"/bad" { 503 } else { 200 };
        Response::new(status).to_bytes(request.method())
    }));
    let breaker = "share = \"50%\", minimum = 10, window = \"1h\", open = \"1h\"";
    let start = |more: &str| {
        let lines = format!("breaker = {{ {breaker}{more} }}");
        let mirror = Mirror::configured(&toml(1, &recorder.url(), &lines));
        let sender = Sender::connect(mirror.address);
        (mirror, sender)
    };
    let (mut mirror, mut sender) = start(", server-errors = true");
    (0..5).for_each(|_| sender.get("/good"));
    recorder.wait_count(5, wait::LIMIT);
    wait::holds(wait::LIMIT, "the breaker to open", || {
        sender.get("/bad");
        !mirror.told(OPEN).is_empty()
    });
    let tally = mirror.finish();
    assert!(tally.target().answered["5xx"] >= 5, "{tally:?}");

    let (mut mirror, mut sender) = start("");
    (0..30).for_each(|_| sender.get("/bad"));
    let tally = mirror.finish();
    assert_eq!(tally.target().answered["5xx"], 30, "{tally:?}");
    assert_eq!(mirror.told(OPEN), [""; 0]);
}
