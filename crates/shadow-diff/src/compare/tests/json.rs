use super::*;

fn diff(production: &str, shadow: &str) -> Comparison {
    diff_with(&Comparer::default(), production, shadow)
}

fn diff_with(comparer: &Comparer, production: &str, shadow: &str) -> Comparison {
    bodies(comparer, "application/json", production.as_bytes(), shadow.as_bytes())
}

#[test]
fn what_says_the_same_is_the_same() {
    for (production, shadow) in [
        (r#"{"a":1,"b":[true,null]}"#, r#"{ "b" : [ true , null ], "a" : 1.0 }"#),
        (r#"{"a":"\u00e4\/"}"#, "{\"\\u0061\":\"\u{e4}/\"}"),
        ("[1e2, 12345678901234567890, -0]", "[100.00, 1.2345678901234567890E19, 0]"),
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2,"a":1,"a":3}"#),
        ("\u{feff}{}", "{ }"),
    ] {
        let comparison = diff(production, shadow);
        assert_eq!(comparison.outcome, Outcome::Same, "{production} {comparison:?}");
        assert_eq!(comparison.body, Examined::Structure);
        assert_eq!(comparison.excused, []);
    }
}

#[test]
fn what_says_something_else_is_found_at_its_place() {
    for (production, shadow, expected) in [
        (r#"{"a":1}"#, r#"{"a":2}"#, &["$.a Value 1 | 2"][..]),
        (r#"{"a":1}"#, r#"{"a":"1"}"#, &["$.a Type 1 | \"1\""]),
        (r#"{"a":null}"#, "{}", &["$.a Missing null | -"]),
        ("{}", r#"{"a":{"b":[1]}}"#, &["$.a Extra - | {\"b\":[1]}"]),
        (r#"{"a":[]}"#, r#"{"a":{}}"#, &["$.a Type [] | {}"]),
        ("1", "2", &["$ Value 1 | 2"]),
        ("9007199254740993", "9007199254740992", &["$ Value 9007199254740993 | 9007199254740992"]),
        ("true", "false", &["$ Value true | false"]),
        (
            r#"{"items":[{"id":1,"price":2},{"id":2,"price":3}]}"#,
            r#"{"items":[{"id":1,"price":2},{"id":2,"price":4}]}"#,
            &["$.items[].price Value 3 | 4"],
        ),
        (r#"{"a":1,"a":2}"#, r#"{"a":1}"#, &["$.a Missing 2 | -"]),
        (
            r#"{"a":1,"b":2,"c":3}"#,
            r#"{"c":3,"b":0,"x":1}"#,
            &["$.a Missing 1 | -", "$.b Value 2 | 0", "$.x Extra - | 1"],
        ),
        (r#"{"a b":{"c.d":1}}"#, r#"{"a b":{"c.d":2}}"#, &["$[\"a b\"][\"c.d\"] Value 1 | 2"]),
        ("[1,2,3]", "[1,2]", &["$[] Missing 3 | -"]),
        ("[2,3]", "[1,2,3]", &["$[] Extra - | 1"]),
        ("[1,2,3,4]", "[1,3,2,4]", &["$ Order [1,2,3,4] | [1,3,2,4]"]),
        ("[[1,2],[3]]", "[[1,2],[4]]", &["$[][] Value 3 | 4"]),
    ] {
        let expected: Vec<String> = expected.iter().map(|line| format!("body {line}")).collect();
        let comparison = diff(production, shadow);
        assert_eq!(listed(&comparison), expected, "{production} | {shadow}");
        assert_eq!(comparison.body, Examined::Structure);
    }
}

#[test]
fn keys_that_are_ids_are_one_place() {
    let comparison = diff(
        r#"{"byId":{"17":{"name":"a"},"18":{"name":"b"},"19":{"name":"c"}}}"#,
        r#"{"byId":{"18":{"name":"x"},"17":{"name":"y"},"20":{"name":"d"}}}"#,
    );
    assert_eq!(
        listed(&comparison),
        [
            "body $.byId{}.name Value \"a\" | \"y\"",
            "body $.byId{}.name Value \"b\" | \"x\"",
            "body $.byId{} Missing {\"name\":\"c\"} | -",
            "body $.byId{} Extra - | {\"name\":\"d\"}",
        ]
    );
    for key in [
        "2026-01-02",
        "0b6f8c9e-7d2a-4f0c-9a55-1e2d3c4b5a69",
        "5f4dcc3b5aa765d61d8327de",
        "user_A7b2C9d4E1f6G8",
    ] {
        let comparison = diff(&format!("{{\"{key}\":1}}"), &format!("{{\"{key}\":2}}"));
        assert_eq!(listed(&comparison), ["body ${} Value 1 | 2"], "{key}");
    }
    for key in ["price", "x1", "deadbeef", "addressLine2", "internationalization"] {
        let comparison = diff(&format!("{{\"{key}\":1}}"), &format!("{{\"{key}\":2}}"));
        assert_eq!(listed(&comparison), [format!("body $.{key} Value 1 | 2")]);
    }
    let map = with_rules(&[("$.byName", Action::Map)]);
    let comparison = diff_with(&map, r#"{"byName":{"a":1}}"#, r#"{"byName":{"a":2}}"#);
    assert_eq!(listed(&comparison), ["body $.byName{} Value 1 | 2"]);
}

#[test]
fn elements_with_ids_are_matched_by_them() {
    let comparison = diff(
        r#"[{"id":1,"n":"a"},{"id":2,"n":"b"},{"id":3,"n":"c"}]"#,
        r#"[{"id":9,"n":"z"},{"id":1,"n":"a"},{"id":2,"n":"x"},{"id":3,"n":"c"}]"#,
    );
    assert_eq!(
        listed(&comparison),
        ["body $[].n Value \"b\" | \"x\"", "body $[] Extra - | {\"id\":9,\"n\":\"z\"}"]
    );
    let comparison = diff(
        r#"[{"id":1,"n":"a"},{"id":2,"n":"b"},{"id":3,"n":"c"}]"#,
        r#"[{"id":3,"n":"c"},{"id":2,"n":"x"},{"id":1,"n":"a"}]"#,
    );
    let kinds: Vec<Kind> = comparison.differences.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [Kind::Order, Kind::Value]);
    // Ids that have nothing in common identify nothing.
    let comparison =
        diff(r#"[{"id":1,"n":"a"},{"id":2,"n":"b"}]"#, r#"[{"id":3,"n":"a"},{"id":4,"n":"b"}]"#);
    assert_eq!(listed(&comparison), ["body $[].id Value 1 | 3", "body $[].id Value 2 | 4"]);
}

#[test]
fn arrays_are_compared_as_configured() {
    let set = with_rules(&[("$.tags", Action::Set), ("$.items", Action::Set)]);
    let comparison = diff_with(&set, r#"{"tags":["a","b","c"]}"#, r#"{"tags":["c","a","d"]}"#);
    assert_eq!(
        listed(&comparison),
        ["body $.tags[] Missing \"b\" | -", "body $.tags[] Extra - | \"d\""]
    );
    let comparison = diff_with(&set, r#"{"tags":[1,2,2]}"#, r#"{"tags":[2,1.0,2]}"#);
    assert_eq!(comparison.outcome, Outcome::Same);
    let comparison = diff_with(
        &set,
        r#"{"items":[{"a":1,"b":1},{"a":2,"b":2}]}"#,
        r#"{"items":[{"b":2,"a":2},{"a":1,"b":3}]}"#,
    );
    assert_eq!(listed(&comparison), ["body $.items[].b Value 1 | 3"]);

    let keyed = with_rules(&[("$..rows", Action::Keyed("sku".into()))]);
    let comparison = diff_with(
        &keyed,
        r#"{"x":{"rows":[{"sku":"a","n":1},{"sku":"b","n":2},{"sku":"c","n":3}]}}"#,
        r#"{"x":{"rows":[{"n":9,"sku":"b"},{"sku":"a","n":1.0},{"sku":"d"}]}}"#,
    );
    assert_eq!(
        listed(&comparison),
        [
            "body $.x.rows[].n Value 2 | 9",
            "body $.x.rows[] Missing {\"sku\":\"c\",\"n\":3} | -",
            "body $.x.rows[] Extra - | {\"sku\":\"d\"}",
        ]
    );
}

#[test]
fn rules_apply_to_places() {
    let replace = |pattern: &str| Action::Replace { pattern: pattern.into(), with: "".into() };
    let comparer = with_rules(&[
        ("$.meta", Action::Ignore),
        ("$..internal", Action::Ignore),
        ("$.items[].price", Action::Tolerance { absolute: 0.01, relative: 0.0 }),
        ("$.url", replace(r"^https://[^/]+")),
    ]);
    let comparison = diff_with(
        &comparer,
        r#"{"meta":{"x":1},"items":[{"price":1.00,"internal":1},{"price":5}],"url":"https://a/x"}"#,
        r#"{"meta":{"y":2},"items":[{"price":1.01},{"price":5.02}],"url":"https://b/x"}"#,
    );
    assert_eq!(listed(&comparison), ["body $.items[].price Value 5 | 5.02"]);
    assert_eq!(
        excused(&comparison),
        [("rule 1", 2), ("rule 3", 1), ("rule 2", 1), ("rule 4", 1)]
            .map(|(rule, count)| (rule.to_owned(), count))
    );
}

#[test]
fn what_differs_by_nature_is_counted_by_rule() {
    let comparison = diff(
        r#"{"requestId":"a","at":1767323045,"took":5,"n":1,
            "id":"0b6f8c9e-7d2a-4f0c-9a55-1e2d3c4b5a69"}"#,
        r#"{"requestId":"b","at":1767323047,"took":7,"n":2,
            "id":"550e8400-e29b-41d4-a716-446655440000"}"#,
    );
    assert_eq!(listed(&comparison), ["body $.n Value 1 | 2"]);
    let rules: Vec<String> = excused(&comparison).into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["request-id", "time", "duration", "uuid"]);
}

#[test]
fn what_cannot_be_read_is_compared_as_text_or_not_at_all() {
    let comparison = diff("{\"a\":1", "{\"a\":2");
    assert_eq!(comparison.body, Examined::Lines);
    assert_eq!(listed(&comparison), ["body $[] Value {\"a\":1 | {\"a\":2"]);
    let comparison = diff("{\"a\":1}", "oops");
    assert_eq!(listed(&comparison), ["body $ Type JSON, 7 bytes | no JSON, 4 bytes"]);
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let comparison = diff(&deep, "[]");
    let reason = Reason::TooComplex(Side::Production);
    assert_eq!(comparison.outcome, Outcome::Incomparable(reason));
    let comparison = diff(&deep, &deep);
    assert_eq!((comparison.outcome, comparison.body), (Outcome::Same, Examined::Bytes));
}

#[test]
fn what_takes_too_long_is_given_up_and_said() {
    let limits = Limits { steps: 1000, ..Limits::default() };
    let comparer = Comparer::new(Rules::default(), NaturalRules::default(), limits);
    let list = |first: &str| {
        let list: Vec<String> = (1000..6000).map(|number| number.to_string()).collect();
        format!("[[{first}],{}]", list.join(","))
    };
    let comparison = diff_with(&comparer, &list("1"), &list("2,1"));
    assert_eq!(comparison.body, Examined::Not(Reason::TooMuchWork));
    assert_eq!(comparison.outcome, Outcome::Incomparable(Reason::TooMuchWork));
}
