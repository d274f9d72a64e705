//! What never pairs, and is counted.

use testbed::backend::{Behaviour, Response};
use testbed::client::http1::Client;
use testbed::haproxy::Version;
use testbed::wait;

use crate::running::gate::Gate;
use crate::running::on_each_haproxy;
use crate::running::tally::Tally;
use crate::scene::{Form, Setup, answering, assert_all, count};

on_each_haproxy!(
    an_answer_that_haproxy_makes_is_none_of_productions,
    a_client_that_goes_leaves_no_pair,
    agents_that_get_one_half_each_count_it,
);

/// Nobody waits for long.
const IMPATIENT: &str = "compare = true\n\n[comparison]\nwait = \"1s\"\n";

fn an_answer_that_haproxy_makes_is_none_of_productions(version: Version) {
    for form in Form::ALL {
        let mut scene = Setup::new(version, form).toml(IMPATIENT).start();
        scene.both(answering(|_| Response::ok("ok")));
        scene.get("/well");
        assert_all(&scene.wait_over(1), "same", 1);
        scene.production.set(Behaviour::reset());
        assert_eq!(scene.get("/gone").status, 502);
        scene.production.set(answering(|_| Response::ok("ok")));
        scene.get("/well");
        let copies = if form == Form::OneMessage { 2 } else { 3 };
        scene.wait_over(copies);
        let compared = scene.finish();
        assert_eq!(count(&compared, "same"), 2, "{form:?} {compared:?}");
        assert_eq!(count(&compared, "without-production"), copies - 2, "{form:?} {compared:?}");
    }
}

fn a_client_that_goes_leaves_no_pair(version: Version) {
    for form in Form::ALL {
        let setup = Setup::new(version, form).toml(IMPATIENT);
        let mut scene =
            setup.change("    mode http\n", "    mode http\n    option abortonclose\n").start();
        scene.shadow.set(answering(|_| Response::ok("ok")));
        scene.production.set(Behaviour::mute());
        let mut client = Client::connect(scene.address()).unwrap();
        client.send(b"GET /gone HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        scene.production.wait_for(1, wait::LIMIT);
        drop(client);
        let copies = u64::from(form == Form::TwoMessages);
        let compared = scene.wait_over(copies);
        assert_eq!(count(&compared, "without-production"), copies, "{form:?} {compared:?}");
        scene.finish();
    }
}

/// Two messages, and nothing that keeps them together.
fn agents_that_get_one_half_each_count_it(version: Version) {
    let mut scene = Setup::new(version, Form::TwoMessages).toml(IMPATIENT).agents(2).start();
    scene.both(answering(|_| Response::ok("ok")));
    let mut client = Client::connect(scene.address()).unwrap();
    for _ in 0..30 {
        client.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    let compared = scene.wait_over(30);
    let (same, alone) = (count(&compared, "same"), count(&compared, "without-production"));
    assert_eq!(same + alone, 30, "{compared:?}");
    if version.has_mode_spop() {
        assert!(alone > 0, "{compared:?}");
    }
    scene.finish();
}

#[test]
fn what_waits_when_the_agent_ends_is_counted() {
    let mut scene = Setup::new(Version::V3_4, Form::TwoMessages).start();
    scene.shadow.set(answering(|_| Response::ok("ok")));
    scene.production.set(Behaviour::mute());
    let mut client = Client::connect(scene.address()).unwrap();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    scene.shadow.wait_for(1, wait::LIMIT);
    assert_all(&scene.finish(), "without-production", 1);
}

#[test]
fn a_copy_that_is_dropped_after_all_is_counted() {
    let toml = "compare = true\nlimit = { in-flight = 1, max-age = \"100ms\" }\n";
    let mut scene = Setup::new(Version::V3_4, Form::OneMessage).toml(toml).start();
    scene.production.set(answering(|_| Response::ok("ok")));
    let gate = Gate::default();
    scene.shadow.set(gate.before(Response::ok("ok")));
    scene.get("/first");
    scene.mirrors[0].wait_report(|tally| tally.target().in_flight == 1);
    scene.get("/second");
    let dropped = |tally: &Tally| tally.target().dropped.contains_key("too-old");
    scene.mirrors[0].wait_report(dropped);
    gate.open();
    scene.wait_over(2);
    let compared = scene.finish();
    let (same, not_sent) = (count(&compared, "same"), count(&compared, "not-sent"));
    assert_eq!((same, not_sent), (1, 1), "{compared:?}");
}

#[test]
fn two_requests_with_one_id_are_not_compared() {
    let setup = Setup::new(Version::V3_4, Form::TwoMessages).toml(IMPATIENT);
    let mut scene = setup.change("unique-id-format %[uuid()]", "unique-id-format same").start();
    scene.shadow.set(answering(|_| Response::ok("ok")));
    let gate = Gate::default();
    scene.production.set(gate.before(Response::ok("ok")));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| scene.get("/"));
        }
        scene.shadow.wait_for(2, wait::LIMIT);
        gate.open();
    });
    scene.wait_over(2);
    assert_all(&scene.finish(), "without-production", 2);
}
