//! What the guide offers to copy only some requests: a path, a named ACL, a random share, and a switch
//! in a map file.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use testbed::client::load::Load;
use testbed::haproxy::Version;

use running::on_each_haproxy;
use running::stage::Stage;

/// The paths of the copies, sorted, once there are `count`.
fn copied_paths(stage: &Stage, count: usize) -> Vec<String> {
    let copies = stage.copies(count);
    let mut paths: Vec<_> =
        copies.iter().map(|copy| copy.target().escape_ascii().to_string()).collect();
    paths.sort();
    paths
}

/// Waits until these paths are copied. That no others are is for [`finish`] to assert.
fn wait_copied(stage: &Stage, paths: &[&str]) {
    assert_eq!(copied_paths(stage, paths.len()), paths);
}

/// Ends the program; it was handed just `count` requests, and copied all of them.
fn finish(mut stage: Stage, count: u64) {
    let tally = stage.finish();
    assert_eq!((tally.spop.messages, tally.target().answers()), (count, count), "{tally:?}");
}

fn only_a_path_is_copied(version: Version) {
    let stage = Stage::start(version, |guide| guide.only("if { path_beg /search }"));
    for path in ["/", "/search?q=1", "/shop/search", "/searching", "/search"] {
        stage.get(path);
    }
    wait_copied(&stage, &["/search", "/search?q=1", "/searching"]);
    assert_eq!(stage.production.counts().requests, 5);
    finish(stage, 3);
}

fn only_what_a_named_acl_selects_is_copied(version: Version) {
    let stage = Stage::start(version, |guide| {
        guide
            .message_line("acl is_search path_beg /search")
            .message_line("acl is_safe method GET HEAD")
            .only("if is_search is_safe")
    });
    stage.post("/search", b"x");
    for path in ["/", "/search?q=1", "/search"] {
        stage.get(path);
    }
    wait_copied(&stage, &["/search", "/search?q=1"]);
    finish(stage, 2);
}

/// 2,000 requests, each copied with a probability of 0.1: the mean is 200 and the standard deviation
/// 13.4, so that a right share is outside of 115 to 285 once in a thousand million runs.
///
/// HAProxy says itself which requests it handed over: it notes the time that this took in a variable,
/// and tells production of it.
fn a_random_share_is_copied(version: Version) {
    let stage = Stage::start(version, |guide| {
        guide
            .agent_line("option var-prefix mirror")
            .agent_line("option set-process-time took")
            .frontend(
                "http-request set-header x-handed-over 1 if { var(txn.mirror.took) -m found }",
            )
            .only("if { rand(100) lt 10 }")
    });
    Load::builder(stage.address()).total(2000).run().assert_all_ok();
    let originals = stage.production.requests();
    assert_eq!(originals.len(), 2000);
    let handed_over = originals.iter().filter(|request| request.header("x-handed-over").is_some());
    let mut paths: Vec<_> =
        handed_over.map(|request| request.target().escape_ascii().to_string()).collect();
    paths.sort();
    assert!((115..=285).contains(&paths.len()), "{} of 2000", paths.len());
    assert_eq!(copied_paths(&stage, paths.len()), paths);
    finish(stage, paths.len() as u64);
}

/// The switch: a map file that mirror.conf asks, changed while HAProxy runs.
fn a_map_file_switches_copying_off_and_on(version: Version) {
    let stage = Stage::start(version, |guide| {
        guide
            .file("mirror.map", "mirroring 1\n")
            .message_line("acl mirroring str(mirroring),map_str_int(mirror.map,0) eq 1")
            .only("if mirroring")
    });
    stage.get("/on");
    stage.copies(1);
    assert_eq!(stage.haproxy.command("set map mirror.map mirroring 0"), "");
    for number in 0..20 {
        stage.get(&format!("/off/{number}"));
    }
    assert_eq!(stage.haproxy.command("set map mirror.map mirroring 1"), "");
    stage.get("/on-again");
    wait_copied(&stage, &["/on", "/on-again"]);
    assert_eq!(stage.production.counts().requests, 22);
    finish(stage, 2);
}

/// A share for each path, in a map, changed while HAProxy runs.
fn a_map_file_gives_each_path_its_share(version: Version) {
    let stage = Stage::start(version, |guide| {
        guide
            .file("mirror.map", "/all 100\n/none 0\n")
            .only("if { rand(100),sub(txn.share) -m int lt 0 }")
            .frontend("tcp-request inspect-delay 5s")
            .frontend("tcp-request content set-var(txn.share) path,map_beg(mirror.map,0)")
    });
    for path in ["/none/1", "/other", "/all/1", "/all/2"] {
        stage.get(path);
    }
    wait_copied(&stage, &["/all/1", "/all/2"]);
    assert_eq!(stage.haproxy.command("set map mirror.map /none 100"), "");
    stage.get("/other");
    stage.get("/none/2");
    wait_copied(&stage, &["/all/1", "/all/2", "/none/2"]);
    finish(stage, 3);
}

on_each_haproxy!(
    only_a_path_is_copied,
    only_what_a_named_acl_selects_is_copied,
    a_random_share_is_copied,
    a_map_file_switches_copying_off_and_on,
    a_map_file_gives_each_path_its_share,
);
