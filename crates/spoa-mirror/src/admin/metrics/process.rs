//! What the kernel knows of this process (proc(5)).

use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike as _;

/// The unit of the times in `/proc/self/stat`: the same on every architecture that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// What could be read; `None` for what could not.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    pub(super) virtual_bytes: Option<f64>,
    pub(super) open_fds: Option<f64>,
    pub(super) max_fds: Option<f64>,
    pub(super) threads: Option<f64>,
    /// In seconds since 1970.
    pub(super) start_time: Option<f64>,
}

impl Process {
    #[allow(clippy::cast_precision_loss, reason = "what Prometheus takes is an f64")]
    pub(super) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kibibytes = |name| number(&status, name).map(|size| size * 1024.0);
        let cpu = getrusage(UsageWho::RUSAGE_SELF).ok().map(|usage| {
            let time = usage.user_time() + usage.system_time();
            time.num_microseconds() as f64 / 1e6
        });
        // The directory is itself open while it is read.
        let open = fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count().saturating_sub(1));
        Self {
            cpu_seconds: cpu,
            resident_bytes: kibibytes("VmRSS"),
            virtual_bytes: kibibytes("VmSize"),
            open_fds: open.map(|count| count as f64),
            max_fds: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft as f64),
            threads: number(&status, "Threads"),
            start_time: start_time(),
        }
    }
}

/// The number behind `name:` at the start of a line.
fn number(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn start_time() -> Option<f64> {
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 = fields.split_whitespace().nth(22 - 3)?.parse().ok()?;
    Some(booted.trim().parse::<f64>().ok()? + ticks / TICKS_PER_SECOND)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn this_process_is_what_it_says() {
        let process = Process::read();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let started = process.start_time.unwrap();
        assert!((now - 86_400.0..=now + 2.0).contains(&started), "{started} at {now}");
        assert!(process.threads.unwrap() >= 1.0);
        assert!(process.resident_bytes.unwrap() > 1e6);
        assert!(process.virtual_bytes.unwrap() >= process.resident_bytes.unwrap());
        assert!(process.open_fds.unwrap() >= 3.0);
        assert!(process.open_fds.unwrap() <= process.max_fds.unwrap());
        assert!(process.cpu_seconds.unwrap() >= 0.0);
    }

    #[test]
    fn an_open_file_is_counted() {
        // Other tests open and close files meanwhile: many more than those.
        let before = Process::read().open_fds.unwrap();
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let with_files = Process::read().open_fds.unwrap();
        assert!(with_files > before + 100.0, "{before} before, {with_files} after");
        drop(files);
    }
}
