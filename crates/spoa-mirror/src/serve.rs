//! Being an agent, from the configuration to the last counter.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::Socket;
use spop_proto::{Action, Scope, Settings};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval_at, sleep};
use tracing::{info, warn};

use crate::admin;
use crate::agent::{self, Listener, Plan, Route, Workers};
use crate::cli::Process;
use crate::comparison::{Comparing, Standing};
use crate::config::{Config, LogFormat};
use crate::control::{Control, NotReloaded, Status};
use crate::history::{History, Recording};
use crate::log::{self, Sink};
use crate::os::pidfile::Pidfile;
use crate::os::{daemon, descriptors, systemd};
use crate::target::plan;

/// What was compared is kept this often.
const KEEPING: Duration = Duration::from_secs(30);

/// After a second signal the last counters are waited for no longer.
const LAST_COUNT: Duration = Duration::from_secs(1);

/// An agent that HAProxy's master process started binds again for this long: at a reload the one
/// before it still has the port for a moment.
const BIND_PATIENCE: Duration = Duration::from_secs(10);

/// Runs an agent until it is told to end; gives the program's exit code. `notes` are for the user.
#[must_use]
pub fn main(config: Config, process: &Process, notes: &[String]) -> ExitCode {
    if process.daemonize && !daemon::is_background() {
        return daemon::start();
    }
    let started = Instant::now();
    // Before the log's thread: the environment is changed.
    let sockets = systemd::sockets();
    let served = Sink::open(&config.log)
        .map_err(|error| {
            let file = config.log.file.as_ref().map(|file| file.path.display().to_string());
            format!("cannot open the log file {}: {error}", file.unwrap_or_default())
        })
        .and_then(|sink| {
            log::install(sink.clone(), &config.log);
            for note in notes {
                warn!("{note}");
            }
            let served =
                sockets.and_then(|sockets| serve(config, sockets, process, &sink, started));
            sink.flush();
            served
        });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::from(crate::EXIT_FAILURE)
        }
    }
}

fn serve(
    mut config: Config,
    sockets: Vec<Socket>,
    process: &Process,
    sink: &Sink,
    started: Instant,
) -> Result<(), String> {
    let max_connections = descriptors::fit(&mut config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot make an event loop: {error}"))?;
    let served = runtime.block_on(async {
        // HAProxy must not be let in before somebody answers it: names are looked up first.
        let targets = plan::targets(&config, &[]).await?;
        let listeners = listeners(&config, sockets).await?;
        let admin = patiently(|| admin::bind(&config.admin)).await?;
        let open = || History::wanted(&config).map_err(|error| error.to_string());
        let history = patiently(open).await?;
        let comparing = Comparing::wanted(&config, None)?;
        if let Some(comparing) = &comparing {
            comparing.restore(&history).await;
        }
        let plan = Plan {
            settings: settings(&config),
            route: Route::new(
                config.marker.clone(),
                targets.iter().map(|planned| planned.plan.clone()).collect(),
                comparing.as_ref().and_then(|comparing| comparing.configure(&config)),
            ),
            sink: sink.clone(),
            log: config.log.clone(),
            started,
            max_connections,
        };
        let workers = Workers::start(plan, config.agent.workers)
            .map_err(|error| format!("cannot start the workers: {error}"))?;
        let _pidfile = process.pidfile.as_deref().map(Pidfile::write).transpose()?;
        let mut signals = Signals::new().map_err(|error| format!("no signals: {error}"))?;
        let mut accepting = tokio::task::JoinSet::new();
        for listener in listeners {
            info!("listening on {}", listener.address);
            accepting.spawn(listener.serve(workers.handle()));
        }
        for target in &config.targets {
            info!("mirroring to {}", target.url);
        }
        if daemon::is_background() {
            daemon::detach().map_err(|error| format!("cannot go into the background: {error}"))?;
        }
        let (handle, in_force) = (workers.handle(), config.clone());
        let control = Control::new(handle, in_force, targets, comparing, history.clone(), started);
        let recording = Recording::start(&control);
        // Goes on while the agent drains, and ends with this block.
        let _admin = admin::Server::start(admin, &config.admin, control.clone());
        let mut informing = tokio::task::JoinSet::new();
        informing.spawn(systemd::keep_informed(control.clone()));
        let reporter = Reporter { config: &config, sink };
        let why = until_told_to_end(&config, &mut signals, &control, &reporter).await;
        control.drain();
        systemd::stopping(config.grace);
        info!("{why}: no new connections; copies under way get {:?}", config.grace);
        accepting.shutdown().await;
        let hurry = Arc::new(AtomicBool::new(false));
        let winding_down = workers.wind_down(Instant::now() + config.grace, Arc::clone(&hurry));
        tokio::pin!(winding_down);
        tokio::select! {
            last = &mut winding_down => {
                recording.finish(&last);
                control.finish_comparing().await;
                history.close().await;
                reporter.report(&control.status_of(last));
                return Ok(());
            }
            () = signals.end() => hurry.store(true, Ordering::Relaxed),
        }
        warn!("a second signal: ended at once");
        // A worker that does not even count any more must not hold up the end.
        if let Ok(last) = tokio::time::timeout(LAST_COUNT, winding_down).await {
            recording.finish(&last);
            let _ = tokio::time::timeout(LAST_COUNT, history.close()).await;
            reporter.report(&control.status_of(last));
        }
        Err("ended at once by a second signal".to_owned())
    });
    // Dropped, it would wait for a lookup of a name that nobody needs any more: half a minute when the
    // name server does not answer.
    runtime.shutdown_background();
    served
}

/// What is accepted from HAProxy.
pub(crate) fn settings(config: &Config) -> Settings {
    Settings {
        max_frame_size: config.agent.max_frame_size,
        max_message_size: config.agent.max_frame_size.max(1 << 20) as usize,
        fragmentation: true,
        ack_actions: ack_actions(config),
    }
}

fn ack_actions(config: &Config) -> Vec<u8> {
    let mut actions = Vec::new();
    if let Some(name) = &config.agent.ack_unset_var {
        Action::UnsetVar { scope: Scope::Transaction, name: name.as_bytes() }.encode(&mut actions);
    }
    actions
}

/// Listens for HAProxy: on the sockets that systemd opened, or else where the configuration says.
async fn listeners(config: &Config, sockets: Vec<Socket>) -> Result<Vec<Listener>, String> {
    let mut listeners: Vec<_> = sockets.into_iter().map(agent::inherit).collect();
    if !listeners.is_empty() {
        return Ok(listeners);
    }
    for address in &config.agent.listen {
        listeners.extend(patiently(|| agent::bind(address, config.agent.backlog)).await?);
    }
    Ok(listeners)
}

/// Binds; under HAProxy's master process, waits for the agent before to let go.
async fn patiently<T>(bind: impl Fn() -> Result<T, String>) -> Result<T, String> {
    let patience = if under_haproxy() { BIND_PATIENCE } else { Duration::ZERO };
    let deadline = Instant::now() + patience;
    loop {
        match bind() {
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
            bound => return bound,
        }
    }
}

/// Whether HAProxy's master process started us (a `program` section): it then ends us by SIGUSR1.
fn under_haproxy() -> bool {
    std::env::var_os("HAPROXY_MWORKER").is_some()
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    user1: Signal,
    /// Reloads the configuration file; without one, taken so that it does not end the agent when its
    /// terminal goes.
    hangup: Signal,
    user1_ends: bool,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            user1: signal(SignalKind::user_defined1())?,
            hangup: signal(SignalKind::hangup())?,
            user1_ends: under_haproxy(),
        })
    }

    /// A signal that ends the agent came.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Does the control plane's work until a signal or the end of `--runtime`; says which it was.
