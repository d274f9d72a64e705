//! What is hidden from people of a pair: so far, everything.

use std::borrow::Cow;

use shadow_diff::{Place, Redact};

/// Hides values.
#[derive(Debug, Default)]
pub struct Redaction;

impl Redaction {
    /// Hides these besides the usual ones.
    #[must_use]
    pub fn new(_: &[String]) -> Self {
        Self
    }
}

impl Redact for Redaction {
    fn shown<'v>(&self, _: &Place, _: &'v str) -> Cow<'v, str> {
        Cow::Borrowed("[hidden]")
    }
}
