use std::time::Duration;

use super::*;

/// 2026-01-02T03:04:05Z.
const NOW: u64 = 1_767_323_045;

fn natural() -> Natural {
    Natural::new(NaturalRules::default(), UNIX_EPOCH + Duration::from_secs(NOW))
}

fn of(a: &str, b: &str) -> Option<&'static str> {
    let nature = natural().values(Spot::Body(&[]), a.as_bytes(), b.as_bytes());
    assert_eq!(
        natural().values(Spot::Body(&[]), b.as_bytes(), a.as_bytes()).map(Nature::name),
        nature.map(Nature::name)
    );
    nature.map(Nature::name)
}

#[test]
fn each_rule_has_its_own_name_and_says_what_it_does() {
    assert_eq!(Nature::Boundary as usize + 1, RULES.len());
    assert_eq!(Nature::Uuid.name(), "uuid");
    assert_eq!(Nature::CookieValue.name(), "cookie-value");
    for (at, rule) in RULES.iter().enumerate() {
        assert!(!rule.about.is_empty());
        assert!(RULES[..at].iter().all(|other| other.name != rule.name), "{}", rule.name);
    }
}

#[test]
fn times_of_the_exchange_are_excused() {
    for (a, b) in [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123Z"),
        ("2026-01-02T04:04:05+01:00", "2026-01-02T04:08:59+01:00"),
        ("Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 03:04:06 GMT"),
        ("1767323045", "1767323046"),
        ("1767323045001", "1767323044001"),
        ("made at 2026-01-02T03:04:05Z.", "made at 2026-01-02T03:04:09Z."),
        ("/a.png?v=1767323045&x", "/a.png?v=1767323046&x"),
    ] {
        assert_eq!(of(a, b), Some("time"), "{a} {b}");
    }
    for (a, b) in [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:10:05Z"),
        ("2025-01-02T03:04:05Z", "2025-01-02T03:04:06Z"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("1767323045", "1767323045000"),
        ("1767323045", "x"),
        ("at 1767323045", "on 1767323046"),
    ] {
        assert_eq!(of(a, b), None, "{a} {b}");
    }
}

#[test]
fn the_same_span_from_each_answer_is_excused() {
    assert_eq!(of("2026-01-03T03:04:05Z", "2026-01-03T03:04:07Z"), Some("expiry"));
    assert_eq!(of("2026-01-03T03:04:05Z", "2026-01-03T03:05:07Z"), None);
    assert_eq!(of("2029-01-03T03:04:05Z", "2029-01-03T03:04:07Z"), None);
}

#[test]
fn ids_that_are_new_each_time_are_excused() {
    let (a, b) = ("0b6f8c9e-7d2a-4f0c-9a55-1e2d3c4b5a69", "550e8400-e29b-41d4-a716-446655440000");
    assert_eq!(of(a, b), Some("uuid"));
    assert_eq!(of(&format!("/orders/{a}/items"), &format!("/orders/{b}/items")), Some("uuid"));
    assert_eq!(of(a, &b.to_uppercase()), None);
    assert_eq!(of(a, &b[1..]), None);
    // Made at the time of the exchange, and a year before.
    let object_id = |seconds: u64| format!("{seconds:08x}a1b2c3d4e5f60718");
    assert_eq!(of(&object_id(NOW), &object_id(NOW + 9)), Some("time-id"));
    assert_eq!(of(&object_id(NOW), &object_id(NOW - 31_536_000)), None);
    assert_eq!(of("01KDYAK3485T9ZT0PAJ0H1QZ5F", "01KDYAK43GAAAAAAAAAAAAAAAA"), Some("time-id"));
    assert_eq!(of("01JGJFGR485T9ZT0PAJ0H1QZ5F", "01KDYAK43GAAAAAAAAAAAAAAAA"), None);
}

#[test]
fn members_are_known_by_their_names() {
    let named = |name: &str, a: &str, b: &str| {
        let path = [crate::path::Segment::Member(name.as_bytes().into())];
        natural().values(Spot::Body(&path), a.as_bytes(), b.as_bytes()).map(Nature::name)
    };
    for name in ["requestId", "request_id", "trace-id", "X-Request-ID"] {
        assert_eq!(named(name, "abc", "def"), Some("request-id"), "{name}");
    }
    for name in ["took", "elapsed_ms", "processingTimeMillis", "response_time"] {
        assert_eq!(named(name, "12", "3.5"), Some("duration"), "{name}");
        assert_eq!(named(name, "12", "soon"), None, "{name}");
    }
    assert_eq!(named("csrfToken", "abc", "def"), Some("nonce"));
    assert_eq!(named("requestId", "abc", ""), None);
    assert_eq!(named("duration", "12", "13"), None);
    assert_eq!(named("id", "12", "13"), None);
}

#[test]
fn nonces_are_known_by_what_stands_beside_them() {
    assert_eq!(
        of(
            "script-src 'nonce-4AEemGb0xJptoIGFP3Nd=='",
            "script-src 'nonce-7BFfnHc1yKqupJHGQ4Oe=='"
        ),
        Some("nonce")
    );
    assert_eq!(
        of(
            "<meta name=\"csrf-token\" content=\"abc/def+ghi==\">",
            "<meta name=\"csrf-token\" content=\"xyz/uvw+rst==\">"
        ),
        Some("nonce")
    );
    assert_eq!(of("<b class=\"abcdefghij\">", "<b class=\"jihgfedcba\">"), None);
    assert_eq!(of("script-src 'self'", "script-src 'nonce-7BFfnHc1yKqupJHGQ4Oe=='"), None);
}

#[test]
fn spellings_of_one_float_are_excused() {
    let numbers = |a: &str, b: &str| natural().numbers(a.as_bytes(), b.as_bytes()).is_some();
    assert!(numbers("0.1", "0.1000000000000000055511151231257827"));
    assert!(numbers("1.1", "1.1000000000000001"));
    for (a, b) in [
        ("0.1", "0.2"),
        ("9007199254740993", "9007199254740992"),
        ("9007199254740993", "9007199254740992.0"),
        ("1e400", "1e500"),
        ("1e-400", "1e-500"),
    ] {
        assert!(!numbers(a, b), "{a} {b}");
    }
}

#[test]
fn a_rule_can_be_switched_off() {
    let rules = NaturalRules::without(["uuid", "date"]).unwrap();
    let natural = Natural::new(rules, UNIX_EPOCH);
    assert_eq!(natural.header(b"Date"), None);
    assert_eq!(natural.header(b"Age"), Some(Nature::Age));
    let (a, b) = ("0b6f8c9e-7d2a-4f0c-9a55-1e2d3c4b5a69", "550e8400-e29b-41d4-a716-446655440000");
    assert_eq!(natural.values(Spot::Body(&[]), a.as_bytes(), b.as_bytes()), None);
    let unknown = NaturalRules::without(["uuids"]).unwrap_err();
    assert!(unknown.to_string().starts_with("there is no rule `uuids`; there are `date` `age`"));
}
