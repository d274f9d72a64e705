//! What the doctor sees for itself: real HAProxy of each version, real agents, and peers that mean no good.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use spop_proto::{AgentHello, Capabilities, Flags, FrameType, encode_frame};
use testbed::backend::Recorder;
use testbed::client::load::Load;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::{ports, wait};

use crate::running::mirror::{Mirror, PROGRAM};
use crate::running::on_each_haproxy;
use crate::running::stage::{Stage, production};

/// What the doctor said, and its exit code.
struct Told {
    json: Value,
    code: i32,
}

impl Told {
    /// The codes of its findings.
    fn codes(&self) -> Vec<&str> {
        let findings = self.json["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
    }

    /// The message of its first finding.
    fn message(&self) -> &str {
        self.json["findings"][0]["message"].as_str().unwrap()
    }
}

fn doctor(arguments: &[&str]) -> Told {
    let output = Command::new(PROGRAM).args(["doctor", "--json"]).args(arguments).output().unwrap();
    let json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"));
    Told { json, code: output.status.code().unwrap() }
}

fn ask(socket: &Path) -> Told {
    doctor(&["--socket", &socket.display().to_string()])
}

/// The documented check, quicker.
fn checked(guide: Guide) -> Guide {
    guide
        .agents_line("option spop-check")
        .agents_line("retries 0")
        .server_options("check inter 100ms fall 1 rise 1")
        .global("stats socket {dir}/user.sock mode 600 level user")
        .global("stats socket ipv4@127.0.0.1:{port:runtime} level user")
}

fn wait_status(haproxy: &Haproxy, status: &str) {
    wait::holds(wait::LIMIT, status, || {
        let table = haproxy.command("show stat");
        let line = table.lines().find(|line| line.starts_with("mirroragents,agent1,")).unwrap();
        line.split(',').any(|cell| cell == status)
    });
}

fn a_running_haproxy_tells_its_version_and_its_agents(version: Version) {
    let stage = Stage::start(version, checked);
    wait_status(&stage.haproxy, "L7OK");
    stage.get("/");
    let told = doctor(&["--socket", &stage.haproxy.address("runtime").to_string()]);
    assert_eq!((told.codes(), told.code), (vec![], 0), "{}", told.json);
    let told = ask(&stage.haproxy.directory().join("user.sock"));
    assert_eq!((told.codes(), told.code), (vec![], 0), "{}", told.json);
    let haproxy = &told.json["live"]["haproxy"];
    let number = haproxy["version"].as_str().unwrap();
    assert!(number.starts_with(&format!("{version}.")), "{number}");
    assert_eq!(told.json["version"].as_str().unwrap().split('.').count(), 3);
    let server = &haproxy["servers"][0];
    assert_eq!((&server["backend"], &server["name"]), (&"mirroragents".into(), &"agent1".into()));
    assert_eq!((&server["status"], &server["check"]), (&"UP".into(), &"L7OK".into()));
}

fn a_dead_a_disabled_and_an_unchecked_agent_are_told(version: Version) {
    let mut stage = Stage::start(version, checked);
    let socket = stage.haproxy.directory().join("runtime.sock");
    wait_status(&stage.haproxy, "L7OK");
    stage.haproxy.command("disable server mirroragents/agent1");
    let told = ask(&socket);
    assert_eq!((told.codes(), told.code), (vec!["server-disabled"], 1), "{}", told.json);
    stage.haproxy.command("enable server mirroragents/agent1");
    wait_status(&stage.haproxy, "UP");

    stage.mirror.finish();
    wait_status(&stage.haproxy, "DOWN");
    let told = ask(&socket);
    assert_eq!((told.codes()[0], told.code), ("server-down", 2), "{}", told.json);
    assert!(
        told.message().contains("L4CON") && told.message().contains("agent1"),
        "{}",
        told.message()
    );

    let mut stage = Stage::start(version, |guide| guide.processing("100ms"));
    let socket = stage.haproxy.directory().join("runtime.sock");
    let told = ask(&socket);
    assert_eq!((told.codes(), told.code), (vec!["server-unchecked"], 1), "{}", told.json);
    stage.mirror.finish();
    stage.get("/");
    wait::holds(wait::LIMIT, "HAProxy counts that it tried in vain", || {
        ask(&socket).codes() == ["server-unchecked", "server-errors"]
    });
}

/// Also: its version is the one for the rules, which know that this mode is none of 3.0.
fn files_and_a_running_haproxy_are_held_against_each_other(version: Version) {
    let stage = Stage::start(version, checked);
    wait_status(&stage.haproxy, "L7OK");
    let directory = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(stage.haproxy.directory().join(name)).unwrap();
    let write =
        |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
    write("mirror.conf", read("mirror.conf").replace("processing 5s", "processing 20ms"));
    write("haproxy.cfg", read("haproxy.cfg"));
    let file = directory.path().join("haproxy.cfg").display().to_string();
    let socket = stage.haproxy.directory().join("runtime.sock").display().to_string();
    let told = doctor(&["--haproxy", &file, "--socket", &socket]);
    assert_eq!((told.codes(), told.code), (vec![], 0), "{}", told.json);
    assert!(told.json["version_from"].as_str().unwrap().contains(&socket), "{}", told.json);

    write("mirror.conf", read("mirror.conf").replace("mirroragents", "renamed"));
    write("haproxy.cfg", read("haproxy.cfg").replace("mirroragents", "renamed"));
    let told = doctor(&["--haproxy", &file, "--socket", &socket]);
    assert!(told.codes().contains(&"backend-not-running"), "{}", told.json);
}

fn a_master_is_asked_for_its_worker(version: Version) {
    let production = production();
    let guide = checked(Guide::new(production.address()).agent(ports::free_addr()));
    let haproxy = guide.builder(version).master_worker().start();
    let told = ask(&haproxy.directory().join("master.sock"));
    assert_eq!(told.codes()[0], "server-down", "{}", told.json);
    assert_eq!(told.json["live"]["haproxy"]["through_master"], true);
}

fn connections_that_wait_for_an_agent_are_told(version: Version) {
    let production = production();
    let guide = Guide::new(production.address()).agent(peer(drain));
    let guide = guide.processing("2s").server_options("maxconn 1").nbthread(1);
    let haproxy = guide.start(version);
    let load = Load::builder(haproxy.address("http")).threads(8).start();
    wait::holds(wait::LIMIT, "connections wait for the one that the agent may have", || {
        ask(&haproxy.directory().join("runtime.sock")).codes().contains(&"server-queue")
    });
    load.stop().assert_all_ok();
}

on_each_haproxy!(
    connections_that_wait_for_an_agent_are_told,
    a_running_haproxy_tells_its_version_and_its_agents,
    a_dead_a_disabled_and_an_unchecked_agent_are_told,
    files_and_a_running_haproxy_are_held_against_each_other,
    a_master_is_asked_for_its_worker,
);

/// A peer that does this with each connection.
fn peer(act: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let act = std::sync::Arc::new(act);
    // It ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let act = act.clone();
            thread::spawn(move || act(stream));
        }
    });
    address
}

