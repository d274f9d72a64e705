//! Reloads through the API, while HAProxy hands over requests.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use testbed::backend::Recorder;
use testbed::client::http1;
use testbed::client::load::Load;
use testbed::haproxy::{Guide, Version};
use testbed::{ports, wait};

use super::api::request;
use super::running::mirror::{Mirror, PROGRAM};
use super::running::on_each_haproxy;
use super::running::stage::production;

/// A configuration with these targets: names and servers.
fn toml(admin: SocketAddr, targets: &[(&str, &Recorder)]) -> String {
    let mut toml = format!("[admin]\nlisten = \"{admin}\"\n");
    for (name, server) in targets {
        let url = server.url();
        toml.push_str(&format!("\n[[target]]\nname = \"{name}\"\nurl = \"{url}\"\n"));
    }
    toml
}

/// `METHOD PATH` without a body: status and JSON.
fn ask(admin: SocketAddr, line: &str) -> (u16, Value) {
    let answer = http1::exchange(admin, request(line, &[], "").as_bytes()).unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// Waits until a target was sent so many more requests.
fn wait_more(server: &Recorder, more: u64) {
    let before = server.counts().complete;
    wait::holds(wait::LIMIT, "more copies", || server.counts().complete >= before + more);
}

on_each_haproxy!(targets_come_and_go_under_load, a_wrong_file_changes_nothing_under_load);

fn targets_come_and_go_under_load(version: Version) {
    let (stays, goes, comes) = (Recorder::start(), Recorder::start(), Recorder::start());
    let (production, admin) = (production(), ports::free_addr());
    let mut mirror = Mirror::configured(&toml(admin, &[("stays", &stays), ("goes", &goes)]));
    let haproxy = Guide::new(production.address()).agent(mirror.address).start(version);
    let load = Load::builder(haproxy.address("http")).threads(2).start();
    wait_more(&goes, 20);
    ask(admin, "POST /api/v1/targets/goes/pause");
    ask(admin, "POST /api/v1/targets/goes/resume");
    mirror.reconfigure(&toml(admin, &[("stays", &stays), ("comes", &comes)]));
    let (status, reloaded) = ask(admin, "POST /api/v1/reload");
    assert_eq!(status, 200, "{reloaded}");
    assert_eq!(reloaded["added"], json!(["comes"]));
    assert_eq!(reloaded["removed"], json!(["goes"]));
    assert_eq!(reloaded["unchanged"], json!(["stays"]));
    wait_more(&comes, 20);
    wait_more(&stays, 20);
    load.stop().assert_all_ok();
    // All that the removed target was given came to its end, and is accounted for.
    wait::holds(wait::LIMIT, "the removed target is done", || {
        let (_, status) = ask(admin, "GET /api/v1/status");
        let gone = &status["removed"]["goes"];
        let sum = |group: &str| -> u64 {
            gone[group].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
        };
        let ended = sum("answered") + sum("failed") + sum("dropped");
        gone["in_flight"] == 0 && gone["waiting"] == 0 && gone["received"] == ended
    });
    let (_, changes) = ask(admin, "GET /api/v1/changes");
    let last = changes["changes"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["setting"], &last["target"]), (&json!("configuration"), &Value::Null));
    let (_, status) = ask(admin, "GET /api/v1/status");
    assert_eq!((&status["reloads"]["done"], &status["reloads"]["failed"]), (&json!(1), &json!(0)));
    assert!(mirror.process.stop(wait::LIMIT).success());
}

fn a_wrong_file_changes_nothing_under_load(version: Version) {
    let target = Recorder::start();
    let (production, admin) = (production(), ports::free_addr());
    let good = toml(admin, &[("target", &target)]);
    let mut mirror = Mirror::configured(&good);
    let haproxy = Guide::new(production.address()).agent(mirror.address).start(version);
    let load = Load::builder(haproxy.address("http")).threads(2).start();
    wait_more(&target, 10);
    mirror.reconfigure(&format!("{good}smaple = {{ percent = 5 }}\ntimeout = \"soon\"\n"));
    let (status, refused) = ask(admin, "POST /api/v1/reload");
    assert_eq!(
        (status, &refused["error"]["code"]),
        (422, &json!("wrong-configuration")),
        "{refused}"
    );
    let problems = refused["error"]["problems"].as_array().unwrap();
    assert!(problems.len() >= 2, "{refused}");
    let text = std::fs::read_to_string(mirror.configuration()).unwrap();
    let line = text.lines().position(|line| line.starts_with("smaple")).unwrap() + 1;
    let problem =
        problems.iter().find(|p| p["line"] == line).unwrap_or_else(|| panic!("{refused}"));
    assert_eq!(problem["column"], 1);
    assert_eq!(problem["file"], json!(mirror.configuration()));
    assert!(problem["message"].as_str().unwrap().contains("sample"), "{problem}");
    // The command line shows the same, line by line.
    let address = admin.to_string();
    let told = Command::new(PROGRAM).args(["reload", "--admin", &address]).output().unwrap();
    assert_eq!(told.status.code(), Some(1));
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("nothing has changed") && told.contains(&format!(":{line}: ")), "{told}");
    wait_more(&target, 10);
    let (_, status) = ask(admin, "GET /api/v1/status");
    assert_eq!((&status["reloads"]["done"], &status["reloads"]["failed"]), (&json!(0), &json!(2)));
    mirror.reconfigure(&good);
    let told = Command::new(PROGRAM).args(["reload", "--admin", &address]).output().unwrap();
    assert!(told.status.success(), "{told:?}");
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("targets as before: target"),
        "{told:?}"
    );
    let (_, status) = ask(admin, "GET /api/v1/status");
    assert_eq!(status["reloads"]["error"], Value::Null);
    wait_more(&target, 10);
    load.stop().assert_all_ok();
    assert!(mirror.process.stop(wait::LIMIT).success());
}

#[test]
fn what_was_set_by_hand_outlasts_a_reload() {
    let target = Recorder::start();
    let admin = ports::free_addr();
    let mut mirror = Mirror::configured(&toml(admin, &[("target", &target)]));
    ask(admin, "POST /api/v1/targets/target/pause");
    let changed = format!("{}limit = {{ queue = 77 }}\n", toml(admin, &[("target", &target)]));
    mirror.reconfigure(&changed);
    let (_, reloaded) = ask(admin, "POST /api/v1/reload");
    assert_eq!(reloaded["changed"], json!(["target"]));
    let (_, now) = ask(admin, "GET /api/v1/targets/target");
    assert_eq!((&now["settings"]["paused"], &now["settings"]["queue"]), (&json!(true), &json!(77)));
    assert_eq!(now["overrides"], json!(["paused"]));
    // Gone and back again, it starts afresh.
    mirror.reconfigure(&toml(admin, &[]));
    ask(admin, "POST /api/v1/reload");
    mirror.reconfigure(&changed);
    ask(admin, "POST /api/v1/reload");
    let (_, now) = ask(admin, "GET /api/v1/targets/target");
    assert_eq!((&now["settings"]["paused"], &now["overrides"]), (&json!(false), &json!([])));
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let admin = ports::free_addr();
    let _mirror = Mirror::start(&["-r", "0", "--admin", &admin.to_string()]);
    let (status, refused) = ask(admin, "POST /api/v1/reload");
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("no-file")));
}
