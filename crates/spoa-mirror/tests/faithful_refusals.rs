//! Requests that are not to be copied: copies themselves, and those that open a tunnel. Production has
//! them as ever, and they are counted.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod support;

use support::stage::Setup;
use testbed::backend::{Behaviour, Request, Response, Step};
use testbed::client::http1::Client;
use testbed::haproxy::Version;
use testbed::wait;

/// The mirror URL is HAProxy's own: each copy comes back to the program.
#[test]
fn a_loop_ends_after_one_copy() {
    for version in Version::ALL {
        let mut stage = Setup::new(version).mirror_to_haproxy().start();
        for number in 0..20 {
            stage.get(&format!("/{number}"));
        }
        stage.post("/20", b"a body");
        let requests = stage.production.wait_for(42, wait::LIMIT);
        let target = stage.haproxy.address("http").to_string();
        assert_eq!(
            stage.finish(&target).to_string(),
            "received 42: answered 2xx 21, dropped loop 21"
        );
        assert_eq!(stage.production.counts().requests, 42);
        for number in 0..=20 {
            let path = format!("/{number}");
            let of_path = requests.iter().filter(|request| request.target() == path.as_bytes());
            // The copy may overtake the original.
            let mut markers: Vec<_> = of_path.map(marker).collect();
            markers.sort();
            assert_eq!(markers, [None, Some("1".to_owned())]);
        }
    }
}

fn marker(request: &Request) -> Option<String> {
    let values = request.header_values("x-shadow");
    assert!(values.len() <= 1, "{request:?}");
    request.header("x-shadow")
}

#[test]
fn a_loop_ends_after_as_many_copies_as_are_allowed() {
    for version in Version::ALL {
        let mut stage = Setup::new(version).args("--max-hops 2").mirror_to_haproxy().start();
        for number in 0..10 {
            stage.get(&format!("/{number}"));
        }
        let requests = stage.production.wait_for(30, wait::LIMIT);
        let target = stage.haproxy.address("http").to_string();
        assert_eq!(
            stage.finish(&target).to_string(),
            "received 30: answered 2xx 20, dropped loop 10"
        );
        assert_eq!(stage.production.counts().requests, 30);
        for number in 0..10 {
            let path = format!("/{number}");
            let of_path = requests.iter().filter(|request| request.target() == path.as_bytes());
            let mut markers: Vec<_> = of_path.map(marker).collect();
            markers.sort();
            assert_eq!(markers, [None, Some("1".to_owned()), Some("2".to_owned())]);
        }
    }
}

#[test]
fn a_request_that_is_marked_already() {
    for version in Version::ALL {
        let mut stage = Setup::new(version).args("--max-hops 2").start_with_shadow("");
        let marked = |value: &str| {
            format!("GET / HTTP/1.1\r\nHost: h\r\nX-SHADOW:{value}\r\nX-A: 1\r\n\r\n")
        };
        for (value, copied) in [
            ("0", "x-shadow: 1"),
            (" 1 ", "x-shadow: 2"),
            // Somebody else's mark counts as one hop.
            ("yes", "x-shadow: 2"),
            ("", "x-shadow: 2"),
            // What is missing from a copy is missing from the copy's copy.
            ("1; body=truncated", "x-shadow: 2; body=truncated"),
        ] {
            stage.rules.marker = Some(copied.to_owned());
            stage.faithful(marked(value).as_bytes());
        }
        for value in ["2", "17; body=truncated", "99999999999999999999"] {
            stage.stage.send(marked(value).as_bytes());
        }
        assert_eq!(stage.stop().to_string(), "received 8: answered 2xx 5, dropped loop 3");
        assert_eq!(stage.shadow.counts().requests, 5);
    }
}

/// Production answers to a request for a tunnel with `opening`, and then speaks into the tunnel.
fn tunnel(opening: &'static str) -> Behaviour {
    Behaviour::steps(move |request| match request.target() {
        b"/ordinary" => vec![Step::Send(Response::ok("production").to_bytes(request.method()))],
        _ => vec![
            Step::Send(opening.as_bytes().to_vec()),
            Step::Send(b"from the other end".to_vec()),
            Step::Close,
        ],
    })
}

#[test]
fn connect_is_not_copied() {
    for version in Version::ALL {
        let mut stage = Setup::new(version).start_with_shadow("");
        stage.stage.production.set(tunnel("HTTP/1.1 200 OK\r\n\r\n"));
        let mut client = Client::connect(stage.stage.haproxy.address("http")).unwrap();
        client.send(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n").unwrap();
        let said = client.read_to_end().unwrap();
        assert!(said.ends_with(b"from the other end"), "{}", said.escape_ascii());
        assert_eq!(stage.stage.production.take().len(), 1);
        stage.faithful(b"GET /ordinary HTTP/1.1\r\nHost: h\r\n\r\n");
        let counters = stage.stop();
        assert_eq!(counters.to_string(), "received 2: answered 2xx 1, dropped connect-method 1");
        assert_eq!(stage.shadow.counts().requests, 1);
    }
}

#[test]
fn an_upgrade_to_websocket_is_not_copied() {
    for version in Version::ALL {
        let mut stage = Setup::new(version).start_with_shadow("");
        stage.stage.production.set(tunnel(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        ));
        let mut client = Client::connect(stage.stage.haproxy.address("http")).unwrap();
        client
            .send(
                b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n\
                  Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                  Sec-WebSocket-Version: 13\r\n\r\n",
            )
            .unwrap();
        let said = client.read_to_end().unwrap();
        assert!(said.starts_with(b"HTTP/1.1 101 "), "{}", said.escape_ascii());
        assert!(said.ends_with(b"from the other end"), "{}", said.escape_ascii());
        assert_eq!(stage.stage.production.take().len(), 1);
        stage.faithful(b"GET /ordinary HTTP/1.1\r\nHost: h\r\n\r\n");
        let counters = stage.stop();
        assert_eq!(counters.to_string(), "received 2: answered 2xx 1, dropped upgrade 1");
        assert_eq!(stage.shadow.counts().requests, 1);
    }
}
