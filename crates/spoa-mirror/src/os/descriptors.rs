//! The limit of open files, and what it leaves for connections.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

use crate::admin;
use crate::config::Config;

/// What the program keeps open besides connections: event loops, logs, listeners, standard streams.
const RESERVED: usize = 32;

/// Connections that HAProxy and each target can have at least.
const LEAST: usize = 4;

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
    let connections = for_haproxy(config, open_files);
    if let Some(wanted) = config.agent.max_connections.filter(|wanted| *wanted > connections) {
        warn!(
            "HAProxy gets no more than {connections} connections instead of {wanted}: the limit of \
             open files is {open_files} (`ulimit -Hn`, systemd's LimitNOFILE)"
        );
    }
    connections
}

/// Raises the limit as far as it goes, and gives the SPOP connections that may be open and the copies to
/// each target that may be under way with it.
pub fn bounds(config: &Config) -> (usize, usize) {
    let open_files = raise();
    (for_haproxy(config, open_files), share_of(config, open_files))
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

/// What is configured for HAProxy, as long as something is left for the targets; or a third. Its
/// connections come first.
fn for_haproxy(config: &Config, open_files: u64) -> usize {
    let room = room(config, open_files);
    let usual = (room / 3).max(LEAST);
    let most = room.saturating_sub(LEAST * config.targets.len()).max(LEAST);
    config.agent.max_connections.map_or(usual, |wanted| wanted.min(most))
}

fn share_of(config: &Config, open_files: u64) -> usize {
    let room = room(config, open_files).saturating_sub(for_haproxy(config, open_files));
    (room / config.targets.len().max(1)).max(1)
}

fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return hard;
    }
    soft
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::tests_support::target;

    /// SPOP connections, and copies to each of two targets, with so many open files.
    fn fitting(max_connections: Option<usize>, open_files: u64) -> (usize, usize) {
        let mut config = Config::default();
        config.agent.max_connections = max_connections;
        config.targets = vec![target("http://a"), target("http://b")];
        (for_haproxy(&config, open_files), share_of(&config, open_files))
    }

    #[test]
    fn haproxy_gets_a_third_or_what_is_configured_and_targets_the_rest() {
        assert_eq!(fitting(None, 1032), (333, 333));
        assert_eq!(fitting(Some(100), 1032), (100, 450));
        assert_eq!(fitting(Some(900), 1032), (900, 50));
        assert_eq!(fitting(Some(5000), 1032), (992, 4));
        assert_eq!(fitting(Some(1), 1032), (1, 499));
    }

    #[test]
    fn hardly_any_descriptors_still_serve_both() {
        assert_eq!(fitting(None, 40), (4, 2));
        assert_eq!(fitting(Some(50), 40), (4, 2));
    }
}
