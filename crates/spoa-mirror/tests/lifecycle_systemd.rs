//! Under systemd: readiness, the watchdog, the end, and sockets that systemd opened.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as SocketName, UnixDatagram, UnixListener};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;
use testbed::agent::{Agent, Builder, Signal};
use testbed::backend::{Behaviour, Recorder};
use testbed::client::http1;
use testbed::haproxy::{Guide, Version};
use testbed::{ports, wait};

use running::mirror::{Mirror, PROGRAM};
use running::spop::Peer;
use running::stage::{answered_by_production, production};

/// systemd's end of the socket that services tell their state to.
struct Manager {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(wait::LIMIT)).unwrap();
        Self { socket, directory }
    }

    /// A service's way to it.
    fn service(&self) -> Builder {
        Agent::builder(PROGRAM).env("NOTIFY_SOCKET", self.directory.path().join("notify"))
    }

    /// The next message, as its lines.
    fn message(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("nothing was told");
        String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned).collect()
    }

    /// The next message that has this line, and all lines before it.
    fn wait(&self, line: &str) -> (Vec<String>, Vec<String>) {
        let mut before = Vec::new();
        for _ in 0..1000 {
            let message = self.message();
            if message.iter().any(|told| told == line) {
                return (message, before);
            }
            before.extend(message);
        }
        panic!("{line} was not told, but {before:?}");
    }

    /// Everything that was told and not read yet.
    fn drain(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }
}

const ALIVE: &str = "WATCHDOG=1";

fn has_status(message: &[String]) -> bool {
    message.iter().any(|line| line.starts_with("STATUS="))
}

#[test]
fn systemd_is_told_when_the_agent_is_ready_and_when_it_ends() {
    let manager = Manager::new();
    let (shadow, address) = (Recorder::start(), ports::free_addr());
    let (port, url) = (address.port().to_string(), shadow.url());
    let args = ["-a", "127.0.0.1", "-p", &port, "-u", &url, "--grace", "3s"];
    let mut agent = manager.service().args(args).start();
    let (_, before) = manager.wait("READY=1");
    assert_eq!(before, [""; 0]);
    // No waiting here: a connection right now must work.
    Peer::greeted(address).mirror(1, "/");
    shadow.wait_for(1, wait::LIMIT);

    agent.signal(Signal::SIGTERM);
    let (message, before) = manager.wait("STOPPING=1");
    // The grace period must fit into the time that systemd gives.
    assert!(message.contains(&"EXTEND_TIMEOUT_USEC=13000000".to_owned()), "{message:?}");
    assert!(!before.contains(&ALIVE.to_owned()), "nobody asked for signs of life: {before:?}");
    assert_eq!(agent.wait_exit(wait::LIMIT).code(), Some(0));
}

#[test]
fn the_status_says_how_the_agent_stands() {
    let manager = Manager::new();
    let shadow = Recorder::start();
    let service = manager.service().env("WATCHDOG_USEC", "100000");
    let mut mirror = Mirror::run(ports::free_addr(), service, &["-u", &shadow.url()]);
    let mut peer = Peer::greeted(mirror.address);
    peer.mirror(1, "/");
    peer.mirror(2, "/");
    let expected = "STATUS=1 connections from HAProxy; 1 target: 2 requests received, 2 answered, 0 \
                    failed, 0 dropped";
    manager.wait(expected);
    mirror.finish();
}

#[test]
fn signs_of_life_go_on_while_workers_answer() {
    let manager = Manager::new();
    let service = manager.service().env("WATCHDOG_USEC", "100000");
    let mut mirror = Mirror::run(ports::free_addr(), service, &["-n", "2"]);
    for _ in 0..10 {
        manager.wait(ALIVE);
    }
    mirror.finish();
}

#[test]
fn a_watchdog_of_another_process_is_not_served() {
    let manager = Manager::new();
    for (name, value) in [("WATCHDOG_PID", "1"), ("WATCHDOG_USEC", "0")] {
        let service = manager.service().env("WATCHDOG_USEC", "100000").env(name, value);
        let mut mirror = Mirror::run(ports::free_addr(), service, &[]);
        manager.wait("READY=1");
        mirror.finish();
        let (_, before) = manager.wait("STOPPING=1");
        assert!(!before.contains(&ALIVE.to_owned()), "{name}: {before:?}");
    }
}

/// Stops a thread of a process until it is dropped, and leaves the other threads running.
struct Stopped(Pid);

