//! A body of which HAProxy hands over a part is recognised: it is not copied, or copied as the part that
//! it is, and marked. Never does a copy pass for the whole when it is not.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod support;

use support::bodies::{chunked, noise, with_length};
use support::copy::{Pair, Rules, expected};
use support::stage::Setup;
use testbed::backend::Request;
use testbed::client::h2;
use testbed::haproxy::{Guide, Version};

/// With HAProxy's own buffer size, both are too large: it hands over some 15 kB.
const LENGTHS: [usize; 2] = [20_480, 1 << 20];

/// The shadow got the beginning of production's body, by all appearances a request of its own, and
/// marked as what it is.
#[track_caller]
fn assert_marked_part(pair: &Pair) {
    let part = pair.shadow.body.len();
    let whole = pair.production.body.len();
    assert!((10_000..whole).contains(&part), "{part} of {whole} bytes");
    let mut production = pair.production.clone();
    production.body.truncate(part);
    let head = String::from_utf8(production.raw_head).unwrap();
    let stated =
        head.replace(&format!("content-length: {whole}"), &format!("content-length: {part}"));
    production.raw_head = stated.into_bytes();
    let marker = Some("x-shadow: 1; body=truncated".to_owned());
    let expected = expected(&production, &Rules { marker, ..Rules::default() });
    assert!(
        pair.shadow.raw() == expected,
        "{:?}\n  is not {}",
        pair.shadow,
        expected.escape_ascii()
    );
}

#[test]
fn a_part_of_a_body_is_not_sent_for_the_whole() {
    for version in Version::ALL {
        let mut stage = Setup::new(version).start_with_shadow("");
        let address = stage.stage.haproxy.address("http");
        for length in LENGTHS {
            let body = noise(length);
            stage.stage.send(&with_length("POST", "/", &body));
            stage.stage.send(&chunked("/", &body, 1000));
            stage.stage.send(&chunked("/", &body, length));
            let client = h2::Client::connect(address).unwrap();
            let request = h2::Request::new("PUT", "/").body(body.clone());
            assert_eq!(client.exchange(&request).unwrap().status, 200);
            let request = request.header("content-length", length.to_string());
            assert_eq!(client.exchange(&request).unwrap().status, 200);
            let there = stage.stage.production.take();
            assert_eq!(there.len(), 5);
            assert!(there.iter().all(|request| request.body == body), "production gets it all");
        }
        // What is whole goes on being copied.
        stage.faithful(&with_length("POST", "/", &noise(1000)));
        let counters = stage.stop();
        assert_eq!(counters.to_string(), "received 11: answered 2xx 1, dropped truncated-body 10");
        assert_eq!(stage.shadow.counts().requests, 1);
        let hints = stage.stage.told("bodies do not arrive whole");
        assert_eq!(hints.len(), 1, "{hints:?}");
        assert!(hints[0].contains("tune.bufsize"), "{hints:?}");
        assert!(hints[0].contains("of 20480 bytes came"), "{hints:?}");
    }
}

/// Where HAProxy does not wait for bodies, a chunked one arrives empty: nothing tells it from one that
/// is empty.
#[test]
fn a_chunked_body_of_which_nothing_came_is_not_sent_as_empty() {
    for version in Version::ALL {
        let mut stage = Setup::new(version).start_with_shadow("");
        stage.stage.send(&chunked("/", b"", 1));
        assert_eq!(stage.stage.production.take().len(), 1);
        stage.faithful(&with_length("POST", "/", b""));
        let counters = stage.stop();
        assert_eq!(counters.to_string(), "received 2: answered 2xx 1, dropped truncated-body 1");
        let hints = stage.stage.told("bodies do not arrive whole");
        assert!(hints[0].contains("option http-buffer-request"), "{hints:?}");
    }
}

#[test]
fn a_part_of_a_body_is_sent_when_wanted_with_its_own_length_and_marked() {
    for version in Version::ALL {
        let setup = Setup::new(version).args("--truncated-body send");
        let mut stage = setup.start_with_shadow("");
        for length in LENGTHS {
            let body = noise(length);
            assert_marked_part(&stage.pair(&with_length("POST", "/", &body)));
            assert_marked_part(&stage.pair(&chunked("/", &body, 1000)));
            assert_marked_part(&stage.pair(&chunked("/", &body, length)));
            assert_marked_part(&stage.pair_h2(&h2::Request::new("PUT", "/").body(body.clone())));
            let stated = h2::Request::new("PUT", "/").header("content-length", length.to_string());
            assert_marked_part(&stage.pair_h2(&stated.body(body)));
        }
        // Marked is only what is not whole.
        stage.faithful(&with_length("POST", "/", &noise(1000)));
        assert_eq!(stage.stop().to_string(), "received 11: answered 2xx 11");
        assert_eq!(stage.stage.told("bodies do not arrive whole"), [""; 0]);
    }
}

