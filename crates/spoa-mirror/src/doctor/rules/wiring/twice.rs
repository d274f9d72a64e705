//! Names that may be there once and are there twice.

use std::borrow::Cow;

use haproxy_config::Word;

use super::{REFUSED, Wired, is_active, is_certain};
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::{At, Lines};

pub(super) static NAME_TWICE: Code = code!("name-twice");

pub(super) fn examine(wired: &Wired<'_, '_>, findings: &mut Vec<Finding>) {
    let spoe = wired.spoe;
    let messages: Vec<_> = spoe.messages.iter().map(|message| &message.lines).collect();
    findings.extend(sections("messages", &messages));
    let groups: Vec<_> = spoe.groups.iter().map(|group| &group.lines).collect();
    findings.extend(sections("groups", &groups));
    let agent = format!("agent `{}`", wired.agent_name());
    findings.extend(listed(&agent, "message", &wired.agent.messages()));
    findings.extend(listed(&agent, "group", &wired.agent.groups()));
    let mut of_groups: Vec<(Cow<'_, str>, At<'_>, &Word)> = Vec::new();
    for group in &spoe.groups {
        let name = format!("group `{}`", group.lines.name());
        let messages = group.messages();
        findings.extend(listed(&name, "message", &messages));
        let is_sent =
            |name: &[u8]| wired.agent.groups().iter().any(|(_, listed)| listed.text == name);
        if !is_sent(group.lines.header.text(1)) {
            continue;
        }
        for (at, word) in messages {
            match of_groups.iter().find(|(_, _, known)| known.text == word.text) {
                Some((other, first, known)) if *other != group.lines.name() && is_certain(word) => {
                    findings.push(in_two_groups((at, word), &group.lines, (other, *first, known)));
                }
                Some(_) => {}
                None => of_groups.push((group.lines.name(), at, word)),
            }
        }
    }
}

/// Two filters of a proxy for the same engine.
pub(super) fn engine(wired: &Wired<'_, '_>, findings: &mut Vec<Finding>) {
    let filter = wired.filter;
    let earlier = wired.setup.filters.iter().find(|other| {
        let (this, other_line) = (filter.at.line, other.at.line);
        other.proxy == filter.proxy
            && (other.at.file, other_line.number) < (filter.at.file, this.number)
            && super::id(other) == super::id(filter)
            && is_active(&other.at)
    });
    let Some(earlier) = earlier else { return };
    if !is_active(&filter.at) || filter.engine.is_some_and(|word| !is_certain(word)) {
        return;
    }
    let name = wired.proxy.name();
    findings.push(
        Finding::new(
            &NAME_TWICE,
            Severity::Error,
            format!("`{name}` has two filters for the same engine"),
        )
        .at(filter.at.place())
        .and_at(earlier.at.place(), "the first one")
        .consequence(REFUSED)
        .mend("remove one of them; a second engine needs a scope and a name of its own")
        .edit(filter.at.removed()),
    );
}

/// Sections of the same name.
fn sections(what: &str, all: &[&Lines<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, lines) in all.iter().enumerate() {
        let name = lines.header.text(1);
        let earlier = all.iter().take(index).find(|other| other.header.text(1) == name);
        let certain = lines.header.word(1).is_some_and(is_certain) && is_active(&lines.header);
        let Some(earlier) = earlier.filter(|other| certain && is_active(&other.header)) else {
            continue;
        };
        findings.push(
            Finding::new(
                &NAME_TWICE,
                Severity::Error,
                format!("two {what} of a scope are called `{}`", lines.name()),
            )
            .at(lines.header.place())
            .and_at(earlier.header.place(), "the first one")
            .consequence(REFUSED)
            .mend("give one of them another name, or remove it"),
        );
    }
    findings
}

/// A name that a list has twice.
fn listed(owner: &str, what: &str, names: &[(At<'_>, &Word)]) -> Option<Finding> {
    let (index, (at, word)) = names.iter().enumerate().find(|(index, (at, word))| {
        let earlier = names.iter().take(*index).find(|(_, other)| other.text == word.text);
        earlier.is_some_and(|(earlier, _)| is_active(at) && is_active(earlier)) && is_certain(word)
    })?;
    let first = names.iter().take(index).find(|(_, other)| other.text == word.text)?;
    let others = at.words_from(1).filter(|other| other.span != word.span);
    let rest: Vec<_> = others.map(|other| at.shown(other)).collect();
    let finding = Finding::new(
        &NAME_TWICE,
        Severity::Error,
        format!("{owner} lists the {what} `{}` twice", at.shown(word)),
    )
    .at(at.place_of(word))
    .and_at(first.0.place_of(first.1), "the first time")
    .consequence(REFUSED)
    .mend("list it once");
    Some(finding.edit(if rest.is_empty() {
        at.removed()
    } else {
        at.replaced(&format!("{} {}", String::from_utf8_lossy(at.text(0)), rest.join(" ")))
    }))
}

fn in_two_groups(
    (at, word): (At<'_>, &Word),
    group: &Lines<'_>,
    (other, first, known): (&str, At<'_>, &Word),
) -> Finding {
    Finding::new(
        &NAME_TWICE,
        Severity::Error,
        format!("message `{}` is in the groups `{other}` and `{}`", at.shown(word), group.name()),
    )
    .at(at.place_of(word))
    .and_at(first.place_of(known), "the first time")
    .consequence(REFUSED)
    .mend("a message belongs to one group: write a second message with the same arguments")
}
