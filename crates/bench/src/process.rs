//! What processes have used, from `/proc`, and system calls counted by `perf`.

use std::fs;
use std::process::{Child, Command, Stdio};

/// Processor time of a process and all its threads so far, in nanoseconds.
pub(crate) fn cpu(pid: u32) -> u64 {
    cpu_of_threads(pid, "")
}

/// Processor time so far of those threads of a process whose names begin so, in nanoseconds.
pub(crate) fn cpu_of_threads(pid: u32, beginning: &str) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let named = threads.filter(|thread| {
        let name = fs::read_to_string(thread.path().join("comm"));
        name.is_ok_and(|name| name.starts_with(beginning))
    });
    named
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// The processes that `pid` started, and it itself.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children.flat_map(family)).collect()
}

/// Counts the system calls of a process while it lives.
pub(crate) struct Syscalls(Child);

impl Syscalls {
    /// Begins to count; `None` where the system has no `perf`, or does not let us.
    pub(crate) fn count(pid: u32, seconds: f64) -> Option<Self> {
        let child = Command::new("perf")
            .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p"])
            .arg(pid.to_string())
            .args(["--", "sleep", &seconds.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        child.ok().map(Self)
    }

    /// The count, at its end.
    pub(crate) fn end(self) -> Option<u64> {
        let output = self.0.wait_with_output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.lines().find(|line| line.contains("raw_syscalls"))?.split(',').next()?.parse().ok()
    }
}
