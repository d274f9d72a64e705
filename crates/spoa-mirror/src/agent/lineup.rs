//! The targets of one worker: those that take requests now, and those that a reload took away and
//! that bring what they have begun to its end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::comparison::Intake;
use crate::config::Marker;
use crate::outcome::Tally;
use crate::policy::{Judge, Request, Rules};
use crate::survive::caught;
use crate::target::{self, Target};

/// What a worker needs to build its side of a target.
#[derive(Clone)]
pub struct TargetPlan {
    /// What all workers share.
    pub shared: Arc<target::Shared>,
    /// TLS, for an `https` URL.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The target's addresses.
    pub addresses: target::resolve::Addresses,
}

/// Where requests go from now on.
#[derive(Clone)]
pub struct Route {
    /// How copies are marked.
    marker: Marker,
    /// The targets, in the order of the configuration.
    targets: Vec<TargetPlan>,
    /// Which requests they want.
    rules: Rules,
    /// Takes what is to be compared, when any target's answers are.
    intake: Option<Arc<Intake>>,
}

impl Route {
    /// To these targets.
    #[must_use]
    pub fn new(marker: Marker, targets: Vec<TargetPlan>, intake: Option<Arc<Intake>>) -> Self {
        let configs: Vec<_> = targets.iter().map(|plan| &plan.shared.config).collect();
        let rules = Rules::new(&configs);
        Self { marker, targets, rules, intake }
    }
}

/// The targets that take requests; for the length of one NOTIFY they stay the same.
pub(super) struct Active {
    pub(super) marker: Option<String>,
    targets: Vec<Rc<Target>>,
    judge: Judge,
    /// Takes what is to be compared, when any target's answers are.
    pub(super) intake: Option<Arc<Intake>>,
}

impl Active {
    /// Offers a request to each target.
    pub(super) fn offer(&self, request: &Request<'_>) {
        let mut hearing = self.judge.hear(request);
        let mut left = self.targets.iter().enumerate();
        loop {
            let mut last = None;
            let all = caught(|| {
                for (number, target) in left.by_ref() {
                    last = Some(target);
                    target.offer(request, number, &mut hearing);
                }
            });
            match last {
                // A defect must cost one copy, not those for the targets that come after, nor the
                // connection and all the requests that wait on it.
                Some(target) if all.is_none() => target.count_panic(),
                _ => return,
            }
        }
    }
}

/// All targets of one worker, and what was counted for those that are gone.
pub(super) struct Lineup {
    context: Rc<target::Context>,
    active: RefCell<Rc<Active>>,
    /// Taken away, not yet done.
    leaving: RefCell<Vec<Rc<Target>>>,
    /// By name: counters go on where a target is changed, or comes back.
    gone: RefCell<BTreeMap<String, Tally>>,
}

impl Lineup {
    pub(super) fn new(route: &Route, context: Rc<target::Context>) -> Self {
        let judge = Judge::new(Rules::new(&[]));
        let active = Active { marker: None, targets: Vec::new(), judge, intake: None };
        let lineup = Self {
            context,
            active: RefCell::new(Rc::new(active)),
            leaving: RefCell::default(),
            gone: RefCell::default(),
        };
        lineup.change(route);
        lineup
    }

    pub(super) fn active(&self) -> Rc<Active> {
        Rc::clone(&self.active.borrow())
    }

    /// Takes requests to other targets from now on. A target that both have keeps its connections;
    /// one that is gone takes nothing more.
    pub(super) fn change(&self, route: &Route) {
        let old = self.active();
        let targets = route.targets.iter().map(|plan| {
            let known =
                old.targets.iter().find(|target| Arc::ptr_eq(target.shared(), &plan.shared));
            known.cloned().unwrap_or_else(|| {
                Target::new(
                    Arc::clone(&plan.shared),
                    Rc::clone(&self.context),
                    plan.tls.clone(),
                    plan.addresses.clone(),
                )
            })
        });
        let active = Active {
            marker: route.marker.name.clone(),
            targets: targets.collect(),
            judge: Judge::new(route.rules.clone()),
            intake: route.intake.clone(),
        };
        for target in &old.targets {
            if !active.targets.iter().any(|kept| Rc::ptr_eq(kept, target)) {
                target.wind_down();
                self.leaving.borrow_mut().push(Rc::clone(target));
            }
        }
        self.active.replace(Rc::new(active));
    }

    /// Runs now and then: see [`Target::sweep`].
    pub(super) fn sweep(&self, now: Instant) {
        for target in self.all() {
            target.sweep(now);
        }
        let mut leaving = self.leaving.borrow_mut();
        leaving.retain(|target| {
            let done = target.is_done();
            if done {
                target.close();
                let name = target.shared().config.name.clone();
                let mut tally = target.tally();
                // Its last connections are about to close, when nobody counts any more.
                tally.connections_closed = tally.connections_opened;
                self.gone.borrow_mut().entry(name).or_default().add(&tally);
            }
            !done
        });
    }

    /// The counters by target, those included that are gone.
    pub(super) fn tallies(&self) -> BTreeMap<String, Tally> {
        let mut tallies = self.gone.borrow().clone();
        for target in self.all() {
            let name = target.shared().config.name.clone();
            tallies.entry(name).or_default().add(&target.tally());
        }
        tallies
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_done(&self) -> bool {
        self.all().all(|target| target.is_done())
    }

    /// Gives up what waits and what is under way.
    pub(super) fn give_up(&self) {
        for target in self.all() {
            target.give_up();
        }
    }

    fn all(&self) -> impl Iterator<Item = Rc<Target>> {
        let leaving = self.leaving.borrow().clone();
        let active = self.active();
        (0..active.targets.len())
            .filter_map(move |index| active.targets.get(index).cloned())
            .chain(leaving)
    }
}
