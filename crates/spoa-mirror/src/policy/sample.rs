//! Which share of the requests is copied.
//!
//! A request's key, or a number drawn for it, is hashed to a place between 0 and 1, and copied when
//! the place lies below the share. So the same key gets the same answer from every agent at any
//! time, and a smaller share takes a part of what a larger one takes.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::view::{Place, View};
use crate::config::{Sample, Share, WithoutKey};

/// A sample, ready to be asked about requests.
#[derive(Debug, Clone)]
pub struct Sampler {
    by: Option<Place>,
    without_key: WithoutKey,
    seed: u64,
}

impl Sampler {
    /// Makes `sample` ready.
    #[must_use]
    pub fn new(sample: &Sample) -> Self {
        Self {
            by: sample.by.clone().map(Place::new),
            without_key: sample.without_key,
            seed: xxh3_64(sample.seed.as_bytes()),
        }
    }

    /// Whether `share` of the requests includes this one. An empty key is none. `draw` is the random
    /// number that was drawn for the request: where chance decides, samples of one request nest like
    /// those by a key.
    #[inline]
    #[must_use]
    pub fn takes(&self, share: Share, view: &View<'_>, draw: u64) -> bool {
        if share == Share::ALL && self.without_key != WithoutKey::Skip {
            return true;
        }
        let Some(place) = &self.by else { return self.includes(share, &draw.to_le_bytes()) };
        match view.first(place).filter(|key| !key.is_empty()) {
            Some(key) => self.includes(share, &key),
            None => match self.without_key {
                WithoutKey::Chance => self.includes(share, &draw.to_le_bytes()),
                WithoutKey::Skip => false,
                WithoutKey::Copy => true,
            },
        }
    }

    fn includes(&self, share: Share, key: &[u8]) -> bool {
        share.includes(xxh3_64_with_seed(key, self.seed))
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
    use crate::policy::tests_support::with_view;

    fn share(percent: f64) -> Share {
        Share::percent(percent).unwrap()
    }

    fn by_cookie(seed: &str) -> Sample {
        Sample { by: Some(Key::Cookie("s".to_owned())), seed: seed.to_owned(), ..Sample::default() }
    }

    /// Whether a sample by the cookie `s` takes a request with this cookie.
    fn takes(sample: &Sample, share: Share, cookie: &str, draw: u64) -> bool {
        let headers = format!("cookie: {cookie}\r\n\r\n");
        with_view(b"GET", b"/", headers.as_bytes(), &[], |view| {
            Sampler::new(sample).takes(share, view, draw)
        })
    }

    /// How many of the keys `user 0`, `user 1`, ... a sample takes.
    fn taken(sample: &Sample, share: Share, keys: u32) -> u32 {
        let sampler = Sampler::new(sample);
        let keys = (0..keys).map(|number| format!("user {number}"));
        keys.map(|key| u32::from(sampler.includes(share, key.as_bytes()))).sum()
    }

    /// Computed by another implementation of XXH3: these answers hold for ever, on every machine.
    #[test]
    fn places_of_keys_are_fixed() {
        let long = "x".repeat(300);
        let long = [("", long.as_str(), 577_339), ("search-2025", long.as_str(), 191_401)];
        for (seed, key, place) in PLACES.iter().copied().chain(long) {
            let sampler = Sampler::new(&by_cookie(seed));
            let (below, above) = (place, place + 1);
            let of = Share::of_millionths;
            assert!(!sampler.includes(of(below), key.as_bytes()), "{seed:?} {key:?}");
            assert!(sampler.includes(of(above), key.as_bytes()), "{seed:?} {key:?}");
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
        let sampler = Sampler::new(&by_cookie("x"));
        let mut parts = [0u32; 100];
        for number in 0..100_000u32 {
            let key = number.to_string();
            let part = (0..100)
                .find(|&part| sampler.includes(share(f64::from(part) + 1.0), key.as_bytes()));
            parts[usize::try_from(part.unwrap()).unwrap()] += 1;
        }
        let chi: f64 = parts.iter().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        // 99 degrees of freedom: less than 1 in a million is beyond.
        assert!(chi < 180.0, "{chi}: {parts:?}");
    }

    #[test]
    fn seeds_make_samples_independent() {
        let samples = ["a", "b"].map(|seed| Sampler::new(&by_cookie(seed)));
        let both = (0..100_000u32).filter(|number| {
            let key = number.to_string();
            samples.iter().all(|sampler| sampler.includes(share(10.0), key.as_bytes()))
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
        let sampler = Sampler::new(&Sample::default());
        let taken = with_view(b"GET", b"/", b"", &[], |view| {
            (0..100_000).filter(|_| sampler.takes(share(1.0), view, one.draw())).count()
        });
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
