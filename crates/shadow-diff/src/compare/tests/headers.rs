use super::*;

/// What differs between two lists of headers, as lines of `name: value`.
fn diff(production: &str, shadow: &str) -> Comparison {
    diff_with(&Comparer::default(), production, shadow)
}

fn diff_with(comparer: &Comparer, production: &str, shadow: &str) -> Comparison {
    fn lines(text: &str) -> Vec<(&[u8], &[u8])> {
        let halves = text.lines().map(|line| line.split_once(':').unwrap());
        halves.map(|(name, value)| (name.trim().as_bytes(), value.as_bytes())).collect()
    }
    let (production, shadow) = (lines(production), lines(shadow));
    let production = response(200, &production, Body::Whole(b""));
    comparer.compare(&pair(production, response(200, &shadow, Body::Whole(b""))), &ShowAll)
}

#[test]
fn what_means_the_same_is_the_same() {
    for (production, shadow) in [
        ("A: 1\nB: 2", "b: 2\na: 1"),
        ("a: 1\na: 2", "A: 1, 2"),
        ("a: 1,2", "a: 1 ,  2"),
        ("vary: Accept, Origin", "vary: origin\nvary: accept"),
        ("allow: GET, HEAD", "allow: HEAD, GET, GET"),
        ("cache-control: max-age=60, private", "cache-control: Private, max-age=\"60\""),
        ("content-type: text/html; charset=utf-8", "content-type: text/html;charset=\"UTF-8\""),
        (
            "strict-transport-security: max-age=1; preload",
            "strict-transport-security: preload;max-age=1",
        ),
    ] {
        let comparison = diff(production, shadow);
        assert_eq!(comparison.outcome, Outcome::Same, "{production} {comparison:?}");
        assert_eq!(comparison.excused, [], "{production}");
    }
}

#[test]
fn what_means_something_else_is_a_difference() {
    for (production, shadow, expected) in [
        ("x: 1", "", "header x Missing 1 | -"),
        ("", "X-New: 1", "header x-new Extra - | 1"),
        ("x: 1", "x: 2", "header x Value 1 | 2"),
        ("x: 1\nx: 2", "x: 1", "header x Value 1, 2 | 1"),
        ("x: 1, 2", "x: 2, 1", "header x Order 1, 2 | 2, 1"),
        ("x: \"a,b\"", "x: \"a, b\"", "header x Value \"a,b\" | \"a, b\""),
        ("vary: a, b", "vary: a", "header vary Value a, b | a"),
        (
            "content-type: text/html",
            "content-type: text/plain",
            "header content-type Value text/html | text/plain",
        ),
        ("content-encoding: gzip", "", "header content-encoding Missing gzip | -"),
        ("etag: 1", "", "header etag Missing 1 | -"),
        ("set-cookie: a=1", "", "header set-cookie.a Missing 1 | -"),
        ("set-cookie: a=1", "set-cookie: a=", "header set-cookie.a Value 1 | "),
        ("set-cookie: a=1; Secure", "set-cookie: a=1", "header set-cookie.a.secure Missing  | -"),
        (
            "set-cookie: a=1; path=/",
            "set-cookie: a=1; Path=/x",
            "header set-cookie.a.path Value / | /x",
        ),
        (
            "set-cookie: a=1; max-age=60",
            "set-cookie: a=1; max-age=90",
            "header set-cookie.a.max-age Value 60 | 90",
        ),
    ] {
        let comparison = diff(production, shadow);
        assert_eq!(listed(&comparison), [expected], "{production} | {shadow}");
    }
}

