//! What may change while the agent runs: the configuration by a reload, a target's settings by hand.
//!
//! A reload is all or nothing: everything that can fail is done before anything changes. What was
//! set by hand stays in force over reloads, until it is taken back or the agent ends.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tracing::{info, warn};

use crate::agent::{Handle, Route, Snapshot, TargetPlan};
use crate::comparison::{Comparing, Standing};
use crate::config::Config;
use crate::config::file::{self, Report};
use crate::history::{self, History};
use crate::os::descriptors;
use crate::os::systemd::Reloading;
use crate::outcome::Tally;
use crate::target::{Overrides, Planned, Shared, plan};

/// Changes that are remembered.
const MAX_CHANGES: usize = 100;

/// Controls a running agent. All clones are the same.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    workers: Handle,
    started: Instant,
    since: SystemTime,
    draining: AtomicBool,
    history: History,
    /// Held for the length of a reload: they come one after the other.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

struct State {
    config: Arc<Config>,
    targets: Vec<Planned>,
    /// There when any target's answers are compared.
    comparing: Option<Arc<Comparing>>,
    overrides: BTreeMap<String, Overrides>,
    changes: VecDeque<Change>,
    reloads: Reloads,
}

/// What was changed by hand or by a reload.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// When.
    pub at: SystemTime,
    /// Who: an address of the admin API, or a signal.
    pub by: String,
    /// The target; empty for a reload.
    pub target: String,
    /// The setting.
    pub setting: &'static str,
    /// What it was.
    pub from: String,
    /// What it is now.
    pub to: String,
}

/// The reloads since the start.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    /// Those that changed the configuration, or would have.
    pub done: u64,
    /// Those that a mistake in the file stopped.
    pub failed: u64,
    /// When the last one was.
    pub last: Option<SystemTime>,
    /// Why the last one failed; empty when it did not.
    pub error: String,
}

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reloaded {
    /// Targets that are new.
    pub added: Vec<String>,
    /// Targets that are gone; what they have begun comes to its end.
    pub removed: Vec<String>,
    /// Targets that work differently now.
    pub changed: Vec<String>,
    /// Targets that stay as they were.
    pub unchanged: Vec<String>,
    /// Keys whose change takes effect at a restart only.
    pub needs_restart: Vec<String>,
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (what, names) in [
            ("added", &self.added),
            ("removed", &self.removed),
            ("changed", &self.changed),
            ("unchanged", &self.unchanged),
            ("needs a restart", &self.needs_restart),
        ] {
            if !names.is_empty() {
                write!(f, "{separator}{what}: {}", names.join(", "))?;
                separator = "; ";
            }
        }
        if separator.is_empty() { f.write_str("no targets") } else { Ok(()) }
    }
}

/// Why a reload changed nothing.
#[derive(Debug)]
pub enum NotReloaded {
    /// The agent runs without a configuration file.
    NoFile,
    /// What is wrong with the file.
    Wrong(Report),
    /// What the file names cannot be used.
    Unusable(String),
}

/// There is no target of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchTarget(pub String);

impl fmt::Display for NoSuchTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no target `{}`", self.0)
    }
}

/// How the agent stands.
pub struct Status {
    /// What it does now.
    pub config: Arc<Config>,
    /// The counters.
    pub snapshot: Snapshot,
    /// The targets, in the order of the configuration.
    pub targets: Vec<TargetStatus>,
    /// Targets that a reload took away, and their counters.
    pub removed: BTreeMap<String, Tally>,
    /// How comparison stands, if any answers are or were compared.
    pub comparison: Option<Standing>,
    /// How history stands, if anything is kept.
    pub history: Option<history::Standing>,
    /// The reloads so far.
    pub reloads: Reloads,
    /// Whether it takes leave.
    pub draining: bool,
    /// How long it has been running.
    pub uptime: Duration,
    /// When it started.
    pub since: SystemTime,
}

/// How a target stands.
pub struct TargetStatus {
    /// Its configuration, its settings in force and its state.
    pub shared: Arc<Shared>,
    /// What was set by hand.
    pub overrides: Overrides,
    /// Its counters, over all reloads.
    pub tally: Tally,
}

impl Control {
    /// Controls the agent whose workers are `workers`, and which does what `config` says.
    #[must_use]
    pub fn new(
        workers: Handle,
        config: Config,
        targets: Vec<Planned>,
        comparing: Option<Arc<Comparing>>,
        history: History,
        started: Instant,
    ) -> Self {
        let state = State {
            config: Arc::new(config),
            targets,
            comparing,
            overrides: BTreeMap::new(),
            changes: VecDeque::new(),
            reloads: Reloads::default(),
        };
        let inner = Inner {
            workers,
            started,
            since: SystemTime::now(),
            draining: AtomicBool::new(false),
            history,
            turn: tokio::sync::Mutex::new(()),
            state: Mutex::new(state),
        };
        Self { inner: Arc::new(inner) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic left behind is whole: nothing here changes in two steps.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the agent does now.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.state().config)
    }

