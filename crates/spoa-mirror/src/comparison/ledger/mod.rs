//! What all pairs amount to: for each candidate its counts by endpoint and place, its verdict, and the pairs
//! that people may look at.
//!
//! The comparing thread writes it pair by pair, readers look at it under the same lock: both hold it for
//! moments, as comparing itself is done outside.

mod candidate;
mod rulebook;
mod saved;
mod shelf;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use shadow_diff::books::{Observation, SampleId, Series};
use shadow_diff::endpoint::{EndpointId, EndpointLimits, Endpoints, Merge, Pattern};
use shadow_diff::verdict::{Allowed, Thresholds};
use shadow_diff::{Action, Comparison, Limits, Rule, RuleError};

use super::half::{End, Recorded};
use super::pairing::{Of, Pair};
use super::sample::Sample;
use crate::config::{Compare, Config};
use crate::outcome::Fault;
pub use candidate::Candidate;
pub use rulebook::Rulebook;
pub use saved::NotRestored;
use shelf::Shelf;

/// Bytes of kept pairs: the bound of what people can look at.
pub const SHELF_BYTES: usize = 32 << 20;

/// Rules that may be made while the agent runs.
pub const MAX_OWN_RULES: usize = 1000;

/// The counts of all candidates.
pub struct Ledger {
    rulebook: Arc<Rulebook>,
    /// The configured rules.
    rules: Vec<Rule>,
    /// Those made while the agent runs; they come after the others.
    own_rules: Vec<Rule>,
    thresholds: Thresholds,
    patterns: Vec<Pattern>,
    endpoints: Endpoints,
    /// What endpoints are called, until that changes.
    names: HashMap<EndpointId, Arc<str>>,
    /// [`Endpoints::revision`] when these names were taken.
    named_at: u64,
    candidates: BTreeMap<String, Candidate>,
    /// Runs that ended, until somebody takes them.
    ended: Vec<Ended>,
    shelf: Shelf,
    next_sample: u64,
    /// Counts what readers may want to see again.
    revision: u64,
    /// The run that a new candidate begins with.
    run: String,
}

/// The beginning of a comparison: what the pair's bytes alone do not tell.
pub struct Entry {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// What it is called.
    pub name: Arc<str>,
    /// The rules in force.
    pub rulebook: Arc<Rulebook>,
}

/// A run that ended.
pub struct Ended {
    /// The target.
    pub target: String,
    /// When.
    pub at: SystemTime,
    /// What it came to.
    pub candidate: Candidate,
}

/// Runs that ended and that nobody took: no more are held.
const MOST_ENDED: usize = 16;

/// There is no such candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchCandidate;

