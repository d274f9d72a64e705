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
        self.turn(number, seconds, end, Turn::Only, copies);
    }

    fn turn(&mut self, number: u64, seconds: u64, end: End, turn: Turn, copies: u32) {
        let part = shadow(&self.target, number, end, turn, Some(copies));
        self.take(number, seconds, part);
    }

    /// How many of the pairs made are the target's with itself.
    fn control(&self) -> usize {
        self.made.iter().filter(|pair| pair.of == Of::Itself).count()
    }

    fn counts(&self) -> Counts {
        self.pairing.counts()
    }

    /// Every half is accounted for, at any moment.
    fn check(&self) {
        let counts = self.counts();
        let alone = counts.without_production + counts.without_first + counts.pushed_out;
        let copies = counts.paired + counts.not_sent + alone + self.pairing.waiting_copies();
        assert_eq!(counts.copies, copies, "{counts:?}");
        let unpaired = counts.answers_without_shadow + counts.answers_pushed_out;
        let answers = counts.answers_paired + unpaired + self.pairing.waiting_answers();
        assert_eq!(counts.answers, answers, "{counts:?}");
        // What a pair takes counts until it is compared.
        let made: usize = self.made.iter().map(|pair| pair._weight.bytes()).sum();
        assert_eq!(self.memory.held(), self.pairing.books.bytes + made);
        assert!(self.pairing.order.len() <= 2 * self.pairing.waiting.len() + 64);
        for pair in &self.made {
            assert_eq!(pair.asked.body_len, u64::from(pair.production.status), "a wrong pair");
            // Only a target's answer has a time.
            assert_eq!(pair.of == Of::Itself, pair.production.time.is_some(), "a wrong answer");
            assert!(!matches!(pair.shadow, End::NotSent | End::Lost));
        }
    }
}

/// An answer that says whose it is by its status.
fn answer(number: u64, copies: Option<u32>) -> Part {
    let status = u16::try_from(number).unwrap();
    Part::Production { answer: Box::new(Recorded { status, ..Recorded::default() }), copies }
}

/// A copy that says whose it is by its length, and by its answer's status.
fn shadow(
    target: &Arc<Subject>,
    number: u64,
    mut end: End,
    turn: Turn,
    copies: Option<u32>,
) -> Part {
    let asked = Box::new(Asked { body_len: number, ..Asked::default() });
    if let End::Answered(answer) = &mut end {
        Arc::make_mut(answer).status = u16::try_from(number).unwrap();
    }
    Part::Shadow { target: Arc::clone(target), asked, end, turn, copies }
}

fn answered() -> End {
    let time = Some(Duration::ZERO);
    End::Answered(Arc::new(Recorded { body: vec![b'x'; 1000], time, ..Recorded::default() }))
}

fn failed() -> End {
    End::Failed(Failure::Timeout, PATIENCE)
}

