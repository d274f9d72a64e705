//! How copies are sent: once, over connections that are used again, from the local end that is wanted, and
//! not for longer than is allowed.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use support::bodies::{noise, with_length};
use support::stage::{Setup, ShadowStage};
use testbed::backend::{Behaviour, Blackhole, Recorder, Response};
use testbed::haproxy::Version;
use testbed::tls::Authority;
use testbed::{ports, wait};

/// Sending does not depend on the version of HAProxy.
const VERSION: Version = Version::V3_4;

/// Sends `GET` for so many paths, each one after the answer to the one before.
fn get(stage: &ShadowStage, count: usize) {
    for number in 0..count {
        assert_eq!(stage.stage.get(&format!("/{number}")).text(), "production");
    }
}

/// The shadow saw each path once.
#[track_caller]
fn assert_each_once(shadow: &Recorder, count: usize) {
    let requests = shadow.requests();
    let paths: BTreeSet<Vec<u8>> =
        requests.iter().map(|request| request.target().to_vec()).collect();
    assert_eq!((requests.len(), paths.len()), (count, count));
}

#[test]
fn a_target_that_does_not_answer() {
    let setup = Setup::new(VERSION).args("--timeout 300ms");
    let mut stage = setup.start_with_shadow("");
    stage.shadow.set(Behaviour::mute());
    get(&stage, 5);
    stage.shadow.set(Behaviour::stall("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"));
    get(&stage, 2);
    let lines = stage.stage.wait_copies(7);
    for line in &lines {
        assert_eq!(line["result"], "timeout");
        assert!(line["milliseconds"].as_f64().unwrap() >= 300.0, "{line}");
    }
    // The program ends the connections, and a target that is well again gets the next copies.
    wait::holds(wait::LIMIT, "the connections are closed", || stage.shadow.counts().open == 0);
    stage.shadow.set(Behaviour::respond(Response::ok("well")));
    get(&stage, 1);
    stage.stage.wait_copies(8);
    assert_eq!(stage.stop().to_string(), "received 8: answered 2xx 1, failed timeout 7");
    assert_eq!(stage.shadow.counts().requests, 8, "nothing is sent twice");
}

#[test]
fn an_answer_may_take_the_time_that_is_allowed() {
    let setup = Setup::new(VERSION).args("--timeout 20s");
    let stage = setup.start_with_shadow("");
    let slow = Behaviour::delay(Duration::from_millis(500), Behaviour::respond(Response::ok("")));
    stage.shadow.set(slow);
    stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    stage.finish();
}

#[test]
fn a_target_that_connections_hang_on() {
    let blackhole = Blackhole::start();
    let url = format!("http://{}", blackhole.address());
    let mut stage =
        Setup::new(VERSION).args("--connect-timeout 300ms").args(&format!("-u {url}")).start();
    for _ in 0..5 {
        stage.get("/");
    }
    stage.wait_copies(5);
    let counters = stage.finish(&blackhole.address().to_string());
    assert_eq!(counters.to_string(), "received 5: failed connect-timeout 5");
}

#[test]
fn a_target_that_is_not_there() {
    let address = ports::free_addr();
    let mut stage = Setup::new(VERSION).args(&format!("-u http://{address}")).start();
    for _ in 0..5 {
        stage.get("/");
    }
    stage.wait_copies(5);
    // It comes back, and gets what is sent from then on.
    let shadow = Recorder::builder().address(address).start();
    stage.get("/6");
    stage.wait_copies(6);
    let counters = stage.finish(&address.to_string());
    assert_eq!(counters.to_string(), "received 6: answered 2xx 1, failed connect-refused 5");
    assert_each_once(&shadow, 1);
}

