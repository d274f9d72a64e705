//! Whether a request may be answered: its host, its token, where a browser sent it from, how many
//! there were before it.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, TRANSFER_ENCODING,
};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tracing::warn;

use super::bucket::Bucket;
use super::door::{Caller, Door};
use super::error::ApiError;
use crate::config::AdminConfig;
use crate::log::{Throttle, suppressed};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Answered for anybody at any time: balancers ask it, and it tells nothing but that we live.
const ALWAYS_OPEN: &str = "/healthz";

/// The dashboard's style sheets and scripts are in the program for everybody to read. They count for no
/// rate, or a page would use up with them what it needs itself.
const PUBLIC: &str = "/assets/";

/// Keeps out what may not come in.
#[derive(Debug)]
pub(super) struct Guard {
    config: AdminConfig,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    /// For requests that may be answered.
    welcome: Bucket,
    /// For those without the token, so that they do not use up the others' share.
    strangers: Bucket,
    reports: Throttle,
}

impl Guard {
    pub(super) fn new(config: &AdminConfig) -> Self {
        let now = Instant::now();
        let buckets = Buckets {
            welcome: Bucket::new(config.rate, now),
            strangers: Bucket::new(config.rate, now),
            reports: Throttle::default(),
        };
        Self { config: config.clone(), buckets: Mutex::new(buckets) }
    }

    /// Whether the request may be answered.
    ///
    /// # Errors
    /// The answer that it gets instead.
    pub(super) fn check(&self, caller: &Caller, request: &request::Parts) -> Result<(), ApiError> {
        let path = request.uri.path();
        if path == ALWAYS_OPEN || (path.starts_with(PUBLIC) && is_read(&request.method)) {
            return Ok(());
        }
        let host = host(request)?;
        let known = self.knows(&request.headers);
        // A browser asks without before it asks its user.
        let first_step = page_wanted(request) && !request.headers.contains_key(AUTHORIZATION);
        self.count(caller, known, !known && !first_step)?;
        if !known {
            return Err(ApiError::unauthorized(page_wanted(request)));
        }
        // A page elsewhere whose name was made to lead here has no token, but would need none.
        if self.config.token.is_none() && !may_be_called(&caller.door, host.as_ref()) {
            let message = "without a token this answers only when it is asked for by an address, \
                           as `localhost`, or by the name in admin.listen";
            return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, "wrong-host", message));
        }
        if !is_read(&request.method) {
            own_site(&caller.door, host.as_ref(), &request.headers)?;
            json_only(&request.headers)?;
        }
        Ok(())
    }

    /// Whether the request brings the token, or none is needed.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.config.token else { return true };
        let given = headers.get(AUTHORIZATION).and_then(|value| given_token(value.as_bytes()));
        given.is_some_and(|it| verify_slices_are_equal(&it, token.reveal().as_bytes()).is_ok())
    }

    fn count(&self, caller: &Caller, known: bool, suspicious: bool) -> Result<(), ApiError> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if suspicious {
            if let Some(more) = buckets.reports.allow(now) {
                let door = &caller.door.address;
                warn!(
                    "admin API at {door}: {} asked without the right token{}",
                    caller.name,
                    suppressed(more)
                );
            }
        }
        let bucket = if known { &mut buckets.welcome } else { &mut buckets.strangers };
        bucket.take(now).map_err(ApiError::too_many)
    }
}

/// The token that a request brings: `Bearer TOKEN` as programs write it, or, from a browser's dialog,
/// `Basic` with any user and the token as the password.
fn given_token(authorization: &[u8]) -> Option<Cow<'_, [u8]>> {
    let space = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = authorization.split_at_checked(space)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Cow::Borrowed(rest));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = STANDARD.decode(rest).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    pair.get(colon.saturating_add(1)..).map(|password| Cow::Owned(password.to_vec()))
}

/// Whether a person asks with a browser, who is told in a page what programs are told in JSON.
pub(super) fn page_wanted(request: &request::Parts) -> bool {
    let is_page = |value: &HeaderValue| value.as_bytes().windows(9).any(|it| it == b"text/html");
    request.headers.get_all(ACCEPT).iter().any(is_page)
}

/// Whether a method changes nothing.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The host and port that the request is for, if it names any.
fn host(request: &request::Parts) -> Result<Option<Authority>, ApiError> {
    let mut given = request.headers.get_all(HOST).iter();
    let host = given.next();
    if given.next().is_some() {
        return Err(ApiError::bad_request("there is more than one `host` header"));
    }
    if let Some(authority) = request.uri.authority() {
        return Ok(Some(authority.clone()));
    }
    let Some(host) = host.filter(|value| !value.is_empty()) else { return Ok(None) };
    let parsed = Authority::try_from(host.as_bytes()).ok().filter(|a| !a.as_str().contains('@'));
    parsed.map(Some).ok_or_else(|| ApiError::bad_request("the `host` header is no host"))
}

/// Whether a request for this host is surely meant for us. One that names none is no browser's.
fn may_be_called(door: &Door, host: Option<&Authority>) -> bool {
    let (Some(name), Some(authority)) = (&door.host, host) else { return true };
    let asked = authority.host();
    let literal = asked.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    asked.parse::<std::net::Ipv4Addr>().is_ok()
        || literal.is_some_and(|literal| literal.parse::<Ipv6Addr>().is_ok())
        || asked.eq_ignore_ascii_case("localhost")
        || asked.eq_ignore_ascii_case(name)
}

