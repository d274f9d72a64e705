//! Copies to targets that speak HTTP/2: the same request as far as HTTP/2 has words for it; otherwise none.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use support::bodies::{chunked, noise, with_length};
use support::copy::{Rules, expected};
use support::stage::{Setup, Stage};
use testbed::backend::{self, Behaviour, Recorder, Response, h2};
use testbed::client;
use testbed::counters::Target;
use testbed::haproxy::{Haproxy, Version};
use testbed::tls::Authority;
use testbed::wait;

/// What is special about copies in HTTP/2 does not depend on the version of HAProxy.
const VERSION: Version = Version::V3_4;

/// HAProxy, production, the program, and a shadow server that speaks HTTP/2.
struct Http2 {
    stage: Stage,
    shadow: h2::Recorder,
    prefix: &'static str,
    scheme: &'static str,
}

impl Http2 {
    /// Over TLS, where both sides choose HTTP/2.
    fn over_tls(setup: Setup) -> Self {
        let authority = Authority::new();
        let directory = tempfile::tempdir().unwrap();
        let ca = authority.write_pem(directory.path());
        let answer = h2::Behaviour::Respond(200, b"shadow".to_vec());
        let shadow = h2::Recorder::start_tls(answer, &authority.identity(&["127.0.0.1"]));
        let args = format!("-u https://{}/p --mirror-ca {}", shadow.address(), ca.display());
        Self { stage: setup.args(&args).start(), shadow, prefix: "/p", scheme: "https" }
    }

    /// In the clear, without asking.
    fn in_the_clear(setup: Setup) -> Self {
        let shadow = h2::Recorder::start(h2::Behaviour::Respond(200, b"shadow".to_vec()));
        let args = format!("-u http://{} --mirror-http 2", shadow.address());
        Self { stage: setup.args(&args).start(), shadow, prefix: "", scheme: "http" }
    }

    /// Sends a request; gives what the shadow received of it.
    #[track_caller]
    fn faithful(&self, bytes: &[u8]) -> h2::Request {
        let before = self.shadow.requests().len();
        self.stage.send(bytes);
        let original = self.stage.production.wait_for(1, wait::LIMIT).remove(0);
        self.stage.production.take();
        let copy = self.shadow.wait_for(before + 1, wait::LIMIT).remove(before);
        self.assert_same(&original, &copy);
        copy
    }

    /// The copy is what [`expected`] says, in HTTP/2's words.
    #[track_caller]
    fn assert_same(&self, original: &backend::Request, copy: &h2::Request) {
        let rules = Rules { prefix: self.prefix.to_owned(), ..Rules::default() };
        let mut words = original.clone();
        words.raw_head = expected(original, &rules);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(copy.method, text(words.method()));
        assert_eq!(copy.scheme.as_deref(), Some(self.scheme));
        assert_eq!(copy.authority, original.header("host"));
        assert_eq!(copy.path, text(words.target()));
        assert!(copy.body == original.body && copy.complete && copy.trailers.is_empty());
        // HTTP/2 implementations may group headers of the same name; their order is kept.
        let mut headers: Vec<(String, Vec<u8>)> = words
            .headers()
            .into_iter()
            .filter(|(name, _)| *name != b"host")
            .map(|(name, value)| (text(name), value.to_vec()))
            .collect();
        let mut copied = copy.headers.clone();
        headers.sort_by(|one, other| one.0.cmp(&other.0));
        copied.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(copied, headers);
    }

    /// Ends the program and gives its last counters.
    fn stop(&mut self) -> Target {
        self.stage.finish(&self.shadow.address().to_string())
    }
}

