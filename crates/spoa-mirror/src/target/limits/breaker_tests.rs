use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::config::Share;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> config::Breaker {
    config::Breaker {
        failures: 3,
        share: None,
        window: 10 * SECOND,
        minimum: 10,
        open: 5 * SECOND,
        probes: 2,
        server_errors: false,
    }
}

fn breaker(config: config::Breaker) -> Arc<Breaker> {
    Arc::new(Breaker::new(config))
}

/// Sends a copy that ends at once.
fn send(breaker: &Arc<Breaker>, ended: Ended, now: Duration) -> Option<State> {
    let pass = breaker.admit(now).expect("a pass");
    breaker.settle(pass, ended, now)
}

fn open(breaker: &Arc<Breaker>, now: Duration) {
    while breaker.state() == State::Closed {
        send(breaker, Ended::Badly, now);
    }
}

#[test]
fn failures_in_a_row_open_it_and_answers_close_it() {
    let breaker = breaker(config());
    let now = SECOND;
    for ended in [Ended::Badly, Ended::Badly, Ended::Well, Ended::Badly, Ended::Badly] {
        assert_eq!(send(&breaker, ended, now), None);
    }
    assert_eq!(send(&breaker, Ended::Badly, now), Some(State::Open));
    assert_eq!((breaker.state(), breaker.since(), breaker.opened()), (State::Open, now, 1));
    assert!(breaker.admit(now + SECOND * 4).is_none());

    let later = now + SECOND * 5;
    let first = breaker.admit(later).expect("a probe");
    assert!(first.is_first_probe());
    assert_eq!((breaker.state(), breaker.since()), (State::HalfOpen, later));
    let second = breaker.admit(later).expect("another");
    assert!(!second.is_first_probe());
    assert!(breaker.admit(later).is_none(), "two probes at once");
    assert_eq!(breaker.settle(first, Ended::Well, later), None);
    assert!(breaker.admit(later).is_none(), "two probes in all");
    assert_eq!(breaker.settle(second, Ended::Well, later), Some(State::Closed));
    assert_eq!(send(&breaker, Ended::Badly, later), None, "counting begins anew");
    assert_eq!(breaker.opened(), 1);
}

#[test]
fn a_failing_probe_opens_it_again() {
    let breaker = breaker(config());
    open(&breaker, SECOND);
    let (first, second) = (breaker.admit(SECOND * 6).unwrap(), breaker.admit(SECOND * 6).unwrap());
    assert_eq!(breaker.settle(first, Ended::Badly, SECOND * 7), Some(State::Open));
    assert_eq!(breaker.opened(), 2);
    assert_eq!(breaker.settle(second, Ended::Well, SECOND * 8), None, "too late to matter");
    assert!(breaker.admit(SECOND * 11).is_none(), "the time begins at the failure");
    assert!(breaker.admit(SECOND * 12).is_some());
}

#[test]
fn a_probe_that_is_lost_makes_room_for_another() {
    let breaker = breaker(config());
    open(&breaker, SECOND);
    let now = SECOND * 6;
    for _ in 0..100 {
        let (first, second) = (breaker.admit(now), breaker.admit(now));
        assert!(first.is_some() && second.is_some() && breaker.admit(now).is_none());
    }
    for expected in [None, Some(State::Closed)] {
        assert_eq!(send(&breaker, Ended::Well, now), expected);
    }
}

