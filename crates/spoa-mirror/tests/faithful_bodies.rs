//! Copies have production's body, byte for byte and with the right length, or are not sent at all, on
//! every version of HAProxy.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod support;

use std::io::Read as _;

use support::bodies::{chunked, noise, with_length};
use support::stage::{Setup, ShadowStage};
use testbed::client::h2;
use testbed::client::http1::Client;
use testbed::haproxy::Version;

fn with_each_version(test: impl Fn(&ShadowStage)) {
    for version in Version::ALL {
        let stage = Setup::new(version).start_with_shadow("");
        test(&stage);
        stage.finish();
    }
}

#[test]
fn bodies_with_any_method() {
    with_each_version(|stage| {
        for method in ["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS", "PROPFIND", "get", "X"] {
            let pair = stage.faithful(&with_length(method, "/", b"a body"));
            assert_eq!(pair.shadow.body, b"a body");
        }
    });
}

#[test]
fn no_body_is_another_thing_than_an_empty_one() {
    with_each_version(|stage| {
        for method in ["GET", "POST", "DELETE"] {
            let absent = format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n");
            let pair = stage.faithful(absent.as_bytes());
            assert_eq!(pair.shadow.header("content-length"), None);
            let pair = stage.faithful(&with_length(method, "/", b""));
            assert_eq!(pair.shadow.header("content-length").unwrap(), "0");
        }
        for body in [None, Some(Vec::new())] {
            let mut request = h2::Request::new("POST", "/").header("content-length", "0");
            request.body = body;
            let pair = stage.faithful_h2(&request);
            assert_eq!(pair.shadow.header("content-length").unwrap(), "0");
        }
        stage.faithful_h2(&h2::Request::new("POST", "/"));
    });
}

/// An HTTP/2 client may begin a body without a length and then send none of it. HAProxy tells
/// production by chunks, of which there are none, and tells the agent nothing: the copy has no body.
#[test]
fn a_body_of_http2_that_never_comes() {
    with_each_version(|stage| {
        let pair = stage.pair_h2(&h2::Request::new("POST", "/").body(""));
        assert_eq!(pair.production.raw_body, b"0\r\n\r\n");
        let copy = b"POST / HTTP/1.1\r\nhost: localhost\r\nx-shadow: 1\r\n\r\n";
        assert_eq!(pair.shadow.raw(), copy);
    });
}

#[test]
fn chunks_become_one_piece() {
    with_each_version(|stage| {
        let body = noise(9000);
        for piece in [1000, 4096, 9000] {
            let pair = stage.faithful(&chunked("/", &body, piece));
            assert_eq!(pair.shadow.body, body);
            assert_eq!(pair.shadow.header("content-length").unwrap(), "9000");
        }
        stage.faithful(&chunked("/", b"a byte at a time", 1));
        // Extensions and trailers belong to the connection; HAProxy hands over neither.
        stage.faithful(
            b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nHost: h\r\n\r\n\
              3;extension=1\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
        );
        // The chunks count, not a length beside them.
        stage.faithful(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n\
              3\r\nabc\r\n0\r\n\r\n",
        );
        // A body that comes bit by bit.
        let mut client = Client::connect(stage.stage.haproxy.address("http")).unwrap();
        for part in chunked("/slow", &noise(600), 100).chunks(97) {
            client.send(part).unwrap();
        }
        assert_eq!(client.response(false).unwrap().status, 200);
        stage.assert_received();
    });
}

#[test]
fn bodies_of_http2() {
    with_each_version(|stage| {
        for length in [1, 100, 10_000] {
            let body = noise(length);
            stage.faithful_h2(&h2::Request::new("POST", "/").body(body.clone()));
            let stated = h2::Request::new("PUT", "/").header("content-length", length.to_string());
            let pair = stage.faithful_h2(&stated.body(body.clone()));
            assert_eq!(pair.shadow.body, body);
        }
        stage.faithful_h2(&h2::Request::new("GET", "/").body("a GET with a body"));
    });
}

#[test]
fn bytes_of_every_value() {
    let body: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    with_each_version(|stage| {
        for request in [with_length("POST", "/", &body), chunked("/", &body, 100)] {
            assert_eq!(stage.faithful(&request).shadow.body, body);
        }
    });
}

