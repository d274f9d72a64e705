//! A circuit breaker: a target that fails is left alone for a while, then tried with a few copies.
//!
//! Every change of state begins a new generation. A copy carries the generation that let it pass,
//! and its end counts only there: what was sent before the breaker opened says nothing of the target
//! after it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::time::Duration;

use crate::config;

/// What a breaker does with copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Lets them pass.
    Closed,
    /// Lets none pass.
    Open,
    /// Lets a few pass, to see whether the target is well.
    HalfOpen,
}

impl State {
    /// Every state.
    pub const ALL: &'static [Self] = &[Self::Closed, Self::Open, Self::HalfOpen];

    /// The name in logs and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// How a copy ended, as far as it says something of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The target answered.
    Well,
    /// The target failed.
    Badly,
}

/// The breaker of a target. All times are since one beginning.
#[derive(Debug)]
pub struct Breaker {
    config: config::Breaker,
    /// A [`Word`].
    word: AtomicU64,
    /// When the state changed last, in nanoseconds; written before the state.
    since: AtomicU64,
    opened: AtomicU64,
    failures_in_a_row: AtomicU32,
    window: Window,
}

/// Allows to send one copy. A probe whose pass is dropped unused makes room for another.
#[derive(Debug)]
pub struct Pass {
    generation: u64,
    probe: Option<Arc<Breaker>>,
    first: bool,
}

impl Pass {
    /// Whether it is the one that made the breaker half-open.
    #[must_use]
    pub fn is_first_probe(&self) -> bool {
        self.first
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(breaker) = self.probe.take() {
            breaker.lose(self.generation);
        }
    }
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(config: config::Breaker) -> Self {
        Self {
            word: AtomicU64::new(Word::begin(State::Closed, 0).pack()),
            since: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            failures_in_a_row: AtomicU32::new(0),
            window: Window::new(config.window),
            config,
        }
    }

    /// The state. An open breaker stays open until a copy comes after its time.
    #[must_use]
    pub fn state(&self) -> State {
        self.word().state
    }

    /// When the state changed last, since the beginning.
    #[must_use]
    pub fn since(&self) -> Duration {
        Duration::from_nanos(self.since.load(Acquire))
    }

    /// How often it opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Whether an answer of 500 to 599 is a failure.
    #[must_use]
    pub fn server_errors_fail(&self) -> bool {
        self.config.server_errors
    }

    /// Lets a copy pass, or not.
    #[must_use]
    pub fn admit(self: &Arc<Self>, now: Duration) -> Option<Pass> {
        loop {
            let word = self.word();
            let pass = |first, word: &Word| Pass {
                generation: word.generation,
                probe: Some(Arc::clone(self)),
                first,
            };
            match word.state {
                State::Closed => {
                    return Some(Pass { generation: word.generation, probe: None, first: false });
                }
                State::Open if now.saturating_sub(self.since()) < self.config.open => return None,
                State::Open => {
                    self.since.fetch_max(nanos(now), AcqRel);
                    let begin = Word::begin(State::HalfOpen, word.generation + 1);
                    let next = Word { probes: 1, ..begin };
                    if self.swap(&word, &next) {
                        return Some(pass(true, &next));
                    }
                }
                State::HalfOpen => {
                    if word.probes >= self.probes() {
                        return None;
                    }
                    if self.swap(&word, &Word { probes: word.probes + 1, ..word }) {
                        return Some(pass(false, &word));
                    }
                }
            }
        }
    }

    /// Whether a copy that waited may still go: not if the breaker opened meanwhile, unless it is
    /// closed again.
    #[must_use]
    pub fn still_admits(&self, pass: &mut Pass) -> bool {
        let word = self.word();
        if word.generation != pass.generation && word.state == State::Closed {
            pass.generation = word.generation;
            pass.probe = None;
        }
        word.generation == pass.generation
    }

    /// Takes note of how a copy ended; gives the new state where that changes it.
    pub fn settle(&self, mut pass: Pass, ended: Ended, now: Duration) -> Option<State> {
        pass.probe = None;
        loop {
            let word = self.word();
            if word.generation != pass.generation {
                return None;
            }
            let to = match (word.state, ended) {
                (State::Open, _) => return None,
                (State::Closed, _) => {
                    if !self.is_enough(ended, now) {
                        return None;
                    }
                    return self.change(&word, State::Open, now).then_some(State::Open);
                }
                (State::HalfOpen, Ended::Badly) => State::Open,
                (State::HalfOpen, Ended::Well) if word.well + 1 >= self.probes() => State::Closed,
                (State::HalfOpen, Ended::Well) => {
                    if self.swap(&word, &Word { well: word.well + 1, ..word }) {
                        return None;
                    }
                    continue;
                }
            };
            if self.change(&word, to, now) {
                return Some(to);
            }
        }
    }

    /// A probe will never end.
    fn lose(&self, generation: u64) {
        loop {
            let word = self.word();
            if word.generation != generation || word.state != State::HalfOpen || word.probes == 0 {
                return;
            }
            if self.swap(&word, &Word { probes: word.probes - 1, ..word }) {
                return;
            }
        }
    }

