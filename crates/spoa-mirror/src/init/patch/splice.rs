//! Lines put into a file, and how that is shown.

use std::fmt::Write as _;
use std::ops::Range;

use haproxy_config::{Line, Word};

use crate::doctor::secrets::covered;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

/// A change to a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Splice {
    /// The index of the line that it is before.
    pub(super) at: usize,
    /// How many lines go.
    removed: usize,
    /// What comes, with line ends.
    inserted: Vec<Vec<u8>>,
}

impl Splice {
    pub(super) fn insertion(at: usize, inserted: Vec<Vec<u8>>) -> Self {
        Self { at, removed: 0, inserted }
    }

    /// Another word in a line.
    pub(super) fn word(line: &Line, word: &Word, text: &str) -> Self {
        let before = line.raw.get(..word.span.start).unwrap_or_default();
        let after = line.raw.get(word.span.end..).unwrap_or_default();
        let inserted = vec![[before, text.as_bytes(), after].concat()];
        Self { at: line.number - 1, removed: 1, inserted }
    }
}

/// The file after all of them, which are in their order.
pub(super) fn applied(lines: &[&[u8]], splices: &[Splice]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut push = |line: &[u8]| {
        // A last line may lack its end.
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(line);
    };
    let mut next = 0;
    for splice in splices {
        lines.get(next..splice.at).unwrap_or_default().iter().for_each(|line| push(line));
        splice.inserted.iter().for_each(|line| push(line));
        next = splice.at + splice.removed;
    }
    lines.get(next..).unwrap_or_default().iter().for_each(|line| push(line));
    text
}

/// What changes, as `diff -u` shows it.
pub(super) fn unified(lines: &[&[u8]], splices: &[Splice], name: &str) -> String {
    let mut shown = format!("--- {name}\n+++ {name}\n");
    // Lines that the hunks before have put in and taken out.
    let (mut come, mut gone) = (0, 0);
    for group in groups(lines.len(), splices) {
        let (range, splices) = group;
        let mut body = String::new();
        let (mut old, mut new) = (0_usize, 0_usize);
        let mut at = range.start;
        let mut kept = |body: &mut String, until: usize, at: &mut usize| {
            for line in lines.get(*at..until).unwrap_or_default() {
                put(body, ' ', line);
                old += 1;
                new += 1;
            }
            *at = until;
        };
        let (mut removed, mut inserted) = (0, 0);
        for splice in splices {
            kept(&mut body, splice.at, &mut at);
            for line in lines.get(at..at + splice.removed).unwrap_or_default() {
                put(&mut body, '-', line);
            }
            splice.inserted.iter().for_each(|line| put(&mut body, '+', line));
            at += splice.removed;
            removed += splice.removed;
            inserted += splice.inserted.len();
        }
        kept(&mut body, range.end, &mut at);
        (old, new) = (old + removed, new + inserted);
        let start = (range.start + come).saturating_sub(gone);
        let _ = write!(shown, "@@ -{},{old} +{},{new} @@\n{body}", range.start + 1, start + 1);
        come += inserted;
        gone += removed;
    }
    shown
}

/// Changes that are near each other, with the lines around them.
fn groups(lines: usize, splices: &[Splice]) -> Vec<(Range<usize>, &[Splice])> {
    let mut groups: Vec<(Range<usize>, &[Splice])> = Vec::new();
    let mut first = 0;
    for (index, splice) in splices.iter().enumerate() {
        let start = splice.at.saturating_sub(CONTEXT);
        let end = (splice.at + splice.removed + CONTEXT).min(lines);
        match groups.last_mut() {
            Some((range, group)) if range.end >= start => {
                range.end = end;
                *group = splices.get(first..=index).unwrap_or_default();
            }
            _ => {
                first = index;
                groups.push((start..end, splices.get(index..=index).unwrap_or_default()));
            }
        }
    }
    groups
}

fn put(body: &mut String, sign: char, line: &[u8]) {
    // What stands around a change may be secret.
    let _ = writeln!(body, "{sign}{}", covered(line).text);
    if !line.ends_with(b"\n") {
        body.push_str("\\ No newline at end of file\n");
    }
}
