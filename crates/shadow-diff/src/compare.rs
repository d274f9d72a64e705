//! Compares two responses: status, then headers, then bodies.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use crate::comparison::{Comparison, Examined, Excuse, Outcome, Reason, Side};
use crate::content::{self, Family, MediaType, Undecodable};
use crate::difference::{Kind, Place};
use crate::json::{self, Document, Unreadable};
use crate::limits::Limits;
use crate::natural::{Natural, NaturalRules};
use crate::path::Spot;
use crate::redact::Redact;
use crate::report::Report;
use crate::response::{Body, Pair, Response};
use crate::rules::Rules;
use crate::{form, headers, lines, xml};

/// The place of a whole body.
const BODY: Spot<'static> = Spot::Body(&[]);

/// Compares responses, always in the same way.
#[derive(Debug, Default)]
pub struct Comparer {
    rules: Rules,
    natural: NaturalRules,
    limits: Limits,
}

impl Comparer {
    /// One that knows these rules and stays within these limits.
    #[must_use]
    pub fn new(rules: Rules, natural: NaturalRules, limits: Limits) -> Self {
        Self { rules, natural, limits }
    }

    /// Compares two responses to one request. `redact` hides what nobody may see of the values.
    #[must_use]
    pub fn compare(&self, pair: &Pair<'_>, redact: &dyn Redact) -> Comparison {
        let natural = Natural::new(self.natural, pair.now);
        let rules = self.rules.of(pair.endpoint);
        let mut report = Report::new(&self.limits, redact, rules, natural);
        status(pair, &mut report);
        headers::compare(pair.production.headers, pair.shadow.headers, &mut report);
        let mut body = body(pair, &mut report).unwrap_or_else(Examined::Not);
        if report.is_exhausted() {
            body = Examined::Not(Reason::TooMuchWork);
        }
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
    if production == shadow {
        return;
    }
    match report.rules.ignores_status() {
        Some(rule) => report.excuse(Excuse::User(rule)),
        None => {
            let (production, shadow) = (production.to_string(), shadow.to_string());
            report.push(Place::Status, Kind::Value, Some(&production), Some(&shadow));
        }
    }
}

fn body(pair: &Pair<'_>, report: &mut Report<'_>) -> Result<Examined, Reason> {
    if pair.without_bodies() {
        if pair.method == b"HEAD" {
            sizes(pair, report);
        }
        return Ok(Examined::Absent);
    }
    let (production, shadow) = (pair.production.sure_body(), pair.shadow.sure_body());
    let codings = (content::codings(&pair.production), content::codings(&pair.shadow));
    if let (Body::Whole(production), Body::Whole(shadow)) = (production, shadow) {
        if production == shadow && codings.0 == codings.1 {
            return Ok(Examined::Bytes);
        }
    }
    if report.ignores(BODY) {
        return Ok(Examined::Ignored);
    }
    let another_class = pair.production.status / 100 != pair.shadow.status / 100;
    if another_class && report.rules.ignores_status().is_none() {
        return Err(Reason::Status);
    }
    let (Body::Whole(production), Body::Whole(shadow)) = (production, shadow) else {
        sizes(pair, report);
        return Err(unsure(production, shadow));
    };
    let limits = report.limits;
    let (production, shadow) = both(
        content::decoded(production, &codings.0, limits),
        content::decoded(shadow, &codings.1, limits),
        undecodable,
    )?;
    if production == shadow {
        return Ok(Examined::Bytes);
    }
    decoded(&pair.production, &pair.shadow, production, shadow, report)
}

/// Compares bodies of which everything is there, without their codings.
fn decoded(
    production: &Response<'_>,
    shadow: &Response<'_>,
    ours: Cow<'_, [u8]>,
    theirs: Cow<'_, [u8]>,
    report: &mut Report<'_>,
) -> Result<Examined, Reason> {
    // One that does not say what it is, is taken for what the other is.
    let (a, b) = match (MediaType::of(production), MediaType::of(shadow)) {
        (Some(a), Some(b)) => (a, b),
        (Some(a), None) => (a.clone(), a),
        (None, Some(b)) => (b.clone(), b),
        (None, None) => (MediaType::guess(&ours), MediaType::guess(&theirs)),
    };
    let (ours, theirs) =
        both(a.text(ours).ok_or(()), b.text(theirs).ok_or(()), |(), side| Reason::Broken(side))?;
    if ours == theirs {
        return Ok(Examined::Bytes);
    }
    let (a, b) = (a.seen(&ours), b.seen(&theirs));
    if a.family != b.family && !(a.family.has_lines() && b.family.has_lines()) {
        let (ours, theirs) = (shown("", a.family, &ours), shown("", b.family, &theirs));
        described(Kind::Type, &ours, &theirs, report);
        return Ok(Examined::Type);
    }
    if a.family == Family::Bytes {
        hash(&ours, &theirs, report);
        return Ok(Examined::Hash);
    }
    let limits = report.limits;
    let (our_json, their_json) =
        (as_json(a.family, &ours, limits), as_json(b.family, &theirs, limits));
    let our_document = our_json.as_deref().map_err(|&fault| fault);
    let their_document = their_json.as_deref().map_err(|&fault| fault);
    let our_document = our_document.and_then(|json| read(a.family, json, limits));
    let their_document = their_document.and_then(|json| read(b.family, json, limits));
    match (our_document, their_document) {
        (Ok(ours), Ok(theirs)) => {
            json::compare(&ours, &theirs, report);
            Ok(Examined::Structure)
        }
        (Err(Unreadable::Malformed), Err(Unreadable::Malformed)) => {
            texts(&ours, &theirs, a.family == Family::Html && b.family == Family::Html, report)?;
            Ok(Examined::Lines)
        }
        (Err(Unreadable::Malformed), Ok(_)) => {
            let (ours, theirs) = (shown("no ", a.family, &ours), shown("", b.family, &theirs));
            described(Kind::Type, &ours, &theirs, report);
            Ok(Examined::Type)
        }
        (Ok(_), Err(Unreadable::Malformed)) => {
            let (ours, theirs) = (shown("", a.family, &ours), shown("no ", b.family, &theirs));
            described(Kind::Type, &ours, &theirs, report);
            Ok(Examined::Type)
        }
        (Err(Unreadable::TooComplex), Err(Unreadable::TooComplex)) => {
            Err(Reason::TooComplex(Side::Both))
        }
        (Err(Unreadable::TooComplex), _) => Err(Reason::TooComplex(Side::Production)),
        (_, Err(Unreadable::TooComplex)) => Err(Reason::TooComplex(Side::Shadow)),
    }
}

/// What a body is, told in a few words.
fn shown(negation: &str, family: Family, body: &[u8]) -> String {
    format!("{negation}{}, {} bytes", family.name(), body.len())
}

/// A body with a structure, as JSON.
fn as_json<'b>(
    family: Family,
    body: &'b [u8],
    limits: &Limits,
) -> Result<Cow<'b, [u8]>, Unreadable> {
    match family {
        Family::Json | Family::JsonLines => Ok(Cow::Borrowed(body)),
        Family::Form => Ok(Cow::Owned(form::to_json(body))),
        Family::Xml => xml::to_json(body, limits.depth).map(Cow::Owned),
        Family::Html | Family::Text | Family::Bytes => Err(Unreadable::Malformed),
    }
}

