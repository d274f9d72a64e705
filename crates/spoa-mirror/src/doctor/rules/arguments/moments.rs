//! Values that are not to be had when the message is sent. HAProxy refuses to start, in words of its own.

use crate::doctor::fetches::{self, Available};
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::told::{Given, Part, Told, together};
use crate::doctor::setup::{Moment, Sending};

pub(super) static FETCH_NOT_AT_EVENT: Code = code!("fetch-not-at-event");
pub(super) static FETCH_TOO_NEW: Code = code!("fetch-too-new");

pub(super) fn examine(told: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    for given in &told.given {
        too_new(told, given, findings);
    }
    not_at_event(told, findings);
}

/// One finding for a message: its arguments are mended together.
fn not_at_event(told: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    let refused: Vec<_> =
        told.given.iter().filter_map(|given| Some((given, refused(told, given)?))).collect();
    let Some(((first, (row, sending)), rest)) = refused.split_first() else { return };
    let certain = refused.iter().any(|(_, (row, _))| row.versions.include(told.setup.version));
    let severity = if certain { Severity::Error } else { Severity::Warning };
    let fetch = first.expression().name().to_owned();
    let what = match row.available {
        Available::WithRequest => "the request is gone",
        Available::WithAnswer => "there is no answer yet",
        Available::WithServer => "no server is chosen yet",
        Available::InSession | Available::Always => "there is no session yet",
    };
    let message = format!("`{fetch}` cannot be had {}: {what}", when(sending));
    let versions = match certain {
        true => "HAProxy does not start: it says that some args extract information that is not available here"
            .to_owned(),
        false => format!("HAProxy {} does not start with it", row.versions),
    };
    let mut finding = Finding::new(&FETCH_NOT_AT_EVENT, severity, message)
        .at(first.place())
        .and_at(sending.at.place(), "the message is sent here")
        .consequence(versions);
    for (given, _) in rest {
        finding = finding.and_at(given.place(), "this cannot be had there either");
    }
    let (mut words, mut saved) = (Vec::new(), Vec::new());
    for (given, (row, _)) in &refused {
        let Some(part) = given.part.filter(|_| row.available == Available::WithRequest) else {
            continue;
        };
        let plain = given.expression().converters.is_empty() && given.is_plain();
        let Some((argument, edits)) = told.written(part).filter(|_| plain) else { continue };
        let Some((_, expression)) = argument.split_once('=') else { continue };
        let name = given.name.clone().unwrap_or_default();
        words.push((given.word, format!("{name}={expression}")));
        saved.extend(edits);
    }
    let mendable = words.len() == refused.len()
        && refused.iter().all(|(given, _)| given.at.line.number == first.at.line.number);
    if mendable {
        finding = together(saved)
            .into_iter()
            .fold(finding, Finding::edit)
            .mend("save it in a variable while the request is there, and hand the variable over")
            .edit(first.at.rewritten(&words, &[]));
    } else {
        finding = finding.mend(match row.available {
            Available::WithRequest => {
                "save it in a variable with `http-request set-var`, and hand the variable over"
            }
            Available::WithAnswer => {
                "hand it over in a message of its own, which `http-response send-spoe-group` sends"
            }
            _ => "hand it over in a message that is sent later",
        });
    }
    findings.push(finding);
}

/// The row that says that HAProxy refuses this argument, and where the message is sent.
fn refused<'t, 's, 'a>(
    told: &'t Told<'s, 'a>,
    given: &Given<'a>,
) -> Option<(&'static fetches::Row, &'t Sending<'s, 'a>)> {
    let expression = given.expression();
    let rows = fetches::rows(expression.name());
    let rows = rows.filter(|row| row.versions.may_include(told.setup.version));
    let mut pairs = rows.flat_map(|row| told.sendings.iter().map(move |sending| (row, sending)));
    pairs.find(|(row, sending)| !row.available.at(sending.moment))
}

fn too_new(told: &Told<'_, '_>, given: &Given<'_>, findings: &mut Vec<Finding>) {
    let expression = given.expression();
    let known = told.setup.version;
    // Where the table knows of no version that may be this one, HAProxy has no such fetch.
    let mut rows = fetches::rows(expression.name()).peekable();
    let Some(first) = rows.peek().copied() else { return };
    if rows.any(|row| row.versions.include(known) || row.versions.since.is_none()) {
        return;
    }
    let severity = if first.versions.may_include(known) { Severity::Hint } else { Severity::Error };
    let since = first.versions;
    let finding = Finding::new(
        &FETCH_TOO_NEW,
        severity,
        format!("HAProxy knows `{}` {since} only", expression.name()),
    )
    .at(given.place())
    .consequence("an earlier one does not start: it says that the fetch method is unknown");
    let finding = match given.part {
        Some(Part::Timer) if told.has(Part::AskedAt) => {
            finding.mend("leave it out: the agent goes by `t_request` and `t_response`")
        }
        Some(Part::Timer) => {
            finding.mend("leave it out, and hand over `t_request` and `t_response` in its place")
        }
        _ => finding.mend("leave it out"),
    };
    let single = given.at.line.words.len() > 2 && given.is_plain();
    findings.push(if single {
        // The blank before the word goes with it.
        let mut word = given.word.clone();
        word.span.start = word.span.start.saturating_sub(1);
        finding.edit(given.at.rewritten(&[(&word, String::new())], &[]))
    } else {
        finding
    });
}

fn when(sending: &Sending<'_, '_>) -> String {
    match sending.moment {
        Moment::TcpRule => "in a `tcp-request content` rule".to_owned(),
        Moment::RequestRule => "in an `http-request` rule".to_owned(),
        Moment::TcpResponseRule => "in a `tcp-response content` rule".to_owned(),
        Moment::ResponseRule => "in an `http-response` rule".to_owned(),
        _ => format!("at `{}`", String::from_utf8_lossy(sending.at.text(1))),
    }
}
