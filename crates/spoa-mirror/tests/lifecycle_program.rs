//! Started by HAProxy: the guide's `program` section, which HAProxy 3.3 no longer has.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::fs;
use std::path::Path;

use testbed::backend::Recorder;
use testbed::client::http1;
use testbed::client::load::Load;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::{ports, wait};

use running::mirror::PROGRAM;
use running::stage::{answered_by_production, production};
use running::tally::Tally;

/// HAProxy as master and worker, with the program in its configuration.
struct Stage {
    shadow: Recorder,
    haproxy: Haproxy,
    _production: Recorder,
}

impl Stage {
    fn start(version: Version, listen: &str, server: &str) -> Self {
        let (production, shadow) = (production(), Recorder::start());
        let program = format!(
            "program mirror\n    command {PROGRAM} --runtime 0 --mirror-url {} {listen} \
             --pidfile {{dir}}/mirror.pid -l A:{{dir}}/mirror.log\n",
            shadow.url()
        );
        let mut guide = Guide::new(production.address())
            .agent(server)
            .processing("500ms")
            .agents_line("retries 0")
            .sections(&program);
        if version == Version::V3_2 {
            guide = guide.global("expose-deprecated-directives");
        }
        let haproxy = guide.builder(version).master_worker().start();
        Self { shadow, haproxy, _production: production }
    }

    /// Waits until a request is mirrored: the program starts beside HAProxy, not before it.
    fn wait_mirrored(&self, path: &str) {
        let is_it = |request: &testbed::backend::Request| request.target() == path.as_bytes();
        wait::holds(wait::LIMIT, path, || {
            answered_by_production(&http1::get(self.haproxy.address("http"), path).unwrap());
            self.shadow.requests().iter().any(is_it)
        });
    }

    fn log(&self) -> String {
        fs::read_to_string(self.haproxy.directory().join("mirror.log")).unwrap_or_default()
    }

    /// The program that runs.
    fn pid(&self) -> u32 {
        let pidfile = self.haproxy.directory().join("mirror.pid");
        wait::until(wait::LIMIT, "a pidfile", || {
            fs::read_to_string(&pidfile).ok()?.trim().parse().ok()
        })
    }
}

fn runs(pid: u32) -> bool {
    // One that has ended and was not waited for has no executable any more.
    fs::read_link(Path::new("/proc").join(pid.to_string()).join("exe")).is_ok()
}

/// Every version that has the section, with the agent on TCP.
fn haproxy_starts_and_ends_it(version: Version) {
    if !version.has_program_section() {
        return;
    }
    let port = ports::free();
    let listen = format!("--address 127.0.0.1 --port {port}");
    let mut stage = Stage::start(version, &listen, &format!("127.0.0.1:{port}"));
    stage.wait_mirrored("/first");
    let pid = stage.pid();
    assert!(runs(pid));
    stage.haproxy.stop();
    wait::holds(wait::LIMIT, "the program ends with HAProxy", || !runs(pid));
    assert!(stage.log().contains("SIG"), "it ended in order: {}", stage.log());
    let reports = stage.log().lines().map(str::to_owned).collect::<Vec<_>>();
    let last = Tally::all(&reports).pop().unwrap();
    assert_eq!(last.target().answers(), stage.shadow.counts().complete);
    assert!(!stage.haproxy.directory().join("mirror.pid").exists());
}

/// A reload starts another program, which takes the address over from the one before it.
fn survives_reloads(version: Version, listen: &str, server: &str) {
    let mut stage = Stage::start(version, listen, server);
    stage.wait_mirrored("/first");
    // A connection for each request: those that stay are closed at a reload, perhaps just as the next
    // request comes.
    let load =
        Load::builder(stage.haproxy.address("http")).threads(2).requests_per_connection(1).start();
    for round in 0..2 {
        let old = stage.pid();
        stage.haproxy.reload();
        wait::holds(wait::LIMIT, "the old program ends", || !runs(old));
        wait::holds(wait::LIMIT, "another takes over", || stage.pid() != old);
        let new = stage.pid();
        assert!(runs(new), "{}", stage.log());
        stage.wait_mirrored(&format!("/after-reload-{round}"));
    }
    load.stop().assert_all_ok();
    assert!(!stage.log().contains("WARN"), "{}", stage.log());
    let complaints = stage.haproxy.output().matching(|line| line.contains("error: "));
    assert_eq!(complaints, [""; 0]);
}

fn a_reload_hands_the_port_over(version: Version) {
    if !version.has_program_section() {
        return;
    }
    let port = ports::free();
    let listen = format!("--address 127.0.0.1 --port {port}");
    survives_reloads(version, &listen, &format!("127.0.0.1:{port}"));
}

fn a_reload_hands_the_socket_file_over(version: Version) {
    if !version.has_program_section() {
        return;
    }
    let (listen, server) = ("--address unix:{dir}/agent.sock", "unix@{dir}/agent.sock");
    survives_reloads(version, listen, server);
}

running::on_each_haproxy!(
    haproxy_starts_and_ends_it,
    a_reload_hands_the_port_over,
    a_reload_hands_the_socket_file_over,
);
