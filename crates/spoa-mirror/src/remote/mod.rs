//! `spoa-mirror status`, `pause`, `resume`, `reload`, `verdict`, `begin`: what a person or a pipeline asks of
//! a running agent, over its admin API.

mod client;
mod table;
mod verdict;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http::Method;

use crate::admin::view::StatusView;
pub(crate) use client::{Client, Place};
pub use verdict::{VerdictArgs, verdict};
pub(crate) use verdict::{text as verdict_text, word as verdict_word};

const STATUS_EXAMPLES: &str = "\
Examples:
  spoa-mirror status
          the agent at 127.0.0.1:9600 (started with `--admin 127.0.0.1:9600`)
  spoa-mirror status --watch
          the same every two seconds, with rates; Ctrl-C ends it
  spoa-mirror status --admin unix:/run/spoa-mirror/admin.sock --json
          every counter, for a program
  spoa-mirror status --admin https://agent1.example.net:9600 --ca ca.pem --token-file token

Exit codes: 0 shown, 1 the agent cannot be reached or refuses, 64 wrong command line.";

const PAUSE_EXAMPLES: &str = "\
Examples:
  spoa-mirror pause staging
          requests for the target `staging` are counted, and no longer copied
  spoa-mirror pause
          the same for all targets

It holds until the agent is restarted or told to resume, over reloads too.
Exit codes: 0 done, 1 the agent cannot be reached or refuses, 64 wrong command line.";

const RESUME_EXAMPLES: &str = "\
Examples:
  spoa-mirror resume staging
          requests for the target `staging` are copied again
  spoa-mirror resume
          the same for all targets

Exit codes: 0 done, 1 the agent cannot be reached or refuses, 64 wrong command line.";

const RELOAD_EXAMPLES: &str = "\
Examples:
  spoa-mirror check --config /etc/spoa-mirror/spoa-mirror.toml && spoa-mirror reload
          the agent at the address in that file changes over to it
  spoa-mirror reload --admin unix:/run/spoa-mirror/admin.sock

All of the file takes effect, or, where it has a mistake, nothing. Connections from HAProxy and copies
under way survive. `kill -HUP` does the same.
Exit codes: 0 done, 1 the file is wrong, or the agent cannot be reached or refuses, 64 wrong command line.";

const BEGIN_EXAMPLES: &str = "\
Examples:
  spoa-mirror begin 2.4.0-rc2
          what was counted is forgotten, and what is counted from now on is 2.4.0-rc2's
  spoa-mirror begin 2.4.0-rc2 --target staging
          the same for one target
  spoa-mirror begin \"$CI_COMMIT_SHORT_SHA\" && spoa-mirror verdict --wait 30m
          in a pipeline, after the new version was started

Exit codes: 0 done, 1 the agent cannot be reached or refuses, 64 wrong command line.";

/// The configuration file of the Debian package, whose admin API is asked when no other is named.
const USUAL_FILE: &str = "/etc/spoa-mirror/spoa-mirror.toml";

/// Which agent, and how it is asked.
#[derive(Debug, Clone, Args)]
struct Remote {
    /// The agent's admin API: HOST:PORT, unix:PATH or https://HOST:PORT [default: what
    /// /etc/spoa-mirror/spoa-mirror.toml says, or 127.0.0.1:9600]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<Place>,
    /// The file that holds the token, where the agent wants one
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Trust the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// What to show of an agent.
#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct StatusArgs {
    #[command(flatten)]
    remote: Remote,
    /// Print JSON; with --watch an object a line
    #[arg(long)]
    json: bool,
    /// Show it again and again, every two seconds or so many, with rates
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    watch: Option<u32>,
}

/// Which target to pause.
#[derive(Debug, Args)]
#[command(after_help = PAUSE_EXAMPLES)]
pub struct PauseArgs {
    #[command(flatten)]
    remote: Remote,
    /// The target; all of them without it
    target: Option<String>,
}

/// Which target to resume.
#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub struct ResumeArgs {
    #[command(flatten)]
    remote: Remote,
    /// The target; all of them without it
    target: Option<String>,
}

