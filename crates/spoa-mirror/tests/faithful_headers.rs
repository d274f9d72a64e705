//! Copies have production's headers, byte for byte and in production's order, on every version of
//! HAProxy; only what belongs to the client's connection is gone, and the marker is added.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod support;

use support::stage::{Setup, ShadowStage};
use testbed::client::h2;
use testbed::haproxy::Version;

fn with_each_version(test: impl Fn(&ShadowStage)) {
    for version in Version::ALL {
        let stage = Setup::new(version).start_with_shadow("");
        test(&stage);
        stage.finish();
    }
}

/// `GET /` with these header lines besides Host.
fn get(lines: &[&str]) -> Vec<u8> {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET / HTTP/1.1\r\nHost: www.example.org\r\n{lines}\r\n").into_bytes()
}

/// What a client sends whose headers are as odd as they may be.
fn odd() -> Vec<u8> {
    get(&[
        "X-Zebra: 1",
        "X-Apple: first",
        "Accept: */*;q=0.1",
        "x-apple: second",
        "X-Empty:",
        "X-Blanks:    inner   blanks stay   ",
        "X-Tab:\tinner\ttabs\tstay\t",
        "X-Colons: a: b:c",
        "X-Comma: a,, b ,c",
        "X-Apple: first",
        "X_Under: score",
        "!#$%&'*+-.^_`|~: a name",
        "Authorization: Basic dXNlcjpwYXNz",
        "User-Agent: a \"quoted\" agent (with (a comment))",
        "X-Latin: \u{e4}\u{f6}",
        "X-Folded: a",
        "  b",
        "x-apple:",
    ])
}

#[test]
fn order_repetition_blanks_and_empty_values() {
    with_each_version(|stage| {
        let pair = stage.faithful(&odd());
        let apples = pair.shadow.header_values("x-apple");
        assert_eq!(apples, [&b"first"[..], b"second", b"first", b""]);
        assert_eq!(pair.shadow.header_values("x-empty"), [b""]);
        assert_eq!(pair.shadow.header_values("x-tab"), [b"inner\ttabs\tstay"]);
        let names: Vec<_> = pair.shadow.headers().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names[..3], [&b"host"[..], b"x-zebra", b"x-apple"]);
        // Host need not be the first.
        let pair = stage.faithful(b"GET / HTTP/1.1\r\nX-A: 1\r\nHost: h\r\nX-B: 2\r\n\r\n");
        assert_eq!(pair.shadow.headers()[1], (&b"host"[..], &b"h"[..]));
    });
}

