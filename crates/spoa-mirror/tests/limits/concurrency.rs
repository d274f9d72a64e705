use testbed::backend::{Recorder, h2};
use testbed::wait;

use crate::running::mirror::Mirror;
use crate::sender::{Busy, Sender, toml};

/// Sixty copies from two workers; gives the most that the target had at once.
fn most_at_once(lines: &str) -> u64 {
    let busy = Busy::new(10);
    let recorder = Recorder::with(busy.behaviour());
    let mut mirror = Mirror::configured(&toml(2, &recorder.url(), lines));
    let mut senders: Vec<_> = (0..4).map(|_| Sender::connect(mirror.address)).collect();
    for _ in 0..3 {
        senders.iter_mut().for_each(|sender| sender.batch(5));
    }
    // Whichever worker they wait on: none is left without a connection for good.
    recorder.wait_count(60, wait::LIMIT);
    let tally = mirror.finish();
    assert_eq!(tally.target().answers(), 60, "{tally:?}");
    busy.most()
}

#[test]
fn workers_share_the_copies_under_way() {
    assert!(most_at_once("limit = { in-flight = 3, max-age = \"1h\" }") <= 3);
    assert_eq!(most_at_once("limit = { in-flight = 1, max-age = \"1h\" }"), 1);
}

#[test]
fn workers_share_the_connections() {
    let limit = "limit = { in-flight = 100, max-age = \"1h\" }";
    assert!(most_at_once(&format!("{limit}\nconnections = {{ max = 3, idle = \"1h\" }}")) <= 3);
    assert_eq!(most_at_once(&format!("{limit}\nconnections = {{ max = 1, idle = \"1h\" }}")), 1);
}

/// One HTTP/2 connection goes from worker to worker; nobody is left without it for good.
#[test]
fn workers_share_an_http2_connection() {
    let recorder = h2::Recorder::start(h2::Behaviour::Respond(200, Vec::new()));
    let url = format!("http://{}", recorder.address());
    let lines =
        "http = \"2\"\nlimit = { max-age = \"1h\" }\nconnections = { max = 1, idle = \"1h\" }";
    let mut mirror = Mirror::configured(&toml(2, &url, lines));
    let mut senders: Vec<_> = (0..4).map(|_| Sender::connect(mirror.address)).collect();
    for round in 1..=3 {
        senders.iter_mut().for_each(|sender| sender.batch(5));
        mirror.wait_report(|tally| tally.target().answers() == round * 20);
    }
    mirror.finish();
}
