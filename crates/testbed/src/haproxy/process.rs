//! A running HAProxy.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::Version;
use crate::agent::Agent;
use crate::lines::{Lines, Syslog};
use crate::{ports, wait};

/// How to start an HAProxy.
///
/// In every text given here `{dir}` stands for the instance's own directory and `{port:NAME}` for a free
/// TCP port, the same for the same name.
pub struct Builder {
    version: Version,
    files: Vec<(String, String)>,
    envs: Vec<(String, String)>,
    master_worker: bool,
}

impl Builder {
    /// The text of `haproxy.cfg`. The runtime socket and the log are added to its `global` section by the
    /// builder: `log global` goes to [`Haproxy::log`].
    #[must_use]
    pub fn config(self, text: impl Into<String>) -> Self {
        self.file("haproxy.cfg", text)
    }

    /// Puts a file beside `haproxy.cfg`, whose directory is HAProxy's working directory: `mirror.conf`, a
    /// map, a certificate.
    #[must_use]
    pub fn file(mut self, name: &str, text: impl Into<String>) -> Self {
        self.files.retain(|(other, _)| other != name);
        self.files.push((name.to_owned(), text.into()));
        self
    }

    /// Runs it as master and worker (`-W`): what the `program` section and SIGUSR2 need.
    #[must_use]
    pub fn master_worker(mut self) -> Self {
        self.master_worker = true;
        self
    }

    /// Sets an environment variable for HAProxy and its programs.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it answers on its runtime socket: its listeners are open then.
    ///
    /// # Panics
    /// When it does not start, with what it said.
    pub fn start(self) -> Haproxy {
        let home = Home::new(self.version, &self.files);
        let syslog = Syslog::start(&home.path("log.sock"));
        let (envs, master_worker) = (self.envs, self.master_worker);
        let process = home.run(&envs, master_worker, None);
        let mut haproxy =
            Haproxy { process, leaving: Vec::new(), home, syslog, envs, master_worker };
        haproxy.wait_ready(None);
        haproxy
    }

    /// Has HAProxy check the configuration (`-c`) without starting: what it said if it is valid, warnings
    /// included, and what it said if it is not.
    ///
    /// # Errors
    /// HAProxy's words about the mistakes.
    pub fn check(self) -> Result<String, String> {
        let home = Home::new(self.version, &self.files);
        // The log's address must exist to be valid.
        let _syslog = Syslog::start(&home.path("log.sock"));
        let mut process = home.command(&self.envs).arg("-c").start();
        let status = process.wait_exit(wait::LIMIT);
        let said = process.output().all().join("\n");
        if status.success() { Ok(said) } else { Err(said) }
    }
}

/// The directory of an instance, with its files.
struct Home {
    version: Version,
    directory: TempDir,
    ports: BTreeMap<String, u16>,
}

impl Home {
    fn new(version: Version, files: &[(String, String)]) -> Self {
        let directory = tempfile::Builder::new().prefix("haproxy-").tempdir().unwrap();
        let mut home = Self { version, directory, ports: BTreeMap::new() };
        home.write(
            "testbed.cfg",
            "global\n    stats socket {dir}/runtime.sock mode 600 level admin expose-fd listeners\n    \
             log {dir}/log.sock len 65535 local0\n",
        );
        for (name, text) in files {
            home.write(name, text);
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&mut self, name: &str, text: &str) {
        let text = self.expand(text);
        std::fs::write(self.path(name), text).unwrap();
    }

    fn expand(&mut self, text: &str) -> String {
        let directory = self.directory.path().to_str().expect("a UTF-8 temporary directory");
        let mut text = text.replace("{dir}", directory);
        while let Some(start) = text.find("{port:") {
            let name_start = start + "{port:".len();
            let end = name_start + text[name_start..].find('}').expect("{port:NAME} is closed");
            let name = text[name_start..end].to_owned();
            let port = *self.ports.entry(name).or_insert_with(ports::free);
            text.replace_range(start..=end, &port.to_string());
        }
        text
    }

    fn command(&self, envs: &[(String, String)]) -> crate::agent::Builder {
        let mut command =
            Agent::builder(self.version.executable()).directory(self.directory.path());
        for (name, value) in envs {
            command = command.env(name, value);
        }
        command.args(["-f", "testbed.cfg", "-f", "haproxy.cfg"])
    }

    fn run(&self, envs: &[(String, String)], master_worker: bool, old: Option<u32>) -> Agent {
        let mut command = self.command(envs).arg("-db");
        if master_worker {
            command = command.arg("-W").arg("-S").arg(self.path("master.sock"));
        }
        if let Some(pid) = old {
            command = command.arg("-x").arg(self.path("runtime.sock"));
            command = command.arg("-sf").arg(pid.to_string());
        }
        command.start()
    }
}

/// An HAProxy that runs. Killed on drop, with its programs.
pub struct Haproxy {
    process: Agent,
    leaving: Vec<Agent>,
    home: Home,
    syslog: Syslog,
    envs: Vec<(String, String)>,
    master_worker: bool,
}

impl Haproxy {
    /// Describes how to start this version.
    pub fn builder(version: Version) -> Builder {
        Builder { version, files: Vec::new(), envs: Vec::new(), master_worker: false }
    }

