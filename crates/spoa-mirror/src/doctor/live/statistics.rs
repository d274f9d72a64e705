//! Reads what the Runtime API tells in tables: `show stat`, `show servers state`.

use std::collections::HashMap;

/// The agent's usual port.
const USUAL_PORT: &str = "12345";

/// A line of `show stat`: the columns that are looked at.
pub(super) type Row = HashMap<&'static str, String>;

/// Those of some hundred columns that are looked at. Of the others nothing is kept.
const COLUMNS: &[&str] = &[
    "pxname",
    "svname",
    "type",
    "mode",
    "status",
    "check_status",
    "check_duration",
    "last_chk",
    "lastchg",
    "scur",
    "smax",
    "stot",
    "qcur",
    "econ",
    "eresp",
    "wretr",
];

/// Of a longer cell only the beginning is kept, in bytes: a name of HAProxy's may have this many.
const MAX_CELL: usize = 256;

/// More servers than this are not looked at.
const MAX_ROWS: usize = 100_000;

/// The lines of `show stat`, each by its columns.
pub(super) fn rows(csv: &str) -> Vec<Row> {
    let mut lines = csv.lines().filter(|line| !line.is_empty());
    let Some(header) = lines.next().and_then(|line| line.strip_prefix("# ")) else {
        return Vec::new();
    };
    let names: Vec<String> = cells(header).collect();
    let position =
        |column: &&'static str| Some((names.iter().position(|name| name == column)?, *column));
    let wanted: HashMap<usize, &'static str> = COLUMNS.iter().filter_map(position).collect();
    let row = |line| {
        let cells = cells(line).enumerate();
        cells.filter_map(|(index, cell)| Some((*wanted.get(&index)?, cell))).collect()
    };
    lines.take(MAX_ROWS).map(row).collect()
}

/// The cells of a line: HAProxy quotes those with a comma or a quote in them, and doubles the quotes.
fn cells(line: &str) -> impl Iterator<Item = String> {
    let mut characters = line.chars().peekable();
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let (mut cell, mut quoted) = (String::new(), false);
        loop {
            let character = match characters.next() {
                Some('"') if quoted && characters.peek() == Some(&'"') => characters.next(),
                Some('"') => {
                    quoted = !quoted;
                    continue;
                }
                Some(',') if !quoted => return Some(cell),
                other => other,
            };
            match character {
                Some(character) if cell.len() < MAX_CELL => cell.push(character),
                Some(_) => {}
                None => {
                    ended = true;
                    return Some(cell);
                }
            }
        }
    })
}

/// The backends that have a server on the agent's usual port, out of `show servers state`.
pub(super) fn on_usual_port(state: &str) -> Vec<String> {
    let mut lines = state.lines().skip_while(|line| !line.starts_with('#'));
    let Some(header) = lines.next() else { return Vec::new() };
    let names: Vec<&str> = header.trim_start_matches("# ").split(' ').collect();
    let column = |name: &str| names.iter().position(|other| *other == name);
    let (Some(backend), Some(port)) = (column("be_name"), column("srv_port")) else {
        return Vec::new();
    };
    let rows = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    let rows = rows.filter(|row| row.get(port) == Some(&USUAL_PORT));
    rows.filter_map(|row| row.get(backend).map(|name| (*name).to_owned())).collect()
}

/// The cell of a column; empty without one.
pub(super) fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_with_their_quotes() {
        let csv =
            "# pxname,svname,status,last_chk,\nmirror,a1,DOWN 1/2,\"no, it said \"\"no\"\"\",\n\n";
        let rows = rows(csv);
        assert_eq!(rows.len(), 1);
        assert_eq!(text(&rows[0], "status"), "DOWN 1/2");
        assert_eq!(text(&rows[0], "last_chk"), "no, it said \"no\"");
        assert_eq!(text(&rows[0], "missing"), "");
        assert!(super::rows("what is this?").is_empty());
        assert!(super::rows("").is_empty());
    }
}
