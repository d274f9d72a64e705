//! Which share of the requests is copied.
//!
//! A request's key, or a number drawn for it, is hashed to a place between 0 and 1, and copied when
//! the place lies below the share. So the same key gets the same answer from every agent at any
//! time, and a smaller share takes a part of what a larger one takes. Samples that go by the same key
//! with the same seed share the place.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Request;
use super::view::Text;
use crate::config::{Key, Share, TargetConfig, WithoutKey};

/// The samples of all targets, ready to be asked about requests.
#[derive(Debug, Clone)]
pub struct Samples {
    targets: Vec<Target>,
    lots: Vec<Lot>,
    keys: Vec<Key>,
}

/// A target's sample.
#[derive(Debug, Clone)]
struct Target {
    without_key: WithoutKey,
    /// An index of [`Samples::lots`].
    lot: usize,
}

/// What gives a request its place.
#[derive(Debug, Clone, PartialEq)]
struct Lot {
    /// An index of [`Samples::keys`]; without one, the number drawn for the request.
    key: Option<usize>,
    seed: u64,
}

/// Where one request stands by each lot, as far as it was asked.
#[derive(Debug)]
pub struct Places {
    known: Vec<Option<Place>>,
}

/// A place between 0 and 1, as [`Share::includes`] has it.
#[derive(Debug, Clone, Copy)]
struct Place {
    hash: u64,
    /// Whether it comes from the number drawn because the request lacks the key.
    by_chance: bool,
}

/// The key that was looked for last in a request, and what it was: targets have few different ones.
pub type LastKey<'a> = Option<(usize, Option<Text<'a>>)>;

impl Places {
    /// Forgets the request.
    #[inline]
    pub fn clear(&mut self) {
        self.known.fill(None);
    }
}

impl Samples {
    /// Makes the samples of `targets` ready.
    #[must_use]
    pub fn new(targets: &[&TargetConfig]) -> Self {
        fn index<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
            list.iter().position(|known| *known == item).unwrap_or_else(|| {
                list.push(item);
                list.len() - 1
            })
        }
        let mut samples = Self { targets: Vec::new(), lots: Vec::new(), keys: Vec::new() };
        for sample in targets.iter().map(|target| &target.sample) {
            let key = sample.by.clone().map(|key| index(&mut samples.keys, key));
            let lot = Lot { key, seed: xxh3_64(sample.seed.as_bytes()) };
            let lot = index(&mut samples.lots, lot);
            samples.targets.push(Target { without_key: sample.without_key, lot });
        }
        samples
    }

    /// Room for the places of one request.
    #[must_use]
    pub fn places(&self) -> Places {
        Places { known: vec![None; self.lots.len()] }
    }

    /// Whether `share` of the requests includes this one for the target of this number. An empty key is
    /// none. Where chance decides, samples of one request nest like those by a key.
    #[inline]
    #[must_use]
    pub fn takes<'a>(
        &self,
        target: usize,
        share: Share,
        request: &Request<'a>,
        places: &mut Places,
        last: &mut LastKey<'a>,
    ) -> bool {
        let Some(Target { without_key, lot }) = self.targets.get(target) else { return false };
        if share == Share::ALL && *without_key != WithoutKey::Skip {
            return true;
        }
        let (Some(lot), Some(known)) = (self.lots.get(*lot), places.known.get_mut(*lot)) else {
            return false;
        };
        let place = known.get_or_insert_with(|| self.place(lot, request, last));
        match without_key {
            WithoutKey::Skip if place.by_chance => false,
            WithoutKey::Copy if place.by_chance => true,
            _ => share.includes(place.hash),
        }
    }

    fn place<'a>(&self, lot: &Lot, request: &Request<'a>, last: &mut LastKey<'a>) -> Place {
        let place = |bytes: &[u8]| xxh3_64_with_seed(bytes, lot.seed);
        let drawn = request.draw.to_le_bytes();
        let Some((index, key)) = lot.key.and_then(|index| Some((index, self.keys.get(index)?)))
        else {
            return Place { hash: place(&drawn), by_chance: false };
        };
        if last.as_ref().is_none_or(|(known, _)| *known != index) {
            *last = Some((index, request.view.first(key).filter(|value| !value.is_empty())));
        }
        match last {
            Some((_, Some(value))) => Place { hash: place(value), by_chance: false },
            _ => Place { hash: place(&drawn), by_chance: true },
        }
    }
}

