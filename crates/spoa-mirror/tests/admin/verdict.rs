//! `spoa-mirror verdict` and `begin`: what a pipeline sees of every answer that an agent can give.
//!
//! The answers come from a server that gives them at will; what a real agent answers is tested where real
//! traffic is compared.

use std::fs;
use std::process::{Command, Output};

use roxmltree::{Document, Node};
use serde_json::{Value, json};
use testbed::agent::Agent as Process;
use testbed::backend::{Behaviour, Recorder, Response};
use testbed::{ports, wait};

use super::running::mirror::PROGRAM;

fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server that answers everything with this JSON.
fn answering(status: u16, body: &Value) -> Recorder {
    Recorder::with(answers(status, body))
}

fn answers(status: u16, body: &Value) -> Behaviour {
    let response = Response::new(status).header("content-type", "application/json");
    Behaviour::respond(response.body(body.to_string()))
}

fn target(name: &str, answer: &str) -> Value {
    json!({
        "target": name, "run": "2.4.0-rc2", "started": "2026-11-21T15:30:00.123Z", "answer": answer,
        "requests": 1000, "counted": 1040, "next_look": 1250, "confidence_percent": 99.0,
        "reasons": [], "gaps": [], "text": format!("{answer} (1,000 requests, 99 % confidence)\n"),
    })
}

fn verdicts(answer: &str, targets: &[Value]) -> Value {
    json!({ "answer": answer, "targets": targets })
}

/// Two places of an endpoint differ, and another endpoint has errors.
fn failing() -> Value {
    let mut failing = target("staging", "fail");
    failing["reasons"] = json!([
        {
            "endpoint": "POST /orders", "kind": "errors", "place": null, "place_kind": null,
            "text": "errors where production has none: 3 % of 400", "requests": 12.0, "samples": [7],
        },
        {
            "endpoint": "GET /items/{id}", "kind": "difference", "place": "body $.price",
            "place_kind": "value", "text": "body $.price differs in 2 % of 600", "requests": 12.0,
            "samples": [12, 15],
        },
        {
            "endpoint": "GET /items/{id}", "kind": "difference", "place": "body $.name",
            "place_kind": "missing", "text": "body $.name differs in 1 % of 600", "requests": 6.0,
            "samples": [],
        },
    ]);
    failing["gaps"] = json!([
        { "kind": "endpoint", "endpoint": "GET /rare", "text": "GET /rare: not judged, only 3 requests" },
    ]);
    failing
}

