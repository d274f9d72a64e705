//! Data plane threads. Each has an event loop of its own and shares nothing with the others but
//! bounded channels and the targets' limits.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use slab::Slab;
use spop_proto::{Disconnect, Error, Settings, Status};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tracing::{debug, warn};

use super::connection;
use super::engines::{Engine, Engines};
use super::lineup::{Lineup, Route};
use super::stream::Accepted;
use crate::config::LogConfig;
use crate::exchange::Incomplete;
use crate::log::{CopyLog, Sink, Throttle, suppressed};
use crate::outcome::{SpopTally, Tally};
use crate::policy::sample::Chance;
use crate::survive::caught;
use crate::target;

/// Timeouts and ages are looked at this often.
const SWEEP: Duration = Duration::from_millis(100);

/// Bytes of one read from HAProxy.
pub(crate) const SCRATCH: usize = 64 * 1024;

/// A connection that was idle for so many sweeps may have to make room for others.
const IDLE_SWEEPS: u64 = 3;

/// Orders that may wait for a worker.
const ORDERS: usize = 1024;

/// Distinct causes of incomplete messages that are told apart.
const MAX_CAUSES: usize = 64;

/// Reports of protocol errors that pass at once, and how fast the allowance comes back.
const ERROR_BURST: u32 = 20;
const ERROR_REFILL: Duration = Duration::from_secs(1);

/// What all workers are made from.
pub struct Plan {
    /// What is accepted from HAProxy.
    pub settings: Settings,
    /// Where requests go at first.
    pub route: Route,
    /// Where logs go.
    pub sink: Sink,
    /// How.
    pub log: LogConfig,
    /// When the program started.
    pub started: Instant,
    /// SPOP connections held at once, over all workers.
    pub max_connections: usize,
}

/// The counters of some workers, each taken between two of its events.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The SPOP side.
    pub spop: SpopTally,
    /// Each target by name, those included that a reload took away.
    pub targets: BTreeMap<String, Tally>,
    /// Workers that answered in time.
    pub workers: usize,
    /// Workers that there are.
    pub all_workers: usize,
    /// The HAProxy engines that are connected.
    pub engines: Vec<Engine>,
    /// Connections that were closed because there was no room for them.
    pub refused: u64,
    /// SPOP connections that may be open at once.
    pub max_connections: usize,
    /// Log lines, and blocks of lines, that were dropped.
    pub lost_lines: u64,
}

impl Snapshot {
    fn add(&mut self, other: &Self) {
        self.spop.add(&other.spop);
        self.workers += other.workers;
        for (name, more) in &other.targets {
            self.targets.entry(name.clone()).or_default().add(more);
        }
    }
}

enum Order {
    Serve(Accepted, String),
    Snapshot(oneshot::Sender<Snapshot>),
    Route(Arc<Route>, oneshot::Sender<Snapshot>),
    WindDown { deadline: Instant, hurry: Arc<AtomicBool>, done: oneshot::Sender<Snapshot> },
}

/// The workers' threads.
pub struct Workers {
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
}

/// A way to reach the workers.
#[derive(Clone)]
pub struct Handle {
    workers: Arc<[Remote]>,
    max_connections: usize,
    sink: Sink,
    refused: Arc<Refused>,
    engines: Arc<Engines>,
}

/// Connections that there was no room for.
#[derive(Default)]
struct Refused {
    count: AtomicU64,
    reports: Mutex<Throttle>,
}

struct Remote {
    orders: mpsc::Sender<Order>,
    load: Arc<Load>,
}

/// How busy a worker is with SPOP connections.
#[derive(Default)]
struct Load {
    /// Connections that it serves or is about to.
    connections: AtomicUsize,
    /// There is no room for more: those that are not used are to leave.
    crowded: AtomicBool,
}

