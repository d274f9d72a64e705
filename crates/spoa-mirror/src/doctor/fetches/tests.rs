//! The table, and what the real HAProxy versions say of it.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::collections::BTreeSet;

use haproxy_config::Version as Numbers;
use testbed::haproxy::{Haproxy, Version};

use super::*;
use crate::doctor::setup::Known;

/// All moments, with what makes HAProxy send a message then: the event, or the rule.
const MOMENTS: [(Moment, &str); 12] = [
    (Moment::ClientSession, "on-client-session"),
    (Moment::FrontendTcp, "on-frontend-tcp-request"),
    (Moment::BackendTcp, "on-backend-tcp-request"),
    (Moment::FrontendHttp, "on-frontend-http-request"),
    (Moment::BackendHttp, "on-backend-http-request"),
    (Moment::ServerSession, "on-server-session"),
    (Moment::TcpResponse, "on-tcp-response"),
    (Moment::HttpResponse, "on-http-response"),
    (Moment::TcpRule, "tcp-request content"),
    (Moment::RequestRule, "http-request"),
    (Moment::TcpResponseRule, "tcp-response content"),
    (Moment::ResponseRule, "http-response"),
];

#[test]
fn every_row_has_a_source_and_no_fetch_is_in_two_for_a_version() {
    for row in FETCHES {
        assert!(!row.source.is_empty(), "{row:?}");
    }
    let mut names = names();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(all - names.len(), 1, "only req.ver has two rows");
}

#[test]
fn an_answer_has_no_url_and_a_request_no_status() {
    let available = |name: &str, moment| rows(name).all(|row| row.available.at(moment));
    assert!(available("url", Moment::FrontendHttp));
    assert!(!available("url", Moment::HttpResponse));
    assert!(available("method", Moment::HttpResponse));
    assert!(!available("status", Moment::FrontendHttp));
    assert!(available("status", Moment::ResponseRule));
    assert!(!available("method", Moment::ClientSession));
    assert!(available("be_name", Moment::ServerSession));
}

#[test]
fn haproxy_2_6_says_the_same() {
    assert_agrees(Version::V2_6);
}

#[test]
fn haproxy_3_0_says_the_same() {
    assert_agrees(Version::V3_0);
}

#[test]
fn haproxy_3_2_says_the_same() {
    assert_agrees(Version::V3_2);
}

#[test]
fn haproxy_3_4_says_the_same() {
    assert_agrees(Version::V3_4);
}

/// Each fetch at each moment.
fn assert_agrees(version: Version) {
    for (moment, sender) in MOMENTS {
        let expected: BTreeSet<&str> =
            names().into_iter().filter(|name| !is_available(version, name, moment)).collect();
        assert_eq!(refused(version, sender), expected, "HAProxy {version}, {sender}");
    }
}

fn names() -> Vec<&'static str> {
    FETCHES.iter().flat_map(|row| row.names).copied().collect()
}

/// What the table says.
fn is_available(version: Version, name: &str, moment: Moment) -> bool {
    let (major, minor) = version.name().split_once('.').unwrap();
    let (major, minor) = (major.parse().unwrap(), minor.parse().unwrap());
    let known = Known(Some(Numbers { major, minor, patch: None }));
    let mut rows = rows(name).filter(|row| row.versions.include(known));
    rows.next().is_some_and(|row| row.available.at(moment))
}

/// What HAProxy does not take: what it complains of is left out and it is asked again, until it has no complaint.
fn refused(version: Version, sender: &str) -> BTreeSet<&'static str> {
    let mut names = names();
    names.sort_unstable();
    names.dedup();
    let mut refused = BTreeSet::new();
    loop {
        let left: Vec<_> =
            names.iter().enumerate().filter(|(_, name)| !refused.contains(*name)).collect();
        let mut builder = Haproxy::builder(version);
        let mut config = String::from(
            "global\n maxconn 100\ndefaults\n mode http\n timeout connect 1s\n timeout client 1s\n \
             timeout server 1s\nbackend agents\n mode tcp\n server a 127.0.0.1:9\n",
        );
        for (number, name) in &left {
            config += &proxy(*number, sender);
            builder = builder.file(&format!("fetch{number}.conf"), spoe(name, sender));
        }
        let said = match builder.config(config).check() {
            Ok(_) => return refused,
            Err(said) => said,
        };
        let named =
            left.iter().filter(|(number, _)| said.contains(&format!("/fetch{number}.conf")));
        let before = refused.len();
        refused.extend(named.map(|(_, name)| **name));
        assert!(refused.len() > before, "{version}, {sender}: {said}");
    }
}

/// A proxy with a filter of its own; the rules of answers in TCP are a backend's.
fn proxy(number: usize, sender: &str) -> String {
    let filter = format!(" filter spoe engine mirror config {{dir}}/fetch{number}.conf\n");
    let rule = if sender.starts_with("on-") {
        String::new()
    } else {
        format!(" {sender} send-spoe-group mirror group\n")
    };
    if sender.starts_with("tcp-response") {
        return format!("backend p{number}\n{filter}{rule} server s 127.0.0.1:9\n");
    }
    format!(
        "frontend p{number}\n bind 127.0.0.1:{}\n capture request header host len 9\n \
         capture response header server len 9\n{filter}{rule}",
        10_000 + number
    )
}

fn spoe(name: &str, sender: &str) -> String {
    let (uses, event, group) = match sender.starts_with("on-") {
        true => ("messages message", format!(" event {sender}\n"), ""),
        false => ("groups group", String::new(), "spoe-group group\n messages message\n"),
    };
    let arguments = match name {
        "var" => "(txn.a)",
        "capture.req.hdr" | "capture.res.hdr" => "(0)",
        "int" => "(1)",
        "bool" => "(true)",
        "uuid" => "()",
        "str" | "hdr" | "url_param" | "req.hdr" | "req.fhdr" | "req.hdr_cnt" | "req.cook"
        | "req.body_param" | "res.hdr" | "res.fhdr" | "res.cook" => "(a)",
        _ => "",
    };
    format!(
        "[mirror]\nspoe-agent agent\n {uses}\n use-backend agents\n timeout hello 1s\n timeout idle 1s\n \
         timeout processing 1s\nspoe-message message\n args x={name}{arguments}\n{event}{group}"
    )
}
