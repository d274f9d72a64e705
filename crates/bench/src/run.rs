//! One measurement: everything is started, loaded, looked at, and ended.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use testbed::agent::Agent;
use testbed::haproxy::{Haproxy, Version};
use testbed::{ports, wait};

use crate::case::{Case, Load, Target};
use crate::contender::{Contender, Kind, beside_us};
use crate::front;
use crate::load::{Clients, Seen};
use crate::nginx::{Nginx, Server};
use crate::process::{self, Syscalls};

/// Load before the measurement begins, in seconds.
const WARM_UP: f64 = 1.0;

/// What was measured.
#[derive(Clone, Serialize)]
pub(crate) struct Measured {
    /// Answers to clients a second, and milliseconds to them.
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Requests of clients without a good answer.
    pub(crate) errors: u64,
    /// Requests that production got.
    pub(crate) requests: u64,
    /// Copies that targets got.
    pub(crate) copies: u64,
    /// Microseconds of the agent's processor time for each request that production got; of nginx's
    /// whole where it mirrors.
    pub(crate) cpu: Option<f64>,
    /// The floor: microseconds that the same copies cost a client that only sends them.
    pub(crate) client_cpu: Option<f64>,
    /// System calls of the agent for each request.
    pub(crate) syscalls: Option<f64>,
    /// Resident memory of the agent at its highest, in MiB, and its descriptors under load.
    pub(crate) rss: Option<f64>,
    pub(crate) files: Option<usize>,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}/s, p50 {:.2} ms, p99 {:.2} ms", self.rate, self.p50, self.p99)?;
        if let Some(cpu) = self.cpu {
            write!(f, ", {cpu:.2} µs")?;
        }
        if let Some(cpu) = self.client_cpu {
            write!(f, " + client {cpu:.2} µs")?;
        }
        if let Some(syscalls) = self.syscalls {
            write!(f, ", {syscalls:.2} system calls")?;
        }
        if let (Some(rss), Some(files)) = (self.rss, self.files) {
            write!(f, ", {rss:.1} MiB, {files} files")?;
        }
        write!(f, ", {} of {} copied", self.copies, self.requests)?;
        if self.errors > 0 {
            write!(f, ", {} ERRORS", self.errors)?;
        }
        Ok(())
    }
}

/// Measures `contender` in `case` behind this HAProxy.
pub(crate) fn run(
    version: Version,
    case: &Case,
    contender: &Contender,
    seconds: f64,
) -> Result<Measured, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let production = Nginx::start(directory.path(), "production", &[Server::Http1]);
    let targets = Targets::start(case, directory.path());
    let ca = directory.path().join("ca.pem");
    let agent_at: SocketAddr = (Ipv4Addr::LOCALHOST, ports::free()).into();
    let agent = contender.start(case, agent_at, &targets.urls, &ca, directory.path());
    let (front, measured_process, address) = if let Kind::NginxMirror = contender.kind {
        let server = Server::Mirror(production.address(), targets.urls.clone());
        let nginx = Nginx::start(directory.path(), "front", &[server]);
        let (pid, address) = (nginx.pid(), nginx.address());
        (Front::Nginx(nginx), Some(pid), address)
    } else {
        let haproxy =
            front::start(version, case, production.address(), agent.as_ref().map(|_| agent_at));
        let address = haproxy.address("http");
        (Front::Haproxy(haproxy), agent.as_ref().map(Agent::pid), address)
    };

    Clients::start(case, address, WARM_UP, directory.path()).end()?;
    targets.settle();
    let cpu = || {
        measured_process.map(|pid| process::family(pid).into_iter().map(process::cpu).sum::<u64>())
    };
    let (cpu_before, requests, copies) = (cpu(), production.requests(), targets.requests());
    let clients = Clients::start(case, address, seconds, directory.path());
    let syscalls = measured_process.and_then(|pid| {
        // It takes a while to start and to end: it looks at the middle of the load.
        let window = (seconds - 1.5).max(0.5);
        let before = production.requests();
        let count = Syscalls::count(pid, window)?.end()?;
        let served = production.requests() - before;
        (served > 0).then(|| count as f64 / served as f64)
    });
    let files = agent.as_ref().map(Agent::open_files);
    let Seen { rate, p50, p99, errors } = clients.end()?;
    targets.settle();
    let requests = production.requests() - requests;
    let copies = targets.requests() - copies;
    let per_request = |total: u64| total as f64 / 1000.0 / requests.max(1) as f64;
    let cpu = cpu().zip(cpu_before).map(|(after, before)| per_request(after - before));
    let rss = agent.as_ref().map(|agent| agent.peak_rss() as f64 / (1 << 20) as f64);
    drop(front);
    let client_cpu = match (&contender.kind, case.target) {
        (Kind::Acknowledging, Target::Http1) => Some(raw_client(case, &targets)?),
        _ => None,
    };
    Ok(Measured { rate, p50, p99, errors, requests, copies, cpu, client_cpu, syscalls, rss, files })
}

