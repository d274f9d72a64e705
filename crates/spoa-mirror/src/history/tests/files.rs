//! Files that are damaged, locked, too new, or none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::history::place::{beside, check};
use crate::history::schema::{STEPS, bring_up};

#[test]
fn only_its_owner_may_read_it() {
    let place = Place::new();
    let history = place.open();
    history.write(Changes::default().save("a", vec![1]));
    wait(history.load("a")).unwrap().unwrap();
    for end in ["", "-wal", "-shm"] {
        let mode = fs::metadata(beside(&place.file(), end)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{end}");
    }
    wait(history.close());
    let left: Vec<_> = fs::read_dir(place.directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// What a crash leaves: the files as they are at one moment.
fn crash(place: &Place) -> Place {
    let after = Place::new();
    for end in ["", "-wal"] {
        fs::copy(beside(&place.file(), end), beside(&after.file(), end)).unwrap();
    }
    after
}

#[test]
fn after_a_crash_all_of_a_change_is_there_or_nothing() {
    let place = Place::new();
    let history = place.open();
    let change = |number: u8| {
        let sample = format!("{number}").repeat(10_000);
        Changes::default()
            .forget_samples_except(&[])
            .put_sample(u64::from(number), sample)
            .save("names", vec![number; 100_000])
    };
    for number in 1..=9 {
        history.write(change(number));
        let saved = wait(history.load("names")).unwrap().unwrap();
        assert_eq!(saved[0], number);
        let history = crash(&place).open();
        let saved = wait(history.load("names")).unwrap().unwrap();
        assert_eq!(saved, [number; 100_000]);
        assert!(wait(history.sample(u64::from(number))).unwrap().is_some());
        assert_eq!(wait(history.sample(u64::from(number) - 1)), Ok(None));
        assert_eq!(history.standing().unwrap().errors, 0);
    }
    // In the middle of one: pages that are too many for memory are in the log already.
    let mut other = Connection::open(place.file()).unwrap();
    other.pragma_update(None, "cache_size", 10).unwrap();
    let transaction = other.transaction().unwrap();
    transaction
        .execute_batch("DELETE FROM samples; UPDATE state SET bytes = zeroblob(3000000)")
        .unwrap();
    assert!(fs::metadata(beside(&place.file(), "-wal")).unwrap().len() > 2_000_000);
    let history = crash(&place).open();
    assert_eq!(wait(history.load("names")).unwrap().unwrap(), [9; 100_000]);
    assert!(wait(history.sample(9)).unwrap().is_some());
}

#[test]
fn a_write_ahead_log_that_is_cut_off_costs_the_last_changes_only() {
    let place = Place::new();
    let history = place.open();
    for number in 1..=20_u8 {
        history.write(Changes::default().save("a", vec![number; 5000]));
    }
    wait(history.load("a")).unwrap();
    let after = crash(&place);
    let wal = beside(&after.file(), "-wal");
    let length = fs::metadata(&wal).unwrap().len();
    fs::OpenOptions::new().write(true).open(&wal).unwrap().set_len(length / 2).unwrap();
    let history = after.open();
    let saved = wait(history.load("a")).unwrap().unwrap();
    assert!((1..20).contains(&saved[0]) && saved == [saved[0]; 5000], "{}", saved[0]);
}

#[test]
fn two_agents_cannot_have_one_file() {
    let place = Place::new();
    let history = place.open();
    let refused = place.refused();
    assert!(refused.contains("another process uses it"), "{refused}");
    // To check the configuration of a running agent is no offence.
    assert_eq!(check(&place.config), Ok(()));
    history.write(Changes::default().save("a", vec![1]));
    assert_eq!(wait(history.load("a")), Ok(Some(vec![1])));
    wait(history.close());
    assert_eq!(wait(place.open().load("a")), Ok(Some(vec![1])));
}

#[test]
fn others_may_read_and_back_up_while_it_is_written() {
    let place = Place::new();
    let history = place.open();
    history.write(Changes::default().save("a", vec![1]));
    wait(history.load("a")).unwrap();
    let backup = place.directory.path().join("backup.db");
    let other = Connection::open(place.file()).unwrap();
    other.execute("VACUUM INTO ?", [backup.to_str().unwrap()]).unwrap();
    history.write(Changes::default().save("a", vec![2]));
    assert_eq!(wait(history.load("a")), Ok(Some(vec![2])));
    let config = HistoryConfig { file: Some(backup), ..place.config.clone() };
    assert_eq!(wait(History::open(&config).unwrap().load("a")), Ok(Some(vec![1])));
}

/// What both say of a file that cannot be used.
fn assert_refused(place: &Place, what: &str) {
    let before = fs::read(place.file()).ok();
    let refused = place.refused();
    assert!(refused.contains(what), "{refused}");
    assert!(refused.contains(place.file().to_str().unwrap()), "{refused}");
    assert_eq!(check(&place.config).unwrap_err().to_string(), refused);
    assert_eq!(fs::read(place.file()).ok(), before, "it is left alone");
}

#[test]
fn what_is_not_a_database_of_ours_is_refused_and_left_alone() {
    let place = Place::new();
    fs::write(place.file(), "listen = 1\n").unwrap();
    assert_refused(&place, "it is not a database; name another file");
    fs::write(place.file(), "x".repeat(10_000)).unwrap();
    assert_refused(&place, "it is not a database");
    fs::remove_file(place.file()).unwrap();
    let other = Connection::open(place.file()).unwrap();
    other.execute_batch("PRAGMA user_version = 1; CREATE TABLE theirs (a)").unwrap();
    drop(other);
    assert_refused(&place, "it is the database of another program");
    fs::remove_file(place.file()).unwrap();
    fs::create_dir(place.file()).unwrap();
    let refused = place.refused();
    assert!(refused.contains("directory"), "{refused}");
    assert!(check(&place.config).is_err());
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let place = Place::new();
    wait(place.open().close());
    let other = Connection::open(place.file()).unwrap();
    other.pragma_update(None, "user_version", STEPS.len() + 1).unwrap();
    drop(other);
    assert_refused(&place, "a newer version of spoa-mirror wrote it (its tables have version 2");
}

#[test]
fn a_directory_that_is_not_there_or_not_ours_is_refused() {
    let mut place = Place::new();
    let there = place.file();
    place.config.file = Some(place.directory.path().join("none/history.db"));
    assert_refused(&place, "there is no directory");
    place.config.file = Some(there.join("history.db"));
    assert_refused(&place, "there is no directory");
    // Nobody can make a file there, whoever runs the test.
    place.config.file = Some("/proc/self/history.db".into());
    assert!(!place.refused().is_empty());
}

#[test]
fn an_empty_file_is_begun() {
    let place = Place::new();
    fs::write(place.file(), "").unwrap();
    assert_eq!(check(&place.config), Ok(()));
    let history = place.open();
    assert_eq!(wait(history.load("a")), Ok(None));
}

/// Fills a history and overwrites the middle of its file.
fn damaged() -> Place {
    let place = Place::new();
    let history = place.open();
    for number in 0..200 {
        history.write(Changes::default().finish_run(run(
            &number.to_string(),
            now(),
            &"x".repeat(5000),
        )));
    }
    wait(history.close());
    damage(&place.file());
    place
}

fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    assert!(bytes.len() > 500_000);
    bytes[4096..].fill(0xa5);
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    let place = damaged();
    let damaged_bytes = fs::read(place.file()).unwrap();
    let history = place.open();
    history.write(Changes::default().save("a", vec![1]));
    assert_eq!(wait(history.load("a")), Ok(Some(vec![1])));
    let aside = beside(&place.file(), ".damaged-1");
    assert_eq!(fs::read(&aside).unwrap().len(), damaged_bytes.len());
    wait(history.close());
    damage_again(&place);
    let history = place.open();
    assert_eq!(wait(history.load("a")), Ok(None));
    assert!(beside(&place.file(), ".damaged-2").exists() && aside.exists());
}

/// Damages what has become a small file.
fn damage_again(place: &Place) {
    let mut bytes = fs::read(place.file()).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(place.file(), bytes).unwrap();
}

#[test]
fn damage_while_it_runs_costs_what_was_there_and_nothing_that_comes() {
    let place = Place::new();
    let history = place.open();
    for number in 0..1000 {
        let run = run(&number.to_string(), now(), &"x".repeat(5000));
        history.write(Changes::default().finish_run(run));
        wait(history.load("a")).unwrap();
    }
    wait(history.tidy()).unwrap();
    // A writer of the same process would give up the locks of all.
    let file = format!("of={}", place.file().display());
    let overwrite = ["if=/dev/zero", &file, "bs=4096", "seek=1", "count=1000", "conv=notrunc"];
    let done = std::process::Command::new("dd").args(overwrite).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let aside = beside(&place.file(), ".damaged-1");
    testbed::wait::holds(testbed::wait::LIMIT, "the damage is found", || {
        let _ = wait(history.run(3));
        let _ = wait(history.run(500));
        aside.exists()
    });
    history.write(Changes::default().save("a", vec![1]));
    assert_eq!(wait(history.load("a")), Ok(Some(vec![1])));
    assert!(history.standing().unwrap().errors > 0);
}

#[test]
fn old_databases_are_brought_up_step_by_step() {
    let mut connection = Connection::open_in_memory().unwrap();
    let version = |connection: &Connection| -> u32 {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    };
    let steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD y; INSERT INTO a VALUES (1, 2)"];
    bring_up(&mut connection, &steps[..1]).unwrap();
    assert_eq!(version(&connection), 1);
    // A step that fails in its middle leaves nothing behind.
    assert!(
        bring_up(&mut connection, &["", "INSERT INTO a VALUES (1); CREATE TABLE a (x)"]).is_err()
    );
    assert_eq!(version(&connection), 1);
    bring_up(&mut connection, &steps).unwrap();
    bring_up(&mut connection, &steps).unwrap();
    assert_eq!(version(&connection), 2);
    let sum: i64 = connection.query_row("SELECT sum(x + y) FROM a", [], |row| row.get(0)).unwrap();
    assert_eq!(sum, 3);
}
