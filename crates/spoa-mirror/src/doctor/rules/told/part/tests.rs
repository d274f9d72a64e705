//! Names of arguments, and slips of them.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::time::Duration;

use spop_proto::{Messages, Value, encode_message};

use super::*;
use crate::exchange::{Exchange, Production, RequestTarget, Version};

const HEADERS: Value<'static> = Value::Binary(b"\x01a\x01b\0\0");

/// Whether the agent finds a part in an argument of this name.
fn is_read(name: &str, part: Part) -> bool {
    let text = |text: &'static str| Value::String(text.as_bytes());
    let value = match part {
        Part::Method => text("PUT"),
        Part::Url | Part::Path => text("/there"),
        Part::Query => text("q"),
        Part::Version => text("2.0"),
        Part::Headers | Part::AnswerHeaders => HEADERS,
        Part::Body | Part::AnswerBody => text("body"),
        Part::BodySize | Part::AnswerBodySize | Part::Timer => Value::Int64(5),
        Part::Id => text("i"),
        Part::Status => Value::Int64(404),
        Part::Waited => Value::Bool(true),
        Part::AskedAt => Value::Int64(1_000),
        Part::AnsweredAt => Value::Int64(3_000),
        Part::Source => Value::Ipv4([192, 0, 2, 1].into()),
    };
    let mut arguments = vec![(name.as_bytes(), value)];
    let others = [
        (Part::Method, "method", text("GET")),
        (Part::Headers, "hdrs", Value::Binary(b"\0\0")),
        (Part::Status, "status", Value::Int64(200)),
        (Part::AskedAt, "t_request", Value::Int64(1_000)),
        (Part::AnsweredAt, "t_response", Value::Int64(3_000)),
    ];
    let others = others.into_iter().filter(|(other, _, _)| *other != part);
    arguments.extend(others.map(|(_, name, value)| (name.as_bytes(), value)));
    match part {
        Part::Url | Part::Path => {}
        Part::Query => arguments.push((b"path", text("/"))),
        _ => arguments.push((b"url", text("/"))),
    }
    if part == Part::Timer {
        arguments.retain(|(name, _)| !name.starts_with(b"t_re"));
    }
    let mut payload = Vec::new();
    encode_message(b"mirror", &arguments, &mut payload);
    let (message, exchange) = Exchange::next(&mut Messages::new(&payload, 0)).unwrap().unwrap();
    let Ok(exchange) = exchange else { return false };
    let Some(answer) = Production::read(&message) else { return false };
    match part {
        Part::Method => exchange.method == b"PUT",
        Part::Url | Part::Path => exchange.target.path() == b"/there",
        Part::Query => matches!(exchange.target, RequestTarget::Origin { query: b"q", .. }),
        Part::Version => exchange.version == Version::Later,
        Part::Headers => exchange.headers.iter().count() == 1,
        Part::Body => exchange.body.bytes == b"body",
        Part::BodySize => exchange.body.stated_size == Some(5),
        Part::Id => exchange.id == Some(b"i") && answer.id == Some(b"i"),
        Part::Status => answer.status == 404,
        Part::AnswerHeaders => answer.headers.is_some(),
        Part::AnswerBody => answer.body.bytes == b"body",
        Part::AnswerBodySize => answer.body.stated_size == Some(5),
        Part::Waited => answer.waited,
        Part::AskedAt | Part::AnsweredAt => answer.time == Some(Duration::from_millis(2)),
        Part::Timer => answer.time == Some(Duration::from_millis(5)),
        Part::Source => {
            let view = crate::policy::view::View::new(&exchange);
            view.source().is_some()
        }
    }
}

#[test]
fn the_agent_reads_every_name() {
    for (name, part) in NAMES {
        assert!(is_read(name, *part), "{name}");
    }
    assert!(!is_read("arg_header", Part::Headers));
    assert!(!is_read("res_header", Part::AnswerHeaders));
}

#[test]
fn slips_are_known_and_other_words_are_not() {
    for (slip, name) in [
        ("arg_methd", "arg_method"),
        ("arg_header", "arg_headers"),
        ("arg_hdr", "arg_hdrs"),
        ("arg_hrds", "arg_hdrs"),
        ("arg_boddy", "arg_body"),
        ("metod", "method"),
        ("Method", "method"),
        ("res_header", "res_hdrs"),
        ("res_bdoy", "res_body"),
    ] {
        let found = Part::near(slip);
        if slip == "res_header" {
            // Too far: what it hands over tells it.
            assert_eq!(found, None, "{slip}");
        } else {
            assert_eq!(found.map(|(known, _)| known), Some(name), "{slip}");
        }
    }
    for other in ["customer", "tenant", "geo", "ip", "host", "a", "", "ssl_sni"] {
        assert_eq!(Part::near(other), None, "{other}");
    }
}

#[test]
fn every_part_has_both_names() {
    for (name, part) in NAMES {
        assert_eq!(Part::named(name), Some(*part));
        for prefixed in [true, false] {
            let name = part.name(prefixed);
            assert_eq!(
                (Part::named(&name), name.starts_with("arg_")),
                (Some(*part), prefixed),
                "{name}"
            );
        }
    }
}
