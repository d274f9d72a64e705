//! `spoa-mirror demo`: HAProxy, production, two targets and the agent on this machine, some traffic,
//! and each request beside its copies.
//!
//! The agent is this same program with a configuration file that a user could write; HAProxy is a
//! real one with the configuration of its traffic mirroring guide.

mod backend;
mod children;
mod haproxy;
mod show;
mod traffic;

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use backend::{Backend, Received};
use children::{Agent, Scratch};
use haproxy::Haproxy;
use traffic::{Client, SAMPLES, Sample};

/// How to show it.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// The HAProxy to use; otherwise the one on PATH
    #[arg(long, value_name = "PATH", conflicts_with = "no_haproxy")]
    haproxy: Option<PathBuf>,
    /// Use no HAProxy: a built-in SPOP client hands the requests to the agent
    #[arg(long)]
    no_haproxy: bool,
    /// Send each kind of request once, then end; the exit code is 0 if each target got its copies
    #[arg(long)]
    once: bool,
}

/// A request must arrive at production, and its copy at the shadow, in this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests, so that a person can read along.
const PAUSE: Duration = Duration::from_secs(2);

/// Shows it; the exit code is 0 if each target got the copies that it should.
#[must_use]
pub fn main(arguments: &DemoArgs) -> ExitCode {
    let shown = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(demo(arguments)));
    match shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(crate::EXIT_FAILURE),
        Err(message) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::from(crate::EXIT_FAILURE)
        }
    }
}

async fn demo(arguments: &DemoArgs) -> Result<bool, String> {
    let binary = if arguments.no_haproxy {
        None
    } else {
        Some(haproxy::find(arguments.haproxy.as_deref())?)
    };
    let scratch = Scratch::new()?;
    let mut production = Backend::start("production").await?;
    let mut targets = Targets {
        shadow: Backend::start("shadow").await?,
        canary: Backend::start("canary").await?,
    };
    let port = free_port()?;
    let config = targets.configuration(port);
    let agent = Agent::start(&scratch.write("spoa-mirror.toml", &config)?)?;
    show::line(&format!("production  http://{}", production.address));
    show::line(&format!("agent       {}", agent.command));
    show::line("");
    config.lines().for_each(|line| show::line(format!("    {line}").trim_end()));
    show::line("");
    reachable(([127, 0, 0, 1], port).into(), "the agent").await?;
    let mut haproxy = None;
    let mut client = match binary {
        Some(binary) => {
            let started = Haproxy::start(&binary, &scratch, production.address, port).await?;
            show::line(&format!("HAProxy     {} ({})", started.command, started.version));
            let address = started.frontend;
            reachable(address, "HAProxy").await.map_err(|message| started.explain(&message))?;
            haproxy = Some(started);
            Client::ThroughHaproxy(address)
        }
        None => {
            show::line("HAProxy     none: a built-in SPOP client hands the requests to the agent");
            Client::spop(port).await?
        }
    };
    let mut tally = Round::default();
    let interrupted = interrupted()?;
    tokio::pin!(interrupted);
    'rounds: loop {
        for sample in SAMPLES {
            let number = tally.sent + 1;
            tokio::select! {
                round = show_one(number, sample, &mut client, &mut production, &mut targets) => {
                    tally.count(sample, round?);
                }
                () = &mut interrupted => break 'rounds,
            }
            if !arguments.once {
                tokio::select! {
                    () = sleep(PAUSE) => {}
                    () = &mut interrupted => break 'rounds,
                }
            }
        }
        if arguments.once {
            break;
        }
    }
    drop(client);
    drop(haproxy);
    show::line("");
    show::line("The agent's counters:");
    for line in agent.end()? {
        show::line(&format!("  {line}"));
    }
    // What it was not to get would be here by now.
    tally.astray = targets.canary.received.try_recv().is_ok();
    show::line(&tally.to_string());
    Ok(tally.is_right())
}

/// Where copies go.
struct Targets {
    /// Gets everything as it is.
    shadow: Backend,
    /// Gets what some users do, without what makes them recognisable.
    canary: Backend,
}

