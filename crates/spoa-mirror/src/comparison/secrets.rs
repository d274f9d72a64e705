//! Finds secrets in texts: what stands behind the names of secrets, and what looks like one wherever it
//! stands. Linear in the length of the text.
//!
//! It is a net with holes: a password in a sentence looks like any other word.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::{memchr, memchr2, memchr3_iter};
use regex::bytes::Regex;

use crate::policy::redact::{DEFAULT_HEADERS, DEFAULT_NAMES, Names};

/// Characters of a name that count: places are written with no more.
const MAX_NAME: usize = 64;
/// Bytes of a name in a text, with what is around it.
const MAX_WRITTEN: usize = 128;
/// Blanks and quotation marks between a name and its value.
const MAX_BETWEEN: usize = 16;
/// Attributes of a tag that are looked at.
const MAX_ATTRIBUTES: usize = 64;
/// Bytes of basic credentials that are decoded.
const MAX_CREDENTIALS: usize = 4096;

/// What looks like a secret by itself. What is found is looked at again, see [`Secrets::look_closer`].
const LOOKS: &str = r"(?x-u)
    (?i:\b (?: bearer | basic | digest | negotiate ) [\x20\t]+ [a-z0-9+/=._~-]{8,} )
  | [a-zA-Z][a-zA-Z0-9+.-]{1,20} :// [^\s/@\x22'<>?\#\\]+ @
  | \b eyJ [A-Za-z0-9_-]{6,} (?: \. [A-Za-z0-9_-]* ){1,4}
  | (?s: -----BEGIN\ [A-Z0-9\ ]{0,40} PRIVATE\ KEY [A-Z\ ]{0,10} -----
      .*? (?: -----END\ [A-Z0-9\ ]{0,40} PRIVATE\ KEY [A-Z\ ]{0,10} ----- | \z ) )
  | [0-9] (?: [\ -]? [0-9] ){12,}
  | \b (?: AKIA | ASIA | ABIA | ACCA ) [A-Z0-9]{16}
  | \b gh[opusr]_ [A-Za-z0-9]{20,} | \b github_pat_ \w{20,} | \b glpat- [\w-]{20,}
  | \b xox[a-z] - [A-Za-z0-9-]{10,} | \b xapp- [A-Za-z0-9-]{10,}
  | hooks\.slack\.com/services/ [A-Za-z0-9/]{10,}
  | \b [rs]k_(?:live|test)_ [A-Za-z0-9]{10,} | \b whsec_ [A-Za-z0-9+/=]{16,} | \b sk- [\w-]{20,}
  | \b AIza [\w-]{35} | \b ya29\. [\w-]{20,} | \b SG\. [\w-]{16,} \. [\w-]{16,}
  | \b npm_ [A-Za-z0-9]{36} | \b pypi- [\w-]{40,} | \b do[opr]_v1_ [a-f0-9]{32,} | \b hv[bs]\. [\w-]{20,}
";

/// Finds secrets.
#[derive(Debug)]
pub(super) struct Secrets {
    /// With whether it is that of a header.
    names: Names<bool>,
    looks: Option<Regex>,
}

impl Secrets {
    /// Finds what is behind the usual names and these.
    pub(super) fn new(more_names: &[String]) -> Self {
        let mut names = Names::default();
        for name in DEFAULT_HEADERS {
            names.insert(name, true);
        }
        for name in DEFAULT_NAMES.iter().copied().chain(more_names.iter().map(String::as_str)) {
            names.insert(&name.chars().take(MAX_NAME).collect::<String>(), false);
        }
        let looks = Regex::new(LOOKS);
        debug_assert!(looks.is_ok(), "{looks:?}");
        Self { names, looks: looks.ok() }
    }

