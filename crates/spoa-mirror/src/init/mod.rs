//! `spoa-mirror init`: writes HAProxy's and the agent's files for mirroring, right for the HAProxy at hand.
//!
//! [`plan`] is what the command line asks for, checked. [`files`] writes it down, by the templates in
//! `templates/init/`; [`patch`] puts HAProxy's part into a haproxy.cfg that is there. [`steps`] tells what to
//! do next. Nothing but the output directory is changed.

mod answer;
mod files;
mod output;
mod patch;
mod plan;
mod quote;
mod steps;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::admin::AdminAddress;
use crate::config::{parse_size, parse_time};
use crate::doctor::assumed;
use crate::doctor::setup::Known;
use answer::Answer;
use plan::{Agent, Plan, Share};

const EXAMPLES: &str = "\
Examples:
  spoa-mirror init --target http://staging.example.net:8080
          copies of 10 % of all requests: parts for haproxy.cfg, mirror.conf, the agent's configuration
  spoa-mirror init --target http://candidate:8080 --compare --haproxy /etc/haproxy/haproxy.cfg
          production's answers beside the candidate's; HAProxy's file as it would be, and what changes in it
  spoa-mirror init --target http://staging:8080 --agent 10.0.0.5:12345 --agent 10.0.0.6:12345
          two agents on machines of their own; HAProxy does without the one that is gone
  spoa-mirror init --target http://staging:8080 --haproxy-version 3.2 --percent 0.5 --max-body 200k
          for the HAProxy of another machine; half a percent; bodies up to 200 kB

Files are written to the output directory only; what to do with them is told at the end.

Exit codes: 0 written, 1 cannot be written or HAProxy's file cannot be used, 64 wrong command line.";

/// What is to be mirrored, by which agents, for which HAProxy.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// Where copies go: http:// or https://, a host, perhaps a path; may be given again
    // A text: an error of clap's would show what it holds, which may be a password.
    #[arg(long, value_name = "URL", required = true)]
    target: Vec<String>,
    /// Hold the targets' answers against production's
    #[arg(long)]
    compare: bool,
    /// Where HAProxy reaches an agent; may be given again, for several agents
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:12345")]
    agent: Vec<Agent>,
    /// Where each agent serves status, metrics and dashboard: HOST:PORT of its own machine, or unix:PATH
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9600")]
    admin: AdminAddress,
    /// The share of requests to begin with, in percent
    #[arg(long, value_name = "PERCENT", default_value = "10")]
    percent: Share,
    /// Bodies up to this size, 1M at most, are copied [default: 48k, with --compare 24k: what fits into buffers of 64k]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_body: Option<u64>,
    /// What an agent that hangs may cost a client
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = parse_time)]
    timeout: Duration,

    /// Write this haproxy.cfg anew, with what mirroring needs; without it, parts are written for pasting
    #[arg(long, value_name = "FILE", help_heading = "HAProxy")]
    haproxy: Option<PathBuf>,
    /// The frontend whose requests are copied, where there are several
    #[arg(long, value_name = "NAME", requires = "haproxy", help_heading = "HAProxy")]
    frontend: Option<String>,
    /// The version that reads the files, or `any`: they then suit all from 2.6 on [default: that of the
    /// HAProxy on this machine; any, if there is none]
    #[arg(long, value_name = "VERSION|any", value_parser = version, help_heading = "HAProxy")]
    haproxy_version: Option<Known>,
    /// Ask this executable for the version
    #[arg(long, value_name = "FILE", conflicts_with = "haproxy_version", help_heading = "HAProxy")]
    haproxy_binary: Option<PathBuf>,
    /// Where mirror.conf and mirror.map will be [default: /etc/haproxy, or where --haproxy is]
    #[arg(long, value_name = "DIR", help_heading = "HAProxy")]
    haproxy_dir: Option<PathBuf>,

    /// Write the files to this directory, which is made if it is missing
    #[arg(
        long,
        short,
        value_name = "DIR",
        default_value = "./spoa-mirror-init",
        help_heading = "Output"
    )]
    output: PathBuf,
    /// Write over files that are there
    #[arg(long, help_heading = "Output")]
    force: bool,
    /// Print JSON: files, what changes, what to do next
    #[arg(long, help_heading = "Output")]
    json: bool,
}

fn version(text: &str) -> Result<Known, String> {
    if text == "any" {
        Ok(Known(None))
    } else {
        assumed::parse(text).map(|version| Known(Some(version)))
    }
}

/// Why there are no files.
enum Refusal {
    /// The command line is wrong.
    Usage(String),
    /// A file is in the way, or cannot be used.
    Files(String),
}

/// Runs the subcommand; gives its exit code.
#[must_use]
pub(crate) fn main(arguments: InitArgs) -> ExitCode {
    let json = arguments.json;
    match written(arguments) {
        Ok(answer) => {
            let text = if json { format!("{:#}\n", answer.json()) } else { answer.text() };
            // A reader that closed the pipe has seen enough.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            let (message, code) = match refusal {
                Refusal::Usage(message) => (message, crate::EXIT_USAGE),
                Refusal::Files(message) => (message, crate::EXIT_FAILURE),
            };
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::from(code)
        }
    }
}

fn written(arguments: InitArgs) -> Result<Answer, Refusal> {
    let (output, force) = (arguments.output.clone(), arguments.force);
    let (haproxy, frontend) = (arguments.haproxy.clone(), arguments.frontend.clone());
    let plan = Plan::of(arguments).map_err(Refusal::Usage)?;
    let mut files = files::of(&plan);
    let patched = match &haproxy {
        None => {
            files.extend(files::parts(&plan));
            None
        }
        Some(path) => {
            output::not_itself(path, &output).map_err(Refusal::Files)?;
            let patched =
                patch::patched(path, frontend.as_deref(), &plan).map_err(Refusal::Files)?;
            files.insert(0, files::whole(path, &patched));
            Some(patched)
        }
    };
    output::write(&output, &files, force).map_err(Refusal::Files)?;
    Ok(Answer { plan, output, files, haproxy, patched })
}
