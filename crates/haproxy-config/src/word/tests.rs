use super::*;

#[test]
fn blanks_part_words_and_comments_end_them() {
    assert_eq!(texts(b"  bind  *:80\tssl\x0b\x0cx # a b\n"), ["bind", "*:80", "ssl", "x"]);
    assert_eq!(texts(b"a#b c"), ["a"]);
    assert_eq!(texts(b"# a b"), [""; 0]);
    assert_eq!(texts(b"\r\n"), [""; 0]);
    assert_eq!(texts(b"a\r b\r\n"), ["a"], "a carriage return ends the line");
    assert_eq!(read(b"a # b").comment, Some(2));
}

#[test]
fn a_backslash_escapes_what_means_something() {
    assert_eq!(texts(br"a\ b a\#b a\\b"), ["a b", "a#b", r"a\b"]);
    assert_eq!(texts(br#"a\'b a\"b"#), ["a'b", "a\"b"]);
    assert_eq!(texts(br"\t\n\r\x41\x7A"), ["\t\n\rAz"]);
    assert_eq!(texts(br#""a\ b\#\\\'\"""#), [r#"a b#\'""#], "in double quotes too");
}

#[test]
fn a_backslash_before_anything_else_is_one() {
    assert_eq!(texts(br"\1\/ \$A \"), [r"\1\/", r"\$A", r"\"]);
    assert_eq!(texts(b"a\\\nb"), ["a\\"], "lines are not continued");
}

#[test]
fn single_quotes_keep_everything() {
    assert_eq!(texts(br#"'a b\#"$HOME" # \x'"#), [r#"a b\#"$HOME" # \x"#]);
    assert_eq!(texts(b"'a'b'c d'"), ["abc d"], "quotes are inside words");
}

#[test]
fn double_quotes_keep_blanks_hashes_and_single_quotes() {
    assert_eq!(texts(br##""a  b # 'c'" d"##), ["a  b # 'c'", "d"]);
    assert_eq!(texts(br#"a"b"'c'd "" ''"#), ["abcd", "", ""]);
}

#[test]
fn variables_are_read_in_double_quotes_only() {
    assert_eq!(texts(br#""$NAME" "${NAME}x" "a$NAME-b""#), ["value", "valuex", "avalue-b"]);
    assert_eq!(texts(br"$NAME ${NAME} '$NAME'"), ["$NAME", "${NAME}", "$NAME"]);
    assert_eq!(texts(br#""\$NAME" "\${NAME}""#), ["$NAME", "${NAME}"]);
    assert_eq!(texts(br#""$SPACED""#), ["1 2  3"], "a value stays one word");
    assert_eq!(texts(br#""$HASH""#), ["a#\"$NAME\\"], "a value is not read again");
}

#[test]
fn a_default_stands_for_what_is_not_set() {
    assert_eq!(texts(br#""${NONE-a b}" "${NAME-a}" "${NONE-}x""#), ["a b", "value", "x"]);
    assert_eq!(texts(br#""${EMPTY-a}x""#), ["x"], "what is empty is set");
    assert_eq!(texts(br#""${NONE-$NAME\}""#), ["$NAME\\"], "a default is taken as it stands");
}

#[test]
fn a_variable_that_is_not_set_is_empty_and_noted() {
    let words = read(br#"bind "$NONE:80${NAME}${NONE-x}""#).words;
    assert_eq!(words[1].text, b":80valuex");
    let noted: Vec<_> = words[1]
        .references
        .iter()
        .map(|it| (it.name.as_str(), it.column, it.set, it.has_default))
        .collect();
    let expected =
        [("NONE", 7, false, false), ("NAME", 15, true, false), ("NONE", 22, false, true)];
    assert_eq!(noted, expected);
}

#[test]
fn a_list_becomes_words() {
    assert_eq!(texts(br#"x "${SPACED[*]}" y"#), ["x", "1", "2", "3", "y"]);
    assert_eq!(texts(br#""a${SPACED[*]}b""#), ["a1", "2", "3b"]);
    assert_eq!(texts(br#""${NONE[*]-4 5}""#), ["4", "5"]);
    let words = read(br#"x "${SPACED[*]}" y"#).words;
    let places: Vec<_> = words.iter().map(|word| word.column).collect();
    assert_eq!(places, [1, 3, 4, 4, 18], "words of a list stand where it does");
}

#[test]
fn pseudo_variables_say_where_they_are() {
    assert_eq!(texts(br#""${.FILE}:$.LINE:${.SECTION}""#), ["h.cfg:7:www"]);
}

#[test]
fn words_know_their_place() {
    let line = b"\tserver 'a b'\"c\" d\\ e#x";
    let words = read(line).words;
    let places: Vec<_> = words.iter().map(|word| (word.column, &line[word.span.clone()])).collect();
    assert_eq!(places, [(2, &b"server"[..]), (9, b"'a b'\"c\""), (18, b"d\\ e")]);
}

#[test]
fn what_is_wrong_is_told_where_it_is_and_what_is_before_it_stays() {
    for (line, at, kind) in [
        (&br#"a "b"#[..], 2, MistakeKind::UnmatchedQuote),
        (br#"a 'b" # "#, 2, MistakeKind::UnmatchedQuote),
        (br"a \x4z", 2, MistakeKind::BadHex),
        (br"a \x4", 2, MistakeKind::BadHex),
        (br#"a "${B""#, 4, MistakeKind::UnmatchedBrace),
        (br#"a "${B-c""#, 4, MistakeKind::UnmatchedBrace),
        (br#"a "$1""#, 4, MistakeKind::BadVariable),
        (br#"a "${}""#, 5, MistakeKind::BadVariable),
        (br#"a "$""#, 4, MistakeKind::BadVariable),
        (br#"a "${.OTHER}""#, 5, MistakeKind::BadVariable),
        (br#"a "${B[1]}""#, 6, MistakeKind::BadExpansion),
        (b"a b\0c", 3, MistakeKind::Nul),
    ] {
        let split = read(line);
        let shown = String::from_utf8_lossy(line);
        assert_eq!(split.mistake, Some((at, kind)), "{shown}");
        assert_eq!(split.words[0].text, b"a", "{shown}");
    }
}

#[test]
fn words_are_bounded() {
    assert_eq!(read("w ".repeat(limits::WORDS).as_bytes()).mistake, None);
    let split = read("w ".repeat(limits::WORDS + 1).as_bytes());
    let at = 2 * limits::WORDS;
    assert_eq!(split.mistake, Some((at, MistakeKind::TooManyWords)));
    assert_eq!(split.words.len(), limits::WORDS);
}

#[test]
fn what_variables_bring_in_is_bounded() {
    let mut left = 9;
    assert_eq!(read_with(br#""$NAME""#, &mut left).mistake, None);
    let split = read_with(br#""$NAME""#, &mut left);
    assert_eq!(split.mistake, Some((1, MistakeKind::TooMuchExpanded)));
}

fn texts(line: &[u8]) -> Vec<String> {
    let split = read(line);
    assert_eq!(split.mistake, None, "{}", String::from_utf8_lossy(line));
    split.words.into_iter().map(|word| String::from_utf8(word.text).unwrap()).collect()
}

fn read(line: &[u8]) -> Split {
    read_with(line, &mut limits::EXPANDED.clone())
}

fn read_with(line: &[u8], left: &mut usize) -> Split {
    let variable = |name: &str| match name {
        "NAME" => Some(b"value".to_vec()),
        "SPACED" => Some(b"1 2  3".to_vec()),
        "HASH" => Some(b"a#\"$NAME\\".to_vec()),
        "EMPTY" => Some(Vec::new()),
        _ => None,
    };
    let surroundings = Surroundings { file: "h.cfg", variable: &variable, version: None };
    split(line, &mut Variables { surroundings: &surroundings, line: 7, section: b"www", left })
}
