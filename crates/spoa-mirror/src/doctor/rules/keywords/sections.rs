//! Words that a section of a SPOE file does not have.

use super::{KEYWORD_UNKNOWN, REFUSED};
use crate::doctor::finding::{Finding, Severity};
use crate::doctor::setup::{At, Lines};
use crate::nearest::nearest;

/// Whether a section of a SPOE file has a word that was probably to be this keyword, option or timeout.
pub(in crate::doctor::rules) fn misspelt(lines: &Lines<'_>, keyword: &str) -> bool {
    let section = SpoeSection::of(lines);
    lines.lines.iter().any(|at| section.misspelt(at) == Some(keyword))
}

/// A kind of section of a SPOE file.
#[derive(Clone, Copy)]
pub(super) enum SpoeSection {
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
    pub(super) fn of(lines: &Lines<'_>) -> Self {
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

    /// The keyword, option or timeout that a line was probably to have.
    fn misspelt(self, at: &At<'_>) -> Option<&'static str> {
        let (index, known) = self.unknown(at)?;
        nearest(&String::from_utf8_lossy(at.text(index)), known.iter().copied())
    }
}

/// One that begins a line, or is the name of its option or timeout.
pub(super) fn unknown(lines: &Lines<'_>, at: &At<'_>, section: SpoeSection) -> Option<Finding> {
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
