//! What the doctor says of bodies, shown with real HAProxy.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testbed::client::http1::{Client, Response};
use testbed::haproxy::Version;
use testbed::wait;

use super::command::PROGRAM;
use super::running::on_each_haproxy;
use super::staged::{Scene, Staged};

/// What the rule allows for first line and headers, in HAProxy's buffer: bytes.
const HEAD: usize = 1024;

/// A POST's head with a Content-Length.
fn head(path: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {length}\r\n\r\n")
}

fn post(scene: &Scene, path: &str, length: usize) -> u16 {
    scene.send(&[head(path, length).as_bytes(), &vec![b'x'; length]].concat())
}

/// A body without a length, in one chunk.
fn post_chunked(scene: &Scene, path: &str, length: usize) -> u16 {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length));
    scene.send(&[head.as_bytes(), chunk.as_bytes()].concat())
}

/// A POST whose body is sent only when HAProxy has its head.
fn post_in_two(scene: &Scene, path: &str, length: usize) -> Response {
    let mut client = Client::connect(scene.haproxy.address("http")).unwrap();
    client.send(head(path, length).as_bytes()).unwrap();
    let asked = || {
        let table = scene.haproxy.command("show stat");
        let of = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        let column = of(table.lines().next().unwrap()).iter().position(|name| name == "req_tot");
        let frontend = table.lines().find(|line| line.starts_with("www,FRONTEND,")).unwrap();
        of(frontend)[column.unwrap()] == "1"
    };
    wait::holds(wait::LIMIT, "HAProxy to have the request's head", asked);
    client.send(&vec![b'x'; length]).unwrap();
    client.response(false).unwrap()
}

/// Ends the agent, and gives the length of the body that each path's copy has; `None` where there is no copy.
fn copied(scene: &mut Scene, paths: &[&str]) -> Vec<Option<usize>> {
    scene.finish();
    copied_of(scene, paths)
}

/// The same, of an agent that has ended.
fn copied_of(scene: &Scene, paths: &[&str]) -> Vec<Option<usize>> {
    let copies = scene.shadow.requests();
    let of = |path: &&str| copies.iter().find(|copy| copy.target() == path.as_bytes());
    paths.iter().map(|path| of(path).map(|copy| copy.body.len())).collect()
}

fn a_body_that_is_not_waited_for_is_lost(version: Version) {
    for (fixture, waits) in [
        ("bad", false),
        ("bad-rule-for-event", false),
        ("bad-late", false),
        ("bad-saved", false),
        ("good", true),
        ("good-rule", true),
        ("good-saved", true),
    ] {
        let fixture = format!("body-not-waited-for/{fixture}");
        let mut scene = Staged::new(version, &fixture).start();
        assert_eq!(post_in_two(&scene, "/", 1000).status, 200, "{fixture}");
        let (target, _) = scene.finish();
        let expected = if waits {
            "received 1: answered 2xx 1"
        } else {
            "received 1: dropped truncated-body 1"
        };
        assert_eq!(target.to_string(), expected, "{fixture}");
        let copies = scene.shadow.requests();
        assert!(copies.iter().all(|copy| copy.body.len() == 1000), "{fixture}: {copies:?}");
    }
}

/// A first line and headers that take `HEAD` bytes of HAProxy's buffer, or a little less: what it keeps of them is
/// their names and values, and less than 256 bytes besides.
fn large_head(path: &str, length: usize) -> String {
    let known = head(path, length);
    let filler = "y".repeat(HEAD - 256 - known.len() - "X-Filler: \r\n".len());
    known.replace("\r\n\r\n", &format!("\r\nX-Filler: {filler}\r\n\r\n"))
}

/// A POST with such a head.
fn post_large_head(scene: &Scene, path: &str, length: usize) -> u16 {
    scene.send(&[large_head(path, length).as_bytes(), &vec![b'x'; length]].concat())
}

/// What the doctor says of a fixture, and the number in it behind these words.
fn told(fixture: &str, before: &str) -> usize {
    let directory =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/fixtures").join(fixture);
    let mut doctor = Command::new(PROGRAM);
    doctor.args(["doctor", "--haproxy", "haproxy.cfg", "--json"]).current_dir(&directory);
    doctor.args(["--haproxy-version", "3.4"]);
    let output = doctor.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let why = report["findings"][0]["consequence"].as_str().unwrap();
    let (_, behind) = why.split_once(before).unwrap_or_else(|| panic!("{before:?} in {why:?}"));
    behind.split(' ').next().unwrap().parse().unwrap()
}

fn the_largest_body_that_is_told_passes_and_a_larger_one_does_not(version: Version) {
    let default = told("body-larger-than-buffer/bad", "the largest body that passes has ");
    assert_eq!(default, 14_336);
    for (size, told) in [(16384, default), (65536, 65536 - 16384 + default)] {
        let setting = format!("    tune.bufsize {size}\n");
        let mut scene = Staged::new(version, "body-larger-than-buffer/bad")
            .change("    maxconn 1000\n", &setting)
            .change(",bytes(0,20000) arg_body_size=req.body_size", "")
            .start();
        assert_eq!(post_large_head(&scene, "/told", told), 200);
        assert_eq!(post_large_head(&scene, "/larger", told + HEAD), 200);
        assert_eq!(copied(&mut scene, &["/told", "/larger"]), [Some(told), None], "{size}");
    }
    // The cap does not help; the buffer that the doctor asks for does.
    for (fixture, expected) in [("bad", None), ("good", Some(19_000))] {
        let fixture = format!("body-larger-than-buffer/{fixture}");
        let mut scene = Staged::new(version, &fixture).start();
        post(&scene, "/", 19_000);
        assert_eq!(copied(&mut scene, &["/"]), [expected], "{fixture}");
    }
}

