//! The files, out of templates.

use std::path::Path;

use askama::Template;

use super::patch::Patched;
use super::plan::{Agent, Plan, ROOM};
use super::quote;
use crate::doctor::setup::lines::shown;
use crate::doctor::versions;

/// A file that is written.
pub(super) struct Generated {
    /// Its path in the output directory.
    pub(super) name: String,
    /// Where it goes, in words or as a path.
    pub(super) goes: String,
    pub(super) text: Vec<u8>,
}

#[derive(Template)]
#[template(path = "init/global.txt", escape = "none")]
struct Global {
    compare: bool,
    body: u64,
    room: u64,
    bufsize: u64,
}

#[derive(Template)]
#[template(path = "init/backend.txt", escape = "none")]
struct Backend<'a> {
    spop: bool,
    /// Whether HAProxy keeps, or may keep, the connections to an agent that it found hanging.
    kept: bool,
    by_name: bool,
    agents: &'a [Agent],
}

#[derive(Template)]
#[template(path = "init/frontend.txt", escape = "none")]
struct Frontend<'a> {
    conf: String,
    /// Further filters that the frontend then needs.
    filters: &'a [String],
    share: String,
    compare: bool,
    body: u64,
}

#[derive(Template)]
#[template(path = "init/mirror.conf.txt", escape = "none")]
struct Conf {
    place: String,
    group: &'static str,
    timeout: String,
    /// Whether HAProxy is, or may be, one that wants the timeouts of connections.
    old: bool,
    known: bool,
    compare: bool,
    timers: bool,
    body: u64,
}

#[derive(Template)]
#[template(path = "init/mirror.map.txt", escape = "none")]
struct Map {
    place: String,
    runtime: String,
    share: u32,
}

#[derive(Template)]
#[template(path = "init/spoa-mirror.toml.txt", escape = "none")]
struct Toml<'a> {
    place: &'static str,
    /// Of several agents, which one.
    number: Option<usize>,
    agent: &'a Agent,
    listen: String,
    frame: Option<u64>,
    admin: String,
    targets: Vec<TomlTarget>,
    compare: bool,
    large: bool,
    body: u64,
}

struct TomlTarget {
    name: String,
    url: String,
}

#[derive(Template)]
#[template(path = "init/override.conf.txt", escape = "none")]
struct Unit {
    place: &'static str,
    files: Option<u64>,
}

/// The files that are the same whether haproxy.cfg is given or not.
pub(super) fn of(plan: &Plan) -> Vec<Generated> {
    let mut files = vec![
        file("mirror.conf", plan.beside("mirror.conf"), &conf(plan)),
        file("mirror.map", plan.beside("mirror.map"), &map(plan)),
    ];
    for index in 0..plan.agents.len() {
        files.push(file(&toml_name(plan, index), TOML_PLACE.to_owned(), &toml(plan, index)));
    }
    files.push(file(UNIT_NAME, UNIT_PLACE.to_owned(), &unit(plan)));
    files
}

pub(super) const TOML_PLACE: &str = "/etc/spoa-mirror/spoa-mirror.toml";
pub(super) const UNIT_PLACE: &str = "/etc/systemd/system/spoa-mirror.service.d/override.conf";
pub(super) const UNIT_NAME: &str = "systemd/spoa-mirror.service.d/override.conf";

/// The name of an agent's configuration: of several agents each has a directory.
pub(super) fn toml_name(plan: &Plan, index: usize) -> String {
    match plan.agents.len() {
        1 => "spoa-mirror.toml".to_owned(),
        _ => format!("agent{}/spoa-mirror.toml", index + 1),
    }
}

/// Parts of haproxy.cfg, for pasting.
pub(super) fn parts(plan: &Plan) -> Vec<Generated> {
    let part = |name: &str, goes: &str, why: &str, text: &str| {
        file(name, goes.to_owned(), &format!("# Goes {goes}{why}.\n\n{text}"))
    };
    let frontend = format!("{FILTERS}{}", frontend(plan, &[]));
    vec![
        part("global.cfg", "into the `global` section of haproxy.cfg", "", &global(plan, ROOM)),
        part(
            "backend.cfg",
            "into haproxy.cfg, before its first `defaults`",
            ": behind it, what that says of HTTP would be warned of",
            &backend(plan),
        ),
        part(
            "frontend.cfg",
            "into the frontend in haproxy.cfg",
            ", before its first `redirect`, `use_backend` or `default_backend`",
            &frontend,
        ),
    ]
}

