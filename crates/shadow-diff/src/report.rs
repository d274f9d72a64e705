//! Collects what a comparison finds, and settles by rules what is no difference.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::comparison::Excuse;
use crate::difference::{Difference, Kind, Place};
use crate::limits::Limits;
use crate::natural::{Natural, Nature};
use crate::path::{Segment, Spot};
use crate::redact::{self, Redact};
use crate::rules::Selection;

/// Differences of one kind at one place that are listed: the others say nothing new.
const MAX_ALIKE: u32 = 3;

/// What was found so far, and what it is judged by.
pub(crate) struct Report<'c> {
    pub(crate) limits: &'c Limits,
    pub(crate) redact: &'c dyn Redact,
    pub(crate) rules: Selection<'c>,
    pub(crate) natural: Natural,
    pub(crate) differences: Vec<Difference>,
    pub(crate) more: usize,
    pub(crate) excused: Vec<(Excuse, u32)>,
    /// For each place and kind, as a hash, how many differences there are.
    alike: Vec<(u64, u32)>,
    /// What may still be done.
    steps: u64,
}

impl<'c> Report<'c> {
    pub(crate) fn new(
        limits: &'c Limits,
        redact: &'c dyn Redact,
        rules: Selection<'c>,
        natural: Natural,
    ) -> Self {
        Self {
            limits,
            redact,
            rules,
            natural,
            differences: Vec::new(),
            more: 0,
            excused: Vec::new(),
            alike: Vec::new(),
            steps: limits.steps,
        }
    }

    /// Whether nothing differs.
    pub(crate) fn is_empty(&self) -> bool {
        self.differences.is_empty() && self.more == 0
    }

    /// Counts steps. `false` when there were too many: what is found from then on is not sure, and
    /// is not taken.
    pub(crate) fn step(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_sub(steps as u64);
        self.steps > 0
    }

    /// Whether there were too many steps.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.steps == 0
    }

    pub(crate) fn excuse(&mut self, excuse: Excuse) {
        match self.excused.iter_mut().find(|(candidate, _)| *candidate == excuse) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.excused.push((excuse, 1)),
        }
    }

    pub(crate) fn excuse_naturally(&mut self, nature: Nature) {
        self.excuse(Excuse::Natural(nature.name()));
    }

    /// Whether a configured rule says that the place is not compared; then that is counted.
    pub(crate) fn ignores(&mut self, spot: Spot<'_>) -> bool {
        let rule = self.rules.ignores(spot);
        if let Some(rule) = rule {
            self.excuse(Excuse::User(rule));
        }
        rule.is_some()
    }

    /// Whether a rule excuses these two values, which differ; then that is counted.
    pub(crate) fn settles(&mut self, spot: Spot<'_>, production: &[u8], shadow: &[u8]) -> bool {
        if self.ignores(spot) {
            return true;
        }
        if let Some(rule) = self.rules.replaced_same(spot, production, shadow) {
            self.excuse(Excuse::User(rule));
            return true;
        }
        if let Some(rule) = self.rules.tolerates_texts(spot, production, shadow) {
            self.excuse(Excuse::User(rule));
            return true;
        }
        let nature = self.natural.values(spot, production, shadow);
        if let Some(nature) = nature {
            self.excuse_naturally(nature);
        }
        nature.is_some()
    }

    /// Whether one more difference is listed; counts it if not.
    pub(crate) fn lists(&mut self, spot: Spot<'_>, kind: Kind) -> bool {
        if self.is_exhausted() {
            return false;
        }
        let place = hash(spot, kind);
        let alike = match self.alike.iter_mut().find(|(candidate, _)| *candidate == place) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None if self.differences.len() < self.limits.differences => {
                self.alike.push((place, 1));
                1
            }
            None => MAX_ALIKE + 1,
        };
        let listed = alike <= MAX_ALIKE && self.differences.len() < self.limits.differences;
        self.more = self.more.saturating_add(usize::from(!listed));
        listed
    }

    /// Adds a difference between texts as they came.
    pub(crate) fn add(
        &mut self,
        spot: Spot<'_>,
        kind: Kind,
        production: Option<&[u8]>,
        shadow: Option<&[u8]>,
    ) {
        if !self.lists(spot, kind) {
            return;
        }
        let (place, redact) = (spot.place(), self.redact);
        let production = production.map(String::from_utf8_lossy);
        let shadow = shadow.map(String::from_utf8_lossy);
        let exact = spot.with_keys();
        let production = production.as_deref().map(|value| redact.shown(&exact, value));
        let shadow = shadow.as_deref().map(|value| redact.shown(&exact, value));
        self.push(place, kind, production.as_deref(), shadow.as_deref());
    }

    /// Adds a difference between values as they are to be shown, which [`lists`](Self::lists) allowed.
    pub(crate) fn push(
        &mut self,
        place: Place,
        kind: Kind,
        production: Option<&str>,
        shadow: Option<&str>,
    ) {
        let (production, shadow) = redact::shorten(production, shadow, self.limits.shown);
        self.differences.push(Difference { place, kind, production, shadow });
    }
}

/// The same for places that are written in the same way.
fn hash(spot: Spot<'_>, kind: Kind) -> u64 {
    let start = kind as u64;
    match spot {
        Spot::Header(name) => xxh3_64_with_seed(name.as_bytes(), start),
        Spot::Body(path) => path.iter().fold(start, |hash, segment| match segment {
            Segment::Member(name) => xxh3_64_with_seed(name, hash.wrapping_mul(3).wrapping_add(1)),
            Segment::Element => hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(3),
            Segment::Entry(_) => hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(5),
        }),
    }
}
