//! Chance with a seed that a failing test shows and another run can repeat.

use std::time::{SystemTime, UNIX_EPOCH};

/// A generator of pseudo-random numbers (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    /// Seeded by the time, or by the environment's `SPOA_MIRROR_SEED`; prints the seed.
    pub(crate) fn new() -> Self {
        let seed = match std::env::var("SPOA_MIRROR_SEED") {
            Ok(seed) => seed.parse().expect("SPOA_MIRROR_SEED is a number"),
            Err(_) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
                now.as_secs() ^ u64::from(now.subsec_nanos()) << 20
            }
        };
        println!("repeat with SPOA_MIRROR_SEED={seed}");
        Self(seed | 1)
    }

    /// Dice of their own for another thread.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.below(1 << 32) << 16 | 1)
    }

    /// A number from 0 to `end` - 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % end
    }
}
