//! What became of a copy, and the counters that account for every one.
//!
//! For each target: received = answered + failed + dropped + waiting + in flight. A worker counts
//! on its own thread, without atomics; [`Tally`] values of all workers, each taken between two
//! events of its worker, add up to the whole.

mod histogram;
mod spop;
mod tally;

use std::fmt;

pub use histogram::{AckDelays, CopyTimes, Histogram, Scale};
pub use spop::{SpopTally, StatusCounts};
pub use tally::Tally;

macro_rules! labelled {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order in which they are counted.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in logs and counters.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}

labelled! {
    /// Who has to do something about a copy that was not answered, if anybody.
    Fault {
        /// What HAProxy hands over, or lets through.
        HaProxy = "haproxy",
        /// The test environment.
        Target = "target",
        /// This machine or this program.
        Local = "local",
        /// What this program was told to do.
        Config = "config",
    }
}

labelled! {
    /// How an answered copy was answered.
    Answer {
        /// 101: the target wants another protocol; the connection is closed.
        Informational = "1xx",
        /// 200 to 299.
        Success = "2xx",
        /// 300 to 399; never followed.
        Redirect = "3xx",
        /// 400 to 499.
        ClientError = "4xx",
        /// 500 to 599.
        ServerError = "5xx",
        /// Bytes that are no HTTP response.
        Unparsable = "unparsable",
    }
}

impl Answer {
    /// The class of a status code.
    #[must_use]
    pub fn of(status: u16) -> Self {
        match status {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirect,
            400..=499 => Self::ClientError,
            500..=599 => Self::ServerError,
            _ => Self::Unparsable,
        }
    }
}

labelled! {
    /// Why a copy that was to be sent has no answer.
    Failure {
        /// The target's name has no address.
        Dns = "dns",
        /// The target refused the connection.
        ConnectRefused = "connect-refused",
        /// The connection did not come about in time.
        ConnectTimeout = "connect-timeout",
        /// The connection did not come about for another reason.
        Connect = "connect",
        /// The TLS handshake failed: the certificate was not accepted, or no common parameters.
        Tls = "tls",
        /// No whole answer in time.
        Timeout = "timeout",
        /// The target closed the connection without answering.
        Closed = "closed",
        /// The target reset the connection.
        Reset = "reset",
        /// The answer broke off.
        IncompleteAnswer = "incomplete-answer",
        /// The target ended an HTTP/2 stream or connection with an error.
        Http2 = "http2",
        /// No file descriptor was left.
        NoDescriptor = "no-descriptor",
        /// No local address or port was left.
        NoLocalPort = "no-local-port",
        /// The program ended before the answer came.
        Shutdown = "shutdown",
        /// A defect in this program, which cost this copy only.
        Internal = "internal",
    }
}

impl Failure {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::NoDescriptor | Self::NoLocalPort | Self::Shutdown | Self::Internal => {
                Fault::Local
            }
            _ => Fault::Target,
        }
    }
}

labelled! {
    /// What kind of reason a drop has: who must do something about it, if anybody.
    DropClass {
        /// The configuration says so: nothing is wrong.
        Configured = "configured",
        /// The request as HAProxy handed it over cannot be copied.
        Request = "request",
        /// The target or this machine takes no more.
        Overload = "overload",
        /// The program ends.
        Shutdown = "shutdown",
    }
}

