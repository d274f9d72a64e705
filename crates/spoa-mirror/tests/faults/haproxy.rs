//! Faults of HAProxy: reloaded and killed under load.

use testbed::backend::Recorder;
use testbed::haproxy::Version;
use testbed::wait;

use crate::on_haproxy;
use crate::scene::{LOAD_LIMIT, Setup, assert_never_twice};

on_haproxy! {
    reloaded: V2_6, V3_0, V3_2, V3_4;
    killed: V2_6, V3_4;
}

/// Twice, the old process and the new one at work together.
fn reloaded(version: Version) {
    let target = Recorder::start();
    let mut scene = Setup::new(version).start(&target.url());
    // A connection for each request: HAProxy closes idle ones at a reload, and a client that writes to
    // one just then would lose its request without anybody's fault.
    let load = scene.clients().requests_per_connection(1).start();
    let go_on = |count| {
        let goal = load.done() + count;
        wait::holds(LOAD_LIMIT, "the load to go on", || load.done() >= goal);
    };
    for _ in 0..2 {
        go_on(100);
        scene.haproxy.reload();
    }
    go_on(100);
    let report = load.stop();
    scene.count_sent(report.total());
    report.assert_all_ok();
    scene.recovers(&target);
    let account = scene.close();
    account.assert_only(&["2xx"], &[], &[]);
    assert_eq!(target.counts().complete, account.received);
    assert_never_twice(&target);
}

/// Its clients lose what was under way; the program loses nothing that it received, and serves the next.
fn killed(version: Version) {
    let target = Recorder::start();
    let mut scene = Setup::new(version).start(&target.url());
    let load = scene.clients().start();
    wait::holds(LOAD_LIMIT, "the load to go on", || load.done() >= 200);
    scene.haproxy.process().kill();
    let report = load.stop();
    scene.count_sent(report.total());
    assert!(report.count(200) >= 200 - 6);
    scene.restart_haproxy();
    scene.load(100);
    scene.recovers(&target);
    let account = scene.close_with(|sent, received| received <= sent);
    account.assert_only(&["2xx"], &[], &[]);
    assert_eq!(target.counts().complete, account.received);
}
