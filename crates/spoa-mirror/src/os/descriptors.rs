//! The limit of open files, and what it leaves for connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

use crate::admin;
use crate::config::Config;

/// What the program keeps open besides connections: event loops, logs, listeners, standard streams.
const RESERVED: usize = 32;

/// Raises the limit as far as it goes, makes the configured limits fit it, and gives the number of
/// SPOP connections that may be open.
pub fn fit(config: &mut Config) -> usize {
    let open_files = raise();
    let share = share_of(config, open_files);
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
    for_haproxy(room(config, open_files))
}

/// Raises the limit as far as it goes, and gives the SPOP connections that may be open and the copies to
/// each target that may be under way with it.
pub fn bounds(config: &Config) -> (usize, usize) {
    let open_files = raise();
    (for_haproxy(room(config, open_files)), share_of(config, open_files))
}

/// How many copies to each target the limit of open files lets be under way.
#[must_use]
pub fn share(config: &Config) -> usize {
    share_of(config, getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft))
}

/// Descriptors for connections from HAProxy and to targets.
fn room(config: &Config, open_files: u64) -> usize {
    let open_files = usize::try_from(open_files).unwrap_or(usize::MAX);
    open_files.saturating_sub(RESERVED + config.admin.listen.len() * admin::MAX_CONNECTIONS)
}

/// A third is for HAProxy, whose connections come first; the rest for the targets.
fn for_haproxy(room: usize) -> usize {
    (room / 3).max(4)
}

fn share_of(config: &Config, open_files: u64) -> usize {
    let room = room(config, open_files);
    let shares = config.targets.len().max(1);
    ((room - room / 3) / shares).max(1)
}

fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}
