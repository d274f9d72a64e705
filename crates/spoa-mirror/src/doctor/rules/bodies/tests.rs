use super::TOPIC;
use crate::doctor::finding::Finding;
use crate::doctor::rules::examined::{VERSIONS, codes, findings};

const OLD: Option<(u32, u32)> = Some((3, 0));

/// A frontend with these lines before the filter and these behind it.
fn haproxy(global: &str, before: &str, behind: &str) -> String {
    format!(
        "global\n    maxconn 100\n{global}\nfrontend www\n    mode http\n    bind :80\n{before}\n    \
         filter spoe engine mirror config mirror.conf\n{behind}\n    default_backend production\n\
         backend production\n    server web1 127.0.0.1:8080\n"
    )
}

const BUFFERED: &str = "    option http-buffer-request";

/// A message with this body (and more), sent by an event.
fn event(agent: &str, body: &str) -> String {
    format!(
        "[mirror]\nspoe-agent mirror\n    messages mirror\n    use-backend agents\n{agent}\n\
         spoe-message mirror\n    args arg_method=method arg_path=url arg_hdrs=req.hdrs_bin {body}\n    \
         event on-frontend-http-request\n"
    )
}

/// The same, sent by a group `copy`.
fn group(body: &str) -> String {
    event("    groups copy", body)
        .replace("    messages mirror\n", "")
        .replace("    event on-frontend-http-request\n", "spoe-group copy\n    messages mirror\n")
}

fn found(haproxy: &str, mirror: &str) -> Vec<Finding> {
    findings(&TOPIC, haproxy, mirror, None)
}

const SEND: &str = "    http-request send-spoe-group mirror copy";
const WAIT: &str = "    http-request wait-for-body time 5s";

#[test]
fn without_a_body_there_is_nothing_to_say() {
    for before in ["", BUFFERED] {
        assert_eq!(codes(&found(&haproxy("", before, ""), &event("", ""))), [""; 0]);
    }
}

#[test]
fn a_body_must_be_waited_for_before_it_is_handed_over() {
    let event = event("", "arg_body=req.body");
    let bad = ["body-not-waited-for"];
    assert_eq!(codes(&found(&haproxy("", "", ""), &event)), bad);
    // The event comes before all rules.
    assert_eq!(codes(&found(&haproxy("", WAIT, ""), &event)), bad);
    assert_eq!(codes(&found(&haproxy("", BUFFERED, ""), &event)), [""; 0]);
    let elsewhere = haproxy("", "", "")
        .replace("    server web1", "    option http-buffer-request\n    server web1");
    assert_eq!(codes(&found(&elsewhere, &event)), bad);

    let group = group("arg_body=req.body");
    let rules = |rules: &[&str]| codes(&found(&haproxy("", "", &rules.join("\n")), &group));
    assert_eq!(rules(&[SEND]), bad);
    assert_eq!(rules(&[WAIT, SEND]), [""; 0]);
    assert_eq!(rules(&[SEND, WAIT]), bad);
    assert_eq!(rules(&[&format!("{SEND} if {{ method GET HEAD }}")]), [""; 0]);
    assert_eq!(codes(&found(&haproxy("", BUFFERED, SEND), &group)), [""; 0]);
}

#[test]
fn the_event_of_backends_comes_behind_the_frontends_rules() {
    let event = event("", "arg_body=req.body").replace("on-frontend-http", "on-backend-http");
    assert_eq!(codes(&found(&haproxy("", WAIT, ""), &event)), [""; 0]);
    let elsewhere = haproxy("", "", "")
        .replace("    server web1", "    option http-buffer-request\n    server web1");
    assert_eq!(codes(&found(&elsewhere, &event)), [""; 0]);
    assert_eq!(codes(&found(&haproxy("", "", ""), &event)), ["body-not-waited-for"]);
}

#[test]
fn a_body_that_is_saved_must_be_waited_for_before() {
    let group = group("arg_body=var(txn.body)");
    let save = "    http-request set-var(txn.body) req.body";
    let rules = |rules: &[&str]| codes(&found(&haproxy("", "", &rules.join("\n")), &group));
    assert_eq!(rules(&[WAIT, save, SEND]), [""; 0]);
    assert_eq!(rules(&[save, WAIT, SEND]), ["body-not-waited-for"]);
}

#[test]
fn the_largest_body_that_passes_is_told_where_a_larger_one_is_meant() {
    let capped = event("", "arg_body=req.body,bytes(0,20000) arg_body_size=req.body_size");
    let findings = found(&haproxy("", BUFFERED, ""), &capped);
    assert_eq!(codes(&findings), ["body-larger-than-buffer"]);
    assert!(findings[0].consequence.contains("the largest body that passes has 14336 bytes"));
    assert!(findings[0].mend.say.contains("tune.bufsize 32768"), "{findings:?}");
    let larger = haproxy("    tune.bufsize 32768", BUFFERED, "");
    assert_eq!(codes(&found(&larger, &capped)), [""; 0]);

    let wait = format!("{WAIT} if {{ req.body_size le 60000 }}");
    let save = "    http-request set-var(txn.copy) bool(true) if { req.hdr(content-length) -m int le 60000 }";
    let send = format!("{SEND} if {{ var(txn.copy) -m bool }}");
    let group = group("arg_body=req.body arg_body_size=req.body_size");
    let rules = [&wait, save, &send].join("\n");
    assert_eq!(codes(&found(&haproxy("", "", &rules), &group)), ["body-larger-than-buffer"]);
}

