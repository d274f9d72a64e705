//! The arguments that tell how long production took have the units that they are taken for.

use std::time::Duration;

use testbed::backend::{Behaviour, Response};
use testbed::haproxy::Version;
use testbed::wait;

use crate::running::on_each_haproxy;
use crate::scene::{Form, Setup, answering, assert_all};

on_each_haproxy!(haproxy_tells_how_long_production_took);

/// The copies show the message's arguments.
const SHOWING: &str = "compare = true\nheaders.set = { x-from = \"{args.t_request}\", \
                       x-to = \"{args.t_response}\", x-timer = \"{args.t_header}\" }\n";

fn haproxy_tells_how_long_production_took(version: Version) {
    let mut setup = Setup::new(version, Form::OneMessage).toml(SHOWING);
    let has_timer = version >= Version::V3_0;
    if has_timer {
        setup = setup.change("t_response=", "t_header=res.timer.hdr t_response=");
    }
    let mut scene = setup.start();
    let ok = || answering(|_| Response::ok("ok"));
    scene.shadow.set(ok());
    scene.production.set(Behaviour::delay(Duration::from_millis(300), ok()));
    scene.get("/");
    let copy = scene.shadow.wait_for(1, wait::LIMIT).remove(0);
    let number = |name: &str| copy.header(name).unwrap().parse::<u64>().unwrap();
    // No less than production's delay, and by no other unit more than a test lasts.
    let between = number("x-to") - number("x-from");
    assert!((300_000..60_000_000).contains(&between), "{between} us");
    if has_timer {
        let timer = number("x-timer");
        assert!((300..60_000).contains(&timer), "{timer} ms");
        assert!(timer <= between.div_ceil(1000), "{timer} ms of {between} us");
    }
    assert_all(&scene.finish(), "same", 1);
}
