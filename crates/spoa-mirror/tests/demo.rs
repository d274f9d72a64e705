//! `spoa-mirror demo` copies what it should, finds what is planted in a candidate and nothing else, says so
//! by its exit code and as the README shows it, and leaves nothing behind.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use testbed::agent::{Agent, Signal};
use testbed::client;
use testbed::haproxy::Version;
use testbed::wait::LIMIT;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spoa-mirror");
const README: &str = include_str!("../../../README.md");

/// For a verdict, which takes some 20 seconds on an idle machine: more than the demonstration itself has.
const VERDICT: Duration = Duration::from_secs(400);

/// Each target got what it should.
const COPIED: &str = "3 of 3 requests were copied to shadow, 2 of the 2 in its sample to canary.";

/// What begins each reason to fail of the bad candidate: endpoint, and what is wrong there. The errors of one
/// endpoint are another status, too.
const REASONS: [&str; 5] = [
    "GET /customers/{id}: body $.tier (missing) differs in 100 % of ",
    "GET /products/{id}: body $.price (value) differs in ",
    "GET /reports/{id}: p50 is ",
    "GET /search: errors where production has none: ",
    "GET /search: status (value) differs in ",
];

fn demo(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(["demo", "--once"]).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn executable(version: Version) -> String {
    version.executable().to_str().unwrap().to_owned()
}

/// What it shows with HAProxy 2.6: for all tests that only look at it.
fn shown_with_2_6() -> &'static str {
    static SHOWN: OnceLock<String> = OnceLock::new();
    SHOWN.get_or_init(|| {
        let shown = demo(&["--haproxy", &executable(Version::V2_6)]);
        let output = text(&shown.stdout);
        assert_eq!(shown.status.code(), Some(0), "{output}{}", text(&shown.stderr));
        output
    })
}

/// The reasons in a verdict as `spoa-mirror verdict` tells it, sorted.
fn reasons(output: &str) -> Vec<&str> {
    let numbered = |line: &str| {
        let (number, _) = line.strip_prefix("  ")?.split_once(". ")?;
        number.parse::<u32>().ok()
    };
    let lines = output.lines().filter(|line| numbered(line).is_some());
    let mut reasons: Vec<_> = lines.filter_map(|line| Some(line.split_once(". ")?.1)).collect();
    reasons.sort_unstable();
    reasons
}

/// Asserts that the candidate fails for what is planted, and for nothing else.
#[track_caller]
fn assert_bad(output: &str) {
    assert!(output.contains(COPIED), "{output}");
    assert!(output.contains("\nfail: candidate, run version 2, "), "{output}");
    let reasons = reasons(output);
    let as_planted = reasons.len() == REASONS.len()
        && reasons.iter().zip(REASONS).all(|(reason, planted)| reason.starts_with(planted));
    assert!(as_planted, "{reasons:#?} in {output}");
    assert_eq!(output.lines().filter(|line| line.starts_with('✓')).count(), 4, "{output}");
    assert!(output.contains("\nAll 4 were found, and nothing else, after "), "{output}");
}

#[test]
fn an_old_haproxy_shows_what_is_planted() {
    assert_bad(shown_with_2_6());
}

#[test]
fn a_new_haproxy_shows_what_is_planted() {
    let shown = demo(&["--haproxy", &executable(Version::V3_4)]);
    let output = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(0), "{output}{}", text(&shown.stderr));
    assert_bad(&output);
}

#[test]
fn it_goes_without_haproxy_when_told_to() {
    let shown = demo(&["--no-haproxy"]);
    let output = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(0), "{output}{}", text(&shown.stderr));
    assert_bad(&output);
}

#[test]
fn a_good_candidate_passes() {
    let shown = demo(&["--candidate", "good", "--haproxy", &executable(Version::V3_0)]);
    let output = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(0), "{output}{}", text(&shown.stderr));
    assert!(output.contains("\npass: candidate, run version 2, "), "{output}");
    assert_eq!(reasons(&output), [""; 0]);
    assert!(output.contains("\nNothing was found, after "), "{output}");
}

