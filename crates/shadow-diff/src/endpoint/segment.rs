//! Segments of paths: written in one way, and told apart as names and ids.

use std::borrow::Cow;

/// Stands in a template for what differs from request to request.
pub(super) const ID: &str = "{id}";

/// Longer than any name; what has more bytes is an id.
const LONGEST_NAME: usize = 64;

/// Writes `path` so that equal paths (RFC 3986, section 6.2.2) are written alike, in ASCII: escapes of
/// unreserved characters are undone, the others get upper-case digits, and bytes that may not stand in
/// a path are escaped. So braces are always a template's own.
pub(super) fn normalise(path: &[u8], out: &mut String) {
    out.clear();
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if is_path_character(byte) {
            out.push(char::from(byte));
        } else if byte != b'%' {
            escape(byte, out);
        } else if let Some((byte, tail)) = escaped(tail) {
            rest = tail;
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                out.push(char::from(byte));
            } else {
                escape(byte, out);
            }
        } else {
            escape(b'%', out);
        }
    }
}

/// What two hexadecimal digits stand for, and what comes after them.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], rest) = text.split_first_chunk::<2>()?;
    Some((nibble(high)? << 4 | nibble(low)?, rest))
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn escape(byte: u8, out: &mut String) {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'A' + value - 10 });
    out.push('%');
    out.push(digit(byte >> 4));
    out.push(digit(byte & 15));
}

/// `pchar` and `/` of RFC 3986, without `%`.
fn is_path_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'/' | b'-'
                | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

/// What of a normalised segment stays in a template: the name, [`ID`], or in names with dots some of
/// each (`{id}.json`, `main.{id}.js`).
pub(super) fn template(segment: &str) -> Cow<'_, str> {
    if is_id(segment) {
        return Cow::Borrowed(ID);
    }
    if !segment.contains('.') || !segment.split('.').any(is_id) {
        return Cow::Borrowed(segment);
    }
    let mut template = String::with_capacity(segment.len());
    for (position, part) in segment.split('.').enumerate() {
        if position > 0 {
            template.push('.');
        }
        template.push_str(if is_id(part) { ID } else { part });
    }
    Cow::Owned(template)
}

/// Whether this is an id to look at, whatever else stands at its position: numbers, dates, coordinates;
/// UUIDs; ULIDs; hexadecimal hashes; random tokens; addresses; anything with five digits in a row;
/// anything over 64 bytes.
pub(super) fn is_id(segment: &str) -> bool {
    let text = segment.as_bytes();
    if text.len() > LONGEST_NAME || text.contains(&b'@') {
        return true;
    }
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits == 0 && text.len() < 16 {
        return false;
    }
    is_number(text, digits)
        || (digits >= 5 && has_long_number(text))
        || is_hash(text, digits)
        || is_uuid(text)
        || is_random(text, digits)
}

/// Digits with the signs that stand in numbers, dates and times; `T` and `Z` only between such.
fn is_number(text: &[u8], digits: usize) -> bool {
    let sign = |byte: u8| matches!(byte, b'-' | b'_' | b'.' | b':' | b',' | b'+' | b'~' | b';');
    digits > 0
        && text.iter().all(|&byte| {
            byte.is_ascii_digit() || sign(byte) || (digits >= 8 && matches!(byte, b'T' | b'Z'))
        })
}

fn has_long_number(text: &[u8]) -> bool {
    text.split(|byte| !byte.is_ascii_digit()).any(|run| run.len() >= 5)
}

