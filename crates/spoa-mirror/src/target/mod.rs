//! One target as one worker sees it: it takes copies, lets a bounded number of them wait, and sends
//! them over connections of its own.
//!
//! Nothing here waits. A copy that comes while a connection is idle is written to it at once, on
//! the task that read it from HAProxy; otherwise it is queued, or dropped with its reason.

mod address;
mod answer;
mod connect;
mod h1;
mod h2;
mod keep;
pub mod limits;
mod live;
pub mod plan;
pub mod request;
pub mod resolve;
pub mod response;
mod tls;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::task::spawn_local;
use tracing::{debug, warn};

use crate::config::{Marker, TargetConfig};
use crate::exchange::{Completeness, Exchange};
use crate::log::{CopyLine, CopyLog, RequestId, Throttle, suppressed};
use crate::outcome::{Answer, DropClass, DropReason, Failure, Tally};
use crate::policy::rewrite::Rewriter;
use crate::policy::{self, Approval, Request, Rules};

use answer::Settled;
use connect::{ConnectError, Connector, Link};
use request::Layout;

pub use live::{Live, Overrides};
pub use plan::Planned;
pub use tls::client_config;

/// What all workers share about a target.
#[derive(Debug)]
pub struct Shared {
    /// The target's configuration.
    pub config: TargetConfig,
    /// How copies are marked.
    pub marker: Marker,
    /// Scheme, host and port, as log lines show them.
    pub origin: String,
    /// What alters its copies.
    rewriter: Option<Rewriter>,
    /// The settings that may change while the target works.
    pub live: Live,
    in_flight: AtomicUsize,
    queued: AtomicUsize,
    queued_bytes: AtomicUsize,
    body_hint_given: AtomicBool,
}

impl Shared {
    /// A target that nothing was sent to yet.
    #[must_use]
    pub fn new(config: TargetConfig, marker: Marker) -> Self {
        Self {
            origin: config.url.origin(),
            rewriter: Rewriter::new(&config),
            live: Live::new(&config),
            config,
            marker,
            in_flight: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            body_hint_given: AtomicBool::new(false),
        }
    }

    /// Copies under way now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Bytes of the copies that wait now.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Relaxed)
    }
}

/// What everything on one worker shares. Buffers are lent out for the length of one read.
pub struct Context {
    /// Where answers are read into.
    scratch: RefCell<Box<[u8]>>,
    /// Where decrypted answers are read into.
    plaintext: RefCell<Box<[u8]>>,
    /// The lines about copies.
    pub log: RefCell<CopyLog>,
}

/// What each worker keeps for reading answers, in bytes.
pub(crate) const WORKER_BYTES: usize = 2 * SCRATCH;
/// What an HTTP/1 connection holds at most besides a copy and TLS, in bytes: an answer's head, a buffer
/// for the next copy.
pub(crate) const CONNECTION_BYTES: usize = response::MAX_HEAD + h1::KEEP_BUFFER;
/// HTTP/2 connections that each worker keeps to a target.
pub(crate) const HTTP2_CONNECTIONS: usize = h2::MAX_CONNECTIONS;
/// Copies under way on each of them.
pub(crate) const HTTP2_STREAMS: usize = h2::MAX_STREAMS;

/// Bytes of one read from a target.
const SCRATCH: usize = 32 * 1024;

impl Context {
    /// Buffers for a worker that logs to `log`.
    #[must_use]
    pub fn new(log: CopyLog) -> Self {
        Self {
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            plaintext: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            log: RefCell::new(log),
        }
    }
}

/// A copy, written out.
#[derive(Debug)]
struct Copy {
    bytes: Vec<u8>,
    layout: Layout,
    since: Instant,
    /// How often it was tried and came back unread.
    resent: u8,
    /// What HAProxy calls the request, for the log.
    id: Option<Box<RequestId>>,
}

impl Copy {
    fn is_head(&self) -> bool {
        self.bytes.get(self.layout.method.clone()) == Some(b"HEAD")
    }
}

/// Connections that may come about at once on one worker: a dead target costs no more.
const MAX_CONNECTING: usize = 32;

/// One worker's side of a target.
pub struct Target {
    shared: Arc<Shared>,
    context: Rc<Context>,
    rules: Rules,
    connector: Rc<Connector>,
    state: RefCell<State>,
}

