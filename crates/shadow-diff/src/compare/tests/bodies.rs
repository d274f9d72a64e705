use std::io::Write;

use super::*;

fn diff(media_type: &str, production: &str, shadow: &str) -> Comparison {
    bodies(&Comparer::default(), media_type, production.as_bytes(), shadow.as_bytes())
}

#[test]
fn bytes_of_unknown_kind_are_compared_by_length_and_hash() {
    let comparison = diff("application/octet-stream", "\0\x01", "\0\x02");
    assert_eq!(comparison.body, Examined::Hash);
    let [difference] = &comparison.differences[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.kind, Kind::Value);
    let comparison = diff("application/octet-stream", "\0\x01", "\0");
    assert_eq!(comparison.differences[0].kind, Kind::Length);
}

#[test]
fn a_body_is_compared_without_its_coding() {
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let packed: Headers<'_> =
        &[(b"content-type", b"application/json"), (b"content-encoding", b"gzip")];
    let body = gzip(b"{\"a\":1}");
    let comparison = compared(
        response(200, packed, Body::Whole(&body)),
        response(200, JSON, Body::Whole(b"{\"a\":1.0}")),
    );
    assert_eq!(listed(&comparison), ["header content-encoding Missing gzip | -"]);
    assert_eq!(comparison.body, Examined::Structure);

    let other = gzip(b"{\"a\":2}");
    let comparison = compared(
        response(200, packed, Body::Whole(&body)),
        response(200, packed, Body::Whole(&other)),
    );
    assert_eq!(listed(&comparison), ["body $.a Value 1 | 2"]);

    let comparison = compared(
        response(200, packed, Body::Whole(&body)),
        response(200, packed, Body::Whole(&other[..10])),
    );
    assert_eq!(comparison.outcome, Outcome::Incomparable(Reason::Broken(Side::Shadow)));
    let unknown: Headers<'_> = &[(b"content-encoding", b"lzma")];
    let comparison = compared(
        response(200, unknown, Body::Whole(b"x")),
        response(200, unknown, Body::Whole(b"y")),
    );
    assert_eq!(comparison.outcome, Outcome::Incomparable(Reason::Coding(Side::Both)));
}

#[test]
fn texts_are_compared_line_by_line() {
    let comparison = diff("text/plain", "a\nb\nc\nd\n", "a\r\nB\r\nc\r\nc2\r\nd");
    assert_eq!(comparison.body, Examined::Lines);
    assert_eq!(listed(&comparison), ["body $[] Value b | B", "body $[] Extra - | c2"]);
    assert_eq!(diff("text/plain", "a\nb\n", "a\r\nb").outcome, Outcome::Same);
    let comparison =
        diff("text/csv", "id\n1,2026-01-02T03:04:05Z\n", "id\n1,2026-01-02T03:04:07Z\n");
    assert_eq!(excused(&comparison), [("time".to_owned(), 1)]);
    assert_eq!(comparison.outcome, Outcome::Same);
}

#[test]
fn html_is_compared_tag_by_tag() {
    let comparison = diff(
        "text/html; charset=utf-8",
        "<ul><li>one</li><li>two</li></ul><script nonce=\"abcdefgh1234\">",
        "<ul>\n  <li>one</li>\n  <li>2</li>\n</ul>\n<script nonce=\"zyxwvuts9876\">\n",
    );
    assert_eq!(listed(&comparison), ["body $[] Value two | 2"]);
    assert_eq!(excused(&comparison), [("nonce".to_owned(), 1)]);
}

#[test]
fn form_data_and_xml_and_json_lines_have_places() {
    let form = "application/x-www-form-urlencoded";
    let comparison = diff(form, "a=1&b=x+y", "b=x%20z&a=1");
    assert_eq!(listed(&comparison), ["body $.b Value \"x y\" | \"x z\""]);
    let comparison = diff(
        "application/xml",
        "<o><i n='1'>a</i><i n='2'>b</i><t/></o>",
        "<?xml version='1.0'?>\n<o>\n <t></t> <i n=\"1\">a</i> <i n=\"3\">b</i>\n</o>",
    );
    assert_eq!(listed(&comparison), ["body $.o.i.@n Value \"2\" | \"3\""]);
    let comparison =
        diff("application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n", "{\"a\": 1}\n{\"a\":3}");
    assert_eq!(listed(&comparison), ["body $[].a Value 2 | 3"]);
    assert_eq!(diff("text/xml", "<a>", "<a").body, Examined::Lines);
}

#[test]
fn the_charset_does_not_matter() {
    let latin: Headers<'_> = &[(b"content-type", b"text/plain; charset=iso-8859-1")];
    let utf: Headers<'_> = &[(b"content-type", b"text/plain; charset=utf-8")];
    let comparison = compared(
        response(200, latin, Body::Whole(b"\xe4")),
        response(200, utf, Body::Whole(b"\xc3\xa4")),
    );
    assert_eq!(comparison.body, Examined::Bytes);
    assert_eq!(comparison.differences.len(), 1);
    assert_eq!(comparison.differences[0].place, Place::Header("content-type".into()));
}

#[test]
fn bodies_of_other_types_are_not_compared_further() {
    let html: Headers<'_> = &[(b"content-type", b"text/html")];
    let comparison =
        compared(response(200, JSON, Body::Whole(b"{}")), response(200, html, Body::Whole(b"<p>")));
    assert_eq!(
        listed(&comparison),
        [
            "header content-type Value application/json | text/html",
            "body $ Type JSON, 2 bytes | HTML, 3 bytes",
        ]
    );
}

#[test]
fn rules_apply_to_whole_texts_and_lines() {
    let replace = |pattern: &str| Action::Replace { pattern: pattern.into(), with: "".into() };
    let comparer = with_rules(&[("$", replace("(?m)^#.*\n")), ("$[]", replace(r"\d+"))]);
    let text = |production: &str, shadow: &str| {
        bodies(&comparer, "text/plain", production.as_bytes(), shadow.as_bytes())
    };
    let comparison = text("# 1\na\n", "a\n");
    assert_eq!(excused(&comparison), [("rule 1".to_owned(), 1)]);
    let comparison = text("# 1\na1\nb", "a2\nc");
    assert_eq!(excused(&comparison), [("rule 2".to_owned(), 1)]);
    assert_eq!(listed(&comparison), ["body $[] Value b | c"]);
}
