//! Quantities with units, as the command line and the configuration file write them.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Reads a time as the C program does: a number and a unit of us, ms, s, m, h, d; milliseconds
/// without a unit.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| {
        "a time is a number and a unit of us, ms, s, m, h, d (ms when there is none)".to_owned()
    })?;
    let micros = match unit {
        "us" => Some(1),
        "" | "ms" => Some(1_000),
        "s" => Some(1_000_000),
        "m" => Some(60 * 1_000_000),
        "h" => Some(3_600 * 1_000_000),
        "d" => Some(86_400 * 1_000_000),
        _ => None,
    }
    .ok_or_else(|| format!("`{unit}` is not a unit of time: us, ms, s, m, h, d"))?;
    number.checked_mul(micros).map(Duration::from_micros).ok_or_else(|| "too long".to_owned())
}

/// Reads a size in bytes: a number and, if need be, a unit of k, M, G (or KiB, MiB, GiB), powers of
/// 1024.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| "a size is a number and a unit of k, M, G (bytes when there is none)")?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(format!("`{unit}` is not a unit of size: k, M, G")),
    };
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

/// Reads a port or a range of ports, `PORT` or `FIRST-LAST`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first >= 1 && first <= last => Ok(first..=last),
        _ => Err("a port range is PORT or FIRST-LAST, from 1 to 65535".to_owned()),
    }
}

/// A number in a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How many in a second.
    pub per_second: f64,
}

/// Reads a rate: a number, `/` and a unit of s, m, h, as `500/s`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    const FORM: &str = "a rate is a number, `/` and a unit of s, m, h: 500/s";
    let (number, unit) = text.split_once('/').ok_or(FORM)?;
    let number: f64 = number.trim().parse().map_err(|_| FORM)?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(FORM.to_owned()),
    };
    let per_second = number / seconds;
    if !(1e-6..=1e9).contains(&per_second) {
        return Err("a rate is more than 0, and no more than 1000000000/s".to_owned());
    }
    Ok(Rate { per_second })
}

/// A share of a whole, exact to a ten-thousandth of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    millionths: u32,
}

impl Share {
    /// Nothing.
    pub const NONE: Self = Self { millionths: 0 };
    /// Everything.
    pub const ALL: Self = Self { millionths: 1_000_000 };

    /// So many percent, from 0 to 100.
    ///
    /// # Errors
    /// It is no such number, or finer than 0.0001.
    pub fn percent(percent: f64) -> Result<Self, String> {
        let millionths = (percent * 10_000.0).round();
        if !(0.0..=1_000_000.0).contains(&millionths) {
            return Err("a share is from 0 to 100 percent".to_owned());
        }
        if (millionths - percent * 10_000.0).abs() > 1e-3 {
            return Err("a share is exact to 0.0001 percent, no finer".to_owned());
        }
        // Between 0 and a million, by the check above.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(Self { millionths: millionths as u32 })
    }

    /// So many millionths; everything where there are more.
    #[must_use]
    pub fn of_millionths(millionths: u32) -> Self {
        Self { millionths: millionths.min(Self::ALL.millionths) }
    }

    /// In millionths of the whole.
    #[must_use]
    pub fn millionths(self) -> u32 {
        self.millionths
    }

    /// Whether something whose place among all is this, of 2^64 evenly spread ones, is in the share.
    #[inline]
    #[must_use]
    pub fn includes(self, place: u64) -> bool {
        (u128::from(place) * u128::from(Self::ALL.millionths)) >> 64 < u128::from(self.millionths)
    }

    /// In percent.
    #[must_use]
    pub fn as_percent(self) -> f64 {
        f64::from(self.millionths) / 10_000.0
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::ALL
    }
}

/// Reads a share: a number and `%`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_share(text: &str) -> Result<Share, String> {
    let number = text.trim().strip_suffix('%').unwrap_or(text).trim();
    let percent: f64 = number.parse().map_err(|_| "a share is a number of percent: 12.5%")?;
    Share::percent(percent)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_c_programs_units() {
        for (text, micros) in
            [("0", 0), ("5", 5_000), ("7us", 7), ("2s", 2_000_000), ("1m", 60_000_000)]
        {
            assert_eq!(parse_time(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in ["", "s", "5x", "-1", "1.5s", "99999999999999999999", "9999999999999999d"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_and_ports() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("16384"), Ok(16384));
        assert!(parse_size("x").is_err());
        assert_eq!(parse_ports("4000-4009"), Ok(4000..=4009));
        assert_eq!(parse_ports("4000"), Ok(4000..=4000));
        for bad in ["0", "5-4", "x", "1-70000", ""] {
            assert!(parse_ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_and_shares() {
        assert_eq!(parse_rate("500/s"), Ok(Rate { per_second: 500.0 }));
        assert_eq!(parse_rate("30/m"), Ok(Rate { per_second: 0.5 }));
        for bad in ["500", "x/s", "5/x", "0/s", "-1/s", "nan/s", "inf/s", ""] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_share("0.001%").map(Share::millionths), Ok(10));
        assert_eq!(parse_share("100"), Ok(Share::ALL));
        assert_eq!(parse_share("33.3333%").map(Share::as_percent), Ok(33.3333));
        for bad in ["101%", "-1%", "x", "nan", "0.00001%", ""] {
            assert!(parse_share(bad).is_err(), "{bad}");
        }
    }
}
