//! What the program is to do, checked: the command line is turned into this, and everything else
//! reads only this.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The SPOP side.
    pub agent: AgentConfig,
    /// Where copies go. Without any, the agent only acknowledges.
    pub targets: Vec<TargetConfig>,
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
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Where HAProxy connects.
    pub listen: Vec<ListenAddress>,
    /// Connections that the kernel holds until they are accepted.
    pub backlog: u32,
    /// The longest SPOP frame accepted, in bytes; what HAProxy offers counts when it is lower.
    pub max_frame_size: u32,
    /// Data plane threads.
    pub workers: usize,
    /// A transaction variable that every ACK asks HAProxy to unset, so that no ACK is empty.
    pub ack_unset_var: Option<String>,
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A host name or address, and a port.
    Tcp(String, u16),
    /// The path of a unix socket.
    Unix(PathBuf),
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

/// One place that copies go to.
#[derive(Debug, Clone)]
pub struct TargetConfig {
    /// Its name in logs and counters.
    pub name: String,
    /// Where it is.
    pub url: MirrorUrl,
    /// Which HTTP version it is spoken to in.
    pub http: HttpVersion,
    /// What becomes of a request whose body HAProxy cut off.
    pub truncated_body: TruncatedBody,
    /// Bounds of what waits and flies.
    pub limits: Limits,
    /// Time for a connection to come about, TLS included.
    pub connect_timeout: Duration,
    /// Time from the first byte sent to the last byte of the answer.
    pub timeout: Duration,
    /// An answer is read up to this many bytes, head and body; then its connection is closed.
    pub max_answer: u64,
    /// How the target's certificate is verified.
    pub tls: TlsConfig,
    /// The local end of connections.
    pub local: LocalEnd,
}

/// The header that marks copies, so that they are recognised and do not go round in circles. Its
/// value is the number of times that the request was copied, and `; body=truncated` where a part of
/// the body is missing.
#[derive(Debug, Clone)]
pub struct Marker {
    /// The header's name, lower case; `None` marks nothing.
    pub name: Option<String>,
    /// A request that was copied so many times already is not copied again.
    pub max_hops: u32,
}

/// Bounds of what waits for a target and of what is under way to it, over all workers.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Copies under way at once; for HTTP/1 also the number of connections.
    pub in_flight: usize,
    /// Copies waiting.
    pub queue: usize,
    /// Bytes of the copies waiting.
    pub queue_bytes: usize,
    /// A copy that waited longer is dropped.
    pub max_age: Duration,
}

/// How the target's certificate is verified.
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    /// A PEM file with the only roots to trust; the system's roots without it.
    pub ca: Option<PathBuf>,
    /// No verification at all.
    pub insecure: bool,
}

/// The local end of connections to a target.
#[derive(Debug, Clone, Default)]
pub struct LocalEnd {
    /// The address to bind to.
    pub address: Option<IpAddr>,
    /// The interface to bind to.
    pub interface: Option<String>,
    /// The ports to choose from.
    pub ports: Option<RangeInclusive<u16>>,
}

/// The HTTP version spoken to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HttpVersion {
    /// `http`: HTTP/1.1. `https`: what the target chooses of HTTP/2 and HTTP/1.1 (ALPN).
    Auto,
    /// HTTP/1.1: the copy is the request byte for byte.
    #[value(name = "1.1")]
    Http1,
    /// HTTP/2; to an `http` URL without asking first (h2c, prior knowledge).
    #[value(name = "2")]
    Http2,
}

/// What becomes of a request whose body HAProxy cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TruncatedBody {
    /// It is not copied, and counted as dropped `truncated-body`.
    Skip,
    /// The part that is there is sent, with its own length, and the marker header says so.
    Send,
}

/// Logs.
#[derive(Debug, Clone)]
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

/// A mirror URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorUrl {
    /// Whether the scheme is `https`.
    pub https: bool,
    /// The host as written, without brackets.
    pub host: String,
    /// The port, given or the scheme's own.
    pub port: u16,
    /// What comes before each request's path: empty, or `/` and more without a slash at its end.
    pub prefix: String,
}

impl MirrorUrl {
    /// Scheme, host and port as log lines show them: the port only where it is not the scheme's.
    #[must_use]
    pub fn origin(&self) -> String {
        let (scheme, default) = if self.https { ("https", 443) } else { ("http", 80) };
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }
}

impl fmt::Display for MirrorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.prefix)
    }
}

