//! Whether HAProxy waits for a request's body before it hands it over.

use super::passing::Body;
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::told::Told;
use crate::doctor::setup::proxy::ProxyKind;
use crate::doctor::setup::{At, Criterion, Moment, Proxy, Rule, RuleSet, Setup};

pub(super) static NOT_WAITED: Code = code!("body-not-waited-for");

pub(super) fn examine(told: &Told<'_, '_>, bodies: &[Body<'_, '_>]) -> Option<Finding> {
    let body = bodies.iter().find(|body| !body.of_answer)?;
    let home = told.setup.proxy_of(told.filter)?;
    let name = told.message.name();
    let too_early = match &body.saved {
        Some((_, setters)) => setters.iter().find_map(|setter| {
            let (proxy, rule) = (setter.proxy?, setter.rule?);
            let waited = rule.set != RuleSet::HttpRequest
                || before_rule(told.setup, proxy, rule.index)
                || is_for_bodiless(&criteria_of(proxy, rule.at));
            (!waited).then_some((rule.at, proxy, false))
        })?,
        None => told.sendings.iter().find_map(|sending| {
            let waited = match (sending.moment, sending.rule) {
                // A backend never sees this event, which is found elsewhere.
                (Moment::FrontendHttp, _) => home.kind == ProxyKind::Backend || has_option(home),
                (Moment::BackendHttp, _) => before_backend(told.setup),
                (Moment::RequestRule, Some(rule)) => before_rule(told.setup, home, rule.index),
                _ => true,
            };
            let waited = waited || is_for_bodiless(&told.setup.selection(told.filter, sending));
            let is_event = sending.moment == Moment::FrontendHttp;
            (!waited).then_some((sending.at, home, is_event))
        })?,
    };
    let (at, proxy, is_event) = too_early;
    let message = match (&body.saved, is_event) {
        (Some((variable, _)), _) => {
            format!("a request's body is saved in `{variable}` before HAProxy has waited for it")
        }
        (None, _) => {
            format!("the message `{name}` hands over a body that HAProxy does not wait for")
        }
    };
    let mut finding = Finding::new(&NOT_WAITED, Severity::Warning, message)
        .at(body.given.place())
        .and_at(at.place(), "HAProxy takes here what has come so far");
    if let Some(late) = proxy.rules().find(waits) {
        let why = if is_event { "the event comes before all rules" } else { "comes too late" };
        finding = finding.and_at(late.at.place(), why);
    }
    let option = "option http-buffer-request";
    let edit = if std::ptr::eq(proxy, home) {
        told.filter.at.followed_by(&told.filter.at.indentation(), &[option])
    } else {
        proxy.lines.begun(&[option])
    };
    Some(
        finding
            .consequence(
                "of a body that does not come together with its headers the agent gets 0 bytes or a part, with \
                 HAProxy of every version, and does not copy the request",
            )
            .mend(format!("add `{option}` to `{}`", proxy.name()))
            .edit(edit),
    )
}

/// Whether a frontend's events and rules find the body.
fn has_option(proxy: &Proxy<'_>) -> bool {
    proxy.lines.option("http-buffer-request").is_some()
}

/// Whether the rule at an index of a proxy's lines finds the body.
fn before_rule(setup: &Setup<'_>, proxy: &Proxy<'_>, index: usize) -> bool {
    let waited = proxy.rules().any(|rule| waits(&rule) && rule.index < index);
    // Which frontends come before a backend is not known for sure: any may.
    let frontends = || setup.proxies.iter().filter(|proxy| proxy.kind != ProxyKind::Backend);
    has_option(proxy)
        || waited
        || proxy.kind == ProxyKind::Backend
            && frontends().any(|proxy| has_option(proxy) || proxy.rules().any(|rule| waits(&rule)))
}

/// Whether the event of backends finds the body: rules of backends come only after it.
fn before_backend(setup: &Setup<'_>) -> bool {
    setup.proxies.iter().any(|proxy| {
        has_option(proxy)
            || proxy.kind != ProxyKind::Backend && proxy.rules().any(|rule| waits(&rule))
    })
}

fn waits(rule: &Rule<'_>) -> bool {
    rule.set == RuleSet::HttpRequest && rule.action() == b"wait-for-body"
}

fn criteria_of<'a>(proxy: &Proxy<'a>, at: At<'a>) -> Vec<Criterion<'a>> {
    crate::doctor::setup::rule::criteria(at, &proxy.lines.lines)
}

/// Whether one of these lets pass only requests that have no body.
fn is_for_bodiless(criteria: &[Criterion<'_>]) -> bool {
    criteria.iter().any(|criterion| {
        let bodiless = |word: &[u8]| matches!(word, b"GET" | b"HEAD" | b"OPTIONS");
        let mut methods = criterion.patterns().filter(|word| !word.starts_with(b"-")).peekable();
        !criterion.negated
            && criterion.expression() == b"method"
            && methods.peek().is_some()
            && methods.all(|word| bodiless(word) || word == b"str")
    })
}