    /// The workers.
    #[must_use]
    pub fn workers(&self) -> &Handle {
        &self.inner.workers
    }

    /// How the agent stands. Waits for the workers, a second at most.
    pub async fn status(&self) -> Status {
        let snapshot = self.inner.workers.snapshot().await;
        self.status_of(snapshot)
    }

    /// How the agent stands, by counters taken just now.
    #[must_use]
    pub fn status_of(&self, snapshot: Snapshot) -> Status {
        let state = self.state();
        let mut removed = snapshot.targets.clone();
        let targets = state.targets.iter().map(|planned| {
            let shared = Arc::clone(&planned.plan.shared);
            let name = &shared.config.name;
            TargetStatus {
                tally: removed.remove(name).unwrap_or_default(),
                overrides: state.overrides.get(name).cloned().unwrap_or_default(),
                shared,
            }
        });
        Status {
            config: Arc::clone(&state.config),
            targets: targets.collect(),
            removed,
            snapshot,
            comparison: state.comparing.as_ref().map(|comparing| comparing.standing()),
            history: self.inner.history.standing(),
            reloads: state.reloads.clone(),
            draining: self.is_draining(),
            uptime: self.inner.started.elapsed(),
            since: self.inner.since,
        }
    }

    /// The last changes, the newest at the end.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.state().changes.iter().cloned().collect()
    }

    /// What compares answers, if any are compared.
    #[must_use]
    pub fn comparing(&self) -> Option<Arc<Comparing>> {
        self.state().comparing.clone()
    }

    /// What is remembered.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.inner.history
    }

    /// From now on the agent takes leave.
    pub fn drain(&self) {
        self.inner.draining.store(true, Relaxed);
    }

    /// Keeps what was compared in the history.
    pub fn keep_comparison(&self) {
        let Some(comparing) = self.comparing() else { return };
        let outlives = self.config().comparison.history.file.is_some();
        comparing.keep(self.history(), outlives);
    }

    /// Compares what the workers, who are not there any more, have handed over.
    pub async fn finish_comparing(&self) {
        if let Some(comparing) = self.comparing() {
            comparing.finish().await;
        }
        self.keep_comparison();
    }

    /// Whether the agent takes leave.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Relaxed)
    }

    /// Changes by hand what `edit` changes of a target's settings; `by` says who did it.
    ///
    /// # Errors
    /// There is no such target.
    pub fn adjust(
        &self,
        target: &str,
        by: &str,
        edit: impl FnOnce(&mut Overrides),
    ) -> Result<(), NoSuchTarget> {
        let mut state = self.state();
        let found = state.targets.iter().find(|p| p.plan.shared.config.name == target);
        let shared = found.map(|planned| Arc::clone(&planned.plan.shared));
        let shared = shared.ok_or_else(|| NoSuchTarget(target.to_owned()))?;
        let mut overrides = state.overrides.get(target).cloned().unwrap_or_default();
        edit(&mut overrides);
        let before = settings(&shared);
        shared.live.set(&shared.config, &overrides);
        for ((setting, from), (_, to)) in before.into_iter().zip(settings(&shared)) {
            if from != to {
                info!("target {target}: {setting} is {to} now instead of {from}, set by {by}");
                let (by, target) = (by.to_owned(), target.to_owned());
                state.note(Change { at: SystemTime::now(), by, target, setting, from, to });
            }
        }
        if overrides.is_empty() {
            state.overrides.remove(target);
        } else {
            state.overrides.insert(target.to_owned(), overrides);
        }
        Ok(())
    }

    /// Reads the configuration file again and changes over to it, see [`Control::change_to`]; gives
    /// the file's warnings too.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub async fn reload(&self, by: &str) -> Result<(Reloaded, Report), NotReloaded> {
        let Some(path) = self.config().file.clone() else { return Err(NotReloaded::NoFile) };
        let read = tokio::task::spawn_blocking(move || file::load(&path)).await;
        let read = read.map_err(|error| NotReloaded::Unusable(error.to_string()))?;
        let (config, warnings) = read.map_err(|report| {
            for line in report.lines() {
                warn!("{line}");
            }
            self.failed(&report.summary());
            NotReloaded::Wrong(report)
        })?;
        for line in warnings.lines() {
            warn!("{line}");
        }
        let reloaded = self.change_to(config, by).await.map_err(NotReloaded::Unusable)?;
        Ok((reloaded, warnings))
    }

    /// Changes over to `config`; `by` says who wanted it. Connections from HAProxy stay, and so do
    /// targets that are the same in both; what a removed or changed target has begun comes to its
    /// end.
    ///
    /// # Errors
    /// What cannot be used (a certificate file, say); then nothing has changed.
    pub async fn change_to(&self, mut config: Config, by: &str) -> Result<Reloaded, String> {
        let _turn = self.inner.turn.lock().await;
        let _reloading = Reloading::begin();
        descriptors::fit(&mut config);
        let (old, known) = {
            let state = self.state();
            (Arc::clone(&state.config), state.targets.clone())
        };
        let targets = plan::targets(&config, &known).await.inspect_err(|e| self.failed(e))?;
        let before = self.comparing();
        let comparing =
            Comparing::wanted(&config, before.clone()).inspect_err(|e| self.failed(e))?;
        if let (None, Some(comparing)) = (before, &comparing) {
            comparing.restore(&self.inner.history).await;
        }
        self.inner.history.configure(&config.comparison.history);
        let reloaded = compare(&old, &config, &known, &targets);
        let route = Route::new(
            config.marker.clone(),
            targets.iter().map(|planned| planned.plan.clone()).collect(),
            comparing.as_ref().and_then(|comparing| comparing.configure(&config)),
        );
        {
            let mut state = self.state();
            for planned in &targets {
                let shared = &planned.plan.shared;
                if let Some(overrides) = state.overrides.get(&shared.config.name) {
                    shared.live.set(&shared.config, overrides);
                }
            }
            state.overrides.retain(|name, _| config.targets.iter().any(|t| t.name == *name));
            state.targets = targets;
            state.comparing = comparing;
            state.config = Arc::new(in_force(&old, config));
            state.reloads.done += 1;
            state.reloads.last = Some(SystemTime::now());
            state.reloads.error.clear();
            state.note(Change {
                at: SystemTime::now(),
                by: by.to_owned(),
                target: String::new(),
                setting: "configuration",
                from: String::new(),
                to: reloaded.to_string(),
            });
        }
        self.inner.workers.route(route).await;
        info!("configuration reloaded by {by}: {reloaded}");
        Ok(reloaded)
    }

    /// Notes that a reload failed; nothing has changed.
    pub fn failed(&self, why: &str) {
        let mut state = self.state();
        state.reloads.failed += 1;
        state.reloads.last = Some(SystemTime::now());
        why.clone_into(&mut state.reloads.error);
        drop(state);
        warn!("the configuration stays as it was: {why}");
    }
}