#[test]
fn what_differs_by_nature_is_counted_by_rule() {
    for (production, shadow, rule) in [
        ("date: Fri, 02 Jan 2026 03:04:05 GMT", "", "date"),
        ("age: 1", "age: 2", "age"),
        ("server: a", "server: b", "server"),
        ("via: a", "", "server"),
        ("connection: close", "connection: keep-alive", "hop-by-hop"),
        ("transfer-encoding: chunked", "", "hop-by-hop"),
        ("connection: x-hop\nx-hop: 1", "connection: x-hop\nx-hop: 2", "hop-by-hop"),
        ("content-length: 0", "", "framing"),
        ("x-cache: HIT", "", "infrastructure"),
        ("etag: \"1\"", "etag: W/\"2\"", "validator"),
        ("x-request-id: 1", "x-request-id: 2", "request-id"),
        ("server-timing: a;dur=1", "server-timing: a;dur=2", "duration"),
        ("x-ratelimit-remaining: 1", "x-ratelimit-remaining: 2", "rate-limit"),
        ("set-cookie: a=1; Path=/; HttpOnly", "Set-Cookie: a=2; httponly; path=/", "cookie-value"),
        (
            "x-served: Fri, 02 Jan 2026 03:04:05 GMT",
            "x-served: Fri, 02 Jan 2026 03:04:07 GMT",
            "time",
        ),
        (
            "expires: Fri, 02 Jan 2026 04:04:05 GMT",
            "expires: Fri, 02 Jan 2026 04:04:07 GMT",
            "expiry",
        ),
        (
            "set-cookie: a=1; Expires=Sat, 03 Jan 2026 04:04:05 GMT",
            "set-cookie: a=1; Expires=Sat, 03 Jan 2026 04:04:07 GMT",
            "expiry",
        ),
        (
            "content-type: multipart/mixed; boundary=a1",
            "content-type: multipart/mixed; boundary=b2",
            "boundary",
        ),
        (
            "location: /orders/0b6f8c9e-7d2a-4f0c-9a55-1e2d3c4b5a69",
            "location: /orders/550e8400-e29b-41d4-a716-446655440000",
            "uuid",
        ),
        ("x-id: 695735a500000000aaaaaaaa", "x-id: 695735a700000000bbbbbbbb", "time-id"),
        (
            "content-security-policy: script-src 'nonce-abcdefghi123'",
            "content-security-policy: script-src 'nonce-zyxwvutsr987'",
            "nonce",
        ),
    ] {
        let comparison = diff(production, shadow);
        assert_eq!(comparison.outcome, Outcome::Same, "{production} {comparison:?}");
        assert_eq!(excused(&comparison), [(rule.to_owned(), 1)], "{production}");
        let without = NaturalRules::without([rule]).unwrap();
        let strict = Comparer::new(Rules::default(), without, Limits::default());
        let comparison = diff_with(&strict, production, shadow);
        assert_eq!(comparison.outcome, Outcome::Different, "{production} without {rule}");
    }
}

#[test]
fn cookies_are_told_apart() {
    let comparison = diff(
        "set-cookie: a=1\nset-cookie: b=2; Secure",
        "set-cookie: b=3\nset-cookie: c=1\nset-cookie: a=1",
    );
    assert_eq!(
        listed(&comparison),
        ["header set-cookie.b.secure Missing  | -", "header set-cookie.c Extra - | 1"]
    );
}

#[test]
fn rules_apply_to_headers() {
    let replace = |pattern: &str| Action::Replace { pattern: pattern.into(), with: "*".into() };
    let comparer = with_rules(&[
        ("header x-build", Action::Ignore),
        ("header x-debug-*", Action::Ignore),
        ("header x-list", Action::Set),
        ("header location", replace("^https://[^/]+")),
        ("header x-load", Action::Tolerance { absolute: 0.0, relative: 0.5 }),
        ("header set-cookie.session", Action::Ignore),
    ]);
    let comparison = diff_with(
        &comparer,
        "x-build: 1\nx-debug-a: 1\nx-list: a, b\nlocation: https://a/x\nx-load: 1.0\n\
         set-cookie: session=1; secure",
        "x-build: 2\nx-list: b, a\nlocation: https://b/x\nx-load: 1.5\nset-cookie: session=2",
    );
    assert_eq!(listed(&comparison), [""; 0]);
    let rules: Vec<String> = excused(&comparison).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["rule 4", "cookie-value", "rule 6", "rule 1", "rule 2", "rule 5"]);
    let comparison = diff_with(&comparer, "location: https://a/x", "location: https://b/y");
    assert_eq!(listed(&comparison), ["header location Value https://a/x | https://b/y"]);
}
