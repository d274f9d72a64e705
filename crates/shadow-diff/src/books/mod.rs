//! What is counted: for each endpoint its pairs, and for each place how many of them differ there;
//! statuses and times.
//!
//! Two series are kept apart. The *candidate*'s pairs are production's response and that of the version
//! under test. The *control*'s are two responses of versions that do not differ: production and a
//! baseline, or the shadow asked twice. What differs there is noise.
//!
//! Counts are judged at *looks*, at fixed numbers of requests, not whenever somebody asks: then asking often
//! cannot make noise look like a difference (see `significance`). At a look everything that is judged is
//! copied.

mod histogram;
mod samples;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::time::Duration;

pub use histogram::Histogram;
pub use samples::SampleId;
use serde::{Deserialize, Serialize};

use crate::endpoint::{EndpointId, Merge};
use crate::significance::Share;
use crate::{Difference, Kind, Place};
use samples::{Chance, Samples};

/// Longer texts of places count as [`Site::Elsewhere`]; in bytes.
const LONGEST_PLACE: usize = 256;

/// Pairs of statuses that are told apart at an endpoint.
const STATUS_CHANGES: usize = 64;

/// The number of looks. After the last one, at 10^9 requests, counting goes on but judging does not.
pub const LOOKS: u32 = 71;

/// What is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookLimits {
    /// Places of one endpoint that are told apart; each kind of difference counts.
    pub endpoint_places: usize,
    /// Places of all endpoints.
    pub places: usize,
    /// Samples of one place.
    pub samples: usize,
}

impl Default for BookLimits {
    fn default() -> Self {
        Self { endpoint_places: 200, places: 10_000, samples: 5 }
    }
}

/// Which two responses a pair is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// Production's, and the one of the version under test.
    Candidate,
    /// Two of one version.
    Control,
}

/// One comparison, as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The request's endpoint.
    pub endpoint: EndpointId,
    /// Where the responses differ. A place may come twice; it counts once.
    pub differences: &'a [Difference],
    /// Whether the bodies were compared, too; else the pair does not count for places in bodies, unless
    /// one differs.
    pub bodies: bool,
    /// Whether the responses differ at places that are not among `differences`, for there were too many.
    pub unlisted: bool,
    /// Production's status.
    pub production_status: u16,
    /// The shadow's; `None` if it gave no answer through its own fault. Then there is no pair.
    pub shadow_status: Option<u16>,
    /// How long production took, where known.
    pub production_time: Option<Duration>,
    /// How long the shadow took.
    pub shadow_time: Option<Duration>,
    /// The caller's name for the pair.
    pub sample: SampleId,
}

/// What has counts of its own: a place and a kind, or everything that there was no room for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Site {
    /// One place.
    At(Place, Kind),
    /// All places beyond those that a comparison lists, together.
    Unlisted,
    /// All places that there is no room to tell apart, together: a pair counts that differs at any of them.
    Elsewhere,
}

impl Site {
    /// As this orders itself beside that place.
    fn compare(&self, place: &Place, kind: Kind) -> Ordering {
        match self {
            Self::At(own, own_kind) => own.cmp(place).then_with(|| own_kind.cmp(&kind)),
            Self::Unlisted | Self::Elsewhere => Ordering::Greater,
        }
    }

    /// Whether only pairs count whose bodies were compared.
    fn is_in_body(&self) -> bool {
        matches!(self, Self::At(Place::Body(_), _))
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, kind) = match self {
            Self::At(place, kind) => (place, kind),
            Self::Unlisted => return f.write_str("places beyond those that are listed"),
            Self::Elsewhere => return f.write_str("places that there was no room to tell apart"),
        };
        write!(f, "{place} ({})", kind.name())
    }
}

/// A number for each series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Both {
    /// Of the candidate's pairs.
    pub candidate: u64,
    /// Of the control's.
    pub control: u64,
}

impl Both {
    fn count(&mut self, series: Series) {
        match series {
            Series::Candidate => self.candidate += 1,
            Series::Control => self.control += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.candidate = self.candidate.saturating_add(other.candidate);
        self.control = self.control.saturating_add(other.control);
    }
}

/// Answers of the candidate that are errors: a status of 500 or more, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Errors {
    /// Pairs, and requests that the shadow did not answer.
    pub requests: u64,
    /// Only the shadow's answer is an error.
    pub shadow: u64,
    /// Only production's is.
    pub production: u64,
    /// Both are.
    pub both: u64,
}

