//! HAProxy in front of production, and one program with several targets.

use std::net::SocketAddr;

use testbed::backend::{Behaviour, Recorder, Request, Response};
use testbed::client::http1;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::wait;

use crate::running::mirror::Mirror;
use crate::running::stage::{answered_by_production, production};
use crate::running::tally::Tally;

/// The guide's arguments, the client's address, and a customer that HAProxy knows.
const ARGS: &str = "arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs_bin \
                    arg_body=req.body src=src customer=req.hdr(x-customer)";

/// A target: its name, what the configuration says of it, and where it is.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    rules: String,
    pub(crate) recorder: Recorder,
}

impl Target {
    /// A server that answers `200`; `rules` are lines of its table.
    pub(crate) fn new(name: &'static str, rules: &str) -> Self {
        let recorder = Recorder::with(Behaviour::respond(Response::ok(name)));
        Self { name, rules: rules.to_owned(), recorder }
    }
}

/// The configuration of these targets.
pub(crate) fn toml(targets: &[Target]) -> String {
    let table = |target: &Target| {
        let url = target.recorder.url();
        format!("[[target]]\nname = \"{}\"\nurl = \"{url}\"\n{}\n\n", target.name, target.rules)
    };
    targets.iter().map(table).collect()
}

/// The guide's configuration with more arguments, and a second port, `proxied`, where clients may say
/// what their address is (PROXY protocol).
pub(crate) fn guide(production: SocketAddr) -> Guide {
    Guide::new(production)
        .args(ARGS)
        .frontend("bind 127.0.0.1:{port:proxied} accept-proxy")
        .processing("5s")
}

/// All of it, running.
pub(crate) struct Scene {
    pub(crate) production: Recorder,
    pub(crate) mirror: Mirror,
    pub(crate) haproxy: Haproxy,
    pub(crate) targets: Vec<Target>,
}

impl Scene {
    /// Starts it; `change` adapts HAProxy's configuration.
    pub(crate) fn start(
        version: Version,
        targets: Vec<Target>,
        change: impl FnOnce(Guide) -> Guide,
    ) -> Self {
        let production = production();
        let mirror = Mirror::configured(&toml(&targets));
        let guide = guide(production.address()).agent(mirror.address);
        let haproxy = change(guide).start(version);
        Self { production, mirror, haproxy, targets }
    }

    /// Sends a request to the port of this name, which production must answer.
    #[track_caller]
    pub(crate) fn send(&self, port: &str, bytes: &[u8]) {
        answered_by_production(&http1::exchange(self.haproxy.address(port), bytes).unwrap());
    }

    /// The target of this name.
    pub(crate) fn target(&self, name: &str) -> &Recorder {
        &self.targets.iter().find(|target| target.name == name).unwrap().recorder
    }

    /// Waits until a target has received `count` requests in all, and gives them.
    pub(crate) fn copies(&self, name: &str, count: usize) -> Vec<Request> {
        self.target(name).wait_for(count, wait::LIMIT)
    }

    /// Ends the program: gives its last counters, after asserting that each target received what they say
    /// was answered, and nothing else.
    pub(crate) fn finish(&mut self) -> Tally {
        let tally = self.mirror.finish();
        for target in &self.targets {
            let counts = target.recorder.counts();
            let account = tally.named(target.name);
            assert_eq!(counts.complete, account.answers(), "{}: {tally:?}", target.name);
            assert_eq!((counts.broken, account.failures()), (0, 0), "{}: {tally:?}", target.name);
        }
        tally
    }
}