#[test]
fn what_was_sent_before_it_opened_does_not_count_after() {
    let breaker = breaker(config());
    let old: Vec<_> = (0..10).map(|_| breaker.admit(SECOND).unwrap()).collect();
    open(&breaker, SECOND);
    let probe = breaker.admit(SECOND * 6).unwrap();
    for pass in old {
        assert_eq!(breaker.settle(pass, Ended::Badly, SECOND * 6), None);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
    drop(probe);
}

#[test]
fn what_waits_goes_with_the_state() {
    let breaker = breaker(config());
    let mut waiting = breaker.admit(SECOND).unwrap();
    assert!(breaker.still_admits(&mut waiting));
    open(&breaker, SECOND);
    assert!(!breaker.still_admits(&mut waiting));
    let mut probe = breaker.admit(SECOND * 6).unwrap();
    assert!(breaker.still_admits(&mut probe) && !breaker.still_admits(&mut waiting));
    drop(probe);
    send(&breaker, Ended::Well, SECOND * 6);
    send(&breaker, Ended::Well, SECOND * 6);
    assert_eq!(breaker.state(), State::Closed);
    assert!(breaker.still_admits(&mut waiting), "the target is well again");
    assert_eq!(breaker.settle(waiting, Ended::Badly, SECOND * 6), None);
}

#[test]
fn a_share_of_failures_in_the_window_opens_it() {
    let share = Share::percent(50.0).ok();
    let breaker = breaker(config::Breaker { failures: 0, share, ..config() });
    let mut now = SECOND;
    for _ in 0..4 {
        assert_eq!(send(&breaker, Ended::Well, now), None);
        assert_eq!(send(&breaker, Ended::Badly, now), None);
    }
    // Eleven seconds later all of this is forgotten.
    now += SECOND * 11;
    for _ in 0..5 {
        assert_eq!(send(&breaker, Ended::Badly, now), None, "fewer than the minimum");
    }
    for _ in 0..4 {
        assert_eq!(send(&breaker, Ended::Well, now), None);
    }
    // An answer may bring the number of copies to the minimum.
    assert_eq!(send(&breaker, Ended::Well, now), Some(State::Open));
}

#[test]
fn few_failures_among_many_copies_do_not_open_it() {
    let share = Share::percent(10.0).ok();
    let breaker = breaker(config::Breaker { failures: 0, share, ..config() });
    // More than a slot can count.
    for number in 0..3_000_000u64 {
        let ended = if number % 11 == 10 { Ended::Badly } else { Ended::Well };
        assert_eq!(send(&breaker, ended, SECOND), None, "{number}");
    }
    let opened = (0..500_000).any(|_| send(&breaker, Ended::Badly, SECOND).is_some());
    assert!(opened);
}

#[test]
fn threads_let_no_more_probes_pass_than_configured() {
    let breaker = breaker(config::Breaker { probes: 100, ..config() });
    open(&breaker, SECOND);
    let passes: Vec<_> = std::thread::scope(|scope| {
        let admit = || (0..200).filter_map(|_| breaker.admit(SECOND * 6)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(admit)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(passes.len(), 100);
    assert_eq!(passes.iter().filter(|pass| pass.is_first_probe()).count(), 1);
}

/// The breaker as the documentation tells it, with everything remembered.
struct Model {
    config: config::Breaker,
    state: State,
    changed: Duration,
    generation: usize,
    row: u32,
    ends: VecDeque<(u64, bool)>,
    probes: usize,
    well: usize,
}

impl Model {
    fn turn(&mut self, state: State, now: Duration) {
        self.state = state;
        self.changed = now;
        self.generation += 1;
        (self.row, self.probes, self.well) = (0, 0, 0);
        self.ends.clear();
    }

    fn admit(&mut self, now: Duration) -> bool {
        if self.state == State::Open && now - self.changed >= self.config.open {
            self.turn(State::HalfOpen, now);
        }
        let probe = self.state == State::HalfOpen;
        let room = self.probes < self.config.probes as usize;
        self.probes += usize::from(probe && room);
        self.state == State::Closed || probe && room
    }

    fn end(&mut self, generation: usize, bad: Option<bool>, now: Duration) {
        if generation != self.generation {
            return;
        }
        match (self.state, bad) {
            (State::HalfOpen, None) => self.probes -= 1,
            (State::HalfOpen, Some(true)) => self.turn(State::Open, now),
            (State::HalfOpen, Some(false)) => {
                self.well += 1;
                if self.well == self.config.probes as usize {
                    self.turn(State::Closed, now);
                }
            }
            (State::Closed, Some(bad)) => {
                self.row = if bad { self.row + 1 } else { 0 };
                let slot = nanos(now) / (nanos(self.config.window) / 10);
                self.ends.push_back((slot, bad));
                self.ends.retain(|&(of, _)| of + 10 > slot);
                let failed = self.ends.iter().filter(|(_, bad)| *bad).count();
                let share = self.config.share.map_or(2.0, |share| share.as_percent() / 100.0);
                #[allow(clippy::cast_precision_loss)]
                let many = failed > 0 && failed as f64 >= share * self.ends.len() as f64;
                let in_a_row = self.config.failures > 0 && self.row >= self.config.failures;
                if in_a_row || many && self.ends.len() >= self.config.minimum as usize {
                    self.turn(State::Open, now);
                }
            }
            (State::Open, _) | (State::Closed, None) => {}
        }
    }
}

#[derive(Debug, Clone)]
enum Event {
    Admit,
    End(prop::sample::Index, bool),
    Lose(prop::sample::Index),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Admit),
        5 => (any::<prop::sample::Index>(), prop::bool::weighted(0.5))
            .prop_map(|(which, bad)| Event::End(which, bad)),
        1 => any::<prop::sample::Index>().prop_map(Event::Lose),
        1 => (0u64..3000).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn it_does_what_is_documented(
        failures in 0u32..5,
        percent in prop::option::of(1u32..100),
        probes in 1u32..4,
        events in prop::collection::vec(event(), 0..400),
    ) {
        let share = percent.and_then(|percent| Share::percent(f64::from(percent)).ok());
        let config = config::Breaker { failures, share, minimum: 5, probes, ..config() };
        let breaker = breaker(config);
        let mut now = SECOND;
        let mut model = Model {
            config, state: State::Closed, changed: Duration::ZERO, generation: 0, row: 0,
            ends: VecDeque::new(), probes: 0, well: 0,
        };
        let mut under_way = Vec::new();
        for event in events {
            match event {
                Event::Admit => {
                    let pass = breaker.admit(now);
                    prop_assert_eq!(pass.is_some(), model.admit(now));
                    under_way.extend(pass.map(|pass| (pass, model.generation)));
                }
                Event::End(which, bad) if !under_way.is_empty() => {
                    let (pass, generation) = under_way.swap_remove(which.index(under_way.len()));
                    let before = model.state;
                    let ended = if bad { Ended::Badly } else { Ended::Well };
                    let changed = breaker.settle(pass, ended, now);
                    model.end(generation, Some(bad), now);
                    prop_assert_eq!(changed, (model.state != before).then_some(model.state));
                }
                Event::Lose(which) if !under_way.is_empty() => {
                    let (pass, generation) = under_way.swap_remove(which.index(under_way.len()));
                    drop(pass);
                    model.end(generation, None, now);
                }
                Event::Wait(millis) => now += Duration::from_millis(millis),
                Event::End(..) | Event::Lose(_) => {}
            }
            prop_assert_eq!(breaker.state(), model.state);
            prop_assert_eq!(breaker.since(), model.changed);
        }
        // Whatever happened: once nothing is under way and its time is over, it lets a copy pass.
        under_way.clear();
        prop_assert!(breaker.admit(now + config.open).is_some());
    }
}
