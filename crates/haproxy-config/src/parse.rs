//! From bytes to sections.

use crate::blocks::Blocks;
use crate::document::{Document, Line, Presence, Section};
use crate::mistake::{Mistake, MistakeKind};
use crate::word::{Split, Variables, split};
use crate::{Surroundings, limits};

/// Which words begin a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// haproxy.cfg: the sections of HAProxy 2.6 to 3.4.
    Haproxy,
    /// The file that `filter spoe` names: `spoe-agent`, `spoe-message`, `spoe-group`.
    Spoe,
}

/// Reads a file.
///
/// # Errors
/// If it is larger than [`limits::FILE`] or [`limits::LINES`]. All other mistakes are among the document's, beside what could be read.
pub fn parse(
    text: &[u8],
    syntax: Syntax,
    surroundings: &Surroundings<'_>,
) -> Result<Document, Mistake> {
    let too_large = |line| Mistake { line, column: 1, kind: MistakeKind::FileTooLarge };
    if text.len() > limits::FILE {
        return Err(too_large(1));
    }
    if text.split_inclusive(|&byte| byte == b'\n').nth(limits::LINES).is_some() {
        return Err(too_large(limits::LINES + 1));
    }
    let mut parser = Parser {
        syntax,
        surroundings,
        document: Document::default(),
        blocks: Blocks::default(),
        scope: None,
        left: limits::EXPANDED,
    };
    for (index, raw) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        parser.line(index + 1, raw);
    }
    if let Some((line, column)) = parser.blocks.innermost() {
        parser.mistake(line, column, MistakeKind::UnclosedIf);
    }
    Ok(parser.document)
}

struct Parser<'a> {
    syntax: Syntax,
    surroundings: &'a Surroundings<'a>,
    document: Document,
    blocks: Blocks,
    scope: Option<Vec<u8>>,
    left: usize,
}

impl Parser<'_> {
    fn line(&mut self, number: usize, raw: &[u8]) {
        let mut line = Line {
            number,
            raw: raw.to_vec(),
            words: Vec::new(),
            scope: None,
            comment: None,
            presence: self.blocks.presence(),
        };
        match self.read(&mut line) {
            Ok(()) if line.is_directive() => {
                if let Err((column, kind)) = self.blocks.directive(&line, self.surroundings) {
                    self.mistake(number, column, kind);
                }
            }
            Ok(()) => {}
            Err((at, kind)) => self.mistake(number, at + 1, kind),
        }
        if line.scope.is_some() && line.presence != Presence::Skipped {
            self.scope.clone_from(&line.scope);
        }
        self.put(line);
    }

    fn read(&mut self, line: &mut Line) -> Result<(), (usize, MistakeKind)> {
        if line.raw.len() > limits::LINE {
            return Err((limits::LINE, MistakeKind::LineTooLong));
        }
        let indent = line.raw.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let content = line.raw.get(indent..).unwrap_or_default();
        if content.first() == Some(&b'[') {
            line.scope = Some(scope(content).map_err(|at| (indent + at, MistakeKind::BadScope))?);
            return Ok(());
        }
        let Self { surroundings, document, left, .. } = self;
        let section = document.sections.last().map_or(&b""[..], |section| {
            section.name().map_or(section.keyword(), |name| name.text.as_slice())
        });
        let mut variables = Variables { surroundings, line: line.number, section, left };
        let Split { words, comment, mistake } = split(&line.raw, &mut variables);
        line.words = words;
        line.comment = comment;
        mistake.map_or(Ok(()), Err)
    }

    fn put(&mut self, line: Line) {
        let begins = line.presence != Presence::Skipped
            && line.keyword().is_some_and(|keyword| self.syntax.begins_section(keyword));
        if begins {
            let scope = self.scope.clone();
            self.document.sections.push(Section { header: line, lines: Vec::new(), scope });
        } else if let Some(section) = self.document.sections.last_mut() {
            section.lines.push(line);
        } else {
            let astray = line.presence != Presence::Skipped && !line.is_directive();
            if let (true, Some(word)) = (astray, line.words.first()) {
                let (number, column) = (line.number, word.column);
                self.mistake(number, column, MistakeKind::OutOfSection);
            }
            self.document.preamble.push(line);
        }
    }

    fn mistake(&mut self, line: usize, column: usize, kind: MistakeKind) {
        if self.document.mistakes.len() < limits::MISTAKES {
            self.document.mistakes.push(Mistake { line, column, kind });
        }
    }
}

impl Syntax {
    fn begins_section(self, keyword: &[u8]) -> bool {
        match self {
            Self::Spoe => matches!(keyword, b"spoe-agent" | b"spoe-message" | b"spoe-group"),
            Self::Haproxy => SECTIONS.iter().any(|section| section.as_bytes() == keyword),
        }
    }
}

/// What HAProxy 2.6, 3.0, 3.2 or 3.4 begins a section with; `tests/haproxy.rs` asks them.
const SECTIONS: &[&str] = &[
    "acme",
    "backend",
    "cache",
    "crt-store",
    "defaults",
    "fcgi-app",
    "frontend",
    "global",
    "healthcheck",
    "http-errors",
    "listen",
    "log-forward",
    "log-profile",
    "mailers",
    "namespace_list",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
    "userlist",
];

/// The name in `[name]`, or at which byte it is wrong.
fn scope(content: &[u8]) -> Result<Vec<u8>, usize> {
    let inside = content.get(1..).unwrap_or_default();
    let length = inside
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
        .count();
    let (name, rest) = inside.split_at_checked(length).ok_or(0_usize)?;
    let Some((b']', behind)) = rest.split_first() else { return Err(1 + length) };
    if name.is_empty() {
        return Err(1);
    }
    match behind.iter().position(|byte| !byte.is_ascii_whitespace()) {
        Some(at) if behind.get(at) != Some(&b'#') => Err(2 + length + at),
        _ => Ok(name.to_vec()),
    }
}
