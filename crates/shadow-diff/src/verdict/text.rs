//! A verdict as text for people.

use std::fmt;
use std::time::Duration;

use super::{Cause, Finding, Gap, Interval, Noise, Reason, SampleId, Share, Verdict};

/// Gaps that are shown one by one.
const GAPS: usize = 10;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let confidence = percent(self.confidence.share());
        writeln!(
            f,
            "{} ({} requests, {confidence} confidence)",
            self.answer,
            number(self.requests)
        )?;
        for (number, reason) in (1..).zip(&self.reasons) {
            writeln!(f, "{number}. {reason}")?;
        }
        for gap in self.gaps.iter().take(GAPS) {
            writeln!(f, "- {gap}")?;
        }
        match self.gaps.len().saturating_sub(GAPS) {
            0 => Ok(()),
            more => writeln!(f, "- and {more} more of this kind"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.cause)?;
        for (position, SampleId(sample)) in self.samples.iter().enumerate() {
            write!(f, "{}{sample}", if position == 0 { "; samples " } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors { shadow, production, increase } => write!(
                f,
                "errors where production has none: {}; the other way round {}; increase {}",
                share(*shadow),
                percent(production.rate()),
                interval(increase)
            ),
            Self::Difference(finding) => write!(f, "{finding}"),
            Self::Latency { quantile, production, shadow, ratio } => write!(
                f,
                "p{:.0} is {} instead of {}, {:.1} to {:.1} times as long",
                quantile * 100.0,
                time(*shadow),
                time(*production),
                ratio.low,
                ratio.high
            ),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = format!("{}, {}", share(self.candidate), interval(&self.interval));
        write!(f, "{} differs in {rate}; ", self.site)?;
        match &self.noise {
            Noise::NotMeasured => f.write_str("noise not measured"),
            Noise::Measured { control, interval: of_control, .. } => {
                write!(f, "in the control {}, {}", share(*control), interval(of_control))
            }
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests { found, wanted } => {
                write!(f, "{} requests of {} needed", number(*found), number(*wanted))
            }
            Self::Judged { share, wanted } => write!(
                f,
                "endpoints with enough pairs have {} of the requests, {} needed",
                percent(*share),
                percent(*wanted)
            ),
            Self::Endpoint { endpoint, requests, control: None } => {
                write!(f, "{endpoint}: not judged, only {} requests", number(*requests))
            }
            Self::Endpoint { endpoint, control: Some(control), .. } => {
                write!(f, "{endpoint}: not judged, only {} pairs in the control", number(*control))
            }
            Self::Noise { endpoint } => write!(f, "{endpoint}: noise not measured"),
            Self::Latency { endpoint, quantile } => {
                write!(f, "{endpoint}: too few times to judge p{:.0}", quantile * 100.0)
            }
        }
    }
}

fn share(share: Share) -> String {
    format!("{} of {}", percent(share.rate()), number(share.pairs))
}

fn interval(interval: &Interval) -> String {
    format!("{} to {}", percent(interval.low), percent(interval.high))
}

/// Three digits that count; 0 only for nothing.
fn percent(rate: f64) -> String {
    let percent = rate * 100.0;
    let decimals = match percent.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    let mut text = format!("{percent:.decimals$}");
    if decimals > 0 {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    match text.as_str() {
        "0" | "-0" if percent > 0.0 => "under 0.001 %".to_owned(),
        "-0" => "0 %".to_owned(),
        _ if decimals == 0 && rate < 1.0 && text == "100" => "99.99 %".to_owned(),
        _ => text + " %",
    }
}

/// Digits in groups of three.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        seconds if seconds >= 1.0 => (seconds, "s"),
        seconds if seconds >= 1e-3 => (seconds * 1e3, "ms"),
        seconds => (seconds * 1e6, "us"),
    };
    let decimals = if value >= 100.0 { 0 } else { 1 };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (rate, expected) in [
            (0.0, "0 %"),
            (-0.000_000_1, "0 %"),
            (0.000_001, "under 0.001 %"),
            (0.000_12, "0.012 %"),
            (0.010_04, "1 %"),
            (0.021_37, "2.14 %"),
            (0.5, "50 %"),
            (0.999_99, "99.99 %"),
            (1.0, "100 %"),
            (-0.021, "-2.1 %"),
        ] {
            assert_eq!(percent(rate), expected);
        }
        assert_eq!([number(7), number(1_000), number(1_234_567)], ["7", "1,000", "1,234,567"]);
        let times = [80_u64, 1_500, 310_000, 2_500_000].map(|us| time(Duration::from_micros(us)));
        assert_eq!(times, ["80.0 us", "1.5 ms", "310 ms", "2.5 s"]);
    }
}
