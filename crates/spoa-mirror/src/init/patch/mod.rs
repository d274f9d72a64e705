//! Puts HAProxy's part into a haproxy.cfg that is there. All other bytes stay as they are.

mod place;

use std::path::Path;

use haproxy_config::{Document, Section};

use super::files;
use super::plan::{Plan, ROOM};
use crate::doctor::finding::{Change, Edit};
use crate::doctor::setup::proxy::ProxyKind;
use crate::doctor::setup::{Lines, Proxy, Setup, Value, undeclared};
use crate::doctor::{patch, reading};
use place::Places;

/// HAProxy's file, anew.
pub(super) struct Patched {
    pub(super) text: Vec<u8>,
    /// What changes in it, as `diff -u` has it.
    pub(super) diff: String,
    /// The frontend whose requests are copied.
    pub(super) frontend: String,
    /// The path of a socket at which HAProxy takes commands, if the file has one.
    pub(super) socket: Option<String>,
}

/// Reads the file and adds to it what mirroring needs.
pub(super) fn patched(path: &Path, frontend: Option<&str>, plan: &Plan) -> Result<Patched, String> {
    let shown = path.display();
    if path.is_dir() {
        return Err(format!("{shown} is a directory: name the file of it with the frontend"));
    }
    let read = reading::read(&[path.to_owned()], plan.version().0);
    let files = read.map_err(|unread| format!("{shown} cannot be read: {}", unread.error))?;
    let setup = Setup::new(&files, plan.version(), None, None);
    let Some(file) = files.files.first() else { return Err(format!("{shown} cannot be read")) };
    let document = &file.document;
    if let Some(mistake) = document.mistakes.first() {
        return Err(format!("{shown}, {mistake}: HAProxy does not start with it; mend that first"));
    }
    not_there_yet(&setup).map_err(|why| format!("{shown}: {why}"))?;
    let proxy = chosen(&setup, frontend).map_err(|why| format!("{shown}: {why}"))?;
    let patch = patch::edited(&files, &edits(&setup, document, proxy, plan));
    let Some(new) = patch.files.first().filter(|_| patch.left.is_empty()) else {
        return Err(format!("{shown}: it has bytes in the way that are no UTF-8"));
    };
    Ok(Patched {
        text: new.new.clone(),
        diff: String::from_utf8_lossy(&patch.diff()).into_owned(),
        frontend: proxy.name().into_owned(),
        socket: socket(&setup),
    })
}

const ENGINE: &str = "mirror";
const BACKEND: &str = "mirroragents";

/// Refuses a file that mirrors already, whatever of it.
fn not_there_yet(setup: &Setup<'_>) -> Result<(), String> {
    let engine = setup
        .filters
        .iter()
        .find(|filter| filter.engine.is_some_and(|engine| engine.text == ENGINE.as_bytes()));
    let backend = setup.backend(BACKEND.as_bytes()).map(|backend| backend.lines.header);
    let Some(at) = engine.map(|filter| filter.at).or(backend) else { return Ok(()) };
    Err(format!(
        "it mirrors already, see line {}; `spoa-mirror doctor` tells whether it does so well",
        at.line.number
    ))
}

/// The proxy whose requests are copied: the one that is named, or the only one that hands requests to servers.
fn chosen<'s, 'a>(setup: &'s Setup<'a>, name: Option<&str>) -> Result<&'s Proxy<'a>, String> {
    let mut all = setup.proxies.iter().filter(|proxy| proxy.kind != ProxyKind::Backend);
    let speaks_http = |proxy: &Proxy<'_>| proxy.mode().0 == b"http";
    if let Some(name) = name {
        let named = all.find(|proxy| proxy.lines.header.text(1) == name.as_bytes());
        let proxy = named.ok_or_else(|| {
            format!("there is no frontend `{name}`; there is {}", listed(&candidates(setup)))
        })?;
        return match speaks_http(proxy) {
            true => Ok(proxy),
            false => Err(format!("frontend `{name}` has not `mode http`: only HTTP is mirrored")),
        };
    }
    match candidates(setup).as_slice() {
        [] => {
            Err("there is no frontend with `mode http` that hands requests to a backend".to_owned())
        }
        [only] => Ok(only),
        several => Err(format!(
            "there are several frontends; name the one to mirror with --frontend: {}",
            listed(several)
        )),
    }
}

