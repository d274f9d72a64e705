//! Who is measured.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use testbed::agent::Agent;
use testbed::wait;

use crate::case::{Case, Target};

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
        Self { name: "no SPOE".to_owned(), kind: Kind::None }
    }

    pub(crate) fn acknowledging() -> Self {
        Self { name: "only acknowledges".to_owned(), kind: Kind::Acknowledging }
    }

    pub(crate) fn ours(program: &Path) -> Self {
        Self { name: "spoa-mirror".to_owned(), kind: Kind::Ours(program.to_owned()) }
    }

    pub(crate) fn nginx_mirror() -> Self {
        Self { name: "nginx mirror".to_owned(), kind: Kind::NginxMirror }
    }

    pub(crate) fn peer(command: &str) -> Self {
        let program = command.split_whitespace().next().unwrap_or_default();
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        Self { name: name.into_owned(), kind: Kind::Peer(command.to_owned()) }
    }

    /// Whether it can do what the case asks for.
    pub(crate) fn takes(&self, case: &Case) -> bool {
        match self.kind {
            Kind::None | Kind::Acknowledging | Kind::Ours(_) => true,
            Kind::NginxMirror => {
                case.target != Target::H2c && case.sample == 100 && case.bufsize == 16384
            }
            Kind::Peer(_) => {
                case.sample == 100
                    && matches!(case.target, Target::Http1 | Target::Slow | Target::Down)
            }
        }
    }

    /// Starts the agent at `address`, if it is one.
    pub(crate) fn start(
        &self,
        case: &Case,
        address: SocketAddr,
        targets: &[String],
        ca: &Path,
        directory: &Path,
    ) -> Option<Agent> {
        let agent = match &self.kind {
            Kind::None | Kind::NginxMirror => return None,
            Kind::Acknowledging => Agent::start(beside_us("acknowledge"), [address.to_string()]),
            Kind::Ours(program) => {
                let file = directory.join("spoa-mirror.toml");
                let text = configuration(case, address, targets, ca);
                std::fs::write(&file, text).unwrap();
                let config = [PathBuf::from("--config"), file];
                Agent::start(program, config)
            }
            Kind::Peer(command) => {
                let command = command
                    .replace("{port}", &address.port().to_string())
                    .replace("{url}", targets.first().map_or("", String::as_str));
                let agent = Agent::start("/bin/sh", ["-c".to_owned(), format!("exec {command}")]);
                let listens = || std::net::TcpStream::connect(address).is_ok();
                wait::holds(wait::LIMIT, "the peer listens", listens);
                return Some(agent);
            }
        };
        agent.wait_line(wait::LIMIT, |line| line.contains("listening on"));
        Some(agent)
    }
}

/// A program that was built along with this one.
pub(crate) fn beside_us(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}

fn configuration(case: &Case, address: SocketAddr, targets: &[String], ca: &Path) -> String {
    let mut text = format!("[agent]\nlisten = [\"{address}\"]\n[log]\ncopies = \"none\"\n");
    for (number, url) in targets.iter().enumerate() {
        text += &format!("[[target]]\nname = \"t{number}\"\nurl = \"{url}\"\n");
        match case.target {
            Target::H2c => text += "http = \"2\"\n",
            Target::Tls => {
                text += &format!("http = \"1.1\"\ntls = {{ ca = \"{}\" }}\n", ca.display());
            }
            _ => {}
        }
        if case.sample < 100 {
            text += &format!("sample = {}\n", case.sample);
        }
    }
    text
}
