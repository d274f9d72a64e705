//! What a hung agent costs: `timeout processing`, once or for each event.

use std::time::Duration;

use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::spoe::SpoeAgent;
use crate::doctor::setup::{At, Value};

pub(super) static MISSING: Code = code!("processing-timeout-missing");
pub(super) static LONG: Code = code!("processing-timeout-long");
pub(super) static CONTINUED: Code = code!("continue-on-error");

const TIMEOUT: &[&str] = &["timeout", "processing"];

/// What is recommended: long enough for an agent that is busy, short enough for nobody to notice.
const RECOMMENDED: &str = "20ms";

/// Beyond this a client notices a hung agent.
const LONGEST: Duration = Duration::from_millis(100);

/// Without the timeout, or with 0, HAProxy waits for ever.
pub(super) fn missing(agent: &SpoeAgent<'_>) -> Option<Finding> {
    let name = agent.lines.name();
    let (place, wrong, edit) = match timeout(agent) {
        Some((_, time)) if !time.is_zero() => return None,
        Some((value, _)) => {
            (value.place(), "a `timeout processing` of 0", value.replaced(RECOMMENDED))
        }
        None if agent.lines.last(TIMEOUT).is_some() => return None,
        None => {
            let edit = agent.lines.extended(&[&format!("timeout processing {RECOMMENDED}")]);
            (agent.lines.header.place(), "no `timeout processing`", edit)
        }
    };
    let finding = Finding::new(&MISSING, Severity::Error, format!("agent `{name}` has {wrong}"));
    Some(
        finding
            .at(place)
            .consequence(
                "an agent that hangs makes each client wait for ever, with HAProxy of every version: no request \
                 that is to be mirrored gets an answer any more",
            )
            .mend(format!(
                "add `timeout processing {RECOMMENDED}`: what a hung agent may cost a client"
            ))
            .edit(edit),
    )
}

pub(super) fn long(agent: &SpoeAgent<'_>) -> Option<Finding> {
    let (value, time) = timeout(agent).filter(|(_, time)| *time > LONGEST)?;
    let name = agent.lines.name();
    let message = format!("agent `{name}` has a long `timeout processing`: {}", value.shown());
    Some(
        Finding::new(&LONG, Severity::Warning, message)
            .at(value.place())
            .consequence(format!(
                "an agent that hangs costs each client {} ms, with HAProxy of every version; a request waits for \
                 its copy's receipt before it goes on",
                time.as_millis()
            ))
            .mend(format!(
                "the agent answers within a millisecond; say `timeout processing {RECOMMENDED}`"
            ))
            .edit(value.replaced(RECOMMENDED)),
    )
}

/// With `option continue-on-error` the timeout is paid at each event, not once.
pub(super) fn continued(agent: &SpoeAgent<'_>, occasions: &[At<'_>]) -> Option<Finding> {
    let at = agent.lines.option("continue-on-error")?;
    let (first, rest) = occasions.split_first()?;
    let count = occasions.len();
    if rest.is_empty() {
        return None;
    }
    let cost = match timeout(agent) {
        Some((value, time)) if !time.is_zero() => {
            let each = value.shown();
            let total = time.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
            format!(
                "an agent that hangs costs each client {} ms, {count} times {each}, in place of {} ms, with \
                 HAProxy of every version",
                total.as_millis(),
                time.as_millis()
            )
        }
        _ => format!("an agent that hangs makes each client wait {count} times"),
    };
    let message = format!(
        "agent `{}` goes on after an error, and messages are sent {count} times for a request",
        agent.lines.name()
    );
    let mut finding = Finding::new(&CONTINUED, Severity::Warning, message)
        .at(at.place())
        .and_at(first.place(), "the client waits here");
    for occasion in rest {
        finding = finding.and_at(occasion.place(), "and here");
    }
    Some(
        finding
            .consequence(cost)
            .mend(
                "take the option away: after the first failure the rest of the request is then not mirrored, and \
                 a client pays once",
            )
            .edit(at.removed()),
    )
}

/// The timeout, and what it says, if that can be understood.
fn timeout<'a>(agent: &SpoeAgent<'a>) -> Option<(Value<'a>, Duration)> {
    let value = agent.lines.value(TIMEOUT)?;
    Some((value, value.time()?))
}
