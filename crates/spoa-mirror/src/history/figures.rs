//! What the agent did in a stretch of time: numbers by name, so that later versions can add some, and rows
//! that hold only those that are not 0.

use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

/// Names that are remembered; figures under further ones are left out.
const MOST_SERIES: usize = 20_000;

/// A number over time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The target; empty for the agent as a whole.
    pub target: String,
    /// What is counted: `received`, `dropped/queue-full`.
    pub name: String,
}

/// How much, and how two of them make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// They are added up.
    Sum(u64),
    /// The larger one counts.
    Most(u64),
}

/// What the agent did from one moment on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// When that time began, in seconds since 1970.
    pub at: u64,
    /// For so many seconds the agent was there.
    pub seconds: u64,
    /// The numbers; what is missing is 0.
    pub amounts: BTreeMap<Arc<Series>, Amount>,
}

impl Amount {
    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Sum(number) | Self::Most(number) => number,
        }
    }

    fn with(self, other: Self) -> Self {
        match self {
            Self::Sum(number) => Self::Sum(number.saturating_add(other.number())),
            Self::Most(number) => Self::Most(number.max(other.number())),
        }
    }
}

impl Figures {
    /// Sets a number of a target, or of the agent.
    pub fn set(&mut self, target: &str, name: impl Into<String>, amount: Amount) {
        if amount.number() > 0 {
            let series = Series { target: target.to_owned(), name: name.into() };
            self.amounts.insert(Arc::new(series), amount);
        }
    }

    /// A number of a target, or of the agent.
    #[must_use]
    pub fn number(&self, target: &str, name: &str) -> u64 {
        let series = Series { target: target.to_owned(), name: name.to_owned() };
        self.amounts.get(&series).map_or(0, |amount| amount.number())
    }

    /// What came since these counters were taken.
    #[must_use]
    pub(super) fn since(&self, before: &Self) -> Self {
        let more = self.amounts.iter().map(|(series, now)| {
            let amount = match (now, before.amounts.get(series)) {
                (Amount::Sum(now), Some(before)) => {
                    Amount::Sum(now.saturating_sub(before.number()))
                }
                (now, _) => *now,
            };
            (Arc::clone(series), amount)
        });
        Self { amounts: more.filter(|(_, amount)| amount.number() > 0).collect(), ..self.clone() }
    }

    /// Takes in what another stretch brought.
    pub fn add(&mut self, other: Self) {
        self.seconds = self.seconds.saturating_add(other.seconds);
        for (series, amount) in other.amounts {
            match self.amounts.entry(series) {
                Entry::Vacant(entry) => {
                    entry.insert(amount);
                }
                Entry::Occupied(mut entry) => {
                    let both = entry.get().with(amount);
                    entry.insert(both);
                }
            }
        }
    }
}

/// The numbers by which rows name series.
#[derive(Default)]
pub(super) struct Names {
    ids: BTreeMap<Arc<Series>, u64>,
    series: BTreeMap<u64, (Arc<Series>, bool)>,
}

impl Names {
    /// Reads those of a database.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut names = Self::default();
        let mut statement = connection.prepare("SELECT id, target, name, most FROM series")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let series = Series { target: row.get(1)?, name: row.get(2)? };
            names.insert(row.get(0)?, Arc::new(series), row.get(3)?);
        }
        Ok(names)
    }

    fn insert(&mut self, id: u64, series: Arc<Series>, most: bool) {
        self.ids.insert(Arc::clone(&series), id);
        self.series.insert(id, (series, most));
    }

    /// A row's bytes: for each number the distance of its name's to the one before, and the number itself.
    fn encode(&self, amounts: &BTreeMap<Arc<Series>, Amount>) -> Vec<u8> {
        let ids = amounts
            .iter()
            .filter_map(|(series, amount)| self.ids.get(series).map(|&id| (id, amount.number())));
        let mut bytes = Vec::new();
        let mut before = 0;
        for (id, number) in ids.collect::<BTreeMap<_, _>>() {
            put(&mut bytes, id - before);
            put(&mut bytes, number);
            before = id;
        }
        bytes
    }

    fn decode(&self, mut bytes: &[u8]) -> BTreeMap<Arc<Series>, Amount> {
        let mut amounts = BTreeMap::new();
        let mut id = 0_u64;
        while let (Some(more), Some(number)) = (take(&mut bytes), take(&mut bytes)) {
            id = id.saturating_add(more);
            if let Some((series, most)) = self.series.get(&id) {
                let amount = if *most { Amount::Most(number) } else { Amount::Sum(number) };
                amounts.insert(Arc::clone(series), amount);
            }
        }
        amounts
    }

    /// Writes down the names that are new.
    fn learn(
        &mut self,
        connection: &Connection,
        amounts: &BTreeMap<Arc<Series>, Amount>,
    ) -> rusqlite::Result<()> {
        for (series, amount) in amounts {
            if self.ids.contains_key(series) || self.ids.len() >= MOST_SERIES {
                continue;
            }
            let most = matches!(amount, Amount::Most(_));
            let id = connection.query_row(
                "INSERT INTO series (target, name, most) VALUES (?, ?, ?) RETURNING id",
                params![series.target, series.name, most],
                |row| row.get(0),
            )?;
            self.insert(id, Arc::clone(series), most);
        }
        Ok(())
    }
}

/// Adds figures to the row of their time.
pub(super) fn put_row(
    connection: &Connection,
    names: &mut Names,
    step: u64,
    figures: &Figures,
) -> rusqlite::Result<()> {
    names.learn(connection, &figures.amounts)?;
    let there = connection
        .query_row(
            "SELECT seconds, amounts FROM figures WHERE step = ? AND at = ?",
            params![step, figures.at],
            |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)),
        )
        .optional()?;
    let mut sum = figures.clone();
    if let Some((seconds, bytes)) = there {
        sum.add(Figures { at: figures.at, seconds, amounts: names.decode(&bytes) });
    }
    connection.execute(
        "INSERT OR REPLACE INTO figures (step, at, seconds, amounts) VALUES (?, ?, ?, ?)",
        params![step, sum.at, sum.seconds, names.encode(&sum.amounts)],
    )?;
    Ok(())
}

/// Gives the rows of a step that begin in this time, the oldest first and no more than `most`, to `take`.
pub(super) fn each_row(
    connection: &Connection,
    names: &Names,
    step: u64,
    (from, until): (u64, u64),
    most: u32,
    mut take: impl FnMut(Figures),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT at, seconds, amounts FROM figures WHERE step = ? AND at >= ? AND at < ? ORDER BY at LIMIT ?",
    )?;
    let mut rows = statement.query(params![step, from, until, most])?;
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(2)?.as_blob().unwrap_or_default();
        take(Figures { at: row.get(0)?, seconds: row.get(1)?, amounts: names.decode(bytes) });
    }
    Ok(())
}

/// Seven bits a byte, the lowest first; the last byte has its highest bit clear.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
