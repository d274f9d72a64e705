//! What the doctor says: to people as text, to programs as JSON.

mod json;
mod sentences;
mod text;

pub(super) use sentences::covered;

use std::path::Path;

use haproxy_config::Line;

use super::assumed::Assumed;
use super::finding::{Finding, Severity};
use super::live::Seen;
use super::setup::{Files, Setup};
use crate::legible::legible;

/// Everything that there is to tell.
pub(super) struct Answer<'a> {
    pub(super) files: &'a Files,
    pub(super) assumed: &'a Assumed,
    /// Worst first.
    pub(super) findings: &'a [Finding],
    pub(super) setup: &'a Setup<'a>,
    /// What runs, if that was looked at.
    pub(super) seen: &'a Seen,
}

impl Answer<'_> {
    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    fn path(&self, file: usize) -> String {
        legible_path(self.files.path(file))
    }

    /// The line of this number, from 1.
    fn line(&self, file: usize, number: usize) -> Option<&Line> {
        sentences::numbered(self.files, file, number)
    }

    fn paths(&self) -> impl Iterator<Item = String> {
        self.files.files.iter().map(|file| legible_path(&file.path))
    }
}

fn legible_path(path: &Path) -> String {
    legible(&path.to_string_lossy(), &[])
}

/// The text in lines of no more than `width` characters, parted between words. Its own lines stay apart.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut length = 0;
        for word in paragraph.split_whitespace() {
            let word_length = word.chars().count();
            if length > 0 && length + 1 + word_length > width {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            line.push_str(word);
            length += word_length;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_are_parted_between_words() {
        assert_eq!(wrapped("one two  three\nfour", 7), ["one two", "three", "four"]);
        assert_eq!(wrapped("overlong äöü", 3), ["overlong", "äöü"]);
        assert!(wrapped("", 5).is_empty());
    }
}
