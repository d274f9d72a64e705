//! Finds and reads the files: HAProxy's, directories of them, and the SPOE files that their filters name.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt};
use std::path::{Path, PathBuf};

use haproxy_config::{Document, Section, Surroundings, Syntax, Version, limits, parse};

use super::setup::files::{File, Files, Kind, Unread, Values};

/// Files in a directory beyond this many are not read.
const MAX_FILES: usize = 1000;

/// A file or directory that was asked for and cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// Reads these files and directories as HAProxy does when `-f` names them: of a directory the files whose names
/// end in `.cfg` and do not begin with a dot, in the order of their bytes. Then the SPOE files that they name.
///
/// # Errors
/// The first of `paths` that cannot be read. A SPOE file that cannot is in [`Files::unread`].
pub(crate) fn read(paths: &[PathBuf], version: Option<Version>) -> Result<Files, Unreadable> {
    let mut files = Files::default();
    let mut environment = Environment::default();
    for path in paths {
        let unreadable = |error| Unreadable { path: path.clone(), error };
        for path in files_of(path).map_err(unreadable)? {
            let unreadable = |error| Unreadable { path: path.clone(), error };
            let text = text(&path).map_err(unreadable)?;
            let mut document =
                environment.parse(&path, &text, Syntax::Haproxy, version).map_err(unreadable)?;
            if environment.follow(&document) {
                document = environment
                    .parse(&path, &text, Syntax::Haproxy, version)
                    .map_err(unreadable)?;
            }
            files.files.push(File { path, kind: Kind::Haproxy, document });
        }
    }
    for named in spoe_files(&files) {
        read_spoe(&mut files, &environment, named, version);
    }
    files.values = Values(environment.used.into_inner());
    Ok(files)
}

/// The file itself, or those of a directory.
fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)?.take(MAX_FILES) {
        let entry = entry?;
        let name = entry.file_name();
        let is_one = name.as_bytes().ends_with(b".cfg") && !name.as_bytes().starts_with(b".");
        if is_one && !fs::metadata(entry.path())?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn text(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // One byte more than is allowed shows that it is too large, and no more is held.
    fs::File::open(path)?.take(limits::FILE as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// The variables that the files see: the doctor's own, and what `global` sections make of them.
#[derive(Default)]
struct Environment {
    changed: HashMap<String, Option<Vec<u8>>>,
    /// What was asked for and is set.
    used: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl Environment {
    fn get(&self, name: &str) -> Option<Vec<u8>> {
        match self.changed.get(name) {
            Some(value) => value.clone(),
            None => std::env::var_os(name).map(OsStringExt::into_vec),
        }
    }

    /// Takes over `setenv`, `presetenv` and `unsetenv` of a file; tells whether there are any. The file must then
    /// be read again, for what stands below them.
    fn follow(&mut self, document: &Document) -> bool {
        let mut any = false;
        let globals = document.sections.iter().filter(|section| section.keyword() == b"global");
        for line in globals.flat_map(lines) {
            let word = |at: usize| line.words.get(at).map(|word| word.text.clone());
            let Some(name) = word(1).and_then(|name| String::from_utf8(name).ok()) else {
                continue;
            };
            let value = match line.keyword() {
                Some(b"setenv") => word(2),
                Some(b"presetenv") => self.get(&name).or_else(|| word(2)),
                Some(b"unsetenv") => None,
                _ => continue,
            };
            self.changed.insert(name, value);
            any = true;
        }
        any
    }

    fn parse(
        &self,
        path: &Path,
        text: &[u8],
        syntax: Syntax,
        version: Option<Version>,
    ) -> io::Result<Document> {
        let variable = |name: &str| {
            let value = self.get(name)?;
            self.used.borrow_mut().insert(name.to_owned(), value.clone());
            Some(value)
        };
        let file = path.to_string_lossy();
        let surroundings = Surroundings { file: &file, variable: &variable, version };
        parse(text, syntax, &surroundings).map_err(|mistake| io::Error::other(mistake.to_string()))
    }
}

/// What stands behind `config` in `filter spoe` lines, each once, with the place of the file that says so.
fn spoe_files(files: &Files) -> Vec<(Vec<u8>, usize)> {
    let mut named: Vec<(Vec<u8>, usize)> = Vec::new();
    let sections = files.sections(Kind::Haproxy);
    let lines = sections.flat_map(|(file, section)| lines(section).map(move |line| (file, line)));
    for (file, line) in lines {
        let words: Vec<&[u8]> = line.words.iter().map(|word| word.text.as_slice()).collect();
        if !words.starts_with(&[b"filter", b"spoe"]) {
            continue;
        }
        let config = words.iter().position(|word| *word == b"config");
        let Some(path) = config.and_then(|at| words.get(at + 1)) else { continue };
        if !named.iter().any(|(known, _)| known == path) {
            named.push((path.to_vec(), file));
        }
    }
    named
}

fn lines(section: &Section) -> impl Iterator<Item = &haproxy_config::Line> {
    section.lines.iter().filter(|line| line.presence != haproxy_config::Presence::Skipped)
}

/// HAProxy opens a relative path from its working directory, or as `default-path` says. Where it runs is not
/// known here, so that the directory of the file that names it is tried as well.
fn read_spoe(
    files: &mut Files,
    environment: &Environment,
    (named, by): (Vec<u8>, usize),
    version: Option<Version>,
) {
    let path = PathBuf::from(OsString::from_vec(named.clone()));
    let beside = files.path(by).parent().unwrap_or(Path::new("")).to_owned();
    let mut candidates = match default_path(files, &beside) {
        Some(directory) => vec![directory.join(&path)],
        None => vec![beside.join(&path), path],
    };
    candidates.dedup();
    let mut tried = Vec::new();
    for path in candidates {
        let read =
            text(&path).and_then(|text| environment.parse(&path, &text, Syntax::Spoe, version));
        match read {
            Ok(document) => {
                files.named.push((named, files.files.len()));
                files.files.push(File { path, kind: Kind::Spoe, document });
                return;
            }
            Err(error) => tried.push((path, error)),
        }
    }
    files.unread.push(Unread { named, tried });
}

/// The directory that `default-path` names; none for HAProxy's working directory.
fn default_path(files: &Files, beside: &Path) -> Option<PathBuf> {
    let globals =
        files.sections(Kind::Haproxy).filter(|(_, section)| section.keyword() == b"global");
    let line = globals
        .flat_map(|(_, section)| lines(section))
        .filter(|line| line.keyword() == Some(b"default-path"))
        .last()?;
    let word = |at: usize| line.words.get(at).map(|word| word.text.as_slice());
    match (word(1)?, word(2)) {
        (b"config", _) => Some(beside.to_owned()),
        (b"parent", _) => Some(beside.join("..")),
        (b"origin", Some(path)) => Some(PathBuf::from(OsString::from_vec(path.to_vec()))),
        _ => None,
    }
}
