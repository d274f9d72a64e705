//! HAProxy in front of production, with or without SPOE.

use std::net::SocketAddr;

use testbed::haproxy::{Guide, Haproxy, Version};

use crate::case::Case;

/// HAProxy as its mirroring guide configures it, with health checks and a short `timeout processing`;
/// pooled connections to production. Without an agent, without the filter.
pub(crate) fn start(
    version: Version,
    case: &Case,
    production: SocketAddr,
    agent: Option<SocketAddr>,
) -> Haproxy {
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

fn without(text: &str, beginning: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(beginning));
    lines.map(|line| format!("{line}\n")).collect()
}
