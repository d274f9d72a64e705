//! `[comparison]`.

mod rule;
mod rules_file;
mod verdict;

use std::path::{Path, PathBuf};

pub use rules_file::{read_rules_file, rule_table, write_rules_file};
use shadow_diff::endpoint::{self, EndpointLimits, Endpoints, Pattern, PatternError};

use super::inside::Written;
use super::values::at_most;
use super::walk::{Place, Reader, Section};
use crate::config::{Compare, ComparisonConfig, Config, Share};
use crate::nearest::nearest;

/// Pairs that a control must have where there is one, unless the file says another number.
const CONTROL_PAIRS: u64 = 100;

/// The longest name of a header, a member or anything else that is hidden, in bytes.
const MAX_NAME: usize = 200;

/// Patterns told of that match what an earlier one does.
const MAX_TWICE: usize = 20;

/// Reads it into `config`, which has the defaults. Gives the control's pairs if the file says how many: what
/// is usual depends on the targets.
pub(super) fn read(
    root: &mut Section<'_, '_, '_>,
    config: &mut ComparisonConfig,
) -> Option<(u64, Place)> {
    let mut section = root.section("comparison", "{ sample = 10 }");
    let reader = section.reader;
    if let Some(share) = section.share("sample") {
        config.sample = share;
    }
    if let Some(time) = section.time("wait", "100ms", "1h") {
        config.wait = time;
    }
    if let Some(size) = section.size("memory", 1 << 20, "64GiB") {
        config.memory = usize::try_from(size).unwrap_or(usize::MAX);
    }
    if let Some(size) = section.size("max-body", 0, "64MiB") {
        config.max_body = usize::try_from(size).unwrap_or(usize::MAX);
    }
    let run = section.parsed("run", "the name of a run", "\"2.4.0-rc1\"", |text| {
        ComparisonConfig::check_run(text).map(|()| text.to_owned())
    });
    if let Some(run) = run {
        config.run = run;
    }
    config.endpoints = endpoints(&mut section);
    config.natural_off = natural_off(&mut section);
    config.redact = section
        .texts("redact", "a name", "\"x-internal\", \"iban\"", name)
        .unwrap_or_default()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    config.rules = rule::read_all(&mut section, "comparison.rule");
    config.rules_file = file(&mut section, "rules-file", "\"/var/lib/spoa-mirror/rules.toml\"");
    check_rules_file(&section, config.rules_file.as_deref());
    let control_pairs = verdict::read(&mut section, &mut config.thresholds);
    let mut history = section.section("history", "{ file = \"history.db\" }");
    config.history.file = file(&mut history, "file", "\"/var/lib/spoa-mirror/history.db\"");
    if let Some(time) = history.time("keep", "1m", "3650d") {
        config.history.keep = time;
    }
    if let Some(size) = history.size("max-size", 1 << 20, "1024GiB") {
        config.history.max_size = size;
    }
    if config.rules_file.is_some() && config.rules_file == config.history.file {
        if let Some(place) = history.place_of("file") {
            let other = section.place_of("rules-file");
            let other = other.as_ref().map(|place| (place, "here"));
            reader.clash(&place, "rules are kept in this file already", other);
        }
    }
    control_pairs
}

/// Adds what depends on the targets, which are in `config`.
pub(super) fn complete(
    reader: &Reader<'_>,
    control_pairs: Option<(u64, Place)>,
    config: &mut Config,
) {
    let measured = config
        .targets
        .iter()
        .any(|target| target.compare == Compare::Baseline || target.control > Share::NONE);
    config.comparison.thresholds.control_pairs = match control_pairs {
        None if measured => CONTROL_PAIRS,
        None => 0,
        Some((pairs, place)) => {
            if pairs > 0 && !measured {
                let message =
                    "no endpoint with a safe method is ever judged: no target measures noise";
                let help = "set `control` for the target, or add one with compare = \"baseline\"";
                reader.warn(&place, message, Some(help.to_owned()));
            }
            pairs
        }
    };
}

fn endpoints(section: &mut Section<'_, '_, '_>) -> Vec<Pattern> {
    let reader = section.reader;
    let example = "endpoints = [\"GET /users/{id}\", \"/static/*\"]";
    let Some(list) = section.get("endpoints") else { return Vec::new() };
    let mut patterns = Vec::new();
    let mut places = Vec::new();
    for value in at_most(reader, &list, endpoint::MAX_PATTERNS, "endpoints") {
        let pattern = reader.parsed(&value, "an endpoint", example, |text| {
            Pattern::parse(text).map_err(|error| error.to_string())
        });
        if let Some(pattern) = pattern {
            patterns.push(pattern);
            places.push(value.place);
        }
    }
    let clashes = |patterns: &[Pattern]| {
        let made = Endpoints::new(EndpointLimits::default(), patterns.to_vec());
        matches!(made, Err(PatternError::Twice))
    };
    for _ in 0..MAX_TWICE {
        if !clashes(&patterns) {
            break;
        }
        // The first that clashes with those before it, and which of those it is.
        let counts: Vec<usize> = (1..=patterns.len()).collect();
        let second = counts.partition_point(|&count| !clashes(&patterns[..count]));
        let twin = patterns.remove(second);
        let place = places.remove(second);
        let same = |first: &&Pattern| clashes(&[(*first).clone(), twin.clone()]);
        let first = patterns[..second].iter().position(|first| same(&first));
        let first = first.and_then(|first| places.get(first));
        let message = "an endpoint of the list matches just the same";
        reader.clash(&place, message, first.map(|first| (first, "this one")));
    }
    patterns
}

