//! A file that holds the process id for as long as the process runs.

use std::fs;
use std::path::{Path, PathBuf};

/// Removes the file when it goes, unless another process has written its own id to it since.
#[derive(Debug)]
pub struct Pidfile(PathBuf);

impl Pidfile {
    /// Writes the file.
    ///
    /// # Errors
    /// The file cannot be written; the text names it.
    pub fn write(path: &Path) -> Result<Self, String> {
        fs::write(path, own_line()).map_err(|error| {
            format!("cannot write the process id to {}: {error}", path.display())
        })?;
        Ok(Self(path.to_owned()))
    }
}

fn own_line() -> String {
    format!("{}\n", std::process::id())
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // The next agent may have taken over while this one still drained.
        if fs::read_to_string(&self.0).is_ok_and(|text| text == own_line()) {
            let _ = fs::remove_file(&self.0);
        }
    }
}
