//! The edits of findings, put together: as a patch to look at and apply, and as the files' new bytes.
//!
//! Each line is replaced for one finding only. A finding whose line was replaced for another is left out as a
//! whole, so that nothing is mended by halves, and is told: what it is about may be another line now.

mod diff;
mod in_place;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use haproxy_config::{Document, Line};

use super::finding::{Change, Edit, Finding};
use super::setup::Files;
use diff::{Diff, Written};

pub(crate) use in_place::write;

/// What the edits of findings make of the files.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    /// The files that change, in the order of their indexes.
    pub(crate) files: Vec<Patched>,
    /// The findings, by index, that have edits of which none is in here, because one of their lines was replaced
    /// for another finding, or cannot be written. Examined again behind the patch, they may be mended by the next.
    pub(crate) left: Vec<usize>,
}

/// A file that changes.
#[derive(Debug)]
pub(crate) struct Patched {
    /// As the doctor was given it.
    pub(crate) path: PathBuf,
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
    diff: Diff,
}

/// Applies the edits of findings. Where two want to replace the same line, the first one does.
pub(crate) fn patch(files: &Files, findings: &[Finding]) -> Patch {
    applied(files, findings.iter().map(|finding| finding.mend.edits.as_slice()))
}

/// Applies edits that are made for no finding: all of them, or none.
pub(crate) fn edited(files: &Files, edits: &[Edit]) -> Patch {
    applied(files, std::iter::once(edits))
}

/// Applies edits that belong together, some after others.
fn applied<'e>(files: &Files, together: impl Iterator<Item = &'e [Edit]>) -> Patch {
    let mut plans: Vec<Plan<'_>> =
        files.files.iter().map(|file| Plan::new(&file.document)).collect();
    let mut left = Vec::new();
    for (index, edits) in together.enumerate() {
        // Tried on copies of the lines that it changes, which count if all its edits can be made.
        let mut tried: Vec<(usize, usize, LineChange)> = Vec::new();
        let all = edits.iter().all(|edit| {
            let Some(plan) = plans.get(edit.file) else { return false };
            let known =
                tried.iter_mut().find(|(file, line, _)| (*file, *line) == (edit.file, edit.line));
            if let Some((_, _, change)) = known {
                return plan.make(edit, change);
            }
            let Some(mut change) = plan.change(edit.line).cloned() else { return false };
            let made = plan.make(edit, &mut change);
            tried.push((edit.file, edit.line, change));
            made
        });
        if !all {
            left.push(index);
            continue;
        }
        for (file, line, change) in tried {
            let plan = plans.get_mut(file);
            if let Some(kept) = plan.and_then(|plan| plan.changes.get_mut(line.wrapping_sub(1))) {
                *kept = change;
            }
        }
    }
    let files = files.files.iter().zip(&plans);
    Patch { files: files.filter_map(|(file, plan)| plan.patched(&file.path)).collect(), left }
}

impl Patch {
    /// The unified diff, which `patch` and `git apply` take. Before and behind a change stands one line that stays,
    /// unless one of them holds a secret, as far as that can be told. Lines that change are shown, whatever they hold.
    pub(crate) fn diff(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for file in &self.files {
            let name = diff::name(&self.named(&file.path));
            for mark in [b"--- ", b"+++ "] {
                text.extend_from_slice(mark);
                text.extend_from_slice(&name);
                text.push(b'\n');
            }
            text.extend_from_slice(&file.diff.hunks);
        }
        text
    }

    /// What applies the diff from its standard input, in the directory where the doctor ran.
    pub(crate) fn command(&self) -> &'static str {
        if self.is_from_root() { "patch -p0 -d /" } else { "patch -p0" }
    }

    /// Whether a secret leaves a change without the lines around it, so that `git apply` wants
    /// `--unidiff-zero`.
    pub(crate) fn is_without_context(&self) -> bool {
        self.files.iter().any(|file| file.diff.without_context)
    }

    /// `patch` does not follow links, nor go to the root or upwards. If a file's name would have it do so, all
    /// are named by where they really are, and it is to begin at the root.
    fn is_from_root(&self) -> bool {
        let is_plain = |path: &Path| {
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
                && !path.ancestors().any(Path::is_symlink)
        };
        !self.files.iter().all(|file| is_plain(&file.path))
    }

    fn named<'p>(&self, path: &'p Path) -> Cow<'p, Path> {
        if !self.is_from_root() {
            // Without `./`, which git refuses.
            return Cow::Owned(
                path.components().filter(|part| *part != Component::CurDir).collect(),
            );
        }
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Cow::Owned(real.components().filter(|part| *part != Component::RootDir).collect())
    }
}

/// What becomes of a file's lines.
struct Plan<'a> {
    lines: Vec<&'a Line>,
    changes: Vec<LineChange>,
}

/// What becomes of a line: texts without line ends.
#[derive(Default, Clone)]
struct LineChange {
    replaced: Option<Vec<Vec<u8>>>,
    appended: Vec<Vec<Vec<u8>>>,
}

impl<'a> Plan<'a> {
    fn new(document: &'a Document) -> Self {
        let lines: Vec<&Line> = document.lines().collect();
        let changes = vec![LineChange::default(); lines.len()];
        Self { lines, changes }
    }

