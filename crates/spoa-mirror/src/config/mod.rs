//! What the program is to do, checked: the command line or the configuration file is turned into
//! this, and everything else reads only this.

mod comparison;
pub mod file;
mod secret;
mod target;
mod text;
mod units;
mod url;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub use comparison::{Compare, ComparisonConfig, HistoryConfig};
pub use secret::Secret;
pub use target::{
    Adaptive, Authorization, Breaker, CertificateFiles, Connections, Cookies, DropWhich,
    HostRewrite, HttpVersion, Key, Limits, LocalEnd, Match, PathStep, RateLimit, Redact,
    RedactPlace, RedactRule, RedactWith, Rewrite, Sample, TargetConfig, TlsConfig, TlsVersion,
    TruncatedBody, WithoutKey,
};
pub use text::{JsonPath, JsonStep, Pattern, Piece, Template};
pub use units::{Rate, Share, parse_ports, parse_rate, parse_share, parse_size, parse_time};
pub use url::MirrorUrl;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file that it was read from; `None` when the command line says everything.
    pub file: Option<PathBuf>,
    /// The SPOP side.
    pub agent: AgentConfig,
    /// The admin API.
    pub admin: AdminConfig,
    /// Where copies go. Without any, the agent only acknowledges.
    pub targets: Vec<TargetConfig>,
    /// What is compared of answers.
    pub comparison: ComparisonConfig,
    /// How copies are told from originals.
    pub marker: Marker,
    /// Logs.
    pub log: LogConfig,
    /// A line of counters is logged this often.
    pub monitor_interval: Duration,
    /// The program ends by itself after this time.
    pub runtime: Option<Duration>,
    /// How long copies in flight may go on once the program is told to end.
    pub grace: Duration,
}

/// The SPOP side.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentConfig {
    /// Where HAProxy connects.
    pub listen: Vec<ListenAddress>,
    /// Connections that the kernel holds until they are accepted.
    pub backlog: u32,
    /// Connections from HAProxy that may be open at once; without it a third of what the limit of open
    /// files allows.
    pub max_connections: Option<usize>,
    /// The longest SPOP frame accepted, in bytes; what HAProxy offers counts when it is lower.
    pub max_frame_size: u32,
    /// Data plane threads.
    pub workers: usize,
    /// A transaction variable that every ACK asks HAProxy to unset, so that no ACK is empty.
    pub ack_unset_var: Option<String>,
}

/// The admin API: metrics, status, live control.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminConfig {
    /// Where it listens; nowhere without any.
    pub listen: Vec<ListenAddress>,
    /// What a request must bring as bearer token; needed for every address that is neither loopback
    /// nor a unix socket.
    pub token: Option<Secret>,
    /// PEM files of the certificate chain and the private key; plain HTTP without them.
    pub tls: Option<CertificateFiles>,
    /// Requests answered in a second, over all clients.
    pub rate: Rate,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            agent: AgentConfig::default(),
            admin: AdminConfig::default(),
            targets: Vec::new(),
            comparison: ComparisonConfig::default(),
            marker: Marker::default(),
            log: LogConfig::default(),
            monitor_interval: Duration::from_secs(5),
            runtime: None,
            grace: Duration::from_secs(5),
        }
    }
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddress::Tcp("0.0.0.0".to_owned(), 12345)],
            backlog: 1024,
            max_connections: None,
            max_frame_size: 1 << 20,
            workers: 1,
            ack_unset_var: None,
        }
    }
}

impl AgentConfig {
    /// Checks the name of a variable for ACKs to unset.
    ///
    /// # Errors
    /// What a name is made of.
    pub fn check_variable(name: &str) -> Result<(), String> {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(named) {
            return Err("a name has up to 64 letters, digits, `_` and `.`; the scope is left out"
                .to_owned());
        }
        Ok(())
    }

