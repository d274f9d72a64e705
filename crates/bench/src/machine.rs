//! What figures were measured on.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

/// A machine and the versions of what ran on it.
#[derive(Serialize)]
pub struct Facts {
    /// The processor's own name.
    pub processor: String,
    /// How many of them.
    pub processors: usize,
    /// The kernel's name and release.
    pub kernel: String,
    /// What each program says of itself.
    pub versions: Vec<String>,
}

impl Facts {
    /// Of this machine, with what each of these programs says when it is asked by this argument.
    pub fn of<'a>(programs: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown");
        let versions = programs.into_iter().map(|(program, ask)| first_line(program, ask));
        Self {
            processor: model.to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: first_line("uname".as_ref(), "-sr"),
            versions: versions.collect(),
        }
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