/// What is counted for an endpoint as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Pairs compared.
    pub pairs: Both,
    /// Those whose bodies were compared.
    pub bodies: Both,
    /// Those that differ anywhere.
    pub different: Both,
    /// Errors of the candidate.
    pub errors: Errors,
    /// How long production took for the candidate's pairs.
    pub production: Histogram,
    /// How long the shadow took.
    pub shadow: Histogram,
}

/// What is counted for a place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlaceBook {
    /// Pairs that differ there.
    pub now: Both,
    /// The same at the last look.
    pub judged: Both,
    /// Some pairs that differ there were counted as [`Site::Elsewhere`], before two endpoints were merged:
    /// the place is not judged.
    pub partial: bool,
    samples: Samples,
    /// The pair that was counted last.
    last: u64,
}

impl PlaceBook {
    /// Some of the candidate's pairs that differ there, each with the same chance.
    #[must_use]
    pub fn samples(&self) -> &[SampleId] {
        self.samples.kept()
    }
}

/// What is counted for an endpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Book {
    /// Until now.
    pub now: Counts,
    /// Until the last look.
    pub judged: Counts,
    /// Sorted.
    places: Vec<(Site, PlaceBook)>,
    /// Production's and the shadow's, where they differ; sorted.
    statuses: Vec<((u16, u16), u64)>,
    other_statuses: u64,
}

/// All counts of a run. With the default limits and 500 endpoints at most 16 MiB: 450 bytes for each place,
/// and for each endpoint four histograms, of production's and the shadow's times, now and at the last look.
#[derive(Debug, Serialize, Deserialize)]
pub struct Books {
    run: String,
    endpoints: BTreeMap<EndpointId, Book>,
    /// Entries of all `places`.
    places: usize,
    /// Observations of both series, to know a pair by.
    observations: u64,
    /// The candidate's requests.
    requests: u64,
    looks: u32,
    #[serde(skip)]
    limits: BookLimits,
    chance: Chance,
}

impl Books {
    /// Empty books for the run `name`. `seed` decides which samples are kept.
    #[must_use]
    pub fn new(name: &str, limits: BookLimits, seed: u64) -> Self {
        Self {
            run: name.to_owned(),
            endpoints: BTreeMap::new(),
            places: 0,
            observations: 0,
            requests: 0,
            looks: 0,
            limits,
            chance: Chance::new(seed),
        }
    }

    /// Forgets everything and begins the run `name`.
    pub fn reset(&mut self, name: &str) {
        let seed = self.chance.draw();
        *self = Self::new(name, self.limits, seed);
    }

    /// The run's name.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Counts one comparison. Whether its sample was taken by some place: then the caller should keep it,
    /// as long as it is among [`Books::samples`].
    pub fn record(&mut self, series: Series, observation: &Observation<'_>) -> bool {
        self.observations += 1;
        let book = self.endpoints.entry(observation.endpoint).or_default();
        let mut taken = false;
        if series == Series::Candidate {
            book.record_answers(observation);
        }
        if observation.shadow_status.is_some() {
            book.now.pairs.count(series);
            let in_body = |difference: &Difference| matches!(difference.place, Place::Body(_));
            if observation.bodies || observation.differences.iter().any(in_body) {
                book.now.bodies.count(series);
            }
            if observation.unlisted || !observation.differences.is_empty() {
                book.now.different.count(series);
            }
            if observation.unlisted {
                let known = book.places.len();
                if let Some(place) = book.place_at(Site::Unlisted) {
                    place.now.count(series);
                }
                self.places += book.places.len() - known;
            }
            for difference in observation.differences {
                let room = self.places < self.limits.places
                    && book.places.len() < self.limits.endpoint_places;
                let known = book.places.len();
                if let Some(place) = book.place(difference, room) {
                    if place.last != self.observations {
                        place.last = self.observations;
                        place.now.count(series);
                        if series == Series::Candidate {
                            let most = self.limits.samples;
                            let (count, sample) = (place.now.candidate, observation.sample);
                            taken |= place.samples.offer(sample, count, most, &mut self.chance);
                        }
                    }
                }
                self.places += book.places.len() - known;
            }
        }
        self.requests += u64::from(series == Series::Candidate);
        if self.looks < LOOKS && self.requests >= requests_at(self.looks + 1) {
            self.look();
        }
        taken
    }

