//! What differs between two responses by nature, whatever the version: rules with names, each of
//! which can be switched off.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::path::Spot;
use crate::time::Time;

/// A built-in rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NaturalRule {
    /// Its name: what switches it off, and what excused differences are counted under.
    pub name: &'static str,
    /// What it excuses.
    pub about: &'static str,
}

/// All built-in rules.
#[must_use]
pub fn natural_rules() -> &'static [NaturalRule] {
    RULES
}

const RULES: &[NaturalRule] = &[
    NaturalRule { name: "date", about: "the header Date" },
    NaturalRule { name: "age", about: "the header Age" },
    NaturalRule {
        name: "server",
        about: "headers in which software names itself: Server, Via, X-Powered-By, \
                X-AspNet-Version, X-AspNetMvc-Version, X-Generator",
    },
    NaturalRule {
        name: "hop-by-hop",
        about: "headers of one connection: Connection and those it names, Keep-Alive, \
                Proxy-Connection, TE, Trailer, Transfer-Encoding, Upgrade",
    },
    NaturalRule {
        name: "framing",
        about: "headers that say again what the body is: Content-Length, Content-MD5, Digest, \
                Content-Digest, Repr-Digest",
    },
    NaturalRule {
        name: "infrastructure",
        about: "headers of caches, networks and load balancers: Alt-Svc, Report-To, NEL, X-Cache, \
                X-Cache-Hits, X-Served-By, X-Timer, X-Varnish, X-Amz-Cf-Id, X-Amz-Cf-Pop, CF-Ray, \
                CF-Cache-Status, X-Backend-Server",
    },
    NaturalRule {
        name: "cookie-value",
        about: "values of a cookie that both set; its name and attributes are compared",
    },
    NaturalRule { name: "validator", about: "values of ETag and Last-Modified, if both have one" },
    NaturalRule {
        name: "request-id",
        about: "values of headers and members that name a request: X-Request-Id, \
                X-Correlation-Id, Traceparent, requestId, trace_id, spanId and the like",
    },
    NaturalRule {
        name: "duration",
        about: "how long something took: Server-Timing, X-Runtime, X-Response-Time, \
                X-Envoy-Upstream-Service-Time; numbers named took, elapsed, processingTime, \
                responseTime, executionTime, queryTime, with or without a unit",
    },
    NaturalRule {
        name: "rate-limit",
        about: "what is left of a quota: values of RateLimit, RateLimit-Remaining, RateLimit-Reset \
                and the same with X- or X-Rate-Limit; Retry-After",
    },
    NaturalRule {
        name: "time",
        about: "two times within 5 minutes of the exchange, written in the same form: RFC 3339, the \
                date of HTTP, seconds, milli-, micro- or nanoseconds since 1970; also inside a text",
    },
    NaturalRule {
        name: "expiry",
        about: "two times to come, in the same form, at most 10 seconds apart and less than 400 days \
                away: both are the moment of the answer and the same span",
    },
    NaturalRule {
        name: "uuid",
        about: "two UUIDs of the same form in the same place; also inside a text",
    },
    NaturalRule {
        name: "time-id",
        about: "two ids that hold the time of the exchange, within 5 minutes: ULID, ObjectId",
    },
    NaturalRule {
        name: "nonce",
        about: "values that are made to be guessed by nobody: nonces in Content-Security-Policy and \
                HTML, members and form fields named csrf, xsrf, nonce, authenticity_token",
    },
    NaturalRule {
        name: "float",
        about: "two JSON numbers with a fraction or an exponent that are the same 64-bit float, \
                written with other digits",
    },
    NaturalRule { name: "boundary", about: "the boundary of a multipart Content-Type" },
];

/// A rule, as the code names it: its position in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Date,
    Age,
    Server,
    HopByHop,
    Framing,
    Infrastructure,
    CookieValue,
    Validator,
    RequestId,
    Duration,
    RateLimit,
    Time,
    Expiry,
    Uuid,
    TimeId,
    Nonce,
    Float,
    Boundary,
}

impl Nature {
    pub(crate) fn name(self) -> &'static str {
        RULES.get(self as usize).map_or("", |rule| rule.name)
    }
}

/// The built-in rules that are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NaturalRules {
    on: u32,
}

