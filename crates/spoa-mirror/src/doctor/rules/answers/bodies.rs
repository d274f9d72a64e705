//! The bodies of answers: whether they are there when the message is sent.

use crate::doctor::expression::Expression;
use crate::doctor::finding::{Change, Code, Edit, Finding, Severity, code};
use crate::doctor::rules::told::{Part, Told};
use crate::doctor::setup::{Moment, RuleSet};

pub(super) static RESPONSE_BODY_RACE: Code = code!("response-body-race");

pub(super) fn examine(told: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    let Some(body) = told.part(Part::AnswerBody) else { return };
    if Expression::parse(&body.expression).name() != "res.body" {
        return;
    }
    let Some(home) = told.setup.proxy_of(told.filter) else { return };
    // Rules that wait, in this proxy or another one that the answer passes before.
    let waits = |before: Option<usize>| {
        told.setup.proxies.iter().any(|proxy| {
            let same = std::ptr::eq(proxy, home);
            proxy.rules().any(|rule| {
                let waits = rule.set == RuleSet::HttpResponse && rule.action() == b"wait-for-body";
                waits && (!same || before.is_none_or(|before| rule.index < before))
            })
        })
    };
    for sending in &told.sendings {
        let at_event = match (sending.moment, sending.rule) {
            (Moment::HttpResponse, _) => true,
            (Moment::ResponseRule, Some(rule)) if !waits(Some(rule.index)) => false,
            _ => continue,
        };
        let why = if at_event {
            "`on-http-response` comes before all `http-response` rules, also before those that wait"
        } else {
            "nothing waits for it before the message is sent"
        };
        let finding = Finding::new(
            &RESPONSE_BODY_RACE,
            Severity::Warning,
            format!("the answer's body is handed over as far as it is there by chance: {why}"),
        )
        .at(body.place())
        .and_at(sending.at.place(), "the message is sent here")
        .consequence(
            "of an answer whose body comes in a segment of its own the agent gets an empty body or a part: such a \
             pair is never counted as the same",
        );
        let statement = format!(
            "http-response wait-for-body time 1m if {{ res.fhdr(content-length) -m int le {} }}",
            fitting(told)
        );
        findings.push(if at_event {
            finding.mend(format!(
                "send the message by a rule, `http-response send-spoe-group`, behind `{statement}`"
            ))
        } else {
            let at = sending.at;
            let lines = vec![
                format!("{}{statement}", at.indentation()),
                String::from_utf8_lossy(at.line.raw.trim_ascii_end()).into_owned(),
            ];
            finding.mend("wait for bodies whose length is known and fits the buffer").edit(Edit {
                file: at.file,
                line: at.line.number,
                change: Change::Replace(lines),
            })
        });
        return;
    }
}

/// The largest body that fits HAProxy's buffer with its headers, in a round number, bytes.
fn fitting(told: &Told<'_, '_>) -> u64 {
    let room = told.setup.bufsize().saturating_sub(told.setup.maxrewrite());
    room.saturating_mul(9) / 10 / 1000 * 1000
}
