#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::config::{Redact, RedactRule, RedactWith};
use crate::policy::redact::hides;

/// What a test writes: `$.a = 1`, `- $.a`, `hide $.a`, `hide a`.
fn editor(rules: &[&str]) -> Editor {
    let mut rewrite = Rewrite::default();
    let mut redact = Redact::default();
    let path = |text: &str| JsonPath::parse(text).unwrap();
    for rule in rules {
        if let Some((place, value)) = rule.split_once(" = ") {
            rewrite.json_set.push((path(place), value.to_owned()));
        } else if let Some(place) = rule.strip_prefix("- ") {
            rewrite.json_remove.push(path(place));
        } else {
            let (with, place) = match rule.strip_prefix("hide ") {
                Some(place) => (RedactWith::Text("x\"y".to_owned()), place),
                None => (RedactWith::Remove, rule.strip_prefix("drop ").unwrap()),
            };
            let place = if place.starts_with('$') {
                RedactPlace::Json(path(place))
            } else {
                RedactPlace::Field(place.to_owned())
            };
            redact.rules.push(RedactRule { place, with });
        }
    }
    Editor::new(&rewrite, &hides(&redact)).unwrap()
}

fn edited(rules: &[&str], document: &str) -> String {
    let edited = editor(rules).edit(document.as_bytes());
    String::from_utf8(edited.unwrap().into_owned()).unwrap()
}

