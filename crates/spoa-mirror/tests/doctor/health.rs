//! What a dead agent costs clients of each HAProxy, and what its health check notices: the consequences that the
//! rules compute.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testbed::agent::Signal;
use testbed::backend::{Blackhole, Recorder};
use testbed::client::http1;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::{ports, wait};

use crate::running::mirror::Mirror;
use crate::running::on_each_haproxy;
use crate::running::stage::{answered_by_production, production};

/// Half of `timeout processing` below: a request that waits takes longer, one that does not takes less.
const WAITED: Duration = Duration::from_secs(1);

fn guide(production: &Recorder, agent: SocketAddr) -> Guide {
    Guide::new(production.address()).agent(agent).processing("2s")
}

/// How long a request takes, which production answers in any case.
fn cost(haproxy: &Haproxy) -> Duration {
    let begin = Instant::now();
    answered_by_production(&http1::get(haproxy.address("http"), "/").unwrap());
    begin.elapsed()
}

/// What `show stat` says of a server in this column.
fn told(haproxy: &Haproxy, backend: &str, server: &str, column: &str) -> String {
    let table = haproxy.command("show stat");
    let names: Vec<&str> =
        table.lines().next().unwrap().trim_start_matches("# ").split(',').collect();
    let column = names.iter().position(|other| *other == column).unwrap();
    let rows = table.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let is_it = |row: &Vec<&str>| row.first() == Some(&backend) && row.get(1) == Some(&server);
    let row = rows.into_iter().find(is_it);
    row.unwrap_or_else(|| panic!("{backend}/{server} in {table}"))[column].to_owned()
}

/// Its status, such as `UP` or `DOWN`.
fn status(haproxy: &Haproxy, backend: &str, server: &str) -> String {
    told(haproxy, backend, server, "status")
}

/// Until then one failure is enough, whatever `fall` says.
fn wait_passed(haproxy: &Haproxy, backend: &str, server: &str) {
    wait::holds(wait::LIMIT, "the server passes its check", || {
        told(haproxy, backend, server, "check_status") == "L7OK"
    });
}

fn wait_down(haproxy: &Haproxy, backend: &str, server: &str) {
    wait::holds(wait::LIMIT, "HAProxy takes the server for dead", || {
        status(haproxy, backend, server) == "DOWN"
    });
}

/// `retries`, and what a request then waits while its agent refuses.
fn an_agent_that_has_ended_costs_what_retries_say(version: Version) {
    let production = production();
    let dead = ports::free_addr();
    let waits_for_processing = matches!(version, Version::V2_6 | Version::V3_0);
    let of = |retries: &str| {
        let guide = guide(&production, dead).agents_line(retries);
        cost(&guide.start(version))
    };
    let (without, with) = (of("retries 0"), of("retries 1"));
    if waits_for_processing {
        assert!(without > WAITED && with > WAITED, "{without:?} {with:?}");
    } else {
        // One pause of a second, as `timeout connect` is longer.
        assert!(without < WAITED / 2, "{without:?}");
        assert!(with > WAITED * 9 / 10 && with > without, "{without:?} {with:?}");
    }
}

fn an_agent_that_a_check_took_for_dead_costs_nothing(version: Version) {
    let production = production();
    let guide = guide(&production, ports::free_addr());
    let unchecked = cost(&guide.start(version));
    // HAProxy's own retries: three, a second each.
    assert!(unchecked > WAITED, "{unchecked:?}");
    let checked = guide.agents_line("option spop-check").server_options("check inter 100ms fall 1");
    let haproxy = checked.start(version);
    wait_down(&haproxy, "mirroragents", "agent1");
    for _ in 0..5 {
        let took = cost(&haproxy);
        assert!(took < WAITED, "{took:?}");
    }
}

fn timeout_connect_bounds_what_an_agent_without_answer_costs(version: Version) {
    let production = production();
    let nobody = Blackhole::start();
    let of = |timeout: &str| {
        let guide =
            guide(&production, nobody.address()).agents_line("retries 0").agents_line(timeout);
        cost(&guide.start(version))
    };
    let (endless, short) = (of("timeout connect 0"), of("timeout connect 100ms"));
    assert!(endless > WAITED, "{endless:?}");
    match version {
        Version::V2_6 | Version::V3_0 => assert!(short > WAITED, "{short:?}"),
        Version::V3_2 | Version::V3_4 => assert!(short < WAITED, "{short:?}"),
    }
}

/// The system accepts connections for an agent that is stopped.
fn only_a_check_with_hello_notices_an_agent_that_hangs(version: Version) {
    let (production, shadow) = (production(), Recorder::start());
    let mut mirror = Mirror::start(&["-u", &shadow.url()]);
    let server = format!("server a {} check inter 100ms fall 2 rise 1", mirror.address);
    let mut checks = format!(
        "backend connection\n    mode tcp\n    {server}\n\
         backend hello\n    mode tcp\n    option spop-check\n    {server}\n"
    );
    if version.has_mode_spop() {
        checks += &format!("backend spop\n    mode spop\n    {server}\n");
    }
    let haproxy = guide(&production, mirror.address).sections(&checks).start(version);
    wait_passed(&haproxy, "hello", "a");
    mirror.process.signal(Signal::SIGSTOP);
    wait_down(&haproxy, "hello", "a");
    // Every check had its turns meanwhile, and has them again.
    let took = cost(&haproxy);
    assert!(took > WAITED, "{took:?}");
    assert_eq!(status(&haproxy, "connection", "a"), "UP");
    if version.has_mode_spop() {
        assert_eq!(status(&haproxy, "spop", "a"), "UP", "the mode alone checks nothing more");
    }
    mirror.process.signal(Signal::SIGCONT);
}