    /// Adds what was counted for an endpoint that is gone to the one that goes on.
    pub fn merge(&mut self, merge: Merge) {
        let Some(from) = self.endpoints.remove(&merge.from) else { return };
        let book = match self.endpoints.entry(merge.into) {
            Entry::Vacant(entry) => {
                entry.insert(from);
                return;
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        let both = book.places.len() + from.places.len();
        book.merge(from, &self.limits, &mut self.chance);
        self.places = self.places + book.places.len() - both;
    }

    /// Forgets the places that `which` names, as if no pair had differed there. What is counted of endpoints
    /// as a whole stays.
    pub fn forget(&mut self, mut which: impl FnMut(EndpointId, &Site) -> bool) {
        for (id, book) in &mut self.endpoints {
            book.places.retain(|(site, _)| !which(*id, site));
        }
        self.places = self.endpoints.values().map(|book| book.places.len()).sum();
    }

    /// Books that were written down and read again, which know neither their limits nor the ids that their
    /// endpoints have now: `id` tells them, in exchange for the old ones. See [`Endpoints::restore`].
    ///
    /// [`Endpoints::restore`]: crate::endpoint::Endpoints::restore
    #[must_use]
    pub fn restored(
        mut self,
        limits: BookLimits,
        mut id: impl FnMut(EndpointId) -> EndpointId,
    ) -> Self {
        self.limits = limits;
        for (old, book) in std::mem::take(&mut self.endpoints) {
            match self.endpoints.entry(id(old)) {
                Entry::Vacant(entry) => {
                    entry.insert(book);
                }
                Entry::Occupied(entry) => {
                    entry.into_mut().merge(book, &limits, &mut self.chance);
                }
            }
        }
        self.places = self.endpoints.values().map(|book| book.places.len()).sum();
        self
    }

    /// The endpoints that have counts.
    pub fn endpoints(&self) -> impl Iterator<Item = (EndpointId, &Book)> {
        self.endpoints.iter().map(|(id, book)| (*id, book))
    }

    /// What is counted for an endpoint.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> Option<&Book> {
        self.endpoints.get(&id)
    }

    /// The candidate's requests: its pairs, and those that the shadow did not answer.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The number of looks so far: what is judged changes only when this does, or at a merge.
    #[must_use]
    pub fn looks(&self) -> u32 {
        self.looks
    }

    /// The candidate's requests at which the next look is taken; `None` after the last.
    #[must_use]
    pub fn next_look(&self) -> Option<u64> {
        (self.looks < LOOKS).then(|| requests_at(self.looks + 1))
    }

    /// The samples that some place keeps, sorted; at most those of all places.
    #[must_use]
    pub fn samples(&self) -> Vec<SampleId> {
        let places = self.endpoints.values().flat_map(|book| &book.places);
        let mut samples: Vec<_> =
            places.flat_map(|(_, place)| place.samples().iter().copied()).collect();
        samples.sort_unstable();
        samples.dedup();
        samples
    }

    fn look(&mut self) {
        while self.looks < LOOKS && self.requests >= requests_at(self.looks + 1) {
            self.looks += 1;
        }
        for book in self.endpoints.values_mut() {
            book.judged.clone_from(&book.now);
            for (_, place) in &mut book.places {
                place.judged = place.now;
            }
        }
    }
}

/// How many of the candidate's requests look `number`, from 1, waits for: 100, and so on with ten looks for
/// each power of ten.
#[must_use]
pub fn requests_at(number: u32) -> u64 {
    const STEPS: [u64; 10] = [100, 125, 160, 200, 250, 320, 400, 500, 630, 800];
    let number = number.saturating_sub(1);
    let step = STEPS.get(number as usize % 10).copied().unwrap_or(100);
    step.saturating_mul(10_u64.saturating_pow(number / 10))
}

impl Book {
    /// Where pairs differ, the places in order.
    pub fn places(&self) -> impl Iterator<Item = (&Site, &PlaceBook)> {
        self.places.iter().map(|(site, place)| (site, place))
    }

    /// Pairs of the candidate whose statuses differ: production's, the shadow's, how many.
    pub fn status_changes(&self) -> impl Iterator<Item = (u16, u16, u64)> + '_ {
        self.statuses.iter().map(|((production, shadow), count)| (*production, *shadow, *count))
    }

    /// Those whose statuses there was no room to tell apart.
    #[must_use]
    pub fn other_status_changes(&self) -> u64 {
        self.other_statuses
    }

    /// How many of the candidate's and the control's pairs differ at a place, of how many that could.
    #[must_use]
    pub fn shares(&self, site: &Site, place: &PlaceBook) -> (Share, Share) {
        self.now.shares(site, place.now)
    }

    /// The same at the last look.
    pub(crate) fn judged_shares(&self, site: &Site, place: &PlaceBook) -> (Share, Share) {
        self.judged.shares(site, place.judged)
    }

