//! The configurations that people have copied: those of HAProxy's traffic-mirroring guide and of its enterprise
//! edition's reference work, and what is risky about them is named; and what people got wrong when they changed
//! them is found first.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testbed::backend::Recorder;
use testbed::client::http1;
use testbed::haproxy::{Haproxy, Version};
use testbed::wait;

use super::running::mirror::{Mirror, PROGRAM};
use super::running::on_each_haproxy;
use super::running::stage::{answered_by_production, production};

const GUIDE: Reference = Reference { name: "guide", spoe: "mirror.conf" };
const ENTERPRISE: Reference = Reference { name: "enterprise", spoe: "hapee-mirror-spoe.cfg" };

/// A configuration in `tests/doctor/reference`.
struct Reference {
    name: &'static str,
    /// Its SPOE file.
    spoe: &'static str,
}

/// What somebody changed in the guide's configuration.
struct Breakage {
    /// What went wrong, and where somebody told that.
    what: &'static str,
    /// What was there, in either file, and what stands there now.
    edits: &'static [(&'static str, &'static str)],
    /// The HAProxy that reads it.
    version: Version,
    /// Whether that starts with it.
    starts: bool,
    /// What the doctor says first.
    code: &'static str,
}

/// What people get wrong. Where a project and a number stand beside it, somebody asked there.
const BREAKAGES: &[Breakage] = &[
    Breakage {
        what: "the engine is called otherwise than the scope",
        edits: &[("engine mirror config", "engine traffic-mirror config")],
        version: Version::V3_2,
        starts: false,
        code: "scope-missing",
    },
    Breakage {
        what: "a filter with `engine`, and no scope",
        edits: &[("[mirror]\n", "")],
        version: Version::V3_0,
        starts: false,
        code: "scope-missing",
    },
    Breakage {
        what: "a scope, and a filter without `engine`",
        edits: &[("engine mirror config", "config")],
        version: Version::V2_6,
        starts: false,
        code: "engine-missing",
    },
    Breakage {
        what: "the SPOE file is elsewhere",
        edits: &[("config mirror.conf", "config spoe/mirror.conf")],
        version: Version::V3_4,
        starts: false,
        code: "spoe-file-unreadable",
    },
    Breakage {
        what: "another message than the agent lists",
        edits: &[("    messages mirror\n", "    messages mirror-msg\n")],
        version: Version::V3_2,
        starts: false,
        code: "message-undefined",
    },
    Breakage {
        what: "the agent lists no message",
        edits: &[("    messages mirror\n", "")],
        version: Version::V3_4,
        starts: true,
        code: "message-unlisted",
    },
    Breakage {
        what: "the message has no event",
        edits: &[("    event on-frontend-http-request\n", "")],
        version: Version::V3_0,
        starts: true,
        code: "message-without-event",
    },
    Breakage {
        what: "an event that there is not",
        edits: &[("on-frontend-http-request", "on-http-request")],
        version: Version::V3_2,
        starts: false,
        code: "event-unknown",
    },
    Breakage {
        what: "nothing looks into HTTP",
        edits: &[("    mode http\n", "    mode tcp\n")],
        version: Version::V3_4,
        starts: true,
        code: "event-never-happens",
    },
    Breakage {
        what: "agents in the mode of the defaults",
        edits: &[("    mode tcp\n", "")],
        version: Version::V3_0,
        starts: false,
        code: "backend-mode",
    },
    Breakage {
        what: "agents in the mode of newer versions",
        edits: &[("    mode tcp\n", "    mode spop\n")],
        version: Version::V2_6,
        starts: false,
        code: "mode-spop-too-new",
    },
    Breakage {
        what: "no backend for the agent",
        edits: &[("    use-backend mirroragents\n", "")],
        version: Version::V3_2,
        starts: false,
        code: "use-backend-missing",
    },
    Breakage {
        what: "a backend of another name",
        edits: &[("use-backend mirroragents", "use-backend mirror-agents")],
        version: Version::V3_4,
        starts: false,
        code: "use-backend-unknown",
    },
    Breakage {
        what: "a backend without a server",
        edits: &[("    server agent1 127.0.0.1:12345\n", "")],
        version: Version::V2_6,
        starts: true,
        code: "backend-without-server",
    },
    Breakage {
        what: "an agent's name that cannot begin variables' names",
        edits: &[("spoe-agent mirror\n", "spoe-agent mirror-agent\n")],
        version: Version::V3_0,
        starts: false,
        code: "agent-name-unusable",
    },
    Breakage {
        what: "a second agent for another target (spoa-mirror 29)",
        edits: &[(
            "spoe-message mirror\n",
            "spoe-agent second\n    messages mirror\n    use-backend mirroragents\n\nspoe-message mirror\n",
        )],
        version: Version::V3_2,
        starts: false,
        code: "agents-several",
    },
    Breakage {
        what: "a condition in the agent's section (spoa-mirror 29)",
        edits: &[(
            "    messages mirror\n",
            "    messages mirror\n    acl shop hdr(host) -i shop.example\n",
        )],
        version: Version::V3_4,
        starts: false,
        code: "keyword-unknown",
    },
    Breakage {
        what: "the frame's size below the scope (spoa-mirror 6)",
        edits: &[("[mirror]\n", "[mirror]\n    max-frame-size 102396\n")],
        version: Version::V3_2,
        starts: false,
        code: "config-syntax",
    },
    Breakage {
        what: "a quote that does not end",
        edits: &[("http-request\n", "http-request if { path_beg '/shop }\n")],
        version: Version::V3_4,
        starts: false,
        code: "config-syntax",
    },
    Breakage {
        what: "a group that nothing sends (coraza-spoa 381)",
        edits: &[
            ("    messages mirror\n", "    groups all\n"),
            ("    event on-frontend-http-request\n", "\nspoe-group all\n    messages mirror\n"),
        ],
        version: Version::V3_0,
        starts: true,
        code: "group-never-sent",
    },
    Breakage {
        what: "a group of an engine that is called otherwise (haproxy 2585)",
        edits: &[
            ("    messages mirror\n", "    groups all\n"),
            ("    event on-frontend-http-request\n", "\nspoe-group all\n    messages mirror\n"),
            (
                "    default_backend",
                "    http-request send-spoe-group mirrors all\n    default_backend",
            ),
        ],
        version: Version::V3_2,
        starts: false,
        code: "group-wrong-engine",
    },
    Breakage {
        what: "the request's parts when the answer is there",
        edits: &[("on-frontend-http-request", "on-http-response")],
        version: Version::V3_4,
        starts: false,
        code: "fetch-not-at-event",
    },
    Breakage {
        what: "no method",
        edits: &[("arg_method=method ", "")],
        version: Version::V3_2,
        starts: true,
        code: "argument-missing",
    },
    Breakage {
        what: "bodies are not waited for (spoa-mirror 6)",
        edits: &[("    option http-buffer-request\n", "")],
        version: Version::V3_4,
        starts: true,
        code: "body-not-waited-for",
    },
    Breakage {
        what: "the path without its query (spoa-mirror 35)",
        edits: &[("arg_path=url", "arg_path=path")],
        version: Version::V2_6,
        starts: true,
        code: "path-loses-query",
    },
    Breakage {
        what: "HAProxy waits for ever",
        edits: &[("    timeout processing 5s\n", "")],
        version: Version::V3_2,
        starts: true,
        code: "processing-timeout-missing",
    },
    Breakage {
        what: "the guide's `program`, and an update of HAProxy",
        edits: &[(
            "\nbackend shop_servers\n",
            "\nprogram mirror\n    command spoa-mirror -r 0 -u http://192.0.2.20\n\nbackend shop_servers\n",
        )],
        version: Version::V3_4,
        starts: false,
        code: "program-removed",
    },
];