    /// Which version it is.
    pub fn version(&self) -> Version {
        self.home.version
    }

    /// The port that `{port:NAME}` stands for.
    ///
    /// # Panics
    /// When no text contained it.
    pub fn port(&self, name: &str) -> u16 {
        *self
            .home
            .ports
            .get(name)
            .unwrap_or_else(|| panic!("no {{port:{name}}} in a configuration"))
    }

    /// 127.0.0.1 with [`Haproxy::port`].
    pub fn address(&self, name: &str) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port(name)).into()
    }

    /// The instance's directory, where its files are.
    pub fn directory(&self) -> &Path {
        self.home.directory.path()
    }

    /// The process; the master if it runs as master and worker.
    pub fn process(&mut self) -> &mut Agent {
        &mut self.process
    }

    /// What it writes to standard output and error.
    pub fn output(&self) -> &Lines {
        self.process.output()
    }

    /// What it logs, one entry for each message.
    pub fn log(&self) -> &Lines {
        self.syslog.lines()
    }

    /// Sends a command to the runtime API and gives its answer, trimmed.
    ///
    /// # Panics
    /// When the runtime socket does not answer.
    pub fn command(&self, command: &str) -> String {
        self.try_command(command).unwrap_or_else(|e| panic!("runtime API: {command:?}: {e}"))
    }

    fn try_command(&self, command: &str) -> std::io::Result<String> {
        ask(&self.home.path("runtime.sock"), command, Duration::from_secs(10))
    }

    /// The process id of the worker that answers the runtime API, if one does.
    pub fn worker_pid(&self) -> Option<u32> {
        let info = self.try_command("show info").ok()?;
        info.lines().find_map(|line| line.strip_prefix("Pid: "))?.trim().parse().ok()
    }

    /// Rewrites a configuration file; takes effect at the next [`Haproxy::reload`].
    pub fn write_file(&mut self, name: &str, text: &str) {
        self.home.write(name, text);
    }

    /// Reloads as an operator does: a new process takes over the listening sockets and tells the old one
    /// to finish; with master and worker, SIGUSR2 to the master. Waits until the new one answers. The old
    /// one ends when its last connection does.
    ///
    /// # Panics
    /// When the new one does not come up.
    pub fn reload(&mut self) {
        let old = self.worker_pid().expect("it runs");
        if self.master_worker {
            self.process.signal(Signal::SIGUSR2);
        } else {
            let new = self.home.run(&self.envs, false, Some(self.process.pid()));
            self.leaving.push(std::mem::replace(&mut self.process, new));
        }
        self.wait_ready(Some(old));
    }

    /// How many processes of earlier reloads still finish their connections; not for master and worker.
    pub fn leaving(&mut self) -> usize {
        self.leaving.iter_mut().filter_map(|old| old.is_running().then_some(())).count()
    }

    /// Ends it now (SIGTERM) and waits.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) {
        self.process.stop(wait::LIMIT);
    }

    fn wait_ready(&mut self, not: Option<u32>) {
        let ready = wait::poll(wait::LIMIT, || {
            // A master that is not listening yet does not handle signals either: SIGTERM would kill it
            // and leave its worker and programs behind.
            let master = self.home.path("master.sock");
            // While starting it executes itself anew and forgets connections: hence the short patience.
            let patience = Duration::from_millis(200);
            let commanded = !self.master_worker || ask(&master, "show proc", patience).is_ok();
            let up = commanded && self.worker_pid().is_some_and(|pid| Some(pid) != not);
            (up || !self.process.is_running()).then_some(up)
        });
        if ready != Some(true) {
            panic!(
                "HAProxy {} does not come up: {}",
                self.version(),
                self.output().all().join("\n")
            );
        }
    }
}

/// Sends one command to one of HAProxy's command sockets and reads the answer to its end.
fn ask(socket: &Path, command: &str, limit: Duration) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(command.as_bytes())?;
    stream.write_all(b"\n")?;
    // The master keeps the connection for more commands until it hears that there are none.
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.trim().to_owned())
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.log().all();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!("---- HAProxy {} logged at last:\n  {}", self.version(), last.join("\n  "));
        }
        if self.master_worker {
            // Killed outright, a master would leave its workers and programs behind.
            self.process.signal(Signal::SIGTERM);
            wait::poll(Duration::from_secs(5), || (!self.process.is_running()).then_some(()));
        }
    }
}
