//! What a dead agent costs a client, computed from a configuration: how long each request waits, and until when.

use std::time::Duration;

use crate::doctor::setup::lines::{Lines, shown};
use crate::doctor::setup::{Known, Server};
use crate::doctor::versions::{DEAD_WAITS_PROCESSING, DOWN_AGENT_KEPT};

/// HAProxy waits this long, or as long as `timeout connect` if that is less, before it tries the same server again.
const BEFORE_RETRY: Duration = Duration::from_secs(1);

/// HAProxy's own values (configuration manual, `inter`, `fall`, `retries`).
const USUAL_INTER: Duration = Duration::from_secs(2);
const USUAL_FALL: u32 = 3;
const USUAL_RETRIES: u32 = 3;

/// How long HAProxy waits for an agent, and how often it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    /// `timeout processing`: without it, for ever.
    pub(super) processing: Option<Duration>,
    /// `timeout connect`: without it, for ever.
    pub(super) connect: Option<Duration>,
    pub(super) retries: u32,
}

/// When HAProxy checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timing {
    inter: Duration,
    fastinter: Duration,
    fall: u32,
    /// `timeout check`, if it is set.
    check: Option<Duration>,
}

/// What each request pays, by what is wrong with the agent; none is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// HAProxy before 3.1.
    pub(super) before: Option<Duration>,
    /// HAProxy since 3.1.
    pub(super) since: Option<Duration>,
}

impl Waiting {
    pub(super) fn new(agents: &Lines<'_>, processing: Option<Duration>) -> Self {
        let time = |words: &[&str]| agents.value(words).and_then(|value| value.time());
        let retries = agents.value(&["retries"]).and_then(|value| value.size());
        Self {
            processing,
            connect: time(&["timeout", "connect"]).filter(|time| !time.is_zero()),
            retries: retries
                .map_or(USUAL_RETRIES, |retries| u32::try_from(retries).unwrap_or(u32::MAX)),
        }
    }

    /// The agent has ended: its port refuses.
    pub(super) fn refused(self) -> Cost {
        let pause = self.connect.map_or(BEFORE_RETRY, |connect| connect.min(BEFORE_RETRY));
        let tried = pause.saturating_mul(self.retries);
        Cost { before: self.processing, since: Some(self.capped(tried)) }
    }

    /// Its machine is gone: nothing answers at all.
    pub(super) fn unanswered(self) -> Cost {
        let tried =
            self.connect.map(|connect| connect.saturating_mul(self.retries.saturating_add(1)));
        Cost {
            before: self.processing,
            since: tried.map(|tried| self.capped(tried)).or(self.processing),
        }
    }

    /// It takes connections and says nothing.
    pub(super) fn hung(self) -> Cost {
        Cost { before: self.processing, since: self.processing }
    }

    fn capped(self, time: Duration) -> Duration {
        self.processing.map_or(time, |processing| time.min(processing))
    }
}

impl Timing {
    pub(super) fn new(agents: &Lines<'_>, server: &Server<'_>) -> Self {
        let time = |name: &str| server.value(name).and_then(|value| value.time());
        let inter = time("inter").unwrap_or(USUAL_INTER);
        let fall = server.value("fall").and_then(|value| value.size());
        Self {
            inter,
            fastinter: time("fastinter").unwrap_or(inter),
            fall: fall.map_or(USUAL_FALL, |fall| u32::try_from(fall).unwrap_or(u32::MAX)).max(1),
            check: agents.value(&["timeout", "check"]).and_then(|value| value.time()),
        }
    }

    /// Until HAProxy takes an agent that refuses for dead, at the latest.
    pub(super) fn notices_refused(self) -> Duration {
        self.inter.saturating_add(self.fastinter.saturating_mul(self.fall - 1))
    }

    /// The same for one that hangs: each check takes its whole time. Without `timeout check` that is `inter`.
    pub(super) fn notices_hung(self) -> Duration {
        let each = self.check.unwrap_or(self.inter);
        self.notices_refused().saturating_add(each.saturating_mul(self.fall))
    }
}

impl Cost {
    /// In words for what is known of the version: `5s`, `5s (HAProxy before 3.1) or 3s (since 3.1)`.
    pub(super) fn told(self, version: Known) -> String {
        if self.before == self.since || DEAD_WAITS_PROCESSING.holds(version) {
            return time(self.before);
        }
        if !DEAD_WAITS_PROCESSING.may_hold(version) {
            return time(self.since);
        }
        let versions = DEAD_WAITS_PROCESSING.versions;
        let (before, since) = (time(self.before), time(self.since));
        format!("{before} (HAProxy {versions}) or {since} (later versions)")
    }
}

/// Whether a hung agent goes on to cost something after HAProxy has noticed.
pub(super) fn kept_when_down(server: &Server<'_>, version: Known) -> bool {
    let shut =
        server.value("on-marked-down").is_some_and(|value| value.text() == b"shutdown-sessions");
    DOWN_AGENT_KEPT.may_hold(version) && !shut
}

/// A time, or that there is none.
pub(super) fn time(time: Option<Duration>) -> String {
    time.map_or_else(|| "for ever".to_owned(), shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    /// The figures measured with HAProxy 2.6, 3.0, 3.2 and 3.4 (tests/doctor/health.rs measures some again).
    #[test]
    fn costs_are_those_measured() {
        let waiting = |processing, connect, retries| Waiting { processing, connect, retries };
        for (connect, retries, refused, unanswered) in [
            (ms(100), 3, ms(300), ms(400)),
            (ms(100), 0, ms(0), ms(100)),
            (ms(5000), 3, ms(500), ms(500)),
            (ms(5000), 0, ms(0), ms(500)),
            (ms(300), 1, ms(300), ms(500)),
        ] {
            let waiting = waiting(ms(500), connect, retries);
            assert_eq!(waiting.refused(), Cost { before: ms(500), since: refused });
            assert_eq!(waiting.unanswered(), Cost { before: ms(500), since: unanswered });
            assert_eq!(waiting.hung(), Cost { before: ms(500), since: ms(500) });
        }
        let endless = waiting(None, None, u32::MAX);
        assert_eq!(endless.unanswered(), Cost { before: None, since: None });
    }

    #[test]
    fn noticing_takes_what_the_checks_take() {
        let timing = |check| Timing {
            inter: Duration::from_secs(1),
            fastinter: Duration::from_millis(200),
            fall: 2,
            check,
        };
        assert_eq!(timing(None).notices_refused(), Duration::from_millis(1200));
        assert_eq!(timing(None).notices_hung(), Duration::from_millis(3200));
        assert_eq!(timing(ms(100)).notices_hung(), Duration::from_millis(1400));
    }

    #[test]
    fn a_cost_names_the_versions_only_where_they_differ() {
        let known =
            |major, minor| Known(Some(haproxy_config::Version { major, minor, patch: None }));
        let cost = Cost { before: ms(500), since: ms(0) };
        assert_eq!(cost.told(Known(None)), "500ms (HAProxy before 3.1) or 0ms (later versions)");
        assert_eq!(cost.told(known(3, 0)), "500ms");
        assert_eq!(cost.told(known(3, 4)), "0ms");
        let cost = Cost { before: None, since: None };
        assert_eq!(cost.told(Known(None)), "for ever");
    }
}
