//! Whether bodies are waited for, and which sizes pass.

mod cut;
mod frames;
mod passing;
mod saved;
mod sizes;
#[cfg(test)]
mod tests;
mod waits;

use super::Topic;
use super::told::told;
use crate::doctor::finding::Finding;
use crate::doctor::setup::{Filter, Setup};
use crate::doctor::versions::FRAGMENTS;

pub(super) const TOPIC: Topic = Topic {
    codes: &[
        &frames::CLIPPED,
        &waits::NOT_WAITED,
        &sizes::BUFFER,
        &sizes::IN_VAIN,
        &frames::OVER,
        &frames::FRAGMENTS_OFF,
        &saved::VARIABLES,
        &cut::SIZE_NOT_SENT,
    ],
    examine,
};

fn examine(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    for filter in setup.mirrors() {
        let Some(agent) = filter.spoe.as_ref().and_then(|spoe| spoe.agent.as_ref()) else {
            continue;
        };
        let room = passing::Room::of(setup, agent);
        let refused = frames::refused(setup, agent);
        let is_refused = refused.is_some();
        findings.extend(refused);
        for told in told(setup, filter) {
            let bodies = passing::bodies(&told, room);
            findings.extend(waits::examine(&told, &bodies));
            let larger = sizes::examine(&told, &bodies, room);
            // One cause, one finding: what the buffer does not hold reaches no frame.
            let explained = is_refused || larger.is_some();
            findings.extend(larger);
            if !explained {
                findings.extend(frames::examine(&told, agent, &bodies, room));
            }
            findings.extend(saved::examine(setup, &bodies));
            findings.extend(cut::examine(&told, &bodies, room));
        }
    }
}

/// The largest request body that all messages of a filter hand over whole, in bytes; `None` where none hands over
/// any.
pub(crate) fn largest(setup: &Setup<'_>, filter: &Filter<'_>) -> Option<u64> {
    let agent = filter.spoe.as_ref()?.agent.as_ref()?;
    let room = passing::Room::of(setup, agent);
    let messages = told(setup, filter);
    let largest = messages.iter().filter_map(|told| {
        let bodies = passing::bodies(told, room);
        let body = bodies.iter().find(|body| !body.of_answer)?;
        let others = bodies.iter().filter(|body| body.of_answer).map(passing::Body::most).sum();
        let in_frame = room.frame.saturating_sub(frames::heads(told)).saturating_sub(others);
        // What is larger than a frame comes in fragments.
        let fragments =
            FRAGMENTS.holds(setup.version) && agent.lines.no_option("send-frag-payload").is_none();
        Some(if fragments { body.most() } else { body.most().min(in_frame) })
    });
    largest.min()
}
