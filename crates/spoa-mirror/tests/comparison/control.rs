//! The control "twice to the shadow": what a target's two answers to one request differ in is noise.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use testbed::backend::{Behaviour, Request, Response, Step, h2};
use testbed::client::http1::{self, Client};
use testbed::client::load::Load;
use testbed::haproxy::Version;
use testbed::{ports, wait};

use crate::running::gate::Gate;
use crate::running::on_each_haproxy;
use crate::scene::{Form, Scene, Setup, answering, assert_all, count};

on_each_haproxy!(safe_requests_come_twice_and_others_once);

const VERSION: Version = Version::V3_4;

/// Everything that is safe comes twice.
const ALWAYS: &str = "compare = true\ncontrol = 100\n";

/// The marks of the copies of each request, by method and path.
fn marks(requests: &[Request]) -> BTreeMap<String, Vec<String>> {
    let mut marks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in requests {
        let line = String::from_utf8_lossy(request.request_line()).into_owned();
        let mark = request.header("x-shadow").unwrap_or_default();
        marks.entry(line).or_default().push(mark);
    }
    marks.values_mut().for_each(|marks| marks.sort());
    marks
}

/// An item whose ticket is another one each time.
fn random() -> Behaviour {
    let tickets = AtomicU64::new(1_000_000);
    answering(move |_| item(tickets.fetch_add(1, Ordering::Relaxed)))
}

fn item(ticket: u64) -> Response {
    let body = json!({"name": "umbrella", "ticket": ticket}).to_string();
    Response::ok(body).header("Content-Type", "application/json")
}

fn safe_requests_come_twice_and_others_once(version: Version) {
    for form in Form::ALL {
        let mut scene = Setup::new(version, form).toml(ALWAYS).start();
        scene.production.set(answering(|_| item(7_654_321)));
        scene.shadow.set(random());
        let expected = item(7_654_321).to_bytes(b"GET");
        let mut client = Client::connect(scene.address()).unwrap();
        let methods = ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE"];
        for (number, method) in methods.into_iter().enumerate() {
            let request = format!("{method} /{number} HTTP/1.1\r\nHost: shop\r\n\r\n");
            let answer = client.exchange(request.as_bytes()).unwrap();
            assert_eq!(answer.status, 200);
            // Each client gets production's answer.
            let body = if method == "HEAD" { Vec::new() } else { answer.text().into_bytes() };
            assert!(expected.ends_with(&body), "{method}: {answer:?}");
        }
        let copies = scene.shadow.wait_for(12, wait::LIMIT);
        let compared = scene.wait_over(12);
        let marks = marks(&copies);
        for (number, method) in methods.into_iter().enumerate() {
            let expected: &[&str] = if number < 4 { &["1", "1; repeat"] } else { &["1"] };
            let line = format!("{method} /{number} HTTP/1.1");
            assert_eq!(marks.get(&line).unwrap(), expected, "{line}: {marks:?}");
        }
        assert_eq!(scene.production.counts().complete, 8, "production is asked once");
        // To HEAD there is no body that could differ.
        for (label, expected) in
            [("same", 1), ("different", 7), ("control-same", 1), ("control-different", 3)]
        {
            assert_eq!(count(&compared, label), expected, "{form:?} {label}: {compared:?}");
        }
        let tally = scene.mirrors[0].finish();
        assert_eq!((tally.spop.requests, tally.target().received), (8, 12));
        assert_eq!(tally.target().answers(), 12);
        assert_eq!(scene.shadow.requests().len(), 12);
    }
}

/// Sends requests to numbered paths, and gives what the shadow got of each.
fn traffic(scene: &Scene, requests: u64) -> BTreeMap<String, Vec<String>> {
    let load = Load::builder(scene.address()).threads(4).total(requests);
    let get = |number| format!("GET /{number} HTTP/1.1\r\nHost: shop\r\n\r\n").into_bytes();
    load.request(get).run().assert_all_ok();
    wait::holds(wait::LIMIT, "all copies to be answered", || {
        let last = scene.mirrors[0].reports().pop();
        last.is_some_and(|tally| tally.spop.requests == requests && tally.target().open() == 0)
    });
    marks(&scene.shadow.requests())
}

/// Those that came twice; all others came once.
fn twice(copies: &BTreeMap<String, Vec<String>>) -> u64 {
    let twice = copies.values().filter(|marks| {
        let is_twice = marks.len() > 1;
        let expected: &[&str] = if is_twice { &["1", "1; repeat"] } else { &["1"] };
        assert_eq!(*marks, expected);
        is_twice
    });
    twice.count() as u64
}