#[test]
fn copies_are_the_same_request() {
    for version in Version::ALL {
        let stages =
            [Http2::over_tls(Setup::new(version)), Http2::in_the_clear(Setup::new(version))];
        for mut stage in stages {
            stage.faithful(b"GET / HTTP/1.1\r\nHost: Www.example.org:8080\r\n\r\n");
            stage.faithful(b"GET //a/../b?c=%zz&d={}|^~[]\\ HTTP/1.1\r\nHost: h\r\n\r\n");
            stage.faithful(
                b"get /a HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nCookie: a=1\r\nX-Empty:\r\nx-a: 2\r\n\
                  X-Latin: \xe4\xff\r\nX-Tab: a\tb\r\nCookie: b=2\r\nAuthorization: Basic eDp5\r\n\r\n",
            );
            stage.faithful(b"OPTIONS /a HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n");
            stage.faithful(
                b"HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: x-b\r\nX-B: 1\r\nTE: x\r\n\r\n",
            );
            let many: String =
                (0..80).map(|n| format!("X-{n}: {}\r\n", "long ".repeat(25))).collect();
            stage.faithful(format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n").as_bytes());
            stage.faithful(&with_length("DELETE", "/", &noise(5000)));
            stage.faithful(&with_length("POST", "/", b""));
            stage.faithful(&chunked("/", &noise(5000), 500));
            let client = client::h2::Client::connect(stage.stage.haproxy.address("http")).unwrap();
            let request = client::h2::Request::new("PATCH", "/x?y").header("cookie", "c=3");
            client.exchange(&request.body("a body")).unwrap();
            let copies = stage.shadow.wait_for(10, wait::LIMIT);
            stage.assert_same(&stage.stage.production.requests()[0], &copies[9]);
            assert_eq!(stage.stop().to_string(), "received 10: answered 2xx 10");
        }
    }
}

#[test]
fn the_asterisk() {
    for mut stage in
        [Http2::over_tls(Setup::new(VERSION)), Http2::in_the_clear(Setup::new(VERSION))]
    {
        let copy = stage.faithful(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(copy.path, "*");
        assert_eq!(stage.stop().to_string(), "received 1: answered 2xx 1");
    }
}

/// What HTTP/2 has no words for, or the library that speaks it: counted, and not made into something else.
#[test]
fn requests_that_http2_cannot_express_are_not_sent() {
    for mut stage in
        [Http2::over_tls(Setup::new(VERSION)), Http2::in_the_clear(Setup::new(VERSION))]
    {
        for head in [
            // To HTTP/2, an absolute target is no target of another form; to production it was.
            &b"GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n"[..],
            b"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n",
            // Something would have to be put in Host's place.
            b"GET /a HTTP/1.0\r\n\r\n",
            // A path that a URI does not have.
            b"GET /a<b HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /a?b=\"c\" HTTP/1.1\r\nHost: h\r\n\r\n",
        ] {
            stage.stage.send(head);
        }
        stage.stage.production.take();
        stage.faithful(b"GET /a HTTP/1.0\r\nHost: h\r\n\r\n");
        assert_eq!(stage.shadow.requests().len(), 1);
        let counters = stage.stop().to_string();
        assert_eq!(counters, "received 7: answered 2xx 1, dropped unrepresentable 6");
        let told = stage.stage.told("a request was not copied: unrepresentable");
        assert_eq!(told.len(), 1, "{told:?}");
    }
}

/// Every byte in a target and in a value: as far as HAProxy passes it, it is copied as it is, or not at all.
#[test]
fn no_byte_is_altered() {
    let option = "option accept-unsafe-violations-in-http-request";
    let mut stage =
        Http2::in_the_clear(Setup::new(VERSION).guide(move |guide| guide.frontend(option)));
    let mut passed = 0;
    for byte in (1..=255).filter(|byte| !b"\r\n ".contains(byte)) {
        for (before, after) in [
            (&b"GET /pa"[..], &b"th?query HTTP/1.1\r\nHost: h\r\n"[..]),
            (b"GET /path?que", b"ry HTTP/1.1\r\nHost: h\r\n"),
            (b"GET / HTTP/1.1\r\nHost: h\r\nX-A: in", b"ner\r\n"),
        ] {
            let number = format!("X-Number: {passed}\r\n\r\n");
            let head = [before, &[byte], after, number.as_bytes()].concat();
            let address = stage.stage.haproxy.address("http");
            match client::http1::exchange(address, &head).unwrap().status {
                200 => passed += 1,
                400 => {}
                other => panic!("{}: status {other}", head.escape_ascii()),
            }
        }
    }
    // Its end lets copies under way come to theirs.
    let counters = stage.stop().to_string();
    let originals = stage.stage.production.requests();
    let copies = stage.shadow.requests();
    for copy in &copies {
        let number = copy.header("x-number");
        let mut originals = originals.iter();
        let original = originals.find(|original| original.header("x-number") == number);
        stage.assert_same(original.unwrap(), copy);
    }
    let copied = copies.len();
    assert!(copied > 350, "{copied} of {passed} were copied");
    let dropped = passed - copied;
    let expected =
        format!("received {passed}: answered 2xx {copied}, dropped unrepresentable {dropped}");
    assert_eq!(counters, expected);
}

/// A server, which is HAProxy, that speaks HTTP/2 and HTTP/1.1 over TLS with this certificate; it tells the
/// shadow behind it which one a copy came in.
fn speaks_both(authority: &Authority, shadow: &Recorder) -> Haproxy {
    Haproxy::builder(VERSION)
        .config(format!(
            "global\n    maxconn 100\ndefaults\n    mode http\n    timeout connect 5s\n    \
             timeout client 50s\n    timeout server 50s\nfrontend staging\n    \
             bind 127.0.0.1:{{port:tls}} ssl crt {{dir}}/server.pem alpn h2,http/1.1\n    \
             http-request set-header x-came-in HTTP/%[req.ver]\n    default_backend shadow\n\
             backend shadow\n    server shadow {}\n",
            shadow.address()
        ))
        .file("server.pem", authority.identity(&["127.0.0.1"]).pem_with_key())
        .start()
}

#[test]
fn alpn_decides_unless_told_otherwise() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let ca = authority.write_pem(directory.path());
    for (flag, version) in
        [("", "HTTP/2.0"), ("--mirror-http 1.1", "HTTP/1.1"), ("--mirror-http 2", "HTTP/2.0")]
    {
        let shadow = Recorder::start();
        let staging = speaks_both(&authority, &shadow);
        let address = staging.address("tls");
        let mut stage = Setup::new(VERSION)
            .args(&format!("-u https://{address} --mirror-ca {} {flag}", ca.display()))
            .start();
        for number in 0..10 {
            stage.post(&format!("/{number}"), &noise(1000));
        }
        let copies = shadow.wait_for(10, wait::LIMIT);
        for copy in copies {
            assert_eq!(copy.header("x-came-in").unwrap(), version, "with {flag:?}");
            assert_eq!(copy.body, noise(1000));
        }
        let counters = stage.finish(&address.to_string());
        assert_eq!(counters.to_string(), "received 10: answered 2xx 10");
    }
}

/// Interim answers, before the one that counts; answers that tell a length and have no body.
#[test]
fn answers_that_are_not_what_they_seem() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let ca = authority.write_pem(directory.path());
    let shadow = Recorder::start();
    let staging = speaks_both(&authority, &shadow);
    let address = staging.address("tls");
    let mut stage = Setup::new(VERSION)
        .args(&format!("-u https://{address} --mirror-ca {}", ca.display()))
        .start();
    let hinted = Response::new(404).body("no").after(103, "link: </a.css>\r\n").after(103, "");
    for (number, (method, status, answer)) in [
        ("GET", 404, hinted.to_bytes(b"GET")),
        ("HEAD", 200, b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_vec()),
        ("GET", 304, b"HTTP/1.1 304 No\r\ncontent-length: 1000\r\netag: \"a\"\r\n\r\n".to_vec()),
        ("GET", 204, b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        ("GET", 404, hinted.to_bytes(b"GET")),
    ]
    .into_iter()
    .enumerate()
    {
        shadow.set(Behaviour::raw(answer));
        stage.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        let line = stage.wait_copies(number + 1).remove(number);
        assert_eq!(
            (&line["version"], &line["status"], &line["result"]),
            (&"HTTP/2".into(), &status.into(), &"ok".into()),
            "{method} {status}"
        );
    }
    let counters = stage.finish(&address.to_string());
    assert_eq!(counters.to_string(), "received 5: answered 2xx 2, answered 3xx 1, answered 4xx 2");
}

#[test]
fn a_server_without_http2() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let ca = authority.write_pem(directory.path());
    for (flag, counted) in [("", "answered 2xx 3"), ("--mirror-http 2", "failed tls 3")] {
        let answer = Behaviour::respond(Response::ok(""));
        let identity = authority.identity(&["127.0.0.1"]);
        let shadow = Recorder::builder().tls(&identity).behaviour(answer).start();
        let mut stage = Setup::new(VERSION)
            .args(&format!("-u https://{} --mirror-ca {} {flag}", shadow.address(), ca.display()))
            .start();
        (0..3).for_each(|_| drop(stage.get("/")));
        stage.wait_copies(3);
        let counters = stage.finish(&shadow.address().to_string());
        assert_eq!(counters.to_string(), format!("received 3: {counted}"));
    }
}

