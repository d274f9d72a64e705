//! HAProxy's Runtime API: what it answers to a command.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::connect::{Stream, connect};
use crate::config::ListenAddress;
use crate::doctor::assumed;

/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer may not be longer, in bytes: ten thousand servers take some 5 MB.
const MAX_ANSWER: u64 = 32 << 20;

/// Why HAProxy cannot be asked, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) why: String,
    pub(crate) mend: String,
}

/// A Runtime API that answers.
#[derive(Debug)]
pub(crate) struct Runtime {
    place: ListenAddress,
    /// What stands before each command: a master hands on what begins with `@1`.
    prefix: &'static str,
    /// The version as HAProxy writes it.
    pub(crate) version: String,
}

impl Runtime {
    /// Asks who is there.
    ///
    /// # Errors
    /// Nobody answers, or not as HAProxy does.
    pub(crate) async fn open(place: ListenAddress) -> Result<Self, Unusable> {
        let mut info = exchange(&place, "show info").await?;
        let mut prefix = "";
        if version_in(&info).is_none()
            && info.starts_with("Unknown command")
            && info.contains("show proc")
        {
            // A master's own socket: its worker is the one that knows.
            prefix = "@1 ";
            info = exchange(&place, "@1 show info").await?;
        }
        match version_in(&info) {
            Some(version) => Ok(Self { place, prefix, version }),
            None => Err(unlike(&place, &info)),
        }
    }

    /// Sends a command, and gives its answer.
    ///
    /// # Errors
    /// Nobody answers, or the socket's level does not allow it.
    pub(crate) async fn ask(&self, command: &str) -> Result<String, Unusable> {
        let answer = exchange(&self.place, &format!("{}{command}", self.prefix)).await?;
        if answer.starts_with("Permission denied") {
            return Err(Unusable {
                why: format!("HAProxy at {} does not allow `{command}`", self.place),
                mend: "say `level operator` behind its `stats socket`, or name another".to_owned(),
            });
        }
        Ok(answer)
    }

    /// Whether a master was asked in place of its worker.
    pub(crate) fn through_master(&self) -> bool {
        !self.prefix.is_empty()
    }
}

/// The version in the answer to `show info`, if it is one of HAProxy.
fn version_in(info: &str) -> Option<String> {
    let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
    value("Name: ").filter(|name| name.trim().eq_ignore_ascii_case("haproxy"))?;
    let version = value("Version: ")?.trim();
    // Shown to people: what is longer or stranger is none.
    let fine = version.len() <= 64 && version.bytes().all(|byte| byte.is_ascii_graphic());
    (fine && assumed::parse(version).is_ok()).then(|| version.to_owned())
}

/// Sends a line and reads what comes until the end of the connection.
async fn exchange(place: &ListenAddress, command: &str) -> Result<String, Unusable> {
    let exchanged = async { over(connect(place).await?, command).await };
    match tokio::time::timeout(PATIENCE, exchanged).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(unreachable(place, &error)),
        Err(_) => Err(Unusable {
            why: format!("{place} does not answer within {PATIENCE:?}"),
            mend: "is it HAProxy's `stats socket`, and does HAProxy work?".to_owned(),
        }),
    }
}

async fn over(mut stream: Box<dyn Stream>, command: &str) -> std::io::Result<String> {
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    // A master waits for more commands until there can be none.
    stream.shutdown().await?;
    let mut answer = Vec::new();
    let read = (&mut stream).take(MAX_ANSWER).read_to_end(&mut answer).await?;
    if read as u64 == MAX_ANSWER {
        return Err(std::io::Error::other("its answer does not end"));
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn unreachable(place: &ListenAddress, error: &std::io::Error) -> Unusable {
    let mend = match error.kind() {
        ErrorKind::NotFound => {
            "give the path that stands behind `stats socket` in HAProxy's `global` section, as HAProxy \
             runs it: `grep 'stats socket' /etc/haproxy/haproxy.cfg`"
        }
        ErrorKind::PermissionDenied => {
            "ask as root, or as a member of the group that `stats socket` names"
        }
        ErrorKind::ConnectionRefused => {
            "nobody listens there: does HAProxy run? After a crash its socket's file stays behind"
        }
        _ => "is it HAProxy's `stats socket`?",
    };
    Unusable { why: format!("cannot ask HAProxy at {place}: {error}"), mend: mend.to_owned() }
}

/// Something answers that is not HAProxy, or not to us.
fn unlike(place: &ListenAddress, answer: &str) -> Unusable {
    let begins: String = answer.chars().take(60).collect();
    if answer.starts_with("Permission denied") {
        return Unusable {
            why: format!("HAProxy at {place} does not allow `show info`"),
            mend: "name a `stats socket` of level `user` or above".to_owned(),
        };
    }
    let why = if answer.trim().is_empty() {
        format!(
            "what listens at {place} says nothing to `show info`: that is not HAProxy's Runtime API"
        )
    } else {
        format!("what listens at {place} is not HAProxy's Runtime API: it says {begins:?}")
    };
    Unusable { why, mend: "give the address of HAProxy's `stats socket`".to_owned() }
}
