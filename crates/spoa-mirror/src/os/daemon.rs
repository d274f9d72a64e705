//! A life in the background.
//!
//! Instead of a fork, which is not safe in a program with threads, the program starts itself again
//! and waits until the new process says that it is ready: what goes wrong before that is seen on
//! the terminal and in the exit code.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};

use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};

/// Tells a process that it is the one in the background.
const MARK: &str = "SPOA_MIRROR_BACKGROUND";
const READY: &str = "ready";

/// Whether this process is the one in the background.
#[must_use]
pub fn is_background() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Starts the program again, in the background; gives the exit code for the process in the
/// foreground.
#[must_use]
pub fn start() -> ExitCode {
    match start_and_wait() {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: cannot start in the background: {error}");
            ExitCode::from(crate::EXIT_FAILURE)
        }
    }
}

fn start_and_wait() -> io::Result<ExitCode> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            if line? == READY {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(crate::EXIT_FAILURE)))
}

/// In the background: leaves the terminal's session and directory, says that all is ready, and lets
/// go of the standard streams.
///
/// # Errors
/// The system refuses one of that.
pub fn detach() -> io::Result<()> {
    setsid()?;
    // Every path in the configuration is absolute by now.
    #[allow(clippy::disallowed_methods)]
    std::env::set_current_dir("/")?;
    let mut output = io::stdout();
    writeln!(output, "{READY}")?;
    output.flush()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}