#[test]
fn bodies_larger_than_the_window() {
    for in_the_clear in [true, false] {
        let setup = Setup::new(VERSION).guide(|guide| guide.bufsize(600_000));
        let mut stage =
            if in_the_clear { Http2::in_the_clear(setup) } else { Http2::over_tls(setup) };
        for length in [65_535, 65_536, 100_000, 500_000] {
            stage.faithful(&with_length("POST", "/", &noise(length)));
        }
        assert_eq!(stage.stop().to_string(), "received 4: answered 2xx 4");
    }
}

#[test]
fn answers_of_every_kind() {
    let mut stage = Http2::in_the_clear(Setup::new(VERSION).args("--max-answer 100k"));
    for (method, status, body) in [
        ("GET", 200, vec![]),
        ("GET", 200, vec![b'x'; 90_000]),
        ("HEAD", 200, vec![]),
        ("GET", 204, vec![]),
        ("GET", 304, vec![]),
        ("GET", 302, b"elsewhere".to_vec()),
        ("GET", 404, b"no".to_vec()),
        ("GET", 503, b"no".to_vec()),
        // Over the limit.
        ("GET", 200, vec![b'x'; 300_000]),
        ("GET", 200, b"after that".to_vec()),
    ] {
        stage.shadow.set(h2::Behaviour::Respond(status, body.clone()));
        let before = stage.stage.copies().len();
        stage.stage.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        let line = stage.stage.wait_copies(before + 1).remove(before);
        assert_eq!((&line["status"], &line["version"]), (&status.into(), &"HTTP/2".into()));
        if body.len() < 100_000 {
            assert_eq!(
                (&line["result"], &line["body_bytes_received"]),
                (&"ok".into(), &body.len().into())
            );
        } else {
            assert_eq!(line["result"], "ok, answer over the size limit");
        }
    }
    assert_eq!(stage.shadow.connections(), 1);
    let counters = stage.stop();
    assert_eq!(
        counters.to_string(),
        "received 10: answered 2xx 6, answered 3xx 2, answered 4xx 1, answered 5xx 1"
    );
    assert_eq!(counters.answers_cut, 1);
}