    /// Whether this is the name of a secret: of a header, a field, a member, an element. Names with a
    /// prefix count by what is behind it, `user[pin]` and `user.pin` by each part.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let end = name.char_indices().nth(MAX_NAME).map_or(name.len(), |(end, _)| end);
        self.listed(name.get(..end).unwrap_or(name).as_bytes()).is_some()
    }

    fn listed(&self, name: &[u8]) -> Option<bool> {
        let name = name.strip_prefix(b"@").unwrap_or(name);
        let whole = self.names.find_parameter(name);
        let local = || {
            let colon = memchr::memrchr(b':', name)?;
            self.names.find_parameter(name.get(colon + 1..)?)
        };
        whole.or_else(local).copied()
    }

    /// Where secrets are in a text: in order, and apart from each other.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        self.by_names(text, &mut found);
        self.by_looks(text, &mut found);
        apart(found)
    }

    /// Where secrets are in a URL, or in what begins with one.
    pub(super) fn find_in_url(&self, url: &[u8]) -> Vec<Range<usize>> {
        let query = memchr(b'?', url).map_or(url.len(), |at| at + 1);
        let (path, behind) = url.split_at_checked(query).unwrap_or((url, b""));
        let mut found = self.find(path.strip_suffix(b"?").unwrap_or(path));
        let of_query = self.find(behind).into_iter();
        found.extend(of_query.map(|range| range.start + query..range.end + query));
        let mut start = query;
        for pair in behind.split(|&byte| matches!(byte, b'&' | b'#')) {
            if let Some(equals) = memchr(b'=', pair) {
                let name = pair.get(..equals).unwrap_or_default();
                let value = start + equals + 1..start + pair.len();
                if self.listed(name).is_some() && !value.is_empty() {
                    found.push(value);
                }
            }
            start += pair.len() + 1;
        }
        apart(found)
    }

    fn by_names(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        let mut end = 0;
        for mark in memchr3_iter(b'=', b':', b'<', text) {
            if mark < end {
                continue;
            }
            if text.get(mark) == Some(&b'<') {
                if let Some(content) = self.in_element(text, mark, found) {
                    end = content.end;
                    found.push(content);
                }
            } else if let Some(value) = self.behind_name(text, mark) {
                end = value.end;
                found.push(value);
            }
        }
    }

    /// The value behind an equals sign or a colon, if the name before it is that of a secret.
    fn behind_name(&self, text: &[u8], mark: usize) -> Option<Range<usize>> {
        let before = text.get(mark.saturating_sub(MAX_WRITTEN)..mark)?;
        let between = |byte: &&u8| b" \t\r\n\"'`\\])".contains(byte);
        let skipped = before.iter().rev().take(MAX_BETWEEN).take_while(between).count();
        let before = before.get(..before.len() - skipped)?;
        let in_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-.%[]@".contains(byte);
        let length = before.iter().rev().take_while(in_name).count();
        let name = before.get(before.len() - length..)?;
        let of_header = self.listed(name)?;

        let rest = text.get(mark + 1..)?;
        let joint = rest.iter().take(2).take_while(|byte| b"=:>".contains(byte)).count();
        let behind_joint = rest.get(joint..)?;
        let blanks = |line_ends: bool| {
            let blank = |byte: &&u8| b" \t".contains(byte) || line_ends && b"\r\n".contains(byte);
            behind_joint.iter().take(MAX_WRITTEN).take_while(blank).count()
        };
        let far = blanks(true);
        let quoted =
            matches!(behind_joint.get(far), Some(b'"' | b'\'' | b'`' | b'\\' | b'{' | b'['));
        let start = mark + 1 + joint + if quoted { far } else { blanks(false) };
        let value = text.get(start..)?;
        let (skip, length) = match value.first()? {
            b'{' | b'[' => (0, container(value)),
            _ => match quotation(value) {
                Some(quotation) => quotation,
                None if of_header && text.get(mark) == Some(&b':') => {
                    (0, memchr2(b'\r', b'\n', value).unwrap_or(value.len()))
                }
                None => (0, word(value)),
            },
        };
        (length > 0).then(|| start + skip..start + skip + length)
    }

    /// What is in the element that begins at `start`, if its name is that of a secret. Where the element
    /// calls itself so in an attribute, its value is found, and the text behind its tag.
    fn in_element(
        &self,
        text: &[u8],
        start: usize,
        found: &mut Vec<Range<usize>>,
    ) -> Option<Range<usize>> {
        let inside = text.get(start + 1..)?;
        let named = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(byte);
        let length = inside.iter().take_while(named).count();
        let name = inside.get(..length).unwrap_or_default();
        if name.is_empty() {
            return None;
        }
        let end = memchr2(b'<', b'>', inside).unwrap_or(inside.len());
        let tag = inside.get(..end).unwrap_or_default();
        let attributes = attributes(tag, length);
        let calls_itself = attributes.iter().any(|(name, value)| {
            let names: [&[u8]; 5] = [b"name", b"id", b"key", b"property", b"itemprop"];
            names.iter().any(|candidate| candidate.eq_ignore_ascii_case(name))
                && tag.get(value.clone()).is_some_and(|value| self.listed(value).is_some())
        });
        if calls_itself {
            let shown = attributes.iter().filter(|(name, value)| {
                let names: [&[u8]; 2] = [b"value", b"content"];
                names.iter().any(|hidden| hidden.eq_ignore_ascii_case(name)) && !value.is_empty()
            });
            found.extend(shown.map(|(_, value)| start + 1 + value.start..start + 1 + value.end));
        }
        let holds_text = inside.get(end) == Some(&b'>') && !tag.ends_with(b"/");
        let from = start + 1 + end + 1;
        let behind = text.get(from..).filter(|_| holds_text)?;
        let length = match self.listed(name).is_some() {
            true => content(behind, name),
            false if calls_itself => memchr(b'<', behind).unwrap_or(behind.len()),
            false => return None,
        };
        let blank = behind.get(..length)?.trim_ascii().is_empty();
        (!blank).then(|| from..from + length)
    }

    fn by_looks(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        let Some(looks) = &self.looks else { return };
        for candidate in looks.find_iter(text) {
            look_closer(text, candidate.range(), found);
        }
    }
}

