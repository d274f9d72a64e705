//! Words of HAProxy's files that not every version knows, or heeds.
//!
//! What concerns mirroring, not all there is. The test asks the real versions about every row.

use super::{Versions, before, since};
use crate::doctor::finding::Severity;
use crate::doctor::setup::Known;

/// A word, or several behind each other, and the versions that heed it.
#[derive(Debug)]
pub(crate) struct Keyword {
    pub(crate) stands: Stands,
    /// The words: a statement's first ones, or one anywhere in it; see [`Stands`].
    pub(crate) words: &'static [&'static str],
    /// The versions that know and heed it.
    pub(crate) heeded: Versions,
    /// What the others do.
    pub(crate) otherwise: Otherwise,
    /// What to do where it is not heeded, without a full stop.
    pub(crate) instead: &'static str,
    /// A line with it, in the section where it stands; more of `global` in front of a `|`. For the test.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test asks HAProxy about it"))]
    pub(crate) example: &'static str,
    /// Where that stands, besides the test.
    #[cfg_attr(not(test), expect(dead_code, reason = "the source is part of the table"))]
    pub(crate) source: &'static str,
}

/// Where a keyword stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// In `global`: a statement's first words.
    Global,
    /// In a frontend, a backend or both: a statement's first words.
    Proxy,
    /// In such a statement, behind its first word.
    Statement,
    /// In a `server` or `default-server` line, as an option.
    Server,
    /// In rules and conditions: what HAProxy takes from requests and answers, or the beginning of its name.
    Fetch,
    /// In `spoe-agent`: a statement's first words.
    Agent,
}

/// What a version does that does not heed a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// It does not start.
    Refuses,
    /// It takes it without a word, and this comes of it, without a full stop; how bad that is.
    Ignores(Severity, &'static str),
    /// It takes it, heeds it, and warns that a later version will not.
    Warns,
}

impl Keyword {
    /// Whether this version is known not to heed it.
    pub(crate) fn is_lost_on(&self, version: Known) -> bool {
        !self.heeded.may_include(version)
    }

    /// Whether the version is known to be older than those that heed it.
    pub(crate) fn is_too_new_for(&self, version: Known) -> bool {
        self.heeded.since.is_some_and(|since| version.is_before(since))
    }
}

const SPOE_TEXT: &str = "doc/SPOE.txt of 3.1, section 2.2; src/flt_spoe.c";
const MANUAL: &str = "configuration manual";

