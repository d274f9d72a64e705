//! Writes files to the output directory, all or none.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::files::Generated;

/// Writes them; with `force` over files of the same name, but never through a link.
pub(super) fn write(directory: &Path, files: &[Generated], force: bool) -> Result<(), String> {
    let paths: Vec<PathBuf> = files.iter().map(|file| directory.join(&file.name)).collect();
    if !force {
        if let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
            return Err(format!(
                "{} is there already; --force writes over it, --output DIR names another directory",
                path.display()
            ));
        }
    }
    for (path, file) in paths.iter().zip(files) {
        write_one(path, &file.text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

fn write_one(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text)
}

/// Refuses an output directory in which the new haproxy.cfg would take the place of the one that is read.
pub(super) fn not_itself(haproxy: &Path, directory: &Path) -> Result<(), String> {
    let same =
        |a: io::Result<PathBuf>, b: io::Result<PathBuf>| matches!((a, b), (Ok(a), Ok(b)) if a == b);
    if same(haproxy.canonicalize(), directory.join("haproxy.cfg").canonicalize()) {
        return Err(format!(
            "{} is never written over; --output names another directory",
            haproxy.display()
        ));
    }
    Ok(())
}
