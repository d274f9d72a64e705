//! Brings the halves of pairs together, whichever comes first, in bounded time and memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::half::{Asked, BOOKKEEPING, End, Half, Key, Part, Recorded, Subject};
use super::memory::Weight;

/// A copy, what became of it, and what production answered.
#[derive(Debug)]
pub struct Pair {
    /// Who was asked.
    pub target: Arc<Subject>,
    /// The copy as it was sent.
    pub asked: Box<Asked>,
    /// Production's answer.
    pub production: Arc<Recorded>,
    /// The copy's end.
    pub shadow: End,
    /// Its bytes, until it is compared.
    pub(super) _weight: Weight,
}

/// What came of the halves taken. Copies: taken = paired + not sent + without production + pushed out +
/// waiting; production's answers: taken = paired + without shadow + pushed out + waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Copies' ends taken.
    pub copies: u64,
    /// Pairs made: copies that met production's answer.
    pub paired: u64,
    /// Copies that were not sent after all.
    pub not_sent: u64,
    /// Copies whose production's answer did not come in time.
    pub without_production: u64,
    /// Copies given up early to make room for newer ones.
    pub pushed_out: u64,
    /// Production's answers taken.
    pub answers: u64,
    /// Those that met at least one copy.
    pub answers_paired: u64,
    /// Those that met none in time, or of which no copy was sent.
    pub answers_without_shadow: u64,
    /// Those given up early to make room for newer ones.
    pub answers_pushed_out: u64,
}

/// Halves that wait for each other.
#[derive(Default)]
pub struct Pairing {
    waiting: HashMap<Key, Waiting>,
    /// In the order in which they are given up; some are not there any more.
    order: VecDeque<(Instant, Key)>,
    /// Of everything that waits.
    bytes: usize,
    /// Copies among it.
    copies: u64,
    /// Answers among it that have not met a copy.
    answers: u64,
    counts: Counts,
}

struct Waiting {
    since: Instant,
    production: Option<Answer>,
    shadows: Vec<Shadow>,
    /// Copies of the request, once it is known how many there are.
    copies: Option<u32>,
    /// Those that came to their end.
    ended: u32,
}

struct Answer {
    recorded: Arc<Recorded>,
    weight: Weight,
    paired: bool,
}

struct Shadow {
    target: Arc<Subject>,
    asked: Box<Asked>,
    end: End,
    weight: Weight,
}

impl Shadow {
    fn pair(self, production: &Arc<Recorded>) -> Pair {
        let Self { target, asked, end, weight } = self;
        Pair { target, asked, production: Arc::clone(production), shadow: end, _weight: weight }
    }
}

/// Why what waits is given up.
#[derive(Clone, Copy)]
enum Why {
    Late,
    Crowded,
}

