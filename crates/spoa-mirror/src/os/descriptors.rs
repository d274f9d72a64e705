//! The limit of open files, and what it leaves for connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

use crate::config::Config;

/// What the program keeps open besides connections: event loops, logs, listeners, standard streams.
const RESERVED: u64 = 32;

/// Raises the limit as far as it goes, makes the configured limits fit it, and gives the number of
/// SPOP connections that may be open.
pub fn fit(config: &mut Config) -> usize {
    let open_files = raise();
    let room = usize::try_from(open_files.saturating_sub(RESERVED)).unwrap_or(usize::MAX);
    // A third for HAProxy, whose connections come first; the rest for the targets.
    let spop = (room / 3).max(4);
    let shares = config.targets.len().max(1) * config.agent.workers;
    let share = ((room - (room / 3).min(room)) / shares).max(1);
    for target in &mut config.targets {
        if target.limits.in_flight > share {
            warn!(
                "target {}: no more than {share} copies are sent at once instead of {}: the limit \
                 of open files is {open_files} (`ulimit -Hn`, systemd's LimitNOFILE)",
                target.name, target.limits.in_flight
            );
            target.limits.in_flight = share;
        }
    }
    spop
}

fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}
