//! `.if` blocks: which lines HAProxy takes.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use haproxy_config::{
    Document, MistakeKind, Presence, Surroundings, Syntax, Version, limits, parse,
};

#[test]
fn conditions_are_decided_where_they_can_be() {
    let (yes, no, open) = (Presence::Active, Presence::Skipped, Presence::Undecided);
    for (condition, expected) in [
        ("", no),
        ("\"\"", no),
        ("0", no),
        ("1", yes),
        ("-1", yes),
        ("0x0", no),
        ("0x1f", yes),
        ("017", yes),
        ("!1", no),
        ("! ! 1", yes),
        ("defined(SET)", yes),
        ("defined(UNSET)", no),
        ("streq(\"$SET\",value)", yes),
        ("streq(\"$UNSET\",)", yes),
        ("streq(a b,a b)", yes),
        ("strneq(a,b)", yes),
        ("version_atleast(3.2)", yes),
        ("version_atleast(3.2.1)", yes),
        ("version_atleast(3.2.2)", no),
        ("version_atleast(3.3-dev4)", no),
        ("version_atleast(2.8-dev4)", yes),
        ("version_before(4)", yes),
        ("version_before(3.2)", no),
        ("feature(OPENSSL)", open),
        ("!feature(OPENSSL)", open),
        ("enabled(POLL)", open),
        ("streq('\"a\"',a)", open),
        ("1 && 0", no),
        ("1 && 0 || 0x1", yes),
        ("0||1&&0", no),
        ("(0 || 1) && !(0)", yes),
        ("feature(A) && 0", no),
        ("feature(A) || 1", yes),
        ("feature(A) || 0", open),
        ("feature(A) && 1", open),
    ] {
        let document = read(&format!(".if {condition}\n.notice x\n.endif\n"));
        assert_eq!(document.mistakes, [], "{condition}");
        assert_eq!(document.preamble[1].presence, expected, "{condition}");
    }
}

#[test]
fn what_is_no_condition_is_told_and_undecided() {
    let deep = "(".repeat(limits::PARENTHESES + 1) + "1" + &")".repeat(limits::PARENTHESES + 1);
    for condition in [
        "x",
        "1 2",
        "1 &&",
        "(1",
        "1)",
        "08",
        "defined()x",
        "defined",
        "streq(a)",
        "streq(a,b,c)",
        "feature(a,b)",
        "&& 1",
        "()",
        "(a)",
        &deep,
    ] {
        let document = read(&format!(" .if {condition}\n.notice x\n.endif\n"));
        assert_eq!(places(&document), [(1, 6, MistakeKind::BadCondition)], "{condition}");
        assert_eq!(document.preamble[1].presence, Presence::Undecided, "{condition}");
    }
}

#[test]
fn a_version_without_its_patch_leaves_patches_undecided() {
    let version = Some(Version { major: 3, minor: 2, patch: None });
    let surroundings = Surroundings { version, ..Surroundings::default() };
    for (condition, expected) in [
        ("version_atleast(3.2)", Presence::Active),
        ("version_atleast(3.2.1)", Presence::Undecided),
        ("version_atleast(3.3.1)", Presence::Skipped),
    ] {
        let text = format!(".if {condition}\n.notice x\n.endif\n");
        let document = parse(text.as_bytes(), Syntax::Haproxy, &surroundings).unwrap();
        assert_eq!(document.preamble[1].presence, expected, "{condition}");
    }
}

#[test]
fn the_first_true_branch_is_taken() {
    assert_eq!(notices("0", "1", "1"), "s+ss");
    assert_eq!(notices("1", "1", "1"), "+sss");
    assert_eq!(notices("0", "0", "0"), "sss+");
    assert_eq!(notices("feature(A)", "1", "1"), "??ss");
    assert_eq!(notices("feature(A)", "0", "feature(B)"), "?s??");
}

