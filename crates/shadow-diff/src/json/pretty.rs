//! A document with a line for each member, redacted member by member.

use std::borrow::Cow;

use crate::path::{Segment, Spot};
use crate::redact::Redact;

use super::parse::{Document, Type};
use super::quote;

/// Gives the lines of a document to `line`, until that says that it has enough. What is written keeps
/// its order and its spelling of numbers.
pub(crate) fn pretty(
    document: &Document<'_>,
    redact: &dyn Redact,
    line: &mut dyn FnMut(&[u8]) -> bool,
) {
    Pretty { document, redact, line, path: Vec::new() }.value(0, Vec::new(), "");
}

/// A text of which the end is missing, without the token that it breaks off in and with all that is open
/// closed. Of a string that breaks off, what is there stays.
pub(crate) fn closed(text: &[u8]) -> Vec<u8> {
    let mut open: Vec<u8> = Vec::new();
    // How much can be kept, and how many containers are open there.
    let (mut kept, mut depth) = (0, 0);
    let mut is_key = false;
    let mut at = 0;
    let mut string_kept = false;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                let end = string_end(text, at + 1);
                match end {
                    Ok(end) if !is_key => (kept, depth) = (end, open.len()),
                    Err(whole) if !is_key => {
                        (kept, depth) = (whole, open.len());
                        string_kept = true;
                    }
                    _ => {}
                }
                at = end.unwrap_or(text.len());
                continue;
            }
            b'{' | b'[' => {
                open.push(if byte == b'{' { b'}' } else { b']' });
                is_key = byte == b'{';
                (kept, depth) = (at + 1, open.len());
            }
            b'}' | b']' => {
                open.pop();
                is_key = false;
                (kept, depth) = (at + 1, open.len());
            }
            b',' => is_key = open.last() == Some(&b'}'),
            b':' => is_key = false,
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                let rest = text.get(at..).unwrap_or_default();
                let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                let length = rest.iter().take_while(|byte| word(byte)).count().max(1);
                at += length;
                // One that reaches the end may go on behind it.
                if at < text.len() {
                    (kept, depth) = (at, open.len());
                }
                continue;
            }
        }
        at += 1;
    }
    let mut output = text.get(..kept).unwrap_or_default().to_vec();
    if string_kept {
        output.push(b'"');
    }
    output.extend(open.get(..depth).unwrap_or_default().iter().rev());
    output
}

/// Where a string ends, behind its quotation mark; or how much of the text is whole characters, if it
/// does not.
fn string_end(text: &[u8], start: usize) -> Result<usize, usize> {
    let mut at = start;
    loop {
        match text.get(at) {
            None => return Err(at),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {
                let length = if text.get(at + 1) == Some(&b'u') { 6 } else { 2 };
                if at + length > text.len() {
                    return Err(at);
                }
                at += length;
            }
            Some(_) => at += 1,
        }
    }
}

struct Pretty<'p> {
    document: &'p Document<'p>,
    redact: &'p dyn Redact,
    line: &'p mut dyn FnMut(&[u8]) -> bool,
    path: Vec<Segment<'p>>,
}