#[test]
fn halves_meet_in_either_order_and_are_forgotten_then() {
    let mut table = Table::new();
    table.production(1, 0, Some(1));
    table.shadow(1, 1, answered(), 1);
    table.shadow(2, 1, failed(), 1);
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

#[test]
fn a_second_copy_meets_the_first_in_either_order_and_not_production_s_answer() {
    for second_first in [false, true] {
        let mut table = Table::new();
        let turns =
            if second_first { [Turn::Second, Turn::First] } else { [Turn::First, Turn::Second] };
        for turn in turns {
            table.turn(1, 0, answered(), turn, 2);
            table.check();
        }
        // Nobody waits for production but the first one.
        assert_eq!((table.made.len(), table.control()), (1, 1), "{turns:?}");
        table.made.clear();
        assert_eq!(table.pairing.waiting_copies(), 1);
        table.production(1, 1, None);
        table.check();
        assert_eq!((table.made.len(), table.control()), (1, 0), "{turns:?}");
        assert!(table.pairing.waiting.is_empty());
        let counts = table.counts();
        assert_eq!((counts.copies, counts.paired, counts.answers_paired), (2, 2, 1));
        table.made.clear();
        assert_eq!(table.memory.held(), 0);
    }
}

/// Its end counts: a target that fails every second time is noisy.
#[test]
fn a_second_copy_that_fails_makes_a_pair_and_one_that_is_not_sent_makes_none() {
    let mut table = Table::new();
    table.production(1, 0, Some(2));
    table.turn(1, 0, answered(), Turn::First, 2);
    table.turn(1, 0, failed(), Turn::Second, 2);
    table.production(2, 0, Some(2));
    table.turn(2, 0, answered(), Turn::First, 2);
    table.turn(2, 0, End::NotSent, Turn::Second, 2);
    table.check();
    assert!(table.pairing.waiting.is_empty());
    assert_eq!((table.made.len(), table.control(), table.counts().not_sent), (3, 1, 1));
}

#[test]
fn a_second_copy_whose_first_has_no_answer_is_alone() {
    for end in [failed, || End::NotSent] {
        for second_first in [false, true] {
            let mut table = Table::new();
            table.production(1, 0, Some(2));
            if second_first {
                table.turn(1, 0, answered(), Turn::Second, 2);
            }
            table.turn(1, 0, end(), Turn::First, 2);
            if !second_first {
                table.turn(1, 0, answered(), Turn::Second, 2);
            }
            table.check();
            assert_eq!((table.control(), table.counts().without_first), (0, 1));
            assert!(table.pairing.waiting.is_empty());
        }
    }
    // The first one was pushed out of the queue before anybody knew of it.
    let mut table = Table::new();
    table.turn(1, 0, answered(), Turn::Second, 1);
    table.check();
    assert_eq!(table.counts().without_first, 1);
    // Its end got lost.
    table.turn(2, 0, answered(), Turn::Second, 2);
    table.production(2, 0, None);
    assert_eq!(table.pairing.waiting_copies(), 1);
    table.pairing.give_up(table.at(30), PATIENCE, PLENTY);
    table.check();
    assert_eq!((table.counts().without_first, table.memory.held()), (2, 0));
}

#[test]
fn each_target_is_held_against_itself() {
    let mut table = Table::new();
    let other = Arc::new(Subject { name: "t".to_owned(), role: Compare::Candidate });
    table.turn(1, 0, answered(), Turn::First, 4);
    for turn in [Turn::Second, Turn::First] {
        table.take(1, 0, shadow(&other, 1, answered(), turn, Some(4)));
        table.check();
    }
    assert_eq!(table.control(), 1);
    assert!(Arc::ptr_eq(&table.made[0].target, &other));
    table.turn(1, 0, answered(), Turn::Second, 4);
    assert_eq!((table.control(), table.pairing.waiting_copies()), (2, 2));
    table.production(1, 0, None);
    table.check();
    assert_eq!((table.made.len(), table.pairing.waiting.len()), (4, 0));
}

/// What a first answer takes is counted for as long as the second one may come.
#[test]
fn a_first_answer_that_is_kept_counts() {
    let mut table = Table::new();
    table.production(1, 0, None);
    table.turn(1, 0, answered(), Turn::First, 2);
    table.made.clear();
    table.check();
    assert!(table.memory.held() > 1000, "{}", table.memory.held());
    table.pairing.give_up(table.at(0), PATIENCE, 0);
    table.check();
    assert_eq!((table.memory.held(), table.counts().pushed_out), (0, 0));
    // Nothing of it is left for the second one.
    table.turn(1, 0, answered(), Turn::Second, 2);
    table.pairing.give_up(table.at(0), PATIENCE, 0);
    assert_eq!(table.counts().pushed_out, 1);
    table.check();
}

/// What may happen.
#[derive(Debug, Clone)]
enum Event {
    Production { number: u64, copies: Option<u32> },
    Shadow { number: u64, copies: Option<u32>, how: u8, turn: Turn, other: bool },
    Wait { seconds: u64 },
    Compare,
}

fn event() -> impl Strategy<Value = Event> {
    let copies = || prop_oneof![Just(None), (1..4u32).prop_map(Some)];
    let number = 0..20u64;
    let turn = prop_oneof![Just(Turn::Only), Just(Turn::First), Just(Turn::Second)];
    prop_oneof![
        4 => (number.clone(), copies()).prop_map(|(number, copies)| Event::Production { number, copies }),
        6 => (number, copies(), 0..4u8, turn, any::<bool>()).prop_map(
            |(number, copies, how, turn, other)| Event::Shadow { number, copies, how, turn, other }
        ),
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
        let other = Arc::new(Subject { name: "other".to_owned(), role: Compare::Candidate });
        let mut now = 0;
        for event in events {
            match event {
                Event::Production { number, copies } => table.production(number, now, copies),
                Event::Shadow { number, copies, how, turn, other: of_other } => {
                    let end = match how {
                        0 => End::NotSent,
                        1 => End::Failed(Failure::Reset, PATIENCE),
                        _ => answered(),
                    };
                    let target = if of_other { &other } else { &table.target };
                    let part = shadow(target, number, end, turn, copies);
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