/// Of 1,000 requests the number that has a probability of 0.3 lies outside of 200 to 400 once in 10^9.
#[test]
fn a_share_of_the_requests_comes_twice() {
    let setup = Setup::new(VERSION, Form::TwoMessages).toml("compare = true\ncontrol = 30\n");
    let mut scene = setup.start();
    scene.both(answering(|_| item(7_654_321)));
    let copies = traffic(&scene, 1000);
    let twice = twice(&copies);
    assert_eq!(copies.len(), 1000);
    assert!((200..=400).contains(&twice), "{twice} of 1000");
    let compared = scene.finish();
    assert_eq!((count(&compared, "same"), count(&compared, "control-same")), (1000, twice));
}

/// Of what is not compared, nothing would come of a second answer.
#[test]
fn only_what_is_compared_comes_twice() {
    let toml = format!("{ALWAYS}[comparison]\nsample = 50\n");
    let mut scene = Setup::new(VERSION, Form::OneMessage).toml(&toml).start();
    scene.both(answering(|_| item(7_654_321)));
    let copies = traffic(&scene, 300);
    let twice = twice(&copies);
    assert!(copies.len() == 300 && twice > 0 && twice < 300, "{twice} of {}", copies.len());
    let compared = scene.finish();
    assert_eq!((count(&compared, "same"), count(&compared, "control-same")), (twice, twice));
}

#[test]
fn of_several_copies_one_is_the_repeat() {
    let toml = format!("{ALWAYS}amplify = 3\n");
    let mut scene = Setup::new(VERSION, Form::OneMessage).toml(&toml).start();
    scene.both(answering(|_| item(7_654_321)));
    scene.get("/");
    let copies = marks(&scene.shadow.wait_for(3, wait::LIMIT));
    assert_eq!(copies["GET / HTTP/1.1"], ["1; copy=1/3", "1; copy=2/3; repeat", "1; copy=3/3"]);
    let compared = scene.finish();
    assert_eq!((count(&compared, "copies"), count(&compared, "control-same")), (2, 1));
    assert_eq!(scene.shadow.requests().len(), 3);
}

#[test]
fn a_target_with_http2_is_held_against_itself_too() {
    let shadow = h2::Behaviour::Respond(200, b"the same".to_vec());
    let toml = format!("http = \"2\"\n{ALWAYS}");
    let mut scene = Setup::new(VERSION, Form::OneMessage).h2(shadow).toml(&toml).start();
    scene.production.set(answering(|_| Response::ok("the same")));
    for number in 0..10 {
        scene.get(&format!("/{number}"));
    }
    let compared = scene.wait_over(20);
    assert_eq!((count(&compared, "same"), count(&compared, "control-same")), (10, 10));
    scene.finish();
}

#[test]
fn two_answers_are_a_pair_without_production_s() {
    let toml = format!("{ALWAYS}[comparison]\nwait = \"1s\"\n");
    let mut scene = Setup::new(VERSION, Form::TwoMessages).toml(&toml).start();
    scene.shadow.set(answering(|_| item(7_654_321)));
    scene.production.set(Behaviour::mute());
    let mut client = Client::connect(scene.address()).unwrap();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let compared = scene.wait_over(2);
    let found = (count(&compared, "control-same"), count(&compared, "without-production"));
    assert_eq!(found, (1, 1), "{compared:?}");
    scene.finish();
}

/// Does this for the first copies, and answers the second ones.
fn first(steps: impl Fn() -> Vec<Step> + Send + Sync + 'static) -> Behaviour {
    Behaviour::steps(move |request| {
        let is_repeat = request.header("x-shadow").is_some_and(|mark| mark.ends_with("; repeat"));
        if is_repeat {
            vec![Step::Send(item(7_654_321).to_bytes(request.method()))]
        } else {
            steps()
        }
    })
}

#[test]
fn a_second_answer_without_a_first_is_counted() {
    for form in Form::ALL {
        let mut scene = Setup::new(VERSION, form).toml(ALWAYS).start();
        scene.production.set(answering(|_| item(7_654_321)));
        scene.shadow.set(first(|| vec![Step::Reset]));
        for number in 0..5 {
            scene.get(&format!("/{number}"));
        }
        let compared = scene.wait_over(10);
        let found = (count(&compared, "failed"), count(&compared, "without-first"));
        assert_eq!(found, (5, 5), "{compared:?}");
        let tally = scene.mirrors[0].finish();
        assert_eq!((tally.target().failures(), tally.target().answers()), (5, 5));
    }
}

/// It is a copy as any other: it waits, and is dropped when it waited too long.
#[test]
fn a_second_copy_that_is_dropped_is_counted() {
    let toml = format!("{ALWAYS}limit = {{ in-flight = 1, max-age = \"100ms\" }}\n");
    let mut scene = Setup::new(VERSION, Form::OneMessage).toml(&toml).start();
    scene.production.set(answering(|_| item(7_654_321)));
    let gate = Gate::default();
    scene.shadow.set(gate.before(item(7_654_321)));
    scene.get("/");
    scene.mirrors[0].wait_report(|tally| tally.target().dropped.contains_key("too-old"));
    gate.open();
    let compared = scene.wait_over(2);
    assert_eq!((count(&compared, "same"), count(&compared, "not-sent")), (1, 1), "{compared:?}");
    let tally = scene.mirrors[0].finish();
    assert_eq!((tally.target().received, tally.target().drops()), (2, 1));
}

