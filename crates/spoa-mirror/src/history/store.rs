//! The handle on history: hands commands to the thread that has the database, and brings back its answers.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::QUEUED;
use super::database::{Database, FinishedRun, KeptRun, RunReport};
use super::figures::Figures;
use super::place::{Unusable, Why};
use super::thread::Work;
use crate::config::{Config, HistoryConfig};

/// Commands that may wait.
const CHANNEL: usize = 1024;

/// An answer is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// At the end, what waits to be written is waited for no longer.
const LAST: Duration = Duration::from_secs(5);

/// Runs in one answer.
const MOST_RUNS: u32 = 100;

/// What a command takes besides what it holds, and a figure besides its name, in bytes.
const COMMAND: usize = 256;
const FIGURE: usize = 128;

/// The agent's memory. All clones are the same.
#[derive(Clone, Default)]
pub struct History {
    /// None where nothing is kept: then what is written is gone, and nothing is found.
    inner: Option<Arc<Inner>>,
}

struct Inner {
    orders: SyncSender<Order>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// What handle and thread both see.
#[derive(Default)]
pub(super) struct Shared {
    /// Other bounds, until the thread takes notice.
    pub(super) configured: Mutex<Option<HistoryConfig>>,
    pub(super) closing: AtomicBool,
    /// Bytes of commands that wait.
    pub(super) queued: AtomicUsize,
    pub(super) size: AtomicU64,
    pub(super) max_size: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) errors: AtomicU64,
}

/// What the thread is to do.
pub(super) enum Order {
    Record(Figures),
    Change(Changes),
    Ask(Question),
    Tidy(oneshot::Sender<()>),
    /// Look whether it is time to close.
    Wake,
}

/// Tells its answer itself, if there is one.
pub(super) type Question = Box<dyn FnOnce(&Database) -> rusqlite::Result<()> + Send>;

/// An order, and the bytes that it takes.
impl Order {
    pub(super) fn weight(&self) -> usize {
        let held = match self {
            Self::Record(figures) => figures.amounts.len() * FIGURE,
            Self::Change(changes) => changes.weight(),
            Self::Ask(_) | Self::Tidy(_) | Self::Wake => 0,
        };
        held + COMMAND
    }
}

/// How history stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// The database's size in bytes, without the write-ahead log.
    pub size: u64,
    /// What it may grow to.
    pub max_size: u64,
    /// Writes that were given up: too many at once, or the database failed.
    pub lost: u64,
    /// What the database failed to do.
    pub errors: u64,
}

/// There is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// Too much is to be done already.
    Busy,
    /// None came in time.
    Late,
    /// The database failed; the log says how.
    Failed,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the history has too much to do now; try again",
            Self::Late => "the history did not answer in time; try again",
            Self::Failed => "the history cannot be read; the log says why",
        })
    }
}

impl std::error::Error for Unread {}

/// What is written in one step: after a crash all of it is there, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub(super) kept_samples: Option<Vec<u64>>,
    pub(super) samples: Vec<(u64, String)>,
    pub(super) states: Vec<(String, Option<Vec<u8>>)>,
    pub(super) runs: Vec<FinishedRun>,
}

impl Changes {
    /// Forgets every sample but these, and those that are put in the same step.
    #[must_use]
    pub fn forget_samples_except(mut self, ids: &[u64]) -> Self {
        self.kept_samples = Some(ids.to_vec());
        self
    }

    /// Keeps a pair, as JSON.
    #[must_use]
    pub fn put_sample(mut self, id: u64, json: String) -> Self {
        self.samples.push((id, json));
        self
    }

    /// Keeps bytes under a name, in place of what was under it.
    #[must_use]
    pub fn save(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.states.push((name.to_owned(), Some(bytes)));
        self
    }

    /// Forgets what was kept under a name.
    #[must_use]
    pub fn forget(mut self, name: &str) -> Self {
        self.states.push((name.to_owned(), None));
        self
    }