async fn until_told_to_end(
    config: &Config,
    signals: &mut Signals,
    control: &Control,
    reporter: &Reporter<'_>,
) -> &'static str {
    let start = tokio::time::Instant::now() + config.monitor_interval;
    let mut monitor = interval_at(start, config.monitor_interval);
    monitor.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let runtime = async {
        match config.runtime {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(runtime);
    let mut keeping = interval_at(tokio::time::Instant::now() + KEEPING, KEEPING);
    keeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = keeping.tick() => control.keep_comparison(),
            _ = monitor.tick() => reporter.report(&control.status().await),
            () = &mut runtime => return "the runtime is over",
            _ = signals.terminate.recv() => return "SIGTERM",
            _ = signals.interrupt.recv() => return "SIGINT",
            _ = signals.hangup.recv() => {
                if let Err(NotReloaded::NoFile) = control.reload("SIGHUP").await {
                    info!("SIGHUP: there is no configuration file to reload");
                }
            }
            _ = signals.user1.recv() => {
                if signals.user1_ends {
                    return "SIGUSR1 from HAProxy's master process";
                }
                reporter.sink.reopen();
                info!("log file reopened");
            }
        }
    }
}

/// Logs the counters.
struct Reporter<'a> {
    config: &'a Config,
    sink: &'a Sink,
}

impl Reporter<'_> {
    fn report(&self, status: &Status) {
        if self.config.log.level < tracing::Level::INFO {
            return;
        }
        let spop = &status.snapshot.spop;
        let current = status.targets.iter().map(|target| {
            let name = &target.shared.config.name;
            (name, &target.tally)
        });
        let tallies = current.chain(&status.removed);
        let mut lines = String::new();
        match self.config.log.format {
            LogFormat::Text => {
                // Writing to a String does not fail.
                let _ = writeln!(lines, "counters spop: {spop}");
                if let Some(comparison) = &status.comparison {
                    let _ = writeln!(lines, "counters comparison: {comparison}");
                }
                for (name, tally) in tallies {
                    let _ = writeln!(lines, "counters target {name}: {tally}");
                }
            }
            LogFormat::Json => {
                let targets: serde_json::Map<_, _> =
                    tallies.map(|(name, tally)| (name.clone(), tally.to_json())).collect();
                let object = serde_json::json!({
                    "level": "INFO",
                    "message": "counters",
                    "spop": spop.to_json(),
                    "comparison": status.comparison.as_ref().map(Standing::to_json),
                    "targets": targets,
                });
                let _ = writeln!(lines, "{object}");
            }
        }
        self.sink.info(lines.into_bytes());
    }
}
