//! Whether the files can be read at all, and whether one of them mirrors.

use std::collections::BTreeSet;
use std::io;

use haproxy_config::{Mistake, MistakeKind};

use super::Topic;
use crate::doctor::finding::{Code, Finding, Place, Severity, code};
use crate::doctor::setup::files::Unread;
use crate::doctor::setup::{At, Filter, Setup};

static CONFIG_SYNTAX: Code = code!("config-syntax");
static NO_MIRROR_FILTER: Code = code!("no-mirror-filter");
static SPOE_FILE_UNREADABLE: Code = code!("spoe-file-unreadable");
static VARIABLE_UNSET: Code = code!("variable-unset");

pub(super) const TOPIC: Topic = Topic {
    codes: &[&CONFIG_SYNTAX, &NO_MIRROR_FILTER, &SPOE_FILE_UNREADABLE, &VARIABLE_UNSET],
    examine,
};

/// A file with more mistakes is something else: these are told.
const MAX_MISTAKES: usize = 20;

fn examine(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    syntax(setup, findings);
    filters(setup, findings);
    spoe_files(setup, findings);
    variables(setup, findings);
}

/// What HAProxy cannot split into words, blocks and sections.
fn syntax(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    for (index, file) in setup.files.files.iter().enumerate() {
        for mistake in file.document.mistakes.iter().take(MAX_MISTAKES) {
            findings.push(told(setup, index, mistake));
        }
        let last = file.document.lines().last();
        if let Some(last) = last.filter(|last| !last.raw.ends_with(b"\n")) {
            let end = last.raw.len();
            let place = Place { file: index, line: last.number, span: end.saturating_sub(1)..end };
            let finding = Finding::new(
                &CONFIG_SYNTAX,
                Severity::Error,
                format!("the last line of {} has no line end", setup.files.path(index).display()),
            );
            findings.push(
                finding
                    .at(place)
                    .consequence("HAProxy takes the file to be cut off, and does not start")
                    .mend("end the line; if something is missing behind it, write that too"),
            );
        }
    }
}

fn told(setup: &Setup<'_>, file: usize, mistake: &Mistake) -> Finding {
    let said = mistake.kind.to_string();
    let (what, mend) = said.split_once("; ").unwrap_or(("this line cannot be read", &said));
    let ours = matches!(mistake.kind, MistakeKind::LineTooLong | MistakeKind::TooMuchExpanded);
    let (severity, consequence) = match ours {
        true => (Severity::Warning, "what stands there could not be looked at"),
        false => (Severity::Error, "HAProxy refuses the file, and does not start"),
    };
    let line = setup
        .files
        .files
        .get(file)
        .and_then(|file| file.document.lines().find(|line| line.number == mistake.line));
    let start = mistake.column.saturating_sub(1);
    let rest = line.and_then(|line| line.raw.get(start..)).unwrap_or_default();
    let word = rest.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
    let span = start..start + word.max(1);
    Finding::new(&CONFIG_SYNTAX, severity, what)
        .at(Place { file, line: mistake.line, span })
        .consequence(consequence)
        .mend(mend)
}

/// Whether anything mirrors.
fn filters(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    if setup.mirrors().next().is_some() {
        return;
    }
    let engines: Vec<_> =
        setup.filters.iter().filter_map(|filter| Some(filter.at.shown(filter.engine?))).collect();
    let (message, mend) = match (setup.filters.is_empty(), setup.engine) {
        (true, _) => (
            "no proxy has a `filter spoe` line".to_owned(),
            "`spoa-mirror init` writes one, with all that belongs to it".to_owned(),
        ),
        (false, Some(engine)) => (
            format!("no SPOE filter has the engine {engine}"),
            format!("name one that there is with --engine: {}", engines.join(", ")),
        ),
        (false, None) => (
            format!("none of the SPOE filters is there to mirror: {}", engines.join(", ")),
            "`spoa-mirror init` writes one that is; if one of these mirrors, name it with --engine"
                .to_owned(),
        ),
    };
    let mut finding = Finding::new(&NO_MIRROR_FILTER, Severity::Error, message)
        .consequence(
            "HAProxy hands over no request. Looked for: `filter spoe engine NAME config FILE` in a frontend, listen \
             or backend section whose names or arguments are those of mirroring",
        )
        .mend(mend);
    for filter in &setup.filters {
        finding = finding.and_at(filter.at.place(), "for something else");
    }
    findings.push(finding);
}