/// Adds what is really a secret of what looks like one.
fn look_closer(text: &[u8], range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let Some(candidate) = text.get(range.clone()) else { return };
    let is_scheme = |scheme: &[u8]| {
        candidate.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && candidate.get(scheme.len()).is_some_and(|byte| b" \t".contains(byte))
    };
    let schemes: [&[u8]; 4] = [b"bearer", b"basic", b"digest", b"negotiate"];
    if candidate.first().is_some_and(u8::is_ascii_digit) {
        card_numbers(text, range, found);
    } else if schemes.iter().any(|scheme| is_scheme(scheme)) {
        let name = candidate.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let rest = candidate.get(name..).unwrap_or_default();
        let secret = rest.trim_ascii_start();
        if !is_scheme(b"basic") || are_credentials(secret) {
            found.push(range.end - secret.len()..range.end);
        }
    } else if let Some(at) =
        memchr::memmem::find(candidate, b"://").filter(|_| candidate.ends_with(b"@"))
    {
        found.push(range.start + at + 3..range.end - 1);
    } else {
        found.push(range);
    }
}

/// Whether this is `user:password` in base64.
fn are_credentials(text: &[u8]) -> bool {
    let end = text.iter().position(|&byte| byte == b'=').unwrap_or(text.len());
    let text = text.get(..end.min(MAX_CREDENTIALS)).unwrap_or_default();
    let whole = text.get(..text.len() / 4 * 4).unwrap_or_default();
    let decoded = STANDARD_NO_PAD.decode(whole).unwrap_or_default();
    decoded.contains(&b':')
}

/// Adds the card numbers in a run of digits, blanks and hyphens: whole groups of digits.
fn card_numbers(text: &[u8], run: Range<usize>, found: &mut Vec<Range<usize>>) {
    const DIGITS: Range<usize> = 13..20;
    let joins = |at: Option<&u8>| {
        at.is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
    };
    let mut start = run.start;
    while start < run.end {
        let rest = text.get(start..run.end).unwrap_or_default();
        let group = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut digits: Vec<u8> = Vec::with_capacity(DIGITS.end);
        for (at, &byte) in rest.iter().enumerate() {
            if byte.is_ascii_digit() {
                digits.push(byte - b'0');
            }
            let ends = !rest.get(at + 1).is_some_and(u8::is_ascii_digit);
            if digits.len() >= DIGITS.end {
                break;
            }
            let alone = !joins(start.checked_sub(1).and_then(|at| text.get(at)))
                && !joins(text.get(start + at + 1).filter(|byte| **byte != b'.'));
            if ends && alone && DIGITS.contains(&digits.len()) && is_card_number(&digits) {
                found.push(start..start + at + 1);
                break;
            }
        }
        start += group.max(1);
    }
}

