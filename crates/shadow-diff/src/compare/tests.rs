use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::comparison::Comparison;
use crate::redact::ShowAll;
use crate::rules::{Action, Rule};

mod bodies;
mod headers;
mod json;

type Headers<'h> = &'h [(&'h [u8], &'h [u8])];

const JSON: Headers<'static> = &[(b"content-type", b"application/json")];

/// When the responses of these tests came about: 2026-01-02T03:04:05Z.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_323_045)
}

fn response<'r>(status: u16, headers: Headers<'r>, body: Body<'r>) -> Response<'r> {
    Response { status, headers, body }
}

fn pair<'p>(production: Response<'p>, shadow: Response<'p>) -> Pair<'p> {
    Pair { method: b"GET", endpoint: "GET /things", now: now(), production, shadow }
}

fn compared(production: Response<'_>, shadow: Response<'_>) -> Comparison {
    Comparer::default().compare(&pair(production, shadow), &ShowAll)
}

/// One that knows these rules: place and action, for any endpoint.
fn with_rules(rules: &[(&str, Action)]) -> Comparer {
    let rule = |(place, action): &(&str, Action)| Rule {
        endpoint: "*".to_owned(),
        place: (*place).to_owned(),
        action: action.clone(),
    };
    let rules: Vec<Rule> = rules.iter().map(rule).collect();
    Comparer::new(Rules::compile(&rules).unwrap(), NaturalRules::default(), Limits::default())
}

/// Compares two bodies of one type.
fn bodies(comparer: &Comparer, media_type: &str, production: &[u8], shadow: &[u8]) -> Comparison {
    let headers: Headers<'_> = &[(b"content-type", media_type.as_bytes())];
    let production = response(200, headers, Body::Whole(production));
    comparer.compare(&pair(production, response(200, headers, Body::Whole(shadow))), &ShowAll)
}

/// The differences, one a line: place, kind, production's value, the shadow's.
fn listed(comparison: &Comparison) -> Vec<String> {
    let value = |value: &Option<Box<str>>| value.as_deref().unwrap_or("-").to_owned();
    let line = |difference: &crate::Difference| {
        format!(
            "{} {:?} {} | {}",
            difference.place,
            difference.kind,
            value(&difference.production),
            value(&difference.shadow)
        )
    };
    comparison.differences.iter().map(line).collect()
}

/// The built-in rules that excused something, with how often.
fn excused(comparison: &Comparison) -> Vec<(String, u32)> {
    comparison.excused.iter().map(|(excuse, count)| (excuse.to_string(), *count)).collect()
}

#[test]
fn another_status_is_a_difference() {
    let comparison =
        compared(response(200, &[], Body::Whole(b"x")), response(201, &[], Body::Whole(b"x")));
    assert_eq!(comparison.outcome, Outcome::Different);
    assert!(comparison.body.is_compared());
    assert_eq!(listed(&comparison), ["status Value 200 | 201"]);
}

#[test]
fn bodies_of_another_class_of_status_are_not_compared() {
    let production = response(200, JSON, Body::Whole(b"{}"));
    let shadow = response(500, JSON, Body::Whole(b"{\"error\":1}"));
    let comparison = compared(production, shadow);
    assert_eq!(comparison.body, Examined::Not(Reason::Status));
    assert!(!comparison.body.is_compared());
    assert_eq!(listed(&comparison), ["status Value 200 | 500"]);

    let comparer = with_rules(&[("status", Action::Ignore)]);
    let comparison = comparer.compare(&pair(production, shadow), &ShowAll);
    assert_eq!(listed(&comparison), ["body $.error Extra - | 1"]);
    assert_eq!(excused(&comparison), [("rule 1".to_owned(), 1)]);
}

#[test]
fn a_body_that_is_not_whole_is_never_the_same() {
    let whole = response(200, &[], Body::Whole(b"12345"));
    let part = response(200, &[], Body::Part { bytes: b"12345", total: None });
    let unknown = response(200, &[], Body::Unknown);
    for (production, shadow, reason) in [
        (part, whole, Reason::Cut(Side::Production)),
        (whole, part, Reason::Cut(Side::Shadow)),
        (part, part, Reason::Cut(Side::Both)),
        (whole, unknown, Reason::Unknown(Side::Shadow)),
        (unknown, part, Reason::Unknown(Side::Production)),
    ] {
        let comparison = compared(production, shadow);
        assert_eq!(comparison.outcome, Outcome::Incomparable(reason), "{reason}");
        assert_eq!(comparison.body, Examined::Not(reason));
    }
    let comparer = with_rules(&[("$", Action::Ignore)]);
    let comparison = comparer.compare(&pair(part, unknown), &ShowAll);
    assert_eq!((comparison.outcome, comparison.body), (Outcome::Same, Examined::Ignored));
}

