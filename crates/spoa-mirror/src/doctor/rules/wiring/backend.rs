//! From the agent to the backend with its servers.

use std::borrow::Cow;

use super::{REFUSED, Wired, is_active, is_certain, list, meant};
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::keywords::misspelt;
use crate::doctor::setup::lines::shown;
use crate::doctor::setup::proxy::ProxyKind;
use crate::doctor::setup::{At, Proxy, Setup, Value};
use crate::doctor::versions::{DISABLED_BACKEND_WAITS, MODE_SPOP, PROXY_HEADER_TO_AGENTS};

pub(super) static USE_BACKEND_MISSING: Code = code!("use-backend-missing");
pub(super) static USE_BACKEND_UNKNOWN: Code = code!("use-backend-unknown");
pub(super) static BACKEND_MODE: Code = code!("backend-mode");
pub(super) static MODE_SPOP_TOO_NEW: Code = code!("mode-spop-too-new");
pub(super) static BACKEND_WITHOUT_SERVER: Code = code!("backend-without-server");
pub(super) static AGENT_GETS_PROXY_HEADER: Code = code!("agent-gets-proxy-header");

pub(super) fn examine(wired: &Wired<'_, '_>, findings: &mut Vec<Finding>) {
    let Some(named) = wired.agent.lines.value(&["use-backend"]) else {
        findings.extend(use_backend_missing(wired));
        return;
    };
    if !is_certain(named.word) {
        return;
    }
    match wired.setup.backend(named.text()) {
        None => findings.push(use_backend_unknown(wired, named)),
        Some(backend) => {
            let mode = mode(wired, backend, named);
            // A mode that HAProxy refuses is worth more than what would come behind it.
            if mode.is_none() {
                findings.extend(without_server(wired, backend, named));
                sends_proxy(wired, backend, findings);
            }
            findings.extend(mode);
        }
    }
}

fn use_backend_missing(wired: &Wired<'_, '_>) -> Option<Finding> {
    let lines = &wired.agent.lines;
    if misspelt(lines, "use-backend") {
        return None;
    }
    let finding = Finding::new(
        &USE_BACKEND_MISSING,
        Severity::Error,
        format!("agent `{}` does not say which backend its servers are in", wired.agent_name()),
    )
    .at(lines.last(&["use-backend"]).unwrap_or(lines.header).place())
    .consequence(REFUSED);
    Some(match likely(wired.setup) {
        None => finding.mend(
            "write a backend in `mode tcp` with the agent's address as a `server`, and name it by `use-backend`",
        ),
        Some(backend) => {
            let statement = format!("use-backend {}", backend.name());
            let edit = match lines.last(&["use-backend"]) {
                Some(at) => at.replaced(&statement),
                None => lines.extended(&[&statement]),
            };
            finding
                .and_at(backend.lines.header.place(), "looks like the agents' backend")
                .mend(format!("write `{statement}`"))
                .edit(edit)
        }
    })
}

fn use_backend_unknown(wired: &Wired<'_, '_>, named: Value<'_>) -> Finding {
    let setup = wired.setup;
    let finding = Finding::new(
        &USE_BACKEND_UNKNOWN,
        Severity::Error,
        format!(
            "agent `{}` uses the backend `{}`, which is not there",
            wired.agent_name(),
            named.shown()
        ),
    )
    .at(named.place())
    .consequence(REFUSED);
    let frontend = setup.proxies.iter().find(|proxy| proxy.lines.header.text(1) == named.text());
    let finding = match frontend {
        Some(frontend) => finding.and_at(frontend.lines.header.place(), "this is a frontend"),
        None => finding,
    };
    let names: Vec<Cow<'_, str>> = candidates(setup).map(Proxy::name).collect();
    // A backend of agents first: `app-mirror` is nearer to `app` than to `mirror-agents`.
    let near = meant(named.word, names.iter().map(AsRef::as_ref))
        .map(str::to_owned)
        .or_else(|| likely(setup).map(|backend| backend.name().into_owned()));
    match near {
        Some(near) => {
            finding.mend(format!("write `use-backend {near}`")).edit(named.replaced(&near))
        }
        None if names.is_empty() => finding.mend(format!(
            "write a `backend {}` in `mode tcp` with the agent's address as a `server`",
            named.shown()
        )),
        None => finding.mend(format!("name the one that holds the agents: {}", list(&names))),
    }
}

fn mode(wired: &Wired<'_, '_>, backend: &Proxy<'_>, named: Value<'_>) -> Option<Finding> {
    let (mode, value) = backend.mode();
    let name = backend.name();
    if mode == b"tcp" || value.is_some_and(|value| !is_certain(value.word)) {
        return None;
    }
    let version = wired.setup.version;
    let knows_spop = MODE_SPOP.may_hold(version);
    if mode == b"spop" && knows_spop {
        return None;
    }
    let place = value.map_or_else(|| backend.lines.header.place(), |value| value.place());
    let own = value.filter(|value| backend.lines.own().iter().any(|at| is_same(at, &value.at)));
    let finding = if mode == b"spop" {
        Finding::new(
            &MODE_SPOP_TOO_NEW,
            Severity::Error,
            format!("{version} does not know `mode spop` of backend `{name}`"),
        )
        .consequence(format!(
            "{REFUSED}. `mode spop` came with 3.1; `mode tcp` does the same in all versions"
        ))
    } else {
        let shown = value.map_or(Cow::Borrowed("http"), |value| value.shown());
        let inherited = if own.is_none() { ", which it inherits" } else { "" };
        Finding::new(
            &BACKEND_MODE,
            Severity::Error,
            format!("backend `{name}` holds the agents and is in `mode {shown}`{inherited}"),
        )
        .consequence(format!("{REFUSED}: agents speak SPOP, not HTTP"))
    };
    let finding = finding
        .at(place)
        .and_at(named.place(), "the agent uses it")
        .mend(format!("write `mode tcp` in `{name}`"));
    Some(match own {
        Some(own) => finding.edit(own.replaced("tcp")),
        None => finding.edit(backend.lines.begun(&["mode tcp"])),
    })
}

