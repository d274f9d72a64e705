//! How much is read. HAProxy's own limits are named; the others are far above what people write.

/// Bytes of a file. A larger one is not read at all.
pub const FILE: usize = 4 << 20;

/// Lines of a file. One with more is not read at all.
pub const LINES: usize = 200_000;

/// Bytes of a line. A longer one is kept without words.
pub const LINE: usize = 64 << 10;

/// Words of a line, as in HAProxy.
pub const WORDS: usize = 64;

/// `.if` blocks inside each other, as in HAProxy.
pub const NESTING: usize = 16;

/// Parentheses inside each other in a condition.
pub const PARENTHESES: usize = 16;

/// Bytes of variables' values that a file may bring in, all together.
pub const EXPANDED: usize = 4 << 20;

/// Mistakes that are told. A file with more of them is something else.
pub const MISTAKES: usize = 1000;
