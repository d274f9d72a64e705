//! Reads JSON into a flat list of values that point into its text: one pass, no copies.
//!
//! Bytes that are not UTF-8 and control characters are taken as they are inside strings; otherwise it
//! is RFC 8259.

use std::borrow::Cow;

/// A document: its values in the order in which they begin; each container before what is in it.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    text: &'t [u8],
    nodes: Vec<Node>,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// A value, with its name if it is a member of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) kind: Type,
    /// Whether a string has escapes in it.
    escaped: bool,
    /// Whether the name has.
    key_escaped: bool,
    /// Where the value is in the text; strings are without their quotation marks.
    start: u32,
    end: u32,
    key_start: u32,
    key_end: u32,
    /// The first value that is not inside this one.
    next: u32,
    /// Elements or members.
    pub(crate) count: u32,
}

/// Why a text could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not what it should be.
    Malformed,
    /// It is beyond the limits.
    TooComplex,
}

/// What stands where no value is.
static NOTHING: Node = Node {
    kind: Type::Null,
    escaped: false,
    key_escaped: false,
    start: 0,
    end: 0,
    key_start: 0,
    key_end: 0,
    next: u32::MAX,
    count: 0,
};

/// The byte that may stand before each text of a JSON sequence (RFC 7464).
const RECORD_SEPARATOR: u8 = 0x1e;

impl<'t> Document<'t> {
    /// Reads one value.
    pub(crate) fn parse(text: &'t [u8], depth: usize, values: usize) -> Result<Self, Unreadable> {
        let mut parser = Parser::new(text, depth, values)?;
        parser.value()?;
        parser.blanks();
        if parser.at < text.len() {
            return Err(Unreadable::Malformed);
        }
        Ok(Self { text, nodes: parser.nodes })
    }

    /// Reads any number of values, one after the other, as the elements of an array.
    pub(crate) fn parse_many(
        text: &'t [u8],
        depth: usize,
        values: usize,
    ) -> Result<Self, Unreadable> {
        let mut parser = Parser::new(text, depth.saturating_add(1), values)?;
        let start = parser.at;
        parser.open(Type::Array, Key::default())?;
        parser.at = start;
        loop {
            parser.blanks();
            match parser.peek() {
                None => break,
                Some(RECORD_SEPARATOR) => parser.at += 1,
                Some(_) => {
                    parser.value()?;
                    parser.count();
                }
            }
        }
        parser.close();
        Ok(Self { text, nodes: parser.nodes })
    }

    /// The value with this number; 0 is the document.
    pub(crate) fn node(&self, number: usize) -> &Node {
        self.nodes.get(number).unwrap_or(&NOTHING)
    }

    /// The text of a value; a string's without quotation marks, its escapes as they are.
    pub(crate) fn raw(&self, node: &Node) -> &'t [u8] {
        self.text.get(node.start as usize..node.end as usize).unwrap_or_default()
    }

    /// What a string says; the text of any other value.
    pub(crate) fn value(&self, node: &Node) -> Cow<'t, [u8]> {
        let raw = self.raw(node);
        if node.escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
    }

    /// The name of a member.
    pub(crate) fn key(&self, node: &Node) -> Cow<'t, [u8]> {
        let raw = self.raw_key(node);
        if node.key_escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
    }

    fn raw_key(&self, node: &Node) -> &'t [u8] {
        self.text.get(node.key_start as usize..node.key_end as usize).unwrap_or_default()
    }

    /// Whether two members have the same name.
    pub(crate) fn same_key(&self, node: &Node, other: &Document<'_>, theirs: &Node) -> bool {
        if node.key_escaped || theirs.key_escaped {
            self.key(node) == other.key(theirs)
        } else {
            self.raw_key(node) == other.raw_key(theirs)
        }
    }

    /// Whether two strings say the same.
    pub(crate) fn same_string(&self, node: &Node, other: &Document<'_>, theirs: &Node) -> bool {
        (node.escaped || theirs.escaped) && self.value(node) == other.value(theirs)
            || !node.escaped && !theirs.escaped && self.raw(node) == other.raw(theirs)
    }

    /// The numbers of the values right inside a container.
    pub(crate) fn children(&self, number: usize) -> Children<'_> {
        let node = self.node(number);
        Children { nodes: &self.nodes, at: number + 1, left: node.count }
    }
}

