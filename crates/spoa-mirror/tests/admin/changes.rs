//! What the API changes, as the target's traffic shows it.

use serde_json::json;
use testbed::agent::Agent as Process;
use testbed::backend::Recorder;
use testbed::{ports, wait};

use super::api::Agent;
use super::running::gate;
use super::running::mirror::{Mirror, PROGRAM};

#[test]
fn a_paused_target_gets_nothing_until_it_is_resumed() {
    let agent = Agent::start();
    let path = format!("/api/v1/targets/{}", agent.target());
    agent.mirror(1);
    agent.wait_counters(|counters| counters["answered"]["2xx"] == 1);
    let paused = agent.ask(&format!("POST {path}/pause")).json();
    assert_eq!(paused["kept"], "until restart");
    assert!(paused["at_reload"].as_str().unwrap().contains("stays in force"));
    assert_eq!(paused["targets"][0]["settings"]["paused"], true);
    assert_eq!(paused["targets"][0]["overrides"], json!(["paused"]));
    agent.mirror(2);
    agent.wait_counters(|counters| counters["dropped"]["paused"] == 2);
    assert_eq!(agent.shadow.counts().requests, 1);
    let resumed = agent.ask(&format!("POST {path}/resume")).json();
    assert_eq!(resumed["targets"][0]["settings"]["paused"], false);
    assert_eq!(resumed["targets"][0]["overrides"], json!([]));
    agent.mirror(1);
    agent.wait_counters(|counters| counters["answered"]["2xx"] == 2);
}

#[test]
fn all_targets_are_paused_and_resumed_at_once() {
    let agent = Agent::start();
    assert_eq!(agent.ask("POST /api/v1/pause").json()["targets"][0]["settings"]["paused"], true);
    agent.mirror(2);
    agent.wait_counters(|counters| counters["dropped"]["paused"] == 2);
    assert_eq!(agent.ask("POST /api/v1/resume").json()["targets"][0]["settings"]["paused"], false);
    agent.mirror(1);
    agent.wait_counters(|counters| counters["answered"]["2xx"] == 1);
}

