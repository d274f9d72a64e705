use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::response::Response;

type Headers<'h> = &'h [(&'h [u8], &'h [u8])];

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
    Comparer::default().compare(&pair(production, shadow))
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

#[test]
fn another_status_is_a_difference() {
    let comparison =
        compared(response(200, &[], Body::Whole(b"x")), response(503, &[], Body::Whole(b"x")));
    assert_eq!(comparison.outcome, Outcome::Different);
    assert_eq!(comparison.body, Examined::Bytes);
    assert_eq!(listed(&comparison), ["status Value 200 | 503"]);
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
}

#[test]
fn sizes_of_cut_bodies_are_compared() {
    let long: Headers<'_> = &[(b"content-length", b"30000")];
    let cut = response(200, long, Body::Part { bytes: b"123", total: None });
    let comparison = compared(cut, response(200, &[], Body::Whole(b"123")));
    assert_eq!(comparison.outcome, Outcome::Different);
    assert_eq!(comparison.body, Examined::Not(Reason::Cut(Side::Production)));
    assert_eq!(listed(&comparison), ["body $ Length 30000 bytes | 3 bytes"]);

    let packed: Headers<'_> = &[(b"content-length", b"30000"), (b"content-encoding", b"gzip")];
    let cut = response(200, packed, Body::Part { bytes: b"123", total: None });
    let other = response(200, packed, Body::Part { bytes: b"123", total: Some(20_000) });
    assert_eq!(compared(cut, other).outcome, Outcome::Incomparable(Reason::Cut(Side::Both)));
}

#[test]
fn responses_without_bodies_are_compared_without_them() {
    let mut head = pair(response(200, &[], Body::Unknown), response(200, &[], Body::Whole(b"")));
    head.method = b"HEAD";
    assert_eq!(Comparer::default().compare(&head).outcome, Outcome::Same);
    for status in [204, 304] {
        let comparison =
            compared(response(status, &[], Body::Unknown), response(status, &[], Body::Whole(b"")));
        assert_eq!((comparison.outcome, comparison.body), (Outcome::Same, Examined::Absent));
    }
}

#[test]
fn bytes_of_unknown_kind_are_compared_by_length_and_hash() {
    let octets: Headers<'_> = &[(b"content-type", b"application/octet-stream")];
    let comparison = compared(
        response(200, octets, Body::Whole(b"\x00\x01")),
        response(200, octets, Body::Whole(b"\x00\x02")),
    );
    assert_eq!(comparison.body, Examined::Hash);
    let [difference] = &comparison.differences[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.kind, Kind::Value);
    let comparison = compared(
        response(200, octets, Body::Whole(b"\x00\x01")),
        response(200, octets, Body::Whole(b"\x00")),
    );
    assert_eq!(comparison.differences[0].kind, Kind::Length);
}
