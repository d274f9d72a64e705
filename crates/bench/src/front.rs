//! HAProxy in front of production, with or without SPOE.

use std::net::SocketAddr;

use testbed::haproxy::{Guide, Haproxy, Version};

use crate::case::{Case, Target};

/// Whose configuration hands over production's answers.
const COMPARISON: &str = include_str!("../../../docs/COMPARISON.md");

/// HAProxy as its mirroring guide configures it, with health checks and a short `timeout processing`;
/// pooled connections to production. Without an agent, without the filter.
pub(crate) fn start(
    version: Version,
    case: &Case,
    production: SocketAddr,
    agent: Option<SocketAddr>,
) -> Haproxy {
    if let (Target::Answered | Target::Compared, Some(agent)) = (case.target, agent) {
        return with_answers(version, production, agent);
    }
    let mut guide = Guide::new(production)
        .bufsize(case.bufsize)
        .processing("500ms")
        .production_line("http-reuse always")
        .agents_line("option spop-check")
        .server_options("check inter 2s");
    if version.has_mode_spop() {
        guide = guide.mode_spop();
    }
    let guide = match agent {
        Some(address) => guide.agent(address),
        None => guide,
    };
    let mut config = guide.haproxy_cfg();
    if agent.is_none() {
        config = without(&config, "filter spoe");
        let end = config.find("backend mirroragents").unwrap_or(config.len());
        config.truncate(end);
    }
    // Log lines would be most of what HAProxy does.
    let config = without(&config, "log global");
    let bare = Guide::mirror_conf(&guide);
    Haproxy::builder(version)
        .config(config)
        .file("mirror.conf", without(&bare, "log global"))
        .start()
}

/// HAProxy as docs/COMPARISON.md configures it for one message: for every request, and with what the guide's
/// configuration has above.
fn with_answers(version: Version, production: SocketAddr, agent: SocketAddr) -> Haproxy {
    let (_, section) = COMPARISON.split_once("\n### One message\n").unwrap_or_default();
    let block = |language: &str| {
        let (_, rest) = section.split_once(&format!("```{language}\n")).unwrap_or_default();
        rest.split("```").next().unwrap_or_default().to_owned()
    };
    let (mut config, mut spoe) = (block("haproxy"), block("spoe"));
    for (what, with) in [
        (" if { rand(100) lt 10 } !", " if !".to_owned()),
        ("bind :80", "bind 127.0.0.1:{port:http}".to_owned()),
        ("127.0.0.1:8080", production.to_string()),
        ("backend production\n", "backend production\n    http-reuse always\n".to_owned()),
        (
            "127.0.0.1:12345 check inter 1s fastinter 200ms fall 2",
            format!("{agent} check inter 2s"),
        ),
        ("timeout processing 20ms", "timeout processing 500ms".to_owned()),
    ] {
        config = config.replace(what, &with);
        spoe = spoe.replace(what, &with);
    }
    if version.has_mode_spop() {
        config = config.replace("    mode tcp\n", "    mode spop\n");
    }
    let builder = Haproxy::builder(version).config(without(&config, "log global"));
    builder.file("mirror.conf", without(&spoe, "log global")).start()
}

fn without(text: &str, beginning: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(beginning));
    lines.map(|line| format!("{line}\n")).collect()
}
