//! Whether filters, engines, agents, messages, groups and backends find each other.

mod backend;
mod declared;
mod events;
mod filter;
mod groups;
mod messages;
mod twice;

use std::borrow::Cow;

use haproxy_config::{Document, Presence, Word};

use super::Topic;
use crate::doctor::finding::Finding;
use crate::doctor::setup::{At, Filter, Proxy, Setup, Spoe, SpoeAgent};
use crate::nearest::nearest;

pub(super) const TOPIC: Topic = Topic {
    codes: &[
        &filter::ENGINE_MISSING,
        &filter::SCOPE_MISSING,
        &filter::AGENT_MISSING,
        &filter::AGENTS_SEVERAL,
        &filter::AGENT_NAME_UNUSABLE,
        &twice::NAME_TWICE,
        &declared::FILTER_UNDECLARED,
        &messages::MESSAGE_UNDEFINED,
        &messages::MESSAGE_UNLISTED,
        &messages::MESSAGE_WITHOUT_EVENT,
        &events::EVENT_UNKNOWN,
        &events::EVENT_NEVER_HAPPENS,
        &groups::GROUP_UNDEFINED,
        &groups::GROUP_UNLISTED,
        &groups::GROUP_EMPTY,
        &groups::GROUP_NEVER_SENT,
        &groups::GROUP_WRONG_ENGINE,
        &groups::GROUP_FROM_OTHER_PROXY,
        &groups::GROUP_FROM_WRONG_RULES,
        &backend::USE_BACKEND_MISSING,
        &backend::USE_BACKEND_UNKNOWN,
        &backend::BACKEND_MODE,
        &backend::MODE_SPOP_TOO_NEW,
        &backend::BACKEND_WITHOUT_SERVER,
        &backend::AGENT_GETS_PROXY_HEADER,
    ],
    examine,
};

/// What comes of mistakes that HAProxy refuses.
const REFUSED: &str = "HAProxy does not start; at a reload it goes on with its old configuration";

fn examine(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    let mut told = Vec::new();
    for filter in setup.mirrors() {
        let Some(proxy) = setup.proxy_of(filter) else { continue };
        if let Some(finding) = filter::unfound(setup, filter) {
            findings.push(finding);
            continue;
        }
        let Some(spoe) = &filter.spoe else { continue };
        let Some(agent) = &spoe.agent else {
            findings.push(filter::agent_missing(setup, filter, spoe.file));
            continue;
        };
        let wired = Wired { setup, filter, proxy, spoe, agent };
        // What filters of several proxies share is told once.
        let shared = (spoe.file, filter.engine.map(|word| &word.text));
        if !told.contains(&shared) {
            told.push(shared);
            filter::examine(&wired, findings);
            twice::examine(&wired, findings);
            messages::examine(&wired, findings);
            backend::examine(&wired, findings);
            groups::listed(&wired, findings);
        }
        events::examine(&wired, findings);
        declared::examine(&wired, findings);
        twice::engine(&wired, findings);
    }
    groups::sent(setup, findings);
    // Several proxies inherit a line, or share an engine.
    let mut seen = Vec::new();
    findings.retain(|finding| {
        let key = (finding.code, finding.place.clone(), finding.message.clone());
        let new = !seen.contains(&key);
        if new {
            seen.push(key);
        }
        new
    });
}

/// A filter whose engine has an agent, with what it takes from the setup.
struct Wired<'s, 'a> {
    setup: &'s Setup<'a>,
    filter: &'s Filter<'a>,
    proxy: &'s Proxy<'a>,
    spoe: &'s Spoe<'a>,
    agent: &'s SpoeAgent<'a>,
}

impl<'a> Wired<'_, 'a> {
    /// The SPOE file.
    fn document(&self) -> Option<&'a Document> {
        self.setup.files.files.get(self.spoe.file).map(|file| &file.document)
    }

    /// The agent's name as it is written.
    fn agent_name(&self) -> Cow<'a, str> {
        self.agent.lines.name()
    }
}

/// By what name rules know a filter: its engine, or else its agent.
fn id<'a>(filter: &Filter<'a>) -> Option<&'a [u8]> {
    let agent = || Some(filter.spoe.as_ref()?.agent.as_ref()?.lines.header.text(1));
    filter.engine.map(|word| word.text.as_slice()).or_else(agent)
}

/// Whether HAProxy certainly reads this word as it is understood here: a variable may have another value there.
fn is_certain(word: &Word) -> bool {
    word.references.iter().all(|reference| reference.set)
}

/// Whether HAProxy certainly takes the line.
fn is_active(at: &At<'_>) -> bool {
    at.line.presence == Presence::Active
}

/// The name that was probably meant by a word.
fn meant<'k>(word: &Word, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    nearest(&String::from_utf8_lossy(&word.text), known)
}

/// Names for people: `a`, `b` and `c`.
fn list(names: &[Cow<'_, str>]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests;
