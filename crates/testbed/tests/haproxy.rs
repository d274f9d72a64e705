//! Every version of HAProxy starts with the guide's configuration and does what the tests of the agent
//! rely on: passing requests, logging, the runtime API, reloading, programs.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::process::Command;
use std::time::Duration;

use testbed::agent::Agent;
use testbed::backend::{Behaviour, Recorder, Response};
use testbed::client::h2;
use testbed::client::http1::{self, Client};
use testbed::client::load::Load;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::tls::Authority;
use testbed::{ports, wait};

/// The guide's configuration with no agent behind it and no wait for one.
fn guide(production: &Recorder) -> Guide {
    Guide::new(production.address()).processing("20ms").agents_line("retries 0")
}

#[test]
fn each_executable_says_its_version() {
    for version in Version::ALL {
        let output = Command::new(version.executable()).arg("-v").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        // Moving suites may have left a version behind; scripts/haproxy.sh then takes a newer one.
        let real = std::fs::read_to_string(version.executable().with_file_name("VERSION")).unwrap();
        assert!(said.contains(real.trim()), "{version}: {said} but VERSION says {real}");
        if version <= Version::V3_0 {
            assert!(real.starts_with(version.name()), "{version} is {real}");
        }
    }
}

#[test]
fn a_request_passes_through_the_guides_configuration_to_production() {
    for version in Version::ALL {
        let production = Recorder::with(Behaviour::respond(Response::ok("from production")));
        let haproxy = guide(&production).start(version);
        let response = http1::post(haproxy.address("http"), "/a?b=c", b"hello").unwrap();
        assert_eq!((response.status, response.text()), (200, "from production".to_owned()));
        let requests = production.wait_for(1, wait::LIMIT);
        assert_eq!(requests[0].request_line(), b"POST /a?b=c HTTP/1.1", "{version}");
        assert_eq!(requests[0].body, b"hello", "{version}");
    }
}

#[test]
fn http2_passes_in_the_clear_and_over_tls() {
    let authority = Authority::new();
    for version in Version::ALL {
        let production = Recorder::start();
        let pem = authority.identity(&["localhost"]).pem_with_key();
        let haproxy = guide(&production).tls(pem).start(version);
        let config = authority.client_config(&["h2"]);
        let clear = h2::Client::connect(haproxy.address("http")).unwrap();
        let secure =
            h2::Client::connect_tls(haproxy.address("https"), "localhost", &config).unwrap();
        for client in [clear, secure] {
            let request = h2::Request::new("POST", "/two?x").header("x-a", "1").body("body");
            assert_eq!(client.exchange(&request).unwrap().status, 200, "{version}");
        }
        let requests = production.wait_for(2, wait::LIMIT);
        for request in requests {
            assert_eq!((request.target(), request.body.as_slice()), (&b"/two?x"[..], &b"body"[..]));
        }
    }
}

#[test]
fn the_runtime_api_switches_a_map() {
    for version in Version::ALL {
        let production = Recorder::start();
        let haproxy = guide(&production)
            .file("switch.map", "/ 1\n")
            .frontend("http-request deny if { path,map_beg(switch.map,0) -m int eq 0 }")
            .start(version);
        assert_eq!(http1::get(haproxy.address("http"), "/").unwrap().status, 200);
        assert_eq!(haproxy.command("set map switch.map / 0"), "");
        assert_eq!(http1::get(haproxy.address("http"), "/").unwrap().status, 403);
    }
}

#[test]
fn what_haproxy_logs_is_collected() {
    for version in Version::ALL {
        let production = Recorder::start();
        let haproxy = guide(&production).frontend("log-format seen=%HU").start(version);
        http1::get(haproxy.address("http"), "/logged").unwrap();
        let line = haproxy.log().wait(wait::LIMIT, |line| line.contains("seen=/logged"));
        assert!(line.is_some(), "{version}: {:?}", haproxy.log().all());
    }
}

#[test]
fn a_message_that_no_agent_takes_is_logged_by_spoe() {
    for version in Version::ALL {
        let production = Recorder::start();
        let haproxy = guide(&production).agent(ports::free_addr()).start(version);
        http1::get(haproxy.address("http"), "/unheard").unwrap();
        let line = haproxy.log().wait(wait::LIMIT, |line| line.contains("SPOE: [mirror]"));
        assert!(line.is_some(), "{version}: {:?}", haproxy.log().all());
    }
}