fn natural_off(section: &mut Section<'_, '_, '_>) -> Vec<String> {
    let reader = section.reader;
    let rules = shadow_diff::natural_rules();
    let Some(values) = section.list("natural-off") else { return Vec::new() };
    let mut names = Vec::new();
    for value in values {
        let example = "natural-off = [\"validator\", \"uuid\"]";
        let Some(name) = reader.text(&value, "the name of a built-in rule", example) else {
            continue;
        };
        if rules.iter().any(|rule| rule.name == name) {
            if !names.contains(&name) {
                names.push(name);
            }
            continue;
        }
        let help = match nearest(&name, rules.iter().map(|rule| rule.name)) {
            Some(known) => format!("is \"{known}\" meant?"),
            None => {
                let known: Vec<_> = rules.iter().map(|rule| rule.name).collect();
                format!("the built-in rules are {}", known.join(", "))
            }
        };
        reader.error(&value.place, "there is no built-in rule of this name", Some(help));
    }
    names
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(format!("a name has 1 to {MAX_NAME} bytes and no control characters"));
    }
    Ok(text.to_owned())
}

/// A file that is written to while the program runs.
fn file(section: &mut Section<'_, '_, '_>, key: &'static str, example: &str) -> Option<PathBuf> {
    let reader = section.reader;
    let text = section.text(key, "a file name", example)?;
    let place = section.place_of(key)?;
    let path = reader.path(&text);
    let wrong = match std::fs::metadata(&path) {
        _ if text.is_empty() => Some("the name of the file is missing".to_owned()),
        _ if path == reader.file => Some("this is the configuration file itself".to_owned()),
        Ok(metadata) if !metadata.is_file() => {
            Some(format!("{} is no regular file", path.display()))
        }
        Ok(_) | Err(_) => None,
    };
    match wrong {
        Some(message) => {
            reader.error(&place, message, Some(format!("write it like {key} = {example}")));
            None
        }
        None => Some(path),
    }
}

/// Tells what is wrong with the rules that were made, as whoever reads them for use would find.
fn check_rules_file(section: &Section<'_, '_, '_>, path: Option<&Path>) {
    let Some((path, place)) = path.zip(section.place_of("rules-file")) else { return };
    if let Err(report) = read_rules_file(path) {
        let lines = report.lines();
        let more = match lines.len() {
            0 | 1 => String::new(),
            lines => format!(" (and {} more)", lines - 1),
        };
        let first = lines.into_iter().next().unwrap_or_default();
        let message = format!("the rules in this file cannot be used{more}");
        section.reader.error(&place, message, Some(first));
    }
}

/// The tables of a list, as `read` reads them.
fn tables<'e, 'a, T>(
    parent: &mut Section<'_, 'e, 'a>,
    key: &'static str,
    schema: &'static str,
    most: usize,
    read: impl Fn(&mut Section<'_, 'e, 'a>) -> Option<T>,
) -> Vec<T> {
    let reader = parent.reader;
    let Some(list) = parent.get(key) else {
        if reader.is_cataloguing() {
            let _ = read(&mut Section::nothing(reader, schema));
        }
        return Vec::new();
    };
    let help = format!("write [[{schema}]]");
    if list.node.as_array().is_none() {
        let message = format!("expected a list of tables, found {}", list.kind());
        reader.error(&list.place, message, Some(help));
        return Vec::new();
    }
    let mut read_all = Vec::new();
    for value in at_most(reader, &list, most, "tables") {
        match Section::of(reader, &value, schema) {
            Some(mut section) => read_all.extend(read(&mut section)),
            None => reader.wrong_type(&value, "a table", &format!("[[{schema}]]")),
        }
    }
    read_all
}

/// Tells of endpoints that are written so that none is called like it.
fn check_endpoint(reader: &Reader<'_>, endpoint: &Written<'_>) {
    if endpoint.text.starts_with('/') {
        let message = "the name of an endpoint begins with its method: this is none's";
        let help = "write \"GET /items/*\", or \"* /items/*\" for all methods";
        reader.warn(endpoint.place(), message, Some(help.to_owned()));
    }
}
