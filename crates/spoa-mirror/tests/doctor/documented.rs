//! What the documentation tells people to write has nothing wrong with it, whatever the version of HAProxy.

use std::fs;
use std::process::Command;

use serde_json::Value;
use testbed::haproxy::Version;

use crate::command::PROGRAM;

const README: &str = include_str!("../../../../README.md");
const COMPARISON: &str = include_str!("../../../../docs/COMPARISON.md");
const DEFAULTS: &str =
    "\ndefaults\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n";
const PRODUCTION: &str = "\nbackend production\n    mode http\n    server web1 127.0.0.1:8080\n";

#[test]
fn the_readmes_configuration_is_right() {
    let config = format!("{DEFAULTS}{}{PRODUCTION}", block(README, "haproxy", 0));
    right("README", &config, block(README, "spoe", 0));
}

/// What the README shows is what the doctor says of the README's configuration without its last line.
#[test]
fn the_readme_shows_what_the_doctor_says() {
    let directory = tempfile::tempdir().unwrap();
    let config = format!("{}{DEFAULTS}{PRODUCTION}", block(README, "haproxy", 0));
    fs::write(directory.path().join("haproxy.cfg"), config).unwrap();
    let lines = block(README, "spoe", 0).split_inclusive('\n');
    let conf: String = lines.filter(|line| !line.contains("timeout processing")).collect();
    fs::write(directory.path().join("mirror.conf"), conf).unwrap();
    let shown = README.split("<!-- doctor-output -->").nth(1).unwrap();
    let shown = shown.trim_start().strip_prefix("```console\n$ spoa-mirror ").unwrap();
    let (command, rest) = shown.split_once('\n').unwrap();
    let output = Command::new(PROGRAM)
        .args(command.split(' '))
        .current_dir(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(rest.split("```").next().unwrap(), said, "\n{said}");
}

#[test]
fn the_packages_example_is_right() {
    let config = include_str!("../../../../packaging/examples/haproxy.cfg");
    right("packaging/examples", config, include_str!("../../../../packaging/examples/mirror.conf"));
}

#[test]
fn the_comparisons_configurations_are_right() {
    for (which, name) in ["one message", "two messages"].iter().enumerate() {
        right(name, block(COMPARISON, "haproxy", which), block(COMPARISON, "spoe", which));
    }
}

/// The fenced code block of this language, counted from 0.
fn block<'a>(text: &'a str, language: &str, which: usize) -> &'a str {
    let fence = format!("```{language}\n");
    let block = text.split(fence.as_str()).nth(which + 1).unwrap();
    block.split("```").next().unwrap()
}

/// No errors and no warnings, for each version and for an unknown one.
fn right(name: &str, config: &str, conf: &str) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("haproxy.cfg"), config).unwrap();
    fs::write(directory.path().join("mirror.conf"), conf).unwrap();
    for version in Version::ALL.map(Some).into_iter().chain([None]) {
        let mut command = Command::new(PROGRAM);
        command
            .args(["doctor", "--haproxy", "haproxy.cfg", "--json"])
            .current_dir(directory.path());
        if let Some(version) = version {
            command.args(["--haproxy-version", version.name()]);
        }
        let output = command.output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{name} for {version:?}: {told:#}");
    }
}
