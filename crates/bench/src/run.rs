//! One measurement: everything is started, loaded, looked at, and ended.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;
use testbed::agent::Agent;
use testbed::haproxy::{Haproxy, Version};
use testbed::{ports, wait};

use crate::beside_us;
use crate::case::{Case, Load, Target};
use crate::configuration::ADMIN;
use crate::contender::{Contender, Kind};
use crate::front;
use crate::load::{Clients, Seen, WINDOW};
use crate::nginx::{Nginx, Server};
use crate::process::{self, Syscalls};
use crate::status::Copies;

/// What was measured.
#[derive(Clone, Default, Serialize)]
pub(crate) struct Measured {
    /// Answers to clients a second, and milliseconds to them.
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Requests of clients without a good answer.
    pub(crate) errors: u64,
    /// Requests that production got, warm-up included; ACKs where there is no production.
    pub(crate) requests: u64,
    /// Copies that targets got, where they count them.
    pub(crate) copies: Option<u64>,
    /// Copies of all those requests that did not arrive, though the target takes all.
    pub(crate) lost: Option<u64>,
    /// What became of our agent's copies that were not answered.
    pub(crate) unanswered: BTreeMap<String, u64>,
    /// Microseconds of the agent's processor time for each request that production got; of nginx's
    /// whole where it mirrors.
    pub(crate) cpu: Option<f64>,
    /// Processor time of the agent's data plane alone, for each request, in microseconds.
    pub(crate) worker_cpu: Option<f64>,
    /// Microseconds that the same copies cost a client that only sends them.
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
        if let Some(lost) = self.lost {
            write!(f, ", {lost} lost")?;
        }
        for (what, count) in &self.unanswered {
            write!(f, ", {count} {what}")?;
        }
        if self.errors > 0 {
            write!(f, ", {} ERRORS", self.errors)?;
        }
        Ok(())
    }
}

/// Measures `contender` in `case`, behind this HAProxy where there is one.
pub(crate) fn run(
    version: Option<Version>,
    case: &Case,
    contender: &Contender,
    seconds: f64,
) -> Result<Measured, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let directory = directory.path();
    let production = Nginx::start(directory, "production", &[Server::Http1]);
    let targets = Targets::start(case, directory);
    let agent_at: SocketAddr = (Ipv4Addr::LOCALHOST, ports::free()).into();
    let agent = contender.start(case, agent_at, &targets.urls, directory);
    let front = Front::start(version, case, contender, &production, &targets, agent_at, directory);
    let measured_process = match &front {
        Front::Nginx(nginx) => Some(nginx.pid()),
        _ => agent.as_ref().map(Agent::pid),
    };
    let address = front.address().unwrap_or(agent_at);
    let worker_cpu = || agent.as_ref().map(|agent| process::cpu_of_threads(agent.pid(), "worker-"));
    let cpu = || {
        measured_process.map(|pid| process::family(pid).into_iter().map(process::cpu).sum::<u64>())
    };

    let clients = Clients::start(case, address, seconds, directory)?;
    let syscalls = measured_process.and_then(|pid| syscalls(pid, case, &production));
    let files = agent.as_ref().map(Agent::open_files);
    let mut clients = clients.warm()?;
    let (cpu_before, worker_before, requests_before) = (cpu(), worker_cpu(), production.requests());
    let seen = clients.end()?;
    let (cpu_after, worker_after, requests_after) = (cpu(), worker_cpu(), production.requests());
    let files = agent.as_ref().map(Agent::open_files).max(files);
    let rss = agent.as_ref().map(|agent| agent.peak_rss() as f64 / f64::from(1 << 20));
    let copies = match (&contender.kind, &agent) {
        (Kind::Ours(program), Some(_)) => Some(settled(program, &directory.join(ADMIN))?),
        _ => None,
    };
    targets.settle();

    let counted = seen.answered.filter(|_| front.address().is_none());
    let counted = counted.unwrap_or(requests_after - requests_before);
    let per_request = |total: u64| total as f64 / 1000.0 / counted.max(1) as f64;
    let cpu = cpu_after.zip(cpu_before).map(|(after, before)| per_request(after - before));
    let worker_cpu =
        worker_after.zip(worker_before).map(|(after, before)| per_request(after - before));
    let requests = match (front.address(), seen.answered_with_warm_up) {
        (None, Some(answered)) => answered,
        _ => production.requests(),
    };
    let arrived = if contender.mirrors() { targets.requests() } else { None };
    let expected = requests * targets.urls.len() as u64;
    let lost = (contender.mirrors() && case.lossless() && !case.target.waits_for_answers())
        .then(|| lost(expected, copies.as_ref(), arrived))
        .flatten();
    drop((front, clients));
    let client_cpu = match (&contender.kind, case.load, case.target) {
        (Kind::Acknowledging, Load::Closed(connections), Target::Http1) => {
            Some(raw_client(case, connections, &targets)?)
        }
        _ => None,
    };
    let Seen { rate, p50, p99, errors, .. } = seen;
    let unanswered = copies.map(|copies| copies.unanswered(expected)).unwrap_or_default();
    Ok(Measured {
        rate,
        p50,
        p99,
        errors,
        requests,
        copies: arrived,
        lost,
        unanswered,
        cpu,
        worker_cpu,
        client_cpu,
        syscalls,
        rss,
        files,
    })
}

