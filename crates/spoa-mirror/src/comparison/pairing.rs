//! Brings the halves of pairs together, whichever comes first, in bounded time and memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::half::{Asked, BOOKKEEPING, End, Half, Key, Part, Recorded, Subject, Turn};
use super::memory::Weight;

/// A copy, what became of it, and the answer that its own is held against.
#[derive(Debug)]
pub struct Pair {
    /// Who was asked.
    pub target: Arc<Subject>,
    /// The copy as it was sent.
    pub asked: Box<Asked>,
    /// Whose answers these are.
    pub of: Of,
    /// Production's answer; of a pair [`Of::Itself`] the target's first one.
    pub production: Arc<Recorded>,
    /// The copy's end.
    pub shadow: End,
    /// Its bytes, until it is compared.
    pub(super) _weight: Weight,
}

/// Whose answers a pair is of, besides the target's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Production's: what differs may be the new version's doing.
    Production,
    /// The target's own, which was asked twice: what differs is noise.
    Itself,
}

/// What came of the halves taken. Copies: taken = paired + not sent + without production + without first +
/// pushed out + waiting; production's answers: taken = paired + without shadow + pushed out + waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Copies' ends taken.
    pub copies: u64,
    /// Pairs made: copies that met the answer that theirs is held against.
    pub paired: u64,
    /// Copies that were not sent after all.
    pub not_sent: u64,
    /// Copies whose production's answer did not come in time.
    pub without_production: u64,
    /// Second copies of a request whose first one was not answered, or not in time.
    pub without_first: u64,
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
    books: Books,
}

/// What is counted over all requests.
#[derive(Default)]
struct Books {
    /// Of everything that waits.
    bytes: usize,
    /// Copies among it.
    copies: u64,
    /// Answers of production among it that have not met a copy.
    answers: u64,
    counts: Counts,
}

/// What is known of a request while there is more to come.
struct Waiting {
    since: Instant,
    production: Option<Answer>,
    /// Copies that wait for production's answer.
    shadows: Vec<Shadow>,
    /// What became of first copies, for the second ones.
    firsts: Vec<First>,
    /// Second copies that wait for the first ones.
    seconds: Vec<Shadow>,
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

struct First {
    target: Arc<Subject>,
    /// Its answer, if it has one.
    answer: Option<(Arc<Recorded>, Weight)>,
}

struct Shadow {
    target: Arc<Subject>,
    asked: Box<Asked>,
    end: End,
    weight: Weight,
}

impl Shadow {
    fn pair(self, of: Of, other: &Arc<Recorded>) -> Pair {
        let Self { target, asked, end, weight } = self;
        Pair { target, asked, of, production: Arc::clone(other), shadow: end, _weight: weight }
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
        let books = &mut self.books;
        let waiting = self.waiting.entry(key).or_insert_with(|| {
            self.order.push_back((now, key));
            Waiting::new(now)
        });
        let pairs = made.len();
        let copies = match part {
            Part::Production { answer, copies } => {
                books.counts.answers += 1;
                if waiting.production.is_some() {
                    // Only the first one can be the one that the copies are to be compared with.
                    books.counts.answers_without_shadow += 1;
                    return;
                }
                let recorded = Arc::from(answer);
                waiting.take_production(Answer { recorded, weight, paired: false }, books, made);
                copies
            }
            Part::Shadow { target, asked, end, turn, copies } => {
                books.counts.copies += 1;
                waiting.ended += 1;
                let shadow = Shadow { target, asked, end, weight };
                match turn {
                    Turn::Only => waiting.take_shadow(shadow, books, made),
                    Turn::First => waiting.take_first(shadow, books, made),
                    Turn::Second => waiting.take_second(shadow, books, made),
                }
                copies
            }
        };
        waiting.copies = waiting.copies.or(copies);
        books.counts.paired += (made.len() - pairs) as u64;
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
        self.books.counts
    }

    /// Copies that wait for the answer that theirs is held against.
    #[must_use]
    pub fn waiting_copies(&self) -> u64 {
        self.books.copies
    }

    /// Production's answers that wait for a first copy.
    #[must_use]
    pub fn waiting_answers(&self) -> u64 {
        self.books.answers
    }

    /// Bytes of what waits. A request may wait of which no half is kept: some of its copies were not sent.
    fn held(&self) -> usize {
        self.books.bytes.max(self.waiting.len() * BOOKKEEPING)
    }

    fn is_waiting(&self, since: Instant, key: Key) -> bool {
        self.waiting.get(&key).is_some_and(|waiting| waiting.since == since)
    }

