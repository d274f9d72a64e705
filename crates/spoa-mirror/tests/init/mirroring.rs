//! Each combination, from `init` to a copy at the target, with every HAProxy.

use std::net::SocketAddr;

use serde_json::Value;
use testbed::agent::Agent;
use testbed::backend::{Behaviour, Recorder, Response};
use testbed::client::http1;
use testbed::haproxy::{Haproxy, Version};
use testbed::{ports, wait};

use crate::running::on_each_haproxy;
use crate::scene::{Way, Written, operators, run, two_ports};

on_each_haproxy!(requests_are_copied, answers_are_compared);

fn requests_are_copied(version: Version) {
    for way in Way::BOTH {
        for agents in [1, 2] {
            let scene = Scene::start(version, way, agents, &[]);
            scene.copies_and_stops();
        }
    }
}

fn answers_are_compared(version: Version) {
    for way in Way::BOTH {
        for agents in [1, 2] {
            let scene = Scene::start(version, way, agents, &["--compare"]);
            scene.copies_and_stops();
            // All but the one of /denied, which production never saw, nor the agent.
            wait::holds(wait::LIMIT, "all pairs to be the same", || {
                let statuses = scene.statuses();
                let sum = |field: &dyn Fn(&Value) -> &Value| -> u64 {
                    statuses.iter().map(|status| field(status).as_u64().unwrap_or(0)).sum()
                };
                let same = sum(&|status| &status["comparison"]["pairs"]["127.0.0.1"]["same"]);
                same == 6 && sum(&|status| &status["comparison"]["waiting"]) == 0
            });
        }
    }
}

struct Scene {
    written: Written,
    agents: Vec<Agent>,
    admin: Vec<SocketAddr>,
    addresses: Vec<String>,
    shadow: Recorder,
    _production: Recorder,
    haproxy: Haproxy,
}

impl Scene {
    fn start(version: Version, way: Way, agents: usize, further: &[&str]) -> Self {
        let answer = || Behaviour::respond(Response::ok("all the same"));
        let (production, shadow) = (Recorder::with(answer()), Recorder::with(answer()));
        let first_admin = two_ports();
        let admin: Vec<SocketAddr> =
            (0..2).map(|n| SocketAddr::from(([127, 0, 0, 1], first_admin + n))).collect();
        let addresses: Vec<_> = (0..agents).map(|_| ports::free_addr().to_string()).collect();
        let (url, admin_flag) = (shadow.url(), admin[0].to_string());
        // Patience for a busy machine.
        let mut arguments = vec!["--target", &url, "--percent", "100", "--timeout", "5s"];
        arguments.extend(["--admin", &admin_flag]);
        addresses.iter().for_each(|address| arguments.extend(["--agent", address]));
        arguments.extend(further);
        let original = operators(&production.address().to_string());
        let written = Written::new(way, &original, version.name(), &arguments);
        written.assert_taken(version);
        let running = written.agents();
        let haproxy = written.builder(version).start();
        wait::holds(wait::LIMIT, "the agents to be up", || {
            let state = haproxy.command("show stat");
            let up = state.lines().filter(|line| line.starts_with("mirroragents,agent"));
            up.filter(|line| line.contains(",UP,")).count() == agents
        });
        let admin = admin.into_iter().take(agents).collect();
        Self {
            written,
            agents: running,
            admin,
            addresses,
            shadow,
            _production: production,
            haproxy,
        }
    }

    fn get(&self, path: &str, status: u16) {
        assert_eq!(
            http1::get(self.haproxy.address("http"), path).unwrap().status,
            status,
            "{path}"
        );
    }

    fn wait_copy(&self, path: &str) {
        let found =
            self.shadow.wait_matching(1, wait::LIMIT, |copy| copy.target() == path.as_bytes());
        assert!(found.is_ok(), "{}: {path} is not copied", self.haproxy.version());
    }