#[test]
fn a_compressed_body_passes_untouched() {
    // What gzip makes of `hello`.
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\
                 \x36\x05\x00\x00\x00";
    with_each_version(|stage| {
        let head =
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nAccept-Encoding: gzip, br\r\n";
        let head = format!("{head}Content-Length: {}\r\n\r\n", gzip.len());
        let pair = stage.faithful(&[head.as_bytes(), gzip].concat());
        assert_eq!(pair.shadow.body, gzip);
        assert_eq!(pair.shadow.header("content-encoding").unwrap(), "gzip");
    });
}

#[test]
fn a_client_that_expects_100_continue() {
    with_each_version(|stage| {
        let mut client = Client::connect(stage.stage.haproxy.address("http")).unwrap();
        client
            .send(
                b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n",
            )
            .unwrap();
        // HAProxy invites the body; only then it is sent, and only then there is something to copy.
        let mut invitation = [0; 25];
        client.stream().read_exact(&mut invitation).unwrap();
        assert_eq!(invitation, *b"HTTP/1.1 100 Continue\r\n\r\n");
        client.send(b"a body").unwrap();
        assert_eq!(client.response(false).unwrap().status, 200);
        let pair = stage.assert_received();
        assert_eq!(pair.shadow.body, b"a body");
        assert_eq!(pair.shadow.header("expect"), None);
    });
}

/// HAProxy answers `100-continue` itself where a body follows, and passes whatever else is expected.
#[test]
fn expectations_that_production_gets() {
    with_each_version(|stage| {
        for (expect, passed) in
            [("other", "other"), ("100-continue, other", "other"), ("100-Continue", "")]
        {
            let head = format!("POST / HTTP/1.1\r\nHost: h\r\nExpect: {expect}\r\n");
            let request = format!("{head}Content-Length: 3\r\n\r\nabc");
            let pair = stage.faithful(request.as_bytes());
            assert_eq!(pair.shadow.header("expect").unwrap_or_default(), passed);
        }
        let without_a_body = b"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n";
        let pair = stage.faithful(without_a_body);
        assert_eq!(pair.shadow.header("expect").unwrap(), "100-continue");
    });
}

/// Without the body argument, as some configurations have it, a copy cannot have the body: it is not
/// sent where there was one, and sent where there was none.
#[test]
fn a_message_without_the_body() {
    for version in Version::ALL {
        let args = "arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs_bin";
        let mut stage =
            Setup::new(version).guide(move |guide| guide.args(args)).start_with_shadow("");
        stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        stage.faithful(&with_length("POST", "/", b""));
        stage.stage.send(&with_length("POST", "/", b"a body"));
        stage.stage.send(&with_length("PUT", "/", b"a body"));
        stage.stage.send(&chunked("/", b"a body", 10));
        let counters = stage.stop();
        assert_eq!(counters.to_string(), "received 5: answered 2xx 2, dropped truncated-body 3");
        let hints = stage.stage.told("bodies do not arrive whole");
        assert_eq!(hints.len(), 1, "{hints:?}");
        assert!(hints[0].contains("arg_body=req.body"), "{hints:?}");
    }
}

/// Large bodies arrive whole where the buffer holds them.
#[test]
fn a_larger_buffer_takes_larger_bodies() {
    for version in Version::ALL {
        let stage = Setup::new(version).guide(|guide| guide.bufsize(65_536)).start_with_shadow("");
        for length in [20_000, 40_000, 60_000] {
            let body = noise(length);
            let pair = stage.faithful(&with_length("POST", "/", &body));
            assert_eq!(pair.shadow.body, body);
            stage.faithful(&chunked("/", &body, 7000));
            stage.faithful_h2(&h2::Request::new("POST", "/").body(body));
        }
        stage.finish();
    }
}

/// Old versions of HAProxy cut what is larger than a frame into fragments.
#[test]
fn bodies_in_fragments() {
    for version in [Version::V2_6, Version::V3_0] {
        for frame in [1024, 16_380] {
            let stage = Setup::new(version)
                .guide(move |guide| {
                    guide.bufsize(65_536).agent_line(&format!("max-frame-size {frame}"))
                })
                .start_with_shadow("");
            for length in [10_000, 40_000, 60_000] {
                let body = noise(length);
                let pair = stage.faithful(&with_length("POST", "/", &body));
                assert_eq!(pair.shadow.body, body);
            }
            stage.finish();
        }
    }
}
