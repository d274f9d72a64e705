//! Keywords that HAProxy does not know, ignores or refuses; many of them depend on its version.

use std::borrow::Cow;

use super::Topic;
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::{At, Lines, Proxy, Setup};
use crate::doctor::versions::keywords::{KEYWORDS, Keyword, Otherwise, Stands};
use crate::doctor::versions::{PROGRAM_HIDDEN, PROGRAM_SECTION};
use crate::nearest::nearest;

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
        findings.extend(lines.lines.iter().filter_map(|at| unknown(lines, at, *section)));
    }
    let lost = KEYWORDS.iter().filter(|keyword| keyword.is_lost_on(setup.version));
    findings.extend(lost.flat_map(|keyword| places.with(keyword, setup)));
    findings.extend(setup.sections.iter().filter_map(|section| program(setup, section)));
}

/// Whether a section of a SPOE file has a line that was probably to be this keyword.
pub(super) fn misspelt(lines: &Lines<'_>, keyword: &str) -> bool {
    let section = SpoeSection::of(lines);
    lines.lines.iter().any(|at| section.misspelt(at) == Some(keyword))
}

/// A kind of section of a SPOE file.
#[derive(Clone, Copy)]
enum SpoeSection {
    Agent,
    Message,
    Group,
}

/// doc/SPOE.txt, section 2.2 to 2.4, of 2.6 to 3.4.
const AGENT: &[&str] = &[
    "groups",
    "log",
    "max-frame-size",
    "max-waiting-frames",
    "maxconnrate",
    "maxerrrate",
    "messages",
    "no",
    "option",
    "register-var-names",
    "timeout",
    "use-backend",
];
const OPTIONS: &[&str] = &[
    "async",
    "continue-on-error",
    "dontlog-normal",
    "force-set-var",
    "pipelining",
    "send-frag-payload",
    "set-on-error",
    "set-process-time",
    "set-total-time",
    "var-prefix",
];
const TIMEOUTS: &[&str] = &["hello", "idle", "processing"];
const MESSAGE: &[&str] = &["acl", "args", "event"];
const GROUP: &[&str] = &["messages"];
const SECTIONS: &[&str] = &["spoe-agent", "spoe-group", "spoe-message"];

impl SpoeSection {
    fn of(lines: &Lines<'_>) -> Self {
        match lines.header.text(0) {
            b"spoe-agent" => Self::Agent,
            b"spoe-group" => Self::Group,
            _ => Self::Message,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Agent => "spoe-agent",
            Self::Message => "spoe-message",
            Self::Group => "spoe-group",
        }
    }

