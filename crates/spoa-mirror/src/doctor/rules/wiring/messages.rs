//! From the agent to its messages.

use super::{REFUSED, Wired, is_certain, list, meant};
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::keywords::misspelt;
use crate::doctor::setup::proxy::ProxyKind;
use crate::doctor::setup::{At, Message};

use haproxy_config::Word;

pub(super) static MESSAGE_UNDEFINED: Code = code!("message-undefined");
pub(super) static MESSAGE_UNLISTED: Code = code!("message-unlisted");
pub(super) static MESSAGE_WITHOUT_EVENT: Code = code!("message-without-event");

pub(super) fn examine(wired: &Wired<'_, '_>, findings: &mut Vec<Finding>) {
    let undefined = undefined(wired);
    // A message that nothing lists may be meant by a list that is wrong, or by an empty one.
    let empty = wired.spoe.groups.iter().any(|group| group.messages().is_empty());
    if undefined.is_empty() && !empty {
        findings.extend(unlisted(wired));
        findings.extend(nothing_listed(wired));
    }
    findings.extend(undefined);
    findings.extend(
        wired.agent.messages().into_iter().filter_map(|(at, word)| {
            without_event(wired, at, word, wired.spoe.message(&word.text)?)
        }),
    );
}

/// Messages that the agent or a group lists and that are not there.
fn undefined(wired: &Wired<'_, '_>) -> Vec<Finding> {
    let agent = format!("agent `{}`", wired.agent_name());
    let by_agent = wired.agent.messages().into_iter().map(|listed| (agent.clone(), listed));
    let by_groups = wired.spoe.groups.iter().flat_map(|group| {
        let name = format!("group `{}`", group.lines.name());
        group.messages().into_iter().map(move |listed| (name.clone(), listed))
    });
    by_agent
        .chain(by_groups)
        .filter(|(_, (_, word))| is_certain(word) && wired.spoe.message(&word.text).is_none())
        .map(|(owner, (at, word))| message_undefined(wired, &owner, at, word))
        .collect()
}

fn message_undefined(wired: &Wired<'_, '_>, owner: &str, at: At<'_>, word: &Word) -> Finding {
    let shown = at.shown(word);
    let finding = Finding::new(
        &MESSAGE_UNDEFINED,
        Severity::Error,
        format!("{owner} lists the message `{shown}`, which is not there"),
    )
    .at(at.place_of(word))
    .consequence(REFUSED);
    let names: Vec<_> = wired.spoe.messages.iter().map(Message::name).collect();
    if let Some(near) = meant(word, names.iter().map(AsRef::as_ref)) {
        return finding.mend(format!("write `{near}`")).edit(at.replaced_word(word, near));
    }
    let elsewhere = wired.document().and_then(|document| {
        let has = |section: &&&haproxy_config::Section| {
            section.name().is_some_and(|name| name.text == word.text)
        };
        let scopes = document.scopes().into_iter();
        scopes.filter_map(|scope| scope.messages.iter().find(has).copied()).next()
    });
    match elsewhere {
        Some(section) => {
            let header = At { file: wired.spoe.file, line: &section.header };
            finding
                .and_at(header.place(), "it is in another scope")
                .mend("put the message into the scope of the agent, or the agent into that of the message")
        }
        None if names.is_empty() => {
            finding.mend(format!("write a `spoe-message {shown}` section with `args` and `event`"))
        }
        None => finding
            .mend(format!("write a section for it, or name one that is there: {}", list(&names))),
    }
}

/// Messages that are there and that HAProxy never sends: nothing lists them.
fn unlisted<'s>(wired: &'s Wired<'_, '_>) -> impl Iterator<Item = Finding> + 's {
    let lists = |message: &Message<'_>, words: Vec<(At<'_>, &Word)>| {
        words.iter().any(|(_, word)| word.text == message.lines.header.text(1))
    };
    let messages = wired.spoe.messages.iter();
    messages
        .filter(move |message| {
            // One in a group that the agent does not list: the group is what is told about.
            let grouped = wired.spoe.groups.iter().any(|group| lists(message, group.messages()));
            !grouped && !lists(message, wired.agent.messages())
        })
        .filter(|_| wired.agent.messages().iter().all(|(_, word)| is_certain(word)))
        .map(|message| message_unlisted(wired, message))
}