#[test]
fn sizes_of_cut_bodies_are_compared() {
    let long: Headers<'_> = &[(b"content-length", b"30000")];
    let cut = response(200, long, Body::Part { bytes: b"123", total: None });
    let whole = response(200, &[], Body::Whole(b"123"));
    let comparison = compared(cut, whole);
    assert_eq!(comparison.outcome, Outcome::Different);
    assert_eq!(comparison.body, Examined::Not(Reason::Cut(Side::Production)));
    assert_eq!(listed(&comparison), ["body $ Length 30000 bytes | 3 bytes"]);

    let near = with_rules(&[("$", Action::Tolerance { absolute: 29_997.0, relative: 0.0 })]);
    let comparison = near.compare(&pair(cut, whole), &ShowAll);
    assert_eq!(comparison.outcome, Outcome::Incomparable(Reason::Cut(Side::Production)));

    let packed: Headers<'_> = &[(b"content-length", b"30000"), (b"content-encoding", b"gzip")];
    let cut = response(200, packed, Body::Part { bytes: b"123", total: None });
    let other = response(200, packed, Body::Part { bytes: b"123", total: Some(20_000) });
    assert_eq!(compared(cut, other).outcome, Outcome::Incomparable(Reason::Cut(Side::Both)));
}

#[test]
fn responses_without_bodies_are_compared_without_them() {
    let length =
        |length: &'static [u8]| -> Vec<(&[u8], &[u8])> { vec![(b"content-length", length)] };
    let (five, six) = (length(b"5"), length(b"6"));
    let mut head =
        pair(response(200, &five, Body::Unknown), response(200, &five, Body::Whole(b"")));
    head.method = b"HEAD";
    let comparison = Comparer::default().compare(&head, &ShowAll);
    assert_eq!((comparison.outcome, comparison.body), (Outcome::Same, Examined::Absent));
    head.shadow.headers = &six;
    let comparison = Comparer::default().compare(&head, &ShowAll);
    assert_eq!(listed(&comparison), ["body $ Length 5 bytes | 6 bytes"]);

    for status in [204, 304] {
        let comparison =
            compared(response(status, &[], Body::Unknown), response(status, &[], Body::Whole(b"")));
        assert_eq!((comparison.outcome, comparison.body), (Outcome::Same, Examined::Absent));
    }
}

#[test]
fn what_is_shown_was_redacted_before_it_was_cut() {
    struct Hide;
    impl Redact for Hide {
        fn shown<'v>(&self, place: &Place, value: &'v str) -> Cow<'v, str> {
            match place {
                Place::Header(name) if &**name == "set-cookie.s" => "***".into(),
                Place::Body(path) if path.ends_with(".password") => {
                    assert!(value.ends_with("end"), "it is asked about the whole value");
                    "***".into()
                }
                _ => value.into(),
            }
        }
    }
    let long = format!("{{\"password\":\"{}end\"}}", "x".repeat(1000));
    let user = format!("{{\"password\":\"1end\",\"user\":{long}}}");
    let production = response(200, JSON, Body::Whole(user.as_bytes()));
    let headers: Headers<'_> =
        &[(b"content-type", b"application/json"), (b"set-cookie", b"s=secret")];
    let shadow = response(200, headers, Body::Whole(long.as_bytes()));
    let comparison = Comparer::default().compare(&pair(production, shadow), &Hide);
    assert_eq!(
        listed(&comparison),
        [
            "header set-cookie.s Extra - | ***",
            "body $.password Value \"***\" | \"***\"",
            "body $.user Missing {\"password\":\"***\"} | -",
        ]
    );
}

#[test]
fn differences_are_listed_up_to_a_limit_and_those_alike_three_times() {
    let numbers = |start: usize| {
        let list: Vec<String> = (start..start + 100).map(|number| number.to_string()).collect();
        format!("[{}]", list.join(","))
    };
    let comparison = bodies(
        &Comparer::default(),
        "application/json",
        numbers(1000).as_bytes(),
        numbers(2000).as_bytes(),
    );
    assert_eq!((comparison.differences.len(), comparison.more), (3, 97));

    let members = |value: usize| {
        let list: Vec<String> = (0..100).map(|name| format!("\"m{name}\":{value}")).collect();
        format!("{{{}}}", list.join(","))
    };
    let comparison = bodies(
        &Comparer::default(),
        "application/json",
        members(1).as_bytes(),
        members(2).as_bytes(),
    );
    assert_eq!((comparison.differences.len(), comparison.more), (64, 36));
}
