//! Every rule's fixtures: the bad ones are found, the good ones are not, and HAProxy agrees.
//!
//! `fixtures/CODE/bad` and `good`, or more as `bad-NAME` and `good-NAME`, each with a `haproxy.cfg`, the files that
//! it names, and perhaps
//! - `arguments`: further arguments of the doctor, one in a line;
//! - `loads`: the versions of HAProxy that accept it, one in a line; without it all four must.
//!
//! `FIXTURE=CODE cargo test -p spoa-mirror --test doctor fixtures` looks at those of one code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use testbed::haproxy::Version;

use crate::command::PROGRAM;

#[test]
fn every_finding_has_fixtures_and_they_are_as_they_say() {
    let (known, live) = codes();
    let fixtures = fixtures();
    let failures = Mutex::new(Vec::new());
    let fail = |text: String| failures.lock().unwrap().push(text);
    for code in &known {
        for wanted in ["bad", "good"] {
            let has = |fixture: &Fixture| fixture.code == *code && fixture.kind() == wanted;
            if !fixtures.iter().any(has) {
                fail(format!("{code}: no fixture {wanted}"));
            }
        }
    }
    for fixture in &fixtures {
        if !known.contains(&fixture.code) {
            fail(format!("{}: `--explain list` has no such code", fixture.code));
        }
        if live.contains(&fixture.code) {
            fail(format!("{}: nothing in files shows it", fixture.code));
        }
    }
    let only = std::env::var("FIXTURE").ok();
    let looked_at = |fixture: &&Fixture| only.as_ref().is_none_or(|only| fixture.code == *only);
    let chosen: Vec<&Fixture> = fixtures.iter().filter(looked_at).collect();
    assert!(!chosen.is_empty(), "no fixtures of {only:?}");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(fixture) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for failure in fixture.failures() {
                        fail(format!("{}/{}: {failure}", fixture.code, fixture.name));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

/// The codes of `--explain list`: those that files show, and those that only what runs does.
fn codes() -> (BTreeSet<String>, BTreeSet<String>) {
    let output = Command::new(PROGRAM).args(["doctor", "--explain", "list"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (mut known, mut live) = (BTreeSet::new(), BTreeSet::new());
    let mut running = false;
    for line in text.lines() {
        if line.ends_with(':') && !line.starts_with(' ') {
            running = line == "What runs:";
        }
        let Some(code) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) else {
            continue;
        };
        let code = code.split(' ').next().unwrap().to_owned();
        if running {
            live.insert(code)
        } else {
            known.insert(code)
        };
    }
    assert!(known.contains("no-mirror-filter"), "{text}");
    (known, live)
}

struct Fixture {
    code: String,
    name: String,
    directory: PathBuf,
}

fn fixtures() -> Vec<Fixture> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/fixtures");
    let mut fixtures = Vec::new();
    for (code, directory) in directories(&root) {
        for (name, directory) in directories(&directory) {
            fixtures.push(Fixture { code: code.clone(), name, directory });
        }
    }
    fixtures
}

fn directories(root: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    let mut found: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path())).collect();
    found.sort();
    found
}

impl Fixture {
    fn kind(&self) -> &str {
        self.name.split('-').next().unwrap()
    }

    /// What is not as it should be.
    fn failures(&self) -> Vec<String> {
        let mut failures = self.loads(&self.directory, &self.versions());
        let (code, told) = self.doctor(&self.directory, &["--json"]);
        let Ok(told) = serde_json::from_str::<Value>(&told) else {
            failures.push(format!("the doctor says no JSON, and ends with {code}: {told}"));
            return failures;
        };
        match self.kind() {
            "good" => {
                if code != 0
                    || told["findings"].as_array().is_none_or(|findings| !findings.is_empty())
                {
                    failures.push(format!("ends with {code} and finds {}", found(&told)));
                }
            }
            "bad" => failures.extend(self.found_and_mended(code, &told)),
            other => failures.push(format!("{other} is neither bad nor good")),
        }
        failures
    }