impl Targets {
    fn configuration(&self, port: u16) -> String {
        let (shadow, canary) = (self.shadow.address, self.canary.address);
        format!(
            "\
[agent]
listen = [\"127.0.0.1:{port}\"]

[log]
copies = \"none\"
interval = \"1h\"

[[target]]                      # everything, as it is
name = \"shadow\"
url = \"http://{shadow}\"

[[target]]                      # half of the sessions, and no credentials
name = \"canary\"
url = \"http://{canary}\"
sample = {{ percent = 50, by = \"cookie:session\", without-key = \"skip\" }}
authorization = \"remove\"
cookies = \"remove\"
headers = {{ set = {{ x-env = \"canary\" }} }}
"
        )
    }
}

/// Ready once somebody ends the demonstration: its processes must not stay behind.
fn interrupted() -> Result<impl Future<Output = ()>, String> {
    let failed = |error: io::Error| format!("no signals: {error}");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// What was sent and what arrived.
#[derive(Default)]
struct Round {
    sent: u32,
    copied: u32,
    /// Requests of sessions that are in canary's sample.
    sampled: u32,
    sampled_copied: u32,
    /// Whether canary got something else.
    astray: bool,
}

/// Which targets a copy arrived at.
#[derive(Clone, Copy)]
struct Arrived {
    shadow: bool,
    canary: bool,
}

impl Round {
    fn count(&mut self, sample: &Sample, arrived: Arrived) {
        self.sent += 1;
        self.copied += u32::from(arrived.shadow);
        self.sampled += u32::from(sample.canary);
        self.sampled_copied += u32::from(arrived.canary);
    }

    fn is_right(&self) -> bool {
        self.sent > 0
            && self.copied == self.sent
            && self.sampled_copied == self.sampled
            && !self.astray
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} requests were copied to shadow, {} of the {} in its sample to canary.",
            self.copied, self.sent, self.sampled_copied, self.sampled
        )?;
        if self.astray { f.write_str(" Canary got others, too.") } else { Ok(()) }
    }
}

/// Sends one request and shows it beside its copies; which of them there are.
async fn show_one(
    number: u32,
    sample: &Sample,
    client: &mut Client,
    production: &mut Backend,
    targets: &mut Targets,
) -> Result<Arrived, String> {
    let id = format!("demo-{number}");
    let (answer, seen) = match client {
        Client::ThroughHaproxy(address) => {
            let status = traffic::send(*address, sample, &id).await?;
            let seen = arrived(production, &id)
                .await
                .ok_or_else(|| format!("production did not receive request {id}"))?;
            (format!("the client got {status}"), seen)
        }
        Client::Spop(spop) => {
            let seen = spop.notify(sample, &id).await?;
            ("acknowledged".to_owned(), seen)
        }
    };
    let copy = arrived(&mut targets.shadow, &id).await;
    show::pair(number, sample.title, &answer, &seen, copy.as_ref());
    let second = if sample.canary { arrived(&mut targets.canary, &id).await } else { None };
    match &second {
        Some(copy) => show::difference("canary", &seen, copy),
        None if sample.canary => show::line("   NO COPY ARRIVED AT canary"),
        None => show::line("   canary: not in its sample"),
    }
    Ok(Arrived { shadow: copy.is_some(), canary: second.is_some() })
}

/// The request with this id at a backend.
async fn arrived(backend: &mut Backend, id: &str) -> Option<Received> {
    timeout(PATIENCE, async {
        loop {
            let received = backend.received.recv().await?;
            if received.has_id(id) {
                return Some(received);
            }
        }
    })
    .await
    .ok()
    .flatten()
}

/// Waits until somebody listens.
async fn reachable(address: SocketAddr, who: &str) -> Result<(), String> {
    let connected = timeout(PATIENCE, async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    connected.await.map_err(|_| format!("{who} did not begin to listen on {address}"))
}

fn free_port() -> Result<u16, String> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}