#[test]
fn values_are_set_where_they_are_or_are_missing() {
    for (rule, before, after) in [
        ("$.a = 2", r#"{ "b" : 1.0, "a" :1 ,"c":[ ]}"#, r#"{ "b" : 1.0, "a" :2 ,"c":[ ]}"#),
        ("$.a = {\"b\":[]}", r#"{"a":{"x":[1,2]},"a":3}"#, r#"{"a":{"b":[]},"a":{"b":[]}}"#),
        ("$.a = 1", "{}", r#"{"a":1}"#),
        ("$.a = 1", "{ \n}", "{\"a\":1 \n}"),
        ("$.a = 1", r#"{"b":{} }"#, r#"{"b":{},"a":1 }"#),
        ("$.b.a = 1", r#"{"b":{"c":2}}"#, r#"{"b":{"c":2,"a":1}}"#),
        ("$.b.a = 1", r#"{"b":[]}"#, r#"{"b":[]}"#),
        ("$.b.a = 1", r#"{"c":{}}"#, r#"{"c":{}}"#),
        ("$[*].a = 1", r#"[{"a":0},{},3]"#, r#"[{"a":1},{"a":1},3]"#),
        ("$..a = 1", r#"[{"a":0,"b":{"a":[]}},{}]"#, r#"[{"a":1,"b":{"a":1}},{}]"#),
        ("$[1] = 9", "[0, 1, 2]", "[0, 9, 2]"),
        ("$[7] = 9", "[0]", "[0]"),
        ("$[\"a\\b\"] = 1", "{}", r#"{"a\\b":1}"#),
        ("$.a = 1", r#"{"\u0061":0}"#, r#"{"\u0061":1}"#),
    ] {
        assert_eq!(edited(&[rule], before), after, "{rule} {before}");
    }
}

#[test]
fn values_are_removed_with_their_comma() {
    for (rule, before, after) in [
        ("- $.a", r#"{ "a":1, "b":2 }"#, r#"{ "b":2 }"#),
        ("- $.b", r#"{ "a":1 , "b":2 }"#, r#"{ "a":1 }"#),
        ("- $.b", r#"{"a":1,"b":2,"c":3}"#, r#"{"a":1,"c":3}"#),
        ("- $.a", r#"{ "a" : 1 }"#, "{  }"),
        ("- $.*", r#"{"a":1,"b":[2],"c":{}}"#, "{}"),
        ("- $.a", r#"{"a":1,"a":2,"b":3,"a":4,"a":5}"#, r#"{"b":3}"#),
        ("- $[0]", "[[1, 2],\n 3]", "[3]"),
        ("- $..x", r#"[{"x":{"x":1}},{"y":{"x":1}}]"#, r#"[{},{"y":{}}]"#),
    ] {
        assert_eq!(edited(&[rule], before), after, "{rule} {before}");
    }
}

#[test]
fn the_outermost_rule_counts_and_then_setting_before_removing_before_hiding() {
    let before = r#"{"a":{"b":1,"c":2},"d":3}"#;
    for (rules, after) in [
        (&["- $.a", "$.a = 1"][..], r#"{"a":1,"d":3}"#),
        (&["$.a.b = 7", "- $.a"], r#"{"d":3}"#),
        (&["hide $.a", "$.a.b = 7"], r#"{"a":"x\"y","d":3}"#),
        (&["hide $.d", "- $.d"], r#"{"a":{"b":1,"c":2}}"#),
        (&["hide $.d", "drop d"], r#"{"a":{"b":1,"c":2},"d":"x\"y"}"#),
        (&["drop d", "hide $.d"], r#"{"a":{"b":1,"c":2}}"#),
        (&["$.e = 1", "$.e = 2", "$.d = 4", "$.d = 5"], r#"{"a":{"b":1,"c":2},"d":4,"e":1}"#),
        (&["- $.d", "- $.a", "$.f = 1"], r#"{"f":1}"#),
    ] {
        assert_eq!(edited(rules, before), after, "{rules:?}");
    }
}

#[test]
fn fields_are_hidden_at_any_depth_in_any_spelling() {
    let before =
        r#"{"user":{"PassWord":"a","pass_word":1},"list":[{"p\u0061ssword":[1]}],"passwords":2}"#;
    let after = r#"{"user":{"PassWord":"x\"y","pass_word":"x\"y"},"list":[{"p\u0061ssword":"x\"y"}],"passwords":2}"#;
    assert_eq!(edited(&["hide password"], before), after);
}

#[test]
fn what_is_no_json_is_refused() {
    let editor = editor(&["hide password"]);
    for bad in [
        "",
        " ",
        "{",
        "}",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "[1] x",
        "\"a",
        "nul",
        "\u{feff}{}",
        "{\"a\" 1}",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "01",
        "'a'",
        "[\u{b}1]",
    ] {
        assert_eq!(editor.edit(bad.as_bytes()), Err(Unreadable), "{bad:?}");
    }
    assert_eq!(editor.edit(b"[\"\xff\"]"), Err(Unreadable));
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    assert!(editor.edit(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(editor.edit(nested(MAX_DEPTH + 1).as_bytes()), Err(Unreadable));
    assert_eq!(editor.edit("[".repeat(1 << 20).as_bytes()), Err(Unreadable));
}

/// A document as somebody may write it.
#[derive(Debug, Clone)]
enum Node {
    /// As it stands.
    Scalar(String),
    /// Each element with the blanks around it.
    Array(Vec<(String, Node)>),
    /// Each member's name as it stands, with the blanks around it and its value.
    Object(Vec<(String, String, Node)>),
}

fn node() -> impl Strategy<Value = Node> {
    let scalar = prop::sample::select(vec![
        "1.0",
        "-0",
        "1e5",
        "100000000000000000000",
        "true",
        "null",
        "\"\"",
        "\"\\u00e4\\n\"",
        "\"a,]}\\\"\"",
    ]);
    let blanks = || prop::sample::select(vec!["", " ", "\n\t"]).prop_map(str::to_owned);
    let name = prop::sample::select(vec!["a", "b", "\\u0063", "Pass-Word", "d\\\"e"]);
    scalar.prop_map(|text| Node::Scalar(text.to_owned())).prop_recursive(5, 40, 5, move |inner| {
        let element = (blanks(), inner.clone());
        let member = (blanks(), name.clone().prop_map(str::to_owned), inner);
        prop_oneof![
            prop::collection::vec(element, 0..5).prop_map(Node::Array),
            prop::collection::vec(member, 0..5).prop_map(Node::Object),
        ]
    })
}

impl Node {
    fn write(&self, output: &mut String) {
        match self {
            Self::Scalar(text) => output.push_str(text),
            Self::Array(elements) => {
                output.push('[');
                for (index, (blanks, element)) in elements.iter().enumerate() {
                    output.push_str(if index > 0 { "," } else { "" });
                    output.push_str(blanks);
                    element.write(output);
                    output.push_str(blanks);
                }
                output.push(']');
            }
            Self::Object(members) => {
                output.push('{');
                for (index, (blanks, name, value)) in members.iter().enumerate() {
                    output.push_str(if index > 0 { "," } else { "" });
                    output.push_str(&format!("{blanks}\"{name}\"{blanks}:{blanks}"));
                    value.write(output);
                    output.push_str(blanks);
                }
                output.push('}');
            }
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    /// Every value at a place that `rule` is about replaced by `with`, the outermost first.
    fn replaced(&self, at: &mut Vec<Place>, rule: &dyn Fn(&[Place]) -> bool, with: &str) -> Self {
        let mut child = |place: Place, node: &Self| {
            at.push(place);
            let new = if rule(at) {
                Self::Scalar(with.to_owned())
            } else {
                node.replaced(at, rule, with)
            };
            at.pop();
            new
        };
        match self {
            Self::Scalar(_) => self.clone(),
            Self::Array(elements) => Self::Array(
                (elements.iter().enumerate())
                    .map(|(index, (blanks, node))| {
                        (blanks.clone(), child(Place::Index(index), node))
                    })
                    .collect(),
            ),
            Self::Object(members) => Self::Object(
                (members.iter())
                    .map(|(blanks, name, node)| {
                        let place =
                            Place::Member(serde_json::from_str(&format!("\"{name}\"")).unwrap());
                        (blanks.clone(), name.clone(), child(place, node))
                    })
                    .collect(),
            ),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Place {
    Member(String),
    Index(usize),
}

/// Whether `steps` lead to `place`, tried out one by one.
fn leads(steps: &[JsonStep], place: &[Place]) -> bool {
    match (steps, place) {
        ([], []) => true,
        ([JsonStep::Deep, rest @ ..], _) => {
            (0..=place.len()).any(|skip| leads(rest, &place[skip..]))
        }
        ([step, steps @ ..], [first, rest @ ..]) => {
            let fits = match (step, first) {
                (JsonStep::Every, _) => true,
                (JsonStep::Member(wanted), Place::Member(name)) => wanted == name,
                (JsonStep::Index(wanted), Place::Index(index)) => wanted == index,
                _ => false,
            };
            fits && leads(steps, rest)
        }
        _ => false,
    }
}

/// The same as the editor, on a tree.
fn on_tree(
    value: &mut Value,
    at: &mut Vec<Place>,
    sets: &[(JsonPath, Value)],
    removals: &[JsonPath],
) {
    let removed = |at: &[Place]| removals.iter().any(|path| leads(&path.steps, at));
    let set = |at: &[Place]| sets.iter().find(|(path, _)| leads(&path.steps, at)).map(|(_, v)| v);
    let mut keep = |place: Place, child: &mut Value| {
        at.push(place);
        let kept = match set(at) {
            Some(value) => {
                *child = value.clone();
                true
            }
            None if removed(at) => false,
            None => {
                on_tree(child, at, sets, removals);
                true
            }
        };
        at.pop();
        kept
    };
    match value {
        Value::Array(elements) => {
            let mut index = 0;
            elements.retain_mut(|element| {
                index += 1;
                keep(Place::Index(index - 1), element)
            });
        }
        Value::Object(members) => {
            let before: Vec<String> = members.keys().cloned().collect();
            members.retain(|name, value| keep(Place::Member(name.clone()), value));
            for (path, value) in sets {
                let (Some(JsonStep::Member(name)), false) =
                    (path.steps.last(), path.steps.contains(&JsonStep::Deep))
                else {
                    continue;
                };
                let parent = &path.steps[..path.steps.len() - 1];
                if leads(parent, at) && !before.contains(name) && !members.contains_key(name) {
                    members.insert(name.clone(), value.clone());
                }
            }
        }
        _ => {}
    }
}

fn path() -> impl Strategy<Value = JsonPath> {
    let member = |name: &str| JsonStep::Member(name.to_owned());
    let step = prop_oneof![
        4 => prop::sample::select(vec![member("a"), member("b"), member("c"), member("d\"e")]),
        2 => (0..3usize).prop_map(JsonStep::Index),
        2 => Just(JsonStep::Every),
        1 => Just(JsonStep::Deep),
    ];
    let last = prop_oneof![
        3 => prop::sample::select(vec![member("a"), member("b"), member("new")]),
        1 => (0..3usize).prop_map(JsonStep::Index),
        1 => Just(JsonStep::Every),
    ];
    (prop::collection::vec(step, 0..4), last).prop_map(|(mut steps, last)| {
        steps.dedup_by(|a, b| *a == JsonStep::Deep && *b == JsonStep::Deep);
        steps.push(last);
        JsonPath { steps }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_edited_document_is_the_edited_tree(
        node in node(),
        sets in prop::collection::vec((path(), prop::sample::select(vec!["7", "\"s\"", "{\"a\":[]}"])), 0..4),
        removals in prop::collection::vec(path(), 0..3),
    ) {
        // A tree keeps one of several members of a name.
        let mut tree: Value = serde_json::from_str(&node.text()).unwrap();
        let document = tree.to_string();
        let values: Vec<_> = sets
            .iter()
            .map(|(path, text)| (path.clone(), serde_json::from_str(text).unwrap()))
            .collect();
        on_tree(&mut tree, &mut Vec::new(), &values, &removals);
        let rewrite = Rewrite {
            json_set: sets.into_iter().map(|(path, text)| (path, text.to_owned())).collect(),
            json_remove: removals,
            ..Rewrite::default()
        };
        if let Some(editor) = Editor::new(&rewrite, &[]) {
            let edited = editor.edit(document.as_bytes()).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(&edited).unwrap(), tree);
        }
    }

    #[test]
    fn what_is_not_replaced_stays_byte_for_byte(node in node(), path in path(), field: bool) {
        let rule = |at: &[Place]| {
            let named = matches!(at.last(), Some(Place::Member(name)) if name == "Pass-Word");
            leads(&path.steps, at) || field && named
        };
        let hide = |place| RedactRule { place, with: RedactWith::Text("x".to_owned()) };
        let mut redact = Redact::default();
        redact.rules.push(hide(RedactPlace::Json(path.clone())));
        if field {
            redact.rules.push(hide(RedactPlace::Field("password".to_owned())));
        }
        let editor = Editor::new(&Rewrite::default(), &hides(&redact)).unwrap();
        let document = node.text();
        let edited = editor.edit(document.as_bytes()).unwrap();
        let expected = node.replaced(&mut Vec::new(), &rule, "\"x\"").text();
        prop_assert_eq!(std::str::from_utf8(&edited).unwrap(), &expected);
        prop_assert_eq!(matches!(edited, Cow::Borrowed(_)), document == expected);
    }

    #[test]
    fn removing_leaves_a_document_made_of_what_was_there(node in node(), path in path()) {
        let rewrite = Rewrite { json_remove: vec![path], ..Rewrite::default() };
        let document = node.text();
        let edited = Editor::new(&rewrite, &[]).unwrap().edit(document.as_bytes()).unwrap();
        let edited = std::str::from_utf8(&edited).unwrap();
        prop_assert!(serde_json::from_str::<Value>(edited).is_ok(), "{}", edited);
        let mut rest = document.chars();
        prop_assert!(edited.chars().all(|c| rest.any(|other| other == c)), "{}", edited);
    }

    /// What is taken for JSON here is JSON elsewhere, and the other way round.
    #[test]
    fn bytes_are_json_for_everybody_or_nobody(
        node in node(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(b"\"\\,:[]{}0-.eu \n".to_vec())],
    ) {
        let mut document = node.text().into_bytes();
        let at = at.index(document.len());
        document[at] = byte;
        let ours = editor(&["hide password", "- $..a"]).edit(&document).is_ok();
        let theirs = std::str::from_utf8(&document)
            .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        prop_assert_eq!(ours, theirs, "{}", document.escape_ascii());
    }
}
