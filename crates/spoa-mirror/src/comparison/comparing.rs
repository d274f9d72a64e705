//! The control plane's side of comparison: a thread of its own that brings halves together and compares.

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use shadow_diff::{Comparer, Outcome};

use super::half::{End, Half};
use super::intake::Intake;
use super::pairing::{self, Pair, Pairing};
use crate::config::{Compare, ComparisonConfig, Config};
use crate::survive::caught;

/// The thread looks for halves this often. Nothing wakes it, so that no worker pays for that.
const LOOK: Duration = Duration::from_millis(20);

/// Halves taken between two looks at the clock.
const BATCH: usize = 256;

/// Requests of which a part is awaited, at once.
const MAX_WAITING: usize = 100_000;

/// What came of pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Pairs that are the same.
    pub same: u64,
    /// Pairs that differ.
    pub different: u64,
    /// Pairs of which nothing can be said.
    pub incomparable: u64,
    /// Pairs whose copy failed.
    pub failed: u64,
}

/// Compares, for as long as anybody has its intake.
pub struct Comparing {
    config: ComparisonConfig,
    intake: Arc<Intake>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    halves: pairing::Counts,
    compared: Compared,
}

impl Comparing {
    fn start(config: &ComparisonConfig) -> io::Result<Self> {
        let (intake, halves) = Intake::new(config);
        let state = Arc::<Mutex<State>>::default();
        let pairing = Pairing::new(config.wait, MAX_WAITING);
        let work =
            Work { halves, pairing, comparer: Comparer::default(), state: Arc::clone(&state) };
        std::thread::Builder::new().name("comparison".to_owned()).spawn(move || work.run())?;
        Ok(Self { config: config.clone(), intake: Arc::new(intake), state })
    }

    /// The comparison that `config` wants, if any target's answers are compared: `known`, where that is
    /// the same, or one that begins now.
    ///
    /// # Errors
    /// It cannot begin.
    pub fn wanted(config: &Config, known: Option<Arc<Self>>) -> Result<Option<Arc<Self>>, String> {
        if config.targets.iter().all(|target| target.compare == Compare::No) {
            return Ok(None);
        }
        if let Some(known) = known.filter(|known| known.config == config.comparison) {
            return Ok(Some(known));
        }
        let begun = Self::start(&config.comparison);
        let begun = begun.map_err(|error| format!("cannot begin to compare: {error}"))?;
        Ok(Some(Arc::new(begun)))
    }

    /// Where the data plane puts halves.
    #[must_use]
    pub fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    /// What came of halves and pairs so far.
    #[must_use]
    pub fn counts(&self) -> (pairing::Counts, Compared) {
        let state = locked(&self.state);
        (state.halves, state.compared)
    }
}

struct Work {
    halves: Receiver<Half>,
    pairing: Pairing,
    comparer: Comparer,
    state: Arc<Mutex<State>>,
}

impl Work {
    fn run(mut self) {
        loop {
            let now = Instant::now();
            for _ in 0..BATCH {
                match self.halves.try_recv() {
                    // A defect must cost one pair.
                    Ok(half) => {
                        let _ = caught(|| self.take(half, now));
                    }
                    Err(TryRecvError::Empty) => {
                        std::thread::park_timeout(LOOK);
                        break;
                    }
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.pairing.give_up(now);
            locked(&self.state).halves = self.pairing.counts;
        }
    }

    fn take(&mut self, half: Half, now: Instant) {
        let Self { pairing, comparer, state, .. } = self;
        pairing.take(half, now, |pair| compare(comparer, state, &pair));
    }
}

fn compare(comparer: &Comparer, state: &Mutex<State>, pair: &Pair) {
    let End::Answered(shadow) = &pair.shadow else {
        locked(state).compared.failed += 1;
        return;
    };
    let (production_headers, shadow_headers) = (pair.production.headers(), shadow.headers());
    let comparison = comparer.compare(&shadow_diff::Pair {
        method: &pair.asked.method,
        endpoint: "",
        now: SystemTime::now(),
        production: pair.production.response(&production_headers),
        shadow: shadow.response(&shadow_headers),
    });
    let compared = &mut locked(state).compared;
    match comparison.outcome {
        Outcome::Same => compared.same += 1,
        Outcome::Different => compared.different += 1,
        Outcome::Incomparable(_) => compared.incomparable += 1,
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // What a defect left behind is counters.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
