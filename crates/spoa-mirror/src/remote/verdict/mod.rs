//! `spoa-mirror verdict`: may the candidates be shipped? Asked once, or until there is an answer; told to a
//! person, a program or a pipeline.

mod file;
mod junit;
mod shown;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::Method;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::client::{Client, Failure, Place};
use super::{Remote, block_on, encoded, print, styled, unreadable};
use crate::admin::comparison::view::{AnswerView, VerdictView, VerdictsView};
use crate::config::parse_time;
use crate::legible::legible;
use shown::Samples;

const EXAMPLES: &str = "\
Examples:
  spoa-mirror verdict
          what the agent at 127.0.0.1:9600 says now
  spoa-mirror begin 2.4.0-rc2 && spoa-mirror verdict --run 2.4.0-rc2 --wait 30m
          a run for a new version, and its verdict as soon as there is one
  spoa-mirror verdict --wait 30m --junit verdict.xml
          the same as a report that GitLab, Jenkins and GitHub's actions show
  spoa-mirror verdict --target staging --json
          all reasons, gaps and samples of one target, for a program

While it waits, an agent that is restarted may be silent for a minute. In a JUnit report each
reason is a failure, and a verdict that is missing is an error: neither is a success.

Exit codes: 0 pass, 1 fail, 2 not enough data, 3 the agent cannot be reached, refuses, compares
nothing or judges another run, 64 wrong command line.";

/// Exit code: there is a reason to fail.
const EXIT_FAIL: u8 = 1;
/// Exit code: too little was compared.
const EXIT_NOT_ENOUGH_DATA: u8 = 2;
/// Exit code: there is no verdict.
const EXIT_NO_VERDICT: u8 = 3;

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(2);

/// An agent that is silent for longer is not just being restarted.
const SILENCE: Duration = Duration::from_secs(60);

/// Time for the first answer, however short the wait.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// Whose verdict, and how to tell it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerdictArgs {
    #[command(flatten)]
    remote: Remote,
    /// The target; all with `compare = true` without it
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Take no other run's verdict: exit code 3 if another was begun meanwhile
    #[arg(long, value_name = "NAME")]
    run: Option<String>,
    /// Ask every two seconds until the answer is pass or fail, at most this long
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_wait)]
    wait: Duration,
    /// Print the agent's JSON
    #[arg(long)]
    json: bool,
    /// Write a JUnit report to FILE, or to standard output if it is `-`
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    junit: Option<PathBuf>,
}

/// Tells the verdict; so does the exit code.
#[must_use]
pub fn verdict(arguments: VerdictArgs) -> ExitCode {
    let code = match block_on(tell(arguments)) {
        Ok(AnswerView::Pass) => return ExitCode::SUCCESS,
        Ok(AnswerView::Fail) => EXIT_FAIL,
        Ok(AnswerView::NotEnoughData) => EXIT_NOT_ENOUGH_DATA,
        Err(message) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            EXIT_NO_VERDICT
        }
    };
    ExitCode::from(code)
}

/// A verdict as it is told to a person.
pub(crate) fn text(view: &VerdictsView, place: &Place) -> String {
    shown::text(view, &Samples::at(place), styled())
}

/// An answer in words.
pub(crate) fn word(answer: AnswerView) -> &'static str {
    shown::words(answer)
}

async fn tell(arguments: VerdictArgs) -> Result<AnswerView, String> {
    let VerdictArgs { remote, target, run, wait, json, junit } = arguments;
    let asked = async {
        let client = remote.client()?;
        let samples = Samples::at(client.place());
        let question = Question { client, target, run };
        Ok::<_, String>((question.until_answered(wait).await?, samples))
    };
    let asked = asked.await;
    if let Some(path) = &junit {
        let report = match &asked {
            Ok(((view, _), samples)) => junit::report(view, samples),
            Err(message) => junit::no_verdict(message),
        };
        if path == Path::new("-") {
            print(&report)?;
        } else {
            file::replace(path, &report)?;
        }
    }
    let ((view, body), samples) = asked?;
    if json {
        let text = String::from_utf8_lossy(&body);
        print(&format!("{}\n", text.trim_end()))?;
    } else if junit.is_none_or(|path| path != Path::new("-")) {
        print(&shown::text(&view, &samples, styled()))?;
    }
    Ok(view.answer)
}

