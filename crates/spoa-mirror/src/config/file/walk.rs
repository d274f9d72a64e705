//! Walks a parsed file key by key. Whatever asks for a key makes it known: what nobody asked for is an
//! error, and the list of all keys is what was asked for.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::report::{Finding, Severity};
use crate::config::Pattern;
use crate::nearest::nearest;

/// Names in a table where the user chooses them.
const MAX_NAMES: usize = 500;
/// Unknown keys told of a table.
const MAX_UNKNOWN: usize = 50;
/// Findings beyond this number are not kept.
const MAX_FINDINGS: usize = 1000;

/// What a walk is done with, and what it found.
pub(super) struct Reader<'e> {
    /// The file, and where relative paths begin: its directory.
    pub(super) file: PathBuf,
    pub(super) directory: PathBuf,
    /// What the file says.
    pub(super) text: &'e str,
    /// Looks a variable up in the environment.
    pub(super) environment: &'e dyn Fn(&str) -> Option<String>,
    /// Compiled regular expressions by their text: of a default, all targets have the same one.
    pub(super) patterns: RefCell<HashMap<String, Pattern>>,
    findings: RefCell<Vec<Finding>>,
    hidden: RefCell<Vec<Range<usize>>>,
    /// `[defaults]` is read by itself: what it says may be completed by targets.
    incomplete: Cell<bool>,
    /// All keys that were asked for; sections that are not there are walked as well.
    catalogue: Option<RefCell<BTreeSet<String>>>,
    /// It is no configuration file, whose keys are of no use in it.
    other: bool,
}

impl<'e> Reader<'e> {
    /// For the text of the file at `path`.
    pub(super) fn new(
        path: &Path,
        text: &'e str,
        environment: &'e dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            directory: file.parent().unwrap_or(Path::new("/")).to_owned(),
            file,
            text,
            environment,
            patterns: RefCell::default(),
            findings: RefCell::default(),
            hidden: RefCell::default(),
            incomplete: Cell::new(false),
            catalogue: None,
            other: false,
        }
    }

    /// For a file that is no configuration file.
    pub(super) fn of_other_file(self) -> Self {
        Self { other: true, ..self }
    }

    /// A reader that finds out which keys there are.
    pub(super) fn cataloguing() -> Self {
        Self {
            catalogue: Some(RefCell::default()),
            ..Self::new(Path::new(""), "", &|_: &str| -> Option<String> { None })
        }
    }

    pub(super) fn is_cataloguing(&self) -> bool {
        self.catalogue.is_some()
    }

    /// The keys that were asked for, the findings, and the places of secrets.
    pub(super) fn into_parts(self) -> (BTreeSet<String>, Vec<Finding>, Vec<Range<usize>>) {
        let catalogue = self.catalogue.map(RefCell::into_inner).unwrap_or_default();
        (catalogue, self.findings.into_inner(), self.hidden.into_inner())
    }

    /// From here on, or no longer, what is read may be completed by something else.
    pub(super) fn set_incomplete(&self, incomplete: bool) {
        self.incomplete.set(incomplete);
    }

    /// Whether what is missing or does not go together is to be told.
    pub(super) fn is_complete(&self) -> bool {
        !self.incomplete.get()
    }

    /// Covers a secret in what is shown of the file.
    pub(super) fn hide(&self, span: &Range<usize>) {
        self.hidden.borrow_mut().push(span.clone());
    }

    pub(super) fn push(&self, finding: Finding) {
        let mut findings = self.findings.borrow_mut();
        if findings.len() < MAX_FINDINGS {
            findings.push(finding);
        }
    }

    pub(super) fn error(&self, place: &Place, message: impl Into<String>, help: Option<String>) {
        self.push(place.finding(Severity::Error, message.into(), help));
    }

    /// Things that are right by themselves and wrong together.
    pub(super) fn clash(
        &self,
        place: &Place,
        message: impl Into<String>,
        other: Option<(&Place, &str)>,
    ) {
        if self.is_complete() {
            let mut finding = place.finding(Severity::Error, message.into(), None);
            finding.other = other
                .filter(|(other, _)| other.span != place.span)
                .map(|(other, label)| (other.span.clone(), label.to_owned()));
            self.push(finding);
        }
    }

    /// What can be done and is hardly meant.
    pub(super) fn warn(&self, place: &Place, message: impl Into<String>, help: Option<String>) {
        if self.is_complete() {
            self.push(place.finding(Severity::Warning, message.into(), help));
        }
    }
}

