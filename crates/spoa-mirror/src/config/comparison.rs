//! What is compared of production's answers and the targets'.

use std::time::Duration;

use super::units::Share;

/// Comparison, for all targets.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonConfig {
    /// Which share of the copies is compared.
    pub sample: Share,
    /// How long a half of a pair waits for the other.
    pub wait: Duration,
    /// What all halves may hold in memory, in bytes.
    pub memory: usize,
    /// How much of each body is kept, in bytes: of longer ones the beginning and the length are compared.
    pub max_body: usize,
}

impl Default for ComparisonConfig {
    fn default() -> Self {
        Self {
            sample: Share::ALL,
            wait: Duration::from_secs(30),
            memory: 64 << 20,
            max_body: 256 << 10,
        }
    }
}

/// Whether a target's answers are compared with production's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compare {
    /// They are not.
    #[default]
    No,
    /// They are, to find out whether the target behaves as production does.
    Candidate,
    /// They are, to find out what differs between two instances of production's own version.
    Baseline,
}
