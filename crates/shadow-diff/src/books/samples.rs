//! A few examples of many.

use serde::{Deserialize, Serialize};

/// What the caller calls a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SampleId(pub u64);

/// Numbers by chance (SplitMix64): even, no secret.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, 0 if that is 0.
    fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.draw()) * u128::from(bound)) >> 64).unwrap_or_default()
    }
}

/// A reservoir: of all that were offered, each is kept with the same chance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Samples(Vec<SampleId>);

impl Samples {
    pub(super) fn kept(&self) -> &[SampleId] {
        &self.0
    }

    /// Offers the `count`th sample; whether it is kept, as one of `most`.
    pub(super) fn offer(
        &mut self,
        sample: SampleId,
        count: u64,
        most: usize,
        chance: &mut Chance,
    ) -> bool {
        if self.0.len() < most {
            self.0.push(sample);
            return true;
        }
        let place = usize::try_from(chance.below(count)).unwrap_or(usize::MAX);
        match self.0.get_mut(place) {
            Some(kept) => {
                *kept = sample;
                true
            }
            None => false,
        }
    }

    /// Keeps `most` of two reservoirs, to which so many were offered.
    pub(super) fn merge(
        &mut self,
        other: &Self,
        mut own: u64,
        mut others: u64,
        most: usize,
        chance: &mut Chance,
    ) {
        let (mut first, mut second) = (std::mem::take(&mut self.0), other.0.clone());
        while self.0.len() < most {
            let from_first = match (first.is_empty(), second.is_empty()) {
                (true, true) => break,
                (empty, false) if empty => false,
                (_, true) => true,
                _ => chance.below(own.saturating_add(others)) < own,
            };
            let (from, count) =
                if from_first { (&mut first, &mut own) } else { (&mut second, &mut others) };
            let place = usize::try_from(chance.below(from.len() as u64)).unwrap_or_default();
            self.0.push(from.swap_remove(place.min(from.len() - 1)));
            *count = count.saturating_sub(1);
        }
    }
}
