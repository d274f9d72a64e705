//! spoa-mirror: takes the HTTP requests that HAProxy hands over through SPOE, acknowledges them at
//! once, and sends copies to test environments.
//!
//! The way of a request: [`agent`] reads it from HAProxy, [`exchange`] makes sense of it, [`policy`]
//! decides, [`target`] sends the copy, [`outcome`] counts what became of it.

pub mod admin;
pub mod agent;
pub mod ceiling;
mod check;
pub mod cli;
pub mod comparison;
pub mod config;
pub mod control;
mod dashboard;
mod date;
mod decode;
pub mod demo;
mod doctor;
pub mod exchange;
mod generate;
pub mod history;
mod init;
mod legible;
pub mod log;
mod nearest;
pub mod os;
pub mod outcome;
pub mod policy;
pub mod remote;
pub mod serve;
mod survive;
pub mod target;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;

use cli::{Cli, Command};

/// Exit code: the program could not do its work (a port in use, a file that cannot be opened).
pub const EXIT_FAILURE: u8 = 1;
/// Exit code: the command line is wrong (`EX_USAGE`, as the C program has it).
pub const EXIT_USAGE: u8 = 64;
/// Exit code of an agent: its configuration file is wrong (`EX_CONFIG`), so that starting it again
/// does not help.
pub const EXIT_CONFIG: u8 = 78;

/// Runs the program as its command line says; gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let _ = error.print();
            return if help { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) };
        }
    };
    match cli.command {
        Some(Command::Demo(arguments)) => demo::main(&arguments),
        Some(Command::Decode(arguments)) => decode::main(&arguments),
        Some(Command::Doctor(arguments)) => doctor::main(&arguments),
        Some(Command::Init(arguments)) => init::main(arguments),
        Some(Command::Check(arguments)) => check::main(&arguments),
        Some(Command::Status(arguments)) => remote::status(arguments),
        Some(Command::Pause(arguments)) => remote::pause(arguments),
        Some(Command::Resume(arguments)) => remote::resume(arguments),
        Some(Command::Verdict(arguments)) => remote::verdict(arguments),
        Some(Command::Begin(arguments)) => remote::begin(arguments),
        Some(Command::Reload(arguments)) => remote::reload(arguments),
        Some(Command::Generate(arguments)) => generate::main(&arguments),
        None => be_agent(cli.agent),
    }
}

fn be_agent(arguments: cli::AgentArgs) -> ExitCode {
    match arguments.load() {
        Some(Ok((config, process, notes))) => return serve::main(config, &process, &notes),
        Some(Err(report)) => {
            let colour = std::io::stderr().is_terminal();
            let _ = std::io::stderr().write_all(report.text(colour).as_bytes());
            return ExitCode::from(EXIT_CONFIG);
        }
        None => {}
    }
    match arguments.into_config() {
        Ok((config, process, notes)) => serve::main(config, &process, &notes),
        Err(message) => {
            let _ = writeln!(
                std::io::stderr(),
                "error: {message}\n\nFor more information, try '--help'."
            );
            ExitCode::from(EXIT_USAGE)
        }
    }
}
