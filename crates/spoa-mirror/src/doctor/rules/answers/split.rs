//! The two messages of a request, which must reach the same agent.

use crate::doctor::expression::Expression;
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::told::{Part, Told};
use crate::doctor::setup::{Proxy, Server};
use crate::doctor::versions::BALANCES_MESSAGES;

pub(super) static ANSWERS_SPLIT: Code = code!("answers-split");

pub(super) fn examine(asked: &Told<'_, '_>, answered: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    let setup = asked.setup;
    let Some(backend) = setup.agents_of(asked.filter) else { return };
    // Servers that only stand in for others get nothing as long as those are there.
    let servers: Vec<_> =
        backend.servers().into_iter().filter(|server| server.flag("backup").is_none()).collect();
    let second = servers.get(1);
    let at = match (second, backend.has_templates()) {
        (Some(second), _) => second.at,
        (None, true) => match backend.lines.last(&["server-template"]) {
            Some(at) => at,
            None => return,
        },
        (None, false) => return,
    };
    // Up to 3.0 nothing keeps them together, whatever the backend says.
    if !BALANCES_MESSAGES.may_hold(setup.version) {
        findings.push(found(asked, answered, backend, &servers, at.place()).mend(
            "use the form with one message (docs/COMPARISON.md): it takes any number of agents; or one agent, and \
             the others as `backup`",
        ));
        return;
    }
    if kept_together(asked, backend) {
        return;
    }
    findings.push(by_hash(asked, backend, found(asked, answered, backend, &servers, at.place())));
}

fn found(
    asked: &Told<'_, '_>,
    answered: &Told<'_, '_>,
    backend: &Proxy<'_>,
    servers: &[Server<'_>],
    place: crate::doctor::finding::Place,
) -> Finding {
    let agents = match servers.len() {
        0 | 1 => "several agents".to_owned(),
        many => format!("{many} agents"),
    };
    let versions = BALANCES_MESSAGES.versions;
    let reason = match asked.setup.version.0 {
        Some(_) if BALANCES_MESSAGES.holds(asked.setup.version) => {
            "HAProxy balances each message by itself"
        }
        Some(_) => "HAProxy takes any connection that is free",
        None => "HAProxy takes any connection that is free, or balances each message by itself",
    };
    let since =
        if asked.setup.version.0.is_none() { format!(" ({versions})") } else { String::new() };
    Finding::new(
        &ANSWERS_SPLIT,
        Severity::Warning,
        format!("requests and answers go to any of {agents} in `{}`, each by itself", backend.name()),
    )
    .at(place)
    .and_at(asked.message.lines.header.place(), "this message has the request")
    .and_at(answered.message.lines.header.place(), "and this one the answer")
    .consequence(format!(
        "{reason}{since}, and an agent pairs only what reaches itself: the others count as \
         `without-production` and `without-shadow`; of two agents in turn no request finds its answer"
    ))
}

/// Whether the backend chooses by what both messages have in common.
fn kept_together(asked: &Told<'_, '_>, backend: &Proxy<'_>) -> bool {
    let Some(balance) = backend.lines.last(&["balance", "hash"]) else { return false };
    let text =
        balance.words_from(2).map(|word| word.text.as_slice()).collect::<Vec<_>>().join(&b' ');
    let expression = Expression::parse(&text);
    let Some(variable) = expression.variable() else { return false };
    // A variable of the client's stream, as the agents' stream sees it.
    let Some(name) = variable.strip_prefix("ptxn.") else { return false };
    !asked.setup.setters(asked.filter, &format!("txn.{name}")).is_empty()
}

fn by_hash(asked: &Told<'_, '_>, backend: &Proxy<'_>, finding: Finding) -> Finding {
    let id = asked.part(Part::Id);
    let saved = id.and_then(|given| {
        let expression = given.expression();
        expression.variable().and_then(|variable| variable.strip_prefix("txn.")).map(str::to_owned)
    });
    let versions = BALANCES_MESSAGES.versions;
    let name = saved.clone().unwrap_or_else(|| "mirror_id".to_owned());
    let statement = format!("balance hash var(ptxn.{name})");
    let mut finding = finding.mend(format!(
        "choose the agent by the id ({versions}): `mode spop` and `{statement}` in the backend; before that, use \
         the form with one message (docs/COMPARISON.md)"
    ));
    // A change that HAProxy may not know is not offered as one.
    if !BALANCES_MESSAGES.holds(asked.setup.version) {
        return finding;
    }
    if saved.is_none() {
        let Some(proxy) = asked.setup.proxy_of(asked.filter) else { return finding };
        // Before the event: rules of `http-request` come after it.
        let rule = if asked.sendings.iter().all(|sending| sending.rule.is_some()) {
            "http-request"
        } else {
            "tcp-request content"
        };
        let expression = id.map_or("unique-id".to_owned(), |given| given.shown_expression());
        let at = asked.filter.at;
        let statement = format!("{rule} set-var(txn.{name}) {expression}");
        let first = proxy.lines.own().iter().any(|line| line.line.number == at.line.number);
        if first {
            finding = finding.edit(at.followed_by(&at.indentation(), &[&statement]));
        }
    }
    let own =
        |words: &[&str]| backend.lines.own().iter().rev().find(|at| at.begins(words)).copied();
    let mode = own(&["mode"]);
    let mut missing = Vec::new();
    match mode {
        Some(at) if at.text(1) != b"spop" => finding = finding.edit(at.replaced("mode spop")),
        Some(_) => {}
        None => missing.push("mode spop"),
    }
    match own(&["balance"]) {
        Some(at) => finding = finding.edit(at.replaced(&statement)),
        None => missing.push(&statement),
    }
    if missing.is_empty() { finding } else { finding.edit(backend.lines.begun(&missing)) }
}
