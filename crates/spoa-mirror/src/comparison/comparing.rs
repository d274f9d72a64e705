//! The control plane's side of comparison: a thread of its own that brings halves together and compares.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use shadow_diff::verdict::Answer;
use shadow_diff::{Body, Comparison, Outcome, Response};

use super::half::{End, Half, Recorded};
use super::hints::Hints;
use super::intake::{Intake, Taken};
use super::keeping::Kept;
use super::ledger::{Candidate, Entry, Ledger};
use super::pairing::{self, Of, Pair, Pairing};
use crate::config::{Compare, Config};
use crate::survive::caught;

/// The thread looks for halves this often. Nothing wakes it, so that no worker pays for that.
const LOOK: Duration = Duration::from_millis(20);

/// Halves taken between two looks at the clock.
const BATCH: usize = 256;

/// At the end, what is left is waited for no longer.
const LAST: Duration = Duration::from_secs(2);

/// What came of the pairs with a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Pairs that are the same.
    pub same: u64,
    /// Pairs that differ.
    pub different: u64,
    /// Pairs of which nothing is known to differ, and not everything could be compared.
    pub incomparable: u64,
    /// Pairs whose copy failed.
    pub failed: u64,
}

/// How comparison stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What the data plane handed over.
    pub taken: Taken,
    /// What came of it.
    pub halves: pairing::Counts,
    /// Production's answers that wait for a copy.
    pub waiting_answers: u64,
    /// Bytes held.
    pub held: usize,
    /// Bytes that may be held.
    pub most_held: usize,
    /// What came of the pairs, by target.
    pub targets: BTreeMap<String, Outcomes>,
    /// What came of the pairs of two answers of the same target, by target.
    pub control: BTreeMap<String, Outcomes>,
    /// What they amount to, by candidate.
    pub candidates: BTreeMap<String, Judged>,
}

/// What is thought of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The run's name.
    pub run: String,
    /// May it be shipped?
    pub answer: Answer,
    /// Reasons to fail.
    pub reasons: usize,
    /// Its requests that were judged.
    pub requests: u64,
}

impl Judged {
    fn of(candidate: &Candidate) -> Self {
        let verdict = &candidate.verdict;
        Self {
            run: candidate.books.run().to_owned(),
            answer: verdict.answer,
            reasons: verdict.reasons.len(),
            requests: verdict.requests,
        }
    }
}

impl Standing {
    /// Copies under way, or whose end is known and the answer that theirs is held against is not.
    #[must_use]
    pub fn waiting_copies(&self) -> u64 {
        let halves = &self.halves;
        let unpaired = self.unpaired().iter().map(|(_, count)| count).sum::<u64>();
        self.taken.copies.saturating_sub(halves.paired + unpaired)
    }

    /// Copies that did not meet the answer that theirs is held against, by reason.
    #[must_use]
    pub fn unpaired(&self) -> [(&'static str, u64); 5] {
        [
            ("not-sent", self.halves.not_sent),
            ("without-production", self.halves.without_production),
            ("without-first", self.halves.without_first),
            ("pushed-out", self.halves.pushed_out),
            ("lost", self.taken.copies_lost),
        ]
    }

    /// Production's answers that met no copy, by reason.
    #[must_use]
    pub fn answers_unpaired(&self) -> [(&'static str, u64); 3] {
        [
            ("without-shadow", self.halves.answers_without_shadow),
            ("pushed-out", self.halves.answers_pushed_out),
            ("lost", self.taken.answers_lost),
        ]
    }

    /// The counters as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let of = |counts: &[(&'static str, u64)]| -> serde_json::Value {
            counts.iter().copied().collect()
        };
        let pairs = |targets: &BTreeMap<String, Outcomes>| -> serde_json::Value {
            targets.iter().map(|(name, pairs)| (name.as_str(), of(&pairs.counts()))).collect()
        };
        serde_json::json!({
            "copies": self.taken.copies,
            "pairs": pairs(&self.targets),
            "control": pairs(&self.control),
            "unpaired": of(&self.unpaired()),
            "waiting": self.waiting_copies(),
            "answers": self.taken.answers,
            "answers_unpaired": of(&self.answers_unpaired()),
        })
    }
}

