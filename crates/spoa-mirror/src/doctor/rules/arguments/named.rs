//! The names of arguments: the agent finds what a copy is made of by them, and knows no other way.

use crate::doctor::expression::Expression;
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::told::{Given, Part, Told, together};

pub(super) static ARGUMENT_MISSING: Code = code!("argument-missing");
pub(super) static ARGUMENT_UNKNOWN: Code = code!("argument-unknown");

/// What no copy can be made without.
const NEEDED: [Part; 3] = [Part::Method, Part::Url, Part::Headers];

pub(super) fn examine(told: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    let meant = meant(told);
    if let Some(finding) = unknown(told, &meant) {
        findings.push(finding);
    }
    let parts = |part: Part| has(told, part) || meant.iter().any(|(_, meant)| same(*meant, part));
    if told.asks() || asks_as_meant(&meant) {
        let missing: Vec<_> = NEEDED.into_iter().filter(|part| !parts(*part)).collect();
        findings.extend(missing_parts(told, &missing));
    } else if told.answers() && !parts(Part::Status) {
        findings.push(without_status(told));
    }
}

/// Nothing that HAProxy sends speaks of a request or an answer.
pub(super) fn nothing_asked(all: &[Told<'_, '_>], findings: &mut Vec<Finding>) {
    let speaks = |told: &Told<'_, '_>| told.asks() || told.answers() || !meant(told).is_empty();
    if let Some(told) = all.first().filter(|_| !all.iter().any(speaks)) {
        findings.extend(missing_parts(told, &NEEDED));
    }
}

/// Arguments whose names the agent does not know, with what they were meant for, each part once.
fn meant<'t, 'a>(told: &'t Told<'_, 'a>) -> Vec<(&'t Given<'a>, Part)> {
    let mut found: Vec<(&Given<'a>, Part)> = Vec::new();
    for given in told.given.iter().filter(|given| given.part.is_none()) {
        let near = given.name.as_deref().and_then(Part::near).map(|(_, part)| part);
        let Some(part) = by_value(told, given).or(near) else { continue };
        if !has(told, part) && !found.iter().any(|(_, other)| same(*other, part)) {
            found.push((given, part));
        }
    }
    found
}

/// What an argument hands over as it is, if it is a part of a request or an answer.
fn by_value(told: &Told<'_, '_>, given: &Given<'_>) -> Option<Part> {
    let origins = told.origins(given);
    let expression = Expression::parse(origins.first()?);
    let whole = expression.converters.iter().all(|converter| converter.name == "bytes");
    Part::given_by(expression.name()).filter(|_| whole)
}

fn unknown(told: &Told<'_, '_>, meant: &[(&Given<'_>, Part)]) -> Option<Finding> {
    let ((first, part), rest) = meant.split_first()?;
    let needed = meant
        .iter()
        .any(|(_, part)| NEEDED.iter().any(|needed| same(*needed, *part)) || *part == Part::Status);
    let severity = if needed { Severity::Error } else { Severity::Warning };
    let right = part.name(told.is_prefixed());
    let message = match &first.name {
        Some(name) => format!(
            "the agent knows no argument `{name}`; its name for {} is `{right}`",
            part.what()
        ),
        None => {
            format!("`{}` has no name; the agent's for {} is `{right}`", first.shown(), part.what())
        }
    };
    let mut finding = Finding::new(&ARGUMENT_UNKNOWN, severity, message)
        .at(first.place())
        .consequence(match (needed, part.is_of_answer()) {
            (true, true) => {
                "no answer is compared: the agent takes a message with a status for an answer"
            }
            (true, false) => "nothing is mirrored: the agent drops each request as incomplete",
            (false, true) => "answers are compared without it",
            (false, false) => "requests are copied without it",
        });
    for (given, part) in rest {
        let right = part.name(told.is_prefixed());
        finding =
            finding.and_at(given.place(), format!("the name for {} is `{right}`", part.what()));
    }
    finding = finding.mend("give it the name that the agent knows");
    let mut lines: Vec<_> = meant.iter().map(|(given, _)| given.at).collect();
    lines.dedup_by_key(|at| at.line.number);
    for at in lines {
        let of_line = meant.iter().filter(|(given, _)| given.at.line.number == at.line.number);
        let words: Vec<_> = of_line
            .map(|(given, part)| {
                let right = part.name(told.is_prefixed());
                (given.word, format!("{right}={}", given.shown_expression()))
            })
            .collect();
        finding = finding.edit(at.rewritten(&words, &[]));
    }
    Some(finding)
}

fn missing_parts(told: &Told<'_, '_>, missing: &[Part]) -> Option<Finding> {
    if missing.is_empty() {
        return None;
    }
    let names: Vec<_> = missing.iter().map(|part| part.what()).collect();
    let written: Vec<_> = missing.iter().filter_map(|part| told.written(*part)).collect();
    let arguments: Vec<_> = written.iter().map(|(argument, _)| argument.clone()).collect();
    let mut finding = Finding::new(
        &ARGUMENT_MISSING,
        Severity::Error,
        format!("{} does not hand over {}", told.named(), listed(&names)),
    )
    .at(told.last_line().place())
    .consequence("nothing is mirrored: the agent drops each request as incomplete")
    .mend(format!("add `{}` to the `args` line", arguments.join(" ")))
    .edit(told.with(&arguments));
    for edit in together(written.into_iter().flat_map(|(_, edits)| edits).collect()) {
        finding = finding.edit(edit);
    }
    Some(finding)
}

fn without_status(told: &Told<'_, '_>) -> Finding {
    let finding = Finding::new(
        &ARGUMENT_MISSING,
        Severity::Error,
        format!("{} speaks of an answer and does not hand over its status", told.named()),
    )
    .at(told.last_line().place())
    .consequence("no answer is compared: the agent takes a message with a status for an answer");
    match told.written(Part::Status) {
        Some((argument, _)) => finding
            .mend(format!("add `{argument}` to the `args` line"))
            .edit(told.with(&[argument])),
        None => finding.mend("send the message when the answer is there, with its status"),
    }
}

fn has(told: &Told<'_, '_>, part: Part) -> bool {
    told.given.iter().any(|given| given.part.is_some_and(|given| same(given, part)))
}

/// A URL and a path are for the same.
fn same(left: Part, right: Part) -> bool {
    let one = |part| if part == Part::Path { Part::Url } else { part };
    one(left) == one(right)
}

fn asks_as_meant(meant: &[(&Given<'_>, Part)]) -> bool {
    meant.iter().any(|(_, part)| {
        matches!(part, Part::Method | Part::Url | Part::Path | Part::Headers | Part::Body)
    })
}

fn listed(names: &[&str]) -> String {
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
