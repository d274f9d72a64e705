//! HAProxy with the guide's configuration in front of a recording production server, and the program
//! beside it.

use std::time::Duration;

use serde_json::Value;
use testbed::agent::Agent;
use testbed::backend::{Behaviour, Recorder, Response as Answer};
use testbed::client::h2;
use testbed::client::http1::{self, Response};
use testbed::counters::{Tally, Target};
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::{ports, wait};

use super::copy::{Pair, Rules};

type Change = Box<dyn FnOnce(Guide) -> Guide>;

/// What to start.
pub(crate) struct Setup {
    version: Version,
    changes: Vec<Change>,
    args: Vec<String>,
    mirror_to_haproxy: bool,
}

impl Setup {
    /// This version with the guide's configuration; a program that copies nowhere.
    pub(crate) fn new(version: Version) -> Self {
        Self { version, changes: Vec::new(), args: Vec::new(), mirror_to_haproxy: false }
    }

    /// Changes the configuration of HAProxy.
    #[must_use]
    pub(crate) fn guide(mut self, change: impl FnOnce(Guide) -> Guide + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// Gives the program arguments, separated by blanks.
    #[must_use]
    pub(crate) fn args(mut self, args: &str) -> Self {
        self.args.extend(args.split_whitespace().map(str::to_owned));
        self
    }

    /// Has the program send copies to HAProxy itself.
    #[must_use]
    pub(crate) fn mirror_to_haproxy(mut self) -> Self {
        self.mirror_to_haproxy = true;
        self
    }

    /// Starts everything and waits until the program listens.
    pub(crate) fn start(self) -> Stage {
        let production = Recorder::with(Behaviour::respond(Answer::ok("production")));
        let agent_port = ports::free();
        let guide = Guide::new(production.address()).agent(format!("127.0.0.1:{agent_port}"));
        let guide = self.changes.into_iter().fold(guide, |guide, change| change(guide));
        let haproxy = guide.start(self.version);
        let mut agent = Agent::builder(env!("CARGO_BIN_EXE_spoa-mirror"))
            .args(["-a", "127.0.0.1", "-p", &agent_port.to_string()])
            .args(["--log-format", "json", "--access-log", "ALL"])
            .args(self.args);
        if self.mirror_to_haproxy {
            agent = agent.arg("-u").arg(format!("http://{}", haproxy.address("http")));
        }
        let agent = agent.start();
        agent.wait_line(wait::LIMIT, |line| line.contains("listening on"));
        Stage { production, haproxy, agent }
    }

    /// Starts everything with a shadow server, the mirror URL being its address and `prefix`.
    pub(crate) fn start_with_shadow(self, prefix: &str) -> ShadowStage {
        let shadow = Recorder::with(Behaviour::respond(Answer::ok("shadow")));
        let url = shadow.url();
        self.start_with(shadow, &format!("{url}{prefix}"))
    }

    /// Starts everything with this shadow server, which the program knows by this URL.
    pub(crate) fn start_with(self, shadow: Recorder, url: &str) -> ShadowStage {
        let stage = self.args(&format!("-u {url}")).start();
        let (target, prefix) = target_and_prefix(url);
        let rules = Rules { prefix: prefix.to_owned(), ..Rules::default() };
        ShadowStage { stage, shadow, target: target.to_owned(), rules, sent: 0.into() }
    }
}

/// The name of a mirror URL's target in the program's counters, and the URL's path.
fn target_and_prefix(url: &str) -> (&str, &str) {
    let (_, rest) = url.split_once("://").unwrap();
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

/// HAProxy, production and the program.
pub(crate) struct Stage {
    pub(crate) production: Recorder,
    pub(crate) haproxy: Haproxy,
    pub(crate) agent: Agent,
}

impl Stage {
    /// Sends a request's bytes to HAProxy on a connection of its own; the answer must be 200.
    pub(crate) fn send(&self, bytes: &[u8]) -> Response {
        let response = http1::exchange(self.haproxy.address("http"), bytes).unwrap();
        let shown = &bytes[..bytes.len().min(300)];
        assert_eq!(response.status, 200, "{}: {response:?}", shown.escape_ascii());
        response
    }

    /// Sends `GET path`.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    /// Sends `POST path` with this body.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Response {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        self.send(&[head.as_bytes(), body].concat())
    }

    /// Waits until `count` copies were answered or failed, and gives the log lines about all of them.
    pub(crate) fn wait_copies(&self, count: usize) -> Vec<Value> {
        wait::until(wait::LIMIT, &format!("{count} log lines about copies"), || {
            let copies = self.copies();
            (copies.len() >= count).then_some(copies)
        })
    }

    /// The log lines about copies so far.
    pub(crate) fn copies(&self) -> Vec<Value> {
        let lines = self.agent.stdout().all();
        let parsed = lines.iter().filter_map(|line| serde_json::from_str(line).ok());
        parsed.filter(|line: &Value| line["message"] == "copy").collect()
    }

    /// Log lines that contain `text`.
    pub(crate) fn told(&self, text: &str) -> Vec<String> {
        self.agent.output().matching(|line| line.contains(text))
    }

    /// Ends the program in order and gives its last counters for `target`.
    pub(crate) fn finish(&mut self, target: &str) -> Target {
        let status = self.agent.stop(Duration::from_secs(20));
        assert!(status.success(), "{status}");
        // The process is gone, but its last lines may still be in the pipe.
        self.agent.wait_line(wait::LIMIT, |line| line.contains("\"counters\""));
        let counters = self.counters(target);
        assert_eq!(counters.open(), 0, "{counters}");
        counters
    }

    /// The last counters that the program wrote for `target`.
    pub(crate) fn counters(&self, target: &str) -> Target {
        let last = Tally::all(&self.agent.stdout().all()).pop().expect("counters");
        last.named(target).clone()
    }
}

/// A [`Stage`] with one shadow server.
pub(crate) struct ShadowStage {
    pub(crate) stage: Stage,
    pub(crate) shadow: Recorder,
    target: String,
    /// How the copy may differ from what production gets.
    pub(crate) rules: Rules,
    sent: std::cell::Cell<u64>,
}

impl ShadowStage {
    /// Sends a request's bytes to HAProxy; gives what production and shadow received of it.
    pub(crate) fn pair(&self, bytes: &[u8]) -> Pair {
        let response = self.stage.send(bytes);
        assert_eq!(response.text(), if bytes.starts_with(b"HEAD ") { "" } else { "production" });
        self.received()
    }

