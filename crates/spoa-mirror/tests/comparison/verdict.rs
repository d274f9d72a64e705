//! The answer to whether a candidate may be shipped, over the admin API.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testbed::backend::{Request, Response};
use testbed::client::http1;
use testbed::client::load::Load;
use testbed::haproxy::Version;
use testbed::{ports, wait};

use crate::running::mirror::Mirror;
use crate::running::on_each_haproxy;
use crate::scene::{Form, Scene, Setup, answering};

on_each_haproxy!(a_planted_difference_is_found_and_nothing_else);

/// Requests in all: a look is taken at 1,250.
const REQUESTS: u64 = 1250;

/// The scene, and where its agent's admin API is.
pub(crate) fn start(version: Version, form: Form) -> (Scene, SocketAddr) {
    let admin = ports::free_addr();
    // Wherever the target has it, the endpoint is what clients ask for.
    let toml =
        format!("compare = true\npath.add-prefix = \"/v2\"\n[admin]\nlisten = \"{admin}\"\n");
    let scene = Setup::new(version, form).toml(&toml).start();
    wait::holds(wait::LIMIT, "the admin API", || http1::get(admin, "/healthz").is_ok());
    (scene, admin)
}

fn ask(admin: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {admin}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let response = http1::exchange(admin, request.as_bytes()).unwrap();
    (response.status, serde_json::from_str(&response.text()).unwrap())
}

fn get(admin: SocketAddr, path: &str) -> Value {
    let (status, value) = ask(admin, "GET", path, None);
    assert_eq!(status, 200, "{path}: {value}");
    value
}

/// Waits until all that was sent was judged.
fn verdict(admin: SocketAddr, requests: u64) -> Value {
    wait::until(wait::LIMIT, "the verdict", || {
        let verdict = get(admin, "/api/v1/verdict");
        (verdict["targets"][0]["requests"] == requests).then_some(verdict)
    })
}

/// The number in the last segment of a request's path.
fn number(request: &Request) -> u64 {
    let target = String::from_utf8_lossy(request.target()).into_owned();
    target.rsplit('/').next().unwrap().parse().unwrap()
}

fn item(price: u64) -> Response {
    let body = json!({"items": [{"name": "umbrella", "price": price}]}).to_string();
    Response::ok(body).header("Content-Type", "application/json")
}

/// Sends what takes the count to the next look.
pub(crate) fn send(scene: &Scene) {
    let load = Load::builder(scene.address()).threads(4).total(REQUESTS).request(|count| {
        let path = if count % 2 == 0 { "items" } else { "other" };
        format!("GET /{path}/{count} HTTP/1.1\r\nhost: shop\r\n\r\n").into_bytes()
    });
    load.run().assert_all_ok();
}

fn a_planted_difference_is_found_and_nothing_else(version: Version) {
    let (scene, admin) = start(version, Form::OneMessage);
    scene.production.set(answering(|request| item(number(request))));
    scene.shadow.set(answering(|request| {
        let number = number(request);
        item(if number % 20 == 0 { number + 1 } else { number })
    }));
    send(&scene);
    let answer = verdict(admin, REQUESTS);
    assert_eq!(answer["answer"], "fail");
    let reasons = answer["targets"][0]["reasons"].as_array().unwrap();
    let reason = reasons.first().unwrap();
    assert_eq!(reasons.len(), 1, "{answer}");
    assert_eq!(reason["endpoint"], "GET /items/{id}");
    assert_eq!(
        (&reason["kind"], &reason["place"]),
        (&json!("difference"), &json!("body $.items[].price"))
    );

    let list = get(admin, "/api/v1/comparison/endpoints");
    let names: Vec<_> =
        list["endpoints"].as_array().unwrap().iter().map(|of| of["name"].clone()).collect();
    assert_eq!(names, ["GET /items/{id}", "GET /other/{id}"]);
    let items = get(admin, "/api/v1/comparison/endpoint?name=GET%20/items/%7Bid%7D");
    let different = &items["endpoint"]["different"];
    assert_eq!((&different["pairs"], &different["differing"]), (&json!(625), &json!(63)));
    assert_eq!(items["places"][0]["rule"], "$.items[].price");
    let id = &reason["samples"][0];
    let sample = get(admin, &format!("/api/v1/comparison/samples/{id}"));
    assert_eq!(sample["endpoint"], "GET /items/{id}");
    assert_eq!(sample["differences"][0]["place"], "body $.items[].price");

    // Said to be no difference, it is none any more, before and after.
    let rule = json!({"endpoint": "GET /items/*", "place": "$.items[].price", "ignore": true});
    let (status, rules) = ask(admin, "POST", "/api/v1/comparison/rules", Some(&rule));
    assert_eq!((status, &rules["rules"][0]), (200, &rule));
    assert_eq!(get(admin, "/api/v1/verdict")["answer"], "pass");
    assert_eq!(ask(admin, "DELETE", "/api/v1/comparison/rules/1", None).0, 200);

    // A new run begins with nothing, and finds it again.
    let (status, runs) =
        ask(admin, "POST", "/api/v1/comparison/runs", Some(&json!({"name": "rc2"})));
    assert_eq!((status, &runs["runs"][0]["name"]), (200, &json!("rc2")));
    assert_eq!(get(admin, "/api/v1/verdict")["answer"], "not-enough-data");
    send(&scene);
    assert_eq!(verdict(admin, REQUESTS)["answer"], "fail");
}