/// A name that no built-in rule has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRule {
    /// The name.
    pub name: String,
}

impl fmt::Display for UnknownRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no rule `{}`; there are", self.name)?;
        RULES.iter().try_for_each(|rule| write!(f, " `{}`", rule.name))
    }
}

impl std::error::Error for UnknownRule {}

impl Default for NaturalRules {
    fn default() -> Self {
        Self { on: u32::MAX }
    }
}

impl NaturalRules {
    /// No rule at all.
    #[must_use]
    pub fn none() -> Self {
        Self { on: 0 }
    }

    /// All rules but these.
    ///
    /// # Errors
    /// The first name that is none of a rule.
    pub fn without<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, UnknownRule> {
        names.into_iter().try_fold(Self::default(), |rules, name| {
            match RULES.iter().position(|rule| rule.name == name) {
                Some(position) => Ok(Self { on: rules.on & !(1 << position) }),
                None => Err(UnknownRule { name: name.to_owned() }),
            }
        })
    }

    fn has(self, nature: Nature) -> bool {
        self.on & 1 << nature as u32 != 0
    }
}

/// How far from the exchange a time may be to count as its own, in milliseconds: clocks differ.
const NEAR: i64 = 5 * 60_000;
/// How far apart two times may be that are as far from their answers, in milliseconds.
const APART: i64 = 10_000;
/// How far away such times may be, in milliseconds.
const AHEAD: i64 = 400 * 86_400_000;
/// Bytes of a text that are searched for times and ids.
const MAX_TEXT: usize = 64 * 1024;

/// Decides what differs by nature in one exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Natural {
    rules: NaturalRules,
    /// When the exchange was, in milliseconds since 1970 began.
    now: i64,
}