impl Outcomes {
    /// Pairs by what came of them.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 4] {
        [
            ("same", self.same),
            ("different", self.different),
            ("incomparable", self.incomparable),
            ("failed", self.failed),
        ]
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |of: fn(&Outcomes) -> u64| self.targets.values().map(of).sum::<u64>();
        write!(
            f,
            "copies {} = same {} + different {} + incomparable {} + failed {}",
            self.taken.copies,
            sum(|outcomes| outcomes.same),
            sum(|outcomes| outcomes.different),
            sum(|outcomes| outcomes.incomparable),
            sum(|outcomes| outcomes.failed),
        )?;
        let mut control: BTreeMap<_, u64> = BTreeMap::new();
        for (result, count) in self.control.values().flat_map(Outcomes::counts) {
            *control.entry(result).or_default() += count;
        }
        for (result, count) in control.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, " + control-{result} {count}")?;
        }
        for (reason, count) in self.unpaired() {
            if count > 0 {
                write!(f, " + {reason} {count}")?;
            }
        }
        write!(f, " + waiting {}", self.waiting_copies())
    }
}

/// Compares, from when a target's answers are first to be compared until the program ends.
pub struct Comparing {
    intake: Arc<Intake>,
    state: Arc<Mutex<State>>,
    ledger: Arc<Mutex<Ledger>>,
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    kept: Kept,
    /// Rules are changed one after the other.
    rules: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    halves: pairing::Counts,
    waiting_answers: u64,
    targets: BTreeMap<String, Outcomes>,
    control: BTreeMap<String, Outcomes>,
}

impl Comparing {
    /// What compares as `config` wants: `known`, if it is there, or one that begins now, if any target's
    /// answers are compared.
    ///
    /// # Errors
    /// It cannot begin.
    pub fn wanted(config: &Config, known: Option<Arc<Self>>) -> Result<Option<Arc<Self>>, String> {
        if known.is_some() || !is_wanted(config) {
            return Ok(known);
        }
        let begun = Self::start(config);
        let begun = begun.map_err(|error| format!("cannot begin to compare: {error}"))?;
        Ok(Some(Arc::new(begun)))
    }

    fn start(config: &Config) -> io::Result<Self> {
        let (intake, halves) = Intake::new(&config.comparison);
        let intake = Arc::new(intake);
        let state = Arc::<Mutex<State>>::default();
        let ledger = Arc::new(Mutex::new(Ledger::new(config)));
        let ending = Arc::<AtomicBool>::default();
        let work = Work {
            halves,
            intake: Arc::clone(&intake),
            pairing: Pairing::default(),
            made: Vec::new(),
            targets: BTreeMap::new(),
            control: BTreeMap::new(),
            hints: Hints::default(),
            state: Arc::clone(&state),
            ledger: Arc::clone(&ledger),
            ending: Arc::clone(&ending),
        };
        let thread = std::thread::Builder::new();
        let thread = thread.name("comparison".to_owned()).spawn(move || work.run())?;
        let (kept, rules) = (Kept::default(), tokio::sync::Mutex::default());
        Ok(Self { intake, state, ledger, ending, thread, kept, rules })
    }

    /// Does as `config` says from now on; gives where the data plane puts halves, if any target's answers
    /// are compared.
    #[must_use]
    pub fn configure(&self, config: &Config) -> Option<Arc<Intake>> {
        self.intake.configure(&config.comparison);
        self.ledger().configure(config);
        is_wanted(config).then(|| Arc::clone(&self.intake))
    }

    /// What the pairs amount to. The thread that compares waits while this is held: for moments, please.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Held while rules are read, written to their file, and taken.
    pub async fn changing_rules(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.rules.lock().await
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        // In the order in which a half goes back: what is counted there was counted here before.
        let (halves, waiting_answers, targets, control) = {
            let state = locked(&self.state);
            (state.halves, state.waiting_answers, state.targets.clone(), state.control.clone())
        };
        let candidates = {
            let ledger = self.ledger();
            ledger.candidates().map(|(name, of)| (name.to_owned(), Judged::of(of))).collect()
        };
        Standing {
            halves,
            waiting_answers,
            targets,
            control,
            candidates,
            taken: self.intake.taken(),
            held: self.intake.held(),
            most_held: self.intake.most_held(),
        }
    }