/// Reads until the other side is done.
fn drain(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn what_is_no_runtime_api_is_told_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let told = ask(&directory.path().join("gone.sock"));
    assert_eq!((told.codes(), told.code), (vec!["socket-unusable"], 2), "{}", told.json);
    assert!(told.message().contains("gone.sock"), "{}", told.message());

    let peers: [fn(TcpStream); 5] = [
        |stream| drop(stream),
        |mut stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        |mut stream| drop(stream.write_all(b"Name: HAProxy\nVersion: \x1b[31mlatest\n")),
        |mut stream| while stream.write_all(&[b'x'; 1 << 16]).is_ok() {},
        drain,
    ];
    for act in peers {
        let told = doctor(&["--socket", &peer(act).to_string()]);
        assert_eq!((told.codes(), told.code), (vec!["socket-unusable"], 2), "{}", told.json);
        assert!(!told.json.to_string().contains("\\u001b"), "{}", told.json);
    }
}

fn talk_to(address: &str, more: &[&str]) -> Told {
    doctor(&[&["--agent", address], more].concat())
}

#[test]
fn an_agent_tells_what_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", directory.path().join("agent.sock").display());
    let shadow = Recorder::start();
    let mirror = Mirror::start(&["-a", &socket, "-u", &shadow.url()]);
    mirror.wait_told(&format!("listening on {socket}"));
    for address in [mirror.address.to_string(), socket] {
        let told = talk_to(&address, &[]);
        assert_eq!((told.codes(), told.code), (vec![], 0), "{}", told.json);
        let agent = &told.json["live"]["agent"];
        assert_eq!((&agent["address"], &agent["version"]), (&address.into(), &"2.0".into()));
        assert_eq!(agent["max_frame_size"], 16380);
        assert_eq!((&agent["pipelining"], &agent["async"]), (&true.into(), &false.into()));
    }
    assert_eq!(shadow.counts().complete, 0);
}