    /// Keeps a run that has ended.
    #[must_use]
    pub fn finish_run(mut self, run: FinishedRun) -> Self {
        self.runs.push(run);
        self
    }

    fn weight(&self) -> usize {
        let samples = self.samples.iter().map(|(_, json)| json.len());
        let states =
            self.states.iter().map(|(name, bytes)| name.len() + bytes.as_ref().map_or(0, Vec::len));
        let runs = self.runs.iter().map(|run| run.target.len() + run.name.len() + run.report.len());
        let parts = samples.chain(states).chain(runs).map(|bytes| bytes + COMMAND).sum::<usize>();
        parts + self.kept_samples.as_ref().map_or(0, |ids| size_of_val(ids.as_slice()))
    }
}

impl History {
    /// Opens what is configured; begins a new one if there is none, or if it is damaged.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(config: &HistoryConfig) -> Result<Self, Unusable> {
        let mut config = config.clone();
        // The program may go to another directory later.
        config.file = config.file.map(|file| std::path::absolute(&file).unwrap_or(file));
        let shared = Arc::<Shared>::default();
        let (give, orders) = sync_channel(CHANNEL);
        let file = config.file.clone().unwrap_or_default();
        let work = Work::new(config, orders, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new().name("history".to_owned());
        let thread = thread.spawn(move || work.run()).map_err(|error| Unusable {
            file,
            why: Why::Other(format!("no thread can be started: {error}")),
        })?;
        Ok(Self { inner: Some(Arc::new(Inner { orders: give, shared, thread })) })
    }