impl FromStr for MirrorUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other => return Err(format!("scheme `{other}` is neither http nor https")),
        };
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        if authority.contains('@') {
            return Err("user name and password in the URL are not supported".to_owned());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) =
                    bracketed.split_once(']').ok_or("`]` is missing after the IPv6 address")?;
                host.parse::<std::net::Ipv6Addr>()
                    .map_err(|_| format!("`{host}` is no IPv6 address"))?;
                let port = match port.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if port.is_empty() => None,
                    None => return Err(format!("`{port}` follows the IPv6 address")),
                };
                (host, port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err("the host is missing".to_owned());
        }
        if host.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err("the host holds a space or control character".to_owned());
        }
        let port = match port {
            None => {
                if https {
                    443
                } else {
                    80
                }
            }
            Some(port) => match port.parse::<u16>() {
                Ok(port) if port > 0 => port,
                _ => return Err(format!("port `{port}` is not a number from 1 to 65535")),
            },
        };
        if path.contains(['?', '#']) {
            return Err(
                "a mirror URL has no query and no fragment: each request brings its own".to_owned()
            );
        }
        if path.bytes().any(|b| b <= b' ' || b >= 0x7f) {
            return Err("the path holds a space, a control or a non-ASCII character: \
                        write it percent-encoded"
                .to_owned());
        }
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Self { https, host: host.to_owned(), port, prefix })
    }
}

/// Reads a time as the C program does: a number and a unit of us, ms, s, m, h, d; milliseconds
/// without a unit.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| {
        "a time is a number and a unit of us, ms, s, m, h, d (ms when there is none)".to_owned()
    })?;
    let micros = match unit {
        "us" => Some(1),
        "" | "ms" => Some(1_000),
        "s" => Some(1_000_000),
        "m" => Some(60 * 1_000_000),
        "h" => Some(3_600 * 1_000_000),
        "d" => Some(86_400 * 1_000_000),
        _ => None,
    }
    .ok_or_else(|| format!("`{unit}` is not a unit of time: us, ms, s, m, h, d"))?;
    number.checked_mul(micros).map(Duration::from_micros).ok_or_else(|| "too long".to_owned())
}

/// Reads a size in bytes: a number and, if need be, a unit of k, M, G (or KiB, MiB, GiB), powers of
/// 1024.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .parse()
        .map_err(|_| "a size is a number and a unit of k, M, G (bytes when there is none)")?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(format!("`{unit}` is not a unit of size: k, M, G")),
    };
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

/// Reads a port or a range of ports, `PORT` or `FIRST-LAST`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) if first >= 1 && first <= last => Ok(first..=last),
        _ => Err("a port range is PORT or FIRST-LAST, from 1 to 65535".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_c_programs_units() {
        for (text, micros) in
            [("0", 0), ("5", 5_000), ("7us", 7), ("2s", 2_000_000), ("1m", 60_000_000)]
        {
            assert_eq!(parse_time(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in ["", "s", "5x", "-1", "1.5s", "99999999999999999999", "9999999999999999d"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mirror_urls() {
        let url: MirrorUrl = "http://localhost:8100/".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.prefix.as_str()), ("localhost", 8100, ""));
        let url: MirrorUrl = "https://[::1]/a/b/".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.prefix.as_str()), ("::1", 443, "/a/b"));
        assert_eq!(url.to_string(), "https://[::1]/a/b");
        // libcurl takes a URL without a scheme as http; so does this.
        assert_eq!("staging:80".parse::<MirrorUrl>().unwrap().to_string(), "http://staging");
        for bad in [
            "",
            "http://",
            "ftp://x",
            "http://x:0",
            "http://x:70000",
            "http://u:p@x",
            "http://x/?q",
            "http://x/#f",
            "http://[::1",
            "http://[::1]x",
            "http://x/a b",
            "http://a b/",
        ] {
            assert!(bad.parse::<MirrorUrl>().is_err(), "{bad}");
        }
    }

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

    #[test]
    fn sizes_and_ports() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("16384"), Ok(16384));
        assert!(parse_size("x").is_err());
        assert_eq!(parse_ports("4000-4009"), Ok(4000..=4009));
        assert_eq!(parse_ports("4000"), Ok(4000..=4000));
        for bad in ["0", "5-4", "x", "1-70000", ""] {
            assert!(parse_ports(bad).is_err(), "{bad}");
        }
    }
}

/// A target for unit tests elsewhere in the crate.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests_support {
    use super::*;

    pub(crate) fn target(url: &str) -> TargetConfig {
        TargetConfig {
            name: "test".to_owned(),
            url: url.parse().unwrap(),
            http: HttpVersion::Auto,
            truncated_body: TruncatedBody::Skip,
            limits: Limits {
                in_flight: 10,
                queue: 10,
                queue_bytes: 1 << 20,
                max_age: Duration::from_secs(5),
            },
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            max_answer: 1 << 20,
            tls: TlsConfig::default(),
            local: LocalEnd::default(),
        }
    }
}
