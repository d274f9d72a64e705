//! Points in time as the API writes them, and days as man pages do.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds of a day.
const DAY: u64 = 86_400;
/// 9999-12-31, in days after 1970 began.
const LAST_DAY: u64 = 2_932_896;

/// From March 1st of the year 0 on.
const DAYS_BEFORE_1970: i64 = 719_468;

/// A time as RFC 3339 has it, in UTC, exact to a millisecond.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = since.as_secs() % DAY;
    format!(
        "{}T{:02}:{:02}:{:02}.{:03}Z",
        day(since.as_secs()),
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// The day, in UTC, `seconds` after 1970 began; years after 9999 are taken for 9999.
pub(crate) fn day(seconds: u64) -> String {
    let mut days = (seconds / DAY).min(LAST_DAY);
    let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", days + 1)
}

/// A time that RFC 3339 describes, in whole seconds since 1970; 0 for what was before.
pub(crate) fn parse_rfc3339(text: &str) -> Option<u64> {
    let parsed: toml::value::Datetime = text.parse().ok()?;
    let (date, time) = (parsed.date?, parsed.time?);
    let minutes_east = match parsed.offset? {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let (year, month) = (i64::from(date.year), i64::from(date.month));
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + i64::from(date.day)
        - 1
        - DAYS_BEFORE_1970;
    let seconds = 3600 * i64::from(time.hour)
        + 60 * (i64::from(time.minute) - minutes_east)
        + i64::from(time.second.unwrap_or_default());
    Some(u64::try_from(days * 86_400 + seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_elsewhere() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696, "2000-02-29T12:34:56.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
            assert_eq!(parse_rfc3339(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn times_are_read_wherever_they_were_written() {
        for (text, seconds) in [
            ("2025-12-31T23:59:59Z", 1_767_225_599),
            ("2026-01-01t01:29:59.75+01:30", 1_767_225_599),
            ("2025-12-31T22:59:59-01:00", 1_767_225_599),
            ("1969-12-31T23:59:59Z", 0),
            ("0001-01-01T00:00:00+23:59", 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(parse_rfc3339(text), Some(seconds), "{text}");
        }
        for wrong in ["", "2025-12-31", "23:59:59", "2025-12-31T23:59:59", "2025-02-30T00:00:00Z"] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_last_day_is_the_end_of_the_year_9999() {
        assert_eq!(day(253_402_300_799), "9999-12-31");
        assert_eq!(day(u64::MAX), "9999-12-31");
    }
}