/// Of so many copies, those that are missing: by the agent's own counters, by the targets' count, or, where
/// both are known, by the worse of the two.
fn lost(expected: u64, copies: Option<&Copies>, arrived: Option<u64>) -> Option<u64> {
    let wanted = expected.saturating_sub(copies.map_or(0, |copies| copies.unwanted));
    let by_agent = copies.map(|copies| wanted.saturating_sub(copies.answered));
    by_agent.max(arrived.map(|arrived| wanted.saturating_sub(arrived)))
}

/// The copies of our agent, once none waits or is in flight.
fn settled(program: &Path, socket: &Path) -> Result<Copies, String> {
    let limit = Duration::from_secs(15);
    let nothing_open = || {
        Some(Copies::ask(program, socket))
            .filter(|asked| !matches!(asked, Ok(copies) if copies.open > 0))
    };
    wait::poll(limit, nothing_open).unwrap_or_else(|| Copies::ask(program, socket))
}

/// System calls of a process for each request, in a part of the warm-up.
fn syscalls(pid: u32, case: &Case, production: &Nginx) -> Option<f64> {
    // What slow targets cost a request comes a second after it.
    if matches!(case.target, Target::Slow | Target::Everything) {
        return None;
    }
    if let Load::Closed(_) = case.load {
        wait::holds(wait::LIMIT, "clients ask", || production.requests() > 100);
    }
    let (before, start) = (production.requests(), Instant::now());
    let count = Syscalls::count(pid, WINDOW)?.end()?;
    // Around the window that perf looks at, it starts and ends: rates are compared, not counts.
    let rate = match case.load {
        Load::Closed(_) => (production.requests() - before) as f64 / start.elapsed().as_secs_f64(),
        Load::Rate(rate) | Load::Spop { rate, .. } => f64::from(rate),
    };
    (rate > 0.0).then(|| count as f64 / WINDOW / rate)
}

/// What takes clients' requests; kept for as long as they come.
enum Front {
    Haproxy(Haproxy),
    Nginx(Nginx),
    /// Clients connect to the agent.
    None,
}

impl Front {
    fn start(
        version: Option<Version>,
        case: &Case,
        contender: &Contender,
        production: &Nginx,
        targets: &Targets,
        agent_at: SocketAddr,
        directory: &Path,
    ) -> Self {
        let agent = match contender.kind {
            Kind::NginxMirror => {
                let server = Server::Mirror(production.address(), targets.urls.clone());
                return Self::Nginx(Nginx::start(directory, "front", &[server]));
            }
            Kind::None => None,
            _ => Some(agent_at),
        };
        version.map_or(Self::None, |version| {
            Self::Haproxy(front::start(version, case, production.address(), agent))
        })
    }

    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Haproxy(haproxy) => Some(haproxy.address("http")),
            Self::Nginx(nginx) => Some(nginx.address()),
            Self::None => None,
        }
    }
}

struct Targets {
    nginx: Option<Nginx>,
    /// Kept alive; does not count.
    slow: Option<Agent>,
    urls: Vec<String>,
}

impl Targets {
    fn start(case: &Case, directory: &Path) -> Self {
        let several = |count| (0..count).map(|_| Server::Http1).collect();
        let (servers, slow) = match case.target {
            Target::Http1 | Target::Answered | Target::Compared => (several(1), false),
            Target::H2c => (vec![Server::H2c], false),
            Target::Tls => (vec![Server::Tls], false),
            Target::Several(count) => (several(count), false),
            Target::Slow => (Vec::new(), true),
            Target::Everything => (several(2), true),
            Target::Down => {
                let urls = vec![format!("http://127.0.0.1:{}", ports::free())];
                return Self { nginx: None, slow: None, urls };
            }
        };
        let mut urls = Vec::new();
        let slow = slow.then(|| {
            let address: SocketAddr = (Ipv4Addr::LOCALHOST, ports::free()).into();
            let slow = Agent::start(beside_us("slow_target"), [address.to_string()]);
            slow.wait_line(wait::LIMIT, |line| line.contains("listening"));
            urls.push(format!("http://{address}"));
            slow
        });
        let nginx = (!servers.is_empty()).then(|| Nginx::start(directory, "target", &servers));
        let scheme = if case.target == Target::Tls { "https" } else { "http" };
        let ports = nginx.iter().flat_map(|nginx| &nginx.ports);
        urls.extend(ports.map(|port| format!("{scheme}://127.0.0.1:{port}")));
        Self { nginx, slow, urls }
    }

    /// Copies received, where all targets count.
    fn requests(&self) -> Option<u64> {
        self.nginx.as_ref().filter(|_| self.slow.is_none()).map(Nginx::requests)
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
            (still >= 25).then_some(())
        });
    }
}

/// Microseconds of processor time for each copy of a client that only sends them.
fn raw_client(case: &Case, connections: u32, targets: &Targets) -> Result<f64, String> {
    let Some(address) = targets.urls.first().and_then(|url| url.strip_prefix("http://")) else {
        return Err("the raw client has no target".to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_lost_that_neither_sample_nor_target_explains() {
        let copies = Copies { received: 100, answered: 10, unwanted: 90, ..Copies::default() };
        assert_eq!(lost(100, Some(&copies), Some(10)), Some(0));
        // Requests that HAProxy did not tell the agent of.
        assert_eq!(lost(102, Some(&copies), Some(10)), Some(2));
        // Copies that the agent thinks answered, and the target never saw.
        assert_eq!(lost(100, Some(&copies), Some(7)), Some(3));
        assert_eq!(lost(100, Some(&copies), None), Some(0));
        assert_eq!(lost(100, None, Some(99)), Some(1));
        // A copy of a request that the client gave up before production got it.
        assert_eq!(lost(100, None, Some(101)), Some(0));
        assert_eq!(lost(100, None, None), None);
    }
}
