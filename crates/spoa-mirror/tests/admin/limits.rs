//! What the API bears without harm.

use std::io::{Read as _, Write as _};

use testbed::client::http1::Client;
use testbed::wait;

use super::api::{Agent, ask_over, request, unix};
use super::running::spop::Peer;

#[test]
fn a_body_that_is_too_large_is_refused() {
    let agent = Agent::start();
    let path = format!("PATCH /api/v1/targets/{}", agent.target());
    let body = |length: usize| format!("{}{{}}", " ".repeat(length - 2));
    assert_eq!(agent.send(&path, &body(64 * 1024)).status(), 200);
    // The whole of it is sent before the answer is read: the server must not close before.
    let answer = agent.send(&path, &body(64 * 1024 + 1));
    assert_eq!((answer.status(), answer.error().as_str()), (413, "too-large"));
    let mut client = Client::connect(agent.admin).unwrap();
    let head = "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(format!("{path} HTTP/1.1\r\nhost: localhost\r\n{head}").as_bytes()).unwrap();
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    for _ in 0..5 {
        let _ = client.send(chunk.as_bytes());
    }
    assert_eq!(client.response(false).unwrap().status, 413);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let agent = Agent::start();
    for (name, value, count) in [("x-long", "x".repeat(20_000), 1), ("x-many", "x".to_owned(), 70)]
    {
        let headers = vec![(name, value.as_str()); count];
        let answer = agent.ask_with("GET /api/v1/status", &headers, "");
        assert_eq!(answer.status(), 431, "{name}");
    }
    assert_eq!(agent.ask("GET /healthz").status(), 200);
}

#[test]
fn bytes_that_are_no_http_end_their_connection_only() {
    let agent = Agent::start();
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"HELLO\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
    {
        let mut client = Client::connect(agent.admin).unwrap();
        client.send(bytes).unwrap();
        let mut stream = client.stream();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    }
    assert_eq!(agent.ask("GET /healthz").status(), 200);
}

#[test]
fn slow_clients_are_let_go() {
    let agent = Agent::start();
    let mut slow_head = Client::connect(agent.admin).unwrap();
    slow_head.send(b"GET /healthz HTTP/1.1\r\nhost:").unwrap();
    let mut silent = Client::connect(agent.admin).unwrap();
    let mut idle = Client::connect(agent.admin).unwrap();
    assert_eq!(idle.exchange(request("GET /healthz", &[], "").as_bytes()).unwrap().status, 200);
    let mut slow_body = Client::connect(agent.admin).unwrap();
    let line = format!("PATCH /api/v1/targets/{}", agent.target());
    let headers = [("content-type", "application/json"), ("content-length", "10")];
    slow_body.send(request(&line, &headers, "").as_bytes()).unwrap();
    slow_body.send(b"{").unwrap();
    assert_eq!(slow_body.response(false).unwrap().status, 408);
    slow_head.read_to_end().unwrap();
    silent.read_to_end().unwrap();
    idle.read_to_end().unwrap();
}

#[test]
fn connections_are_bounded_for_each_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let address = format!("unix:{}", path.display());
    let agent = Agent::with(testbed::backend::Recorder::start(), &["--admin", &address]);
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut client = Client::connect(agent.admin).unwrap();
        let answer = client.exchange(request("GET /healthz", &[], "").as_bytes()).unwrap();
        assert_eq!(answer.status, 200);
        open.push(client);
    }
    let mut one_more = Client::connect(agent.admin).unwrap();
    // Closed at once, most often after it was told why.
    let told = one_more.read_to_end().unwrap_or_default();
    assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 503"), "{told:?}");
    agent.mirror.wait_told("a connection was closed, 64 are open");
    // The other listener has places of its own, and HAProxy does not notice.
    assert_eq!(ask_over(unix(&path), "GET /healthz", &[]).0, 200);
    Peer::greeted(agent.mirror.address).mirror(1, "/");
    open.clear();
    wait::holds(wait::LIMIT, "a place becomes free", || {
        let client = Client::connect(agent.admin);
        let answer = client
            .and_then(|mut client| client.exchange(request("GET /healthz", &[], "").as_bytes()));
        answer.is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn more_requests_than_the_rate_are_told_when_to_come_back() {
    let agent = Agent::start();
    let mut client = Client::connect(agent.admin).unwrap();
    let request = request("GET /api/v1/changes", &[], "");
    let mut refused = None;
    // All at once, so that a slow machine cannot spread them over seconds.
    client.stream().write_all(request.repeat(300).as_bytes()).unwrap();
    for _ in 0..300 {
        let answer = client.response(false).unwrap();
        assert!(matches!(answer.status, 200 | 429), "{answer:?}");
        if answer.status == 429 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("one of 300 at once is refused");
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    assert!(refused.text().contains("too-many-requests"));
    assert_eq!(agent.ask("GET /healthz").status(), 200);
    wait::holds(wait::LIMIT, "the rate allows more", || {
        agent.ask("GET /api/v1/status").status() == 200
    });
}
