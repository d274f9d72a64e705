//! Puts the new bytes where the old ones are, which are kept beside them.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::{fmt, process};

use super::Patched;

/// Backups of a file beyond this many are somebody's mistake.
const MAX_BACKUPS: usize = 100;

/// A file that was not written, and why.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) path: PathBuf,
    pub(crate) why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path.display(), self.why)
    }
}

/// Writes all files, each at once, so that nobody ever reads a half of it, with the mode and owner that it has. Gives
/// the names of the backups: the old files, of which not a byte was touched.
///
/// # Errors
/// The first file that cannot be written. Nothing has changed then, unless a rename failed behind others.
pub(crate) fn write(files: &[Patched]) -> Result<Vec<PathBuf>, Refused> {
    let staged: Result<Vec<Staged<'_>>, Refused> = files
        .iter()
        .map(|file| Staged::new(file).map_err(|why| Refused { path: file.path.clone(), why }))
        .collect();
    staged?
        .into_iter()
        .map(|staged| {
            let path = staged.file.path.clone();
            staged
                .put()
                .map_err(|error| Refused { path, why: format!("cannot replace it: {error}") })
        })
        .collect()
}

/// The new bytes in a file beside the old one. It goes when it is dropped.
struct Staged<'a> {
    file: &'a Patched,
    path: PathBuf,
}

impl<'a> Staged<'a> {
    fn new(file: &'a Patched) -> Result<Self, String> {
        let metadata = fs::symlink_metadata(&file.path).map_err(|error| error.to_string())?;
        check(&file.path, &metadata)?;
        let now = fs::read(&file.path).map_err(|error| format!("cannot read it again: {error}"))?;
        if now != file.old {
            return Err("it has changed since it was read; run the doctor again".to_owned());
        }
        // With a dot in front and another ending, HAProxy does not take it for a part of the configuration.
        let path = beside(&file.path, &format!(".doctor-{}", process::id()), true);
        let cannot = |error: io::Error| format!("cannot write {}: {error}", path.display());
        // New: what is there already, be it a link, is neither followed nor overwritten.
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(cannot)?;
        let staged = Self { file, path: path.clone() };
        take_after(&new, &metadata)?;
        new.write_all(&file.new).and_then(|()| new.sync_all()).map_err(cannot)?;
        Ok(staged)
    }

    /// Puts it in the old one's place. Gives the backup's name.
    fn put(self) -> io::Result<PathBuf> {
        let backup = back_up(&self.file.path)?;
        fs::rename(&self.path, &self.file.path)?;
        let directory = match self.file.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(directory)?.sync_all()?;
        Ok(backup)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // Once it is in its place, there is none.
        let _ = fs::remove_file(&self.path);
    }
}

/// What would surprise: a link would turn into a file, or one of two names get other bytes than the other.
fn check(path: &Path, metadata: &Metadata) -> Result<(), String> {
    if metadata.is_symlink() {
        let target = fs::canonicalize(path).map(|target| format!(" to {}", target.display()));
        let target = target.unwrap_or_default();
        return Err(format!("it is a link{target}; write that file by the patch instead"));
    }
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if metadata.nlink() > 1 {
        return Err("it has other names (hard links), which would keep the old text".to_owned());
    }
    Ok(())
}

/// Gives a new file the owner and mode of the old one.
fn take_after(new: &File, old: &Metadata) -> Result<(), String> {
    let made = new.metadata().map_err(|error| error.to_string())?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid())).map_err(|error| {
            format!("it belongs to another user or group, which cannot be kept: {error}; run this as root")
        })?;
    }
    new.set_permissions(old.permissions()).map_err(|error| format!("cannot keep its mode: {error}"))
}

/// Gives the old file a second name, the first that is free.
fn back_up(path: &Path) -> io::Result<PathBuf> {
    let mut number = 1;
    loop {
        let ending = if number == 1 { ".bak".to_owned() } else { format!(".bak{number}") };
        let backup = beside(path, &ending, false);
        match fs::hard_link(path, &backup) {
            Ok(()) => return Ok(backup),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_BACKUPS => {}
            Err(error) => return Err(error),
        }
        number += 1;
    }
}

/// The path with something behind its name, and a dot in front if it is to be hidden.
fn beside(path: &Path, behind: &str, hidden: bool) -> PathBuf {
    let mut name = OsString::from(if hidden { "." } else { "" });
    name.push(path.file_name().unwrap_or_default());
    name.push(behind);
    path.with_file_name(name)
}
