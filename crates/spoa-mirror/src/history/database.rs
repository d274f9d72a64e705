//! The database: what is in it, how it is written and read, and how it is kept small. Every function is one
//! transaction. Times are given from outside.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};

use super::figures::{self, Figures, Names};
use super::place::{Owned, Unusable, Why, own};
use super::schema;
use super::store::Changes;
use super::{CACHE, IN_MEMORY};
use crate::config::HistoryConfig;

/// Rows as they are recorded, and as they are merged later, by the seconds that they are meant for.
pub(super) const FINE: u64 = 10;
pub(super) const COARSE: u64 = 300;

/// Rows older than this are merged, in seconds.
const FINE_FOR: u64 = 24 * 3600;

/// Rows merged or removed in one transaction.
const BATCH: u32 = 2000;

/// Whoever else has the database locked, an administrator with SQLite's own program say, is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The least that a database can be held to, in bytes.
const LEAST_SIZE: u64 = 256 << 10;

/// The write-ahead log is cut to this when it was longer, in bytes.
const LOG_KEPT: u64 = 4 << 20;

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedRun {
    /// The target.
    pub target: String,
    /// The run's name.
    pub name: String,
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended, likewise.
    pub ended_ms: u64,
    /// The verdict's answer at the end.
    pub answer: String,
    /// All about it, as JSON.
    pub report: String,
}

/// A run of the past, without its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRun {
    /// Its number; a later run has a higher one.
    pub id: u64,
    /// The target.
    pub target: String,
    /// The run's name.
    pub name: String,
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended, likewise.
    pub ended_ms: u64,
    /// The verdict's answer at the end.
    pub answer: String,
}

/// A run of the past with its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// The run.
    pub run: KeptRun,
    /// All about it, as JSON.
    pub report: String,
}

/// An open database, which nobody else of this program has.
pub(super) struct Database {
    connection: Connection,
    names: Names,
    /// Seconds and bytes.
    keep: u64,
    max_size: u64,
    /// After the connection: to close any descriptor of the file would give up SQLite's own locks.
    _owned: Option<Owned>,
}

impl Database {
    /// Opens what is configured, and makes it if it is not there.
    pub(super) fn open(config: &HistoryConfig) -> Result<Self, Unusable> {
        let Some(file) = &config.file else {
            // In memory nothing can be in the way.
            let opened = Connection::open_in_memory().and_then(|c| Self::with(c, None, config));
            return opened.map_err(|error| Unusable {
                file: ":memory:".into(),
                why: Why::of_sqlite(&error),
            });
        };
        let unusable = |why| Unusable { file: file.clone(), why };
        let owned = own(file).map_err(unusable)?;
        Self::at(file, owned, config).map_err(|error| unusable(Why::of_sqlite(&error)))
    }

    fn at(file: &Path, owned: Owned, config: &HistoryConfig) -> rusqlite::Result<Self> {
        Self::with(Connection::open(file)?, Some(owned), config)
    }

    fn with(
        mut connection: Connection,
        owned: Option<Owned>,
        config: &HistoryConfig,
    ) -> rusqlite::Result<Self> {
        connection.busy_timeout(PATIENCE)?;
        let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == 0 {
            // Before there are tables, or it takes no effect; and it is written each time.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(
            None,
            "cache_size",
            -i64::try_from(CACHE >> 10).unwrap_or(2048),
        )?;
        connection.query_row(&format!("PRAGMA journal_size_limit = {LOG_KEPT}"), [], |_| Ok(()))?;
        schema::bring_up(&mut connection, schema::STEPS)?;
        let names = Names::load(&connection)?;
        let mut database = Self { connection, names, keep: 0, max_size: LEAST_SIZE, _owned: owned };
        database.configure(config)?;
        Ok(database)
    }

    /// Has other bounds from now on.
    pub(super) fn configure(&mut self, config: &HistoryConfig) -> rusqlite::Result<()> {
        self.keep = config.keep.as_secs();
        self.max_size = config.max_size.max(LEAST_SIZE);
        if config.file.is_none() {
            self.max_size = self.max_size.min(IN_MEMORY);
        }
        self.hold_size()
    }

    /// Whatever is written, the file does not grow beyond its bound, or beyond what it has already.
    fn hold_size(&self) -> rusqlite::Result<()> {
        let pages = self.max_size / self.page_size()?;
        self.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    }

    /// Whether the file is whole; reads all of it.
    pub(super) fn is_whole(&self) -> rusqlite::Result<bool> {
        let told: String =
            self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        Ok(told == "ok")
    }

