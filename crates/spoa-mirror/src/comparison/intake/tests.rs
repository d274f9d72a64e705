use super::*;
use crate::config::Compare;
use crate::exchange::Body;
use crate::outcome::Failure;

const LIMIT: u32 = 16_380;

fn subject() -> Arc<Subject> {
    Arc::new(Subject { name: "t".to_owned(), role: Compare::Candidate })
}

fn intake(config: &ComparisonConfig) -> (Arc<Intake>, Receiver<Half>) {
    let (intake, halves) = Intake::new(config);
    (Arc::new(intake), halves)
}

fn production<'a>(id: Option<&'a [u8]>, body: &'a [u8]) -> Production<'a> {
    Production {
        status: 200,
        headers: Some(Headers::Block(b"\0\0")),
        body: Body { bytes: body, given: true, stated_size: Some(body.len() as u64) },
        waited: true,
        id,
        time: None,
        with_request: false,
    }
}

fn failed() -> End {
    End::Failed(Failure::Reset, Duration::ZERO)
}

/// `(copies, how it ended)` of a copy's half.
fn shadow(half: Half) -> (Option<u32>, End) {
    let Part::Shadow { end, copies, .. } = half.part else { panic!("{half:?}") };
    (copies, end)
}

fn answer(half: Half) -> (Option<u32>, Recorded) {
    let Part::Production { answer, copies } = half.part else { panic!("{half:?}") };
    (copies, *answer)
}

#[test]
fn request_and_answer_of_one_message_have_one_key() {
    let (intake, halves) = intake(&ComparisonConfig::default());
    let opened = intake.open((1, 7), None, LIMIT, || Some(production(None, b"abc"))).unwrap();
    let tickets = [opened.ticket(&subject(), Turn::Only), opened.ticket(&subject(), Turn::Only)];
    opened.seal();
    let first = halves.try_recv().unwrap();
    assert_eq!(first.key, Key::new(1, 7));
    let (copies, recorded) = answer(first);
    assert_eq!((copies, &*recorded.body, recorded.extent), (Some(2), &b"abc"[..], Extent::Whole));
    for ticket in tickets {
        ticket.settle(failed(), |_| Asked::default());
        let half = halves.try_recv().unwrap();
        assert_eq!(half.key, Key::new(1, 7));
        assert!(matches!(shadow(half), (Some(2), End::Failed(..))));
    }
    assert_eq!(intake.taken(), Taken { copies: 2, answers: 1, ..Taken::default() });
    assert_eq!(intake.held(), 0);
}

#[test]
fn an_answer_that_comes_later_is_known_by_its_id_once() {
    let (intake, halves) = intake(&ComparisonConfig::default());
    let opened = intake.open((1, 1), Some(b"id-1"), LIMIT, || None).unwrap();
    let ticket = opened.ticket(&subject(), Turn::Only);
    opened.seal();
    for id in [None, Some(&b"id-2"[..]), Some(b"id-1"), Some(b"id-1")] {
        intake.late(&production(id, b""), LIMIT);
    }
    let half = halves.try_recv().unwrap();
    assert_eq!(half.key, Key::new(1, 1));
    assert_eq!(answer(half).0, None);
    assert!(halves.try_recv().is_err());
    assert_eq!((intake.taken().late, intake.taken().answers), (4, 1));
    drop(ticket);
    assert!(matches!(shadow(halves.try_recv().unwrap()), (Some(1), End::NotSent)));
}

#[test]
fn a_request_that_nobody_copies_leaves_nothing() {
    let (intake, halves) = intake(&ComparisonConfig::default());
    let opened = intake.open((1, 1), None, LIMIT, || Some(production(None, b""))).unwrap();
    // Refused by the queue, or lost in a panic, before all targets were asked.
    drop(opened.ticket(&subject(), Turn::Only));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ticket = opened.ticket(&subject(), Turn::Only);
        panic!("a defect that this test wants");
    }));
    assert!(panicked.is_err());
    opened.seal();
    let opened = intake.open((1, 2), Some(b"id"), LIMIT, || None).unwrap();
    opened.seal();
    intake.late(&production(Some(b"id"), b""), LIMIT);
    assert!(halves.try_recv().is_err());
    assert_eq!(intake.taken(), Taken { late: 1, ..Taken::default() });
}

#[test]
fn a_copy_that_ends_while_targets_are_still_asked_does_not_know_how_many_there_are() {
    let (intake, halves) = intake(&ComparisonConfig::default());
    let opened = intake.open((1, 1), Some(b"id"), LIMIT, || None).unwrap();
    opened.ticket(&subject(), Turn::Only).settle(failed(), |_| Asked::default());
    let second = opened.ticket(&subject(), Turn::Only);
    opened.seal();
    assert_eq!(shadow(halves.try_recv().unwrap()).0, None);
    drop(second);
    assert_eq!(shadow(halves.try_recv().unwrap()).0, Some(2));
    assert_eq!(intake.taken().copies, 2);
}

#[test]
fn a_request_without_an_answer_and_without_an_id_cannot_be_compared() {
    let (intake, _halves) = intake(&ComparisonConfig::default());
    assert!(intake.open((1, 1), None, LIMIT, || None).is_none());
    assert!(intake.open((1, 1), Some(b""), LIMIT, || None).is_none());
    assert_eq!(intake.taken().nameless, 2);
}