    /// What this configuration wants: nothing is kept in memory where nobody could ask for it.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn wanted(config: &Config) -> Result<Self, Unusable> {
        if !is_wanted(config) {
            return Ok(Self::off());
        }
        Self::open(&config.comparison.history)
    }

    /// Keeps nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Has other bounds; the file stays. Takes effect within a minute.
    pub fn configure(&self, config: &HistoryConfig) {
        if let Some(inner) = &self.inner {
            let configured = inner.shared.configured.lock();
            *configured.unwrap_or_else(PoisonError::into_inner) = Some(config.clone());
        }
    }

    /// Writes the figures of the last seconds. Never waits: what finds no room is lost, and counted.
    pub fn record(&self, figures: Figures) {
        self.send(Order::Record(figures));
    }

    /// Makes changes, all of them or none. Never waits; gives whether they will be made if the database does
    /// not fail. Those that find no room are lost, and counted.
    #[allow(clippy::must_use_candidate, reason = "what is lost is counted already")]
    pub fn write(&self, changes: Changes) -> bool {
        self.send(Order::Change(changes))
    }

    /// A pair, as JSON.
    ///
    /// # Errors
    /// It cannot be read now.
    pub async fn sample(&self, id: u64) -> Result<Option<String>, Unread> {
        self.ask(move |database| database.sample(id)).await
    }

    /// What was saved under a name.
    ///
    /// # Errors
    /// It cannot be read now.
    pub async fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Unread> {
        let name = name.to_owned();
        self.ask(move |database| database.load(&name)).await
    }

    /// What was saved under a name, for a thread without an event loop. Waits as long as [`History::load`]: five
    /// seconds at most.
    ///
    /// # Errors
    /// It cannot be read now.
    pub fn load_blocking(&self, name: &str) -> Result<Option<Vec<u8>>, Unread> {
        let name = name.to_owned();
        let Some(mut told) = self.question(move |database| database.load(&name))? else {
            return Ok(None);
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match told.try_recv() {
                Ok(answer) => return Ok(answer),
                Err(oneshot::error::TryRecvError::Closed) => return Err(Unread::Failed),
                Err(_) if Instant::now() >= deadline => return Err(Unread::Late),
                Err(_) => std::thread::park_timeout(Duration::from_millis(1)),
            }
        }
    }

    /// Runs that have ended, the newest first, 100 at most: the last ones, or those before the run `before`.
    ///
    /// # Errors
    /// They cannot be read now.
    pub async fn runs(&self, before: Option<u64>) -> Result<Vec<KeptRun>, Unread> {
        self.ask(move |database| database.runs(before, MOST_RUNS)).await
    }

    /// A run that has ended, and its report.
    ///
    /// # Errors
    /// It cannot be read now.
    pub async fn run(&self, id: u64) -> Result<Option<RunReport>, Unread> {
        self.ask(move |database| database.run(id)).await
    }

    /// The figures from one time until another, in seconds since 1970, in stretches of `width` seconds. Those
    /// that the agent was not there for are missing.
    ///
    /// # Errors
    /// They cannot be read now.
    pub async fn figures(&self, from: u64, until: u64, width: u64) -> Result<Vec<Figures>, Unread> {
        self.ask(move |database| database.figures((from, until), width)).await
    }

    /// How it stands; none where nothing is kept.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        let shared = &self.inner.as_ref()?.shared;
        Some(Standing {
            size: shared.size.load(Relaxed),
            max_size: shared.max_size.load(Relaxed),
            lost: shared.lost.load(Relaxed),
            errors: shared.errors.load(Relaxed),
        })
    }

    /// Applies the bounds now instead of within a minute.
    ///
    /// # Errors
    /// It could not be done now.
    pub async fn tidy(&self) -> Result<(), Unread> {
        let Some(inner) = &self.inner else { return Ok(()) };
        let (tell, told) = oneshot::channel();
        inner.send(Order::Tidy(tell)).map_err(|()| Unread::Busy)?;
        answer(told).await
    }

    /// Writes what waits to be written, and closes the file. Takes five seconds at most.
    pub async fn close(&self) {
        let Some(inner) = &self.inner else { return };
        inner.shared.closing.store(true, Relaxed);
        // With no room for it, the thread is awake anyway.
        let _ = inner.orders.try_send(Order::Wake);
        let deadline = Instant::now() + LAST;
        while !inner.thread.is_finished() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if !inner.thread.is_finished() {
            tracing::warn!("the history was not closed in time: what was written last may be lost");
        }
    }

    fn send(&self, order: Order) -> bool {
        let Some(inner) = &self.inner else { return true };
        let sent = inner.send(order);
        if sent.is_err() {
            inner.shared.lost.fetch_add(1, Relaxed);
        }
        sent.is_ok()
    }

    async fn ask<T: Default + Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Unread> {
        match self.question(read)? {
            Some(told) => answer(told).await,
            None => Ok(T::default()),
        }
    }

    /// None where nothing is kept.
    fn question<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Option<oneshot::Receiver<T>>, Unread> {
        let Some(inner) = &self.inner else { return Ok(None) };
        let (tell, told) = oneshot::channel();
        let question: Question = Box::new(move |database| {
            if !tell.is_closed() {
                let _ = tell.send(read(database)?);
            }
            Ok(())
        });
        inner.send(Order::Ask(question)).map_err(|()| Unread::Busy)?;
        Ok(Some(told))
    }
}

impl Inner {
    fn send(&self, order: Order) -> Result<(), ()> {
        let weight = order.weight();
        let queued = &self.shared.queued;
        if queued.fetch_add(weight, Relaxed).saturating_add(weight) <= QUEUED
            && self.orders.try_send(order).is_ok()
        {
            return Ok(());
        }
        queued.fetch_sub(weight, Relaxed);
        Err(())
    }
}

/// Whether anything is kept.
pub(crate) fn is_wanted(config: &Config) -> bool {
    config.comparison.history.file.is_some() || !config.admin.listen.is_empty()
}

async fn answer<T>(told: oneshot::Receiver<T>) -> Result<T, Unread> {
    match tokio::time::timeout(PATIENCE, told).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Unread::Failed),
        Err(_) => Err(Unread::Late),
    }
}