/// Hexadecimal digits: words have no decimal digit among eight, or fifteen letters of the first six.
fn is_hash(text: &[u8], digits: usize) -> bool {
    text.len() >= 8 && (digits > 0 || text.len() >= 16) && text.iter().all(u8::is_ascii_hexdigit)
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(position, byte)| match position {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Tokens in base 32, 36, 58, 62 or 64: letters and digits alternate more often than in names. In words
/// with capitals and numbers (`OAuth2Callback`) less than a third of the steps change between small
/// letters, capitals and digits; in random base 62 two thirds do, in base 36 and 32 two fifths.
fn is_random(text: &[u8], digits: usize) -> bool {
    let alphabet = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=' | b'+' | b'~' | b':')
    };
    if digits == 0 || text.len() < 10 || !text.iter().copied().all(alphabet) {
        return false;
    }
    let class = |byte: &u8| match byte {
        b'0'..=b'9' => Some(0),
        b'a'..=b'z' => Some(1),
        b'A'..=b'Z' => Some(2),
        _ => None,
    };
    let (mut steps, mut changes) = (0_usize, 0_usize);
    let mut classes = text.iter().filter_map(class);
    let Some(mut last) = classes.next() else { return false };
    let mut seen = 1_u8 << last;
    for class in classes {
        steps += 1;
        changes += usize::from(class != last);
        seen |= 1 << class;
        last = class;
    }
    // With one kind of letters fewer changes are to be expected, and more bytes are asked for.
    if seen == 0b111 {
        changes * 5 >= steps * 2
    } else {
        text.len() >= 16 && changes * 10 >= steps * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(path: &[u8]) -> String {
        let mut out = String::new();
        normalise(path, &mut out);
        out
    }

    #[test]
    fn equal_paths_are_written_alike() {
        for (path, expected) in [
            (&b"/users/anna"[..], "/users/anna"),
            (b"/%75sers/%61nn%61", "/users/anna"),
            (b"/a%2fb/%C3%bc", "/a%2Fb/%C3%BC"),
            (b"/\xc3\xbc/\xff", "/%C3%BC/%FF"),
            (b"/100%/%/%4/%zz", "/100%25/%25/%254/%25zz"),
            (b"/a b/{id}/\"<>\x00", "/a%20b/%7Bid%7D/%22%3C%3E%00"),
            (b"", ""),
        ] {
            assert_eq!(normalised(path), expected);
            // What is written alike once stays.
            assert_eq!(
                normalised(normalised(path).as_bytes()).contains("%25"),
                expected.contains("%25")
            );
        }
    }

    #[test]
    fn ids_are_told_from_names() {
        for id in [
            "0",
            "17",
            "-5",
            "20240102",
            "2024-01-02",
            "2024-01-02T03:04:05Z",
            "52.1,13.2",
            "0b54c1a0-6d2c-4b1c-9b1d-0d9a3cf4f6a1",
            "0B54C1A0-6D2C-4B1C-9B1D-0D9A3CF4F6A1",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "d41d8cd98f00b204e9800998ecf8427e",
            "3f2a1b9c",
            "deadbeefdeadbeef",
            "507f1f77bcf86cd799439011",
            "dQw4w9WgXcQ",
            "cus_NffrFeUfNV2Hib",
            "V1StGXR8_Z5jdHi6B-myT",
            "k3j9x2m4q8w1z7p5",
            "INV-202400017",
            "user-123456",
            "anna@example.com",
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
        ] {
            assert_eq!(template(id), ID, "{id}");
        }
        for name in [
            "",
            "*",
            "users",
            "v1",
            "v2beta1",
            "api2",
            "OAuth2Callback",
            "oauth2-callback",
            "getUserByEmailAddress",
            "user_profile_settings",
            "GetCustomerOrderHistoryForAccount",
            "user-profile-settings-and-privacy",
            "sha256",
            "utf-8",
            "decade",
            "facade",
            "deadbeef",
            "i18n",
            "base64-decode",
            "index.html",
            "favicon.ico",
            "robots.txt",
            "com.example.Service",
            "SOME_LONG_CONSTANT_NAME_HERE",
        ] {
            assert_eq!(template(name), name);
        }
        assert_eq!(template(&"x".repeat(65)), ID);
    }

    #[test]
    fn extensions_stay() {
        assert_eq!(template("17.json"), "{id}.json");
        assert_eq!(template("0b54c1a0-6d2c-4b1c-9b1d-0d9a3cf4f6a1.png"), "{id}.png");
        assert_eq!(template("main.3f2a1b9c.js"), "main.{id}.js");
        assert_eq!(template("jquery-3.min.js"), "jquery-3.min.js");
    }
}
