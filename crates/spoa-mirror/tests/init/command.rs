//! The command: what it refuses, and what it leaves alone.

use std::fs;

use serde_json::Value;
use testbed::haproxy::Version;

use crate::scene::{operators, run};

#[track_caller]
fn refused(arguments: &[&str], code: i32, parts: &[&str]) -> String {
    let said = run(arguments);
    let error = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(code), "{arguments:?}: {error}");
    assert!(parts.iter().all(|part| error.contains(part)), "{arguments:?}: {error}");
    error
}

#[test]
fn wrong_values_are_refused_with_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    for (words, parts) in [
        (&["--target", "ftp://x"][..], &["--target", "http"][..]),
        (&["--target", "http://x", "--agent", "x"], &["HOST:PORT"]),
        (&["--target", "http://x", "--agent", "0.0.0.0:1"], &["cannot connect"]),
        (&["--target", "http://x", "--agent", "a b:1"], &["HOST:PORT"]),
        (&["--target", "http://x", "--agent", "x\ny:1"], &["HOST:PORT"]),
        (&["--target", "http://x", "--agent", "[x]:1"], &["HOST:PORT"]),
        (&["--target", "http://x", "--agent", "x:1", "--agent", "x:1"], &["twice"]),
        (&["--target", "http://x", "--admin", "0.0.0.0:1"], &["--admin", "token"]),
        (&["--target", "http://x", "--percent", "100.01"], &["0 to 100"]),
        (&["--target", "http://x", "--percent", "1e1"], &["0 to 100"]),
        (&["--target", "http://x", "--max-body", "2M"], &["1k to 1M"]),
        (&["--target", "http://x", "--timeout", "500us"], &["milliseconds"]),
        (&["--target", "http://x", "--haproxy-version", "2.4"], &["2.6 or later"]),
        (&["--target", "http://x", "--haproxy-version", "x"], &["3.2"]),
        (&["--target", "http://x", "--haproxy-binary", "/dev/null"], &["/dev/null"]),
        (&["--target", "http://x", "--haproxy-dir", "/a\nuser root"], &["control characters"]),
        (&["--target", "http://x", "--frontend", "www"], &["--haproxy"]),
        (&[], &["--target"]),
    ] {
        let mut arguments = vec!["init", "--output", output.to_str().unwrap()];
        arguments.extend(words);
        refused(&arguments, 64, parts);
    }
    assert!(!output.exists());
}

#[test]
fn credentials_are_refused_with_advice_and_not_shown() {
    let error = refused(
        &["init", "--target", "http://me:hunter2@x"],
        64,
        &["authorization", "environment"],
    );
    assert!(!error.contains("hunter2"), "{error}");
    // Not even where the rest of it is wrong.
    let error = refused(&["init", "--target", "ftp:/me:hunter2@x"], 64, &["--target"]);
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn files_that_are_there_stay_unless_told_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().to_str().unwrap();
    let precious = directory.path().join("precious");
    fs::write(&precious, "mine").unwrap();
    // A link out of the directory: what it leads to is nobody's to write.
    std::os::unix::fs::symlink(&precious, directory.path().join("mirror.map")).unwrap();
    let arguments = ["init", "--target", "http://x", "--output", output];
    refused(&arguments, 1, &["mirror.map is there already", "--force"]);
    assert!(!directory.path().join("mirror.conf").exists());
    let forced = [&arguments[..], &["--force"]].concat();
    assert!(run(&forced).status.success() && run(&forced).status.success());
    assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");
    assert!(fs::read_to_string(directory.path().join("mirror.map")).unwrap().contains("/ 1000"));

    // HAProxy's own file is never written over.
    let own = directory.path().join("haproxy.cfg");
    fs::write(&own, operators("127.0.0.1:1")).unwrap();
    let own = own.to_str().unwrap();
    refused(&[&forced[..], &["--haproxy", own]].concat(), 1, &["never written over"]);
    assert_eq!(fs::read_to_string(own).unwrap(), operators("127.0.0.1:1"));
}

#[test]
fn of_several_frontends_one_must_be_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.cfg");
    let more = "\nfrontend api\n    bind :2\n    default_backend production\n\n\
                frontend raw\n    mode tcp\n    bind :3\n    default_backend production\n";
    fs::write(&path, operators("127.0.0.1:1") + more).unwrap();
    let output = directory.path().join("out");
    let (path, output) = (path.to_str().unwrap(), output.to_str().unwrap());
    let arguments =
        ["init", "--json", "--target", "http://x", "--haproxy", path, "--output", output];
    let with = |frontend| [&arguments[..], &["--frontend", frontend]].concat();
    // The one that only redirects has nothing to mirror.
    refused(&arguments, 1, &["several frontends", "--frontend: www, api"]);
    refused(&with("shop"), 1, &["no frontend `shop`", "www, api"]);
    refused(&with("raw"), 1, &["`raw`", "mode http"]);
    let said = run(&with("api"));
    let answer: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(answer["frontend"], "api");
    assert!(answer["diff"].as_str().unwrap().contains("     bind :2\n+    # spoa-mirror"));
}

#[test]
fn what_cannot_be_patched_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.cfg");
    let shown = path.to_str().unwrap();
    let output = directory.path().join("out");
    let arguments =
        ["init", "--target", "http://x", "--haproxy", shown, "--output", output.to_str().unwrap()];
    refused(&arguments, 1, &[shown, "cannot be read"]);
    for (text, part) in [
        ("frontend www\n    bind :1\n    default_backend b\n", "no frontend with `mode http`"),
        ("global\n    description \"open\n", "line 2"),
    ] {
        fs::write(&path, text).unwrap();
        refused(&arguments, 1, &[shown, part]);
    }
    assert!(!output.exists());
}

#[test]
fn the_version_is_asked_for() {
    for version in Version::ALL {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out");
        let binary = version.executable();
        let said = run(&[
            "init",
            "--json",
            "--target",
            "http://x",
            "--haproxy-binary",
            binary.to_str().unwrap(),
            "--output",
            output.to_str().unwrap(),
        ]);
        let answer: Value = serde_json::from_slice(&said.stdout).unwrap();
        let found = answer["haproxy_version"].as_str().unwrap();
        assert!(found.starts_with(&format!("{version}.")), "{found}");
    }
}