/// Why a rule is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotARule {
    /// It cannot be used.
    Wrong(RuleError),
    /// There are already [`MAX_OWN_RULES`].
    Many,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut ledger = Self {
            rulebook: Arc::new(Rulebook::default()),
            rules: Vec::new(),
            own_rules: Vec::new(),
            thresholds: Thresholds::default(),
            patterns: Vec::new(),
            endpoints: endpoints(&[]),
            names: HashMap::new(),
            named_at: 0,
            candidates: BTreeMap::new(),
            ended: Vec::new(),
            shelf: Shelf::default(),
            next_sample: 1,
            revision: 0,
            run: String::new(),
        };
        ledger.configure(config);
        ledger
    }

    /// Does as `config` says from now on. Candidates that are no targets any more are forgotten.
    pub fn configure(&mut self, config: &Config) {
        let comparison = &config.comparison;
        self.rules.clone_from(&comparison.rules);
        if let Some(rules) = &comparison.own_rules {
            self.own_rules.clone_from(rules);
        }
        self.rulebook = Arc::new(Rulebook::new(
            self.rules.iter().chain(&self.own_rules),
            &comparison.natural_off,
            &comparison.redact,
        ));
        self.thresholds = comparison.thresholds.clone();
        if self.run != comparison.run {
            self.run.clone_from(&comparison.run);
            let all: Vec<_> = self.candidates.keys().cloned().collect();
            for name in all {
                // It is there.
                let _ = self.begin(&name, &comparison.run);
            }
        }
        if self.patterns != comparison.endpoints {
            self.patterns.clone_from(&comparison.endpoints);
            self.learn_anew();
        }
        let names = config.targets.iter().filter(|target| target.compare == Compare::Candidate);
        let names: Vec<_> = names.map(|target| target.name.clone()).collect();
        self.candidates.retain(|name, _| names.contains(name));
        for name in names {
            let seed = seed();
            self.candidates.entry(name).or_insert_with(|| Candidate::new(&self.run, seed));
        }
        self.judge_all();
        self.tidy();
        self.revision += 1;
    }

    /// Begins to enter a pair: its endpoint, and the rules to compare it by.
    pub fn open(&mut self, method: &[u8], path: &[u8]) -> Entry {
        let assigned = self.endpoints.assign(method, path);
        self.follow(&assigned.merges);
        let endpoint = assigned.endpoint;
        Entry { endpoint, name: self.name(endpoint), rulebook: Arc::clone(&self.rulebook) }
    }

    /// Enters what came of a comparison.
    pub fn enter(&mut self, entry: &Entry, pair: &Pair, comparison: &Comparison) {
        let End::Answered(shadow) = &pair.shadow else { return };
        // Others may have been merged since it was opened: this thread alone assigns, so none were.
        let observation = Observation {
            differences: &comparison.differences,
            bodies: comparison.body.is_compared(),
            unlisted: comparison.more > 0
                && comparison.differences.len() >= Limits::default().differences,
            shadow_status: Some(shadow.status),
            shadow_time: first_known(shadow),
            ..self.observation(entry, pair)
        };
        self.next_sample += 1;
        self.revision += 1;
        match (pair.target.role, pair.of) {
            (Compare::No, _) => {}
            (Compare::Candidate, Of::Production) => {
                let Some(candidate) = self.candidates.get_mut(&pair.target.name) else { return };
                candidate.excuse(comparison);
                let taken = candidate.books.record(Series::Candidate, &observation);
                if taken {
                    let SampleId(id) = observation.sample;
                    let run = candidate.books.run();
                    let redaction = &entry.rulebook.redaction;
                    let now = SystemTime::now();
                    let sample = Sample::of(id, now, run, &entry.name, pair, comparison, redaction);
                    if self.shelf.put(sample) {
                        self.tidy();
                    }
                }
                self.judge(&pair.target.name);
            }
            (Compare::Candidate, Of::Itself) => {
                if let Some(candidate) = self.candidates.get_mut(&pair.target.name) {
                    candidate.books.record(Series::Control, &observation);
                }
            }
            (Compare::Baseline, _) => {
                for candidate in self.candidates.values_mut() {
                    candidate.books.record(Series::Control, &observation);
                }
            }
        }
    }

    /// Enters a request that the candidate did not answer.
    pub fn enter_failure(&mut self, entry: &Entry, pair: &Pair) {
        let End::Failed(failure, _) = &pair.shadow else { return };
        let of_candidate = (pair.target.role, pair.of) == (Compare::Candidate, Of::Production);
        if failure.fault() != Fault::Target || !of_candidate {
            return;
        }
        let observation = self.observation(entry, pair);
        if let Some(candidate) = self.candidates.get_mut(&pair.target.name) {
            candidate.books.record(Series::Candidate, &observation);
            self.revision += 1;
            self.judge(&pair.target.name);
        }
    }

    fn observation(&self, entry: &Entry, pair: &Pair) -> Observation<'static> {
        Observation {
            endpoint: entry.endpoint,
            differences: &[],
            bodies: false,
            unlisted: false,
            production_status: pair.production.status,
            shadow_status: None,
            production_time: first_known(&pair.production),
            shadow_time: None,
            sample: SampleId(self.next_sample),
        }
    }

    /// The candidates, by name.
    pub fn candidates(&self) -> impl Iterator<Item = (&str, &Candidate)> {
        self.candidates.iter().map(|(name, candidate)| (name.as_str(), candidate))
    }

    /// A candidate.
    #[must_use]
    pub fn candidate(&self, name: &str) -> Option<&Candidate> {
        self.candidates.get(name)
    }

    /// The endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// What a candidate must and may not.
    #[must_use]
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// A pair that was kept.
    #[must_use]
    pub fn sample(&self, id: u64) -> Option<&Sample> {
        self.shelf.get(id)
    }

    /// Grows whenever anything is entered or changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Begins the run `name` of a candidate. What was counted so far can be taken as a run that ended, if
    /// anything was.
    ///
    /// # Errors
    /// There is no such candidate.
    pub fn begin(&mut self, candidate: &str, name: &str) -> Result<(), NoSuchCandidate> {
        let found = self.candidates.get_mut(candidate).ok_or(NoSuchCandidate)?;
        let old = std::mem::replace(found, Candidate::new(name, seed()));
        if old.books.requests() > 0 && self.ended.len() < MOST_ENDED {
            let (target, at) = (candidate.to_owned(), SystemTime::now());
            self.ended.push(Ended { target, at, candidate: old });
        }
        self.judge(candidate);
        self.tidy();
        self.revision += 1;
        Ok(())
    }

    /// The runs that ended since this was asked last; their pairs are kept until [`Ledger::tidy`].
    pub fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// The rules made while the agent runs.
    #[must_use]
    pub fn own_rules(&self) -> &[Rule] {
        &self.own_rules
    }

    /// Takes other rules in the place of those that were made while the agent runs. What is ignored by a new
    /// one is not reported any more, either.
    ///
    /// # Errors
    /// Which of them cannot be used, counted from 0 among `rules`.
    pub fn set_own_rules(&mut self, rules: Vec<Rule>) -> Result<(), NotARule> {
        Self::check_own_rules(&rules)?;
        let fresh: Vec<_> = rules.iter().filter(|rule| !self.own_rules.contains(rule)).collect();
        let ignored = fresh.into_iter().filter(|rule| rule.action == Action::Ignore);
        let ignored: Vec<_> =
            ignored.filter_map(|rule| Allowed::new(&rule.endpoint, &rule.place).ok()).collect();
        self.own_rules = rules;
        self.rulebook = Arc::new(self.rulebook.with(self.rules.iter().chain(&self.own_rules)));
        let (endpoints, candidates) = (&self.endpoints, &mut self.candidates);
        for candidate in candidates.values_mut().filter(|_| !ignored.is_empty()) {
            candidate.books.forget(|endpoint, site| {
                let name = endpoints.name(endpoint).to_string();
                ignored.iter().any(|rule| rule.allows(&name, site))
            });
        }
        self.judge_all();
        self.tidy();
        self.revision += 1;
        Ok(())
    }

    /// Whether these rules could be taken.
    ///
    /// # Errors
    /// Why not.
    pub fn check_own_rules(rules: &[Rule]) -> Result<(), NotARule> {
        if rules.len() > MAX_OWN_RULES {
            return Err(NotARule::Many);
        }
        shadow_diff::Rules::compile(rules).map_err(NotARule::Wrong)?;
        Ok(())
    }

    fn name(&mut self, endpoint: EndpointId) -> Arc<str> {
        if self.named_at != self.endpoints.revision() {
            self.names.clear();
            self.named_at = self.endpoints.revision();
        }
        let endpoints = &self.endpoints;
        let name = self.names.entry(endpoint);
        Arc::clone(name.or_insert_with(|| endpoints.name(endpoint).to_string().into()))
    }

    fn follow(&mut self, merges: &[Merge]) {
        for merge in merges {
            self.names.remove(&merge.from);
            for candidate in self.candidates.values_mut() {
                candidate.books.merge(*merge);
                candidate.is_stale = true;
            }
        }
    }

    /// Endpoints by other patterns: what was counted goes where a request for that name would.
    fn learn_anew(&mut self) {
        let old = std::mem::replace(&mut self.endpoints, endpoints(&self.patterns));
        self.names.clear();
        let mut all: Vec<_> = self.candidates.values().flat_map(Candidate::endpoints).collect();
        all.sort_unstable();
        all.dedup();
        let mut moved = HashMap::new();
        for id in all {
            let name = old.name(id);
            let assigned = self.endpoints.restore(name.method, &name.path);
            moved.insert(id, assigned.endpoint);
        }
        for candidate in self.candidates.values_mut() {
            let endpoints = &self.endpoints;
            candidate.restore(|id| endpoints.current(moved.get(&id).copied().unwrap_or(id)));
        }
    }

    fn judge(&mut self, name: &str) {
        if let Some(candidate) = self.candidates.get_mut(name) {
            candidate.judge(&self.endpoints, &self.thresholds);
        }
    }

    fn judge_all(&mut self) {
        for candidate in self.candidates.values_mut() {
            candidate.is_stale = true;
            candidate.judge(&self.endpoints, &self.thresholds);
        }
    }

    /// Forgets the pairs that no place keeps any more.
    pub fn tidy(&mut self) {
        let ended = self.ended.iter().map(|ended| &ended.candidate);
        let all = self.candidates.values().chain(ended);
        let mut kept: Vec<_> = all.flat_map(|candidate| candidate.books.samples()).collect();
        kept.sort_unstable();
        self.shelf.tidy(&kept);
    }
}

fn endpoints(patterns: &[Pattern]) -> Endpoints {
    let limits = EndpointLimits::default();
    // The configuration was refused if these do not go together; without them all are learned.
    Endpoints::new(limits, patterns.to_vec()).unwrap_or_else(|error| {
        tracing::warn!("comparison.endpoints are not used: {error}");
        Endpoints::learning(limits)
    })
}

/// The time until the head; where that is not known, until the end.
fn first_known(answer: &Recorded) -> Option<std::time::Duration> {
    answer.head_time.or(answer.time)
}

/// Decides which pairs are kept: only that it differs from start to start matters.
fn seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() ^ u64::from(since.subsec_nanos()) << 32
}