    /// Counts an end; whether the breaker is to open.
    fn is_enough(&self, ended: Ended, now: Duration) -> bool {
        let failed = ended == Ended::Badly;
        let mut enough = false;
        if failed {
            let row = self.failures_in_a_row.fetch_add(1, Relaxed).saturating_add(1);
            enough = self.config.failures > 0 && row >= self.config.failures;
        } else if self.failures_in_a_row.load(Relaxed) > 0 {
            self.failures_in_a_row.store(0, Relaxed);
        }
        if let Some(share) = self.config.share {
            let (total, failed) = self.window.count(failed, now);
            enough |= total >= u64::from(self.config.minimum.max(1))
                && failed > 0
                && failed * 1_000_000 >= total * u64::from(share.millionths());
        }
        enough
    }

    fn change(&self, from: &Word, to: State, now: Duration) -> bool {
        self.since.fetch_max(nanos(now), AcqRel);
        if to == State::Closed {
            // It counts from the beginning, before anybody counts.
            self.failures_in_a_row.store(0, Relaxed);
            self.window.clear();
        }
        let changed = self.swap(from, &Word::begin(to, from.generation + 1));
        if changed && to == State::Open {
            self.opened.fetch_add(1, Relaxed);
        }
        changed
    }

    fn word(&self) -> Word {
        Word::unpack(self.word.load(Acquire))
    }

    fn swap(&self, from: &Word, to: &Word) -> bool {
        self.word.compare_exchange(from.pack(), to.pack(), AcqRel, Relaxed).is_ok()
    }

    fn probes(&self) -> u64 {
        u64::from(self.config.probes).clamp(1, Word::MOST)
    }
}

/// What must change together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    state: State,
    /// Changes of state so far; begins again after four million.
    generation: u64,
    /// Probes under way or answered, while half-open.
    probes: u64,
    /// Probes answered.
    well: u64,
}

impl Word {
    /// The most probes that can be counted: 20 bits.
    const MOST: u64 = (1 << 20) - 1;
    const GENERATIONS: u64 = 1 << 22;

    fn begin(state: State, generation: u64) -> Self {
        Self { state, generation: generation % Self::GENERATIONS, probes: 0, well: 0 }
    }

    fn pack(&self) -> u64 {
        let state = match self.state {
            State::Closed => 0,
            State::Open => 1,
            State::HalfOpen => 2,
        };
        state | self.generation << 2 | self.probes << 24 | self.well << 44
    }

    fn unpack(word: u64) -> Self {
        let state = match word & 3 {
            0 => State::Closed,
            1 => State::Open,
            _ => State::HalfOpen,
        };
        Self {
            state,
            generation: (word >> 2) % Self::GENERATIONS,
            probes: word >> 24 & Self::MOST,
            well: word >> 44,
        }
    }
}

/// Copies and failures of the last while, in slots that are used again and again.
#[derive(Debug)]
struct Window {
    /// The time of a slot, in nanoseconds.
    slot: u64,
    /// The slot's round in 24 bits, copies and failures in 20 bits each.
    slots: [AtomicU64; Self::SLOTS],
}

impl Window {
    /// The time looked at is between nine and ten tenths of the window.
    const SLOTS: usize = 10;
    const MOST: u64 = (1 << 20) - 1;
    const ROUNDS: u64 = 1 << 24;

    fn new(window: Duration) -> Self {
        let slot = nanos(window) / Self::SLOTS as u64;
        Self { slot: slot.max(1), slots: Default::default() }
    }

    /// Counts a copy; gives copies and failures in the window.
    fn count(&self, failed: bool, now: Duration) -> (u64, u64) {
        let number = nanos(now) / self.slot;
        let (mut copies, mut failures) = (0, 0);
        for back in 0..Self::SLOTS as u64 {
            let Some(number) = number.checked_sub(back) else { break };
            let place = usize::try_from(number % Self::SLOTS as u64).unwrap_or(0);
            let round = number / Self::SLOTS as u64 % Self::ROUNDS;
            let Some(slot) = self.slots.get(place) else { continue };
            let of_round = |word: u64| {
                if word >> 40 == round {
                    (word >> 20 & Self::MOST, word & Self::MOST)
                } else {
                    (0, 0)
                }
            };
            let word = slot.load(Relaxed);
            let (mut all, mut bad) = of_round(word);
            if back == 0 {
                let add = |(mut all, mut bad): (u64, u64)| {
                    if all == Self::MOST {
                        // The share stays what it is.
                        (all, bad) = (all / 2, bad / 2);
                    }
                    (all + 1, bad + u64::from(failed))
                };
                let pack = |(all, bad): (u64, u64)| round << 40 | all << 20 | bad;
                let update = |word| Some(pack(add(of_round(word))));
                let before = slot.fetch_update(Relaxed, Relaxed, update).unwrap_or(word);
                (all, bad) = add(of_round(before));
            }
            copies += all;
            failures += bad;
        }
        (copies, failures)
    }

    fn clear(&self) {
        self.slots.iter().for_each(|slot| slot.store(0, Relaxed));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