fn is_same(one: &At<'_>, other: &At<'_>) -> bool {
    one.file == other.file && one.line.number == other.line.number
}

fn without_server(wired: &Wired<'_, '_>, backend: &Proxy<'_>, named: Value<'_>) -> Option<Finding> {
    let name = backend.name();
    let finding = |message: String| {
        Finding::new(&BACKEND_WITHOUT_SERVER, Severity::Error, message)
            .at(backend.lines.header.place())
            .and_at(named.place(), "the agent uses it")
    };
    if let Some(at) = backend.lines.last(&["disabled"]).filter(is_active) {
        let waits =
            wired.agent.lines.value(&["timeout", "processing"]).and_then(|value| value.time());
        let waits =
            waits.map_or_else(|| "for ever".to_owned(), |time| format!("for {}", shown(time)));
        return Some(
            finding(format!("backend `{name}`, which holds the agents, is `disabled`"))
                .at(at.place())
                .consequence(if DISABLED_BACKEND_WAITS.may_hold(wired.setup.version) {
                    format!(
                        "HAProxy starts without a word, and nothing is mirrored; {} each request waits {waits} \
                         (`timeout processing`)",
                        DISABLED_BACKEND_WAITS.versions
                    )
                } else {
                    "HAProxy starts without a word, and nothing is mirrored".to_owned()
                })
                .mend("remove `disabled`; to switch mirroring off, take out the `filter` line")
                .edit(at.removed()),
        );
    }
    let servers = backend.servers();
    if backend.has_templates() || servers.iter().any(|server| server.flag("disabled").is_none()) {
        return None;
    }
    Some(match servers.first() {
        None => finding(format!("backend `{name}`, which holds the agents, has no server"))
            .consequence(
                "HAProxy starts without a word, and nothing is mirrored until a server is added by the Runtime API",
            )
            .mend(
                "name the agent's address: `server agent1 127.0.0.1:12345 check inter 1s fastinter 200ms fall 2`",
            ),
        Some(first) => {
            finding(format!("backend `{name}`, which holds the agents, has only servers that are `disabled`"))
                .at(first.flag("disabled").unwrap_or(first.at).place())
                .consequence(
                    "HAProxy starts without a word, and nothing is mirrored until one is enabled by the Runtime API",
                )
                .mend("remove `disabled` from a server")
        }
    })
}

/// Servers that get a PROXY protocol header, which no agent understands.
fn sends_proxy(wired: &Wired<'_, '_>, backend: &Proxy<'_>, findings: &mut Vec<Finding>) {
    if !PROXY_HEADER_TO_AGENTS.may_hold(wired.setup.version) {
        return;
    }
    let waits = wired.agent.lines.value(&["timeout", "processing"]).and_then(|value| value.time());
    let waits = waits.map_or_else(|| "for ever".to_owned(), |time| format!("for {}", shown(time)));
    for server in backend.servers() {
        let options = ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn"];
        let Some((option, at)) =
            options.iter().find_map(|option| server.flag(option).map(|at| (option, at)))
        else {
            continue;
        };
        let Some(word) = at.line.words.iter().find(|word| word.text == option.as_bytes()) else {
            continue;
        };
        let rest: Vec<_> = at
            .line
            .words
            .iter()
            .filter(|other| other.span != word.span)
            .map(|word| at.shown(word))
            .collect();
        findings.push(
            Finding::new(
                &AGENT_GETS_PROXY_HEADER,
                Severity::Error,
                format!("`{option}` puts a PROXY header before what server `{}` is told", server.name()),
            )
            .at(at.place_of(word))
            .consequence(format!(
                "the agent does not understand the header: nothing is mirrored, and {}; HAProxy does this {}",
                match server.flag("check") {
                    Some(_) => "its health check fails".to_owned(),
                    None => format!("each request waits {waits} (`timeout processing`)"),
                },
                PROXY_HEADER_TO_AGENTS.versions
            ))
            .mend(format!("remove `{option}`"))
            .edit(at.replaced(&rest.join(" "))),
        );
    }
}

/// Backends that could hold agents.
fn candidates<'s, 'a>(setup: &'s Setup<'a>) -> impl Iterator<Item = &'s Proxy<'a>> {
    setup.proxies.iter().filter(|proxy| {
        proxy.kind != ProxyKind::Frontend && matches!(proxy.mode().0, b"tcp" | b"spop")
    })
}

/// The backend that looks like that of the agents: the only one not for HTTP, or one that is called so.
fn likely<'s, 'a>(setup: &'s Setup<'a>) -> Option<&'s Proxy<'a>> {
    let called = |proxy: &&Proxy<'_>| {
        let name = proxy.name().to_ascii_lowercase();
        ["mirror", "shadow", "spo"].iter().any(|part| name.contains(part))
    };
    let mut found = candidates(setup).filter(called);
    match (found.next(), found.next()) {
        (Some(one), None) => return Some(one),
        (Some(_), Some(_)) => return None,
        (None, _) => {}
    }
    let mut all = candidates(setup);
    all.next().filter(|_| all.next().is_none())
}
