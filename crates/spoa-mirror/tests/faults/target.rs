//! Faults of the target.

use std::time::Duration;

use testbed::backend::{Behaviour, Blackhole, Recorder, Response, Step};
use testbed::haproxy::Version;
use testbed::{ports, wait};

use crate::dice::Dice;
use crate::scene::{Limits, Scene, Setup, assert_never_twice, good, post};
use crate::{mischief, on_haproxy};

on_haproxy! {
    well: V2_6, V3_0, V3_2, V3_4;
    dead: V2_6, V3_4;
    blackholed: V2_6, V3_4;
    slow: V2_6, V3_0, V3_2, V3_4;
    mute: V2_6, V3_4;
    resetting: V2_6, V3_4;
    resetting_at_accept: V2_6, V3_4;
    talking_garbage: V2_6, V3_4;
    answering_a_gigabyte: V2_6, V3_4;
    answering_byte_by_byte: V2_6, V3_4;
    stalling_within_an_answer: V2_6, V3_4;
    breaking_off: V2_6, V3_4;
    closing_without_an_answer: V2_6, V3_4;
    closing_after_each_answer: V2_6, V3_4;
    adding_surplus_bytes: V2_6, V3_4;
    not_reading: V2_6, V3_4;
    flapping: V2_6, V3_0, V3_2, V3_4;
}

/// Requests under each fault.
const LOAD: u64 = 300;

/// So many of them must have met it at least: the last copies may find the target well again.
const MOST: u64 = LOAD / 2;

/// What a queue may do with copies that come too fast for a target.
const OVERFLOW: &[&str] = &["queue-full", "queue-bytes", "too-old"];

/// The fault is there from the start, lasts for the load, and goes away.
fn passing_fault(version: Version, args: &str, fault: Behaviour) -> (Scene, Recorder) {
    let target = Recorder::with(fault);
    let scene = Setup::new(version).args(args).start(&target.url());
    scene.load(LOAD);
    target.set(good());
    scene.recovers(&target);
    (scene, target)
}

/// No fault: the measure for all others.
fn well(version: Version) {
    let target = Recorder::start();
    let mut scene = Setup::new(version).start(&target.url());
    scene.load(LOAD);
    scene.recovers(&target);
    let account = scene.close();
    account.assert_only(&["2xx"], &[], &[]);
    assert_eq!(target.counts().complete, account.received);
    assert_never_twice(&target);
}

fn dead(version: Version) {
    let address = ports::free_addr();
    let mut scene = Setup::new(version).start(&format!("http://{address}"));
    scene.load(LOAD);
    let target = Recorder::builder().address(address).start();
    scene.recovers(&target);
    let account = scene.close();
    account.assert_only(&["2xx"], &["connect-refused"], OVERFLOW);
    assert!(account.failures() + account.drops() >= MOST, "{account:#?}");
    assert_eq!(account.answers(), target.counts().complete);
}

fn blackholed(version: Version) {
    let blackhole = Blackhole::open(ports::free_addr());
    let address = blackhole.address();
    let args = "--connect-timeout 300ms --max-queue-age 1s";
    let mut scene = Setup::new(version).args(args).start(&format!("http://{address}"));
    scene.load(LOAD);
    drop(blackhole);
    let target = Recorder::builder().address(address).start();
    scene.recovers(&target);
    let account = scene.close();
    account.assert_only(&["2xx"], &["connect-timeout"], OVERFLOW);
    assert!(account.failures() > 0, "{account:#?}");
    assert_never_twice(&target);
}

