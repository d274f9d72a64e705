//! The version of HAProxy that the files are looked at for, and how it is known.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use haproxy_config::Version;

use super::setup::Known;

/// How long `haproxy -v` may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// No more of what it says is read, in bytes.
const SAID: u64 = 4096;

/// Where an HAProxy of this machine may be, in the order in which they are tried. `/usr/sbin` is often not
/// among the directories that a user's shell looks into.
const EXECUTABLES: &[&str] = &["haproxy", "/usr/sbin/haproxy", "/usr/local/sbin/haproxy"];

/// A version, and how it is known.
#[derive(Debug, Default)]
pub(crate) struct Assumed {
    pub(crate) version: Known,
    /// `--haproxy-version`, or the executable that said it; empty for an unknown one.
    pub(crate) source: String,
}

impl Assumed {
    /// The one of the command line.
    pub(crate) fn told(version: Version) -> Self {
        Self { version: Known(Some(version)), source: "--haproxy-version".to_owned() }
    }

    /// What this executable says.
    ///
    /// # Errors
    /// Why it says nothing.
    pub(crate) fn asked(binary: &Path) -> Result<Self, String> {
        let shown = binary.display();
        let said = said(binary).map_err(|error| format!("{shown} -v: {error}"))?;
        let version = version_of(&said)
            .ok_or_else(|| format!("{shown} -v does not say which version of HAProxy it is"))?;
        Ok(Self { version: Known(Some(version)), source: format!("{shown} -v") })
    }

    /// What the HAProxy of this machine says; unknown if there is none.
    pub(crate) fn installed() -> Self {
        let found = EXECUTABLES.iter().find_map(|name| Self::asked(Path::new(name)).ok());
        found.unwrap_or_default()
    }
}

/// `3.2`, `3.2.1`, `2.6.12-1+deb12u3`, `3.5-dev5`.
pub(crate) fn parse(text: &str) -> Result<Version, String> {
    let allowed = "a version is written like 3.2 or 3.2.1";
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    if !(rest.is_empty() || rest.starts_with(['-', '+'])) {
        return Err(allowed.to_owned());
    }
    let numbers: Result<Vec<u32>, _> = numbers.split('.').map(str::parse).collect();
    match numbers.as_deref() {
        Ok([major, minor]) => Ok(Version { major: *major, minor: *minor, patch: None }),
        Ok([major, minor, patch, ..]) => {
            Ok(Version { major: *major, minor: *minor, patch: Some(*patch) })
        }
        _ => Err(allowed.to_owned()),
    }
}

/// Out of `HAProxy version 2.6.12-1+deb12u3 2025/10/03 - ...`.
fn version_of(said: &str) -> Option<Version> {
    let (_, rest) = said.split_once("ersion ")?;
    parse(rest.split_whitespace().next()?).ok()
}

fn said(binary: &Path) -> Result<String, String> {
    let binary: PathBuf = binary.to_owned();
    let mut child = Command::new(binary)
        .arg("-v")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let Some(output) = child.stdout.take() else { return Err("it says nothing".to_owned()) };
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = output.take(SAID).read_to_end(&mut text);
        let _ = sender.send(read.map(|_| text));
    });
    let received = receiver.recv_timeout(PATIENCE);
    // Whatever it is, it has said what it had to say.
    let _ = child.kill();
    let _ = child.wait();
    match received {
        Ok(Ok(text)) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it does not end within {} s", PATIENCE.as_secs())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_haproxy_writes_them() {
        let version = |major, minor, patch| Some(Version { major, minor, patch });
        assert_eq!(parse("3.2").ok(), version(3, 2, None));
        assert_eq!(parse("3.2.1").ok(), version(3, 2, Some(1)));
        assert_eq!(parse("3.5-dev5").ok(), version(3, 5, None));
        for wrong in ["", "3", "3.", "x3.2", "3.2x", "3..2", "99999999999.1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let debian =
            "HAProxy version 2.6.12-1+deb12u3 2025/10/03 - https://haproxy.org/\nStatus: ...";
        assert_eq!(version_of(debian), version(2, 6, Some(12)));
        // Before 2.4 it called itself HA-Proxy.
        assert_eq!(version_of("HA-Proxy version 2.2.9-2 2021/01/28"), version(2, 2, Some(9)));
        assert_eq!(version_of("nginx 1.24"), None);
    }
}
