//! Collects what a comparison finds.

use crate::comparison::Excuse;
use crate::difference::{Difference, Kind, Place};
use crate::limits::Limits;
use crate::redact;

/// What was found so far.
pub(crate) struct Report<'c> {
    limits: &'c Limits,
    pub(crate) differences: Vec<Difference>,
    pub(crate) more: usize,
    pub(crate) excused: Vec<(Excuse, u32)>,
}

impl<'c> Report<'c> {
    pub(crate) fn new(limits: &'c Limits) -> Self {
        Self { limits, differences: Vec::new(), more: 0, excused: Vec::new() }
    }

    /// Whether nothing differs.
    pub(crate) fn is_empty(&self) -> bool {
        self.differences.is_empty() && self.more == 0
    }

    /// Adds a difference whose values were described here, not taken from a response.
    pub(crate) fn add_described(
        &mut self,
        place: Place,
        kind: Kind,
        production: &str,
        shadow: &str,
    ) {
        if self.is_full() {
            return;
        }
        let (production, shadow) =
            redact::shorten(Some(production), Some(shadow), self.limits.shown);
        self.differences.push(Difference { place, kind, production, shadow });
    }

    /// Whether no more differences are listed; counts one that is not.
    fn is_full(&mut self) -> bool {
        let full = self.differences.len() >= self.limits.differences;
        self.more = self.more.saturating_add(usize::from(full));
        full
    }
}
