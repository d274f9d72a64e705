//! The command line: the C program's flags, ours, and the subcommands. Parsed by clap, then checked
//! and turned into a [`Config`].

mod file;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::admin::{self, AdminAddress};
use crate::config::{
    AdminConfig, AgentConfig, ComparisonConfig, Config, CopyLines, HttpVersion, Limits,
    ListenAddress, LocalEnd, LogConfig, LogFile, LogFormat, Marker, MirrorUrl, TargetConfig,
    TlsConfig, TruncatedBody, parse_ports, parse_size, parse_time,
};

pub use file::Loaded;

const EXAMPLES: &str = "\
Examples:
  spoa-mirror -r 0 -u http://staging:8080
          what HAProxy's traffic mirroring guide runs: every request HAProxy hands over goes to staging
  spoa-mirror -r 0 -u https://staging.example.net/shadow -a 127.0.0.1 -l a:/var/log/mirror.log
          verified TLS, a path prefix before each request's own path, loopback only, a log file
  spoa-mirror -r 0 -u http://a:8080 -u http://b:8080 -a unix:/run/spoa-mirror.sock
          two targets, a unix socket
  spoa-mirror --config /etc/spoa-mirror/spoa-mirror.toml
          targets with rules and limits of their own (`spoa-mirror check` looks whether the file is right)
  spoa-mirror doctor --haproxy haproxy.cfg
          is HAProxy set up right? What is wrong, where, why it matters, what to write instead
  spoa-mirror init --target http://staging:8080
          write what HAProxy and the agent need for it, as files to look at
  spoa-mirror demo
          see it work in a minute, with HAProxy, production and shadow on this machine
  spoa-mirror -r 0 -u http://staging:8080 --admin 127.0.0.1:9600
          with metrics (/metrics), status and live control, for this machine only
  spoa-mirror status --watch
          how that agent stands, every two seconds
  spoa-mirror verdict --wait 30m
          may the version under test be shipped? For a pipeline: the exit code tells
  spoa-mirror decode capture.bin
          what is in a recorded SPOP stream

A TIME is a number and a unit of us, ms, s, m, h, d; milliseconds without a unit.
A SIZE is a number and a unit of k, M, G; bytes without a unit.

Signals: TERM and INT end the agent after copies under way got --grace; a second one ends it at once.
USR1 reopens the log file (under HAProxy's `program` section, where HAProxy sends USR1 at a reload,
it ends the agent).

Exit codes: 0 ended as told, 1 could not start or do its work, 64 wrong command line, 78 wrong
configuration file.";

/// Mirrors HAProxy's HTTP traffic to test environments, without production waiting for it.
///
/// HAProxy hands requests over through SPOE; each is acknowledged at once, and a copy goes to every
/// mirror URL.
#[derive(Debug, Parser)]
#[command(name = "spoa-mirror", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(disable_help_subcommand = true, disable_version_flag = true)]
// Of a flag given twice the last one counts, as in the C program.
#[command(args_override_self = true)]
pub struct Cli {
    /// What else than to be an agent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to be an agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Show the version
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

/// What else than to be an agent.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show it working on this machine: HAProxy, production, targets, some traffic, a verdict
    Demo(crate::demo::DemoArgs),
    /// Write HAProxy's files and the agent's for mirroring, right for the HAProxy at hand
    Init(crate::init::InitArgs),
    /// Look whether a configuration file is right, and what it means
    Check(crate::check::CheckArgs),
    /// Look whether HAProxy's files are right for mirroring, and what to write instead
    Doctor(crate::doctor::DoctorArgs),
    /// Print SPOP bytes, raw or as hex, so that a person can read them
    Decode(crate::decode::DecodeArgs),
    /// Show how a running agent stands: targets, counters, latencies
    Status(crate::remote::StatusArgs),
    /// Stop copying to a target, or to all, until it is resumed
    Pause(crate::remote::PauseArgs),
    /// Copy to a target, or to all, again
    Resume(crate::remote::ResumeArgs),
    /// Ask whether the versions under test may be shipped; the exit code tells
    Verdict(crate::remote::VerdictArgs),
    /// Begin to compare a new version: what was counted before is forgotten
    Begin(crate::remote::BeginArgs),
    /// Have a running agent read its configuration file again
    Reload(crate::remote::ReloadArgs),
    /// Write man pages and shell completions, for packages
    Generate(crate::generate::GenerateArgs),
}

