//! `spoa-mirror doctor`: whether HAProxy's files do what their author means them to do for mirroring.
//!
//! [`reading`] reads the files, [`setup`] makes sense of them, [`rules`] look for what is wrong, which are
//! [`finding`]s, of which [`patch`] makes a patch. [`live`] asks what runs. [`shown`] tells what was found,
//! [`explain`] what it means.

#[cfg(test)]
mod any_files;
pub(crate) mod assumed;
mod explain;
mod expression;
mod fetches;
pub(crate) mod finding;
mod live;
mod mending;
mod overview;
pub(crate) mod patch;
pub(crate) mod reading;
mod rules;
mod secrets;
pub(crate) mod setup;
mod shown;
pub(crate) mod versions;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use haproxy_config::Version;

use crate::config::{Config, file};
use crate::remote::styled;
use assumed::Assumed;
use finding::{Finding, Severity};
use live::{Live, LiveArgs};
use setup::Setup;
use shown::Answer;

const EXAMPLES: &str = "\
Examples:
  spoa-mirror doctor
          /etc/haproxy/haproxy.cfg and the SPOE files that it names: what is wrong, and what to write instead
  spoa-mirror doctor --haproxy haproxy.cfg --haproxy-version 3.2
          the same for a file that another machine's HAProxy will read
  spoa-mirror doctor --haproxy /etc/haproxy/conf.d --config /etc/spoa-mirror/spoa-mirror.toml
          a directory, and whether the agent's configuration fits to it
  spoa-mirror doctor --haproxy haproxy.cfg --json
          for a program; the exit code tells a pipeline whether to go on
  spoa-mirror doctor --haproxy haproxy.cfg --fix mend.patch
          a patch with what can be mended without a decision; --fix --in-place mends the files
  spoa-mirror doctor --haproxy /etc/haproxy/haproxy.cfg --socket /run/haproxy/admin.sock
          whether the running HAProxy takes the agents for alive; the rules are those for its version
  spoa-mirror doctor --agent 127.0.0.1:12345 --send --admin 127.0.0.1:9600
          whether the agent works, and what becomes of a test request at each of its targets
  spoa-mirror doctor --explain scope-missing
          what a finding means, why it matters, and what to do; `--explain list` lists all

Nothing is changed without --in-place, and nothing is mirrored without --send. Words that are
secret are shown as ***, variables by their names.

Exit codes: 0 nothing is wrong (there may be hints), 1 warnings, 2 errors, 64 wrong command line,
or a file that it names cannot be read or written.";

/// What is read where nothing is said.
const DEFAULT: &str = "/etc/haproxy/haproxy.cfg";

/// What to look at, and how the answer looks.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// HAProxy's file, or a directory of them, as for its `-f`; may be given again [default:
    /// /etc/haproxy/haproxy.cfg; with --socket or --agent no file]
    #[arg(long, value_name = "FILE|DIR")]
    haproxy: Vec<PathBuf>,
    /// The version of HAProxy that reads them [default: what the one of this machine says, for its own
    /// file; else any]
    #[arg(long, value_name = "VERSION", value_parser = assumed::parse)]
    haproxy_version: Option<Version>,
    /// Ask this executable for the version
    #[arg(long, value_name = "FILE", conflicts_with = "haproxy_version")]
    haproxy_binary: Option<PathBuf>,
    /// The agent's configuration file, to look whether it fits
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The engine that mirrors, where names do not tell
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// Print JSON (docs/DOCTOR.md)
    #[arg(long)]
    json: bool,
    /// Write a patch with what can be mended by a machine, or print it; what is found then goes to standard
    /// error
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    fix: Option<Option<PathBuf>>,
    /// Put what is mended in the place of HAProxy's files, which are kept beside it
    #[arg(long, requires = "fix")]
    in_place: bool,
    /// Mend what hints are about, too, not only errors and warnings
    #[arg(long, requires = "fix")]
    hints: bool,
    /// Tell what a finding means, or `list` all that there are
    #[arg(long, value_name = "CODE|list", exclusive = true)]
    explain: Option<String>,
    // Last: its heading is that of all that follows.
    #[command(flatten)]
    live: LiveArgs,
}

/// Everything that is printed, and the exit code.
struct Told {
    output: Vec<u8>,
    errors: String,
    code: u8,
}

/// Runs the subcommand; gives its exit code.
#[must_use]
pub(crate) fn main(arguments: &DoctorArgs) -> ExitCode {
    let told = match &arguments.explain {
        Some(code) => explain::page(code, styled()).map(Told::page),
        None => examine(arguments),
    };
    match told {
        Ok(told) => {
            // A reader that closed the pipe has seen enough.
            let _ = io::stdout().write_all(&told.output);
            let _ = io::stderr().write_all(told.errors.as_bytes());
            ExitCode::from(told.code)
        }
        Err(message) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::from(crate::EXIT_USAGE)
        }
    }
}

