//! Values as people are shown them: without secrets, and short.

use std::borrow::Cow;
use std::ops::Range;

use crate::difference::Place;

/// Hides what people must not see. Asked for each value, whole, before it is shortened; an object or
/// array is shown member by member, each with its own place, in which the keys of maps stand too.
pub trait Redact {
    /// What is shown of `value`, which stands at `place`.
    fn shown<'v>(&self, place: &Place, value: &'v str) -> Cow<'v, str>;

    /// Whether all that stands at `place` is hidden, whatever it is.
    fn hides(&self, place: &Place) -> bool {
        let _ = place;
        false
    }

    /// Where secrets are in a text that is shown piece by piece: in order, and apart from each other.
    fn secrets(&self, text: &[u8]) -> Vec<Range<usize>> {
        let _ = text;
        Vec::new()
    }

    /// What stands in place of a secret.
    fn instead(&self, secret: &[u8]) -> String {
        let _ = secret;
        "[hidden]".to_owned()
    }
}

/// Hides nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShowAll;

impl Redact for ShowAll {
    fn shown<'v>(&self, _: &Place, value: &'v str) -> Cow<'v, str> {
        Cow::Borrowed(value)
    }
}

/// Bytes before the end of what is looked at that are not shown: a secret may go on behind it.
const MARGIN: usize = 4 * 1024;

/// A text of which the secrets are known, so that it can be shown piece by piece.
pub(crate) struct Redacted<'t> {
    /// What was looked at of it.
    pub(crate) text: &'t [u8],
    /// So many bytes of it may be shown.
    pub(crate) sure: usize,
    /// There is more of it.
    pub(crate) cut: bool,
    secrets: Vec<(Range<usize>, String)>,
}

impl<'t> Redacted<'t> {
    /// Looks at the first `limit` bytes.
    pub(crate) fn new(text: &'t [u8], limit: usize, redact: &dyn Redact) -> Self {
        let cut = text.len() > limit;
        let text = text.get(..limit).unwrap_or(text);
        let sure = if cut { limit.saturating_sub(MARGIN) } else { text.len() };
        let instead = |range: Range<usize>| {
            let instead = redact.instead(text.get(range.clone()).unwrap_or_default());
            (range, instead)
        };
        let secrets = redact.secrets(text).into_iter().map(instead).collect();
        Self { text, sure, cut, secrets }
    }

    /// A piece, with something else in place of the secrets in it.
    pub(crate) fn piece(&self, piece: Range<usize>) -> Vec<u8> {
        let mut output = Vec::with_capacity(piece.len());
        let mut at = piece.start;
        let first = self.secrets.partition_point(|(secret, _)| secret.end <= piece.start);
        for (secret, instead) in self.secrets.get(first..).unwrap_or_default() {
            if secret.start >= piece.end {
                break;
            }
            output.extend_from_slice(self.text.get(at..secret.start).unwrap_or_default());
            output.extend_from_slice(instead.as_bytes());
            at = secret.end;
        }
        output.extend_from_slice(self.text.get(at..piece.end).unwrap_or_default());
        output
    }
}

/// Characters that are shown of what two long values have in common before they differ.
const CONTEXT: usize = 20;

/// Two values that differ, each cut to `limit` characters around the first that differs; what was cut
/// is said.
pub(crate) fn shorten(
    production: Option<&str>,
    shadow: Option<&str>,
    limit: usize,
) -> (Option<Box<str>>, Option<Box<str>>) {
    let longest = production.map_or(0, str::len).max(shadow.map_or(0, str::len));
    let skip = match (production, shadow) {
        (Some(production), Some(shadow)) if longest > limit => {
            let common = production.chars().zip(shadow.chars()).take_while(|(a, b)| a == b);
            common.count().saturating_sub(CONTEXT)
        }
        _ => 0,
    };
    // A short common beginning is no reason to cut it off.
    let skip = if skip < CONTEXT { 0 } else { skip };
    (production.map(|text| window(text, skip, limit)), shadow.map(|text| window(text, skip, limit)))
}

/// `limit` characters of `text` after the first `skip`.
fn window(text: &str, skip: usize, limit: usize) -> Box<str> {
    let start = char_offset(text, skip);
    let rest = text.get(start..).unwrap_or_default();
    let (shown, after) = rest.split_at(char_offset(rest, limit));
    if start == 0 && after.is_empty() {
        return text.into();
    }
    let mut output = String::with_capacity(shown.len() + 40);
    if start > 0 {
        output.push_str(&format!("[{skip} characters] \u{2026}"));
    }
    output.push_str(shown);
    if !after.is_empty() {
        output.push_str(&format!("\u{2026} [{} more bytes]", after.len()));
    }
    output.into()
}

/// Where the character with this number begins, in bytes; the end if there is none.
fn char_offset(text: &str, number: usize) -> usize {
    text.char_indices().nth(number).map_or(text.len(), |(offset, _)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(production: &str, shadow: &str) -> (String, String) {
        let (production, shadow) = shorten(Some(production), Some(shadow), 30);
        (production.unwrap().into(), shadow.unwrap().into())
    }

    #[test]
    fn short_values_stay() {
        assert_eq!(short("a", "b"), ("a".into(), "b".into()));
        assert_eq!(shorten(None, Some("x"), 30), (None, Some("x".into())));
    }

    #[test]
    fn long_values_are_cut_where_characters_end() {
        let long = "\u{e4}".repeat(31);
        assert_eq!(short(&long, "x").0, format!("{}\u{2026} [2 more bytes]", "\u{e4}".repeat(30)));
    }

    #[test]
    fn the_part_that_differs_is_shown() {
        let (production, shadow) =
            short(&format!("{}price=1", "a".repeat(100)), &format!("{}price=2", "a".repeat(100)));
        assert_eq!(production, format!("[86 characters] \u{2026}{}price=1", "a".repeat(14)));
        assert!(shadow.ends_with("price=2"), "{shadow}");
    }
}