impl Pairing {
    /// Takes a half; puts the pairs that it completes into `made`.
    pub fn take(&mut self, half: Half, now: Instant, made: &mut Vec<Pair>) {
        let Half { key, part, weight } = half;
        let waiting = self.waiting.entry(key).or_insert_with(|| {
            self.order.push_back((now, key));
            Waiting { since: now, production: None, shadows: Vec::new(), copies: None, ended: 0 }
        });
        let bytes = weight.bytes();
        let pairs = made.len();
        let copies = match part {
            Part::Production { answer, copies } => {
                self.counts.answers += 1;
                if waiting.production.is_some() {
                    // Only the first one can be the one that the copies are to be compared with.
                    self.counts.answers_without_shadow += 1;
                    return;
                }
                let recorded = Arc::from(answer);
                for shadow in waiting.shadows.drain(..) {
                    self.bytes -= shadow.weight.bytes();
                    self.copies -= 1;
                    made.push(shadow.pair(&recorded));
                }
                self.bytes += bytes;
                self.answers += 1;
                waiting.production = Some(Answer { recorded, weight, paired: false });
                copies
            }
            Part::Shadow { target, asked, end, copies } => {
                self.counts.copies += 1;
                waiting.ended += 1;
                let shadow = Shadow { target, asked, end, weight };
                match &waiting.production {
                    _ if matches!(shadow.end, End::NotSent | End::Lost) => {
                        self.counts.not_sent += 1;
                    }
                    Some(answer) => made.push(shadow.pair(&answer.recorded)),
                    None => {
                        self.bytes += bytes;
                        self.copies += 1;
                        waiting.shadows.push(shadow);
                    }
                }
                copies
            }
        };
        waiting.copies = waiting.copies.or(copies);
        self.counts.paired += (made.len() - pairs) as u64;
        if let Some(answer) = waiting.production.as_mut().filter(|answer| !answer.paired) {
            if made.len() > pairs {
                answer.paired = true;
                self.answers -= 1;
                self.counts.answers_paired += 1;
            }
        }
        let all_ended = waiting.copies.is_some_and(|copies| waiting.ended >= copies);
        let answered = waiting.production.is_some();
        if all_ended && (answered || waiting.shadows.is_empty()) {
            // Where no copy was sent, the answer that may yet come is awaited no longer.
            self.drop_waiting(key, Why::Late);
        }
        self.forget_settled();
    }

    /// Gives up what has waited for `patience`, and the oldest of what is more than `most_bytes`.
    pub fn give_up(&mut self, now: Instant, patience: Duration, most_bytes: usize) {
        while let Some((since, key)) = self.order.front().copied() {
            if self.is_waiting(since, key) {
                let late = now.duration_since(since) >= patience;
                let crowded = self.held() > most_bytes;
                if !late && !crowded {
                    break;
                }
                self.drop_waiting(key, if late { Why::Late } else { Why::Crowded });
            }
            self.order.pop_front();
        }
    }

    /// Gives up everything: nothing more will come.
    pub fn give_up_all(&mut self) {
        while let Some((_, key)) = self.order.pop_front() {
            self.drop_waiting(key, Why::Late);
        }
    }

    /// What came of the halves taken so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Copies that wait for production's answer.
    #[must_use]
    pub fn waiting_copies(&self) -> u64 {
        self.copies
    }

    /// Production's answers that wait for a first copy.
    #[must_use]
    pub fn waiting_answers(&self) -> u64 {
        self.answers
    }

    /// Bytes of what waits. A request may wait of which no half is kept: some of its copies were not sent.
    fn held(&self) -> usize {
        self.bytes.max(self.waiting.len() * BOOKKEEPING)
    }

    fn is_waiting(&self, since: Instant, key: Key) -> bool {
        self.waiting.get(&key).is_some_and(|waiting| waiting.since == since)
    }

    fn drop_waiting(&mut self, key: Key, why: Why) {
        let Some(waiting) = self.waiting.remove(&key) else { return };
        let copies = waiting.shadows.len() as u64;
        self.copies -= copies;
        self.bytes -= waiting.shadows.iter().map(|shadow| shadow.weight.bytes()).sum::<usize>();
        let unpaired = waiting.production.is_some_and(|answer| {
            self.bytes -= answer.weight.bytes();
            !answer.paired
        });
        self.answers -= u64::from(unpaired);
        let counts = &mut self.counts;
        let (lost_copies, lost_answers) = match why {
            Why::Late => (&mut counts.without_production, &mut counts.answers_without_shadow),
            Why::Crowded => (&mut counts.pushed_out, &mut counts.answers_pushed_out),
        };
        *lost_copies += copies;
        *lost_answers += u64::from(unpaired);
    }

    /// Keeps the order from growing by requests that are settled: behind one that is not, they would stay
    /// for as long as that one waits.
    fn forget_settled(&mut self) {
        if self.order.len() > 2 * self.waiting.len() + 64 {
            let Self { order, waiting, .. } = self;
            order.retain(|(since, key)| waiting.get(key).is_some_and(|w| w.since == *since));
        }
    }
}

#[cfg(test)]
mod tests;
