//! `spoa-mirror check`: whether a configuration file is right, and what it means. Binds nothing.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::admin;
use crate::ceiling::{Ceiling, shown};
use crate::config::file::{self, Report, Severity};
use crate::config::{
    Authorization, Compare, Config, Cookies, DropWhich, HostRewrite, Match, Pattern, Share,
    TargetConfig, TruncatedBody, WithoutKey,
};
use crate::history;

const EXAMPLES: &str = "\
Examples:
  spoa-mirror check
          /etc/spoa-mirror/spoa-mirror.toml: every mistake in it, or what it means
  spoa-mirror check --config mirror.toml --json
          the same for a program

Exit codes: 0 the file can be used (there may be warnings), 1 it cannot, 64 wrong command line.";

/// Which file, and how the answer looks.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/spoa-mirror/spoa-mirror.toml")]
    config: PathBuf,
    /// Print JSON: findings, the configuration without secrets, the memory ceiling
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand; gives its exit code.
#[must_use]
pub(crate) fn main(arguments: &CheckArgs) -> ExitCode {
    let loaded = file::load(&arguments.config);
    let history = match &loaded {
        Ok((config, _)) => history::check(&config.comparison.history),
        Err(_) => Ok(()),
    };
    let written = if arguments.json {
        let answer = match (&loaded, &history) {
            (Ok((_, warnings)), Err(error)) => {
                json!({"ok": false, "findings": with(warnings, error)})
            }
            (Ok((config, warnings)), Ok(())) => json!({
                "ok": true,
                "findings": warnings.json(),
                "config": admin::shown(config),
                "memory": Ceiling::of(config).json(),
                "memory_usual": Ceiling::usual(config).json(),
            }),
            (Err(report), _) => json!({"ok": false, "findings": report.json()}),
        };
        writeln!(io::stdout(), "{answer:#}")
    } else {
        match (&loaded, &history) {
            (Ok((_, warnings)), Err(error)) => {
                tell(warnings);
                writeln!(io::stderr(), "error: {error}")
            }
            (Ok((config, warnings)), Ok(())) => {
                tell(warnings);
                io::stdout().write_all(summary(config).as_bytes())
            }
            (Err(report), _) => {
                tell(report);
                Ok(())
            }
        }
    };
    match (loaded, history, written) {
        (Ok(_), Ok(()), Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::from(crate::EXIT_FAILURE),
    }
}

/// The findings, and that the history cannot be kept.
fn with(report: &Report, error: &history::Unusable) -> serde_json::Value {
    let mut findings = report.json();
    if let Some(findings) = findings.as_array_mut() {
        findings.push(json!({
            "severity": Severity::Error.name(),
            "file": error.file.display().to_string(),
            "line": null,
            "column": null,
            "key": "comparison.history.file",
            "message": error.to_string(),
            "help": null,
        }));
    }
    findings
}

fn tell(report: &Report) {
    let mut errors = io::stderr();
    let colour = errors.is_terminal();
    if !report.is_empty() {
        let _ = errors.write_all(report.text(colour).as_bytes());
    }
}

/// What a configuration means, on a few lines for each part.
fn summary(config: &Config) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write_summary(&mut text, config);
    text
}

