//! Numbers as people read them.

use super::endpoints::Pair;

/// So many times slower is worth a colour.
const NOTABLE: f64 = 1.5;

/// With commas between thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in the unit that suits it, with three digits.
pub(super) fn time(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds.filter(|seconds| seconds.is_finite()) else {
        return "–".to_owned();
    };
    let (value, unit) = match seconds {
        s if s < 0.000_999_5 => (s * 1e6, "µs"),
        s if s < 0.999_5 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    format!("{}\u{202f}{unit}", digits(value))
}

/// A time of production beside the candidate's, in milliseconds.
pub(super) fn times_slower(production: Option<f64>, shadow: Option<f64>) -> Pair {
    let ratio = match (production, shadow) {
        (Some(production), Some(shadow)) if production > 0.0 => Some(shadow / production),
        _ => None,
    };
    Pair {
        production: time(production.map(|ms| ms / 1e3)),
        shadow: time(shadow.map(|ms| ms / 1e3)),
        ratio: ratio.map_or(String::new(), |ratio| format!("× {ratio:.2}")),
        class: if ratio.is_some_and(|ratio| ratio >= NOTABLE) { "warn" } else { "" },
    }
}

/// A share in percent, never rounded to none or to all when it is not.
pub(super) fn percent(percent: f64) -> String {
    match percent {
        p if p <= 0.0 => "0\u{202f}%".to_owned(),
        p if p < 0.001 => "<\u{202f}0.001\u{202f}%".to_owned(),
        p if p < 0.1 => format!("{p:.3}\u{202f}%"),
        p if p < 10.0 => format!("{p:.2}\u{202f}%"),
        p if p < 99.95 => format!("{p:.1}\u{202f}%"),
        p if p < 100.0 => ">\u{202f}99.9\u{202f}%".to_owned(),
        _ => "100\u{202f}%".to_owned(),
    }
}

/// How long something has lasted, in its two largest units.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub(super) fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn digits(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 99.95 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.replace('\u{202f}', " ")
    }

    #[test]
    fn counts_have_commas() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        for (seconds, text) in [
            (0.000_012_34, "12.3 µs"),
            (0.000_999_9, "1.00 ms"),
            (0.012_345, "12.3 ms"),
            (0.999_9, "1.00 s"),
            (123.4, "123 s"),
        ] {
            assert_eq!(plain(&time(Some(seconds))), text);
        }
        assert_eq!(time(None), "–");
        assert_eq!(time(Some(f64::INFINITY)), "–");
    }

    #[test]
    fn a_share_is_none_or_all_only_when_it_is() {
        for (share, text) in [
            (0.0, "0 %"),
            (0.000_01, "< 0.001 %"),
            (0.05, "0.050 %"),
            (1.999, "2.00 %"),
            (12.34, "12.3 %"),
            (99.99, "> 99.9 %"),
            (100.0, "100 %"),
        ] {
            assert_eq!(plain(&percent(share)), text);
        }
    }

    #[test]
    fn ages_have_two_units() {
        for (seconds, text) in
            [(5.9, "5 s"), (65.0, "1 min 5 s"), (3_700.0, "1 h 1 min"), (90_000.0, "1 d 1 h")]
        {
            assert_eq!(age(seconds), text);
        }
    }
}
