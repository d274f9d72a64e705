use super::TOPIC;
use crate::doctor::finding::Severity;
use crate::doctor::rules::examined::{VERSIONS, codes, findings};

const HAPROXY: &str = "frontend www
    mode http
    bind :80
    option http-buffer-request
    filter spoe engine mirror config mirror.conf
    default_backend production
backend mirroragents
    mode tcp
    server agent1 127.0.0.1:12345
";

/// A `mirror.conf` whose agent has these lines besides.
fn mirror(lines: &str) -> String {
    format!(
        "[mirror]\nspoe-agent mirror\n    messages mirror answer\n    use-backend mirroragents\n{lines}\n\
         spoe-message mirror\n    args arg_method=method arg_path=url arg_hdrs=req.hdrs_bin\n    \
         event on-frontend-http-request\n\
         spoe-message answer\n    args status=status res_body=res.body\n    event on-http-response\n"
    )
}

const GOOD: &str = "    timeout hello 500ms\n    timeout idle 5s\n    timeout processing 20ms\n";

fn found(haproxy: &str, lines: &str, version: Option<(u32, u32)>) -> Vec<&'static str> {
    codes(&findings(&TOPIC, haproxy, &mirror(lines), version))
}

#[test]
fn a_client_waits_for_ever_without_a_timeout_and_with_one_of_nothing() {
    for version in VERSIONS {
        for lines in ["", "    timeout processing 0\n"] {
            let lines = format!("    timeout hello 500ms\n    timeout idle 5s\n{lines}");
            assert_eq!(found(HAPROXY, &lines, version), ["processing-timeout-missing"]);
        }
    }
}

#[test]
fn the_cost_of_a_hung_agent_is_computed() {
    let lines = "    timeout hello 500ms\n    timeout idle 5s\n    timeout processing 5s\n    \
                 option continue-on-error\n";
    let findings = findings(&TOPIC, HAPROXY, &mirror(lines), None);
    assert_eq!(codes(&findings), ["processing-timeout-long", "continue-on-error"]);
    assert!(findings[0].consequence.contains("costs each client 5000 ms"), "{findings:?}");
    assert!(findings[1].consequence.contains("costs each client 10000 ms, 2 times 5s"));
    assert_eq!(findings[1].others.len(), 2);
}

#[test]
fn timeouts_of_connections_matter_to_haproxy_before_3_1() {
    let lines = "    timeout processing 20ms\n";
    let both = ["hello-timeout", "idle-timeout"];
    let severity = |version| findings(&TOPIC, HAPROXY, &mirror(lines), version)[0].severity;
    assert_eq!(found(HAPROXY, lines, Some((3, 0))), both);
    assert_eq!(severity(Some((3, 0))), Severity::Warning);
    assert_eq!(found(HAPROXY, lines, None), both);
    assert_eq!(severity(None), Severity::Hint);
    assert_eq!(found(HAPROXY, lines, Some((3, 2))), [""; 0]);
    let lines = "    timeout hello 10s\n    timeout idle 100ms\n    timeout processing 20ms\n";
    assert_eq!(found(HAPROXY, lines, Some((2, 6))), both);
    assert_eq!(found(HAPROXY, GOOD, Some((2, 6))), [""; 0]);
}

#[test]
fn waiting_for_answers_needs_a_condition_about_them() {
    let with = |rules: &str| {
        let haproxy =
            HAPROXY.replace("    default_backend", &format!("{rules}    default_backend"));
        found(&haproxy, GOOD, None)
    };
    let wait = "    http-response wait-for-body time 1s";
    let bad = ["response-wait-unconditional"];
    assert_eq!(with(&format!("{wait}\n")), bad);
    let set = "    http-request set-var(txn.mirror) bool(true) if { rand(100) lt 10 }\n";
    assert_eq!(with(&format!("{set}{wait} if {{ var(txn.mirror) -m bool }}\n")), bad);
    for condition in [
        "{ res.fhdr(content-length) -m int le 1000 }",
        "{ status 200 }",
        "small",
        "!{ res.hdr(x) a }",
    ] {
        assert_eq!(with(&format!("{wait} if {condition}\n")), [""; 0], "{condition}");
    }
    let set = "    http-response set-var(txn.wait) bool(true) if { res.hdr(x) a }\n";
    assert_eq!(with(&format!("{set}{wait} if {{ var(txn.wait) -m bool }}\n")), [""; 0]);
    // Where no bodies of answers are handed over, the rule is there for something else.
    let mirror = mirror(GOOD).replace(" res_body=res.body", "");
    let haproxy = HAPROXY.replace("    default_backend", &format!("{wait}\n    default_backend"));
    assert_eq!(codes(&findings(&TOPIC, &haproxy, &mirror, None)), [""; 0]);
}

#[test]
fn few_connections_to_an_agent_are_told() {
    for (limit, expected) in
        [("1", &["agent-maxconn"][..]), ("19", &["agent-maxconn"]), ("20", &[])]
    {
        let haproxy = HAPROXY.replace("12345", &format!("12345 check maxconn {limit} inter 1s"));
        let findings = findings(&TOPIC, &haproxy, &mirror(GOOD), None);
        assert_eq!(codes(&findings), expected);
    }
}