#[test]
fn redirects_are_not_followed() {
    let mut stage = Setup::new(VERSION).start_with_shadow("");
    let elsewhere = Recorder::start();
    for status in [301, 302, 303, 307, 308] {
        let answer =
            Response::new(status).header("location", &format!("{}/there", elsewhere.url()));
        stage.shadow.set(Behaviour::respond(answer));
        stage.stage.post("/", b"a body");
        stage.shadow.wait_for(1, wait::LIMIT);
        stage.shadow.take();
    }
    assert_eq!(stage.stop().to_string(), "received 5: answered 3xx 5");
    assert_eq!((stage.shadow.counts().requests, elsewhere.counts().connections), (5, 0));
}

/// Whatever the method: the target may have acted on what it has read.
#[test]
fn what_a_target_has_read_is_not_sent_again() {
    let mut stage = Setup::new(VERSION).start_with_shadow("");
    stage.shadow.set(Behaviour::close_without_answer());
    get(&stage, 10);
    for method in ["POST", "PUT", "DELETE"] {
        stage.stage.send(&with_length(method, &format!("/{method}"), b"a body"));
    }
    stage.stage.wait_copies(13);
    assert_eq!(stage.stop().to_string(), "received 13: failed closed 13");
    assert_each_once(&stage.shadow, 13);
}

/// A connection that has carried copies is closed by the target as it takes one more.
#[test]
fn what_is_lost_on_a_used_connection_is_not_sent_again() {
    let mut stage = Setup::new(VERSION).start_with_shadow("");
    stage.shadow.set(Behaviour::close_without_answer_after(3, Response::ok("")));
    for number in 0..20 {
        stage.stage.get(&format!("/{number}"));
        stage.shadow.wait_for(number + 1, wait::LIMIT);
    }
    let lines = stage.stage.wait_copies(20);
    let lost = lines.iter().filter(|line| line["result"] == "closed").count();
    assert!(lost >= 2, "{lost} were lost");
    let answered = 20 - lost;
    let counters = stage.stop().to_string();
    assert_eq!(counters, format!("received 20: answered 2xx {answered}, failed closed {lost}"));
    assert_each_once(&stage.shadow, 20);
}

/// A target that resets, or that the connection breaks to half way through a large copy.
#[test]
fn what_a_target_resets_is_not_sent_again() {
    let setup = Setup::new(VERSION).guide(|guide| guide.bufsize(600_000));
    let mut stage = setup.start_with_shadow("");
    stage.shadow.set(Behaviour::reset());
    get(&stage, 5);
    stage.stage.send(&with_length("POST", "/large", &noise(500_000)));
    stage.stage.wait_copies(6);
    assert_eq!(stage.stop().to_string(), "received 6: failed reset 6");
    assert_each_once(&stage.shadow, 6);
}

#[test]
fn connections_are_used_again() {
    let stage = Setup::new(VERSION).start_with_shadow("");
    for number in 1..=5 {
        stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        stage.stage.wait_copies(number);
    }
    assert_eq!(stage.shadow.counts().connections, 1);
    stage.finish();
}

/// The target closes what is idle, as it may: that costs no copy.
#[test]
fn connections_that_a_target_closes_while_they_are_idle() {
    let stage = Setup::new(VERSION).start_with_shadow("");
    for number in 1..=10 {
        stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        stage.stage.wait_copies(number);
        stage.shadow.close_connections();
        wait::holds(wait::LIMIT, "they are closed", || stage.shadow.counts().open == 0);
    }
    assert_eq!(stage.shadow.counts().connections, 10);
    stage.finish();
}

#[test]
fn a_target_that_closes_behind_each_answer() {
    let stage = Setup::new(VERSION).start_with_shadow("");
    stage.shadow.set(Behaviour::close_after_response(Response::ok("bye")));
    for number in 1..=20 {
        stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        wait::holds(wait::LIMIT, "the connection is closed", || stage.shadow.counts().open == 0);
        assert_eq!(stage.shadow.counts().connections, number);
    }
    stage.finish();
}

