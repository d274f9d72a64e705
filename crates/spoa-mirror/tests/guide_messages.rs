//! Messages that are not the guide's: other names, other arguments, several in one event, groups, and
//! messages that lack what a copy needs.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use testbed::backend::Recorder;
use testbed::client::http1;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::{ports, wait};

use running::mirror::Mirror;
use running::on_each_haproxy;
use running::stage::{answered_by_production, production};
use running::tally::Tally;

/// The guide's arguments.
const ARGS: &str =
    "arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs_bin arg_body=req.body";

/// A mirror.conf with an agent that uses these messages (or groups), and these sections.
fn mirror_conf(uses: &str, sections: &str) -> String {
    format!(
        "[mirror]\nspoe-agent mirror\n    log global\n    {uses}\n    use-backend mirroragents\n    \
         timeout hello 500ms\n    timeout idle 5s\n    timeout processing 5s\n\n{sections}\n"
    )
}

/// A message with these arguments, sent for each request.
fn message(name: &str, args: &str) -> String {
    format!("spoe-message {name}\n    args {args}\n    event on-frontend-http-request\n\n")
}

/// HAProxy with a mirror.conf of its own, and the rest.
struct Stage {
    production: Recorder,
    shadow: Recorder,
    mirror: Mirror,
    haproxy: Haproxy,
}

impl Stage {
    fn start(version: Version, mirror_conf: &str, change: impl FnOnce(Guide) -> Guide) -> Self {
        let (production, shadow) = (production(), Recorder::start());
        let args = ["-u", &shadow.url(), "-i", "1s"];
        let mirror = Mirror::start_at(ports::free_addr(), &args);
        let guide = change(Guide::new(production.address()).agent(mirror.address));
        let haproxy = guide.builder(version).file("mirror.conf", mirror_conf).start();
        Self { production, shadow, mirror, haproxy }
    }

    fn post(&self, path: &str, body: &[u8]) {
        answered_by_production(&http1::post(self.haproxy.address("http"), path, body).unwrap());
    }

    /// Sends a request of each kind; each must be copied `times` times, and all are.
    fn assert_copies(&self, times: usize) {
        let requests =
            [("/", &b""[..]), ("/search?q=1&r=%2F", b""), ("/form", b"a body"), ("/a?", b"")];
        for (path, body) in requests {
            self.post(path, body);
        }
        let copies = self.shadow.wait_for(requests.len() * times, wait::LIMIT);
        for original in self.production.requests() {
            let same: Vec<_> = copies
                .iter()
                .filter(|copy| {
                    copy.request_line() == original.request_line() && copy.body == original.body
                })
                .collect();
            assert_eq!(same.len(), times, "{original:?} among {copies:#?}");
            for copy in same {
                assert_eq!(copy.header("host"), original.header("host"));
                assert_eq!(copy.header("content-length"), original.header("content-length"));
            }
        }
    }

    fn finish(&mut self) -> Tally {
        let tally = self.mirror.finish();
        assert_eq!(tally.target().answers(), self.shadow.counts().complete, "{tally:?}");
        tally
    }
}

/// Starts HAProxy with this message and asserts that each request is copied once.
fn assert_mirrored(version: Version, name: &str, args: &str) {
    let conf = mirror_conf(&format!("messages {name}"), &message(name, args));
    let mut stage = Stage::start(version, &conf, |guide| guide);
    stage.assert_copies(1);
    let tally = stage.finish();
    assert_eq!(tally.spop.incomplete, 0, "{args}: {tally:?}");
    assert_eq!(stage.mirror.told("WARN"), [""; 0]);
}

fn a_message_of_any_name_is_mirrored(version: Version) {
    assert_mirrored(version, "copy-all-of-it", ARGS);
}

fn plain_argument_names_are_understood(version: Version) {
    let args = "method=method url=url ver=req.ver hdrs=req.hdrs_bin body=req.body";
    assert_mirrored(version, "mirror", args);
}

fn arguments_come_in_any_order_among_others(version: Version) {
    let args = "src=src body=req.body hdrs=req.hdrs_bin arg_ver=req.ver id=unique-id \
                t_request=date(0,us) url=url arg_nothing=req.hdr(x-not-there) arg_method=method";
    assert_mirrored(version, "mirror", args);
}

fn path_and_query_stand_in_for_the_url(version: Version) {
    let args = "method=method path=path query=query ver=req.ver hdrs=req.hdrs_bin body=req.body";
    let conf = mirror_conf("messages mirror", &message("mirror", args));
    let mut stage = Stage::start(version, &conf, |guide| guide);
    for path in ["/", "/search?q=1&r=%2F", "/a/b?c=d?e"] {
        stage.post(path, b"x");
    }
    let copies = stage.shadow.wait_for(3, wait::LIMIT);
    let mut lines: Vec<_> =
        copies.iter().map(|copy| copy.request_line().escape_ascii().to_string()).collect();
    lines.sort();
    assert_eq!(
        lines,
        ["POST / HTTP/1.1", "POST /a/b?c=d?e HTTP/1.1", "POST /search?q=1&r=%2F HTTP/1.1"]
    );
    stage.finish();
}

