//! What is written down about copies: counters, log lines, and what the limits learn from them.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::answer::Settled;
use super::limits::breaker::{Ended, State};
use super::{Copy, Target};
use crate::exchange::{Completeness, Exchange};
use crate::log::{CopyLine, suppressed};
use crate::outcome::{Answer, DropClass, DropReason, Failure, Fault};

impl Target {
    /// A copy came to its end.
    pub(super) fn settle(self: &Rc<Self>, copy: &mut Copy, mut settled: Settled) {
        self.learn(copy, &settled);
        copy.flight = None;
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
        self.log_copy(copy, &settled);
        if let Some(ticket) = copy.ticket.take() {
            ticket.settle(settled.end(), |max_body| copy.asked(max_body));
        }
    }

    /// Tells the limits how a copy ended.
    fn learn(&self, copy: &mut Copy, settled: &Settled) {
        let shared = &self.shared;
        if let (Some(breaker), Some(pass)) = (&shared.breaker, copy.pass.take()) {
            let ended = match settled.result {
                Ok(Answer::ServerError) if breaker.server_errors_fail() => Some(Ended::Badly),
                Ok(_) => Some(Ended::Well),
                Err(failure) if failure.fault() == Fault::Target => Some(Ended::Badly),
                // Nothing is known of the target.
                Err(_) => None,
            };
            let now = Instant::now();
            let changed = ended.and_then(|ended| breaker.settle(pass, ended, shared.clock(now)));
            if let Some(state) = changed {
                self.log_breaker(state, now);
                // What waits would be too old in the end; a dead target shall not keep it.
                self.drop_spoiled(now);
            }
        }
        if let Some(adaptive) = &shared.adaptive {
            let (in_flight, most) = (shared.in_flight(), shared.live.in_flight());
            let now = shared.clock(Instant::now());
            match settled.result {
                // An error is often quick, and tells nothing of how quick answers are.
                Ok(Answer::ServerError) => {}
                Ok(_) => adaptive.answered(settled.time, now, in_flight, most),
                Err(Failure::Timeout | Failure::ConnectTimeout) => {
                    adaptive.timed_out(shared.config.timeout, now, in_flight, most);
                }
                Err(_) => {}
            }
        }
    }

    /// Says that the circuit breaker does something else now.
    pub(super) fn log_breaker(&self, state: State, now: Instant) {
        let Some(more) = self.state.borrow_mut().breaker[state as usize].allow(now) else { return };
        let (name, origin, more) =
            (&self.shared.config.name, &self.shared.origin, suppressed(more));
        match state {
            State::Open => {
                let open =
                    self.shared.config.breaker.map_or(Duration::ZERO, |breaker| breaker.open);
                warn!(
                    "target {name} ({origin}): circuit breaker open: it failed too often, and gets \
                     nothing for {open:?}{more}"
                );
            }
            State::HalfOpen => {
                info!(
                    "target {name} ({origin}): circuit breaker half-open: it is tried again{more}"
                );
            }
            State::Closed => {
                info!("target {name} ({origin}): circuit breaker closed: it is well again{more}");
            }
        }
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

    pub(super) fn count_drop(&self, reason: DropReason) {
        let dropped = &self.dropped[reason as usize];
        dropped.set(dropped.get() + 1);
        if matches!(reason.class(), DropClass::Configured | DropClass::Shutdown) {
            return;
        }
        if let Some(more) = self.state.borrow_mut().drops[reason as usize].allow(Instant::now()) {
            warn!(
                "target {}: a request was not copied: {reason}: {}{}",
                self.shared.config.name,
                reason.explanation(),
                suppressed(more)
            );
        }
    }

    /// Says once how HAProxy is made to hand over whole bodies.
    pub(super) fn hint_body(&self, exchange: &Exchange<'_>, completeness: Completeness) {
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

    /// Puts the books in order after a defect in this program: what it lost has failed.
    pub fn count_panic(&self) {
        for _ in 0..self.tally().missing() {
            self.count_failure(Failure::Internal, "the program panicked; please report it");
        }
    }
}