    /// Data plane threads: no more than there are processors.
    #[must_use]
    pub fn workers_for(wanted: u32) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        (wanted as usize).min(processors)
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: Vec::new(), token: None, tls: None, rate: Rate { per_second: 100.0 } }
    }
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A host name or address, and a port.
    Tcp(String, u16),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// A unix socket.
    ///
    /// # Errors
    /// The path is too long for one, or missing.
    pub fn unix(path: PathBuf) -> Result<Self, String> {
        // The kernel's limit for a socket's path, with its end mark.
        match path.as_os_str().len() {
            0 => Err("the path after `unix:` is missing".to_owned()),
            1..=107 => Ok(Self::Unix(path)),
            _ => Err(format!("the path is over 107 bytes long: {}", path.display())),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The header that marks copies, so that they are recognised and do not go round in circles. Its
/// value is the number of times that the request was copied, `; body=truncated` where a part of the
/// body is missing, `; copy=2/3` where a target gets several copies of a request, and `; repeat` for the second
/// of two whose answers are held against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Marker {
    /// The header's name, lower case; `None` marks nothing.
    pub name: Option<String>,
    /// A request that was copied so many times already is not copied again.
    pub max_hops: u32,
}

impl Default for Marker {
    fn default() -> Self {
        Self { name: Some("x-shadow".to_owned()), max_hops: 1 }
    }
}

impl Marker {
    /// The name of the header as it is written: `none` for no marker.
    ///
    /// # Errors
    /// It cannot be the name of a marker.
    pub fn parse_name(text: &str) -> Result<Option<String>, String> {
        if text.is_empty() || text.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        if !crate::exchange::is_token(text.as_bytes()) {
            return Err(format!("`{text}` is not a header name"));
        }
        let name = text.to_ascii_lowercase();
        if matches!(name.as_str(), "host" | "content-length" | "transfer-encoding" | "connection") {
            return Err(format!("`{text}` has a meaning of its own in HTTP"));
        }
        Ok(Some(name))
    }
}

/// Logs.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// Where to; standard output and standard error without it.
    pub file: Option<LogFile>,
    /// The least severe level that is logged.
    pub level: tracing::Level,
    /// The shape of the lines.
    pub format: LogFormat,
    /// Which copies get a line.
    pub copies: CopyLines,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            file: None,
            level: tracing::Level::INFO,
            format: LogFormat::Text,
            copies: CopyLines::Success,
        }
    }
}

/// A log file, as the C program's `--logfile [MODE:]FILE` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// The file.
    pub path: PathBuf,
    /// `w`: emptied at start.
    pub truncate: bool,
    /// `A`, `W`: each line is written at once.
    pub line_buffered: bool,
}

impl FromStr for LogFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mode, path) = match text.split_once(':') {
            Some((mode @ ("a" | "A" | "w" | "W"), path)) => (mode, path),
            Some((mode, _)) if mode.len() == 1 => {
                return Err(format!("file mode `{mode}` is not one of a, w, A, W"));
            }
            _ => ("a", text),
        };
        if path.is_empty() {
            return Err("the file name is missing".to_owned());
        }
        Ok(Self {
            path: PathBuf::from(path),
            truncate: mode.eq_ignore_ascii_case("w"),
            line_buffered: mode.chars().all(|c| c.is_ascii_uppercase()),
        })
    }
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people; copies in the C program's shape.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which copies get a log line of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyLines {
    /// Answered and failed ones.
    All,
    /// Failed ones.
    Error,
    /// Answered ones.
    Success,
    /// None.
    None,
}

impl CopyLines {
    /// Whether answered copies get a line.
    #[must_use]
    pub fn answered(self) -> bool {
        matches!(self, Self::All | Self::Success)
    }

    /// Whether failed copies get a line.
    #[must_use]
    pub fn failed(self) -> bool {
        matches!(self, Self::All | Self::Error)
    }
}

impl FromStr for CopyLines {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The C program looks at the first letter only.
        match text.chars().next().map(|c| c.to_ascii_lowercase()) {
            Some('a') => Ok(Self::All),
            Some('e') => Ok(Self::Error),
            Some('s') => Ok(Self::Success),
            Some('n') => Ok(Self::None),
            _ => Err("it is one of ALL, ERROR, SUCCESS, NONE".to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn log_file_modes() {
        let file: LogFile = "W:/tmp/x:y".parse().unwrap();
        assert_eq!(file.path, PathBuf::from("/tmp/x:y"));
        assert!(file.truncate && file.line_buffered);
        let file: LogFile = "a:log".parse().unwrap();
        assert!(!file.truncate && !file.line_buffered);
        assert_eq!("log".parse::<LogFile>().unwrap().path, PathBuf::from("log"));
        assert!("x:log".parse::<LogFile>().is_err());
        assert!("a:".parse::<LogFile>().is_err());
    }
}

/// A target for unit tests elsewhere in the crate.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests_support {
    use super::*;

    pub(crate) fn target(url: &str) -> TargetConfig {
        TargetConfig::new("test".to_owned(), url.parse().unwrap())
    }
}
