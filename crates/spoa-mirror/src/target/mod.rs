//! One target as one worker sees it: it takes copies, lets a bounded number of them wait, and sends
//! them over connections of its own.
//!
//! Nothing here waits. A copy that comes while a connection is idle is written to it at once, on
//! the task that read it from HAProxy; otherwise it is queued, or dropped with its reason.

mod address;
mod answer;
mod books;
mod connect;
mod flight;
mod h1;
mod h2;
mod keep;
pub mod limits;
mod live;
pub mod plan;
mod pool;
mod queue;
pub mod request;
pub mod resolve;
pub mod response;
mod shared;
mod tls;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use crate::comparison::{Asked, Ticket, Turn};
use crate::config::{Compare, Share, TargetConfig};
use crate::log::{CopyLog, RequestId, Throttle};
use crate::outcome::{DropReason, Failure, Tally};
use crate::policy::{self, Approval, Hearing, Request};
use crate::survive::caught;

use connect::Connector;
use flight::Flight;
use limits::breaker::{self, Pass};
use request::Layout;

pub use live::{Live, Overrides};
pub use plan::Planned;
pub use shared::{BreakerStatus, Shared};
pub use tls::client_config;

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
struct Copy {
    bytes: Vec<u8>,
    layout: Layout,
    since: Instant,
    /// How often it was tried and came back unread.
    resent: u8,
    /// What HAProxy calls the request, for the log.
    id: Option<Box<RequestId>>,
    /// Leave of the circuit breaker, where there is one.
    pass: Option<Pass>,
    /// There when its answer is to be compared.
    ticket: Option<Ticket>,
    /// There while the copy is under way.
    flight: Option<Flight>,
}

impl Copy {
    /// Where a test wants to see what a defect costs: a copy whose method is so named meets one.
    #[cfg(test)]
    fn defect(&self, name: &str) {
        let wanted = self.bytes.get(self.layout.method.clone()) == Some(name.as_bytes());
        assert!(!wanted, "a defect that a test wants");
    }

    /// The copy as comparison remembers it, with up to `max_body` bytes of its body.
    fn asked(&self, max_body: usize) -> Asked {
        let part = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        let body = part(&self.layout.body);
        Asked {
            method: part(&self.layout.method).to_vec(),
            target: part(&self.layout.target).to_vec(),
            headers: part(&self.layout.headers).to_vec(),
            body: body.get(..max_body).unwrap_or(body).to_vec(),
            body_len: body.len() as u64,
            ..Asked::default()
        }
    }

    fn is_head(&self) -> bool {
        self.bytes.get(self.layout.method.clone()) == Some(b"HEAD")
    }
}

/// One worker's side of a target.
pub struct Target {
    shared: Arc<Shared>,
    context: Rc<Context>,
    /// Requests that came, and copies that were not sent, by reason: counted here, for most targets
    /// refuse most of them.
    received: Cell<u64>,
    /// Second copies for the control.
    repeats: Cell<u64>,
    dropped: [Cell<u64>; DropReason::ALL.len()],
    connector: Rc<Connector>,
    /// Copies under way.
    in_flight: Cell<u64>,
    state: RefCell<State>,
}

