//! How a backend checks its servers, and whether an agent can pass that.

use std::borrow::Cow;

use crate::doctor::finding::{Edit, Place};
use crate::doctor::setup::Server;
use crate::doctor::setup::lines::{At, Lines};

/// Checks that expect another protocol than an agent's. It lets them wait, and they fail.
const OTHERS: &[&str] = &[
    "httpchk",
    "ssl-hello-chk",
    "smtpchk",
    "mysql-check",
    "pgsql-check",
    "redis-check",
    "ldap-check",
];

/// How a backend's servers are checked.
#[derive(Debug, Clone)]
pub(super) enum Check<'a> {
    /// By a HELLO.
    Spop(At<'a>),
    /// By a connection, which is HAProxy's own way; `option tcp-check` without rules says the same.
    Connection(Option<At<'a>>),
    /// As a server of another protocol.
    Other { at: At<'a>, name: Cow<'a, str> },
    /// By rules or a program of the operator's own.
    Own,
}

impl<'a> Check<'a> {
    /// The one that is said last.
    pub(super) fn of(lines: &Lines<'a>) -> Self {
        let last =
            lines.lines.iter().rev().find(|at| at.text(0) == b"option" && is_check(at.text(1)));
        let Some(at) = last.copied() else { return Self::Connection(None) };
        let name = String::from_utf8_lossy(at.text(1));
        match name.as_ref() {
            "spop-check" => Self::Spop(at),
            "external-check" => Self::Own,
            "tcp-check" if lines.all(&["tcp-check"]).next().is_some() => Self::Own,
            "tcp-check" => Self::Connection(Some(at)),
            _ => Self::Other { at, name },
        }
    }

    pub(super) fn is_spop(&self) -> bool {
        matches!(self, Self::Spop(_))
    }

    pub(super) fn is_connection(&self) -> bool {
        matches!(self, Self::Connection(_))
    }

    /// The line with `option spop-check`, if that counts.
    pub(super) fn spop_line(&self) -> Option<At<'a>> {
        match self {
            Self::Spop(at) => Some(*at),
            _ => None,
        }
    }
}

fn is_check(option: &[u8]) -> bool {
    let known = ["spop-check", "tcp-check", "external-check"];
    known.iter().chain(OTHERS).any(|name| name.as_bytes() == option)
}

/// What makes a server's check miss its agent: in words, where it is said with the change that takes it away, and
/// what to do.
pub(super) fn elsewhere(server: &Server<'_>) -> Option<(String, (Place, Edit), &'static str)> {
    let has = |flag: &str| server.flag(flag).is_some();
    if let Some(at) = server.flag("check-ssl").filter(|_| !has("ssl")) {
        let words = "speaks TLS, and the traffic does not".to_owned();
        return Some((words, without(at, "check-ssl", 0)?, "take `check-ssl` away"));
    }
    if let Some(at) =
        server.flag("check-send-proxy").filter(|_| !has("send-proxy") && !has("send-proxy-v2"))
    {
        let words = "begins with a PROXY header, and the traffic does not".to_owned();
        return Some((words, without(at, "check-send-proxy", 0)?, "take `check-send-proxy` away"));
    }
    let value = server.value("port")?;
    let own = port(server.address())?;
    if value.text() == own {
        return None;
    }
    let words = format!(
        "goes to port {}, and its traffic to port {}",
        value.shown(),
        String::from_utf8_lossy(own)
    );
    Some((
        words,
        without(value.at, "port", 1)?,
        "take `port` away, unless an agent listens there too",
    ))
}

/// The server's own line with times that notice soon.
pub(super) fn faster(server: &Server<'_>) -> String {
    let mut words: Vec<Cow<'_, str>> = Vec::new();
    let mut own = server.at.words_from(0);
    while let Some(word) = own.next() {
        if [&b"inter"[..], b"fastinter", b"fall"].contains(&word.text.as_slice()) {
            own.next();
        } else {
            words.push(server.at.shown(word));
        }
    }
    format!("{} inter 1s fastinter 200ms fall 2", words.join(" "))
}

/// The place of a word of a line, and the line without it and the values behind it.
fn without(at: At<'_>, word: &str, values: usize) -> Option<(Place, Edit)> {
    let index = at.position(word)?;
    let kept =
        at.words_from(0).enumerate().filter(|(at, _)| !(index..=index + values).contains(at));
    let statement: Vec<Cow<'_, str>> = kept.map(|(_, word)| at.shown(word)).collect();
    Some((at.place_of(at.word(index)?), at.replaced(&statement.join(" "))))
}

/// The port in an address; none in a unix socket's, and where it depends on more than the text.
fn port(address: &[u8]) -> Option<&[u8]> {
    let colon = address.iter().rposition(|byte| *byte == b':')?;
    let port = address.get(colon + 1..)?;
    (!port.is_empty() && port.iter().all(u8::is_ascii_digit)).then_some(port)
}
