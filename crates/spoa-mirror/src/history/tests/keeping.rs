//! What is written is found again.

use super::*;

#[test]
fn what_was_written_is_there_after_a_restart() {
    let place = Place::new();
    let history = place.open();
    let changes = Changes::default()
        .put_sample(1, "{}".to_owned())
        .put_sample(u64::MAX, "{\"a\":1}".to_owned())
        .save("ledger", vec![0, 255])
        .finish_run(run("first", now(), "{\"r\":1}"))
        .finish_run(run("second", now(), "{\"r\":2}"));
    assert!(history.write(changes));
    history.record(received(now(), 7));
    wait(history.close());

    let history = place.open();
    assert_eq!(wait(history.sample(u64::MAX)), Ok(Some("{\"a\":1}".to_owned())));
    assert_eq!(wait(history.sample(2)), Ok(None));
    assert_eq!(wait(history.load("ledger")), Ok(Some(vec![0, 255])));
    assert_eq!(history.load_blocking("ledger"), Ok(Some(vec![0, 255])));
    assert_eq!(wait(history.load("else")), Ok(None));
    let runs = wait(history.runs(None)).unwrap();
    let names: Vec<_> = runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["second", "first"]);
    let before = wait(history.runs(Some(runs[0].id))).unwrap();
    assert_eq!(before, runs[1..]);
    let found = wait(history.run(runs[1].id)).unwrap().unwrap();
    assert_eq!((found.report.as_str(), &found.run), ("{\"r\":1}", &runs[1]));
    assert_eq!(wait(history.run(runs[0].id + 1)), Ok(None));
    assert_eq!(all_received(&history), (7, 1));
    let standing = history.standing().unwrap();
    assert_eq!((standing.lost, standing.errors), (0, 0));
    assert!(standing.size > 0 && standing.size <= standing.max_size);
}

#[test]
fn in_memory_it_is_the_same_and_ends_with_the_program() {
    let config = HistoryConfig::default();
    let history = History::open(&config).unwrap();
    history.write(Changes::default().save("a", vec![1]));
    history.record(received(now(), 1));
    assert_eq!(wait(history.load("a")), Ok(Some(vec![1])));
    assert_eq!(all_received(&history), (1, 1));
    wait(history.close());
    assert_eq!(wait(history.load("a")), Err(crate::history::Unread::Busy));
    assert_eq!(wait(History::open(&config).unwrap().load("a")), Ok(None));
}

#[test]
fn where_nothing_is_kept_nothing_is_found() {
    let history = History::off();
    history.record(received(now(), 1));
    assert!(history.write(Changes::default().save("a", vec![1])));
    assert_eq!((wait(history.load("a")), history.load_blocking("a")), (Ok(None), Ok(None)));
    assert_eq!((all_received(&history), history.standing()), ((0, 0), None));
}

#[test]
fn samples_that_are_not_named_go_with_the_counts_that_named_them() {
    let history = Place::new().open();
    let put = |changes: Changes, id: u64| changes.put_sample(id, id.to_string());
    history.write((0..5).fold(Changes::default(), put).save("counts", vec![1]));
    let next = put(Changes::default().forget_samples_except(&[1, 3]), 9).forget("counts");
    history.write(next);
    let there = |id| wait(history.sample(id)).unwrap().is_some();
    let left: Vec<u64> = (0..10).filter(|&id| there(id)).collect();
    assert_eq!((left, wait(history.load("counts"))), (vec![1, 3, 9], Ok(None)));
}

#[test]
fn figures_of_one_time_are_added_up_or_the_largest_counts() {
    let history = Place::new().open();
    for count in [2, 5, 3] {
        history.record(received(1000, count));
    }
    history.record(received(1010, 1));
    let rows = wait(history.figures(0, 2000, 1)).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].at, rows[0].seconds), (1000, 30));
    assert_eq!(number(&rows[0], "", "received"), 10);
    assert_eq!(number(&rows[0], "staging", "in-flight"), 5);
}

#[test]
fn stretches_cover_what_was_asked_for_and_nothing_else() {
    let history = Place::new().open();
    (0..100).for_each(|row| history.record(received(10_000 + 10 * row, 1)));
    let rows = wait(history.figures(10_100, 10_500, 100)).unwrap();
    let shown: Vec<_> = rows.iter().map(|row| (row.at, number(row, "", "received"))).collect();
    assert_eq!(shown, [(10_100, 10), (10_200, 10), (10_300, 10), (10_400, 10)]);
    assert_eq!(wait(history.figures(20_000, 30_000, 10)), Ok(vec![]));
    assert_eq!(wait(history.figures(30_000, 10, 0)), Ok(vec![]));
}

#[test]
fn writers_never_wait_and_losses_are_counted() {
    let place = Place::new();
    let history = place.open();
    // Somebody else's transaction keeps the thread waiting.
    let other = rusqlite::Connection::open(place.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let changes = || Changes::default().save("large", vec![0; crate::history::QUEUED / 4]);
    let taken = (0..10).filter(|_| history.write(changes())).count();
    assert!((3..=4).contains(&taken), "{taken}");
    let lost = history.standing().unwrap().lost;
    assert_eq!(lost, 10 - taken as u64);
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    // Soon there is room again.
    testbed::wait::holds(testbed::wait::LIMIT, "room", || history.write(changes()));
}

#[test]
fn a_change_larger_than_the_queue_is_refused() {
    let history = Place::new().open();
    assert!(!history.write(Changes::default().save("large", vec![0; crate::history::QUEUED])));
    assert_eq!(history.standing().unwrap().lost, 1);
}
