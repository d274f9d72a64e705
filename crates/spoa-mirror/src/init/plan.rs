//! What the command line asks for, checked: everything that the files are made of.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::admin::{AdminAddress, check_access};
use crate::config::{AdminConfig, ListenAddress, MirrorUrl};
use crate::doctor::assumed::Assumed;
use crate::doctor::setup::Known;

use super::InitArgs;

/// More targets than anybody has; the agent's configuration bears 1000.
const MOST_TARGETS: usize = 100;
/// More agents than anybody has.
const MOST_AGENTS: usize = 100;
/// The largest body. HAProxy has copies of its buffers on the stack: 2.6 and 3.0 crash with buffers of 8 MiB.
const MOST_BODY: u64 = 1 << 20;
/// What a buffer has room for besides bodies: lines and headers, and the frame around them.
pub(super) const ROOM: u64 = 16 << 10;

/// What the files shall do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) targets: Vec<Target>,
    /// Whether production's answers are handed over as well.
    pub(super) compare: bool,
    pub(super) agents: Vec<Agent>,
    pub(super) admin: ListenAddress,
    pub(super) assumed: Assumed,
    pub(super) share: Share,
    /// The longest body that is copied, bytes.
    pub(super) max_body: u64,
    /// `timeout processing`.
    pub(super) timeout: Duration,
    /// Where mirror.conf and mirror.map will be: absolute.
    pub(super) directory: String,
}

/// Where copies go.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) url: MirrorUrl,
}

/// Where HAProxy reaches an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    /// An address, or a name of letters, digits, `.`, `-` and `_`.
    pub(super) host: String,
    pub(super) port: u16,
}

/// A share of requests, in parts of 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share(pub(super) u32);

impl Plan {
    /// Checks what clap cannot.
    pub(super) fn of(arguments: InitArgs) -> Result<Self, String> {
        let assumed = match (arguments.haproxy_version, &arguments.haproxy_binary) {
            (Some(Known(Some(version))), _) => Assumed::told(version),
            (Some(Known(None)), _) => Assumed::default(),
            (None, Some(binary)) => Assumed::asked(binary)?,
            (None, None) => Assumed::installed(),
        };
        if assumed.version.is_before((2, 6)) {
            return Err(format!(
                "{}: what is written needs HAProxy 2.6 or later; for older ones see README.md, \"Set it up\"",
                assumed.version
            ));
        }
        if arguments.agent.len() > MOST_AGENTS {
            return Err(format!("--agent: no more than {MOST_AGENTS}"));
        }
        for (index, agent) in arguments.agent.iter().enumerate() {
            if arguments.agent.iter().take(index).any(|other| other == agent) {
                return Err(format!("--agent {agent} is there twice"));
            }
        }
        let usual = if arguments.compare { 24 << 10 } else { 48 << 10 };
        let max_body = arguments.max_body.unwrap_or(usual);
        if !(1 << 10..=MOST_BODY).contains(&max_body) {
            return Err("--max-body: the allowed range is 1k to 1M".to_owned());
        }
        let timeout = arguments.timeout;
        let whole = timeout.subsec_nanos() % 1_000_000 == 0;
        if !whole || !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(&timeout) {
            return Err(
                "--timeout: the allowed range is 1ms to 1m, in whole milliseconds".to_owned()
            );
        }
        Ok(Self {
            targets: targets(&arguments.target)?,
            compare: arguments.compare,
            agents: arguments.agent,
            admin: admin(arguments.admin)?,
            assumed,
            share: arguments.percent,
            max_body,
            timeout,
            directory: directory(arguments.haproxy_dir, arguments.haproxy.as_deref())?,
        })
    }

    pub(super) fn version(&self) -> Known {
        self.assumed.version
    }

    /// What HAProxy's buffers must hold: request and answer, if both are handed over, and what is around them.
    pub(super) fn bufsize(&self, room: u64) -> u64 {
        let bodies = if self.compare { 2 * self.max_body } else { self.max_body };
        (bodies + room).next_multiple_of(4096)
    }

    /// A file beside HAProxy's.
    pub(super) fn beside(&self, name: &str) -> String {
        format!("{}/{name}", self.directory.trim_end_matches('/'))
    }

    /// Where an agent serves its admin API. Of agents on one machine each needs a port of its own.
    pub(super) fn admin_of(&self, index: usize) -> String {
        let before = self.agents.iter().take(index);
        let host = self.agents.get(index).map(|agent| &agent.host);
        let twins = before.filter(|agent| Some(&agent.host) == host).count();
        let twins = u16::try_from(twins).unwrap_or(u16::MAX);
        match &self.admin {
            ListenAddress::Tcp(host, port) => {
                ListenAddress::Tcp(host.clone(), port.saturating_add(twins)).to_string()
            }
            ListenAddress::Unix(path) if twins == 0 => format!("unix:{}", path.display()),
            ListenAddress::Unix(path) => format!("unix:{}.{}", path.display(), twins + 1),
        }
    }

