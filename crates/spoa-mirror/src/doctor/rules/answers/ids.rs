//! What an answer finds its request by, and whether both are sent.

use crate::doctor::expression::Expression;
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::percent;
use crate::doctor::rules::told::{Given, Part, Told};
use crate::doctor::rules::traffic::share;
use crate::doctor::setup::{Criterion, Sending};

pub(super) static ID_MISSING: Code = code!("id-missing");
pub(super) static PAIRS_SAMPLED_APART: Code = code!("pairs-sampled-apart");

/// What comes of a request without an id.
const NOT_COUNTED: &str =
    "requests without an id are copied, and never compared: the agent counts no pair of any kind";

const DRAW_ONCE: &str = "draw once: `http-request set-var(txn.mirror) bool(true) if { rand(...) lt ... }`, and ask \
                         `{ var(txn.mirror) -m bool }` for both messages";

/// What comes of an answer without an id, or with another one.
const NO_PAIR: &str = "no answer finds its request: copies count as `without-production`, answers as `without-shadow`";

pub(super) fn examine(asked: &Told<'_, '_>, answered: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    findings.extend(missing(asked, answered).or_else(|| different(asked, answered)));
    findings.extend(without_format(asked, answered));
    findings.extend(sampled_apart(asked, answered));
}

fn missing(asked: &Told<'_, '_>, answered: &Told<'_, '_>) -> Option<Finding> {
    let without: Vec<_> =
        [asked, answered].into_iter().filter(|told| !told.has(Part::Id)).collect();
    let (first, rest) = without.split_first()?;
    let other = [asked, answered].into_iter().find_map(|told| told.part(Part::Id));
    let expression = other.map_or("unique-id".to_owned(), Given::shown_expression);
    let message = match rest {
        [] => format!("{} has no `id`, by which the answer finds its request", first.named()),
        _ => "neither message has an `id`, by which the answer finds its request".to_owned(),
    };
    let mut finding = Finding::new(&ID_MISSING, Severity::Warning, message)
        .at(first.last_line().place())
        .consequence(if asked.has(Part::Id) { NO_PAIR } else { NOT_COUNTED })
        .mend(format!("hand over `id={expression}` in both messages"));
    for told in &without {
        let name = Part::Id.name(told.is_prefixed());
        finding = finding.edit(told.with(&[format!("{name}={expression}")]));
        if told.message.name() != first.message.name() {
            finding = finding.and_at(told.last_line().place(), "and here");
        }
    }
    // `unique-id` has a value only where there is a format for it.
    if other.is_none() && !has_format(asked) {
        finding = finding.edit(format_edit(asked));
    }
    Some(finding)
}

/// An id that is made anew for each message.
fn different(asked: &Told<'_, '_>, answered: &Told<'_, '_>) -> Option<Finding> {
    let ids = [asked, answered].map(|told| told.part(Part::Id));
    let [Some(request), Some(answer)] = ids else { return None };
    let made = |given: &Given<'_>| {
        matches!(given.expression().name(), "uuid" | "rand" | "date" | "date_us")
    };
    let bad = [request, answer].into_iter().find(|given| made(given))?;
    let name = bad.name.clone().unwrap_or_default();
    let mut finding = Finding::new(
        &ID_MISSING,
        Severity::Warning,
        format!(
            "`{}` has another value in each message, so that it is no id",
            bad.shown_expression()
        ),
    )
    .at(bad.place())
    .consequence(NO_PAIR)
    .mend("hand over `unique-id`, which stays the same for a request");
    for given in [request, answer].into_iter().filter(|given| given.is_plain()) {
        let name = given.name.clone().unwrap_or_else(|| name.clone());
        finding =
            finding.edit(given.at.rewritten(&[(given.word, format!("{name}=unique-id"))], &[]));
    }
    if !has_format(asked) {
        finding = finding.edit(format_edit(asked));
    }
    Some(finding)
}

