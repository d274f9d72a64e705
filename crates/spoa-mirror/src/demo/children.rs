//! The processes of the demonstration, and a directory for their files; all of it goes when the
//! demonstration does.

use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A directory of our own.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("spoa-mirror-demo-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.0.join(name);
        std::fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that ends with its owner.
pub(super) struct Running(Child);

impl Running {
    /// Starts `command` outside the terminal's foreground group: Ctrl-C is for us to pass on.
    pub(super) fn start(command: &mut Command) -> std::io::Result<Self> {
        command.process_group(0).stdin(Stdio::null()).spawn().map(Self)
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    fn terminate(&self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This program, as an agent.
pub(super) struct Agent {
    process: Running,
    /// How it was started.
    pub(super) command: String,
}

impl Agent {
    /// Starts it with this configuration file.
    pub(super) fn start(config: &Path) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg("--config").arg(config).stdout(Stdio::piped());
        let process = Running::start(&mut command)
            .map_err(|error| format!("cannot start the agent: {error}"))?;
        let command = format!("spoa-mirror --config {}", config.display());
        Ok(Self { process, command })
    }

    /// Ends the agent as an operator would; gives its counters.
    pub(super) fn end(mut self) -> Result<Vec<String>, String> {
        self.process.terminate();
        let mut text = String::new();
        if let Some(mut output) = self.process.0.stdout.take() {
            output.read_to_string(&mut text).map_err(|error| error.to_string())?;
        }
        let lines = text.lines().filter_map(|line| line.strip_prefix("counters "));
        Ok(lines.map(str::to_owned).collect())
    }
}