    /// Whether several agents have the same address, and so the same machine.
    pub(super) fn shares_machine(&self) -> bool {
        let hosts = self.agents.iter().map(|agent| &agent.host);
        hosts.collect::<std::collections::BTreeSet<_>>().len() < self.agents.len()
    }
}

impl Agent {
    pub(super) fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    /// Whether only its own machine reaches it.
    pub(super) fn is_loopback(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Where the agent listens. What its name means on its own machine may be another address than for HAProxy.
    pub(super) fn listen(&self) -> String {
        if self.is_name() { format!("0.0.0.0:{}", self.port) } else { self.to_string() }
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Agent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "an agent is HOST:PORT, such as 10.0.0.5:12345";
        let (host, port) = text.rsplit_once(':').ok_or(FORM)?;
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match literal.unwrap_or(host) {
            "localhost" => "127.0.0.1",
            host => host,
        };
        let port = port.parse().ok().filter(|port| *port > 0).ok_or(FORM)?;
        let address = host.parse::<IpAddr>().ok();
        if address.is_some_and(|address| address.is_unspecified()) {
            return Err(format!("HAProxy cannot connect to {host}: name the agent's own address"));
        }
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_name = (1..=253).contains(&host.len()) && host.bytes().all(name);
        let allowed = match literal {
            Some(_) => address.is_some_and(|address| address.is_ipv6()),
            None => is_name,
        };
        if !allowed {
            return Err(FORM.to_owned());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl Share {
    /// As a person writes it: `10`, `0.5`.
    pub(super) fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "a share is a number from 0 to 100, with two decimals at most";
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || whole.len() > 3 || decimals.len() > 2 {
            return Err(FORM.to_owned());
        }
        let parts = format!("{whole}{decimals:0<2}").parse().ok().filter(|parts| *parts <= 10_000);
        parts.map(Self).ok_or_else(|| FORM.to_owned())
    }
}

fn targets(urls: &[String]) -> Result<Vec<Target>, String> {
    if urls.len() > MOST_TARGETS {
        return Err(format!("--target: no more than {MOST_TARGETS}"));
    }
    let mut targets: Vec<Target> = Vec::new();
    for text in urls {
        if text.contains('@') {
            // Not shown: it is secret.
            return Err("--target: a URL with user and password is refused, so that they stand in no file. \
                        Leave them out of the URL, write `authorization = { basic = \"${STAGING_LOGIN}\" }` \
                        into the [[target]] of spoa-mirror.toml, and STAGING_LOGIN=user:password into \
                        /etc/spoa-mirror/environment"
                .to_owned());
        }
        let url: MirrorUrl = text.parse().map_err(|error| format!("--target {text:?}: {error}"))?;
        if url.host.len() > 253 {
            return Err(format!("--target {text:?}: the host is too long"));
        }
        let name = name(&url, &targets);
        targets.push(Target { name, url });
    }
    Ok(targets)
}

/// The host, with a number where that is taken already.
fn name(url: &MirrorUrl, taken: &[Target]) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '-' };
    let host: String = url.host.chars().map(allowed).take(56).collect();
    let is_taken = |name: &str| taken.iter().any(|target| target.name == name);
    let numbered = (2..).map(|number| format!("{host}#{number}"));
    let mut names = std::iter::once(host.clone()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or(host)
}

fn admin(address: AdminAddress) -> Result<ListenAddress, String> {
    let config = AdminConfig { listen: vec![address.0.clone()], ..AdminConfig::default() };
    check_access(&config).map_err(|error| format!("--admin: {error}"))?;
    if address.0.to_string().contains(char::is_control) {
        return Err("--admin: a path with control characters".to_owned());
    }
    Ok(address.0)
}

/// The directory that HAProxy reads mirror.conf and mirror.map from. It runs in another one, so that it is absolute.
fn directory(given: Option<PathBuf>, haproxy: Option<&Path>) -> Result<String, String> {
    let beside = |path: &Path| path.parent().map(Path::to_owned);
    let path = match (given, haproxy) {
        (Some(given), _) => given,
        (None, Some(haproxy)) => {
            let whole = std::path::absolute(haproxy).map_err(|error| error.to_string())?;
            beside(&whole).unwrap_or_default()
        }
        (None, None) => PathBuf::from("/etc/haproxy"),
    };
    let path =
        std::path::absolute(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = path.to_str().ok_or_else(|| format!("{path:?} is no UTF-8"))?;
    // HAProxy's files have no way to write some of them, and comments end with the line.
    if text.contains(char::is_control) {
        return Err(format!("{path:?}: control characters cannot be written into HAProxy's files"));
    }
    // A line of HAProxy's has 2048 bytes, and this stands in it.
    if text.len() > 1000 {
        return Err("the path of HAProxy's directory is longer than 1000 bytes".to_owned());
    }
    Ok(text.to_owned())
}