/// What nobody who pastes should learn from HAProxy's refusal to start.
const FILTERS: &str = "\
# A frontend that compresses or caches by itself must now say so. If it has `compression` or `cache-use`, write
# `filter cache NAME` and `filter compression`, in this order, below `filter spoe`.

";

/// HAProxy's file, anew.
pub(super) fn whole(path: &Path, patched: &Patched) -> Generated {
    let goes = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Generated {
        name: "haproxy.cfg".to_owned(),
        goes: goes.display().to_string(),
        text: patched.text.clone(),
    }
}

pub(super) fn global(plan: &Plan, room: u64) -> String {
    let bufsize = plan.bufsize(room);
    let bodies = if plan.compare { 2 * plan.max_body } else { plan.max_body };
    let (compare, body) = (plan.compare, plan.max_body);
    rendered(&Global { compare, body, room: bufsize.saturating_sub(bodies), bufsize })
}

pub(super) fn backend(plan: &Plan) -> String {
    rendered(&Backend {
        spop: versions::MODE_SPOP.holds(plan.version()),
        kept: versions::DOWN_AGENT_KEPT.may_hold(plan.version()),
        by_name: plan.agents.iter().any(Agent::is_name),
        agents: &plan.agents,
    })
}

pub(super) fn frontend(plan: &Plan, filters: &[String]) -> String {
    let map = quote::argument(&plan.beside("mirror.map"));
    rendered(&Frontend {
        conf: quote::word(&plan.beside("mirror.conf")),
        filters,
        share: quote::expression(&format!("path,map_beg_int({map},0)")),
        compare: plan.compare,
        body: plan.max_body,
    })
}

fn conf(plan: &Plan) -> String {
    rendered(&Conf {
        place: plan.beside("mirror.conf"),
        group: if plan.compare { "pair" } else { "request" },
        timeout: shown(plan.timeout),
        old: versions::AGENT_TIMEOUTS.may_hold(plan.version()),
        known: plan.version().0.is_some(),
        compare: plan.compare,
        timers: versions::TIMERS.holds(plan.version()),
        body: plan.max_body,
    })
}

fn map(plan: &Plan) -> String {
    let place = plan.beside("mirror.map");
    rendered(&Map { runtime: quote::runtime(&place), place, share: plan.share.0 })
}

fn toml(plan: &Plan, index: usize) -> String {
    let Some(agent) = plan.agents.get(index) else { return String::new() };
    let bufsize = plan.bufsize(ROOM);
    let targets = plan.targets.iter().map(|target| TomlTarget {
        name: quote::toml(&target.name),
        url: quote::toml(&target.url.to_string()),
    });
    rendered(&Toml {
        place: TOML_PLACE,
        number: (plan.agents.len() > 1).then_some(index + 1),
        agent,
        listen: quote::toml(&agent.listen()),
        // 1 MiB is the agent's own limit.
        frame: (bufsize > 1 << 20).then_some(bufsize),
        admin: quote::toml(&plan.admin_of(index)),
        targets: targets.collect(),
        compare: plan.compare,
        // 256 KiB is what the agent compares by itself.
        large: plan.max_body > 256 << 10,
        body: plan.max_body,
    })
}

/// What the package's unit allows.
const USUAL_FILES: u64 = 16384;
/// Copies under way at once, as the agent's configuration has it.
const IN_FLIGHT: u64 = 200;

fn unit(plan: &Plan) -> String {
    // A third is HAProxy's, and 32 + 64 are for other things (docs/OPERATIONS.md, "Descriptors").
    let needed = (plan.targets.len() as u64 * IN_FLIGHT + 96) * 3 / 2;
    rendered(&Unit {
        place: UNIT_PLACE,
        files: (needed > USUAL_FILES).then(|| needed.next_power_of_two()),
    })
}

fn file(name: &str, goes: String, text: &str) -> Generated {
    Generated { name: name.to_owned(), goes, text: text.as_bytes().to_vec() }
}

/// Ends with a line's end, as askama takes that of a template away.
fn rendered(template: &impl Template) -> String {
    // It has no filters that could fail, and writing to a String does not.
    let text = template.render().unwrap_or_default();
    format!("{}\n", text.trim_end())
}
