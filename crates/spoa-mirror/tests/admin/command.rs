//! `spoa-mirror status`, `pause`, `resume`.

use std::process::{Command, Output};

use serde_json::Value;
use testbed::agent::Agent as Process;
use testbed::{ports, wait};

use super::api::Agent;
use super::running::mirror::{Mirror, PROGRAM};

fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs it, and gives what it printed after it succeeded.
fn printed(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_status_is_shown() {
    let agent = Agent::start();
    agent.mirror(3);
    agent.wait_counters(|counters| counters["answered"]["2xx"] == 3);
    let address = agent.admin.to_string();
    let shown = printed(&["status", "--admin", &address]);
    assert!(shown.starts_with("spoa-mirror ") && shown.contains("serving for"), "{shown}");
    assert!(shown.contains("3 requests"), "{shown}");
    let row = shown.lines().find(|line| line.starts_with(&agent.target())).unwrap();
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(cells[1..8], ["3", "-", "3", "0", "0", "0", "0"], "{shown}");
    assert!(shown.contains("answered: 2xx 3"), "{shown}");
    assert!(!shown.contains('\x1b'), "no colours into a pipe");
    let json: Value =
        serde_json::from_str(&printed(&["status", "--json", "--admin", &address])).unwrap();
    assert_eq!(json["targets"][0]["counters"]["received"], 3);
}

#[test]
fn it_is_shown_again_and_again() {
    let agent = Agent::start();
    let address = agent.admin.to_string();
    let watch = Process::start(PROGRAM, ["status", "--watch", "1", "--json", "--admin", &address]);
    let shows = |received: u64| {
        watch.wait_line(wait::LIMIT, |line| {
            let status: Value = serde_json::from_str(line).unwrap();
            status["targets"][0]["counters"]["received"] == received
        });
    };
    shows(0);
    agent.mirror(2);
    shows(2);
    let table = Process::start(PROGRAM, ["status", "--watch", "1", "--admin", &address]);
    table.wait_line(wait::LIMIT, |line| line.contains("requests (0/s)"));
}

#[test]
fn targets_are_paused_and_resumed() {
    let agent = Agent::start();
    let (target, address) = (agent.target(), agent.admin.to_string());
    for (args, paused) in [
        (vec!["pause", &target], true),
        (vec!["resume", &target], false),
        (vec!["pause"], true),
        (vec!["resume"], false),
    ] {
        let shown = printed(&[&args[..], &["--admin", &address]].concat());
        let state = if paused { "is paused" } else { "copies" };
        assert!(shown.contains(&format!("{target} {state}")), "{shown}");
        assert!(shown.contains("until the agent is restarted"), "{shown}");
        assert_eq!(agent.standing()["settings"]["paused"], paused);
    }
    let none = run(&["pause", "no such/target", "--admin", &address]);
    assert_eq!(none.status.code(), Some(1));
    let told = text(&none.stderr);
    assert!(told.contains("`no such/target`") && told.contains(&target), "{told}");
}

#[test]
fn a_unix_socket_will_do() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", directory.path().join("admin.sock").display());
    let _mirror = Mirror::start(&["-r", "0", "--admin", &address]);
    let shown = printed(&["status", "--admin", &address]);
    assert!(shown.contains("no targets"), "{shown}");
}

#[test]
fn what_goes_wrong_is_told_with_advice() {
    let nobody = ports::free_addr().to_string();
    for args in [vec!["status"], vec!["status", "--watch"], vec!["pause"], vec!["resume", "x"]] {
        let output = run(&[&args[..], &["--admin", &nobody]].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let told = text(&output.stderr);
        assert!(told.contains(&nobody) && told.contains("--admin or admin.listen"), "{told}");
        assert!(output.stdout.is_empty());
    }
    for (args, part) in [
        (vec!["status", "--admin", "9600"], "HOST:PORT"),
        (vec!["status", "--admin", "https://x/y"], "leave the path out"),
        (vec!["status", "--watch", "0"], "1..=3600"),
        (vec!["status", "--token-file"], "--token-file"),
        (vec!["pause", "a", "b"], "unexpected argument"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
    let output = run(&["status", "--admin", &nobody, "--token-file", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot read the token in /nonexistent"));
}