/// What the target does to one copy costs that copy, which is not sent again, and not the next.
#[test]
fn a_target_in_trouble() {
    for (behaviour, result) in [
        // INTERNAL_ERROR, ENHANCE_YOUR_CALM.
        (h2::Behaviour::ResetStream(2), "http2"),
        (h2::Behaviour::ResetStream(11), "http2"),
        (h2::Behaviour::Disconnect, "closed"),
        (h2::Behaviour::Mute, "timeout"),
    ] {
        let mut stage = Http2::in_the_clear(Setup::new(VERSION).args("--timeout 500ms"));
        for number in 0..3 {
            stage.shadow.set(behaviour.clone());
            stage.stage.get("/");
            let lines = stage.stage.wait_copies(2 * number + 1);
            assert_eq!(lines[2 * number]["result"], result);
            stage.shadow.set(h2::Behaviour::Respond(200, Vec::new()));
            stage.stage.get("/");
            let lines = stage.stage.wait_copies(2 * number + 2);
            assert_eq!(lines[2 * number + 1]["result"], "ok", "after {result}");
        }
        assert_eq!(stage.shadow.requests().len(), 6, "{result}: none is sent twice");
        let counters = stage.stop().to_string();
        assert_eq!(counters, format!("received 6: answered 2xx 3, failed {result} 3"));
    }
}

/// A target that says that a connection is at its end loses no copy.
#[test]
fn a_target_that_says_goaway() {
    let mut stage = Http2::in_the_clear(Setup::new(VERSION));
    stage.shadow.set(h2::Behaviour::GoAway);
    for number in 1..=10 {
        stage.stage.get("/");
        stage.stage.wait_copies(number);
    }
    assert_eq!(stage.shadow.requests().len(), 10);
    assert!(stage.shadow.connections() > 1, "{}", stage.shadow.connections());
    assert_eq!(stage.stop().to_string(), "received 10: answered 2xx 10");
}

/// A target that leaves in the middle: what it says it did not look at goes over another connection, and
/// what it may have looked at is not sent again.
#[test]
fn goaway_with_copies_under_way() {
    for (answers_first, counted) in
        [(true, "answered 2xx 5"), (false, "answered 2xx 3, failed http2 2")]
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut leaving = Frames::accept(&listener);
            let streams: Vec<u32> = (0..5).map(|_| leaving.next_request().unwrap()).collect();
            // The last stream processed is the second; ENHANCE_YOUR_CALM.
            leaving.send(GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 11]);
            if answers_first {
                leaving.answer(1);
                leaving.answer(3);
            }
            leaving.0.shutdown(Shutdown::Write).unwrap();
            assert_eq!(leaving.next_request(), None);
            let mut staying = Frames::accept(&listener);
            let again = (0..3).map(|_| {
                let stream = staying.next_request().unwrap();
                staying.answer(stream);
                stream
            });
            (streams, again.collect::<Vec<_>>(), staying.next_request())
        });
        let mut stage =
            Setup::new(VERSION).args(&format!("-u http://{address} --mirror-http 2")).start();
        for number in 0..5 {
            stage.post(&format!("/{number}"), b"a body");
        }
        stage.wait_copies(5);
        let counters = stage.finish(&address.to_string()).to_string();
        assert_eq!(counters, format!("received 5: {counted}"));
        assert_eq!(server.join().unwrap(), (vec![1, 3, 5, 7, 9], vec![1, 3, 5], None));
    }
}

