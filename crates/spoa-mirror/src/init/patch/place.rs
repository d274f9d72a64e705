//! Where in a file something can be put, so that no condition and no comment is torn from what it is about.

use haproxy_config::{Document, Line, Section};

/// What is known of each line, by its index: its number less one.
pub(super) struct Places {
    /// How many `.if` blocks are open before it.
    depth: Vec<usize>,
    is: Vec<Is>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Blank,
    /// A comment, and whether it begins at the margin.
    Comment {
        at_margin: bool,
    },
    Statement,
}

impl Places {
    pub(super) fn of(document: &Document) -> Self {
        let (mut depth, mut is) = (Vec::new(), Vec::new());
        let mut open = 0_usize;
        for line in document.lines() {
            depth.push(open);
            match line.keyword() {
                Some(b".if") => open += 1,
                Some(b".endif") => open = open.saturating_sub(1),
                _ => {}
            }
            is.push(match (line.comment, line.words.is_empty() && line.scope.is_none()) {
                (Some(at), true) => Is::Comment { at_margin: at == 0 },
                (None, true) => Is::Blank,
                _ => Is::Statement,
            });
        }
        // Behind the last line is a place as well.
        depth.push(open);
        Self { depth, is }
    }

    /// Behind a section's last statement.
    pub(super) fn end(&self, section: &Section) -> usize {
        let mut lines = std::iter::once(&section.header).chain(&section.lines);
        let last = lines.rfind(|line| line.keyword().is_some());
        self.outside(last.map_or(0, |line| line.number), &section.header)
    }

    /// In a frontend, before the first line that decides where requests go: HAProxy warns of rules behind it.
    pub(super) fn before_choice(&self, section: &Section) -> usize {
        let choices: [&[u8]; 4] = [b"redirect", b"use_backend", b"use-server", b"default_backend"];
        // Also one that a condition excludes here: HAProxy's environment may be another.
        let is_choice =
            |line: &&Line| line.keyword().is_some_and(|keyword| choices.contains(&keyword));
        let choice = section.lines.iter().find(is_choice);
        match choice {
            Some(line) => self.with_comments(self.outside(line.number - 1, &section.header), false),
            None => self.end(section),
        }
    }

    /// Before the first `defaults` section; without one, before the first proxy or at the end.
    pub(super) fn before_defaults(&self, document: &Document) -> usize {
        let mut sections = document.sections.iter();
        let defaults = sections.find(|section| section.keyword() == b"defaults");
        let first =
            defaults.or_else(|| document.sections.iter().find(|section| section.is_proxy()));
        let Some(section) = first else { return self.is.len() };
        let mut at = section.header.number - 1;
        while at > 0 && self.depth(at) > 0 {
            at -= 1;
        }
        self.with_comments(at, true)
    }

    /// Whether a line that is not blank is right before this place.
    pub(super) fn follows_text(&self, at: usize) -> bool {
        at.checked_sub(1).and_then(|before| self.is.get(before)).is_some_and(|is| *is != Is::Blank)
    }

    /// Up to where no more `.if` blocks are open than at the section's header.
    fn outside(&self, mut at: usize, header: &Line) -> usize {
        let wanted = self.depth(header.number - 1);
        while at > header.number && self.depth(at) > wanted {
            at -= 1;
        }
        self.with_comments(at, false)
    }

    /// Up over comments that are about the line at this place; between sections those at the margin.
    fn with_comments(&self, mut at: usize, margin: bool) -> usize {
        while at > 0 {
            match self.is.get(at - 1) {
                Some(Is::Comment { at_margin }) if *at_margin || !margin => at -= 1,
                _ => break,
            }
        }
        at
    }

    fn depth(&self, at: usize) -> usize {
        self.depth.get(at).copied().unwrap_or(0)
    }
}
