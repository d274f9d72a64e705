//! Compares two responses: status, then headers, then bodies.

use xxhash_rust::xxh3::xxh3_64;

use crate::comparison::{Comparison, Examined, Outcome, Reason, Side};
use crate::difference::{Kind, Place};
use crate::limits::Limits;
use crate::report::Report;
use crate::response::{Body, Pair};

/// Compares responses, always in the same way.
#[derive(Debug, Default)]
pub struct Comparer {
    limits: Limits,
}

impl Comparer {
    /// One that stays within these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Compares two responses to one request.
    #[must_use]
    pub fn compare(&self, pair: &Pair<'_>) -> Comparison {
        let mut report = Report::new(&self.limits);
        status(pair, &mut report);
        let body = body(pair, &mut report);
        let outcome = match body {
            _ if !report.is_empty() => Outcome::Different,
            Examined::Not(reason) => Outcome::Incomparable(reason),
            _ => Outcome::Same,
        };
        let Report { differences, more, excused, .. } = report;
        Comparison { outcome, body, differences, more, excused }
    }
}

fn status(pair: &Pair<'_>, report: &mut Report<'_>) {
    let (production, shadow) = (pair.production.status, pair.shadow.status);
    if production != shadow {
        report.add_described(
            Place::Status,
            Kind::Value,
            &production.to_string(),
            &shadow.to_string(),
        );
    }
}

fn body(pair: &Pair<'_>, report: &mut Report<'_>) -> Examined {
    if pair.without_bodies() {
        return Examined::Absent;
    }
    let (production, shadow) = match (pair.production.sure_body(), pair.shadow.sure_body()) {
        (Body::Whole(production), Body::Whole(shadow)) => (production, shadow),
        (production, shadow) => {
            sizes(pair, report);
            return Examined::Not(unsure(production, shadow));
        }
    };
    if production == shadow {
        return Examined::Bytes;
    }
    hash(production, shadow, report);
    Examined::Hash
}

/// Compares the sizes of bodies of which not everything is there. Compressed ones say nothing by
/// their size.
fn sizes(pair: &Pair<'_>, report: &mut Report<'_>) {
    let plain = |headers: &[(&[u8], &[u8])]| {
        !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"))
    };
    let (production, shadow) = (pair.production.body_size(), pair.shadow.body_size());
    let (Some(production), Some(shadow)) = (production, shadow) else { return };
    if production != shadow && plain(pair.production.headers) && plain(pair.shadow.headers) {
        report.add_described(
            Place::Body("$".into()),
            Kind::Length,
            &format!("{production} bytes"),
            &format!("{shadow} bytes"),
        );
    }
}

/// Why two bodies of which at least one is not whole cannot be compared.
fn unsure(production: Body<'_>, shadow: Body<'_>) -> Reason {
    let side = |missing: fn(&Body<'_>) -> bool| match (missing(&production), missing(&shadow)) {
        (true, true) => Some(Side::Both),
        (true, false) => Some(Side::Production),
        (false, true) => Some(Side::Shadow),
        (false, false) => None,
    };
    match side(|body| matches!(body, Body::Unknown)) {
        Some(side) => Reason::Unknown(side),
        None => Reason::Cut(side(|body| matches!(body, Body::Part { .. })).unwrap_or(Side::Both)),
    }
}

/// Compares two bodies of which nothing is known but that their bytes are not the same.
fn hash(production: &[u8], shadow: &[u8], report: &mut Report<'_>) {
    let kind = if production.len() == shadow.len() { Kind::Value } else { Kind::Length };
    let shown = |bytes: &[u8]| format!("{} bytes, xxh3 {:016x}", bytes.len(), xxh3_64(bytes));
    report.add_described(Place::Body("$".into()), kind, &shown(production), &shown(shadow));
}

#[cfg(test)]
mod tests;
