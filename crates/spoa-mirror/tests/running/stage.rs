//! HAProxy with the guide's configuration between a client, production and the program, and a shadow
//! server that the program copies to.

use std::net::SocketAddr;

use testbed::backend::{Behaviour, Recorder, Request, Response};
use testbed::client::http1;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::wait;

use super::mirror::Mirror;
use super::tally::Tally;

/// All of it, running.
pub struct Stage {
    pub production: Recorder,
    pub shadow: Recorder,
    pub mirror: Mirror,
    pub haproxy: Haproxy,
}

impl Stage {
    /// Starts it; `change` adapts HAProxy's configuration.
    pub fn start(version: Version, change: impl FnOnce(Guide) -> Guide) -> Self {
        let production = production();
        let shadow = Recorder::start();
        let url = shadow.url();
        let mirror = Mirror::start(&["-r", "0", "-u", &url, "-i", "1s"]);
        let guide = Guide::new(production.address()).agent(mirror.address);
        let haproxy = change(guide).start(version);
        Self { production, shadow, mirror, haproxy }
    }

    /// Where HAProxy's clients connect.
    pub fn address(&self) -> SocketAddr {
        self.haproxy.address("http")
    }

    /// `GET path`, which production must answer.
    pub fn get(&self, path: &str) {
        answered_by_production(&http1::get(self.address(), path).unwrap());
    }

    /// `POST path` with this body, which production must answer.
    pub fn post(&self, path: &str, body: &[u8]) {
        answered_by_production(&http1::post(self.address(), path, body).unwrap());
    }

    /// Waits until the shadow has received `count` requests in all, and gives them.
    pub fn copies(&self, count: usize) -> Vec<Request> {
        self.shadow.wait_for(count, wait::LIMIT)
    }

    /// Ends the program: gives its last counters, after asserting that the shadow received what they say
    /// was answered.
    pub fn finish(&mut self) -> Tally {
        let tally = self.mirror.finish();
        assert_eq!(self.shadow.counts().complete, tally.target().answers(), "{tally:?}");
        tally
    }
}

/// A production server, to be told from the shadow by its answers.
pub fn production() -> Recorder {
    Recorder::with(Behaviour::respond(Response::ok("production")))
}

/// Asserts that an answer is production's.
#[track_caller]
pub fn answered_by_production(response: &http1::Response) {
    assert_eq!((response.status, response.text().as_str()), (200, "production"), "{response:?}");
}