    fn drop_waiting(&mut self, key: Key, why: Why) {
        if let Some(waiting) = self.waiting.remove(&key) {
            waiting.give_up(why, &mut self.books);
        }
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

impl Waiting {
    fn new(since: Instant) -> Self {
        Self {
            since,
            production: None,
            shadows: Vec::new(),
            firsts: Vec::new(),
            seconds: Vec::new(),
            copies: None,
            ended: 0,
        }
    }

    fn take_production(&mut self, mut answer: Answer, books: &mut Books, made: &mut Vec<Pair>) {
        books.bytes += answer.weight.bytes();
        books.answers += 1;
        for shadow in self.shadows.drain(..) {
            books.waits_no_more(&shadow);
            answer.meets(books);
            made.push(shadow.pair(Of::Production, &answer.recorded));
        }
        self.production = Some(answer);
    }

    fn take_shadow(&mut self, shadow: Shadow, books: &mut Books, made: &mut Vec<Pair>) {
        match &mut self.production {
            _ if matches!(shadow.end, End::NotSent | End::Lost) => books.counts.not_sent += 1,
            Some(answer) => {
                answer.meets(books);
                made.push(shadow.pair(Of::Production, &answer.recorded));
            }
            None => {
                books.waits(&shadow);
                self.shadows.push(shadow);
            }
        }
    }

    fn take_first(&mut self, mut shadow: Shadow, books: &mut Books, made: &mut Vec<Pair>) {
        let answer = match &shadow.end {
            End::Answered(answer) => Some(Arc::clone(answer)),
            End::Failed(..) | End::NotSent | End::Lost => None,
        };
        let waits = |second: &Shadow| Arc::ptr_eq(&second.target, &shadow.target);
        if let Some(found) = self.seconds.iter().position(waits) {
            let second = self.seconds.swap_remove(found);
            books.waits_no_more(&second);
            settle_second(second, answer.as_ref(), books, made);
        } else {
            let answer = answer.map(|answer| {
                let weight = shadow.weight.split(answer.bytes());
                books.bytes += weight.bytes();
                (answer, weight)
            });
            self.firsts.push(First { target: Arc::clone(&shadow.target), answer });
        }
        self.take_shadow(shadow, books, made);
    }

    fn take_second(&mut self, shadow: Shadow, books: &mut Books, made: &mut Vec<Pair>) {
        let is_its = |first: &&First| Arc::ptr_eq(&first.target, &shadow.target);
        match self.firsts.iter().find(is_its) {
            _ if matches!(shadow.end, End::NotSent | End::Lost) => books.counts.not_sent += 1,
            Some(first) => {
                let answer = first.answer.as_ref().map(|(answer, _)| answer);
                settle_second(shadow, answer, books, made);
            }
            None => {
                books.waits(&shadow);
                self.seconds.push(shadow);
            }
        }
    }

    fn give_up(self, why: Why, books: &mut Books) {
        for shadow in self.shadows.iter().chain(&self.seconds) {
            books.waits_no_more(shadow);
        }
        let firsts = self.firsts.iter().filter_map(|first| first.answer.as_ref());
        books.bytes -= firsts.map(|(_, weight)| weight.bytes()).sum::<usize>();
        let unpaired = self.production.is_some_and(|answer| {
            books.bytes -= answer.weight.bytes();
            !answer.paired
        });
        books.answers -= u64::from(unpaired);
        let (shadows, seconds) = (self.shadows.len() as u64, self.seconds.len() as u64);
        let counts = &mut books.counts;
        match why {
            Why::Late => {
                counts.without_production += shadows;
                counts.without_first += seconds;
                counts.answers_without_shadow += u64::from(unpaired);
            }
            Why::Crowded => {
                counts.pushed_out += shadows + seconds;
                counts.answers_pushed_out += u64::from(unpaired);
            }
        }
    }
}

/// The second of two copies was sent, and the end of the first one is known.
fn settle_second(
    second: Shadow,
    answer: Option<&Arc<Recorded>>,
    books: &mut Books,
    made: &mut Vec<Pair>,
) {
    match answer {
        Some(answer) => made.push(second.pair(Of::Itself, answer)),
        None => books.counts.without_first += 1,
    }
}

impl Answer {
    /// A copy meets it.
    fn meets(&mut self, books: &mut Books) {
        if !std::mem::replace(&mut self.paired, true) {
            books.answers -= 1;
            books.counts.answers_paired += 1;
        }
    }
}

impl Books {
    fn waits(&mut self, shadow: &Shadow) {
        self.bytes += shadow.weight.bytes();
        self.copies += 1;
    }

    fn waits_no_more(&mut self, shadow: &Shadow) {
        self.bytes -= shadow.weight.bytes();
        self.copies -= 1;
    }
}

#[cfg(test)]
mod tests;
