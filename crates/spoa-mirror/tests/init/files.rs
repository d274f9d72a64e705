//! What is in the files: right for each version, and nothing in them means something else than what was given.

use std::fs;
use std::path::Path;

use testbed::backend::Recorder;
use testbed::haproxy::{Haproxy, Version};

use crate::scene::{Way, Written, operators, run};

const AGENTS: [&str; 4] = ["--agent", "127.0.0.1:12345", "--agent", "127.0.0.1:12346"];

/// Each combination of what can be asked for, for a version.
fn combinations(version: &str, try_it: impl Fn(&Written)) {
    for way in Way::BOTH {
        for compare in [false, true] {
            for agents in [&AGENTS[..2], &AGENTS] {
                let mut arguments = vec!["--target", "http://staging"];
                arguments.extend(compare.then_some("--compare"));
                arguments.extend(agents);
                try_it(&Written::new(way, &operators("127.0.0.1:1"), version, &arguments));
            }
        }
    }
}

#[test]
fn what_is_written_for_any_version_suits_all() {
    combinations("any", |written| {
        Version::ALL.into_iter().for_each(|version| written.assert_taken(version));
    });
}

#[test]
fn the_doctor_finds_nothing_in_what_is_written() {
    for version in Version::ALL {
        combinations(version.name(), |written| written.assert_healthy(version.name()));
        combinations("any", |written| written.assert_healthy(version.name()));
    }
    combinations("any", |written| written.assert_healthy("any"));
}

#[test]
fn each_version_gets_what_it_knows() {
    for version in Version::ALL {
        let arguments = ["--target", "http://staging", "--compare"];
        let written =
            Written::new(Way::Pasted, &operators("127.0.0.1:1"), version.name(), &arguments);
        let (backend, conf) = (written.text("backend.cfg"), written.text("mirror.conf"));
        assert_eq!(backend.contains("mode spop"), version.has_mode_spop(), "{version}");
        assert_eq!(conf.contains("timeout hello"), !version.has_mode_spop(), "{version}");
        assert_eq!(conf.contains("res.timer.hdr"), version > Version::V2_6, "{version}");
    }
}

#[test]
fn every_file_says_what_it_is_and_where_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let said =
        run(&["init", "--json", "--target", "http://x", "--output", output.to_str().unwrap()]);
    let answer: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let files = answer["files"].as_array().unwrap();
    assert_eq!(files.len(), 7);
    for file in files {
        let text = fs::read_to_string(file["file"].as_str().unwrap()).unwrap();
        let comment: String = text.lines().take_while(|line| line.starts_with("# ")).collect();
        assert!(comment.contains("Goes "), "{text}");
        assert!(
            text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains("\n\n\n"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.trim_end() == line), "{text}");
        let goes = file["goes"].as_str().unwrap();
        assert!(!goes.starts_with('/') || comment.contains(goes), "{comment}");
    }
}

/// Characters that mean something in HAProxy's files, in the arguments of converters, at its Runtime API.
const NASTY: &str = "a b,c)d'e\"f#g$h \\%[src] ${HOME} ;<";