impl Told {
    fn page(text: String) -> Self {
        Self { output: text.into_bytes(), errors: String::new(), code: 0 }
    }
}

fn examine(arguments: &DoctorArgs) -> Result<Told, String> {
    let live = Live::begin(arguments.live.clone());
    let assumed = assumed(arguments, &live)?;
    let paths = paths(arguments);
    let files = reading::read(&paths, assumed.version.0).map_err(|unreadable| {
        let path = unreadable.path.display();
        let hint = match arguments.haproxy.is_empty() {
            true => "; name HAProxy's file with --haproxy",
            false => "",
        };
        format!("{path} cannot be read: {}{hint}", unreadable.error)
    })?;
    let agent = arguments.config.as_deref().map(agent).transpose()?;
    let agent = agent.as_ref().map(|(path, config)| (*path, config));
    let setup = Setup::new(&files, assumed.version, agent, arguments.engine.as_deref());
    let has_files = !paths.is_empty();
    let mut findings = if has_files { rules::examine(&setup) } else { Vec::new() };
    let seen = live.examine(has_files.then_some(&setup), &mut findings);
    // Stable: what files show stays before what runs.
    findings.sort_by_key(|finding| finding.severity);
    let code = exit_code(&findings);
    let told: Vec<Finding> =
        findings.iter().map(|finding| shown::covered(&files, finding)).collect();
    let answer =
        Answer { files: &files, assumed: &assumed, findings: &told, setup: &setup, seen: &seen };
    let Some(into) = &arguments.fix else {
        return Ok(Told {
            output: arguments.shown(&answer, styled()),
            errors: String::new(),
            code,
        });
    };
    let is_printed = into.is_none() && !arguments.in_place;
    if is_printed && arguments.json {
        return Err("--json and a patch cannot both be printed; give --fix a FILE".to_owned());
    }
    let wanted: Vec<Finding> = findings
        .iter()
        .filter(|finding| arguments.hints || finding.severity != Severity::Hint)
        .cloned()
        .collect();
    let mended = mending::mend(&files, &wanted, into.as_deref(), arguments.in_place)?;
    Ok(match is_printed {
        true => {
            let shown = arguments.shown(&answer, false);
            let errors = format!("{}{}", String::from_utf8_lossy(&shown), mended.said);
            Told { output: mended.patch, errors, code }
        }
        false => Told { output: arguments.shown(&answer, styled()), errors: mended.said, code },
    })
}

impl DoctorArgs {
    fn shown(&self, answer: &Answer<'_>, styled: bool) -> Vec<u8> {
        let text = match self.json {
            true => format!("{:#}\n", answer.json()),
            false => answer.text(styled),
        };
        text.into_bytes()
    }
}

/// Who asks only about what runs gets no findings about a file that was not named.
fn paths(arguments: &DoctorArgs) -> Vec<PathBuf> {
    let only_live = arguments.live.is_any() && arguments.fix.is_none();
    match arguments.haproxy.is_empty() && !only_live {
        true => vec![PathBuf::from(DEFAULT)],
        false => arguments.haproxy.clone(),
    }
}

/// The HAProxy of this machine is asked only about its own file: another file is likely for another HAProxy.
fn assumed(arguments: &DoctorArgs, live: &Live) -> Result<Assumed, String> {
    if let Some(version) = arguments.haproxy_version {
        return Ok(Assumed::told(version));
    }
    if let Some(binary) = &arguments.haproxy_binary {
        return Assumed::asked(binary);
    }
    if let Some(assumed) = live.assumed() {
        return Ok(assumed);
    }
    let its_own = paths(arguments).iter().any(|path| path == Path::new(DEFAULT));
    Ok(if its_own { Assumed::installed() } else { Assumed::default() })
}

fn agent(path: &Path) -> Result<(&Path, Config), String> {
    let report = match file::load(path) {
        Ok((config, _)) => return Ok((path, config)),
        Err(report) => report,
    };
    let lines = report.lines();
    let errors = report.findings().iter().zip(lines);
    let mut errors = errors.filter(|(finding, _)| finding.severity == file::Severity::Error);
    let first = errors.next().map_or_else(|| report.summary(), |(_, line)| line);
    let path = path.display();
    Err(format!("{first}\n`spoa-mirror check --config {path}` tells all that is wrong with it"))
}

fn exit_code(findings: &[Finding]) -> u8 {
    match findings.iter().map(|finding| finding.severity).min() {
        Some(Severity::Error) => 2,
        Some(Severity::Warning) => 1,
        Some(Severity::Hint) | None => 0,
    }
}
