//! Which requests' answers are awaited: what a message that holds only an answer is looked up in, so
//! that the answers of all other requests cost next to nothing.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::half::Key;

/// Places side by side that a key may be in: a cache line.
const WAYS: usize = 8;
const BUCKETS: usize = 1 << 13;

/// Bits of an entry that hold when it was made, in seconds.
const TIME_BITS: u32 = 16;
const TIME: u64 = (1 << TIME_BITS) - 1;

/// A set of keys, shared by all workers without locks. It is bounded: a key may be pushed out by newer
/// ones when some 65,000 are awaited; then its answer is not found, and its pair counted as never made.
pub(super) struct Expected {
    entries: Box<[[AtomicU64; WAYS]]>,
    /// An entry is forgotten after so many seconds.
    keep: u64,
}

impl Expected {
    /// An empty set that forgets after `keep` seconds.
    pub(super) fn new(keep: u64) -> Self {
        let entries = (0..BUCKETS).map(|_| Default::default()).collect();
        Self { entries, keep: keep.clamp(1, TIME / 2) }
    }

    /// Adds a key; `now` is in seconds from any beginning.
    pub(super) fn insert(&self, key: Key, now: u64) {
        let (bucket, tag) = self.find(key);
        let free = bucket.iter().find(|entry| !self.is_live(entry.load(Relaxed), now));
        // Which one goes when all are taken is left to chance: the tag's.
        #[allow(clippy::cast_possible_truncation)] // a few bits of it
        let entry = free.or_else(|| bucket.get((tag >> TIME_BITS) as usize % WAYS));
        if let Some(entry) = entry {
            entry.store(tag | stamp(now), Relaxed);
        }
    }

    /// Takes a key out; whether it was in.
    pub(super) fn remove(&self, key: Key, now: u64) -> bool {
        let (bucket, tag) = self.find(key);
        bucket.iter().any(|entry| {
            let value = entry.load(Relaxed);
            value & !TIME == tag
                && self.is_live(value, now)
                && entry.compare_exchange(value, 0, Relaxed, Relaxed).is_ok()
        })
    }

    fn find(&self, key: Key) -> (&[AtomicU64; WAYS], u64) {
        let (place, tag) = key.words();
        #[allow(clippy::cast_possible_truncation)] // below the number of buckets
        let bucket = &self.entries[(place % BUCKETS as u64) as usize];
        (bucket, tag & !TIME)
    }

    fn is_live(&self, value: u64, now: u64) -> bool {
        value != 0 && stamp(now).wrapping_sub(value & TIME) & TIME <= self.keep
    }
}

/// The time as an entry holds it; never 0, so that no entry is.
fn stamp(now: u64) -> u64 {
    (now & TIME).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_once() {
        let expected = Expected::new(10);
        let (key, other) = (Key::of_id(b"a"), Key::of_id(b"b"));
        expected.insert(key, 100);
        assert!(!expected.remove(other, 100));
        assert!(expected.remove(key, 105));
        assert!(!expected.remove(key, 105));
    }

    #[test]
    fn a_key_is_forgotten_in_time_and_not_remembered_when_the_clock_comes_round() {
        let expected = Expected::new(10);
        for start in [0, 100, TIME - 5, TIME, TIME + 3] {
            let key = Key::of_number(1, start);
            expected.insert(key, start);
            assert!(!expected.remove(key, start + 12));
            assert!(expected.remove(key, start + 9), "{start}");
        }
    }

    #[test]
    fn thousands_are_awaited_at_once() {
        let expected = Expected::new(10);
        let keys: Vec<_> = (0..10_000).map(|number| Key::of_number(1, number)).collect();
        keys.iter().for_each(|key| expected.insert(*key, 1));
        let found = keys.iter().filter(|key| expected.remove(**key, 2)).count();
        assert!(found >= 9_990, "{found}");
    }
}