fn before_3_1_a_hung_agent_is_used_on_after_it_was_taken_for_dead(version: Version) {
    let of = |option: &str| {
        let (production, shadow) = (production(), Recorder::start());
        let mut mirror = Mirror::start(&["-u", &shadow.url()]);
        let haproxy = guide(&production, mirror.address)
            .nbthread(1)
            .agents_line("option spop-check")
            .agents_line("retries 0")
            .server_options(&format!("check inter 100ms fall 1 {option}"))
            .start(version);
        cost(&haproxy);
        shadow.wait_count(1, wait::LIMIT);
        mirror.process.signal(Signal::SIGSTOP);
        wait_down(&haproxy, "mirroragents", "agent1");
        let took = [cost(&haproxy), cost(&haproxy)];
        mirror.process.signal(Signal::SIGCONT);
        took
    };
    let (kept, shut) = (of(""), of("on-marked-down shutdown-sessions"));
    assert!(shut.iter().all(|took| *took < WAITED), "{shut:?}");
    match version {
        Version::V2_6 | Version::V3_0 => {
            assert!(kept.iter().all(|took| *took > WAITED), "{kept:?}");
        }
        Version::V3_2 | Version::V3_4 => {
            assert!(kept.iter().all(|took| *took < WAITED), "{kept:?}");
        }
    }
}

/// A healthy agent, and checks that take it for dead, or are not done.
fn a_check_that_cannot_work_takes_a_healthy_agent_for_dead(version: Version) {
    let (production, shadow) = (production(), Recorder::start());
    let mut mirror = Mirror::start(&["-u", &shadow.url()]);
    let cases = [
        ("works", "option spop-check", ""),
        ("http", "option httpchk", ""),
        ("hello_of_tls", "option ssl-hello-chk", ""),
        ("smtp", "option smtpchk", ""),
        ("redis", "option redis-check", ""),
        ("tls", "option spop-check", "check-ssl verify none"),
        ("proxy", "option spop-check", "check-send-proxy"),
        ("elsewhere", "option spop-check", &format!("port {}", ports::free())),
    ];
    let mut sections = format!(
        "backend unchecked\n    mode tcp\n    option spop-check\n    server a {}\n",
        mirror.address
    );
    for (name, option, server) in cases {
        sections += &format!(
            "backend {name}\n    mode tcp\n    {option}\n    server a {} check inter 200ms fall 1 {server}\n",
            mirror.address
        );
    }
    let haproxy = guide(&production, mirror.address).sections(&sections).start(version);
    for (name, ..) in cases.into_iter().skip(1) {
        wait_down(&haproxy, name, "a");
    }
    assert_eq!(status(&haproxy, "works", "a"), "UP");
    assert_eq!(status(&haproxy, "unchecked", "a"), "no check");
    cost(&haproxy);
    shadow.wait_count(1, wait::LIMIT);
    mirror.finish();
}

/// HAProxy's own times against those of the documented configuration.
fn quick_checks_notice_sooner_than_the_usual_ones(version: Version) {
    let (production, shadow) = (production(), Recorder::start());
    let mut mirror = Mirror::start(&["-u", &shadow.url()]);
    let server = |name: &str, times: &str| {
        let address = mirror.address;
        format!(
            "backend {name}\n    mode tcp\n    option spop-check\n    server a {address} check {times}\n"
        )
    };
    let sections = server("usual", "") + &server("quick", "inter 1s fastinter 200ms fall 2");
    let haproxy = guide(&production, mirror.address).sections(&sections).start(version);
    for name in ["usual", "quick"] {
        wait_passed(&haproxy, name, "a");
    }
    let begin = Instant::now();
    mirror.finish();
    wait_down(&haproxy, "quick", "a");
    let quick = begin.elapsed();
    // At least two pauses of two seconds.
    assert!(status(&haproxy, "usual", "a").starts_with("UP"), "{quick:?}");
    wait_down(&haproxy, "usual", "a");
    let usual = begin.elapsed();
    assert!(usual > quick && usual > Duration::from_millis(3900), "{quick:?} {usual:?}");
}

on_each_haproxy!(
    an_agent_that_has_ended_costs_what_retries_say,
    an_agent_that_a_check_took_for_dead_costs_nothing,
    timeout_connect_bounds_what_an_agent_without_answer_costs,
    only_a_check_with_hello_notices_an_agent_that_hangs,
    before_3_1_a_hung_agent_is_used_on_after_it_was_taken_for_dead,
    a_check_that_cannot_work_takes_a_healthy_agent_for_dead,
    quick_checks_notice_sooner_than_the_usual_ones,
);