#[test]
fn a_large_buffer_makes_no_larger_frame() {
    let told = told("large-buffers-no-help/bad", "with a body of more than ");
    let lengths = [("/told", told), ("/20000", 20_000), ("/60000", 60_000)];
    let paths: Vec<_> = lengths.iter().map(|(path, _)| *path).collect();
    for (fixture, expected, received) in [
        ("bad", [Some(told), None, None], 1),
        ("good", [Some(told), Some(20_000), Some(60_000)], 3),
    ] {
        let fixture = format!("large-buffers-no-help/{fixture}");
        let mut scene = Staged::new(Version::V3_4, &fixture).start();
        for (path, length) in lengths {
            assert_eq!(post_large_head(&scene, path, length), 200, "{fixture}");
        }
        let (target, _) = scene.finish();
        // The agent hears nothing of what is missing.
        assert_eq!(target.received, received, "{fixture}: {target}");
        assert_eq!(copied_of(&scene, &paths), expected, "{fixture}");
    }
}

/// Before 3.1 it comes in fragments, unless that is turned off; since then it is not sent. No client notices.
fn a_message_that_is_larger_than_its_frame(version: Version) {
    let fragments = matches!(version, Version::V2_6 | Version::V3_0);
    let whole = |there: bool, length: usize| there.then_some(length);
    let paths = ["/small", "/large"];
    let told = told("frame-size-clipped/bad", "the largest body that passes has ");
    assert_eq!(told, 7136);
    let mut scene = Staged::new(version, "frame-size-clipped/bad").start();
    assert_eq!(post_large_head(&scene, "/small", told), 200);
    assert_eq!(post_large_head(&scene, "/large", told + HEAD), 200);
    assert_eq!(copied(&mut scene, &paths), [Some(told), whole(fragments, told + HEAD)]);
    for (fixture, large) in
        [("fragments-off/bad-small-frame", false), ("frame-size-clipped/good", true)]
    {
        let mut scene = Staged::new(version, fixture).start();
        assert_eq!((post(&scene, "/small", 7000), post(&scene, "/large", 10_000)), (200, 200));
        let expected = [Some(7000), whole(large, 10_000)];
        assert_eq!(copied(&mut scene, &paths), expected, "{fixture}");
    }
    // Two bodies in one: the same one twice, with one head. The frame of 16380 bytes has room for them.
    let told = (16_380 - 32 - HEAD) / 2;
    for (off, large) in [("", fragments), ("    no option send-frag-payload\n", false)] {
        let mut scene = Staged::new(version, "frame-size-clipped/good")
            .change("arg_body=req.body", "again=req.body arg_body=req.body")
            .change("    timeout hello", &format!("{off}    timeout hello"))
            .start();
        assert_eq!(post_large_head(&scene, "/small", told), 200);
        assert_eq!(post_large_head(&scene, "/large", told + HEAD), 200);
        assert_eq!(copied(&mut scene, &paths), [Some(told), whole(large, told + HEAD)], "{off}");
    }
}

fn a_body_over_the_limit_of_variables_is_not_saved(version: Version) {
    for (fixture, large) in [("bad", None), ("good", Some(10_000))] {
        let fixture = format!("saved-body-over-limit/{fixture}");
        let mut scene = Staged::new(version, &fixture).start();
        assert_eq!((post(&scene, "/small", 1000), post(&scene, "/large", 10_000)), (200, 200));
        let copied = copied(&mut scene, &["/small", "/large"]);
        assert_eq!(copied, [Some(1000), large], "{fixture}");
    }
}

fn a_cut_that_nothing_tells_is_copied_as_if_it_were_whole(version: Version) {
    for (fixture, large) in [("bad", Some(5000)), ("good", None), ("good-rewriting", None)] {
        let fixture = format!("body-size-not-sent/{fixture}");
        let mut scene = Staged::new(version, &fixture).start();
        assert_eq!(post_chunked(&scene, "/small", 4000), 200);
        assert_eq!(post_chunked(&scene, "/large", 9000), 200);
        let copied = copied(&mut scene, &["/small", "/large"]);
        assert_eq!(copied, [Some(4000), large], "{fixture}");
    }
    let mut scene = Staged::new(version, "body-size-not-sent/bad-rewriting").start();
    assert_eq!(post_chunked(&scene, "/large", 9000), 200);
    let part = copied(&mut scene, &["/large"])[0].unwrap();
    assert!((7000..9000).contains(&part), "{part}");
}

on_each_haproxy!(
    a_body_that_is_not_waited_for_is_lost,
    the_largest_body_that_is_told_passes_and_a_larger_one_does_not,
    a_message_that_is_larger_than_its_frame,
    a_body_over_the_limit_of_variables_is_not_saved,
    a_cut_that_nothing_tells_is_copied_as_if_it_were_whole,
);
