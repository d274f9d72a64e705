//! The hunks of a unified diff, written from changes that are known.

use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use haproxy_config::Line;

use crate::doctor::secrets::covered;

/// What is written of a line.
#[derive(Debug)]
pub(super) struct Written {
    /// Whether the line itself stays.
    pub(super) stays: bool,
    /// What stands behind it, or in its place, with line ends.
    pub(super) lines: Vec<Vec<u8>>,
}

/// A file's differences.
#[derive(Debug)]
pub(super) struct Diff {
    pub(super) hunks: Vec<u8>,
    /// Whether a hunk has no lines around it because one of them holds a secret.
    pub(super) without_context: bool,
}

/// Lines that follow each other, and what stands in their place.
struct Block<'a> {
    old: Range<usize>,
    new: Vec<&'a [u8]>,
}

/// Blocks that share lines around them.
struct Hunk<'a> {
    /// With the lines around the blocks.
    old: Range<usize>,
    blocks: Vec<Block<'a>>,
    has_context: bool,
}

impl Diff {
    /// The differences; `None` if there are none. One line of context on each side: without any, `git apply` does
    /// not know where a change belongs, and more would show more than it takes.
    pub(super) fn new(lines: &[&Line], written: &[Written]) -> Option<Self> {
        let hunks = hunks(lines, blocks(written));
        if hunks.is_empty() {
            return None;
        }
        let without_context = hunks.iter().any(|hunk| !hunk.has_context);
        let (mut text, mut added, mut removed) = (Vec::new(), 0, 0);
        for hunk in &hunks {
            let begins = hunk.old.start + added - removed;
            let gone: usize = hunk.blocks.iter().map(|block| block.old.len()).sum();
            let come: usize = hunk.blocks.iter().map(|block| block.new.len()).sum();
            let (old, new) = (hunk.old.len(), hunk.old.len() - gone + come);
            // Of a range without lines the line before it is told.
            let first = |begins: usize, length: usize| begins + usize::from(length > 0);
            let (from, to) = (first(hunk.old.start, old), first(begins, new));
            text.extend_from_slice(format!("@@ -{from},{old} +{to},{new} @@\n").as_bytes());
            hunk.write(lines, &mut text);
            (added, removed) = (added + come, removed + gone);
        }
        Some(Self { hunks: text, without_context })
    }
}

fn blocks(written: &[Written]) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for (at, line) in written.iter().enumerate() {
        let old = if line.stays { at + 1..at + 1 } else { at..at + 1 };
        if line.stays && line.lines.is_empty() {
            continue;
        }
        let new = line.lines.iter().map(Vec::as_slice);
        match blocks.last_mut() {
            Some(block) if block.old.end == old.start => {
                block.old.end = old.end;
                block.new.extend(new);
            }
            _ => blocks.push(Block { old, new: new.collect() }),
        }
    }
    blocks
}

fn hunks<'a>(lines: &[&Line], blocks: Vec<Block<'a>>) -> Vec<Hunk<'a>> {
    let mut hunks: Vec<Hunk<'a>> = Vec::new();
    for block in blocks {
        let around = block.old.start.saturating_sub(1)..(block.old.end + 1).min(lines.len());
        let before = around.start..block.old.start;
        let mut context = before.chain(block.old.end..around.end);
        let has_context =
            !context.any(|at| lines.get(at).is_some_and(|line| covered(&line.raw).hides));
        let old = if has_context { around } else { block.old.clone() };
        match hunks.last_mut() {
            Some(hunk) if hunk.has_context && has_context && hunk.old.end >= old.start => {
                hunk.old.end = old.end;
                hunk.blocks.push(block);
            }
            _ => hunks.push(Hunk { old, blocks: vec![block], has_context }),
        }
    }
    hunks
}

impl Hunk<'_> {
    fn write(&self, lines: &[&Line], text: &mut Vec<u8>) {
        let mut put = |mark: u8, line: &[u8]| {
            text.push(mark);
            text.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                text.extend_from_slice(b"\n\\ No newline at end of file\n");
            }
        };
        let old = |range: Range<usize>| lines.get(range).unwrap_or_default().iter();
        let mut at = self.old.start;
        for block in &self.blocks {
            old(at..block.old.start).for_each(|line| put(b' ', &line.raw));
            old(block.old.clone()).for_each(|line| put(b'-', &line.raw));
            block.new.iter().for_each(|line| put(b'+', line));
            at = block.old.end;
        }
        old(at..self.old.end).for_each(|line| put(b' ', &line.raw));
    }
}

/// A file's name as it stands in a diff: in quotes if it has to be, and with a tab where a blank in it would be
/// taken for its end.
pub(super) fn name(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.iter().any(|byte| byte.is_ascii_control() || matches!(byte, b'"' | b'\\')) {
        let mut name = vec![b'"'];
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => name.extend_from_slice(&[b'\\', byte]),
                _ if byte.is_ascii_control() => {
                    name.extend_from_slice(format!("\\{byte:03o}").as_bytes());
                }
                _ => name.push(byte),
            }
        }
        name.push(b'"');
        return name;
    }
    let tab: &[u8] = if bytes.contains(&b' ') { b"\t" } else { b"" };
    [bytes, tab].concat()
}
