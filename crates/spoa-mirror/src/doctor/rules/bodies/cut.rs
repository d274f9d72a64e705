//! Bodies that are cut without the agent's knowing: those whose length nobody states.

use super::passing::{Body, Room};
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::told::{Part, Told};

pub(super) static SIZE_NOT_SENT: Code = code!("body-size-not-sent");

/// What HAProxy keeps free in its buffer by itself, and what the agent reckons with: bytes.
const MAXREWRITE: u64 = 1024;

/// The agent knows a body to be cut by Content-Length, by `req.body_size`, or because it is about as large as
/// HAProxy's buffer. Of a chunked one that is cut elsewhere it has only the second.
pub(super) fn examine(told: &Told<'_, '_>, bodies: &[Body<'_, '_>], room: Room) -> Option<Finding> {
    if told.has(Part::BodySize) {
        return None;
    }
    let body = bodies.iter().find(|body| !body.of_answer)?;
    let maxrewrite = told.setup.maxrewrite();
    let (most, why) = match body.cap {
        // Larger ones are not handed over in the first place.
        Some(cap) if body.admitted.is_some_and(|admitted| admitted <= cap) => return None,
        Some(cap) if cap < room.body() => (cap, format!("`bytes(0,{cap})` cuts")),
        _ if maxrewrite > MAXREWRITE => {
            (room.body(), format!("HAProxy cuts, by `tune.maxrewrite {maxrewrite}`,"))
        }
        _ => return None,
    };
    let (argument, edits) = told.written(Part::BodySize)?;
    let message = format!(
        "{why} bodies, and the message `{}` does not state their size",
        told.message.name()
    );
    let mut finding = Finding::new(&SIZE_NOT_SENT, Severity::Warning, message)
        .at(body.given.place())
        .consequence(format!(
            "a chunked body of more than {most} bytes is copied as if it ended there, with HAProxy of every version"
        ))
        .mend(format!("add `{argument}`: the agent then knows what is cut"))
        .edit(told.with(&[argument]));
    for edit in edits {
        finding = finding.edit(edit);
    }
    Some(finding)
}