/// Sends bodies of sizes around the one where HAProxy's buffer ends, framed in every way. Whatever arrives
/// at the shadow is what production got; what does not arrive is counted. Gives the copies.
fn sizes_around_the_end_of(
    buffer: usize,
    version: Version,
    change: fn(Guide) -> Guide,
) -> Vec<Request> {
    let mut stage = Setup::new(version).guide(change).start_with_shadow("");
    let client = h2::Client::connect(stage.stage.haproxy.address("http")).unwrap();
    let mut sent = 0;
    for length in (buffer - 4200..buffer + 100).step_by(120) {
        let body = noise(length);
        let path = |kind| format!("/{length}/{kind}");
        stage.stage.send(&with_length("POST", &path("stated"), &body));
        stage.stage.send(&chunked(&path("chunks"), &body, 1000));
        stage.stage.send(&chunked(&path("chunk"), &body, length));
        stage.stage.send(&with_many_headers(&chunked(&path("headers"), &body, 13)));
        let request = h2::Request::new("POST", &path("h2")).body(body);
        assert_eq!(client.exchange(&request).unwrap().status, 200);
        sent += 5;
    }
    let counters = stage.stop();
    let originals = stage.stage.production.requests();
    let copies = stage.shadow.requests();
    for shadow in &copies {
        let mut originals = originals.iter();
        let production = originals.find(|original| original.target() == shadow.target());
        let pair = Pair { production: production.unwrap().clone(), shadow: shadow.clone() };
        pair.assert_faithful(&stage.rules, version);
    }
    let (copied, dropped) = (copies.len(), sent - copies.len());
    let expected =
        format!("received {sent}: answered 2xx {copied}, dropped truncated-body {dropped}");
    assert_eq!(counters.to_string(), expected, "HAProxy {version}");
    copies
}

fn with_many_headers(request: &[u8]) -> Vec<u8> {
    let lines: String = (0..80).map(|number| format!("X-{number}: {number}\r\n")).collect();
    let at = request.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
    [&request[..at], lines.as_bytes(), &request[at..]].concat()
}

/// The kinds of body among these copies.
fn kinds(copies: &[Request]) -> Vec<&'static str> {
    let there = |kind: &&str| copies.iter().any(|copy| copy.target().ends_with(kind.as_bytes()));
    ["stated", "chunks", "chunk", "headers", "h2"].into_iter().filter(there).collect()
}

#[test]
fn no_size_of_body_passes_for_whole_when_it_is_not() {
    for version in Version::ALL {
        let copies = sizes_around_the_end_of(16_384, version, |guide| guide);
        // Nor is everything dropped to be on the safe side.
        assert_eq!(kinds(&copies), ["stated", "chunks", "chunk", "headers", "h2"]);
        let copies = sizes_around_the_end_of(32_768, version, |guide| guide.bufsize(32_768));
        assert_eq!(kinds(&copies), ["stated", "chunks", "chunk", "headers", "h2"]);
    }
}

/// Where frames are smaller than the buffer they do not tell how large it is: a body counts as whole only if
/// its length is stated.
#[test]
fn no_body_in_fragments_passes_for_whole_when_it_is_not() {
    for version in [Version::V2_6, Version::V3_0] {
        let change: fn(Guide) -> Guide = |guide| guide.agent_line("max-frame-size 8000");
        let copies = sizes_around_the_end_of(16_384, version, change);
        assert_eq!(kinds(&copies), ["stated"]);
    }
}

/// With `req.body_size` among the arguments, a chunk of which a part is missing is known to be larger than
/// what came, however much of its buffer HAProxy keeps free.
#[test]
fn the_size_that_haproxy_states_tells_a_part_from_the_whole() {
    for version in Version::ALL {
        let mut stage = Setup::new(version)
            .guide(|guide| {
                guide.global("tune.maxrewrite 8000").args(
                    "arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs_bin \
                     arg_body=req.body arg_body_size=req.body_size",
                )
            })
            .start_with_shadow("");
        stage.faithful(&chunked("/", &noise(7000), 7000));
        stage.faithful(&with_length("POST", "/", &noise(7000)));
        stage.stage.send(&chunked("/", &noise(12_000), 12_000));
        assert_eq!(
            stage.stop().to_string(),
            "received 3: answered 2xx 2, dropped truncated-body 1"
        );
    }
}
