//! Keeps what was counted in the history: now and then, at the end, and when a run ends.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use tracing::{info, warn};

use super::comparing::Comparing;
use super::ledger::{Ended, Ledger};
use super::sample::Sample;
use crate::history::{Changes, FinishedRun, History};

/// What counts are kept under.
const NAME: &str = "ledger";

/// What was kept last.
#[derive(Default)]
pub(super) struct Kept {
    /// The ledger's revision, and one more: 0 for nothing.
    revision: AtomicU64,
    /// The number of the first pair that is not kept yet.
    next_sample: AtomicU64,
}

impl Comparing {
    /// Goes on from what was counted before a restart. What cannot be read is told, and begun anew.
    pub async fn restore(&self, history: &History) {
        let bytes = match history.load(NAME).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(error) => return warn!("comparison begins anew: {error}"),
        };
        let wanted = match self.ledger().restore(&bytes) {
            Ok(wanted) => wanted,
            Err(error) => return warn!("comparison begins anew: what was counted: {error}"),
        };
        let all = wanted.len();
        let mut found = 0;
        for id in wanted {
            let Ok(Some(json)) = history.sample(id).await else { continue };
            if let Ok(sample) = serde_json::from_str::<Sample>(&json) {
                self.ledger().put_back(sample);
                found += 1;
            }
        }
        let ledger = self.ledger();
        self.kept().next_sample.store(ledger.next_sample(), Relaxed);
        for (name, candidate) in ledger.candidates() {
            let (run, requests) = (candidate.books.run(), candidate.books.requests());
            info!("comparison of {name}: run {run:?} goes on after {requests} requests");
        }
        if found < all {
            warn!("comparison: {} of {all} pairs are not there any more", all - found);
        }
    }

    /// Keeps the runs that ended, and, where the history outlives the program, what has been counted since the
    /// last time. Never waits for the database.
    pub fn keep(&self, history: &History, outlives: bool) {
        let mut ledger = self.ledger();
        let mut changes = Changes::default();
        let all_ended = ledger.take_ended();
        let any_ended = !all_ended.is_empty();
        for ended in all_ended {
            changes = changes.finish_run(finished(&ledger, &ended));
        }
        if any_ended {
            ledger.tidy();
        }
        let kept = self.kept();
        let revision = ledger.revision() + 1;
        if !outlives || kept.revision.load(Relaxed) == revision {
            if any_ended {
                history.write(changes);
            }
            return;
        }
        let first = kept.next_sample.load(Relaxed);
        for sample in ledger.samples_since(first) {
            // A plain structure can always be written.
            let json = serde_json::to_string(sample).unwrap_or_default();
            changes = changes.put_sample(sample.id, json);
        }
        let bytes = ledger.save();
        changes = changes.forget_samples_except(&ledger.sample_ids()).save(NAME, bytes);
        let next = ledger.next_sample();
        drop(ledger);
        if history.write(changes) {
            kept.revision.store(revision, Relaxed);
            kept.next_sample.store(next, Relaxed);
        }
    }
}

/// A run that ended, with its report.
fn finished(ledger: &Ledger, ended: &Ended) -> FinishedRun {
    let Ended { target, at, candidate } = ended;
    let milliseconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.as_millis().try_into().unwrap_or(u64::MAX)
    };
    let report = crate::admin::comparison::shown::report(ledger, target, candidate);
    FinishedRun {
        target: target.clone(),
        name: candidate.books.run().to_owned(),
        started_ms: milliseconds(candidate.started),
        ended_ms: milliseconds(*at),
        answer: candidate.verdict.answer.label().to_owned(),
        report: serde_json::to_string(&report).unwrap_or_default(),
    }
}
