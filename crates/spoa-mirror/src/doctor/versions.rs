//! What differs between versions of HAProxy, as data with its source. Rules ask here; they have no version
//! numbers of their own.

pub(crate) mod keywords;

use super::setup::Known;

/// The versions for which something holds: from one on, before another; `None` is without bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) since: Option<(u32, u32)>,
    pub(crate) before: Option<(u32, u32)>,
}

/// Something that HAProxy does in some versions.
#[derive(Debug)]
pub(crate) struct Behaviour {
    pub(crate) versions: Versions,
    /// Where that stands, or how it was seen. For maintainers.
    #[allow(dead_code, reason = "the source is part of the table")]
    pub(crate) source: &'static str,
}

/// Before this version: 3.1 for 3.0 and earlier.
pub(crate) const fn before(major: u32, minor: u32) -> Versions {
    Versions { since: None, before: Some((major, minor)) }
}

/// From this version on.
pub(crate) const fn since(major: u32, minor: u32) -> Versions {
    Versions { since: Some((major, minor)), before: None }
}

/// SPOE frames may be sent in fragments, where the agent announces them and `send-frag-payload` is on.
pub(crate) const FRAGMENTS: Behaviour = Behaviour {
    versions: before(3, 1),
    source: "recorded: a 3.1 HELLO offers no fragments and none are sent; src/flt_spoe.c",
};

/// `timeout hello` and `timeout idle` of an agent count, and HAProxy warns where they are missing.
pub(crate) const AGENT_TIMEOUTS: Behaviour = Behaviour {
    versions: before(3, 1),
    source: "doc/SPOE.txt of 3.1: ignored, kept for compatibility",
};

/// A backend of agents may say `mode spop`.
pub(crate) const MODE_SPOP: Behaviour =
    Behaviour { versions: since(3, 1), source: "configuration manual of 3.1, `mode`" };

/// A message is a stream of its own on a shared connection, so that `maxconn` of a server counts messages.
pub(crate) const MESSAGES_ARE_STREAMS: Behaviour = Behaviour {
    versions: since(3, 1),
    source: "measured: with `maxconn 1` and an agent that hangs, 3.2 and 3.4 hand over one message, 2.6 and 3.0 all",
};

/// Each message is balanced by itself, so that those of one transaction may reach several agents.
pub(crate) const BALANCES_MESSAGES: Behaviour = Behaviour {
    versions: since(3, 1),
    source: "measured: 3.2 and 3.4 with two agents and round robin",
};

/// A variable that holds the fetch `method` itself loses every method that HAProxy has no number for: PATCH and
/// those that are not standard come out as OPTIONS.
pub(crate) const METHOD_IN_VARIABLE: Behaviour = Behaviour {
    versions: before(3, 2),
    source: "measured: 2.6.12 and 3.0.11 do, 3.2.26 and 3.4.7 do not; 3.1 was not asked",
};

/// `bind ... ssl` offers HTTP/2 without being told.
pub(crate) const HTTP2_BY_DEFAULT: Behaviour = Behaviour {
    versions: since(2, 8),
    source: "announcement of 2.8; asked 2.6, 3.0, 3.2 and 3.4 by a TLS handshake",
};

/// There are fetches of how long something took: `res.timer.hdr`.
pub(crate) const TIMERS: Behaviour = Behaviour {
    versions: since(2, 9),
    source: "configuration manual of 2.9, `res.timer.hdr`; 2.6 does not know it",
};

/// Rules that wait for bodies may use larger buffers than `tune.bufsize`; frames do not grow with them.
pub(crate) const LARGE_BUFFERS: Behaviour = Behaviour {
    versions: since(3, 4),
    source: "configuration manual of 3.4, `tune.bufsize.large`; measured with 3.4.7",
};

/// HAProxy can start programs from a `program` section.
pub(crate) const PROGRAM_SECTION: Behaviour = Behaviour {
    versions: before(3, 3),
    source: "announcement of 3.3; 3.1 and 3.2 want expose-deprecated-directives",
};

/// A request whose agent cannot be connected to waits all of `timeout processing`, whatever `retries` and
/// `timeout connect` say; later versions give up as soon as those are over.
pub(crate) const DEAD_WAITS_PROCESSING: Behaviour = Behaviour {
    versions: before(3, 1),
    source: "measured: 2.6 and 3.0 against 3.2 and 3.4; tests/doctor/health.rs",
};

/// An agent that hangs goes on to get messages on the connections that it has, though its check has failed.
pub(crate) const DOWN_AGENT_KEPT: Behaviour = Behaviour {
    versions: before(3, 1),
    source: "measured: 2.6 and 3.0 against 3.2 and 3.4; tests/doctor/health.rs",
};

/// HAProxy does not start with a `program` section unless `expose-deprecated-directives` is set.
pub(crate) const PROGRAM_HIDDEN: Behaviour = Behaviour {
    versions: Versions { since: Some((3, 1)), before: Some((3, 3)) },
    source: "measured: 3.2; announcement of 3.1",
};

/// A request waits for a disabled backend of agents as for one that hangs.
pub(crate) const DISABLED_BACKEND_WAITS: Behaviour =
    Behaviour { versions: before(3, 1), source: "measured: 2.6 and 3.0 wait, 3.2 and 3.4 do not" };

/// `send-proxy` on a server holds for agents as well.
pub(crate) const PROXY_HEADER_TO_AGENTS: Behaviour = Behaviour {
    versions: before(3, 4),
    source: "measured: 2.6, 3.0 and 3.2 send it; 3.4 warns and does not",
};

impl Behaviour {
    /// Whether HAProxy does it, or may: its version may be unknown.
    pub(crate) fn may_hold(&self, known: Known) -> bool {
        self.versions.may_include(known)
    }

    /// Whether HAProxy is known to do it.
    pub(crate) fn holds(&self, known: Known) -> bool {
        self.versions.include(known)
    }
}

impl Versions {
    /// Whether HAProxy is, or may be, one of them.
    pub(crate) fn may_include(&self, known: Known) -> bool {
        self.since.is_none_or(|since| known.may_be_since(since))
            && self.before.is_none_or(|before| known.may_be_before(before))
    }

    /// Whether HAProxy is known to be one of them.
    pub(crate) fn include(&self, known: Known) -> bool {
        self.since.is_none_or(|since| known.is_since(since))
            && self.before.is_none_or(|before| known.is_before(before))
    }
}

impl std::fmt::Display for Versions {
    /// `before 3.1`, `since 3.1`, `from 2.9 to before 3.1`.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.since, self.before) {
            (None, None) => write!(out, "of every version"),
            (Some((major, minor)), None) => write!(out, "since {major}.{minor}"),
            (None, Some((major, minor))) => write!(out, "before {major}.{minor}"),
            (Some((a, b)), Some((c, d))) => write!(out, "from {a}.{b} to before {c}.{d}"),
        }
    }
}
