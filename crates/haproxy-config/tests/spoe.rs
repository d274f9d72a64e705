//! SPOE files.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use haproxy_config::{Document, MistakeKind, Surroundings, Syntax, parse};

#[test]
fn sections_are_found_by_scope() {
    let document = read(
        "spoe-message early\n [a] # first\nspoe-agent x\n messages m\nspoe-message m\n\
         [b.c-d_e:1]\nspoe-agent y\n[a]\nspoe-group g\n messages m\n",
    );
    assert_eq!(document.mistakes, []);
    let scopes: Vec<_> = document
        .scopes()
        .iter()
        .map(|it| {
            let name = it.name.map(|name| String::from_utf8_lossy(name).into_owned());
            (name, it.agents.len(), it.messages.len(), it.groups.len())
        })
        .collect();
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(scopes, [(None, 0, 1, 0), (some("a"), 1, 1, 1), (some("b.c-d_e:1"), 1, 0, 0)]);
    let agent = &document.scopes()[1].agents[0].clone();
    assert_eq!(agent.lines[0].words[1].text, b"m");
}

#[test]
fn the_words_of_haproxy_cfg_begin_no_section_here() {
    let document = read("[a]\nspoe-agent x\n global\n frontend y\n");
    assert_eq!(document.sections.len(), 1);
}

#[test]
fn a_scope_that_is_wrong_is_told() {
    for (line, column) in [("[]", 2), ("[a", 3), (" [a b]", 4), ("[a] b", 5), ("[a\\]", 3)] {
        let document = read(&format!("{line}\nspoe-agent x\n"));
        let places: Vec<_> = document.mistakes.iter().map(|it| (it.column, it.kind)).collect();
        assert_eq!(places, [(column, MistakeKind::BadScope)], "{line}");
    }
}

#[test]
fn arguments_have_names_expressions_and_places() {
    let arguments = arguments("  args id=unique-id  req.ver a=\"hdr(a b)\",lower # x");
    assert_eq!(
        arguments,
        [
            (Some("id".to_owned()), "unique-id".to_owned(), 8),
            (None, "req.ver".to_owned(), 22),
            (Some("a".to_owned()), "hdr(a b),lower".to_owned(), 30),
        ]
    );
}

#[test]
fn parentheses_hold_an_argument_together() {
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        arguments("args a=concat(x, y),lower b=str(\\ ) url_param(c=d) e="),
        [
            (some("a"), "concat(x, y),lower".to_owned(), 6),
            (some("b"), "str( )".to_owned(), 27),
            (None, "url_param(c=d)".to_owned(), 37),
            (some("e"), String::new(), 52),
        ]
    );
    assert_eq!(arguments("event on-frontend-http-request"), []);
}

fn arguments(line: &str) -> Vec<(Option<String>, String, usize)> {
    let document = read(&format!("spoe-message m\n{line}\n"));
    assert_eq!(document.mistakes, []);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let arguments = document.sections[0].lines[0].arguments().into_iter();
    arguments.map(|it| (it.name.map(text), text(it.expression), it.column)).collect()
}

fn read(text: &str) -> Document {
    parse(text.as_bytes(), Syntax::Spoe, &Surroundings::default()).unwrap()
}