/// A target says that it has not looked at a copy, and may have it again; but not for ever.
#[test]
fn a_target_that_refuses_streams() {
    let mut stage = Http2::in_the_clear(Setup::new(VERSION));
    stage.shadow.set(h2::Behaviour::ResetStream(REFUSED_STREAM));
    stage.stage.post("/", b"a body");
    let lines = stage.stage.wait_copies(1);
    assert_eq!(lines[0]["result"], "http2");
    let tries = stage.shadow.requests().len();
    assert!((2..10).contains(&tries), "{tries}");
    stage.shadow.set(h2::Behaviour::Respond(200, Vec::new()));
    stage.stage.get("/");
    stage.stage.wait_copies(2);
    assert_eq!(stage.shadow.connections(), 1);
    assert_eq!(stage.stop().to_string(), "received 2: answered 2xx 1, failed http2 1");
}

/// Nothing comes from a connection any more, not even its end: it is asked, and given up. One that answers
/// is kept.
#[test]
fn a_connection_that_has_died() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = std::sync::mpsc::sync_channel(16);
    let server = std::thread::spawn(move || {
        let mut dying = Frames::accept(&listener);
        let stream = dying.next_request().unwrap();
        dying.answer(stream);
        let rest: Vec<_> = std::iter::from_fn(|| dying.next()).map(|frame| frame.kind).collect();
        tell.send(()).unwrap();
        let mut next = Frames::accept(&listener);
        let stream = next.next_request().unwrap();
        next.answer(stream);
        assert_eq!(next.next_request(), None);
        rest
    });
    let mut stage = Http2::in_the_clear(
        Setup::new(VERSION).args(&format!("-u http://{address} --log-level debug")),
    );
    stage.stage.get("/");
    told.recv_timeout(Duration::from_secs(60)).unwrap();
    stage.stage.get("/");
    stage.stage.wait_copies(4);
    let counters = stage.stage.finish(&address.to_string()).to_string();
    assert_eq!(counters, "received 2: answered 2xx 2");
    assert!(server.join().unwrap().contains(&PING));
    assert_eq!(stage.stage.told("no answer to a PING").len(), 1);
    assert_eq!(stage.shadow.connections(), 1);
}

/// Frames of RFC 9113 that tests write and look for.
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const REFUSED_STREAM: u32 = 7;

/// The server's side of an HTTP/2 connection, frame by frame.
struct Frames(TcpStream);

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frames {
    fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 24]).unwrap();
        let mut frames = Self(stream);
        frames.send(SETTINGS, 0, 0, &[]);
        frames
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat()).unwrap();
    }

    /// Status 200, no body.
    fn answer(&mut self, stream: u32) {
        // END_HEADERS and END_STREAM; the 8th entry of HPACK's static table.
        self.send(HEADERS, 0x5, stream, &[0x88]);
    }

    /// The next frame; `None` when the other end has closed.
    fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream) })
    }

    /// Reads until a request begins; gives its stream.
    fn next_request(&mut self) -> Option<u32> {
        loop {
            let frame = self.next()?;
            match frame.kind {
                HEADERS => return Some(frame.stream),
                // Not the acknowledgement of ours.
                SETTINGS if frame.flags == 0 => self.send(SETTINGS, 1, 0, &[]),
                _ => {}
            }
        }
    }
}

/// Many copies at once share a connection.
#[test]
fn copies_side_by_side() {
    let mut stage = Http2::over_tls(Setup::new(VERSION));
    stage.shadow.set(h2::Behaviour::Delay(Duration::from_millis(200)));
    std::thread::scope(|scope| {
        for thread in 0..10 {
            let stage = &stage.stage;
            scope.spawn(move || (0..10).for_each(|n| drop(stage.get(&format!("/{thread}/{n}")))));
        }
    });
    let copies = stage.shadow.wait_for(100, wait::LIMIT);
    let paths: BTreeSet<_> = copies.iter().map(|copy| &copy.path).collect();
    assert_eq!((copies.len(), paths.len()), (100, 100));
    let connections: BTreeSet<_> = copies.iter().map(|copy| copy.connection).collect();
    assert!(connections.len() <= 4, "{connections:?}");
    assert_eq!(stage.stop().to_string(), "received 100: answered 2xx 100");
}
