//! Measures what each setting of HAProxy costs a client: the configuration of docs/HAPROXY.md as it is, and with
//! one thing changed at a time, while the agent is well, hangs, or is gone.
//!
//! These are times that HAProxy waits, not speeds: a debug build of the agent does. `scripts/haproxy-settings.sh`
//! builds what this needs and runs it.
#![allow(
    clippy::unwrap_used,
    reason = "a tool for the checkout: a broken assumption must stop it where it breaks"
)]

mod bodies;
mod scene;
mod table;
mod waiting;

use std::path::PathBuf;

use bench::machine::Facts;
use clap::Parser;
use testbed::haproxy::Version;

use table::Table;

/// Measures what each setting of HAProxy costs a client, and writes it as Markdown.
#[derive(Parser)]
struct Arguments {
    /// The agent, of any build
    #[arg(long, value_name = "FILE")]
    agent: PathBuf,
    /// Versions of HAProxy
    #[arg(long, value_delimiter = ',', default_value = "2.6,3.0,3.2,3.4")]
    haproxy: Vec<String>,
    /// Where the report is written, too
    #[arg(long, value_name = "FILE", default_value = "target/bench/settings.md")]
    output: PathBuf,
}

fn main() {
    let arguments = Arguments::parse();
    let known = |name: &String| Version::ALL.into_iter().find(|version| version.name() == name);
    let versions = arguments.haproxy.iter().map(|name| known(name).expect("a tested version"));
    let versions: Vec<Version> = versions.collect();
    let mut tables = [
        Table::new(
            "Milliseconds from a small request to the end of its answer, median (worst), one request after \
             the other on one connection:",
            "the agent, and what is set",
        ),
        Table::new(
            "Milliseconds from the head of a request until production has it, and until the client has the \
             head of the answer:",
            "what happens, and what is set",
        ),
        Table::new("Resident memory of HAProxy, in MiB:", "what is set"),
    ];
    for version in &versions {
        let measured = [
            waiting::measure(*version, &arguments.agent),
            bodies::moments(*version, &arguments.agent),
            bodies::memory(*version, &arguments.agent),
        ];
        for (table, rows) in tables.iter_mut().zip(measured) {
            table.add(*version, rows);
        }
    }
    let report = report(&arguments, &versions, &tables);
    std::fs::create_dir_all(arguments.output.parent().unwrap()).unwrap();
    std::fs::write(&arguments.output, &report).unwrap();
    print!("{report}");
}

fn report(arguments: &Arguments, versions: &[Version], tables: &[Table]) -> String {
    let haproxy: Vec<_> = versions.iter().map(|version| version.executable()).collect();
    let agent = (arguments.agent.as_path(), "--version");
    let programs = haproxy.iter().map(|program| (program.as_path(), "-v"));
    let facts = Facts::of(std::iter::once(agent).chain(programs));
    let mut report = format!(
        "`scripts/haproxy-settings.sh`: {} processors ({}), {}; {}.\n",
        facts.processors,
        facts.processor,
        facts.kernel,
        facts.versions.join("; ")
    );
    for table in tables {
        report += "\n";
        report += &table.markdown();
    }
    report
}