/// What is asked again and again.
struct Question {
    client: Client,
    target: Option<String>,
    run: Option<String>,
}

impl Question {
    /// Asks until the answer is pass or fail, or the time is over.
    async fn until_answered(&self, wait: Duration) -> Result<(VerdictsView, Bytes), Failure> {
        let start = Instant::now();
        let end = start + wait;
        let mut progress = Progress::default();
        let mut heard = start;
        loop {
            let patience = end.max(start + FIRST_ANSWER);
            let asked = timeout_at(patience, self.ask()).await.unwrap_or_else(|_| {
                let place = self.client.place();
                Err(Failure::Silent(format!("{place} does not answer in the time of --wait")))
            });
            let now = Instant::now();
            match asked {
                Ok((view, body)) if view.answer != AnswerView::NotEnoughData || now >= end => {
                    return Ok((view, body));
                }
                Ok((view, _)) => {
                    heard = now;
                    progress.show(&waiting_for(&view, end - now));
                }
                Err(Failure::Silent(why)) if now < end && now < heard + SILENCE => {
                    progress.show(&why);
                }
                Err(failure) => return Err(failure),
            }
            sleep_until(end.min(now + PAUSE)).await;
        }
    }

    async fn ask(&self) -> Result<(VerdictsView, Bytes), Failure> {
        let mut path = "/api/v1/verdict".to_owned();
        if let Some(target) = &self.target {
            path.push_str("?target=");
            path.push_str(&encoded(target));
        }
        let body = self.client.ask(Method::GET, &path).await?;
        let view: VerdictsView =
            serde_json::from_slice(&body).map_err(|error| Failure::Refused(unreadable(error)))?;
        if view.targets.is_empty() {
            return Err(Failure::Refused(format!(
                "the agent at {} compares nothing: no target has `compare = true`",
                self.client.place()
            )));
        }
        if let Some(run) = &self.run {
            if let Some(other) = view.targets.iter().find(|target| target.run != *run) {
                return Err(Failure::Refused(format!(
                    "the run at target {} is `{}`, not `{run}`: another was begun, or the agent \
                     was restarted without a history",
                    other.target, other.run
                )));
            }
        }
        Ok((view, body))
    }
}

/// What is missing, in a short line.
fn waiting_for(view: &VerdictsView, left: Duration) -> String {
    let missing = |target: &&VerdictView| target.answer == AnswerView::NotEnoughData;
    let mut text = "not enough data".to_owned();
    for target in view.targets.iter().filter(missing) {
        // Writing to a String does not fail.
        let _ = write!(text, ", {}: {} requests", target.target, target.counted);
    }
    let seconds = left.as_secs();
    let _ = write!(text, "; {} min {} s left", seconds / 60, seconds % 60);
    text
}

/// A line on a terminal that is written over and over, and gone in the end.
#[derive(Default)]
struct Progress {
    shown: bool,
}

impl Progress {
    fn show(&mut self, text: &str) {
        const WIDTH: usize = 79;
        let mut terminal = io::stderr();
        if !terminal.is_terminal() {
            return;
        }
        let line: String = legible(text, &[]).chars().take(WIDTH).collect();
        // A line that cannot be written is missed by nobody.
        let _ = write!(terminal, "\r\x1b[K{line}");
        let _ = terminal.flush();
        self.shown = true;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    if time > Duration::from_secs(7 * 86_400) {
        return Err("the longest wait is 7d".to_owned());
    }
    Ok(time)
}
