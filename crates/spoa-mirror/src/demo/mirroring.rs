//! The first half: HAProxy, production, two targets and the agent, some traffic, and each request beside its
//! copies.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::backend::{Backend, Received};
use super::children::{Agent, Scratch};
use super::haproxy::{self, Haproxy, Tells};
use super::traffic::{self, Client, SAMPLES, Sample};
use super::{Interrupts, PATIENCE, free_port, reachable, show};

/// What came of it.
pub(super) struct Shown {
    /// Each target got the copies that it should.
    pub(super) is_right: bool,
    /// Somebody ended it.
    pub(super) is_interrupted: bool,
}

/// Shows each kind of request once.
pub(super) async fn show(
    binary: Option<&Path>,
    pause: Duration,
    interrupts: &mut Interrupts,
) -> Result<Shown, String> {
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
    show::file(&config);
    reachable(([127, 0, 0, 1], port).into(), "the agent").await?;
    let mut haproxy = None;
    let mut client = match binary {
        Some(binary) => {
            let tells = Tells::Requests;
            let started = Haproxy::start(binary, &scratch, tells, production.address, port).await?;
            let address = started.frontend;
            haproxy = Some(started);
            Client::ThroughHaproxy(address)
        }
        None => {
            show::line(haproxy::NONE);
            Client::spop(port).await?
        }
    };
    let mut tally = Round::default();
    let mut is_interrupted = false;
    for sample in SAMPLES {
        let number = tally.sent + 1;
        let one = async {
            let arrived =
                show_one(number, sample, &mut client, &mut production, &mut targets).await;
            tally.count(sample, arrived?);
            sleep(pause).await;
            Ok::<_, String>(())
        };
        tokio::select! {
            shown = one => shown?,
            () = interrupts.next() => {
                is_interrupted = true;
                break;
            }
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
    Ok(Shown { is_right: tally.is_right(), is_interrupted })
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
            let seen = traffic::notify(spop, sample, &id).await?;
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
