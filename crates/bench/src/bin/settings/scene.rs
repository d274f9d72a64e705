//! HAProxy with a configuration of docs/HAPROXY.md, production, the agent and its target, and a client.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use testbed::agent::{Agent, Signal};
use testbed::backend::Recorder;
use testbed::client::http1::Client;
use testbed::document::{self, Files};
use testbed::haproxy::{Haproxy, Version};
use testbed::{ports, wait};

const DOCUMENT: &str = include_str!("../../../../../docs/HAPROXY.md");

/// The small request of all measurements that are not about bodies.
pub(crate) const REQUEST: &[u8] = b"GET /orders?page=2 HTTP/1.1\r\nhost: shop.example\r\n\r\n";

/// The documented files that mirror only, for this version.
pub(crate) fn mirror_only(version: Version) -> Files {
    document::named(DOCUMENT, if version.has_mode_spop() { "mirror-3.1" } else { "mirror-2.0" })
}

/// The documented files that send request and answer in one message, of every request.
pub(crate) fn comparison(version: Version) -> Files {
    let name = if version.has_mode_spop() { "compare-3.1" } else { "compare-2.5" };
    document::named(DOCUMENT, name).change(" if { rand(100) lt 10 } !", " if !")
}

/// All of it, running.
pub(crate) struct Scene {
    pub(crate) production: Recorder,
    _target: Recorder,
    agent: Agent,
    pub(crate) haproxy: Haproxy,
}

impl Scene {
    /// Starts it, with an agent that is well.
    pub(crate) fn start(version: Version, program: &Path, files: Files) -> Self {
        let (production, target) = (Recorder::start(), Recorder::start());
        let address = ports::free_addr();
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let url = target.url();
        let agent = Agent::start(program, ["-a", &host, "-p", &port, "-u", &url]);
        agent.wait_line(wait::LIMIT, |line| line.contains("listening on"));
        let checked = files.config.contains("spop-check");
        // A configuration that names another agent keeps it.
        let config = files.config.replace("127.0.0.1:12345", &address.to_string());
        let config = config
            .replace("bind :80", "bind 127.0.0.1:{port:http}")
            .replace("127.0.0.1:8080", &production.address().to_string())
            .replace("/etc/haproxy/", "{dir}/");
        // Without it HAProxy sizes itself by the limit of open files.
        let config = config.replacen("global\n", "global\n    maxconn 4000\n", 1);
        let haproxy = Haproxy::builder(version).config(config).file("mirror.conf", files.spoe);
        let scene = Self { production, _target: target, agent, haproxy: haproxy.start() };
        if checked {
            scene.wait_state("UP");
        }
        scene
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.haproxy.address("http")
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address()).unwrap()
    }

    /// How long each of so many requests takes, one after the other on a connection that HAProxy, production
    /// and the agent have used before.
    pub(crate) fn times(&self, count: usize) -> Vec<Duration> {
        let mut client = self.client();
        (0..count).map(|_| ask(&mut client)).collect()
    }

    /// The agent stops in the middle of its work: the kernel still accepts connections for it.
    pub(crate) fn hang(&mut self) {
        self.agent.signal(Signal::SIGSTOP);
    }

    /// The agent is gone: connections are refused.
    pub(crate) fn kill(&mut self) {
        self.agent.kill();
    }

    /// Asks until HAProxy takes the agent for dead: how long each request took, and when it did.
    pub(crate) fn until_noticed(&self) -> (Vec<Duration>, Duration) {
        let begin = Instant::now();
        let mut client = self.client();
        let mut times = Vec::new();
        while !self.state().starts_with("DOWN") {
            times.push(ask(&mut client));
            assert!(begin.elapsed() < wait::LIMIT, "HAProxy does not notice");
        }
        (times, begin.elapsed())
    }

    fn wait_state(&self, state: &str) {
        wait::holds(wait::LIMIT, "the agent's state", || self.state() == state);
    }

    /// What HAProxy thinks of the agent.
    fn state(&self) -> String {
        let stat = self.haproxy.command("show stat");
        let line = stat.lines().find(|line| line.starts_with("mirroragents,agent1,"));
        line.and_then(|line| line.split(',').nth(17)).unwrap_or_default().to_owned()
    }
}

/// How long one request takes.
fn ask(client: &mut Client) -> Duration {
    let begin = Instant::now();
    let answer = client.exchange(REQUEST).unwrap();
    assert_eq!(answer.status, 200);
    begin.elapsed()
}
