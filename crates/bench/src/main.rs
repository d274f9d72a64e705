//! Measures what mirroring costs: real HAProxy, nginx as production and target, and between them our
//! agent, an agent that only acknowledges, none at all, nginx's own mirror, and any other agent.
//!
//! Everything is measured once before anything is measured again, so that what is compared shares the
//! machine's moods; what counts are ratios within one round. `scripts/bench.sh` installs what this needs
//! and runs it.
#![allow(
    clippy::unwrap_used,
    reason = "a tool for the checkout: a broken assumption must stop it where it breaks"
)]

mod case;
mod configuration;
mod contender;
mod front;
mod load;
mod nginx;
mod process;
mod report;
mod requirement;
mod results;
mod run;
mod status;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use bench::machine::Facts;
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use testbed::haproxy::Version;

use case::{Case, Load};
use contender::Contender;
use report::Report;
use requirement::Verdict;
use results::{NO_HAPROXY, Outcome, Record, Results};

const AFTER_HELP: &str = "\
Progress goes to standard error, the report to standard output when all is done. Both files are written anew
after each round.

Exit codes: 0 everything was measured; 1 something could not be measured (the rest is in the results), or
nothing at all; 2 with --strict, everything was measured and a requirement is missed or was not measured; 64
wrong command line.";

/// Measures our agent beside its floor and its rivals, with real HAProxy and nginx.
#[derive(Parser)]
#[command(after_help = AFTER_HELP)]
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
    /// Only what a requirement looks at
    #[arg(long)]
    only_requirements: bool,
    /// Exit with 2 when a requirement is missed
    #[arg(long)]
    strict: bool,
    /// How often everything is measured: what a requirement on clients' times looks at, three times in each;
    /// what no requirement looks at, in the first three only
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    repetitions: u64,
    /// How long a measurement takes; half as long in the less important cases
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

/// Rounds in a repetition. The first is of everything, the others of what is measured often.
const ROUNDS: u64 = 3;