#[test]
fn the_frame_size_offered_is_that_of_the_files() {
    let shadow = Recorder::start();
    let mirror = Mirror::start(&["-m", "32k", "-u", &shadow.url()]);
    let directory = tempfile::tempdir().unwrap();
    let guide = checked(Guide::new(mirror.address).agent(mirror.address)).bufsize(65536);
    let text = guide
        .haproxy_cfg()
        .replace("{port:http}", "8080")
        .replace("{port:runtime}", "8082")
        .replace("{dir}", "/tmp");
    std::fs::write(directory.path().join("haproxy.cfg"), text).unwrap();
    std::fs::write(directory.path().join("mirror.conf"), guide.processing("20ms").mirror_conf())
        .unwrap();
    let file = directory.path().join("haproxy.cfg").display().to_string();
    let told = talk_to(&mirror.address.to_string(), &["--haproxy", &file]);
    assert_eq!(told.codes(), ["agent-frame-small"], "{}", told.json);
    assert!(
        told.message().contains("32768") && told.message().contains("65532"),
        "{}",
        told.message()
    );
}

/// An agent that answers HELLOs with this, and messages with that; `None` is nothing.
fn fake(hello: fn() -> Vec<u8>, ack: fn() -> Vec<u8>) -> String {
    let act = move |mut stream: TcpStream| {
        let mut buffer = [0; 4096];
        for answer in [hello, ack] {
            match stream.read(&mut buffer) {
                Ok(read) if read > 0 => drop(stream.write_all(&answer())),
                _ => return,
            }
        }
        drain(stream);
    };
    peer(act).to_string()
}

fn hello(max_frame_size: u32, pipelining: bool) -> Vec<u8> {
    let capabilities = Capabilities { pipelining, ..Capabilities::default() };
    let mut bytes = Vec::new();
    AgentHello { version: b"2.0", max_frame_size, capabilities }.encode(&mut bytes);
    bytes
}

fn frame(kind: FrameType, stream: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(kind, Flags::FIN, stream, stream, &mut bytes, |output| {
        output.extend_from_slice(payload);
    });
    bytes
}

#[test]
fn peers_that_are_no_agents_are_told_as_such() {
    let told = talk_to(&ports::free_addr().to_string(), &[]);
    assert_eq!((told.codes(), told.code), (vec!["agent-unreachable"], 2), "{}", told.json);
    let hostile: [fn() -> Vec<u8>; 9] = [
        || b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        || vec![0xff; 4096],
        || vec![0; 4096],
        || frame(FrameType::Ack, 0, b""),
        || frame(FrameType::AgentDisconnect, 0, b"\x0bstatus-code\x03\x08"),
        || frame(FrameType::AgentHello, 0, b"\x07version\x08\x032.0"),
        || hello(1 << 20, true),
        || hello(16, true),
        || frame(FrameType::HaproxyHello, 0, b""),
    ];
    for answer in hostile {
        let told = talk_to(&fake(answer, Vec::new), &["--send"]);
        assert_eq!((told.codes(), told.code), (vec!["agent-not-spop"], 2), "{}", told.json);
    }
    let closed = peer(drop).to_string();
    assert_eq!(talk_to(&closed, &[]).codes(), ["agent-not-spop"]);
}

