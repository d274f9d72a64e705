//! The agent as a process: pidfile, life in the background, signals that do not end it, log files that are
//! moved away, socket files.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use testbed::agent::{Agent, Signal};
use testbed::backend::Recorder;
use testbed::{ports, wait};

use running::mirror::{Mirror, PROGRAM};
use running::spop::Peer;

/// A file's text; empty when it is not there.
fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A process that the test did not start itself; killed on drop.
struct Daemon {
    pid: i32,
}

impl Daemon {
    /// The process whose id is in this file.
    fn of(pidfile: &Path) -> Self {
        Self { pid: text(pidfile).trim().parse().unwrap() }
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    fn signal(&self, signal: Signal) {
        let status = std::process::Command::new("kill")
            .args(["-s", signal.as_str().trim_start_matches("SIG"), &self.pid.to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    fn is_running(&self) -> bool {
        // A process that has ended and that nobody waited for has no executable any more.
        fs::read_link(self.proc("exe")).is_ok()
    }

    /// Whether it is the one that listens on this port of 127.0.0.1.
    fn listens_on(&self, address: SocketAddr) -> bool {
        let local = format!("0100007F:{:04X}", address.port());
        let table = text(Path::new("/proc/net/tcp"));
        let sockets = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        // 0A is LISTEN.
        let inodes = sockets.filter(|row| row.len() > 9 && row[1] == local && row[3] == "0A");
        let wanted: Vec<_> = inodes.map(|row| format!("socket:[{}]", row[9])).collect();
        let files = fs::read_dir(self.proc("fd")).unwrap();
        let links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        links.into_iter().any(|link| wanted.iter().any(|socket| link == Path::new(socket)))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal(Signal::SIGKILL);
        }
    }
}

/// Runs the program in this directory until it ends, which a daemon's command does at once.
fn run(directory: &Path, args: &[&str]) -> Agent {
    let mut command = Agent::builder(PROGRAM).directory(directory).args(args).start();
    command.wait_exit(wait::LIMIT);
    command
}

#[test]
fn the_pidfile_is_there_while_the_agent_runs() {
    let directory = tempfile::tempdir().unwrap();
    let pidfile = directory.path().join("agent.pid");
    let mut mirror = Mirror::start(&["-F", pidfile.to_str().unwrap()]);
    assert_eq!(text(&pidfile), format!("{}\n", mirror.process.pid()));
    mirror.finish();
    assert!(!pidfile.exists());
}

#[test]
fn a_pidfile_that_another_agent_has_taken_over_stays() {
    let directory = tempfile::tempdir().unwrap();
    let pidfile = directory.path().join("agent.pid");
    let args = ["-F", pidfile.to_str().unwrap()];
    let mut first = Mirror::start(&args);
    let second = Mirror::start(&args);
    first.finish();
    assert_eq!(text(&pidfile), format!("{}\n", second.process.pid()));
}

#[test]
fn a_pidfile_that_cannot_be_written_stops_the_start() {
    let address = ports::free_addr().to_string();
    let (host, port) = address.split_once(':').unwrap();
    let mut agent = Agent::start(PROGRAM, ["-a", host, "-p", port, "-F", "/proc/none/pid"]);
    assert_eq!(agent.wait_exit(wait::LIMIT).code(), Some(1));
    let said = agent.wait_line(wait::LIMIT, |line| line.starts_with("error: "));
    assert!(said.contains("/proc/none/pid"), "{said}");
}

#[test]
fn a_daemon_is_ready_when_its_command_returns() {
    let directory = tempfile::tempdir().unwrap();
    let (pidfile, log) = (directory.path().join("agent.pid"), directory.path().join("mirror.log"));
    let shadow = Recorder::start();
    let (address, url) = (ports::free_addr(), shadow.url());
    let port = address.port().to_string();
    // Files relative to the directory that the command is run in, which the daemon leaves.
    let args =
        ["-a", "127.0.0.1", "-p", &port, "-u", &url, "-D", "-F", "agent.pid", "-l", "W:mirror.log"];
    let mut command = run(directory.path(), &args);
    // No waiting here: a connection right now must work.
    let mut peer = Peer::greeted(address);
    assert_eq!(command.wait_exit(wait::LIMIT).code(), Some(0));
    assert_eq!(command.output().all(), [""; 0]);

    let daemon = Daemon::of(&pidfile);
    assert_ne!(u32::try_from(daemon.pid).unwrap(), command.pid());
    assert!(daemon.listens_on(address));
    assert_eq!(fs::read_link(daemon.proc("cwd")).unwrap(), Path::new("/"));
    for stream in ["fd/0", "fd/1", "fd/2"] {
        assert_eq!(fs::read_link(daemon.proc(stream)).unwrap(), Path::new("/dev/null"), "{stream}");
    }
    let stat = text(&daemon.proc("stat"));
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!(fields[3], daemon.pid.to_string(), "it leads a session of its own: {stat}");

    peer.mirror(1, "/from-a-daemon");
    shadow.wait_for(1, wait::LIMIT);
    wait::holds(wait::LIMIT, "the copy is logged", || text(&log).contains("/from-a-daemon"));

    daemon.signal(Signal::SIGTERM);
    wait::holds(wait::LIMIT, "the daemon ends", || !daemon.is_running());
    assert!(!pidfile.exists());
    assert!(text(&log).contains("received 1 = answered 1 (2xx 1)"), "{}", text(&log));
}

#[test]
fn a_daemon_survives_the_end_of_its_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let address = ports::free_addr();
    let port = address.port().to_string();
    run(directory.path(), &["-a", "127.0.0.1", "-p", &port, "--daemonize", "--pidfile", "pid"]);
    let daemon = Daemon::of(&directory.path().join("pid"));
    daemon.signal(Signal::SIGHUP);
    Peer::greeted(address).mirror(1, "/after");
    assert!(daemon.is_running());
}

#[test]
fn what_goes_wrong_at_a_daemons_start_is_seen_on_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let other = Mirror::start(&[]);
    let taken = other.address.port().to_string();
    let free = ports::free().to_string();
    for (args, expected) in [
        (["-p", &taken, "-l", "log"], "Address already in use"),
        (["-p", &free, "-l", "/proc/none/log"], "/proc/none/log"),
    ] {
        let all = [&["-a", "127.0.0.1", "-D", "-F", "pid"], args.as_slice()].concat();
        let mut command = run(directory.path(), &all);
        assert_eq!(command.wait_exit(wait::LIMIT).code(), Some(1), "{args:?}");
        let said = command.stderr().wait(wait::LIMIT, |line| line.starts_with("error: "));
        assert!(said.as_ref().is_some_and(|said| said.contains(expected)), "{said:?}");
        assert!(!directory.path().join("pid").exists());
    }
    // The agent that was there first is not disturbed.
    Peer::greeted(other.address).mirror(1, "/");
}

#[test]
fn a_wrong_flag_is_a_usage_error_for_a_daemon_too() {
    let mut command = run(Path::new("/"), &["-D", "-n", "0"]);
    assert_eq!(command.wait_exit(wait::LIMIT).code(), Some(64));
}

#[test]
fn a_port_in_use_is_told_with_what_to_do() {
    let other = Mirror::start(&[]);
    let port = other.address.port().to_string();
    let mut agent = Agent::start(PROGRAM, ["-a", "127.0.0.1", "-p", &port]);
    assert_eq!(agent.wait_exit(wait::LIMIT).code(), Some(1));
    let said = agent.wait_line(wait::LIMIT, |line| line.starts_with("error: "));
    for part in [other.address.to_string().as_str(), "in use", "another agent"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn sigusr1_opens_the_log_file_anew() {
    for mode in ["a", "w", "A", "W"] {
        let directory = tempfile::tempdir().unwrap();
        let (log, old) = (directory.path().join("log"), directory.path().join("log.1"));
        let shadow = Recorder::start();
        let (address, url) = (ports::free_addr(), shadow.url());
        let port = address.port().to_string();
        let file = format!("{mode}:{}", log.display());
        let args = ["-a", "127.0.0.1", "-p", &port, "-u", &url, "-l", &file];
        let mut agent = Agent::start(PROGRAM, args);
        wait::holds(wait::LIMIT, "it listens", || text(&log).contains("listening on"));
        let mut peer = Peer::greeted(address);
        peer.mirror(1, "/before");
        wait::holds(wait::LIMIT, "a line", || text(&log).contains("/before"));

        fs::rename(&log, &old).unwrap();
        agent.signal(Signal::SIGUSR1);
        wait::holds(wait::LIMIT, "the file is opened anew", || log.exists());
        peer.mirror(2, "/after");
        wait::holds(wait::LIMIT, "a line in the new file", || text(&log).contains("/after"));
        assert!(!text(&old).contains("/after"), "{mode}");
        assert!(!text(&log).contains("/before"), "{mode}");

        // Nobody moved the file this time: nothing in it is lost.
        agent.signal(Signal::SIGUSR1);
        let reopened = || text(&log).matches("log file reopened").count() == 2;
        wait::holds(wait::LIMIT, "it is opened once more", reopened);
        assert!(text(&log).contains("/after"), "{mode}");
        assert_eq!(agent.stop(wait::LIMIT).code(), Some(0));
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_anew_keeps_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let (logs, moved) = (directory.path().join("logs"), directory.path().join("moved"));
    fs::create_dir(&logs).unwrap();
    let address = ports::free_addr();
    let port = address.port().to_string();
    let file = logs.join("log").display().to_string();
    let mut agent = Agent::start(PROGRAM, ["-a", "127.0.0.1", "-p", &port, "-l", &file]);
    let now = moved.join("log");
    wait::holds(wait::LIMIT, "it listens", || text(Path::new(&file)).contains("listening on"));
    fs::rename(&logs, &moved).unwrap();
    agent.signal(Signal::SIGUSR1);
    wait::holds(wait::LIMIT, "it says so", || text(&now).contains("cannot reopen"));
    Peer::greeted(address).mirror(1, "/");
    assert_eq!(agent.stop(wait::LIMIT).code(), Some(0));
    assert!(text(&now).contains("counters spop"), "{}", text(&now));
}

#[test]
fn sighup_is_ignored() {
    let mut mirror = Mirror::start(&["-i", "1s"]);
    let mut peer = Peer::greeted(mirror.address);
    for number in 0..3 {
        mirror.process.signal(Signal::SIGHUP);
        peer.mirror(number, "/");
    }
    assert!(mirror.process.is_running());
    assert_eq!(mirror.finish().spop.requests, 3);
}

#[test]
fn a_socket_file_is_there_while_the_agent_runs() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    // Left over by a listener that was killed.
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let listen = format!("unix:{}", socket.display());
    let mut mirror = Mirror::start(&["-a", &listen]);
    mirror.wait_told(&format!("listening on {listen}"));
    Peer::greeted_unix(&socket).mirror(1, "/");
    mirror.finish();
    assert!(!socket.exists());
}

#[test]
fn a_socket_that_another_agent_uses_is_left_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listen = format!("unix:{}", socket.display());
    let first = Mirror::start(&["-a", &listen]);
    first.wait_told(&format!("listening on {listen}"));
    let mut second = Agent::start(PROGRAM, ["-a", &listen]);
    assert_eq!(second.wait_exit(wait::LIMIT).code(), Some(1));
    let said = second.wait_line(wait::LIMIT, |line| line.starts_with("error: "));
    assert!(said.contains(&listen) && said.contains("in use"), "{said}");
    Peer::greeted_unix(&socket).mirror(1, "/");
}

#[test]
fn a_file_that_is_no_socket_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("precious");
    fs::write(&file, "data").unwrap();
    let mut agent = Agent::start(PROGRAM, ["-a", &format!("unix:{}", file.display())]);
    assert_eq!(agent.wait_exit(wait::LIMIT).code(), Some(1));
    assert_eq!(text(&file), "data");
}
