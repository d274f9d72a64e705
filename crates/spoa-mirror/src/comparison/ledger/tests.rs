use std::sync::Arc;
use std::time::Duration;

use shadow_diff::verdict::Answer;

use super::super::half::{Asked, Extent, HeaderBytes, Subject};
use super::super::memory::Memory;
use super::*;
use crate::config::TargetConfig;

/// A ledger of the candidates `a` and `b`, and of a baseline.
fn config() -> Config {
    let target = |name: &str, compare| TargetConfig {
        compare,
        ..TargetConfig::new(name.to_owned(), "http://127.0.0.1:1".parse().unwrap())
    };
    let targets = vec![
        target("a", Compare::Candidate),
        target("b", Compare::Candidate),
        target("old", Compare::Baseline),
        target("other", Compare::No),
    ];
    Config { targets, ..Config::default() }
}

fn answer(status: u16, body: &str) -> Recorded {
    Recorded {
        status,
        headers: Some(HeaderBytes::Text(b"content-type: application/json\r\n".to_vec())),
        body: body.as_bytes().to_vec(),
        extent: Extent::Whole,
        head_time: Some(Duration::from_millis(5)),
        time: Some(Duration::from_millis(6)),
    }
}

/// Enters a pair for `GET path` with that target, whose bodies are these.
fn enter(ledger: &mut Ledger, target: (&str, Compare, Of), path: &str, bodies: [&str; 2]) {
    let [production, shadow] = bodies.map(|body| answer(200, body));
    let asked = Asked { method: b"GET".to_vec(), path: path.into(), ..Asked::default() };
    let pair = Pair {
        target: Arc::new(Subject { name: target.0.to_owned(), role: target.1 }),
        asked: Box::new(asked),
        of: target.2,
        production: Arc::new(production),
        shadow: End::Answered(Arc::new(shadow)),
        _weight: Memory::new(0).weight(),
    };
    let entry = ledger.open(&pair.asked.method, &pair.asked.path);
    let End::Answered(shadow) = &pair.shadow else { panic!() };
    let comparison = super::super::comparing::compare(&entry, &pair, shadow);
    ledger.enter(&entry, &pair, &comparison);
}

