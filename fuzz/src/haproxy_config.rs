//! HAProxy's configuration and SPOE files.

use haproxy_config::{Document, Line, Presence, Surroundings, Syntax, Version, limits, parse};

/// `data` as a file. The first byte chooses its syntax and what is known of HAProxy.
pub fn haproxy_config(data: &[u8]) {
    let [choice, text @ ..] = data else { return };
    let variable = |name: &str| match name.len() {
        length if length % 2 == 0 => Some([b" a  b\"'\\#$", name.as_bytes(), b" "].concat()),
        _ => None,
    };
    let version = (choice & 2 != 0).then_some(Version { major: 3, minor: 2, patch: Some(1) });
    let surroundings = Surroundings { file: "haproxy.cfg", variable: &variable, version };
    let syntax = if choice & 1 == 0 { Syntax::Haproxy } else { Syntax::Spoe };
    let Ok(document) = parse(text, syntax, &surroundings) else {
        assert!(text.len() > limits::LINES, "only what is too large is refused");
        return;
    };
    assert_eq!(document.to_bytes(), text, "nothing is lost");
    for (index, line) in document.lines().enumerate() {
        assert_eq!(line.number, index + 1);
        check_line(line, &surroundings);
    }
    assert!(document.mistakes.len() <= limits::MISTAKES);
    for mistake in &document.mistakes {
        let line = document.lines().nth(mistake.line - 1).expect("a mistake is in a line");
        assert!((1..=line.raw.len() + 1).contains(&mistake.column), "{mistake}");
    }
    check_sections(&document);
}

fn check_line(line: &Line, surroundings: &Surroundings<'_>) {
    assert!(line.words.len() <= limits::WORDS);
    assert!(line.comment.is_none_or(|at| line.raw[at] == b'#'));
    // The words of a list are in the same bytes.
    let list = line.raw.windows(3).any(|bytes| bytes == b"[*]");
    for pair in line.words.windows(2) {
        assert!(pair[0].column <= pair[1].column, "words are in their order");
        assert!(list || pair[0].span.end <= pair[1].span.start, "words overlap");
    }
    for word in &line.words {
        assert_eq!(word.span.start + 1, word.column);
        assert!(!line.written(word).is_empty());
        assert!(word.references.iter().all(|it| line.raw[it.column - 1] == b'$'));
        requote(&word.text, surroundings);
    }
    for argument in line.arguments() {
        assert!((1..=line.raw.len()).contains(&argument.column));
    }
}

/// What a word is survives being written in single quotes.
fn requote(text: &[u8], surroundings: &Surroundings<'_>) {
    if text.iter().any(|byte| b"\0\r\n'".contains(byte)) || text.len() + 2 > limits::LINE {
        return;
    }
    let quoted = [b"global\n'", text, b"'"].concat();
    let document = parse(&quoted, Syntax::Haproxy, surroundings).expect("it is small");
    let line = document.lines().nth(1).expect("a second line");
    assert_eq!(line.words[0].text, text);
}

fn check_sections(document: &Document) {
    let scoped: usize = document
        .scopes()
        .iter()
        .map(|scope| scope.agents.len() + scope.messages.len() + scope.groups.len())
        .sum();
    let spoe = document.sections.iter().filter(|it| it.keyword().starts_with(b"spoe-")).count();
    assert_eq!(scoped, spoe, "each section is in one scope");
    for section in [0, document.sections.len() / 2, document.sections.len()] {
        let ancestry = document.ancestry(section, &[document]);
        assert_eq!(ancestry.sections.is_empty(), section >= document.sections.len());
        assert!(ancestry.lines().all(|line| line.presence != Presence::Skipped));
    }
    assert!(document.sections.iter().all(|it| it.header.presence != Presence::Skipped));
}