/// Draws a number for each request (`SplitMix64`): fast and even, no secret.
#[derive(Debug)]
pub struct Chance {
    state: Cell<u64>,
}

impl Chance {
    /// Seeded by the operating system.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Cell::new(RandomState::new().hash_one(0)) }
    }

    /// The next number.
    #[inline]
    #[must_use]
    pub fn draw(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Default for Chance {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Key;
    use crate::config::Sample;
    use crate::config::tests_support::target;
    use crate::policy::tests_support::{Asked, with_request};

    fn share(percent: f64) -> Share {
        Share::percent(percent).unwrap()
    }

    fn by_cookie(seed: &str) -> Sample {
        Sample { by: Some(Key::Cookie("s".to_owned())), seed: seed.to_owned(), ..Sample::default() }
    }

    /// Whether a sample by the cookie `s` takes a request with this cookie.
    fn takes(sample: &Sample, share: Share, cookie: &str, draw: u64) -> bool {
        let headers = format!("cookie: {cookie}\r\n\r\n");
        let asked = Asked { headers: headers.as_bytes(), draw, ..Asked::default() };
        let samples =
            Samples::new(&[&TargetConfig { sample: sample.clone(), ..target("http://t") }]);
        with_request(&asked, |request| {
            samples.takes(0, share, request, &mut samples.places(), &mut None)
        })
    }

    /// Whether `share` of the keys includes this one.
    fn includes(seed: &str, share: Share, key: &str) -> bool {
        share.includes(xxh3_64_with_seed(key.as_bytes(), xxh3_64(seed.as_bytes())))
    }

    /// How many of the keys `user 0`, `user 1`, ... a sample takes.
    fn taken(sample: &Sample, share: Share, keys: u32) -> u32 {
        let keys = (0..keys).map(|number| format!("user {number}"));
        keys.map(|key| u32::from(includes(&sample.seed, share, &key))).sum()
    }

    /// Computed by another implementation of XXH3: these answers hold for ever, on every machine.
    #[test]
    fn places_of_keys_are_fixed() {
        let long = "x".repeat(300);
        let long = [("", long.as_str(), 577_339), ("search-2025", long.as_str(), 191_401)];
        for (seed, key, place) in PLACES.iter().copied().chain(long) {
            let (below, above) = (place, place + 1);
            let of = Share::of_millionths;
            assert!(!includes(seed, of(below), key), "{seed:?} {key:?}");
            assert!(includes(seed, of(above), key), "{seed:?} {key:?}");
        }
    }

    /// Seed, key, and the share in millionths at which the key is not taken yet.
    const PLACES: &[(&str, &str, u32)] = &[
        ("", "a", 474_067),
        ("", "user-1", 5_714),
        ("", "10.0.0.1", 653_073),
        ("", "2001:db8::1", 734_327),
        ("", "8f14e45fceea167a5a36dedd4bea2543", 136_060),
        ("search-2025", "a", 651_847),
        ("search-2025", "user-1", 423_491),
        ("search-2025", "10.0.0.1", 308_461),
        ("search-2025", "2001:db8::1", 795_617),
        ("search-2025", "8f14e45fceea167a5a36dedd4bea2543", 159_761),
    ];

    #[test]
    fn samples_are_as_large_as_they_say() {
        for (percent, expected) in [(0.1, 200), (1.0, 2_000), (10.0, 20_000), (50.0, 100_000)] {
            let taken = taken(&by_cookie(""), share(percent), 200_000);
            // Six standard deviations.
            let slack = 6.0 * (f64::from(expected) * (1.0 - percent / 100.0)).sqrt();
            assert!((f64::from(taken) - f64::from(expected)).abs() < slack, "{percent}: {taken}");
        }
        assert_eq!(taken(&by_cookie(""), Share::NONE, 1000), 0);
        assert_eq!(taken(&by_cookie(""), Share::ALL, 1000), 1000);
    }

    /// Keys that differ little, and each hundredth of the whole: no part gets more than its share.
    #[test]
    fn keys_spread_evenly() {
        let mut parts = [0u32; 100];
        for number in 0..100_000u32 {
            let key = number.to_string();
            let part = (0..100).find(|&part| includes("x", share(f64::from(part) + 1.0), &key));
            parts[usize::try_from(part.unwrap()).unwrap()] += 1;
        }
        let chi: f64 = parts.iter().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        // 99 degrees of freedom: less than 1 in a million is beyond.
        assert!(chi < 180.0, "{chi}: {parts:?}");
    }

    #[test]
    fn seeds_make_samples_independent() {
        let both = (0..100_000u32).filter(|number| {
            let key = number.to_string();
            ["a", "b"].iter().all(|seed| includes(seed, share(10.0), &key))
        });
        let both = both.count();
        assert!((800..1200).contains(&both), "{both} of 1000");
    }

    #[test]
    fn requests_without_the_key() {
        let sample = |without_key| Sample { without_key, ..by_cookie("") };
        let half = share(50.0);
        let count = |sample: &Sample, share, cookie: &str| {
            let chance = Chance::new();
            (0..1000).filter(|_| takes(sample, share, cookie, chance.draw())).count()
        };
        for cookie in ["t=1", "s=", "s"] {
            assert_eq!(count(&sample(WithoutKey::Skip), half, cookie), 0);
            assert_eq!(count(&sample(WithoutKey::Skip), Share::ALL, cookie), 0);
            assert_eq!(count(&sample(WithoutKey::Copy), half, cookie), 1000);
            let by_chance = count(&sample(WithoutKey::Chance), half, cookie);
            assert!((350..650).contains(&by_chance), "{by_chance}");
        }
        // With the key, chance has no say.
        let sticky = count(&by_cookie(""), half, "s=abc");
        assert!(sticky == 0 || sticky == 1000, "{sticky}");
    }

    #[test]
    fn chance_is_even_and_differs_between_workers() {
        let (one, other) = (Chance::new(), Chance::new());
        assert_ne!(one.draw(), other.draw());
        let sample = Sample::default();
        let draws = (0..100_000).map(|_| one.draw());
        let taken = draws.filter(|&draw| takes(&sample, share(1.0), "", draw)).count();
        assert!((800..1200).contains(&taken), "{taken}");
    }

    proptest! {
        #[test]
        fn a_smaller_sample_lies_in_a_larger_one(
            cookie in "s=[a-z0-9]{0,12}|t=1",
            seed in "[a-z]{0,3}",
            draw: u64,
            small in 0..=1_000_000u32,
            more in 0..=1_000_000u32,
        ) {
            let large = (small + more).min(1_000_000);
            for sample in [by_cookie(&seed), Sample { by: None, ..by_cookie(&seed) }] {
                let of = |share| takes(&sample, Share::of_millionths(share), &cookie, draw);
                prop_assert!(!of(small) || of(large));
            }
        }

        #[test]
        fn a_key_gets_the_same_answer_again(key in "[ -:<-~]{1,80}", a: u64, b: u64, percent in 0..=100u32) {
            let share = share(f64::from(percent));
            let cookie = format!("s={key}");
            prop_assume!(!key.trim().is_empty());
            prop_assert_eq!(
                takes(&by_cookie(""), share, &cookie, a),
                takes(&by_cookie(""), share, &cookie, b)
            );
        }
    }
}
