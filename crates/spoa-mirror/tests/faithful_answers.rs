//! Answers to copies are read to their right end, whatever tells it, and counted by their class; the
//! connection then carries the next copy.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod support;

use serde_json::Value;
use support::stage::{Setup, ShadowStage};
use testbed::backend::{Behaviour, Framing, Request, Response, Step};
use testbed::haproxy::Version;

/// The answers are the shadow's; which HAProxy there is does not matter to them.
const VERSIONS: [Version; 2] = [Version::V2_6, Version::V3_4];

/// Sends a request whose path says how it is answered, and gives the log line about its copy, once there
/// is one.
fn copy(stage: &ShadowStage, method: &str, path: &str) -> Value {
    let before = stage.stage.copies().len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    stage.faithful(head.as_bytes());
    stage.stage.wait_copies(before + 1).remove(before)
}

fn answers(request: &Request) -> Vec<Step> {
    let text = |text: &str| vec![Step::Send(text.as_bytes().to_vec())];
    let answer = |response: Response| vec![Step::Send(response.to_bytes(request.method()))];
    let chunked = |trailers: &str| Framing::Chunked { piece: 7, trailers: trailers.to_owned() };
    match request.target() {
        b"/length" => answer(Response::ok("a body")),
        b"/empty" => answer(Response::ok("")),
        b"/large" => answer(Response::ok(vec![b'x'; 300_000])),
        b"/head-length" => text("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"),
        b"/head-chunked" => text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        b"/head-nothing" => text("HTTP/1.1 200 OK\r\n\r\n"),
        b"/204" => text("HTTP/1.1 204 No Content\r\n\r\n"),
        b"/204-length" => text("HTTP/1.1 204 No Content\r\ncontent-length: 10\r\n\r\n"),
        b"/304" => text("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n"),
        b"/304-length" => text("HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n"),
        b"/304-chunked" => text("HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n"),
        b"/100" => answer(Response::ok("a body").after(100, "")),
        b"/103" => answer(
            Response::ok("a body").after(102, "").after(103, "link: </a.css>\r\n").after(103, ""),
        ),
        b"/chunks" => answer(Response::ok("a body in pieces").framing(chunked(""))),
        b"/no-chunks" => answer(Response::ok("").framing(chunked(""))),
        b"/trailers" => answer(
            Response::ok("a body in pieces").framing(chunked("x-sum: 1\r\nx-more: a: b\r\n")),
        ),
        b"/extensions" => text(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
             003;a=\"b\"\r\nabc\r\nA ;x\r\n0123456789\r\n00;last\r\n\r\n",
        ),
        b"/bit-by-bit" => {
            let answer = Response::ok("a body in pieces").framing(chunked("x-sum: 1\r\n"));
            let bytes = answer.after(100, "").to_bytes(request.method());
            bytes.iter().map(|&byte| Step::Send(vec![byte])).collect()
        }
        b"/until-close" => {
            [text("HTTP/1.1 200 OK\r\n\r\na body without a length"), vec![Step::Close]].concat()
        }
        b"/old" => [text("HTTP/1.0 200 OK\r\nserver: old\r\n\r\nold"), vec![Step::Close]].concat(),
        other => {
            let status = String::from_utf8_lossy(&other[1..]).parse().unwrap();
            answer(Response::new(status).body("a body"))
        }
    }
}