#[test]
fn the_exit_code_and_the_first_line_are_the_answer() {
    for (answer, code, words) in
        [("pass", 0, "pass"), ("fail", 1, "fail"), ("not-enough-data", 2, "not enough data")]
    {
        let agent = answering(200, &verdicts(answer, &[target("staging", answer)]));
        let output = run(&["verdict", "--admin", &agent.address().to_string()]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        let shown = text(&output.stdout);
        let first = shown.lines().next().unwrap();
        assert!(first.starts_with(&format!("{words}: staging, run 2.4.0-rc2, 1000 ")), "{shown}");
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
        assert_eq!(agent.requests()[0].target(), b"/api/v1/verdict");
    }
}

#[test]
fn a_person_reads_the_reasons_by_weight_with_their_samples() {
    let agent = answering(200, &verdicts("fail", &[failing(), target("canary", "pass")]));
    let address = agent.address().to_string();
    let output = run(&["verdict", "--target", "a b&c", "--admin", &address]);
    let expected = format!(
        "\
fail: 1 of 2 targets
fail: staging, run 2.4.0-rc2, 1000 requests judged with 99 % confidence
  1. POST /orders: errors where production has none: 3 % of 400
     http://{address}/sample/7
  2. GET /items/{{id}}: body $.price differs in 2 % of 600
     http://{address}/sample/12
     http://{address}/sample/15
  3. GET /items/{{id}}: body $.name differs in 1 % of 600
  - GET /rare: not judged, only 3 requests
pass: canary, run 2.4.0-rc2, 1000 requests judged with 99 % confidence
"
    );
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(agent.requests()[0].target(), b"/api/v1/verdict?target=a%20b%26c");
}

/// Names of places come out of responses: a terminal must not obey them.
#[test]
fn a_terminal_obeys_nothing_that_was_in_a_response() {
    let mut hostile = failing();
    hostile["reasons"][0]["text"] = "body $.\x1b]0;title\x07\u{202e}x\n differs".into();
    let agent = answering(200, &verdicts("fail", &[hostile]));
    let output = run(&["verdict", "--admin", &agent.address().to_string()]);
    let shown = text(&output.stdout);
    assert!(shown.contains(r"$.\u{1b}]0;title\u{7}\u{202e}x\n differs"), "{shown}");
    assert!(!shown.contains(['\x1b', '\x07', '\u{202e}']), "{shown}");
}

#[test]
fn a_program_gets_the_agents_json() {
    let view = verdicts("fail", &[failing()]);
    let agent = answering(200, &view);
    let output = run(&["verdict", "--json", "--admin", &agent.address().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), view);
}

#[test]
fn it_waits_for_an_answer_through_a_restart_of_the_agent() {
    let undecided = verdicts("not-enough-data", &[target("staging", "not-enough-data")]);
    let agent = answering(200, &undecided);
    let address = agent.address().to_string();
    let mut waiting = Process::start(PROGRAM, ["verdict", "--wait", "10m", "--admin", &address]);
    agent.wait_count(1, wait::LIMIT);
    for silent in [Behaviour::close_without_answer(), answers(503, &json!({}))] {
        agent.set(silent);
        let before = agent.counts().requests;
        agent.wait_count(before + 1, wait::LIMIT);
    }
    assert!(waiting.is_running());
    agent.set(answers(200, &verdicts("pass", &[target("staging", "pass")])));
    assert_eq!(waiting.wait_exit(wait::LIMIT).code(), Some(0));
    // Into a pipe goes the answer, and nothing of the wait.
    assert_eq!(waiting.output().all().len(), 1, "{:?}", waiting.output().all());
}

#[test]
fn when_the_time_is_over_the_last_answer_counts() {
    let undecided = verdicts("not-enough-data", &[target("staging", "not-enough-data")]);
    let agent = answering(200, &undecided);
    let address = agent.address().to_string();
    let output = run(&["verdict", "--wait", "100ms", "--admin", &address]);
    assert_eq!(output.status.code(), Some(2));
    let shown = text(&output.stdout);
    assert!(shown.contains("1000 requests judged, 1040 counted, next look at 1250"), "{shown}");
    assert_eq!(agent.requests().len(), 2, "asked at the start and at the end");
    let nobody = ports::free_addr().to_string();
    let output = run(&["verdict", "--wait", "100ms", "--admin", &nobody]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn without_a_verdict_it_is_neither_pass_nor_fail() {
    let refusal =
        json!({ "error": { "code": "no-such-target", "message": "there is no target `x`" } });
    let passed = verdicts("pass", &[target("staging", "pass")]);
    for (status, body, extra, part) in [
        (404, refusal, &["--target", "x"][..], "there is no target `x`"),
        (401, json!({}), &[], "--token-file"),
        (200, verdicts("pass", &[]), &[], "compare = true"),
        (200, json!({ "answer": "perhaps", "targets": [] }), &[], "not what an agent"),
        (200, passed, &["--run", "2.4.0-rc3"], "`2.4.0-rc2`, not `2.4.0-rc3`"),
    ] {
        let agent = answering(status, &body);
        let address = agent.address().to_string();
        // What asking again does not help is told at once.
        let wait = ["--wait", "10m", "--admin", &address];
        let output = run(&[&["verdict"], extra, &wait].concat());
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        assert_eq!(agent.requests().len(), 1);
    }
    let agent = answering(200, &verdicts("pass", &[target("staging", "pass")]));
    let address = agent.address().to_string();
    let output = run(&["verdict", "--run", "2.4.0-rc2", "--admin", &address]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for (args, part) in [
        (vec!["verdict", "--json", "--junit", "x"], "cannot be used with"),
        (vec!["verdict", "--wait", "8d"], "7d"),
        (vec!["verdict", "staging"], "unexpected argument"),
        (vec!["begin"], "<NAME>"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
}

#[test]
fn a_run_is_begun() {
    let agent = answering(200, &json!({}));
    let address = agent.address().to_string();
    for (args, body, told) in [
        (vec!["2.4.0-rc2"], json!({ "name": "2.4.0-rc2" }), "all targets"),
        (
            vec!["2.4.0-rc2", "--target", "staging"],
            json!({ "name": "2.4.0-rc2", "target": "staging" }),
            "target staging",
        ),
    ] {
        let output = run(&[&["begin", "--admin", &address], &args[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains(told), "{}", text(&output.stdout));
        let request = agent.take().remove(0);
        assert_eq!(request.request_line(), b"POST /api/v1/comparison/runs HTTP/1.1");
        assert_eq!(request.header("content-type").as_deref(), Some("application/json"));
        assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), body);
    }
    let refusal = json!({ "error": { "message": "that name is too long" } });
    agent.set(answers(422, &refusal));
    let output = run(&["begin", "x", "--admin", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("that name is too long"));
}

/// What readers of JUnit reports know: elements, where they stand, and the attributes that they must and may
/// have.
const ELEMENTS: &[(&str, &str, &[&str], &[&str])] = &[
    ("testsuites", "", &[], &["name", "tests", "failures", "errors", "time"]),
    (
        "testsuite",
        "testsuites",
        &["name", "tests", "failures", "errors"],
        &["skipped", "time", "timestamp"],
    ),
    ("properties", "testsuite", &[], &[]),
    ("property", "properties", &["name", "value"], &[]),
    ("testcase", "testsuite", &["name", "classname"], &["time"]),
    ("failure", "testcase", &["type", "message"], &[]),
    ("error", "testcase", &["type", "message"], &[]),
    ("system-out", "testcase", &[], &[]),
];

fn assert_is_junit(document: &Document<'_>) {
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        let parent = node.parent_element().map_or("", |parent| parent.tag_name().name());
        let (_, _, must, may) = ELEMENTS
            .iter()
            .find(|(known, within, ..)| *known == name && *within == parent)
            .unwrap_or_else(|| panic!("<{name}> in <{parent}>"));
        for attribute in node.attributes() {
            let known = |names: &[&str]| names.contains(&attribute.name());
            assert!(known(must) || known(may), "<{name} {}>", attribute.name());
        }
        assert!(must.iter().all(|attribute| node.has_attribute(*attribute)), "<{name}>");
        for (attribute, element) in
            [("tests", "testcase"), ("failures", "failure"), ("errors", "error")]
        {
            if let Some(count) = node.attribute(attribute) {
                let found = node.descendants().filter(|child| child.has_tag_name(element)).count();
                assert_eq!(count, found.to_string(), "<{name} {attribute}>");
            }
        }
    }
}

/// Each case: suite, name, and what became of it with the message and text.
fn cases(xml: &str) -> Vec<[String; 5]> {
    let document = Document::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    assert_is_junit(&document);
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    cases
        .map(|case| {
            let suite = case.parent_element().unwrap().attribute("name").unwrap();
            let result = case.first_element_child().unwrap();
            [
                suite,
                case.attribute("name").unwrap(),
                result.tag_name().name(),
                result.attribute("message").unwrap_or_default(),
                result.text().unwrap_or_default(),
            ]
            .map(str::to_owned)
        })
        .collect()
}

/// The report on standard output.
fn junit(view: &Value) -> String {
    let agent = answering(200, view);
    let output = run(&["verdict", "--junit", "-", "--admin", &agent.address().to_string()]);
    text(&output.stdout)
}

#[test]
fn each_target_is_a_suite_and_each_endpoint_with_a_reason_a_failure() {
    let report = junit(&verdicts("fail", &[failing(), target("canary", "pass")]));
    let cases = cases(&report);
    let brief: Vec<_> = cases.iter().map(|[suite, name, what, ..]| [suite, name, what]).collect();
    assert_eq!(
        brief,
        [
            ["staging", "verdict", "failure"],
            ["staging", "errors: POST /orders", "failure"],
            ["staging", "difference: GET /items/{id}", "failure"],
            ["canary", "verdict", "system-out"],
        ]
    );
    let [.., message, text] = &cases[2];
    assert_eq!(message, "body $.price differs in 2 % of 600");
    for part in ["body $.price", "body $.name", "/sample/12\n", "/sample/15\n"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(report.contains("timestamp=\"2026-11-21T15:30:00\""), "{report}");
}

#[test]
fn a_missing_verdict_is_an_error_in_the_report_and_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("verdict.xml");
    let file = path.to_str().unwrap();
    let undecided = verdicts("not-enough-data", &[target("staging", "not-enough-data")]);
    let agent = answering(200, &undecided);
    let output = run(&["verdict", "--junit", file, "--admin", &agent.address().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).starts_with("not enough data: staging"), "people see it, too");
    let [[suite, name, what, message, _]] = &cases(&fs::read_to_string(&path).unwrap())[..] else {
        panic!("one case");
    };
    assert_eq!([suite, name, what], ["staging", "verdict", "error"]);
    assert!(message.starts_with("not enough data: run 2.4.0-rc2"), "{message}");

    // The report of an agent that is not there takes the place of the one before.
    let nobody = ports::free_addr().to_string();
    let output = run(&["verdict", "--junit", file, "--admin", &nobody]);
    assert_eq!(output.status.code(), Some(3));
    let [[_, name, what, message, _]] = &cases(&fs::read_to_string(&path).unwrap())[..] else {
        panic!("one case");
    };
    assert_eq!([name, what], ["verdict", "error"]);
    assert!(message.contains(&nobody), "{message}");

    let missing = directory.path().join("missing/verdict.xml");
    let output = run(&[
        "verdict",
        "--junit",
        missing.to_str().unwrap(),
        "--admin",
        &agent.address().to_string(),
    ]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains(missing.to_str().unwrap()), "{}", text(&output.stderr));
}

#[test]
fn every_character_of_a_response_goes_into_the_report() {
    let mut hostile = failing();
    let name = "GET /<a href=\"x\">&amp;'\t\r\n\u{85}\u{2028}\u{1f600}]]>";
    let forbidden = "a\u{0}b\u{1}c\u{b}d\u{1b}e\u{fffe}f\u{ffff}g";
    hostile["reasons"][0]["endpoint"] = name.into();
    hostile["reasons"][0]["text"] = format!("{forbidden}{name}").into();
    hostile["run"] = name.into();
    let report = junit(&verdicts("fail", &[hostile]));
    let cases = cases(&report);
    assert_eq!(cases[1][1], format!("errors: {name}"), "attributes come back as they were");
    let written = r"a\u{0}b\u{1}c\u{b}d\u{1b}e\u{fffe}f\u{ffff}g";
    assert!(cases[1][4].contains(&format!("{written}{name}\n")), "{report}");
}

/// The code blocks of `language` in the documentation for pipelines.
fn blocks(language: &str) -> Vec<&'static str> {
    let section = include_str!("../../../../docs/COMPARISON.md").split("\n## In a pipeline\n");
    let section = section.last().unwrap().split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    section.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The lines of shell in a pipeline's YAML: items of `script`, and text after `run: |`.
fn shell_in(yaml: &str) -> String {
    if let Some((_, run)) = yaml.split_once("run: |\n") {
        let deep = |line: &&str| line.starts_with("          ");
        return run.lines().take_while(deep).map(|line| format!("{}\n", line.trim())).collect();
    }
    let script = yaml.split_once("  script:\n").unwrap().1;
    let items = script.lines().take_while(|line| line.starts_with("    "));
    let joined = items.map(|line| match line.trim().strip_prefix("- ") {
        Some(command) => format!("\n{command}"),
        None => format!(" {}", line.trim()),
    });
    joined.collect()
}

#[test]
fn the_documented_pipelines_ask_and_pass_the_answer_on() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "secret").unwrap();
    std::os::unix::fs::symlink(PROGRAM, directory.path().join("spoa-mirror")).unwrap();
    let programs = std::env::var("PATH").unwrap();
    let yaml = blocks("yaml").into_iter().map(shell_in);
    let scripts: Vec<_> = blocks("sh").into_iter().map(str::to_owned).chain(yaml).collect();
    assert_eq!(scripts.len(), 3);
    for (answer, passes) in [("pass", true), ("fail", false)] {
        let mut verdict = target("staging", answer);
        verdict["run"] = "abc123".into();
        let agent = answering(200, &verdicts(answer, &[verdict]));
        for script in &scripts {
            let script = script
                .replace("https://mirror.example.net:9600", &agent.address().to_string())
                .replace("unix:/run/spoa-mirror/admin.sock", &agent.address().to_string());
            let output = Command::new("bash")
                .args(["-e", "-o", "pipefail", "-c", &script])
                .current_dir(directory.path())
                .env("PATH", format!("{}:{programs}", directory.path().display()))
                .envs([
                    ("VERSION", "abc123"),
                    ("CI_COMMIT_SHORT_SHA", "abc123"),
                    ("TOKEN", "secret"),
                ])
                .env("MIRROR_TOKEN", &token)
                .env("RUNNER_TEMP", directory.path())
                .output()
                .unwrap();
            assert_eq!(output.status.success(), passes, "{script}{}", text(&output.stderr));
            let asked = agent.take();
            assert_eq!(asked.len(), 2, "{script}");
            assert_eq!(asked[0].request_line(), b"POST /api/v1/comparison/runs HTTP/1.1");
            assert!(asked[1].target().starts_with(b"/api/v1/verdict"));
        }
        let report = fs::read_to_string(directory.path().join("verdict.xml")).unwrap();
        assert_eq!(cases(&report)[0][2], if passes { "system-out" } else { "failure" });
    }
}