impl State {
    fn note(&mut self, change: Change) {
        if self.changes.len() >= MAX_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }
}

/// The settings in force, for people.
fn settings(shared: &Shared) -> [(&'static str, String); 7] {
    let live = &shared.live;
    let rate = live.rate().map_or("none".to_owned(), |limit| {
        format!("{}/s, burst {}", limit.rate.per_second, limit.burst)
    });
    [
        ("paused", live.paused().to_string()),
        ("sample", format!("{}%", live.sample().as_percent())),
        ("limit.rate", rate),
        ("limit.in-flight", live.in_flight().to_string()),
        ("limit.queue", live.queue().to_string()),
        ("limit.queue-bytes", live.queue_bytes().to_string()),
        ("limit.max-age", format!("{:?}", live.max_age())),
    ]
}

/// What a change from `old` to `new` amounts to.
fn compare(old: &Config, new: &Config, known: &[Planned], targets: &[Planned]) -> Reloaded {
    let mut reloaded = Reloaded::default();
    let name = |plan: &TargetPlan| plan.shared.config.name.clone();
    for Planned { plan, .. } in targets {
        let before = known.iter().find(|k| k.plan.shared.config.name == plan.shared.config.name);
        let list = match before {
            None => &mut reloaded.added,
            Some(before) if Arc::ptr_eq(&before.plan.shared, &plan.shared) => {
                &mut reloaded.unchanged
            }
            Some(_) => &mut reloaded.changed,
        };
        list.push(name(plan));
    }
    for Planned { plan, .. } in known {
        if !new.targets.iter().any(|target| target.name == plan.shared.config.name) {
            reloaded.removed.push(name(plan));
        }
    }
    for (key, differs) in [
        ("agent.listen", old.agent.listen != new.agent.listen),
        ("agent.backlog", old.agent.backlog != new.agent.backlog),
        ("agent.max-connections", old.agent.max_connections != new.agent.max_connections),
        ("agent.max-frame-size", old.agent.max_frame_size != new.agent.max_frame_size),
        ("agent.workers", old.agent.workers != new.agent.workers),
        ("agent.ack-unset-var", old.agent.ack_unset_var != new.agent.ack_unset_var),
        ("agent.grace", old.grace != new.grace),
        // Left out of the file, it may stand on the command line.
        ("agent.runtime", new.runtime.is_some() && old.runtime != new.runtime),
        ("admin", old.admin != new.admin),
        ("log", old.log != new.log || old.monitor_interval != new.monitor_interval),
        ("comparison.history.file", old.comparison.history.file != new.comparison.history.file),
    ] {
        if differs {
            reloaded.needs_restart.push(key.to_owned());
        }
    }
    reloaded
}

/// What is in force after a change: of what needs a restart, the old.
fn in_force(old: &Config, mut new: Config) -> Config {
    new.comparison.history.file.clone_from(&old.comparison.history.file);
    Config {
        targets: new.targets,
        comparison: new.comparison,
        marker: new.marker,
        file: new.file,
        ..old.clone()
    }
}
