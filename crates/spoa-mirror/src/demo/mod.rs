//! `spoa-mirror demo`: the agent at work on this machine, in two halves. First each request beside its
//! copies; then a candidate's answers against production's, until there is a verdict.
//!
//! The agent is this same program with a configuration file that a user could write; HAProxy is a
//! real one with a configuration of the documentation.

mod backend;
mod children;
mod comparing;
mod haproxy;
mod load;
mod mirroring;
mod planted;
mod shop;
mod show;
mod spop;
mod traffic;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use planted::Candidate;

/// How to show it.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// The HAProxy to use; otherwise the one on PATH
    #[arg(long, value_name = "PATH", conflicts_with = "no_haproxy")]
    haproxy: Option<PathBuf>,
    /// Use no HAProxy: a built-in SPOP client hands the requests to the agent
    #[arg(long)]
    no_haproxy: bool,
    /// What is compared with production
    #[arg(long, value_name = "KIND", default_value = "bad")]
    candidate: Candidate,
    /// End with the verdict; the exit code is 0 if each target got its copies, and the verdict names what was
    /// planted in the candidate and nothing else
    #[arg(long)]
    once: bool,
}

/// Something must begin, or arrive, in this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two requests, so that a person can read along.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows it; the exit code is 0 if all was as it should be.
#[must_use]
pub fn main(arguments: &DemoArgs) -> ExitCode {
    let shown = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| LocalSet::new().block_on(&runtime, demo(arguments)));
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
    let binary = binary.as_deref();
    let mut interrupts = Interrupts::new()?;
    let pause = if arguments.once { Duration::ZERO } else { PAUSE };
    let copies = mirroring::show(binary, pause, &mut interrupts).await?;
    if copies.is_interrupted {
        return Ok(copies.is_right);
    }
    let DemoArgs { candidate, once, .. } = *arguments;
    let is_right = comparing::show(binary, candidate, once, &mut interrupts).await?;
    Ok(copies.is_right && is_right)
}

/// Signals that end the demonstration: its processes must not stay behind.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> Result<Self, String> {
        let failed = |error: io::Error| format!("no signals: {error}");
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        Ok(Self { interrupt, terminate })
    }

    /// Waits for one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
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

/// A port on which nobody listens, another one at each call.
fn free_port() -> Result<u16, String> {
    /// Above the ports that Linux gives to outgoing connections: none of these takes it before we do.
    const FIRST: u16 = 61_000;
    const COUNT: u16 = 4_000;
    /// More than a demonstration needs, so that two at a time look at others.
    const EACH: u64 = 16;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u64::from(std::process::id()) * EACH;
    for _ in 0..COUNT {
        let step = u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from((start + step) % u64::from(COUNT)).unwrap_or(0);
        let port = FIRST + offset;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(format!("no free port on 127.0.0.1 from {FIRST} to {}", FIRST + COUNT))
}
