//! Properties of the comparison of JSON: how a document is spelled does not matter, what was changed
//! in it is found where it is.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::sample::Index;
use shadow_diff::{Body, Comparer, Comparison, Kind, Outcome, Pair, Response, ShowAll};

#[derive(Debug, Clone, PartialEq)]
enum Document {
    Null,
    Bool(bool),
    /// So many hundredths.
    Number(i64),
    Text(String),
    List(Vec<Document>),
    Object(Vec<(String, Document)>),
}

/// Documents whose names are not ids, and are no names that a rule knows.
fn documents() -> impl Strategy<Value = Document> {
    let scalar = prop_oneof![
        Just(Document::Null),
        any::<bool>().prop_map(Document::Bool),
        (-100_000_i64..100_000).prop_map(Document::Number),
        "[a-z\u{e4}\u{1f600}\"\\\\\n/ ]{0,12}".prop_map(Document::Text),
    ];
    scalar.prop_recursive(5, 60, 6, |inner| {
        let members = proptest::collection::btree_map("[abxyz \u{e4}.]{1,4}", inner.clone(), 0..6);
        prop_oneof![
            proptest::collection::vec(inner, 0..6).prop_map(Document::List),
            members.prop_map(|members| Document::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes a document in one of many ways, by throws of the dice.
struct Writer<'d> {
    dice: &'d [u8],
    thrown: usize,
    output: String,
}

impl Writer<'_> {
    fn write(document: &Document, dice: &[u8]) -> String {
        let mut writer = Writer { dice, thrown: 0, output: String::new() };
        writer.blanks();
        writer.value(document);
        writer.blanks();
        writer.output
    }

    fn throw(&mut self, sides: u8) -> u8 {
        self.thrown += 1;
        self.dice.get(self.thrown % self.dice.len().max(1)).map_or(0, |value| value % sides)
    }

    fn blanks(&mut self) {
        let blanks = ["", "", " ", "\n  ", "\t", "\r\n"][usize::from(self.throw(6))];
        self.output.push_str(blanks);
    }

    fn value(&mut self, document: &Document) {
        match document {
            Document::Null => self.output.push_str("null"),
            Document::Bool(value) => self.output.push_str(if *value { "true" } else { "false" }),
            Document::Number(hundredths) => self.number(*hundredths),
            Document::Text(text) => self.text(text),
            Document::List(list) => {
                self.output.push('[');
                for (position, element) in list.iter().enumerate() {
                    self.comma(position);
                    self.value(element);
                    self.blanks();
                }
                self.output.push(']');
            }
            Document::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if !members.is_empty() {
                    let turn = usize::from(self.throw(6)) % members.len();
                    members.rotate_left(turn);
                }
                self.output.push('{');
                for (position, (name, value)) in members.into_iter().enumerate() {
                    self.comma(position);
                    self.text(name);
                    self.blanks();
                    self.output.push(':');
                    self.blanks();
                    self.value(value);
                    self.blanks();
                }
                self.output.push('}');
            }
        }
    }

    fn comma(&mut self, position: usize) {
        if position > 0 {
            self.output.push(',');
        }
        self.blanks();
    }

    fn number(&mut self, hundredths: i64) {
        let sign = if hundredths < 0 { "-" } else { "" };
        let (whole, rest) = (hundredths.abs() / 100, hundredths.abs() % 100);
        let text = match self.throw(4) {
            0 => format!("{sign}{whole}.{rest:02}"),
            1 => format!("{sign}{}e-2", hundredths.abs()),
            2 => format!("{sign}{whole}.{rest:02}000E+0"),
            _ => format!("{sign}{}000e-0005", hundredths.abs()),
        };
        self.output.push_str(&text);
    }

    fn text(&mut self, text: &str) {
        self.output.push('"');
        for character in text.chars() {
            let escape = matches!(character, '"' | '\\' | '\n') || self.throw(4) == 0;
            match character {
                '"' | '\\' | '/' if escape => self.output.extend(['\\', character]),
                '\n' if self.throw(2) == 0 => self.output.push_str("\\n"),
                _ if escape => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        self.output.push_str(&format!("\\u{unit:04X}"));
                    }
                }
                _ => self.output.push(character),
            }
        }
        self.output.push('"');
    }
}

/// How a document is changed.
#[derive(Debug, Clone, Copy)]
enum Change {
    Value,
    Type,
    Remove,
    Add,
}

