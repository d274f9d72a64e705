//! One target: which requests it gets, how they are altered, within which limits, over what.
//!
//! Plain data, checked when it was read: patterns are compiled, networks and templates parsed.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::comparison::Compare;
use super::secret::Secret;
use super::text::{JsonPath, Pattern, Template};
use super::units::{Rate, Share};
use super::url::MirrorUrl;

/// One place that copies go to.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetConfig {
    /// Its name in logs and counters.
    pub name: String,
    /// Where it is.
    pub url: MirrorUrl,
    /// Which HTTP version it is spoken to in.
    pub http: HttpVersion,
    /// Whether it starts paused: requests for it are counted and not copied.
    pub paused: bool,
    /// The requests that it gets.
    pub matching: Match,
    /// The requests that it does not get although they match.
    pub except: Option<Match>,
    /// Which share of them is copied.
    pub sample: Sample,
    /// Each copy is sent so many times.
    pub amplify: u32,
    /// What becomes of a request whose body HAProxy cut off.
    pub truncated_body: TruncatedBody,
    /// A request with a longer body is not copied, in bytes.
    pub max_body: Option<u64>,
    /// How copies differ from the requests that they are made from.
    pub rewrite: Rewrite,
    /// What is hidden from the target.
    pub redact: Redact,
    /// Bounds of what waits and flies.
    pub limits: Limits,
    /// When sending is given up for a while.
    pub breaker: Option<Breaker>,
    /// Time for a connection to come about, TLS included.
    pub connect_timeout: Duration,
    /// Time from the first byte sent to the last byte of the answer.
    pub timeout: Duration,
    /// An answer is read up to this many bytes, head and body; then its connection is closed.
    pub max_answer: u64,
    /// Whether its answers are compared with production's.
    pub compare: Compare,
    /// Which share of its safe requests a candidate gets twice, to find out what differs between two of its
    /// own answers.
    pub control: Share,
    /// How the target's certificate is verified, and what it is shown.
    pub tls: TlsConfig,
    /// The local end of connections.
    pub local: LocalEnd,
    /// How connections are kept.
    pub connections: Connections,
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

/// A rule that a request meets or not: every criterion that is given must hold, and of a criterion's
/// values any. Without a criterion every request meets it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Match {
    /// Methods, as they are written on the wire.
    pub methods: Vec<String>,
    /// The path, without the query, as the client wrote it.
    pub path: Vec<Pattern>,
    /// The host that the client asked for, in lower case and without the port.
    pub host: Vec<Pattern>,
    /// Headers, by name in lower case: any value of that name.
    pub headers: Vec<(String, Vec<Pattern>)>,
    /// Query parameters, percent-decoded.
    pub query: Vec<(String, Vec<Pattern>)>,
    /// Cookies.
    pub cookies: Vec<(String, Vec<Pattern>)>,
    /// The client's address, from the argument `src`.
    pub sources: Vec<ipnet::IpNet>,
    /// Arguments of the SPOE message, by name, as text.
    pub args: Vec<(String, Vec<Pattern>)>,
}

/// Which share of the requests is copied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// The share.
    pub share: Share,
    /// What decides about a request; chance without it.
    pub by: Option<Key>,
    /// What becomes of requests that lack the key.
    pub without_key: WithoutKey,
    /// Mixed into the key: samples with different seeds are independent of each other.
    pub seed: String,
}

/// The part of a request that a sticky sample goes by: equal keys get equal answers, on every agent
/// and after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// The first value of a header, its name in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A query parameter, as the client wrote it.
    Query(String),
    /// The client's address.
    Source,
    /// An argument of the SPOE message.
    Argument(String),
}

impl Key {
    /// The name of the header, cookie, parameter or argument; empty for the client's address.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Header(name) | Self::Cookie(name) | Self::Query(name) | Self::Argument(name) => {
                name
            }
            Self::Source => "",
        }
    }
}

/// What becomes of requests that lack the key of a sticky sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WithoutKey {
    /// Chance decides, with the same share.
    #[default]
    Chance,
    /// They are not copied.
    Skip,
    /// They are all copied.
    Copy,
}

