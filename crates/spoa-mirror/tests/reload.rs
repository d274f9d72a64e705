//! The configuration file changes while the agent runs: HAProxy's connections and copies under way
//! survive, and a wrong file changes nothing.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use testbed::agent::Signal;
use testbed::backend::Recorder;
use testbed::client::load::Load;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::wait;

use running::gate;
use running::mirror::Mirror;
use running::stage::{Stage, production};

/// A `[[target]]`.
fn target(name: &str, recorder: &Recorder, more: &str) -> String {
    format!("[[target]]\nname = \"{name}\"\nurl = \"{}\"\n{more}\n", recorder.url())
}

/// HAProxy 3.4 between clients, production and an agent with this configuration.
fn stage(toml: &str, shadow: Recorder) -> Stage {
    let production = production();
    let mirror = Mirror::configured(toml);
    let haproxy: Haproxy =
        Guide::new(production.address()).agent(mirror.address).start(Version::V3_4);
    Stage { production, shadow, mirror, haproxy }
}

impl Stage {
    /// Changes the file and has it reloaded; gives the line that says what came of it.
    fn reload(&mut self, toml: &str) -> String {
        self.mirror.reconfigure(toml);
        let already = self.mirror.told(RELOADED).len();
        self.mirror.process.signal(Signal::SIGHUP);
        wait::until(wait::LIMIT, "a word about the reload", || {
            self.mirror.told(RELOADED).get(already).cloned()
        })
    }
}

/// What every reload ends with, for better or worse.
const RELOADED: &str = "configuration ";

#[test]
fn a_reload_under_traffic_costs_no_request_and_no_connection() {
    let (stays, goes, comes) = (Recorder::start(), Recorder::start(), Recorder::start());
    let before = target("stays", &stays, "") + &target("goes", &goes, "");
    let after = target("comes", &comes, "") + &target("stays", &stays, "");
    let mut stage = stage(&before, stays);
    let load = Load::builder(stage.address()).start();
    wait::holds(wait::LIMIT, "copies to what goes", || goes.counts().complete > 50);

    let told = stage.reload(&after);
    for what in ["reloaded by SIGHUP", "added: comes", "removed: goes", "unchanged: stays"] {
        assert!(told.contains(what), "{told}");
    }
    wait::holds(wait::LIMIT, "copies to what comes", || comes.counts().complete > 50);
    let connections = stage.shadow.counts().connections;
    let gone = goes.counts().complete;
    wait::holds(wait::LIMIT, "more copies", || comes.counts().complete > 200);
    assert_eq!(goes.counts().complete, gone, "copies to a removed target");

    load.stop().assert_all_ok();
    let last = stage.mirror.wait_report(|report| {
        report.targets.len() == 3 && report.targets.iter().all(|t| t.waiting + t.in_flight == 0)
    });
    assert_eq!(last.spop.protocol_errors, 0);
    let by_name = |name: &str| last.targets.iter().find(|t| t.name == name).unwrap();
    assert_eq!(by_name("stays").received, last.spop.requests);
    assert_eq!(by_name("goes").received + by_name("comes").received, last.spop.requests);
    for (name, recorder) in [("stays", &stage.shadow), ("goes", &goes), ("comes", &comes)] {
        assert_eq!(by_name(name).answers(), recorder.counts().complete, "{name}");
    }
    assert!(connections > 0);
}

#[test]
fn what_a_removed_target_has_begun_comes_to_its_end() {
    let (shadow, gate) = gate::recorder();
    let before = target("slow", &shadow, "");
    let mut stage = stage(&before, shadow);
    stage.get("/begun");
    wait::holds(wait::LIMIT, "a copy under way", || stage.shadow.counts().requests == 1);
    let told = stage.reload("");
    assert!(told.contains("removed: slow"), "{told}");
    stage.get("/not-copied");
    gate.open();
    let report = stage.mirror.wait_report(|report| report.target().answers() == 1);
    assert_eq!(report.target().received, 1, "{report:?}");
    // Its connection is not needed any more.
    wait::holds(wait::LIMIT, "the connection closed", || stage.shadow.counts().open == 0);
}

#[test]
fn counters_go_on_when_a_target_changes() {
    let (old, new) = (Recorder::start(), Recorder::start());
    let mut stage = stage(&target("shadow", &old, ""), old);
    stage.get("/1");
    stage.copies(1);
    let told = stage.reload(&target("shadow", &new, ""));
    assert!(told.contains("changed: shadow"), "{told}");
    stage.get("/2");
    new.wait_for(1, wait::LIMIT);
    let report = stage.mirror.wait_report(|report| report.target().answers() == 2);
    assert_eq!(report.target().received, 2);
    assert_eq!(stage.shadow.counts().complete, 1);
}

#[test]
fn a_wrong_file_changes_nothing_and_says_why() {
    let shadow = Recorder::start();
    let good = target("shadow", &shadow, "");
    let mut stage = stage(&good, shadow);
    stage.get("/before");
    for (bad, why) in [
        (good.clone() + "smaple = 10\n", "sample"),
        (good.clone() + "url = [\n", "spoa-mirror.toml"),
        (good.clone() + "tls = { ca = \"/nowhere.pem\" }\n", "an http URL has no TLS"),
    ] {
        let told = stage.reload(&bad);
        assert!(told.contains("stays as it was"), "{told}");
        wait::holds(wait::LIMIT, why, || !stage.mirror.told(why).is_empty());
    }
    stage.get("/after");
    let copies = stage.copies(2);
    assert_eq!(copies.last().unwrap().target(), b"/after");
    // The file is mended, and taken.
    assert!(stage.reload(&good).contains("unchanged: shadow"));
}

#[test]
fn keys_that_need_a_restart_are_named() {
    let shadow = Recorder::start();
    let good = target("shadow", &shadow, "");
    let mut stage = stage(&good, shadow);
    let told = stage.reload(&format!("[agent]\nbacklog = 7\ngrace = \"1s\"\n{good}"));
    assert!(told.contains("needs a restart: agent.backlog, agent.grace"), "{told}");
}

#[test]
fn without_a_file_a_hangup_changes_nothing() {
    let shadow = Recorder::start();
    let mut mirror = Mirror::start(&["-u", &shadow.url()]);
    mirror.process.signal(Signal::SIGHUP);
    mirror.wait_told("no configuration file");
    assert!(mirror.finish().targets.len() == 1);
}

#[test]
fn where_the_history_is_changes_at_a_restart() {
    let recorder = Recorder::start();
    let toml = target("staging", &recorder, "");
    let mut stage = stage(&toml, recorder);
    let told = stage.reload(&format!("{toml}[comparison]\nhistory.keep = \"7d\"\n"));
    assert!(told.contains("reloaded") && !told.contains("restart"), "{told}");
    let told = stage.reload(&format!("{toml}[comparison]\nhistory.file = \"history.db\"\n"));
    assert!(told.contains("needs a restart: comparison.history.file"), "{told}");
    // Rules that were made and cannot be used stop a reload as any mistake does.
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nplace = \"status\"\n").unwrap();
    let told = stage.reload(&format!("{toml}[comparison]\nrules-file = \"{}\"\n", rules.display()));
    assert!(told.contains("stays as it was"), "{told}");
    stage.mirror.wait_told("rules.toml:1:1: error: rule: one of `ignore`");
}
