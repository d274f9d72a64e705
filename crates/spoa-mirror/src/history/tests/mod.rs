//! History as the rest of the program sees it.

mod bounds;
mod files;
mod keeping;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::{Amount, Changes, Figures, FinishedRun, History};
use crate::config::HistoryConfig;

/// A directory and the configuration of a history in it.
struct Place {
    directory: TempDir,
    config: HistoryConfig,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let file = Some(directory.path().join("history.db"));
        Self { config: HistoryConfig { file, ..HistoryConfig::default() }, directory }
    }

    fn file(&self) -> PathBuf {
        self.config.file.clone().unwrap()
    }

    fn open(&self) -> History {
        History::open(&self.config).unwrap()
    }

    /// Why it cannot be opened, for the agent and for `check`.
    fn refused(&self) -> String {
        let error = History::open(&self.config).map(|_| ()).unwrap_err();
        error.to_string()
    }
}

/// Runs something that waits.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Ten seconds in which so many requests came.
fn received(at: u64, count: u64) -> Figures {
    let mut figures = Figures { at, seconds: 10, ..Figures::default() };
    figures.set("", "received", Amount::Sum(count));
    figures.set("staging", "in-flight", Amount::Most(count));
    figures
}

/// The requests in all rows, and how many rows there are.
fn all_received(history: &History) -> (u64, usize) {
    let rows = wait(history.figures(0, u64::from(u32::MAX), 1)).unwrap();
    let counts = rows.iter().map(|row| number(row, "", "received"));
    (counts.sum(), rows.len())
}

fn number(figures: &Figures, target: &str, name: &str) -> u64 {
    figures.number(target, name)
}

fn run(name: &str, ended: u64, report: &str) -> FinishedRun {
    FinishedRun {
        target: "staging".to_owned(),
        name: name.to_owned(),
        started_ms: ended * 1000 - 1000,
        ended_ms: ended * 1000,
        answer: "pass".to_owned(),
        report: report.to_owned(),
    }
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 3600)
}