/// `unique-id`, and nothing that says how it is made.
fn without_format(asked: &Told<'_, '_>, answered: &Told<'_, '_>) -> Option<Finding> {
    let id = [asked, answered].into_iter().find_map(|told| {
        let given = told.part(Part::Id)?;
        let origins = told.origins(given);
        let unique = origins.iter().any(|origin| Expression::parse(origin).name() == "unique-id");
        unique.then_some(given)
    })?;
    if has_format(asked) {
        return None;
    }
    Some(
        Finding::new(
            &ID_MISSING,
            Severity::Warning,
            "`unique-id` has no value without `unique-id-format`",
        )
        .at(id.place())
        .consequence(NOT_COUNTED)
        .mend("say how it is made, in the frontend")
        .edit(format_edit(asked)),
    )
}

/// Whether ids are made. A filter in a backend gets them from its frontends.
fn has_format(told: &Told<'_, '_>) -> bool {
    use crate::doctor::setup::proxy::ProxyKind;
    let has =
        |proxy: &crate::doctor::setup::Proxy<'_>| proxy.lines.last(&["unique-id-format"]).is_some();
    match told.setup.proxy_of(told.filter) {
        Some(proxy) if proxy.kind == ProxyKind::Backend => told.setup.proxies.iter().any(has),
        Some(proxy) => has(proxy),
        None => true,
    }
}

fn format_edit(told: &Told<'_, '_>) -> crate::doctor::finding::Edit {
    let at = told.filter.at;
    at.followed_by(&at.indentation(), &["unique-id-format %[uuid()]"])
}

/// Chance decides for the request and again for its answer.
fn sampled_apart(asked: &Told<'_, '_>, answered: &Told<'_, '_>) -> Option<Finding> {
    let (requests, answers) = (drawn(asked), drawn(answered));
    if let (Some((request, first)), []) = (requests.first(), answers.as_slice()) {
        return unconditional(answered, request, *first);
    }
    let (answer, share) = answers.iter().find(|(criterion, _)| {
        // What both conditions ask of the same variable was drawn once.
        !requests.iter().any(|(other, _)| by_variable(asked, answered, criterion, other))
    })?;
    let (request, first) = requests.first()?;
    let (sent, paired) = (percent(*first), percent(first * share));
    Some(
        Finding::new(
            &PAIRS_SAMPLED_APART,
            Severity::Warning,
            "chance decides about the request, and anew about its answer",
        )
        .at(answer.at.place())
        .and_at(request.at.place(), "the request's share is drawn here")
        .consequence(format!("{sent} of the requests are copied, and {paired} have a pair"))
        .mend(DRAW_ONCE),
    )
}

/// A share of the requests, and all answers.
fn unconditional(answered: &Told<'_, '_>, request: &Criterion<'_>, share: f64) -> Option<Finding> {
    let free =
        |sending: &&Sending<'_, '_>| answered.setup.selection(answered.filter, sending).is_empty();
    let sending = answered.sendings.iter().find(free)?;
    let (sent, lost) = (percent(share), percent(1.0 - share));
    Some(
        Finding::new(
            &PAIRS_SAMPLED_APART,
            Severity::Warning,
            "chance decides about the request, and all answers are handed over",
        )
        .at(sending.at.place())
        .and_at(request.at.place(), "the request's share is drawn here")
        .consequence(format!(
            "{sent} of the requests are copied; {lost} of the answers wait for the agent for nothing, and count as \
             `without-shadow`"
        ))
        .mend(DRAW_ONCE),
    )
}

/// Whether two criteria are the same line: that of the rule which sets the variable that both messages ask.
fn by_variable(
    asked: &Told<'_, '_>,
    answered: &Told<'_, '_>,
    left: &Criterion<'_>,
    right: &Criterion<'_>,
) -> bool {
    let place = |criterion: &Criterion<'_>| criterion.at.place();
    let sends =
        |told: &Told<'_, '_>| told.sendings.iter().any(|sending| sending.at.place() == place(left));
    // An ACL's line is the same for both and is evaluated for each.
    place(left) == place(right) && left.at.text(0) != b"acl" && !(sends(asked) && sends(answered))
}

/// What chance decides about a message, with the share that it takes.
fn drawn<'a>(told: &Told<'_, 'a>) -> Vec<(Criterion<'a>, f64)> {
    let selections = told.sendings.iter().map(|sending| told.setup.selection(told.filter, sending));
    let drawn = selections.flatten().filter_map(|criterion| Some((share(&criterion)?, criterion)));
    // What always or never holds is no draw.
    drawn.filter(|(share, _)| *share > 0.0 && *share < 1.0).map(|(share, at)| (at, share)).collect()
}