#[test]
fn headers_as_text_give_the_same_copy() {
    for version in Version::ALL {
        let text =
            "arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs arg_body=req.body";
        let stage = Setup::new(version).guide(move |guide| guide.args(text)).start_with_shadow("");
        stage.faithful(&odd());
        stage.faithful(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
        stage.faithful(b"GET / HTTP/1.0\r\n\r\n");
        stage.faithful_h2(&h2::Request::new("GET", "/").header("x-latin", b"\xe4".to_vec()));
        stage.finish();
    }
}

/// Every byte in a header's value: as far as HAProxy passes it, it is copied.
#[test]
fn every_byte_that_haproxy_passes_in_a_value() {
    with_each_version(|stage| {
        for byte in 1..=255u8 {
            if matches!(byte, b'\r' | b'\n') {
                continue;
            }
            let head =
                [b"GET / HTTP/1.1\r\nHost: h\r\nX-A: in", &[byte][..], b"ner\r\n\r\n"].concat();
            let passed = stage.faithful_if_passed(&head);
            assert!(passed || byte < b' ' || byte == 0x7f, "HAProxy refuses {byte:#x}");
        }
        let pair =
            stage.faithful_h2(&h2::Request::new("GET", "/").header("x", b"\x80\xff".to_vec()));
        assert_eq!(pair.shadow.header_values("x"), [b"\x80\xff"]);
    });
}

#[test]
fn a_hundred_headers() {
    let lines: Vec<String> = (0..99).map(|number| format!("X-{number}: {number}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    with_each_version(|stage| {
        let pair = stage.faithful(&get(&lines));
        // With Host and the marker.
        assert_eq!(pair.shadow.headers().len(), 101);
    });
}

#[test]
fn more_headers_than_haproxy_takes_by_itself() {
    let lines: Vec<String> = (0..900).map(|number| format!("X-{number}: {number}")).collect();
    for version in Version::ALL {
        let stage = Setup::new(version)
            .guide(|guide| guide.global("tune.http.maxhdr 1000").bufsize(65536))
            .start_with_shadow("");
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        stage.faithful(&get(&lines));
        stage.finish();
    }
}

#[test]
fn long_headers() {
    with_each_version(|stage| {
        stage.faithful(&get(&[&format!("X-Long: {}", "8 kB of it ".repeat(745)), "X-A: 1"]));
        let cookie = format!("Cookie: session={}", "a".repeat(14_000));
        stage.faithful(&get(&[&cookie, "X-A: 1"]));
        stage
            .faithful_h2(&h2::Request::new("GET", "/").header("x-long", "8 kB of it ".repeat(745)));
    });
    for version in Version::ALL {
        let guide = Setup::new(version).guide(|guide| guide.bufsize(131_072));
        let stage = guide.start_with_shadow("");
        stage.faithful(&get(&[&format!("X-Long: {}", "x".repeat(100_000)), "X-A: 1"]));
        stage.finish();
    }
}

#[test]
fn cookies() {
    with_each_version(|stage| {
        let pair = stage.faithful(&get(&["Cookie: a=1; b=2", "X-A: 1", "Cookie: c=3", "cookie:"]));
        assert_eq!(pair.shadow.header_values("cookie"), [&b"a=1; b=2"[..], b"c=3", b""]);
        let crumbs = h2::Request::new("GET", "/")
            .header("cookie", "a=1")
            .header("x-a", "1")
            .header("cookie", "b=2")
            .header("cookie", "c=3; d=4");
        let pair = stage.faithful_h2(&crumbs);
        // HAProxy puts a client's crumbs together.
        assert_eq!(pair.shadow.header_values("cookie"), [b"a=1; b=2; c=3; d=4"]);
    });
}

#[test]
fn headers_of_the_clients_connection_are_gone() {
    with_each_version(|stage| {
        let pair = stage.faithful(&get(&[
            "Keep-Alive: timeout=5",
            "X-Before: 1",
            "Connection: keep-alive, X-Named ,x-other",
            "x-named: 1",
            "X-Other: 2",
            "X-Named: 3",
            "Proxy-Connection: keep-alive",
            "TE: trailers",
            "Trailer: x-sum",
            "X-Named-Not: 1",
        ]));
        let names: Vec<_> = pair.shadow.headers().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&b"host"[..], b"x-before", b"x-named-not", b"x-shadow"]);
        stage.faithful(&get(&["Connection: close", "X-A: 1"]));
        stage.faithful(&get(&[
            "Connection: X-A",
            "Connection: X-B,TE",
            "X-B: 1",
            "X-A: 1",
            "TE: x",
        ]));
        // An invitation to speak HTTP/2, which a server may ignore.
        stage.faithful(&get(&[
            "Upgrade: h2c",
            "Connection: Upgrade, HTTP2-Settings",
            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        ]));
        stage.faithful_h2(&h2::Request::new("GET", "/").header("te", "trailers"));
    });
}

#[test]
fn a_client_cannot_have_connection_take_away_what_makes_the_request() {
    with_each_version(|stage| {
        let head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: content-length, host\r\n\
                     Content-Length: 3\r\n\r\nabc";
        let pair = stage.pair(head);
        let expected = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\nx-shadow: 1\r\n\r\nabc";
        assert_eq!(
            pair.shadow.raw().escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    });
}

#[test]
fn host_is_what_the_client_sent() {
    with_each_version(|stage| {
        for host in ["Www.Example.ORG", "h:8080", "[::1]:81", "10.0.0.1", "under_score", "h."] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let pair = stage.faithful(head.as_bytes());
            assert_eq!(pair.shadow.header("host").unwrap(), host);
        }
        let mut request = h2::Request::new("GET", "/");
        request.authority = "Www.Example.ORG:8080".to_owned();
        let pair = stage.faithful_h2(&request);
        assert_eq!(pair.shadow.header("host").unwrap(), "Www.Example.ORG:8080");
    });
}

#[test]
fn the_marker_can_be_renamed_or_left_out() {
    for version in Version::ALL {
        for (name, marker) in [("X-Copy", Some("x-copy: 1".to_owned())), ("none", None)] {
            let setup = Setup::new(version).args(&format!("--marker-header {name}"));
            let mut stage = setup.start_with_shadow("");
            stage.rules.marker = marker;
            stage.faithful(&odd());
            // What marks copies otherwise is a header like any other then.
            let pair = stage.faithful(&get(&["X-Shadow: mine", "X-A: 1"]));
            assert_eq!(pair.shadow.header("x-shadow").unwrap(), "mine");
            stage.faithful(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
            stage.finish();
        }
    }
}
