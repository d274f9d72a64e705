//! Waiting for the bodies of production's answers, which a client pays with its own patience.

use crate::doctor::expression::Expression;
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::rule::criteria;
use crate::doctor::setup::{Criterion, Filter, Proxy, Rule, RuleSet, Sending, Setup, lines};

pub(super) static UNCONDITIONAL: Code = code!("response-wait-unconditional");

/// `http-response wait-for-body` that nothing keeps from waiting for an answer that comes slowly: it has no
/// condition, or one that looks at the request only.
pub(super) fn unconditional(
    setup: &Setup<'_>,
    filter: &Filter<'_>,
    sendings: &[Sending<'_, '_>],
) -> Vec<Finding> {
    // In a configuration that hands over no answers it is there for something else.
    let hands_over_bodies = sendings.iter().any(|sending| {
        let arguments = sending.message.arguments();
        arguments.iter().any(|(_, argument)| argument.expression.starts_with(b"res.body"))
    });
    let Some(proxy) = setup.proxy_of(filter).filter(|_| hands_over_bodies) else {
        return Vec::new();
    };
    let rules = proxy.rules();
    let waits =
        rules.filter(|rule| rule.set == RuleSet::HttpResponse && rule.action() == b"wait-for-body");
    waits.filter_map(|rule| judge(setup, filter, proxy, &rule)).collect()
}

fn judge<'a>(
    setup: &Setup<'a>,
    filter: &Filter<'a>,
    proxy: &Proxy<'a>,
    rule: &Rule<'a>,
) -> Option<Finding> {
    let at = rule.at;
    let is_conditional = at.position("if").or_else(|| at.position("unless")).is_some();
    let criteria = criteria(at, &proxy.lines.lines);
    // A condition of which nothing is known, such as an ACL that HAProxy defines, may look at the answer.
    let unknown = is_conditional && criteria.is_empty();
    if unknown || criteria.iter().any(|criterion| looks_at_answers(setup, filter, criterion)) {
        return None;
    }
    let name = proxy.name();
    let message = if is_conditional {
        format!("`{name}` waits for bodies of answers by a condition that looks at no answer")
    } else {
        format!("`{name}` waits for the body of every answer")
    };
    let time = at.position("time").and_then(|index| at.word(index + 1));
    let consequence = match time.and_then(|word| lines::time(&word.text)) {
        Some(time) => format!(
            "an answer whose body is not there after {} ms, and does not fill the buffer, becomes a 504 for the \
             client, with HAProxy of every version: event streams, long polls, slow reports",
            time.as_millis()
        ),
        None => "an answer whose body comes slowly becomes a 504 for the client".to_owned(),
    };
    let condition = format!("{{ res.fhdr(content-length) -m int le {} }}", fitting(setup));
    let statement = at.statement();
    let finding = Finding::new(&UNCONDITIONAL, Severity::Warning, message)
        .at(at.place())
        .consequence(consequence)
        .mend("wait only for answers whose length is known and fits HAProxy's buffer");
    // What is joined by `or`, or turned by `unless`, is not mended by one more condition.
    let joined = ["or", "||", "unless"].iter().any(|word| at.position(word).is_some());
    Some(match (is_conditional, joined) {
        (false, _) => finding.edit(at.replaced(&format!("{statement} if {condition}"))),
        (true, false) => finding.edit(at.replaced(&format!("{statement} {condition}"))),
        (true, true) => finding,
    })
}

/// Whether it has to do with the answer: by itself, or by a variable that a rule for answers sets.
fn looks_at_answers<'a>(setup: &Setup<'a>, filter: &Filter<'a>, criterion: &Criterion<'a>) -> bool {
    let expression = Expression::parse(criterion.expression());
    match expression.variable() {
        Some(variable) => setup
            .setters(filter, variable)
            .iter()
            .any(|setter| setter.rule.is_none_or(|rule| rule.set >= RuleSet::TcpResponse)),
        None => {
            let name = expression.name();
            name.starts_with("res.")
                || name.starts_with("capture.res")
                || name.starts_with("status")
        }
    }
}

/// The length of an answer's body that HAProxy's buffer surely holds, in bytes.
fn fitting(setup: &Setup<'_>) -> u64 {
    let room = setup.bufsize().saturating_sub(setup.maxrewrite() + 4096);
    room / 1000 * 1000
}
