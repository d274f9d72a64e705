//! The connections of one worker to a target: copies go out over those that are idle, and more are
//! opened while copies wait.

use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::task::spawn_local;
use tracing::debug;

use super::answer::Settled;
use super::connect::{ConnectError, Link};
use super::flight::Flight;
use super::limits::slots::Slot;
use super::{Copy, Target, h1, h2};
use crate::survive::caught_future;

/// Connections that may come about at once on one worker: a dead target costs no more.
const MAX_CONNECTING: usize = 32;

/// An idle connection, and leave to send over it.
pub(super) type Ready = (Rc<h1::Connection>, Flight);

impl Target {
    /// The idle connection used last, if a copy may go out at once: nobody waits before it, and the
    /// target may take one more.
    pub(super) fn take_idle(self: &Rc<Self>, now: Instant) -> Option<Ready> {
        {
            let state = self.state.borrow();
            if !state.queue.is_empty() || state.idle.is_empty() {
                return None;
            }
        }
        let flight = Flight::begin(self)?;
        let mut state = self.state.borrow_mut();
        while let Some(connection) = state.idle.pop() {
            if connection.is_usable(now) {
                return Some((connection, flight));
            }
        }
        None
    }

    /// Writes `copy` to an idle connection; gives it back when the connection turns out to be
    /// closed and not a byte was taken.
    #[allow(clippy::result_large_err, reason = "the copy comes back as it went in")]
    pub(super) fn send(
        &self,
        (connection, flight): Ready,
        mut copy: Copy,
        now: Instant,
    ) -> Result<(), Copy> {
        copy.flight = Some(flight);
        #[cfg(test)]
        copy.defect("SEND-DEFECT");
        connection.send(copy, now, &self.shared.config).map_err(|mut unsent| {
            unsent.flight = None;
            unsent
        })
    }

    /// Sends what waits over what is idle, and opens connections for the rest.
    pub(super) fn pump(self: &Rc<Self>) {
        let now = Instant::now();
        while !self.state.borrow().queue.is_empty() {
            let Some(flight) = Flight::begin(self) else { break };
            if let Some(connection) = self.h2_with_room() {
                let Some(mut copy) = self.next_copy(now) else { break };
                copy.flight = Some(flight);
                h2::send(self, &connection, copy);
                continue;
            }
            let Some(connection) = self.state.borrow_mut().idle.pop() else { break };
            if !connection.is_usable(now) {
                continue;
            }
            let Some(copy) = self.next_copy(now) else {
                self.state.borrow_mut().idle.push(connection);
                break;
            };
            if let Err(copy) = self.send((connection, flight), copy, now) {
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
        while let Some(slot) = self.slot_for_waiting() {
            let target = Rc::clone(self);
            spawn_local(async move {
                let connected = caught_future(target.connector.connect()).await;
                let connected = connected.unwrap_or_else(|| Err(ConnectError::defect()));
                target.survive(|| target.connected(connected, slot));
            });
        }
    }

    /// Room for another connection that is coming about, if one is needed and may be.
    fn slot_for_waiting(&self) -> Option<Slot> {
        let mut state = self.state.borrow_mut();
        let slots = &self.shared.slots;
        if state.queue.is_empty() || state.closed {
            if std::mem::take(&mut state.asked_for_slot) {
                slots.withdraw();
            }
            return None;
        }
        let open = state.connections.len() + state.connecting;
        // One HTTP/2 connection carries many copies: see first what the last one can do.
        let enough_h2 = !state.h2.is_empty() || self.connector.expects_h2();
        let wanted = if enough_h2 { 1 } else { state.queue.len() };
        if state.connecting >= wanted.min(MAX_CONNECTING)
            || open >= self.shared.in_flight_limit()
            || state.h2.len() >= h2::MAX_CONNECTIONS
        {
            return None;
        }
        let slot = if state.asked_for_slot {
            let slot = slots.claim()?;
            state.asked_for_slot = false;
            Some(slot)
        } else {
            slots.take(self.shared.connections_limit())
        };
        if slot.is_some() {
            state.connecting += 1;
        } else if open + state.h2.len() == 0 {
            // Other workers have them all.
            slots.ask();
            state.asked_for_slot = true;
        }
        slot
    }

    /// Whether another worker needs a connection to close more than this one needs to keep it; says
    /// so once between two sweeps.
    fn gives_up_one(&self) -> bool {
        self.shared.slots.is_wanted() && !std::mem::replace(&mut self.state.borrow_mut().gave, true)
    }

    /// Closes a connection that carries nothing, or lets one run dry, if another worker needs it.
    pub(super) fn share_connections(&self) {
        self.state.borrow_mut().gave = false;
        if self.state.borrow().asked_for_slot || !self.gives_up_one() {
            return;
        }
        let mut state = self.state.borrow_mut();
        if let Some(connection) = state.idle.pop() {
            connection.end();
        } else if state.h2.pop().is_none() {
            // Not before one becomes idle.
            state.gave = false;
        }
    }

    fn connected(self: &Rc<Self>, connected: Result<Link, ConnectError>, slot: Slot) {
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
                let (connection, reader) = h1::Connection::new(stream, tls, keep, slot);
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
                        // As long as it is open.
                        let _slot = slot;
                        let ended = caught_future(driver).await;
                        let ended = ended.unwrap_or_else(|| Err("a defect".to_owned()));
                        target.survive(|| target.h2_closed(&connection, ended.err()));
                    });
                } else {
                    state.tally.connections_closed += 1;
                }
            }
            Err(error) => {
                drop(slot);
                // Each failed connection costs the copy that waited longest, so that a dead target
                // does not keep what it will never get.
                if let Some(mut copy) = self.next_copy(Instant::now()) {
                    let mut settled = Settled::failed(error.failure, Duration::ZERO);
                    settled.detail = error.detail;
                    self.settle(&mut copy, settled);
                }
            }
        }
        self.pump();
    }

    /// Puts an HTTP/1 connection to its next use.
    pub(super) fn reuse(self: &Rc<Self>, connection: Rc<h1::Connection>) {
        if self.gives_up_one() {
            connection.end();
            return;
        }
        self.state.borrow_mut().idle.push(connection);
        self.pump();
    }

    pub(super) fn forget(self: &Rc<Self>, connection: &Rc<h1::Connection>) {
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
    pub(super) fn retire_h2(&self, connection: &Rc<h2::Connection>) {
        self.state.borrow_mut().h2.retain(|open| !Rc::ptr_eq(open, connection));
    }
}