/// What becomes of a request whose body HAProxy cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TruncatedBody {
    /// It is not copied, and counted as dropped `truncated-body`.
    Skip,
    /// The part that is there is sent, with its own length, and the marker header says so.
    Send,
    /// The request is sent without its body, and the marker header says so.
    HeadersOnly,
}

/// How copies differ from the requests that they are made from, in the order in which it is applied.
/// Redaction comes before it: see [`crate::policy::redact`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rewrite {
    /// The Host header.
    pub host: HostRewrite,
    /// Steps applied to the path one after the other, before the URL's own path is put in front.
    pub path: Vec<PathStep>,
    /// Query parameters taken away, by name.
    pub query_remove: Vec<String>,
    /// Query parameters set: the first of that name is replaced, others go; or it is added.
    pub query_set: Vec<(String, Template)>,
    /// The Authorization header; Proxy-Authorization goes where this is not kept.
    pub authorization: Authorization,
    /// Cookies.
    pub cookies: Cookies,
    /// Headers that get another name: from, to.
    pub headers_rename: Vec<(String, String)>,
    /// Headers taken away, by name in lower case.
    pub headers_remove: Vec<String>,
    /// Headers set in place of all of that name.
    pub headers_set: Vec<(String, Template)>,
    /// Headers added to those that are there.
    pub headers_add: Vec<(String, Template)>,
    /// Fields of a JSON body taken away.
    pub json_remove: Vec<JsonPath>,
    /// Fields of a JSON body set to a value, which is JSON text.
    pub json_set: Vec<(JsonPath, String)>,
}

/// The Host header of copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HostRewrite {
    /// What the client asked for.
    #[default]
    Original,
    /// Host and port of the target's URL.
    Target,
    /// This.
    Literal(String),
}

/// A step in rewriting a path.
#[derive(Debug, Clone, PartialEq)]
pub enum PathStep {
    /// Takes this off the beginning where it is followed by `/` or the end; never leaves nothing.
    StripPrefix(String),
    /// Puts this in front.
    AddPrefix(String),
    /// Replaces the first match; `$1`, `$name` stand for groups.
    Replace {
        /// What is replaced.
        regex: Pattern,
        /// By what.
        with: String,
    },
}

/// The Authorization header of copies.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Authorization {
    /// As the client sent it.
    #[default]
    Keep,
    /// None.
    Remove,
    /// This value (`Bearer ...`, `Basic ...`) on every copy.
    Set(Secret),
}

/// The cookies of copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cookies {
    /// As the client sent them.
    #[default]
    Keep,
    /// None.
    Remove,
    /// All but these.
    RemoveNamed(Vec<String>),
    /// None but these.
    KeepNamed(Vec<String>),
}

/// What is hidden from a target, and from everything after it: log lines, stored answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Redact {
    /// The places to hide and how; of two rules for a place the first one counts.
    pub rules: Vec<RedactRule>,
    /// The key of tokens; there when a rule needs it.
    pub key: Option<Secret>,
}

/// Hides one place.
#[derive(Debug, Clone, PartialEq)]
pub struct RedactRule {
    /// Where.
    pub place: RedactPlace,
    /// How.
    pub with: RedactWith,
}

/// A place in a request.
#[derive(Debug, Clone, PartialEq)]
pub enum RedactPlace {
    /// Headers of this name, in lower case.
    Header(String),
    /// The cookie of this name.
    Cookie(String),
    /// Query parameters of this name, in any case.
    Query(String),
    /// Fields of a JSON body.
    Json(JsonPath),
    /// Fields of a JSON body with this name at any depth, and fields of a form; in any case.
    Field(String),
}

/// How a value is hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedactWith {
    /// Together with its name.
    Remove,
    /// By this text.
    Text(String),
    /// By a token that is the same for the same value and key, and tells nothing of the value.
    Token,
}