/// How to be an agent.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Listen on this host name, IPv4 or IPv6 address, or `unix:PATH`; may be given again
    #[arg(
        short,
        long,
        value_name = "NAME",
        default_value = "0.0.0.0",
        help_heading = "HAProxy's side"
    )]
    address: Vec<String>,
    /// Listen on this TCP port
    #[arg(short, long, value_name = "PORT", default_value_t = 12345, help_heading = "HAProxy's side",
          value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Connections that the kernel holds until they are accepted
    #[arg(short = 'b', long, value_name = "COUNT", default_value_t = 1024, help_heading = "HAProxy's side",
          value_parser = clap::value_parser!(u32).range(1..=65535))]
    connection_backlog: u32,
    /// Accept SPOP frames up to this size; what HAProxy offers counts when it is lower
    #[arg(short, long, value_name = "SIZE", default_value = "1M", value_parser = parse_size,
          help_heading = "HAProxy's side")]
    max_frame_size: u64,
    /// Pipelining and fragmentation are always on, async never; accepted as the C program has it
    #[arg(short, long, value_name = "NAME", help_heading = "HAProxy's side", ignore_case = true,
          value_parser = ["fragmentation", "pipelining", "async"])]
    capability: Vec<String>,
    /// Data plane threads; one is cheapest and takes tens of thousands of requests a second
    #[arg(short, long, value_name = "COUNT", default_value_t = 1, help_heading = "HAProxy's side",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    num_workers: u32,
    /// Ask with every ACK to unset the variable txn.NAME: early HAProxy 3.1 leaves an empty ACK lying
    /// until `timeout processing`
    #[arg(long, value_name = "NAME", help_heading = "HAProxy's side")]
    ack_unset_var: Option<String>,

    /// Send copies here, the URL's path before each request's own; may be given again
    #[arg(short = 'u', long, value_name = "URL", help_heading = "Copies")]
    mirror_url: Vec<MirrorUrl>,
    /// The HTTP version spoken to the mirror: `auto` asks an https URL for HTTP/2 and else speaks 1.1
    #[arg(long, value_name = "VERSION", default_value = "auto", help_heading = "Copies")]
    mirror_http: HttpVersion,
    /// Trust the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE", help_heading = "Copies", conflicts_with = "mirror_insecure")]
    mirror_ca: Option<PathBuf>,
    /// Do not verify the mirror's certificate
    #[arg(long, help_heading = "Copies")]
    mirror_insecure: bool,
    /// Connect from this interface or address
    #[arg(short = 'I', long, value_name = "NAME|ADDRESS", help_heading = "Copies")]
    mirror_interface: Option<String>,
    /// Connect from a local port in this range
    #[arg(short = 'P', long, value_name = "PORT[-PORT]", value_parser = parse_ports,
          help_heading = "Copies")]
    mirror_local_port: Option<RangeInclusive<u16>>,
    /// The header that marks copies and counts how often a request was copied; `none` marks nothing,
    /// and nothing then stops a loop
    #[arg(long, value_name = "NAME", default_value = "x-shadow", help_heading = "Copies")]
    marker_header: String,
    /// Do not copy a request that was copied this many times already
    #[arg(long, value_name = "COUNT", default_value_t = 1, help_heading = "Copies",
          value_parser = clap::value_parser!(u32).range(1..))]
    max_hops: u32,
    /// What becomes of a request whose body HAProxy cut off: `send` sends what came, marked,
    /// `headers-only` leaves the body out, marked
    #[arg(
        long,
        value_name = "skip|send|headers-only",
        default_value = "skip",
        help_heading = "Copies"
    )]
    truncated_body: TruncatedBody,

    /// Copies under way at once to each mirror, with HTTP/1.1 also its connections
    #[arg(long, value_name = "COUNT", default_value_t = 1000, help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_in_flight: u32,
    /// Copies that may wait for each mirror; more are dropped and counted
    #[arg(long, value_name = "COUNT", default_value_t = 1000, help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    max_queue: u32,
    /// Bytes of the copies that may wait for each mirror
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_size,
          help_heading = "Limits")]
    max_queue_bytes: u64,
    /// Drop a copy that waited longer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_time,
          help_heading = "Limits")]
    max_queue_age: Duration,
    /// Time for a connection to the mirror to come about
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time,
          help_heading = "Limits")]
    connect_timeout: Duration,
    /// Time from the first byte of a copy to the last of its answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time,
          help_heading = "Limits")]
    timeout: Duration,
    /// Read an answer up to this size, then close its connection
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = parse_size,
          help_heading = "Limits")]
    max_answer: u64,

    /// Read everything from this file (docs/CONFIGURATION.md); of the other flags only --daemonize,
    /// --pidfile and --runtime go with it
    #[arg(long, value_name = "FILE", help_heading = "Process")]
    config: Option<PathBuf>,
    /// Run this long, 0 for ever
    #[arg(short, long, value_name = "TIME", default_value = "0", value_parser = parse_time,
          help_heading = "Process")]
    runtime: Duration,
    /// When told to end, give copies under way this long
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_time,
          help_heading = "Process")]
    grace: Duration,
    /// Run in the background; the command returns once the agent is ready
    #[arg(short = 'D', long, help_heading = "Process")]
    daemonize: bool,
    /// Write the process id to this file
    #[arg(short = 'F', long, value_name = "FILE", help_heading = "Process")]
    pidfile: Option<PathBuf>,

    /// Serve metrics, status and live control at HOST:PORT (this machine's own, such as
    /// 127.0.0.1:9600) or `unix:PATH`; may be given again
    #[arg(long, value_name = "ADDRESS", help_heading = "Process")]
    admin: Vec<AdminAddress>,

    /// Log to FILE; MODE a appends, w empties first, A and W also write each line at once
    #[arg(short, long, value_name = "[MODE:]FILE", help_heading = "Logs")]
    logfile: Option<LogFile>,
    /// The least severe messages to log
    #[arg(long, value_name = "LEVEL", default_value = "info", help_heading = "Logs",
          value_parser = ["error", "warn", "info", "debug"])]
    log_level: String,
    /// Lines for people, or one JSON object each
    #[arg(long, value_name = "text|json", default_value = "text", help_heading = "Logs")]
    log_format: LogFormat,
    /// Which copies get a line: ALL, ERROR, SUCCESS, NONE [default: SUCCESS; failures are summed up]
    #[arg(short = 'L', long, value_name = "MODE", help_heading = "Logs")]
    access_log: Option<CopyLines>,
    /// Log the counters this often
    #[arg(short = 'i', long, value_name = "TIME", default_value = "5s", value_parser = parse_time,
          help_heading = "Logs")]
    monitor_interval: Duration,

    /// Without effect: the event loop is tokio's
    #[arg(
        short = 'B',
        long,
        value_name = "TYPE",
        help_heading = "Accepted for the C program's sake"
    )]
    libev_backend: Option<String>,
    /// Without effect: see --log-level
    #[arg(short, long, value_name = "LEVEL", help_heading = "Accepted for the C program's sake")]
    debug: Option<String>,
    /// Without effect: an ACK is never delayed
    #[arg(short = 't', long, value_name = "TIME", value_parser = parse_time,
          help_heading = "Accepted for the C program's sake")]
    processing_delay: Option<Duration>,
}

