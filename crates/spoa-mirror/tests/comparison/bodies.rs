//! Bodies of production that HAProxy has not, or not all of: never taken for whole.

use std::time::Duration;

use testbed::backend::{Behaviour, Framing, Response, Step};
use testbed::haproxy::Version;

use crate::running::on_each_haproxy;
use crate::scene::{Form, Scene, Setup, answering, assert_all, count};

on_each_haproxy!(
    a_long_body_is_compared_by_what_is_sure,
    a_slow_body_is_never_taken_for_whole,
    a_body_that_takes_longer_than_haproxy_waits_costs_the_answer,
);

fn chunked(body: Vec<u8>) -> Response {
    Response::ok(body).framing(Framing::Chunked { piece: 1000, trailers: String::new() })
}

/// Sends a request to a production and a shadow that answer so.
fn pair(scene: &Scene, production: Response, shadow: Response) {
    let before = scene.shadow.counts().complete;
    scene.production.set(answering(move |_| production.clone()));
    scene.shadow.set(answering(move |_| shadow.clone()));
    scene.get("/");
    scene.shadow.wait_count(before + 1, testbed::wait::LIMIT);
}

fn a_long_body_is_compared_by_what_is_sure(version: Version) {
    for form in Form::ALL {
        let mut scene = Setup::new(version, form).start();
        let long = |last: u8| [vec![b'x'; 200_000], vec![last]].concat();
        // The same as far as anybody knows.
        pair(&scene, Response::ok(long(b'a')), Response::ok(long(b'a')));
        pair(&scene, Response::ok(long(b'a')), Response::ok(long(b'b')));
        pair(&scene, chunked(long(b'a')), chunked(long(b'a')));
        pair(&scene, chunked(long(b'a')), chunked(long(b'a')[..100_000].to_vec()));
        let compared = scene.wait_over(4);
        assert_all(&compared, "incomparable", 4);
        // The size, a header and the status are known.
        pair(&scene, Response::ok(long(b'a')), Response::ok(long(b'a')[1..].to_vec()));
        pair(&scene, Response::ok(long(b'a')), Response::ok(long(b'a')).header("X-New", "1"));
        pair(&scene, chunked(long(b'a')), chunked(long(b'a')).header("X-New", "1"));
        pair(&scene, Response::ok(long(b'a')), Response::new(404).body(long(b'a')));
        let compared = scene.finish();
        let (incomparable, different) =
            (count(&compared, "incomparable"), count(&compared, "different"));
        assert_eq!((incomparable, different), (4, 4), "{compared:?}");
    }
}

/// Answers with this head, whose body comes in two pieces, the second one later.
fn slowly(head: &str, pieces: [&str; 2]) -> Behaviour {
    let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n{}", pieces[0]);
    let last = pieces[1].to_owned();
    Behaviour::steps(move |_| {
        let (head, last) = (head.clone().into_bytes(), last.clone().into_bytes());
        vec![Step::Send(head), Step::Wait(Duration::from_millis(300)), Step::Send(last)]
    })
}

const JSON: &str = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
const TEXT: &str = "content-type: text/plain\r\ntransfer-encoding: chunked\r\n";
const CHUNKS: [&str; 2] = ["4\r\n[1, \r\n", "2\r\n2]\r\n0\r\n\r\n"];

/// Production's body comes in pieces, and the answer's head long before its end.
fn a_slow_body_is_never_taken_for_whole(version: Version) {
    for form in Form::ALL {
        let mut scene = Setup::new(version, form).waiting_for_json().start();
        // HAProxy waits for what has a length, and for what it is told to.
        scene.both(slowly("content-length: 6\r\n", ["[1, ", "2]"]));
        assert_eq!(scene.get("/length").text(), "[1, 2]");
        assert_all(&scene.wait_over(1), "same", 1);
        scene.both(slowly(JSON, CHUNKS));
        assert_eq!(scene.get("/json").text(), "[1, 2]");
        assert_all(&scene.wait_over(2), "same", 2);
        // For other bodies it does not: what is there is not known to be all, nor to be less.
        scene.both(slowly(TEXT, CHUNKS));
        assert_eq!(scene.get("/text").text(), "[1, 2]");
        let compared = scene.finish();
        let (same, incomparable) = (count(&compared, "same"), count(&compared, "incomparable"));
        assert_eq!((same, incomparable), (2, 1), "{compared:?}");
    }
}

/// What docs/COMPARISON.md warns of.
fn a_body_that_takes_longer_than_haproxy_waits_costs_the_answer(version: Version) {
    for form in Form::ALL {
        let setup = Setup::new(version, form).waiting_for_json();
        let mut scene = setup
            .change("response wait-for-body time 1m", "response wait-for-body time 100ms")
            .start();
        scene.both(slowly(JSON, CHUNKS));
        assert_eq!(scene.get("/").status, 504);
        let compared = scene.finish();
        let paired = count(&compared, "same") + count(&compared, "different");
        assert_eq!(paired + count(&compared, "incomparable"), 0, "{compared:?}");
    }
}
