//! What the doctor finds: what, where, why it matters, and what to write instead.

use haproxy_config::{Line, Word};
use serde::Serialize;

use std::ops::Range;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// HAProxy does not start with it, nothing is mirrored, or clients suffer.
    Error,
    /// Mirroring works, but less than meant, or clients may come to suffer.
    Warning,
    /// Worth to know; nothing need be done.
    Hint,
}

impl Severity {
    /// As it is shown.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }
}

/// A kind of finding, and what `--explain` tells of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// Its name, of lower-case words with dashes.
    pub(crate) name: &'static str,
    /// Its page, in Markdown: `pages/NAME.md`.
    pub(crate) page: &'static str,
}

/// The [`Code`] of this name, with its page.
macro_rules! code {
    ($name:literal) => {
        $crate::doctor::finding::Code {
            name: $name,
            page: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/src/doctor/pages/",
                $name,
                ".md"
            )),
        }
    };
}
pub(crate) use code;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file's index in [`Files`](super::setup::Files).
    pub(crate) file: usize,
    /// The line, from 1; 0 for the file as a whole.
    pub(crate) line: usize,
    /// The bytes of the line that it is about.
    pub(crate) span: Range<usize>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What kind.
    pub(crate) code: &'static Code,
    /// How bad.
    pub(crate) severity: Severity,
    /// What, in a sentence without a full stop.
    pub(crate) message: String,
    /// Where; none when it is about no place of a file.
    pub(crate) place: Option<Place>,
    /// Other places that have to do with it, and in what way.
    pub(crate) others: Vec<(Place, String)>,
    /// What comes of it, with the figures of this configuration.
    pub(crate) consequence: String,
    /// What to do.
    pub(crate) mend: Mend,
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mend {
    /// In words.
    pub(crate) say: String,
    /// As changes to the files; empty when that takes a decision that only a person can make.
    pub(crate) edits: Vec<Edit>,
}

/// A change to a file, in whole lines, which are given without their line ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edit {
    /// The file's index.
    pub(crate) file: usize,
    /// The line that it is about, from 1.
    pub(crate) line: usize,
    /// What becomes of that line.
    pub(crate) change: Change,
}

/// What becomes of a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// This stands in its place; nothing if it is empty.
    Replace(Vec<String>),
    /// This stands behind it.
    Append(Vec<String>),
}

impl Place {
    /// A word of a line.
    pub(crate) fn word(file: usize, line: &Line, word: &Word) -> Self {
        Self { file, line: line.number, span: word.span.clone() }
    }

    /// A line, from its first word to its last.
    pub(crate) fn line(file: usize, line: &Line) -> Self {
        let start = line.words.first().map_or(0, |word| word.span.start);
        let end = line.words.last().map_or(line.raw.trim_ascii_end().len(), |word| word.span.end);
        Self { file, line: line.number, span: start..end.max(start) }
    }

    /// A file as a whole.
    pub(crate) fn file(file: usize) -> Self {
        Self { file, line: 0, span: 0..0 }
    }
}

impl Finding {
    /// One that says this; the rest is added by the methods below.
    pub(crate) fn new(code: &'static Code, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            place: None,
            others: Vec::new(),
            consequence: String::new(),
            mend: Mend::default(),
        }
    }

    /// Where.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Where else, and in what way that has to do with it.
    pub(crate) fn and_at(mut self, place: Place, label: impl Into<String>) -> Self {
        self.others.push((place, label.into()));
        self
    }

    /// What comes of it.
    pub(crate) fn consequence(mut self, text: impl Into<String>) -> Self {
        self.consequence = text.into();
        self
    }

    /// What to do, in words.
    pub(crate) fn mend(mut self, say: impl Into<String>) -> Self {
        self.mend.say = say.into();
        self
    }

    /// What to do, as a change.
    pub(crate) fn edit(mut self, edit: Edit) -> Self {
        self.mend.edits.push(edit);
        self
    }
}