/// What the process does besides being an agent.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Run in the background.
    pub daemonize: bool,
    /// Where the process id is written.
    pub pidfile: Option<PathBuf>,
}

impl AgentArgs {
    /// Checks what clap cannot, and makes the configuration; also gives notes for the user about
    /// flags that do nothing here.
    ///
    /// # Errors
    /// The flag that is wrong, in what way, and what is allowed.
    pub fn into_config(self) -> Result<(Config, Process, Vec<String>), String> {
        within("--monitor-interval", "1s", self.monitor_interval, "1h")?;
        if let Some(delay) = self.processing_delay {
            within("--processing-delay", "0", delay, "1s")?;
        }
        within("--connect-timeout", "1ms", self.connect_timeout, "1h")?;
        within("--timeout", "1ms", self.timeout, "1d")?;
        within("--max-queue-age", "1ms", self.max_queue_age, "1h")?;
        within("--grace", "0", self.grace, "1h")?;
        let max_frame_size = u32::try_from(self.max_frame_size)
            .ok()
            .filter(|size| (spop_proto::MIN_FRAME_SIZE..=1 << 24).contains(size))
            .ok_or("--max-frame-size: the allowed range is 256 to 16M")?;
        if self.max_queue_bytes > 1 << 40 || self.max_answer > 1 << 40 {
            return Err("--max-queue-bytes, --max-answer: no more than 1024G".to_owned());
        }
        if let Some(name) = &self.ack_unset_var {
            AgentConfig::check_variable(name)
                .map_err(|error| format!("--ack-unset-var: {error}"))?;
        }
        let notes = self.notes();
        let name = Marker::parse_name(&self.marker_header)
            .map_err(|error| format!("--marker-header: {error}"))?;
        let marker = Marker { name, max_hops: self.max_hops };
        if marker.name.is_none() && self.truncated_body != TruncatedBody::Skip {
            return Err("--truncated-body: a copy without its whole body must be marked, so that \
                        it needs a --marker-header"
                .to_owned());
        }
        let listen = self.listen()?;
        let admin = self.admin()?;
        let local = self.local_end();
        let process = Process { daemonize: self.daemonize, pidfile: absolute(self.pidfile)? };
        let limits = Limits {
            in_flight: self.max_in_flight as usize,
            queue: self.max_queue as usize,
            queue_bytes: usize::try_from(self.max_queue_bytes).unwrap_or(usize::MAX),
            max_age: self.max_queue_age,
            ..Limits::default()
        };
        let tls = TlsConfig {
            ca: self.mirror_ca.clone(),
            insecure: self.mirror_insecure,
            ..TlsConfig::default()
        };
        let mut targets: Vec<TargetConfig> = Vec::new();
        for url in self.mirror_url {
            let name = target_name(&url, &targets);
            targets.push(TargetConfig {
                http: self.mirror_http,
                truncated_body: self.truncated_body,
                limits,
                connect_timeout: self.connect_timeout,
                timeout: self.timeout,
                max_answer: self.max_answer,
                tls: tls.clone(),
                local: local.clone(),
                ..TargetConfig::new(name, url)
            });
        }
        let config = Config {
            file: None,
            admin,
            agent: AgentConfig {
                listen,
                backlog: self.connection_backlog,
                max_connections: None,
                max_frame_size,
                workers: AgentConfig::workers_for(self.num_workers),
                ack_unset_var: self.ack_unset_var,
            },
            targets,
            comparison: ComparisonConfig::default(),
            marker,
            log: LogConfig {
                file: self
                    .logfile
                    .map(|file| {
                        Ok::<_, String>(LogFile { path: absolute_path(&file.path)?, ..file })
                    })
                    .transpose()?,
                // clap lets only names of levels through.
                level: self.log_level.parse().unwrap_or(tracing::Level::INFO),
                format: self.log_format,
                copies: self.access_log.unwrap_or(CopyLines::Success),
            },
            monitor_interval: self.monitor_interval,
            runtime: (!self.runtime.is_zero()).then_some(self.runtime),
            grace: self.grace,
        };
        Ok((config, process, notes))
    }