/// Bounds of what waits for a target and of what is under way to it, over all workers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Copies sent in a time, on average; and how many may go at once after a pause.
    pub rate: Option<RateLimit>,
    /// Copies under way at once; for HTTP/1 also the number of connections.
    pub in_flight: usize,
    /// Lowers `in_flight` while the target is slow.
    pub adaptive: Option<Adaptive>,
    /// Copies waiting.
    pub queue: usize,
    /// Bytes of the copies waiting.
    pub queue_bytes: usize,
    /// A copy that waited longer is dropped.
    pub max_age: Duration,
    /// Which copy goes when there is no room for one more.
    pub drop: DropWhich,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// How fast it fills.
    pub rate: Rate,
    /// How many tokens it holds.
    pub burst: u32,
}

/// Which copy goes when the queue is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DropWhich {
    /// The one that comes.
    #[default]
    Newest,
    /// The one that waited longest.
    Oldest,
}

/// Lowers the number of copies under way when answers take longer than usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adaptive {
    /// It never goes below this.
    pub min: usize,
    /// Answers may take so many times as long as they did at their best before it is lowered.
    pub tolerance: f64,
}

/// Gives up sending to a target that fails, and tries a few copies now and then.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breaker {
    /// Opens after so many failures in a row; 0 leaves this out.
    pub failures: u32,
    /// Opens when this share of the copies in `window` failed.
    pub share: Option<Share>,
    /// The time that `share` looks at.
    pub window: Duration,
    /// `share` is not looked at below this number of copies in `window`.
    pub minimum: u32,
    /// How long it stays open before it tries.
    pub open: Duration,
    /// So many copies are tried at once, and must all be answered, before it closes again.
    pub probes: u32,
    /// Whether an answer of 500 to 599 is a failure.
    pub server_errors: bool,
}

/// How the target's certificate is verified, and what it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// A PEM file with the only roots to trust; the system's roots without it.
    pub ca: Option<PathBuf>,
    /// No verification at all.
    pub insecure: bool,
    /// PEM files with the certificate chain and the private key shown to the target.
    pub client: Option<CertificateFiles>,
    /// The name that is asked for and verified in place of the URL's host.
    pub server_name: Option<String>,
    /// The oldest version spoken.
    pub min_version: TlsVersion,
}

/// PEM files that prove who one end of a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2 and later.
    #[default]
    Tls12,
    /// 1.3 and later.
    Tls13,
}

/// The local end of connections to a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalEnd {
    /// The address to bind to.
    pub address: Option<IpAddr>,
    /// The interface to bind to.
    pub interface: Option<String>,
    /// The ports to choose from.
    pub ports: Option<RangeInclusive<u16>>,
}

impl LocalEnd {
    /// Whether an address can be reached from here: both are IPv4, or both IPv6.
    #[must_use]
    pub fn reaches(&self, address: SocketAddr) -> bool {
        self.address.is_none_or(|local| local.is_ipv4() == address.is_ipv4())
    }
}

/// How connections to a target are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Open connections over all workers; as many as copies may be under way without it.
    pub max: Option<usize>,
    /// An idle connection is closed after this time.
    pub idle: Duration,
    /// A connection that was open for longer is closed once it is idle, so that a target behind a
    /// name or a balancer is found anew.
    pub lifetime: Option<Duration>,
}

impl TargetConfig {
    /// A target that gets every request unaltered, with the limits of the command line's defaults.
    #[must_use]
    pub fn new(name: String, url: MirrorUrl) -> Self {
        Self {
            name,
            url,
            http: HttpVersion::Auto,
            paused: false,
            matching: Match::default(),
            except: None,
            sample: Sample::default(),
            amplify: 1,
            truncated_body: TruncatedBody::Skip,
            max_body: None,
            rewrite: Rewrite::default(),
            redact: Redact::default(),
            limits: Limits::default(),
            breaker: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            max_answer: 1 << 20,
            compare: Compare::No,
            control: Share::NONE,
            tls: TlsConfig::default(),
            local: LocalEnd::default(),
            connections: Connections::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: None,
            in_flight: 1000,
            adaptive: None,
            queue: 1000,
            queue_bytes: 64 << 20,
            max_age: Duration::from_secs(5),
            drop: DropWhich::Newest,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 20,
            share: None,
            window: Duration::from_secs(10),
            minimum: 20,
            open: Duration::from_secs(10),
            probes: 3,
            server_errors: false,
        }
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self { max: None, idle: Duration::from_secs(30), lifetime: None }
    }
}