/// A place in the file.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) span: Range<usize>,
    /// The key, as `target.limit.queue`.
    pub(super) path: String,
}

impl Place {
    fn finding(&self, severity: Severity, message: String, help: Option<String>) -> Finding {
        Finding {
            severity,
            span: Some(self.span.clone()),
            key: self.path.clone(),
            message,
            help,
            other: None,
        }
    }
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct Value<'a> {
    pub(super) node: &'a DeValue<'a>,
    pub(super) place: Place,
    /// The key itself.
    pub(super) key: Range<usize>,
    /// It comes from `[defaults]`.
    pub(super) inherited: bool,
}

impl<'a> Value<'a> {
    /// Its elements; a value that is no list is a list of one.
    pub(super) fn elements(&self) -> Vec<Value<'a>> {
        match self.node {
            DeValue::Array(list) => list
                .iter()
                .map(|element| Value {
                    node: element.get_ref(),
                    place: Place { span: element.span(), path: self.place.path.clone() },
                    key: self.key.clone(),
                    inherited: self.inherited,
                })
                .collect(),
            _ => vec![self.clone()],
        }
    }

    /// What it is, with an article.
    pub(super) fn kind(&self) -> &'static str {
        kind(self.node)
    }
}

fn kind(node: &DeValue<'_>) -> &'static str {
    match node {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// One table that a section is made of.
struct Layer<'a> {
    table: &'a DeTable<'a>,
    place: Place,
    inherited: bool,
}

/// A table with known keys: a target's own over the one in `[defaults]`.
///
/// Done with, it tells of the keys that nobody asked for.
pub(super) struct Section<'r, 'e, 'a> {
    pub(super) reader: &'r Reader<'e>,
    layers: Vec<Layer<'a>>,
    /// What its keys are called in the documentation: `target.limit`.
    schema: String,
    asked: Vec<&'static str>,
    /// Values in it are secrets, also those with a wrong key.
    secrets: bool,
    checked: bool,
}

impl<'r, 'e, 'a> Section<'r, 'e, 'a> {
    /// The file itself.
    pub(super) fn root(reader: &'r Reader<'e>, table: &'a DeTable<'a>) -> Self {
        let place = Place { span: 0..0, path: String::new() };
        Self::new(reader, vec![Layer { table, place, inherited: false }], String::new())
    }

    fn new(reader: &'r Reader<'e>, layers: Vec<Layer<'a>>, schema: String) -> Self {
        Self { reader, layers, schema, asked: Vec::new(), secrets: false, checked: true }
    }

    /// A table that is an element of a list.
    pub(super) fn of(reader: &'r Reader<'e>, value: &Value<'a>, schema: &str) -> Option<Self> {
        let DeValue::Table(table) = value.node else { return None };
        let layer = Layer { table, place: value.place.clone(), inherited: value.inherited };
        Some(Self::new(reader, vec![layer], schema.to_owned()))
    }

    /// A table that is not there; for the catalogue of keys.
    pub(super) fn nothing(reader: &'r Reader<'e>, schema: &str) -> Self {
        Self::new(reader, Vec::new(), schema.to_owned())
    }

    /// A table of `value`, over that of `defaults`.
    pub(super) fn over(mut self, defaults: Option<&Value<'a>>) -> Self {
        if let Some(Value { node: DeValue::Table(table), place, .. }) = defaults {
            self.layers.push(Layer { table, place: place.clone(), inherited: true });
        }
        self
    }

    /// Takes its values for secrets, whatever their keys are.
    pub(super) fn with_secrets(mut self) -> Self {
        self.secrets = true;
        self
    }

    /// Another value is used in its place: nobody will ask for its keys.
    pub(super) fn leave(mut self) {
        self.checked = false;
    }

    /// Only the table that comes first: of tables whose keys exclude each other, none is completed by
    /// another.
    pub(super) fn top(mut self) -> Self {
        self.layers.truncate(1);
        self
    }

    /// Whether it is in the file.
    pub(super) fn is_there(&self) -> bool {
        !self.layers.is_empty()
    }

    /// Whether it is in the file, without a key.
    pub(super) fn is_blank(&self) -> bool {
        self.is_there() && self.layers.iter().all(|layer| layer.table.is_empty())
    }

    /// Where it is.
    pub(super) fn place(&self) -> Place {
        match self.layers.first() {
            Some(layer) => layer.place.clone(),
            None => Place { span: 0..0, path: self.schema.clone() },
        }
    }

    fn schema_of(&self, key: &str) -> String {
        if self.schema.is_empty() { key.to_owned() } else { format!("{}.{key}", self.schema) }
    }

    fn ask(&mut self, key: &'static str) {
        self.asked.push(key);
        if let Some(catalogue) = &self.reader.catalogue {
            catalogue.borrow_mut().insert(self.schema_of(key));
        }
    }

    /// The value of a key, a target's own before the default.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.ask(key);
        self.layers.iter().find_map(|layer| layer.get(key))
    }

    /// The place of a key that may have been asked for already.
    pub(super) fn place_of(&self, key: &str) -> Option<Place> {
        self.layers.iter().find_map(|layer| layer.get(key)).map(|value| value.place)
    }

    /// The place of a key that the target itself has.
    pub(super) fn own(&self, key: &str) -> Option<Place> {
        let mut own = self.layers.iter().filter(|layer| !layer.inherited);
        own.find_map(|layer| layer.get(key)).map(|value| value.place)
    }

    /// The tables of a key put over each other, and the value of it that is no table, if that comes
    /// first or alone. `None` for the section when there is no table; in a catalogue there always is.
    pub(super) fn shape(
        &mut self,
        key: &'static str,
    ) -> (Option<Value<'a>>, Option<Section<'r, 'e, 'a>>) {
        self.ask(key);
        let mut plain = None;
        let mut layers = Vec::new();
        for layer in &self.layers {
            match layer.get(key) {
                Some(Value { node: DeValue::Table(table), place, inherited, .. }) => {
                    layers.push(Layer { table, place, inherited });
                }
                Some(value) if layers.is_empty() && plain.is_none() => plain = Some(value),
                Some(_) | None => {}
            }
        }
        let wanted = !layers.is_empty() || self.reader.is_cataloguing();
        let section = wanted.then(|| Section::new(self.reader, layers, self.schema_of(key)));
        (plain, section)
    }

    /// The section of a key, empty where the file has none.
    pub(super) fn section(&mut self, key: &'static str, example: &str) -> Section<'r, 'e, 'a> {
        let (plain, section) = self.shape(key);
        if let Some(plain) = plain {
            let message = format!("expected a table, found {}", plain.kind());
            self.reader.error(
                &plain.place,
                message,
                Some(format!("write it like {key} = {example}")),
            );
        }
        section.unwrap_or_else(|| Section::nothing(self.reader, &self.schema_of(key)))
    }

    /// A table whose keys are names of the user's choice: those of the target over the defaults, in the
    /// order of the file. Names are brought into the form that makes equal names equal by `fold`.
    pub(super) fn names(
        &mut self,
        key: &'static str,
        example: &str,
        fold: fn(&str) -> String,
    ) -> Vec<(String, Value<'a>)> {
        let mut section = self.section(key, example);
        section.checked = false;
        if let Some(catalogue) = &self.reader.catalogue {
            catalogue.borrow_mut().insert(format!("{}.NAME", section.schema));
        }
        let mut found: Vec<(String, Value<'a>)> = Vec::new();
        for layer in &section.layers {
            let mut here: Vec<(String, Value<'a>)> = Vec::new();
            if layer.table.len() > MAX_NAMES {
                let message = format!("a table has no more than {MAX_NAMES} names");
                self.reader.error(&layer.place, message, None);
            }
            for name in layer.table.keys().take(MAX_NAMES) {
                let folded = fold(name.get_ref());
                let Some(value) = layer.get(name.get_ref()) else { continue };
                if let Some((_, first)) = here.iter().find(|(known, _)| *known == folded) {
                    let place = Place { span: name.span(), path: value.place.path.clone() };
                    let first = Place { span: first.key.clone(), path: first.place.path.clone() };
                    let message =
                        format!("`{}` is given twice: case does not count", name.get_ref());
                    self.reader.clash(&place, message, Some((&first, "given here")));
                } else {
                    here.push((folded, value));
                }
            }
            here.retain(|(name, _)| !found.iter().any(|(known, _)| known == name));
            found.append(&mut here);
        }
        found.sort_by_key(|(_, value)| value.place.span.start);
        found
    }

    /// Tells of keys that nobody asked for.
    fn tell_unknown(&self) {
        for layer in &self.layers {
            let asked = |key: &str| self.asked.contains(&key);
            let unknown = layer.table.iter().filter(|(key, _)| !asked(key.get_ref().as_ref()));
            for (key, value) in unknown.take(MAX_UNKNOWN) {
                let name = key.get_ref().as_ref();
                if self.secrets {
                    self.reader.hide(&value.span());
                }
                let place = Place { span: key.span(), path: join(&layer.place.path, name) };
                let shown: String = name.chars().take(60).collect();
                let inside = match self.schema.as_str() {
                    "" => "at the top of the file".to_owned(),
                    schema => format!("in `{schema}`"),
                };
                let help = self.meant(name);
                self.reader.error(
                    &place,
                    format!("there is no key `{shown}` {inside}"),
                    Some(help),
                );
            }
        }
    }

    /// The key that was probably meant: the nearest here, or one of that name elsewhere.
    fn meant(&self, name: &str) -> String {
        if let Some(key) = nearest(name, self.asked.iter().copied()) {
            return format!("a key with a similar name exists: `{key}`");
        }
        let folded = name.to_ascii_lowercase().replace('_', "-");
        let keys = if self.reader.other { None } else { Some(super::keys()) };
        let elsewhere = keys
            .into_iter()
            .flatten()
            .find(|key| key.rsplit('.').next() == Some(folded.as_str()) && !key.ends_with("NAME"));
        if let Some(key) = elsewhere {
            return match key.rsplit_once('.') {
                Some((section, key)) => format!("`{key}` belongs in `{section}`"),
                None => format!("`{key}` belongs at the top of the file, as a table"),
            };
        }
        let mut known = self.asked.clone();
        known.sort_unstable();
        known.dedup();
        format!("the keys here are {}", known.join(", "))
    }
}

impl<'a> Layer<'a> {
    fn get(&self, key: &str) -> Option<Value<'a>> {
        let (name, value) = self.table.get_key_value(key)?;
        Some(Value {
            node: value.get_ref(),
            place: Place { span: value.span(), path: join(&self.place.path, key) },
            key: name.span(),
            inherited: self.inherited,
        })
    }
}

impl Drop for Section<'_, '_, '_> {
    fn drop(&mut self) {
        if self.checked && !self.reader.is_cataloguing() {
            self.tell_unknown();
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