    fn listen(&self) -> Result<Vec<ListenAddress>, String> {
        let mut listen = Vec::new();
        for address in &self.address {
            listen.push(match address.strip_prefix("unix:") {
                Some("") => return Err("--address: the path after `unix:` is missing".to_owned()),
                Some(path) => ListenAddress::unix(absolute_path(&PathBuf::from(path))?)
                    .map_err(|error| format!("--address: {error}"))?,
                None => {
                    let host = address
                        .strip_prefix('[')
                        .and_then(|rest| rest.strip_suffix(']'))
                        .unwrap_or(address);
                    if host.is_empty() {
                        return Err("--address: the address is empty".to_owned());
                    }
                    ListenAddress::Tcp(host.to_owned(), self.port)
                }
            });
        }
        Ok(listen)
    }

    fn admin(&self) -> Result<AdminConfig, String> {
        let mut listen = Vec::new();
        for address in &self.admin {
            listen.push(match &address.0 {
                ListenAddress::Unix(path) => ListenAddress::Unix(absolute_path(path)?),
                tcp @ ListenAddress::Tcp(..) => tcp.clone(),
            });
        }
        let admin = AdminConfig { listen, ..AdminConfig::default() };
        admin::check_access(&admin).map_err(|error| format!("--admin: {error}"))?;
        Ok(admin)
    }

