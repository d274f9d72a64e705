//! `spoa-mirror demo`: HAProxy, production, shadow and agent on this machine, some traffic, and each
//! request beside its copy.
//!
//! The agent is this same program, started with the command line that a user would write; HAProxy is
//! a real one with the configuration of its traffic mirroring guide.

mod backend;
mod children;
mod haproxy;
mod show;
mod traffic;

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
    /// Send each kind of request once, then end; the exit code is 0 if all were copied
    #[arg(long)]
    once: bool,
}

/// A request must arrive at production, and its copy at the shadow, in this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests, so that a person can read along.
const PAUSE: Duration = Duration::from_secs(2);

/// Shows it; the exit code is 0 if every request was copied.
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
    let mut shadow = Backend::start("shadow").await?;
    let port = free_port()?;
    let agent = Agent::start(port, shadow.address)?;
    show::line(&format!("production  http://{}", production.address));
    show::line(&format!("shadow      http://{}", shadow.address));
    show::line(&format!("agent       {}", agent.command));
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
                round = show_one(number, sample, &mut client, &mut production, &mut shadow) => {
                    tally.sent += 1;
                    tally.copied += u32::from(round?);
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
    show::line(&format!("{} of {} requests were copied.", tally.copied, tally.sent));
    Ok(tally.sent > 0 && tally.copied == tally.sent)
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

#[derive(Default)]
struct Round {
    sent: u32,
    copied: u32,
}

/// Sends one request and shows it beside its copy; whether there is one.
async fn show_one(
    number: u32,
    sample: &Sample,
    client: &mut Client,
    production: &mut Backend,
    shadow: &mut Backend,
) -> Result<bool, String> {
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
    let copy = arrived(shadow, &id).await;
    show::pair(number, sample.title, &answer, &seen, copy.as_ref());
    Ok(copy.is_some())
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
