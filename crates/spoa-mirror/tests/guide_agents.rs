//! Ways for HAProxy to reach the program: several of them behind one backend, `mode spop`, a unix socket,
//! IPv6, and health checks.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};

use testbed::backend::Recorder;
use testbed::client::http1;
use testbed::client::load::Load;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::{ports, wait};

use running::mirror::Mirror;
use running::on_each_haproxy;
use running::stage::{Stage, answered_by_production, production};

fn three_agents_share_the_requests(version: Version) {
    let (production, shadow) = (production(), Recorder::start());
    let mut mirrors = [(); 3].map(|()| Mirror::start(&["-u", &shadow.url()]));
    let guide = Guide::new(production.address()).nbthread(2);
    let guide = mirrors.iter().fold(guide, |guide, mirror| guide.agent(mirror.address));
    let haproxy = guide.start(version);
    // Before 3.1 HAProxy opens another connection, in turn to each agent, only under some load.
    Load::builder(haproxy.address("http")).threads(8).total(2000).run().assert_all_ok();
    shadow.wait_count(2000, wait::LIMIT);
    let tallies = mirrors.each_mut().map(Mirror::finish);
    let shares = tallies.each_ref().map(|tally| tally.target().answers());
    assert_eq!(shares.iter().sum::<u64>(), 2000, "{shares:?}");
    assert!(shares.iter().filter(|&&share| share > 0).count() > 1, "{shares:?}");
    let mut times: BTreeMap<_, usize> = BTreeMap::new();
    for copy in shadow.requests() {
        *times.entry(copy.target().to_vec()).or_default() += 1;
    }
    assert_eq!(times.len(), 2000);
    assert!(times.values().all(|&count| count == 1), "each request is copied once");
}

/// One of the agents ends: the others take over.
fn an_agent_less_costs_no_copy_of_later_requests(version: Version) {
    let (production, shadow) = (production(), Recorder::start());
    let mut mirrors = [(); 2].map(|()| Mirror::start(&["-u", &shadow.url()]));
    let guide = Guide::new(production.address())
        .agents_line("option spop-check")
        .agents_line("timeout check 5s")
        .server_options("check inter 200ms fastinter 50ms fall 3");
    let guide = mirrors.iter().fold(guide, |guide, mirror| guide.agent(mirror.address));
    let haproxy = guide.start(version);
    let [first, second] = &mut mirrors;
    first.finish();
    wait::holds(wait::LIMIT, "HAProxy notices", || server_states(&haproxy)["agent1"] == "0");
    for number in 0..100 {
        let answer = http1::get(haproxy.address("http"), &format!("/{number}")).unwrap();
        answered_by_production(&answer);
    }
    shadow.wait_count(100, wait::LIMIT);
    assert_eq!(second.finish().target().answers(), 100);
}

fn mode_spop_works_where_it_exists(version: Version) {
    if !version.has_mode_spop() {
        return;
    }
    let mut stage = Stage::start(version, Guide::mode_spop);
    let total = 1000;
    Load::builder(stage.address()).total(total).run().assert_all_ok();
    stage.post("/last", b"with a body");
    stage.shadow.wait_count(total + 1, wait::LIMIT);
    let tally = stage.finish();
    assert_eq!(tally.target().answers(), total + 1);
    assert_eq!(tally.spop.protocol_errors, 0);
}

fn a_unix_socket_carries_it(version: Version) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock").display().to_string();
    let (production, shadow) = (production(), Recorder::start());
    let listen = format!("unix:{socket}");
    let mut mirror = Mirror::start(&["-a", &listen, "-u", &shadow.url()]);
    mirror.wait_told(&format!("listening on {listen}"));
    let guide = Guide::new(production.address()).agent(format!("unix@{socket}"));
    let haproxy = guide.start(version);
    Load::builder(haproxy.address("http")).total(500).run().assert_all_ok();
    shadow.wait_count(500, wait::LIMIT);
    let tally = mirror.finish();
    assert_eq!(tally.target().answers(), 500);
    assert!(tally.spop.connections > 0);
}

fn ipv6_carries_it(version: Version) {
    let (production, shadow) = (production(), Recorder::start());
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, ports::free()));
    let mut mirror = Mirror::start_at(address, &["-u", &shadow.url()]);
    let haproxy = Guide::new(production.address()).agent(address).start(version);
    for number in 0..20 {
        http1::get(haproxy.address("http"), &format!("/{number}")).unwrap();
    }
    shadow.wait_count(20, wait::LIMIT);
    assert_eq!(mirror.finish().target().answers(), 20);
}

/// The state of each server of the backend with the agents, by name: `2` is up and running, `0` is down.
fn server_states(haproxy: &Haproxy) -> BTreeMap<String, String> {
    field_of_servers(haproxy, "srv_op_state")
}

fn field_of_servers(haproxy: &Haproxy, field: &str) -> BTreeMap<String, String> {
    let table = haproxy.command("show servers state mirroragents");
    let mut lines = table.lines().skip_while(|line| !line.starts_with('#'));
    let names: Vec<_> = lines.next().unwrap().trim_start_matches("# ").split(' ').collect();
    let column = |name: &str| names.iter().position(|other| *other == name).unwrap();
    let rows = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    let rows = rows.filter(|row| row.len() > column(field));
    rows.map(|row| (row[column("srv_name")].to_owned(), row[column(field)].to_owned())).collect()
}

fn health_checks_are_answered_counted_and_not_worth_a_line(version: Version) {
    let mut stage = Stage::start(version, |guide| {
        guide
            .agents_line("option spop-check")
            .agents_line("timeout check 5s")
            .server_options("check inter 100ms")
    });
    let checked = stage.mirror.wait_report(|tally| tally.spop.health_checks >= 10);
    assert_eq!((checked.spop.messages, checked.target().received), (0, 0));
    wait::holds(wait::LIMIT, "the agent is up, by its checks", || {
        // 3: the last check passed.
        let passed = field_of_servers(&stage.haproxy, "srv_check_result")["agent1"] == "3";
        passed && server_states(&stage.haproxy)["agent1"] == "2"
    });
    stage.get("/");
    stage.copies(1);
    let tally = stage.finish();
    assert_eq!((tally.spop.protocol_errors, tally.target().answers()), (0, 1));
    let expected =
        ["listening on", "mirroring to", "counters ", "no new connections", "GET http://"];
    let is_expected = |line: &str| expected.iter().any(|text| line.contains(text));
    let others = stage.mirror.process.output().matching(|line| !is_expected(line));
    assert_eq!(others, [""; 0], "lines about health checks");
}

on_each_haproxy!(
    three_agents_share_the_requests,
    an_agent_less_costs_no_copy_of_later_requests,
    mode_spop_works_where_it_exists,
    a_unix_socket_carries_it,
    ipv6_carries_it,
    health_checks_are_answered_counted_and_not_worth_a_line,
);
