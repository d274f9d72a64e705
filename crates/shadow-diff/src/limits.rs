//! How much a comparison may cost.

/// What bounds the memory and the time of one comparison. What is beyond them is not compared, and
/// the comparison says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Differences that are listed; the others are only counted.
    pub differences: usize,
    /// Characters of a value that are shown.
    pub shown: usize,
    /// Bytes of a body, once decoded.
    pub decoded: usize,
    /// Bytes of a decoded body for each byte of a compressed one, above 256 KiB.
    pub ratio: usize,
    /// Containers that lie in one another.
    pub depth: usize,
    /// Values of a structured body.
    pub values: usize,
    /// Lines of a text.
    pub lines: usize,
    /// Lines that must go and come until one text is the other, before they are compared position by
    /// position.
    pub edits: usize,
    /// Steps, each of about a comparison of two values: some tens of nanoseconds.
    pub steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            differences: 64,
            shown: 120,
            decoded: 8 << 20,
            ratio: 256,
            depth: 128,
            values: 500_000,
            lines: 100_000,
            edits: 500,
            steps: 5_000_000,
        }
    }
}
