//! The conditions of `.if`, as far as they can be decided without HAProxy.

use crate::mistake::MistakeKind;
use crate::word::Word;
use crate::{Surroundings, Version, limits};

/// Whether the words behind `.if` are true; `None` if that cannot be known here. Nothing is false.
pub(crate) fn decide(
    words: &[Word],
    surroundings: &Surroundings<'_>,
) -> Result<Option<bool>, MistakeKind> {
    let texts: Vec<&[u8]> = words.iter().skip(1).map(|word| word.text.as_slice()).collect();
    if texts.iter().all(|text| text.is_empty()) {
        return Ok(Some(false));
    }
    // Only blanks between words are lost, of which HAProxy's conditions know one as well as many.
    let text = texts.join(&b' ');
    let mut reader = Reader { rest: &text, surroundings };
    let value = reader.any(limits::PARENTHESES)?;
    reader.blanks();
    if reader.rest.is_empty() { Ok(value) } else { Err(MistakeKind::BadCondition) }
}

struct Reader<'a> {
    rest: &'a [u8],
    surroundings: &'a Surroundings<'a>,
}

impl<'a> Reader<'a> {
    fn any(&mut self, depth: usize) -> Result<Option<bool>, MistakeKind> {
        let mut value = self.all(depth)?;
        while self.take(b"||") {
            value = match (value, self.all(depth)?) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        Ok(value)
    }

    fn all(&mut self, depth: usize) -> Result<Option<bool>, MistakeKind> {
        let mut value = self.term(depth)?;
        while self.take(b"&&") {
            value = match (value, self.term(depth)?) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
        }
        Ok(value)
    }

    fn term(&mut self, depth: usize) -> Result<Option<bool>, MistakeKind> {
        let mut negated = false;
        while self.take(b"!") {
            negated = !negated;
        }
        let value = if self.take(b"(") {
            let inner = depth.checked_sub(1).ok_or(MistakeKind::BadCondition)?;
            let value = self.any(inner)?;
            if !self.take(b")") {
                return Err(MistakeKind::BadCondition);
            }
            value
        } else if let Some(number) = self.number() {
            Some(number)
        } else {
            self.predicate()?
        };
        Ok(value.map(|value| value != negated))
    }

    /// Whether an integer (decimal, octal or hexadecimal, with a sign or without) is other than 0.
    fn number(&mut self) -> Option<bool> {
        let signs = usize::from(matches!(self.rest.first(), Some(b'+' | b'-')));
        let unsigned = self.rest.get(signs..)?;
        let hexadecimal =
            matches!(unsigned, [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit());
        let octal = !hexadecimal && unsigned.first() == Some(&b'0');
        let digits = if hexadecimal { unsigned.get(2..)? } else { unsigned };
        let length = digits
            .iter()
            .take_while(|byte| match byte {
                b'8' | b'9' if octal => false,
                byte if hexadecimal => byte.is_ascii_hexdigit(),
                byte => byte.is_ascii_digit(),
            })
            .count();
        let (number, rest) = digits.split_at_checked(length)?;
        if number.is_empty() {
            return None;
        }
        self.rest = rest;
        Some(number.iter().any(|&digit| digit != b'0'))
    }

    /// `name(argument,argument)`. One that is not known here may be one of a newer HAProxy.
    fn predicate(&mut self) -> Result<Option<bool>, MistakeKind> {
        let bad = MistakeKind::BadCondition;
        let name_end = self
            .rest
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
            .ok_or(bad)?;
        let (name, rest) = self.rest.split_at_checked(name_end).ok_or(bad)?;
        let rest = rest.strip_prefix(b"(").ok_or(bad)?;
        let close = rest.iter().position(|&byte| byte == b')').ok_or(bad)?;
        let (inside, rest) = rest.split_at_checked(close).ok_or(bad)?;
        if name.is_empty() {
            return Err(bad);
        }
        self.rest = rest.get(1..).unwrap_or_default();
        // Quotes and escapes that are still there are read a second time, by rules of their own.
        if inside.iter().any(|byte| matches!(byte, b'\\' | b'"' | b'\'' | b'(')) {
            return Ok(None);
        }
        let arguments: Vec<&[u8]> = inside.split(|&byte| byte == b',').collect();
        Ok(match (name, arguments.as_slice()) {
            (b"defined", [name]) => std::str::from_utf8(name)
                .ok()
                .map(|name| (self.surroundings.variable)(name).is_some()),
            (b"streq", [left, right]) => Some(left == right),
            (b"strneq", [left, right]) => Some(left != right),
            (b"version_atleast", [version]) => self.at_least(version),
            (b"version_before", [version]) => self.at_least(version).map(|value| !value),
            (
                b"defined" | b"streq" | b"strneq" | b"version_atleast" | b"version_before"
                | b"feature",
                [..],
            ) if name != b"feature" || arguments.len() != 1 => return Err(bad),
            _ => None,
        })
    }

    fn at_least(&self, wanted: &[u8]) -> Option<bool> {
        let Version { major, minor, patch } = self.surroundings.version?;
        // What is behind a dash is a step before a release; the caller's version is a release.
        let numbers = std::str::from_utf8(wanted).ok()?.split('-').next()?;
        let mut numbers = numbers.split('.').map(str::parse::<u32>);
        let first = numbers.next()?.ok()?;
        let second = numbers.next().unwrap_or(Ok(0)).ok()?;
        let third = numbers.next().unwrap_or(Ok(0)).ok()?;
        if (major, minor) != (first, second) {
            return Some((major, minor) > (first, second));
        }
        if third == 0 { Some(true) } else { patch.map(|patch| patch >= third) }
    }

    fn take(&mut self, token: &[u8]) -> bool {
        self.blanks();
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest;
        self.blanks();
        true
    }

    fn blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}
