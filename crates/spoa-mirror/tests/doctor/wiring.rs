//! What the doctor says of names, shown with real HAProxy.

use std::time::{Duration, Instant};

use testbed::agent::Signal;
use testbed::backend::Recorder;
use testbed::client::http1;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::wait;

use crate::running::mirror::Mirror;
use crate::running::on_each_haproxy;
use crate::running::stage::{Stage, answered_by_production, production};
use crate::staged::{Scene, Staged};

/// Mistakes that HAProxy starts with.
const SILENT: &[&str] = &[
    "message-unlisted/bad",
    "message-without-event/bad",
    "event-never-happens/bad",
    "event-never-happens/bad-backend",
    "group-empty/bad",
    "group-never-sent/bad",
    "group-never-sent/bad-tcp",
    "backend-without-server/bad",
];

/// HAProxy waits for the agent's word before it answers: what was not handed over by then never is.
fn assert_nothing_mirrored(mut scene: Scene, fixture: &str) {
    let received = scene.finish().0.received;
    assert_eq!((received, scene.shadow.counts().complete), (0, 0), "{fixture}");
}

fn what_haproxy_does_not_refuse_mirrors_nothing(version: Version) {
    for fixture in SILENT {
        let bad = Staged::new(version, fixture).start();
        bad.get(3);
        assert_nothing_mirrored(bad, fixture);
        let mended = fixture.replace("/bad", "/good");
        let good = Staged::new(version, &mended).start();
        good.get(3);
        good.shadow.wait_for(3, wait::LIMIT);
    }
}

const PUT: &[u8] =
    b"PUT /item HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A message of two is not listed, and a group beside a message is not.
fn what_nothing_lists_is_not_sent(version: Version) {
    for (bad, good) in [
        ("message-unlisted/bad-second", "message-unlisted/good-second"),
        ("group-unlisted/bad-unsent", "group-unlisted/good-unsent"),
    ] {
        let wrong = Staged::new(version, bad).start();
        assert_eq!(wrong.send(PUT), 200);
        assert_nothing_mirrored(wrong, bad);
        let right = Staged::new(version, good).start();
        assert_eq!(right.send(PUT), 200);
        assert_eq!(right.copy().method(), b"PUT", "{good}");
    }
}

/// The page of `event-never-happens` says so.
fn a_tcp_frontend_before_an_http_backend_is_mirrored(version: Version) {
    let fixture = Staged::new(version, "event-never-happens/bad");
    let scene = fixture.change("backend app\n    mode tcp\n", "backend app\n").start();
    scene.get(1);
    scene.copy();
}

/// What a scope of another name comes to: HAProxy does not start with it, and at a reload goes on without it.
fn a_refused_configuration_leaves_the_old_one_at_work(version: Version) {
    let (production, shadow) = (production(), Recorder::start());
    let mirror = Mirror::start(&["-u", &shadow.url()]);
    let guide = Guide::new(production.address()).agent(mirror.address);
    let mut haproxy = guide.builder(version).master_worker().start();
    let wrong = guide.mirror_conf().replace("[mirror]", "[miror]");
    haproxy.write_file("mirror.conf", &wrong);
    haproxy.process().signal(Signal::SIGUSR2);
    haproxy.process().wait_line(wait::LIMIT, |line| line.contains("No SPOE agent found"));
    answered_by_production(&http1::get(haproxy.address("http"), "/").unwrap());
    shadow.wait_for(1, wait::LIMIT);
    let refused = guide.builder(version).file("mirror.conf", wrong).check().unwrap_err();
    assert!(refused.contains("No SPOE agent found"), "{refused}");
    // The words that the finding is better than.
    assert!(!refused.contains("miror"), "{refused}");
}

/// How long a request takes.
fn cost(haproxy: &Haproxy) -> Duration {
    let begin = Instant::now();
    answered_by_production(&http1::get(haproxy.address("http"), "/").unwrap());
    begin.elapsed()
}

/// `timeout processing` of a second, nearly: HAProxy counts whole milliseconds, and may have begun in the middle of
/// one.
const NEARLY: Duration = Duration::from_millis(990);

fn a_disabled_backend_costs_all_of_timeout_processing_before_3_1(version: Version) {
    let mut stage = Stage::start(version, |guide| guide.agents_line("disabled").processing("1s"));
    let took = cost(&stage.haproxy);
    match version {
        Version::V2_6 | Version::V3_0 => assert!(took >= NEARLY, "{took:?}"),
        Version::V3_2 | Version::V3_4 => assert!(took < NEARLY, "{took:?}"),
    }
    assert_eq!(stage.finish().target().received, 0);
}

fn agents_do_not_understand_a_proxy_header(version: Version) {
    let mut stage =
        Stage::start(version, |guide| guide.server_options("send-proxy-v2").processing("1s"));
    let took = cost(&stage.haproxy);
    let received = stage.finish().target().received;
    match version {
        Version::V3_4 => assert_eq!(received, 1),
        _ => assert!(received == 0 && took >= NEARLY, "{received} after {took:?}"),
    }
}

on_each_haproxy!(
    what_haproxy_does_not_refuse_mirrors_nothing,
    what_nothing_lists_is_not_sent,
    a_tcp_frontend_before_an_http_backend_is_mirrored,
    a_refused_configuration_leaves_the_old_one_at_work,
    a_disabled_backend_costs_all_of_timeout_processing_before_3_1,
    agents_do_not_understand_a_proxy_header,
);
