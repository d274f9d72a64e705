//! Which requests' answers are awaited: what a message that holds only an answer is looked up in, so
//! that the answers of all other requests cost next to nothing.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::half::Key;

/// Places side by side that an id may be in.
const WAYS: usize = 8;
const BUCKETS: usize = 1 << 13;

/// What the table takes, in bytes.
pub(super) const BYTES: usize = BUCKETS * size_of::<[Entry; WAYS]>();

/// Bits of a mark that tell when it was made, in seconds.
const TIME_BITS: u32 = 16;
const TIME: u64 = (1 << TIME_BITS) - 1;

/// Marks are kept no longer, so that the time does not come round.
pub(super) const MAX_KEEP: u64 = TIME / 2;

/// The mark of an entry that somebody is writing. No other is without a bit of an id.
const WRITING: u64 = 1;

/// The key of nobody: of an id that several requests have.
const AMBIGUOUS: u64 = 0;

/// What HAProxy calls the requests whose answers are awaited. Shared by all workers without locks, and
/// bounded: one may be pushed out by newer ones when some 65,000 are awaited. Then its answer is not found,
/// and its pair counted as never made.
pub(super) struct Expected {
    entries: Box<[[Entry; WAYS]]>,
    /// So that nobody outside knows which ids share a place.
    seed: u64,
}

/// Empty when the mark is 0.
#[derive(Default)]
struct Entry {
    /// Most of a hash of the id, and when it was added.
    mark: AtomicU64,
    key: AtomicU64,
}

impl Default for Expected {
    fn default() -> Self {
        let entries = (0..BUCKETS).map(|_| Default::default()).collect();
        Self { entries, seed: RandomState::new().hash_one(0) }
    }
}

impl Expected {
    /// Adds the id of the request `key`, for `keep` seconds; `now` is in seconds from any beginning. When
    /// another request has the id, no answer is found by it for that long: it could be the other's.
    pub(super) fn insert(&self, id: &[u8], key: Key, now: u64, keep: u64) {
        let (bucket, tag) = self.find(id);
        let known = bucket.iter().find_map(|entry| {
            let mark = entry.mark.load(Acquire);
            (mark & !TIME == tag && is_live(mark, now, keep)).then_some((entry, mark))
        });
        if let Some((entry, mark)) = known {
            entry.key.store(AMBIGUOUS, Relaxed);
            let _ = entry.mark.compare_exchange(mark, tag | stamp(now), Release, Relaxed);
            return;
        }
        // Which one goes when all are taken is left to chance: the tag's.
        #[allow(clippy::cast_possible_truncation)] // a few bits of it
        let by_chance = bucket.get((tag >> TIME_BITS) as usize % WAYS);
        let free = bucket.iter().filter(|entry| !is_live(entry.mark.load(Relaxed), now, keep));
        for entry in free.chain(by_chance) {
            let mark = entry.mark.load(Relaxed);
            let taken = entry.mark.compare_exchange(mark, WRITING, Acquire, Relaxed);
            if mark != WRITING && taken.is_ok() {
                entry.key.store(key.number(), Relaxed);
                entry.mark.store(tag | stamp(now), Release);
                return;
            }
        }
    }

    /// The request whose id this is, if its answer is awaited; it is not awaited any more then.
    pub(super) fn take(&self, id: &[u8], now: u64, keep: u64) -> Option<Key> {
        let (bucket, tag) = self.find(id);
        let mut found = bucket.iter().filter_map(|entry| {
            let mark = entry.mark.load(Acquire);
            (mark & !TIME == tag && is_live(mark, now, keep)).then_some((entry, mark))
        });
        let (entry, mark) = found.next()?;
        // Two workers may have added it at the same moment.
        if found.map(|(other, _)| other.key.store(AMBIGUOUS, Relaxed)).count() > 0 {
            entry.key.store(AMBIGUOUS, Relaxed);
        }
        let key = entry.key.load(Relaxed);
        // It stays, so that the other's answer is not found either.
        if key == AMBIGUOUS {
            return None;
        }
        entry.mark.compare_exchange(mark, 0, Acquire, Relaxed).ok()?;
        Some(Key::of_number(key))
    }