/// An answer and the end of its connection that arrive in one packet, while the next copy waits for just
/// this connection: it goes over a new one.
#[test]
fn an_answer_that_brings_the_end_of_its_connection() {
    let authority = Authority::new();
    let identity = authority.identity(&["127.0.0.1"]);
    let directory = tempfile::tempdir().unwrap();
    let ca = authority.write_pem(directory.path());
    for (scheme, tls) in [("http", None), ("https", Some(identity.server_config(&["http/1.1"])))] {
        let (go, gone) = std::sync::mpsc::sync_channel(1);
        let address = answers_once_for_each_connection(20, tls, gone);
        let mut stage = Setup::new(VERSION)
            .args("--max-in-flight 1")
            .args(&format!("-u {scheme}://{address} --mirror-ca {}", ca.display()))
            .start();
        for _ in 0..20 {
            stage.get("/");
        }
        // The first one is under way, the others wait for it.
        go.send(()).unwrap();
        stage.wait_copies(20);
        let counters = stage.finish(&address.to_string());
        assert_eq!(counters.to_string(), "received 20: answered 2xx 20", "{scheme}");
    }
}

/// A server that takes so many connections, one after the other, and answers one request on each, from when it
/// is told to. In the answer's packet comes the end of the connection; with TLS, the end of the session.
fn answers_once_for_each_connection(
    count: usize,
    tls: Option<Arc<rustls::ServerConfig>>,
    go: Receiver<()>,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, tcp) in listener.incoming().take(count).enumerate() {
            let tcp = tcp.unwrap();
            let wait = || {
                if number == 0 {
                    go.recv().unwrap();
                }
            };
            match &tls {
                None => {
                    answer_once(&mut &tcp, &tcp, wait);
                    tcp.shutdown(Shutdown::Write).unwrap();
                }
                Some(config) => {
                    let session = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
                    let mut stream = rustls::StreamOwned::new(session, &tcp);
                    answer_once(&mut stream, &tcp, wait);
                    stream.conn.send_close_notify();
                    stream.flush().unwrap();
                    socket2::SockRef::from(&tcp).set_tcp_cork(false).unwrap();
                }
            }
            let _ = (&mut &tcp).read_to_end(&mut Vec::new());
        }
    });
    address
}

/// Reads a request and writes the answer, which waits in the kernel for what follows it.
fn answer_once(stream: &mut (impl Read + Write), tcp: &TcpStream, wait: impl FnOnce()) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    wait();
    socket2::SockRef::from(tcp).set_tcp_cork(true).unwrap();
    stream.write_all(&Response::ok("bye").to_bytes(b"GET")).unwrap();
}

#[test]
fn an_answer_over_the_limit_is_cut() {
    let setup = Setup::new(VERSION).args("--max-answer 10k");
    let mut stage = setup.start_with_shadow("");
    stage.shadow.set(Behaviour::respond(Response::new(404).body(vec![b'x'; 100_000])));
    for number in 1..=3 {
        stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let lines = stage.stage.wait_copies(number);
        let line = &lines[number - 1];
        assert_eq!(
            (&line["status"], &line["result"]),
            (&404.into(), &"ok, answer over the size limit".into())
        );
        assert!(line["body_bytes_received"].as_u64().unwrap() <= 10 * 1024, "{line}");
    }
    wait::holds(wait::LIMIT, "the connections are closed", || stage.shadow.counts().open == 0);
    stage.shadow.set(Behaviour::respond(Response::ok(vec![b'x'; 9000])));
    stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let counters = stage.stop();
    assert_eq!(counters.to_string(), "received 4: answered 2xx 1, answered 4xx 3");
    assert_eq!((counters.answers_cut, stage.shadow.counts().connections), (3, 4));
}

#[test]
fn from_a_range_of_local_ports() {
    let first = ports::free();
    let range = first..=first + 9;
    let setup = Setup::new(VERSION).args(&format!("--mirror-local-port {first}-{}", first + 9));
    let stage = setup.start_with_shadow("");
    stage.shadow.set(Behaviour::close_after(2, Response::ok("")));
    for _ in 0..12 {
        let pair = stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let port = pair.shadow.peer.port();
        assert!(range.contains(&port), "{port} is not in {range:?}");
        wait::holds(wait::LIMIT, "idle", || {
            stage.stage.copies().len() as u64 == stage.shadow.counts().requests
        });
    }
    stage.finish();
}

