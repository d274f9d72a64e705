//! From the filter to the agent: engine, file, scope, agent.

use haproxy_config::{Document, Scope};

use super::{REFUSED, Wired, is_active, is_certain};
use crate::doctor::finding::{Change, Code, Edit, Finding, Place, Severity, code};
use crate::doctor::setup::{At, Filter, Setup};
use crate::nearest::nearest;

pub(super) static ENGINE_MISSING: Code = code!("engine-missing");
pub(super) static SCOPE_MISSING: Code = code!("scope-missing");
pub(super) static AGENT_MISSING: Code = code!("agent-missing");
pub(super) static AGENTS_SEVERAL: Code = code!("agents-several");
pub(super) static AGENT_NAME_UNUSABLE: Code = code!("agent-name-unusable");

/// Why a filter has no scope to read, unless its file is what cannot be read.
pub(super) fn unfound(setup: &Setup<'_>, filter: &Filter<'_>) -> Option<Finding> {
    if filter.spoe.is_some() {
        return None;
    }
    let file = filter.file?;
    let document = &setup.files.files.get(file)?.document;
    match filter.engine {
        Some(engine) if !is_certain(engine) => None,
        // A scope without sections.
        Some(engine) if has_scope(document, &engine.text) => {
            Some(agent_missing(setup, filter, file))
        }
        Some(_) => Some(scope_missing(setup, filter, file, document)),
        None => Some(engine_missing(filter, file, document)),
    }
}

fn engine_missing(filter: &Filter<'_>, file: usize, document: &Document) -> Finding {
    let names = scopes(document);
    let finding = Finding::new(
        &ENGINE_MISSING,
        Severity::Error,
        match names.as_slice() {
            [] => "the file of this SPOE filter has no `spoe-agent` section".to_owned(),
            names => format!(
                "this SPOE filter names no engine, and everything in its file belongs to one: {}",
                bracketed(names)
            ),
        },
    )
    .at(filter.at.place())
    .consequence(format!(
        "{REFUSED}. Without `engine` it reads only what stands outside of scopes"
    ));
    match names.as_slice() {
        [] => finding.mend("write the sections `spoe-agent` and `spoe-message` into the file"),
        [only] => {
            let statement = format!("{} engine {only}", filter.at.statement());
            let finding = finding.mend(format!("write `{statement}`"));
            let finding = with_scope(finding, file, document, only);
            finding.edit(filter.at.replaced(&statement))
        }
        _ => finding.mend("name the engine that is meant by `engine NAME`"),
    }
}

fn scope_missing(
    setup: &Setup<'_>,
    filter: &Filter<'_>,
    file: usize,
    document: &Document,
) -> Finding {
    let shown = filter.engine.map_or_else(Default::default, |word| filter.at.shown(word));
    let path = setup.files.path(file).display();
    let names = scopes(document);
    let finding = Finding::new(
        &SCOPE_MISSING,
        Severity::Error,
        match names.as_slice() {
            [] => format!("{path} has no scope `[{shown}]`"),
            names => format!("{path} has no scope `[{shown}]`; it has {}", bracketed(names)),
        },
    )
    .at(filter.engine.map_or_else(|| filter.at.place(), |word| filter.at.place_of(word)))
    .consequence(format!(
        "{REFUSED}. It only says that it finds no agent in the file: the name behind `engine` must be that of \
         a scope, letter by letter"
    ));
    let Some(engine) = filter.engine else { return finding };
    let name = String::from_utf8_lossy(&engine.text);
    let near = nearest(&name, names.iter().map(String::as_str));
    let near = near.or(match names.as_slice() {
        [only] => Some(only.as_str()),
        _ => None,
    });
    match near {
        None if names.is_empty() => {
            let finding = finding.mend(format!("write `[{shown}]` above the first section of {path}"));
            match first_line(file, document, &format!("[{name}]")) {
                Some(edit) if engine.references.is_empty() => finding.edit(edit),
                _ => finding,
            }
        }
        None => finding.mend(format!(
            "write `[{shown}]` above the sections that belong to it, or name one of the scopes that are there"
        )),
        Some(near) => {
            let finding = with_scope(finding, file, document, near);
            let is_used = setup.filters.iter().any(|other| {
                other.file == Some(file)
                    && other.engine.is_some_and(|engine| engine.text == near.as_bytes())
            });
            match scope_line(file, document, near) {
                // Rules may name the engine as well: the scope is what stands alone.
                Some(at) if !is_used && engine.references.is_empty() => {
                    let edit = Edit {
                        file,
                        line: at.line.number,
                        change: Change::Replace(vec![format!("[{name}]")]),
                    };
                    finding.mend(format!("call the scope `[{shown}]`, or write `engine {near}`")).edit(edit)
                }
                _ => finding
                    .mend(format!("write `engine {near}`"))
                    .edit(filter.at.replaced_word(engine, near)),
            }
        }
    }
}