/// Five seconds each.
#[test]
fn peers_that_say_nothing_or_never_end_do_not_hold_the_doctor() {
    let silent = peer(drain).to_string();
    let told = talk_to(&silent, &[]);
    assert_eq!(told.codes(), ["agent-not-spop"], "{}", told.json);
    assert!(told.message().contains("says nothing"), "{}", told.message());
    let endless = peer(|mut stream| {
        let unknown = frame(FrameType::Unknown(200), 1, &[0; 1000]);
        while stream.write_all(&unknown).is_ok() {}
    });
    assert_eq!(talk_to(&endless.to_string(), &[]).codes(), ["agent-not-spop"]);
}

#[test]
fn weak_agents_are_told_what_they_lack() {
    let ack = || frame(FrameType::Ack, 1, b"");
    let told = talk_to(&fake(|| hello(16380, true), ack), &["--send"]);
    assert_eq!(
        (told.codes(), told.code),
        (vec![], 0),
        "a foreign agent that does it all: {}",
        told.json
    );
    assert!(told.json["live"]["agent"]["test"]["acknowledged_us"].is_u64());
    let told = talk_to(&fake(|| hello(1000, false), ack), &[]);
    assert_eq!(told.codes(), ["agent-frame-small", "agent-no-pipelining"], "{}", told.json);

    let split = peer(|mut stream| {
        stream.set_nodelay(true).unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let bytes = hello(16380, true);
        for part in [&bytes[..10], &bytes[10..]] {
            let _ = stream.write_all(part);
            // The other side reads the first part by itself: only what it then sends shows that, and it sends
            // nothing.
            pause(200);
        }
        drain(stream);
    });
    assert_eq!(talk_to(&split.to_string(), &[]).codes(), ["agent-hello-split"]);

    let unacknowledged = fake(|| hello(16380, true), Vec::new);
    let told = talk_to(&unacknowledged, &["--send"]);
    assert_eq!((told.codes(), told.code), (vec!["agent-no-ack"], 2), "{}", told.json);
    let wrong = fake(|| hello(16380, true), || frame(FrameType::Ack, 7, b""));
    assert_eq!(talk_to(&wrong, &["--send"]).codes(), ["agent-no-ack"]);
}

#[allow(clippy::disallowed_methods, reason = "a peer that takes its time")]
fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

#[test]
fn an_agent_that_takes_its_time_is_told() {
    let slow_hello = || {
        pause(1100);
        hello(16380, true)
    };
    let told = talk_to(&fake(slow_hello, Vec::new), &[]);
    assert_eq!((told.codes(), told.code), (vec!["agent-slow"], 1), "{}", told.json);
    let slow_ack = || {
        pause(300);
        frame(FrameType::Ack, 1, b"")
    };
    let told = talk_to(&fake(|| hello(16380, true), slow_ack), &["--send"]);
    assert_eq!((told.codes(), told.code), (vec!["agent-slow"], 1), "{}", told.json);
}

#[test]
fn an_agent_may_know_traffic_and_no_health_checks() {
    let agent = peer(|mut stream| {
        let mut buffer = [0; 4096];
        let Ok(read) = stream.read(&mut buffer) else { return };
        if buffer[..read].windows(11).any(|part| part == b"healthcheck") {
            return;
        }
        let _ = stream.write_all(&hello(16380, true));
        drain(stream);
    });
    let told = talk_to(&agent.to_string(), &[]);
    assert_eq!((told.codes(), told.code), (vec!["agent-fails-check"], 2), "{}", told.json);
}

