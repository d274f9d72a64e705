//! Findings for programs. The names of the fields are told in docs/DOCTOR.md, and stay.

use serde_json::{Value, json};

use super::Answer;
use crate::doctor::finding::{Change, Edit, Finding, Place, Severity};
use crate::doctor::secrets::covered;

impl Answer<'_> {
    /// Files, version, what runs, findings and how many there are.
    pub(crate) fn json(&self) -> Value {
        let findings = self.findings.iter().map(|finding| self.finding_json(finding));
        let version = self.assumed.version.0.map(|version| {
            let patch = version.patch.map_or_else(String::new, |patch| format!(".{patch}"));
            format!("{}.{}{patch}", version.major, version.minor)
        });
        json!({
            "files": self.paths().collect::<Vec<_>>(),
            "version": version,
            "version_from": (!self.assumed.source.is_empty()).then_some(&self.assumed.source),
            "live": (!self.seen.is_empty()).then_some(self.seen),
            "findings": findings.collect::<Vec<_>>(),
            "summary": {
                "errors": self.count(Severity::Error),
                "warnings": self.count(Severity::Warning),
                "hints": self.count(Severity::Hint),
            },
        })
    }

    fn finding_json(&self, finding: &Finding) -> Value {
        let others = finding.others.iter().map(|(place, label)| {
            let mut other = self.place_json(Some(place));
            other["label"] = json!(label);
            other
        });
        let mut told = self.place_json(finding.place.as_ref());
        told["code"] = json!(finding.code.name);
        told["severity"] = json!(finding.severity);
        told["message"] = json!(finding.message);
        told["consequence"] = json!(finding.consequence);
        told["mend"] = json!({
            "say": finding.mend.say,
            "edits": finding.mend.edits.iter().map(|edit| self.edit_json(edit)).collect::<Vec<_>>(),
        });
        told["others"] = others.collect();
        told
    }

    /// File, line, and the columns of what it is about: characters from 1, the last one being behind it. All
    /// are null without a place, line and columns also for the file as a whole.
    fn place_json(&self, place: Option<&Place>) -> Value {
        let columns = place.and_then(|place| {
            let line = self.line(place.file, place.line)?;
            let column = |byte: usize| {
                let before = line.raw.get(..byte).unwrap_or(&line.raw);
                String::from_utf8_lossy(before).chars().count() + 1
            };
            Some((place.line, column(place.span.start), column(place.span.end)))
        });
        json!({
            "file": place.map(|place| self.path(place.file)),
            "line": columns.map(|(line, ..)| line),
            "column": columns.map(|(_, start, _)| start),
            "end_column": columns.map(|(.., end)| end),
        })
    }

    /// A change to a file. One that touches a secret shows it covered, and says so: it cannot be applied.
    fn edit_json(&self, edit: &Edit) -> Value {
        let (name, lines) = match &edit.change {
            Change::Replace(lines) => ("replace", lines),
            Change::Append(lines) => ("append", lines),
        };
        let lines: Vec<_> = lines.iter().map(|line| covered(line.as_bytes())).collect();
        let hides = lines.iter().any(|line| line.hides);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        json!({"file": self.path(edit.file), "line": edit.line, name: texts, "covered": hides})
    }
}
