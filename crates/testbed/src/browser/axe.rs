//! axe-core: barriers in a page for people with disabilities.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::{Browser, text};

/// A rule of WCAG 2.1, level A or AA, that a page breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// axe's name for the rule: `color-contrast`, `label`, ...
    pub rule: String,
    /// What it asks for.
    pub help: String,
    /// The elements that break it, with what is wrong.
    pub elements: Vec<String>,
}

impl Browser {
    /// Looks for violations in the page as it is now.
    ///
    /// # Panics
    /// When axe-core cannot be fetched; `scripts/axe.sh` has told why on standard error.
    pub fn axe(&self) -> Vec<Violation> {
        const RUN: &str = "
            const done = arguments[arguments.length - 1];
            const levels = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'];
            axe.run(document, { runOnly: levels, resultTypes: ['violations'] })
                .then(found => done(found.violations), error => done(String(error)));";
        if self.run("return typeof axe", &[]) != "object" {
            self.run(script(), &[]);
        }
        let found = self.run_until_called(RUN, &[]);
        let found = found.as_array().unwrap_or_else(|| panic!("axe: {found}"));
        found.iter().map(violation).collect()
    }
}

fn violation(found: &Value) -> Violation {
    let elements = found["nodes"].as_array().into_iter().flatten();
    let element = |node: &Value| {
        format!("{}: {}", text(&node["html"]), text(&node["failureSummary"]).replace('\n', " "))
    };
    Violation {
        rule: text(&found["id"]),
        help: text(&found["help"]),
        elements: elements.map(element).collect(),
    }
}

fn script() -> &'static str {
    static KNOWN: OnceLock<String> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/axe.sh");
        let output = Command::new(&script)
            .stderr(Stdio::inherit())
            .output()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
        assert!(output.status.success(), "{} failed: {}", script.display(), output.status);
        let path = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
    })
}