/// Whether the files that filters name could be read.
fn spoe_files(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    let mut told = BTreeSet::new();
    for filter in setup.mirrors().filter(|filter| filter.file.is_none()) {
        // One that names none is of another topic.
        let Some(config) = filter.config else { continue };
        let unread = setup.files.unread.iter().find(|unread| unread.named == config.text);
        if let Some(unread) = unread.filter(|unread| told.insert(&unread.named)) {
            findings.push(unreadable(filter, unread));
        }
    }
}

fn unreadable(filter: &Filter<'_>, unread: &Unread) -> Finding {
    let absent = |error: &io::Error| {
        use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
        matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
    };
    let missing = unread.tried.iter().all(|(_, error)| absent(error));
    let relative = unread.tried.iter().any(|(path, _)| path.is_relative());
    let tried: Vec<String> =
        unread.tried.iter().map(|(path, error)| format!("{} ({error})", path.display())).collect();
    let (severity, consequence, mend) = match missing {
        true => (
            Severity::Error,
            "HAProxy does not start if it does not find the file either",
            "write it (`spoa-mirror init` does), or name it by its whole path",
        ),
        false => (
            Severity::Warning,
            "what HAProxy hands over, and how long clients wait for that, could not be looked at",
            "run the doctor as a user that can read the file",
        ),
    };
    let from = match relative {
        true => {
            ". HAProxy looks for a relative path in the directory where it is started (under systemd that is /), or as \
             `default-path` says"
        }
        false => "",
    };
    let shown = filter.config.map_or_else(Default::default, |word| filter.at.shown(word));
    let place = filter.config.map_or_else(|| filter.at.place(), |word| filter.at.place_of(word));
    Finding::new(&SPOE_FILE_UNREADABLE, severity, format!("the SPOE file {shown} cannot be read"))
        .at(place)
        .consequence(format!("{consequence}{from}. Tried: {}", tried.join(", ")))
        .mend(mend)
}

/// Variables without a value, where mirroring depends on them. HAProxy may be started with others than the doctor.
fn variables(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    let mut told = BTreeSet::new();
    for at in lines_of_mirrors(setup) {
        for word in &at.line.words {
            for reference in &word.references {
                // HAProxy sets those of its own name itself.
                let known = reference.set
                    || reference.has_default
                    || reference.name.starts_with("HAPROXY_");
                if known || !told.insert(&reference.name) {
                    continue;
                }
                let name = &reference.name;
                let finding = Finding::new(
                    &VARIABLE_UNSET,
                    Severity::Hint,
                    format!("the environment variable {name} is not set"),
                );
                findings.push(
                    finding
                        .at(at.place_of(word))
                        .consequence("all that was looked at here was looked at as if it were empty; so does HAProxy where it is not set")
                        .mend(format!(
                            "run the doctor with the variables of HAProxy's service, or write a default: ${{{name}-value}}"
                        )),
                );
            }
        }
    }
}

fn lines_of_mirrors<'a>(setup: &Setup<'a>) -> Vec<At<'a>> {
    let tuning = setup.global.iter().filter(|at| at.text(0).starts_with(b"tune."));
    let mut lines: Vec<At<'a>> = tuning.copied().collect();
    for filter in setup.mirrors() {
        lines.push(filter.at);
        if let Some(spoe) = &filter.spoe {
            let agents = spoe.agent.iter().map(|agent| &agent.lines);
            let messages = spoe.messages.iter().map(|message| &message.lines);
            let groups = spoe.groups.iter().map(|group| &group.lines);
            lines.extend(agents.chain(messages).chain(groups).flat_map(|section| section.own()));
        }
        if let Some(backend) = setup.agents_of(filter) {
            lines.extend(backend.lines.own());
        }
    }
    lines
}
