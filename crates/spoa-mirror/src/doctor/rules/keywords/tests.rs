use super::TOPIC;
use crate::doctor::rules::examined::{MIRROR, VERSIONS, codes, findings};
use crate::doctor::rules::{arguments, waiting};

const HAPROXY: &str = "global
    maxconn 1000
frontend www
    mode http
    bind :80
    filter spoe engine mirror config mirror.conf
    default_backend app
backend app
    mode http
    http-request set-var(txn.a) var(ptxn.a)
backend mirroragents
    mode tcp
    server agent1 127.0.0.1:12345
";

/// What is found by a version when a line is put behind one that is there.
fn found(version: Option<(u32, u32)>, behind: &str, line: &str) -> Vec<&'static str> {
    let with = |text: &str| text.replacen(behind, &format!("{behind}\n    {line}"), 1);
    assert!(HAPROXY.contains(behind) != MIRROR.contains(behind), "{behind}");
    codes(&findings(&TOPIC, &with(HAPROXY), &with(MIRROR), version))
}

#[test]
fn words_are_judged_where_they_have_to_do_with_mirroring() {
    let nothing = [""; 0];
    let old = Some((3, 0));
    // The backend of production has one of 3.1: HAProxy will tell, it is none of our business.
    assert_eq!(found(old, "maxconn 1000", "nbthread 1"), nothing);
    assert_eq!(found(old, "maxconn 1000", "tune.bufsize.large 65536"), ["keyword-too-new"]);
    assert_eq!(found(old, "bind :80", "http-response do-log"), ["keyword-too-new"]);
    let acl = "acl known var(ptxn.id) -m found";
    assert_eq!(found(old, "bind :80", acl), ["keyword-too-new"]);
    assert_eq!(found(old, "mode tcp", "balance hash var(ptxn.id)"), ["keyword-too-new"]);
    let server = "default-server init-state up";
    assert_eq!(found(old, "mode tcp", server), ["keyword-too-new"]);
    assert_eq!(found(Some((3, 2)), "mode tcp", server), nothing);
    assert_eq!(found(None, "mode tcp", server), nothing);
}

#[test]
fn parts_of_other_words_are_not_meant() {
    for line in [
        "http-request set-var(txn.ptxn.id) method",
        "http-request set-header x-use-large-buffer yes",
        "http-request set-var(txn.x) str(res.timer),lower",
        "http-request set-header x-y %[var(txn.mybc.timer.connect)]",
    ] {
        assert_eq!(found(Some((2, 6)), "bind :80", line), [""; 0], "{line}");
    }
}

#[test]
fn what_haproxy_ignores_is_told_where_it_does() {
    let agent = "timeout processing 20ms";
    for version in VERSIONS {
        let ignored = version.is_some_and(|version| version >= (3, 1));
        let expected: &[&str] = if ignored { &["keyword-ignored"] } else { &[] };
        assert_eq!(found(version, agent, "maxconnrate 100"), expected);
        assert_eq!(found(version, agent, "option async"), expected);
        // These may stay for a file that older versions read as well.
        for line in ["timeout hello 1s", "timeout idle 1s", "no option async", "option pipelining"]
        {
            assert_eq!(found(version, agent, line), [""; 0], "{line}");
        }
    }
}

#[test]
fn a_line_with_a_slip_is_told_of_once() {
    let arguments = MIRROR.replace("    args ", "    arg ");
    assert_eq!(codes(&findings(&TOPIC, HAPROXY, &arguments, None)), ["keyword-unknown"]);
    assert_eq!(codes(&findings(&arguments::TOPIC, HAPROXY, &arguments, None)), [""; 0]);
    let timeout = MIRROR.replace("processing", "procesing");
    assert_eq!(codes(&findings(&TOPIC, HAPROXY, &timeout, None)), ["keyword-unknown"]);
    let waiting = codes(&findings(&waiting::TOPIC, HAPROXY, &timeout, None));
    assert!(!waiting.contains(&"processing-timeout-missing"), "{waiting:?}");
}

#[test]
fn the_word_that_was_meant_is_written() {
    for (behind, line, meant) in [
        ("timeout processing 20ms", "max_frame_size 16380", "write `max-frame-size`"),
        ("timeout processing 20ms", "option set-on-eror err", "write `set-on-error`"),
        ("timeout processing 20ms", "timeout helo 1s", "write `hello`"),
        ("event on-frontend-http-request", "spoe-mesage other", "write `spoe-message`"),
        ("event on-frontend-http-request", "alc big path_beg /big", "write `acl`"),
    ] {
        let text = MIRROR.replacen(behind, &format!("{behind}\n    {line}"), 1);
        let findings = findings(&TOPIC, HAPROXY, &text, None);
        assert_eq!(codes(&findings), ["keyword-unknown"], "{line}");
        assert_eq!(findings[0].mend.say, meant);
        assert_eq!(findings[0].mend.edits.len(), 1);
    }
    assert_eq!(found(None, "timeout processing 20ms", "mode tcp"), ["keyword-unknown"]);
}
