//! An agent with one target, an admin API and a history file that outlives it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use testbed::agent::{Agent, Builder};
use testbed::backend::Recorder;
use testbed::client::http1::{self, Response};
use testbed::{ports, wait};

use crate::running::mirror::{Mirror, PROGRAM};
use crate::running::spop::Peer;

/// What outlives the agent.
pub(crate) struct Scene {
    pub(crate) directory: TempDir,
    pub(crate) shadow: Recorder,
}

/// The agent.
pub(crate) struct Running {
    pub(crate) mirror: Mirror,
    admin: SocketAddr,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), shadow: Recorder::start() }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("history.db")
    }

    /// The configuration of an agent whose admin API is here.
    pub(crate) fn toml(&self, admin: SocketAddr) -> String {
        let (file, url) = (self.file(), self.shadow.url());
        format!(
            "[admin]\nlisten = [\"{admin}\"]\nrate = \"10000/s\"\n\n[comparison]\nhistory.file = \"{}\"\n\n\
             [[target]]\nname = \"shadow\"\nurl = \"{url}\"\n",
            file.display()
        )
    }

    pub(crate) fn start(&self) -> Running {
        self.start_by(Agent::builder(PROGRAM))
    }

    /// Starts it by `builder`, whose program it must be or become.
    pub(crate) fn start_by(&self, builder: Builder) -> Running {
        let admin = ports::free_addr();
        let directory = TempDir::new().unwrap();
        let toml = self.toml(admin);
        let mirror = Mirror::configured_at(ports::free_addr(), builder, directory, &toml);
        wait::holds(wait::LIMIT, "the admin API to answer", || {
            http1::get(admin, "/healthz").is_ok_and(|response| response.status == 200)
        });
        Running { mirror, admin }
    }
}

impl Running {
    /// Hands over so many requests, and waits until their copies are answered.
    pub(crate) fn mirror(&self, scene: &Scene, count: u64) {
        let before = scene.shadow.counts().complete;
        let mut peer = Peer::greeted(self.mirror.address);
        for stream in 1..=count {
            peer.mirror(stream, "/");
        }
        wait::holds(wait::LIMIT, "all copies", || scene.shadow.counts().complete == before + count);
    }

    pub(crate) fn ask(&self, path: &str) -> Response {
        http1::get(self.admin, path).unwrap()
    }

    /// The history of the last hour.
    pub(crate) fn history(&self) -> Value {
        let answer = self.ask("/api/v1/history?points=2000");
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_str(&answer.text()).unwrap()
    }

    /// The metric of this name.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.ask("/metrics").text();
        let line = format!("spoa_mirror_history_{name} ");
        let value = text.lines().find_map(|found| found.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
    }
}

/// The sum of a column.
pub(crate) fn sum(column: &Value) -> u64 {
    let numbers = column.as_array().unwrap_or_else(|| panic!("no column: {column}"));
    numbers.iter().map(|number| number.as_u64().unwrap()).sum()
}
