//! docs/HAPROXY.md is true: its files load and mirror with the versions that it names, its limits are HAProxy's,
//! its commands do what it says, and its table of symptoms knows every finding of the doctor.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod running;

use std::collections::BTreeSet;
use std::process::Command;

use testbed::agent::Signal;
use testbed::backend::Recorder;
use testbed::client::http1;
use testbed::document::{self, Files};
use testbed::haproxy::{Builder, Haproxy, Version};
use testbed::wait;

use running::mirror::{Mirror, PROGRAM};
use running::on_each_haproxy;

const DOCUMENT: &str = include_str!("../../../docs/HAPROXY.md");

on_each_haproxy!(
    every_file_loads_and_mirrors,
    the_longest_prefix_in_the_map_counts,
    the_commands_switch_mirroring_off_and_on,
    bodies_up_to_the_limit_arrive_whole,
    the_log_tells_what_became_of_a_message,
    the_doctor_finds_nothing_in_what_runs,
    a_server_out_of_service_gets_nothing_once_its_connections_are_closed,
);

/// The document's files, between this production and this agent on a machine of which nothing is known.
fn here(files: &Files, production: &Recorder, agents: &[&Mirror]) -> (String, String) {
    let mut config = files
        .config
        .replace("bind :80", "bind 127.0.0.1:{port:http}")
        .replace("127.0.0.1:8080", &production.address().to_string())
        .replace("/run/haproxy/", "{dir}/")
        .replace("/etc/haproxy/", "{dir}/");
    let ports = ["12345", "12346"];
    for (port, agent) in ports.iter().zip(agents) {
        config = config.replace(&format!("127.0.0.1:{port}"), &agent.address.to_string());
    }
    (config, files.spoe.clone())
}

fn haproxy(version: Version, (config, spoe): (String, String)) -> Builder {
    Haproxy::builder(version)
        .config(config)
        .file("mirror.conf", spoe)
        .file("mirror.map", block("map"))
}

/// The block below this comment.
fn block(mark: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(&format!("<!-- {mark} -->\n```")).unwrap();
    let (_, text) = rest.split_once('\n').unwrap();
    text.split_once("```").unwrap().0
}

/// All of it, running, with a request of every path copied.
struct Scene {
    production: Recorder,
    shadow: Recorder,
    mirrors: Vec<Mirror>,
    haproxy: Haproxy,
}

impl Scene {
    fn start(version: Version, files: &Files) -> Self {
        let (production, shadow) = (Recorder::start(), Recorder::start());
        let compare = if files.spoe.contains("status=status") { "compare = true\n" } else { "" };
        let toml = format!("[[target]]\nname = \"shadow\"\nurl = \"{}\"\n{compare}", shadow.url());
        let agents = files.config.matches("    server agent").count();
        let mirrors: Vec<_> = (0..agents).map(|_| Mirror::configured(&toml)).collect();
        let (config, spoe) = here(files, &production, &mirrors.iter().collect::<Vec<_>>());
        let adapted = |text: String| {
            // A test machine may be busier than any agent of yours.
            text.replace("timeout processing 20ms", "timeout processing 5s")
                .replace("timeout connect 100ms", "timeout connect 5s")
                .replace(" if { rand(100) lt 10 }", " if { always_true }")
        };
        let haproxy = haproxy(version, (adapted(config), adapted(spoe))).start();
        let scene = Self { production, shadow, mirrors, haproxy };
        if files.config.contains("spop-check") {
            scene.wait_agents("UP");
        }
        scene
    }

    /// HAProxy sends nothing to an agent before its first check succeeded.
    fn wait_agents(&self, state: &str) {
        wait::holds(wait::LIMIT, "the agents' state", || {
            let stat = self.haproxy.command("show stat");
            let agents = stat.lines().filter(|line| line.starts_with("mirroragents,agent"));
            agents.filter(|line| line.contains(&format!(",{state},"))).count() == self.mirrors.len()
        });
    }

    fn post(&self, path: &str, body: &[u8]) {
        let answer = http1::post(self.haproxy.address("http"), path, body).unwrap();
        assert_eq!(answer.status, 200);
    }

    /// The status in the line that HAProxy logs of this request's message.
    fn status(&self, body: &[u8]) -> String {
        let lines = || self.haproxy.log().matching(|line| line.contains("SPOE: [mirror]"));
        let before = lines().len();
        self.post("/api/logged", body);
        let line = wait::until(wait::LIMIT, "a line of the log", || lines().get(before).cloned());
        line.split(" st=").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    }

