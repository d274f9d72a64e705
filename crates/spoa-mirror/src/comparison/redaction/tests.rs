use super::*;

fn redaction() -> Redaction {
    Redaction::new(&["x-internal".to_owned()])
}

fn body(path: &str) -> Place {
    Place::Body(path.into())
}

fn header(name: &str) -> Place {
    Place::Header(name.into())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// With `#` in place of each token.
fn blank(text: &str) -> String {
    let token = regex::Regex::new(r"\[hidden [0-9a-f]{6}\]").unwrap();
    token.replace_all(text, "#").into_owned()
}

#[test]
fn values_are_hidden_by_the_names_on_the_way_to_them() {
    let redaction = redaction();
    for place in [
        body("$.password"),
        body("$.users[].Pass-Word"),
        body("$.credentials.user[]"),
        body("$[\"user.pin\"]"),
        body("$[\"ns:p\"].a:password"),
        body("$.user.@token"),
        body("$.a[\"x\\\"y\"][\"api key\"].XInternal"),
        header("authorization"),
        header("x-internal"),
        header("set-cookie.anything"),
        header("set-cookie.session.path"),
    ] {
        let shown = redaction.shown(&place, "value");
        assert_eq!(blank(&shown), "#", "{place}");
        assert!(shown.starts_with("[hidden "), "{place}: {shown}");
    }
    for place in [
        body("$"),
        body("$[]"),
        body("$.passwords"),
        body("$.by{}.n"),
        body("$[\"a\\\"] password\"]"),
        header("x-request-id"),
        Place::Status,
    ] {
        assert_eq!(redaction.shown(&place, "value"), "value", "{place}");
    }
    assert_eq!(redaction.shown(&header("set-cookie.session.path"), "/"), "/");
    assert_eq!(redaction.shown(&body("$.password"), ""), "");
}

#[test]
fn secrets_are_hidden_in_any_value() {
    let redaction = redaction();
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
    let shown = redaction.shown(&body("$.note"), &format!("so {jwt} it is")).into_owned();
    assert_eq!(blank(&shown), "so # it is");
    let location = redaction.shown(&header("location"), "/x?token=a,b&c=d").into_owned();
    assert_eq!(blank(&location), "/x?token=#&c=d");
}

#[test]
fn of_a_pair_equal_values_have_equal_tokens_and_different_ones_different() {
    let redaction = redaction();
    let token = |value: &str| redaction.shown(&body("$.pin"), value).into_owned();
    let first = token("1234");
    assert_eq!(first, token("1234"));
    assert_ne!(first, token("1235"));
    assert_eq!(first, text(redaction.header("x-internal", b"1234")));
    redaction.next_pair();
    assert_ne!(first, token("1234"));
    assert_ne!(first, Redaction::new(&[]).shown(&body("$.pin"), "1234"));
}

#[test]
fn of_headers_what_is_no_secret_is_shown() {
    let redaction = redaction();
    for (name, value, shown) in [
        ("Cookie", "a=1; b=2", "a=#; b=#"),
        ("Cookie", "x", "#"),
        ("Set-Cookie", "a=1; Path=/; HttpOnly", "a=#; Path=/; HttpOnly"),
        ("Set-Cookie", "a; Path=/", "#; Path=/"),
        ("Authorization", "Bearer abc", "Bearer #"),
        ("Authorization", "abc def", "#"),
        ("X-Internal", "1", "#"),
        ("Referer", "https://a:b@h/?q=1&token=x'y#z", "https://#@h/?q=1&token=##z"),
        ("X-Debug", "password=x, pin=y", "password=#, pin=#"),
        ("Accept", "*/*", "*/*"),
    ] {
        assert_eq!(
            blank(&text(redaction.header(name, value.as_bytes()))),
            shown,
            "{name}: {value}"
        );
    }
}

#[test]
fn of_a_long_value_the_rest_is_hidden_and_still_told_apart() {
    let redaction = redaction();
    let long = |end: &str| format!("{}{end}", "\u{e4} ".repeat(100_000));
    let (one, other) = (long("1"), long("2"));
    let shown = |value: &str| redaction.shown(&body("$"), value).into_owned();
    assert_ne!(shown(&one), shown(&other));
    assert!(shown(&one).len() < LOOKED_AT + 100);
}
