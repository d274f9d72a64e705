//! Verdicts as a JUnit report: a suite for each target, in it a case for the verdict and one for each kind
//! of reason at an endpoint. A missing verdict is an error and not a skipped case, which pipelines take for
//! a success.

use std::fmt::Write as _;

use super::shown::{self, Samples};
use crate::admin::comparison::view::{AnswerView, ReasonView, VerdictView, VerdictsView};

/// The name of the report, and the package that its cases are in.
const NAME: &str = "spoa-mirror";

/// The report of these verdicts.
pub(super) fn report(view: &VerdictsView, samples: &Samples) -> String {
    document(&view.targets.iter().map(|target| Suite::of(target, samples)).collect::<Vec<_>>())
}

/// The report where there is no verdict.
pub(super) fn no_verdict(message: &str) -> String {
    document(&[Suite {
        name: NAME.to_owned(),
        class: NAME.to_owned(),
        timestamp: None,
        properties: Vec::new(),
        cases: vec![Case {
            name: "verdict".to_owned(),
            result: Result::Error {
                kind: "no-verdict".to_owned(),
                message: first_line(message),
                text: message.to_owned(),
            },
        }],
    }])
}

struct Suite {
    name: String,
    class: String,
    timestamp: Option<String>,
    properties: Vec<(&'static str, String)>,
    cases: Vec<Case>,
}

struct Case {
    name: String,
    result: Result,
}

enum Result {
    Passed { output: String },
    Failure { kind: String, message: String, text: String },
    Error { kind: String, message: String, text: String },
}

impl Suite {
    fn of(target: &VerdictView, samples: &Samples) -> Self {
        let mut cases = vec![Case { name: "verdict".to_owned(), result: of_verdict(target) }];
        let mut kinds: Vec<(&str, &str, Vec<&ReasonView>)> = Vec::new();
        for reason in &target.reasons {
            let same = |(kind, endpoint, _): &&mut (&str, &str, Vec<&ReasonView>)| {
                *kind == reason.kind && *endpoint == reason.endpoint
            };
            match kinds.iter_mut().find(same) {
                Some((_, _, reasons)) => reasons.push(reason),
                None => kinds.push((&reason.kind, &reason.endpoint, vec![reason])),
            }
        }
        cases.extend(kinds.into_iter().map(|(kind, endpoint, reasons)| Case {
            name: format!("{kind}: {endpoint}"),
            result: of_reasons(kind, &reasons, samples),
        }));
        Self {
            name: target.target.clone(),
            class: format!("{NAME}.{}", target.target),
            // Readers want it without a zone; the agent's is UTC.
            timestamp: target.started.get(..19).map(str::to_owned),
            properties: vec![
                ("run", target.run.clone()),
                ("requests", target.requests.to_string()),
                ("confidence-percent", target.confidence_percent.to_string()),
            ],
            cases,
        }
    }

    fn failures(&self) -> usize {
        let failed = |case: &&Case| matches!(case.result, Result::Failure { .. });
        self.cases.iter().filter(failed).count()
    }

    fn errors(&self) -> usize {
        let error = |case: &&Case| matches!(case.result, Result::Error { .. });
        self.cases.iter().filter(error).count()
    }
}

fn of_verdict(target: &VerdictView) -> Result {
    let message =
        format!("{}: run {}, {}", shown::words(target.answer), target.run, shown::basis(target));
    let text = target.text.clone();
    match target.answer {
        AnswerView::Pass => Result::Passed { output: text },
        AnswerView::Fail => Result::Failure { kind: "fail".to_owned(), message, text },
        AnswerView::NotEnoughData => {
            Result::Error { kind: "not-enough-data".to_owned(), message, text }
        }
    }
}

fn of_reasons(kind: &str, reasons: &[&ReasonView], samples: &Samples) -> Result {
    let mut text = String::new();
    for reason in reasons {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}", shown::reason(reason));
        for id in &reason.samples {
            let _ = writeln!(text, "  {}", samples.page(*id));
        }
    }
    let message = reasons.first().map(|reason| first_line(&reason.text)).unwrap_or_default();
    Result::Failure { kind: kind.to_owned(), message, text }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn document(suites: &[Suite]) -> String {
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites".to_owned();
    attribute(&mut xml, "name", NAME);
    counts(&mut xml, sum(|suite| suite.cases.len()), sum(Suite::failures), sum(Suite::errors));
    xml.push_str(">\n");
    for each in suites {
        suite(&mut xml, each);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, suite: &Suite) {
    xml.push_str("  <testsuite");
    attribute(xml, "name", &suite.name);
    counts(xml, suite.cases.len(), suite.failures(), suite.errors());
    attribute(xml, "skipped", "0");
    if let Some(timestamp) = &suite.timestamp {
        attribute(xml, "timestamp", timestamp);
    }
    xml.push_str(">\n");
    if !suite.properties.is_empty() {
        xml.push_str("    <properties>\n");
        for (name, value) in &suite.properties {
            xml.push_str("      <property");
            attribute(xml, "name", name);
            attribute(xml, "value", value);
            xml.push_str("/>\n");
        }
        xml.push_str("    </properties>\n");
    }
    for case in &suite.cases {
        xml.push_str("    <testcase");
        attribute(xml, "classname", &suite.class);
        attribute(xml, "name", &case.name);
        attribute(xml, "time", "0");
        xml.push_str(">\n");
        match &case.result {
            Result::Passed { output } => element(xml, "system-out", &[], output),
            Result::Failure { kind, message, text } => {
                element(xml, "failure", &[("type", kind), ("message", message)], text);
            }
            Result::Error { kind, message, text } => {
                element(xml, "error", &[("type", kind), ("message", message)], text);
            }
        }
        xml.push_str("    </testcase>\n");
    }
    xml.push_str("  </testsuite>\n");
}

fn counts(xml: &mut String, tests: usize, failures: usize, errors: usize) {
    attribute(xml, "tests", &tests.to_string());
    attribute(xml, "failures", &failures.to_string());
    attribute(xml, "errors", &errors.to_string());
    attribute(xml, "time", "0");
}

fn element(xml: &mut String, name: &str, attributes: &[(&str, &String)], text: &str) {
    let _ = write!(xml, "      <{name}");
    for (attribute_name, value) in attributes {
        attribute(xml, attribute_name, value);
    }
    xml.push('>');
    for character in text.chars() {
        escape(xml, character, character == '\n' || character == '\t');
    }
    let _ = writeln!(xml, "</{name}>");
}

fn attribute(xml: &mut String, name: &str, value: &str) {
    let _ = write!(xml, " {name}=\"");
    for character in value.chars() {
        escape(xml, character, false);
    }
    xml.push('"');
}

/// Writes a character so that a parser reads the same; those that XML 1.0 has no way to write, as Rust's
/// escapes. White space is kept as it is only in text: in attributes a parser makes spaces of it.
fn escape(xml: &mut String, character: char, keep_space: bool) {
    match character {
        '<' => xml.push_str("&lt;"),
        '>' => xml.push_str("&gt;"),
        '&' => xml.push_str("&amp;"),
        '"' => xml.push_str("&quot;"),
        '\n' | '\t' if keep_space => xml.push(character),
        '\n' | '\t' | '\r' => {
            let _ = write!(xml, "&#{};", u32::from(character));
        }
        '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => xml.extend(character.escape_unicode()),
        other => xml.push(other),
    }
}