fn write_summary(text: &mut String, config: &Config) -> std::fmt::Result {
    let file = config.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    writeln!(text, "{file}: can be used\n")?;
    let agent = &config.agent;
    writeln!(text, "HAProxy    {}", listed(&agent.listen))?;
    let marker = match &config.marker.name {
        Some(name) if config.marker.max_hops == 1 => {
            format!("copies are marked by `{name}`, copies of copies are not made")
        }
        Some(name) => format!(
            "copies are marked by `{name}`, a request is copied {} times at most",
            config.marker.max_hops
        ),
        None => "copies are not marked".to_owned(),
    };
    let frame = shown(u64::from(agent.max_frame_size));
    writeln!(text, "           workers {}, frames up to {frame}, {marker}", agent.workers)?;
    match config.admin.listen.is_empty() {
        true => writeln!(text, "admin API  none")?,
        false => {
            let tls = if config.admin.tls.is_some() { "TLS" } else { "no TLS" };
            let token = if config.admin.token.is_some() { "with a token" } else { "no token" };
            writeln!(text, "admin API  {} ({tls}, {token})", listed(&config.admin.listen))?;
        }
    }
    let log = match &config.log.file {
        Some(file) => file.path.display().to_string(),
        None => "standard output and standard error".to_owned(),
    };
    writeln!(text, "log        {log}, level {}", config.log.level.to_string().to_lowercase())?;
    if config.targets.iter().any(|target| target.compare != Compare::No) {
        let comparison = &config.comparison;
        let history = match &comparison.history.file {
            Some(file) => file.display().to_string(),
            None => "in memory only".to_owned(),
        };
        writeln!(
            text,
            "comparison {} % of the copies, rules {}, places that may differ {}, history {history}",
            comparison.sample.as_percent(),
            comparison.rules.len(),
            comparison.thresholds.allowed.len()
        )?;
    }
    for target in &config.targets {
        write_target(text, target)?;
    }
    write_ceiling(text, config)
}

fn write_target(text: &mut String, target: &TargetConfig) -> std::fmt::Result {
    let paused = if target.paused { ", paused" } else { "" };
    writeln!(text, "\ntarget {}  {}{paused}", target.name, target.url)?;
    writeln!(text, "  gets     {}", rule(&target.matching, "every request"))?;
    if let Some(except) = &target.except {
        writeln!(text, "  but not  {}", rule(except, "any"))?;
    }
    let sample = &target.sample;
    let by = match &sample.by {
        None => "by chance".to_owned(),
        Some(key) => {
            let kind = format!("{key:?}");
            let kind = kind.split('(').next().unwrap_or_default().to_lowercase();
            let without = match sample.without_key {
                WithoutKey::Chance => "by chance",
                WithoutKey::Skip => "never",
                WithoutKey::Copy => "always",
            };
            format!("by {kind} {} (without it {without})", key.name())
        }
    };
    let times = match target.amplify {
        1 => String::new(),
        times => format!(", each {times} times"),
    };
    writeln!(text, "  sample   {} % {by}{times}", sample.share.as_percent())?;
    match target.compare {
        Compare::No => {}
        Compare::Baseline => {
            writeln!(text, "  compared with production, to measure what differs by itself")?;
        }
        Compare::Candidate if target.control == Share::NONE => {
            writeln!(text, "  compared with production")?;
        }
        Compare::Candidate => {
            let control = target.control.as_percent();
            writeln!(text, "  compared with production; {control} % of safe requests sent twice")?;
        }
    }
    let changes = changes(target);
    if !changes.is_empty() {
        writeln!(text, "  changes  {}", changes.join(", "))?;
    }
    let limits = &target.limits;
    let rate = limits.rate.map_or_else(String::new, |limit| {
        format!("{}/s (burst {}), ", limit.rate.per_second, limit.burst)
    });
    let first = match limits.drop {
        DropWhich::Newest => "newest",
        DropWhich::Oldest => "oldest",
    };
    writeln!(
        text,
        "  limits   {rate}{} under way, {} waiting ({}, {}), then the {first} is dropped",
        limits.in_flight,
        limits.queue,
        shown(limits.queue_bytes as u64),
        time(limits.max_age)
    )?;
    let body = match target.truncated_body {
        TruncatedBody::Skip => "not copied",
        TruncatedBody::Send => "sent as far as it came",
        TruncatedBody::HeadersOnly => "left out",
    };
    let longest =
        target.max_body.map_or_else(String::new, |size| format!("up to {}, ", shown(size)));
    writeln!(text, "  bodies   {longest}a truncated one is {body}")?;
    if let Some(breaker) = &target.breaker {
        let share = breaker.share.map_or_else(String::new, |share| {
            format!("{} % failures in {}, ", share.as_percent(), time(breaker.window))
        });
        let row = match breaker.failures {
            0 => String::new(),
            failures => format!("{failures} failures in a row, "),
        };
        writeln!(text, "  breaker  {row}{share}open {}", time(breaker.open))?;
    }
    writeln!(
        text,
        "  timeouts connect {}, answer {}",
        time(target.connect_timeout),
        time(target.timeout)
    )
}

