//! The second half: a candidate's answers against production's, with a baseline to know noise by, until
//! there is a verdict.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::children::{Agent, Scratch};
use super::haproxy::{self, Haproxy, Tells};
use super::load::{Load, Way};
use super::planted::{Candidate, Planted, is_deserved, unexpected};
use super::shop::{REPORT_TIME, Shop};
use super::{Interrupts, free_port, reachable, show};
use crate::admin::comparison::view::{AnswerView, VerdictView, VerdictsView};
use crate::remote::{self, Client, Place};

/// Requests that are judged before the demonstration believes that nothing else will be found.
const ENOUGH: u64 = 4000;
/// The verdict is asked for so often,
const ASK: Duration = Duration::from_secs(1);
/// and told of at each of so many times.
const TELL: u32 = 4;
/// Time for the verdict, on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(300);

/// Shows it; whether the verdict is what the candidate deserves, for the planted reasons and no others.
pub(super) async fn show(
    binary: Option<&Path>,
    candidate: Candidate,
    once: bool,
    interrupts: &mut Interrupts,
) -> Result<bool, String> {
    let scratch = Scratch::new()?;
    let shops = Shops::open(candidate).await?;
    let (port, admin) = (free_port()?, free_port()?);
    let config = shops.configuration(port, admin);
    let agent = Agent::start(&scratch.write("spoa-mirror.toml", &config)?)?;
    shops.show(candidate);
    let dashboard = format!("dashboard   http://127.0.0.1:{admin}/");
    show::line(&dashboard);
    show::line(&format!("agent       {}", agent.command));
    show::file(&config);
    for (port, who) in [(port, "the agent"), (admin, "the agent's admin API")] {
        reachable(([127, 0, 0, 1], port).into(), who).await?;
    }
    let haproxy = match binary {
        Some(binary) => {
            let tells = Tells::Exchanges;
            Some(Haproxy::start(binary, &scratch, tells, shops.production, port).await?)
        }
        None => {
            show::line(haproxy::NONE);
            None
        }
    };
    let way = match &haproxy {
        Some(haproxy) => Way::Haproxy(haproxy.frontend),
        None => Way::Spop(shops.production, port),
    };
    let place: Place = format!("127.0.0.1:{admin}").parse()?;
    let client = Client::new(place, None, None)?;
    let load = Load::start(way);
    show::line("");
    let mut watch = Watch { candidate, began: Instant::now(), is_right: None };
    let mut ticks = interval(ASK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 1_u32.. {
        tokio::select! {
            _ = ticks.tick() => {}
            () = interrupts.next() => break,
        }
        if let Some(message) = load.failure() {
            return Err(haproxy.map_or(message.clone(), |haproxy| haproxy.explain(&message)));
        }
        let view = ask(&client).await?;
        if tick % TELL == 0 || watch.is_over(&view) {
            watch.progress(load.sent(), &view);
        }
        if watch.is_over(&view) {
            watch.end(&view, client.place());
            if once {
                break;
            }
            show::line("");
            show::line(&format!("{dashboard}   (it goes on; Ctrl-C ends it)"));
            show::line("");
        }
    }
    Ok(watch.is_right.unwrap_or(!once))
}

/// Three instances of the shop.
struct Shops {
    production: SocketAddr,
    candidate: SocketAddr,
    baseline: SocketAddr,
}

impl Shops {
    async fn open(candidate: Candidate) -> Result<Self, String> {
        let open = |name, is| Shop { name, is }.open();
        Ok(Self {
            production: open("production", Candidate::Good).await?,
            candidate: open("candidate", candidate).await?,
            baseline: open("baseline", Candidate::Good).await?,
        })
    }

    fn show(&self, candidate: Candidate) {
        let planted = Planted::in_candidate(candidate).len();
        let changes = match planted {
            0 => "and behaves alike".to_owned(),
            _ => format!("with {planted} changes for the worse"),
        };
        show::line("");
        show::line("A candidate against production");
        show::line("");
        show::line(&format!("production  http://{}  version 1 of a little shop", self.production));
        show::line(&format!("candidate   http://{}  version 2, {changes}", self.candidate));
        show::line(&format!(
            "baseline    http://{}  version 1: its differences are noise",
            self.baseline
        ));
    }

    fn configuration(&self, port: u16, admin: u16) -> String {
        let (candidate, baseline) = (self.candidate, self.baseline);
        let slack = REPORT_TIME.as_millis();
        format!(
            "\
[agent]
listen = [\"127.0.0.1:{port}\"]

[admin]
listen = \"127.0.0.1:{admin}\"

[log]
copies = \"none\"
interval = \"1h\"

[comparison]
run = \"version 2\"

[comparison.verdict]
pairs = {ENOUGH}                    # before it is a pass
control-pairs = 100             # of an endpoint, before anything there is a difference
latency = {{ p50 = 1.5, slack = \"{slack}ms\" }}

[[target]]                      # the version under test
name = \"candidate\"
url = \"http://{candidate}\"
compare = true

[[target]]                      # production's version once more: what differs here is noise
name = \"baseline\"
url = \"http://{baseline}\"
compare = \"baseline\"
"
        )
    }
}

async fn ask(client: &Client) -> Result<VerdictsView, String> {
    let body = client.ask(Method::GET, "/api/v1/verdict").await?;
    serde_json::from_slice(&body).map_err(|error| format!("the verdict is unreadable: {error}"))
}

/// What becomes of the verdict.
struct Watch {
    candidate: Candidate,
    began: Instant,
    /// Once it is over: whether the verdict was as deserved.
    is_right: Option<bool>,
}

impl Watch {
    fn progress(&self, sent: u64, view: &VerdictsView) {
        let Some(verdict) = view.targets.first() else { return };
        let seconds = self.began.elapsed().as_secs();
        let VerdictView { counted, requests, .. } = verdict;
        let answer = remote::verdict_word(view.answer);
        show::line(&format!(
            "{seconds:>4} s  {sent:>6} requests  {counted:>6} pairs  {requests:>6} judged  {answer}"
        ));
    }

    /// Whether there is something to say that was not said yet.
    fn is_over(&self, view: &VerdictsView) -> bool {
        let Some(verdict) = view.targets.first() else { return false };
        let is_found = verdict.requests >= ENOUGH && is_deserved(self.candidate, verdict);
        let is_wrong = !unexpected(self.candidate, verdict).is_empty();
        self.is_right.is_none() && (is_found || is_wrong || self.began.elapsed() > LIMIT)
    }

    /// Tells the verdict, and what of it was planted.
    fn end(&mut self, view: &VerdictsView, place: &Place) {
        let Some(verdict) = view.targets.first() else { return };
        show::line("");
        show::line(remote::verdict_text(view, place).trim_end());
        show::line("");
        let planted = Planted::in_candidate(self.candidate);
        if planted.is_empty() {
            show::line("Planted in version 2: nothing.");
        } else {
            show::line("Planted in version 2:");
        }
        for one in planted {
            let (mark, said) =
                if one.is_named(verdict) { ('✓', "") } else { ('✗', ": NOT FOUND") };
            show::line(&format!("{mark} {}: {}{said}", one.endpoint(), one.what));
        }
        for reason in unexpected(self.candidate, verdict) {
            let place = reason.place.as_deref().unwrap_or_default();
            show::line(&format!("✗ {}: {} {place} WAS NOT PLANTED", reason.endpoint, reason.kind));
        }
        let is_right = is_deserved(self.candidate, verdict);
        let seconds = self.began.elapsed().as_secs();
        show::line(&match (is_right, planted.len(), verdict.answer) {
            (true, 0, _) => format!("Nothing was found, after {seconds} s."),
            (true, all, _) => {
                format!("All {all} were found, and nothing else, after {seconds} s.")
            }
            (false, _, AnswerView::NotEnoughData) => {
                format!("Too little was compared in {seconds} s; is the machine very busy?")
            }
            (false, ..) => "The verdict is not what it should be.".to_owned(),
        });
        self.is_right = Some(is_right);
    }
}
