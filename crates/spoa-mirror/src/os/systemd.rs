//! systemd, where it started the program: what is told to it, and the sockets that it opened.
//!
//! Without the environment variables that systemd sets, nothing here does anything.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use socket2::Socket;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};

use crate::control::{Control, Status};

/// Names the socket that systemd reads messages from.
const SOCKET: &str = "NOTIFY_SOCKET";

/// What systemd has to know is sent for so long, should systemd be busy.
const PATIENCE: Duration = Duration::from_secs(1);

/// What `FileDescriptorName=` says of a socket for HAProxy's connections.
const SPOP: &str = "spop";

/// The status is told this often, where no watchdog asks for more.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Workers that were silent are asked again after the watchdog's time divided by this: they may have
/// been busy for a moment only, and systemd is about to end the agent.
const RETRIES: u32 = 8;

/// The least time between two signs of life.
const LEAST_PERIOD: Duration = Duration::from_millis(10);

/// The end of the agent takes the time for copies under way, and no longer than this besides.
const ENDING: Duration = Duration::from_secs(10);

/// The sockets that systemd opened for the agent (`LISTEN_FDS`). They are listened on instead of the
/// configured addresses. To be called once, and before there are threads: it takes the variables out
/// of the environment.
///
/// # Errors
/// A socket that is not for HAProxy's connections; the text says what the unit has to say.
pub fn sockets() -> Result<Vec<Socket>, String> {
    let explain = |error| format!("cannot take the sockets that systemd opened: {error}");
    // Of another process's sockets only the number is looked at, not the names.
    if sd_notify::listen_fds().map_err(explain)?.len() == 0 {
        return Ok(Vec::new());
    }
    let named = sd_notify::listen_fds_with_names().map_err(explain)?;
    let names: Vec<String> = named.map(|(_, name)| name).collect();
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for (index, name) in names.iter().enumerate() {
        if name != SPOP {
            return Err(format!(
                "systemd opened a socket of the name `{name}`, and the agent knows only `{SPOP}`: set \
                 FileDescriptorName={SPOP} in the socket's unit"
            ));
        }
        let socket = stream(&mut given, index)
            .filter(|socket| socket.is_listener().unwrap_or(false))
            .ok_or(
                "systemd opened a socket that is none for stream connections: only ListenStream= \
                 with Accept=no is possible",
            )?;
        socket.set_nonblocking(true).map_err(|error| format!("a socket of systemd: {error}"))?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// The socket at this place, whether it is TCP's or a unix socket.
fn stream(given: &mut ListenFd, index: usize) -> Option<Socket> {
    if let Ok(Some(listener)) = given.take_tcp_listener(index) {
        return Some(listener.into());
    }
    given.take_unix_listener(index).ok().flatten().map(Socket::from)
}

/// Tells systemd that HAProxy may come, and from then on how the agent stands. As long as every
/// worker answers, and while the agent drains, also gives the signs of life that `WatchdogSec=` asks
/// for. Ends at once without systemd, and else not by itself.
pub async fn keep_informed(control: Control) {
    if std::env::var_os(SOCKET).is_none() {
        return;
    }
    if let Err(error) = send(&[NotifyState::Ready, NotifyState::Status("ready")], PATIENCE) {
        warn!("cannot tell systemd that the agent is ready: {error}");
    }
    let watchdog = sd_notify::watchdog_enabled().filter(|time| !time.is_zero());
    let period = watchdog.map_or(STATUS_EVERY, |time| (time / 2).max(LEAST_PERIOD));
    let retry = watchdog.map_or(period, |time| (time / RETRIES).max(LEAST_PERIOD));
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = false;
    loop {
        if silent {
            sleep(retry).await;
        } else {
            ticks.tick().await;
        }
        // Workers that take leave answer no questions any more; that takes its time, and has an end.
        if control.is_draining() {
            silent = false;
        } else {
            let status = control.status().await;
            tell(&[NotifyState::Status(&describe(&status))], Duration::ZERO);
            let snapshot = &status.snapshot;
            let was_silent = silent;
            silent = snapshot.workers < snapshot.all_workers;
            if silent && !was_silent {
                let (workers, all) = (snapshot.workers, snapshot.all_workers);
                warn!("only {workers} of {all} workers answer");
            }
        }
        if watchdog.is_some() && !silent {
            tell(&[NotifyState::Watchdog], Duration::ZERO);
        }
    }
}

/// Tells systemd that the agent takes leave, and that copies under way get `grace`.
pub fn stopping(grace: Duration) {
    let time = u32::try_from((grace + ENDING).as_micros()).unwrap_or(u32::MAX);
    let status = NotifyState::Status("no new connections; copies under way come to their end");
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(time), status], PATIENCE);
}

/// A reload: systemd knows of it from the making of this value to its end.
#[derive(Debug)]
#[must_use = "the reload is over when it is dropped"]
pub struct Reloading(());

impl Reloading {
    /// Tells systemd that a reload begins.
    pub fn begin() -> Self {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now], PATIENCE),
            Err(error) => debug!("no monotonic clock: {error}"),
        }
        Self(())
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        tell(&[NotifyState::Ready], PATIENCE);
    }
}

fn tell(states: &[NotifyState<'_>], patience: Duration) {
    if let Err(error) = send(states, patience) {
        debug!("cannot tell systemd how the agent stands: {error}");
    }
}

/// Sends a message to systemd, if it wants any. Unlike the crate's own function, one to a systemd that
/// does not read waits no longer than `patience`.
fn send(states: &[NotifyState<'_>], patience: Duration) -> io::Result<()> {
    let Some(path) = std::env::var_os(SOCKET) else { return Ok(()) };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    if patience.is_zero() {
        socket.set_nonblocking(true)?;
    } else {
        socket.set_write_timeout(Some(patience))?;
    }
    let message: String = states.iter().map(|state| format!("{state}\n")).collect();
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// How the agent stands, in a line for `systemctl status`.
fn describe(status: &Status) -> String {
    let (mut received, mut answered, mut failed, mut dropped) = (0, 0, 0, 0);
    for target in &status.targets {
        received += target.tally.received;
        answered += target.tally.answered().map(|(_, count)| count).sum::<u64>();
        failed += target.tally.failed().map(|(_, count)| count).sum::<u64>();
        dropped += target.tally.dropped().map(|(_, count)| count).sum::<u64>();
    }
    let targets = match status.targets.len() {
        1 => "1 target".to_owned(),
        count => format!("{count} targets"),
    };
    format!(
        "{} connections from HAProxy; {targets}: {received} requests received, {answered} answered, \
         {failed} failed, {dropped} dropped",
        status.snapshot.spop.open
    )
}
