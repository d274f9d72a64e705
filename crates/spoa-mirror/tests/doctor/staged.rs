//! A fixture's configuration at work: its HAProxy between a client and production, its agents, and a target.

use std::path::Path;

use testbed::agent::Agent;
use testbed::backend::{Recorder, Request};
use testbed::client::http1;
use testbed::counters::{Labels, Target};
use testbed::haproxy::{Haproxy, Version};
use testbed::{ports, wait};

use super::running::mirror::{Mirror, PROGRAM};
use super::running::stage::production;

/// What a test varies.
pub(crate) struct Staged {
    version: Version,
    haproxy: String,
    spoe: String,
    toml: String,
    loops: bool,
}

impl Staged {
    /// The files of `tests/doctor/fixtures/CODE/KIND`.
    pub(crate) fn new(version: Version, fixture: &str) -> Self {
        let directory =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/fixtures").join(fixture);
        let read = |name| std::fs::read_to_string(directory.join(name)).unwrap();
        let (haproxy, spoe) = (read("haproxy.cfg"), read("mirror.conf"));
        Self { version, haproxy, spoe, toml: String::new(), loops: false }
    }

    /// Puts one text in place of another in HAProxy's files, where it must be.
    pub(crate) fn change(mut self, what: &str, with: &str) -> Self {
        assert!(self.haproxy.contains(what) || self.spoe.contains(what), "{what}");
        self.haproxy = self.haproxy.replace(what, with);
        self.spoe = self.spoe.replace(what, with);
        self
    }

    /// Lines of the target's table, and tables behind it.
    pub(crate) fn toml(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.toml);
        self
    }

    /// Answers are compared; a half without the other waits a second.
    pub(crate) fn comparing(self) -> Self {
        self.toml("compare = true\n\n[comparison]\nwait = \"1s\"\n")
    }

    /// The target is HAProxy.
    pub(crate) fn mirroring_to_haproxy(mut self) -> Self {
        self.loops = true;
        self
    }

    /// Starts it all, and waits until HAProxy takes the agents for alive.
    pub(crate) fn start(self) -> Scene {
        let (production, shadow) = (production(), Recorder::start());
        let agents = self.haproxy.matches("    server agent").count();
        let addresses: Vec<_> = (0..agents).map(|_| ports::free_addr()).collect();
        let mut haproxy = format!("global\n    maxconn 4000\n\n{}", self.haproxy);
        for (what, with) in [
            (":80 proto h2", ":80".to_owned()),
            ("bind :80", "bind 127.0.0.1:{port:http}".to_owned()),
            ("127.0.0.1:8080", production.address().to_string()),
            ("inter 1s fastinter 200ms", "inter 200ms".to_owned()),
        ] {
            haproxy = haproxy.replace(what, &with);
        }
        for (index, address) in addresses.iter().enumerate() {
            haproxy =
                haproxy.replace(&format!("127.0.0.1:{}", 12345 + index), &address.to_string());
        }
        // Patience for a busy machine.
        let spoe = self.spoe.replace("timeout processing 20ms", "timeout processing 5s");
        let haproxy =
            Haproxy::builder(self.version).config(haproxy).file("mirror.conf", spoe).start();
        let url =
            if self.loops { format!("http://{}", haproxy.address("http")) } else { shadow.url() };
        let toml = format!("[[target]]\nname = \"shadow\"\nurl = \"{url}\"\n{}", self.toml);
        let mirrors = addresses.iter().map(|address| {
            let directory = tempfile::tempdir().unwrap();
            Mirror::configured_at(*address, Agent::builder(PROGRAM), directory, &toml)
        });
        let scene = Scene { production, shadow, mirrors: mirrors.collect(), haproxy };
        wait::holds(wait::LIMIT, "the agents to be up", || {
            let state = scene.haproxy.command("show stat");
            let up = state.lines().filter(|line| line.starts_with("mirroragents,agent"));
            up.filter(|line| line.contains(",UP,")).count() == agents
        });
        scene
    }
}

/// All of it, running.
pub(crate) struct Scene {
    pub(crate) production: Recorder,
    pub(crate) shadow: Recorder,
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) haproxy: Haproxy,
}

impl Scene {
    /// Sends so many `GET /search?q=1`, which production must answer.
    pub(crate) fn get(&self, count: usize) {
        for _ in 0..count {
            let response = http1::get(self.haproxy.address("http"), "/search?q=1").unwrap();
            assert_eq!(response.status, 200, "{response:?}");
        }
    }

    /// Sends a request's bytes; gives the status.
    pub(crate) fn send(&self, bytes: &[u8]) -> u16 {
        http1::exchange(self.haproxy.address("http"), bytes).unwrap().status
    }

    /// Waits for the target's only request.
    pub(crate) fn copy(&self) -> Request {
        self.shadow.wait_for(1, wait::LIMIT).remove(0)
    }

    /// Ends the agents: what the target's counters say in all, and requests that were incomplete.
    pub(crate) fn finish(&mut self) -> (Target, u64) {
        let mut sum = Target::default();
        let mut incomplete = 0;
        for mirror in &mut self.mirrors {
            let tally = mirror.finish();
            incomplete += tally.spop.incomplete;
            let target = tally.target();
            sum.received += target.received;
            add(&mut sum.answered, &target.answered);
            add(&mut sum.failed, &target.failed);
            add(&mut sum.dropped, &target.dropped);
        }
        (sum, incomplete)
    }

    /// Waits until so many copies are over, and gives what became of their comparison in all agents.
    pub(crate) fn compared(&self, copies: u64) -> Labels {
        let compared = || {
            let mut sum = Labels::new();
            for report in self.mirrors.iter().filter_map(|mirror| mirror.reports().pop()) {
                add(&mut sum, &report.comparison);
            }
            sum
        };
        wait::until(wait::LIMIT, "copies to be over", || {
            let sum = compared();
            let of = |label: &str| sum.get(label).copied().unwrap_or(0);
            (of("copies") == copies && of("waiting") == 0).then_some(sum)
        })
    }
}

fn add(sum: &mut Labels, labels: &Labels) {
    for (label, count) in labels {
        *sum.entry(label.clone()).or_default() += count;
    }
}

/// With the bad file of ten requests none is copied, and with the good one all are.
pub(crate) fn only_good_mirrors(version: Version, bad: &str, good: &str) {
    let mut scene = Staged::new(version, bad).start();
    scene.get(10);
    let (target, incomplete) = scene.finish();
    assert_eq!(target.received + incomplete, 10, "{bad}: {target}");
    assert_eq!(target.answers() + target.failures(), 0, "{bad}: {target}");
    assert_eq!(scene.shadow.counts().requests, 0, "{bad}");

    let mut scene = Staged::new(version, good).start();
    scene.get(10);
    let copies = scene.shadow.wait_for(10, wait::LIMIT);
    assert!(copies.iter().all(|copy| copy.target() == b"/search?q=1"), "{good}: {copies:?}");
    let (target, incomplete) = scene.finish();
    assert_eq!((target.answers(), incomplete), (10, 0), "{good}: {target}");
}