    /// The word of a line that HAProxy does not know there: its index, and those that it does know.
    fn unknown(self, at: &At<'_>) -> Option<(usize, &'static [&'static str])> {
        let known = match self {
            Self::Agent => AGENT,
            Self::Message => MESSAGE,
            Self::Group => GROUP,
        };
        let is = |index: usize, known: &[&str]| {
            known.iter().any(|known| known.as_bytes() == at.text(index))
        };
        if !is(0, known) {
            return Some((0, known));
        }
        if !matches!(self, Self::Agent) {
            return None;
        }
        match (at.text(0), at.text(1)) {
            (b"option", _) if at.word(1).is_some() && !is(1, OPTIONS) => Some((1, OPTIONS)),
            (b"no", b"option") if at.word(2).is_some() && !is(2, OPTIONS) => Some((2, OPTIONS)),
            (b"timeout", _) if at.word(1).is_some() && !is(1, TIMEOUTS) => Some((1, TIMEOUTS)),
            _ => None,
        }
    }

    /// The keyword that a line was probably to begin with.
    fn misspelt(self, at: &At<'_>) -> Option<&'static str> {
        let (0, known) = self.unknown(at)? else { return None };
        nearest(&String::from_utf8_lossy(at.text(0)), known.iter().copied())
    }
}

fn unknown(lines: &Lines<'_>, at: &At<'_>, section: SpoeSection) -> Option<Finding> {
    let (index, known) = section.unknown(at)?;
    let word = at.word(index)?;
    if !word.references.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(&word.text);
    let near = nearest(&text, known.iter().copied());
    let of_sections = if index == 0 { nearest(&text, SECTIONS.iter().copied()) } else { None };
    let ignored = matches!(section, SpoeSection::Message);
    // Without arguments, or without its event, a message mirrors nothing.
    let matters = of_sections.is_some() || matches!(near, Some("args" | "event"));
    let kind = match index {
        0 => "keyword",
        _ if at.text(index - 1) == b"timeout" => "timeout",
        _ => "option",
    };
    let finding = Finding::new(
        &KEYWORD_UNKNOWN,
        if ignored && !matters { Severity::Warning } else { Severity::Error },
        format!("`{}` is no {kind} of a `{}` section", at.shown(word), section.name()),
    )
    .at(at.place_of(word))
    .and_at(lines.header.place(), "the section")
    .consequence(match (ignored, matters) {
        (false, _) => REFUSED,
        (true, true) => {
            "HAProxy starts without a word and leaves the line out: the message is not sent, or holds nothing to \
             make a copy of"
        }
        (true, false) => "HAProxy starts without a word and leaves the line out",
    });
    Some(match of_sections.or(near) {
        Some(near) => finding.mend(format!("write `{near}`")).edit(at.replaced_word(word, near)),
        None => finding.mend(format!(
            "remove the line, or put it where it belongs; known here are {}",
            known.join(", ")
        )),
    })
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
                takes_rules(at).then(|| (1..at.line.words.len()).find(is_it)).flatten()
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

fn takes_rules(at: &At<'_>) -> bool {
    matches!(
        at.text(0),
        b"http-request"
            | b"http-response"
            | b"http-after-response"
            | b"tcp-request"
            | b"tcp-response"
    )
}

/// Not `args`: what a message hands over is judged with its other values.
fn takes_fetches(at: &At<'_>) -> bool {
    let others =
        [&b"acl"[..], b"event", b"balance", b"use_backend", b"unique-id-format", b"log-format"];
    takes_rules(at) || others.contains(&at.text(0))
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

/// A `program` section that starts the agent.
fn program(setup: &Setup<'_>, section: &Lines<'_>) -> Option<Finding> {
    if section.header.text(0) != b"program" {
        return None;
    }
    let command = section.last(&["command"]).map_or(Cow::Borrowed(""), |at| at.statement());
    let is_ours = [section.name(), command].iter().any(|text| {
        let text = text.to_ascii_lowercase();
        ["mirror", "shadow"].iter().any(|part| text.contains(part))
    });
    if !is_ours {
        return None;
    }
    let version = setup.version;
    let own_unit = "start the agent by a systemd unit of its own (the package has one), or by the container's init";
    let finding = |severity, message: String| {
        Some(Finding::new(&PROGRAM_REMOVED, severity, message).at(section.header.place()))
    };
    if !PROGRAM_SECTION.may_hold(version) {
        return Some(
            finding(Severity::Error, format!("{version} has no `program` sections any more"))?
                .consequence(format!("{REFUSED}. They were removed in 3.3"))
                .mend(format!("remove the section, and {own_unit}")),
        );
    }
    let exposed = setup.global.iter().any(|at| at.begins(&["expose-deprecated-directives"]));
    if PROGRAM_HIDDEN.holds(version) && !exposed {
        let hidden = finding(
            Severity::Error,
            format!("{version} takes a `program` section only if it is told to"),
        )?
        .consequence(format!("{REFUSED}. 3.3 and later do not start with it in any case"))
        .mend(format!(
            "{own_unit}; for the time being write `expose-deprecated-directives` in `global`"
        ));
        return Some(hidden);
    }
    finding(Severity::Hint, "this `program` section keeps HAProxy from being upgraded".to_owned())
        .map(|finding| {
            finding
                .consequence("HAProxy 3.1 and 3.2 do not start with it unless they are told to, 3.3 and later not at all")
                .mend(format!("before an upgrade remove the section, and {own_unit}"))
        })
}