fn references_work_and_what_is_risky_is_named(version: Version) {
    for reference in [GUIDE, ENTERPRISE] {
        let files = reference.files();
        mirrors(&files, version);
        let (code, told) = doctor(&files, version);
        assert_eq!(code, 1, "{}: {told:#}", reference.name);
        let mut expected = vec!["processing-timeout-long", "agent-unchecked"];
        // Before, HAProxy pauses before each try whatever `retries` says.
        if version >= Version::V3_2 {
            expected.push("retries-on-agent");
        }
        assert_eq!(codes(&told), expected, "{}: {told:#}", reference.name);
        let says = |finding: usize, field: &str, part: &str| {
            told["findings"][finding][field].as_str().unwrap().contains(part)
        };
        assert!(says(0, "consequence", "costs each client 5000 ms"), "{told:#}");
        assert!(says(1, "message", "`agent1`"), "{told:#}");
    }
}

fn mended_references_have_nothing_wrong_and_work(version: Version) {
    for reference in [GUIDE, ENTERPRISE] {
        let mended = mended(&reference.files(), version);
        let (code, told) = doctor(&mended, version);
        assert_eq!((code, codes(&told)), (0, Vec::new()), "{}: {told:#}", reference.name);
        mirrors(&mended, version);
    }
}

#[test]
fn broken_ones_get_the_right_finding_first() {
    assert!(BREAKAGES.len() >= 20);
    let mut failures = Vec::new();
    for breakage in BREAKAGES {
        let Breakage { what, edits, version, starts, code } = breakage;
        let mut files = GUIDE.files();
        for (old, new) in *edits {
            let broken = files.iter_mut().find(|(_, text)| text.contains(old)).expect(old);
            broken.1 = broken.1.replacen(old, new, 1);
        }
        let (_, told) = doctor(&files, *version);
        let found = codes(&told);
        if found.first().is_none_or(|first| first != code) {
            failures.push(format!("{what}: {code} is not first among {found:?}"));
        }
        if loads(&files, *version) != *starts {
            failures.push(format!("{what}: HAProxy {version} does start, or does not"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

impl Reference {
    /// Its files, with their names.
    fn files(&self) -> Vec<(String, String)> {
        let directory =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/reference").join(self.name);
        let read =
            |name: &str| (name.to_owned(), fs::read_to_string(directory.join(name)).unwrap());
        vec![read("haproxy.cfg"), read(self.spoe)]
    }
}

/// Asserts that a request reaches the agent's target, with HAProxy's files as they are but for addresses.
fn mirrors(files: &[(String, String)], version: Version) {
    let (production, shadow) = (production(), Recorder::start());
    let mut mirror = Mirror::start(&["-u", &shadow.url()]);
    let mut builder = Haproxy::builder(version);
    for (name, text) in files {
        let text = text.replace("bind :80", "bind 127.0.0.1:{port:http}");
        let text = text.replace("192.0.2.10:8080", &production.address().to_string());
        let text = text.replace("127.0.0.1:12345", &mirror.address.to_string());
        builder = builder.file(name, text);
    }
    let haproxy = builder.start();
    let answer = http1::post(haproxy.address("http"), "/order?item=1", b"amount=2").unwrap();
    answered_by_production(&answer);
    let copies = shadow.wait_for(1, wait::LIMIT);
    assert_eq!(copies[0].target(), b"/order?item=1");
    assert_eq!(copies[0].body, b"amount=2");
    mirror.finish();
}

/// The files as `--fix --in-place` leaves them.
fn mended(files: &[(String, String)], version: Version) -> Vec<(String, String)> {
    let home = home(files);
    let status = Command::new(PROGRAM)
        .args(["doctor", "--fix", "--in-place"])
        .args(["--haproxy", "haproxy.cfg", "--haproxy-version", version.name()])
        .current_dir(home.path())
        .output()
        .unwrap()
        .status;
    assert_eq!(status.code(), Some(1), "it tells what it has found");
    let read = |(name, _): &(String, String)| {
        (name.clone(), fs::read_to_string(home.path().join(name)).unwrap())
    };
    files.iter().map(read).collect()
}

/// The doctor's exit code and what it says.
fn doctor(files: &[(String, String)], version: Version) -> (i32, Value) {
    let home = home(files);
    let output = Command::new(PROGRAM)
        .args(["doctor", "--json", "--haproxy", "haproxy.cfg", "--haproxy-version", version.name()])
        .current_dir(home.path())
        .output()
        .unwrap();
    let told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), told)
}

fn codes(told: &Value) -> Vec<&str> {
    let findings = told["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// Whether HAProxy would start with these files.
fn loads(files: &[(String, String)], version: Version) -> bool {
    let home = home(files);
    let mut command = Command::new(version.executable());
    let output =
        command.args(["-c", "-f", "haproxy.cfg"]).current_dir(home.path()).output().unwrap();
    output.status.success()
}

fn home(files: &[(String, String)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(home.path().join(name), text).unwrap();
    }
    home
}

on_each_haproxy!(
    references_work_and_what_is_risky_is_named,
    mended_references_have_nothing_wrong_and_work,
);
