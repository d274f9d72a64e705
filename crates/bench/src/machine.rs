//! What the figures were measured on.

use std::path::Path;
use std::process::Command;

use serde::Serialize;
use testbed::haproxy::Version;

/// A machine and the versions of what ran on it.
#[derive(Serialize)]
pub(crate) struct Facts {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) kernel: String,
    pub(crate) versions: Vec<String>,
}

pub(crate) fn facts(agent: &Path, haproxy: &[Version]) -> Facts {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown");
    let mut versions = vec![first_line(agent, "--version"), first_line("nginx".as_ref(), "-v")];
    versions.extend(haproxy.iter().map(|version| first_line(&version.executable(), "-v")));
    versions.push(first_line("wrk".as_ref(), "-v"));
    Facts {
        processor: model.to_owned(),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: first_line("uname".as_ref(), "-sr"),
        versions,
    }
}

/// What a program says first, on either stream.
fn first_line(program: &Path, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).output() else {
        return format!("{} is missing", program.display());
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
