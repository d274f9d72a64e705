//! By what pairs are compared, and what is hidden of them.

use std::sync::Arc;

use shadow_diff::{Comparer, Limits, NaturalRules, Rule, Rules};
use tracing::warn;

use super::super::redaction::Redaction;

/// Rules and what is hidden.
pub struct Rulebook {
    /// Finds what differs.
    pub comparer: Comparer,
    /// Hides what nobody must see.
    pub redaction: Arc<Redaction>,
    natural_off: Vec<String>,
}

impl Default for Rulebook {
    fn default() -> Self {
        Self::new([].iter(), &[], &[])
    }
}

impl Rulebook {
    /// These rules, besides the built-in ones without `natural_off`.
    pub fn new<'r>(
        rules: impl Iterator<Item = &'r Rule>,
        natural_off: &[String],
        redact: &[String],
    ) -> Self {
        Self::build(rules, natural_off, Arc::new(Redaction::new(redact)))
    }

    /// The same with other rules.
    #[must_use]
    pub fn with<'r>(&self, rules: impl Iterator<Item = &'r Rule>) -> Self {
        Self::build(rules, &self.natural_off, Arc::clone(&self.redaction))
    }

    fn build<'r>(
        rules: impl Iterator<Item = &'r Rule>,
        natural_off: &[String],
        redaction: Arc<Redaction>,
    ) -> Self {
        let rules: Vec<_> = rules.cloned().collect();
        // The configuration was refused if one of these cannot be used.
        let rules = Rules::compile(&rules).unwrap_or_else(|error| {
            warn!("comparison: no rules are used: {error}");
            Rules::default()
        });
        let natural = NaturalRules::without(natural_off.iter().map(String::as_str));
        let natural = natural.unwrap_or_else(|error| {
            warn!("comparison.natural-off is not used: {error}");
            NaturalRules::default()
        });
        let comparer = Comparer::new(rules, natural, Limits::default());
        Self { comparer, redaction, natural_off: natural_off.to_vec() }
    }
}