fn write_ceiling(text: &mut String, config: &Config) -> std::fmt::Result {
    let (ceiling, usual) = (Ceiling::of(config), Ceiling::usual(config));
    writeln!(
        text,
        "\nmemory     at most {}, whatever is sent; {} with HAProxy 3.1 or later and its usual \
         tune.bufsize of 16384\n           (with this shell's limit of open files)",
        shown(ceiling.bytes()),
        shown(usual.bytes())
    )?;
    for (part, usual) in ceiling.parts.iter().zip(&usual.parts) {
        let (all, less) = (shown(part.bytes()), shown(usual.bytes()));
        writeln!(text, "  {all:>10} {less:>10}  {} x {}", part.count, part.what)?;
    }
    Ok(())
}

fn listed<T: ToString>(values: &[T]) -> String {
    let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn time(time: Duration) -> String {
    format!("{time:?}")
}

/// A rule as a person says it.
fn rule(rule: &Match, without: &str) -> String {
    let mut parts = Vec::new();
    let mut add = |what: String, values: Vec<String>| {
        if !values.is_empty() {
            parts.push(format!("{what} {}", values.join(" or ")));
        }
    };
    let patterns = |patterns: &[Pattern]| patterns.iter().map(ToString::to_string).collect();
    add("method".to_owned(), rule.methods.clone());
    add("path".to_owned(), patterns(&rule.path));
    add("host".to_owned(), patterns(&rule.host));
    for (kind, named) in [
        ("header", &rule.headers),
        ("parameter", &rule.query),
        ("cookie", &rule.cookies),
        ("argument", &rule.args),
    ] {
        for (name, values) in named {
            add(format!("{kind} {name}"), patterns(values));
        }
    }
    add("source".to_owned(), rule.sources.iter().map(ToString::to_string).collect());
    if parts.is_empty() { without.to_owned() } else { parts.join(", ") }
}

/// What is altered, without values: they may be secret.
fn changes(target: &TargetConfig) -> Vec<String> {
    let rewrite = &target.rewrite;
    let mut changes = Vec::new();
    match &rewrite.host {
        HostRewrite::Original => {}
        HostRewrite::Target => changes.push("host of the target".to_owned()),
        HostRewrite::Literal(host) => changes.push(format!("host {host}")),
    }
    match &rewrite.authorization {
        Authorization::Keep => {}
        Authorization::Remove => changes.push("no authorization".to_owned()),
        Authorization::Set(_) => changes.push("its own authorization".to_owned()),
    }
    match &rewrite.cookies {
        Cookies::Keep => {}
        Cookies::Remove => changes.push("no cookies".to_owned()),
        Cookies::RemoveNamed(names) => changes.push(format!("without cookies {}", names.join(" "))),
        Cookies::KeepNamed(names) => changes.push(format!("only cookies {}", names.join(" "))),
    }
    let headers = rewrite.headers_set.len()
        + rewrite.headers_add.len()
        + rewrite.headers_remove.len()
        + rewrite.headers_rename.len();
    for (what, count) in [
        ("path steps", rewrite.path.len()),
        ("query parameters", rewrite.query_set.len() + rewrite.query_remove.len()),
        ("headers", headers),
        ("JSON fields", rewrite.json_set.len() + rewrite.json_remove.len()),
        ("places hidden", target.redact.rules.len()),
    ] {
        if count > 0 {
            changes.push(format!("{what}: {count}"));
        }
    }
    changes
}
