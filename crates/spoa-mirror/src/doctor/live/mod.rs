//! What the doctor sees for itself: a running HAProxy (`--socket`), and a running agent (`--agent`).

mod agent;
mod connect;
mod copies;
mod runtime;
mod socket;
mod statistics;
mod told;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::assumed::{self, Assumed};
use super::finding::{Code, Finding};
use super::setup::{Known, Setup};
use crate::config::ListenAddress;
use crate::remote::{self, Client, Place};
use agent::{Greeting, Peer, Trouble};
use copies::{Copy, TestRequest};
use runtime::Unusable;
use socket::Running;
pub(crate) use told::Seen;

/// What HAProxy offers as max-frame-size with its default buffers, in bytes.
const USUAL_FRAME_SIZE: u32 = 16_380;

/// The codes of what can be found wrong.
pub(crate) const CODES: &[&Code] = &[
    &socket::SOCKET_UNUSABLE,
    &socket::BACKEND_NOT_RUNNING,
    &socket::SERVER_DOWN,
    &socket::SERVER_DISABLED,
    &socket::SERVER_UNCHECKED,
    &socket::SERVER_ERRORS,
    &socket::SERVER_QUEUE,
    &told::AGENT_UNREACHABLE,
    &told::AGENT_NOT_SPOP,
    &told::AGENT_FAILS_CHECK,
    &told::AGENT_FRAME_SMALL,
    &told::AGENT_NO_PIPELINING,
    &told::AGENT_HELLO_SPLIT,
    &told::AGENT_SLOW,
    &told::AGENT_NO_ACK,
    &told::TEST_COPY_FAILED,
    &told::TEST_COPY_NOT_SENT,
    &told::TEST_COPY_UNKNOWN,
];

/// What to look at while it runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What runs")]
pub(crate) struct LiveArgs {
    /// Ask the running HAProxy: the address behind its `stats socket`, a path or HOST:PORT
    #[arg(long, value_name = "ADDRESS", value_parser = connect::socket)]
    socket: Option<ListenAddress>,
    /// Talk to this agent as HAProxy does: HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS", value_parser = connect::agent)]
    agent: Option<ListenAddress>,
    /// Send the agent a harmless GET, marked x-spoa-mirror-doctor, to this path or http://HOST/PATH; it is
    /// copied to the targets
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = copies::USUAL_PATH,
          value_parser = TestRequest::new, requires = "agent")]
    send: Option<TestRequest>,
    /// Tell what became of the copies, by the agent's admin API: HOST:PORT, unix:PATH or https://HOST:PORT
    #[arg(long, value_name = "ADDRESS", requires = "send")]
    admin: Option<Place>,
    /// The file that holds the token of the admin API, where it wants one
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
    /// Trust the certificates in this PEM file for the admin API instead of the system's
    #[arg(long, value_name = "FILE", requires = "admin")]
    ca: Option<PathBuf>,
}

/// What was asked for, and what HAProxy said so far.
pub(crate) struct Live {
    arguments: LiveArgs,
    haproxy: Option<Result<Running, Unusable>>,
}

/// What an agent said.
struct Probe {
    address: ListenAddress,
    check: Result<Greeting, Trouble>,
    traffic: Option<Result<Greeting, Trouble>>,
    test: Option<Test>,
}

/// How the test request fared.
struct Test {
    id: String,
    acknowledged: Result<Duration, Trouble>,
    /// Where the admin API was asked: it may say nothing, or that nothing came.
    copies: Option<Result<Option<Vec<Copy>>, String>>,
}

impl LiveArgs {
    /// Whether there is anything to look at.
    pub(crate) fn is_any(&self) -> bool {
        self.socket.is_some() || self.agent.is_some()
    }
}

impl Live {
    /// Asks HAProxy, if its socket is named.
    pub(crate) fn begin(arguments: LiveArgs) -> Self {
        let asked = arguments.socket.clone().map(|place| {
            let failed = |error: String| Unusable { why: error, mend: String::new() };
            remote::block_on(async move { Ok(socket::ask(place).await) })
                .unwrap_or_else(|error| Err(failed(error)))
        });
        Self { arguments, haproxy: asked }
    }

