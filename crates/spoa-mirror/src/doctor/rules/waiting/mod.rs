//! How long a client may come to wait: for the agent, and for what is mirrored.

mod answers;
mod connections;
mod processing;
#[cfg(test)]
mod tests;

use super::Topic;
use super::keywords::misspelt;
use crate::doctor::finding::Finding;
use crate::doctor::setup::{At, Sending, Setup};

pub(super) const TOPIC: Topic = Topic {
    codes: &[
        &processing::MISSING,
        &processing::LONG,
        &processing::CONTINUED,
        &connections::HELLO,
        &connections::IDLE,
        &connections::MAXCONN,
        &answers::UNCONDITIONAL,
    ],
    examine,
};

fn examine(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    for filter in setup.mirrors() {
        let Some(agent) = filter.spoe.as_ref().and_then(|spoe| spoe.agent.as_ref()) else {
            continue;
        };
        let sendings = setup.sendings(filter);
        // A timeout with a slip in its name is told of as such.
        if !misspelt(&agent.lines, "processing") {
            findings.extend(processing::missing(agent));
        }
        findings.extend(processing::long(agent));
        findings.extend(processing::continued(agent, &occasions(&sendings)));
        findings.extend(connections::hello(setup, agent));
        findings.extend(connections::idle(setup, agent));
        findings.extend(connections::maxconn(setup, filter));
        findings.extend(answers::unconditional(setup, filter, &sendings));
    }
}

/// Where HAProxy is told to send messages and to wait, once for each wait: an event sends all its messages at
/// once, as a rule does.
fn occasions<'a>(sendings: &[Sending<'_, 'a>]) -> Vec<At<'a>> {
    let mut known = Vec::new();
    let mut occasions = Vec::new();
    for sending in sendings {
        let rule = sending.rule.map(|rule| rule.index);
        if !known.contains(&(sending.moment, rule)) {
            known.push((sending.moment, rule));
            occasions.push(sending.at);
        }
    }
    occasions
}