/// What takes clients' requests; kept for as long as they come.
#[expect(dead_code, reason = "kept alive, not looked at")]
enum Front {
    Haproxy(Haproxy),
    Nginx(Nginx),
}

struct Targets {
    nginx: Option<Nginx>,
    /// Kept alive.
    _slow: Option<Agent>,
    urls: Vec<String>,
}

impl Targets {
    fn start(case: &Case, directory: &std::path::Path) -> Self {
        let servers = match case.target {
            Target::Http1 => vec![Server::Http1],
            Target::H2c => vec![Server::H2c],
            Target::Tls => vec![Server::Tls],
            Target::Several(count) => (0..count).map(|_| Server::Http1).collect(),
            Target::Slow => {
                let address: SocketAddr = (Ipv4Addr::LOCALHOST, ports::free()).into();
                let slow = Agent::start(beside_us("slow_target"), [address.to_string()]);
                slow.wait_line(wait::LIMIT, |line| line.contains("listening"));
                let urls = vec![format!("http://{address}")];
                return Self { nginx: None, _slow: Some(slow), urls };
            }
            Target::Down => {
                let urls = vec![format!("http://127.0.0.1:{}", ports::free())];
                return Self { nginx: None, _slow: None, urls };
            }
        };
        let nginx = Nginx::start(directory, "target", &servers);
        let scheme = if case.target == Target::Tls { "https" } else { "http" };
        let urls = nginx.ports.iter().map(|port| format!("{scheme}://127.0.0.1:{port}"));
        Self { urls: urls.collect(), nginx: Some(nginx), _slow: None }
    }

    /// Copies received.
    fn requests(&self) -> u64 {
        self.nginx.as_ref().map_or(0, Nginx::requests)
    }

    /// Waits until no more copies come.
    fn settle(&self) {
        let Some(nginx) = &self.nginx else { return };
        let mut last = nginx.requests();
        let mut still = 0;
        wait::poll(Duration::from_secs(10), || {
            let now = nginx.requests();
            still = if now == last { still + 1 } else { 0 };
            last = now;
            (still >= 5).then_some(())
        });
    }
}

/// Microseconds of processor time for each copy of a client that only sends them.
fn raw_client(case: &Case, targets: &Targets) -> Result<f64, String> {
    let Some(address) = targets.urls.first().and_then(|url| url.strip_prefix("http://")) else {
        return Err("the raw client has no target".to_owned());
    };
    let connections = match case.load {
        Load::Closed(clients) => clients,
        Load::Rate(_) => 32,
    };
    let request = case.request;
    let output = Command::new(beside_us("raw_client"))
        .args([address, &connections.to_string(), "2", request.method, "/path?query=1"])
        .args([request.body.to_string(), request.headers.to_string()])
        .output()
        .map_err(|error| format!("cannot run the raw client: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse::<f64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(answered), Some(nanoseconds)) if answered > 0.0 => {
            Ok(nanoseconds / 1000.0 / answered)
        }
        _ => Err(format!("the raw client: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
