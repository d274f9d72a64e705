//! Writes down every ten seconds what the agent did in them. It asks the workers for their counters as a
//! scrape of metrics does, and no more often.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::database::FINE;
use super::{Amount, Figures, History};
use crate::agent::Snapshot;
use crate::control::Control;

/// Records until it is finished or dropped.
pub(crate) struct Recording {
    recorder: Arc<Mutex<Recorder>>,
    task: JoinHandle<()>,
}

impl Recording {
    /// Begins, with counters that are 0 now.
    pub(crate) fn start(control: &Control) -> Self {
        let recorder = Recorder::new(control.history().clone(), SystemTime::now());
        let recorder = Arc::new(Mutex::new(recorder));
        let task = tokio::spawn(record(control.clone(), Arc::clone(&recorder)));
        Self { recorder, task }
    }

    /// Records what came since the last time, by the workers' last counters.
    pub(crate) fn finish(&self, last: &Snapshot) {
        self.task.abort();
        take(&self.recorder, last);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record(control: Control, recorder: Arc<Mutex<Recorder>>) {
    if control.history().standing().is_none() {
        return;
    }
    let interval = Duration::from_secs(FINE);
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let snapshot = control.workers().snapshot().await;
        // Without all workers sums would go down: what they did comes with the next row.
        if snapshot.workers == snapshot.all_workers {
            take(&recorder, &snapshot);
        }
    }
}

fn take(recorder: &Mutex<Recorder>, snapshot: &Snapshot) {
    let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
    recorder.take(snapshot, SystemTime::now());
}

/// Turns counters, which only grow, into what each stretch of time brought.
struct Recorder {
    history: History,
    /// When the stretch began, in seconds since 1970, and the counters then.
    since: u64,
    before: Figures,
}

impl Recorder {
    fn new(history: History, now: SystemTime) -> Self {
        Self { history, since: seconds(now), before: Figures::default() }
    }

    fn take(&mut self, snapshot: &Snapshot, now: SystemTime) {
        let now = seconds(now);
        let counters = counters(snapshot);
        let figures = counters.since(&self.before);
        let seconds = now.saturating_sub(self.since);
        self.history.record(Figures { at: self.since, seconds, ..figures });
        self.since = now;
        self.before = counters;
    }
}

/// All numbers since the program's start, and those of this moment.
fn counters(snapshot: &Snapshot) -> Figures {
    let mut figures = Figures::default();
    figures.set("", "received", Amount::Sum(snapshot.spop.requests));
    figures.set("", "incomplete", Amount::Sum(snapshot.spop.incomplete));
    for (bound, count) in snapshot.spop.ack_delay.buckets() {
        figures.set("", ack_delays(bound), Amount::Sum(count));
    }
    for (target, tally) in &snapshot.targets {
        figures.set(target, "received", Amount::Sum(tally.received));
        for (answer, count) in tally.answered() {
            figures.set(target, format!("answered/{answer}"), Amount::Sum(count));
        }
        for (failure, count) in tally.failed() {
            figures.set(target, format!("failed/{failure}"), Amount::Sum(count));
        }
        for (reason, count) in tally.dropped() {
            figures.set(target, format!("dropped/{reason}"), Amount::Sum(count));
        }
        figures.set(target, "waiting", Amount::Most(tally.waiting));
        figures.set(target, "in-flight", Amount::Most(tally.in_flight));
    }
    figures
}

/// What ACKs are counted under that took no longer than this; without a bound, those that took longer than
/// all bounds.
pub(crate) fn ack_delays(bound: Option<Duration>) -> String {
    match bound {
        Some(bound) => format!("ack/{}us", bound.as_micros()),
        None => "ack/more".to_owned(),
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::HistoryConfig;
    use crate::outcome::{Answer, DropReason, Failure};

    #[tokio::test]
    async fn rows_hold_what_came_since_the_one_before() {
        let history = History::open(&HistoryConfig::default()).unwrap();
        let start = SystemTime::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut recorder = Recorder::new(history.clone(), start);
        let mut snapshot = Snapshot::default();
        snapshot.spop.requests = 5;
        snapshot.spop.ack_delay.observe_many(Duration::from_micros(7), 5);
        let tally = snapshot.targets.entry("staging".to_owned()).or_default();
        tally.received = 5;
        tally.count_answer(Answer::Success);
        tally.count_failure(Failure::Timeout);
        tally.count_drops(DropReason::Paused, 2);
        tally.in_flight = 1;
        recorder.take(&snapshot, at(10));
        snapshot.spop.requests = 9;
        snapshot.spop.ack_delay.observe_many(Duration::from_secs(9), 4);
        snapshot.targets.get_mut("staging").unwrap().count_answer(Answer::Success);
        snapshot.targets.get_mut("staging").unwrap().in_flight = 0;
        recorder.take(&snapshot, at(20));
        recorder.take(&snapshot, at(30));
        // The clock was set back.
        snapshot.spop.requests = 10;
        recorder.take(&snapshot, at(15));

        let rows = history.figures(0, u64::from(u32::MAX), 1).await.unwrap();
        let since = seconds(start);
        let times: Vec<_> = rows.iter().map(|row| (row.at - since, row.seconds)).collect();
        assert_eq!(times, [(0, 10), (10, 10), (20, 10), (30, 0)]);
        let column = |target: &str, name: &str| -> Vec<u64> {
            rows.iter().map(|row| row.number(target, name)).collect()
        };
        assert_eq!(column("", "received"), [5, 4, 0, 1]);
        assert_eq!(column("", "ack/10us"), [5, 0, 0, 0]);
        assert_eq!(column("", "ack/more"), [0, 4, 0, 0]);
        assert_eq!(column("staging", "received"), [5, 0, 0, 0]);
        assert_eq!(column("staging", "answered/2xx"), [1, 1, 0, 0]);
        assert_eq!(column("staging", "failed/timeout"), [1, 0, 0, 0]);
        assert_eq!(column("staging", "dropped/paused"), [2, 0, 0, 0]);
        assert_eq!(column("staging", "in-flight"), [1, 0, 0, 0]);
    }
}
