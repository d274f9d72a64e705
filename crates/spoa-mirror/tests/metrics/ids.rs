//! A log line about a copy carries the ids by which the request is known elsewhere.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::backend::Recorder;
use testbed::client::http1;
use testbed::haproxy::{Guide, Version};
use testbed::wait;

use super::documents::{table, word};
use super::running::mirror::Mirror;
use super::running::on_each_haproxy;
use super::running::stage::production;

on_each_haproxy!(ids_of_request_and_trace_are_logged_and_pass_unchanged);

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn ids_of_request_and_trace_are_logged_and_pass_unchanged(version: Version) {
    let production = production();
    let target = Recorder::start();
    let url = target.url();
    let mirror = Mirror::start(&["-r", "0", "-u", &url, "--log-format", "json", "-L", "ALL"]);
    let text = Mirror::start(&["-r", "0", "-u", &url, "-L", "ALL"]);
    let send = |mirror: &Mirror, with_id: bool, headers: &str| {
        let mut guide = Guide::new(production.address()).agent(mirror.address);
        if with_id {
            let args = "arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs_bin \
                        arg_body=req.body id=unique-id";
            guide = guide.frontend("unique-id-format from-%[path,field(2,/)]").args(args);
        }
        let haproxy = guide.start(version);
        let request = format!("GET /path HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        assert_eq!(
            http1::exchange(haproxy.address("http"), request.as_bytes()).unwrap().status,
            200
        );
    };
    let line = |mirror: &Mirror| -> Value {
        let line = mirror.process.wait_line(wait::LIMIT, |line| line.contains("/path"));
        serde_json::from_str(&line).unwrap()
    };
    let trace = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\ntracestate: a=b,c=d\r\n");

    // By the header, escaped; the trace beside it.
    send(&mirror, false, &format!("X-Request-ID: r 1\"\r\n{trace}"));
    let first = line(&mirror);
    assert_eq!(first["request_id"], "r\\x201\"", "{first}");
    assert_eq!(first["trace_id"], TRACE, "{first}");
    let documented: BTreeSet<String> =
        table("copy-line").iter().map(|row| word(&row[0]).to_owned()).collect();
    let fields: BTreeSet<String> = first.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, documented);
    let copy = target.wait_for(1, wait::LIMIT).pop().unwrap();
    assert_eq!(copy.header("traceparent").unwrap(), format!("00-{TRACE}-00f067aa0ba902b7-01"));
    assert_eq!(copy.header("tracestate").unwrap(), "a=b,c=d");
    assert_eq!(copy.header("x-request-id").unwrap(), "r 1\"");

    // By HAProxy's argument, as text.
    send(&text, true, "X-Request-ID: another\r\n");
    let shown = text.process.wait_line(wait::LIMIT, |line| line.contains("/path"));
    assert!(shown.ends_with(" ok id=from-path"), "{shown}");

    // Without ids the line is the C program's.
    target.take();
    send(&text, false, "");
    target.wait_for(1, wait::LIMIT);
    let plain = |line: &str| line.contains("/path") && !line.contains("id=");
    let shown = text.process.wait_line(wait::LIMIT, plain);
    assert!(shown.ends_with(" ok"), "{shown}");
}
