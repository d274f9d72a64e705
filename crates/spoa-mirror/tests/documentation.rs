//! The documentation says what is: the flags it lists are the program's, its configuration works with
//! every HAProxy.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::{Command, Output};

use spoa_mirror::policy::redact::{DEFAULT_HEADERS, DEFAULT_NAMES, DEFAULT_TEXT};
use testbed::agent::Agent;
use testbed::backend::Recorder;
use testbed::client;
use testbed::haproxy::{Haproxy, Version};
use testbed::ports;
use testbed::wait::LIMIT;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spoa-mirror");
const README: &str = include_str!("../../../README.md");
const CONFIGURATION: &str = include_str!("../../../docs/CONFIGURATION.md");
const MIGRATING: &str = include_str!("../../../docs/MIGRATING.md");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The long flags in a Markdown table's first column.
fn flags_in_table(table: &str) -> BTreeSet<String> {
    table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|cell| cell.split(['`', ',', ' ']))
        .filter(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

fn flags_in_help() -> BTreeSet<String> {
    let help = text(&run(&["--help"]).stdout);
    let options = help.split("Examples:").next().unwrap();
    options
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .flat_map(|line| line.split([' ', ',']))
        .filter(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

/// The fenced code block of `language` in the README.
fn block(language: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let start = README.find(&fence).unwrap() + fence.len();
    let length = README[start..].find("```").unwrap();
    &README[start..start + length]
}

/// What a user relies on to be hidden is hidden, and the other way round.
#[test]
fn the_configuration_lists_what_is_hidden_by_default() {
    let listed = |start: &str| -> BTreeSet<&str> {
        let at = CONFIGURATION.find(start).unwrap() + start.len();
        let rest = &CONFIGURATION[at..];
        let item = &rest[..rest.find("\n\n").unwrap()];
        let item = item.split("\n-").next().unwrap();
        item.split('`').skip(1).step_by(2).collect()
    };
    let known = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(listed("- removed headers:"), known(DEFAULT_HEADERS));
    let names = format!("- `text:{DEFAULT_TEXT}` for query parameters and fields:");
    assert_eq!(listed(&names), known(DEFAULT_NAMES));
}

#[test]
fn the_readme_lists_every_flag_and_no_other() {
    let table = README.split("<!-- flags -->").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_eq!(flags_in_table(table), flags_in_help());
}

#[test]
fn the_migration_guide_lists_every_flag_of_the_c_program() {
    let table = MIGRATING.split("## Flags").nth(1).unwrap().split("## ").next().unwrap();
    let listed = flags_in_table(table);
    for flag in [
        "--address",
        "--libev-backend",
        "--connection-backlog",
        "--capability",
        "--daemonize",
        "--debug",
        "--pidfile",
        "--monitor-interval",
        "--mirror-interface",
        "--access-log",
        "--logfile",
        "--max-frame-size",
        "--num-workers",
        "--mirror-local-port",
        "--port",
        "--runtime",
        "--processing-delay",
        "--mirror-url",
    ] {
        assert!(listed.contains(flag), "{flag} is missing");
        assert!(flags_in_help().contains(flag), "{flag} is not accepted");
    }
}

#[test]
fn the_readmes_configuration_mirrors_with_every_haproxy() {
    for version in Version::ALL {
        let production = Recorder::start();
        let shadow = Recorder::start();
        let port = ports::free();
        let url = format!("http://{}", shadow.address());
        let mut agent = Agent::start(
            PROGRAM,
            ["-r", "0", "-a", "127.0.0.1", "-p", &port.to_string(), "-u", &url],
        );
        agent.wait_line(LIMIT, |line| line.contains("listening on"));
        // Only what must differ from one machine to the next is put in.
        let config = block("haproxy")
            .replace("bind :80", "bind 127.0.0.1:{port:web}")
            .replace("127.0.0.1:12345", &format!("127.0.0.1:{port}"));
        let production_backend = format!(
            "\nbackend production\n    mode http\n    server web1 {}\n",
            production.address()
        );
        let defaults = "defaults\n    timeout client 10s\n    timeout server 10s\n    \
                        timeout connect 5s\n\n";
        let haproxy = Haproxy::builder(version)
            .config(format!("{defaults}{config}{production_backend}"))
            // A test machine may be busier than any agent of yours.
            .file("mirror.conf", block("spoe").replace("processing 20ms", "processing 5s"))
            .start();
        let answer = client::http1::exchange(
            haproxy.address("web"),
            b"POST /orders?x=1 HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 3\r\n\r\nabc",
        )
        .unwrap();
        assert_eq!(answer.status, 200, "{version:?}");
        let copies = shadow.wait_for(1, LIMIT);
        assert_eq!(copies[0].body, b"abc", "{version:?}");
        assert!(copies[0].raw_head.starts_with(b"POST /orders?x=1 HTTP/1.1\r\n"), "{version:?}");
        assert!(agent.stop(LIMIT).success());
    }
}

/// The README's configuration file loads, and nothing about it is doubtful.
#[test]
fn the_readmes_configuration_file_is_right() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spoa-mirror.toml");
    std::fs::write(&path, block("toml")).unwrap();
    let report = match spoa_mirror::config::file::load(&path) {
        Ok((config, report)) => {
            assert_eq!(config.targets.len(), 2);
            report
        }
        Err(report) => report,
    };
    assert!(report.is_empty(), "{}", report.text(false));
}

#[test]
fn the_packages_configurations_are_right() {
    let shipped = include_str!("../../../packaging/debian/spoa-mirror.toml");
    // As it is told to be changed: a target, and a log file.
    let changed: String = shipped
        .split_inclusive('\n')
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains("[[target]]") || rest.contains(" = ") => rest,
            _ => line,
        })
        .collect();
    assert!(changed.contains("\n[[target]]\n") && changed.contains("\nfile = "), "{changed}");
    let directory = tempfile::tempdir().unwrap();
    // The package makes the directory of the history.
    let example = include_str!("../../../packaging/examples/spoa-mirror.toml");
    let example = &example.replace("/var/lib/spoa-mirror", directory.path().to_str().unwrap());
    let path = directory.path().join("spoa-mirror.toml");
    let path = path.to_str().unwrap();
    for (text, targets) in [(shipped, 0), (&changed, 1), (example, 4)] {
        std::fs::write(path, text).unwrap();
        let checked = run(&["check", "--json", "--config", path]);
        assert!(checked.status.success(), "{text}{}", self::text(&checked.stdout));
        let told: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
        assert_eq!(told["config"]["target"].as_array().unwrap().len(), targets, "{told:#}");
    }
}

