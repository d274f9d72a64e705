//! Changes to a target's settings, as they are asked for.

use std::fmt;

use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, de};
use utoipa::ToSchema;

use super::error::ApiError;
use crate::config::{RateLimit, Share, TargetConfig, parse_rate, parse_time};
use crate::target::Overrides;

/// Settings to change. What is left out stays; `null` takes back what was set by hand, so that the
/// configuration holds again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    /// Whether requests are counted only, and not copied.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<bool>)]
    paused: Option<Option<bool>>,
    /// The share of requests that is copied, in percent; no finer than 0.0001.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100, multiple_of = 0.0001)]
    sample_percent: Option<Option<f64>>,
    /// Copies sent in a time (s, m, h), or `none`. After a pause as many may go at once as one second
    /// brings, but no more than the configuration allows.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "500/s",
             pattern = r"^(none|[1-9][0-9]{0,6}(\.[0-9]{1,3})?/[smh])$")]
    rate: Option<Option<String>>,
    /// Copies under way at once.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000000)]
    in_flight: Option<Option<Whole>>,
    /// Copies waiting.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10000000)]
    queue: Option<Option<Whole>>,
    /// Bytes of the copies waiting, up to 1024 GiB.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1099511627776u64)]
    queue_bytes: Option<Option<Whole>>,
    /// A copy that waited longer is dropped; from 1ms to 1h (us, ms, s, m, h).
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "5s", pattern = "^[1-9][0-9]{0,2}(ms|s)$")]
    max_age: Option<Option<String>>,
}

/// A whole number, which JSON may also write with a fraction of zero.
#[derive(Debug, Clone, Copy)]
struct Whole(u64);

impl Whole {
    fn up_to(self, setting: &str, most: u64) -> Result<usize, ApiError> {
        let fits = usize::try_from(self.0).ok().filter(|_| (1..=most).contains(&self.0));
        fits.ok_or_else(|| {
            wrong(setting, &format!("{} is outside the allowed range, 1 to {most}", self.0))
        })
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, not below 0")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(number))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Whole, E> {
                // Up to 2^53 every whole number has a value of its own.
                if number.fract() != 0.0 || !(0.0..=9_007_199_254_740_992.0).contains(&number) {
                    return Err(E::invalid_value(de::Unexpected::Float(number), &self));
                }
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                Ok(Whole(number as u64))
            }
        }
        deserializer.deserialize_u64(Visitor)
    }
}

/// Tells a `null` from what is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

impl Patch {
    /// The overrides of a target that has `now`, after this change; no more copies than `descriptors`
    /// may be under way.
    ///
    /// # Errors
    /// Which value is wrong, and what is allowed.
    pub(super) fn apply(
        self,
        target: &TargetConfig,
        now: &Overrides,
        descriptors: usize,
    ) -> Result<Overrides, ApiError> {
        let mut next = now.clone();
        if let Some(paused) = self.paused {
            next.paused = paused;
        }
        if let Some(percent) = self.sample_percent {
            let share = percent.map(Share::percent).transpose();
            next.sample = share.map_err(|error| wrong("sample_percent", &error))?;
        }
        if let Some(rate) = self.rate {
            next.rate = rate.map(|text| limit(&text, target)).transpose()?;
        }
        if let Some(count) = self.in_flight {
            next.in_flight = count.map(|n| n.up_to("in_flight", 1_000_000)).transpose()?;
            if next.in_flight.is_some_and(|count| count > descriptors) {
                return Err(ApiError::new(
                    StatusCode::CONFLICT,
                    "too-few-descriptors",
                    format!(
                        "in_flight: the limit of open files leaves room for {descriptors} (`ulimit \
                         -Hn`, systemd's LimitNOFILE)"
                    ),
                ));
            }
        }
        if let Some(count) = self.queue {
            next.queue = count.map(|n| n.up_to("queue", 10_000_000)).transpose()?;
        }
        if let Some(count) = self.queue_bytes {
            next.queue_bytes = count.map(|n| n.up_to("queue_bytes", 1 << 40)).transpose()?;
        }
        if let Some(age) = self.max_age {
            next.max_age = age.map(|text| max_age(&text)).transpose()?;
        }
        Ok(next)
    }
}

