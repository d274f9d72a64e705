//! What all workers share about a target: its limits are not shares of each worker, for HAProxy's
//! connections spread unevenly over them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::Live;
use super::limits::adaptive::Adaptive;
use super::limits::breaker::{Breaker, State};
use super::limits::rate::Bucket;
use super::limits::slots::Slots;
use crate::comparison::Subject;
use crate::config::{Marker, RateLimit, TargetConfig};
use crate::outcome::DropReason;
use crate::policy::rewrite::Rewriter;

/// What all workers share about a target.
#[derive(Debug)]
pub struct Shared {
    /// The target's configuration.
    pub config: TargetConfig,
    /// How copies are marked.
    pub marker: Marker,
    /// Scheme, host and port, as log lines show them.
    pub origin: String,
    /// As what its answers are compared, if they are.
    pub(super) subject: Option<Arc<Subject>>,
    /// What alters its copies.
    pub(super) rewriter: Option<Rewriter>,
    /// The settings that may change while the target works.
    pub live: Live,
    pub(super) breaker: Option<Arc<Breaker>>,
    pub(super) adaptive: Option<Adaptive>,
    pub(super) slots: Arc<Slots>,
    bucket: Bucket,
    /// The beginning of time for all of them.
    begun: Instant,
    in_flight: AtomicUsize,
    queued: AtomicUsize,
    queued_bytes: AtomicUsize,
    pub(super) body_hint_given: AtomicBool,
}

/// What is to be seen of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerStatus {
    /// What it does with copies. An open one stays so until a copy comes after its time.
    pub state: State,
    /// For how long.
    pub lasts: Duration,
    /// How often it opened since the target was configured.
    pub opened: u64,
}

impl Shared {
    /// A target that nothing was sent to yet.
    #[must_use]
    pub fn new(config: TargetConfig, marker: Marker) -> Self {
        Self {
            origin: config.url.origin(),
            subject: Subject::of(&config).map(Arc::new),
            rewriter: Rewriter::new(&config),
            live: Live::new(&config),
            breaker: config.breaker.map(|breaker| Arc::new(Breaker::new(breaker))),
            adaptive: config.limits.adaptive.map(Adaptive::new),
            slots: Arc::default(),
            bucket: Bucket::default(),
            begun: Instant::now(),
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

    /// Copies that may be under way at once, as it is now: what is set, or less while an adaptive
    /// limit holds it down.
    #[must_use]
    pub fn in_flight_limit(&self) -> usize {
        let most = self.live.in_flight();
        self.adaptive.as_ref().map_or(most, |adaptive| adaptive.limit().min(most))
    }

    /// The adaptive limit of copies under way, where there is one.
    #[must_use]
    pub fn adaptive_limit(&self) -> Option<usize> {
        self.adaptive.as_ref().map(|_| self.in_flight_limit())
    }

    /// The limit of copies in a time, where there is one.
    #[must_use]
    pub fn rate(&self) -> Option<RateLimit> {
        self.live.rate()
    }

    /// The circuit breaker, where there is one.
    #[must_use]
    pub fn breaker(&self, now: Instant) -> Option<BreakerStatus> {
        self.breaker.as_ref().map(|breaker| BreakerStatus {
            state: breaker.state(),
            lasts: self.clock(now).saturating_sub(breaker.since()),
            opened: breaker.opened(),
        })
    }

    /// Connections open, or coming about.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.slots.used()
    }

    /// Connections that may be open at once.
    #[must_use]
    pub fn connections_limit(&self) -> usize {
        let most = self.config.connections.max.unwrap_or(usize::MAX);
        most.min(self.live.in_flight())
    }

    /// Bytes of the copies that wait now.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Relaxed)
    }

    /// The time as the limits are told it.
    pub(super) fn clock(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }

    /// Whether the target may get one more copy now, which then counts.
    pub(super) fn within_rate(&self, now: Instant) -> bool {
        self.live.rate().is_none_or(|limit| self.bucket.take(&limit, self.clock(now)))
    }

    /// One more copy is under way, if that many may be.
    pub(super) fn take_off(&self) -> bool {
        let limit = self.in_flight_limit();
        let more = |flying: usize| (flying < limit).then_some(flying + 1);
        self.in_flight.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    pub(super) fn land(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Makes room in the queue for a copy of so many bytes, if there is any.
    pub(super) fn reserve(&self, bytes: usize) -> Result<(), DropReason> {
        let most = self.live.queue();
        let more = |queued: usize| (queued < most).then_some(queued + 1);
        if self.queued.fetch_update(Relaxed, Relaxed, more).is_err() {
            return Err(DropReason::QueueFull);
        }
        let most = self.live.queue_bytes();
        let more = |queued: usize| queued.checked_add(bytes).filter(|queued| *queued <= most);
        if self.queued_bytes.fetch_update(Relaxed, Relaxed, more).is_err() {
            self.queued.fetch_sub(1, Relaxed);
            return Err(DropReason::QueueBytes);
        }
        Ok(())
    }

    /// A copy that was let in already waits again, whatever the limits.
    pub(super) fn reserve_again(&self, bytes: usize) {
        self.queued.fetch_add(1, Relaxed);
        self.queued_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn release(&self, bytes: usize) {
        self.queued.fetch_sub(1, Relaxed);
        self.queued_bytes.fetch_sub(bytes, Relaxed);
    }
}