labelled! {
    /// Why a copy was not to be sent.
    DropReason {
        /// The target's rules leave the request out.
        NotMatched = "not-matched",
        /// The target's sample leaves the request out.
        NotSampled = "not-sampled",
        /// The target is paused.
        Paused = "paused",
        /// The body is longer than the target shall get.
        BodyTooLarge = "body-too-large",
        /// HAProxy handed over only a part of the body, or it cannot be told.
        TruncatedBody = "truncated-body",
        /// HAProxy handed over only a part of the headers.
        TruncatedHeaders = "truncated-headers",
        /// Bytes that would break the framing of HTTP/1.
        Malformed = "malformed",
        /// The request is itself a copy, at the limit of hops.
        Loop = "loop",
        /// CONNECT: there is no request to copy but a tunnel.
        Connect = "connect-method",
        /// An upgrade to another protocol (WebSocket): the rest of it cannot be copied.
        Upgrade = "upgrade",
        /// HTTP/2 cannot express the request.
        Unrepresentable = "unrepresentable",
        /// The copy cannot be altered as configured: its body is not what a rule needs.
        NotRewritable = "not-rewritable",
        /// The target gets no more copies in this time.
        RateLimit = "rate-limit",
        /// The target failed too often, and is left alone for a while.
        BreakerOpen = "breaker-open",
        /// The queue holds as many copies as it may.
        QueueFull = "queue-full",
        /// The queue holds as many bytes as it may.
        QueueBytes = "queue-bytes",
        /// The copy waited too long.
        TooOld = "too-old",
        /// The program ended while the copy waited.
        Shutdown = "shutdown",
    }
}

impl DropReason {
    /// What kind of reason it is.
    #[must_use]
    pub fn class(self) -> DropClass {
        match self {
            Self::NotMatched | Self::NotSampled | Self::Paused | Self::BodyTooLarge => {
                DropClass::Configured
            }
            Self::TruncatedBody
            | Self::TruncatedHeaders
            | Self::Malformed
            | Self::Loop
            | Self::Connect
            | Self::Upgrade
            | Self::Unrepresentable
            | Self::NotRewritable => DropClass::Request,
            Self::RateLimit
            | Self::BreakerOpen
            | Self::QueueFull
            | Self::QueueBytes
            | Self::TooOld => DropClass::Overload,
            Self::Shutdown => DropClass::Shutdown,
        }
    }

    /// Whose doing it is.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::TruncatedBody
            | Self::TruncatedHeaders
            | Self::Malformed
            | Self::Connect
            | Self::Upgrade => Fault::HaProxy,
            Self::NotMatched
            | Self::NotSampled
            | Self::Paused
            | Self::BodyTooLarge
            | Self::Loop
            | Self::Unrepresentable
            | Self::NotRewritable
            | Self::RateLimit => Fault::Config,
            Self::BreakerOpen | Self::QueueFull | Self::QueueBytes | Self::TooOld => Fault::Target,
            Self::Shutdown => Fault::Local,
        }
    }

    /// What it means and what can be done, for people.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::NotMatched => "the target's rules leave it out",
            Self::NotSampled => "the target's sample leaves it out",
            Self::Paused => "the target is paused",
            Self::BodyTooLarge => "its body is longer than `max-body`",
            Self::TruncatedBody => "HAProxy handed over only a part of its body",
            Self::TruncatedHeaders => {
                "HAProxy handed over only a part of its headers; raise tune.bufsize, or \
                 tune.vars.*-max-size where they come from a variable"
            }
            Self::Malformed => {
                "its method, target or headers hold bytes that would break the framing of HTTP/1, \
                 or its body is longer than its content-length"
            }
            Self::Loop => {
                "it is a copy itself (--max-hops); does the mirror URL lead back to this HAProxy?"
            }
            Self::Connect => "it opens a tunnel; there is nothing to copy",
            Self::Upgrade => "it switches to another protocol, what follows cannot be copied",
            Self::Unrepresentable => {
                "HTTP/2 cannot express it; `--mirror-http 1.1` copies it byte for byte"
            }
            Self::NotRewritable => {
                "a rule is about fields of its body, which cannot be read: it is cut off, \
                 compressed, or not the JSON or form that the rule needs"
            }
            Self::RateLimit => "the target gets no more in this time (`limit.rate`)",
            Self::BreakerOpen => "the target failed too often and is left alone for a while",
            Self::QueueFull => {
                "the target is too slow, and as many copies wait as may (--max-queue)"
            }
            Self::QueueBytes => {
                "the target is too slow, and the copies that wait are as large as may be \
                 (--max-queue-bytes)"
            }
            Self::TooOld => {
                "the target is too slow, and the copy waited longer than --max-queue-age"
            }
            Self::Shutdown => "the agent ended while the copy waited",
        }
    }
}