impl Workers {
    /// Starts `count` workers.
    ///
    /// # Errors
    /// A thread or its event loop cannot be made.
    pub fn start(plan: Plan, count: usize) -> io::Result<Self> {
        let plan = Arc::new(plan);
        let reported = Arc::new(Mutex::new(HashSet::new()));
        let engines = Arc::<Engines>::default();
        let mut threads = Vec::new();
        let mut remotes = Vec::new();
        for number in 1..=count {
            let (orders, queue) = mpsc::channel(ORDERS);
            let load = Arc::<Load>::default();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (plan, reported) = (Arc::clone(&plan), Arc::clone(&reported));
            let worker_engines = Arc::clone(&engines);
            let worker_load = Arc::clone(&load);
            let thread =
                std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                    let worker = Worker::new(&plan, number, worker_load, reported, worker_engines);
                    let worker = Rc::new(worker);
                    LocalSet::new().block_on(&runtime, work(worker, queue));
                })?;
            threads.push(thread);
            remotes.push(Remote { orders, load });
        }
        let handle = Handle {
            workers: remotes.into(),
            max_connections: plan.max_connections,
            sink: plan.sink.clone(),
            refused: Arc::default(),
            engines,
        };
        Ok(Self { handle, threads })
    }

    /// A way to reach the workers from elsewhere.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Takes leave of HAProxy, gives copies under way until `deadline` or until `hurry` is set,
    /// ends the workers, and gives the final counters.
    pub async fn wind_down(self, deadline: Instant, hurry: Arc<AtomicBool>) -> Snapshot {
        let order = |done| Order::WindDown { deadline, hurry: Arc::clone(&hurry), done };
        let snapshot = self.handle.ask(order, Duration::from_secs(3600)).await;
        drop(self.handle);
        for thread in self.threads {
            // The worker has answered: it is on its last lines.
            let _ = thread.join();
        }
        snapshot
    }
}

impl Handle {
    /// Gives a connection to the worker that has the fewest.
    pub(super) fn hand_over(&self, accepted: Accepted, peer: String) {
        let total: usize =
            self.workers.iter().map(|worker| worker.load.connections.load(Relaxed)).sum();
        let least = self.workers.iter().min_by_key(|worker| worker.load.connections.load(Relaxed));
        let taken = least.filter(|_| total < self.max_connections).is_some_and(|worker| {
            worker.load.connections.fetch_add(1, Relaxed);
            let sent = worker.orders.try_send(Order::Serve(accepted, peer)).is_ok();
            if !sent {
                worker.load.connections.fetch_sub(1, Relaxed);
            }
            sent
        });
        if !taken {
            // HAProxy will try again, and at once.
            self.workers.iter().for_each(|worker| worker.load.crowded.store(true, Relaxed));
            self.refused.count.fetch_add(1, Relaxed);
            let now = Instant::now();
            if let Some(more) = self.refused.reports.lock().ok().and_then(|mut t| t.allow(now)) {
                warn!(
                    "a connection from HAProxy was closed: {total} are open, and no more than {} \
                     fit the limit of file descriptors (`ulimit -n`){}",
                    self.max_connections,
                    suppressed(more)
                );
            }
        }
    }

    /// The counters of all workers. One that does not answer within a second is left out; see
    /// [`Snapshot::workers`].
    pub async fn snapshot(&self) -> Snapshot {
        self.ask(Order::Snapshot, Duration::from_secs(1)).await
    }

    /// Has all workers take requests elsewhere; done when they do.
    pub async fn route(&self, route: Route) {
        let route = Arc::new(route);
        self.ask(|done| Order::Route(Arc::clone(&route), done), Duration::from_secs(60)).await;
    }

    async fn ask(
        &self,
        order: impl Fn(oneshot::Sender<Snapshot>) -> Order,
        patience: Duration,
    ) -> Snapshot {
        let mut answers = Vec::new();
        for worker in self.workers.iter() {
            let (tell, told) = oneshot::channel();
            if worker.orders.send(order(tell)).await.is_ok() {
                answers.push(told);
            }
        }
        let mut sum = Snapshot {
            engines: self.engines.list(),
            refused: self.refused.count.load(Relaxed),
            max_connections: self.max_connections,
            lost_lines: self.sink.lost(),
            all_workers: self.workers.len(),
            ..Snapshot::default()
        };
        for answer in answers {
            if let Ok(Ok(snapshot)) = tokio::time::timeout(patience, answer).await {
                sum.add(&snapshot);
            }
        }
        sum
    }
}

