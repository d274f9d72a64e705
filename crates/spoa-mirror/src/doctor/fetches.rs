//! HAProxy's sample fetches as far as mirroring has to do with them: at which moments of a transaction each can
//! be had, in which versions. Data with its source; a test asks the real HAProxy versions about every row.

use super::setup::Moment;
use super::versions::{Versions, before, since};

/// At which moments a value can be had. HAProxy refuses to start when a message asks for it at another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Available {
    /// At any.
    Always,
    /// At any once the client's connection is a session.
    InSession,
    /// While the request is there: not when the answer is.
    WithRequest,
    /// Once there is a server, and when the answer is there.
    WithServer,
    /// When the answer is there.
    WithAnswer,
}

impl Available {
    /// Whether it can be had at this moment.
    pub(crate) fn at(self, moment: Moment) -> bool {
        match self {
            Self::Always => true,
            Self::InSession => moment != Moment::ClientSession,
            Self::WithRequest => moment != Moment::ClientSession && !moment.has_answer(),
            Self::WithServer => moment == Moment::ServerSession || moment.has_answer(),
            Self::WithAnswer => moment.has_answer(),
        }
    }
}

/// Fetches that have it in common when they can be had.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) names: &'static [&'static str],
    /// The versions that the row is about; there are none of these fetches in others, unless another row says so.
    pub(crate) versions: Versions,
    pub(crate) available: Available,
    /// Where that stands, or how it was seen. For maintainers, and for the test that each has one.
    #[cfg_attr(not(test), expect(dead_code, reason = "the source is part of the table"))]
    pub(crate) source: &'static str,
}

const ALL: Versions = Versions { since: None, before: None };
const ASKED: &str =
    "asked 2.6, 3.0, 3.2 and 3.4 with `haproxy -c` at every event and in every rule";

/// All of them.
pub(crate) const FETCHES: &[Row] = &[
    Row {
        names: &[
            "var",
            "bool",
            "str",
            "int",
            "rand",
            "uuid",
            "unique-id",
            "date",
            "date_us",
            "hostname",
            "src",
            "src_port",
            "dst",
            "dst_port",
            "fe_name",
            "fe_id",
            "fc_http_major",
        ],
        versions: ALL,
        available: Available::Always,
        source: ASKED,
    },
    Row {
        names: &[
            "method",
            "hdr",
            "capture.req.method",
            "capture.req.uri",
            "capture.req.ver",
            "capture.req.hdr",
            "capture.res.ver",
            "ssl_fc",
            "ssl_fc_sni",
            "req.proto_http",
        ],
        versions: ALL,
        available: Available::InSession,
        source: ASKED,
    },
    Row {
        names: &[
            "path",
            "pathq",
            "query",
            "url",
            "base",
            "baseq",
            "url_param",
            "req.hdrs",
            "req.hdrs_bin",
            "req.hdr",
            "req.fhdr",
            "req.hdr_cnt",
            "req.hdr_names",
            "req.cook",
            "req.body",
            "req.body_len",
            "req.body_size",
            "req.body_param",
        ],
        versions: ALL,
        available: Available::WithRequest,
        source: ASKED,
    },
    Row {
        names: &["req.ver"],
        versions: before(3, 3),
        available: Available::WithRequest,
        source: "asked: 3.2 refuses it with an answer, 3.4 does not; 3.3 was not asked",
    },
    Row {
        names: &["req.ver"],
        versions: since(3, 3),
        available: Available::InSession,
        source: "asked: 3.2 refuses it with an answer, 3.4 does not; 3.3 was not asked",
    },
    Row {
        names: &["be_name", "be_id", "srv_name", "srv_id"],
        versions: ALL,
        available: Available::WithServer,
        source: ASKED,
    },
    Row {
        names: &[
            "status",
            "res.ver",
            "res.hdrs",
            "res.hdrs_bin",
            "res.hdr",
            "res.fhdr",
            "res.hdr_names",
            "res.body",
            "res.body_len",
            "res.body_size",
            "res.cook",
            "capture.res.hdr",
            "bc_http_major",
        ],
        versions: ALL,
        available: Available::WithAnswer,
        source: ASKED,
    },
    Row {
        names: &["bc.timer.connect", "res.timer.hdr"],
        versions: since(2, 9),
        available: Available::WithAnswer,
        source: "configuration manual of 2.9, `res.timer.hdr`; asked 2.6 and 3.0",
    },
];

/// The rows about a fetch.
pub(crate) fn rows(name: &str) -> impl Iterator<Item = &'static Row> {
    FETCHES.iter().filter(move |row| row.names.contains(&name))
}

#[cfg(test)]
mod tests;