fn read<'t>(family: Family, json: &'t [u8], limits: &Limits) -> Result<Document<'t>, Unreadable> {
    match family {
        Family::JsonLines => Document::parse_many(json, limits.depth, limits.values),
        _ => Document::parse(json, limits.depth, limits.values),
    }
}

/// Compares two texts, after what rules replace in them as a whole.
fn texts(ours: &[u8], theirs: &[u8], html: bool, report: &mut Report<'_>) -> Result<(), Reason> {
    if !report.rules.replaces(BODY) {
        return lines::compare(ours, theirs, html, report);
    }
    if let Some(rule) = report.rules.replaced_same(BODY, ours, theirs) {
        report.excuse(Excuse::User(rule));
        return Ok(());
    }
    let (ours, theirs) = (report.rules.replaced(BODY, ours), report.rules.replaced(BODY, theirs));
    lines::compare(&ours, &theirs, html, report)
}

/// Compares the sizes of bodies of which not everything is there. Compressed ones say nothing by
/// their size.
fn sizes(pair: &Pair<'_>, report: &mut Report<'_>) {
    let plain = |response: &Response<'_>| content::codings(response).is_empty();
    let (production, shadow) = (pair.production.body_size(), pair.shadow.body_size());
    let (Some(production), Some(shadow)) = (production, shadow) else { return };
    if production == shadow || !plain(&pair.production) || !plain(&pair.shadow) {
        return;
    }
    // Exact up to petabytes.
    #[allow(clippy::cast_precision_loss)]
    match report.rules.tolerates(BODY, production as f64, shadow as f64) {
        Some(rule) => report.excuse(Excuse::User(rule)),
        None => {
            let (production, shadow) = (format!("{production} bytes"), format!("{shadow} bytes"));
            described(Kind::Length, &production, &shadow, report);
        }
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

/// Both, or why not.
fn both<T, E>(
    production: Result<T, E>,
    shadow: Result<T, E>,
    reason: impl Fn(E, Side) -> Reason,
) -> Result<(T, T), Reason> {
    match (production, shadow) {
        (Ok(production), Ok(shadow)) => Ok((production, shadow)),
        (Err(error), Ok(_)) => Err(reason(error, Side::Production)),
        (Ok(_), Err(error)) => Err(reason(error, Side::Shadow)),
        (Err(error), Err(_)) => Err(reason(error, Side::Both)),
    }
}

fn undecodable(fault: Undecodable, side: Side) -> Reason {
    match fault {
        Undecodable::Unknown => Reason::Coding(side),
        Undecodable::Broken => Reason::Broken(side),
        Undecodable::TooLarge => Reason::TooLarge(side),
    }
}

/// Compares two bodies of which nothing is known but that their bytes are not the same.
fn hash(production: &[u8], shadow: &[u8], report: &mut Report<'_>) {
    let kind = if production.len() == shadow.len() { Kind::Value } else { Kind::Length };
    let shown = |bytes: &[u8]| format!("{} bytes, xxh3 {:016x}", bytes.len(), xxh3_64(bytes));
    described(kind, &shown(production), &shown(shadow), report);
}

/// Adds a difference of the whole body, whose values were described here.
fn described(kind: Kind, production: &str, shadow: &str, report: &mut Report<'_>) {
    if report.lists(BODY, kind) {
        report.push(BODY.place(), kind, Some(production), Some(shadow));
    }
}

#[cfg(test)]
mod tests;
