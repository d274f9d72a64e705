//! What a file is: sections of lines.

use crate::word::Word;

/// A file that was read.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Document {
    /// The lines before the first section.
    pub preamble: Vec<Line>,
    /// The sections, in their order. One inside a block that HAProxy skips is none: its lines are among those
    /// of the section before, marked as [skipped](Presence::Skipped).
    pub sections: Vec<Section>,
    /// What is wrong with the text, in its order; at most [`limits::MISTAKES`](crate::limits::MISTAKES).
    pub mistakes: Vec<crate::Mistake>,
}

/// A section, from its first line to the next section's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Section {
    /// The line that begins it.
    pub header: Line,
    /// The others.
    pub lines: Vec<Line>,
    /// The `[scope]` that it is in.
    pub scope: Option<Vec<u8>>,
}

/// A line, as it stands and as HAProxy reads it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// All its bytes, line end included.
    pub raw: Vec<u8>,
    /// Its words. Of a line with a mistake those before it; none of a `[scope]`, a comment or an empty line.
    pub words: Vec<Word>,
    /// The name in a `[scope]` line.
    pub scope: Option<Vec<u8>>,
    /// Where the `#` of its comment stands, as an offset into `raw`.
    pub comment: Option<usize>,
    /// Whether HAProxy takes it.
    pub presence: Presence,
}

/// Whether HAProxy takes a line, by the `.if` blocks around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// It does not: a condition excludes the line.
    Skipped,
    /// It may: what a condition depends on is not known here.
    Undecided,
    /// It does.
    Active,
}

impl Document {
    /// The file, byte for byte, put together from its lines.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines().flat_map(|line| line.raw.iter().copied()).collect()
    }

    /// All lines, in their order.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        let sections = self.sections.iter();
        self.preamble.iter().chain(
            sections.flat_map(|section| std::iter::once(&section.header).chain(&section.lines)),
        )
    }
}

impl Section {
    /// What begins it: `frontend`, `spoe-agent`.
    pub fn keyword(&self) -> &[u8] {
        self.header.keyword().unwrap_or_default()
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<&Word> {
        let name = self.header.words.get(1)?;
        let from = self.keyword() == b"defaults" && name.text == b"from";
        if from { None } else { Some(name) }
    }

    /// The name of the defaults that it is `from`.
    pub fn from(&self) -> Option<&Word> {
        let at = if self.name().is_some() { 2 } else { 1 };
        let (from, name) = (self.header.words.get(at)?, self.header.words.get(at + 1)?);
        if from.text == b"from" { Some(name) } else { None }
    }

    /// Whether defaults apply to it: a frontend, a backend or both.
    pub fn is_proxy(&self) -> bool {
        matches!(self.keyword(), b"frontend" | b"backend" | b"listen")
    }
}

impl Line {
    /// Its first word.
    pub fn keyword(&self) -> Option<&[u8]> {
        self.words.first().map(|word| word.text.as_slice())
    }

    /// Whether it is `.if`, `.notice` and the like.
    pub fn is_directive(&self) -> bool {
        self.keyword().is_some_and(|keyword| keyword.starts_with(b"."))
    }

    /// A word as it is written, quotes and variables included.
    pub fn written(&self, word: &Word) -> &[u8] {
        self.raw.get(word.span.clone()).unwrap_or_default()
    }
}