    fn found_and_mended(&self, code: i32, told: &Value) -> Vec<String> {
        let first = &told["findings"][0];
        if first["code"] != *self.code {
            return vec![format!("not found first, but {}", found(told))];
        }
        let mut failures = Vec::new();
        let expected = match first["severity"].as_str() {
            Some("error") => 2,
            Some("warning") => 1,
            _ => 0,
        };
        if code != expected {
            failures.push(format!("{} ends with {code}", first["severity"]));
        }
        for field in ["message", "consequence"] {
            if first[field].as_str().is_none_or(str::is_empty) {
                failures.push(format!("has no {field}"));
            }
        }
        if first["mend"]["say"].as_str().is_none_or(str::is_empty) {
            failures.push("says not what to do".to_owned());
        }
        if first["mend"]["edits"].as_array().is_some_and(|edits| !edits.is_empty()) {
            failures.extend(self.mended());
        }
        failures
    }

    /// Mends a copy in place: the finding is gone, and HAProxy accepts what it accepts of `good`.
    fn mended(&self) -> Vec<String> {
        let copy = tempfile::tempdir().unwrap();
        copy_files(&self.directory, copy.path());
        self.doctor(copy.path(), &["--fix", "--in-place", "--hints"]);
        let good = self.directory.with_file_name(self.name.replacen("bad", "good", 1));
        let good = if good.is_dir() { good } else { self.directory.with_file_name("good") };
        let mut failures = self.loads(copy.path(), &versions(&good, true));
        let (_, told) = self.doctor(copy.path(), &["--json"]);
        let told: Value = serde_json::from_str(&told).unwrap_or_default();
        let left = told["findings"].as_array().unwrap();
        if left.iter().any(|finding| finding["code"] == *self.code) {
            failures.push(format!("is still there when it is mended: {}", found(&told)));
        }
        failures
    }

    fn doctor(&self, directory: &Path, arguments: &[&str]) -> (i32, String) {
        let further = fs::read_to_string(self.directory.join("arguments")).unwrap_or_default();
        let output = Command::new(PROGRAM)
            .args(["doctor", "--haproxy", "haproxy.cfg"])
            .args(arguments)
            .args(further.lines())
            .current_dir(directory)
            .output()
            .unwrap();
        let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    }

    fn versions(&self) -> Vec<(Version, bool)> {
        versions(&self.directory, false)
    }

    /// Whether HAProxy accepts it where it should, and nowhere else.
    fn loads(&self, directory: &Path, versions: &[(Version, bool)]) -> Vec<String> {
        let mut failures = Vec::new();
        for (version, expected) in versions {
            let output = Command::new(version.executable())
                .args(["-c", "-f", "haproxy.cfg"])
                .current_dir(directory)
                .output()
                .unwrap();
            if output.status.success() != *expected {
                let said = String::from_utf8_lossy(&output.stderr);
                let does = if *expected { "refuses it" } else { "accepts it" };
                failures.push(format!("HAProxy {version} {does}: {}", said.trim()));
            }
        }
        failures
    }
}

/// Which versions accept what is in this directory; with `only`, nothing of the others.
fn versions(directory: &Path, only: bool) -> Vec<(Version, bool)> {
    let loads = fs::read_to_string(directory.join("loads")).ok();
    let accepts = |version: &Version| {
        loads.as_ref().is_none_or(|loads| loads.lines().any(|line| line == version.name()))
    };
    let all = Version::ALL.iter().map(|version| (*version, accepts(version)));
    all.filter(|(_, accepts)| *accepts || !only).collect()
}

fn copy_files(from: &Path, to: &Path) {
    for (name, path) in directories(from) {
        let copy = to.join(name);
        if path.is_dir() {
            fs::create_dir(&copy).unwrap();
            copy_files(&path, &copy);
        } else {
            fs::copy(&path, &copy).unwrap();
        }
    }
}

fn found(told: &Value) -> String {
    let findings = told["findings"].as_array().cloned().unwrap_or_default();
    let each = findings.iter().map(|finding| {
        format!("{}[{}]: {}", finding["severity"], finding["code"], finding["message"])
    });
    let each: Vec<String> = each.collect();
    if each.is_empty() { "nothing".to_owned() } else { each.join("; ") }
}