const SAME: [&str; 2] = [r#"{"price": 1}"#, r#"{"price": 1}"#];
const WRONG: [&str; 2] = [r#"{"price": 1}"#, r#"{"price": 2}"#];
const A: (&str, Compare, Of) = ("a", Compare::Candidate, Of::Production);
const B: (&str, Compare, Of) = ("b", Compare::Candidate, Of::Production);
/// The second answer of `a` beside its first one.
const A_TWICE: (&str, Compare, Of) = ("a", Compare::Candidate, Of::Itself);
const OLD: (&str, Compare, Of) = ("old", Compare::Baseline, Of::Production);

fn answers(ledger: &Ledger) -> Vec<(String, Answer, usize)> {
    let of = |(name, of): (&str, &Candidate)| {
        (name.to_owned(), of.verdict.answer, of.verdict.reasons.len())
    };
    ledger.candidates().map(of).collect()
}

#[test]
fn each_candidate_is_judged_by_its_own_pairs() {
    let mut ledger = Ledger::new(&config());
    let unknown = |name: &str| (name.to_owned(), Answer::NotEnoughData, 0);
    assert_eq!(answers(&ledger), [unknown("a"), unknown("b")]);
    for request in 0..1000 {
        let path = format!("/items/{request}");
        enter(&mut ledger, A, &path, if request % 10 == 0 { WRONG } else { SAME });
        enter(&mut ledger, B, &path, SAME);
        enter(&mut ledger, OLD, &path, SAME);
    }
    let (fail, pass) = (("a".to_owned(), Answer::Fail, 1), ("b".to_owned(), Answer::Pass, 0));
    assert_eq!(answers(&ledger), [fail, pass]);
    let candidate = ledger.candidate("a").unwrap();
    let text = candidate.verdict.to_string();
    assert!(text.contains("GET /items/{id}: body $.price (value) differs in 10 %"), "{text}");
    let samples = &candidate.verdict.reasons.first().unwrap().samples;
    assert_eq!(samples.len(), 5);
    for SampleId(id) in samples {
        let sample = ledger.sample(*id).unwrap();
        assert_eq!((&*sample.target, &*sample.endpoint), ("a", "GET /items/{id}"));
    }
}

#[test]
fn what_the_baseline_does_too_is_noise() {
    let mut ledger = Ledger::new(&config());
    for request in 0..1000 {
        let bodies = if request % 2 == 0 { WRONG } else { SAME };
        enter(&mut ledger, A, "/random", bodies);
        enter(&mut ledger, OLD, "/random", bodies);
    }
    assert_eq!(answers(&ledger).first(), Some(&("a".to_owned(), Answer::Pass, 0)));
}

/// And no baseline is needed for that; what others do is not.
#[test]
fn what_a_candidate_does_when_it_is_asked_twice_is_noise() {
    let mut ledger = Ledger::new(&config());
    for request in 0..1000 {
        let bodies = if request % 2 == 0 { WRONG } else { SAME };
        for target in [A, A_TWICE, B] {
            enter(&mut ledger, target, "/random", bodies);
        }
    }
    let answers = answers(&ledger);
    let [a, b] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!((a.1, b.1), (Answer::Pass, Answer::Fail), "{answers:?}");
    let books = &ledger.candidate("a").unwrap().books;
    assert_eq!(books.requests(), 1000, "a second answer is no request");
}

#[test]
fn an_ignored_place_is_gone_from_what_was_counted_and_what_comes() {
    let mut ledger = Ledger::new(&config());
    for _ in 0..1000 {
        enter(&mut ledger, A, "/items/1", WRONG);
        enter(&mut ledger, OLD, "/items/1", SAME);
    }
    assert_eq!(ledger.candidate("a").unwrap().verdict.answer, Answer::Fail);
    let ignore = |place: &str| Rule {
        endpoint: "GET /items/*".to_owned(),
        place: place.to_owned(),
        action: Action::Ignore,
    };
    ledger.set_own_rules(vec![ignore("$.name")]).unwrap();
    assert_eq!(ledger.candidate("a").unwrap().verdict.answer, Answer::Fail);
    ledger.set_own_rules(vec![ignore("$.name"), ignore("$.price")]).unwrap();
    assert_eq!(ledger.candidate("a").unwrap().verdict.answer, Answer::Pass);
    for _ in 0..1000 {
        enter(&mut ledger, A, "/items/1", WRONG);
    }
    let candidate = ledger.candidate("a").unwrap();
    assert_eq!(candidate.verdict.answer, Answer::Pass);
    assert_eq!(candidate.excused.get(&shadow_diff::Excuse::User(1)), Some(&1000));
    // Taken back, it is a difference again.
    ledger.set_own_rules(Vec::new()).unwrap();
    for _ in 0..2000 {
        enter(&mut ledger, A, "/items/1", WRONG);
    }
    assert_eq!(ledger.candidate("a").unwrap().verdict.answer, Answer::Fail);
    let wrong = ledger.set_own_rules(vec![ignore("price")]).unwrap_err();
    assert!(matches!(wrong, NotARule::Wrong(_)), "{wrong:?}");
}

#[test]
fn a_new_run_begins_with_nothing() {
    let mut ledger = Ledger::new(&config());
    for _ in 0..1000 {
        enter(&mut ledger, A, "/items/1", WRONG);
        enter(&mut ledger, B, "/items/1", WRONG);
    }
    let sample = |ledger: &Ledger, name: &str| {
        let verdict = &ledger.candidate(name).unwrap().verdict;
        verdict.reasons.first().and_then(|reason| reason.samples.first()).map(|id| id.0)
    };
    let (of_a, of_b) = (sample(&ledger, "a").unwrap(), sample(&ledger, "b").unwrap());
    ledger.begin("a", "rc2").unwrap();
    assert_eq!(ledger.take_ended().len(), 1);
    ledger.tidy();
    let candidate = ledger.candidate("a").unwrap();
    assert_eq!((candidate.books.run(), candidate.books.requests()), ("rc2", 0));
    assert_eq!(candidate.verdict.answer, Answer::NotEnoughData);
    assert_eq!(ledger.candidate("b").unwrap().books.requests(), 1000);
    assert!(ledger.sample(of_a).is_none());
    assert!(ledger.sample(of_b).is_some());
    assert_eq!(ledger.begin("old", "rc2"), Err(NoSuchCandidate));
}

#[test]
fn a_reload_keeps_what_was_counted_and_names_endpoints_anew() {
    let mut ledger = Ledger::new(&config());
    for number in 0..200 {
        enter(&mut ledger, A, &format!("/shop/{}", number % 3 + 10), WRONG);
        enter(&mut ledger, A, "/shop/list", SAME);
    }
    let mut config = config();
    config.comparison.endpoints = vec![Pattern::parse("GET /shop/*").unwrap()];
    config.targets.retain(|target| target.name != "b");
    ledger.configure(&config);
    let candidate = ledger.candidate("a").unwrap();
    let endpoints: Vec<_> = candidate
        .books
        .endpoints()
        .map(|(id, book)| (ledger.endpoints().name(id).to_string(), book.now.pairs.candidate))
        .collect();
    assert_eq!(endpoints, [("GET /shop/*".to_owned(), 400)]);
    assert!(ledger.candidate("b").is_none());
    enter(&mut ledger, A, "/shop/other/7", SAME);
    assert_eq!(ledger.candidate("a").unwrap().books.endpoints().count(), 1);
}

#[test]
fn requests_that_the_candidate_does_not_answer_are_errors() {
    let mut ledger = Ledger::new(&config());
    for _ in 0..200 {
        let asked = Asked { method: b"GET".to_vec(), path: b"/".to_vec(), ..Asked::default() };
        let pair = Pair {
            target: Arc::new(Subject { name: "a".to_owned(), role: Compare::Candidate }),
            asked: Box::new(asked),
            of: Of::Production,
            production: Arc::new(answer(200, "")),
            shadow: End::Failed(crate::outcome::Failure::Closed, Duration::ZERO),
            _weight: Memory::new(0).weight(),
        };
        let entry = ledger.open(&pair.asked.method, &pair.asked.path);
        ledger.enter_failure(&entry, &pair);
    }
    let verdict = &ledger.candidate("a").unwrap().verdict;
    assert_eq!(verdict.answer, Answer::Fail);
    assert!(verdict.to_string().contains("errors where production has none"), "{verdict}");
}

#[test]
fn pairs_take_no_more_room_than_there_is() {
    let mut shelf = Shelf::default();
    let mut ledger = Ledger::new(&config());
    enter(&mut ledger, A, "/", WRONG);
    let sample = ledger.sample(1).unwrap().clone();
    let most = SHELF_BYTES / sample.bytes();
    for id in 0..2 * most as u64 {
        shelf.put(Sample { id, ..sample.clone() });
    }
    let kept = (0..2 * most as u64).filter(|id| shelf.get(*id).is_some()).count();
    assert!(kept <= most && kept + 1 >= most, "{kept} of {most}");
    assert!(shelf.get(2 * most as u64 - 1).is_some());
    shelf.tidy(&[SampleId(2 * most as u64 - 1)]);
    assert!(shelf.get(2 * most as u64 - 2).is_none());
}

#[test]
fn what_was_counted_survives_a_restart() {
    let mut ledger = Ledger::new(&config());
    for request in 0..1000 {
        let bodies = if request % 10 == 0 { WRONG } else { SAME };
        enter(&mut ledger, A, &format!("/items/{request}"), bodies);
        enter(&mut ledger, OLD, &format!("/items/{request}"), SAME);
        enter(&mut ledger, B, "/list", SAME);
    }
    let bytes = ledger.save();
    let mut again = Ledger::new(&config());
    let wanted = again.restore(&bytes).unwrap();
    assert_eq!(wanted.len(), 5);
    assert_eq!(answers(&again), answers(&ledger));
    for id in &wanted {
        again.put_back(ledger.sample(*id).unwrap().clone());
    }
    ledger.tidy();
    assert_eq!(again.sample_ids(), ledger.sample_ids());
    let text = |ledger: &Ledger| ledger.candidate("a").unwrap().verdict.to_string();
    assert_eq!(text(&again), text(&ledger));
    // It goes on: no number is given twice, and endpoints are known.
    assert_eq!(again.next_sample(), ledger.next_sample());
    enter(&mut again, A, "/items/77", WRONG);
    assert_eq!(again.candidate("a").unwrap().books.endpoints().count(), 1);
    assert_eq!(again.candidate("a").unwrap().books.requests(), 1001);

    // A target that is gone is forgotten, a run of another name begins with nothing.
    let mut without = config();
    without.targets.retain(|target| target.name != "b");
    let mut again = Ledger::new(&without);
    again.restore(&bytes).unwrap();
    assert_eq!(answers(&again), answers(&ledger).into_iter().take(1).collect::<Vec<_>>());
    let mut other = config();
    other.comparison.run = "rc2".to_owned();
    let mut again = Ledger::new(&other);
    assert_eq!(again.restore(&bytes).unwrap(), Vec::<u64>::new());
    assert_eq!(again.candidate("a").unwrap().books.requests(), 0);
    assert_eq!(again.next_sample(), ledger.next_sample());

    assert!(matches!(again.restore(b"{\"version\": 2}"), Err(NotRestored::Version(2))));
    assert!(matches!(again.restore(&bytes[..100]), Err(NotRestored::Damaged(_))));
}

#[test]
fn a_run_that_ended_can_be_taken_with_its_pairs() {
    let mut ledger = Ledger::new(&config());
    for _ in 0..1000 {
        enter(&mut ledger, A, "/items/1", WRONG);
    }
    ledger.begin("b", "rc2").unwrap();
    assert_eq!(ledger.take_ended().len(), 0, "nothing was counted");
    let mut renamed = config();
    renamed.comparison.run = "rc2".to_owned();
    ledger.configure(&renamed);
    assert_eq!(ledger.candidate("a").unwrap().books.run(), "rc2");
    let ended = ledger.take_ended();
    let [ended] = &*ended else { panic!() };
    assert_eq!((&*ended.target, ended.candidate.verdict.answer), ("a", Answer::Fail));
    let [id, ..] = ended.candidate.books.samples()[..] else { panic!() };
    assert!(ledger.sample(id.0).is_some());
    ledger.tidy();
    assert!(ledger.sample(id.0).is_none());
}
