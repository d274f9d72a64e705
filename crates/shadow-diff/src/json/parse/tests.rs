use super::*;

fn parse(text: &str) -> Result<Document<'_>, Unreadable> {
    Document::parse(text.as_bytes(), 8, 100)
}

#[test]
fn values_are_found_with_their_names() {
    let document = parse(" {\"a\": [1, -2.5e+3, {}], \"b\\u0063\" : \"x\\ny\"} ").unwrap();
    let root = document.node(0);
    assert_eq!((root.kind, root.count), (Type::Object, 2));
    let members: Vec<usize> = document.children(0).collect();
    assert_eq!(members, [1, 5]);
    let elements: Vec<&[u8]> =
        document.children(1).map(|number| document.raw(document.node(number))).collect();
    assert_eq!(elements, [&b"1"[..], b"-2.5e+3", b"{}"]);
    let last = document.node(5);
    assert_eq!(&*document.key(last), b"bc");
    assert_eq!(&*document.value(last), b"x\ny");
    assert_eq!(document.raw(document.node(1)), b"[1, -2.5e+3, {}]");
}

#[test]
fn what_is_no_json_is_not_read() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "[1",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{1:2}",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "tru",
        "nul",
        "NaN",
        "1 2",
        "[1}",
        "{\"a\":1]",
        "]",
        "'a'",
    ] {
        assert_eq!(parse(text).err(), Some(Unreadable::Malformed), "{text}");
    }
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    assert!(parse("[[[[[[[[]]]]]]]]").is_ok());
    assert_eq!(parse("[[[[[[[[[]]]]]]]]]").err(), Some(Unreadable::TooComplex));
    let many = format!("[{}1]", "1,".repeat(98));
    assert!(parse(&many).is_ok());
    let more = format!("[{}1]", "1,".repeat(99));
    assert_eq!(parse(&more).err(), Some(Unreadable::TooComplex));
}

#[test]
fn escapes_say_what_they_mean() {
    for (raw, value) in [
        (r"\u00e4", "\u{e4}".as_bytes()),
        (r"\ud83d\ude00", "\u{1f600}".as_bytes()),
        (r"\/\\\b\f\r\t", b"/\\\x08\x0c\r\t"),
        (r"\ud83dx", b"\xed\xa0\xbdx"),
        (r"\ude00\ud83d", b"\xed\xb8\x80\xed\xa0\xbd"),
        ("longer than a word \\\" and on", b"longer than a word \" and on"),
    ] {
        let text = format!("\"{raw}\"");
        let document = parse(&text).unwrap();
        assert_eq!(&*document.value(document.node(0)), value, "{raw}");
    }
}

#[test]
fn texts_one_after_the_other_are_elements() {
    let document = Document::parse_many(b"{\"a\":1}\n\x1e[2]\n\n3", 8, 100).unwrap();
    assert_eq!(document.node(0).count, 3);
    assert_eq!(document.children(0).count(), 3);
    assert_eq!(Document::parse_many(b"", 8, 100).unwrap().node(0).count, 0);
    assert!(Document::parse_many(b"1\n{", 8, 100).is_err());
}

#[test]
fn the_end_of_plain_text_is_found_anywhere() {
    for length in 0..20 {
        for mark in ["\"", "\\"] {
            let text = format!("{}{mark}x", "\u{a2}".repeat(length));
            assert_eq!(plain_length(text.as_bytes()), 2 * length);
        }
        assert_eq!(plain_length("a".repeat(length).as_bytes()), length);
    }
}
