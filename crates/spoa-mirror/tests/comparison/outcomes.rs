//! What a pair amounts to.

use testbed::backend::{Behaviour, Response};
use testbed::haproxy::Version;

use crate::running::on_each_haproxy;
use crate::scene::{Form, Setup, answering, assert_all};

on_each_haproxy!(what_differs_is_different);

fn what_differs_is_different(version: Version) {
    for form in Form::ALL {
        let mut scene = Setup::new(version, form).start();
        let base = || Response::ok("{\"price\": 1}").header("Content-Type", "application/json");
        scene.production.set(answering(move |_| base()));
        let others = [
            Response::new(500).body("{\"price\": 1}").header("Content-Type", "application/json"),
            base().body("{\"price\": 2}"),
            base().header("X-Feature", "on"),
            Response::ok("{\"price\": 1}").header("Content-Type", "text/plain"),
            Response::new(204),
        ];
        let sent = others.len();
        for (number, other) in others.into_iter().enumerate() {
            scene.shadow.set(answering(move |_| other.clone()));
            scene.get(&format!("/{number}"));
            // The next one behaves otherwise.
            scene.shadow.wait_for(number + 1, testbed::wait::LIMIT);
        }
        assert_all(&scene.wait_over(sent as u64), "different", sent);
        assert_all(&scene.finish(), "different", sent);
    }
}

#[test]
fn a_copy_that_fails_is_no_difference() {
    for form in Form::ALL {
        let mut scene = Setup::new(Version::V3_4, form).start();
        scene.production.set(answering(|_| Response::ok("production")));
        let bad = [
            Behaviour::reset(),
            Behaviour::garbage("this is not HTTP\r\n\r\n"),
            Behaviour::cut_short("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nprod"),
        ];
        let sent = bad.len();
        for (number, behaviour) in bad.into_iter().enumerate() {
            scene.shadow.set(behaviour);
            scene.get("/");
            scene.wait_over(number as u64 + 1);
        }
        assert_all(&scene.finish(), "failed", sent);
    }
}
