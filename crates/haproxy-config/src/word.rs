//! A line's words: quotes, escapes, comments and variables, as HAProxy reads them.

use std::ops::Range;

use crate::mistake::MistakeKind;
use crate::{Surroundings, limits};

/// A word as HAProxy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Where it begins: the byte in its line, from 1.
    pub column: usize,
    /// Its bytes in [`Line::raw`](crate::Line::raw), with its quotes. The words that `${NAME[*]}` makes share them.
    pub span: Range<usize>,
    /// Without quotes and escapes, with the values of variables, which may be secret: show the span instead.
    pub text: Vec<u8>,
    /// The variables in it.
    pub references: Vec<Reference>,
}

/// A variable that a word names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// The byte of its `$` in the line, from 1.
    pub column: usize,
    /// Whether the caller knows it. One that is not set is empty, or its default.
    pub set: bool,
    /// Whether a default stands beside it.
    pub has_default: bool,
}

/// What a line was split into.
#[derive(Debug, Default)]
pub(crate) struct Split {
    pub(crate) words: Vec<Word>,
    /// Where the comment's `#` stands.
    pub(crate) comment: Option<usize>,
    /// What went wrong, and at which byte. The words before it are there.
    pub(crate) mistake: Option<(usize, MistakeKind)>,
}

/// What variables of a line are.
pub(crate) struct Variables<'a> {
    pub(crate) surroundings: &'a Surroundings<'a>,
    pub(crate) line: usize,
    /// The name of the section, or its kind.
    pub(crate) section: &'a [u8],
    /// How many bytes they may still bring into the file.
    pub(crate) left: &'a mut usize,
}

pub(crate) fn split(line: &[u8], variables: &mut Variables<'_>) -> Split {
    let mut reader = Reader { line, at: 0, quote: None, open: None, split: Split::default() };
    if let Err(mistake) = reader.read(variables) {
        reader.split.mistake = Some(mistake);
    }
    reader.finish();
    reader.split
}

type Fault = (usize, MistakeKind);

struct Reader<'a> {
    line: &'a [u8],
    at: usize,
    /// The quote that is open, and where it began.
    quote: Option<(u8, usize)>,
    /// The word that is not at its end.
    open: Option<Word>,
    split: Split,
}