    fn local_end(&self) -> LocalEnd {
        let mut local = LocalEnd { ports: self.mirror_local_port.clone(), ..LocalEnd::default() };
        if let Some(text) = &self.mirror_interface {
            // libcurl, which the C program hands this to, knows these prefixes.
            let host = text.strip_prefix("host!").unwrap_or(text);
            match host.parse::<IpAddr>() {
                Ok(address) => local.address = Some(address),
                Err(_) => {
                    let name = text.strip_prefix("if!").unwrap_or(text);
                    local.interface = Some(name.to_owned());
                }
            }
        }
        local
    }

    /// Notes about flags that do nothing here.
    fn without_effect(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.libev_backend.is_some() {
            notes.push("--libev-backend has no effect: the event loop is tokio's".to_owned());
        }
        if self.debug.is_some() {
            notes.push("--debug has no effect: see --log-level".to_owned());
        }
        if self.processing_delay.is_some_and(|delay| !delay.is_zero()) {
            notes.push("--processing-delay has no effect: an ACK is never delayed".to_owned());
        }
        if self.capability.iter().any(|name| name.eq_ignore_ascii_case("async")) {
            notes.push("--capability async has no effect: it is never announced".to_owned());
        }
        notes
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = self.without_effect();
        if self.daemonize && self.logfile.is_none() {
            notes.push("--daemonize without --logfile: the log goes nowhere".to_owned());
        }
        if self.mirror_insecure {
            notes.push(
                "--mirror-insecure: the mirror's certificate is NOT verified; whoever can answer \
                 in its place reads the copies, with all their cookies and credentials"
                    .to_owned(),
            );
        }
        if self.mirror_url.is_empty() {
            notes.push(
                "without --mirror-url requests are acknowledged and nothing is copied".to_owned(),
            );
        }
        notes
    }
}

fn within(flag: &str, lowest: &str, value: Duration, highest: &str) -> Result<(), String> {
    if parse_time(lowest)? <= value && value <= parse_time(highest)? {
        return Ok(());
    }
    Err(format!("{flag}: {value:?} is outside the allowed range, {lowest} to {highest}"))
}

/// Host and port, with a number where that is taken already.
fn target_name(url: &MirrorUrl, taken: &[TargetConfig]) -> String {
    let origin = url.origin();
    let name = origin.split_once("://").map_or(origin.as_str(), |(_, authority)| authority);
    let twins = taken
        .iter()
        .filter(|target| target.name == name || target.name.starts_with(&format!("{name}#")))
        .count();
    if twins == 0 { name.to_owned() } else { format!("{name}#{}", twins + 1) }
}

