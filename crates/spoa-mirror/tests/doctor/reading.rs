//! Several files and directories are read as HAProxy reads them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testbed::haproxy::Version;

use super::command::PROGRAM;

const DEFAULTS: &str = "defaults web\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n";
const FRONTEND: &str = "frontend www from web\n    bind 127.0.0.1:8080\n    option http-buffer-request\n    filter spoe engine mirror config conf/mirror.conf\n    default_backend production\n\nbackend production from web\n    server p1 127.0.0.1:8081\n";
const AGENTS: &str = "backend mirror_agents\n    mode tcp\n    retries 0\n    timeout connect 100ms\n    timeout server 1m\n    option spop-check\n    default-server check inter 1s fastinter 200ms downinter 2s fall 2 rise 1\n    server a1 127.0.0.1:12345\n";
const SPOE: &str = "[mirror]\nspoe-agent mirror\n    messages request\n    option var-prefix mirror\n    timeout hello 100ms\n    timeout idle 30s\n    timeout processing 20ms\n    use-backend mirror_agents\nspoe-message request\n    args method=method url=url ver=req.ver hdrs=req.hdrs_bin body=req.body body_size=req.body_size\n    event on-frontend-http-request\n";
/// What neither may read.
const NONSENSE: &str = "nonsense \"\n";

#[test]
fn files_and_directories_are_read_in_haproxys_order() {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in [
        // In the order of bytes, in which capitals come first.
        ("conf/B-rest.cfg", FRONTEND),
        ("conf/A-defaults.cfg", DEFAULTS),
        ("conf/a-agents.cfg", AGENTS),
        ("conf/.hidden.cfg", NONSENSE),
        ("conf/old.cfg.bak", NONSENSE),
        ("conf/inside.cfg/more.cfg", NONSENSE),
        ("conf/mirror.conf", SPOE),
    ] {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let (defaults, rest, agents) = ("conf/A-defaults.cfg", "conf/B-rest.cfg", "conf/a-agents.cfg");
    for version in Version::ALL {
        for given in [&["conf"][..], &[defaults, agents, rest]] {
            let (code, told) = doctor(home.path(), version, given);
            let read: Vec<&str> = told["files"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            let expected = match given {
                ["conf"] => vec![defaults, rest, agents, "conf/mirror.conf"],
                files => [files, &["conf/mirror.conf"]].concat(),
            };
            assert_eq!(read, expected);
            assert_eq!(
                (code, loads(home.path(), version, given)),
                (0, true),
                "{given:?}: {told:#}"
            );
        }
        // Without the defaults before it, a frontend that is from them is refused.
        assert!(!loads(home.path(), version, &[rest, defaults, agents]));
    }
}

fn doctor(home: &Path, version: Version, given: &[&str]) -> (i32, Value) {
    let files = given.iter().flat_map(|name| ["--haproxy", name]);
    let output = Command::new(PROGRAM)
        .args(["doctor", "--json", "--haproxy-version", version.name()])
        .args(files)
        .current_dir(home)
        .output()
        .unwrap();
    let told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), told)
}

fn loads(home: &Path, version: Version, given: &[&str]) -> bool {
    let files = given.iter().flat_map(|name| ["-f", name]);
    let mut command = Command::new(version.executable());
    command.arg("-c").args(files).current_dir(home).output().unwrap().status.success()
}
