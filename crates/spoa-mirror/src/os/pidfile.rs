//! A file that holds the process id for as long as the process runs.

use std::fs;
use std::path::{Path, PathBuf};

/// Removes the file when it goes.
#[derive(Debug)]
pub struct Pidfile(PathBuf);

impl Pidfile {
    /// Writes the file.
    ///
    /// # Errors
    /// The file cannot be written; the text names it.
    pub fn write(path: &Path) -> Result<Self, String> {
        fs::write(path, format!("{}\n", std::process::id())).map_err(|error| {
            format!("cannot write the process id to {}: {error}", path.display())
        })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
