//! While the agent runs: what it shows, what a reload changes, and what it says when nothing is compared.

use std::process::Command;

use serde_json::Value;
use testbed::agent::Signal;
use testbed::backend::Response;
use testbed::client::http1;
use testbed::haproxy::Version;
use testbed::{ports, wait};

use crate::running::gate::Gate;
use crate::running::mirror::PROGRAM;
use crate::scene::{Form, Scene, Setup, answering, assert_all, count};

const VERSION: Version = Version::V3_4;

#[test]
fn status_metrics_and_log_say_the_same() {
    let admin = ports::free_addr();
    let toml = format!("compare = true\n\n[admin]\nlisten = [\"{admin}\"]\n");
    let mut scene = Setup::new(VERSION, Form::TwoMessages).toml(&toml).start();
    scene.both(answering(|_| Response::ok("ok")));
    for _ in 0..3 {
        scene.get("/");
    }
    scene.shadow.wait_for(3, wait::LIMIT);
    scene.shadow.set(answering(|_| Response::new(500)));
    scene.get("/");
    scene.wait_over(4);

    let status: Value =
        serde_json::from_str(&http1::get(admin, "/api/v1/status").unwrap().text()).unwrap();
    assert_eq!((&status["spop"]["requests"], &status["spop"]["answers"]), (&4.into(), &4.into()));
    let comparison = &status["comparison"];
    assert_eq!((&comparison["copies"], &comparison["answers"]), (&4.into(), &4.into()));
    assert_eq!(comparison["pairs"]["shadow"], serde_json::json!({"same": 3, "different": 1}));
    assert_eq!((&comparison["waiting"], &comparison["held_bytes"]), (&0.into(), &0.into()));
    assert_eq!(comparison["memory_bytes"], 64 << 20);

    let metrics = http1::get(admin, "/metrics").unwrap().text();
    for line in [
        "comparison_copies_total 4",
        "comparison_pairs_total{target=\"shadow\",result=\"same\"} 3",
        "comparison_pairs_total{target=\"shadow\",result=\"different\"} 1",
        "comparison_unpaired_total{half=\"shadow\",reason=\"without-production\"} 0",
        "comparison_waiting{half=\"shadow\"} 0",
        "spop_messages_total{result=\"answer\"} 4",
    ] {
        let found = metrics.lines().any(|found| found == format!("spoa_mirror_{line}"));
        assert!(found, "{line}: {metrics}");
    }

    let address = admin.to_string();
    let shown = Command::new(PROGRAM).args(["status", "--admin", &address]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let rows: Vec<Vec<&str>> =
        shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["shadow", "3", "1", "0", "0"]), "{shown}");
    let compared = scene.finish();
    assert_eq!((count(&compared, "same"), count(&compared, "different")), (3, 1));
}

/// Changes the first agent's configuration.
fn reload(scene: &mut Scene, toml: &str) {
    let url = scene.shadow.url();
    let toml = format!("[[target]]\nname = \"shadow\"\nurl = \"{url}\"\n{toml}");
    let mirror = &mut scene.mirrors[0];
    mirror.reconfigure(&toml);
    let already = mirror.told("configuration reloaded").len();
    mirror.process.signal(Signal::SIGHUP);
    wait::holds(wait::LIMIT, "the reload", || {
        mirror.told("configuration reloaded").len() > already
    });
}

#[test]
fn a_reload_changes_what_is_compared_and_loses_nothing() {
    for form in Form::ALL {
        let mut scene = Setup::new(VERSION, form).toml("").start();
        scene.both(answering(|_| Response::ok("ok")));
        scene.get("/");
        reload(&mut scene, "compare = true\n");
        scene.get("/");
        scene.get("/");
        assert_all(&scene.wait_over(2), "same", 2);
        reload(&mut scene, "compare = true\n[comparison]\nsample = 0\n");
        scene.get("/");
        // A pair whose halves come before and after it.
        reload(&mut scene, "compare = true\n[comparison]\nwait = \"20s\"\n");
        let gate = Gate::default();
        scene.shadow.set(gate.before(Response::ok("ok")));
        scene.get("/");
        scene.mirrors[0].wait_report(|tally| tally.target().in_flight == 1);
        reload(&mut scene, "compare = false\n");
        scene.get("/");
        gate.open();
        assert_all(&scene.wait_over(3), "same", 3);
        reload(&mut scene, "compare = \"baseline\"\n[comparison]\nmax-body = \"0B\"\n");
        scene.get("/");
        let compared = scene.wait_over(4);
        assert_eq!(count(&compared, "incomparable"), 1, "{compared:?}");
        scene.finish();
        assert_eq!(scene.shadow.counts().complete, 7);
    }
}

/// Sends requests until the agent says this, once.
fn hint(setup: Setup, says: &str) {
    let toml = "compare = true\n\n[comparison]\nwait = \"100ms\"\n";
    let mut scene = setup.toml(toml).start();
    scene.both(answering(|_| Response::ok("ok")));
    for _ in 0..110 {
        scene.get("/");
    }
    scene.mirrors[0].wait_told(says);
    scene.finish();
    assert_eq!(scene.mirrors[0].told("docs/COMPARISON.md (said once)").len(), 1, "{says}");
}

#[test]
fn it_is_told_what_haproxys_configuration_lacks() {
    let setup = || Setup::new(VERSION, Form::TwoMessages);
    let no_answers = setup().change("http-response send-spoe-group", "#");
    hint(no_answers, "production's answers do not come");
    let no_id = setup().change("id=var(txn.m_id) method", "method");
    hint(no_id, "without production's answer and without an id");
    let other_ids = setup().change("id=var(txn.m_id) status", "id=be_name status");
    hint(other_ids, "ids that no request here had");
    let no_bodies = setup().change("res_body=res.body,bytes(0,60000) ", "");
    hint(no_bodies, "no bodies are compared; production: only a part of the body is there");
}

#[test]
fn answers_are_taken_and_nothing_comes_of_them_where_nothing_is_compared() {
    let mut scene = Setup::new(VERSION, Form::TwoMessages).toml("").start();
    scene.both(answering(|_| Response::ok("ok")));
    scene.get("/");
    scene.shadow.wait_for(1, wait::LIMIT);
    let tally = scene.mirrors[0].finish();
    assert_eq!((tally.spop.requests, tally.spop.answers, tally.spop.incomplete), (1, 1, 0));
    assert!(tally.comparison.is_empty());
}