fn path_with_query_stands_in_for_the_url(version: Version) {
    let args = "method=method pathq=pathq ver=req.ver hdrs=req.hdrs_bin body=req.body";
    assert_mirrored(version, "mirror", args);
}

fn headers_come_as_a_string_too(version: Version) {
    let args = "arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs arg_body=req.body";
    assert_mirrored(version, "mirror", args);
}

fn the_version_may_be_missing(version: Version) {
    let args = "arg_method=method arg_path=url arg_hdrs=req.hdrs_bin arg_body=req.body";
    assert_mirrored(version, "mirror", args);
}

/// HAProxy sends the messages of one event in one frame: each that holds a request is a copy.
fn several_messages_in_one_event_are_all_taken(version: Version) {
    let messages = [
        message("first", ARGS),
        message("facts", "src=src id=unique-id"),
        message("second", "method=method url=url hdrs=req.hdrs_bin body=req.body"),
    ];
    let conf = mirror_conf("messages first facts second", &messages.concat());
    let mut stage = Stage::start(version, &conf, |guide| guide);
    stage.assert_copies(2);
    let tally = stage.finish();
    assert_eq!((tally.spop.notifies, tally.spop.messages), (4, 12));
    assert_eq!((tally.spop.requests, tally.spop.incomplete), (8, 4));
    let warnings = stage.mirror.told("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("\"facts\""), "{warnings:?}");
}

/// `http-request send-spoe-group` in place of an event: after the rules above it.
fn a_group_sent_by_a_rule_is_mirrored(version: Version) {
    let sections = format!(
        "spoe-message request\n    args {ARGS}\n\nspoe-group copies\n    messages request\n\n"
    );
    let conf = mirror_conf("groups copies", &sections);
    let mut stage = Stage::start(version, &conf, |guide| {
        guide
            .frontend("http-request set-header x-rule ran")
            .frontend("http-request send-spoe-group mirror copies if !{ path_beg /private }")
    });
    stage.post("/private", b"not this");
    stage.post("/public", b"this");
    stage.post("/public?2", b"and this");
    for copy in stage.shadow.wait_for(2, wait::LIMIT) {
        assert!(copy.target().starts_with(b"/public"), "{copy:?}");
        assert_eq!(copy.header("x-rule").as_deref(), Some("ran"), "{copy:?}");
    }
    let tally = stage.finish();
    assert_eq!((tally.spop.messages, tally.target().answers()), (2, 2));
}

/// Without what a copy needs: counted, and said once for each cause, with the argument that is missing.
fn a_message_that_lacks_arguments_is_counted_and_reported_once(version: Version) {
    let cases = [
        ("no-method", "arg_path=url arg_hdrs=req.hdrs_bin", "arg_method=method"),
        ("no-url", "arg_method=method arg_hdrs=req.hdrs_bin", "arg_path=url"),
        ("no-headers", "arg_method=method arg_path=url", "arg_hdrs=req.hdrs_bin"),
        ("nothing", "", "arg_method=method"),
        ("lost", "arg_method=method arg_path=url arg_hdrs=var(txn.none)", "without a value"),
        ("number", "arg_method=method arg_path=int(5) arg_hdrs=req.hdrs_bin", "is not text"),
    ];
    let names: Vec<_> = cases.iter().map(|(name, ..)| *name).collect();
    let sections: Vec<_> = cases
        .iter()
        .map(|(name, args, _)| match *args {
            "" => format!("spoe-message {name}\n    event on-frontend-http-request\n\n"),
            args => message(name, args),
        })
        .collect();
    let conf = mirror_conf(&format!("messages {}", names.join(" ")), &sections.concat());
    let mut stage = Stage::start(version, &conf, |guide| guide);
    let count = 30;
    for number in 0..count {
        stage.post(&format!("/{number}"), b"x");
    }
    let tally = stage.finish();
    let messages = count * cases.len() as u64;
    assert_eq!((tally.spop.messages, tally.spop.incomplete), (messages, messages));
    assert_eq!((tally.target().received, stage.shadow.counts().requests), (0, 0));
    assert_eq!(stage.mirror.told("WARN").len(), cases.len(), "{:#?}", stage.mirror.told("WARN"));
    for (name, _, expected) in cases {
        let said = stage.mirror.told(&format!("message \"{name}\" is not mirrored"));
        assert_eq!(said.len(), 1, "{name}: {said:?}");
        assert!(said[0].contains(expected), "{said:?}");
    }
}

on_each_haproxy!(
    a_message_of_any_name_is_mirrored,
    plain_argument_names_are_understood,
    arguments_come_in_any_order_among_others,
    path_and_query_stand_in_for_the_url,
    path_with_query_stands_in_for_the_url,
    headers_come_as_a_string_too,
    the_version_may_be_missing,
    several_messages_in_one_event_are_all_taken,
    a_group_sent_by_a_rule_is_mirrored,
    a_message_that_lacks_arguments_is_counted_and_reported_once,
);