pub(super) fn agent_missing(setup: &Setup<'_>, filter: &Filter<'_>, file: usize) -> Finding {
    let document = setup.files.files.get(file).map(|file| &file.document);
    let engine = filter.engine.map(|word| String::from_utf8_lossy(&word.text));
    let scope = document
        .zip(engine.as_deref())
        .and_then(|(document, engine)| scope_line(file, document, engine));
    let place = scope.map_or_else(|| Place::file(file), |at| scope_place(&at));
    let inside = match &engine {
        Some(engine) => format!("the scope `[{engine}]`"),
        None => "the file".to_owned(),
    };
    let finding = Finding::new(
        &AGENT_MISSING,
        Severity::Error,
        format!("{inside} has no `spoe-agent` section"),
    )
    .at(place)
    .and_at(filter.at.place(), "the filter that reads it")
    .consequence(REFUSED);
    match document.and_then(|document| astray(file, document)) {
        Some(at) => {
            let word = at.line.words.first();
            let finding = finding
                .and_at(at.place(), "no section begins like this")
                .mend(format!("write `spoe-agent` for `{}`", String::from_utf8_lossy(at.text(0))));
            match word {
                Some(word) => finding.edit(at.replaced_word(word, "spoe-agent")),
                None => finding,
            }
        }
        None => finding.mend(
            "write a `spoe-agent` section with `messages`, `use-backend` and `timeout processing`; a scope ends \
             where the next one begins",
        ),
    }
}

/// What can be wrong with the agent itself.
pub(super) fn examine(wired: &Wired<'_, '_>, findings: &mut Vec<Finding>) {
    findings.extend(agents_several(wired));
    findings.extend(agent_name_unusable(wired));
}

fn agents_several(wired: &Wired<'_, '_>) -> Option<Finding> {
    // Branches of an `.if` may exclude each other.
    let second = wired.spoe.further_agents.iter().find(|lines| is_active(&lines.header))?;
    let first = &wired.agent.lines;
    let scope = wired.filter.engine.map(|word| wired.filter.at.shown(word));
    let inside =
        scope.map_or_else(|| "a file".to_owned(), |scope| format!("the scope `[{scope}]`"));
    Some(
        Finding::new(
            &AGENTS_SEVERAL,
            Severity::Error,
            format!("{inside} has two agents: `{}` and `{}`", first.name(), second.name()),
        )
        .at(second.header.place())
        .and_at(first.header.place(), "the first one")
        .consequence(REFUSED)
        .mend(
            "keep one; for another agent write a scope of its own and a second `filter spoe` line. Several \
             instances of an agent are several `server` lines of its backend",
        ),
    )
}

fn agent_name_unusable(wired: &Wired<'_, '_>) -> Option<Finding> {
    let lines = &wired.agent.lines;
    let (at, word, what) = match lines.value(&["option", "var-prefix"]) {
        Some(value) => (value.at, value.word, "prefix"),
        None => (lines.header, lines.header.word(1)?, "agent's name"),
    };
    if !word.references.is_empty() || word.text.iter().all(|&byte| is_usable(byte)) {
        return None;
    }
    let wrong = word.text.iter().find(|&&byte| !is_usable(byte)).map(|byte| char::from(*byte))?;
    let usable: String = word
        .text
        .iter()
        .map(|&byte| if is_usable(byte) { char::from(byte) } else { '_' })
        .collect();
    let finding = Finding::new(
        &AGENT_NAME_UNUSABLE,
        Severity::Error,
        format!("`{wrong}` in the {what} `{}` cannot be part of a variable's name", at.shown(word)),
    )
    .at(at.place_of(word))
    .consequence(format!(
        "{REFUSED}: the agent's variables are called by it, and may only hold letters, digits, `_` and `.`"
    ));
    Some(if what == "prefix" {
        finding
            .mend(format!("write `option var-prefix {usable}`"))
            .edit(at.replaced_word(word, &usable))
    } else {
        let option = format!("option var-prefix {usable}");
        finding
            .mend(format!("give the variables another prefix: `{option}`"))
            .edit(lines.begun(&[&option]))
    })
}

fn is_usable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.'
}

/// The names of a file's scopes.
fn scopes(document: &Document) -> Vec<String> {
    let name =
        |scope: &Scope<'_>| scope.name.map(|name| String::from_utf8_lossy(name).into_owned());
    document.scopes().iter().filter_map(name).collect()
}

fn bracketed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`[{name}]`")).collect();
    quoted.join(", ")
}

fn has_scope(document: &Document, name: &[u8]) -> bool {
    document.lines().any(|line| line.scope.as_deref() == Some(name))
}

/// The line that begins a scope.
fn scope_line<'a>(file: usize, document: &'a Document, name: &str) -> Option<At<'a>> {
    let mut lines = document.lines();
    let line = lines.find(|line| line.scope.as_deref() == Some(name.as_bytes()))?;
    Some(At { file, line })
}

/// A scope's line has no words.
fn scope_place(at: &At<'_>) -> Place {
    let raw = at.line.raw.as_slice();
    let start = raw.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let end = raw.iter().position(|&byte| byte == b']').map_or(raw.len(), |at| at + 1);
    Place { file: at.file, line: at.line.number, span: start..end.max(start) }
}

fn with_scope(finding: Finding, file: usize, document: &Document, name: &str) -> Finding {
    match scope_line(file, document, name) {
        Some(at) => finding.and_at(scope_place(&at), "a scope of the file"),
        None => finding,
    }
}

/// This above everything else in a file.
fn first_line(file: usize, document: &Document, text: &str) -> Option<Edit> {
    let first = document.lines().next()?;
    let old = String::from_utf8_lossy(first.raw.trim_ascii_end()).into_owned();
    let change = Change::Replace(vec![text.to_owned(), old]);
    Some(Edit { file, line: first.number, change })
}

/// A line that was probably to begin the agent's section.
fn astray<'a>(file: usize, document: &'a Document) -> Option<At<'a>> {
    let mut lines = document.lines().map(|line| At { file, line });
    lines.find(|at| {
        let word = String::from_utf8_lossy(at.text(0));
        at.text(0) != b"spoe-agent"
            && nearest(&word, ["spoe-agent", "spoe-message", "spoe-group"]) == Some("spoe-agent")
    })
}
