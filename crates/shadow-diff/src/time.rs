//! Points in time as responses write them.

/// How a point in time is written. Two times of other forms are not exchangeable, however near.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// RFC 3339, or the same with a blank for the `T`; with its offset in minutes, `None` for none.
    Date { separator: u8, offset: Option<i64>, zulu: bool },
    /// The date of HTTP, or with hyphens, as cookies have it.
    Http { separator: u8 },
    /// Seconds, or thousandths, millionths, billionths of one since 1970 began, by the number of
    /// digits; with a fraction or without.
    Epoch { digits: usize, fraction: bool },
}

/// A point in time: how it is written, and milliseconds since 1970 began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) form: Form,
    pub(crate) millis: i64,
}

const DAY: i64 = 86_400_000;

impl Time {
    /// The time that a text says, if it is nothing else.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        match text {
            // `2026-01-02...`
            [_, _, _, _, b'-', _, _, b'-', ..] => date(text),
            // `Fri, 02 Jan 2026 03:04:05 GMT`
            [_, _, _, b',', b' ', rest @ ..] => http(rest),
            _ => epoch(text),
        }
    }
}

fn epoch(text: &[u8]) -> Option<Time> {
    let point = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = text.split_at_checked(point)?;
    let fraction = fraction.get(1..).unwrap_or_default();
    let number = number(whole)?;
    let millis = match whole.len() {
        10 => number.checked_mul(1000)?,
        13 => number,
        16 => number / 1000,
        19 => number / 1_000_000,
        _ => return None,
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let form = Form::Epoch { digits: whole.len(), fraction: !fraction.is_empty() };
    Some(Time { form, millis })
}

fn date(text: &[u8]) -> Option<Time> {
    let (day, rest) = text.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *day else { return None };
    let days = days(number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?)?;
    let (&separator @ (b'T' | b't' | b' '), rest) = rest.split_first()? else { return None };
    let (clock, rest) = clock(rest)?;
    let (millis, rest) = match rest.split_first() {
        Some((b'.' | b',', fraction)) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (digits, rest) =
                fraction.split_at_checked(digits).filter(|(d, _)| !d.is_empty())?;
            let thousandths = digits.iter().chain(b"000").take(3);
            (thousandths.fold(0, |all, digit| all * 10 + i64::from(digit - b'0')), rest)
        }
        _ => (0, rest),
    };
    let rest = if separator == b' ' { rest.trim_ascii_start() } else { rest };
    let (offset, zulu) = match rest {
        b"" => (None, false),
        b"Z" | b"z" | b"UTC" => (Some(0), true),
        &[sign @ (b'+' | b'-'), h1, h2, ref minutes @ ..] => {
            let minutes = match *minutes {
                [b':', m1, m2] | [m1, m2] => number(&[m1, m2])?,
                [] => 0,
                _ => return None,
            };
            let offset = number(&[h1, h2])? * 60 + minutes;
            (Some(if sign == b'-' { -offset } else { offset }), false)
        }
        _ => return None,
    };
    let millis = days * DAY + clock + millis - offset.unwrap_or(0) * 60_000;
    Some(Time { form: Form::Date { separator, offset, zulu }, millis })
}

fn http(text: &[u8]) -> Option<Time> {
    let (day, rest) = text.split_at_checked(12)?;
    let [d1, d2, separator @ (b' ' | b'-'), m1, m2, m3, second, y1, y2, y3, y4, b' '] = *day else {
        return None;
    };
    if second != separator {
        return None;
    }
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.chunks_exact(3).position(|month| month == [m1, m2, m3])?;
    let month = i64::try_from(month).ok()? + 1;
    let days = days(number(&[y1, y2, y3, y4])?, month, number(&[d1, d2])?)?;
    let (clock, rest) = clock(rest)?;
    matches!(rest, b" GMT" | b" UTC" | b" +0000")
        .then_some(Time { form: Form::Http { separator }, millis: days * DAY + clock })
}

/// The milliseconds of `03:04:05` or `03:04`, and what follows.
fn clock(text: &[u8]) -> Option<(i64, &[u8])> {
    let &[h1, h2, b':', m1, m2, ref rest @ ..] = text else { return None };
    let minutes = number(&[h1, h2])? * 60 + number(&[m1, m2])?;
    let (seconds, rest) = match rest {
        &[b':', s1, s2, ref rest @ ..] => (number(&[s1, s2])?, rest),
        rest => (0, rest),
    };
    Some(((minutes * 60 + seconds) * 1000, rest))
}

/// A number of 1 to 19 digits.
fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0_i64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March have their odd day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<i64> {
        Time::parse(text.as_bytes()).map(|time| time.millis)
    }

    #[test]
    fn each_form_says_the_same_time() {
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05.000Z",
            "2026-01-02t04:04:05+01:00",
            "2026-01-01T22:04:05-0500",
            "2026-01-02 03:04:05",
            "2026-01-02 03:04:05 UTC",
            "2026-01-02 03:04:05 +0000",
            "Fri, 02 Jan 2026 03:04:05 GMT",
            "Fri, 02-Jan-2026 03:04:05 GMT",
            "1767323045",
            "1767323045.0",
            "1767323045000",
            "1767323045000000",
            "1767323045000000000",
        ] {
            assert_eq!(millis(text), Some(1_767_323_045_000), "{text}");
        }
        assert_eq!(millis("2026-01-02T03:04:05.6789Z"), Some(1_767_323_045_678));
        assert_eq!(millis("2026-01-02T03:04:05.6+00"), Some(1_767_323_045_600));
        assert_eq!(millis("2000-02-29T12:34:56Z"), Some(951_827_696_000));
        assert_eq!(millis("2100-03-01T00:00Z"), Some(4_107_542_400_000));
    }

    #[test]
    fn what_is_no_time_says_none() {
        for text in [
            "",
            "2026-01-02",
            "2026-13-02T03:04:05Z",
            "2026-01-02T03:04:05X",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T3:04:05Z",
            "Fri, 02 Jan 2026 03:04:05 CET",
            "Fri, 02 Jan-2026 03:04:05 GMT",
            "17673230450",
            "176732304a",
            "1767323045.x",
            "9999999999999999999",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn another_form_is_another_form() {
        let form = |text: &str| Time::parse(text.as_bytes()).unwrap().form;
        assert_eq!(form("2026-01-02T03:04:05Z"), form("2026-01-02T03:04:05.123Z"));
        assert_ne!(form("2026-01-02T03:04:05Z"), form("2026-01-02T03:04:05+00:00"));
        assert_ne!(form("1767323045"), form("1767323045000"));
        assert_ne!(form("1767323045"), form("1767323045.5"));
    }
}
