//! What is wrong with a configuration file, and how it is shown: to people with the line and a caret,
//! to machines as JSON.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// More findings than this are counted and not shown.
const MAX_SHOWN: usize = 50;
/// A longer line is not shown, in bytes.
const MAX_LINE: usize = 1000;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and probably does not say what was meant.
    Warning,
}

impl Severity {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The bytes of the file that it is about; none when it is about the file itself.
    pub span: Option<Range<usize>>,
    /// The key, as `target.limit.queue`; may be empty.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// A second place that has to do with it, and in what way.
    pub other: Option<(Range<usize>, String)>,
}

/// Everything that was found in a file, in the order of its lines.
#[derive(Clone, Default)]
pub struct Report {
    file: PathBuf,
    /// The file, its secrets covered.
    text: String,
    findings: Vec<Finding>,
    /// Findings that were too many to keep.
    omitted: usize,
}

impl Report {
    /// Puts findings in order; covers the bytes in `hidden`, which hold secrets, so that no line that is
    /// shown gives them away.
    pub(super) fn new(
        file: &Path,
        text: &str,
        findings: Vec<Finding>,
        hidden: &[Range<usize>],
    ) -> Self {
        let mut covered = text.as_bytes().to_vec();
        for span in hidden {
            if let Some(bytes) = covered.get_mut(span.clone()) {
                bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b'*');
            }
        }
        // Spans begin and end between characters, so that only whole ones were replaced.
        let text = String::from_utf8(covered).unwrap_or_default();
        let mut seen = BTreeSet::new();
        let mut findings: Vec<_> = findings
            .into_iter()
            .filter(|finding| {
                let start = finding.span.as_ref().map(|span| span.start);
                seen.insert((start, finding.message.clone()))
            })
            .collect();
        findings.sort_by_key(|finding| finding.span.as_ref().map(|span| (span.start, span.end)));
        let omitted = findings.len().saturating_sub(MAX_SHOWN);
        if omitted > 0 {
            // Of too many, errors are what counts.
            findings.sort_by_key(|finding| finding.severity);
            findings.truncate(MAX_SHOWN);
            findings.sort_by_key(|finding| finding.span.as_ref().map(|span| span.start));
        }
        Self { file: file.to_owned(), text, findings, omitted }
    }

    /// A file that could not be read at all.
    pub(super) fn unreadable(file: &Path, message: String) -> Self {
        let finding = Finding {
            severity: Severity::Error,
            span: None,
            key: String::new(),
            message,
            help: None,
            other: None,
        };
        Self { file: file.to_owned(), findings: vec![finding], ..Self::default() }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether the file cannot be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// For people: each finding with its line and a caret, then how many there are.
    #[must_use]
    pub fn text(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(110);
        let mut shown = String::new();
        for finding in &self.findings {
            shown.push_str(&self.render(finding, &renderer));
            shown.push_str("\n\n");
        }
        shown.push_str(&self.summary());
        shown.push('\n');
        shown
    }

    /// One line a finding: for a log.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |finding: &Finding| {
            let mut line = self.file.display().to_string();
            if let Some((row, column)) = self.place(finding) {
                line.push_str(&format!(":{row}:{column}"));
            }
            line.push_str(&format!(": {}: ", finding.severity.name()));
            if !finding.key.is_empty() {
                line.push_str(&format!("{}: ", finding.key));
            }
            line.push_str(&finding.message);
            if let Some(help) = &finding.help {
                line.push_str(&format!("; {help}"));
            }
            line
        };
        self.findings.iter().map(line).collect()
    }

    /// For machines: a list of severity, file, line, column, key, message and help. Lines and columns
    /// count from 1, columns in characters; both are null for the file as a whole.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let finding = |finding: &Finding| {
            let place = self.place(finding);
            serde_json::json!({
                "severity": finding.severity.name(),
                "file": self.file.display().to_string(),
                "line": place.map(|(line, _)| line),
                "column": place.map(|(_, column)| column),
                "key": finding.key,
                "message": finding.message,
                "help": finding.help,
            })
        };
        self.findings.iter().map(finding).collect()
    }

    /// How many errors and warnings there are.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |severity| {
            let number = self.findings.iter().filter(|f| f.severity == severity).count();
            (number > 0).then(|| {
                format!("{number} {}{}", severity.name(), if number == 1 { "" } else { "s" })
            })
        };
        let counts: Vec<_> =
            [count(Severity::Error), count(Severity::Warning)].into_iter().flatten().collect();
        let more = match self.omitted {
            0 => String::new(),
            omitted => format!(" and {omitted} more"),
        };
        match counts.is_empty() {
            true => format!("{}: nothing is wrong", self.file.display()),
            false => format!("{}: {}{more}", self.file.display(), counts.join(", ")),
        }
    }

    /// Line and column of a finding, from 1; `None` for the file as a whole.
    #[must_use]
    pub fn place(&self, finding: &Finding) -> Option<(usize, usize)> {
        let start = floor(&self.text, finding.span.as_ref()?.start);
        let before = &self.text[..start];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Some((line, column))
    }

    fn render(&self, finding: &Finding, renderer: &Renderer) -> String {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&finding.message));
        let path = self.file.display().to_string();
        if let Some((snippet, annotations)) = self.snippet(finding) {
            group = group.element(snippet.path(path).annotations(annotations));
        } else {
            group = group.element(Origin::path(path));
        }
        if let Some(help) = &finding.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }

    /// The lines around a finding, and what is marked in them. `None` without a place, and where a line
    /// is too long to be shown.
    fn snippet<'a>(
        &'a self,
        finding: &'a Finding,
    ) -> Option<(Snippet<'a, Annotation<'a>>, Vec<Annotation<'a>>)> {
        let span = one_line(&self.text, finding.span.as_ref()?);
        let other = finding.other.as_ref().map(|(span, label)| (one_line(&self.text, span), label));
        // Only the lines that are needed: the file may be a mebibyte.
        let first = other.as_ref().map_or(span.start, |(other, _)| other.start.min(span.start));
        let last = other.as_ref().map_or(span.end, |(other, _)| other.end.max(span.end));
        let start = self.text[..first].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[last..].find('\n').map_or(self.text.len(), |at| last + at);
        let shown = &self.text[start..end];
        if shown.lines().any(|line| line.len() > MAX_LINE) || shown.len() > 64 * MAX_LINE {
            return None;
        }
        let line = self.text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
        let within = |span: &Range<usize>| span.start - start..span.end - start;
        let mut marks = vec![AnnotationKind::Primary.span(within(&span))];
        if let Some((other, label)) = other {
            marks.push(AnnotationKind::Context.span(within(&other)).label(label.as_str()));
        }
        Some((Snippet::source(shown).line_start(line).fold(true), marks))
    }
}

/// A span cut to its first line, with its ends between characters, inside the text.
fn one_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor(text, span.start);
    let end = floor(text, span.end.max(start));
    let end = text[start..end].find('\n').map_or(end, |at| start + at);
    start..end
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(false))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(false))
    }
}