/// The table, by place.
pub(crate) const KEYWORDS: &[Keyword] = &[
    // The engine, rewritten in 3.1.
    Keyword {
        stands: Stands::Agent,
        words: &["maxerrrate"],
        heeded: before(3, 1),
        otherwise: Otherwise::Ignores(
            Severity::Warning,
            "nothing pauses mirroring when the agent fails: each request goes on paying for it",
        ),
        instead: "make `timeout processing` short and let `option spop-check` take a failing agent out",
        example: "maxerrrate 10",
        source: SPOE_TEXT,
    },
    Keyword {
        stands: Stands::Agent,
        words: &["maxconnrate"],
        heeded: before(3, 1),
        otherwise: Otherwise::Ignores(
            Severity::Hint,
            "nothing limits how fast connections to the agent are opened",
        ),
        instead: "limit connections by `maxconn` on the `server` lines of the agents' backend",
        example: "maxconnrate 10",
        source: SPOE_TEXT,
    },
    Keyword {
        stands: Stands::Agent,
        words: &["max-waiting-frames"],
        heeded: before(3, 1),
        otherwise: Otherwise::Ignores(
            Severity::Hint,
            "a connection carries up to 20 messages at once",
        ),
        instead: "remove it; the number is fixed",
        example: "max-waiting-frames 5",
        source: SPOE_TEXT,
    },
    Keyword {
        stands: Stands::Agent,
        words: &["option", "send-frag-payload"],
        heeded: before(3, 1),
        otherwise: Otherwise::Ignores(
            Severity::Hint,
            "a message that is larger than a frame is not sent",
        ),
        instead: "raise `tune.bufsize` and `max-frame-size`, or shorten the body by `bytes(0,N)`",
        example: "option send-frag-payload",
        source: SPOE_TEXT,
    },
    Keyword {
        stands: Stands::Agent,
        words: &["option", "async"],
        heeded: before(3, 1),
        otherwise: Otherwise::Ignores(
            Severity::Hint,
            "answers come on the connection that the message went out on",
        ),
        instead: "remove it",
        example: "option async",
        source: SPOE_TEXT,
    },
    // Buffers.
    Keyword {
        stands: Stands::Global,
        words: &["tune.bufsize.large"],
        heeded: since(3, 4),
        otherwise: Otherwise::Refuses,
        instead: "raise `tune.bufsize`, which bounds SPOE frames in any case",
        example: "tune.bufsize.large 65536",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Statement,
        words: &["use-large-buffer"],
        heeded: since(3, 4),
        otherwise: Otherwise::Refuses,
        instead: "remove it and raise `tune.bufsize`",
        example: "tune.bufsize.large 65536|http-request wait-for-body time 1s use-large-buffer",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Global,
        words: &["tune.bufsize.small"],
        heeded: since(3, 1),
        otherwise: Otherwise::Refuses,
        instead: "remove it; SPOE has no use for small buffers",
        example: "tune.bufsize.small 1024",
        source: MANUAL,
    },
    // Waiting for bodies.
    Keyword {
        stands: Stands::Proxy,
        words: &["http-request", "wait-for-body"],
        heeded: since(2, 4),
        otherwise: Otherwise::Refuses,
        instead: "write `option http-buffer-request`, which waits for every body",
        example: "http-request wait-for-body time 1s",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Proxy,
        words: &["http-response", "wait-for-body"],
        heeded: since(2, 4),
        otherwise: Otherwise::Refuses,
        instead: "leave the response's body out",
        example: "http-response wait-for-body time 1s",
        source: MANUAL,
    },
    // What rules do.
    Keyword {
        stands: Stands::Statement,
        words: &["set-var-fmt"],
        heeded: since(2, 5),
        otherwise: Otherwise::Refuses,
        instead: "write `set-var` with a fetch or with `str()` and `concat()`",
        example: "http-request set-var-fmt(txn.a) %[method]",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Statement,
        words: &["do-log"],
        heeded: since(3, 1),
        otherwise: Otherwise::Refuses,
        instead: "write a `log` line with a `log-format`, which logs at the end of the transaction",
        example: "http-response do-log",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Proxy,
        words: &["log-steps"],
        heeded: since(3, 1),
        otherwise: Otherwise::Refuses,
        instead: "remove it; the end of the transaction is logged",
        example: "log-steps close",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Statement,
        words: &["set-headers-bin"],
        heeded: since(3, 4),
        otherwise: Otherwise::Refuses,
        instead: "write one `set-header` for each header",
        example: "http-request set-headers-bin var(txn.a)",
        source: MANUAL,
    },
    // What is taken from requests and answers.
    Keyword {
        stands: Stands::Fetch,
        words: &["pathq"],
        heeded: since(2, 2),
        otherwise: Otherwise::Refuses,
        instead: "write `url`",
        example: "http-request set-var(txn.a) pathq",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Fetch,
        words: &["uuid()"],
        heeded: since(2, 1),
        otherwise: Otherwise::Refuses,
        instead: "build an id from `%rt`, `%Ts` and `%pid`",
        example: "http-request set-var(txn.a) uuid()",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Fetch,
        words: &["bc.timer."],
        heeded: since(2, 9),
        otherwise: Otherwise::Refuses,
        instead: "leave it out; the agent measures by `date(0,us)` at both events",
        example: "http-response set-var(txn.a) bc.timer.connect",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Fetch,
        words: &["fc.timer."],
        heeded: since(2, 9),
        otherwise: Otherwise::Refuses,
        instead: "leave it out; the agent measures by `date(0,us)` at both events",
        example: "http-request set-var(txn.a) fc.timer.handshake",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Fetch,
        words: &["req.timer."],
        heeded: since(2, 9),
        otherwise: Otherwise::Refuses,
        instead: "leave it out; the agent measures by `date(0,us)` at both events",
        example: "http-request set-var(txn.a) req.timer.hdr",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Fetch,
        words: &["res.timer."],
        heeded: since(2, 9),
        otherwise: Otherwise::Refuses,
        instead: "leave it out; the agent measures by `date(0,us)` at both events",
        example: "http-response set-var(txn.a) res.timer.hdr",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Fetch,
        words: &["ptxn."],
        heeded: since(3, 1),
        otherwise: Otherwise::Refuses,
        instead: "write `balance roundrobin`: before 3.1 an agent's stream has no parent to ask",
        example: "http-request set-var(txn.a) var(ptxn.a)",
        source: "configuration manual, `set-var`; src/vars.c",
    },
    // The agents' backend.
    Keyword {
        stands: Stands::Proxy,
        words: &["balance", "hash"],
        heeded: since(2, 6),
        otherwise: Otherwise::Refuses,
        instead: "write `balance roundrobin`",
        example: "balance hash src",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Proxy,
        words: &["balance", "sticky"],
        heeded: since(3, 0),
        otherwise: Otherwise::Refuses,
        instead: "write `balance first`, or mark the other agents as `backup`",
        example: "balance sticky",
        source: "announcement of 3.0",
    },
    Keyword {
        stands: Stands::Proxy,
        words: &["hash-preserve-affinity"],
        heeded: since(3, 2),
        otherwise: Otherwise::Refuses,
        instead: "remove it",
        example: "hash-preserve-affinity always",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Server,
        words: &["hash-key"],
        heeded: since(3, 0),
        otherwise: Otherwise::Refuses,
        instead: "give each server an `id`, by which older versions place it",
        example: "server x 127.0.0.1:1 hash-key id",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Server,
        words: &["init-state"],
        heeded: since(3, 1),
        otherwise: Otherwise::Refuses,
        instead: "remove it; a server counts as up until its first check",
        example: "server x 127.0.0.1:1 check init-state down",
        source: MANUAL,
    },
    Keyword {
        stands: Stands::Server,
        words: &["strict-maxconn"],
        heeded: since(3, 2),
        otherwise: Otherwise::Refuses,
        instead: "remove it; `maxconn` alone counts messages under way",
        example: "server x 127.0.0.1:1 maxconn 5 strict-maxconn",
        source: MANUAL,
    },
    // The process.
    Keyword {
        stands: Stands::Global,
        words: &["master-worker"],
        heeded: before(3, 3),
        otherwise: Otherwise::Warns,
        instead: "remove it and start HAProxy with `-W`, or `-Ws` under systemd",
        example: "master-worker",
        source: "HAProxy's own warning: deprecated in 3.3, to be removed in 3.5",
    },
    Keyword {
        stands: Stands::Global,
        words: &["nbproc"],
        heeded: before(2, 5),
        otherwise: Otherwise::Refuses,
        instead: "remove it; HAProxy uses threads",
        example: "nbproc 1",
        source: "HAProxy's own words",
    },
];

#[cfg(test)]
mod tests;
