//! The ledger as it is written down, so that a restart costs no counts.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use shadow_diff::Excuse;
use shadow_diff::books::{BookLimits, Books};
use shadow_diff::endpoint::EndpointId;

use super::{Candidate, Ledger};
use crate::comparison::sample::Sample;

/// What is written is of this version; others are not read.
const VERSION: u32 = 1;

/// All that is needed to go on.
#[derive(Serialize, Deserialize)]
struct Saved<B> {
    version: u32,
    /// `comparison.run` when it was written: another one begins a run.
    run: String,
    next_sample: u64,
    /// Id, method and path.
    endpoints: Vec<(EndpointId, String, String)>,
    candidates: BTreeMap<String, SavedCandidate<B>>,
}

#[derive(Serialize, Deserialize)]
struct SavedCandidate<B> {
    /// In milliseconds since 1970.
    started_ms: u64,
    books: B,
    /// What built-in rules excused; those of the configuration may be others by the time it is read.
    excused: BTreeMap<String, u64>,
}

/// Why what was written down cannot be read.
#[derive(Debug)]
pub enum NotRestored {
    /// It was written by another version of the program.
    Version(u32),
    /// It is damaged.
    Damaged(serde_json::Error),
}

impl fmt::Display for NotRestored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "it is of version {version}, and this program reads version {VERSION}")
            }
            Self::Damaged(error) => write!(f, "it is damaged: {error}"),
        }
    }
}

/// The version alone.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Ledger {
    /// Writes down what [`Ledger::restore`] reads, without the pairs.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut ids: Vec<_> = self.candidates.values().flat_map(Candidate::endpoints).collect();
        ids.sort_unstable();
        ids.dedup();
        let endpoints = ids.into_iter().map(|id| {
            let name = self.endpoints.name(id);
            (id, name.method.to_owned(), name.path.into_owned())
        });
        let candidates = self.candidates.iter().map(|(name, candidate)| {
            let since = candidate.started.duration_since(SystemTime::UNIX_EPOCH);
            let saved = SavedCandidate {
                started_ms: since.unwrap_or_default().as_millis().try_into().unwrap_or(u64::MAX),
                books: &candidate.books,
                excused: natural(&candidate.excused),
            };
            (name.clone(), saved)
        });
        let saved = Saved {
            version: VERSION,
            run: self.run.clone(),
            next_sample: self.next_sample,
            endpoints: endpoints.collect(),
            candidates: candidates.collect(),
        };
        // Plain structures with keys that are texts or numbers can always be written.
        serde_json::to_vec(&saved).unwrap_or_default()
    }

    /// Goes on from what was written down: with the candidates that there still are, if the configuration
    /// names the same run as then. Gives the numbers of the pairs to [`put back`](Ledger::put_back).
    ///
    /// # Errors
    /// It cannot be read; then nothing has changed.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Vec<u64>, NotRestored> {
        let version: Version = serde_json::from_slice(bytes).map_err(NotRestored::Damaged)?;
        if version.version != VERSION {
            return Err(NotRestored::Version(version.version));
        }
        let saved: Saved<Books> = serde_json::from_slice(bytes).map_err(NotRestored::Damaged)?;
        self.next_sample = self.next_sample.max(saved.next_sample);
        if saved.run != self.run {
            return Ok(Vec::new());
        }
        let mut moved = HashMap::new();
        for (id, method, path) in &saved.endpoints {
            let assigned = self.endpoints.restore(method, path);
            self.follow(&assigned.merges);
            moved.insert(*id, assigned.endpoint);
        }
        for (name, of) in saved.candidates {
            let Some(candidate) = self.candidates.get_mut(&name) else { continue };
            let endpoints = &self.endpoints;
            candidate.books = of.books.restored(BookLimits::default(), |id| {
                endpoints.current(moved.get(&id).copied().unwrap_or(id))
            });
            candidate.started = SystemTime::UNIX_EPOCH + Duration::from_millis(of.started_ms);
            let known = shadow_diff::natural_rules().iter();
            candidate.excused = known
                .filter_map(|rule| {
                    let count = of.excused.get(rule.name)?;
                    Some((Excuse::Natural(rule.name), *count))
                })
                .collect();
        }
        self.judge_all();
        self.revision += 1;
        let samples = self.candidates.values().flat_map(|candidate| candidate.books.samples());
        Ok(samples.map(|sample| sample.0).collect())
    }

    /// Puts a pair back that was kept before.
    pub fn put_back(&mut self, sample: Sample) {
        self.shelf.put(sample);
    }

    /// The pairs with this number and later ones, to be written down.
    pub fn samples_since(&self, id: u64) -> impl Iterator<Item = &Sample> {
        self.shelf.since(id)
    }

    /// The numbers of all pairs that are kept.
    #[must_use]
    pub fn sample_ids(&self) -> Vec<u64> {
        self.shelf.ids()
    }

    /// The number of the pair that comes next.
    #[must_use]
    pub fn next_sample(&self) -> u64 {
        self.next_sample
    }
}

fn natural(excused: &BTreeMap<Excuse, u64>) -> BTreeMap<String, u64> {
    let natural = excused.iter().filter_map(|(excuse, count)| match excuse {
        Excuse::Natural(name) => Some(((*name).to_owned(), *count)),
        Excuse::User(_) => None,
    });
    natural.collect()
}
