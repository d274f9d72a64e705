//! The thread that has the database: does what it is told, keeps the bounds, and goes on when the database
//! fails.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::{debug, warn};

use super::database::{Database, is_damage, is_full};
use super::place::{Unusable, Why, set_aside};
use super::store::{Order, Shared};
use crate::config::HistoryConfig;
use crate::log::{Throttle, suppressed};
use crate::survive::caught;

/// The bounds are kept this often.
const TIDY: Duration = Duration::from_secs(60);

/// The thread's own.
pub(super) struct Work {
    config: HistoryConfig,
    /// None after it was lost; it is tried again when it is time to tidy.
    database: Option<Database>,
    orders: Receiver<Order>,
    shared: Arc<Shared>,
    reports: Throttle,
    crowded: Throttle,
}

impl Work {
    /// Opens the database.
    pub(super) fn new(
        config: HistoryConfig,
        orders: Receiver<Order>,
        shared: Arc<Shared>,
    ) -> Result<Self, Unusable> {
        let database = Some(open(&config)?);
        let (reports, crowded) = (Throttle::default(), Throttle::default());
        let mut work = Self { config, database, orders, shared, reports, crowded };
        work.publish();
        Ok(work)
    }

    pub(super) fn run(mut self) {
        self.examine();
        let mut next = Instant::now();
        loop {
            let now = Instant::now();
            if now >= next {
                self.tidy();
                next = now + TIDY;
            }
            match self.orders.recv_timeout(next.saturating_duration_since(now)) {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => {}
                // The handle is gone, and nothing is left to be done.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.shared.closing.load(Relaxed) {
                while let Ok(order) = self.orders.try_recv() {
                    self.obey(order);
                }
                break;
            }
        }
        let closed = self.database.take().map_or(Ok(()), Database::close);
        if let Err(error) = closed {
            self.failed("close it", &error);
        }
    }

    /// A damaged file is found at the start rather than in the middle of the day.
    fn examine(&mut self) {
        let Some(database) = self.database.as_ref().filter(|_| self.config.file.is_some()) else {
            return;
        };
        match database.is_whole() {
            Ok(true) => {}
            Ok(false) => self.begin_anew("its pages contradict each other"),
            Err(error) => self.failed("examine it", &error),
        }
    }

    fn obey(&mut self, order: Order) {
        self.shared.queued.fetch_sub(order.weight(), Relaxed);
        // A defect must cost one order.
        if caught(|| self.follow(order)).is_none() {
            self.shared.errors.fetch_add(1, Relaxed);
        }
    }

    fn follow(&mut self, order: Order) {
        match order {
            Order::Record(figures) => self.write("write figures", |d| d.record(&figures)),
            Order::Change(changes) => self.write("write", |database| database.apply(&changes)),
            Order::Ask(question) => {
                let answered = self.database.as_ref().map(question);
                if let Some(Err(error)) = answered {
                    self.failed("read it", &error);
                }
            }
            Order::Tidy(done) => {
                self.tidy();
                let _ = done.send(());
            }
            Order::Wake => {}
        }
    }

    fn write(&mut self, what: &str, write: impl Fn(&mut Database) -> rusqlite::Result<()>) {
        let Some(database) = &mut self.database else {
            self.shared.lost.fetch_add(1, Relaxed);
            return;
        };
        let mut written = write(database);
        if written.as_ref().is_err_and(is_full) && database.make_room().is_ok() {
            written = write(database);
        }
        if let Err(error) = written {
            self.shared.lost.fetch_add(1, Relaxed);
            self.failed(what, &error);
        }
        self.publish();
    }

    fn tidy(&mut self) {
        let configured = self.shared.configured.lock();
        let configured = configured.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(config) = configured {
            self.config.keep = config.keep;
            self.config.max_size = config.max_size;
        }
        if self.database.is_none() {
            match open(&self.config) {
                Ok(database) => self.database = Some(database),
                Err(error) => self.report(&error.to_string()),
            }
        }
        let Some(database) = &mut self.database else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let tidied = database.configure(&self.config).and_then(|()| database.tidy(now));
        match tidied.and_then(|()| database.is_crowded()) {
            Ok(false) => {}
            Ok(true) => self.tell_crowded(),
            Err(error) => self.failed("keep it within bounds", &error),
        }
        self.publish();
    }

    fn tell_crowded(&mut self) {
        if let Some(more) = self.crowded.allow(Instant::now()) {
            warn!(
                "history: kept pairs and counts alone take most of comparison.history.max-size ({} bytes): \
                 there is little room for figures and runs; raise it{}",
                self.config.max_size,
                suppressed(more)
            );
        }
    }

    /// Counts and tells a failure; a damaged file is replaced.
    fn failed(&mut self, what: &str, error: &rusqlite::Error) {
        self.shared.errors.fetch_add(1, Relaxed);
        if is_damage(error) {
            self.begin_anew(&error.to_string());
            return;
        }
        let hint = match Why::of_sqlite(error) {
            Why::Full if self.config.file.is_some() => {
                "; its disk is full, or comparison.history.max-size too small for what must be kept"
            }
            Why::Full => "; comparison.history.max-size is too small for what must be kept",
            Why::Locked => "; another process has it locked",
            _ => "",
        };
        self.report(&format!("history: cannot {what}: {error}{hint}; the agent goes on without"));
    }

    fn report(&mut self, what: &str) {
        if let Some(more) = self.reports.allow(Instant::now()) {
            warn!("{what}{}", suppressed(more));
        }
    }

    fn begin_anew(&mut self, why: &str) {
        // In memory nothing is damaged but by a defect.
        let Some(file) = self.config.file.clone() else { return };
        if let Some(Err(error)) = self.database.take().map(Database::close) {
            debug!("history: {error}");
        }
        let replaced = replace(&file, why).and_then(|()| open(&self.config));
        match replaced {
            Ok(database) => self.database = Some(database),
            Err(error) => self.report(&error.to_string()),
        }
        self.publish();
    }

    fn publish(&mut self) {
        let Some(database) = &self.database else { return };
        if let Ok(size) = database.size() {
            self.shared.size.store(size, Relaxed);
        }
        self.shared.max_size.store(database.max_size(), Relaxed);
    }
}

/// Opens the database, or begins a new one in place of one that is damaged.
fn open(config: &HistoryConfig) -> Result<Database, Unusable> {
    match (Database::open(config), &config.file) {
        (Err(Unusable { why: Why::Damaged(why), .. }), Some(file)) => {
            replace(file, &why)?;
            Database::open(config)
        }
        (opened, _) => opened,
    }
}

fn replace(file: &Path, why: &str) -> Result<(), Unusable> {
    let aside = set_aside(file).map_err(|error| Unusable {
        file: file.to_owned(),
        why: Why::Other(format!("it is damaged ({why}), and cannot be moved away: {error}")),
    })?;
    warn!(
        "history: {} is damaged ({why}): it is {} now, and a new one has begun",
        file.display(),
        aside.display()
    );
    Ok(())
}