/// Refuses what a browser sends on behalf of another site.
fn own_site(door: &Door, host: Option<&Authority>, headers: &HeaderMap) -> Result<(), ApiError> {
    let foreign_origin = headers.get_all(ORIGIN).iter().any(|origin| {
        let own = host.map(|host| format!("{}://{host}", door.scheme));
        !own.is_some_and(|own| own.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    });
    let foreign_fetch = headers
        .get_all(SEC_FETCH_SITE)
        .iter()
        .any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    if foreign_origin || foreign_fetch {
        let message = "a page of another site may change nothing here";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "cross-site", message));
    }
    Ok(())
}

/// Refuses bodies of other types: those that a form can send need no permission from us.
fn json_only(headers: &HeaderMap) -> Result<(), ApiError> {
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if !has_body {
        return Ok(());
    }
    let essence = headers.get(CONTENT_TYPE).and_then(|value| {
        let text = value.to_str().ok()?;
        Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    });
    if essence.as_deref() == Some("application/json") {
        return Ok(());
    }
    let message = "a body must be JSON, with the header `content-type: application/json`";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use axum::http::Request;

    use super::*;
    use crate::config::{Rate, Secret};

    const TOKEN: &str = "0123456789abcdef";

    fn guard(token: Option<&str>) -> Guard {
        let token = token.map(|text| Secret::new(text.to_owned()));
        Guard::new(&AdminConfig { token, ..AdminConfig::default() })
    }

    fn caller(host: Option<&str>) -> Caller {
        let host = host.map(str::to_owned);
        let door = Door { address: "here".to_owned(), host, scheme: "http" };
        Caller { name: "somebody".to_owned(), door: Arc::new(door) }
    }

    /// `METHOD TARGET` and headers.
    fn status(guard: &Guard, line: &str, headers: &[(&str, &str)]) -> u16 {
        let (method, target) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        guard
            .check(&caller(Some("agent.example")), &parts)
            .map_or_else(|e| e.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_name_that_is_not_ours_is_refused() {
        let guard = guard(None);
        for host in ["127.0.0.1:9600", "[::1]:9600", "10.1.2.3", "localhost:9600", "Agent.Example"]
        {
            assert_eq!(status(&guard, "GET /readyz", &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:9600"] {
            assert_eq!(status(&guard, "GET /readyz", &[("host", host)]), 421, "{host}");
            assert_eq!(status(&guard, "GET /healthz", &[("host", host)]), 200, "{host}");
        }
        assert_eq!(status(&guard, "GET http://evil.example/readyz", &[("host", "localhost")]), 421);
        assert_eq!(status(&guard, "GET /readyz", &[("host", "a"), ("host", "b")]), 400);
        assert_eq!(status(&guard, "GET /readyz", &[("host", "evil@localhost")]), 400);
        assert_eq!(status(&guard, "GET /readyz", &[]), 200);
    }

    #[test]
    fn the_token_is_needed_and_makes_the_name_irrelevant() {
        let guard = guard(Some(TOKEN));
        let bearer = |token: &str| format!("Bearer {token}");
        for wrong in
            [bearer("0123456789abcdeF"), bearer(""), TOKEN.to_owned(), "Basic x".to_owned()]
        {
            assert_eq!(
                status(&guard, "GET /metrics", &[("authorization", &wrong)]),
                401,
                "{wrong}"
            );
        }
        assert_eq!(status(&guard, "GET /metrics", &[("host", "localhost")]), 401);
        assert_eq!(status(&guard, "GET /healthz", &[]), 200);
        let right = [("authorization", &*bearer(TOKEN)), ("host", "mirror.example.net")];
        assert_eq!(status(&guard, "GET /metrics", &right), 200);
    }

    #[test]
    fn other_sites_may_not_write() {
        let guard = guard(None);
        let host = ("host", "localhost:9600");
        for (header, value, expected) in [
            ("origin", "http://localhost:9600", 200),
            ("origin", "https://localhost:9600", 403),
            ("origin", "http://localhost:9601", 403),
            ("origin", "http://evil.example", 403),
            ("origin", "null", 403),
            ("sec-fetch-site", "same-origin", 200),
            ("sec-fetch-site", "none", 200),
            ("sec-fetch-site", "same-site", 403),
            ("sec-fetch-site", "cross-site", 403),
        ] {
            for method in ["POST", "PATCH", "PUT", "DELETE"] {
                let line = format!("{method} /api/v1/pause");
                let status = status(&guard, &line, &[host, (header, value)]);
                assert_eq!(status, expected, "{method} {header}: {value}");
            }
            assert_eq!(status(&guard, "GET /api/v1/status", &[host, (header, value)]), 200);
        }
    }

    #[test]
    fn bodies_are_json() {
        let guard = guard(None);
        for (content_type, expected) in [
            ("application/json", 200),
            ("Application/JSON; charset=utf-8", 200),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("", 415),
        ] {
            for body in [("content-length", "2"), ("transfer-encoding", "chunked")] {
                let headers = [("content-type", content_type), body];
                assert_eq!(status(&guard, "POST /api/v1/reload", &headers), expected);
            }
        }
        assert_eq!(status(&guard, "POST /api/v1/reload", &[("content-length", "0")]), 200);
    }

    #[test]
    fn strangers_do_not_use_up_the_share_of_others() {
        let token = Some(Secret::new(TOKEN.to_owned()));
        // So slow that no token comes back during the test.
        let rate = Rate { per_second: 0.001 };
        let guard = Guard::new(&AdminConfig { token, rate, ..AdminConfig::default() });
        let bearer = format!("Bearer {TOKEN}");
        assert_eq!(status(&guard, "GET /metrics", &[]), 401);
        assert_eq!(status(&guard, "GET /metrics", &[]), 429);
        assert_eq!(status(&guard, "GET /metrics", &[("authorization", &bearer)]), 200);
        assert_eq!(status(&guard, "GET /metrics", &[("authorization", &bearer)]), 429);
        assert_eq!(status(&guard, "GET /healthz", &[]), 200);
    }
}
