//! Which requests are copied: one answer for each target, with one reason for each refusal. No I/O.

pub mod view;

use crate::config::{Marker, TargetConfig, TruncatedBody};
use crate::exchange::{Completeness, Exchange, Facts, HeaderError};
use crate::outcome::DropReason;

/// How an approved copy is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval {
    /// How often the request has been copied, this time included.
    pub hops: u32,
    /// Whether a part of the body is missing.
    pub truncated: bool,
}

/// Decides whether `exchange` is copied to `target`.
///
/// # Errors
/// Why it is not.
pub fn decide(
    exchange: &Exchange<'_>,
    facts: &Result<Facts<'_>, HeaderError>,
    completeness: Completeness,
    target: &TargetConfig,
    marker: &Marker,
) -> Result<Approval, DropReason> {
    let facts = facts.as_ref().map_err(|error| match error {
        HeaderError::Truncated => DropReason::TruncatedHeaders,
        HeaderError::Malformed => DropReason::Malformed,
    })?;
    if exchange.method == b"CONNECT" {
        return Err(DropReason::Connect);
    }
    if facts.upgrade {
        return Err(DropReason::Upgrade);
    }
    let hops = facts.marker.map_or(0, hops_of);
    if hops >= marker.max_hops {
        return Err(DropReason::Loop);
    }
    let truncated = match completeness {
        // What an earlier copy was cut short by is still missing.
        Completeness::Complete => facts.marker.is_some_and(is_truncated),
        Completeness::Overlong => return Err(DropReason::Malformed),
        Completeness::Truncated { .. } | Completeness::Unknown => {
            if target.truncated_body == TruncatedBody::Skip {
                return Err(DropReason::TruncatedBody);
            }
            true
        }
    };
    Ok(Approval { hops: hops + 1, truncated })
}

/// The number of hops in a marker's value. One that cannot be read is taken for one hop: somebody
/// marked the request.
fn hops_of(value: &[u8]) -> u32 {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .map(|digit| u32::from(digit - b'0'))
        .reduce(|hops, digit| hops.saturating_mul(10).saturating_add(digit))
        .unwrap_or(1)
}

/// Whether a marker's value says that a part of the body is missing.
fn is_truncated(value: &[u8]) -> bool {
    let mut parameters = value.split(|&byte| byte == b';').skip(1);
    parameters.any(|parameter| parameter.trim_ascii() == b"body=truncated")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_read_from_the_marker() {
        assert_eq!(hops_of(b"1"), 1);
        assert_eq!(hops_of(b"2; body=truncated"), 2);
        assert_eq!(hops_of(b"yes"), 1);
        assert_eq!(hops_of(b""), 1);
        assert_eq!(hops_of(b"99999999999"), u32::MAX);
    }
}
