//! Finds the ends of JSON's tokens (RFC 8259), and reads and writes its strings.

use std::borrow::Cow;

/// Bytes are no JSON document, or one that is nested too deeply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Where the whitespace at `at` ends.
pub(super) fn blanks(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Where the text, number or word that begins at `at` ends.
pub(super) fn scalar(text: &[u8], at: usize) -> Result<usize, Unreadable> {
    let rest = text.get(at..).unwrap_or_default();
    match rest.first() {
        Some(b'"') => string(text, at).map(|string| string.end),
        Some(b't') if rest.starts_with(b"true") => Ok(at + 4),
        Some(b'n') if rest.starts_with(b"null") => Ok(at + 4),
        Some(b'f') if rest.starts_with(b"false") => Ok(at + 5),
        Some(b'-' | b'0'..=b'9') => number(rest).map(|length| at + length),
        _ => Err(Unreadable),
    }
}

/// A string in a document.
pub(super) struct Text {
    /// Where it ends, behind its closing quotation mark.
    pub(super) end: usize,
    /// Whether it holds a backslash.
    pub(super) escaped: bool,
}

/// The string that begins with the quotation mark at `at`.
pub(super) fn string(text: &[u8], at: usize) -> Result<Text, Unreadable> {
    if text.get(at) != Some(&b'"') {
        return Err(Unreadable);
    }
    let mut at = at + 1;
    let mut escaped = false;
    loop {
        at = ordinary(text, at);
        match text.get(at) {
            Some(b'"') => return Ok(Text { end: at + 1, escaped }),
            Some(b'\\') => {
                escaped = true;
                at += match text.get(at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                    Some(b'u') if hex(text, at + 2).is_some() => 6,
                    _ => return Err(Unreadable),
                };
            }
            // The end of the document, or a control character.
            _ => return Err(Unreadable),
        }
    }
}

/// Where the next quotation mark, backslash or control character is, or the end: eight bytes at a
/// time.
fn ordinary(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The high bit of the first byte below `limit`; those of later bytes may be wrong.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = quote | backslash | below(word, 0x20);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}

fn number(text: &[u8]) -> Result<usize, Unreadable> {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        match rest.iter().take_while(|byte| byte.is_ascii_digit()).count() {
            0 => Err(Unreadable),
            count => Ok(from + count),
        }
    };
    let mut at = usize::from(text.first() == Some(&b'-'));
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if text.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = digits(at + 1 + sign)?;
    }
    Ok(at)
}

/// The number that four hexadecimal digits make.
fn hex(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..)?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |sum, &byte| Some(sum * 16 + char::from(byte).to_digit(16)?))
}

/// What a string says; `inside` is what stands between its quotation marks, and was read before.
pub(super) fn unescaped(inside: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', inside).is_none() {
        return Cow::Borrowed(inside);
    }
    let mut plain = Vec::with_capacity(inside.len());
    let mut at = 0;
    while let Some(&byte) = inside.get(at) {
        at += 1;
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let escape = inside.get(at).copied().unwrap_or(b'\\');
        at += 1;
        match escape {
            b'b' => plain.push(8),
            b'f' => plain.push(12),
            b'n' => plain.push(b'\n'),
            b'r' => plain.push(b'\r'),
            b't' => plain.push(b'\t'),
            b'u' => {
                let mut code = hex(inside, at).unwrap_or(0xfffd);
                at += 4;
                // Two halves of a character beyond the first 65,536.
                if let (0xd800..0xdc00, Some(b"\\u")) = (code, inside.get(at..at + 2)) {
                    if let Some(low @ 0xdc00..0xe000) = hex(inside, at + 2) {
                        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                        at += 6;
                    }
                }
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                plain.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => plain.push(other),
        }
    }
    Cow::Owned(plain)
}

/// Appends a string.
pub(super) fn quote(plain: &[u8], output: &mut Vec<u8>) {
    output.push(b'"');
    for &byte in plain {
        match byte {
            b'"' | b'\\' => output.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                let digit = |number: u8| b"0123456789abcdef"[usize::from(number & 15)];
                output.extend_from_slice(b"\\u00");
                output.extend_from_slice(&[digit(byte >> 4), digit(byte)]);
            }
            byte => output.push(byte),
        }
    }
    output.push(b'"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_words_are_those_of_json() {
        for good in ["0", "-0", "12", "0.5", "-1.25e+10", "1E5", "true", "false", "null", "\"\""] {
            assert_eq!(scalar(good.as_bytes(), 0), Ok(good.len()), "{good}");
        }
        for bad in ["", "-", "+1", ".5", "1.", "1e", "tru", "nul", "'a'", "\"", "\"\\x\"", "\"\t\""]
        {
            assert!(scalar(bad.as_bytes(), 0).is_err(), "{bad}");
        }
        // What follows makes the document wrong, not the number.
        assert_eq!(scalar(b"01", 0), Ok(1));
    }

    proptest! {
        #[test]
        fn strings_say_what_serde_json_reads(text in ".{0,40}") {
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(string(quoted.as_bytes(), 0).unwrap().end, quoted.len());
            prop_assert_eq!(unescaped(&quoted.as_bytes()[1..quoted.len() - 1]), text.as_bytes());
            let mut own = Vec::new();
            quote(text.as_bytes(), &mut own);
            prop_assert_eq!(serde_json::from_slice::<String>(&own).unwrap(), text);
        }

        #[test]
        fn escapes_say_what_serde_json_reads(units in prop::collection::vec(any::<u16>(), 0..6)) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04X}")).collect();
            let quoted = format!("\"{escaped}\"");
            prop_assert!(string(quoted.as_bytes(), 0).is_ok());
            if let Ok(plain) = serde_json::from_str::<String>(&quoted) {
                prop_assert_eq!(unescaped(escaped.as_bytes()), plain.as_bytes());
            }
        }

        #[test]
        fn ordinary_bytes_end_where_they_end(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            let expected = text.iter().position(special).unwrap_or(text.len());
            prop_assert_eq!(ordinary(&text, 0), expected);
        }
    }
}