/// The run to begin.
#[derive(Debug, Args)]
#[command(after_help = BEGIN_EXAMPLES)]
pub struct BeginArgs {
    #[command(flatten)]
    remote: Remote,
    /// What to call the run: the version under test
    #[arg(value_name = "NAME")]
    name: String,
    /// The target; all with `compare = true` without it
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

/// Which agent to have its configuration file read again.
#[derive(Debug, Args)]
#[command(after_help = RELOAD_EXAMPLES)]
pub struct ReloadArgs {
    #[command(flatten)]
    remote: Remote,
}

/// Shows how an agent stands.
#[must_use]
pub fn status(arguments: StatusArgs) -> ExitCode {
    let StatusArgs { remote, json, watch } = arguments;
    run(async move {
        let client = remote.client()?;
        let Some(seconds) = watch else {
            let body = client.ask(Method::GET, "/api/v1/status").await?;
            let shown = if json {
                String::from_utf8_lossy(&body).into_owned()
            } else {
                table::table(&read(&body)?, None, styled())
            };
            return print(&shown).map(|_| ());
        };
        watch_status(&client, json, Duration::from_secs(seconds.into())).await
    })
}

/// Pauses a target or all.
#[must_use]
pub fn pause(arguments: PauseArgs) -> ExitCode {
    run(set_paused(arguments.remote, arguments.target, "pause"))
}

/// Resumes a target or all.
#[must_use]
pub fn resume(arguments: ResumeArgs) -> ExitCode {
    run(set_paused(arguments.remote, arguments.target, "resume"))
}

/// Begins a run: counts start from zero.
#[must_use]
pub fn begin(arguments: BeginArgs) -> ExitCode {
    let BeginArgs { remote, name, target } = arguments;
    run(async move {
        let mut wanted = serde_json::json!({ "name": name });
        if let Some(target) = &target {
            wanted["target"] = target.as_str().into();
        }
        remote.client()?.post("/api/v1/comparison/runs", &wanted).await?;
        let of =
            target.map_or_else(|| "all targets".to_owned(), |target| format!("target {target}"));
        print(&format!("run {name} has begun: nothing is counted yet for {of}\n")).map(|_| ())
    })
}

/// Has an agent read its configuration file again.
#[must_use]
pub fn reload(arguments: ReloadArgs) -> ExitCode {
    run(async move {
        let body = arguments.remote.client()?.ask(Method::POST, "/api/v1/reload").await?;
        let answer: serde_json::Value = serde_json::from_slice(&body).map_err(unreadable)?;
        print(&reloaded(&answer)).map(|_| ())
    })
}

/// What a reload did, a line for each kind of change.
fn reloaded(answer: &serde_json::Value) -> String {
    let mut text = "reloaded\n".to_owned();
    for (key, what) in [
        ("added", "new targets"),
        ("removed", "targets gone"),
        ("changed", "targets changed"),
        ("unchanged", "targets as before"),
        ("needs_restart", "takes effect at a restart only"),
    ] {
        let names = answer[key].as_array().into_iter().flatten();
        let names: Vec<_> = names.filter_map(serde_json::Value::as_str).collect();
        if !names.is_empty() {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{what}: {}", names.join(", "));
        }
    }
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let message = warning["message"].as_str().unwrap_or_default();
        let _ = match warning["line"].as_u64() {
            Some(line) => writeln!(text, "warning: line {line}: {message}"),
            None => writeln!(text, "warning: {message}"),
        };
    }
    text
}

impl Remote {
    fn client(self) -> Result<Client, String> {
        let usual = || Place::from_file(Path::new(USUAL_FILE)).unwrap_or_default();
        let place = self.admin.unwrap_or_else(usual);
        Client::new(place, self.token_file.as_deref(), self.ca)
    }
}

async fn set_paused(remote: Remote, target: Option<String>, verb: &str) -> Result<(), String> {
    let path = match &target {
        Some(name) => format!("/api/v1/targets/{}/{verb}", encoded(name)),
        None => format!("/api/v1/{verb}"),
    };
    let body = remote.client()?.ask(Method::POST, &path).await?;
    let answer: serde_json::Value = serde_json::from_slice(&body).map_err(unreadable)?;
    let mut text = String::new();
    for target in answer["targets"].as_array().into_iter().flatten() {
        let name = target["name"].as_str().unwrap_or_default();
        let paused = target["settings"]["paused"].as_bool().unwrap_or_default();
        let state = if paused { "is paused" } else { "copies" };
        let _ = writeln!(text, "{name} {state}");
    }
    if text.is_empty() {
        text.push_str("there are no targets\n");
    } else {
        text.push_str("This holds until the agent is restarted, over reloads too.\n");
    }
    print(&text).map(|_| ())
}

async fn watch_status(client: &Client, json: bool, every: Duration) -> Result<(), String> {
    let clear = if !json && io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before: Option<StatusView> = None;
    let mut reached = false;
    loop {
        ticks.tick().await;
        let asked = client.ask(Method::GET, "/api/v1/status").await;
        let shown = match asked.map_err(String::from).and_then(|body| Ok((read(&body)?, body))) {
            Ok((now, body)) => {
                reached = true;
                let shown = if json {
                    let value: serde_json::Value =
                        serde_json::from_slice(&body).map_err(unreadable)?;
                    format!("{value}\n")
                } else {
                    format!("{clear}{}", table::table(&now, before.as_ref(), styled()))
                };
                before = Some(now);
                shown
            }
            // An agent that was there may come back.
            Err(message) if reached && !json => format!("{clear}{message}\n"),
            Err(message) => return Err(message),
        };
        if !print(&shown)? {
            return Ok(());
        }
    }
}

fn run(work: impl Future<Output = Result<(), String>>) -> ExitCode {
    match block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::from(crate::EXIT_FAILURE)
        }
    }
}

pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let done = runtime.block_on(work);
    // A look-up of a name that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    done
}

fn read(body: &[u8]) -> Result<StatusView, String> {
    serde_json::from_slice(body).map_err(unreadable)
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn unreadable(error: serde_json::Error) -> String {
    format!("the answer is not what an agent of this version says: {error}")
}

/// Prints; false when nobody reads any more.
fn print(text: &str) -> Result<bool, String> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("cannot print: {error}")),
    }
}

/// Whether colours are welcome on standard output.
pub(crate) fn styled() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A name as a part of a path or a query.
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