fn wrong(setting: &str, error: &str) -> ApiError {
    ApiError::bad_request(format!("{setting}: {error}"))
}

fn limit(text: &str, target: &TargetConfig) -> Result<Option<RateLimit>, ApiError> {
    if text == "none" {
        return Ok(None);
    }
    let rate = parse_rate(text).map_err(|error| wrong("rate", &error))?;
    // What one second brings, between 1 and the largest count, by the bounds of a rate.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let second = rate.per_second.ceil().clamp(1.0, 10_000_000.0) as u32;
    let burst = target.limits.rate.map_or(second, |limit| limit.burst.min(second));
    Ok(Some(RateLimit { rate, burst }))
}

fn max_age(text: &str) -> Result<std::time::Duration, ApiError> {
    let age = parse_time(text).map_err(|error| wrong("max_age", &error))?;
    let allowed = std::time::Duration::from_millis(1)..=std::time::Duration::from_secs(3600);
    if allowed.contains(&age) {
        return Ok(age);
    }
    Err(wrong("max_age", "the allowed range is 1ms to 1h"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::tests_support::target;
    use crate::config::{Rate, TargetConfig};

    fn patched(json: &str, config: &TargetConfig, now: &Overrides) -> Result<Overrides, String> {
        let patch: Patch = serde_json::from_str(json).map_err(|error| error.to_string())?;
        patch.apply(config, now, 1000).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn what_is_left_out_stays_and_null_takes_back() {
        let config = target("http://t");
        let now = patched(
            r#"{"sample_percent": 12.5, "queue_bytes": 1048576, "max_age": "250ms", "rate": "90/m"}"#,
            &config,
            &Overrides::default(),
        )
        .unwrap();
        assert_eq!(now.sample, Some(Share::percent(12.5).unwrap()));
        assert_eq!(now.queue_bytes, Some(1 << 20));
        assert_eq!(now.max_age, Some(Duration::from_millis(250)));
        let limit = RateLimit { rate: Rate { per_second: 1.5 }, burst: 2 };
        assert_eq!(now.rate, Some(Some(limit)));
        let next = patched(r#"{"max_age": null, "rate": "none", "queue": 7.0}"#, &config, &now);
        let next = next.unwrap();
        assert_eq!((next.max_age, next.rate, next.queue), (None, Some(None), Some(7)));
        assert_eq!(next.queue_bytes, Some(1 << 20));
    }

    #[test]
    fn a_burst_is_a_second_but_no_more_than_configured() {
        let mut config = target("http://t");
        let burst = |config: &TargetConfig, rate: &str| {
            let json = format!("{{\"rate\": \"{rate}\"}}");
            patched(&json, config, &Overrides::default()).unwrap().rate.unwrap().unwrap().burst
        };
        assert_eq!((burst(&config, "400/s"), burst(&config, "6/h")), (400, 1));
        config.limits.rate = Some(RateLimit { rate: Rate { per_second: 500.0 }, burst: 50 });
        assert_eq!((burst(&config, "400/s"), burst(&config, "5/s")), (50, 5));
    }

    #[test]
    fn wrong_values_are_named() {
        let config = target("http://t");
        for (json, part) in [
            (r#"{"sample_percent": 101}"#, "sample_percent: a share is from 0 to 100"),
            (r#"{"sample_percent": 0.00001}"#, "sample_percent"),
            (r#"{"rate": "fast"}"#, "rate: a rate is"),
            (r#"{"in_flight": 0}"#, "in_flight: 0 is outside"),
            (r#"{"in_flight": 1001}"#, "leaves room for 1000"),
            (r#"{"queue": 10000001}"#, "queue: 10000001 is outside"),
            (r#"{"queue_bytes": 0}"#, "queue_bytes"),
            (r#"{"queue_bytes": 1099511627777}"#, "queue_bytes"),
            (r#"{"max_age": "2h"}"#, "1ms to 1h"),
            (r#"{"max_age": "0"}"#, "1ms to 1h"),
            (r#"{"percent": 1}"#, "unknown field `percent`"),
            (r#"{"queue": -1}"#, "a whole number"),
            (r#"{"queue": 1.5}"#, "a whole number"),
            (r#"{"queue": 1, "queue": 2}"#, "duplicate field"),
        ] {
            let error = patched(json, &config, &Overrides::default()).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
