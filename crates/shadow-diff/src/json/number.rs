//! Numbers by their value, exact whatever their size: digits and a power of ten, never a float.

/// A number as 0.d1d2d3... times a power of ten, without zeros at either end of the digits.
#[derive(Debug)]
pub(super) struct Decimal<'n> {
    pub(super) negative: bool,
    /// The digits before and behind the point.
    whole: &'n [u8],
    fraction: &'n [u8],
    /// The power of ten; 0 where there are no digits.
    pub(super) power: i64,
}

impl<'n> Decimal<'n> {
    /// Takes a JSON number apart; `None` when its exponent has more than 17 digits.
    pub(super) fn parse(text: &'n [u8]) -> Option<Self> {
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => {
                let (mantissa, exponent) = text.split_at_checked(at)?;
                (mantissa, parse_exponent(exponent.get(1..)?)?)
            }
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.iter().position(|&byte| byte == b'.') {
            Some(at) => (mantissa.get(..at)?, mantissa.get(at + 1..)?),
            None => (mantissa, &b""[..]),
        };
        let mut power = exponent + i64::try_from(whole.len()).ok()?;
        let mut fraction = trim_end(fraction);
        let mut whole = whole;
        if fraction.is_empty() {
            whole = trim_end(whole);
        }
        let before = whole.len();
        whole = trim_start(whole);
        power -= i64::try_from(before - whole.len()).ok()?;
        if whole.is_empty() {
            let before = fraction.len();
            fraction = trim_start(fraction);
            power -= i64::try_from(before - fraction.len()).ok()?;
        }
        if whole.is_empty() && fraction.is_empty() {
            return Some(Self { negative: false, whole, fraction, power: 0 });
        }
        Some(Self { negative, whole, fraction, power })
    }

    pub(super) fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.iter().chain(self.fraction).copied()
    }
}

/// Whether two JSON numbers have the same value.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let (Some(a), Some(b)) = (Decimal::parse(a), Decimal::parse(b)) else { return false };
    a.negative == b.negative && a.power == b.power && a.digits().eq(b.digits())
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text.split_first()? {
        (b'-', rest) => (-1, rest),
        (b'+', rest) => (1, rest),
        _ => (1, text),
    };
    let digits = trim_start(digits);
    if digits.len() > 17 {
        return None;
    }
    let digits = digits.iter().map(|digit| i64::from(digit.wrapping_sub(b'0')));
    Some(sign * digits.fold(0, |number, digit| number * 10 + digit))
}

fn trim_start(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

fn trim_end(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|&&digit| digit == b'0').count();
    digits.get(..digits.len() - zeros).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_value_are_the_same() {
        for spellings in [
            &["1", "1.0", "1.000", "10e-1", "0.1e1", "0.01E+2", "1e0", "1e-0", "1000e-3"][..],
            &["100", "1e2", "1E+02", "100.0", "0.1e3", "1e00000000000000000000002"],
            &["0", "-0", "0.0", "-0.00", "0e5", "0e99999999999999999"],
            &["-12.5", "-125e-1", "-0.125E2", "-12.50"],
            &["123456789012345678901234567890", "1.2345678901234567890123456789e29"],
            &["1e999999999", "10e999999998", "0.1e1000000000"],
        ] {
            for a in spellings {
                for b in spellings {
                    assert!(same(a.as_bytes(), b.as_bytes()), "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn other_values_are_not() {
        for (a, b) in [
            ("1", "-1"),
            ("1", "10"),
            ("1.05", "1.5"),
            ("105", "15"),
            ("0.01", "0.1"),
            ("9007199254740993", "9007199254740992"),
            ("1e999999999", "1e999999998"),
            ("1e99999999999999999999", "1e99999999999999999998"),
            ("0.1", "0.10000000000000001"),
        ] {
            assert!(!same(a.as_bytes(), b.as_bytes()), "{a} {b}");
        }
    }
}