struct State {
    tally: Tally,
    queue: VecDeque<Copy>,
    /// Of the copies in `queue`.
    queue_bytes: usize,
    /// Every HTTP/1 connection, whatever it does.
    connections: Slab<Rc<h1::Connection>>,
    /// Those that carry nothing, the one used last at the end.
    idle: Vec<Rc<h1::Connection>>,
    h2: Vec<Rc<h2::Connection>>,
    connecting: usize,
    /// It waits for a slot that another worker gives up.
    asked_for_slot: bool,
    /// It gave up a connection since the last sweep.
    gave: bool,
    ending: bool,
    /// No connection is needed any more.
    closed: bool,
    failures: [Throttle; Failure::ALL.len()],
    drops: [Throttle; DropReason::ALL.len()],
    breaker: [Throttle; breaker::State::ALL.len()],
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
            received: Cell::default(),
            repeats: Cell::default(),
            dropped: Default::default(),
            connector: Rc::new(Connector::new(Arc::clone(&shared), tls, addresses)),
            shared,
            context,
            in_flight: Cell::new(0),
            state: RefCell::new(State {
                tally: Tally::default(),
                queue: VecDeque::new(),
                queue_bytes: 0,
                connections: Slab::new(),
                idle: Vec::new(),
                h2: Vec::new(),
                connecting: 0,
                asked_for_slot: false,
                gave: false,
                ending: false,
                closed: false,
                failures: Default::default(),
                drops: Default::default(),
                breaker: Default::default(),
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
        tally.received = self.received.get();
        tally.repeats = self.repeats.get();
        for (reason, dropped) in DropReason::ALL.iter().zip(&self.dropped) {
            tally.count_drops(*reason, dropped.get());
        }
        tally.waiting = state.queue.len() as u64;
        tally.in_flight = self.in_flight.get();
        self.connector.counts.add_to(&mut tally);
        tally
    }

    /// Takes a request: sends a copy, or as many as are wanted, lets them wait, or counts why not.
    /// `number` is the target's own at the hearing.
    #[inline]
    pub fn offer(
        self: &Rc<Self>,
        request: &Request<'_>,
        number: usize,
        hearing: &mut Hearing<'_, '_>,
    ) {
        self.received.set(self.received.get() + 1);
        let live = &self.shared.live;
        if live.paused() {
            return self.count_drop(DropReason::Paused);
        }
        match hearing.wanted(number, live.sample()) {
            Ok(()) => self.accept(request),
            Err(reason) => self.count_drop(reason),
        }
    }

    /// Takes a request that it wants.
    fn accept(self: &Rc<Self>, request: &Request<'_>) {
        let approval = match policy::approve(request, &self.shared.config, &self.shared.marker) {
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
        let repeated = self.is_repeated(request);
        let turn = if repeated { Turn::First } else { Turn::Only };
        let taken = self.take(request, Approval { copies, turn: Some(turn), ..approval });
        // What was not taken once is not tried again. Of several copies one is the repeat.
        let mut repeat = (repeated && taken).then_some(Turn::Second);
        let last = copies.max(1 + u32::from(repeat.is_some()));
        for number in 2..=last {
            // Each copy is accounted for by itself.
            self.received.set(self.received.get() + 1);
            let turn = repeat.take();
            self.repeats.set(self.repeats.get() + u64::from(turn.is_some()));
            self.take(request, Approval { number, copies, turn, ..approval });
        }
    }

    /// Whether the target gets a request that it gets once more: one that asks for nothing to be changed, and
    /// the first copy of which is compared.
    fn is_repeated(&self, request: &Request<'_>) -> bool {
        let TargetConfig { control, compare, .. } = self.shared.config;
        control != Share::NONE
            && compare == Compare::Candidate
            && request.exchange.is_safe()
            && request.opened.is_some_and(|opened| opened.is_repeated(control))
    }

    /// Makes one copy, or counts why not; whether it is sent, or waits.
    fn take(self: &Rc<Self>, request: &Request<'_>, approval: Approval) -> bool {
        let made = self.copy(request, approval);
        made.inspect_err(|reason| self.count_drop(*reason)).is_ok()
    }

    /// Makes one copy: sends it, or lets it wait.
    fn copy(self: &Rc<Self>, request: &Request<'_>, approval: Approval) -> Result<(), DropReason> {
        let shared = &self.shared;
        let now = Instant::now();
        let pass = self.admit(now)?;
        let mut idle = self.take_idle(now);
        let mut bytes =
            idle.as_ref().map(|(connection, _)| connection.buffer()).unwrap_or_default();
        let marker = self.marker();
        let (config, rewriter) = (&shared.config, shared.rewriter.as_ref());
        let written = request::write(request, approval, config, rewriter, marker, &mut bytes);
        let layout = match written {
            Ok(layout) => layout,
            Err(reason) => {
                if let Some((connection, _)) = idle {
                    self.state.borrow_mut().idle.push(connection);
                }
                return Err(reason);
            }
        };
        let logged = request.exchange.id.filter(|_| self.context.log.borrow().is_on());
        let id = logged.map(|id| Box::new(RequestId::new(id)));
        let compared = shared.subject.as_ref().zip(request.opened).zip(approval.turn);
        let ticket = compared.map(|((subject, opened), turn)| opened.ticket(subject, turn));
        let mut copy =
            Copy { bytes, layout, since: now, resent: 0, id, pass, ticket, flight: None };
        #[cfg(test)]
        copy.defect("DEFECT");
        while let Some(ready) = idle {
            match self.send(ready, copy, now) {
                Ok(()) => return Ok(()),
                Err(unsent) => copy = unsent,
            }
            idle = self.take_idle(now);
        }
        self.enqueue(copy)?;
        self.pump();
        Ok(())
    }

    /// Whether the target may get one more copy now, as far as circuit breaker and rate are concerned;
    /// the breaker's leave for it.
    fn admit(&self, now: Instant) -> Result<Option<Pass>, DropReason> {
        let shared = &self.shared;
        let mut pass = None;
        if let Some(breaker) = &shared.breaker {
            let admitted = breaker.admit(shared.clock(now)).ok_or(DropReason::BreakerOpen)?;
            if admitted.is_first_probe() {
                self.log_breaker(breaker::State::HalfOpen, now);
            }
            pass = Some(admitted);
        }
        if shared.within_rate(now) { Ok(pass) } else { Err(DropReason::RateLimit) }
    }

    /// Runs now and then: ends what takes too long, drops what waited too long, closes what is idle.
    pub fn sweep(self: &Rc<Self>, now: Instant) {
        self.survive(|| self.sweep_now(now));
    }

    fn sweep_now(self: &Rc<Self>, now: Instant) {
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
        self.drop_spoiled(now);
        self.share_connections();
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
        state.queue.is_empty() && self.in_flight.get() == 0
    }

    /// Gives up what waits and what is under way, and counts it.
    pub fn give_up(self: &Rc<Self>) {
        self.wind_down();
        while self.dequeue().is_some() {
            self.count_drop(DropReason::Shutdown);
        }
        let mut state = self.state.borrow_mut();
        for _ in 0..self.in_flight.take() {
            state.tally.count_failure(Failure::Shutdown);
        }
    }

    /// Closes every connection: nothing is to be sent any more.
    pub fn close(&self) {
        let connections: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state.closed = true;
            if std::mem::take(&mut state.asked_for_slot) {
                self.shared.slots.withdraw();
            }
            state.h2.clear();
            state.idle.clear();
            state.connections.iter().map(|(_, connection)| Rc::clone(connection)).collect()
        };
        for connection in connections {
            connection.end();
        }
    }

    /// Does something that a defect may break off; what that loses is counted.
    fn survive(&self, work: impl FnOnce()) {
        if caught(work).is_none() {
            self.count_panic();
        }
    }
}
