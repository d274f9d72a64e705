//! Points in time as the API writes them, and days as man pages do.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds of a day.
const DAY: u64 = 86_400;
/// 9999-12-31, in days after 1970 began.
const LAST_DAY: u64 = 2_932_896;

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
        }
    }

    #[test]
    fn the_last_day_is_the_end_of_the_year_9999() {
        assert_eq!(day(253_402_300_799), "9999-12-31");
        assert_eq!(day(u64::MAX), "9999-12-31");
    }
}
