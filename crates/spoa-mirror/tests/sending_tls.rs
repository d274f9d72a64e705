//! Copies to `https` targets: verified unless told otherwise, the same bytes as without TLS.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod support;

use std::time::Duration;

use support::bodies::{chunked, noise, with_length};
use support::stage::{Setup, ShadowStage};
use testbed::backend::{Behaviour, Framing, Recorder, Response, Step};
use testbed::haproxy::Version;
use testbed::tls::{Authority, Identity};
use testbed::wait;

/// Copies do not depend on the version of HAProxy here.
const VERSION: Version = Version::V3_4;

/// A shadow server with this certificate.
fn shadow(identity: &Identity) -> Recorder {
    let answer = Behaviour::respond(Response::ok("shadow"));
    Recorder::builder().tls(identity).behaviour(answer).start()
}

/// The file with the authority's certificate, and the directory that holds it.
fn ca(authority: &Authority) -> (String, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = authority.write_pem(directory.path());
    (path.to_str().unwrap().to_owned(), directory)
}

/// A shadow server with a certificate for these names, of an authority that the program trusts alone.
fn trusted(setup: Setup, names: &[&str], host: &str) -> ShadowStage {
    let authority = Authority::new();
    let (ca, _directory) = ca(&authority);
    let shadow = shadow(&authority.identity(names));
    let url = format!("https://{host}:{}/tls", shadow.address().port());
    setup.args(&format!("--mirror-ca {ca}")).start_with(shadow, &url)
}

#[test]
fn copies_over_tls_are_the_same() {
    for version in Version::ALL {
        let stage = trusted(Setup::new(version), &["127.0.0.1"], "127.0.0.1");
        for _ in 0..3 {
            stage.faithful(
                b"GET /a//b?c=<> HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-B:\r\nx-a: 2\r\n\r\n",
            );
            stage.faithful(&with_length("DELETE", "/", &noise(5000)));
            stage.faithful(&chunked("/", &noise(5000), 500));
            stage.faithful(b"HEAD / HTTP/1.0\r\n\r\n");
        }
        stage.finish();
    }
}

