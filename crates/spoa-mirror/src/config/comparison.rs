//! What is compared of production's answers and the targets'.

use std::path::PathBuf;
use std::time::Duration;

use shadow_diff::Rule;
use shadow_diff::endpoint::Pattern;
use shadow_diff::verdict::Thresholds;

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
    /// The name of the run that begins with the program, when none goes on.
    pub run: String,
    /// Endpoints that are not learned.
    pub endpoints: Vec<Pattern>,
    /// What is no difference, or is compared in another way.
    pub rules: Vec<Rule>,
    /// Where rules are kept that are made while the program runs.
    pub rules_file: Option<PathBuf>,
    /// What that file holds; `None` without one.
    pub own_rules: Option<Vec<Rule>>,
    /// Built-in rules that are switched off, by name.
    pub natural_off: Vec<String>,
    /// Headers, cookies, parameters, fields and members whose values are hidden from people, besides the
    /// usual ones.
    pub redact: Vec<String>,
    /// What a candidate must and may not.
    pub thresholds: Thresholds,
    /// What survives a restart.
    pub history: HistoryConfig,
}

impl ComparisonConfig {
    /// Checks the name of a run.
    ///
    /// # Errors
    /// What a name is made of.
    pub fn check_run(name: &str) -> Result<(), String> {
        if name.is_empty()
            || name.chars().count() > 100
            || name.trim() != name
            || name.chars().any(char::is_control)
        {
            return Err(
                "the name of a run has 1 to 100 characters, no control characters, and no space \
                        at its ends"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// What is kept of counts, pairs and figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryConfig {
    /// The database; in memory without one.
    pub file: Option<PathBuf>,
    /// How long it is kept.
    pub keep: Duration,
    /// How much of it, in bytes.
    pub max_size: u64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { file: None, keep: Duration::from_secs(30 * 24 * 3600), max_size: 256 << 20 }
    }
}

impl Default for ComparisonConfig {
    fn default() -> Self {
        Self {
            sample: Share::ALL,
            wait: Duration::from_secs(30),
            memory: 64 << 20,
            max_body: 256 << 10,
            run: "run 1".to_owned(),
            endpoints: Vec::new(),
            rules: Vec::new(),
            rules_file: None,
            own_rules: None,
            natural_off: Vec::new(),
            redact: Vec::new(),
            thresholds: Thresholds::default(),
            history: HistoryConfig::default(),
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
