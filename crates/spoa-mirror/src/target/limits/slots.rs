//! How many connections may be open, over all workers.
//!
//! A worker that has none may meet others that have them all: it asks, and the next connection that
//! closes anywhere leaves its slot to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The slots of a target.
#[derive(Debug, Default)]
pub struct Slots {
    /// Taken, or granted and not yet taken.
    used: AtomicUsize,
    /// Asked for.
    wanted: AtomicUsize,
    /// Left to those who asked.
    granted: AtomicUsize,
}

/// Room for one connection; given back when dropped.
#[derive(Debug)]
pub struct Slot(Arc<Slots>);

impl Slots {
    /// Takes a slot, if fewer than `most` are used.
    #[must_use]
    pub fn take(self: &Arc<Self>, most: usize) -> Option<Slot> {
        let more = |used: usize| (used < most).then_some(used + 1);
        let taken = self.used.fetch_update(Relaxed, Relaxed, more).is_ok();
        taken.then(|| Slot(Arc::clone(self)))
    }

    /// Asks for a slot. Each time must be followed by one of [`Slots::claim`] that succeeds or
    /// [`Slots::withdraw`].
    pub fn ask(&self) {
        self.wanted.fetch_add(1, Relaxed);
    }

    /// Whether somebody waits for a slot.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Relaxed) > 0
    }

    /// Takes a slot that was left to one who asked.
    #[must_use]
    pub fn claim(self: &Arc<Self>) -> Option<Slot> {
        decrement(&self.granted).then(|| Slot(Arc::clone(self)))
    }

    /// Asks no more.
    pub fn withdraw(self: &Arc<Self>) {
        if !decrement(&self.wanted) {
            // It was granted already: the slot goes back, or to another who asked.
            drop(self.claim());
        }
    }

    /// Slots in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if decrement(&self.0.wanted) {
            self.0.granted.fetch_add(1, Relaxed);
        } else {
            self.0.used.fetch_sub(1, Relaxed);
        }
    }
}

/// Takes one away, if there is one.
fn decrement(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1)).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_given_than_there_are() {
        let slots = Arc::new(Slots::default());
        let taken: Vec<_> = std::thread::scope(|scope| {
            let take = || (0..100).filter_map(|_| slots.take(150)).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!((taken.len(), slots.used()), (150, 150));
        drop(taken);
        assert_eq!(slots.used(), 0);
    }

    #[test]
    fn a_slot_goes_to_who_asked() {
        let slots = Arc::new(Slots::default());
        let slot = slots.take(1).unwrap();
        slots.ask();
        assert!(slots.is_wanted() && slots.claim().is_none());
        drop(slot);
        assert!(!slots.is_wanted() && slots.take(1).is_none(), "it is not for everybody");
        let slot = slots.claim().unwrap();
        assert!(slots.claim().is_none());
        drop(slot);
        assert!(slots.take(1).is_some());
    }

    #[test]
    fn who_asks_no_more_leaves_nothing_behind() {
        let slots = Arc::new(Slots::default());
        let slot = slots.take(1).unwrap();
        slots.ask();
        slots.withdraw();
        drop(slot);
        let slot = slots.take(1).unwrap();
        slots.ask();
        slots.ask();
        drop(slot);
        slots.withdraw();
        drop(slots.claim().unwrap());
        assert!(slots.take(1).is_some() && !slots.is_wanted());
    }
}