    /// What holds for a request whether it made a pair or not.
    fn record_answers(&mut self, observation: &Observation<'_>) {
        let production = observation.production_status;
        let errors = &mut self.now.errors;
        errors.requests += 1;
        match (production >= 500, observation.shadow_status.is_none_or(|status| status >= 500)) {
            (true, true) => errors.both += 1,
            (true, false) => errors.production += 1,
            (false, true) => errors.shadow += 1,
            (false, false) => {}
        }
        let Some(shadow) = observation.shadow_status else { return };
        if let Some(time) = observation.production_time {
            self.now.production.record(time);
        }
        if let Some(time) = observation.shadow_time {
            self.now.shadow.record(time);
        }
        if production != shadow {
            self.count_status_change((production, shadow), 1);
        }
    }

    fn count_status_change(&mut self, change: (u16, u16), more: u64) {
        match self.statuses.binary_search_by_key(&change, |(known, _)| *known) {
            Ok(found) => {
                if let Some((_, count)) = self.statuses.get_mut(found) {
                    *count += more;
                }
            }
            Err(place) if self.statuses.len() < STATUS_CHANGES => {
                self.statuses.insert(place, (change, more));
            }
            Err(_) => self.other_statuses += more,
        }
    }

    /// The counts for a difference. A new place needs `room`; [`Site::Elsewhere`] always has some.
    fn place(&mut self, difference: &Difference, room: bool) -> Option<&mut PlaceBook> {
        let Difference { place, kind, .. } = difference;
        let found = self.places.binary_search_by(|(known, _)| known.compare(place, *kind));
        match found {
            Ok(found) => self.places.get_mut(found).map(|(_, place)| place),
            // A place that comes after the first that there was no room for would lack what went there.
            Err(_) if !room || self.is_full() || text_length(place) > LONGEST_PLACE => {
                self.place_at(Site::Elsewhere)
            }
            Err(_) => self.place_at(Site::At(place.clone(), *kind)),
        }
    }

    /// Whether there was no room for some place.
    fn is_full(&self) -> bool {
        matches!(self.places.last(), Some((Site::Elsewhere, _)))
    }

    fn place_at(&mut self, site: Site) -> Option<&mut PlaceBook> {
        let place = match self.places.binary_search_by(|(known, _)| known.cmp(&site)) {
            Ok(found) => found,
            Err(place) => {
                self.places.insert(place, (site, PlaceBook::default()));
                place
            }
        };
        self.places.get_mut(place).map(|(_, place)| place)
    }

    /// Takes all places, so that no more are told apart afterwards than before in both.
    fn merge(&mut self, other: Self, limits: &BookLimits, chance: &mut Chance) {
        self.now.merge(&other.now);
        self.judged.merge(&other.judged);
        let (full, other_full) = (self.is_full(), other.is_full());
        if other_full {
            for (site, place) in &mut self.places {
                let known = other.places.binary_search_by(|(known, _)| known.cmp(site)).is_ok();
                place.partial |= !known && *site != Site::Elsewhere;
            }
        }
        for (site, place) in other.places {
            let known = self.places.binary_search_by(|(known, _)| known.cmp(&site)).is_ok();
            let partial = !known && full && site != Site::Elsewhere;
            if let Some(own) = self.place_at(site) {
                own.merge(&place, limits.samples, chance);
                own.partial |= partial;
            }
        }
        for (change, count) in other.statuses {
            self.count_status_change(change, count);
        }
        self.other_statuses += other.other_statuses;
    }
}

fn text_length(place: &Place) -> usize {
    match place {
        Place::Status => 0,
        Place::Header(text) | Place::Body(text) => text.len(),
    }
}

impl PlaceBook {
    fn merge(&mut self, other: &Self, samples: usize, chance: &mut Chance) {
        let (own, others) = (self.now.candidate, other.now.candidate);
        self.samples.merge(&other.samples, own, others, samples, chance);
        self.now.add(other.now);
        self.judged.add(other.judged);
        self.last = self.last.max(other.last);
        self.partial |= other.partial;
    }
}

impl Counts {
    fn shares(&self, site: &Site, differing: Both) -> (Share, Share) {
        let pairs = if site.is_in_body() { self.bodies } else { self.pairs };
        (
            Share { differing: differing.candidate, pairs: pairs.candidate },
            Share { differing: differing.control, pairs: pairs.control },
        )
    }

    fn merge(&mut self, other: &Self) {
        self.pairs.add(other.pairs);
        self.bodies.add(other.bodies);
        self.different.add(other.different);
        let (errors, more) = (&mut self.errors, other.errors);
        errors.requests = errors.requests.saturating_add(more.requests);
        errors.shadow = errors.shadow.saturating_add(more.shadow);
        errors.production = errors.production.saturating_add(more.production);
        errors.both = errors.both.saturating_add(more.both);
        self.production.merge(&other.production);
        self.shadow.merge(&other.shadow);
    }
}
