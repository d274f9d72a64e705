use std::time::{Duration, Instant};

use testbed::backend::Recorder;
use testbed::wait;

use crate::running::mirror::Mirror;
use crate::sender::{Sender, toml};

/// The burst at once, and what comes in the time that passes: counted by the target, over all workers.
#[test]
fn a_target_gets_no_more_than_its_rate() {
    let recorder = Recorder::start();
    let limits = "limit = { rate = \"100/s\", burst = 20, queue = 10000, max-age = \"1h\" }";
    let mut mirror = Mirror::configured(&toml(2, &recorder.url(), limits));
    let mut senders: Vec<_> = (0..4).map(|_| Sender::connect(mirror.address)).collect();
    let started = Instant::now();
    let mut rounds = 0;
    while started.elapsed() < Duration::from_secs(2) {
        senders.iter_mut().for_each(|sender| sender.get("/"));
        rounds += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    let tally = mirror.finish();
    let target = tally.target();
    target.assert_only(&["2xx"], &[], &["rate-limit"]);
    assert_eq!(target.received, 4 * rounds, "{target}");
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let answered = target.answers() as f64;
    let due = 20.0 + 100.0 * seconds;
    assert!(answered <= due + 1.0, "{answered}, {due} were due: {target}");
    // On a busy machine nobody may have asked for a token for a while: one in two at least.
    assert!(answered >= due / 2.0, "{answered}, {due} were due: {target}");
    wait::holds(wait::LIMIT, "all of them at the target", || {
        recorder.counts().complete == target.answers()
    });
}