impl Natural {
    pub(crate) fn new(rules: NaturalRules, now: SystemTime) -> Self {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { rules, now: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) }
    }

    /// The rule, if it is on.
    pub(crate) fn on(&self, nature: Nature) -> Option<Nature> {
        self.rules.has(nature).then_some(nature)
    }

    /// The rule by which a header is not compared, whatever it says and whether or not it is there.
    pub(crate) fn header(&self, name: &[u8]) -> Option<Nature> {
        const INFRASTRUCTURE: &[&str] = &[
            "alt-svc",
            "report-to",
            "nel",
            "x-cache",
            "x-cache-hits",
            "x-served-by",
            "x-timer",
            "x-varnish",
            "x-amz-cf-id",
            "x-amz-cf-pop",
            "cf-ray",
            "cf-cache-status",
            "x-backend-server",
        ];
        const SERVER: &[&str] = &[
            "server",
            "via",
            "x-powered-by",
            "x-aspnet-version",
            "x-aspnetmvc-version",
            "x-generator",
        ];
        const HOP_BY_HOP: &[&str] = &[
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ];
        const FRAMING: &[&str] =
            &["content-length", "content-md5", "digest", "content-digest", "repr-digest"];
        const DURATION: &[&str] =
            &["server-timing", "x-runtime", "x-response-time", "x-envoy-upstream-service-time"];
        let any = |names: &[&str]| names.iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes()));
        let nature = if any(&["date"]) {
            Nature::Date
        } else if any(&["age"]) {
            Nature::Age
        } else if any(SERVER) {
            Nature::Server
        } else if any(HOP_BY_HOP) {
            Nature::HopByHop
        } else if any(FRAMING) {
            Nature::Framing
        } else if any(INFRASTRUCTURE) {
            Nature::Infrastructure
        } else if any(DURATION) {
            Nature::Duration
        } else {
            return None;
        };
        self.on(nature)
    }

    /// The rule by which a header that both have may have any values.
    pub(crate) fn header_values(&self, name: &[u8]) -> Option<Nature> {
        const REQUEST_ID: &[&str] = &[
            "x-request-id",
            "request-id",
            "x-requestid",
            "x-correlation-id",
            "correlation-id",
            "x-trace-id",
            "x-span-id",
            "traceparent",
            "tracestate",
            "x-b3-traceid",
            "x-b3-spanid",
            "x-b3-parentspanid",
            "x-cloud-trace-context",
            "x-amzn-requestid",
            "x-amzn-trace-id",
            "x-amz-request-id",
            "x-amz-id-2",
            "x-ms-request-id",
            "x-github-request-id",
            "x-vcap-request-id",
            "x-datadog-trace-id",
            "uber-trace-id",
            "x-transaction-id",
        ];
        const RATE_LIMIT: &[&str] = &[
            "ratelimit",
            "ratelimit-remaining",
            "ratelimit-reset",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
            "x-ratelimit-used",
            "x-rate-limit-remaining",
            "x-rate-limit-reset",
            "retry-after",
        ];
        let any = |names: &[&str]| names.iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes()));
        let nature = if any(&["etag", "last-modified"]) {
            Nature::Validator
        } else if any(REQUEST_ID) {
            Nature::RequestId
        } else if any(RATE_LIMIT) {
            Nature::RateLimit
        } else {
            return None;
        };
        self.on(nature)
    }

    /// The rule that excuses two JSON numbers of other values.
    pub(crate) fn numbers(&self, production: &[u8], shadow: &[u8]) -> Option<Nature> {
        // Whole numbers are exact in most languages, even if they do not fit a float.
        let float = |text: &[u8]| -> Option<f64> {
            let whole = text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
            if whole || text.len() > 64 {
                None
            } else {
                std::str::from_utf8(text).ok()?.parse().ok()
            }
        };
        let (a, b) = (float(production)?, float(shadow)?);
        (a == b && a.is_finite() && a != 0.0).then(|| self.on(Nature::Float))?
    }

    /// The rule that excuses two values, both text or both numbers, which differ at this place.
    pub(crate) fn values(
        &self,
        spot: Spot<'_>,
        production: &[u8],
        shadow: &[u8],
    ) -> Option<Nature> {
        if production.len().max(shadow.len()) > MAX_TEXT {
            return None;
        }
        spot.name()
            .and_then(|name| self.named(name, production, shadow))
            .or_else(|| self.token(production, shadow))
            .or_else(|| self.within(production, shadow))
    }

    /// By the name of the member.
    fn named(&self, name: &[u8], production: &[u8], shadow: &[u8]) -> Option<Nature> {
        if name.len() > 64 {
            return None;
        }
        let name: Vec<u8> = name
            .iter()
            .filter(|byte| byte.is_ascii_alphanumeric())
            .map(u8::to_ascii_lowercase)
            .collect();
        if production.is_empty() || shadow.is_empty() {
            return None;
        }
        let number = |text: &[u8]| {
            text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'-' | b'+'))
        };
        let unitless = |name: &[u8]| {
            let units: [&[u8]; 8] =
                [b"millis", b"milliseconds", b"micros", b"seconds", b"nanos", b"ms", b"us", b"ns"];
            let unit = units.iter().find_map(|unit| name.strip_suffix(*unit));
            unit.unwrap_or(name).to_vec()
        };
        match &name[..] {
            b"requestid" | b"reqid" | b"xrequestid" | b"correlationid" | b"traceid" | b"spanid"
            | b"parentspanid" | b"traceparent" => self.on(Nature::RequestId),
            name if has(name, b"csrf") || has(name, b"xsrf") => self.on(Nature::Nonce),
            b"nonce" | b"authenticitytoken" | b"requestverificationtoken" => self.on(Nature::Nonce),
            name if number(production) && number(shadow) => match &unitless(name)[..] {
                b"took" | b"elapsed" | b"elapsedtime" | b"processingtime" | b"responsetime"
                | b"executiontime" | b"querytime" => self.on(Nature::Duration),
                _ => None,
            },
            _ => None,
        }
    }

    /// By what both values are.
    fn token(&self, production: &[u8], shadow: &[u8]) -> Option<Nature> {
        if let (Some(a), Some(b)) = (Time::parse(production), Time::parse(shadow)) {
            let near = |time: Time| (time.millis - self.now).abs() <= NEAR;
            let ahead = |time: Time| (0..AHEAD).contains(&(time.millis - self.now));
            if a.form == b.form && near(a) && near(b) {
                return self.on(Nature::Time);
            }
            let together = (a.millis - b.millis).abs() <= APART;
            if a.form == b.form && ahead(a) && ahead(b) && together {
                return self.on(Nature::Expiry);
            }
            return None;
        }
        if is_uuid(production) && is_uuid(shadow) {
            let upper = |text: &[u8]| text.iter().any(u8::is_ascii_uppercase);
            return (upper(production) == upper(shadow)).then(|| self.on(Nature::Uuid))?;
        }
        let near = |time: Option<i64>| time.is_some_and(|time| (time - self.now).abs() <= NEAR);
        let ids = [object_id_time as fn(&[u8]) -> Option<i64>, ulid_time];
        let both = ids.iter().any(|time| near(time(production)) && near(time(shadow)));
        both.then(|| self.on(Nature::TimeId))?
    }

    /// By the words in two texts: all that differ must be excused by themselves.
    fn within(&self, production: &[u8], shadow: &[u8]) -> Option<Nature> {
        self.words(production, shadow, is_word, |a, b| self.token(a, b)).or_else(|| {
            let secret = has_nonce(production) && has_nonce(shadow);
            let random = |word: &[u8]| word.len() >= 8 && !word.ends_with(b"=\"");
            let nature = self.on(Nature::Nonce).filter(|_| secret)?;
            let is_nonce_word = |byte: u8| is_word(byte) || matches!(byte, b'/' | b'=');
            self.words(production, shadow, is_nonce_word, |a, b| {
                (random(a) && random(b)).then_some(nature)
            })
        })
    }

    /// The rule that excuses the first of the words that differ, if all are excused and what is
    /// between the words is the same.
    fn words(
        &self,
        production: &[u8],
        shadow: &[u8],
        is_word: impl Fn(u8) -> bool,
        excused: impl Fn(&[u8], &[u8]) -> Option<Nature>,
    ) -> Option<Nature> {
        let (mut a, mut b) = (production, shadow);
        let mut first = None;
        while !(a.is_empty() && b.is_empty()) {
            let (word_a, rest_a) = next_word(a, &is_word);
            let (word_b, rest_b) = next_word(b, &is_word);
            (a, b) = (rest_a, rest_b);
            if word_a != word_b {
                let nature = excused(without_stop(word_a), without_stop(word_b))?;
                first = first.or(Some(nature));
            }
        }
        first
    }
}

