use std::io::Write as _;

use super::*;
use crate::difference::Place;
use crate::redact::ShowAll;

fn show(media: &str, bytes: Body<'_>) -> Text {
    body(&[(b"Content-Type", media.as_bytes())], bytes, &ShowAll)
}

fn lines(media: &str, bytes: &[u8]) -> Vec<String> {
    let shown = show(media, Body::Whole(bytes));
    assert_eq!(shown.note, "", "{media}");
    shown.lines
}

#[test]
fn each_kind_of_text_is_set_out_line_by_line() {
    assert_eq!(
        lines("application/json", br#"{"a":[1.0]}"#),
        ["{", "  \"a\": [", "    1.0", "  ]", "}"]
    );
    assert_eq!(lines("application/x-ndjson", b"{\"a\": 1}\n[ ]\n"), ["{\"a\":1}", "[]"]);
    assert_eq!(
        lines("application/x-www-form-urlencoded", b"a=1&b=x+y%20z&c"),
        ["a=1", "b=x+y%20z", "c"]
    );
    assert_eq!(lines("application/x-www-form-urlencoded", b"{\"a\":1}"), ["{", "  \"a\": 1", "}"]);
    assert_eq!(
        lines("text/xml", b"<a>\n <b c='1'>x</b></a>"),
        ["<a>", "<b c='1'>", "x", "</b>", "</a>"]
    );
    assert_eq!(lines("text/plain", b"a\r\n\nb"), ["a", "", "b"]);
    assert_eq!(lines("text/plain; charset=latin1", b"\xe4"), ["\u{e4}"]);
    assert_eq!(lines("application/json", b"{no json\n}"), ["{no json", "}"]);
}

#[test]
fn what_is_no_text_is_told_by_its_size() {
    let bytes = vec![0; 12_345];
    assert_eq!(
        show("image/png", Body::Whole(&bytes)),
        told("12,345 bytes of image/png, not shown".to_owned())
    );
    assert_eq!(show("x\u{1b}[2J", Body::Whole(&bytes)).note, "12,345 bytes, no text, not shown");
    assert_eq!(body(&[], Body::Whole(b"\0"), &ShowAll).note, "1 bytes, no text, not shown");
    assert_eq!(show("text/plain", Body::Whole(b"")).note, "none");
    assert_eq!(show("text/plain", Body::Unknown).note, "not known");
    let klingon = show("text/plain; charset=klingon", Body::Whole(b"a"));
    assert!(klingon.lines.is_empty() && klingon.note.contains("charset"), "{klingon:?}");
}

#[test]
fn a_compressed_body_is_shown_as_what_it_holds() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"hello").unwrap();
    let gzip = gzip.finish().unwrap();
    let headers: &[(&[u8], &[u8])] =
        &[(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")];
    assert_eq!(body(headers, Body::Whole(&gzip), &ShowAll).lines, ["hello"]);
    for cut in [Body::Whole(&gzip[..9]), Body::Part { bytes: &gzip[..9], total: None }] {
        let shown = body(headers, cut, &ShowAll);
        assert!(shown.lines.is_empty() && shown.note.starts_with("9 bytes, "), "{shown:?}");
    }
}

#[test]
fn of_a_body_that_was_cut_off_what_is_there_is_shown() {
    let part = Body::Part { bytes: br#"{"a": {"b": [1, "x"#, total: Some(3000) };
    let shown = show("application/json", part);
    assert_eq!(shown.lines[3..], ["      1,", "      \"x\"", "    ]", "  }", "}"]);
    assert_eq!(shown.note, "only the first 18 of 3,000 bytes are known");
    let shown = show("text/plain", Body::Part { bytes: b"ab", total: None });
    assert_eq!(
        (shown.lines.as_slice(), &*shown.note),
        (&["ab".to_owned()][..], "only the first 2 bytes are known")
    );
}

#[test]
fn long_bodies_are_cut() {
    for (media, unit) in [
        ("text/plain", "a\n"),
        ("text/plain", "a long line that soon takes more bytes than there is room for\n"),
        ("application/x-www-form-urlencoded", "a=1&"),
        ("application/x-ndjson", "{\"a\": 1}\n"),
        ("text/html", "<p>  x"),
        ("text/html", "                                                       <p>"),
    ] {
        let shown = show(media, Body::Whole(unit.repeat(20_000).as_bytes()));
        assert!(shown.lines.len() <= MAX_LINES && shown.lines.len() > 200, "{}", shown.lines.len());
        assert!(shown.lines.iter().map(String::len).sum::<usize>() <= MAX_BYTES);
        assert!(shown.note.starts_with("only the first "), "{}", shown.note);
    }
    let array = format!("[{}1]", "1,".repeat(20_000));
    let shown = show("application/json", Body::Whole(array.as_bytes()));
    assert_eq!(
        (shown.lines.len(), &*shown.note),
        (400, "only the first 400 lines of 40,003 bytes are shown")
    );
    let long = lines("text/plain", "\u{e4}".repeat(700).as_bytes());
    assert_eq!(long, [format!("{}\u{2026} [400 more bytes]", "\u{e4}".repeat(500))]);
}

#[test]
fn what_cannot_be_seen_is_made_visible() {
    assert_eq!(visible(b"a\tb\0\x1b\xff\xc3", 99), "a\\u0009b\\u0000\\u001b\\xff\\xc3");
    assert_eq!(
        visible("\u{202e}\u{200b}\u{e4}\u{85}".as_bytes(), 99),
        "\\u202e\\u200b\u{e4}\\u0085"
    );
    assert_eq!(visible(b"\0\0\0", 13), "\\u0000\\u0000\u{2026} [1 more bytes]");
    assert_eq!(lines("application/json", b"\"a\\u0000\x01\xff\""), ["\"a\\u0000\\u0001\\xff\""]);
}

/// Hides `secret` anywhere, and all that is under `hidden`.
struct Hide;

impl Redact for Hide {
    fn shown<'v>(&self, place: &Place, value: &'v str) -> Cow<'v, str> {
        match self.hides(place) {
            true => "#".into(),
            false => value.replace("secret", "#").into(),
        }
    }

    fn hides(&self, place: &Place) -> bool {
        place.to_string().contains("hidden")
    }

    fn secrets(&self, text: &[u8]) -> Vec<std::ops::Range<usize>> {
        let found = text.windows(6).enumerate().filter(|(_, window)| window == b"secret");
        found.map(|(at, _)| at..at + 6).collect()
    }

    fn instead(&self, _: &[u8]) -> String {
        "#".to_owned()
    }
}

