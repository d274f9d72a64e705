//! What is told at the end: the files, what changes in HAProxy's, what to do next.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::files::Generated;
use super::patch::Patched;
use super::plan::Plan;
use super::steps;

/// What was done.
pub(super) struct Answer {
    pub(super) plan: Plan,
    pub(super) output: PathBuf,
    pub(super) files: Vec<Generated>,
    /// The haproxy.cfg that was given.
    pub(super) haproxy: Option<PathBuf>,
    pub(super) patched: Option<Patched>,
}

impl Answer {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "{}\n", self.summary())?;
        let width = self.files.iter().map(|file| file.name.len()).max().unwrap_or(0);
        writeln!(text, "Written to {}:", self.output.display())?;
        for file in &self.files {
            writeln!(text, "  {:width$}  goes {}", file.name, self.goes(file))?;
        }
        if let Some(patched) = &self.patched {
            writeln!(text, "\n{}", patched.diff.trim_end())?;
        }
        writeln!(text, "\nNext:")?;
        for (index, step) in steps::of(self).iter().enumerate() {
            writeln!(text, "\n{}. {}", index + 1, step.what)?;
            for command in &step.commands {
                writeln!(text, "   {command}")?;
            }
        }
        for note in self.notes() {
            writeln!(text, "\nNote: {note}")?;
        }
        Ok(())
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let files = self.files.iter().map(|file| {
            json!({"file": self.output.join(&file.name).to_string_lossy(), "goes": file.goes})
        });
        let version = self.plan.version().0.map(|version| match version.patch {
            Some(patch) => format!("{}.{}.{patch}", version.major, version.minor),
            None => format!("{}.{}", version.major, version.minor),
        });
        json!({
            "ok": true,
            "haproxy_version": version,
            "frontend": self.patched.as_ref().map(|patched| &patched.frontend),
            "files": files.collect::<Vec<_>>(),
            "diff": self.patched.as_ref().map(|patched| &patched.diff),
            "steps": steps::of(self),
            "notes": self.notes(),
        })
    }

    fn summary(&self) -> String {
        let plan = &self.plan;
        let version = match plan.version().0 {
            None => {
                "any HAProxy from 2.6 on (which one reads the files is not known here)".to_owned()
            }
            Some(_) => format!("{} ({})", plan.version(), plan.assumed.source),
        };
        let whose = match &self.patched {
            Some(patched) => format!("all requests of frontend {}", patched.frontend),
            None => "all requests".to_owned(),
        };
        let names: Vec<_> = plan.targets.iter().map(|target| target.name.as_str()).collect();
        let compared = if plan.compare { ", compared with production's answers" } else { "" };
        format!(
            "{} % of {whose} to {}{compared}; for {version}",
            plan.share.percent(),
            names.join(", ")
        )
    }

    fn goes(&self, file: &Generated) -> String {
        if file.goes.starts_with('/') { format!("to {}", file.goes) } else { file.goes.clone() }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.patched.as_ref().is_none_or(|patched| patched.socket.is_none()) {
            let why = match &self.patched {
                Some(_) => "HAProxy's file has no",
                None => "switching off without a reload needs a",
            };
            notes.push(format!(
                "{why} `stats socket` with `level admin`; in `global`: \
                 stats socket /run/haproxy/admin.sock mode 660 level admin"
            ));
        }
        if self.plan.shares_machine() {
            notes.push(
                "agents on one machine: the package's service runs one of them; the others need units and \
                 configuration files of their own"
                    .to_owned(),
            );
        }
        if self.plan.agents.iter().any(|agent| !agent.is_loopback()) {
            notes.push(
                "HAProxy reaches an agent over the network, without a password: let a firewall keep others \
                 from that port"
                    .to_owned(),
            );
        }
        notes
    }
}
