use proptest::prelude::*;

use super::super::memory::Memory;
use super::*;
use crate::config::Compare;
use crate::outcome::Failure;

const PATIENCE: Duration = Duration::from_secs(30);
const PLENTY: usize = 1 << 30;

/// Makes halves, and pairs them.
struct Table {
    pairing: Pairing,
    memory: Memory,
    start: Instant,
    made: Vec<Pair>,
    target: Arc<Subject>,
}

impl Table {
    fn new() -> Self {
        let target = Arc::new(Subject { name: "t".to_owned(), role: Compare::Candidate });
        Self {
            pairing: Pairing::default(),
            memory: Memory::new(PLENTY),
            start: Instant::now(),
            made: Vec::new(),
            target,
        }
    }

    fn half(&self, number: u64, part: Part) -> Half {
        let mut weight = self.memory.weight();
        assert!(weight.grow(part.bytes()));
        Half { key: Key::new(1, number), part, weight }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn take(&mut self, number: u64, seconds: u64, part: Part) {
        let half = self.half(number, part);
        self.pairing.take(half, self.at(seconds), &mut self.made);
    }

    fn production(&mut self, number: u64, seconds: u64, copies: Option<u32>) {
        self.take(number, seconds, answer(number, copies));
    }

    fn shadow(&mut self, number: u64, seconds: u64, end: End, copies: u32) {
        let part = shadow(&self.target, number, end, Some(copies));
        self.take(number, seconds, part);
    }

    fn counts(&self) -> Counts {
        self.pairing.counts()
    }

    /// Every half is accounted for, at any moment.
    fn check(&self) {
        let counts = self.counts();
        let copies =
            counts.paired + counts.not_sent + counts.without_production + counts.pushed_out;
        assert_eq!(counts.copies, copies + self.pairing.waiting_copies(), "{counts:?}");
        let unpaired = counts.answers_without_shadow + counts.answers_pushed_out;
        let answers = counts.answers_paired + unpaired + self.pairing.waiting_answers();
        assert_eq!(counts.answers, answers, "{counts:?}");
        // What a pair takes counts until it is compared.
        let made: usize = self.made.iter().map(|pair| pair._weight.bytes()).sum();
        assert_eq!(self.memory.held(), self.pairing.bytes + made);
        assert!(self.pairing.order.len() <= 2 * self.pairing.waiting.len() + 64);
        for pair in &self.made {
            assert_eq!(pair.asked.body_len, u64::from(pair.production.status), "a wrong pair");
        }
    }
}

/// An answer that says whose it is by its status.
fn answer(number: u64, copies: Option<u32>) -> Part {
    let status = u16::try_from(number).unwrap();
    Part::Production { answer: Box::new(Recorded { status, ..Recorded::default() }), copies }
}

/// A copy that says whose it is by its length.
fn shadow(target: &Arc<Subject>, number: u64, end: End, copies: Option<u32>) -> Part {
    let asked = Box::new(Asked { body_len: number, ..Asked::default() });
    Part::Shadow { target: Arc::clone(target), asked, end, copies }
}

fn answered() -> End {
    End::Answered(Box::default())
}

#[test]
fn halves_meet_in_either_order_and_are_forgotten_then() {
    let mut table = Table::new();
    table.production(1, 0, Some(1));
    table.shadow(1, 1, answered(), 1);
    table.shadow(2, 1, End::Failed(Failure::Timeout, PATIENCE), 1);
    table.production(2, 2, None);
    table.check();
    assert_eq!((table.made.len(), table.counts().paired), (2, 2));
    assert!(matches!(table.made[1].shadow, End::Failed(Failure::Timeout, _)));
    table.made.clear();
    assert!(table.pairing.waiting.is_empty());
    table.check();
}

#[test]
fn each_of_several_copies_meets_the_answer() {
    let mut table = Table::new();
    table.shadow(1, 0, answered(), 3);
    table.production(1, 0, None);
    table.shadow(1, 0, End::NotSent, 3);
    table.shadow(1, 0, answered(), 3);
    table.check();
    assert!(table.pairing.waiting.is_empty());
    let counts = table.counts();
    assert_eq!((counts.paired, counts.not_sent, counts.answers_paired), (2, 1, 1));
}

#[test]
fn a_request_of_which_no_copy_was_sent_waits_for_nothing() {
    let mut table = Table::new();
    table.production(1, 0, Some(2));
    table.shadow(1, 0, End::NotSent, 2);
    assert_eq!(table.pairing.waiting_answers(), 1);
    table.shadow(1, 0, End::NotSent, 2);
    table.shadow(2, 0, End::NotSent, 1);
    table.check();
    assert!(table.pairing.waiting.is_empty());
    let counts = table.counts();
    assert_eq!((counts.not_sent, counts.answers_without_shadow, counts.paired), (3, 1, 0));
}

#[test]
fn a_second_answer_is_not_compared() {
    let mut table = Table::new();
    table.production(1, 0, None);
    table.production(1, 0, None);
    table.shadow(1, 0, answered(), 1);
    table.check();
    let counts = table.counts();
    assert_eq!((counts.paired, counts.answers_paired, counts.answers_without_shadow), (1, 1, 1));
}

#[test]
fn what_waits_too_long_is_given_up() {
    let mut table = Table::new();
    table.production(1, 0, None);
    table.shadow(2, 10, answered(), 1);
    // One that is settled stands between.
    table.production(3, 10, Some(1));
    table.shadow(3, 10, answered(), 1);
    table.pairing.give_up(table.at(29), PATIENCE, PLENTY);
    assert_eq!(table.pairing.waiting.len(), 2);
    table.pairing.give_up(table.at(30), PATIENCE, PLENTY);
    assert_eq!(table.counts().answers_without_shadow, 1);
    // Too late: it begins to wait anew.
    table.shadow(1, 31, answered(), 1);
    table.pairing.give_up(table.at(40), PATIENCE, PLENTY);
    assert_eq!(table.counts().without_production, 1);
    table.check();
    table.pairing.give_up_all();
    assert_eq!(table.counts().without_production, 2);
    table.check();
    table.made.clear();
    assert_eq!(table.memory.held(), 0);
}

#[test]
fn the_oldest_make_room_when_memory_runs_out() {
    let mut table = Table::new();
    for number in 0..10 {
        let end = if number % 2 == 0 { answered() } else { End::NotSent };
        // Of the odd ones nothing is kept but that a copy of two has ended.
        table.shadow(number, number, end, 2);
    }
    table.production(10, 10, None);
    let half = table.pairing.held() / 2;
    table.pairing.give_up(table.at(10), PATIENCE, half);
    table.check();
    assert!(table.pairing.held() <= half);
    assert!(table.counts().pushed_out >= 2);
    assert_eq!(table.pairing.waiting_answers(), 1, "the newest stays");
    table.pairing.give_up(table.at(10), PATIENCE, 0);
    assert_eq!((table.counts().answers_pushed_out, table.pairing.held()), (1, 0));
    table.check();
}

/// What may happen.
#[derive(Debug, Clone)]
enum Event {
    Production { number: u64, copies: Option<u32> },
    Shadow { number: u64, copies: Option<u32>, how: u8 },
    Wait { seconds: u64 },
    Compare,
}

fn event() -> impl Strategy<Value = Event> {
    let copies = || prop_oneof![Just(None), (1..4u32).prop_map(Some)];
    let number = 0..20u64;
    prop_oneof![
        4 => (number.clone(), copies()).prop_map(|(number, copies)| Event::Production { number, copies }),
        6 => (number, copies(), 0..4u8)
            .prop_map(|(number, copies, how)| Event::Shadow { number, copies, how }),
        2 => (0..20u64).prop_map(|seconds| Event::Wait { seconds }),
        1 => Just(Event::Compare),
    ]
}

proptest! {
    /// Whatever comes, in whichever order and however often.
    #[test]
    fn every_half_is_accounted_for(
        events in prop::collection::vec(event(), 0..300),
        most in 0..20_000usize,
    ) {
        let mut table = Table::new();
        let mut now = 0;
        for event in events {
            match event {
                Event::Production { number, copies } => table.production(number, now, copies),
                Event::Shadow { number, copies, how } => {
                    let end = match how {
                        0 => End::NotSent,
                        1 => End::Failed(Failure::Reset, PATIENCE),
                        _ => answered(),
                    };
                    let part = shadow(&table.target, number, end, copies);
                    table.take(number, now, part);
                }
                Event::Wait { seconds } => now += seconds,
                Event::Compare => table.made.clear(),
            }
            table.check();
            table.pairing.give_up(table.at(now), PATIENCE, most);
            table.check();
            prop_assert!(table.pairing.held() <= most);
        }
        table.pairing.give_up_all();
        table.check();
        prop_assert!(table.pairing.waiting.is_empty() && table.pairing.waiting_copies() == 0);
        table.made.clear();
        prop_assert_eq!(table.memory.held(), 0);
    }
}