/// One worker, as its connections see it.
pub(super) struct Worker {
    pub(super) settings: Settings,
    pub(super) lineup: Lineup,
    pub(super) chance: Chance,
    /// From 1.
    pub(super) number: usize,
    /// Where HAProxy's bytes are read into.
    pub(super) scratch: RefCell<Box<[u8]>>,
    pub(super) tally: RefCell<SpopTally>,
    pub(super) engines: Arc<Engines>,
    context: Rc<target::Context>,
    connections: RefCell<Slab<Seat>>,
    /// Sweeps so far: a clock that costs nothing to read.
    sweeps: Cell<u64>,
    winding_down: Cell<bool>,
    load: Arc<Load>,
    incomplete_seen: RefCell<HashSet<Cause>>,
    incomplete_reported: Arc<Mutex<HashSet<Cause>>>,
    errors: RefCell<ErrorReports>,
}

/// What a worker knows of one of its connections.
struct Seat {
    /// Whom to wake when the connection is to take leave.
    waker: Option<Waker>,
    /// The sweep in which HAProxy last sent something.
    used: u64,
    /// It makes room for another.
    leaves: bool,
}

impl Seat {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// A message's name and what it lacks.
type Cause = (Vec<u8>, Incomplete);

/// How many protocol errors may be reported one by one.
struct ErrorReports {
    allowance: u32,
    refilled: Instant,
    suppressed: u64,
}

impl Worker {
    fn new(
        plan: &Plan,
        number: usize,
        load: Arc<Load>,
        incomplete_reported: Arc<Mutex<HashSet<Cause>>>,
        engines: Arc<Engines>,
    ) -> Self {
        let log = CopyLog::new(plan.sink.clone(), &plan.log, number, plan.started);
        let context = Rc::new(target::Context::new(log));
        Self {
            settings: plan.settings.clone(),
            lineup: Lineup::new(&plan.route, Rc::clone(&context)),
            chance: Chance::new(),
            number,
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            tally: RefCell::default(),
            engines,
            context,
            connections: RefCell::default(),
            sweeps: Cell::new(0),
            winding_down: Cell::new(false),
            load,
            incomplete_seen: RefCell::default(),
            incomplete_reported,
            errors: RefCell::new(ErrorReports {
                allowance: ERROR_BURST,
                refilled: Instant::now(),
                suppressed: 0,
            }),
        }
    }

    /// Counts a connection in; gives its key.
    pub(super) fn enter(&self) -> usize {
        let mut tally = self.tally.borrow_mut();
        tally.connections += 1;
        tally.open += 1;
        let seat = Seat { waker: None, used: self.sweeps.get(), leaves: false };
        self.connections.borrow_mut().insert(seat)
    }

    /// Counts a connection out.
    pub(super) fn leave(&self, key: usize) {
        self.tally.borrow_mut().open -= 1;
        self.connections.borrow_mut().try_remove(key);
        self.load.connections.fetch_sub(1, Relaxed);
    }

    /// Notes that a connection is in use, and whom to wake when it is to take leave.
    pub(super) fn watch(&self, key: usize, waker: &Waker) {
        if let Some(seat) = self.connections.borrow_mut().get_mut(key) {
            seat.used = self.sweeps.get();
            if seat.waker.as_ref().is_none_or(|known| !known.will_wake(waker)) {
                seat.waker = Some(waker.clone());
            }
        }
    }

    /// Whether a connection is to take leave of HAProxy.
    pub(super) fn takes_leave(&self, key: usize) -> bool {
        self.winding_down.get() || self.connections.borrow().get(key).is_some_and(|s| s.leaves)
    }

    /// Has the connection that was idle longest take leave, if one was for a while.
    fn make_room(&self) {
        let mut connections = self.connections.borrow_mut();
        let seats = connections.iter_mut().map(|(_, seat)| seat);
        let idlest = seats.filter(|seat| !seat.leaves).min_by_key(|seat| seat.used);
        if let Some(seat) = idlest.filter(|s| s.used + IDLE_SWEEPS < self.sweeps.get()) {
            seat.leaves = true;
            seat.wake();
        }
    }

