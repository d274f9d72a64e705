//! Finds and reads the files: HAProxy's, directories of them, and the SPOE files that their filters name.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt};
use std::path::{Path, PathBuf};

use haproxy_config::{Document, Section, Surroundings, Syntax, Version, limits, parse};

use super::setup::files::{File, Files, Kind, Unread};

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
    for path in paths {
        let unreadable = |error| Unreadable { path: path.clone(), error };
        for path in files_of(path).map_err(unreadable)? {
            let unreadable = |error| Unreadable { path: path.clone(), error };
            let document = document(&path, Syntax::Haproxy, version).map_err(unreadable)?;
            files.files.push(File { path, kind: Kind::Haproxy, document });
        }
    }
    for named in spoe_files(&files) {
        read_spoe(&mut files, named, version);
    }
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

fn document(path: &Path, syntax: Syntax, version: Option<Version>) -> io::Result<Document> {
    let mut text = Vec::new();
    // One byte more than is allowed shows that it is too large, and no more is held.
    fs::File::open(path)?.take(limits::FILE as u64 + 1).read_to_end(&mut text)?;
    let variable = |name: &str| std::env::var_os(name).map(OsStringExt::into_vec);
    let file = path.to_string_lossy();
    let surroundings = Surroundings { file: &file, variable: &variable, version };
    parse(&text, syntax, &surroundings).map_err(|mistake| io::Error::other(mistake.to_string()))
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
fn read_spoe(files: &mut Files, (named, by): (Vec<u8>, usize), version: Option<Version>) {
    let path = PathBuf::from(std::ffi::OsString::from_vec(named.clone()));
    let beside = files.path(by).parent().map(|directory| directory.join(&path));
    let candidates = match beside {
        Some(beside) if beside != path => vec![beside, path],
        _ => vec![path],
    };
    let mut whys = Vec::new();
    for path in candidates {
        match document(&path, Syntax::Spoe, version) {
            Ok(document) => {
                files.named.push((named, files.files.len()));
                files.files.push(File { path, kind: Kind::Spoe, document });
                return;
            }
            Err(error) => whys.push(format!("{}: {error}", path.display())),
        }
    }
    files.unread.push(Unread { named, why: whys.join("; ") });
}
