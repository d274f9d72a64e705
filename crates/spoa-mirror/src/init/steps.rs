//! What to do with the files: commands to paste, in an order in which nothing breaks on the way.

use serde::Serialize;

use super::answer::Answer;
use super::files::{self, TOML_PLACE, UNIT_NAME, UNIT_PLACE};
use super::plan::Agent;
use super::quote::{runtime, shell};

/// Where Debian's configuration of HAProxy has its socket.
const SOCKET: &str = "/run/haproxy/admin.sock";

/// Something to do.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) what: String,
    pub(super) commands: Vec<String>,
}

impl Step {
    fn new(what: impl Into<String>, commands: Vec<String>) -> Self {
        Self { what: what.into(), commands }
    }
}

/// First the agents, which then wait; then what HAProxy reads, its own file last.
pub(super) fn of(answer: &Answer) -> Vec<Step> {
    let mut steps = agents(answer);
    steps.push(haproxys_files(answer));
    steps.push(haproxy(answer));
    steps.push(look(answer));
    steps.push(switch(answer));
    steps
}

fn agents(answer: &Answer) -> Vec<Step> {
    let plan = &answer.plan;
    let step = |(index, agent): (usize, &Agent)| {
        let what = match plan.agents.len() {
            1 if agent.is_loopback() => "The agent, on HAProxy's machine".to_owned(),
            1 => format!("The agent, on its machine ({agent})"),
            _ => format!("Agent {}, on its machine ({agent})", index + 1),
        };
        let toml = written(answer, &files::toml_name(plan, index));
        let commands = vec![
            format!("sudo install -D -m 644 {toml} {TOML_PLACE}"),
            format!("sudo install -D -m 644 {} {UNIT_PLACE}", written(answer, UNIT_NAME)),
            "spoa-mirror check".to_owned(),
            "sudo systemctl daemon-reload".to_owned(),
            "sudo systemctl restart spoa-mirror".to_owned(),
            // A copy of a harmless request shows that targets can be reached, before HAProxy knows of any of it.
            format!(
                "spoa-mirror doctor --agent {agent} --send --admin {}",
                shell(&plan.admin_of(index))
            ),
        ];
        Step::new(format!("{what}. The last command sends the targets a test request"), commands)
    };
    plan.agents.iter().enumerate().map(step).collect()
}

fn haproxys_files(answer: &Answer) -> Step {
    let plan = &answer.plan;
    let files = [written(answer, "mirror.conf"), written(answer, "mirror.map")].join(" ");
    let command = format!("sudo install -m 644 {files} {}", shell(&format!("{}/", plan.directory)));
    Step::new("What HAProxy will read; nothing happens yet", vec![command])
}

fn haproxy(answer: &Answer) -> Step {
    let mut commands = Vec::new();
    let what = match &answer.haproxy {
        Some(path) => {
            let (new, old) = (written(answer, "haproxy.cfg"), shell(&path.to_string_lossy()));
            commands.push(format!("haproxy -c -f {new}"));
            commands.push(doctor(answer, &new));
            commands.push(format!("sudo cp --backup {new} {old}"));
            "HAProxy's own file, if it is found right; the old one stays beside it, with a ~"
                .to_owned()
        }
        None => {
            let file = shell(&answer.plan.beside("haproxy.cfg"));
            commands.push(format!("haproxy -c -f {file}"));
            commands.push(doctor(answer, &file));
            format!(
                "Paste global.cfg, backend.cfg and frontend.cfg into {file}, each where its first line says"
            )
        }
    };
    commands.push("sudo systemctl reload haproxy".to_owned());
    Step::new(what, commands)
}

fn doctor(answer: &Answer, file: &str) -> String {
    let toml = written(answer, &files::toml_name(&answer.plan, 0));
    let version = answer.plan.assumed.version.0.map_or_else(String::new, |version| {
        format!(" --haproxy-version {}.{}", version.major, version.minor)
    });
    format!("spoa-mirror doctor --haproxy {file} --config {toml}{version}")
}

fn look(answer: &Answer) -> Step {
    let mut commands = Vec::new();
    if let Some(socket) = socket(answer) {
        let file = match &answer.haproxy {
            Some(path) => path.to_string_lossy().into_owned(),
            None => answer.plan.beside("haproxy.cfg"),
        };
        let (file, socket) = (shell(&file), shell(socket));
        commands.push(format!("sudo spoa-mirror doctor --haproxy {file} --socket {socket}"));
    }
    // They find the agent by its configuration file.
    commands.push("spoa-mirror status".to_owned());
    if answer.plan.compare {
        commands.push("spoa-mirror verdict".to_owned());
    }
    let more = if answer.plan.compare { ", and is it the same" } else { "" };
    Step::new(
        format!("Does it arrive{more}? The doctor asks HAProxy, the rest the agent of its machine"),
        commands,
    )
}

fn switch(answer: &Answer) -> Step {
    let plan = &answer.plan;
    let socket = shell(socket(answer).unwrap_or(SOCKET));
    let map = runtime(&plan.beside("mirror.map"));
    let set = |share: u32| {
        let command = shell(&format!("set map {map} / {share}"));
        // Some shells' `echo` reads backslashes.
        let say = if command.contains('\\') { "printf '%s\\n'" } else { "echo" };
        format!("{say} {command} | sudo socat stdio {socket}")
    };
    Step::new(
        "Off, and on again: at once, until HAProxy's next reload. For good: in mirror.map",
        vec![set(0), set(plan.share.0)],
    )
}

/// The Runtime API's socket: that of the file; where none was given, Debian's.
fn socket(answer: &Answer) -> Option<&str> {
    match &answer.patched {
        Some(patched) => patched.socket.as_deref(),
        None => Some(SOCKET),
    }
}

/// A file in the output directory.
fn written(answer: &Answer, name: &str) -> String {
    shell(&answer.output.join(name).to_string_lossy())
}
