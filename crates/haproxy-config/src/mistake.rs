//! What is wrong with a text, where, and what would be right.

use std::fmt;

/// A mistake and its place. Reading goes on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub kind: MistakeKind,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MistakeKind {
    /// More than [`limits::FILE`](crate::limits::FILE) bytes or [`limits::LINES`](crate::limits::LINES) lines.
    FileTooLarge,
    /// More than [`limits::LINE`](crate::limits::LINE) bytes.
    LineTooLong,
    /// More than [`limits::WORDS`](crate::limits::WORDS) words; the line's others are left out.
    TooManyWords,
    /// Variables bring in more than [`limits::EXPANDED`](crate::limits::EXPANDED) bytes.
    TooMuchExpanded,
    /// A NUL byte.
    Nul,
    /// A quote without its other end.
    UnmatchedQuote,
    /// `\x` without two hexadecimal digits.
    BadHex,
    /// `${` without `}`.
    UnmatchedBrace,
    /// `$` without the name of a variable.
    BadVariable,
    /// `[` behind a variable's name without `*]`.
    BadExpansion,
    /// A condition that HAProxy would not understand.
    BadCondition,
    /// `.elif`, `.else` or `.endif` without `.if`.
    NoIf,
    /// `.elif` or `.else` behind `.else`.
    AfterElse,
    /// `.if` without `.endif`.
    UnclosedIf,
    /// More than [`limits::NESTING`](crate::limits::NESTING) blocks inside each other.
    TooDeep,
    /// A word behind a directive that takes none, or a message of several words.
    UnexpectedArgument,
    /// A directive that HAProxy does not know.
    UnknownDirective,
    /// `[scope]` without a name, with a wrong one, or with something behind it.
    BadScope,
    /// A keyword before the first section.
    OutOfSection,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}, column {}: {}", self.line, self.column, self.kind)
    }
}

impl fmt::Display for MistakeKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::FileTooLarge => "the file has more than 4 MiB or 200,000 lines; split it into several",
            Self::LineTooLong => "the line is longer than 64 KiB; split it into several",
            Self::TooManyWords => {
                "HAProxy takes 64 words in a line; write several lines, or quote words that belong together"
            }
            Self::TooMuchExpanded => {
                "the environment variables of this file are longer than 4 MiB together; shorten them"
            }
            Self::Nul => "a NUL byte ends the line for HAProxy; remove it",
            Self::UnmatchedQuote => {
                "the quote that begins here does not end in this line; end it, or write a backslash before it"
            }
            Self::BadHex => "\\x takes two hexadecimal digits; for a backslash write \\\\",
            Self::UnmatchedBrace => "the brace is not closed; write ${NAME} or ${NAME-default}",
            Self::BadVariable => {
                "no variable's name begins like this; write ${NAME}, or \\$ for a dollar sign"
            }
            Self::BadExpansion => {
                "behind a variable's name only [*] may stand in brackets; write ${NAME[*]}"
            }
            Self::BadCondition => {
                "not a condition; write a number, defined(NAME), streq(A,B), strneq(A,B), version_atleast(V), \
                 version_before(V), feature(NAME) or another of HAProxy's predicates, with !, &&, || and parentheses"
            }
            Self::NoIf => "there is no .if that this belongs to; remove it, or write the .if",
            Self::AfterElse => "behind .else only .endif may follow; put it before .else",
            Self::UnclosedIf => "this .if has no .endif; write it",
            Self::TooDeep => "HAProxy takes 16 .if blocks inside each other; use && instead",
            Self::UnexpectedArgument => {
                "this word is too much; remove it, or quote it together with the one before"
            }
            Self::UnknownDirective => {
                "HAProxy has no such directive; it has .if, .elif, .else, .endif, .notice, .warning, .alert, .diag"
            }
            Self::BadScope => {
                "a scope is written [NAME], of letters, digits, '-', '_', '.' and ':', alone in its line"
            }
            Self::OutOfSection => "this line stands before the first section; begin a section above it",
        })
    }
}

impl std::error::Error for Mistake {}
