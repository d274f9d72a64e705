//! Which bytes may stand in a header's name and value, looked at several at a time.
//!
//! What is shorter than a chunk is looked at in smaller ones. What is longer ends with a chunk of its own,
//! so that some bytes are looked at twice and none by itself.

/// Whether `name` is a token (RFC 9110, section 5.6.2): what may stand as a method or header name.
#[inline]
#[must_use]
pub fn is_token(name: &[u8]) -> bool {
    if let Some(last) = name.last_chunk::<8>() {
        let mut rest = name;
        let mut token = are_token(last);
        while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
            token &= are_token(chunk);
            rest = after;
        }
        return token;
    }
    match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) => are_token(first) & are_token(last),
        _ => !name.is_empty() && name.iter().all(|&byte| TOKEN[usize::from(byte)]),
    }
}

#[inline]
fn are_token<const N: usize>(bytes: &[u8; N]) -> bool {
    bytes.iter().fold(true, |token, &byte| token & TOKEN[usize::from(byte)])
}

/// Whether `value` may stand as a header's value: without CR, LF and NUL it stays what it is.
#[inline]
pub(super) fn is_value(value: &[u8]) -> bool {
    // Hardly any value has another byte as low as these.
    !has_below::<14>(value) || memchr::memchr3(b'\r', b'\n', 0, value).is_none()
}

/// Whether `target` may stand in a request line: spaces and what is below them would end it, or the line.
#[inline]
#[must_use]
pub fn is_target(target: &[u8]) -> bool {
    !target.is_empty() && !has_below::<{ b' ' + 1 }>(target)
}

/// Whether a byte is below `LIMIT`, which is at most 128.
#[inline]
fn has_below<const LIMIT: u8>(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        // The least byte at each place of a chunk.
        let mut least = *last;
        let mut rest = bytes;
        while let Some((chunk, after)) = rest.split_first_chunk::<16>() {
            for (least, byte) in least.iter_mut().zip(chunk) {
                *least = (*least).min(*byte);
            }
            rest = after;
        }
        return least.iter().fold(false, |below, &byte| below | (byte < LIMIT));
    }
    // Taking the limit from a byte below it sets its highest bit; a byte over 0x7f had that set before.
    // What is taken from the next byte too then changes nothing: one was found.
    let below = |word: u64| {
        let of = |byte| u64::from_le_bytes([byte; 8]);
        word.wrapping_sub(of(LIMIT)) & !word & of(0x80)
    };
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return below(u64::from_le_bytes(*first)) | below(u64::from_le_bytes(*last)) != 0;
    }
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
            below(first << 32 | last) != 0
        }
        _ => bytes.iter().any(|&byte| byte < LIMIT),
    }
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256
        let c = byte as u8;
        table[byte] = c.is_ascii_alphanumeric()
            || matches!(
                c,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(bytes: &[u8]) {
        let token = !bytes.is_empty() && bytes.iter().all(|&b| TOKEN[usize::from(b)]);
        assert_eq!(is_token(bytes), token, "{bytes:?}");
        let value = !bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
        assert_eq!(is_value(bytes), value, "{bytes:?}");
        let target = !bytes.is_empty() && !bytes.iter().any(|&b| b <= b' ');
        assert_eq!(is_target(bytes), target, "{bytes:?}");
    }

    #[test]
    fn a_byte_counts_wherever_it_stands() {
        const BYTES: &[u8] = b"\0\t\n\x0c\r\x0e\x1f !-/09:@AZ[_`az{|~\x7f\x80\x8d\xff";
        for len in 0..70 {
            for filler in *b"a_ !\t\r\x0e\x7f\x80\xff" {
                let mut bytes = vec![filler; len];
                compare(&bytes);
                for place in 0..len {
                    for &byte in BYTES {
                        bytes[place] = byte;
                        compare(&bytes);
                    }
                    bytes[place] = filler;
                }
            }
        }
    }

    #[test]
    fn neighbours_do_not_disturb_each_other() {
        for one in 0..=255 {
            for other in 0..=255 {
                compare(&[one, other, b'a', b'a', one, b'a', b'a', other]);
                compare(&[b'a', one, other, other, b'a']);
            }
        }
    }
}