    /// The version of the running HAProxy, if it said one.
    pub(crate) fn assumed(&self) -> Option<Assumed> {
        let running = self.haproxy.as_ref()?.as_ref().ok()?;
        let version = assumed::parse(&running.version).ok()?;
        Some(Assumed { version: Known(Some(version)), source: running.socket.clone() })
    }

    /// Looks at the rest, knowing the files or not.
    pub(crate) fn examine(self, setup: Option<&Setup<'_>>, findings: &mut Vec<Finding>) -> Seen {
        let mut seen = Seen::default();
        match self.haproxy {
            Some(Ok(mut running)) => {
                let backends = setup.map(backends_with_agents).filter(|names| !names.is_empty());
                socket::examine(&mut running, backends.as_deref(), findings);
                seen.haproxy = Some(running);
            }
            Some(Err(unusable)) => findings.push(socket::unusable(&unusable)),
            None => {}
        }
        if self.arguments.agent.is_some() {
            let frame_size = setup.map_or(USUAL_FRAME_SIZE, frame_size);
            match remote::block_on(probe(self.arguments, frame_size)) {
                Ok(probe) => told::examine(&probe, setup.and_then(patience), &mut seen, findings),
                Err(error) => findings.push(told::cannot(&error)),
            }
        }
        seen
    }
}

/// The backends that hold the agents of the filters that mirror, each once.
fn backends_with_agents(setup: &Setup<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for backend in setup.mirrors().filter_map(|filter| setup.agents_of(filter)) {
        let name = backend.name().into_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What HAProxy with these files offers as max-frame-size.
fn frame_size(setup: &Setup<'_>) -> u32 {
    u32::try_from(setup.bufsize().saturating_sub(4))
        .unwrap_or(u32::MAX)
        .max(spop_proto::MIN_FRAME_SIZE)
}

/// The shortest `timeout processing` of the filters that mirror.
fn patience(setup: &Setup<'_>) -> Option<Duration> {
    let agents = setup.mirrors().filter_map(|filter| filter.spoe.as_ref()?.agent.as_ref());
    agents.filter_map(|agent| agent.lines.value(&["timeout", "processing"])?.time()).min()
}

async fn probe(arguments: LiveArgs, frame_size: u32) -> Result<Probe, String> {
    let LiveArgs { agent, send, admin, token_file, ca, .. } = arguments;
    let address = agent.ok_or("no agent is named")?;
    let admin = admin.map(|place| Client::new(place, token_file.as_deref(), ca)).transpose()?;
    // As HAProxy: a health check has a connection of its own.
    let check = match Peer::connect(&address, frame_size).await {
        Ok(mut peer) => peer.greet(true).await,
        Err(trouble) => Err(trouble),
    };
    if matches!(check, Err(Trouble::Unreachable(_))) {
        return Ok(Probe { address, check, traffic: None, test: None });
    }
    let mut peer = match Peer::connect(&address, frame_size).await {
        Ok(peer) => peer,
        Err(trouble) => {
            return Ok(Probe { address, check, traffic: Some(Err(trouble)), test: None });
        }
    };
    let traffic = peer.greet(false).await;
    let test = match (&traffic, send) {
        (Ok(_), Some(request)) => Some(test(&mut peer, request, admin.as_ref()).await),
        _ => None,
    };
    Ok(Probe { address, check, traffic: Some(traffic), test })
}

async fn test(peer: &mut Peer, request: TestRequest, admin: Option<&Client>) -> Test {
    let before = match admin {
        Some(admin) => Some((admin, copies::counters(admin).await)),
        None => None,
    };
    let acknowledged = request.send(peer).await;
    let copies = match before {
        Some((admin, Ok(before))) => Some(copies::outcomes(admin, &before).await),
        Some((_, Err(error))) => Some(Err(error)),
        None => None,
    };
    Test { id: request.id, acknowledged, copies }
}
