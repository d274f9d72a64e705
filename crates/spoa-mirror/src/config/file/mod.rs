//! The configuration file: TOML, read so that everything that is wrong in it is told at once, each with
//! its place and what would be right.
//!
//! `walk` knows tables and keys, `values` types and units, `expand` variables and secrets; what
//! the keys mean is in `process` and `target` and the modules below it; `reach` finds targets that
//! no request can get to.

mod comparison;
mod expand;
mod inside;
mod limits;
mod process;
mod reach;
mod report;
mod rewrite;
mod rules;
mod target;
mod transport;
mod values;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;

use toml::de::DeTable;

pub use comparison::{read_rules_file, rule_table, write_rules_file};
pub use report::{Finding, Report, Severity};

use super::Config;
use report::Severity::Error;
use walk::{Reader, Section};

/// The longest configuration file, in bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// Reads a configuration file, and the certificates, keys, secrets and rules that it names. Gives warnings with
/// the configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<(Config, Report), Report> {
    let (mut config, report) = parse(path, &contents(path)?, &|name| std::env::var(name).ok())?;
    let rules = config.comparison.rules_file.as_deref().map(read_rules_file);
    config.comparison.own_rules = rules.transpose()?;
    Ok((config, report))
}

/// The text of a file.
fn contents(path: &Path) -> Result<String, Report> {
    let unreadable = |message: String| Report::unreadable(path, message);
    let file = std::fs::File::open(path)
        .map_err(|error| unreadable(format!("cannot open it: {error}")))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(format!("cannot read it: {error}")))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(unreadable("a configuration file has no more than 1 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = line.filter(|byte| **byte == b'\n').count() + 1;
        unreadable(format!("line {line} is not UTF-8 text"))
    })
}

/// Reads the text of the configuration file at `path`, with variables from `environment`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    path: &Path,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Config, Report), Report> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let reader = Reader::new(path, text, environment);
    let file = reader.file.clone();
    let mut config = walk(&reader, document.get_ref());
    let report = report(path, text, reader, &syntax);
    if report.has_errors() {
        return Err(report);
    }
    config.file = Some(file);
    Ok((config, report))
}

/// What was found in a file, or why it is no TOML.
fn report(path: &Path, text: &str, reader: Reader<'_>, syntax: &[toml::de::Error]) -> Report {
    let (_, mut findings, mut hidden) = reader.into_parts();
    if !syntax.is_empty() {
        // What is missing because it could not be read is not missing.
        findings.clear();
        // Nor is every secret known that stands in the file.
        hidden.extend(values_of_secret_keys(text));
        findings.extend(syntax.iter().take(100).map(|error| Finding {
            severity: Error,
            span: error.span(),
            key: String::new(),
            message: error.message().to_owned(),
            help: None,
            other: None,
        }));
    }
    Report::new(path, text, findings, &hidden)
}

/// All keys of the file, as `target.limit.queue`; `NAME` stands for names of the user's choice, `PATTERN`
/// for a pattern that is written as a table.
#[must_use]
pub fn keys() -> &'static BTreeSet<String> {
    static KEYS: OnceLock<BTreeSet<String>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let reader = Reader::cataloguing();
        walk(&reader, &DeTable::new());
        reader.into_parts().0
    })
}

fn walk(reader: &Reader<'_>, document: &DeTable<'_>) -> Config {
    let mut root = Section::root(reader, document);
    let mut config = Config::default();
    process::read(&mut root, &mut config);
    let control_pairs = comparison::read(&mut root, &mut config.comparison);
    config.targets = target::read_all(&mut root, &config);
    comparison::complete(reader, control_pairs, &mut config);
    config
}

/// The rest of each line after a key that usually holds a secret.
fn values_of_secret_keys(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let found = ["bearer", "basic", "token", "key", "password", "secret", "authorization"]
            .iter()
            .filter_map(|word| line.find(word).map(|at| at + word.len()))
            .min();
        if let Some(at) = found {
            let value = line[at..].find('=').map_or(line.len(), |equals| at + equals + 1);
            spans.push(start + value..start + line.len());
        }
        start += line.len();
    }
    spans
}
