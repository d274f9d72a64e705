//! Age and size.

use super::*;

/// The size of the file itself.
fn on_disk(place: &Place) -> u64 {
    std::fs::metadata(place.file()).unwrap().len()
}

#[test]
fn what_is_too_old_goes() {
    let mut place = Place::new();
    place.config.keep = days(2);
    let history = place.open();
    let now = now();
    for age in [0, 1, 3, 30] {
        history.record(received(now - age * 24 * 3600, 1));
        history.write(Changes::default().finish_run(run("r", now - age * 24 * 3600, "{}")));
    }
    wait(history.tidy()).unwrap();
    assert_eq!(all_received(&history), (2, 2));
    assert_eq!(wait(history.runs(None)).unwrap().len(), 2);
    history.configure(&HistoryConfig { keep: Duration::from_secs(3600), ..place.config.clone() });
    wait(history.tidy()).unwrap();
    assert_eq!(all_received(&history), (1, 1));
    assert_eq!(wait(history.runs(None)).unwrap().len(), 1);
}

#[test]
fn rows_older_than_a_day_are_merged_into_five_minutes_and_lose_nothing() {
    let place = Place::new();
    let history = place.open();
    // Five hours from before a day ago until after it.
    let start = (now() - 27 * 3600) / 300 * 300;
    let rows = 5 * 360;
    for row in 0..rows {
        history.record(received(start + 10 * row, row));
        if row % 500 == 0 {
            wait(history.load("so that the queue is never full")).unwrap();
        }
    }
    let sum = (0..rows).sum();
    assert_eq!(all_received(&history), (sum, usize::try_from(rows).unwrap()));
    wait(history.tidy()).unwrap();
    let (merged, count) = all_received(&history);
    assert_eq!(merged, sum);
    // Three hours are merged, two are not; the border may fall within five minutes.
    assert!((36 + 690..=36 + 750).contains(&count), "{count}");
    let first = wait(history.figures(start, start + 300, 300)).unwrap();
    assert_eq!((first[0].seconds, number(&first[0], "staging", "in-flight")), (300, 29));
    // A row that comes late is added to what is merged.
    history.record(received(start + 20, 1));
    wait(history.tidy()).unwrap();
    assert_eq!(all_received(&history), (sum + 1, count));
}

#[test]
fn a_file_that_is_too_large_shrinks_and_the_oldest_goes_first() {
    let mut place = Place::new();
    let history = place.open();
    let now = now();
    let report = "x".repeat(100_000);
    for number in 0..60 {
        history.write(Changes::default().finish_run(run(&number.to_string(), now, &report)));
    }
    history
        .write(Changes::default().put_sample(7, "kept".to_owned()).save("kept", vec![1; 50_000]));
    history.record(received(now, 1));
    wait(history.tidy()).unwrap();
    let before = history.standing().unwrap().size;
    assert!(before > 6_000_000 && on_disk(&place) > 3_000_000, "{before}");
    place.config.max_size = 1 << 20;
    history.configure(&place.config);
    wait(history.tidy()).unwrap();
    let after = on_disk(&place);
    assert!(after <= 1 << 20, "{after}");
    assert_eq!(history.standing().unwrap().size, after);
    let runs = wait(history.runs(None)).unwrap();
    assert!((5..=9).contains(&runs.len()), "{}", runs.len());
    assert_eq!(runs[0].name, "59");
    assert_eq!(wait(history.sample(7)), Ok(Some("kept".to_owned())));
    assert!(wait(history.load("kept")).unwrap().is_some());
    // Figures went before runs did.
    assert_eq!(all_received(&history), (0, 0));
}

#[test]
fn what_is_written_between_two_looks_stays_within_the_bound_too() {
    let mut place = Place::new();
    place.config.max_size = 1 << 20;
    let history = place.open();
    for number in 0..40 {
        let run = run(&number.to_string(), now(), &"x".repeat(100_000));
        history.write(Changes::default().finish_run(run));
    }
    let runs = wait(history.runs(None)).unwrap();
    assert_eq!(runs[0].name, "39", "the newest are there");
    let standing = history.standing().unwrap();
    assert!(standing.size <= 1 << 20, "{standing:?}");
    assert_eq!((standing.lost, standing.errors), (0, 0));
    wait(history.close());
    assert!(on_disk(&place) <= 1 << 20);
}

#[test]
fn what_finds_no_room_is_lost_and_counted_and_the_rest_goes_on() {
    for file in [false, true] {
        let place = Place::new();
        let mut config = place.config.clone();
        config.file = config.file.filter(|_| file);
        config.max_size = 1 << 20;
        let history = History::open(&config).unwrap();
        history.write(Changes::default().save("too large", vec![1; 2 << 20]));
        history.write(Changes::default().save("small", vec![1]));
        assert_eq!(wait(history.load("too large")), Ok(None));
        assert_eq!(wait(history.load("small")), Ok(Some(vec![1])));
        let standing = history.standing().unwrap();
        assert_eq!((standing.lost, standing.errors), (1, 1));
    }
}

#[test]
fn in_memory_it_is_held_to_less() {
    let config = HistoryConfig { max_size: 1 << 30, ..HistoryConfig::default() };
    let history = History::open(&config).unwrap();
    assert_eq!(history.standing().unwrap().max_size, crate::history::IN_MEMORY);
}