#[test]
fn from_one_local_port_and_no_other() {
    let port = ports::free();
    let setup = Setup::new(VERSION).args(&format!("--mirror-local-port {port}"));
    let mut stage = setup.start_with_shadow("");
    let pair = stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(pair.shadow.peer.port(), port);
    stage.stage.wait_copies(1);
    // While its only connection is busy, there is none for another copy.
    stage.shadow.set(Behaviour::mute());
    stage.stage.get("/");
    stage.shadow.wait_for(1, wait::LIMIT);
    stage.stage.get("/");
    let lines = stage.stage.wait_copies(2);
    assert_eq!(lines[1]["result"], "no-local-port");
    let counters = stage.stop().to_string();
    assert!(counters.contains("failed no-local-port 1"), "{counters}");
}

#[test]
fn from_a_local_address() {
    let setup = Setup::new(VERSION).args("--mirror-interface 127.0.0.2");
    let stage = setup.start_with_shadow("");
    let pair = stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(pair.shadow.peer.ip(), Ipv4Addr::new(127, 0, 0, 2));
    stage.finish();
}

#[test]
fn from_an_interface() {
    let stage = Setup::new(VERSION).args("--mirror-interface lo").start_with_shadow("");
    stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    stage.finish();
    // It is not just ignored.
    let mut stage = Setup::new(VERSION).args("-I nosuch0").start_with_shadow("");
    stage.stage.get("/");
    stage.stage.wait_copies(1);
    assert_eq!(stage.stop().to_string(), "received 1: failed connect 1");
    let told = stage.stage.told("a copy failed");
    assert!(told[0].contains("nosuch0"), "{told:?}");
}

#[test]
fn each_of_two_targets_gets_every_copy() {
    let (one, other) = (Recorder::start(), Recorder::start());
    for version in Version::ALL {
        let mut stage =
            Setup::new(version).args(&format!("-u {}/one -u {}", one.url(), other.url())).start();
        for number in 0..10 {
            stage.post(&format!("/{number}"), &noise(number * 100));
        }
        let counters = stage.finish(&one.address().to_string());
        assert_eq!(counters.to_string(), "received 10: answered 2xx 10");
        for (shadow, prefix) in [(&one, "/one"), (&other, "")] {
            let requests = shadow.wait_for(10, wait::LIMIT);
            shadow.take();
            assert_eq!(requests.len(), 10);
            for number in 0..10 {
                let path = format!("{prefix}/{number}");
                let copy = requests.iter().find(|copy| copy.target() == path.as_bytes()).unwrap();
                assert_eq!(copy.body, noise(number * 100));
            }
        }
    }
}

/// One target that is dead or slow takes nothing away from the other.
#[test]
fn a_target_in_trouble_does_not_concern_the_other() {
    let (well, slow, dead) =
        (Recorder::start(), Recorder::with(Behaviour::mute()), ports::free_addr());
    let mut stage = Setup::new(VERSION)
        .args(&format!("-u {} -u http://{dead} -u {} --grace 0", slow.url(), well.url()))
        .start();
    for number in 0..20 {
        stage.get(&format!("/{number}"));
    }
    well.wait_for(20, wait::LIMIT);
    stage.wait_copies(40);
    let counters = stage.finish(&well.address().to_string());
    assert_eq!(counters.to_string(), "received 20: answered 2xx 20");
    let of = |target: &str| stage.counters(target).to_string();
    assert_eq!(of(&dead.to_string()), "received 20: failed connect-refused 20");
    assert_eq!(of(&slow.address().to_string()), "received 20: failed shutdown 20");
    assert_each_once(&well, 20);
}
