//! `--fix`: where the patch goes, and what is said about it.

use std::fs;
use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::patch::{self, Patch};
use super::setup::Files;

/// What became of a patch.
#[derive(Debug, Default)]
pub(super) struct Mended {
    /// The patch itself, if it is to be printed.
    pub(super) patch: Vec<u8>,
    /// What was done, in lines for people.
    pub(super) said: String,
}

/// Makes the patch of what was found, and puts it where it is wanted: in a file, in place of HAProxy's files,
/// else on standard output.
///
/// # Errors
/// The file that cannot be written, and why.
pub(super) fn mend(
    files: &Files,
    findings: &[Finding],
    into: Option<&Path>,
    in_place: bool,
) -> Result<Mended, String> {
    let patch = patch::patch(files, findings);
    let mut mended = Mended::default();
    if patch.files.is_empty() {
        mended.said = "there is nothing that a patch can mend\n".to_owned();
        return Ok(mended);
    }
    if let Some(path) = into {
        refuse_own(files, path)?;
        let cannot = |error| format!("{} cannot be written: {error}", path.display());
        fs::write(path, patch.diff()).map_err(cannot)?;
        mended.said = apply(&patch, path);
    }
    if in_place {
        let backups = patch::write(&patch.files).map_err(|refused| refused.to_string())?;
        for (file, backup) in patch.files.iter().zip(&backups) {
            let (file, backup) = (file.path.display(), backup.display());
            mended.said.push_str(&format!("{file} is mended, what it was is {backup}\n"));
        }
    } else if into.is_none() {
        mended.patch = patch.diff();
        mended.said = format!("apply the patch, in this directory, with {}\n", patch.command());
    }
    mended.said.push_str(&left(&patch));
    Ok(mended)
}

/// Somebody who writes `--fix haproxy.cfg` does not mean that the patch shall take its place.
fn refuse_own(files: &Files, path: &Path) -> Result<(), String> {
    let real = |path: &Path| -> PathBuf { path.canonicalize().unwrap_or_else(|_| path.to_owned()) };
    match files.files.iter().any(|file| real(&file.path) == real(path)) {
        true => Err(format!(
            "{} is one of the files that are looked at, and would be overwritten by the patch; --fix --in-place \
             mends it",
            path.display()
        )),
        false => Ok(()),
    }
}

fn apply(patch: &Patch, path: &Path) -> String {
    let shown = path.display();
    let git = match patch.is_without_context() {
        true => " (or git apply --unidiff-zero: secrets leave lines out)",
        false => "",
    };
    format!(
        "{shown} holds the patch; apply it, in this directory, with {} < {shown}{git}\n",
        patch.command()
    )
}

fn left(patch: &Patch) -> String {
    match patch.left.len() {
        0 => String::new(),
        1 => "one finding is not in it, because its line changes for another: run the doctor again then\n".to_owned(),
        count => format!(
            "{count} findings are not in it, because their lines change for others: run the doctor again then\n"
        ),
    }
}
