//! Brings the halves of pairs together, whichever comes first, in bounded time and memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::half::{Asked, Compared, End, Half, Key, Part, Recorded, Weight};

/// A copy, what became of it, and what production answered.
#[derive(Debug)]
pub struct Pair {
    /// Who was asked.
    pub target: Arc<Compared>,
    /// The copy as it was sent.
    pub asked: Box<Asked>,
    /// Production's answer.
    pub production: Arc<Recorded>,
    /// The copy's end.
    pub shadow: End,
}

/// What came of halves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pairs made.
    pub paired: u64,
    /// Copies whose production's answer never came.
    pub without_production: u64,
    /// Production's answers of which a copy's end never came.
    pub without_shadow: u64,
    /// A second answer of production to the same request, or one that nobody waits for any more.
    pub surplus: u64,
    /// Copies that were not sent after all.
    pub not_sent: u64,
    /// Requests given up early because too many waited.
    pub pushed_out: u64,
}

/// Halves that wait for each other.
pub struct Pairing {
    waiting: HashMap<Key, Waiting>,
    /// In the order in which they are given up.
    order: VecDeque<(Instant, Key)>,
    patience: Duration,
    most: usize,
    /// What came of halves so far.
    pub counts: Counts,
}

struct Waiting {
    since: Instant,
    production: Option<(Arc<Recorded>, Weight)>,
    shadows: Vec<(Arc<Compared>, Box<Asked>, End, Weight)>,
    /// Copies of the request, once it is known how many there are.
    copies: Option<u32>,
    /// Those that came to their end.
    ended: u32,
}

impl Pairing {
    /// Lets halves wait for `patience`, and no more than `most` requests at once.
    #[must_use]
    pub fn new(patience: Duration, most: usize) -> Self {
        let counts = Counts::default();
        Self { waiting: HashMap::new(), order: VecDeque::new(), patience, most, counts }
    }

    /// Takes a half; gives the pairs that it completes.
    pub fn take(&mut self, half: Half, now: Instant, mut made: impl FnMut(Pair)) {
        self.give_up(now);
        let Half { key, part, _weight: weight } = half;
        let waiting = self.waiting.entry(key).or_insert_with(|| {
            self.order.push_back((now, key));
            Waiting { since: now, production: None, shadows: Vec::new(), copies: None, ended: 0 }
        });
        let copies = match part {
            Part::Production { answer, copies } => {
                if waiting.production.is_some() {
                    self.counts.surplus += 1;
                    return;
                }
                let production = Arc::new(*answer);
                for (target, asked, shadow, _) in waiting.shadows.drain(..) {
                    self.counts.paired += 1;
                    let production = Arc::clone(&production);
                    made(Pair { target, asked, production, shadow });
                }
                waiting.production = Some((production, weight));
                copies
            }
            Part::Shadow { target, asked, end, copies } => {
                waiting.ended += 1;
                match (&waiting.production, end) {
                    (_, End::Dropped) => self.counts.not_sent += 1,
                    (Some((production, _)), shadow) => {
                        self.counts.paired += 1;
                        let production = Arc::clone(production);
                        made(Pair { target, asked, production, shadow });
                    }
                    (None, shadow) => waiting.shadows.push((target, asked, shadow, weight)),
                }
                Some(copies)
            }
        };
        waiting.copies = waiting.copies.or(copies);
        let all_ended = waiting.copies.is_some_and(|copies| waiting.ended >= copies);
        if all_ended && waiting.production.is_some() {
            self.waiting.remove(&key);
        }
        while self.waiting.len() > self.most {
            let Some((_, key)) = self.order.pop_front() else { break };
            if self.waiting.contains_key(&key) {
                self.counts.pushed_out += 1;
                self.drop_unpaired(key);
            }
        }
    }

    /// Gives up what waited too long.
    pub fn give_up(&mut self, now: Instant) {
        while let Some((since, key)) = self.order.front().copied() {
            let settled = self.waiting.get(&key).is_none_or(|waiting| waiting.since != since);
            if !settled && now.duration_since(since) < self.patience {
                break;
            }
            self.order.pop_front();
            if !settled {
                self.drop_unpaired(key);
            }
        }
    }

    /// Requests of which a part is awaited.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn drop_unpaired(&mut self, key: Key) {
        let Some(waiting) = self.waiting.remove(&key) else { return };
        self.counts.without_production += waiting.shadows.len() as u64;
        if waiting.production.is_some() {
            let missing = waiting.copies.unwrap_or(1).saturating_sub(waiting.ended);
            self.counts.without_shadow += u64::from(missing);
        }
    }
}