#[test]
fn a_sample_holds_at_once_and_null_takes_it_back() {
    let agent = Agent::start();
    let path = format!("PATCH /api/v1/targets/{}", agent.target());
    let changed = agent.send(&path, r#"{"sample_percent": 0}"#).json();
    assert_eq!(changed["targets"][0]["settings"]["sample_percent"], 0.0);
    agent.mirror(5);
    agent.wait_counters(|counters| counters["dropped"]["not-sampled"] == 5);
    let changed = agent.send(&path, r#"{"sample_percent": null}"#).json();
    assert_eq!(changed["targets"][0]["settings"]["sample_percent"], 100.0);
    agent.mirror(2);
    agent.wait_counters(|counters| counters["answered"]["2xx"] == 2);
}

#[test]
fn limits_hold_at_once() {
    let (shadow, gate) = gate::recorder();
    let agent = Agent::with(shadow, &[]);
    let path = format!("PATCH /api/v1/targets/{}", agent.target());
    let body = r#"{"in_flight": 1, "queue": 2, "queue_bytes": 100000, "max_age": "1h"}"#;
    let settings = agent.send(&path, body).json()["targets"][0]["settings"].clone();
    assert_eq!((&settings["in_flight"], &settings["queue"]), (&json!(1), &json!(2)));
    assert_eq!((&settings["queue_bytes"], &settings["max_age"]), (&json!(100_000), &json!("1h")));
    agent.mirror(5);
    let counters = agent.wait_counters(|counters| counters["received"] == 5);
    assert_eq!((&counters["in_flight"], &counters["waiting"]), (&json!(1), &json!(2)));
    assert_eq!(counters["dropped"], json!({"queue-full": 2}));
    // What waits for longer than this is dropped, although it began to wait before.
    agent.send(&path, r#"{"max_age": "1ms"}"#);
    agent.wait_counters(|counters| counters["dropped"]["too-old"] == 2);
    gate.open();
    agent.wait_counters(|counters| counters["answered"]["2xx"] == 1);
    let reset = agent.ask(&format!("DELETE /api/v1/targets/{}/overrides", agent.target())).json();
    assert_eq!(reset["targets"][0]["overrides"], json!([]));
    assert_eq!(reset["targets"][0]["settings"]["queue"], 1000);
}

#[test]
fn a_wrong_change_changes_nothing_and_says_why() {
    let agent = Agent::start();
    let path = format!("PATCH /api/v1/targets/{}", agent.target());
    let before = agent.standing()["settings"].clone();
    for (body, part) in [
        (r#"{"queue": 5, "sample_percent": 100.1}"#, "sample_percent: a share is from 0 to 100"),
        (r#"{"queue": 5, "rate": "500"}"#, "rate: a rate is a number"),
        (r#"{"queue": 5, "qeue": 6}"#, "unknown field `qeue`"),
        (r#"{"queue": "5"}"#, "invalid type"),
        ("{", "EOF"),
        ("[]", "the body"),
    ] {
        let answer = agent.send(&path, body);
        assert_eq!((answer.status(), answer.error().as_str()), (400, "bad-request"), "{body}");
        assert!(answer.message().contains(part), "{}", answer.message());
    }
    assert_eq!(agent.standing()["settings"], before);
    assert_eq!(agent.ask("GET /api/v1/changes").json(), json!({"changes": []}));
}

#[test]
fn no_more_copies_than_descriptors_may_be_under_way() {
    let (shadow, admin) = (Recorder::start(), ports::free_addr());
    let (url, address) = (shadow.url(), admin.to_string());
    let builder = Process::builder(PROGRAM).with_nofile_limit(256);
    let args = ["-r", "0", "-u", &url, "--admin", &address, "--max-in-flight", "20"];
    let mirror = Mirror::run(ports::free_addr(), builder, &args);
    let agent = Agent { mirror, admin, shadow };
    let path = format!("PATCH /api/v1/targets/{}", agent.target());
    let refused = agent.send(&path, r#"{"in_flight": 250, "queue": 9}"#);
    assert_eq!((refused.status(), refused.error().as_str()), (409, "too-few-descriptors"));
    assert!(refused.message().contains("LimitNOFILE"), "{}", refused.message());
    assert_eq!(agent.standing()["overrides"], json!([]));
    assert_eq!(agent.send(&path, r#"{"in_flight": 30}"#).status(), 200);
}

#[test]
fn changes_are_logged_and_remembered() {
    let agent = Agent::start();
    let path = format!("PATCH /api/v1/targets/{}", agent.target());
    agent.send(&path, r#"{"rate": "90/m", "queue": 5}"#);
    // Nothing changes: nothing is noted.
    agent.send(&path, r#"{"queue": 5}"#);
    let changes = agent.ask("GET /api/v1/changes").json()["changes"].clone();
    let changes = changes.as_array().unwrap();
    assert_eq!(changes.len(), 2, "{changes:?}");
    let queue = changes.iter().find(|change| change["setting"] == "limit.queue").unwrap();
    assert_eq!(queue["target"], *agent.target());
    assert_eq!((&queue["from"], &queue["to"]), (&json!("1000"), &json!("5")));
    let by = queue["by"].as_str().unwrap();
    assert!(by.starts_with("127.0.0.1:") && by.ends_with(&format!("over {}", agent.admin)), "{by}");
    let told = agent.mirror.wait_told("limit.queue is 5 now instead of 1000");
    assert!(told.contains(by) && told.contains(&agent.target()), "{told}");
    for count in 1..=120 {
        // More at once than the rate allows.
        wait::holds(wait::LIMIT, "changed", || {
            agent.send(&path, &format!("{{\"queue\": {}}}", count + 5)).status() == 200
        });
    }
    let asked = || Some(agent.ask("GET /api/v1/changes")).filter(|answer| answer.status() == 200);
    let changes = wait::until(wait::LIMIT, "changes", asked).json()["changes"].clone();
    assert_eq!(changes.as_array().unwrap().len(), 100);
    assert_eq!(changes[99]["to"], "125");
}