    /// Copies go out, with their bodies and until they are switched off, and again when they are switched on.
    fn copies_and_stops(&self) {
        let map = self.written.map();
        let set = |share: u32| {
            assert_eq!(self.haproxy.command(&format!("set map {map} / {share}")), "");
        };
        let address = self.haproxy.address("http");
        assert_eq!(http1::post(address, "/orders?a=1", b"the body").unwrap().status, 200);
        self.wait_copy("/orders?a=1");
        self.get("/pictures/1", 200);
        self.wait_copy("/pictures/1");
        self.get("/denied", 403);
        set(0);
        for _ in 0..3 {
            self.get("/off", 200);
        }
        // Of several prefixes the longest one counts.
        assert_eq!(self.haproxy.command(&format!("add map {map} /shop 10000")), "");
        self.get("/shop/1", 200);
        self.wait_copy("/shop/1");
        set(10_000);
        for path in ["/on/1", "/on/2", "/on/3"] {
            self.get(path, 200);
            self.wait_copy(path);
        }
        // The agents have not even been asked for more.
        let asked: u64 =
            self.statuses().iter().map(|status| status["spop"]["requests"].as_u64().unwrap()).sum();
        assert_eq!(asked, 6, "{}", self.haproxy.version());
        let copies = self.shadow.requests();
        let order = copies.iter().find(|copy| copy.target() == b"/orders?a=1").unwrap();
        assert_eq!((order.method(), order.body.as_slice()), (&b"POST"[..], &b"the body"[..]));
        for path in [&b"/off"[..], b"/denied"] {
            assert!(copies.iter().all(|copy| copy.target() != path));
        }
    }

    fn statuses(&self) -> Vec<Value> {
        assert_eq!(self.agents.len(), self.admin.len());
        let status = |admin: &SocketAddr| http1::get(*admin, "/api/v1/status").unwrap().text();
        self.admin.iter().map(|admin| serde_json::from_str(&status(admin)).unwrap()).collect()
    }
}

/// What is told to be done before HAProxy is reloaded, and after it, says that all is well.
#[test]
fn the_doctor_finds_what_runs_healthy() {
    for version in Version::ALL {
        let scene = Scene::start(version, Way::Patched, 2, &["--compare"]);
        for (agent, admin) in scene.addresses.iter().zip(&scene.admin) {
            let admin = admin.to_string();
            let said = run(&["doctor", "--agent", agent, "--send", "--admin", &admin]);
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
        }
        let copies = scene.shadow.requests();
        assert!(copies.iter().any(|copy| copy.target() == b"/spoa-mirror-doctor"), "{version}");
        let socket = scene.haproxy.directory().join("runtime.sock");
        let said = run(&["doctor", "--socket", socket.to_str().unwrap()]);
        assert!(said.status.success(), "{version}: {}", String::from_utf8_lossy(&said.stdout));
    }
}

/// A message with the largest body allowed is handed over; a longer body shows as such.
#[test]
fn bodies_are_copied_up_to_the_size_that_was_asked_for() {
    for version in Version::ALL {
        for (compare, size) in
            [(false, 100 << 10), (true, 100 << 10), (false, 1 << 20), (true, 1 << 20)]
        {
            let size_flag = size.to_string();
            let mut further = vec!["--max-body", &size_flag];
            further.extend(compare.then_some("--compare"));
            let scene = Scene::start(version, Way::Patched, 1, &further);
            let post = |path: &str, length: usize| {
                let answer = http1::post(scene.haproxy.address("http"), path, &vec![b'x'; length]);
                assert_eq!(answer.unwrap().status, 200, "{version}");
            };
            post("/large", size);
            scene.wait_copy("/large");
            post("/too-large", size + 1);
            wait::holds(wait::LIMIT, "the other one to be counted", || {
                let dropped =
                    &scene.statuses()[0]["targets"][0]["counters"]["dropped"]["truncated-body"];
                dropped.as_u64() == Some(1)
            });
            assert_eq!(scene.shadow.requests()[0].body.len(), size, "{version}");
        }
    }
}