impl Pretty<'_> {
    /// Writes the value with this number; `line` is what stands before it, and `behind` what follows.
    /// Whether there may be more.
    fn value(&mut self, number: usize, mut line: Vec<u8>, behind: &str) -> bool {
        let node = self.document.node(number);
        let (open, close) = match node.kind {
            Type::Object => (b'{', b'}'),
            Type::Array => (b'[', b']'),
            kind => {
                let value = self.document.value(node);
                let value = String::from_utf8_lossy(&value);
                let shown = self.redact.shown(&Spot::Body(&self.path).place(), &value);
                match kind {
                    // Its escapes as they are.
                    Type::String if shown == value => {
                        line.push(b'"');
                        line.extend_from_slice(self.document.raw(node));
                        line.push(b'"');
                    }
                    Type::String => quote(shown.as_bytes(), &mut line),
                    _ => line.extend_from_slice(shown.as_bytes()),
                }
                line.extend_from_slice(behind.as_bytes());
                return (self.line)(&line);
            }
        };
        line.push(open);
        if node.count == 0 {
            line.push(close);
            line.extend_from_slice(behind.as_bytes());
            return (self.line)(&line);
        }
        if !(self.line)(&line) {
            return false;
        }
        let document = self.document;
        let last = (node.count as usize).saturating_sub(1);
        for (position, child) in document.children(number).enumerate() {
            let mut line = vec![b' '; 2 * (self.path.len() + 1)];
            if open == b'{' {
                let key = document.key(document.node(child));
                let name = String::from_utf8_lossy(&key);
                // A name may be a secret by itself, as a key of a map.
                let root = Spot::Body(&[]).place();
                quote(self.redact.shown(&root, &name).as_bytes(), &mut line);
                line.extend_from_slice(b": ");
                self.path.push(Segment::Member(Cow::Owned(key.into_owned())));
            } else {
                self.path.push(Segment::Element);
            }
            let more = self.value(child, line, if position == last { "" } else { "," });
            self.path.pop();
            if !more {
                return false;
            }
        }
        let mut line = vec![b' '; 2 * self.path.len()];
        line.push(close);
        line.extend_from_slice(behind.as_bytes());
        (self.line)(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::ShowAll;

    fn lines(json: &str) -> Vec<String> {
        let document = Document::parse(json.as_bytes(), 10, 100).unwrap();
        let mut lines = Vec::new();
        pretty(&document, &ShowAll, &mut |line| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            true
        });
        lines
    }

    #[test]
    fn each_member_has_a_line_and_stays_as_it_was_written() {
        let json = r#"{"b":1.50,"a":[1e400,"x\u00e4\"",{}],"b":{"c":[]},"n":null}"#;
        let expected = [
            "{",
            "  \"b\": 1.50,",
            "  \"a\": [",
            "    1e400,",
            "    \"x\\u00e4\\\"\",",
            "    {}",
            "  ],",
            "  \"b\": {",
            "    \"c\": []",
            "  },",
            "  \"n\": null",
            "}",
        ];
        assert_eq!(lines(json), expected);
        assert_eq!(lines(" 7"), ["7"]);
    }

    #[test]
    fn a_text_that_breaks_off_is_closed() {
        for (cut, closed_as) in [
            (r#"{"a": [1, {"b": "x"#, r#"{"a": [1, {"b": "x"}]}"#),
            (r#"{"a": [1, {"b": "x\u00"#, r#"{"a": [1, {"b": "x"}]}"#),
            (r#"{"a": 1, "b"#, r#"{"a": 1}"#),
            (r#"{"a": 1, "b":"#, r#"{"a": 1}"#),
            (r#"{"a": 1, "b": tr"#, r#"{"a": 1}"#),
            (r#"{"a": 12"#, "{}"),
            (r#"[[1],[2"#, "[[1],[]]"),
            ("[1,2,", "[1,2]"),
            ("{", "{}"),
            ("", ""),
            (r#"{"a":1}"#, r#"{"a":1}"#),
        ] {
            assert_eq!(String::from_utf8(closed(cut.as_bytes())).unwrap(), closed_as, "{cut}");
        }
    }

    proptest::proptest! {
        /// Wherever JSON is cut off, what is closed is JSON.
        #[test]
        fn what_is_closed_is_json(at in 1_usize..200) {
            let json = r#"{"a": [1.5e3, true, {"b": "x\u00e4\"\\"}, []], "c": {"d": null, "e": {}}, "f": "g"}"#;
            let cut = json.as_bytes().get(..at).unwrap_or(json.as_bytes());
            let closed = closed(cut);
            proptest::prop_assert!(Document::parse(&closed, 10, 100).is_ok(), "{}", String::from_utf8_lossy(&closed));
        }
    }
}