/// The values right inside a container.
pub(crate) struct Children<'n> {
    nodes: &'n [Node],
    at: usize,
    left: u32,
}

impl Iterator for Children<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let number = self.at;
        self.at = self.nodes.get(number)?.next as usize;
        Some(number)
    }
}

/// Where the name of a member is.
#[derive(Clone, Copy, Default)]
struct Key {
    start: u32,
    end: u32,
    escaped: bool,
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    nodes: Vec<Node>,
    /// The numbers of the containers around the value on the way.
    around: Vec<u32>,
    depth: usize,
    values: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t [u8], depth: usize, values: usize) -> Result<Self, Unreadable> {
        // Offsets and numbers are kept in 32 bits.
        if u32::try_from(text.len()).is_err() {
            return Err(Unreadable::TooComplex);
        }
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let nodes = Vec::with_capacity((text.len() / 16).min(values));
        Ok(Self { text, at, nodes, around: Vec::new(), depth, values })
    }

    /// Reads a value and all that is in it.
    fn value(&mut self) -> Result<(), Unreadable> {
        let outside = self.around.len();
        let mut key = Key::default();
        loop {
            self.blanks();
            match self.peek().ok_or(Unreadable::Malformed)? {
                b'"' => {
                    let string = self.string()?;
                    self.push(Type::String, key, string.start, string.end, string.escaped)?;
                }
                b'{' => {
                    self.open(Type::Object, key)?;
                    self.blanks();
                    if self.peek() != Some(b'}') {
                        key = self.key()?;
                        continue;
                    }
                    self.at += 1;
                    self.close();
                }
                b'[' => {
                    self.open(Type::Array, key)?;
                    self.blanks();
                    if self.peek() != Some(b']') {
                        key = Key::default();
                        self.count();
                        continue;
                    }
                    self.at += 1;
                    self.close();
                }
                b'-' | b'0'..=b'9' => {
                    let start = self.at;
                    self.number()?;
                    self.push(Type::Number, key, position(start), position(self.at), false)?;
                }
                b't' => self.word(b"true", Type::Bool, key)?,
                b'f' => self.word(b"false", Type::Bool, key)?,
                b'n' => self.word(b"null", Type::Null, key)?,
                _ => return Err(Unreadable::Malformed),
            }
            // Behind a value: its containers end, or one of them goes on.
            loop {
                if self.around.len() == outside {
                    return Ok(());
                }
                self.blanks();
                let object = self.inside_object();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        key = if object {
                            self.blanks();
                            self.key()?
                        } else {
                            self.count();
                            Key::default()
                        };
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ => return Err(Unreadable::Malformed),
                }
                self.at += 1;
                self.close();
            }
        }
    }

    fn inside_object(&self) -> bool {
        let around = self.around.last().and_then(|&number| self.nodes.get(number as usize));
        around.is_some_and(|node| node.kind == Type::Object)
    }

    /// The container around gets one more element or member.
    fn count(&mut self) {
        if let Some(&around) = self.around.last() {
            if let Some(node) = self.nodes.get_mut(around as usize) {
                node.count += 1;
            }
        }
    }

    fn open(&mut self, kind: Type, key: Key) -> Result<(), Unreadable> {
        if self.around.len() >= self.depth {
            return Err(Unreadable::TooComplex);
        }
        let number = position(self.nodes.len());
        self.push(kind, key, position(self.at), position(self.at), false)?;
        self.around.push(number);
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) {
        let (end, next) = (position(self.at), position(self.nodes.len()));
        let Some(number) = self.around.pop() else { return };
        if let Some(node) = self.nodes.get_mut(number as usize) {
            node.end = end;
            node.next = next;
        }
    }

    fn push(
        &mut self,
        kind: Type,
        key: Key,
        start: u32,
        end: u32,
        escaped: bool,
    ) -> Result<(), Unreadable> {
        if self.nodes.len() >= self.values {
            return Err(Unreadable::TooComplex);
        }
        self.nodes.push(Node {
            kind,
            escaped,
            key_escaped: key.escaped,
            start,
            end,
            key_start: key.start,
            key_end: key.end,
            next: position(self.nodes.len() + 1),
            count: 0,
        });
        Ok(())
    }

    /// The name of a member and the colon behind it.
    fn key(&mut self) -> Result<Key, Unreadable> {
        if self.peek() != Some(b'"') {
            return Err(Unreadable::Malformed);
        }
        let key = self.string()?;
        self.blanks();
        if self.peek() != Some(b':') {
            return Err(Unreadable::Malformed);
        }
        self.at += 1;
        self.count();
        Ok(key)
    }

    /// What is between two quotation marks.
    fn string(&mut self) -> Result<Key, Unreadable> {
        self.at += 1;
        let start = position(self.at);
        let mut escaped = false;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.at += plain_length(rest);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => self.at += 1,
                None => return Err(Unreadable::Malformed),
            }
        }
        let end = position(self.at);
        self.at += 1;
        Ok(Key { start, end, escaped })
    }

    fn escape(&mut self) -> Result<(), Unreadable> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(Unreadable::Malformed);
                }
                self.at += 6;
            }
            _ => return Err(Unreadable::Malformed),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Unreadable> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading = self.peek();
        let whole = self.digits()?;
        if leading == Some(b'0') && whole > 1 {
            return Err(Unreadable::Malformed);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Skips one digit or more, and says how many.
    fn digits(&mut self) -> Result<usize, Unreadable> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(Unreadable::Malformed) } else { Ok(count) }
    }

    fn word(&mut self, word: &[u8], kind: Type, key: Key) -> Result<(), Unreadable> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(Unreadable::Malformed);
        }
        let start = self.at;
        self.at += word.len();
        self.push(kind, key, position(start), position(self.at), false)
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

