//! Keywords that HAProxy does not know, ignores or refuses; many of them depend on its version.

mod program;
mod sections;

use sections::SpoeSection;
pub(super) use sections::misspelt;

use super::Topic;
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::{At, Lines, Proxy, Setup};
use crate::doctor::versions::keywords::{KEYWORDS, Keyword, Otherwise, Stands};

static KEYWORD_UNKNOWN: Code = code!("keyword-unknown");
static KEYWORD_TOO_NEW: Code = code!("keyword-too-new");
static KEYWORD_REMOVED: Code = code!("keyword-removed");
static KEYWORD_IGNORED: Code = code!("keyword-ignored");
static PROGRAM_REMOVED: Code = code!("program-removed");

pub(super) const TOPIC: Topic = Topic {
    codes: &[
        &KEYWORD_UNKNOWN,
        &KEYWORD_TOO_NEW,
        &KEYWORD_REMOVED,
        &KEYWORD_IGNORED,
        &PROGRAM_REMOVED,
    ],
    examine,
};

const REFUSED: &str = "HAProxy does not start; at a reload it goes on with its old configuration";

fn examine(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    if setup.mirrors().next().is_none() {
        return;
    }
    let places = places(setup);
    for (lines, section) in &places.sections {
        findings.extend(lines.lines.iter().filter_map(|at| sections::unknown(lines, at, *section)));
    }
    let lost = KEYWORDS.iter().filter(|keyword| keyword.is_lost_on(setup.version));
    findings.extend(lost.flat_map(|keyword| places.with(keyword, setup)));
    findings.extend(setup.sections.iter().filter_map(|section| program::removed(setup, section)));
}

/// What is looked at: the parts of the files that have to do with mirroring.
struct Places<'s, 'a> {
    global: &'s [At<'a>],
    /// Proxies with a filter, and backends of agents.
    proxies: Vec<&'s Proxy<'a>>,
    agents: Vec<&'s Proxy<'a>>,
    /// The sections of SPOE files.
    sections: Vec<(&'s Lines<'a>, SpoeSection)>,
}

fn places<'s, 'a>(setup: &'s Setup<'a>) -> Places<'s, 'a> {
    let global = &setup.global;
    let mut places =
        Places { global, proxies: Vec::new(), agents: Vec::new(), sections: Vec::new() };
    let add = |proxies: &mut Vec<&'s Proxy<'a>>, proxy: &'s Proxy<'a>| {
        if !proxies.iter().any(|known| std::ptr::eq(*known, proxy)) {
            proxies.push(proxy);
        }
    };
    for filter in setup.mirrors() {
        if let Some(proxy) = setup.proxy_of(filter) {
            add(&mut places.proxies, proxy);
        }
        if let Some(proxy) = setup.agents_of(filter) {
            add(&mut places.proxies, proxy);
            add(&mut places.agents, proxy);
        }
        let Some(spoe) = &filter.spoe else { continue };
        let agent = spoe.agent.iter().map(|agent| &agent.lines);
        let messages = spoe.messages.iter().map(|message| &message.lines);
        let groups = spoe.groups.iter().map(|group| &group.lines);
        for lines in agent.chain(messages).chain(groups) {
            let place = lines.header.place();
            if !places.sections.iter().any(|(known, _)| known.header.place() == place) {
                places.sections.push((lines, SpoeSection::of(lines)));
            }
        }
    }
    places
}

impl<'a> Places<'_, 'a> {
    /// Findings about the lines that have a keyword which this version does not heed.
    fn with(&self, keyword: &'static Keyword, setup: &Setup<'_>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for at in self.lines(keyword.stands) {
            let Some(index) = keyword.stands.find(&at, keyword.words) else { continue };
            let finding = lost(keyword, &at, index, setup);
            if !findings.iter().any(|known| known.place == finding.place) {
                findings.push(finding);
            }
        }
        findings
    }

    fn lines(&self, stands: Stands) -> Vec<At<'a>> {
        let of = |proxies: &[&Proxy<'a>]| -> Vec<At<'a>> {
            proxies.iter().flat_map(|proxy| proxy.lines.lines.iter().copied()).collect()
        };
        let of_sections = |wanted: fn(&SpoeSection) -> bool| {
            let sections = self.sections.iter().filter(move |(_, section)| wanted(section));
            sections.flat_map(|(lines, _)| lines.lines.iter().copied())
        };
        match stands {
            Stands::Global => self.global.to_vec(),
            Stands::Proxy | Stands::Statement => of(&self.proxies),
            Stands::Server => of(&self.agents),
            Stands::Agent => of_sections(|section| matches!(section, SpoeSection::Agent)).collect(),
            Stands::Fetch => {
                let messages = of_sections(|section| matches!(section, SpoeSection::Message));
                of(&self.proxies).into_iter().chain(messages).collect()
            }
        }
    }
}