#[test]
fn a_path_of_any_characters_is_where_haproxy_looks() {
    for version in Version::ALL {
        let directory = tempfile::tempdir().unwrap();
        let nasty = directory.path().join(NASTY);
        fs::create_dir(&nasty).unwrap();
        let path = nasty.join("haproxy.cfg");
        let production = Recorder::start();
        fs::write(&path, operators(&production.address().to_string())).unwrap();
        let output = directory.path().join("out");
        let said = run(&[
            "init",
            "--json",
            "--target",
            "http://staging",
            "--haproxy",
            path.to_str().unwrap(),
            "--output",
            output.to_str().unwrap(),
            "--haproxy-version",
            version.name(),
            "--percent",
            "12.34",
        ]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        for name in ["mirror.conf", "mirror.map"] {
            fs::copy(output.join(name), nasty.join(name)).unwrap();
        }
        let config = fs::read_to_string(output.join("haproxy.cfg")).unwrap();
        let haproxy = Haproxy::builder(version).config(config).start();
        // The commands that are told for switching off and on, without the shell around them.
        let answer: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        let steps = answer["steps"].as_array().unwrap();
        let commands = steps.last().unwrap()["commands"].as_array().unwrap();
        for (command, share) in commands.iter().zip(["0", "1234"]) {
            let echo = command.as_str().unwrap().split(" | sudo").next().unwrap();
            let shell = std::process::Command::new("sh").arg("-c").arg(echo).output().unwrap();
            let command = String::from_utf8(shell.stdout).unwrap();
            assert_eq!(haproxy.command(command.trim_end()), "", "{version}: {command}");
            let get = command.replace("set map", "get map");
            let got = haproxy.command(get.trim_end().rsplit_once(' ').unwrap().0);
            assert!(got.contains(&format!("value=\"{share}\"")), "{version}: {got}");
        }
    }
}

#[test]
fn urls_stand_in_the_agents_configuration_as_they_were_given() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let urls = [
        "http://sta\"ging/",
        "https://[::1]:8443/a'b\"c",
        "http://x/${HOME}/$1",
        "http://x\\n/y",
        "http://x/$$",
        "http://\u{fc}ber.example:81/",
    ];
    let mut arguments = vec!["init", "--output", output.to_str().unwrap()];
    urls.iter().for_each(|url| arguments.extend(["--target", url]));
    let said = run(&arguments);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let toml = output.join("spoa-mirror.toml");
    let checked = run(&["check", "--json", "--config", toml.to_str().unwrap()]);
    let told: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(told["ok"], true, "{told:#}");
    let targets = told["config"]["target"].as_array().unwrap();
    let found: Vec<_> = targets.iter().map(|target| target["url"].as_str().unwrap()).collect();
    let meant: Vec<_> = urls.iter().map(|url| url.trim_end_matches('/')).collect();
    assert_eq!(found, meant);
}

/// What stands in comments for those who need it can be used as it stands.
#[test]
fn settings_in_comments_are_right() {
    let arguments = ["--target", "http://x", "--compare"];
    let written = Written::new(Way::Pasted, &operators("127.0.0.1:1"), "any", &arguments);
    let text = written.text("spoa-mirror.toml");
    let uncommented: Vec<_> = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
        .collect();
    let settings = |lines: &[&str]| lines.iter().filter(|line| line.contains(" = ")).count();
    assert_eq!(settings(&uncommented), 12, "{uncommented:#?}");
    fs::write(written.path("all.toml"), uncommented.join("\n")).unwrap();
    let checked = run(&["check", "--config", written.path("all.toml").to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// What stands in the drop-in is what systemd knows.
#[test]
fn the_drop_in_has_lines_that_the_packages_unit_lacks() {
    let written =
        Written::new(Way::Pasted, &operators("127.0.0.1:1"), "any", &["--target", "http://x"]);
    let unit = include_str!("../../../../packaging/debian/spoa-mirror.service");
    let drop_in = written.text("systemd/spoa-mirror.service.d/override.conf");
    let settings = drop_in.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
    let keys: Vec<_> = settings.map(|line| line.split('=').next().unwrap()).collect();
    assert_eq!(keys, ["Before", "TimeoutStartSec", "EnvironmentFile"]);
    assert!(keys.iter().all(|key| !unit.contains(&format!("\n{key}="))));
    assert!(Path::new(&written.path("systemd")).is_dir());
}

/// A name that nobody knows: HAProxy would not start with such a server if it were not told otherwise.
#[test]
fn an_agent_whose_name_is_not_known_keeps_no_haproxy_from_starting() {
    let agents = ["--agent", "127.0.0.1:12345", "--agent", "nobody.invalid:12345"];
    let arguments = [&["--target", "http://staging"][..], &agents].concat();
    let written = Written::new(Way::Patched, &operators("127.0.0.1:1"), "any", &arguments);
    for version in Version::ALL {
        let said = written.builder(version).check();
        assert!(said.as_ref().is_ok_and(|said| said.contains("disabling server")), "{said:?}");
    }
    written.assert_healthy("any");
}