/// The clients' latency has nothing to do with the target's.
fn slow(version: Version) {
    let target = Recorder::start();
    let limits = Limits { queue_bytes: 1 << 20, ..Limits::SMALL };
    let mut scene = Setup::new(version).limits(limits).start(&target.url());
    let clients = |scene: &Scene, run: u64| {
        scene.clients().request(move |number| post(run * 10_000 + number, 10_000))
    };
    let before = scene.run(clients(&scene, 0), LOAD, |_| {});
    before.assert_all_ok();
    target.set(Behaviour::delay(Duration::from_secs(1), good()));
    let well = before.quantile(0.99);
    let bound = 5 * well + Duration::from_millis(20);
    // A busy machine may stumble once; a target that clients wait for would show every time.
    let slow: Vec<_> = (1..4)
        .map(|run| {
            let during = scene.run(clients(&scene, run), 2 * LOAD, |_| {});
            during.assert_all_ok();
            during.quantile(0.99)
        })
        .collect();
    println!("{version}: p99 {well:?} with a good target, {slow:?} with one that takes a second");
    assert!(slow.iter().any(|&slow| slow <= bound), "p99 was {well:?}, became {slow:?}");
    target.set(good());
    scene.recovers(&target);
    let account = scene.close();
    account.assert_only(&["2xx"], &[], OVERFLOW);
    assert!(account.drops() > 0, "more than the target can take was offered: {account:#?}");
    assert_never_twice(&target);
}

fn mute(version: Version) {
    let target = Recorder::with(Behaviour::mute());
    let limits = Limits { queue_bytes: 1 << 20, ..Limits::SMALL };
    let mut scene = Setup::new(version).limits(limits).args("--timeout 1s").start(&target.url());
    // Three times what the memory bound allows.
    let clients = scene.clients().request(|number| post(number, 12_000));
    scene.run(clients, 2000, |_| {}).assert_all_ok();
    target.set(good());
    scene.recovers(&target);
    let account = scene.close();
    account.assert_only(&["2xx"], &["timeout"], OVERFLOW);
    assert!(account.failures() >= limits.in_flight, "{account:#?}");
    // A connection counts here until its thread has seen its end.
    assert!(target.counts().most_open <= 2 * limits.in_flight, "{:?}", target.counts());
    assert_never_twice(&target);
}

fn resetting(version: Version) {
    let (mut scene, target) = passing_fault(version, "", Behaviour::reset());
    let account = scene.close();
    account.assert_only(&["2xx"], &["reset"], OVERFLOW);
    assert!(account.failures() + account.drops() >= MOST, "{account:#?}");
    assert_never_twice(&target);
}

fn resetting_at_accept(version: Version) {
    let (mut scene, target) = passing_fault(version, "", Behaviour::reset_at_accept());
    let account = scene.close();
    account.assert_only(&["2xx"], &["reset", "closed"], OVERFLOW);
    assert!(account.failures() + account.drops() >= MOST, "{account:#?}");
    assert_never_twice(&target);
}

fn talking_garbage(version: Version) {
    let garbage: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let (mut scene, target) = passing_fault(version, "", Behaviour::garbage(garbage));
    let account = scene.close();
    account.assert_only(&["2xx", "unparsable"], &[], OVERFLOW);
    assert!(account.answered["unparsable"] + account.drops() >= MOST, "{account:#?}");
    assert_never_twice(&target);
}

/// Read to `--max-answer`, then cut: known by its status, and none of it kept.
fn answering_a_gigabyte(version: Version) {
    let (mut scene, target) = passing_fault(version, "", Behaviour::huge_body(1 << 30));
    let account = scene.close();
    account.assert_only(&["2xx"], &[], OVERFLOW);
    let cut = scene.agent.stdout().matching(|line| line.ends_with("answer over the size limit"));
    assert!(cut.len() as u64 + account.drops() >= MOST, "{} were cut: {account:#?}", cut.len());
    assert_never_twice(&target);
}

fn answering_byte_by_byte(version: Version) {
    let answer = Response::ok("ok").to_bytes(b"GET");
    let bytes = Behaviour::steps(move |_| {
        let byte = |&byte| [Step::Send(vec![byte]), Step::Wait(Duration::from_millis(1))];
        answer.iter().flat_map(byte).collect()
    });
    let (mut scene, target) = passing_fault(version, "", bytes);
    let account = scene.close();
    account.assert_only(&["2xx"], &[], OVERFLOW);
    assert_eq!(account.answers(), target.counts().complete);
    assert_never_twice(&target);
}

fn stalling_within_an_answer(version: Version) {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let (mut scene, target) = passing_fault(version, "--timeout 1s", Behaviour::stall(half));
    let account = scene.close();
    account.assert_only(&["2xx"], &["timeout"], OVERFLOW);
    assert!(account.failures() >= scene.limits.in_flight, "{account:#?}");
    assert_never_twice(&target);
}