impl Stopped {
    fn thread(pid: u32, name: &str) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let is_it = |path: &Path| {
            fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name)
        };
        let path = tasks.map(|task| task.path()).find(|path| is_it(path)).unwrap();
        let tid = Pid::from_raw(path.file_name().unwrap().to_str().unwrap().parse().unwrap());
        ptrace::seize(tid, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(tid).unwrap();
        waitpid(tid, Some(WaitPidFlag::__WALL)).unwrap();
        Self(tid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}

#[test]
fn a_worker_that_hangs_stops_the_signs_of_life() {
    let manager = Manager::new();
    let service = manager.service().env("WATCHDOG_USEC", "200000");
    let mut mirror = Mirror::run(ports::free_addr(), service, &["-i", "1h"]);
    manager.wait(ALIVE);
    let hung = Stopped::thread(mirror.process.pid(), "worker-1");
    mirror.wait_told("only 0 of 1 workers answer");
    manager.drain();
    // It asks again and again, and stays honest.
    for _ in 0..3 {
        let message = manager.message();
        assert!(has_status(&message) && !message.contains(&ALIVE.to_owned()), "{message:?}");
    }
    drop(hung);
    manager.wait(ALIVE);
    mirror.finish();
}

#[test]
fn systemd_is_told_of_reloads() {
    let manager = Manager::new();
    let directory = TempDir::new().unwrap();
    let address = ports::free_addr();
    let toml = "[[target]]\nname = \"a\"\nurl = \"http://127.0.0.1:9\"\n";
    let mut mirror = Mirror::configured_at(address, manager.service(), directory, toml);
    manager.wait("READY=1");
    for _ in 0..2 {
        mirror.process.signal(Signal::SIGHUP);
        let (message, _) = manager.wait("RELOADING=1");
        // systemd 253 and newer want to know when.
        assert!(message.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{message:?}");
        manager.wait("READY=1");
    }
    mirror.finish();
}

#[test]
fn an_agent_that_drains_is_alive() {
    let manager = Manager::new();
    let shadow = Recorder::with(Behaviour::mute());
    let service = manager.service().env("WATCHDOG_USEC", "100000");
    let args = ["-u", &shadow.url(), "--grace", "1h", "--timeout", "1h"];
    let mut mirror = Mirror::run(ports::free_addr(), service, &args);
    Peer::greeted(mirror.address).mirror(1, "/never-answered");
    shadow.wait_for(1, wait::LIMIT);
    mirror.process.signal(Signal::SIGTERM);
    manager.wait("STOPPING=1");
    for _ in 0..5 {
        manager.wait(ALIVE);
    }
    mirror.process.signal(Signal::SIGTERM);
    assert_eq!(mirror.process.wait_exit(wait::LIMIT).code(), Some(1));
}

#[test]
fn an_agent_that_cannot_reach_systemd_works() {
    let service = Agent::builder(PROGRAM).env("NOTIFY_SOCKET", "/proc/none/notify");
    let mut mirror = Mirror::run(ports::free_addr(), service, &[]);
    mirror.wait_told("cannot tell systemd that the agent is ready");
    Peer::greeted(mirror.address).mirror(1, "/");
    assert_eq!(mirror.finish().spop.requests, 1);
}

#[test]
fn a_systemd_that_reads_nothing_does_not_hold_the_agent_up() {
    let manager = Manager::new();
    // Its socket is full after a few messages.
    let service = manager.service().env("WATCHDOG_USEC", "20000");
    let mut mirror = Mirror::run(ports::free_addr(), service, &["-i", "1s"]);
    mirror.wait_report(|_| true);
    Peer::greeted(mirror.address).mirror(1, "/");
    assert_eq!(mirror.finish().spop.requests, 1);
}

#[test]
fn systemds_socket_may_have_an_abstract_name() {
    let name = format!("spoa-mirror-test-{}", std::process::id());
    let address = SocketName::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    manager.set_read_timeout(Some(wait::LIMIT)).unwrap();
    let service = Agent::builder(PROGRAM).env("NOTIFY_SOCKET", format!("@{name}"));
    let mut mirror = Mirror::run(ports::free_addr(), service, &[]);
    let mut message = [0; 100];
    let length = manager.recv(&mut message).unwrap();
    assert!(message[..length].starts_with(b"READY=1\n"));
    mirror.finish();
}

/// A service that is started with these sockets, which have these names.
fn with_sockets(sockets: &[&dyn Inherit], names: &str) -> Builder {
    with_sockets_for("$$", sockets, names)
}

/// The same, for the process of this id as the environment says.
fn with_sockets_for(pid: &str, sockets: &[&dyn Inherit], names: &str) -> Builder {
    // bash moves the sockets to where systemd puts them, and becomes the program.
    let (mut away, mut back) = (String::new(), String::new());
    for (index, socket) in sockets.iter().enumerate() {
        let (here, there) = (socket.inherit(), 3 + index);
        away.push_str(&format!(" {}<&{here}", 200 + index));
        back.push_str(&format!(" {there}<&{} {}<&-", 200 + index, 200 + index));
    }
    let count = sockets.len();
    let script = format!(
        "exec{away}; export LISTEN_PID={pid} LISTEN_FDS={count} LISTEN_FDNAMES={names}; \
         exec \"$0\" \"$@\"{back}"
    );
    Agent::builder("/bin/bash").args(["-c", &script, PROGRAM])
}

trait Inherit {
    /// Lets children inherit the socket, and gives the descriptor's number.
    fn inherit(&self) -> i32;
}

impl<S: AsFd> Inherit for S {
    fn inherit(&self) -> i32 {
        fcntl(self.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        self.as_fd().as_raw_fd()
    }
}

fn tcp() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// HAProxy connects to a socket that is there before the agent is, and while it is started again.
fn an_inherited_socket_serves_haproxy(version: Version) {
    let (production, shadow) = (production(), Recorder::start());
    let (socket, address) = tcp();
    let guide = Guide::new(production.address()).agent(address).agents_line("retries 0");
    let haproxy = guide.start(version);
    for round in 0..2 {
        let service = with_sockets(&[&socket], "spop");
        let mut mirror = Mirror::run(address, service, &["-u", &shadow.url()]);
        mirror.wait_told(&format!("listening on {address} (from systemd)"));
        let path = format!("/round-{round}");
        answered_by_production(&http1::get(haproxy.address("http"), &path).unwrap());
        let copied = || shadow.requests().iter().any(|copy| copy.target() == path.as_bytes());
        wait::holds(wait::LIMIT, &path, copied);
        mirror.finish();
    }
}

running::on_each_haproxy!(an_inherited_socket_serves_haproxy);

#[test]
fn several_sockets_are_inherited_instead_of_the_configured_addresses() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("spop.sock");
    let ((first, address), second) = (tcp(), UnixListener::bind(&path).unwrap());
    let third = TcpListener::bind("[::1]:0").unwrap();
    let elsewhere = ports::free_addr();
    let service = with_sockets(&[&first, &second, &third], "spop:spop:spop");
    let port = elsewhere.port().to_string();
    let mut agent = service.args(["-a", "127.0.0.1", "-p", &port]).start();
    let told = format!("listening on unix:{} (from systemd)", path.display());
    agent.wait_line(wait::LIMIT, |line| line.contains(&told));
    Peer::greeted(address).mirror(1, "/");
    Peer::greeted_unix(&path).mirror(1, "/");
    Peer::greeted(third.local_addr().unwrap()).mirror(1, "/");
    // Nobody has it: a bound address could not be bound again.
    TcpListener::bind(elsewhere).unwrap();
    assert_eq!(agent.stop(wait::LIMIT).code(), Some(0));
    // It is systemd's.
    assert!(path.exists());
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    let (socket, address) = tcp();
    let elsewhere = ports::free_addr();
    let service = with_sockets_for("1", &[&socket], "spop");
    let mut mirror = Mirror::run(elsewhere, service, &[]);
    assert_eq!(mirror.told(&address.to_string()), [""; 0]);
    Peer::greeted(elsewhere).mirror(1, "/");
    mirror.finish();
}

#[test]
fn a_socket_that_cannot_be_used_is_told_with_what_to_do() {
    let (stream, _) = tcp();
    let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
    let cases: [(&dyn Inherit, &str, &str); 5] = [
        (&stream, "spoa-mirror.socket", "FileDescriptorName=spop"),
        (&stream, "''", "FileDescriptorName=spop"),
        (&stream, "spop:spop", "cannot take the sockets"),
        (&datagram, "spop", "only ListenStream="),
        (&fs::File::open("/dev/null").unwrap(), "spop", "only ListenStream="),
    ];
    for (socket, names, expected) in cases {
        let mut agent = with_sockets(&[socket], names).start();
        let code = agent.wait_exit(Duration::from_secs(30)).code();
        let said = agent.wait_line(wait::LIMIT, |line| line.starts_with("error: "));
        assert!(said.contains(expected), "{names}: {said}");
        assert_eq!(code, Some(1), "{said}");
    }
}
