//! A real HAProxy: with the configuration of the traffic mirroring guide, or with the one that hands over
//! production's answers, too.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::children::{Running, Scratch};

/// Where HAProxy is looked for besides PATH: an ordinary user's does not have these.
const SBIN: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// What is said where there is none.
pub(super) const NONE: &str =
    "HAProxy     none: a built-in SPOP client hands the requests to the agent";

/// The HAProxy to use: the one given, or the first one found.
pub(super) fn find(given: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SBIN.iter().map(PathBuf::from))
        .map(|directory| directory.join("haproxy"))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            "no HAProxy on PATH. Install it (`apt-get install haproxy`), name one with \
             `--haproxy PATH`, or see the demonstration without HAProxy: `spoa-mirror demo \
             --no-haproxy` hands the requests to the agent with a built-in SPOP client"
                .to_owned()
        })
}

pub(super) struct Haproxy {
    _process: Running,
    log: PathBuf,
    /// Where clients connect.
    pub(super) frontend: SocketAddr,
}

/// What HAProxy tells the agent of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// Requests, when they come.
    Requests,
    /// Requests and their answers, when these come.
    Exchanges,
}

impl Haproxy {
    pub(super) async fn start(
        binary: &Path,
        scratch: &Scratch,
        tells: Tells,
        production: SocketAddr,
        agent_port: u16,
    ) -> Result<Self, String> {
        let shown = binary.display();
        let version = Command::new(binary)
            .arg("-v")
            .output()
            .map_err(|error| format!("cannot run {shown}: {error}"))?;
        let version = String::from_utf8_lossy(&version.stdout);
        let version = version.lines().next().unwrap_or("unknown version").to_owned();
        let frontend = SocketAddr::from(([127, 0, 0, 1], super::free_port()?));
        let (name, spoe) = match tells {
            Tells::Requests => ("haproxy.cfg", REQUESTS_SPOE),
            Tells::Exchanges => ("haproxy-comparison.cfg", EXCHANGES_SPOE),
        };
        scratch.write("mirror.conf", spoe)?;
        let config = haproxy_cfg(frontend, tells, production, agent_port);
        let config = scratch.write(name, &config)?;
        let log = scratch.path().join("haproxy.log");
        let output = File::create(&log).map_err(|error| error.to_string())?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        let mut command = Command::new(binary);
        command.arg("-db").arg("-f").arg(&config).current_dir(scratch.path());
        command.stdout(output).stderr(errors);
        let mut process =
            Running::start(&mut command).map_err(|error| format!("cannot run {shown}: {error}"))?;
        // A configuration that it refuses ends it at once.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ended = process.has_ended();
        let command = format!("haproxy -db -f {}", config.display());
        super::show::line(&format!("HAProxy     {command} ({version})"));
        let started = Self { _process: process, log, frontend };
        if ended {
            return Err(started.explain("HAProxy ended at once"));
        }
        let ready = super::reachable(frontend, "HAProxy").await;
        ready.map_err(|message| started.explain(&message))?;
        Ok(started)
    }

    /// A message, and what HAProxy itself says.
    pub(super) fn explain(&self, message: &str) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        format!("{message}; HAProxy says:\n{log}")
    }
}

fn haproxy_cfg(
    frontend: SocketAddr,
    tells: Tells,
    production: SocketAddr,
    agent_port: u16,
) -> String {
    let rules = match tells {
        Tells::Requests => REQUESTS_RULES,
        Tells::Exchanges => EXCHANGES_RULES,
    };
    format!(
        "\
global
    log stderr local0 warning

defaults
    log global
    mode http
    option httplog
    timeout connect 5s
    timeout client 30s
    timeout server 30s

frontend shop
    bind {frontend}
    filter spoe engine mirror config mirror.conf
{rules}    default_backend production

backend production
    server web1 {production}

backend mirroragents
    mode tcp
    balance roundrobin
    timeout connect 5s
    timeout server 5s
    server agent1 127.0.0.1:{agent_port}
"
    )
}

const REQUESTS_RULES: &str = "\
    # SPOE hands over the body only if it is there when the request is.
    option http-buffer-request
";

const REQUESTS_SPOE: &str = "\
[mirror]

spoe-agent mirror
    log global
    messages mirror
    use-backend mirroragents
    timeout hello 500ms
    timeout idle 5s
    timeout processing 5s

spoe-message mirror
    args arg_method=method arg_path=url arg_ver=req.ver arg_hdrs=req.hdrs_bin arg_body=req.body
    event on-frontend-http-request
";

/// As in docs/COMPARISON.md, one message, but for each request.
const EXCHANGES_RULES: &str = "\
    unique-id-format %[uuid()]
    http-request wait-for-body time 10s
    http-request set-var(txn.m_id)   unique-id
    http-request set-var(txn.m_t0)   date(0,us)
    http-request set-var(txn.m_meth) method
    http-request set-var(txn.m_url)  url
    http-request set-var(txn.m_ver)  req.ver
    http-request set-var(txn.m_hdrs) req.hdrs_bin
    http-request set-var(txn.m_body) req.body
    http-request set-var(txn.m_size) req.body_size
    http-response set-var(txn.m_wait) bool(true)
    http-response wait-for-body time 10s
    http-response send-spoe-group mirror pair
";

const EXCHANGES_SPOE: &str = "\
[mirror]

spoe-agent mirror
    log global
    groups pair
    use-backend mirroragents
    timeout hello 500ms
    timeout idle 5s
    timeout processing 5s

spoe-message exchange
    args id=var(txn.m_id) method=var(txn.m_meth) url=var(txn.m_url) ver=var(txn.m_ver) hdrs=var(txn.m_hdrs) body=var(txn.m_body) body_size=var(txn.m_size) status=status res_hdrs=res.hdrs_bin res_body=res.body res_body_size=res.body_size res_body_waited=var(txn.m_wait) t_request=var(txn.m_t0) t_response=date(0,us)

spoe-group pair
    messages exchange
";
