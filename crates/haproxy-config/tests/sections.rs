//! Sections, what they inherit, and the limits of a file.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use haproxy_config::{Document, Mistake, MistakeKind, Surroundings, Syntax, limits, parse};

#[test]
fn a_known_word_begins_a_section_wherever_it_stands() {
    let document = read("global\n daemon\n  frontend www from base # x\nbind :80\n\nbackend b\n");
    let sections: Vec<_> = document
        .sections
        .iter()
        .map(|section| {
            let name = section.name().map(|word| text(&word.text));
            let from = section.from().map(|word| text(&word.text));
            (text(section.keyword()), name, from, section.lines.len())
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        ("global".to_owned(), None, None, 1),
        ("frontend".to_owned(), some("www"), some("base"), 2),
        ("backend".to_owned(), some("b"), None, 0),
    ];
    assert_eq!(sections, expected);
}

#[test]
fn defaults_may_be_from_others_with_a_name_or_without() {
    let document = read("defaults from a\ndefaults b from a\ndefaults\n");
    let names: Vec<_> = document
        .sections
        .iter()
        .map(|section| {
            (section.name().map(|word| text(&word.text)), section.from().map(|w| text(&w.text)))
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(names, [(None, some("a")), (some("b"), some("a")), (None, None)]);
}

#[test]
fn what_is_not_known_is_kept() {
    let document = read("global\n nonsense from tomorrow\n no option x\n");
    let words: Vec<_> = document.sections[0].lines.iter().map(|line| line.words.len()).collect();
    assert_eq!(words, [3, 3]);
    assert_eq!(document.mistakes, []);
}

#[test]
fn a_line_before_the_first_section_is_a_mistake() {
    let document = read("# fine\n\n.notice fine\n  bind :80\nglobal\n");
    assert_eq!(places(&document), [(4, 3, MistakeKind::OutOfSection)]);
    assert_eq!(document.preamble.len(), 4);
}

#[test]
fn reading_goes_on_behind_a_mistake() {
    let document = read("global\n log \"x\n daemon\nfrontend 'y\nbackend z\n");
    let unmatched = MistakeKind::UnmatchedQuote;
    assert_eq!(places(&document), [(2, 6, unmatched), (4, 10, unmatched)]);
    assert_eq!(document.sections.len(), 3);
    assert_eq!(document.sections[0].lines.len(), 2);
}

#[test]
fn a_mistake_says_what_would_be_right() {
    let mistake = Mistake { line: 3, column: 7, kind: MistakeKind::UnmatchedBrace };
    let said = "line 3, column 7: the brace is not closed; write ${NAME} or ${NAME-default}";
    assert_eq!(mistake.to_string(), said);
}

#[test]
fn a_proxy_inherits_the_last_defaults_named_or_not() {
    let text = "defaults\n timeout client 1s\ndefaults x\n mode http\nfrontend f\n bind :80\n";
    assert_eq!(inherited(&read(text), 2, &[]), ["mode http", "bind :80"]);
}

#[test]
fn a_proxy_inherits_the_defaults_that_it_names_and_theirs() {
    let document = read(
        "defaults a\n retries 1\ndefaults b from a\n mode http\ndefaults c\n retries 3\n\
         listen l from b\n bind :80\n",
    );
    assert_eq!(inherited(&document, 3, &[]), ["retries 1", "mode http", "bind :80"]);
    assert_eq!(inherited(&document, 2, &[]), ["retries 3"], "defaults inherit only by name");
}

#[test]
fn defaults_go_on_into_the_next_file() {
    let first = read("defaults\n mode http\n");
    let second = read("frontend f\n bind :80\ndefaults\n mode tcp\n");
    assert_eq!(inherited(&second, 0, std::slice::from_ref(&first)), ["mode http", "bind :80"]);
    assert_eq!(inherited(&second, 0, &[]), ["bind :80"]);
}

#[test]
fn defaults_that_are_missing_are_told() {
    let document = read("defaults b\n mode tcp\nbackend x from a\n retries 1\ndefaults a\n");
    let ancestry = document.ancestry(1, &[]);
    assert_eq!(ancestry.missing.unwrap().text, b"a", "they come later");
    assert_eq!(inherited(&document, 1, &[]), ["retries 1"]);
    let itself = read("defaults a from a\n");
    assert_eq!(itself.ancestry(0, &[]).missing.unwrap().text, b"a");
}

#[test]
fn a_section_that_is_no_proxy_inherits_nothing() {
    let document = read("defaults\n mode http\npeers p\n peer a 127.0.0.1:1\nglobal\n");
    assert_eq!(inherited(&document, 1, &[]), ["peer a 127.0.0.1:1"]);
    assert!(document.ancestry(7, &[]).sections.is_empty(), "there is no such section");
}

#[test]
fn the_size_of_files_and_lines_is_bounded() {
    let nothing = Surroundings::default();
    for (right, surplus) in [
        (vec![b'\n'; limits::LINES], limits::LINES + 1),
        ([vec![b'#'; 1023], vec![b'\n']].concat().repeat(limits::FILE / 1024), 1),
    ] {
        assert!(parse(&right, Syntax::Haproxy, &nothing).unwrap().mistakes.is_empty());
        let wrong = [right, vec![b'\n']].concat();
        let error = parse(&wrong, Syntax::Haproxy, &nothing).unwrap_err();
        assert_eq!((error.line, error.kind), (surplus, MistakeKind::FileTooLarge));
    }

    let long = format!("global\n{}\n daemon\n", "x".repeat(limits::LINE));
    let document = read(&long);
    assert_eq!(places(&document), [(2, limits::LINE + 1, MistakeKind::LineTooLong)]);
    assert_eq!(document.sections[0].lines[1].keyword(), Some(&b"daemon"[..]));
    assert_eq!(document.to_bytes(), long.as_bytes());

    let document = read(&"'\n".repeat(limits::MISTAKES + 1));
    assert_eq!(document.mistakes.len(), limits::MISTAKES);
}

#[test]
fn all_bytes_come_back() {
    let text =
        b"\xef\xbb\xbf# \xe4\r\nglobal\r\n log \"\0\xff\n\n\n.if x\n\t[a]\nfrontend\0 \n end";
    let document = parse(text, Syntax::Haproxy, &Surroundings::default()).unwrap();
    assert_eq!(document.to_bytes(), text);
}

fn read(text: &str) -> Document {
    parse(text.as_bytes(), Syntax::Haproxy, &Surroundings::default()).unwrap()
}

fn inherited(document: &Document, section: usize, earlier: &[Document]) -> Vec<String> {
    let earlier: Vec<_> = earlier.iter().collect();
    let ancestry = document.ancestry(section, &earlier);
    ancestry.lines().map(|line| text(&line.raw).trim().to_owned()).collect()
}

fn places(document: &Document) -> Vec<(usize, usize, MistakeKind)> {
    document.mistakes.iter().map(|it| (it.line, it.column, it.kind)).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