    /// Asserts that there are so many copies, and no more once a request that certainly is copied has arrived:
    /// those before it are decided by then.
    #[track_caller]
    fn assert_copies(&self, count: usize, marker: &str) {
        self.shadow.wait_for(count, wait::LIMIT);
        self.post(marker, b"");
        let copies = self.shadow.wait_for(count + 1, wait::LIMIT);
        assert_eq!(copies.len(), count + 1);
        assert!(copies.iter().any(|copy| copy.target() == marker.as_bytes()), "{copies:#?}");
    }
}

fn every_file_loads_and_mirrors(version: Version) {
    let all = document::files(DOCUMENT);
    assert!(all.len() > 8, "{all:#?}");
    for files in all.iter().filter(|files| files.versions.contains(&version)) {
        let name = &files.name;
        let scene = Scene::start(version, files);
        // Who starts it, and where, is not in the files.
        let own = |line: &str| line.contains("[WARNING]") && !line.contains("was started as");
        let said = scene.haproxy.output().matching(own);
        assert_eq!(said, [""; 0], "{name}");
        let body = vec![b'b'; 10_000];
        scene.post("/api/orders?x=1", &body);
        let copies = scene.shadow.wait_for(1, wait::LIMIT);
        assert_eq!(copies[0].body, body, "{name}");
        assert!(copies[0].raw_head.starts_with(b"POST /api/orders?x=1 HTTP/1.1\r\n"), "{name}");
        if files.spoe.contains("status=status") {
            let same = |mirror: &Mirror| {
                mirror.reports().pop().is_some_and(|tally| tally.comparison.get("same") == Some(&1))
            };
            wait::holds(wait::LIMIT, name, || scene.mirrors.iter().any(same));
        }
    }
}

/// The doctor, told for which version they are, finds nothing wrong with the document's files.
#[test]
fn the_doctor_finds_nothing() {
    let production = Recorder::start();
    for files in document::files(DOCUMENT) {
        let directory = tempfile::tempdir().unwrap();
        let (config, spoe) = here(&files, &production, &[]);
        let config = config.replace("{dir}", directory.path().to_str().unwrap());
        let write = |name, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("haproxy.cfg", &config.replace("{port:http}", "80"));
        write("mirror.conf", &spoe);
        write("mirror.map", block("map"));
        for version in &files.versions {
            let output = Command::new(PROGRAM)
                .args(["doctor", "--json", "--haproxy", "haproxy.cfg"])
                .args(["--haproxy-version", version.name()])
                .current_dir(directory.path())
                .output()
                .unwrap();
            let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert!(output.status.success(), "{} with {version}: {told:#}", files.name);
            // Files for earlier versions serve later ones, with lines that those need no more.
            let found = told["findings"].as_array().unwrap();
            let own = version.has_mode_spop() == files.name.ends_with("-3.1");
            assert!(!own || found.is_empty(), "{} with {version}: {told:#}", files.name);
        }
    }
}