/// The first word of a text, or the first byte that is in none, and the rest.
fn next_word(text: &[u8], is_word: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|&&byte| is_word(byte)).count();
    text.split_at_checked(length.max(1)).unwrap_or((text, b""))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.' | b'+')
}

/// A word without the sign of punctuation that may end it.
fn without_stop(word: &[u8]) -> &[u8] {
    word.strip_suffix(b".").or_else(|| word.strip_suffix(b":")).unwrap_or(word)
}

fn has_nonce(text: &[u8]) -> bool {
    const MARKS: [&[u8]; 5] =
        [b"nonce", b"csrf", b"xsrf", b"authenticity_token", b"requestverificationtoken"];
    MARKS.iter().any(|mark| has(text, mark))
}

/// Whether `mark`, in lower case, is in the text in any case.
fn has(text: &[u8], mark: &[u8]) -> bool {
    text.windows(mark.len()).any(|window| window.eq_ignore_ascii_case(mark))
}

/// Whether this is a UUID with hyphens (RFC 9562 section 4).
pub(crate) fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The time in an ObjectId: 4 of its 12 bytes, seconds.
fn object_id_time(text: &[u8]) -> Option<i64> {
    if text.len() != 24 || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let seconds = std::str::from_utf8(text.get(..8)?).ok()?;
    Some(i64::from_str_radix(seconds, 16).ok()? * 1000)
}

/// The time in a ULID: 10 of its 26 characters, milliseconds in Crockford's base 32.
fn ulid_time(text: &[u8]) -> Option<i64> {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    if text.len() != 26 {
        return None;
    }
    let digit = |byte: &u8| {
        let digit = ALPHABET.iter().position(|letter| *letter == byte.to_ascii_uppercase())?;
        i64::try_from(digit).ok()
    };
    let digits: Vec<i64> = text.iter().map(digit).collect::<Option<_>>()?;
    Some(digits.iter().take(10).fold(0, |number, digit| number << 5 | digit))
}

#[cfg(test)]
mod tests;