    /// [`ShadowStage::faithful`], unless HAProxy refuses the request with 400; whether it passed.
    #[track_caller]
    pub(crate) fn faithful_if_passed(&self, bytes: &[u8]) -> bool {
        let response = http1::exchange(self.stage.haproxy.address("http"), bytes).unwrap();
        match response.status {
            200 => self.received().assert_faithful(&self.rules, self.stage.haproxy.version()),
            400 => assert_eq!(self.stage.production.requests().len(), 0),
            other => panic!("{}: status {other}", bytes.escape_ascii()),
        }
        response.status == 200
    }

    /// Sends a request over HTTP/2.
    pub(crate) fn pair_h2(&self, request: &h2::Request) -> Pair {
        let client = h2::Client::connect(self.stage.haproxy.address("http")).unwrap();
        let response = client.exchange(request).unwrap();
        assert_eq!(response.status, 200, "{request:?}");
        self.received()
    }

    /// Takes the one request that each side received.
    fn received(&self) -> Pair {
        let production = self.stage.production.wait_for(1, wait::LIMIT);
        let shadow = self.shadow.wait_for(1, wait::LIMIT);
        self.stage.production.take();
        self.shadow.take();
        assert_eq!((production.len(), shadow.len()), (1, 1));
        self.sent.set(self.sent.get() + 1);
        let [production] = production.try_into().unwrap();
        let [shadow] = shadow.try_into().unwrap();
        Pair { production, shadow }
    }

    /// Sends a request and asserts that the copy is what it should be.
    #[track_caller]
    pub(crate) fn faithful(&self, bytes: &[u8]) -> Pair {
        let pair = self.pair(bytes);
        pair.assert_faithful(&self.rules, self.stage.haproxy.version());
        pair
    }

    /// [`ShadowStage::faithful`] over HTTP/2.
    #[track_caller]
    pub(crate) fn faithful_h2(&self, request: &h2::Request) -> Pair {
        let pair = self.pair_h2(request);
        pair.assert_faithful(&self.rules, self.stage.haproxy.version());
        pair
    }

    /// Waits for the one request that each side receives of what was sent by other means, and asserts
    /// that the copy is what it should be.
    #[track_caller]
    pub(crate) fn assert_received(&self) -> Pair {
        let pair = self.received();
        pair.assert_faithful(&self.rules, self.stage.haproxy.version());
        pair
    }

    /// Ends the program and gives its last counters.
    pub(crate) fn stop(&mut self) -> Target {
        self.stage.finish(&self.target)
    }

    /// Ends the program: every request sent was copied once and answered, and nothing else arrived.
    pub(crate) fn finish(mut self) {
        let counters = self.stop();
        let sent = self.sent.get();
        assert_eq!(counters.to_string(), format!("received {sent}: answered 2xx {sent}"));
        assert_eq!(self.shadow.counts().requests, sent);
        assert_eq!(self.shadow.counts().broken, 0);
    }
}
