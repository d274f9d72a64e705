//! A body as text for people: decoded, set out so that two of them can be held against each other line
//! by line, without secrets, and bounded.

use std::borrow::Cow;
use std::ops::Range;

use crate::content::{self, Family, MediaType, Undecodable};
use crate::json::{self, Document};
use crate::limits::Limits;
use crate::lines::{self, Hunk};
use crate::path::{Segment, Spot};
use crate::redact::{Redact, Redacted};
use crate::response::{Body, Response};

/// Lines of a body that are shown.
pub const MAX_LINES: usize = 400;
/// Bytes of a body that are shown.
pub const MAX_BYTES: usize = 16 * 1024;
/// Characters of a line that are shown.
pub const MAX_LINE: usize = 500;
/// Bytes of a text without a structure that are looked at.
const LOOKED_AT: usize = 4 * MAX_BYTES;
/// Elements around a text in markup that are remembered.
const MAX_AROUND: usize = 64;

/// A body as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// At most [`MAX_LINES`], of at most [`MAX_LINE`] characters and a few words on what was cut.
    pub lines: Vec<String>,
    /// What is not shown; empty when all is.
    pub note: String,
}

/// The body of a message with these headers, without what `redact` hides.
///
/// Each member of JSON has a line of its own, as it was written and in its order; so has each field of a
/// form, each tag and each text of XML and HTML. Of anything that is no text only the size is told.
#[must_use]
pub fn body(headers: &[(&[u8], &[u8])], body: Body<'_>, redact: &dyn Redact) -> Text {
    let response = Response { status: 200, headers, body };
    let (bytes, missing) = match response.sure_body() {
        Body::Whole(bytes) => (bytes, None),
        Body::Part { bytes, total } => (bytes, Some(missing(bytes.len(), total))),
        Body::Unknown => match body {
            Body::Whole(bytes) => (bytes, Some("of another length than announced".to_owned())),
            _ => return told("not known".to_owned()),
        },
    };
    if bytes.is_empty() {
        return told(missing.unwrap_or_else(|| "none".to_owned()));
    }
    let codings = content::codings(&response);
    if missing.is_some() && !codings.is_empty() {
        return told(not_shown(bytes.len(), "compressed and not all of it is known"));
    }
    let decoded = match content::decoded(bytes, &codings, &Limits::default()) {
        Ok(decoded) => decoded,
        Err(fault) => return told(not_shown(bytes.len(), undecodable(fault))),
    };
    let media = MediaType::of(&response).unwrap_or_else(|| MediaType::guess(&decoded));
    if media.family == Family::Bytes {
        return told(binary(bytes.len(), response.header(b"content-type")));
    }
    let Some(text) = media.text(decoded) else {
        return told(not_shown(bytes.len(), "not in the charset that they are said to be in"));
    };
    let mut output = Output { redact, lines: Vec::new(), bytes: 0, cut: false };
    output.text(media.seen(&text).family, &text, missing.is_some());
    let limit = output.cut.then(|| {
        let size = grouped(text.len());
        format!("only the first {} lines of {size} bytes are shown", output.lines.len())
    });
    let notes: Vec<String> = missing.into_iter().chain(limit).collect();
    Text { lines: output.lines, note: notes.join("; ") }
}

/// Bytes as people can read them: control characters, those that turn the direction of writing, and
/// what is not UTF-8 are written as escapes. At most `limit` characters; what was cut is said.
#[must_use]
pub fn visible(bytes: &[u8], limit: usize) -> String {
    let mut output = String::with_capacity(bytes.len().min(limit));
    let (mut shown, mut taken) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let width = if is_hidden(character) { 6 } else { 1 };
            shown += width;
            if shown > limit {
                return cut(output, bytes.len() - taken);
            }
            taken += character.len_utf8();
            match width {
                1 => output.push(character),
                _ => output.push_str(&format!("\\u{:04x}", u32::from(character))),
            }
        }
        for byte in chunk.invalid() {
            shown += 4;
            if shown > limit {
                return cut(output, bytes.len() - taken);
            }
            taken += 1;
            output.push_str(&format!("\\x{byte:02x}"));
        }
    }
    output
}

