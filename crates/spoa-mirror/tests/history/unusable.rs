//! Files that cannot be used.

use std::fs;
use std::process::{Command, Output};

use testbed::ports;

use crate::running::mirror::PROGRAM;
use crate::scene::{Scene, sum};

/// Runs the program with the scene's configuration until it ends.
fn run(scene: &Scene, arguments: &[&str]) -> Output {
    let admin = ports::free_addr();
    let agent = format!("[agent]\nlisten = [\"{}\"]\n\n", ports::free_addr());
    let configuration = scene.directory.path().join("mirror.toml");
    fs::write(&configuration, agent + &scene.toml(admin)).unwrap();
    Command::new(PROGRAM).args(arguments).arg("--config").arg(configuration).output().unwrap()
}

/// The agent does not start, and `check` says the same.
fn assert_refused(scene: &Scene, what: &str) {
    let started = run(scene, &[]);
    let said = String::from_utf8(started.stderr).unwrap();
    assert_eq!(started.status.code(), Some(1), "{said}");
    assert!(said.contains(what) && said.contains("comparison.history.file"), "{said}");
    let checked = run(scene, &["check"]);
    let found = String::from_utf8(checked.stderr).unwrap();
    assert_eq!((checked.status.code(), found), (Some(1), said));
    let checked = run(scene, &["check", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((checked.status.code(), &found["ok"]), (Some(1), &false.into()));
    let finding = &found["findings"][0];
    assert_eq!(
        (&finding["severity"], &finding["key"]),
        (&"error".into(), &"comparison.history.file".into())
    );
    assert!(finding["message"].as_str().unwrap().contains(what), "{finding}");
}

#[test]
fn a_file_that_cannot_be_used_is_told_at_the_start_and_by_check() {
    let scene = Scene::new();
    fs::write(scene.file(), "no database, but somebody's only copy of something\n").unwrap();
    assert_refused(&scene, "it is not a database");
    fs::remove_file(scene.file()).unwrap();
    scene.start().mirror.finish();
    let database = rusqlite::Connection::open(scene.file()).unwrap();
    database.pragma_update(None, "user_version", 1000).unwrap();
    drop(database);
    assert_refused(&scene, "a newer version of spoa-mirror wrote it");
}

#[test]
fn two_agents_cannot_have_one_file_and_the_first_is_not_disturbed() {
    let scene = Scene::new();
    let mut first = scene.start();
    first.mirror(&scene, 2);
    let second = run(&scene, &[]);
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another process uses it"), "{said}");
    // Before a reload, `check` is asked while the agent runs.
    let checked = run(&scene, &["check"]);
    assert!(checked.status.success(), "{checked:?}");
    first.mirror(&scene, 1);
    first.mirror.finish();
    assert_eq!(sum(&scene.start().history()["received"]), 3);
}

#[test]
fn a_damaged_file_is_set_aside_and_the_agent_starts() {
    let scene = Scene::new();
    scene.start().mirror.finish();
    let mut bytes = fs::read(scene.file()).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(scene.file(), bytes).unwrap();
    let mut running = scene.start();
    let told = running.mirror.wait_told("is damaged");
    assert!(told.contains("history.db.damaged-1 now, and a new one has begun"), "{told}");
    running.mirror(&scene, 1);
    running.mirror.finish();
    assert_eq!(sum(&scene.start().history()["received"]), 1);
    assert!(scene.directory.path().join("history.db.damaged-1").exists());
}