/// The documented command, with the files, the Runtime API and the agent of a scene.
fn the_doctor_finds_nothing_in_what_runs(version: Version) {
    let files = document::named(DOCUMENT, "mirror-2.0");
    let scene = Scene::start(version, &files.change("processing 20ms", "processing 100ms"));
    // It looks at the running HAProxy's errors, too: there should have been something to go wrong.
    scene.post("/before", b"");
    let (_, command) = DOCUMENT.rsplit_once("$ spoa-mirror doctor ").unwrap();
    let directory = scene.haproxy.directory().display().to_string();
    let command = command.lines().next().unwrap();
    let command = command
        .replace("/run/haproxy/admin.sock", &format!("{directory}/runtime.sock"))
        .replace("/etc/haproxy", &directory)
        .replace("127.0.0.1:12345", &scene.mirrors[0].address.to_string());
    let output = Command::new(PROGRAM).arg("doctor").args(command.split(' ')).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{command}: {told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(told.contains(&format!("HAProxy {version}")), "{told}");
}

#[test]
fn the_table_of_symptoms_names_every_finding_of_the_doctor() {
    let output = Command::new(PROGRAM).args(["doctor", "--explain", "list"]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let lines = list.lines().filter_map(|line| line.strip_prefix("  "));
    let codes = lines.filter(|rest| !rest.starts_with(' '));
    let codes: BTreeSet<_> = codes.map(|line| line.split(' ').next().unwrap()).collect();
    let (_, table) = DOCUMENT.split_once("<!-- symptoms -->\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|')).skip(2);
    let findings = rows.map(|row| row.rsplit_once(" | ").unwrap().1);
    let named: BTreeSet<_> = findings.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let but: Vec<_> = named.symmetric_difference(&codes).collect();
    assert!(but.is_empty(), "only in the table, or missing in it: {but:?}");
}

/// What HAProxy says about a file for another version than it is.
#[test]
fn files_for_later_versions_do_not_load_before_them() {
    let files = document::named(DOCUMENT, "mirror-3.1");
    let production = Recorder::start();
    for version in [Version::V2_6, Version::V3_0] {
        let said = haproxy(version, here(&files, &production, &[])).check().unwrap_err();
        assert!(said.contains("spop"), "{version}: {said}");
    }
}

fn the_longest_prefix_in_the_map_counts(version: Version) {
    let files = document::named(DOCUMENT, "switch-2.0");
    let scene = Scene::start(version, &files);
    let set = scene
        .haproxy
        .command(&format!("set map {}/mirror.map / 10000", scene.haproxy.directory().display()));
    assert_eq!(set, "");
    scene.post("/health", b"");
    scene.post("/api/a", b"");
    scene.post("/other", b"");
    scene.assert_copies(2, "/api/last");
}

/// The command lines of the document are run as they stand, but for the place of HAProxy's files.
fn the_commands_switch_mirroring_off_and_on(version: Version) {
    let files = document::named(DOCUMENT, "switch-2.0");
    let scene = Scene::start(version, &files);
    let directory = scene.haproxy.directory().display().to_string();
    let mut commands = runtime_commands(&directory).into_iter();
    let mut run = |beginning: &str| {
        let command = commands.next().unwrap();
        assert!(command.starts_with(beginning), "{command}");
        scene.haproxy.command(&command)
    };

    // By the map.
    scene.post("/api/before", b"");
    scene.shadow.wait_for(1, wait::LIMIT);
    assert_eq!(run("set map"), "");
    assert_eq!(run("set map"), "");
    let map = run("show map");
    for path in ["/", "/api"] {
        assert!(map.lines().any(|line| line.ends_with(&format!(" {path} 0"))), "{map}");
    }
    for number in 0..50 {
        scene.post(&format!("/api/{number}"), b"");
    }
    assert_eq!(scene.haproxy.command(&format!("set map {directory}/mirror.map /api 10000")), "");
    scene.assert_copies(1, "/api/last");

    // By the agents.
    assert_eq!(run("disable server"), "");
    let servers = run("show servers state");
    assert!(servers.contains(" agent1 "), "{servers}");
    for number in 0..50 {
        scene.post(&format!("/api/{number}"), b"");
    }
    assert_eq!(run("enable server"), "");
    scene.wait_agents("UP");
    scene.assert_copies(2, "/api/very-last");
    assert_eq!(scene.production.requests().len(), 103);
}

/// Up to 3.0 an agent out of service is asked over the connections that it has, unless these are closed.
fn a_server_out_of_service_gets_nothing_once_its_connections_are_closed(version: Version) {
    // Each thread has connections of its own.
    let files = document::named(DOCUMENT, "mirror-2.0")
        .change(" on-marked-down shutdown-sessions", "")
        .change("tune.bufsize 65536", "tune.bufsize 65536\n    nbthread 1");
    let scene = Scene::start(version, &files);
    let old = !version.has_mode_spop();
    let nobody = if old { "2" } else { "257" };
    assert_eq!(scene.status(b""), "0");
    let commands = runtime_commands("");
    let run = |beginning: &str| {
        let command = commands.iter().find(|command| command.starts_with(beginning)).unwrap();
        scene.haproxy.command(command)
    };
    assert_eq!(run("disable server"), "");
    assert_eq!(scene.status(b""), if old { "0" } else { nobody });
    assert_eq!(run("shutdown sessions"), "");
    wait::holds(wait::LIMIT, "nobody to ask", || scene.status(b"") == nobody);
}

/// What the document sends to HAProxy's Runtime API, with its files in this directory.
fn runtime_commands(directory: &str) -> Vec<String> {
    let lines = DOCUMENT.lines().filter(|line| line.ends_with("| socat - /run/haproxy/admin.sock"));
    let commands = lines.map(|line| line.split('"').nth(1).unwrap());
    commands.map(|command| command.replace("/etc/haproxy", directory)).collect()
}

/// The document's table of sizes: a body of this size arrives whole, one as large as the buffer does not.
fn bodies_up_to_the_limit_arrive_whole(version: Version) {
    let (_, table) = DOCUMENT.split_once("<!-- bodies -->\n").unwrap();
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).skip(2).collect();
    assert_eq!(rows.len(), 3);
    for row in rows {
        let mut cells = row.split('|').skip(1).map(|cell| cell.trim().replace(',', ""));
        let size = cells.next().unwrap().split(' ').next().unwrap().to_owned();
        let largest: usize = cells.next().unwrap().parse().unwrap();
        let files = document::named(DOCUMENT, "mirror-2.0")
            .change("tune.bufsize 65536", &format!("tune.bufsize {size}"));
        let mut scene = Scene::start(version, &files);
        scene.post("/fits", &vec![b'x'; largest]);
        assert_eq!(scene.shadow.wait_for(1, wait::LIMIT)[0].body.len(), largest, "{row}");
        scene.post("/too-large", &vec![b'x'; size.parse().unwrap()]);
        let tally = scene.mirrors[0].finish();
        assert_eq!(tally.target().dropped.get("truncated-body"), Some(&1), "{row}: {tally:?}");
    }
}

/// The document's table of what HAProxy logs.
fn the_log_tells_what_became_of_a_message(version: Version) {
    let old = !version.has_mode_spop();
    let files = || document::named(DOCUMENT, "mirror-2.0");
    let mut scene = Scene::start(version, &files());
    assert_eq!(scene.status(b""), "0");
    scene.mirrors[0].process.kill();
    scene.wait_agents("DOWN");
    assert_eq!(scene.status(b""), if old { "2" } else { "257" });
    drop(scene);

    let processing = "timeout processing 20ms";
    let impatient = files().unchecked().change(processing, "timeout processing 500ms");
    let mut scene = Scene::start(version, &impatient);
    scene.status(b"");
    scene.mirrors[0].process.signal(Signal::SIGSTOP);
    // It may answer once more before the signal reaches it, and its connections outlive it for a moment.
    let becomes = |scene: &Scene, status: &str| {
        wait::holds(wait::LIMIT, status, || scene.status(b"") == status);
    };
    becomes(&scene, "1");
    scene.mirrors[0].process.kill();
    becomes(&scene, if old { "1" } else { "257" });

    drop(scene);

    let small = format!("max-frame-size 4096\n    no option send-frag-payload\n    {processing}");
    let scene = Scene::start(version, &files().change(processing, &small));
    assert_eq!(scene.status(&[b'x'; 9000]), "3");
}

/// The calls of the Data Plane API are not run; but they say the same as the tested files.
#[test]
fn the_data_plane_api_writes_what_the_files_say() {
    let files = document::named(DOCUMENT, "mirror-2.0");
    let (_, section) = DOCUMENT.split_once("\n## Data Plane API\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let bodies = section.split("-d '").skip(1).map(|rest| rest.split('\'').next().unwrap());
    let bodies: Vec<serde_json::Value> =
        bodies.map(|body| serde_json::from_str(body).unwrap()).collect();
    let with = |key: &str| bodies.iter().find(|body| body.get(key).is_some()).unwrap();
    let backend = with("balance");
    let lines = [
        format!("backend {}\n", backend["name"].as_str().unwrap()),
        format!("mode {}\n", backend["mode"].as_str().unwrap()),
        format!("balance {}\n", backend["balance"]["algorithm"].as_str().unwrap()),
        format!("timeout connect {}ms\n", backend["connect_timeout"]),
        format!("timeout server {}m\n", backend["server_timeout"].as_u64().unwrap() / 60_000),
        format!("retries {}\n", backend["retries"]),
    ];
    let server = with("fastinter");
    let server = format!(
        "server {} {}:{} check inter {}s fastinter {}ms fall {} on-marked-down {}\n",
        server["name"].as_str().unwrap(),
        server["address"].as_str().unwrap(),
        server["port"],
        server["inter"].as_u64().unwrap() / 1000,
        server["fastinter"],
        server["fall"],
        server["on-marked-down"].as_str().unwrap()
    );
    for line in lines.iter().chain([&server]) {
        assert!(files.config.contains(line.as_str()), "{line}");
    }
    let filter = with("spoe_engine");
    let engine = filter["spoe_engine"].as_str().unwrap();
    assert!(files.config.contains(&format!("filter spoe engine {engine} ")), "{filter}");
    assert!(files.spoe.contains(&format!("[{engine}]\n")), "{filter}");
}