#[test]
fn the_sample_is_as_large_as_configured_and_may_change() {
    let sample = Share::percent(10.0).unwrap();
    let (intake, _halves) = intake(&ComparisonConfig { sample, ..ComparisonConfig::default() });
    let opened = |intake: &Arc<Intake>| {
        let open = |&number: &u64| {
            intake.open((3, number), None, LIMIT, || Some(production(None, b""))).is_some()
        };
        (0..10_000).filter(open).count()
    };
    let count = opened(&intake);
    assert!((900..1100).contains(&count), "{count}");
    intake.configure(&ComparisonConfig { sample: Share::NONE, ..ComparisonConfig::default() });
    assert_eq!(opened(&intake), 0);
    intake.configure(&ComparisonConfig::default());
    assert_eq!(opened(&intake), 10_000);
}

/// A tenth of the sample is as large as a tenth of all, and not always the same part of it.
#[test]
fn the_control_is_drawn_for_itself() {
    let share = |percent| Share::percent(percent).unwrap();
    for sample in [100.0, 30.0, 10.0] {
        let config = ComparisonConfig { sample: share(sample), ..ComparisonConfig::default() };
        let (intake, _halves) = intake(&config);
        let open = |number| intake.open((1, number), None, LIMIT, || Some(production(None, b"")));
        let opened: Vec<_> = (0..100_000).filter_map(open).collect();
        let repeated = |control| opened.iter().filter(|o| o.is_repeated(share(control))).count();
        assert_eq!((repeated(0.0), repeated(100.0)), (0, opened.len()));
        let (expected, found) = (opened.len() / 10, repeated(10.0));
        // Six standard deviations, and a little.
        let slack = 6 * expected.isqrt();
        assert!(found.abs_diff(expected) < slack, "{sample} {expected} {found}");
        // A smaller share is a part of a larger one.
        let nested = |o: &&Opened<'_>| o.is_repeated(share(1.0)) && !o.is_repeated(share(2.0));
        assert_eq!(opened.iter().filter(nested).count(), 0);
    }
}

#[test]
fn a_ticket_says_whose_turn_it_is() {
    let (intake, halves) = intake(&ComparisonConfig::default());
    let opened = intake.open((1, 1), Some(b"id"), LIMIT, || None).unwrap();
    let turns = [Turn::First, Turn::Second];
    let tickets = turns.map(|turn| opened.ticket(&subject(), turn));
    opened.seal();
    for (ticket, expected) in tickets.into_iter().zip(turns) {
        ticket.settle(failed(), |_| Asked::default());
        let Part::Shadow { turn, copies, .. } = halves.try_recv().unwrap().part else { panic!() };
        assert_eq!((turn, copies), (expected, Some(2)));
    }
}

#[test]
fn nobody_waits_for_room_and_what_finds_none_is_counted() {
    let config = ComparisonConfig { memory: 100_000, ..ComparisonConfig::default() };
    let (intake, halves) = intake(&config);
    let send = |number| {
        let opened = intake.open((1, number), None, LIMIT, || Some(production(None, b"")));
        let opened = opened.unwrap();
        let ticket = opened.ticket(&subject(), Turn::Only);
        opened.seal();
        ticket.settle(failed(), |_| Asked::default());
    };
    for number in 0..1000 {
        send(number);
    }
    assert!(intake.held() <= 100_000);
    let taken = intake.taken();
    assert!(taken.copies_lost > 0 && taken.answers_lost > 0, "{taken:?}");
    let there = halves.try_iter().count() as u64;
    let sent = taken.copies - taken.copies_lost + taken.answers - taken.answers_lost;
    assert_eq!((taken.copies, taken.answers, there), (1000, 1000, sent));
    assert_eq!(intake.held(), 0);
    // The channel is bounded as well.
    intake.configure(&ComparisonConfig::default());
    for number in 0..CHANNEL as u64 {
        send(number);
    }
    assert_eq!(halves.try_iter().count(), CHANNEL);
    assert_eq!(intake.taken().copies, 1000 + CHANNEL as u64);
    assert_eq!(intake.held(), 0);
}

#[test]
fn an_answer_that_is_too_much_for_memory_is_lost_with_its_copy() {
    let config = ComparisonConfig { memory: 4096, ..ComparisonConfig::default() };
    let (intake, halves) = intake(&config);
    let opened = intake.open((1, 1), Some(b"id"), LIMIT, || None).unwrap();
    let ticket = opened.ticket(&subject(), Turn::Only);
    opened.seal();
    let mut recording = ticket.recording().unwrap();
    recording.body(&[b'x'; 10_000]);
    ticket.settle(recording.end(200, false, Duration::ZERO), |_| Asked::default());
    assert!(halves.try_recv().is_err());
    assert_eq!((intake.taken().copies_lost, intake.held()), (1, 0));
}

#[test]
fn of_production_s_body_no_more_is_kept_than_configured() {
    let config = ComparisonConfig { max_body: 4, ..ComparisonConfig::default() };
    let (intake, halves) = intake(&config);
    let send = |answer| {
        let opened = intake.open((1, 1), None, LIMIT, || Some(answer)).unwrap();
        let _ticket = opened.ticket(&subject(), Turn::Only);
        opened.seal();
    };
    send(production(None, b"123456"));
    let (_, recorded) = answer(halves.try_recv().unwrap());
    assert_eq!((&*recorded.body, recorded.extent), (&b"1234"[..], Extent::Part(Some(6))));
    let _ = halves.try_iter().count();
    // Not sure to be all, though nothing says that there is more.
    send(Production { waited: false, ..production(None, b"123") });
    assert_eq!(answer(halves.try_recv().unwrap()).1.extent, Extent::Part(None));
}