#[test]
fn answers_that_leave_the_connection_for_the_next_copy() {
    for version in VERSIONS {
        let mut stage = Setup::new(version).start_with_shadow("");
        stage.shadow.set(Behaviour::steps(answers));
        for (method, path, status, received) in [
            ("GET", "/length", 200, 6),
            ("HEAD", "/head-length", 200, 0),
            ("GET", "/empty", 200, 0),
            ("HEAD", "/head-chunked", 200, 0),
            ("HEAD", "/head-nothing", 200, 0),
            ("GET", "/204", 204, 0),
            ("GET", "/204-length", 204, 0),
            ("GET", "/304", 304, 0),
            ("GET", "/304-length", 304, 0),
            ("GET", "/304-chunked", 304, 0),
            ("GET", "/100", 200, 6),
            ("GET", "/103", 200, 6),
            ("GET", "/chunks", 200, 16),
            ("GET", "/no-chunks", 200, 0),
            ("GET", "/trailers", 200, 16),
            ("GET", "/extensions", 200, 13),
            ("GET", "/bit-by-bit", 200, 16),
            ("GET", "/large", 200, 300_000),
            ("GET", "/length", 200, 6),
        ] {
            let line = copy(&stage, method, path);
            assert_eq!(
                (&line["status"], &line["body_bytes_received"], &line["result"]),
                (&status.into(), &received.into(), &"ok".into()),
                "{method} {path}"
            );
        }
        let counters = stage.stop();
        assert_eq!(counters.to_string(), "received 19: answered 2xx 16, answered 3xx 3");
        assert_eq!(stage.shadow.counts().connections, 1, "all on one connection");
    }
}

#[test]
fn answers_that_end_with_their_connection() {
    for version in VERSIONS {
        let mut stage = Setup::new(version).start_with_shadow("");
        stage.shadow.set(Behaviour::steps(answers));
        for (path, received) in [("/until-close", 23), ("/old", 3), ("/length", 6)] {
            let line = copy(&stage, "GET", path);
            assert_eq!(
                (&line["status"], &line["body_bytes_received"], &line["result"]),
                (&200.into(), &received.into(), &"ok".into()),
                "{path}"
            );
        }
        assert_eq!(stage.stop().to_string(), "received 3: answered 2xx 3");
        assert_eq!(stage.shadow.counts().connections, 3);
    }
}

#[test]
fn answers_are_counted_by_class() {
    for version in VERSIONS {
        let mut stage = Setup::new(version).start_with_shadow("");
        stage.shadow.set(Behaviour::steps(answers));
        for status in [200, 201, 299, 301, 302, 400, 404, 429, 500, 503, 599] {
            let line = copy(&stage, "GET", &format!("/{status}"));
            assert_eq!((&line["status"], &line["result"]), (&status.into(), &"ok".into()));
        }
        let counters = stage.stop();
        assert_eq!(
            counters.to_string(),
            "received 11: answered 2xx 3, answered 3xx 2, answered 4xx 3, answered 5xx 3"
        );
    }
}

/// What breaks off, and what is no HTTP, is neither an answer of some class nor the end of mirroring.
#[test]
fn answers_that_are_none() {
    for version in VERSIONS {
        let mut stage = Setup::new(version).start_with_shadow("");
        for (behaviour, result) in [
            (Behaviour::garbage("SSH-2.0-OpenSSH_9.2\r\n"), "unparsable answer"),
            (
                Behaviour::garbage(
                    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
                ),
                "unparsable answer",
            ),
            (Behaviour::cut_short("HTTP/1.1 200"), "incomplete-answer"),
            (
                Behaviour::cut_short("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na"),
                "incomplete-answer",
            ),
            (
                Behaviour::cut_short("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\na"),
                "incomplete-answer",
            ),
            (Behaviour::close_without_answer(), "closed"),
            (Behaviour::reset(), "reset"),
        ] {
            stage.shadow.set(behaviour);
            let line = copy(&stage, "GET", "/");
            assert_eq!(line["result"], result);
        }
        stage.shadow.set(Behaviour::respond(Response::ok("well again")));
        assert_eq!(copy(&stage, "GET", "/")["result"], "ok");
        let counters = stage.stop();
        assert_eq!(
            counters.to_string(),
            "received 8: answered 2xx 1, answered unparsable 2, failed closed 1, \
             failed incomplete-answer 3, failed reset 1"
        );
    }
}

#[test]
fn bytes_after_an_answer_are_not_taken_for_the_next_one() {
    for version in VERSIONS {
        let mut stage = Setup::new(version).start_with_shadow("");
        let twice = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
        stage.shadow.set(Behaviour::raw(twice));
        for _ in 0..3 {
            copy(&stage, "GET", "/");
        }
        assert_eq!(stage.stop().to_string(), "received 3: answered 2xx 3");
        assert_eq!(stage.shadow.counts().connections, 3);
    }
}