    fn find(&self, id: &[u8]) -> (&[Entry; WAYS], u64) {
        let hash = xxh3_128_with_seed(id, self.seed);
        #[allow(clippy::cast_possible_truncation)] // the halves of it
        let (place, tag) = ((hash >> 64) as u64, hash as u64);
        #[allow(clippy::cast_possible_truncation)] // below the number of buckets
        let bucket = &self.entries[(place % BUCKETS as u64) as usize];
        (bucket, (tag | 1 << 63) & !TIME)
    }
}

fn is_live(mark: u64, now: u64, keep: u64) -> bool {
    let age = stamp(now).wrapping_sub(mark & TIME) & TIME;
    mark == WRITING || (mark != 0 && age <= keep.min(MAX_KEEP))
}

fn stamp(now: u64) -> u64 {
    now & TIME
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: u64 = 10;

    fn key(number: u64) -> Key {
        Key::new(1, number)
    }

    #[test]
    fn a_request_is_found_once_by_its_id() {
        let expected = Expected::default();
        expected.insert(b"a", key(7), 100, KEEP);
        assert_eq!(expected.take(b"b", 100, KEEP), None);
        assert_eq!(expected.take(b"a", 105, KEEP), Some(key(7)));
        assert_eq!(expected.take(b"a", 105, KEEP), None);
        // The id may come again once its answer came.
        expected.insert(b"a", key(8), 106, KEEP);
        assert_eq!(expected.take(b"a", 106, KEEP), Some(key(8)));
    }

    #[test]
    fn an_id_that_two_requests_have_finds_neither() {
        let expected = Expected::default();
        expected.insert(b"a", key(1), 100, KEEP);
        expected.insert(b"a", key(2), 101, KEEP);
        assert_eq!(expected.take(b"a", 102, KEEP), None);
        assert_eq!(expected.take(b"a", 102, KEEP), None);
        // One of their answers may still be on its way.
        expected.insert(b"a", key(3), 105, KEEP);
        assert_eq!(expected.take(b"a", 106, KEEP), None);
        expected.insert(b"a", key(4), 120, KEEP);
        assert_eq!(expected.take(b"a", 121, KEEP), Some(key(4)));
    }

    #[test]
    fn an_id_is_forgotten_in_time_and_not_remembered_when_the_clock_comes_round() {
        let expected = Expected::default();
        for start in [0, 100, TIME - 5, TIME, TIME + 3] {
            expected.insert(b"old", key(1), start, KEEP);
            assert_eq!(expected.take(b"old", start + 11, KEEP), None);
            expected.insert(b"young", key(2), start, KEEP);
            assert_eq!(expected.take(b"young", start + 10, KEEP), Some(key(2)), "{start}");
            expected.take(b"old", start + 10, KEEP);
        }
    }

    #[test]
    fn thousands_are_awaited_at_once() {
        let expected = Expected::default();
        let id = |number: u64| number.to_string();
        (0..10_000).for_each(|n| expected.insert(id(n).as_bytes(), key(n), 1, KEEP));
        let found =
            (0..10_000).filter(|&n| expected.take(id(n).as_bytes(), 2, KEEP) == Some(key(n)));
        let found = found.count();
        assert!(found >= 9_990, "{found}");
    }

    #[test]
    fn many_threads_find_what_is_theirs() {
        let expected = Expected::default();
        std::thread::scope(|scope| {
            for thread in 1..=4 {
                let expected = &expected;
                scope.spawn(move || {
                    for number in 0..20_000 {
                        let (id, key) = (format!("{thread}/{number}"), Key::new(thread, number));
                        expected.insert(id.as_bytes(), key, number / 1000, KEEP);
                        // A full bucket may lose it, never mistake it for another.
                        let found = expected.take(id.as_bytes(), number / 1000, KEEP);
                        assert!(found.is_none_or(|found| found == key), "{found:?} {key:?}");
                    }
                });
            }
        });
    }
}