fn breaking_off(version: Version) {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let (mut scene, target) = passing_fault(version, "", Behaviour::cut_short(half));
    let account = scene.close();
    account.assert_only(&["2xx"], &["incomplete-answer"], OVERFLOW);
    assert!(account.failures() + account.drops() >= MOST, "{account:#?}");
    assert_never_twice(&target);
}

fn closing_without_an_answer(version: Version) {
    let (mut scene, target) = passing_fault(version, "", Behaviour::close_without_answer());
    let account = scene.close();
    account.assert_only(&["2xx"], &["closed"], OVERFLOW);
    assert!(account.failures() + account.drops() >= MOST, "{account:#?}");
    assert_never_twice(&target);
}

/// Without having said `Connection: close`. A copy may be on its way just then: it fails, and is not sent
/// again, for it may have arrived.
fn closing_after_each_answer(version: Version) {
    let closing = Behaviour::close_after_response(Response::ok("ok"));
    let (mut scene, target) = passing_fault(version, "", closing);
    let account = scene.close();
    account.assert_only(&["2xx"], &["closed", "reset"], OVERFLOW);
    assert_eq!(account.answers(), target.counts().complete);
    // Seldom: the program uses no connection whose end it could have heard of.
    assert!(account.failures() <= LOAD / 10, "{account:#?}");
    assert_never_twice(&target);
}

/// Bytes after an answer's end are nobody's answer; a connection that brings them is given up.
fn adding_surplus_bytes(version: Version) {
    let surplus = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n";
    let answer = [Response::ok("ok").to_bytes(b"GET").as_slice(), surplus].concat();
    let (mut scene, target) = passing_fault(version, "", Behaviour::raw(answer));
    let account = scene.close();
    account.assert_only(&["2xx"], &[], OVERFLOW);
    assert!(target.counts().connections >= MOST, "{:?}", target.counts());
    assert_eq!(account.answers(), target.counts().complete);
    assert_never_twice(&target);
}

/// Bodies that no socket buffer holds, and a target that does not read them.
fn not_reading(version: Version) {
    const BODY: usize = 200_000;
    let target = Recorder::builder()
        .receive_buffer(4096)
        .behaviour(Behaviour::deaf(Duration::from_secs(60), good()))
        .start();
    let limits = Limits { in_flight: 10, copy: BODY as u64 + 1000, ..Limits::SMALL };
    let mut scene = Setup::new(version)
        .limits(limits)
        .args("--timeout 1s")
        .guide(|guide| guide.bufsize(256 * 1024))
        .start(&target.url());
    let clients = scene.clients().request(|number| post(number, BODY));
    scene.run(clients, LOAD, |_| {}).assert_all_ok();
    target.set(good());
    scene.recovers(&target);
    // What cannot be written in one go arrives whole all the same.
    target.take();
    let clients = scene.clients().threads(2).request(|number| post(10_000 + number, BODY));
    scene.run(clients, 20, |_| {}).assert_all_ok();
    let whole = |request: &testbed::backend::Request| request.body.len() == BODY;
    let arrived = target.wait_matching(20, wait::LIMIT, whole);
    arrived.unwrap_or_else(|there| panic!("{} requests, not all whole", there.len()));
    let account = scene.close();
    account.assert_only(&["2xx"], &["timeout"], OVERFLOW);
    assert!(account.failures() >= limits.in_flight, "{account:#?}");
}

/// From one behaviour to another at random, many times a second.
fn flapping(version: Version) {
    let mut dice = Dice::new();
    let target = Recorder::start();
    let mut scene = Setup::new(version).args("--timeout 1s").start(&target.url());
    scene.load_while(4 * LOAD, |_| target.set(mischief::any(&mut dice)));
    target.set(good());
    scene.recovers(&target);
    let account = scene.close();
    account.assert_only(
        &["2xx", "unparsable"],
        &["reset", "closed", "timeout", "incomplete-answer"],
        OVERFLOW,
    );
    assert_never_twice(&target);
}
