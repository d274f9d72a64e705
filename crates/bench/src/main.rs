//! Measures what mirroring costs: real HAProxy, nginx as production and target, and between them our
//! agent, an agent that only acknowledges, none at all, nginx's own mirror, and any other agent.
//!
//! Repetitions are interleaved, so that all contenders share the machine's moods; what counts are
//! ratios within one repetition. `scripts/bench.sh` installs what this needs and runs it.
#![allow(
    clippy::unwrap_used,
    reason = "a tool for the checkout: a broken assumption must stop it where it breaks"
)]

mod case;
mod contender;
mod front;
mod load;
mod machine;
mod nginx;
mod process;
mod report;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use testbed::haproxy::Version;

use case::Case;
use contender::Contender;
use report::Report;

/// Measures our agent beside its floor and its rivals, with real HAProxy and nginx.
#[derive(Parser)]
struct Arguments {
    /// The agent to measure
    #[arg(long, value_name = "FILE")]
    agent: PathBuf,
    /// Versions of HAProxy
    #[arg(long, value_delimiter = ',', default_value = "2.6,3.4")]
    haproxy: Vec<String>,
    /// Only these cases; `list` shows them all
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    case: Vec<String>,
    /// How often everything is measured
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// How long each measurement takes
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Another agent to measure: a command in which {port} and {url} are replaced
    #[arg(long, value_name = "COMMAND")]
    peer: Vec<String>,
    /// Leave nginx's mirror out
    #[arg(long)]
    no_nginx: bool,
    /// Where results.json and results.md are written
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    output: PathBuf,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    let all = case::all();
    if arguments.case.iter().any(|name| name == "list") {
        for case in &all {
            println!("{:<16} {}", case.name, case.about);
        }
        return Ok(());
    }
    let cases = chosen(&all, &arguments.case)?;
    let versions = versions(&arguments.haproxy)?;
    let contenders = contenders(arguments);
    let mut report = Report::new(machine::facts(&arguments.agent, &versions), arguments.seconds);
    for version in versions {
        for case in &cases {
            for repetition in 1..=arguments.repetitions {
                for contender in contenders.iter().filter(|contender| contender.takes(case)) {
                    let measured = run::run(version, case, contender, arguments.seconds)?;
                    println!(
                        "{version} {} {repetition}/{} {}: {measured}",
                        case.name, arguments.repetitions, contender.name
                    );
                    report.add(version, case, contender, measured);
                }
            }
        }
    }
    report.write(&arguments.output).map_err(|error| {
        format!("cannot write the results to {}: {error}", arguments.output.display())
    })?;
    print!("{}", report.markdown());
    Ok(())
}

fn chosen<'a>(all: &'a [Case], names: &[String]) -> Result<Vec<&'a Case>, String> {
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    let find = |name: &String| {
        let found = all.iter().find(|case| case.name == *name);
        found.ok_or_else(|| format!("there is no case {name}; `--case list` shows them"))
    };
    names.iter().map(find).collect()
}

fn versions(names: &[String]) -> Result<Vec<Version>, String> {
    let find = |name: &String| {
        let found = Version::ALL.into_iter().find(|version| version.name() == name);
        found.ok_or_else(|| format!("HAProxy {name} is none of 2.6, 3.0, 3.2, 3.4"))
    };
    names.iter().map(find).collect()
}

fn contenders(arguments: &Arguments) -> Vec<Contender> {
    let mut contenders =
        vec![Contender::none(), Contender::acknowledging(), Contender::ours(&arguments.agent)];
    if !arguments.no_nginx {
        contenders.push(Contender::nginx_mirror());
    }
    contenders.extend(arguments.peer.iter().map(|command| Contender::peer(command)));
    contenders
}