/// Frontends without those that only redirect or show statistics.
fn candidates<'s, 'a>(setup: &'s Setup<'a>) -> Vec<&'s Proxy<'a>> {
    let hands_on = |proxy: &&Proxy<'_>| {
        let keywords = ["default_backend", "use_backend", "server", "server-template"];
        proxy.lines.lines.iter().any(|at| keywords.iter().any(|keyword| at.begins(&[*keyword])))
    };
    let frontends = setup.proxies.iter().filter(|proxy| proxy.kind != ProxyKind::Backend);
    frontends.filter(|proxy| proxy.mode().0 == b"http").filter(hands_on).collect()
}

fn listed(proxies: &[&Proxy<'_>]) -> String {
    let names: Vec<_> = proxies.iter().map(|proxy| proxy.name()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// All that changes.
fn edits(setup: &Setup<'_>, document: &Document, proxy: &Proxy<'_>, plan: &Plan) -> Vec<Edit> {
    let places = Places::of(document);
    let indentation = proxy.lines.indentation();
    let insertion = |at: usize, text: &str| {
        let indented = |line: &str| match line.strip_prefix("    ") {
            Some(rest) => format!("{indentation}{rest}"),
            None => line.to_owned(),
        };
        inserted(document, at, text.lines().map(indented).collect())
    };
    // As it is written: of a larger buffer HAProxy keeps all of that free.
    let maxrewrite = setup.global(&["tune.maxrewrite"]).and_then(|value| value.size()).unwrap_or(0);
    let room = ROOM.max(maxrewrite.min(1 << 20) + 4096);
    let global = files::global(plan, room);
    let mut backend = format!("{}\n", files::backend(plan));
    let mut edits = Vec::new();
    let sizes = setup.global.iter().filter(|at| at.begins(&["tune.bufsize"]));
    let sizes: Vec<_> = sizes.filter_map(|at| Some(Value { at: *at, word: at.word(1)? })).collect();
    let last_global = document.sections.iter().rfind(|section| section.keyword() == b"global");
    if !sizes.is_empty() {
        // One that is large enough, or larger, stays.
        let needed = plan.bufsize(room);
        let small = sizes.iter().filter(|value| value.size().is_none_or(|size| size < needed));
        edits.extend(small.map(|value| value.replaced(&needed.to_string())));
    } else if let Some(section) = last_global {
        edits.push(insertion(places.end(section), &global));
    } else {
        backend = format!("global\n{global}\n{backend}");
    }
    let at = places.before_defaults(document);
    if places.follows_text(at) {
        backend.insert(0, '\n');
    }
    edits.push(insertion(at, &backend));
    if let Some(section) = section(document, &proxy.lines) {
        let filters = undeclared(&proxy.lines).into_iter().map(|missing| missing.filter);
        let filters: Vec<_> = filters.collect();
        let text = files::frontend(plan, &filters);
        edits.push(insertion(places.before_choice(section), &text));
    }
    edits
}

/// Lines before the line of an index.
fn inserted(document: &Document, at: usize, mut lines: Vec<String>) -> Edit {
    let Some(first) = document.lines().next().filter(|_| at == 0) else {
        return Edit { file: 0, line: at, change: Change::Append(lines) };
    };
    let raw = String::from_utf8_lossy(&first.raw);
    lines.push(raw.trim_end_matches(['\r', '\n']).to_owned());
    Edit { file: 0, line: 1, change: Change::Replace(lines) }
}

fn section<'a>(document: &'a Document, lines: &Lines<'_>) -> Option<&'a Section> {
    document.sections.iter().find(|section| section.header.number == lines.header.line.number)
}

/// A socket of the Runtime API with the right to change maps.
fn socket(setup: &Setup<'_>) -> Option<String> {
    let admin = setup.global.iter().find(|at| {
        at.begins(&["stats", "socket"])
            && at.position("level").is_some_and(|level| at.text(level + 1) == b"admin")
    })?;
    let path = String::from_utf8_lossy(admin.text(2)).into_owned();
    let path = path.strip_prefix("unix@").unwrap_or(&path);
    // What a variable stands for may be secret.
    let is_known = admin.word(2).is_some_and(|word| word.references.is_empty());
    (is_known && path.starts_with('/')).then(|| path.to_owned())
}