/// The lines of two texts beside each other, by their numbers: equal ones in one row, and in place of each
/// other what differs. Where so much differs that finding the shortest way from one to the other would take
/// long, what is between the first and the last difference is put together line by line.
#[must_use]
pub fn beside<T: AsRef<[u8]>>(
    production: &[T],
    shadow: &[T],
) -> Vec<(Option<usize>, Option<usize>)> {
    let ours: Vec<&[u8]> = production.iter().map(AsRef::as_ref).collect();
    let theirs: Vec<&[u8]> = shadow.iter().map(AsRef::as_ref).collect();
    let end = Hunk { ours: ours.len()..ours.len(), theirs: theirs.len()..theirs.len() };
    let (mut rows, mut p, mut s) = (Vec::new(), 0, 0);
    let hunks = lines::differing(&ours, &theirs, Limits::default().edits);
    for hunk in hunks.into_iter().chain([end]) {
        rows.extend(
            (p..hunk.ours.start).zip(s..hunk.theirs.start).map(|(p, s)| (Some(p), Some(s))),
        );
        for at in 0..hunk.ours.len().max(hunk.theirs.len()) {
            let line = |range: &Range<usize>| Some(range.start + at).filter(|at| *at < range.end);
            rows.push((line(&hunk.ours), line(&hunk.theirs)));
        }
        (p, s) = (hunk.ours.end, hunk.theirs.end);
    }
    rows
}

/// A number with a comma between thousands.
#[must_use]
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut output = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            output.push(',');
        }
        output.push(digit);
    }
    output
}

fn cut(mut text: String, bytes: usize) -> String {
    text.push_str(&format!("\u{2026} [{} more bytes]", grouped(bytes)));
    text
}

/// Whether a character cannot be seen, or makes others be seen where they are not.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn told(note: String) -> Text {
    Text { lines: Vec::new(), note }
}

fn missing(known: usize, total: Option<u64>) -> String {
    let known = grouped(known);
    match total.and_then(|total| usize::try_from(total).ok()) {
        Some(total) => format!("only the first {known} of {} bytes are known", grouped(total)),
        None => format!("only the first {known} bytes are known"),
    }
}

fn not_shown(size: usize, why: &str) -> String {
    format!("{} bytes, {why}, not shown", grouped(size))
}

fn undecodable(fault: Undecodable) -> &'static str {
    match fault {
        Undecodable::Unknown => "in a coding that is not known",
        Undecodable::Broken => "not in the coding that they are said to be in",
        Undecodable::TooLarge => "too large when decoded",
    }
}

fn binary(size: usize, media: Option<&[u8]>) -> String {
    let essence = media.and_then(|media| media.split(|&byte| byte == b';').next());
    let essence = essence.map(<[u8]>::trim_ascii).and_then(|name| std::str::from_utf8(name).ok());
    let plain = |name: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-_".contains(&byte);
        (1..=100).contains(&name.len()) && name.bytes().all(plain)
    };
    match essence.filter(plain) {
        Some(essence) => format!("{} bytes of {essence}, not shown", grouped(size)),
        None => not_shown(size, "no text"),
    }
}

struct Output<'r> {
    redact: &'r dyn Redact,
    lines: Vec<String>,
    bytes: usize,
    /// There is more.
    cut: bool,
}