struct State {
    tally: Tally,
    queue: VecDeque<Copy>,
    /// Every HTTP/1 connection, whatever it does.
    connections: Slab<Rc<h1::Connection>>,
    /// Those that carry nothing, the one used last at the end.
    idle: Vec<Rc<h1::Connection>>,
    h2: Vec<Rc<h2::Connection>>,
    connecting: usize,
    ending: bool,
    /// No connection is needed any more.
    closed: bool,
    failures: [Throttle; Failure::ALL.len()],
    drops: [Throttle; DropReason::ALL.len()],
}

impl Target {
    /// A target without connections. `tls` is needed for an `https` URL; `addresses` are kept up to
    /// date by [`resolve::keep`].
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        context: Rc<Context>,
        tls: Option<Arc<rustls::ClientConfig>>,
        addresses: resolve::Addresses,
    ) -> Rc<Self> {
        Rc::new(Self {
            rules: Rules::new(&shared.config),
            connector: Rc::new(Connector::new(Arc::clone(&shared), tls, addresses)),
            shared,
            context,
            state: RefCell::new(State {
                tally: Tally::default(),
                queue: VecDeque::new(),
                connections: Slab::new(),
                idle: Vec::new(),
                h2: Vec::new(),
                connecting: 0,
                ending: false,
                closed: false,
                failures: Default::default(),
                drops: Default::default(),
            }),
        })
    }

    /// What all workers share about the target.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The name of the header that marks copies.
    #[must_use]
    pub fn marker(&self) -> Option<&str> {
        self.shared.marker.name.as_deref()
    }

    /// The counters as they stand.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let state = self.state.borrow();
        let mut tally = state.tally.clone();
        tally.waiting = state.queue.len() as u64;
        self.connector.counts.add_to(&mut tally);
        tally
    }

    /// Takes a request: sends a copy, or as many as are wanted, lets them wait, or counts why not.
    pub fn offer(self: &Rc<Self>, request: &Request<'_>) {
        self.state.borrow_mut().tally.received += 1;
        let approval = match self.decide(request) {
            Ok(approval) => approval,
            Err(reason) => {
                self.count_drop(reason);
                if reason == DropReason::TruncatedBody {
                    self.hint_body(&request.exchange, request.completeness);
                }
                return;
            }
        };
        let copies = self.shared.config.amplify;
        for number in 1..=copies {
            // Each copy is accounted for by itself.
            if number > 1 {
                self.state.borrow_mut().tally.received += 1;
            }
            let approval = Approval { number, copies, ..approval };
            if let Err(reason) = self.copy(request, approval) {
                self.count_drop(reason);
            }
        }
    }

    fn decide(&self, request: &Request<'_>) -> Result<Approval, DropReason> {
        let live = &self.shared.live;
        if live.paused() {
            return Err(DropReason::Paused);
        }
        policy::decide(request, &self.rules, live.sample(), &self.shared.marker)
    }

    /// Makes one copy: sends it, or lets it wait.
    fn copy(self: &Rc<Self>, request: &Request<'_>, approval: Approval) -> Result<(), DropReason> {
        #[cfg(test)]
        assert_ne!(request.exchange.method, b"DEFECT", "a defect that a test wants");
        let shared = &self.shared;
        let now = Instant::now();
        let mut idle = self.take_idle(now);
        let mut bytes = idle.as_ref().map(|connection| connection.buffer()).unwrap_or_default();
        let marker = self.marker();
        let (config, rewriter) = (&shared.config, shared.rewriter.as_ref());
        let written = request::write(request, approval, config, rewriter, marker, &mut bytes);
        let layout = match written {
            Ok(layout) => layout,
            Err(reason) => {
                if let Some(connection) = idle {
                    self.state.borrow_mut().idle.push(connection);
                }
                return Err(reason);
            }
        };
        let logged = request.exchange.id.filter(|_| self.context.log.borrow().is_on());
        let id = logged.map(|id| Box::new(RequestId::new(id)));
        let mut copy = Copy { bytes, layout, since: now, resent: 0, id };
        while let Some(connection) = idle {
            match self.send(&connection, copy, now) {
                Ok(()) => return Ok(()),
                Err(unsent) => copy = unsent,
            }
            idle = self.take_idle(now);
        }
        self.enqueue(copy)?;
        self.pump();
        Ok(())
    }

    /// The idle connection used last, if a copy may go out at once: nobody waits before it, and the
    /// target may take one more.
    fn take_idle(&self, now: Instant) -> Option<Rc<h1::Connection>> {
        let mut state = self.state.borrow_mut();
        if !state.queue.is_empty() || self.is_full() {
            return None;
        }
        while let Some(connection) = state.idle.pop() {
            if connection.is_usable(now) {
                return Some(connection);
            }
        }
        None
    }

    fn is_full(&self) -> bool {
        self.shared.in_flight.load(Relaxed) >= self.shared.live.in_flight()
    }

    /// Writes `copy` to an idle connection; gives it back when the connection turns out to be
    /// closed and not a byte was taken.
    #[allow(clippy::result_large_err, reason = "the copy comes back as it went in")]
    fn send(
        self: &Rc<Self>,
        connection: &Rc<h1::Connection>,
        copy: Copy,
        now: Instant,
    ) -> Result<(), Copy> {
        connection.send(copy, now, &self.shared.config)?;
        self.took_off();
        Ok(())
    }

    fn took_off(&self) {
        self.shared.in_flight.fetch_add(1, Relaxed);
        self.state.borrow_mut().tally.in_flight += 1;
    }

    fn landed(&self) {
        self.shared.in_flight.fetch_sub(1, Relaxed);
        self.state.borrow_mut().tally.in_flight -= 1;
    }

    fn enqueue(&self, copy: Copy) -> Result<(), DropReason> {
        let live = &self.shared.live;
        let mut state = self.state.borrow_mut();
        if state.ending {
            return Err(DropReason::Shutdown);
        }
        if self.shared.queued.load(Relaxed) >= live.queue() {
            return Err(DropReason::QueueFull);
        }
        if self.shared.queued_bytes.load(Relaxed) + copy.bytes.len() > live.queue_bytes() {
            return Err(DropReason::QueueBytes);
        }
        self.shared.queued.fetch_add(1, Relaxed);
        self.shared.queued_bytes.fetch_add(copy.bytes.len(), Relaxed);
        state.queue.push_back(copy);
        Ok(())
    }

    fn dequeue(&self) -> Option<Copy> {
        let copy = self.state.borrow_mut().queue.pop_front()?;
        self.shared.queued.fetch_sub(1, Relaxed);
        self.shared.queued_bytes.fetch_sub(copy.bytes.len(), Relaxed);
        Some(copy)
    }

    /// Takes the copy whose turn it is, and drops those that waited too long.
    fn next_copy(&self, now: Instant) -> Option<Copy> {
        loop {
            let copy = self.dequeue()?;
            if now.duration_since(copy.since) <= self.shared.live.max_age() {
                return Some(copy);
            }
            self.count_drop(DropReason::TooOld);
        }
    }

    /// Puts a copy back at the front: it could not be sent after all.
    fn put_back(&self, copy: Copy) {
        self.shared.queued.fetch_add(1, Relaxed);
        self.shared.queued_bytes.fetch_add(copy.bytes.len(), Relaxed);
        self.state.borrow_mut().queue.push_front(copy);
    }

    /// Sends what waits over what is idle, and opens connections for the rest.
    fn pump(self: &Rc<Self>) {
        let now = Instant::now();
        while !self.is_full() {
            if self.state.borrow().queue.is_empty() {
                return;
            }
            if let Some(connection) = self.h2_with_room() {
                let Some(copy) = self.next_copy(now) else { return };
                h2::send(self, &connection, copy);
                continue;
            }
            let Some(connection) = self.state.borrow_mut().idle.pop() else { break };
            if !connection.is_usable(now) {
                continue;
            }
            let Some(copy) = self.next_copy(now) else {
                self.state.borrow_mut().idle.push(connection);
                return;
            };
            if let Err(copy) = self.send(&connection, copy, now) {
                self.put_back(copy);
            }
        }
        self.connect_for_waiting();
    }

    fn h2_with_room(&self) -> Option<Rc<h2::Connection>> {
        let state = self.state.borrow();
        state
            .h2
            .iter()
            .filter(|connection| connection.has_room())
            .min_by_key(|c| c.active())
            .cloned()
    }

    /// Opens as many connections as copies wait for, within the limits.
    fn connect_for_waiting(self: &Rc<Self>) {
        loop {
            {
                let mut state = self.state.borrow_mut();
                let open = state.connections.len() + state.connecting;
                // One HTTP/2 connection carries many copies: see first what the last one can do.
                let enough_h2 = !state.h2.is_empty() || self.connector.expects_h2();
                let wanted = if enough_h2 { state.queue.len().min(1) } else { state.queue.len() };
                if state.connecting >= wanted.min(MAX_CONNECTING)
                    || open >= self.shared.live.in_flight()
                    || state.h2.len() >= h2::MAX_CONNECTIONS
                {
                    return;
                }
                state.connecting += 1;
            }
            let target = Rc::clone(self);
            spawn_local(async move {
                let connected = target.connector.connect().await;
                target.connected(connected);
            });
        }
    }

    fn connected(self: &Rc<Self>, connected: Result<Link, ConnectError>) {
        {
            let mut state = self.state.borrow_mut();
            state.connecting -= 1;
            if state.closed {
                return;
            }
            state.tally.connections_opened += u64::from(connected.is_ok());
        }
        match connected {
            Ok(Link::Http1 { stream, tls, keep }) => {
                let (connection, reader) = h1::Connection::new(stream, tls, keep);
                let connection = Rc::new(connection);
                {
                    let mut state = self.state.borrow_mut();
                    let key = state.connections.insert(Rc::clone(&connection));
                    connection.set_key(key);
                    state.idle.push(Rc::clone(&connection));
                }
                spawn_local(h1::run(Rc::clone(self), connection, reader));
            }
            Ok(Link::Http2(connection, driver)) => {
                let connection = Rc::new(connection);
                let mut state = self.state.borrow_mut();
                // The first copies may have opened more, before it was known that this is HTTP/2.
                if state.h2.len() < h2::MAX_CONNECTIONS {
                    state.h2.push(Rc::clone(&connection));
                    let target = Rc::clone(self);
                    // The driver ends when nobody can send requests any more: it must not hold the
                    // connection itself.
                    let connection = Rc::downgrade(&connection);
                    spawn_local(async move {
                        let ended = driver.await;
                        target.h2_closed(&connection, ended.err());
                    });
                } else {
                    state.tally.connections_closed += 1;
                }
            }
            Err(error) => {
                // Each failed connection costs the copy that waited longest, so that a dead target
                // does not keep what it will never get.
                if let Some(copy) = self.next_copy(Instant::now()) {
                    self.count_failure(error.failure, &error.detail);
                    self.log_copy(&copy, &Settled::failed(error.failure, Duration::ZERO));
                }
            }
        }
        self.pump();
    }

    /// A connection carried its copy to the end, and may carry the next one.
    fn settle(self: &Rc<Self>, copy: &Copy, settled: &Settled) {
        self.landed();
        self.state.borrow_mut().tally.request_bytes += settled.sent;
        match settled.result {
            Ok(answer) => {
                let tally = &mut self.state.borrow_mut().tally;
                tally.count_answer(answer);
                tally.answers_cut += u64::from(settled.cut);
                tally.answer_body_bytes += settled.received;
                tally.duration.observe(settled.time);
                tally.first_byte.observe(settled.first_byte);
            }
            Err(failure) => self.count_failure(failure, &settled.detail),
        }
        self.log_copy(copy, settled);
    }

    /// Puts an HTTP/1 connection to its next use.
    fn reuse(self: &Rc<Self>, connection: Rc<h1::Connection>) {
        self.state.borrow_mut().idle.push(connection);
        self.pump();
    }

    fn forget(self: &Rc<Self>, connection: &Rc<h1::Connection>) {
        {
            let mut state = self.state.borrow_mut();
            state.connections.try_remove(connection.key());
            state.idle.retain(|idle| !Rc::ptr_eq(idle, connection));
            state.tally.connections_closed += 1;
        }
        self.pump();
    }

    fn h2_closed(self: &Rc<Self>, connection: &Weak<h2::Connection>, error: Option<String>) {
        if let Some(error) = error {
            debug!("target {}: HTTP/2 connection ended: {error}", self.shared.config.name);
        }
        self.state.borrow_mut().tally.connections_closed += 1;
        if let Some(connection) = connection.upgrade() {
            self.retire_h2(&connection);
        }
        self.pump();
    }

    /// Sends nothing more over an HTTP/2 connection; what is under way on it goes on.
    fn retire_h2(&self, connection: &Rc<h2::Connection>) {
        self.state.borrow_mut().h2.retain(|open| !Rc::ptr_eq(open, connection));
    }

    fn count_failure(&self, failure: Failure, detail: &str) {
        let mut state = self.state.borrow_mut();
        state.tally.count_failure(failure);
        if let Some(more) = state.failures[failure as usize].allow(Instant::now()) {
            let separator = if detail.is_empty() { "" } else { ": " };
            warn!(
                "target {} ({}): a copy failed: {failure}{separator}{detail}{}",
                self.shared.config.name,
                self.shared.origin,
                suppressed(more)
            );
        }
    }

    fn count_drop(&self, reason: DropReason) {
        let mut state = self.state.borrow_mut();
        state.tally.count_drop(reason);
        if matches!(reason.class(), DropClass::Configured | DropClass::Shutdown) {
            return;
        }
        if let Some(more) = state.drops[reason as usize].allow(Instant::now()) {
            warn!(
                "target {}: a request was not copied: {reason}: {}{}",
                self.shared.config.name,
                reason.explanation(),
                suppressed(more)
            );
        }
    }

    /// Says once how HAProxy is made to hand over whole bodies.
    fn hint_body(&self, exchange: &Exchange<'_>, completeness: Completeness) {
        if self.shared.body_hint_given.swap(true, Relaxed) {
            return;
        }
        let received = exchange.body.bytes.len();
        let what = if !exchange.body.given {
            "the message has no body argument; add `arg_body=req.body` to its `args` line and \
             `option http-buffer-request` to the frontend"
                .to_owned()
        } else if received == 0 {
            "nothing of a body came that the headers announce: HAProxy did not wait for it; add \
             `option http-buffer-request` to the frontend (a chunked body that is empty cannot be \
             told from this)"
                .to_owned()
        } else if let Completeness::Truncated { expected } = completeness {
            format!(
                "{received} of {expected} bytes came; raise `tune.bufsize` (global section) above \
                 the largest body plus headers plus `tune.maxrewrite`, and any `max-frame-size` or \
                 `bytes()` limit in the SPOE file with it"
            )
        } else {
            format!(
                "{received} bytes of a body without a length came, about as much as HAProxy's \
                 buffer holds, so that it may go on; raise `tune.bufsize` (global section)"
            )
        };
        warn!("bodies do not arrive whole: {what}; such requests are not copied (said once)");
    }

    fn log_copy(&self, copy: &Copy, settled: &Settled) {
        let part =
            |range: &std::ops::Range<usize>| copy.bytes.get(range.clone()).unwrap_or_default();
        let line = CopyLine {
            target: &self.shared.config.name,
            origin: &self.shared.origin,
            method: part(&copy.layout.method),
            path: part(&copy.layout.target),
            version: settled.version,
            status: settled.status,
            sent: copy.layout.body.len() as u64,
            received: settled.received,
            time: settled.time,
            result: match settled.result {
                Ok(Answer::Unparsable) => "unparsable answer",
                Ok(_) if settled.cut => "ok, answer over the size limit",
                Ok(_) => "ok",
                Err(failure) => failure.label(),
            },
            id: copy.id.as_ref().map(|id| id.as_bytes()),
            headers: part(&copy.layout.headers),
        };
        self.context.log.borrow_mut().line(&line, settled.result.is_err());
    }

    /// Runs now and then: ends what takes too long, drops what waited too long, closes what is idle.
    pub fn sweep(self: &Rc<Self>, now: Instant) {
        let config = &self.shared.config;
        let mut late = Vec::new();
        {
            let mut state = self.state.borrow_mut();
            // What is under way on them goes on.
            state.h2.retain(|connection| !connection.is_over(now));
            for (_, connection) in &state.connections {
                if connection.is_late(now, config.timeout) {
                    late.push(Rc::clone(connection));
                }
            }
        }
        for connection in late {
            connection.end();
        }
        loop {
            let old =
                self.state.borrow().queue.front().is_some_and(|copy| {
                    now.duration_since(copy.since) > self.shared.live.max_age()
                });
            if !old {
                break;
            }
            self.dequeue();
            self.count_drop(DropReason::TooOld);
        }
        self.pump();
    }

    /// Takes no more copies; those under way and waiting go on.
    pub fn wind_down(&self) {
        self.state.borrow_mut().ending = true;
    }

    /// Whether nothing waits and nothing is under way.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let state = self.state.borrow();
        state.queue.is_empty() && state.tally.in_flight == 0
    }

    /// Gives up what waits and what is under way, and counts it.
    pub fn give_up(self: &Rc<Self>) {
        self.wind_down();
        while self.dequeue().is_some() {
            self.count_drop(DropReason::Shutdown);
        }
        let mut state = self.state.borrow_mut();
        for _ in 0..std::mem::take(&mut state.tally.in_flight) {
            state.tally.count_failure(Failure::Shutdown);
        }
    }

    /// Closes every connection: nothing is to be sent any more.
    pub fn close(&self) {
        let connections: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state.closed = true;
            state.h2.clear();
            state.idle.clear();
            state.connections.iter().map(|(_, connection)| Rc::clone(connection)).collect()
        };
        for connection in connections {
            connection.end();
        }
    }

    /// Counts a copy that a defect in this program cost.
    pub fn count_panic(&self) {
        self.count_failure(Failure::Internal, "the program panicked; please report it");
    }
}