#[test]
fn what_is_asked_for_and_is_not_there_is_said() {
    let (_scene, admin) = start(Version::V3_4, Form::TwoMessages);
    let runs = "/api/v1/comparison/runs";
    for (method, path, body, expected, word) in [
        ("GET", "/api/v1/verdict?target=other", None, 404, "candidates: shadow"),
        ("GET", "/api/v1/verdict?targets=shadow", None, 400, "unknown field `targets`"),
        ("GET", "/api/v1/comparison/endpoint?name=GET%20/", None, 404, "no endpoint of this name"),
        ("GET", "/api/v1/comparison/endpoint", None, 400, "missing field `name`"),
        ("GET", "/api/v1/comparison/samples/77", None, 404, "no pair of this number"),
        ("GET", "/api/v1/comparison/samples/first", None, 404, "no number"),
        ("POST", runs, Some(json!({"name": " "})), 400, "1 to 100 characters"),
        ("POST", runs, Some(json!({"name": "a", "target": "b"})), 404, "no candidate"),
        ("DELETE", "/api/v1/comparison/rules/1", None, 404, "there are 0 rules"),
        ("POST", "/api/v1/comparison/rules", Some(json!({"place": "$.a"})), 422, "needs one of"),
        (
            "POST",
            "/api/v1/comparison/rules",
            Some(json!({"place": "$.a[", "ignore": true})),
            422,
            "place, at byte",
        ),
        (
            "POST",
            "/api/v1/comparison/rules",
            Some(json!({"place": "$.a", "ignore": true, "set": true})),
            422,
            "one thing",
        ),
    ] {
        let (status, answer) = ask(admin, method, path, body.as_ref());
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(status, expected, "{method} {path}: {message}");
        assert!(message.contains(word), "{method} {path}: {message}");
    }
}

/// What is told of a run has to outlive the agent: deployments restart it.
#[test]
fn counts_runs_and_rules_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let toml = |admin: SocketAddr| {
        format!(
            "compare = true\n[admin]\nlisten = \"{admin}\"\n\
             [comparison]\nrules-file = \"{}\"\nhistory.file = \"{}\"\n",
            file("rules.toml"),
            file("history.db")
        )
    };
    let admin = ports::free_addr();
    let mut scene = Setup::new(Version::V3_4, Form::OneMessage).toml(&toml(admin)).start();
    wait::holds(wait::LIMIT, "the admin API", || http1::get(admin, "/healthz").is_ok());
    scene.production.set(answering(|request| item(number(request))));
    scene.shadow.set(answering(|request| item(number(request) + number(request) % 2)));
    send(&scene);
    verdict(admin, REQUESTS);
    let rule = json!({"place": "$.items[].name", "ignore": true});
    assert_eq!(ask(admin, "POST", "/api/v1/comparison/rules", Some(&rule)).0, 200);
    let begin = json!({"name": "rc2"});
    let (_, runs) = ask(admin, "POST", "/api/v1/comparison/runs", Some(&begin));
    assert_eq!(
        (&runs["runs"][0]["name"], &runs["runs"][1]["name"]),
        (&json!("rc2"), &json!("run 1"))
    );
    send(&scene);
    let before = verdict(admin, REQUESTS);
    assert_eq!(before["answer"], "fail");
    scene.finish();

    let admin = ports::free_addr();
    let target = format!("[[target]]\nname = \"shadow\"\nurl = \"{}\"\n", scene.shadow.url());
    let _mirror = Mirror::configured(&format!("{target}{}", toml(admin)));
    wait::holds(wait::LIMIT, "the admin API", || http1::get(admin, "/healthz").is_ok());
    let after = get(admin, "/api/v1/verdict");
    assert_eq!(after, before);
    let id = &after["targets"][0]["reasons"][0]["samples"][0];
    let sample = get(admin, &format!("/api/v1/comparison/samples/{id}"));
    assert_eq!(sample["run"], "rc2");
    assert_eq!(get(admin, "/api/v1/comparison/rules")["rules"], json!([rule]));
    let runs = get(admin, "/api/v1/comparison/runs");
    let ended = &runs["runs"][1];
    assert_eq!((&ended["name"], &ended["answer"]), (&json!("run 1"), &json!("fail")));
    let report = get(admin, &format!("/api/v1/comparison/runs/{}", ended["id"]));
    assert_eq!(report["verdict"]["answer"], "fail");
    assert!(!report["samples"].as_array().unwrap().is_empty());
}