    /// Writes figures of [`FINE`] seconds, or adds them to what there is of that time.
    pub(super) fn record(&mut self, figures: &Figures) -> rusqlite::Result<()> {
        let Self { connection, names, .. } = self;
        let recorded = connection.transaction().and_then(|transaction| {
            figures::put_row(&transaction, names, FINE, figures)?;
            transaction.commit()
        });
        self.or_forget_names(recorded)
    }

    /// Makes all of these changes, or none.
    pub(super) fn apply(&mut self, changes: &Changes) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        if let Some(kept) = &changes.kept_samples {
            transaction.execute_batch(
                "CREATE TEMP TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY); DELETE FROM kept;",
            )?;
            let mut insert = transaction.prepare("INSERT OR IGNORE INTO kept VALUES (?)")?;
            for id in kept {
                insert.execute([signed(*id)])?;
            }
            drop(insert);
            transaction.execute("DELETE FROM samples WHERE id NOT IN (SELECT id FROM kept)", [])?;
        }
        for (id, json) in &changes.samples {
            let row = params![signed(*id), json];
            transaction.execute("INSERT OR REPLACE INTO samples (id, json) VALUES (?, ?)", row)?;
        }
        for (name, bytes) in &changes.states {
            match bytes {
                Some(bytes) => transaction.execute(
                    "INSERT OR REPLACE INTO state (name, bytes) VALUES (?, ?)",
                    params![name, bytes],
                )?,
                None => transaction.execute("DELETE FROM state WHERE name = ?", [name])?,
            };
        }
        for run in &changes.runs {
            transaction.execute(
                "INSERT INTO runs (target, name, started_ms, ended_ms, answer, report) \
                 VALUES (?, ?, ?, ?, ?, ?)",
                params![run.target, run.name, run.started_ms, run.ended_ms, run.answer, run.report],
            )?;
        }
        transaction.commit()
    }

    pub(super) fn sample(&self, id: u64) -> rusqlite::Result<Option<String>> {
        let sql = "SELECT json FROM samples WHERE id = ?";
        self.connection.query_row(sql, [signed(id)], |row| row.get(0)).optional()
    }

    pub(super) fn load(&self, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        let sql = "SELECT bytes FROM state WHERE name = ?";
        self.connection.query_row(sql, [name], |row| row.get(0)).optional()
    }

    /// Runs that ended before this one, the newest first.
    pub(super) fn runs(&self, before: Option<u64>, most: u32) -> rusqlite::Result<Vec<KeptRun>> {
        let before = before.map_or(i64::MAX, |id| i64::try_from(id).unwrap_or(i64::MAX));
        let mut statement = self.connection.prepare(
            "SELECT id, target, name, started_ms, ended_ms, answer FROM runs WHERE id < ? \
             ORDER BY id DESC LIMIT ?",
        )?;
        statement.query_map(params![before, most], kept_run)?.collect()
    }

    pub(super) fn run(&self, id: u64) -> rusqlite::Result<Option<RunReport>> {
        let sql =
            "SELECT id, target, name, started_ms, ended_ms, answer, report FROM runs WHERE id = ?";
        let read = |row: &Row<'_>| Ok(RunReport { run: kept_run(row)?, report: row.get(6)? });
        self.connection.query_row(sql, [signed(id)], read).optional()
    }

    /// The figures of a time in stretches of `width` seconds, the oldest first. Stretches that the agent was
    /// not there for are missing.
    pub(super) fn figures(
        &self,
        (from, until): (u64, u64),
        width: u64,
    ) -> rusqlite::Result<Vec<Figures>> {
        let width = width.max(1);
        let mut stretches: Vec<Figures> = Vec::new();
        // Every coarse row is older than any fine one.
        for step in [COARSE, FINE] {
            figures::each_row(
                &self.connection,
                &self.names,
                step,
                (from, until),
                u32::MAX,
                |row| {
                    let at = row.at / width * width;
                    match stretches.last_mut() {
                        Some(last) if last.at >= at => last.add(row),
                        _ => stretches.push(Figures { at, ..row }),
                    }
                },
            )?;
        }
        Ok(stretches)
    }

    /// Removes what is too old, merges what is old, and makes room where there is too little.
    pub(super) fn tidy(&mut self, now: u64) -> rusqlite::Result<()> {
        let oldest = now.saturating_sub(self.keep);
        let connection = &self.connection;
        connection
            .execute("DELETE FROM figures WHERE step = ? AND at < ?", params![COARSE, oldest])?;
        connection
            .execute("DELETE FROM figures WHERE step = ? AND at < ?", params![FINE, oldest])?;
        let oldest_ms = oldest.saturating_mul(1000);
        connection.execute("DELETE FROM runs WHERE ended_ms < ?", [signed(oldest_ms)])?;
        while self.merge(now.saturating_sub(FINE_FOR) / COARSE * COARSE)? > 0 {}
        self.make_room()
    }

    /// Merges fine rows from before a time; gives how many they were.
    fn merge(&mut self, before: u64) -> rusqlite::Result<usize> {
        let Self { connection, names, .. } = self;
        let merged = connection.transaction().and_then(|transaction| {
            let mut sums: Vec<Figures> = Vec::new();
            let (mut last, mut count) = (0, 0);
            figures::each_row(&transaction, names, FINE, (0, before), BATCH, |row| {
                (last, count) = (row.at, count + 1);
                let at = row.at / COARSE * COARSE;
                match sums.last_mut() {
                    Some(sum) if sum.at == at => sum.add(row),
                    _ => sums.push(Figures { at, ..row }),
                }
            })?;
            for sum in &sums {
                figures::put_row(&transaction, names, COARSE, sum)?;
            }
            let taken = params![FINE, last];
            transaction.execute("DELETE FROM figures WHERE step = ? AND at <= ?", taken)?;
            transaction.commit()?;
            Ok(count)
        });
        self.or_forget_names(merged)
    }

    /// Removes the oldest figures, and then the oldest runs, until a tenth of the size allowed is free; gives
    /// the room back to the file system.
    pub(super) fn make_room(&mut self) -> rusqlite::Result<()> {
        let enough = self.max_size / 10 * 9;
        if self.used()? > enough {
            // A little at a time, so that no more goes than must.
            let batch = BATCH / 10;
            while self.used()? > enough / 10 * 9 && self.remove_oldest(batch)? > 0 {}
        }
        if self.free_pages()? > 0 {
            // Each step frees a page.
            let mut vacuum = self.connection.prepare("PRAGMA incremental_vacuum")?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
            drop(steps);
            // The file gets shorter when the log is brought over into it. A reader may be in the way: later.
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        self.hold_size()
    }

    fn remove_oldest(&self, batch: u32) -> rusqlite::Result<usize> {
        for step in [COARSE, FINE] {
            let removed = self.connection.execute(
                "DELETE FROM figures WHERE step = ?1 AND at IN \
                 (SELECT at FROM figures WHERE step = ?1 ORDER BY at LIMIT ?2)",
                params![step, batch],
            )?;
            if removed > 0 {
                return Ok(removed);
            }
        }
        let sql = "DELETE FROM runs WHERE id IN (SELECT id FROM runs ORDER BY id LIMIT 1)";
        self.connection.execute(sql, [])
    }

    /// How large it is, in bytes, without the write-ahead log.
    pub(super) fn size(&self) -> rusqlite::Result<u64> {
        Ok(self.pragma("page_count")?.saturating_mul(self.page_size()?))
    }

    /// What it may grow to, in bytes.
    pub(super) fn max_size(&self) -> u64 {
        self.max_size
    }

    /// Whether more than may be is in use even after what can go has gone.
    pub(super) fn is_crowded(&self) -> rusqlite::Result<bool> {
        Ok(self.used()? > self.max_size / 10 * 9)
    }

    fn used(&self) -> rusqlite::Result<u64> {
        let free = self.free_pages()?.saturating_mul(self.page_size()?);
        Ok(self.size()?.saturating_sub(free))
    }

    fn free_pages(&self) -> rusqlite::Result<u64> {
        self.pragma("freelist_count")
    }

    fn page_size(&self) -> rusqlite::Result<u64> {
        self.pragma("page_size")
    }

    fn pragma(&self, name: &str) -> rusqlite::Result<u64> {
        self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
    }

    /// Brings everything over into the file, and closes it.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        let Self { connection, _owned, .. } = self;
        // Only with the connection gone may the file's lock go.
        connection.close().map_err(|(_, error)| error)
    }

    /// What was learned in a transaction that came to nothing is not in the database.
    fn or_forget_names<T>(&mut self, result: rusqlite::Result<T>) -> rusqlite::Result<T> {
        if result.is_err() {
            self.names = Names::load(&self.connection).unwrap_or_default();
        }
        result
    }
}

/// Whether an error says that there is no more room, here or on the disk.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Whether an error says that the file is damaged.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// SQLite's numbers have a sign: ids over half of the range are stored as negative ones, and found again.
fn signed(id: u64) -> i64 {
    i64::from_ne_bytes(id.to_ne_bytes())
}

fn kept_run(row: &Row<'_>) -> rusqlite::Result<KeptRun> {
    Ok(KeptRun {
        id: row.get(0)?,
        target: row.get(1)?,
        name: row.get(2)?,
        started_ms: row.get(3)?,
        ended_ms: row.get(4)?,
        answer: row.get(5)?,
    })
}