impl Reader<'_> {
    fn read(&mut self, variables: &mut Variables<'_>) -> Result<(), Fault> {
        while let Some(byte) = self.peek(0) {
            let single = matches!(self.quote, Some((b'\'', _)));
            let double = matches!(self.quote, Some((b'"', _)));
            match byte {
                b'\r' | b'\n' => break,
                0 => return Err((self.at, MistakeKind::Nul)),
                b'#' if self.quote.is_none() => {
                    self.split.comment = Some(self.at);
                    break;
                }
                b'"' if !single => self.toggle(byte)?,
                b'\'' if !double => self.toggle(byte)?,
                b'\\' if !single => self.escape(double)?,
                b'$' if double => self.variable(variables)?,
                b' ' | b'\t' | 0x0b | 0x0c if self.quote.is_none() => {
                    self.finish();
                    self.at += 1;
                }
                _ => {
                    self.push(byte)?;
                    self.at += 1;
                }
            }
        }
        match self.quote {
            Some((_, began)) => Err((began, MistakeKind::UnmatchedQuote)),
            None => Ok(()),
        }
    }

    fn toggle(&mut self, quote: u8) -> Result<(), Fault> {
        self.word()?;
        self.quote = if self.quote.is_some() { None } else { Some((quote, self.at)) };
        self.at += 1;
        Ok(())
    }

    /// What is no escape stands for itself, backslash included: `\1`.
    fn escape(&mut self, double: bool) -> Result<(), Fault> {
        let (byte, length) = match self.peek(1) {
            Some(byte @ (b' ' | b'\\' | b'#' | b'\'' | b'"')) => (byte, 2),
            Some(b'$') if double => (b'$', 2),
            Some(b't') => (b'\t', 2),
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'x') => match (hex(self.peek(2)), hex(self.peek(3))) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => return Err((self.at, MistakeKind::BadHex)),
            },
            _ => (b'\\', 1),
        };
        self.push(byte)?;
        self.at += length;
        Ok(())
    }

    fn variable(&mut self, variables: &mut Variables<'_>) -> Result<(), Fault> {
        let began = self.at;
        let braced = self.peek(1) == Some(b'{');
        let name_at = began + if braced { 2 } else { 1 };
        let name = self.name(name_at)?;
        let mut end = name_at + name.len();
        let expand = braced && self.byte(end) == Some(b'[');
        if expand {
            if (self.byte(end + 1), self.byte(end + 2)) != (Some(b'*'), Some(b']')) {
                return Err((end, MistakeKind::BadExpansion));
            }
            end += 3;
        }
        let mut default = None;
        if braced {
            let unclosed = (began + 1, MistakeKind::UnmatchedBrace);
            if self.byte(end) == Some(b'-') {
                let rest = self.line.get(end + 1..).unwrap_or_default();
                let length = rest.iter().position(|&byte| byte == b'}').ok_or(unclosed)?;
                default = rest.get(..length);
                end += 1 + length;
            }
            if self.byte(end) != Some(b'}') {
                return Err(unclosed);
            }
            end += 1;
        }

        let value = match name.as_str() {
            ".FILE" => Some(variables.surroundings.file.as_bytes().to_vec()),
            ".LINE" => Some(variables.line.to_string().into_bytes()),
            ".SECTION" => Some(variables.section.to_vec()),
            _ => (variables.surroundings.variable)(&name),
        };
        let set = value.is_some();
        let reference = Reference { name, column: began + 1, set, has_default: default.is_some() };
        self.word()?.references.push(reference);
        let value = value.unwrap_or_else(|| default.unwrap_or_default().to_vec());
        *variables.left =
            variables.left.checked_sub(value.len()).ok_or((began, MistakeKind::TooMuchExpanded))?;
        self.insert(&value, expand, end)?;
        self.at = end;
        Ok(())
    }

    fn name(&self, at: usize) -> Result<String, Fault> {
        let rest = self.line.get(at..).unwrap_or_default();
        let pseudo = usize::from(rest.first() == Some(&b'.'));
        let length = rest.iter().skip(pseudo).take_while(|&&byte| named(byte)).count() + pseudo;
        let name = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
        let right = match name.bytes().next() {
            Some(b'.') => matches!(name.as_str(), ".FILE" | ".LINE" | ".SECTION"),
            Some(first) => !first.is_ascii_digit(),
            None => false,
        };
        if right { Ok(name) } else { Err((at, MistakeKind::BadVariable)) }
    }

    /// Adds a variable's value; with `expand` its blanks, however many, part words.
    fn insert(&mut self, value: &[u8], expand: bool, end: usize) -> Result<(), Fault> {
        let mut blank = false;
        for &byte in value {
            if expand && (byte.is_ascii_whitespace() || byte == 0x0b) {
                blank = true;
                continue;
            }
            if std::mem::take(&mut blank) {
                self.part(end)?;
            }
            self.push(byte)?;
        }
        if blank { self.part(end) } else { Ok(()) }
    }

    /// Ends a word inside a variable, and begins the next at the variable's `$`.
    fn part(&mut self, end: usize) -> Result<(), Fault> {
        if let Some(mut word) = self.open.take() {
            word.span.end = end;
            self.split.words.push(word);
        }
        self.word().map(drop)
    }

    fn push(&mut self, byte: u8) -> Result<(), Fault> {
        self.word()?.text.push(byte);
        Ok(())
    }

    /// The word that is open, or a new one that begins here.
    fn word(&mut self) -> Result<&mut Word, Fault> {
        if self.open.is_none() && self.split.words.len() >= limits::WORDS {
            return Err((self.at, MistakeKind::TooManyWords));
        }
        let at = self.at;
        Ok(self.open.get_or_insert_with(|| Word {
            column: at + 1,
            span: at..at,
            text: Vec::new(),
            references: Vec::new(),
        }))
    }

    fn finish(&mut self) {
        if let Some(mut word) = self.open.take() {
            word.span.end = self.at;
            self.split.words.push(word);
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.byte(self.at + ahead)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.line.get(at).copied()
    }
}

fn named(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn hex(byte: Option<u8>) -> Option<u8> {
    let digit = char::from(byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests;