    /// Says once, for each distinct cause, why messages are not copied.
    pub(super) fn report_incomplete(&self, message: &[u8], incomplete: Incomplete) {
        let cause = (message.to_vec(), incomplete);
        let mut seen = self.incomplete_seen.borrow_mut();
        if seen.len() >= MAX_CAUSES || !seen.insert(cause.clone()) {
            return;
        }
        let first = self.incomplete_reported.lock().is_ok_and(|mut all| all.insert(cause));
        if first {
            warn!(
                "message \"{}\" is not mirrored: {incomplete} (said once)",
                message.escape_ascii()
            );
        }
    }

    /// One line for a connection that broke the protocol; summed up when there are many.
    pub(super) fn report_protocol_error(&self, peer: &str, error: &Error) {
        self.tally.borrow_mut().protocol_errors.count(error.status());
        let mut reports = self.errors.borrow_mut();
        if reports.refilled.elapsed() >= ERROR_REFILL {
            reports.refilled = Instant::now();
            reports.allowance = ERROR_BURST;
        }
        if reports.allowance == 0 {
            reports.suppressed += 1;
            return;
        }
        reports.allowance -= 1;
        let more = std::mem::take(&mut reports.suppressed);
        warn!(
            "{peer}: {error}; the connection is closed with status {} ({}){}",
            error.status().code(),
            error.status().text(),
            suppressed(more)
        );
    }

    /// HAProxy's reasons to close are ordinary, except those that say that it and we disagree.
    pub(super) fn report_disconnect(&self, peer: &str, disconnect: &Disconnect<'_>) {
        self.tally.borrow_mut().disconnects.count(disconnect.status);
        let text = disconnect.message.escape_ascii();
        match disconnect.status {
            Status::Normal | Status::Io | Status::Timeout => {
                debug!("{peer}: HAProxy closes the connection: {text}");
            }
            status => {
                warn!("{peer}: HAProxy closes the connection, status {}: {text}", status.code());
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            spop: self.tally.borrow().clone(),
            targets: self.lineup.tallies(),
            workers: 1,
            ..Snapshot::default()
        }
    }

    fn sweep(&self) {
        self.sweeps.set(self.sweeps.get() + 1);
        self.lineup.sweep(Instant::now());
        if self.load.crowded.swap(false, Relaxed) {
            self.make_room();
        }
        self.context.log.borrow_mut().flush();
    }

    fn is_done(&self) -> bool {
        self.connections.borrow().is_empty() && self.lineup.is_done()
    }
}

/// A worker's life.
async fn work(worker: Rc<Worker>, mut orders: mpsc::Receiver<Order>) {
    let sweeper = Rc::clone(&worker);
    spawn_local(async move {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Timeouts must go on.
            let _ = caught(|| sweeper.sweep());
        }
    });
    while let Some(order) = orders.recv().await {
        match order {
            Order::Serve(accepted, peer) => {
                spawn_local(connection::serve(Rc::clone(&worker), accepted, peer));
            }
            Order::Snapshot(tell) => {
                let _ = tell.send(worker.snapshot());
            }
            Order::Route(route, done) => {
                if caught(|| worker.lineup.change(&route)).is_some() {
                    let _ = done.send(worker.snapshot());
                }
            }
            Order::WindDown { deadline, hurry, done } => {
                let ending = wind_down(&worker, deadline, &hurry);
                tokio::pin!(ending);
                loop {
                    tokio::select! {
                        () = &mut ending => break,
                        Some(order) = orders.recv() => {
                            if let Order::Snapshot(tell) = order {
                                let _ = tell.send(worker.snapshot());
                            }
                        }
                    }
                }
                let _ = done.send(worker.snapshot());
                return;
            }
        }
    }
}

/// Lets connections take their leave and copies come to their end, until `deadline` or `hurry`.
async fn wind_down(worker: &Rc<Worker>, deadline: Instant, hurry: &AtomicBool) {
    // A round of the event loop: what HAProxy sent before this is read, and acknowledged, first.
    tokio::time::sleep(Duration::from_millis(1)).await;
    worker.winding_down.set(true);
    for (_, seat) in worker.connections.borrow().iter() {
        seat.wake();
    }
    while !worker.is_done() && Instant::now() < deadline && !hurry.load(Relaxed) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    worker.lineup.give_up();
    worker.context.log.borrow_mut().flush();
}
