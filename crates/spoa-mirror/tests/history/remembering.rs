//! What was written is there when the agent starts again.

use testbed::agent::{Agent, Signal};
use testbed::backend::{Behaviour, Response};
use testbed::wait;

use crate::running::mirror::PROGRAM;
use crate::scene::{Scene, sum};

#[test]
fn figures_add_up_to_what_was_received_over_restarts() {
    let scene = Scene::new();
    let mut received = 0;
    for (count, status) in [(5, 200), (3, 500)] {
        scene.shadow.set(Behaviour::respond(Response::new(status)));
        let mut running = scene.start();
        running.mirror(&scene, count);
        // The last row is written at the end, whatever the time.
        let last = running.mirror.finish();
        assert_eq!(last.spop.requests, count);
        received += last.spop.requests;
    }
    let running = scene.start();
    let history = running.history();
    let target = &history["targets"]["shadow"];
    assert_eq!((sum(&history["received"]), sum(&target["received"])), (received, received));
    assert_eq!((sum(&history["answered"]), sum(&target["answered"])), (received, received));
    assert_eq!(sum(&history["statuses"]["2xx"]), 5);
    assert_eq!(sum(&target["statuses"]["5xx"]), 3);
    assert_eq!(sum(&history["failed"]), 0);
    let delays = history["ack_p50_us"].as_array().unwrap();
    assert!(delays.iter().any(serde_json::Value::is_number), "{history}");
    assert_eq!((running.metric("errors_total"), running.metric("lost_total")), (0, 0));
    assert!((1 << 12..1 << 20).contains(&running.metric("bytes")));
    assert_eq!(running.metric("limit_bytes"), 256 << 20);
}

#[test]
fn what_was_written_outlives_a_kill() {
    let scene = Scene::new();
    let mut running = scene.start();
    running.mirror(&scene, 4);
    wait::holds(wait::LIMIT, "a row", || sum(&running.history()["received"]) == 4);
    running.mirror.process.signal(Signal::SIGKILL);
    running.mirror.process.wait_exit(wait::LIMIT);
    let mut running = scene.start();
    assert_eq!(sum(&running.history()["received"]), 4);
    running.mirror(&scene, 2);
    running.mirror.finish();
    let running = scene.start();
    assert_eq!(sum(&running.history()["received"]), 6);
    assert_eq!(running.metric("errors_total"), 0);
    let files = std::fs::read_dir(scene.directory.path()).unwrap();
    let damaged = files
        .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains("damaged"));
    assert_eq!(damaged.count(), 0);
}

/// A database whose write-ahead log is longer than `bytes`, as a crash leaves it.
fn with_a_long_log(scene: &Scene, bytes: usize) {
    scene.start().mirror.finish();
    let (file, copy) = (scene.file(), scene.directory.path().join("copy.db"));
    let database = rusqlite::Connection::open(&file).unwrap();
    let sql = "INSERT INTO state (name, bytes) VALUES ('long', ?)";
    database.execute(sql, [vec![1_u8; bytes]]).unwrap();
    let log = |path: &std::path::Path| format!("{}-wal", path.display());
    std::fs::copy(&file, &copy).unwrap();
    std::fs::copy(log(&file), log(&copy)).unwrap();
    drop(database);
    std::fs::rename(log(&copy), log(&file)).unwrap();
    std::fs::rename(copy, file).unwrap();
}

#[test]
fn an_agent_that_cannot_write_goes_on_mirroring_and_says_so_once() {
    let scene = Scene::new();
    with_a_long_log(&scene, 100_000);
    // No file of the process may be written beyond 32 KiB, where the log ends already. The signal that goes
    // with it is ignored, as it would not come with a full disk.
    let limited = "trap '' XFSZ && ulimit -f 64 && exec \"$0\" \"$@\"";
    let shell = Agent::builder("/bin/sh").args(["-c", limited, PROGRAM]);
    let mut running = scene.start_by(shell);
    running.mirror(&scene, 3);
    wait::holds(wait::LIMIT, "a write that fails", || running.metric("errors_total") > 0);
    assert!(running.metric("lost_total") > 0);
    // What was there can still be read.
    assert_eq!(running.ask("/api/v1/history").status, 200);
    running.mirror(&scene, 3);
    let last = running.mirror.finish();
    assert_eq!((last.spop.requests, last.target().received), (6, 6));
    assert_eq!(scene.shadow.counts().complete, 6);
    let told = running.mirror.told("history: cannot write figures");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("the agent goes on without"), "{told:?}");

    // With room again nothing is in the way.
    let mut running = scene.start();
    running.mirror(&scene, 2);
    running.mirror.finish();
    let running = scene.start();
    assert_eq!(sum(&running.history()["received"]), 2);
}