#[test]
fn each_value_is_redacted_where_it_stands() {
    for (media, bytes, expected) in [
        (
            "application/json",
            &br#"{"hidden":{"a":[1,null]},"b":"a secret","secret":2}"#[..],
            "{\"hidden\": {\"a\": [#,#]},\"b\": \"a #\",\"#\": 2}",
        ),
        ("application/x-ndjson", br#"{"hidden":1}"#, "{\"hidden\":#}"),
        (
            "application/x-www-form-urlencoded",
            b"hidden=a&%68idden=b&c=%73ecret&secret&secret=1",
            "hidden=#%68idden=#c=##.#=1",
        ),
        (
            "text/html",
            b"<p><hidden><b x=1>y</b></hidden>secret</p>",
            "<p><hidden>##</b></hidden>#</p>",
        ),
        ("text/plain", b"a\nsecret\nb", "a#b"),
    ] {
        let shown = body(&[(b"content-type", media.as_bytes())], Body::Whole(bytes), &Hide);
        let text: String = shown.lines.iter().map(|line| line.trim()).collect();
        assert_eq!(text, expected.replace("##.#", "###"), "{media}");
    }
}

proptest::proptest! {
    /// Whatever it is: bounded, and nothing in it that cannot be seen.
    #[test]
    fn what_is_shown_is_bounded(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), media in "(application/json|text/html|text/xml|text/plain|application/x-www-form-urlencoded|application/x-ndjson)") {
        for known in [Body::Whole(&bytes), Body::Part { bytes: &bytes, total: None }] {
            let shown = show(&media, known);
            proptest::prop_assert!(shown.lines.len() <= MAX_LINES);
            proptest::prop_assert!(!shown.lines.iter().any(|line| line.contains(char::is_control)));
        }
    }

    #[test]
    fn a_number_is_grouped_by_thousands(number: u32) {
        let text = grouped(number as usize);
        proptest::prop_assert_eq!(text.replace(',', ""), number.to_string());
        proptest::prop_assert!(text.split(',').skip(1).all(|group| group.len() == 3));
    }
}
