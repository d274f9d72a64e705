//! Writes a file so that a reader finds all of it, or what was there before.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Puts a file with this text at `path`. A device or a pipe that is there is written to instead.
///
/// # Errors
/// It cannot be written; what was there before is still there. The text says where and why.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let mut there = OpenOptions::new().write(true).open(path).map_err(told)?;
        return there.write_all(text.as_bytes()).map_err(told);
    }
    let beside = beside(path).ok_or_else(|| format!("{} names no file", path.display()))?;
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let moved = written.and_then(|()| fs::rename(&beside, path));
    moved.map_err(|error| {
        let _ = fs::remove_file(&beside);
        told(error)
    })
}

/// A name in the same directory that nobody else uses.
fn beside(path: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name()?);
    name.push(format!(".{}", std::process::id()));
    Some(path.with_file_name(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<OsString> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("verdict.xml");
        fs::write(&path, "a longer text that was there before").unwrap();
        replace(&path, "short").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        assert_eq!(names(directory.path()), ["verdict.xml"]);
    }

    #[test]
    fn what_cannot_be_written_is_told_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("taken")).unwrap();
        for path in ["taken", "missing/verdict.xml"] {
            let path = directory.path().join(path);
            let error = replace(&path, "text").unwrap_err();
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
        assert_eq!(names(directory.path()), ["taken"]);
        assert!(replace(Path::new("/"), "text").unwrap_err().contains("names no file"));
    }

    #[test]
    fn a_device_is_written_to() {
        replace(Path::new("/dev/null"), "text").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }
}