#[test]
fn two_bodies_must_fit_one_frame() {
    let two = event("", "arg_body=req.body res_hdrs=res.hdrs_bin res_body=res.body");
    let haproxy = haproxy("", BUFFERED, "");
    let all = found(&haproxy, &two);
    assert_eq!(codes(&all), ["body-cap-over-frame"]);
    assert!(all[0].consequence.contains("it may come to 30720 bytes, with 2048 for first lines"));
    assert!(all[0].mend.say.contains("bytes(0,7000)"), "{all:?}");
    // HAProxy before 3.1 sends fragments, unless it is told not to.
    assert_eq!(codes(&findings(&TOPIC, &haproxy, &two, OLD)), [""; 0]);
    let off = event("    no option send-frag-payload", "arg_body=req.body res_body=res.body");
    assert_eq!(codes(&findings(&TOPIC, &haproxy, &off, OLD)), ["fragments-off"]);
    let capped = event(
        "",
        "arg_body=req.body,bytes(0,7000) arg_body_size=req.body_size res_hdrs=res.hdrs_bin \
         res_body=res.body,bytes(0,7000)",
    );
    assert_eq!(codes(&found(&haproxy, &capped)), [""; 0]);
}

#[test]
fn a_frame_may_be_smaller_than_the_buffer_or_too_large() {
    let haproxy = haproxy("", BUFFERED, "");
    let with = |size: &str| event(&format!("    max-frame-size {size}"), "arg_body=req.body");
    let small = found(&haproxy, &with("8192"));
    assert_eq!(codes(&small), ["frame-size-clipped"]);
    assert!(
        small[0].consequence.contains("the largest body that passes has 7136 bytes"),
        "{small:?}"
    );
    assert_eq!(codes(&found(&haproxy, &with("16381"))), ["frame-size-clipped"]);
    assert_eq!(codes(&found(&haproxy, &with("16380"))), [""; 0]);
    let capped = "arg_body=req.body,bytes(0,6000) arg_body_size=req.body_size";
    assert_eq!(codes(&found(&haproxy, &event("    max-frame-size 8192", capped))), [""; 0]);
}

#[test]
fn large_buffers_make_no_larger_frames() {
    let rules = [&format!("{WAIT} use-large-buffer"), SEND].join("\n");
    let haproxy = |version| {
        let haproxy = haproxy("    tune.bufsize.large 65536", "", &rules);
        codes(&findings(&TOPIC, &haproxy, &group("arg_body=req.body"), version))
    };
    assert_eq!(haproxy(Some((3, 4))), ["large-buffers-no-help"]);
    assert_eq!(haproxy(Some((3, 2))), [""; 0]);
}

#[test]
fn a_variable_may_be_too_small_for_a_body() {
    let group = group("arg_body=var(txn.body)");
    let rules = [WAIT, "    http-request set-var(txn.body) req.body", SEND].join("\n");
    for (scope, expected) in [("txn", 1), ("sess", 1), ("proc", 1), ("reqres", 0)] {
        let limit = format!("    tune.vars.{scope}-max-size 5000");
        let codes = codes(&found(&haproxy(&limit, "", &rules), &group));
        assert_eq!(codes, ["saved-body-over-limit"; 1][..expected], "{scope}");
    }
    let enough = haproxy("    tune.vars.txn-max-size 32768", "", &rules);
    assert_eq!(codes(&found(&enough, &group)), [""; 0]);
}

#[test]
fn what_is_cut_where_the_agent_cannot_see_it_needs_its_size() {
    let haproxy = haproxy("", BUFFERED, "");
    let cut = event("", "arg_body=req.body,bytes(0,5000)");
    let findings = found(&haproxy, &cut);
    assert_eq!(codes(&findings), ["body-size-not-sent"]);
    assert!(findings[0].consequence.contains("more than 5000 bytes"));
    let stated = event("", "arg_body=req.body,bytes(0,5000) arg_body_size=req.body_size");
    assert_eq!(codes(&found(&haproxy, &stated)), [""; 0]);
    let short = event("", "arg_body=req.body,bytes(0,5000)")
        .replace("http-request\n", "http-request if { req.body_size le 5000 }\n");
    assert_eq!(codes(&found(&haproxy, &short)), [""; 0]);
    let rewriting = haproxy.replace("    maxconn 100", "    tune.maxrewrite 8000");
    let plain = event("", "arg_body=req.body");
    assert_eq!(codes(&found(&rewriting, &plain)), ["body-size-not-sent"]);
}

#[test]
fn sizes_beyond_all_bounds_are_no_trouble() {
    let most = u64::MAX;
    let global = format!("    tune.bufsize {most}\n    tune.vars.txn-max-size {most}");
    let two = event("", "arg_body=var(txn.body) res_body=res.body,bytes(0,18446744073709551615)");
    let save = "    http-request set-var(txn.body) req.body";
    for rules in [save, SEND] {
        for version in VERSIONS {
            let _ = findings(&TOPIC, &haproxy(&global, BUFFERED, rules), &two, version);
        }
    }
}
