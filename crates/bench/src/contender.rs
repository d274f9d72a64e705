//! Who is measured.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use testbed::agent::Agent;
use testbed::wait;

use crate::case::{Case, Load, Target};
use crate::nginx::CA;
use crate::{beside_us, configuration};

/// The names of those that others are compared with, and of the one that must be good.
pub(crate) const NO_SPOE: &str = "no SPOE";
pub(crate) const ACKNOWLEDGING: &str = "only acknowledges";
pub(crate) const OURS: &str = "spoa-mirror";

/// Somebody to measure.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// HAProxy without SPOE.
    None,
    /// The agent that only acknowledges, and a client that only sends what would be copies.
    Acknowledging,
    /// Our agent.
    Ours(PathBuf),
    /// nginx in HAProxy's place, with its `mirror` directive.
    NginxMirror,
    /// Another agent.
    Peer(String),
}

impl Contender {
    pub(crate) fn none() -> Self {
        Self { name: NO_SPOE.to_owned(), kind: Kind::None }
    }

    pub(crate) fn acknowledging() -> Self {
        Self { name: ACKNOWLEDGING.to_owned(), kind: Kind::Acknowledging }
    }

    pub(crate) fn ours(program: &Path) -> Self {
        Self { name: OURS.to_owned(), kind: Kind::Ours(program.to_owned()) }
    }

    pub(crate) fn nginx_mirror() -> Self {
        Self { name: "nginx mirror".to_owned(), kind: Kind::NginxMirror }
    }

    pub(crate) fn peer(command: &str) -> Self {
        let program = command.split_whitespace().next().unwrap_or_default();
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        Self { name: name.into_owned(), kind: Kind::Peer(command.to_owned()) }
    }

    /// Whether the case has something to tell of it: it can do what is asked for, and the case is not one of
    /// those that differ from another only in targets, which it does not know.
    pub(crate) fn takes(&self, case: &Case) -> bool {
        let haproxy = !matches!(case.load, Load::Spop { .. });
        match self.kind {
            Kind::None => case.base == case.name && haproxy,
            Kind::Acknowledging => case.base == case.name,
            Kind::Ours(_) => true,
            Kind::NginxMirror => {
                case.rivals
                    && haproxy
                    && !matches!(case.target, Target::H2c | Target::Everything)
                    && case.sample == 100
                    && case.bufsize == 16384
            }
            Kind::Peer(_) => {
                case.rivals
                    && case.sample == 100
                    && matches!(case.target, Target::Http1 | Target::Slow | Target::Down)
            }
        }
    }

    /// Whether it sends copies.
    pub(crate) fn mirrors(&self) -> bool {
        !matches!(self.kind, Kind::None | Kind::Acknowledging)
    }

    /// Starts the agent at `address`, if it is one.
    pub(crate) fn start(
        &self,
        case: &Case,
        address: SocketAddr,
        targets: &[String],
        directory: &Path,
    ) -> Option<Agent> {
        let agent = match &self.kind {
            Kind::None | Kind::NginxMirror => return None,
            Kind::Acknowledging => Agent::start(beside_us("acknowledge"), [address.to_string()]),
            Kind::Ours(program) => {
                let file = directory.join("spoa-mirror.toml");
                let ca = directory.join(CA);
                let text = configuration::text(case, address, targets, &ca, directory);
                std::fs::write(&file, text).unwrap();
                let config = [PathBuf::from("--config"), file];
                Agent::start(program, config)
            }
            Kind::Peer(command) => {
                let command = command
                    .replace("{port}", &address.port().to_string())
                    .replace("{url}", targets.first().map_or("", String::as_str));
                Agent::start("/bin/sh", ["-c".to_owned(), format!("exec {command}")])
            }
        };
        let listens = || std::net::TcpStream::connect(address).is_ok();
        wait::holds(wait::LIMIT, "the agent listens", listens);
        Some(agent)
    }
}
