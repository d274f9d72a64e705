//! A handle on a running program: the agent under test, or any other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;

pub use nix::sys::signal::Signal;

use crate::lines::{self, Lines};
use crate::wait;

/// How to start a program.
pub struct Builder {
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    nofile: Option<u64>,
}

impl Builder {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((name.into(), value.into()));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// Limits the number of open file descriptors, soft and hard.
    #[must_use]
    pub fn with_nofile_limit(mut self, limit: u64) -> Self {
        self.nofile = Some(limit);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When the program cannot be executed.
    pub fn start(self) -> Agent {
        let mut command = match self.nofile {
            None => Command::new(&self.program),
            Some(limit) => {
                // The shell sets the limit and then becomes the program, so the pid is the program's.
                let mut shell = Command::new("/bin/sh");
                shell
                    .arg("-c")
                    .arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\""))
                    .arg(&self.program);
                shell
            }
        };
        command.args(&self.args).envs(self.envs).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", self.program.display()));
        let (stdout, stderr, output) = (Lines::default(), Lines::default(), Lines::default());
        let pipe = child.stdout.take().expect("piped");
        let from_stdout = lines::collect(pipe, vec![stdout.clone(), output.clone()]);
        let pipe = child.stderr.take().expect("piped");
        let from_stderr = lines::collect(pipe, vec![stderr.clone(), output.clone()]);
        let collectors = [from_stdout, from_stderr];
        Agent { program: self.program, child, exit: None, stdout, stderr, output, collectors }
    }
}

/// A program that runs, or has run. Killed on drop.
pub struct Agent {
    program: PathBuf,
    child: Child,
    exit: Option<ExitStatus>,
    stdout: Lines,
    stderr: Lines,
    output: Lines,
    collectors: [JoinHandle<()>; 2],
}

impl Agent {
    /// Describes how to start `program`, for example `env!("CARGO_BIN_EXE_spoa-mirror")`.
    pub fn builder(program: impl AsRef<Path>) -> Builder {
        Builder {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            envs: Vec::new(),
            directory: None,
            nofile: None,
        }
    }

    /// Starts `program` with `args`.
    pub fn start<A: Into<OsString>>(
        program: impl AsRef<Path>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self::builder(program).args(args).start()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines of its standard output.
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// The lines of its standard error.
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// The lines of both, in the order of their arrival.
    pub fn output(&self) -> &Lines {
        &self.output
    }

    /// Waits for a line on either stream that satisfies `predicate`, and gives it.
    ///
    /// # Panics
    /// After `limit`, with everything that the program wrote.
    pub fn wait_line(&self, limit: Duration, predicate: impl Fn(&str) -> bool) -> String {
        self.output.wait(limit, predicate).unwrap_or_else(|| {
            panic!(
                "{} did not write the expected line within {limit:?}; {}",
                self.name(),
                self.told()
            )
        })
    }

    /// Sends a signal; nothing happens if the program is gone.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            let _ = kill(Pid::from_raw(self.child.id().try_into().expect("a pid")), signal);
        }
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
            self.exit = self.child.wait().ok();
        }
    }

    /// Is it still running?
    pub fn is_running(&mut self) -> bool {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().expect("the child can be waited for");
        }
        self.exit.is_none()
    }

    /// Waits until it has ended and all it wrote is collected.
    ///
    /// # Panics
    /// After `limit`, with everything that the program wrote.
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        wait::poll(limit, || (!self.is_running()).then_some(()));
        // Its last lines may still be on their way. Children that outlive it can hold the pipes open, so
        // this is no more than patience.
        let collected = || self.collectors.iter().all(JoinHandle::is_finished).then_some(());
        wait::poll(Duration::from_secs(1), collected);
        self.exit.unwrap_or_else(|| {
            panic!("{} still runs after {limit:?}; {}", self.name(), self.told())
        })
    }

    /// SIGTERM, then [`Agent::wait_exit`].
    pub fn stop(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait_exit(limit)
    }

    /// Resident memory now, in bytes (`VmRSS`).
    pub fn rss(&self) -> u64 {
        self.status_field("VmRSS:") * 1024
    }

    /// The highest resident memory so far, in bytes (`VmHWM`).
    pub fn peak_rss(&self) -> u64 {
        self.status_field("VmHWM:") * 1024
    }

    /// Threads now.
    pub fn threads(&self) -> u64 {
        self.status_field("Threads:")
    }

    /// Open file descriptors now.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    fn status_field(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or_else(|| {
            panic!("no {name} in {path}; {} has ended? {}", self.name(), self.told())
        })
    }

    fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn told(&self) -> String {
        let lines = self.output.all();
        let last = &lines[lines.len().saturating_sub(80)..];
        format!("it wrote {} lines, at last:\n  {}", lines.len(), last.join("\n  "))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("---- {}: {}", self.name(), self.told());
        }
    }
}