#[test]
fn a_test_request_goes_through_to_each_target() {
    let shadow = Recorder::start();
    let admin = ports::free_addr();
    let mirror = Mirror::configured(&format!(
        "[admin]\nlisten = [\"{admin}\"]\n\n\
         [[target]]\nname = \"works\"\nurl = \"{url}\"\n\n\
         [[target]]\nname = \"dead\"\nurl = \"http://{dead}\"\n\n\
         [[target]]\nname = \"paused\"\nurl = \"{url}\"\npaused = true\n\n\
         [[target]]\nname = \"others\"\nurl = \"{url}\"\nmatch = {{ path = \"/api/*\" }}\n",
        url = shadow.url(),
        dead = ports::free_addr(),
    ));
    let address = mirror.address.to_string();
    let told = talk_to(&address, &["--send", "--admin", &admin.to_string()]);
    let test = &told.json["live"]["agent"]["test"];
    let outcomes: Vec<_> = test["copies"].as_array().unwrap().iter().collect();
    assert_eq!(
        outcomes.iter().map(|copy| copy["outcome"].as_str().unwrap()).collect::<Vec<_>>(),
        ["answered", "failed", "not-sent", "not-sent"],
        "{}",
        told.json
    );
    let details: Vec<_> = outcomes.iter().map(|copy| copy["detail"].as_str().unwrap()).collect();
    assert_eq!(details, ["2xx", "connect-refused", "paused", "not-matched"]);
    assert_eq!(told.codes(), ["test-copy-failed", "test-copy-not-sent", "test-copy-not-sent"]);
    assert_eq!(told.code, 2);

    let copies = shadow.wait_for(1, wait::LIMIT);
    assert_eq!(copies[0].target(), b"/spoa-mirror-doctor");
    let id = test["id"].as_str().unwrap();
    assert_eq!(copies[0].header_values("x-spoa-mirror-doctor"), [id.as_bytes()]);

    let told =
        talk_to(&address, &["--send", "http://shop.example/api/x", "--admin", &admin.to_string()]);
    assert_eq!(told.codes(), ["test-copy-failed", "test-copy-not-sent"], "{}", told.json);
    assert_eq!(shadow.wait_for(3, wait::LIMIT)[1].header_values("host"), [b"shop.example"]);
}

#[test]
fn another_agents_counters_say_nothing() {
    let shadow = Recorder::start();
    let admin = ports::free_addr().to_string();
    let mirrors = [
        Mirror::start(&["-u", &shadow.url()]),
        Mirror::start(&["-u", &shadow.url(), "--admin", &admin]),
    ];
    let told = talk_to(&mirrors[0].address.to_string(), &["--send", "--admin", &admin]);
    assert_eq!((told.codes(), told.code), (vec!["test-copy-unknown"], 0), "{}", told.json);
    assert_eq!(shadow.counts().complete, 1);
    let told = talk_to(
        &mirrors[1].address.to_string(),
        &["--send", "--admin", &shadow.address().to_string()],
    );
    assert_eq!(told.codes(), ["test-copy-unknown"], "no admin API: {}", told.json);
}

#[test]
fn people_get_lines() {
    let shadow = Recorder::start();
    let admin = ports::free_addr().to_string();
    let mirror = Mirror::start(&["-u", &shadow.url(), "--admin", &admin]);
    let address = mirror.address.to_string();
    let mut command = Command::new(PROGRAM);
    let output = command
        .args(["doctor", "--agent", &address, "--send", "--admin", &admin])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(&format!(
            "agent at {address}: SPOP 2.0, frames up to 16380 bytes, pipelining"
        )),
        "{text}"
    );
    assert!(
        text.contains("test request x-spoa-mirror-doctor: ") && text.contains("answered 2xx"),
        "{text}"
    );
}

#[test]
fn flags_that_do_nothing_alone_are_refused() {
    for arguments in [
        &["--send"][..],
        &["--agent", "127.0.0.1:1", "--admin", "127.0.0.1:1"],
        &["--agent", "nowhere"],
        &["--agent", "127.0.0.1:1", "--send", "x"],
        &["--socket", "haproxy"],
    ] {
        let output = Command::new(PROGRAM).arg("doctor").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
    }
}