/// A daemon leaves the directory it was started in.
fn absolute(path: Option<PathBuf>) -> Result<Option<PathBuf>, String> {
    path.map(|path| absolute_path(&path)).transpose()
}

fn absolute_path(path: &std::path::Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(line: &str) -> Result<Config, String> {
        let words = std::iter::once("spoa-mirror").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        cli.agent.into_config().map(|(config, _, _)| config)
    }

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_c_programs_command_lines_are_understood() {
        let long = "--address 127.0.0.1 --libev-backend EPOLL --connection-backlog 10 \
                    --capability fragmentation --capability pipelining --capability async \
                    --debug 7 --pidfile p --monitor-interval 5s --logfile W:log \
                    --max-frame-size 16384 --num-workers 10 --port 12345 --runtime 1h \
                    --processing-delay 0 --mirror-url http://127.0.0.1:8100 \
                    --mirror-interface lo --mirror-local-port 4000-5000 --access-log ALL";
        let config_long = config(long).unwrap();
        let short = "-a 127.0.0.1 -B EPOLL -b 10 -c fragmentation -c pipelining -c async -d 7 -F p \
                     -i 5s -l W:log -m 16384 -n 10 -p 12345 -r 1h -t 0 -u http://127.0.0.1:8100 \
                     -I lo -P 4000-5000 -L ALL";
        let config_short = config(short).unwrap();
        assert_eq!(format!("{config_long:?}"), format!("{config_short:?}"));
        assert_eq!(config_long.runtime, Some(Duration::from_secs(3600)));
        assert_eq!(config_long.targets[0].local.interface.as_deref(), Some("lo"));
        // Glued values, as in the C program's own documentation.
        assert!(config("-r0 -uhttp://localhost:8100/").is_ok());
    }

    #[test]
    fn wrong_values_name_the_flag_and_what_is_allowed() {
        for (line, parts) in [
            ("-p 0", &["--port", "1..=65535"][..]),
            ("-n 0", &["--num-workers", "1..=1000"]),
            ("-i 10ms", &["--monitor-interval", "1s to 1h"]),
            ("-t 2s", &["--processing-delay", "0 to 1s"]),
            ("-m 255", &["--max-frame-size", "256 to 16M"]),
            ("-r 5y", &["--runtime", "us, ms, s, m, h, d"]),
            ("-c gzip", &["--capability", "fragmentation, pipelining, async"]),
            ("-u ftp://x", &["--mirror-url", "neither http nor https"]),
            ("-P 9-1", &["--mirror-local-port", "FIRST-LAST"]),
            ("-l x:y", &["--logfile", "one of a, w, A, W"]),
            ("-a unix:", &["--address", "missing"]),
            ("--ack-unset-var txn/x", &["--ack-unset-var", "letters"]),
            ("--admin 0.0.0.0:9600", &["--admin", "admin.token", "127.0.0.1"]),
            ("--admin 127.0.0.1", &["--admin", "HOST:PORT"]),
            ("--admin unix:", &["--admin", "path"]),
            ("--marker-header host", &["--marker-header", "meaning of its own"]),
            ("--marker-header none --truncated-body send", &["--truncated-body", "marked"]),
            ("--marker-header none --truncated-body headers-only", &["--truncated-body", "marked"]),
            ("--mirror-ca x --mirror-insecure", &["--mirror-insecure"]),
        ] {
            let error = config(line).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{line}: {error}");
            }
        }
    }

    #[test]
    fn targets_with_the_same_name_are_numbered() {
        let config = config("-u http://a:1/x -u http://a:1/y -u http://b").unwrap();
        let names: Vec<_> = config.targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names, ["a:1", "a:1#2", "b"]);
    }
}