fn message_unlisted(wired: &Wired<'_, '_>, message: &Message<'_>) -> Finding {
    let (name, agent) = (message.name(), wired.agent_name());
    let sends = !wired.spoe.sent().is_empty();
    let finding = Finding::new(
        &MESSAGE_UNLISTED,
        if sends { Severity::Warning } else { Severity::Error },
        format!("nothing sends the message `{name}`: agent `{agent}` does not list it"),
    )
    .at(message.lines.header.place())
    .and_at(wired.agent.lines.header.place(), "the agent")
    .consequence(if sends {
        "HAProxy starts without a word about it and never sends this message"
    } else {
        "HAProxy starts, and nothing is mirrored: the agent is never asked"
    });
    let Some(word) = message.lines.header.word(1) else { return finding };
    if message.event().is_none() || !word.references.is_empty() {
        return finding.mend(format!(
            "list it under `messages` of the agent, with an `event` of its own, or under `messages` of a group; \
             remove it if it is not meant to be sent: `messages {name}`"
        ));
    }
    let finding = finding.mend(format!("list it under `spoe-agent {agent}`: `messages {name}`"));
    match wired.agent.lines.last(&["messages"]) {
        Some(at) => finding.edit(at.replaced(&format!("{} {name}", at.statement()))),
        None => finding.edit(wired.agent.lines.begun(&[&format!("messages {name}")])),
    }
}

/// An agent with neither messages nor groups, in a scope without either.
fn nothing_listed(wired: &Wired<'_, '_>) -> Option<Finding> {
    let lists = !wired.agent.messages().is_empty() || !wired.agent.groups().is_empty();
    if lists || !wired.spoe.messages.is_empty() || !wired.spoe.groups.is_empty() {
        return None;
    }
    Some(
        Finding::new(
            &MESSAGE_UNLISTED,
            Severity::Error,
            format!("agent `{}` has no message", wired.agent_name()),
        )
        .at(wired.agent.lines.header.place())
        .consequence(
            "HAProxy starts with a warning, and nothing is mirrored: the agent is never asked",
        )
        .mend("write a `spoe-message` section and list it under `messages` of the agent"),
    )
}

fn without_event(
    wired: &Wired<'_, '_>,
    at: At<'_>,
    word: &Word,
    message: &Message<'_>,
) -> Option<Finding> {
    if message.event().is_some() || misspelt(&message.lines, "event") {
        return None;
    }
    let (name, event) = (message.name(), likely_event(wired, message));
    let others = wired.agent.messages().iter().any(|(_, other)| {
        other.text != word.text
            && wired.spoe.message(&other.text).is_some_and(|other| other.event().is_some())
    });
    let finding = Finding::new(
        &MESSAGE_WITHOUT_EVENT,
        if others { Severity::Warning } else { Severity::Error },
        format!("message `{name}` has no event that sends it"),
    )
    .at(message.lines.header.place())
    .and_at(at.place_of(word), "the agent lists it");
    let warns = "HAProxy starts with a warning and never sends it";
    let finding = finding.consequence(if others {
        warns.to_owned()
    } else {
        format!("{warns}: nothing is mirrored")
    });
    let event = match message.lines.last(&["event"]) {
        // Without a name HAProxy does not start; that is an event that it does not know.
        Some(_) => return None,
        None => format!("event {event}"),
    };
    Some(
        finding
            .mend(format!("say when it is sent: `{event}`"))
            .edit(message.lines.extended(&[&event])),
    )
}

/// When a message is probably meant to be sent.
pub(super) fn likely_event(wired: &Wired<'_, '_>, message: &Message<'_>) -> &'static str {
    let of_response = message.arguments().iter().any(|(_, argument)| {
        argument.expression.starts_with(b"res.") || argument.expression == b"status"
    });
    match wired.proxy.kind {
        _ if of_response => "on-http-response",
        ProxyKind::Backend => "on-backend-http-request",
        ProxyKind::Frontend | ProxyKind::Listen => "on-frontend-http-request",
    }
}
