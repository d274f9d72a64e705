//! What was measured, a row for each setting and a column for each version.

use std::fmt::Write as _;
use std::time::Duration;

use testbed::haproxy::Version;

/// A setting, and what came of it.
pub(crate) struct Row {
    pub(crate) setting: String,
    pub(crate) cell: String,
}

impl Row {
    pub(crate) fn new(setting: impl Into<String>, cell: impl Into<String>) -> Self {
        let row = Self { setting: setting.into(), cell: cell.into() };
        eprintln!("{}: {}", row.setting, row.cell);
        row
    }

    /// The median of these times and the worst of them.
    pub(crate) fn times(setting: impl Into<String>, mut times: Vec<Duration>) -> Self {
        times.sort();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        Self::new(setting, format!("{} ({})", milliseconds(median), milliseconds(worst)))
    }
}

/// With as many digits as mean anything.
pub(crate) fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    match milliseconds {
        ..10.0 => format!("{milliseconds:.1}"),
        _ => format!("{milliseconds:.0}"),
    }
}

/// All versions' rows of one kind.
pub(crate) struct Table {
    title: &'static str,
    what: &'static str,
    versions: Vec<Version>,
    settings: Vec<String>,
    cells: Vec<Vec<String>>,
}

impl Table {
    /// `title` stands above it, `what` above the settings.
    pub(crate) fn new(title: &'static str, what: &'static str) -> Self {
        Self { title, what, versions: Vec::new(), settings: Vec::new(), cells: Vec::new() }
    }

    /// Adds a version's rows: the same settings as the others', in the same order.
    pub(crate) fn add(&mut self, version: Version, rows: Vec<Row>) {
        self.versions.push(version);
        for (number, row) in rows.into_iter().enumerate() {
            if self.settings.len() == number {
                self.settings.push(row.setting.clone());
                self.cells.push(Vec::new());
            }
            assert_eq!(self.settings[number], row.setting);
            self.cells[number].push(row.cell);
        }
    }

    pub(crate) fn markdown(&self) -> String {
        let names = self.versions.iter().map(|version| format!(" {version} |"));
        let names: String = names.collect();
        let mut text = format!("{}\n\n| {} |{names}\n", self.title, self.what);
        let _ = writeln!(text, "|{}", "---|".repeat(1 + self.versions.len()));
        for (setting, cells) in self.settings.iter().zip(&self.cells) {
            let _ = writeln!(text, "| {setting} | {} |", cells.join(" | "));
        }
        text
    }
}