#[test]
fn the_certificate_is_for_the_name_in_the_mirror_url() {
    let stage = trusted(Setup::new(VERSION), &["localhost"], "localhost");
    // The request is for another host; so the copy is.
    stage.faithful(b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
    stage.finish();
}

/// Sends some requests, which the shadow must not see; gives the counters and what the log says about
/// the first failure.
fn refused(mut stage: ShadowStage) -> (String, String) {
    for _ in 0..5 {
        assert_eq!(stage.stage.get("/").text(), "production");
    }
    stage.stage.wait_copies(5);
    let counters = stage.stop().to_string();
    assert_eq!(stage.shadow.counts().requests, 0);
    assert!(stage.shadow.counts().broken > 0);
    let told = stage.stage.told("a copy failed");
    assert_eq!(told.len(), 1, "said once: {told:?}");
    (counters, told[0].clone())
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    // The system does not know the authority.
    let server = shadow(&Authority::new().identity(&["127.0.0.1"]));
    let url = format!("https://{}", server.address());
    let (counters, told) = refused(Setup::new(VERSION).start_with(server, &url));
    assert_eq!(counters, "received 5: failed tls 5");
    assert!(told.contains("UnknownIssuer"), "{told}");
    // Nor does the file with another one.
    let (other, _directory) = ca(&Authority::new());
    let server = shadow(&Authority::new().identity(&["127.0.0.1"]));
    let url = format!("https://{}", server.address());
    let setup = Setup::new(VERSION).args(&format!("--mirror-ca {other}"));
    let (counters, told) = refused(setup.start_with(server, &url));
    assert_eq!(counters, "received 5: failed tls 5");
    assert!(told.contains(&url), "{told}");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let stage = trusted(Setup::new(VERSION), &["other.example.org", "10.0.0.1"], "127.0.0.1");
    let (counters, told) = refused(stage);
    assert_eq!(counters, "received 5: failed tls 5");
    assert!(told.contains("not valid for name") || told.contains("NotValidForName"), "{told}");
}

#[test]
fn a_certificate_that_has_expired_is_refused() {
    let authority = Authority::new();
    let (ca, _directory) = ca(&authority);
    let server = shadow(&authority.expired_identity(&["127.0.0.1"]));
    let url = format!("https://{}", server.address());
    let setup = Setup::new(VERSION).args(&format!("--mirror-ca {ca}"));
    let (counters, told) = refused(setup.start_with(server, &url));
    assert_eq!(counters, "received 5: failed tls 5");
    assert!(told.contains("xpired"), "{told}");
}

#[test]
fn any_certificate_does_with_mirror_insecure_which_is_said_loudly() {
    let authority = Authority::new();
    for identity in [
        authority.identity(&["127.0.0.1"]),
        authority.identity(&["other.example.org"]),
        authority.expired_identity(&["127.0.0.1"]),
    ] {
        let server = shadow(&identity);
        let url = format!("https://{}", server.address());
        let stage = Setup::new(VERSION).args("--mirror-insecure").start_with(server, &url);
        let told = stage.stage.agent.wait_line(wait::LIMIT, |line| line.contains("NOT verified"));
        assert!(
            told.contains("\"level\":\"WARN\"") && told.contains("--mirror-insecure"),
            "{told}"
        );
        stage.faithful(&with_length("POST", "/", b"a body"));
        stage.finish();
    }
}

#[test]
fn a_target_that_does_not_speak_tls() {
    let mut stage = {
        let server = Recorder::with(Behaviour::speaks_first("220 mail\r\n", Behaviour::mute()));
        let url = format!("https://{}", server.address());
        Setup::new(VERSION).start_with(server, &url)
    };
    for _ in 0..3 {
        stage.stage.get("/");
    }
    stage.stage.wait_copies(3);
    assert_eq!(stage.stop().to_string(), "received 3: failed tls 3");
}

#[test]
fn a_target_that_is_silent_in_the_handshake() {
    // It waits for a request in the clear.
    let server = Recorder::start();
    let url = format!("https://{}", server.address());
    let setup = Setup::new(VERSION).args("--connect-timeout 300ms");
    let mut stage = setup.start_with(server, &url);
    for _ in 0..3 {
        stage.stage.get("/");
    }
    stage.stage.wait_copies(3);
    assert_eq!(stage.stop().to_string(), "received 3: failed connect-timeout 3");
}

#[test]
fn bodies_larger_than_what_tls_takes_at_once() {
    let setup = Setup::new(VERSION).guide(|guide| guide.bufsize(600_000));
    let mut stage = trusted(setup, &["127.0.0.1"], "127.0.0.1");
    for length in [65_536, 100_000, 500_000] {
        let body = noise(length);
        let pair = stage.faithful(&with_length("POST", "/", &body));
        assert!(pair.shadow.body == body);
        stage.faithful(&chunked("/", &body, 30_000));
    }
    let counters = stage.stop();
    assert_eq!(counters.to_string(), "received 6: answered 2xx 6");
}

#[test]
fn answers_larger_than_a_record() {
    let stage = trusted(Setup::new(VERSION), &["127.0.0.1"], "127.0.0.1");
    for framing in [Framing::Length, Framing::Chunked { piece: 999, trailers: String::new() }] {
        let answer = Response::ok(vec![b'x'; 400_000]).framing(framing);
        stage.shadow.set(Behaviour::respond(answer));
        for _ in 0..5 {
            stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        }
    }
    let lines = stage.stage.wait_copies(10);
    assert!(lines.iter().all(|line| line["body_bytes_received"] == 400_000), "{lines:#?}");
    // One copy may have gone out before the answer to the one before it was read.
    assert!(stage.shadow.counts().connections <= 3, "{:?}", stage.shadow.counts());
    stage.finish();
}

/// The target says goodbye right behind each answer, without having announced it: the next copies go over
/// new connections, and none is lost.
#[test]
fn a_target_that_closes_behind_its_answer() {
    let stage = trusted(Setup::new(VERSION), &["127.0.0.1"], "127.0.0.1");
    stage.shadow.set(Behaviour::close_after_response(Response::ok("bye")));
    for number in 1..=20 {
        stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        wait::holds(wait::LIMIT, "the connection is closed", || stage.shadow.counts().open == 0);
        assert_eq!(stage.shadow.counts().connections, number);
    }
    stage.finish();
}

/// Surplus behind an answer, in a record of its own, is not taken for the next answer.
#[test]
fn records_behind_an_answer() {
    let stage = trusted(Setup::new(VERSION), &["127.0.0.1"], "127.0.0.1");
    let answer = || Step::Send(Response::ok("ok").to_bytes(b"GET"));
    let surplus = Step::Send(Response::new(500).to_bytes(b"GET"));
    stage.shadow.set(Behaviour::steps(move |_| vec![answer(), surplus.clone()]));
    for number in 1..=10 {
        stage.faithful(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        wait::holds(Duration::from_secs(20), "the connection is closed", || {
            stage.shadow.counts().open == 0
        });
        assert_eq!(stage.shadow.counts().connections, number);
    }
    stage.finish();
}
