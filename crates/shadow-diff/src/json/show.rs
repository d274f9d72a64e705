//! A value as people are shown it: JSON without blanks, each scalar redacted at its own place.

use std::borrow::Cow;

use crate::path::{Segment, Spot};
use crate::redact::Redact;

use super::parse::{Document, Type};
use super::quote;

/// The value with this number, which stands at `path`. A container is shown up to `limit` bytes, then
/// told how much is in it.
pub(crate) fn show(
    document: &Document<'_>,
    number: usize,
    path: &[Segment<'_>],
    redact: &dyn Redact,
    limit: usize,
) -> String {
    let mut path = path.to_vec();
    let mut show = Show { document, redact, limit, output: Vec::new() };
    let whole = show.value(number, &mut path);
    let mut text = String::from_utf8_lossy(&show.output).into_owned();
    if !whole {
        text.truncate(floor(&text, limit));
        let node = document.node(number);
        let what = if node.kind == Type::Array { "elements" } else { "members" };
        text.push_str(&format!("\u{2026} [{} {what}]", node.count));
    }
    text
}

/// The last end of a character that is not behind `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

struct Show<'s> {
    document: &'s Document<'s>,
    redact: &'s dyn Redact,
    limit: usize,
    output: Vec<u8>,
}

impl Show<'_> {
    /// Whether the value was written as a whole.
    fn value(&mut self, number: usize, path: &mut Vec<Segment<'_>>) -> bool {
        let node = self.document.node(number);
        if !matches!(node.kind, Type::Array | Type::Object) {
            let value = self.document.value(node);
            let value = String::from_utf8_lossy(&value);
            let place = Spot::Body(path).with_keys();
            match (self.redact.shown(&place, &value), node.kind) {
                (shown, Type::String) => quote(shown.as_bytes(), &mut self.output),
                (shown, _) => self.output.extend_from_slice(shown.as_bytes()),
            }
            return true;
        }
        let object = node.kind == Type::Object;
        self.output.push(if object { b'{' } else { b'[' });
        for (position, child) in self.document.children(number).enumerate() {
            if position > 0 {
                self.output.push(b',');
            }
            if object {
                let key = self.document.key(self.document.node(child));
                let name = String::from_utf8_lossy(&key);
                // A name may be a secret by itself, as a key of a map.
                let root = Spot::Body(&[]).place();
                quote(self.redact.shown(&root, &name).as_bytes(), &mut self.output);
                self.output.push(b':');
                path.push(Segment::Member(Cow::Owned(key.into_owned())));
            } else {
                path.push(Segment::Element);
            }
            let whole = self.output.len() <= self.limit && self.value(child, path);
            path.pop();
            if !whole || self.output.len() > self.limit {
                return false;
            }
        }
        self.output.push(if object { b'}' } else { b']' });
        true
    }
}