#[test]
fn blocks_are_inside_each_other() {
    let text = ".if 0\n.if 1\n.notice a\n.else x\n.foo\n.endif\n.elif feature(A)\n.if 1\n.notice b\n\
                .else\n.notice c\n.endif\n.endif\n.notice d\n";
    let document = read(text);
    assert_eq!(document.mistakes, [], "in what is skipped only blocks are looked at");
    assert_eq!(marks(&document), "s?s+");
}

#[test]
fn a_section_that_is_skipped_is_none_and_one_that_may_be_is_there() {
    let document = read(
        "global\n.if 0\nfrontend a\n bind :1\n.endif\n daemon\n.if feature(A)\nfrontend b\n.else\nfrontend c\n.endif\n",
    );
    let sections: Vec<_> =
        document.sections.iter().map(|it| (it.header.number, it.header.presence)).collect();
    let open = Presence::Undecided;
    assert_eq!(sections, [(1, Presence::Active), (8, open), (10, open)]);
    let lines: Vec<_> = document.ancestry(0, &[]).lines().map(|line| line.number).collect();
    assert_eq!(lines, [6], "what is behind the block belongs to the section before it");
}

#[test]
fn what_does_not_belong_together_is_told() {
    for (text, place) in [
        (".endif\n", (1, 1, MistakeKind::NoIf)),
        (" .else\n", (1, 2, MistakeKind::NoIf)),
        (".elif 1\n", (1, 1, MistakeKind::NoIf)),
        (".if 1\n.else\n.elif 1\n.endif\n", (3, 1, MistakeKind::AfterElse)),
        (".if 0\n.else\n.else\n.endif\n", (3, 1, MistakeKind::AfterElse)),
        (".if 1\n.else 1\n.endif\n", (2, 7, MistakeKind::UnexpectedArgument)),
        (".if 1\n.endif  x\n", (2, 9, MistakeKind::UnexpectedArgument)),
        (".notice a b\n", (1, 11, MistakeKind::UnexpectedArgument)),
        (".diag a b\n", (1, 9, MistakeKind::UnexpectedArgument)),
        (".foo\n", (1, 1, MistakeKind::UnknownDirective)),
        ("global\n .if 1\n", (2, 2, MistakeKind::UnclosedIf)),
    ] {
        assert_eq!(places(&read(text)), [place], "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let text = |depth| ".if 1\n".repeat(depth) + ".notice x\n" + &".endif\n".repeat(depth);
    let document = read(&text(limits::NESTING));
    assert_eq!((document.mistakes.len(), marks(&document).as_str()), (0, "+"));
    let document = read(&text(limits::NESTING + 2));
    let kinds: Vec<_> = document.mistakes.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [MistakeKind::TooDeep; 2]);
    assert_eq!(marks(&document), "?");
}

/// The fate of a notice in `.if`, two `.elif` and `.else`.
fn notices(first: &str, second: &str, third: &str) -> String {
    let notice = ".notice x\n";
    let document = read(&format!(
        ".if {first}\n{notice}.elif {second}\n{notice}.elif {third}\n{notice}.else\n{notice}.endif\n"
    ));
    assert_eq!(document.mistakes, []);
    marks(&document)
}

fn marks(document: &Document) -> String {
    let notices = document.lines().filter(|line| line.keyword() == Some(b".notice"));
    notices
        .map(|line| match line.presence {
            Presence::Active => '+',
            Presence::Undecided => '?',
            Presence::Skipped => 's',
        })
        .collect()
}

fn read(text: &str) -> Document {
    let variable = |name: &str| (name == "SET").then(|| b"value".to_vec());
    let version = Some(Version { major: 3, minor: 2, patch: Some(1) });
    let surroundings = Surroundings { file: "haproxy.cfg", variable: &variable, version };
    parse(text.as_bytes(), Syntax::Haproxy, &surroundings).unwrap()
}

fn places(document: &Document) -> Vec<(usize, usize, MistakeKind)> {
    document.mistakes.iter().map(|it| (it.line, it.column, it.kind)).collect()
}