#[test]
fn the_packages_unit_and_examples_name_what_there_is() {
    let unit = include_str!("../../../packaging/debian/spoa-mirror.service");
    let help = text(&run(&["--help"]).stdout);
    let called = unit.split("/usr/bin/spoa-mirror ").skip(1);
    let words: Vec<_> = called.map(|rest| rest.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["--config", "check"]);
    assert!(words.iter().all(|word| help.contains(&format!(" {word} "))), "{help}");
    let conf = include_str!("../../../packaging/examples/mirror.conf");
    let config = include_str!("../../../packaging/examples/haproxy.cfg");
    for version in Version::ALL {
        let (production, shadow) = (Recorder::start(), Recorder::start());
        let port = ports::free();
        let url = shadow.url();
        let arguments = ["-r", "0", "-a", "127.0.0.1", "-p", &port.to_string(), "-u", &url];
        let mut agent = Agent::start(PROGRAM, arguments);
        agent.wait_line(LIMIT, |line| line.contains("listening on"));
        let config = config
            .replace("bind :80", "bind 127.0.0.1:{port:web}")
            .replace("127.0.0.1:8080", &production.address().to_string())
            .replace("127.0.0.1:12345", &format!("127.0.0.1:{port}"))
            // The testbed has its own.
            .replace("log stderr local0", "");
        let haproxy = Haproxy::builder(version)
            .config(config)
            .file("mirror.conf", conf.replace("processing 20ms", "processing 5s"))
            .start();
        let answer = client::http1::get(haproxy.address("web"), "/example").unwrap();
        assert_eq!(answer.status, 200, "{version:?}");
        assert_eq!(shadow.wait_for(1, LIMIT)[0].target(), b"/example", "{version:?}");
        assert!(agent.stop(LIMIT).success());
    }
}
