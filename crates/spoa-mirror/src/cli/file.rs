//! `--config FILE`: a configuration file says everything that flags would say but how the process runs.

use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use super::{AgentArgs, Cli, Process, absolute};
use crate::config::file::{self, Report};
use crate::config::{Config, LogConfig};

/// Flags and the keys that say the same.
const KEYS: &[(&str, &str)] = &[
    ("address", "agent.listen"),
    ("port", "agent.listen"),
    ("connection_backlog", "agent.backlog"),
    ("max_frame_size", "agent.max-frame-size"),
    ("num_workers", "agent.workers"),
    ("ack_unset_var", "agent.ack-unset-var"),
    ("marker_header", "agent.marker"),
    ("max_hops", "agent.max-hops"),
    ("grace", "agent.grace"),
    ("admin", "admin.listen"),
    ("logfile", "log.file"),
    ("log_level", "log.level"),
    ("log_format", "log.format"),
    ("access_log", "log.copies"),
    ("monitor_interval", "log.interval"),
    ("mirror_url", "target.url"),
    ("mirror_http", "target.http"),
    ("mirror_ca", "target.tls.ca"),
    ("mirror_insecure", "target.tls.insecure"),
    ("mirror_interface", "target.local.interface"),
    ("mirror_local_port", "target.local.ports"),
    ("truncated_body", "target.truncated-body"),
    ("max_in_flight", "target.limit.in-flight"),
    ("max_queue", "target.limit.queue"),
    ("max_queue_bytes", "target.limit.queue-bytes"),
    ("max_queue_age", "target.limit.max-age"),
    ("connect_timeout", "target.timeout.connect"),
    ("timeout", "target.timeout.total"),
    ("max_answer", "target.max-answer"),
];

/// A configuration, how the process runs, and notes for the user; or what is wrong with the file.
pub type Loaded = Result<(Config, Process, Vec<String>), Report>;

impl Cli {
    /// Reads the process's command line.
    ///
    /// # Errors
    /// What is wrong with it, or the help that was asked for.
    pub fn read() -> Result<Self, clap::Error> {
        Self::read_from(std::env::args_os())
    }

    pub(super) fn read_from<T>(words: impl IntoIterator<Item = T>) -> Result<Self, clap::Error>
    where
        T: Into<std::ffi::OsString> + Clone,
    {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(words)?;
        let cli = Self::from_arg_matches(&matches)?;
        if cli.agent.config.is_some() {
            if let Some(message) = conflict(&matches) {
                return Err(command.error(clap::error::ErrorKind::ArgumentConflict, message));
            }
        }
        Ok(cli)
    }
}

/// A flag that the file has a key for.
fn conflict(matches: &ArgMatches) -> Option<String> {
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let conflicts: Vec<_> = KEYS
        .iter()
        .filter(|(id, _)| given(id))
        .map(|(id, key)| format!("--{}: write {key} in the file", id.replace('_', "-")))
        .collect();
    (!conflicts.is_empty())
        .then(|| format!("with --config, the file says everything; {}", conflicts.join("; ")))
}

impl AgentArgs {
    /// The configuration in the file of `--config`; `None` without the flag.
    pub fn load(&self) -> Option<Loaded> {
        let path = self.config.as_ref()?;
        Some(file::load(path).map(|(mut config, warnings)| {
            // 0, for ever, is the C program's way to say nothing.
            if self.runtime > Duration::ZERO {
                config.runtime = Some(self.runtime);
            }
            let pidfile = absolute(self.pidfile.clone()).unwrap_or_else(|_| self.pidfile.clone());
            let process = Process { daemonize: self.daemonize, pidfile };
            let mut notes = warnings.lines();
            notes.extend(self.without_effect());
            notes.extend(log_lost(self.daemonize, &config.log));
            (config, process, notes)
        }))
    }
}

fn log_lost(daemonize: bool, log: &LogConfig) -> Option<String> {
    (daemonize && log.file.is_none())
        .then(|| "--daemonize without log.file: the log goes nowhere".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Flags that go together with `--config`: how the process runs, and what has no effect anyway.
    const TOGETHER: &[&str] = &[
        "config",
        "runtime",
        "daemonize",
        "pidfile",
        "capability",
        "libev_backend",
        "debug",
        "processing_delay",
    ];

    fn read(line: &str) -> Result<Cli, String> {
        let words = std::iter::once("spoa-mirror").chain(line.split_whitespace());
        Cli::read_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn every_flag_goes_with_a_file_or_has_a_key_in_it() {
        let command = Cli::command();
        let flags = command.get_arguments().map(|argument| argument.get_id().as_str());
        for flag in flags.filter(|flag| !["help", "version"].contains(flag)) {
            let keys: Vec<_> = KEYS.iter().filter(|(id, _)| *id == flag).collect();
            assert_eq!(keys.len(), usize::from(!TOGETHER.contains(&flag)), "{flag}");
            assert!(keys.iter().all(|(_, key)| file::keys().contains(*key)), "{flag}");
        }
    }

    #[test]
    fn a_flag_that_the_file_has_a_key_for_is_refused() {
        assert!(read("--config x -D -F p -r 5s").is_ok());
        assert!(read("-u http://x --log-level debug").is_ok());
        let error = read("--config x -u http://x --log-level info").unwrap_err();
        for part in ["--mirror-url: write target.url", "--log-level: write log.level"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