/// Changes the document at one place, and tells which, and the kind of what must be found.
fn change(document: &mut Document, at: Index, change: Change) -> (String, Kind) {
    let mut places = Vec::new();
    collect(document, "$", &mut Vec::new(), &mut places);
    let (place, steps) = places.swap_remove(at.index(places.len()));
    let mut target = document;
    for step in steps {
        target = match target {
            Document::List(list) => &mut list[step],
            Document::Object(members) => &mut members[step].1,
            _ => unreachable!("only containers have something inside"),
        };
    }
    match (change, &mut *target) {
        (Change::Remove, Document::List(list)) if !list.is_empty() => {
            list.remove(at.index(list.len()));
            (format!("{place}[]"), Kind::Missing)
        }
        (Change::Remove, Document::Object(members)) if !members.is_empty() => {
            let (name, _) = members.remove(at.index(members.len()));
            (place + &step_to(&name), Kind::Missing)
        }
        (Change::Add, Document::List(list)) => {
            list.insert(at.index(list.len() + 1), Document::Text("new".to_owned()));
            (format!("{place}[]"), Kind::Extra)
        }
        (Change::Add, Document::Object(members)) => {
            members.push(("new".to_owned(), Document::Null));
            (format!("{place}.new"), Kind::Extra)
        }
        (Change::Value, Document::Bool(value)) => {
            *value = !*value;
            (place, Kind::Value)
        }
        (Change::Value, Document::Number(value)) => {
            *value += 1;
            (place, Kind::Value)
        }
        (Change::Value, Document::Text(text)) => {
            text.push('!');
            (place, Kind::Value)
        }
        (_, Document::Null) => {
            *target = Document::Bool(true);
            (place, Kind::Type)
        }
        _ => {
            *target = Document::Null;
            (place, Kind::Type)
        }
    }
}

/// All places of a document, with the positions that lead there.
fn collect(
    document: &Document,
    place: &str,
    steps: &mut Vec<usize>,
    places: &mut Vec<(String, Vec<usize>)>,
) {
    places.push((place.to_owned(), steps.clone()));
    let inside: Vec<(String, &Document)> = match document {
        Document::List(list) => list.iter().map(|value| ("[]".to_owned(), value)).collect(),
        Document::Object(members) => {
            members.iter().map(|(name, value)| (step_to(name), value)).collect()
        }
        _ => Vec::new(),
    };
    for (position, (step, value)) in inside.into_iter().enumerate() {
        steps.push(position);
        collect(value, &format!("{place}{step}"), steps, places);
        steps.pop();
    }
}

fn step_to(name: &str) -> String {
    if name.contains([' ', '.']) { format!("[\"{name}\"]") } else { format!(".{name}") }
}

fn compare(production: &str, shadow: &str) -> Comparison {
    let headers: &[(&[u8], &[u8])] = &[(b"content-type", b"application/json")];
    let pair = Pair {
        method: b"GET",
        endpoint: "GET /",
        now: UNIX_EPOCH + Duration::from_secs(1_767_323_045),
        production: Response { status: 200, headers, body: Body::Whole(production.as_bytes()) },
        shadow: Response { status: 200, headers, body: Body::Whole(shadow.as_bytes()) },
    };
    Comparer::default().compare(&pair, &ShowAll)
}

fn turned(kind: Kind) -> Kind {
    match kind {
        Kind::Missing => Kind::Extra,
        Kind::Extra => Kind::Missing,
        kind => kind,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn another_spelling_is_the_same(
        document in documents(),
        dice in proptest::collection::vec(any::<u8>(), 1..100),
        others in proptest::collection::vec(any::<u8>(), 1..100),
    ) {
        let (production, shadow) = (Writer::write(&document, &dice), Writer::write(&document, &others));
        let comparison = compare(&production, &shadow);
        prop_assert_eq!(comparison.outcome, Outcome::Same, "{}\n{}\n{:?}", production, shadow, comparison);
        prop_assert_eq!(comparison.excused, []);
    }

    #[test]
    fn one_change_is_found_at_its_place_and_nothing_else(
        document in documents(),
        dice in proptest::collection::vec(any::<u8>(), 1..100),
        others in proptest::collection::vec(any::<u8>(), 1..100),
        at in any::<Index>(),
        kind in prop_oneof![
            Just(Change::Value), Just(Change::Type), Just(Change::Remove), Just(Change::Add)
        ],
    ) {
        let mut changed = document.clone();
        let (place, kind) = change(&mut changed, at, kind);
        let (production, shadow) = (Writer::write(&document, &dice), Writer::write(&changed, &others));
        for (one, other, kind) in [(&production, &shadow, kind), (&shadow, &production, turned(kind))] {
            let comparison = compare(one, other);
            let found: Vec<(String, Kind)> = comparison
                .differences
                .iter()
                .map(|difference| (difference.place.to_string(), difference.kind))
                .collect();
            prop_assert_eq!(found, [(format!("body {place}"), kind)], "{}\n{}", one, other);
            prop_assert_eq!(comparison.outcome, Outcome::Different);
        }
    }
}
