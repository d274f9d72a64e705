//! The copies that wait, and what keeps them few.

use std::time::Instant;

use super::limits::breaker::State;
use super::{Copy, Target};
use crate::config::DropWhich;
use crate::outcome::DropReason;

impl Target {
    /// Lets a copy wait, or says why not. Where the configuration prefers new copies, those that
    /// waited longest on this worker make room.
    pub(super) fn enqueue(&self, copy: Copy) -> Result<(), DropReason> {
        if self.state.borrow().ending {
            return Err(DropReason::Shutdown);
        }
        let bytes = copy.bytes.len();
        while let Err(reason) = self.shared.reserve(bytes) {
            let oldest = self.shared.config.limits.drop == DropWhich::Oldest;
            if !oldest || !self.can_make_room(reason, bytes) || self.dequeue().is_none() {
                return Err(reason);
            }
            self.count_drop(reason);
        }
        let mut state = self.state.borrow_mut();
        state.queue_bytes += bytes;
        state.queue.push_back(copy);
        Ok(())
    }

    /// Whether it would help to drop what waits on this worker.
    fn can_make_room(&self, reason: DropReason, bytes: usize) -> bool {
        let others = self.shared.queued_bytes().saturating_sub(self.state.borrow().queue_bytes);
        let fits = || others.saturating_add(bytes) <= self.shared.live.queue_bytes();
        reason != DropReason::QueueBytes || fits()
    }

    /// Takes the copy whose turn it is, and drops those that may not go any more.
    pub(super) fn next_copy(&self, now: Instant) -> Option<Copy> {
        loop {
            let mut copy = self.dequeue()?;
            match self.spoiled(&mut copy, now) {
                None => return Some(copy),
                Some(reason) => self.count_drop(reason),
            }
        }
    }

    /// Why a copy that waited may not go any more.
    fn spoiled(&self, copy: &mut Copy, now: Instant) -> Option<DropReason> {
        if now.duration_since(copy.since) > self.shared.live.max_age() {
            #[cfg(test)]
            copy.defect("OLD-DEFECT");
            return Some(DropReason::TooOld);
        }
        let (breaker, pass) = (self.shared.breaker.as_ref()?, copy.pass.as_mut()?);
        (!breaker.still_admits(pass)).then_some(DropReason::BreakerOpen)
    }

    /// Drops what may not go any more: the oldest, and all that an open breaker keeps back.
    pub(super) fn drop_spoiled(&self, now: Instant) {
        let breaker = self.shared.breaker.as_ref();
        let count = if breaker.is_some_and(|breaker| breaker.state() != State::Closed) {
            self.state.borrow().queue.len()
        } else {
            let (state, max_age) = (self.state.borrow(), self.shared.live.max_age());
            let old = |copy: &&Copy| now.duration_since(copy.since) > max_age;
            state.queue.iter().take_while(old).count()
        };
        for _ in 0..count {
            let Some(mut copy) = self.dequeue() else { break };
            match self.spoiled(&mut copy, now) {
                Some(reason) => self.count_drop(reason),
                None => self.wait_again(copy, false),
            }
        }
    }

    /// Puts a copy back at the front: it could not be sent after all.
    pub(super) fn put_back(&self, copy: Copy) {
        self.wait_again(copy, true);
    }

    fn wait_again(&self, mut copy: Copy, first: bool) {
        copy.flight = None;
        self.shared.reserve_again(copy.bytes.len());
        let mut state = self.state.borrow_mut();
        state.queue_bytes += copy.bytes.len();
        if first {
            state.queue.push_front(copy);
        } else {
            state.queue.push_back(copy);
        }
    }

    /// Takes a copy off the queue, whatever becomes of it.
    pub(super) fn dequeue(&self) -> Option<Copy> {
        let mut state = self.state.borrow_mut();
        let copy = state.queue.pop_front()?;
        state.queue_bytes -= copy.bytes.len();
        self.shared.release(copy.bytes.len());
        Some(copy)
    }
}
