//! Demo.
use std::process::ExitCode;
/// Args.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {}
/// Main.
#[must_use]
pub fn main(_: &DemoArgs) -> ExitCode {
    ExitCode::SUCCESS
}
