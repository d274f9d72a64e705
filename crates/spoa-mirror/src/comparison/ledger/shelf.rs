//! The pairs that people may look at, as many as fit.

use std::collections::BTreeMap;

use shadow_diff::books::SampleId;

use super::SHELF_BYTES;
use crate::comparison::sample::Sample;

/// Kept pairs by number, the oldest first.
#[derive(Default)]
pub(super) struct Shelf {
    samples: BTreeMap<u64, Sample>,
    bytes: usize,
    /// How many there are when it is worth to look for those that nobody keeps.
    tidy_at: usize,
}

/// Between two times of tidying at least so many come.
const SPARE: usize = 64;

impl Shelf {
    /// Puts a pair on the shelf; the oldest make room. Whether to tidy up.
    pub(super) fn put(&mut self, sample: Sample) -> bool {
        self.bytes += sample.bytes();
        self.samples.insert(sample.id, sample);
        while self.bytes > SHELF_BYTES {
            let Some((_, oldest)) = self.samples.pop_first() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
        }
        self.samples.len() >= self.tidy_at
    }

    /// Keeps only these, which are sorted.
    pub(super) fn tidy(&mut self, kept: &[SampleId]) {
        self.samples.retain(|id, _| kept.binary_search(&SampleId(*id)).is_ok());
        self.bytes = self.samples.values().map(Sample::bytes).sum();
        self.tidy_at = 2 * self.samples.len() + SPARE;
    }

    /// The pairs with this number and later ones.
    pub(super) fn since(&self, id: u64) -> impl Iterator<Item = &Sample> {
        self.samples.range(id..).map(|(_, sample)| sample)
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.samples.keys().copied().collect()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Sample> {
        self.samples.get(&id)
    }
}
