//! Finds in the file what is wrong inside of a text: behind quotation marks, escapes and dollars.

use std::ops::Range;

use super::expand::Text;
use super::walk::{Place, Reader, Section, Value};

/// A text that has a form of its own, and its place.
pub(super) struct Written<'a> {
    pub(super) text: String,
    /// A part of it comes from the environment, and is not shown.
    foreign: bool,
    value: Value<'a>,
}

impl<'a> Section<'_, '_, 'a> {
    /// A text of no more than so many bytes.
    pub(super) fn written(
        &mut self,
        key: &'static str,
        what: &str,
        example: &str,
        most: usize,
    ) -> Option<Written<'a>> {
        let value = self.get(key)?;
        let Some(text) = value.node.as_str() else {
            self.reader.wrong_type(&value, what, &format!("{key} = {example}"));
            return None;
        };
        let Text { text, foreign } = self.reader.expand(&value, text)?;
        if text.len() > most {
            let message = format!("this has no more than {most} bytes");
            self.reader.error(&value.place, message, None);
            return None;
        }
        Some(Written { text, foreign, value })
    }
}

impl Written<'_> {
    /// Where it stands.
    pub(super) fn place(&self) -> &Place {
        &self.value.place
    }

    /// Tells what is wrong at this byte of the text.
    pub(super) fn error(&self, reader: &Reader<'_>, at: usize, message: &str, example: &str) {
        if self.foreign {
            // What is wrong may quote what the environment holds.
            let message = "with its variables replaced, this cannot be used";
            let help = format!("what is expected looks like {example}");
            return reader.error(self.place(), message, Some(help));
        }
        let mut place = self.place().clone();
        if let Some(span) = span_inside(reader.text, &place.span, at) {
            place.span = span;
        }
        reader.error(&place, message, Some(format!("write it like {example}")));
    }
}

/// Which bytes of `source` the byte `at` of a text is, whose value is written at `span`; the mark at its end
/// for the byte behind the last. `None` where that cannot be told.
fn span_inside(source: &str, span: &Range<usize>, at: usize) -> Option<Range<usize>> {
    let written = source.get(span.clone())?;
    let mark = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|mark| written.starts_with(mark))?;
    let content = written.get(mark.len()..)?.strip_suffix(mark)?;
    if content.is_empty() || content.contains(['\n', '\r']) {
        return None;
    }
    let mut start = span.start + mark.len();
    let mut decoded = 0;
    let mut rest = content;
    while let Some(first) = rest.chars().next() {
        let (written, stands_for) = match first {
            '\\' if mark.starts_with('"') => escape(rest)?,
            '$' if rest.starts_with("$$") => (2, 1),
            first => (first.len_utf8(), first.len_utf8()),
        };
        if at < decoded + stands_for {
            return Some(start..start + written);
        }
        decoded += stands_for;
        start += written;
        rest = rest.get(written..)?;
    }
    (at == decoded).then_some(start..span.end)
}

/// The length of the escape that a text begins with, and of what it stands for.
fn escape(text: &str) -> Option<(usize, usize)> {
    let digits = match text.as_bytes().get(1)? {
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        _ => return Some((2, 1)),
    };
    let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
    Some((2 + digits, char::from_u32(code)?.len_utf8()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What of `written` each byte of its value is.
    fn bytes(written: &str) -> Vec<&str> {
        let source = format!("ü = {written} # behind");
        let span = 5..5 + written.len();
        let found = (0..).map_while(|at| span_inside(&source, &span, at));
        found.map(|span| &written[span.start - 5..span.end - 5]).collect()
    }

    #[test]
    fn a_byte_of_a_text_is_found_behind_what_it_is_written_with() {
        assert_eq!(bytes("'a\\b'"), ["a", "\\", "b", "'"]);
        assert_eq!(bytes("\"a\\\\d\\\"\""), ["a", "\\\\", "d", "\\\"", "\""]);
        assert_eq!(bytes("\"\\u00fcx\""), ["\\u00fc", "\\u00fc", "x", "\""]);
        assert_eq!(bytes("\"\"\"$$1ü\"\"\""), ["$$", "1", "ü", "ü", "\"\"\""]);
        assert_eq!(bytes("''"), [""; 0]);
        assert_eq!(bytes("\"\"\"\na\"\"\""), [""; 0]);
    }
}
