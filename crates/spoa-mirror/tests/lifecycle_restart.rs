//! A restart under traffic: production answers every request, and no client waits much longer than one
//! `timeout processing`.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::time::Duration;

use testbed::agent::Signal;
use testbed::client::load::Load;
use testbed::haproxy::{Guide, Version};
use testbed::wait;

use running::mirror::Mirror;
use running::on_each_haproxy;
use running::stage::Stage;

/// HAProxy's `timeout processing` in these tests. Long, so that one of them and the delays of a busy machine
/// stay well below two.
const PROCESSING: Duration = Duration::from_millis(1500);

/// Ends the program by `signal` and starts it again, twice, while clients send one request after the
/// other.
fn restarts(version: Version, signal: Signal, change: impl FnOnce(Guide) -> Guide) {
    let mut stage = Stage::start(version, |guide| {
        change(guide.processing(&format!("{}ms", PROCESSING.as_millis())).agents_line("retries 0"))
    });
    let (address, url) = (stage.mirror.address, stage.shadow.url());
    let load = Load::builder(stage.address()).start();
    let mirrors_on = |stage: &Stage, when: &str| {
        let copies = stage.shadow.counts().complete;
        let more = || stage.shadow.counts().complete > copies + 100;
        wait::holds(wait::LIMIT, &format!("copies {when}"), more);
    };
    for round in 1..=2 {
        mirrors_on(&stage, &format!("before restart {round}"));
        stage.mirror.process.signal(signal);
        let status = stage.mirror.process.wait_exit(wait::LIMIT);
        assert_eq!(status.success(), signal == Signal::SIGTERM, "{status}");
        let done = load.done();
        wait::holds(wait::LIMIT, "clients go on without it", || load.done() > done + 4);
        stage.mirror = Mirror::start_at(address, &["-u", &url]);
    }
    mirrors_on(&stage, "at the end");
    let report = load.stop();
    report.assert_all_ok();
    let longest = report.quantile(1.0);
    assert!(longest < 2 * PROCESSING, "a client waited {longest:?}");
}

fn a_killed_agent_costs_at_most_one_timeout(version: Version) {
    restarts(version, Signal::SIGKILL, |guide| guide);
}

fn a_restarted_agent_costs_at_most_one_timeout(version: Version) {
    restarts(version, Signal::SIGTERM, |guide| guide);
}

/// With health checks HAProxy soon stops asking an agent that is not there.
fn health_checks_make_a_killed_agent_cheap(version: Version) {
    restarts(version, Signal::SIGKILL, |guide| {
        guide
            .agents_line("option spop-check")
            .server_options("check inter 100ms fastinter 20ms downinter 20ms fall 1 rise 1")
    });
}

on_each_haproxy!(
    a_killed_agent_costs_at_most_one_timeout,
    a_restarted_agent_costs_at_most_one_timeout,
    health_checks_make_a_killed_agent_cheap,
);
