//! One candidate: its run, its counts, and what they say.

use std::collections::BTreeMap;
use std::time::SystemTime;

use shadow_diff::books::{BookLimits, Books, Site};
use shadow_diff::endpoint::{EndpointId, EndpointLimits, Endpoints};
use shadow_diff::significance::{Finding, findings};
use shadow_diff::verdict::{Thresholds, Verdict, verdict};
use shadow_diff::{Comparison, Excuse};

/// A target whose answers are held against production's.
pub struct Candidate {
    /// When its run began.
    pub started: SystemTime,
    /// What was counted.
    pub books: Books,
    /// What the last look says.
    pub verdict: Verdict,
    /// How often each rule excused something.
    pub excused: BTreeMap<Excuse, u64>,
    /// Where answers differ, as of the last look.
    findings: Vec<Finding>,
    /// The look that was judged.
    judged_at: u32,
    /// Something but a look changed what is judged.
    pub(super) is_stale: bool,
}

impl Candidate {
    pub(super) fn new(run: &str, seed: u64) -> Self {
        let books = Books::new(run, BookLimits::default(), seed);
        let endpoints = Endpoints::learning(EndpointLimits::default());
        Self {
            started: SystemTime::now(),
            verdict: verdict(&books, &endpoints, &Thresholds::default()),
            books,
            excused: BTreeMap::new(),
            findings: Vec::new(),
            judged_at: 0,
            is_stale: true,
        }
    }

    /// What the last look says of a place.
    #[must_use]
    pub fn finding(&self, endpoint: EndpointId, site: &Site) -> Option<&Finding> {
        // In the order of the books.
        let order = |found: &Finding| (found.endpoint, &found.site).cmp(&(endpoint, site));
        self.findings.get(self.findings.binary_search_by(order).ok()?)
    }

    /// Where answers differ, as of the last look.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = EndpointId> + '_ {
        self.books.endpoints().map(|(id, _)| id)
    }

    /// Endpoints have other ids now.
    pub(super) fn restore(&mut self, id: impl FnMut(EndpointId) -> EndpointId) {
        let limits = BookLimits::default();
        let books = std::mem::replace(&mut self.books, Books::new("", limits, 0));
        self.books = books.restored(limits, id);
        self.is_stale = true;
    }

    pub(super) fn excuse(&mut self, comparison: &Comparison) {
        for (excuse, count) in &comparison.excused {
            let count = u64::from(*count);
            let all = self.excused.entry(*excuse).or_default();
            *all = all.saturating_add(count);
        }
    }

    /// Judges again, if that may say something else than before.
    pub(super) fn judge(&mut self, endpoints: &Endpoints, thresholds: &Thresholds) {
        if self.judged_at == self.books.looks() && !self.is_stale {
            return;
        }
        self.judged_at = self.books.looks();
        self.is_stale = false;
        self.findings = findings(&self.books, thresholds.confidence);
        self.verdict = verdict(&self.books, endpoints, thresholds);
    }
}
