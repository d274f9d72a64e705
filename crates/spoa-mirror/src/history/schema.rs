//! The tables, and how a database of an older version is brought up to them.

use rusqlite::Connection;

/// What makes a SQLite file one of ours: `spmH`.
pub(super) const APPLICATION: u32 = 0x7370_6d48;

/// Each step leads from one version to the next; a database of version `n` has the first `n` behind it.
/// Steps that were released never change.
pub(super) const STEPS: &[&str] = &["
    -- What figures are called. `most`: of several values the largest counts, not their sum.
    CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        target TEXT NOT NULL,
        name TEXT NOT NULL,
        most INTEGER NOT NULL,
        UNIQUE (target, name)
    );
    -- `at`: when the time began that a row is about, in seconds since 1970; `step`: how long it is meant to be,
    -- `seconds`: how much of it the agent was there.
    CREATE TABLE figures (
        step INTEGER NOT NULL,
        at INTEGER NOT NULL,
        seconds INTEGER NOT NULL,
        amounts BLOB NOT NULL,
        PRIMARY KEY (step, at)
    ) WITHOUT ROWID;
    CREATE TABLE samples (id INTEGER PRIMARY KEY, json TEXT NOT NULL);
    CREATE TABLE state (name TEXT PRIMARY KEY, bytes BLOB NOT NULL);
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        target TEXT NOT NULL,
        name TEXT NOT NULL,
        started_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL,
        answer TEXT NOT NULL,
        report TEXT NOT NULL
    );
    CREATE INDEX runs_by_end ON runs (ended_ms);
"];

/// Brings a database up to the last of these steps, one by one: a crash leaves a version that there is.
///
/// # Errors
/// What SQLite says; a database of a newer version is left alone.
pub(super) fn bring_up(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (next, step) in (1_u32..).zip(steps).skip(version as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", next)?;
        transaction.commit()?;
    }
    Ok(())
}