    /// Ends it, once no worker is there any more: what was handed over is compared, and what waits is given
    /// up.
    pub async fn finish(&self) {
        self.ending.store(true, Relaxed);
        self.thread.thread().unpark();
        let deadline = Instant::now() + LAST;
        while !self.thread.is_finished() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Whether any target's answers are compared.
fn is_wanted(config: &Config) -> bool {
    config.targets.iter().any(|target| target.compare != Compare::No)
}

struct Work {
    halves: Receiver<Half>,
    intake: Arc<Intake>,
    pairing: Pairing,
    /// Pairs to compare.
    made: Vec<Pair>,
    targets: BTreeMap<String, Outcomes>,
    control: BTreeMap<String, Outcomes>,
    hints: Hints,
    state: Arc<Mutex<State>>,
    ledger: Arc<Mutex<Ledger>>,
    ending: Arc<AtomicBool>,
}

impl Work {
    fn run(mut self) {
        loop {
            // Looked at before the halves: those that came before it are all taken then.
            let ending = self.ending.load(Relaxed);
            let taken = self.take_some();
            let over = ending && taken == 0;
            if over {
                self.pairing.give_up_all();
            }
            self.publish();
            if over {
                return;
            }
            if taken < BATCH && !ending {
                std::thread::park_timeout(LOOK);
            }
        }
    }

    /// Takes a batch of halves, and compares the pairs that they make; gives how many they were.
    fn take_some(&mut self) -> usize {
        let now = Instant::now();
        let mut taken = 0;
        for half in self.halves.try_iter().take(BATCH) {
            taken += 1;
            self.pairing.take(half, now, &mut self.made);
            for pair in self.made.drain(..) {
                let targets = match pair.of {
                    Of::Production => &mut self.targets,
                    Of::Itself => &mut self.control,
                };
                let outcomes = match targets.get_mut(&pair.target.name) {
                    Some(outcomes) => outcomes,
                    None => targets.entry(pair.target.name.clone()).or_default(),
                };
                enter(&self.ledger, &pair, outcomes, &mut self.hints);
            }
        }
        // What is on its way here, and being compared, has the other half.
        self.pairing.give_up(now, self.intake.wait(), self.intake.most_held() / 2);
        taken
    }

    fn publish(&mut self) {
        let halves = self.pairing.counts();
        {
            let mut state = locked(&self.state);
            state.waiting_answers = self.pairing.waiting_answers();
            if state.halves != halves {
                state.halves = halves;
                state.targets.clone_from(&self.targets);
                state.control.clone_from(&self.control);
            }
        }
        self.hints.look(&self.intake.taken(), &halves, &self.targets);
    }
}

fn enter(ledger: &Mutex<Ledger>, pair: &Pair, outcomes: &mut Outcomes, hints: &mut Hints) {
    let entry = locked(ledger).open(&pair.asked.method, &pair.asked.path);
    let End::Answered(shadow) = &pair.shadow else {
        outcomes.failed += 1;
        locked(ledger).enter_failure(&entry, pair);
        return;
    };
    // A defect must cost one pair.
    let compared = caught(|| {
        let comparison = compare(&entry, pair, shadow);
        locked(ledger).enter(&entry, pair, &comparison);
        comparison.outcome
    });
    match compared {
        Some(Outcome::Same) => outcomes.same += 1,
        Some(Outcome::Different) => outcomes.different += 1,
        Some(Outcome::Incomparable(reason)) => {
            outcomes.incomparable += 1;
            hints.incomparable(reason);
        }
        None => outcomes.incomparable += 1,
    }
}

pub(super) fn compare(entry: &Entry, pair: &Pair, shadow: &Recorded) -> Comparison {
    let production_headers = pair.production.headers();
    let shadow_headers = shadow.headers();
    let (production, shadow) = match (&production_headers, &shadow_headers) {
        (Some(production), Some(of_shadow)) => {
            (pair.production.response(production), shadow.response(of_shadow))
        }
        // Headers that are not known are not missing, and without them bodies cannot be read.
        _ => (status_only(pair.production.status), status_only(shadow.status)),
    };
    let (method, endpoint) = (&*pair.asked.method, &*entry.name);
    let now = SystemTime::now();
    let pair = shadow_diff::Pair { method, endpoint, now, production, shadow };
    entry.rulebook.comparer.compare(&pair, &*entry.rulebook.redaction)
}

fn status_only<'r>(status: u16) -> Response<'r> {
    Response { status, headers: &[], body: Body::Unknown }
}

fn locked<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a defect left behind is counters.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
