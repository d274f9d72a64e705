//! How the agent ends: it takes leave of HAProxy, gives copies under way their time, and accounts for
//! every one.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::collections::BTreeMap;
use std::net::TcpStream;

use spop_proto::Status;
use testbed::agent::Signal;
use testbed::backend::Recorder;
use testbed::client::load::Load;
use testbed::haproxy::Version;
use testbed::wait;

use running::gate;
use running::mirror::Mirror;
use running::on_each_haproxy;
use running::spop::{Peer, Said};
use running::stage::Stage;

/// Sends `count` requests to the program, each acknowledged, and waits until the shadow has them.
fn send(peer: &mut Peer, shadow: &Recorder, count: u64) {
    for number in 0..count {
        peer.mirror(number, &format!("/{number}"));
    }
    wait::holds(wait::LIMIT, "the shadow has the copies", || shadow.counts().requests >= count);
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(label, count)| ((*label).to_owned(), *count)).collect()
}

/// What a signal that ends the agent does, while the shadow has copies that it has not answered yet.
fn drains_after(signal: Signal) {
    let (shadow, gate) = gate::recorder();
    let mut mirror = Mirror::start(&["-u", &shadow.url(), "--grace", "1h"]);
    let (mut busy, mut idle) = (Peer::greeted(mirror.address), Peer::greeted(mirror.address));
    let mut silent = Peer::connect(mirror.address);
    send(&mut busy, &shadow, 3);

    mirror.process.signal(signal);
    for peer in [&mut busy, &mut idle, &mut silent] {
        assert_eq!(peer.read(), Said::Disconnect(Status::Normal));
        assert_eq!(peer.read(), Said::End);
    }
    wait::holds(wait::LIMIT, "new connections are refused", || {
        TcpStream::connect(mirror.address).is_err()
    });
    assert!(mirror.process.is_running(), "it waits for the copies under way");

    gate.open();
    let status = mirror.process.wait_exit(wait::LIMIT);
    assert_eq!(status.code(), Some(0));
    let tally = mirror.last_report(status);
    assert_eq!(tally.target().answered, counts(&[("2xx", 3)]));
    assert_eq!((tally.target().received, tally.spop.open), (3, 0));
    assert_eq!(mirror.told("ok").len(), 3, "each copy has its line");
}

#[test]
fn sigterm_drains() {
    drains_after(Signal::SIGTERM);
}

#[test]
fn sigint_drains() {
    drains_after(Signal::SIGINT);
}

#[test]
fn copies_that_outlast_the_grace_are_counted() {
    let (shadow, _gate) = gate::recorder();
    let args = ["-u", &shadow.url(), "--grace", "200ms", "--max-in-flight", "2"];
    let mut mirror = Mirror::start(&args);
    let mut peer = Peer::greeted(mirror.address);
    send(&mut peer, &shadow, 2);
    for number in 2..5 {
        peer.mirror(number, "/waits");
    }
    let tally = mirror.finish();
    assert_eq!(tally.target().failed, counts(&[("shutdown", 2)]));
    assert_eq!(tally.target().dropped, counts(&[("shutdown", 3)]));
    assert_eq!(tally.target().received, 5);
    assert_eq!(shadow.counts().requests, 2);
}

#[test]
fn what_came_before_the_signal_is_still_acknowledged_and_copied() {
    let shadow = Recorder::start();
    let mut mirror = Mirror::start(&["-u", &shadow.url()]);
    let mut peer = Peer::greeted(mirror.address);
    let count = 200;
    for number in 0..count {
        peer.notify(number, "/");
    }
    // The last byte is with the program, or its kernel, before the signal is sent.
    mirror.process.signal(Signal::SIGTERM);
    for number in 0..count {
        assert_eq!(peer.read(), Said::Ack(number, 1));
    }
    assert_eq!(peer.read(), Said::Disconnect(Status::Normal));
    let status = mirror.process.wait_exit(wait::LIMIT);
    let tally = mirror.last_report(status);
    assert_eq!((tally.target().received, tally.target().answers()), (count, count));
}

/// A second signal does not wait for the grace period; the counters still come, and still add up.
fn a_second_signal_ends_it(first: Signal, second: Signal) {
    let (shadow, _gate) = gate::recorder();
    let directory = tempfile::tempdir().unwrap();
    let (pidfile, socket) = (directory.path().join("pid"), directory.path().join("socket"));
    let (pidfile_arg, listen) = (pidfile.to_str().unwrap(), format!("unix:{}", socket.display()));
    let url = shadow.url();
    let args = ["-u", &url, "--grace", "1h", "-F", pidfile_arg, "-a", &listen];
    let mut mirror = Mirror::start(&args);
    let mut peer = Peer::greeted(mirror.address);
    send(&mut peer, &shadow, 3);
    mirror.process.signal(first);
    assert_eq!(peer.read(), Said::Disconnect(Status::Normal));
    mirror.process.signal(second);
    let status = mirror.process.wait_exit(wait::LIMIT);
    assert_eq!(status.code(), Some(1));
    let tally = mirror.last_report(status);
    assert_eq!(tally.target().failed, counts(&[("shutdown", 3)]));
    assert!(!pidfile.exists() && !socket.exists(), "files are removed");
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    a_second_signal_ends_it(Signal::SIGTERM, Signal::SIGTERM);
}

#[test]
fn sigint_after_sigterm_ends_it_at_once() {
    a_second_signal_ends_it(Signal::SIGTERM, Signal::SIGINT);
}

#[test]
fn it_ends_by_itself_when_its_runtime_is_over() {
    let shadow = Recorder::start();
    let mut mirror = Mirror::start(&["-u", &shadow.url(), "--runtime", "1s"]);
    let mut peer = Peer::greeted(mirror.address);
    send(&mut peer, &shadow, 3);
    assert_eq!(peer.read(), Said::Disconnect(Status::Normal));
    let status = mirror.process.wait_exit(wait::LIMIT);
    assert_eq!(status.code(), Some(0));
    assert_eq!(mirror.told("the runtime is over").len(), 1);
    assert_eq!(mirror.last_report(status).target().answers(), 3);
}

/// Real HAProxy, clients at work: production answers each of them, and what the program acknowledged
/// before its end is copied and counted.
fn haproxy_and_its_clients_take_the_end_well(version: Version) {
    let mut stage =
        Stage::start(version, |guide| guide.processing("500ms").agents_line("retries 0"));
    let load = Load::builder(stage.address()).start();
    wait::holds(wait::LIMIT, "requests are mirrored", || stage.shadow.counts().complete > 200);
    let tally = stage.finish();
    let done = load.done();
    wait::holds(wait::LIMIT, "clients go on", || load.done() > done + 10);
    load.stop().assert_all_ok();
    assert_eq!(tally.target().answers(), tally.spop.notifies, "{tally:?}");
}

on_each_haproxy!(haproxy_and_its_clients_take_the_end_well);
