//! Whether the events of messages exist, and come to pass where the filter is.

use super::messages::likely_event;
use super::{REFUSED, Wired, is_certain, meant};
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::proxy::ProxyKind;
use crate::doctor::setup::{Event, Message, Proxy, Setup};

pub(super) static EVENT_UNKNOWN: Code = code!("event-unknown");
pub(super) static EVENT_NEVER_HAPPENS: Code = code!("event-never-happens");

/// doc/SPOE.txt, section 2.3.
const EVENTS: &[&str] = &[
    "on-client-session",
    "on-server-session",
    "on-frontend-tcp-request",
    "on-backend-tcp-request",
    "on-tcp-response",
    "on-frontend-http-request",
    "on-backend-http-request",
    "on-http-response",
];

/// Those that a filter in a backend is too late for, and what it can have instead.
const OF_FRONTENDS: &[(&str, &str)] = &[
    ("on-client-session", "on-backend-tcp-request"),
    ("on-frontend-tcp-request", "on-backend-tcp-request"),
    ("on-frontend-http-request", "on-backend-http-request"),
];

/// Those that only HTTP has.
const OF_HTTP: &[&str] =
    &["on-frontend-http-request", "on-backend-http-request", "on-http-response"];

pub(super) fn examine(wired: &Wired<'_, '_>, findings: &mut Vec<Finding>) {
    for message in &wired.spoe.messages {
        // HAProxy reads messages that nothing lists as well.
        let Some(line) = message.lines.last(&["event"]) else { continue };
        let Some(event) = message.event() else {
            findings.push(
                Finding::new(
                    &EVENT_UNKNOWN,
                    Severity::Error,
                    format!("message `{}` does not say which event", message.name()),
                )
                .at(line.place())
                .consequence(REFUSED)
                .mend("name the event")
                .edit(line.replaced(&format!("event {}", likely_event(wired, message)))),
            );
            continue;
        };
        if !is_certain(event.name) {
            continue;
        }
        if !EVENTS.iter().any(|known| known.as_bytes() == event.name.text) {
            findings.push(unknown(wired, message, event));
        } else if wired
            .agent
            .messages()
            .iter()
            .any(|(_, word)| word.text == message.lines.header.text(1))
        {
            findings.extend(never_happens(wired, message, event));
        }
    }
}

fn unknown(wired: &Wired<'_, '_>, message: &Message<'_>, event: Event<'_>) -> Finding {
    let shown = event.at.shown(event.name);
    // `on-http-request` is nearer to `on-http-response` than to what is meant.
    let is_request = event.name.text.ends_with(b"http-request");
    let near = match meant(event.name, EVENTS.iter().copied()) {
        Some(near) if near.ends_with("request") == is_request => near,
        _ => likely_event(wired, message),
    };
    Finding::new(
        &EVENT_UNKNOWN,
        Severity::Error,
        format!("there is no event `{shown}`, which message `{}` waits for", message.name()),
    )
    .at(event.at.place_of(event.name))
    .consequence(format!("{REFUSED}. Events are called {}", EVENTS.join(", ")))
    .mend(format!("write `event {near}`"))
    .edit(event.at.replaced_word(event.name, near))
}

fn never_happens(
    wired: &Wired<'_, '_>,
    message: &Message<'_>,
    event: Event<'_>,
) -> Option<Finding> {
    let name = String::from_utf8_lossy(&event.name.text);
    let too_late = OF_FRONTENDS.iter().find(|(of_frontend, _)| *of_frontend == name);
    let too_late = too_late.filter(|_| wired.proxy.kind == ProxyKind::Backend);
    let is_http = OF_HTTP.contains(&name.as_ref());
    let without_http = is_http && too_late.is_none() && never_http(wired.setup, wired.proxy);
    if too_late.is_none() && !without_http {
        return None;
    }
    let proxy = wired.proxy.name();
    let sends_more = !wired.agent.groups().is_empty() || wired.agent.messages().len() > 1;
    let nothing = if sends_more { "this message is never sent" } else { "nothing is mirrored" };
    let finding = Finding::new(
        &EVENT_NEVER_HAPPENS,
        if sends_more { Severity::Warning } else { Severity::Error },
        match too_late {
            Some(_) => format!(
                "`{name}` of message `{}` is over before a request reaches backend `{proxy}`",
                message.name()
            ),
            None => format!(
                "`{name}` of message `{}` never happens in `{proxy}`, which is in `mode tcp`",
                message.name()
            ),
        },
    )
    .at(event.at.place_of(event.name))
    .and_at(wired.filter.at.place(), "the filter");
    Some(match too_late {
        Some((_, instead)) => {
            let instead = if is_http { instead } else { &likely_event(wired, message) };
            finding
                .consequence(format!("HAProxy starts with a warning, and {nothing}"))
                .mend(format!("write `event {instead}`, or move the filter to the frontend"))
                .edit(event.at.replaced_word(event.name, instead))
        }
        None => {
            let finding = match wired.proxy.mode().1 {
                Some(value) => finding.and_at(value.place(), "the mode"),
                None => {
                    finding.and_at(wired.proxy.lines.header.place(), "the default is `mode tcp`")
                }
            };
            finding.consequence(format!("HAProxy starts without a word, and {nothing}")).mend(
                "if it is HTTP, write `mode http` there and in its backends; other traffic cannot be mirrored",
            )
        }
    })
}

/// Whether connections of a proxy are certainly never HTTP: neither its own mode nor that of a backend that they
/// may go to says so.
pub(super) fn never_http(setup: &Setup<'_>, proxy: &Proxy<'_>) -> bool {
    let is_tcp = |proxy: &Proxy<'_>| {
        let (mode, value) = proxy.mode();
        mode == b"tcp" && value.is_none_or(|value| is_certain(value.word))
    };
    if !is_tcp(proxy) || proxy.kind == ProxyKind::Backend {
        return is_tcp(proxy);
    }
    let chosen = proxy.lines.all(&["use_backend"]).chain(proxy.lines.all(&["default_backend"]));
    let mut backends = chosen.map(|at| at.word(1).and_then(|word| setup.backend(&word.text)));
    // A name that is made of the request may be that of any backend.
    backends.all(|backend| backend.is_some_and(is_tcp))
}
