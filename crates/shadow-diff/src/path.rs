//! Where the walk through a structured body is, and how that is written.

use std::borrow::Cow;

use crate::difference::Place;

/// Characters of a name that are written in a place.
const MAX_NAME: usize = 64;

/// A step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment<'d> {
    /// To a member with this name.
    Member(Cow<'d, [u8]>),
    /// To an element, any of them.
    Element,
    /// To an entry of an object that is a map, any of them; with its key.
    Entry(Cow<'d, [u8]>),
}

/// A place before it is written out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spot<'p> {
    /// A header, by its name in lower case.
    Header(&'p str),
    /// A place in the body, by the steps to it.
    Body(&'p [Segment<'p>]),
}

impl Spot<'_> {
    pub(crate) fn place(self) -> Place {
        match self {
            Self::Header(name) => Place::Header(name.into()),
            Self::Body(path) => Place::Body(write(path, false).into()),
        }
    }

    /// The place with the keys of maps in it: what is hidden by its name is so in a map too.
    pub(crate) fn with_keys(self) -> Place {
        match self {
            Self::Header(name) => Place::Header(name.into()),
            Self::Body(path) => Place::Body(write(path, true).into()),
        }
    }

    /// The name of the member or header that it is about.
    pub(crate) fn name(&self) -> Option<&[u8]> {
        match self {
            Self::Header(name) => Some(name.as_bytes()),
            Self::Body(path) => path.iter().rev().find_map(|segment| match segment {
                Segment::Member(name) => Some(&**name),
                _ => None,
            }),
        }
    }
}

fn write(path: &[Segment<'_>], with_keys: bool) -> String {
    let mut output = String::from("$");
    for segment in path {
        match segment {
            Segment::Element => output.push_str("[]"),
            Segment::Entry(_) if !with_keys => output.push_str("{}"),
            Segment::Entry(name) | Segment::Member(name) => {
                write_name(&String::from_utf8_lossy(name), &mut output);
            }
        }
    }
    output
}

fn write_name(name: &str, output: &mut String) {
    let plain = |character: char| character.is_alphanumeric() || "_-@:#".contains(character);
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(plain) {
        output.push('.');
        output.push_str(name);
        return;
    }
    output.push_str("[\"");
    for character in name.chars().take(MAX_NAME) {
        match character {
            '"' | '\\' => output.extend(['\\', character]),
            character if character.is_control() => output.push('\u{fffd}'),
            character => output.push(character),
        }
    }
    if name.chars().nth(MAX_NAME).is_some() {
        output.push('\u{2026}');
    }
    output.push_str("\"]");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_so_that_they_can_be_read() {
        let member = |name: &'static str| Segment::Member(Cow::Borrowed(name.as_bytes()));
        for (path, text) in [
            (vec![], "$"),
            (vec![member("items"), Segment::Element, member("price")], "$.items[].price"),
            (vec![member("by"), Segment::Entry(b"17"[..].into()), member("n")], "$.by{}.n"),
            (
                vec![member("a b"), member(""), member("a\"\n")],
                "$[\"a b\"][\"\"][\"a\\\"\u{fffd}\"]",
            ),
            (vec![member("stra\u{df}e"), member("@id")], "$.stra\u{df}e.@id"),
        ] {
            assert_eq!(Spot::Body(&path).place(), Place::Body(text.into()));
        }
        let entry = [Segment::Entry(b"17"[..].into())];
        assert_eq!(Spot::Body(&entry).with_keys(), Place::Body("$.17".into()));
        let long = "x".repeat(1000);
        let path = [Segment::Member(Cow::Borrowed(long.as_bytes()))];
        assert_eq!(write(&path, false), format!("$[\"{}\u{2026}\"]", "x".repeat(64)));
    }
}