/// Whether these digits begin as those of an issuer and end in the right one (ISO/IEC 7812).
fn is_card_number(digits: &[u8]) -> bool {
    let start = |length: usize| {
        let start = digits.get(..length).unwrap_or_default();
        start.iter().fold(0_u32, |number, digit| number * 10 + u32::from(*digit))
    };
    let issued = matches!(start(1), 4)
        || matches!(start(2), 34 | 36..=39 | 50..=58 | 62 | 65 | 67)
        || matches!(start(3), 300..=305 | 644..=649)
        || matches!(start(4), 2221..=2720 | 3528..=3589 | 6011);
    let sum = digits.iter().rev().enumerate().fold(0_u32, |sum, (position, &digit)| {
        let digit = u32::from(digit);
        sum + if position % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
    });
    issued && sum % 10 == 0
}

/// What is between the quotation marks that a text begins with, which may be escaped: where it begins,
/// and how long it is. It ends with the text at the latest.
fn quotation(text: &[u8]) -> Option<(usize, usize)> {
    let escapes = text.iter().take(MAX_BETWEEN).take_while(|byte| **byte == b'\\').count();
    let mark = *text.get(escapes).filter(|byte| b"\"'`".contains(byte))?;
    let inside = text.get(escapes + 1..)?;
    let mut backslashes = 0;
    for (at, &byte) in inside.iter().enumerate() {
        // One with as many backslashes before it as the first ends it; with more it is inside.
        let ends = if escapes == 0 { backslashes % 2 == 0 } else { backslashes <= escapes };
        if byte == mark && ends {
            return Some((escapes + 1, at - backslashes.min(escapes)));
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
    }
    Some((escapes + 1, inside.len()))
}

/// How long the object or array is that a text begins with.
fn container(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            b'"' => {
                let (start, length) =
                    quotation(text.get(at..).unwrap_or_default()).unwrap_or((1, 0));
                at += start + length;
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// How long the content of an element with this name is: to its end tag, or all there is.
fn content(text: &[u8], name: &[u8]) -> usize {
    let mut tags = memchr::memmem::find_iter(text, b"</");
    let closes = |at: &usize| {
        let found = text.get(at + 2..at + 2 + name.len());
        found.is_some_and(|found| found.eq_ignore_ascii_case(name))
    };
    tags.find(closes).unwrap_or(text.len())
}

/// How long the value without quotation marks is that a text begins with.
fn word(text: &[u8]) -> usize {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`<>&;,)]}".contains(byte);
    text.iter().position(ends).unwrap_or(text.len())
}

/// Names of the attributes in a tag behind its own name, and where their values are.
fn attributes(tag: &[u8], name: usize) -> Vec<(&[u8], Range<usize>)> {
    let mut attributes = Vec::new();
    let mut at = name;
    while at < tag.len() && attributes.len() < MAX_ATTRIBUTES {
        let rest = tag.get(at..).unwrap_or_default();
        let Some(equals) = memchr(b'=', rest) else { break };
        let before = rest.get(..equals).unwrap_or_default().trim_ascii_end();
        let name = before.rsplit(u8::is_ascii_whitespace).next().unwrap_or_default();
        let behind = rest.get(equals + 1..).unwrap_or_default();
        let value = behind.trim_ascii_start();
        let start = at + equals + 1 + behind.len() - value.len();
        let (skip, length) = quotation(value).unwrap_or_else(|| {
            (0, value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len()))
        });
        attributes.push((name, start + skip..start + skip + length));
        at = start + skip + length + usize::from(skip > 0);
    }
    attributes
}

/// In order, with those that overlap made one.
fn apart(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        match apart.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

#[cfg(test)]
mod tests;