/// Repetitions in which is measured what no requirement looks at.
const OTHERS: u64 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        #[allow(clippy::disallowed_methods, reason = "nothing was started that would need an end")]
        std::process::exit(if error.use_stderr() { 64 } else { 0 });
    });
    match measure(&arguments) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<ExitCode, String> {
    raise_open_files();
    let all = case::all();
    if arguments.case.iter().any(|name| name == "list") {
        for case in &all {
            println!("{:<16} {}", case.name, case.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let cases = chosen(&all, &arguments.case)?;
    let versions = versions(&arguments.haproxy)?;
    let contenders = contenders(arguments);
    let machine = facts(&arguments.agent, &versions);
    let given: Vec<String> = std::env::args().skip(1).collect();
    let command = command(&given);
    let plan = plan(arguments, &cases, &versions, &contenders);

    let mut results = Results::default();
    let start = Instant::now();
    let names = contenders.iter().map(|contender| contender.name.as_str());
    let names: Vec<&str> = names.collect();
    for (number, cell) in plan.iter().enumerate() {
        let Cell { round, haproxy, case, contender } = cell;
        let outcome = attempt(cell, arguments.seconds);
        let haproxy = haproxy.map_or(NO_HAPROXY, Version::name);
        let name = &contender.name;
        eprint!("{}/{}, {} s: ", number + 1, plan.len(), start.elapsed().as_secs());
        eprint!("round {round}, HAProxy {haproxy}, {}, {name}: ", case.name);
        match &outcome {
            Outcome::Measured(measured) => eprintln!("{measured}"),
            Outcome::Failed(why) => eprintln!("FAILED: {why}"),
        }
        results.0.push(Record {
            round: *round,
            haproxy: haproxy.to_owned(),
            case: case.name.to_owned(),
            contender: name.clone(),
            outcome,
        });
        let last_of_round = plan.get(number + 1).is_none_or(|next| next.round > *round);
        if last_of_round {
            let contenders = names.clone();
            let (machine, command, seconds) = (&machine, command.as_str(), arguments.seconds);
            let report =
                Report { machine, command, seconds, cases: &cases, contenders, results: &results };
            report.write(&arguments.output).map_err(|error| {
                format!("cannot write the results to {}: {error}", arguments.output.display())
            })?;
            if number + 1 == plan.len() {
                print!("{}", report.markdown());
            }
        }
    }
    let all_met = || {
        let findings = requirement::findings(&results, &cases);
        findings.iter().all(|finding| matches!(finding.verdict, Verdict::Met | Verdict::NotAsked))
    };
    Ok(if plan.is_empty() || results.failures().next().is_some() {
        ExitCode::FAILURE
    } else if arguments.strict && !all_met() {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

/// One measurement to make.
struct Cell<'a> {
    round: u64,
    haproxy: Option<Version>,
    case: &'a Case,
    contender: &'a Contender,
}

/// All of them in their order: what is compared lies close together.
fn plan<'a>(
    arguments: &Arguments,
    cases: &[&'a Case],
    versions: &[Version],
    contenders: &'a [Contender],
) -> Vec<Cell<'a>> {
    let mut plan = Vec::new();
    for round in 0..arguments.repetitions * ROUNDS {
        let whole = round % ROUNDS == 0;
        let wanted = |case: &Case, contender: &Contender| {
            let needed = requirement::needs(case, &contender.name) && (whole || case.often);
            let others = whole && round / ROUNDS < OTHERS && !arguments.only_requirements;
            contender.takes(case) && (needed || others)
        };
        let mut add = |haproxy, case: &'a Case| {
            for contender in contenders.iter().filter(|contender| wanted(case, contender)) {
                plan.push(Cell { round: round + 1, haproxy, case, contender });
            }
        };
        let alone = |case: &&&Case| matches!(case.load, Load::Spop { .. });
        for version in versions {
            cases.iter().filter(|case| !alone(case)).for_each(|case| add(Some(*version), case));
        }
        cases.iter().filter(alone).for_each(|case| add(None, case));
    }
    plan
}

/// Measures. What the testbed finds broken, it tells by a panic: that costs this measurement.
fn attempt(cell: &Cell<'_>, seconds: f64) -> Outcome {
    let seconds = seconds * cell.case.long;
    let run = || run::run(cell.haproxy, cell.case, cell.contender, seconds);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(measured)) => Outcome::Measured(measured),
        Ok(Err(why)) => Outcome::Failed(why),
        Err(panic) => Outcome::Failed(what_it_said(&*panic)),
    }
}

fn what_it_said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
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

/// The machine, and the versions of all that runs on it.
fn facts(agent: &Path, haproxy: &[Version]) -> Facts {
    let haproxy: Vec<_> = haproxy.iter().map(|version| version.executable()).collect();
    let mut programs = vec![(agent, "--version"), (Path::new("nginx"), "-v")];
    programs.extend(haproxy.iter().map(|program| (program.as_path(), "-v")));
    programs.push((Path::new("wrk"), "-v"));
    Facts::of(programs)
}

/// How a person would start this: with the script, which names the agent by itself.
fn command(given: &[String]) -> String {
    let mut words = vec!["scripts/bench.sh".to_owned()];
    let mut given = given.iter();
    while let Some(word) = given.next() {
        match word.as_str() {
            "--agent" => drop(given.next()),
            word if word.contains(' ') => words.push(format!("'{word}'")),
            word => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

/// Raises the limit of open files, for everything that is started: as far as thousands of connections need it,
/// or as far as it goes.
fn raise_open_files() {
    const WANTED: u64 = 65_536;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < WANTED && setrlimit(Resource::RLIMIT_NOFILE, WANTED, hard.max(WANTED)).is_err() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// A program that was built along with this one.
fn beside_us(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}
