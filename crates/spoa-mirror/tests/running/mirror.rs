//! The program as an agent, started by a test.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use tempfile::TempDir;
use testbed::agent::{Agent, Builder};
use testbed::{ports, wait};

use super::tally::Tally;

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_spoa-mirror");

/// An agent that listens on a port of 127.0.0.1 and logs to standard output and error.
pub struct Mirror {
    pub process: Agent,
    pub address: SocketAddr,
    targets: usize,
    /// The directory of its configuration file, when it has one.
    directory: Option<TempDir>,
}

impl Mirror {
    /// Starts it on a free port with these arguments, and waits until it listens.
    pub fn start(args: &[&str]) -> Self {
        Self::start_at(ports::free_addr(), args)
    }

    /// Starts it on this port.
    pub fn start_at(address: SocketAddr, args: &[&str]) -> Self {
        Self::run(address, Agent::builder(PROGRAM), args)
    }

    /// Starts it by `builder`, whose program it must be or become.
    pub fn run(address: SocketAddr, builder: Builder, args: &[&str]) -> Self {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let process = builder.args(["-a", &host, "-p", &port]).args(args).start();
        process.wait_line(wait::LIMIT, |line| line.contains(&format!("listening on {address}")));
        let targets = args.iter().filter(|arg| ["-u", "--mirror-url"].contains(arg)).count();
        Self { process, address, targets, directory: None }
    }

    /// Starts it on a free port with a configuration file: `toml`, to which its address and reports every
    /// second are added.
    pub fn configured(toml: &str) -> Self {
        let directory = TempDir::new().unwrap();
        Self::configured_at(ports::free_addr(), Agent::builder(PROGRAM), directory, toml)
    }

    /// Starts it on this port by `builder`, with a configuration file in `directory`.
    pub fn configured_at(
        address: SocketAddr,
        builder: Builder,
        directory: TempDir,
        toml: &str,
    ) -> Self {
        let path = directory.path().join(CONFIGURATION);
        fs::write(&path, complete(toml, address)).unwrap();
        let process = builder.arg("--config").arg(&path).start();
        process.wait_line(wait::LIMIT, |line| line.contains(&format!("listening on {address}")));
        Self { process, address, targets: targets(toml), directory: Some(directory) }
    }

    /// Its configuration file.
    ///
    /// # Panics
    /// When it has none.
    pub fn configuration(&self) -> PathBuf {
        self.directory.as_ref().expect("a configuration file").path().join(CONFIGURATION)
    }

    /// Writes another configuration to the file; it takes effect at a reload.
    pub fn reconfigure(&mut self, toml: &str) {
        fs::write(self.configuration(), complete(toml, self.address)).unwrap();
        self.targets = targets(toml);
    }

    /// Every report of counters so far, without the last one if it is not there in full.
    pub fn reports(&self) -> Vec<Tally> {
        let mut reports = Tally::all(&self.process.stdout().all());
        if reports.last().is_some_and(|last| last.targets.len() < self.targets) {
            reports.pop();
        }
        reports
    }

    /// Waits for a report of counters (see `--monitor-interval`) that satisfies `condition`.
    ///
    /// # Panics
    /// When none comes, with the last one.
    pub fn wait_report(&self, condition: impl Fn(&Tally) -> bool) -> Tally {
        let found = wait::poll(wait::LIMIT, || self.reports().into_iter().find(&condition));
        found.unwrap_or_else(|| panic!("no such counters; at last {:?}", self.reports().last()))
    }

    /// Lines that contain `text`.
    pub fn told(&self, text: &str) -> Vec<String> {
        self.process.output().matching(|line| line.contains(text))
    }

    /// Waits for a line that contains `text`, and gives it.
    pub fn wait_told(&self, text: &str) -> String {
        self.process.wait_line(wait::LIMIT, |line| line.contains(text))
    }

    /// SIGTERM; gives the last counters, in which nothing waits and nothing is under way.
    ///
    /// # Panics
    /// When it does not end with success.
    pub fn finish(&mut self) -> Tally {
        let status = self.process.stop(Duration::from_secs(30));
        assert!(status.success(), "{status}");
        self.last_report(status)
    }

    /// The counters at the end of an agent that has ended.
    ///
    /// # Panics
    /// When it did not log any after it was told to end, or something was left open.
    pub fn last_report(&self, status: ExitStatus) -> Tally {
        let told = |line: &String| line.contains("no new connections");
        let last = wait::until(wait::LIMIT, &format!("last counters ({status})"), || {
            let lines = self.process.stdout().all();
            let end = lines.iter().position(told)?;
            let last = Tally::all(&lines[end..]).pop()?;
            (last.targets.len() == self.targets).then_some(last)
        });
        for target in &last.targets {
            assert_eq!((target.waiting, target.in_flight), (0, 0), "{last:?}");
            // Without a configuration file every target is offered every request, once.
            if self.directory.is_none() {
                assert_eq!(target.received, last.spop.requests, "{last:?}");
            }
        }
        last
    }
}

const CONFIGURATION: &str = "spoa-mirror.toml";

/// The configuration with what the tests need: where it listens, and reports every second.
fn complete(toml: &str, address: SocketAddr) -> String {
    let with = |toml: String, table: &str, line: &str| {
        let header = format!("[{table}]\n");
        if toml.contains(&header) {
            toml.replacen(&header, &format!("{header}{line}\n"), 1)
        } else {
            format!("{header}{line}\n\n{toml}")
        }
    };
    let toml = with(toml.to_owned(), "log", "interval = \"1s\"");
    with(toml, "agent", &format!("listen = [\"{address}\"]"))
}

fn targets(toml: &str) -> usize {
    toml.lines().filter(|line| line.trim() == "[[target]]").count()
}
