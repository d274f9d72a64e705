//! `spoa-mirror begin` and `verdict` as a pipeline runs them, against an agent that compares real traffic.

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;
use testbed::agent::Agent as Process;
use testbed::backend::Response;
use testbed::client::http1;
use testbed::haproxy::Version;
use testbed::{ports, wait};

use crate::running::mirror::{Mirror, PROGRAM};
use crate::scene::{Form, answering};
use crate::verdict::{send, start};

fn run(admin: SocketAddr, args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).args(["--admin", &admin.to_string()]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_pipeline_waits_for_its_own_run() {
    let (scene, admin) = start(Version::V3_4, Form::OneMessage);
    scene.both(answering(|_| Response::ok("same")));
    let begun = run(admin, &["begin", "rc2"]);
    assert_eq!(begun.status.code(), Some(0), "{}", text(&begun.stderr));
    let early = run(admin, &["verdict", "--run", "rc2"]);
    assert_eq!(early.status.code(), Some(2), "{}", text(&early.stderr));
    assert!(text(&early.stdout).starts_with("not enough data: shadow, run rc2, 0 requests judged"));

    let address = admin.to_string();
    let waiting = ["verdict", "--run", "rc2", "--wait", "10m", "--admin", &address];
    let mut waiting = Process::start(PROGRAM, waiting);
    send(&scene);
    assert_eq!(waiting.wait_exit(wait::LIMIT).code(), Some(0));
    let first = &waiting.output().all()[0];
    // As many as at one of the looks from 1,000 on, whenever it asked.
    assert!(first.starts_with("pass: shadow, run rc2, 1"), "{first}");
    assert!(first.contains(" requests judged with 99 %"), "{first}");

    // The next candidate fails, and its verdict is not taken for that of the one before.
    scene.shadow.set(answering(|request| {
        let fails = request.target().starts_with(b"/v2/items");
        if fails { Response::new(500) } else { Response::ok("same") }
    }));
    assert_eq!(run(admin, &["begin", "rc3", "--target", "shadow"]).status.code(), Some(0));
    let old = run(admin, &["verdict", "--run", "rc2", "--wait", "10m"]);
    assert_eq!(old.status.code(), Some(3));
    assert!(text(&old.stderr).contains("`rc3`, not `rc2`"), "{}", text(&old.stderr));
    send(&scene);
    let failed = run(admin, &["verdict", "--run", "rc3", "--wait", "10m"]);
    let shown = text(&failed.stdout);
    assert_eq!(failed.status.code(), Some(1), "{shown}{}", text(&failed.stderr));
    assert!(shown.lines().nth(1).unwrap().starts_with("  1. GET /items/{id}: errors"), "{shown}");
    let page = shown.lines().find_map(|line| line.trim().strip_prefix("http://")).unwrap();
    let number = page.strip_prefix(&format!("{admin}/sample/")).unwrap();
    let sample = http1::get(admin, &format!("/api/v1/comparison/samples/{number}")).unwrap();
    assert_eq!(sample.status, 200, "{}", sample.text());
    let json = run(admin, &["verdict", "--json", "--target", "shadow"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["targets"][0]["reasons"][0]["kind"], "errors");
}

#[test]
fn what_is_not_compared_or_not_there_has_no_verdict() {
    let admin = ports::free_addr();
    let toml = format!("[admin]\nlisten = \"{admin}\"\n");
    let _mirror = Mirror::configured(&toml);
    for args in [&["verdict", "--wait", "10m"][..], &["verdict", "--target", "x"]] {
        let output = run(admin, args);
        assert_eq!(output.status.code(), Some(3));
        assert!(text(&output.stderr).contains("compare = true"), "{}", text(&output.stderr));
    }
    let output = run(admin, &["begin", "rc2"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("compare = true"), "{}", text(&output.stderr));

    let (_scene, admin) = start(Version::V3_4, Form::TwoMessages);
    for (args, code, part) in [
        (&["verdict", "--target", "other"][..], 3, "candidates: shadow"),
        (&["begin", "rc2", "--target", "other"], 1, "candidate"),
        (&["begin", " "], 1, "1 to 100 characters"),
    ] {
        let output = run(admin, args);
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
}