/// While it goes on, the page and the API say the same, and know noise where there is some.
#[test]
fn the_agent_goes_on_with_the_verdict_until_interrupted() {
    let mut demo = Agent::start(PROGRAM, ["demo", "--haproxy", &executable(Version::V3_2)]);
    demo.wait_line(VERDICT, |line| line.starts_with("All 4 were found, and nothing else, "));
    let lines = demo.output().all();
    let dashboard = lines.iter().find_map(|line| line.strip_prefix("dashboard   http://")).unwrap();
    let admin: SocketAddr = dashboard.trim_end_matches('/').parse().unwrap();
    let ask = |path: &str| -> Value {
        let answer = client::http1::get(admin, path).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    };
    let verdicts = ask("/api/v1/verdict");
    assert_eq!(verdicts["answer"], "fail");
    let reasons = verdicts["targets"][0]["reasons"].as_array().unwrap();
    let mut reasons: Vec<_> = reasons
        .iter()
        .map(|reason| [&reason["endpoint"], &reason["kind"], &reason["place"]])
        .map(|parts| parts.map(|part| part.as_str().unwrap_or("")))
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            ["GET /customers/{id}", "difference", "body $.tier"],
            ["GET /products/{id}", "difference", "body $.price"],
            ["GET /reports/{id}", "latency", ""],
            ["GET /search", "difference", "status"],
            ["GET /search", "errors", ""],
        ]
    );
    let page = client::http1::get(admin, "/").unwrap();
    assert_eq!(
        reasons_on(&page.text()),
        [
            "GET /customers/{id} body $.tier difference",
            "GET /products/{id} body $.price difference",
            "GET /reports/{id} latency",
            "GET /search errors",
            "GET /search status difference",
        ]
    );
    // Each has requests that show it, but for times.
    for reason in verdicts["targets"][0]["reasons"].as_array().unwrap() {
        let samples = reason["samples"].as_array().unwrap();
        assert_eq!(samples.len(), if reason["kind"] == "latency" { 0 } else { 5 }, "{reason}");
        let place = reason["place"].as_str().unwrap_or("status");
        for id in samples {
            let sample = ask(&format!("/api/v1/comparison/samples/{id}"));
            let differences = sample["differences"].as_array().unwrap();
            assert!(differences.iter().any(|one| one["place"] == place), "{place}: {sample}");
        }
    }
    // A third of all answers differ here, and the control's just as much.
    let endpoint = ask("/api/v1/comparison/endpoint?name=GET%20/products/%7Bid%7D");
    let places = endpoint["places"].as_array().unwrap();
    let noise = places.iter().find(|place| place["place"] == "body $.recommended").unwrap();
    assert_eq!((&noise["noise"], &noise["reported"]), (&"within".into(), &false.into()));
    for series in ["candidate", "control"] {
        let percent = noise[series]["percent"].as_f64().unwrap();
        assert!((25.0..42.0).contains(&percent), "{noise}");
    }
    demo.signal(Signal::SIGINT);
    assert!(demo.wait_exit(LIMIT).success());
    assert!(client::http1::get(admin, "/api/v1/verdict").is_err(), "the agent stayed");
    assert_nothing_stays(&demo, 2);
}

/// What the reasons on a page begin with, sorted.
fn reasons_on(page: &str) -> Vec<String> {
    let begin = |part: &str| {
        let html = part.split_once("</p>").unwrap().0;
        let text: String = html.split('<').map(|tag| tag.rsplit('>').next().unwrap()).collect();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut reasons: Vec<_> = page.split("<p class=\"what\">").skip(1).map(begin).collect();
    reasons.sort_unstable();
    reasons
}

#[test]
fn it_ends_with_its_processes_when_interrupted() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut demo = Agent::start(PROGRAM, ["demo", "--haproxy", &executable(Version::V2_6)]);
        demo.wait_line(LIMIT, |line| line.starts_with("   canary received"));
        demo.signal(signal);
        assert!(demo.wait_exit(LIMIT).success());
        assert!(demo.output().all().iter().any(|line| line.contains(" were copied to shadow, ")));
        assert_nothing_stays(&demo, 1);
    }
}

/// Asserts that so many HAProxies are gone, with their files.
#[track_caller]
fn assert_nothing_stays(demo: &Agent, haproxies: usize) {
    let lines = demo.output().all();
    let configs = lines.iter().filter_map(|line| {
        let command = line.strip_prefix("HAProxy ")?;
        Some(command.split_once("-f ")?.1.split_once(" (")?.0)
    });
    let configs: Vec<_> = configs.collect();
    assert_eq!(configs.len(), haproxies, "{lines:#?}");
    for config in configs {
        assert_eq!(processes_with(config), 0, "HAProxy stayed");
        assert!(!std::path::Path::new(config).exists(), "{config} stayed");
    }
}

/// How many processes have this among their arguments.
fn processes_with(argument: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let arguments = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    arguments.filter(|line| text(line).split('\0').any(|word| word == argument)).count()
}

#[test]
fn it_fails_when_haproxy_does_not_run() {
    let shown = demo(&["--haproxy", "/bin/false"]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(text(&shown.stderr).contains("HAProxy"), "{}", text(&shown.stderr));
}

/// The two halves of what is shown.
fn halves(output: &str) -> (&str, &str) {
    output.split_once("A candidate against production").unwrap()
}

/// Lines of the first half that are the same each time.
fn stable(output: &str) -> Vec<&str> {
    let shown =
        |line: &&str| line.starts_with("   ") || line.contains(" + ") || line.contains(" - ");
    output.lines().filter(shown).filter(|line| !line.contains("HAProxy version")).collect()
}

/// Ports, and the number of connections that HAProxy chose to make, are others each time.
fn without_numbers(line: &str) -> String {
    let counts = line.contains("127.0.0.1:") || line.contains("spop: connections");
    line.chars().filter(|c| !(counts && c.is_ascii_digit())).collect()
}

/// The README's block after this mark.
fn documented(mark: &str) -> &'static str {
    let documented = README.split(mark).nth(1).unwrap();
    documented.split("```").nth(1).unwrap()
}

#[test]
fn the_readme_shows_the_copies_as_they_are() {
    let (copies, _) = halves(shown_with_2_6());
    let stable = |text| stable(text).into_iter().map(without_numbers).collect::<Vec<_>>();
    assert_eq!(stable(copies), stable(documented("<!-- demo-output -->")));
}

/// Counts are others each time; what is found, and where, is not.
#[test]
fn the_readme_shows_the_verdict_as_it_is() {
    let documented = documented("<!-- demo-verdict -->");
    let (_, real) = halves(shown_with_2_6());
    let ticked = |text: &'static str| text.lines().filter(|line| line.starts_with('✓'));
    assert!(ticked(real).eq(ticked(documented)), "{real}");
    let as_planted = |text| {
        let reasons = reasons(text);
        REASONS.iter().all(|planted| reasons.iter().any(|reason| reason.starts_with(planted)))
    };
    assert!(as_planted(real) && as_planted(documented));
}