impl Stands {
    /// The index of the line's word that is, or holds, the keyword.
    fn find(self, at: &At<'_>, words: &[&str]) -> Option<usize> {
        let keyword = words.first().copied().unwrap_or_default();
        match self {
            Self::Global | Self::Proxy | Self::Agent => at.begins(words).then(|| words.len() - 1),
            Self::Statement => {
                let is_it = |index: &usize| {
                    let rest = at.text(*index).strip_prefix(keyword.as_bytes());
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"("))
                };
                at.is_rule().then(|| (1..at.line.words.len()).find(is_it)).flatten()
            }
            Self::Server => {
                let skip = match at.text(0) {
                    b"server" => 3,
                    b"default-server" => 1,
                    _ => return None,
                };
                (skip..at.line.words.len()).find(|index| at.text(*index) == keyword.as_bytes())
            }
            Self::Fetch => takes_fetches(at)
                .then(|| {
                    (1..at.line.words.len())
                        .find(|index| holds(at.text(*index), keyword.as_bytes()))
                })
                .flatten(),
        }
    }
}

/// Not `args`: what a message hands over is judged with its other values.
fn takes_fetches(at: &At<'_>) -> bool {
    let others =
        [&b"acl"[..], b"event", b"balance", b"use_backend", b"unique-id-format", b"log-format"];
    at.is_rule() || others.contains(&at.text(0))
}

/// Whether a text holds a name, not as part of a longer one. A name that ends with a dot is the beginning of many.
fn holds(text: &[u8], name: &[u8]) -> bool {
    let belongs = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte))
    };
    let is_whole = name.last().is_some_and(|byte| byte.is_ascii_alphanumeric());
    (0..text.len()).any(|start| {
        let before = start.checked_sub(1).and_then(|before| text.get(before));
        let rest = text.get(start..).and_then(|rest| rest.strip_prefix(name));
        !belongs(before) && rest.is_some_and(|rest| !(is_whole && belongs(rest.first())))
    })
}

fn lost(keyword: &'static Keyword, at: &At<'_>, index: usize, setup: &Setup<'_>) -> Finding {
    let (version, name) = (setup.version, keyword.words.join(" "));
    let name = name.trim_end_matches('.');
    let versions = keyword.heeded;
    let place = match at.word(index) {
        Some(word) if index > 0 => at.place_of(word),
        _ => at.place(),
    };
    if keyword.is_too_new_for(version) {
        return Finding::new(
            &KEYWORD_TOO_NEW,
            Severity::Error,
            format!("{version} does not know `{name}`"),
        )
        .at(place)
        .consequence(format!("{REFUSED}. It is known {versions}"))
        .mend(keyword.instead);
    }
    match keyword.otherwise {
        Otherwise::Ignores(severity, consequence) => Finding::new(
            &KEYWORD_IGNORED,
            severity,
            format!("{version} takes `{name}` without a word and ignores it"),
        )
        .consequence(format!("{consequence}; it had an effect {versions}")),
        Otherwise::Refuses => Finding::new(
            &KEYWORD_REMOVED,
            Severity::Error,
            format!("{version} no longer knows `{name}`"),
        )
        .consequence(format!("{REFUSED}. It was known {versions}")),
        Otherwise::Warns => {
            Finding::new(&KEYWORD_REMOVED, Severity::Hint, format!("{version} warns of `{name}`"))
                .consequence("a later version will not start with it")
        }
    }
    .at(place)
    .mend(keyword.instead)
    .edit(at.removed())
}

#[cfg(test)]
mod tests;
