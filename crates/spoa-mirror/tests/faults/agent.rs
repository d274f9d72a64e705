//! Faults of the program itself: killed, stopped, out of descriptors, its log in trouble.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use testbed::agent::{Agent, Signal};
use testbed::backend::Recorder;
use testbed::haproxy::Version;
use testbed::wait;

use crate::on_haproxy;
use crate::scene::{LOAD_LIMIT, PROGRAM, Scene, Setup, assert_never_twice};

on_haproxy! {
    killed_and_restarted: V2_6, V3_0, V3_2, V3_4;
    stopped_for_a_while: V2_6, V3_4;
    out_of_descriptors: V2_6, V3_4;
    nearly_out_of_descriptors: V2_6, V3_4;
    log_disk_full: V2_6, V3_4;
    output_closed: V2_6, V3_4;
    output_broken: V2_6, V3_4;
    log_not_read: V2_6, V3_4;
}

/// More than any client may have to wait: HAProxy's `timeout processing` is half a second, and a
/// connection that is refused costs it up to three times that.
const PATIENCE: Duration = Duration::from_secs(5);

fn killed_and_restarted(version: Version) {
    let target = Recorder::start();
    let mut scene = Setup::new(version).start(&target.url());
    let load = scene.clients().start();
    let reached = |count| {
        wait::holds(LOAD_LIMIT, "the load to go on", || load.done() >= count);
        load.done()
    };
    let done = reached(150);
    scene.agent.kill();
    let done = reached(done + 12);
    scene.restart_agent();
    reached(done + 150);
    let report = load.stop();
    scene.count_sent(report.total());
    report.assert_all_ok();
    assert_eq!(report.slower_than(PATIENCE), 0, "{:?}", report.quantile(1.0));
    scene.recovers(&target);
    let account = scene.close_with(|sent, received| received < sent);
    account.assert_only(&["2xx"], &[], &[]);
    assert_never_twice(&target);
}

fn stopped_for_a_while(version: Version) {
    let target = Recorder::start();
    let mut scene = Setup::new(version).start(&target.url());
    let load = scene.clients().start();
    let reached = |count| {
        wait::holds(LOAD_LIMIT, "the load to go on", || load.done() >= count);
        load.done()
    };
    let done = reached(150);
    scene.agent.signal(Signal::SIGSTOP);
    let done = reached(done + 12);
    scene.agent.signal(Signal::SIGCONT);
    reached(done + 150);
    let report = load.stop();
    scene.count_sent(report.total());
    report.assert_all_ok();
    assert_eq!(report.slower_than(PATIENCE), 0, "{:?}", report.quantile(1.0));
    scene.recovers(&target);
    // HAProxy may have given up a request before it could hand it over.
    let account = scene.close_with(|sent, received| received <= sent && received >= 300);
    account.assert_only(&["2xx"], &[], &[]);
    assert_eq!(target.counts().complete, account.received);
    assert_never_twice(&target);
}

fn out_of_descriptors(version: Version) {
    short_of_descriptors(version, 40);
}

fn nearly_out_of_descriptors(version: Version) {
    short_of_descriptors(version, 64);
}

/// Two hundred clients at once, and a program that may open `limit` files. HAProxy wants more
/// connections than it gets: what it cannot hand over is not copied, and costs its client little.
fn short_of_descriptors(version: Version, limit: u64) {
    let target = Recorder::start();
    let builder = Agent::builder(PROGRAM).with_nofile_limit(limit);
    let mut scene = Setup::new(version).builder(builder).start(&target.url());
    let clients = scene.clients().threads(200);
    let report = scene.run(clients, 2000, |_| {
        let files = scene.agent.open_files() as u64;
        assert!(files <= limit, "{files} open files");
    });
    report.assert_all_ok();
    assert_eq!(report.slower_than(PATIENCE), 0, "{:?}", report.quantile(1.0));
    scene.recovers(&target);
    let account = scene.close_with(|sent, received| received <= sent && received > 20);
    account.assert_only(&["2xx"], &["no-descriptor"], &["queue-full"]);
    assert_never_twice(&target);
}

/// A copy of everything, though not a line of it can be logged.
fn every_copy_arrives(scene: &mut Scene, target: &Recorder) {
    scene.load(2000);
    scene.recovers(target);
    target.wait_count(scene.sent(), wait::LIMIT);
    assert!(scene.agent.peak_rss() <= scene.limits.memory(), "{}", scene.agent.peak_rss());
    assert!(scene.agent.stop(wait::LIMIT).success());
    assert_never_twice(target);
}

fn log_disk_full(version: Version) {
    let target = Recorder::start();
    let mut scene = Setup::new(version).args("-l a:/dev/full").start(&target.url());
    every_copy_arrives(&mut scene, &target);
    let complaints = scene.agent.stderr().matching(|line| line.contains("/dev/full"));
    assert_eq!(complaints.len(), 1, "said, and said once: {:#?}", scene.agent.output().all());
}

fn output_closed(version: Version) {
    let target = Recorder::start();
    let shell = Agent::builder("/bin/sh").args(["-c", r#"exec "$0" "$@" >&-"#, PROGRAM]);
    let mut scene = Setup::new(version).builder(shell).start(&target.url());
    every_copy_arrives(&mut scene, &target);
}

/// The program that read the output is gone.
fn output_broken(version: Version) {
    let pipe = Pipe::new();
    let target = Recorder::start();
    let shell = Agent::builder("/bin/sh").env("OUTPUT", &pipe.path).args([
        "-c",
        r#"exec "$0" "$@" >"$OUTPUT""#,
        PROGRAM,
    ]);
    let mut scene = Setup::new(version).builder(shell).start(&target.url());
    drop(pipe);
    every_copy_arrives(&mut scene, &target);
}

/// The log is a pipe that nobody reads: once it is full, writing to it stands still, and more lines come
/// than the program keeps.
fn log_not_read(version: Version) {
    let pipe = Pipe::new();
    let target = Recorder::start();
    let args = format!("--log-format json -l A:{}", pipe.path.display());
    let mut scene = Setup::new(version).args(&args).start(&target.url());
    every_copy_arrives(&mut scene, &target);
}

/// A named pipe and its reading end, from which nothing is read.
struct Pipe {
    path: PathBuf,
    _reader: File,
    _directory: TempDir,
}

impl Pipe {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Without it, opening would wait for a writer.
        let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let reader = OpenOptions::new().read(true).custom_flags(flags).open(&path).unwrap();
        Self { path, _reader: reader, _directory: directory }
    }
}
