//! The arguments that tell how long production took have the units that they are taken for, and what is
//! compared are the times of each side.

use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::backend::{Behaviour, Response};
use testbed::client::http1;
use testbed::haproxy::Version;
use testbed::{ports, wait};

use crate::running::on_each_haproxy;
use crate::scene::{Form, Setup, answering, assert_all};

on_each_haproxy!(haproxy_tells_how_long_production_took, each_side_has_its_own_time);

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

/// A slow candidate makes production no slower, in either form and by either argument.
fn each_side_has_its_own_time(version: Version) {
    const PRODUCTION: Duration = Duration::from_millis(200);
    const SHADOW: Duration = Duration::from_millis(1500);
    // HAProxy looks at the clock when it wakes up, and counts milliseconds.
    const CLOCKS: Duration = Duration::from_millis(50);

    let has_timer = version >= Version::V3_0;
    let forms = Form::ALL.map(|form| (form, false)).into_iter();
    for (form, timer) in forms.chain(has_timer.then_some((Form::TwoMessages, true))) {
        let admin = ports::free_addr();
        let toml = format!("compare = true\n[admin]\nlisten = \"{admin}\"\n");
        let mut setup = Setup::new(version, form).toml(&toml);
        if timer {
            // By itself: nothing else tells the time.
            let both = "t_request=var(txn.m_t0) t_response=date(0,us)";
            setup = setup.change(both, "t_header=res.timer.hdr");
        }
        let mut scene = setup.start();
        let after = |time, text: &'static str| {
            Behaviour::delay(time, answering(move |_| Response::ok(text)))
        };
        scene.production.set(after(PRODUCTION, "production"));
        scene.shadow.set(after(SHADOW, "shadow"));
        let start = Instant::now();
        assert_eq!(scene.get("/").text(), "production");
        let waited = start.elapsed();
        assert_all(&scene.wait_over(1), "different", 1);
        // The first pair, which is kept because it differs.
        let sample = http1::get(admin, "/api/v1/comparison/samples/1").unwrap().text();
        let sample: Value = serde_json::from_str(&sample).unwrap();
        let [production, shadow] = ["production", "shadow"]
            .map(|side| Duration::from_micros(sample[side]["time_us"].as_u64().unwrap()));
        let seen = format!("{form:?} timer {timer}: {production:?}, {shadow:?} of {waited:?}");
        assert!(production + CLOCKS >= PRODUCTION && shadow >= SHADOW, "{seen}");
        // Whatever a busy machine makes of it, it is a part of what the client waited.
        assert!(production <= waited + CLOCKS, "{seen}");
        scene.finish();
    }
}
