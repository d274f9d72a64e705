//! What the API tells.

use serde_json::{Value, json};
use testbed::backend::Recorder;
use testbed::client::http1::Client;
use testbed::ports;

use super::api::{Agent, request};
use super::running::mirror::Mirror;

#[test]
fn it_lives_and_is_ready() {
    let agent = Agent::start();
    assert_eq!(agent.ask("GET /healthz").json(), json!({"status": "ok"}));
    assert_eq!(agent.ask("GET /readyz").json(), json!({"status": "ready"}));
    assert_eq!(agent.ask("HEAD /readyz").status(), 200);
    // A balancer of the old kind names no host.
    let mut client = Client::connect(agent.admin).unwrap();
    assert_eq!(client.exchange(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap().status, 200);
}

#[test]
fn the_status_accounts_for_every_request() {
    let agent = Agent::start();
    agent.mirror(7);
    let counters = agent.wait_counters(|counters| counters["answered"]["2xx"] == 7);
    assert_eq!(counters["received"], 7);
    assert_eq!((&counters["waiting"], &counters["in_flight"]), (&json!(0), &json!(0)));
    assert_eq!(counters["duration"]["count"], 7);
    let status = agent.ask("GET /api/v1/status").json();
    assert_eq!(status["state"], "serving");
    assert_eq!(status["workers"], json!({"configured": 1, "answered": 1}));
    assert_eq!(status["spop"]["requests"], 7);
    assert_eq!(status["spop"]["ack_delay"]["count"], 7);
    assert!(status["uptime_seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_target_is_found_by_its_name() {
    let (shadow, admin) = (Recorder::start(), ports::free_addr());
    let (url, address) = (shadow.url(), admin.to_string());
    // Two targets at one address: the second one's name needs encoding in a path.
    let mirror = Mirror::start(&["-r", "0", "-u", &url, "-u", &url, "--admin", &address]);
    let agent = Agent { mirror, admin, shadow };
    let all = agent.ask("GET /api/v1/targets").json();
    let names: Vec<&str> =
        all["targets"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    let first = agent.target();
    assert_eq!(names, [first.clone(), format!("{first}#2")]);
    let second = agent.ask(&format!("GET /api/v1/targets/{first}%232")).json();
    assert_eq!((second["name"].as_str(), second["url"].as_str()), (Some(names[1]), Some(&*url)));
    let none = agent.ask("GET /api/v1/targets/other");
    assert_eq!((none.status(), none.error()), (404, "not-found".to_owned()));
    assert!(none.message().contains(&first), "{}", none.message());
    assert_eq!(agent.ask("GET /api/v1/targets/%ff").status(), 400);
}

#[test]
fn metrics_are_those_of_the_status() {
    let agent = Agent::start();
    agent.mirror(3);
    agent.wait_counters(|counters| counters["answered"]["2xx"] == 3);
    let answer = agent.ask("GET /metrics");
    assert_eq!(answer.status(), 200);
    assert!(answer.0.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.0.text();
    let received = text.lines().find(|line| {
        line.contains("received_total{") && line.contains(&format!("\"{}\"", agent.target()))
    });
    assert!(received.is_some_and(|line| line.ends_with(" 3")), "{text}");
}

#[test]
fn the_configuration_is_what_the_agent_understood() {
    let agent = Agent::with(Recorder::start(), &["--timeout", "1500ms", "--max-queue", "7"]);
    let config = agent.ask("GET /api/v1/config").json();
    assert_eq!(config["agent"]["listen"], json!([agent.mirror.address.to_string()]));
    assert_eq!(config["admin"]["listen"], json!([agent.admin.to_string()]));
    let target = &config["target"][0];
    assert_eq!(
        (&target["name"], &target["url"]),
        (&json!(agent.target()), &json!(agent.shadow.url()))
    );
    assert_eq!(target["timeout"], json!({"connect": "10s", "total": "1500ms"}));
    assert_eq!(target["limit"]["queue"], 7);
}

#[test]
fn what_is_not_there_is_told_like_everything_else() {
    let agent = Agent::start();
    for (line, status, code) in [
        ("GET /api/v1", 404, "not-found"),
        ("POST /api/v1/targets/x/start", 404, "not-found"),
        ("POST /api/v1/targets/x/pause", 404, "not-found"),
        ("DELETE /api/v1/status", 405, "method-not-allowed"),
        ("GET /api/v1/pause", 405, "method-not-allowed"),
        ("PUT /api/v1/targets/x", 405, "method-not-allowed"),
    ] {
        let answer = agent.ask(line);
        assert_eq!((answer.status(), answer.error().as_str()), (status, code), "{line}");
        assert_eq!(answer.0.header("allow").is_some(), status == 405, "{answer:?}");
    }
}

#[test]
fn no_answer_may_be_framed_sniffed_or_kept() {
    let agent = Agent::start();
    for line in ["GET /healthz", "GET /api/v1/status", "GET /nothing", "POST /api/v1/status"] {
        let answer = agent.ask(line).0;
        for (header, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(header).as_deref(), Some(value), "{line}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn the_description_names_what_there_is() {
    let agent = Agent::start();
    let document = agent.ask("GET /api/v1/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        // What has no default, or is about comparison, of which there is none here, has tests of its own.
        if path.starts_with("/api/v1/comparison") || path == "/api/v1/verdict" {
            continue;
        }
        let path = path.replace("{name}", &agent.target());
        for (method, _) in item.as_object().unwrap() {
            let line = format!("{} {path}", method.to_uppercase());
            let answer = agent.send(&line, "{}");
            assert!(answer.status() < 400 || answer.status() == 409, "{line}: {answer:?}");
            operations += 1;
        }
    }
    assert!(operations >= 15, "{operations}");
}

#[test]
fn one_connection_takes_many_requests() {
    let agent = Agent::start();
    let mut client = Client::connect(agent.admin).unwrap();
    for _ in 0..3 {
        let answer = client.exchange(request("GET /api/v1/status", &[], "").as_bytes()).unwrap();
        let status: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(status["state"], "serving");
    }
}
