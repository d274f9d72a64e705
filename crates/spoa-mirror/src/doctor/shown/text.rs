//! Findings for people: each with its line and a caret, why it matters, and what to write instead.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Answer, wrapped};
use crate::doctor::finding::{Change, Finding, Place, Severity};
use crate::doctor::overview;
use crate::doctor::secrets::covered;
use crate::legible::legible;

/// More findings than this are counted and not shown.
const MAX_SHOWN: usize = 100;
/// Of a longer line only the beginning is shown, in bytes.
const MAX_LINE: usize = 1000;
/// Columns of the snippets, and of the sentences below them.
const WIDTH: usize = 110;
const SENTENCE: usize = 96;

impl Answer<'_> {
    /// For people: each finding, then how many there are; what was looked at, when nothing is wrong.
    pub(crate) fn text(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
        let mut text = String::new();
        for finding in self.findings.iter().take(MAX_SHOWN) {
            text.push_str(&self.finding(finding, &renderer));
            text.push_str("\n\n");
        }
        for line in self.seen.text().lines() {
            text.push_str(&format!("{}\n", legible(line, &[])));
        }
        text.push_str(&self.summary());
        text.push('\n');
        let is_fine = self.count(Severity::Error) + self.count(Severity::Warning) == 0;
        if is_fine && !self.files.files.is_empty() {
            for line in overview::lines(self.setup) {
                text.push_str(&format!("  {}\n", legible(&line, &[])));
            }
        }
        text
    }

    fn finding(&self, finding: &Finding, renderer: &Renderer) -> String {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Hint => Level::INFO.with_name("hint"),
        };
        let title = level.primary_title(legible(&finding.message, &[])).id(finding.code.name);
        let mut group = Group::with_title(title);
        if let Some(place) = &finding.place {
            group = self.placed(group, place, AnnotationKind::Primary, "");
        }
        for (place, label) in &finding.others {
            group = self.placed(group, place, AnnotationKind::Context, label);
        }
        if !finding.consequence.is_empty() {
            let why = Level::NOTE.with_name("why");
            group = group.element(why.message(sentence(&finding.consequence).join("\n")));
        }
        let mend = self.mend(finding);
        if !mend.is_empty() {
            group = group.element(Level::HELP.with_name("mend").message(mend.join("\n")));
        }
        let more = format!("spoa-mirror doctor --explain {}", finding.code.name);
        renderer.render(&[group.element(Level::INFO.with_name("more").message(more))])
    }

    /// Adds the line of a place with a caret; of one that cannot be shown where it is.
    fn placed<'g>(
        &self,
        group: Group<'g>,
        place: &Place,
        kind: AnnotationKind,
        label: &str,
    ) -> Group<'g> {
        let path = self.path(place.file);
        let Some(line) = self.line(place.file, place.line) else {
            return group.element(Origin::path(path));
        };
        let line = line.raw.get(..MAX_LINE).unwrap_or(&line.raw);
        if place.span.start >= line.len().max(1) {
            let column = place.span.start + 1;
            return group.element(Origin::path(path).line(place.line).char_column(column));
        }
        let shown = covered(line);
        let span = shown.span(&place.span);
        let mark = kind.span(span);
        let mark = match label.is_empty() {
            true => mark,
            false => mark.label(legible(label, &[])),
        };
        group
            .element(Snippet::source(shown.text).line_start(place.line).path(path).annotation(mark))
    }

    /// What to do: in words, then as lines to paste.
    fn mend(&self, finding: &Finding) -> Vec<String> {
        let mut lines = sentence(&finding.mend.say);
        for edit in &finding.mend.edits {
            let path = self.path(edit.file);
            let (place, new) = match &edit.change {
                Change::Replace(new) if new.is_empty() => ("take away", new),
                Change::Replace(new) => ("instead of", new),
                Change::Append(new) => ("behind", new),
            };
            let colon = if new.is_empty() { "" } else { ":" };
            lines.push(format!("{path}, {place} line {}{colon}", edit.line));
            lines.extend(new.iter().map(|line| format!("  {}", covered(line.as_bytes()).text)));
        }
        lines
    }

    /// Which files were read as which HAProxy, and how much was found.
    fn summary(&self) -> String {
        let files: Vec<String> = self.paths().collect();
        let files = files.join(", ");
        let version = match self.assumed.source.as_str() {
            "" => "any HAProxy (--haproxy-version says which)".to_owned(),
            source => format!("{} ({source})", self.assumed.version),
        };
        let counts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Hint]
            .into_iter()
            .map(|severity| (self.count(severity), severity.name()))
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}{}", if count == 1 { "" } else { "s" }))
            .collect();
        let omitted = self.findings.len().saturating_sub(MAX_SHOWN);
        let omitted = match omitted {
            0 => String::new(),
            _ => format!(", of which {MAX_SHOWN} are shown"),
        };
        let found = match self.count(Severity::Error) + self.count(Severity::Warning) {
            0 if counts.is_empty() => "nothing is wrong".to_owned(),
            0 => format!("nothing is wrong, {}", counts.join(", ")),
            _ => counts.join(", "),
        };
        match files.is_empty() {
            true => format!("what runs: {found}{omitted}"),
            false => format!("{files} for {version}: {found}{omitted}"),
        }
    }
}

fn sentence(text: &str) -> Vec<String> {
    wrapped(&legible(text, &['\n']), SENTENCE)
}