/// An offset or a number; texts that are too long for it are not read.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// How many bytes come before the first quotation mark or backslash, a few less where eight are
/// looked at together.
fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut length = 0;
    let mut rest = text;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let found =
            zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            // The lowest mark is exact: borrows only spread upwards.
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
        rest = after;
    }
    length + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count()
}

/// What a string with escapes says. A lone surrogate becomes the three bytes that UTF-8 would have
/// for it, so that two different ones stay different.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            output.push(byte);
            continue;
        }
        let Some((&letter, after)) = rest.split_first() else { break };
        rest = after;
        match letter {
            b'b' => output.push(0x08),
            b'f' => output.push(0x0c),
            b'n' => output.push(b'\n'),
            b'r' => output.push(b'\r'),
            b't' => output.push(b'\t'),
            b'u' => {
                let (code, after) = code_point(rest);
                rest = after;
                push_code_point(code, &mut output);
            }
            other => output.push(other),
        }
    }
    output
}

/// The code point at the start of what follows `\u`, two escapes where they make one, and the rest.
fn code_point(text: &[u8]) -> (u32, &[u8]) {
    let (first, rest) = four_digits(text);
    if (0xd800..0xdc00).contains(&first) {
        if let Some(after) = rest.strip_prefix(b"\\u") {
            let (second, rest) = four_digits(after);
            if (0xdc00..0xe000).contains(&second) {
                return (0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), rest);
            }
        }
    }
    (first, rest)
}

fn four_digits(text: &[u8]) -> (u32, &[u8]) {
    let (digits, rest) = text.split_at_checked(4).unwrap_or((text, b""));
    let code = digits
        .iter()
        .fold(0, |code, &digit| code << 4 | char::from(digit).to_digit(16).unwrap_or_default());
    (code, rest)
}

fn push_code_point(code: u32, output: &mut Vec<u8>) {
    match char::from_u32(code) {
        Some(character) => {
            output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        None => {
            let continuation = |shift: u32| 0x80 | (code >> shift & 0x3f) as u8;
            output.extend_from_slice(&[
                0xe0 | (code >> 12 & 0xf) as u8,
                continuation(6),
                continuation(0),
            ]);
        }
    }
}

#[cfg(test)]
mod tests;
