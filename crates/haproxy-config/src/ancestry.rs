//! What a proxy inherits.

use crate::document::{Document, Line, Presence, Section};
use crate::word::Word;

/// The sections that make up a proxy.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ancestry<'a> {
    /// The most distant defaults first, the proxy itself last.
    pub sections: Vec<&'a Section>,
    /// The name behind `from` that no defaults before it have.
    pub missing: Option<&'a Word>,
}

impl Document {
    /// Where a proxy (or defaults) gets its settings from: the defaults that it is `from`, or, of a proxy that
    /// names none, the last ones before it, named or not; and those that these are from.
    ///
    /// `section` is an index into [`Document::sections`], `earlier` are the files that HAProxy reads before this
    /// one, in their order. Sections of an undecided branch count as there.
    pub fn ancestry<'a>(&'a self, section: usize, earlier: &[&'a Self]) -> Ancestry<'a> {
        let before = earlier.iter().flat_map(|document| &document.sections);
        let own = self.sections.iter().take(section.saturating_add(1));
        let mut candidates: Vec<&Section> = before.chain(own).collect();
        let mut ancestry = Ancestry { sections: Vec::new(), missing: None };
        let mut next = if section < self.sections.len() { candidates.pop() } else { None };
        while let Some(current) = next {
            ancestry.sections.push(current);
            let wanted = current.from();
            if wanted.is_none() && !current.is_proxy() {
                break;
            }
            let is_it = |candidate: &&Section| {
                candidate.keyword() == b"defaults"
                    && wanted.is_none_or(|wanted| {
                        candidate.name().is_some_and(|name| name.text == wanted.text)
                    })
            };
            // Each is before the one that it is for, so that there is an end.
            let found = candidates.iter().rposition(is_it);
            ancestry.missing = if found.is_none() { wanted } else { None };
            next = found.and_then(|at| candidates.get(at).copied());
            candidates.truncate(found.unwrap_or_default());
        }
        ancestry.sections.reverse();
        ancestry
    }
}

impl<'a> Ancestry<'a> {
    /// The lines with a keyword, inherited ones first, but for those that HAProxy skips and directives. What
    /// overrides what depends on the keyword.
    pub fn lines(&self) -> impl Iterator<Item = &'a Line> {
        self.sections.iter().flat_map(|section| &section.lines).filter(|line| {
            line.keyword().is_some() && !line.is_directive() && line.presence != Presence::Skipped
        })
    }
}