impl Output<'_> {
    /// Adds a line, unless there is no room for it any more.
    fn line(&mut self, line: &[u8]) -> bool {
        let shown = visible(line, MAX_LINE);
        if self.lines.len() >= MAX_LINES || self.bytes + shown.len() > MAX_BYTES {
            self.cut = true;
            return false;
        }
        self.bytes += shown.len() + 1;
        self.lines.push(shown);
        true
    }

    fn text(&mut self, family: Family, text: &[u8], unfinished: bool) {
        let structured = match family {
            Family::Json => self.json(text, unfinished, false),
            Family::JsonLines => self.json(text, unfinished, true),
            Family::Form => {
                self.form(text);
                true
            }
            Family::Xml | Family::Html => {
                self.markup(text);
                true
            }
            Family::Text | Family::Bytes => false,
        };
        if !structured {
            self.plain(text);
        }
    }

    /// Whether it is JSON.
    fn json(&mut self, text: &[u8], unfinished: bool, many: bool) -> bool {
        let text = if unfinished { Cow::Owned(json::closed(text)) } else { Cow::Borrowed(text) };
        let limits = Limits::default();
        let parse = if many { Document::parse_many } else { Document::parse };
        let Ok(document) = parse(&text, limits.depth, limits.values) else { return false };
        if many {
            let path = [Segment::Element];
            for value in document.children(0) {
                let shown = json::show(&document, value, &path, self.redact, MAX_LINE);
                if !self.line(shown.as_bytes()) {
                    break;
                }
            }
        } else {
            json::pretty(&document, self.redact, &mut |line| self.line(line));
        }
        true
    }

    fn form(&mut self, form: &[u8]) {
        for field in form.split(|&byte| byte == b'&') {
            let (name, value) = match field.iter().position(|&byte| byte == b'=') {
                Some(at) => (field.get(..at), field.get(at + 1..)),
                None => (None, Some(field)),
            };
            let decoded_name = name.map(crate::form::decoded);
            let path: Vec<_> = decoded_name.iter().map(|n| Segment::Member(n.into())).collect();
            let place = Spot::Body(&path).place();
            let decoded = crate::form::decoded(value.unwrap_or_default());
            let decoded = String::from_utf8_lossy(&decoded);
            let shown = self.redact.shown(&place, &decoded);
            let mut line = Vec::with_capacity(field.len());
            if let Some(name) = name {
                line.extend(self.without_secrets(name));
                line.push(b'=');
            }
            match shown == decoded {
                true => line.extend_from_slice(value.unwrap_or_default()),
                false => line.extend_from_slice(shown.as_bytes()),
            }
            if !self.line(&line) {
                return;
            }
        }
    }

    fn plain(&mut self, text: &[u8]) {
        let looked_at = Redacted::new(text, LOOKED_AT, self.redact);
        let mut rest = looked_at.text;
        while !rest.is_empty() {
            let start = looked_at.text.len() - rest.len();
            let (line, after) = lines::plain_line(rest);
            rest = after;
            let line = looked_at.piece(start..start + line.len());
            if start >= looked_at.sure || !self.line(&line) {
                self.cut = true;
                return;
            }
        }
        self.cut |= looked_at.cut;
    }

    /// XML and HTML: what is inside an element whose name is hidden, is hidden.
    fn markup(&mut self, text: &[u8]) {
        let looked_at = Redacted::new(text, LOOKED_AT, self.redact);
        let mut around: Vec<Segment<'_>> = Vec::new();
        let mut rest = looked_at.text;
        while !rest.is_empty() {
            let start = looked_at.text.len() - rest.len();
            let (piece, after) = lines::html_piece(rest);
            rest = after;
            let blanks = piece.len() - piece.trim_ascii_start().len();
            let piece = piece.trim_ascii();
            if piece.is_empty() {
                continue;
            }
            let closing = piece.strip_prefix(b"</").map(element_name);
            if let Some(name) = closing {
                let open = around.iter().rposition(|open| *open == member(name));
                around.truncate(open.unwrap_or(around.len()));
            }
            let hidden = closing.is_none()
                && !around.is_empty()
                && self.redact.hides(&Spot::Body(&around).place());
            let start = start + blanks;
            let line = match hidden {
                true => self.redact.instead(piece).into_bytes(),
                false => looked_at.piece(start..start + piece.len()),
            };
            if start >= looked_at.sure || !self.line(&line) {
                self.cut = true;
                return;
            }
            let opening = piece.strip_prefix(b"<").filter(|_| !piece.ends_with(b"/>"));
            let name = opening.map(element_name).unwrap_or_default();
            if !name.is_empty() && around.len() < MAX_AROUND {
                around.push(member(name));
            }
        }
        self.cut |= looked_at.cut;
    }

    fn without_secrets(&self, text: &[u8]) -> Vec<u8> {
        Redacted::new(text, LOOKED_AT, self.redact).piece(0..text.len())
    }
}

/// The name of an element, `text` being what is behind `<` or `</`.
fn element_name(text: &[u8]) -> &[u8] {
    let named = |byte: &u8| !byte.is_ascii_whitespace() && !matches!(byte, b'>' | b'/' | b'<');
    let starts = text.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    let length = text.iter().take_while(|byte| named(byte)).count();
    text.get(..length).filter(|_| starts).unwrap_or_default()
}

fn member(name: &[u8]) -> Segment<'_> {
    Segment::Member(Cow::Borrowed(name))
}

#[cfg(test)]
mod tests;