#[test]
fn a_reload_drops_no_request() {
    for version in Version::ALL {
        let production = Recorder::start();
        let guide = guide(&production);
        let mut haproxy = guide.start(version);
        let mut idle = Client::connect(haproxy.address("http")).unwrap();
        idle.exchange(b"GET /before HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let load = Load::builder(haproxy.address("http")).requests_per_connection(1).start();
        wait::holds(wait::LIMIT, "load runs", || load.done() > 50);
        let old = haproxy.worker_pid();
        let marked = guide.frontend("http-response set-header x-after reload").haproxy_cfg();
        haproxy.write_file("haproxy.cfg", &marked);
        haproxy.reload();
        assert_ne!(haproxy.worker_pid(), old, "{version}");
        let done = load.done();
        wait::holds(wait::LIMIT, "load goes on", || load.done() > done + 50);
        load.stop().assert_all_ok();
        let response = http1::get(haproxy.address("http"), "/after").unwrap();
        assert_eq!(response.header("x-after").as_deref(), Some("reload"), "{version}");
        drop(idle);
        wait::holds(wait::LIMIT, "the old process ends", || haproxy.leaving() == 0);
    }
}

#[test]
fn a_master_reloads_on_sigusr2() {
    for version in Version::ALL {
        let production = Recorder::start();
        let mut haproxy = guide(&production).builder(version).master_worker().start();
        let load = Load::builder(haproxy.address("http")).requests_per_connection(1).start();
        wait::holds(wait::LIMIT, "load runs", || load.done() > 50);
        let master = haproxy.process().pid();
        haproxy.reload();
        let done = load.done();
        wait::holds(wait::LIMIT, "load goes on", || load.done() > done + 50);
        load.stop().assert_all_ok();
        assert_eq!(haproxy.process().pid(), master, "{version}");
        assert!(haproxy.process().is_running(), "{version}");
    }
}

#[test]
fn a_program_section_starts_a_program_and_haproxy_ends_it() {
    for version in Version::ALL.into_iter().filter(|version| version.has_program_section()) {
        let production = Recorder::start();
        let program = "\nprogram mirror\n    command /bin/sh {dir}/program.sh\n";
        // `exec` makes the pid in the file the one that HAProxy knows.
        let script = "echo $$ > program.pid; echo the program runs; exec sleep 1000\n";
        let mut guide = guide(&production);
        if version == Version::V3_2 {
            guide = guide.global("expose-deprecated-directives");
        }
        let haproxy = guide
            .sections(program)
            .file("program.sh", script)
            .builder(version)
            .master_worker()
            .start();
        let line = haproxy.output().wait(wait::LIMIT, |line| line == "the program runs");
        assert!(line.is_some(), "{version}: {:?}", haproxy.output().all());
        let pid = std::fs::read_to_string(haproxy.directory().join("program.pid")).unwrap();
        let proc = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
        assert!(proc.exists());
        drop(haproxy);
        wait::holds(wait::LIMIT, "the program ends with HAProxy", || !proc.exists());
    }
}

#[test]
fn mode_spop_is_accepted_where_it_exists() {
    for version in Version::ALL {
        let production = Recorder::start();
        let guide = guide(&production).agent("127.0.0.1:1").mode_spop();
        let checked = guide.builder(version).check();
        assert_eq!(checked.is_ok(), version.has_mode_spop(), "{version}: {checked:?}");
    }
}

#[test]
fn the_check_tells_what_is_wrong() {
    for version in Version::ALL {
        let production = Recorder::start();
        let valid = guide(&production).builder(version).check();
        assert!(valid.is_ok(), "{version}: {valid:?}");
        let wrong = guide(&production).frontend("no-such-keyword").builder(version).check();
        let said = wrong.unwrap_err();
        assert!(said.contains("no-such-keyword"), "{version}: {said}");
    }
}

#[test]
fn several_instances_run_side_by_side() {
    let production = Recorder::start();
    let instances: Vec<Haproxy> =
        Version::ALL.map(|version| guide(&production).start(version)).into();
    for haproxy in &instances {
        assert_eq!(http1::get(haproxy.address("http"), "/").unwrap().status, 200);
    }
    assert_eq!(production.counts().requests, 4);
}

#[test]
fn an_agent_is_observed_from_start_to_exit() {
    let script =
        "trap 'echo bye; exit 3' TERM; ulimit -n; echo oops >&2; while :; do sleep 0.01; done";
    let mut agent = Agent::builder("/bin/sh").args(["-c", script]).with_nofile_limit(77).start();
    assert_eq!(agent.wait_line(wait::LIMIT, |line| !line.is_empty() && line != "oops"), "77");
    agent.wait_line(wait::LIMIT, |line| line == "oops");
    assert!(agent.rss() > 4096 && agent.peak_rss() > 4096);
    assert_eq!(agent.threads(), 1);
    assert!(agent.open_files() >= 3);
    assert_eq!(agent.stop(Duration::from_secs(10)).code(), Some(3));
    assert_eq!(agent.stderr().all(), ["oops"]);
    assert!(agent.stdout().wait(wait::LIMIT, |line| line == "bye").is_some());
}