/// A limit that has no room for it costs the second copy alone, which is then none.
#[test]
fn a_second_copy_that_there_is_no_room_for_is_not_compared() {
    let toml = format!("{ALWAYS}limit = {{ rate = \"1/h\", burst = 1 }}\n");
    let mut scene = Setup::new(VERSION, Form::OneMessage).toml(&toml).start();
    scene.both(answering(|_| item(7_654_321)));
    for number in 0..3 {
        scene.get(&format!("/{number}"));
    }
    assert_all(&scene.wait_over(1), "same", 1);
    let tally = scene.mirrors[0].finish();
    // What is not copied once is not copied twice.
    assert_eq!((tally.spop.requests, tally.target().received), (3, 4));
    assert_eq!(tally.target().dropped["rate-limit"], 3);
}

/// Starts with an admin API.
fn start(toml: &str) -> (Scene, SocketAddr) {
    let admin = ports::free_addr();
    let toml = format!("{toml}[admin]\nlisten = \"{admin}\"\n");
    let scene = Setup::new(VERSION, Form::OneMessage).toml(&toml).start();
    wait::holds(wait::LIMIT, "the admin API", || http1::get(admin, "/healthz").is_ok());
    (scene, admin)
}

fn ask(admin: SocketAddr, path: &str) -> Value {
    serde_json::from_str(&http1::get(admin, path).unwrap().text()).unwrap()
}

#[test]
fn status_and_metrics_tell_noise_from_differences() {
    let (mut scene, admin) = start(ALWAYS);
    scene.production.set(answering(|_| item(7_654_321)));
    scene.shadow.set(random());
    for _ in 0..3 {
        scene.get("/");
    }
    scene.wait_over(6);
    let status = ask(admin, "/api/v1/status");
    let counters = &status["targets"][0]["counters"];
    assert_eq!((&counters["received"], &counters["repeats"]), (&json!(6), &json!(3)));
    let comparison = &status["comparison"];
    assert_eq!(comparison["pairs"]["shadow"], json!({"different": 3}));
    assert_eq!(comparison["control"]["shadow"], json!({"different": 3}));
    let metrics = http1::get(admin, "/metrics").unwrap().text();
    for line in [
        "target_received_total{target=\"shadow\"} 6",
        "target_repeats_total{target=\"shadow\"} 3",
        "comparison_copies_total 6",
        "comparison_pairs_total{target=\"shadow\",result=\"different\"} 3",
        "comparison_control_pairs_total{target=\"shadow\",result=\"different\"} 3",
        "comparison_unpaired_total{half=\"shadow\",reason=\"without-first\"} 0",
    ] {
        let found = metrics.lines().any(|found| found == format!("spoa_mirror_{line}"));
        assert!(found, "{line}: {metrics}");
    }
    scene.finish();
}

/// What is random is noise, and what is wrong besides is found.
#[test]
fn noise_is_no_reason_and_a_difference_beside_it_is_one() {
    const REQUESTS: u64 = 250;
    for is_wrong in [false, true] {
        let verdict = "[comparison.verdict]\npairs = 200\n";
        let (mut scene, admin) = start(&format!("{ALWAYS}{verdict}"));
        scene.production.set(answering(|_| item(7_654_321)));
        let tickets = AtomicU64::new(1_000_000);
        scene.shadow.set(answering(move |_| {
            let ticket = tickets.fetch_add(1, Ordering::Relaxed);
            let name = if is_wrong { "umbrela" } else { "umbrella" };
            Response::ok(json!({"name": name, "ticket": ticket}).to_string())
                .header("Content-Type", "application/json")
        }));
        traffic(&scene, REQUESTS);
        let verdict = wait::until(wait::LIMIT, "the verdict", || {
            let verdict = ask(admin, "/api/v1/verdict");
            (verdict["targets"][0]["requests"] == REQUESTS).then_some(verdict)
        });
        let answer = if is_wrong { "fail" } else { "pass" };
        assert_eq!(verdict["answer"], answer, "{verdict:#}");
        let reasons = verdict["targets"][0]["reasons"].as_array().unwrap();
        let places: Vec<_> = reasons.iter().map(|reason| reason["place"].clone()).collect();
        let expected = if is_wrong { vec![json!("body $.name")] } else { vec![] };
        assert_eq!(places, expected, "{verdict:#}");
        scene.finish();
    }
}
