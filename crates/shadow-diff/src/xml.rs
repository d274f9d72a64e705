//! XML as JSON: an element with nothing but text in it is a string, any other an object of its
//! attributes (`@name`), the elements in it by their names, and its text (`#text`).
//!
//! The order of elements with the same name counts, that of others does not; nor do comments,
//! processing instructions, the document type, and blanks around text. Prefixes of namespaces are
//! taken as they are written. Entities are not expanded, but for the five that XML has and numbers.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::json::{self, Unreadable};

/// An element on the way.
#[derive(Default)]
struct Frame {
    /// Whether it is known to be an object, and so begun.
    object: bool,
    /// Its text so far.
    text: Vec<u8>,
}

struct Writer {
    frames: Vec<Frame>,
    output: Vec<u8>,
    depth: usize,
}

/// # Errors
/// It is no XML, or nested too deeply.
pub(crate) fn to_json(xml: &[u8], depth: usize) -> Result<Vec<u8>, Unreadable> {
    let mut reader = Reader::from_reader(xml);
    reader.config_mut().check_comments = false;
    let root = Frame::default();
    let mut writer = Writer { frames: vec![root], output: Vec::with_capacity(xml.len()), depth };
    loop {
        match reader.read_event().map_err(|_| Unreadable::Malformed)? {
            Event::Start(start) => writer.start(&start)?,
            Event::Empty(start) => {
                writer.start(&start)?;
                writer.end();
            }
            Event::End(_) => writer.end(),
            Event::Text(text) => writer.text(&text),
            Event::CData(text) => writer.text(&text),
            Event::GeneralRef(reference) => writer.reference(&reference),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    match writer.frames.pop() {
        // One element, all of them closed, and no text beside it.
        Some(root) if writer.frames.is_empty() && root.object && trimmed(&root.text).is_empty() => {
            writer.output.push(b'}');
            Ok(writer.output)
        }
        _ => Err(Unreadable::Malformed),
    }
}

impl Writer {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Unreadable> {
        if self.frames.len() > self.depth {
            return Err(Unreadable::TooComplex);
        }
        self.member(start.name().as_ref());
        self.frames.push(Frame::default());
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| Unreadable::Malformed)?;
            self.member(&[b"@", attribute.key.as_ref()].concat());
            json::quote(&expanded(&attribute.value), &mut self.output);
        }
        Ok(())
    }

    /// Begins a member of the element around.
    fn member(&mut self, name: &[u8]) {
        if let Some(frame) = self.frames.last_mut() {
            self.output.push(if frame.object { b',' } else { b'{' });
            frame.object = true;
        }
        json::quote(name, &mut self.output);
        self.output.push(b':');
    }

    fn end(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        let text = trimmed(&frame.text);
        if !frame.object {
            json::quote(text, &mut self.output);
            return;
        }
        if !text.is_empty() {
            self.output.extend_from_slice(b",\"#text\":");
            json::quote(text, &mut self.output);
        }
        self.output.push(b'}');
    }

    fn text(&mut self, text: &[u8]) {
        if let Some(frame) = self.frames.last_mut() {
            frame.text.extend_from_slice(text);
        }
    }

    fn reference(&mut self, name: &[u8]) {
        let text = expanded(&[b"&", name, b";"].concat());
        self.text(&text);
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// A text with the entities that every document has and references by number in place; others stay.
fn expanded(text: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let end = after.iter().take(12).position(|&byte| byte == b';');
        let reference = end.filter(|_| byte == b'&').and_then(|end| after.split_at_checked(end));
        let character = reference.and_then(|(name, _)| character(name));
        match (reference, character) {
            (Some((_, behind)), Some(character)) => {
                output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind.get(1..).unwrap_or_default();
            }
            _ => output.push(byte),
        }
    }
    output
}

fn character(name: &[u8]) -> Option<char> {
    let number = |digits: &[u8], radix| {
        let digits = std::str::from_utf8(digits).ok()?;
        char::from_u32(u32::from_str_radix(digits, radix).ok()?)
    };
    match name {
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"amp" => Some('&'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        [b'#', b'x', digits @ ..] => number(digits, 16),
        [b'#', digits @ ..] => number(digits, 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(xml: &str) -> Result<String, Unreadable> {
        to_json(xml.as_bytes(), 4).map(|json| String::from_utf8(json).unwrap())
    }

    #[test]
    fn elements_and_attributes_are_members() {
        for (xml, expected) in [
            ("<a/>", r#"{"a":""}"#),
            ("<a></a>\n", r#"{"a":""}"#),
            ("<?xml version='1.0'?><!-- x --><a> 1 </a>", r#"{"a":"1"}"#),
            (
                "<o id=\"7\"><i n='1'>x</i><i/><t><![CDATA[<&]]></t></o>",
                r##"{"o":{"@id":"7","i":{"@n":"1","#text":"x"},"i":"","t":"<&"}}"##,
            ),
            ("<a>1 &lt; &#50; &#x33; &other;</a>", r#"{"a":"1 < 2 3 &other;"}"#),
            ("<a b=\"&quot;&amp;&x;\"/>", r#"{"a":{"@b":"\"&&x;"}}"#),
            ("<a>x<b/>y</a>", r##"{"a":{"b":"","#text":"xy"}}"##),
        ] {
            assert_eq!(json(xml).unwrap(), expected, "{xml}");
        }
    }

    #[test]
    fn what_is_no_xml_is_not_read() {
        for xml in ["", "x", "<a>", "</a>", "<a></b>", "<a/>x", "<a", "<a b=c/>"] {
            assert_eq!(json(xml), Err(Unreadable::Malformed), "{xml}");
        }
        assert_eq!(json("<a><a><a><a><a/></a></a></a></a>"), Err(Unreadable::TooComplex));
    }
}