    fn change(&self, line: usize) -> Option<&LineChange> {
        self.changes.get(line.checked_sub(1)?)
    }

    /// Adds an edit to what becomes of its line, if it can be.
    fn make(&self, edit: &Edit, change: &mut LineChange) -> bool {
        let old = edit.line.checked_sub(1).and_then(|at| self.lines.get(at));
        let old = old.map_or(&b""[..], |line| &line.raw);
        let bytes = |text: &Vec<String>| -> Option<Vec<Vec<u8>>> {
            text.iter().map(|text| restored(old, text)).collect()
        };
        match &edit.change {
            Change::Replace(text) => match (bytes(text), &change.replaced) {
                (Some(text), None) => change.replaced = Some(text),
                (Some(text), Some(other)) => return text == *other,
                (None, _) => return false,
            },
            Change::Append(text) => match bytes(text) {
                // What two findings ask for in the same place is written once.
                Some(text) if text.is_empty() || change.appended.contains(&text) => {}
                Some(text) => change.appended.push(text),
                None => return false,
            },
        }
        true
    }

    /// The file with these changes; `None` if it stays as it is.
    fn patched(&self, path: &Path) -> Option<Patched> {
        let written: Vec<Written> = (0..self.lines.len()).map(|at| self.written(at)).collect();
        let diff = Diff::new(&self.lines, &written)?;
        let mut new = Vec::new();
        for (line, written) in self.lines.iter().zip(&written) {
            if written.stays {
                new.extend_from_slice(&line.raw);
            }
            written.lines.iter().for_each(|line| new.extend_from_slice(line));
        }
        let old = self.lines.iter().flat_map(|line| line.raw.iter().copied()).collect();
        Some(Patched { path: path.to_owned(), old, new, diff })
    }

    fn written(&self, at: usize) -> Written {
        let (Some(line), Some(change)) = (self.lines.get(at), self.changes.get(at)) else {
            return Written { stays: true, lines: Vec::new() };
        };
        let own_end = line_end(&line.raw);
        let before = at.checked_sub(1).and_then(|at| self.lines.get(at));
        let end = match (own_end, before.map(|line| line_end(&line.raw))) {
            (b"", None | Some(b"")) => b"\n",
            (b"", Some(end)) | (end, _) => end,
        };
        let ended = |text: &Vec<u8>| [text, end].concat();
        let own = [line.raw.strip_suffix(own_end).unwrap_or(&line.raw).to_vec()];
        // A last line without an end gets one when it is written anew, be it as it is: nothing can stand behind it
        // otherwise, and HAProxy refuses such a file.
        let lacks_end = own_end.is_empty();
        let replaced = change.replaced.as_deref().filter(|new| **new != own || lacks_end);
        let gets_end = lacks_end && !change.appended.is_empty();
        let appended = change.appended.iter().flatten();
        match replaced.or(gets_end.then_some(&own[..])) {
            Some(new) => {
                Written { stays: false, lines: new.iter().chain(appended).map(ended).collect() }
            }
            None => Written { stays: true, lines: appended.map(ended).collect() },
        }
    }
}

fn line_end(raw: &[u8]) -> &[u8] {
    if raw.ends_with(b"\r\n") {
        b"\r\n"
    } else if raw.ends_with(b"\n") {
        b"\n"
    } else {
        b""
    }
}

/// The bytes of a new text. Edits are made of characters, where an old line's bytes that are none were replaced:
/// what stands before and behind the change gets them back. `None` if the change itself has some, or a line end.
fn restored(old: &[u8], new: &str) -> Option<Vec<u8>> {
    const NONE: char = char::REPLACEMENT_CHARACTER;
    if new.contains('\n') {
        return None;
    }
    if !new.contains(NONE) {
        return Some(new.as_bytes().to_vec());
    }
    let mut pieces: Vec<(char, &[u8])> = Vec::new();
    for chunk in old.trim_ascii_end().utf8_chunks() {
        let valid = chunk.valid();
        let ends = valid.char_indices().map(|(at, char)| (char, at..at + char.len_utf8()));
        pieces.extend(ends.filter_map(|(char, at)| Some((char, valid.as_bytes().get(at)?))));
        if !chunk.invalid().is_empty() {
            pieces.push((NONE, chunk.invalid()));
        }
    }
    let new: Vec<char> = new.chars().collect();
    let same = |(old, new): &(&(char, &[u8]), &char)| old.0 == **new;
    let before = pieces.iter().zip(&new).take_while(same).count();
    let most = pieces.len().min(new.len()) - before;
    let behind = pieces.iter().rev().zip(new.iter().rev()).take(most).take_while(same).count();
    let changed: String = new.get(before..new.len() - behind)?.iter().collect();
    if changed.contains(NONE) {
        return None;
    }
    let bytes =
        |pieces: &[(char, &[u8])]| pieces.iter().flat_map(|(_, piece)| piece.to_vec()).collect();
    let (first, last): (Vec<u8>, Vec<u8>) =
        (bytes(pieces.get(..before)?), bytes(pieces.get(pieces.len() - behind..)?));
    Some([first, changed.into_bytes(), last].concat())
}
