//! Variable-length integers (section 3.1): below 240 one byte, otherwise four bits in the first byte
//! and seven in each that follows, least significant first, each group reduced by its predecessor's
//! threshold.

/// A 64-bit value never takes more bytes than this.
///
/// HAProxy's own decoder has no such cap: it shifts for as long as bytes have their high bit set.
pub const MAX_LEN: usize = 10;

/// Why bytes are not a variable-length integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VarintError {
    /// The bytes end before the integer does.
    Truncated,
    /// The integer does not end within [`MAX_LEN`] bytes, or does not fit 64 bits.
    Overflow,
}

/// Decodes the integer at the start of `input`; gives it and the number of bytes it took.
///
/// # Errors
/// [`VarintError::Truncated`] when more bytes are needed, [`VarintError::Overflow`] when no further
/// bytes could make it valid.
#[inline]
pub fn decode(input: &[u8]) -> Result<(u64, usize), VarintError> {
    let Some((&first, rest)) = input.split_first() else { return Err(VarintError::Truncated) };
    if first < 240 {
        return Ok((u64::from(first), 1));
    }
    decode_long(first, rest)
}

/// Takes a length and that many bytes off `input`; gives these and what is left of it, or `None` when
/// there is no length or not as much as it says.
#[inline]
pub(crate) fn split_string(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = input.split_first()?;
    if len < 240 { rest.split_at_checked(usize::from(len)) } else { split_long(len, rest) }
}

fn split_long(first: u8, rest: &[u8]) -> Option<(&[u8], &[u8])> {
    // The usual block of headers has a length of two bytes.
    if let Some((&second, rest)) = rest.split_first() {
        if second < 128 {
            return rest.split_at_checked(usize::from(first) + (usize::from(second) << 4));
        }
    }
    let (len, taken) = decode_long(first, rest).ok()?;
    rest.get(taken - 1..)?.split_at_checked(usize::try_from(len).ok()?)
}

fn decode_long(first: u8, rest: &[u8]) -> Result<(u64, usize), VarintError> {
    let mut value = u64::from(first);
    let mut shift = 4u32;
    for (taken, &byte) in rest.iter().take(MAX_LEN - 1).enumerate() {
        let part = u64::from(byte);
        if part << shift >> shift != part {
            return Err(VarintError::Overflow);
        }
        value = value.checked_add(part << shift).ok_or(VarintError::Overflow)?;
        if byte < 128 {
            return Ok((value, taken + 2));
        }
        shift += 7;
    }
    // Only a short `rest` gets here: its ninth byte ends the integer or overflows it.
    Err(VarintError::Truncated)
}

/// Appends `value` to `output`.
#[inline]
#[allow(clippy::cast_possible_truncation)] // each cast keeps the low bits on purpose
pub fn encode(value: u64, output: &mut Vec<u8>) {
    if value < 240 {
        output.push(value as u8);
        return;
    }
    output.push(value as u8 | 240);
    let mut rest = (value - 240) >> 4;
    while rest >= 128 {
        output.push(rest as u8 | 128);
        rest = (rest - 128) >> 7;
    }
    output.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_encodings_from_haproxy() {
        // 16380 and 65532 are the max-frame-size values HAProxy offers with bufsize 16384 and 65536.
        for (value, bytes) in [
            (0, &[0][..]),
            (239, &[239]),
            (240, &[240, 0]),
            (2287, &[255, 127]),
            (2288, &[240, 128, 0]),
            (16380, &[0xfc, 0xf0, 0x06]),
            (u64::MAX, &[0xff, 0xf0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x0e]),
        ] {
            let mut encoded = Vec::new();
            encode(value, &mut encoded);
            assert_eq!(encoded, bytes, "{value}");
            assert_eq!(decode(bytes), Ok((value, bytes.len())), "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_string_is_a_length_and_as_many_bytes(
            first in 0u8..,
            // Mostly small, so that the lengths often fit.
            rest in proptest::collection::vec(proptest::prop_oneof![0u8..=2, 0u8..], 0..600),
        ) {
            let input = [&[first][..], &rest].concat();
            let simple = decode(&input).ok().and_then(|(len, taken)| {
                input[taken..].split_at_checked(usize::try_from(len).ok()?)
            });
            proptest::prop_assert_eq!(split_string(&input), simple);
        }
    }

    #[test]
    fn every_proper_prefix_is_truncated() {
        let mut encoded = Vec::new();
        encode(u64::MAX, &mut encoded);
        for len in 0..encoded.len() {
            assert_eq!(decode(&encoded[..len]), Err(VarintError::Truncated), "{len}");
        }
    }

    #[test]
    fn an_endless_integer_is_refused_after_ten_bytes() {
        assert_eq!(decode(&[0xff; 10]), Err(VarintError::Overflow));
        assert_eq!(decode(&[0xff; 64]), Err(VarintError::Overflow));
    }

    #[test]
    fn a_value_over_64_bits_is_refused() {
        let mut encoded = Vec::new();
        encode(u64::MAX, &mut encoded);
        encoded[9] += 1;
        assert_eq!(decode(&encoded), Err(VarintError::Overflow));
        encoded[9] = 0x7f;
        assert_eq!(decode(&encoded), Err(VarintError::Overflow));
        // The bits over the 64th alone, which shifting would lose.
        let lost = [240, 128, 128, 128, 128, 128, 128, 128, 128, 16];
        assert_eq!(decode(&lost), Err(VarintError::Overflow));
    }
}
