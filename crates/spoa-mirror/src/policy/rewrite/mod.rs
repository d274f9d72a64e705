//! Makes a copy differ from its request as the target's configuration says. No I/O.
//!
//! Redaction comes first, by the places of the request as the client sent it; then rewriting, whose
//! templates see what redaction left. Nothing that is not altered is copied or changes a byte.

mod body;
mod headers;
mod json;
mod path;
pub(super) mod query;
mod scan;
mod template;

use std::borrow::Cow;

use super::Request;
use super::redact::{self, Redactor};
use super::view::{self, View};
use crate::config::{Authorization, Cookies, HostRewrite, Rewrite, TargetConfig};
use crate::exchange::{Exchange, RequestTarget};
use crate::outcome::DropReason;

use body::Kind;
use headers::List;
use json::Editor;
use query::Fate;
use template::Seen;

pub use headers::{check_header_name, check_header_value};
pub use path::{check_path_prefix, check_path_text};

/// Checks the value that a field of a JSON body is set to.
///
/// # Errors
/// It is no JSON.
pub fn check_json_value(text: &str) -> Result<(), String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "`{text}` is no JSON ({error}); a text is written with its quotation marks"
        )),
    }
}

/// Alters the copies for one target.
#[derive(Debug)]
pub struct Rewriter {
    rules: Rewrite,
    /// The name of the target.
    target: String,
    /// The Host of all copies.
    host: Option<String>,
    redactor: Redactor,
    /// For bodies that are said to be JSON.
    json: Option<Editor>,
    /// For bodies that may be JSON: hides only.
    hidden_json: Option<Editor>,
}

/// Headers with a digest of the body: wrong once it is altered, and telling of what was hidden.
const DIGESTS: &[&[u8]] = &[b"content-digest", b"content-md5", b"digest", b"repr-digest"];

/// The parts of a request that a copy is made of, altered where the rules say so.
#[derive(Debug)]
pub struct Draft<'a> {
    target: Target<'a>,
    headers: List<'a>,
    body: Cow<'a, [u8]>,
}

#[derive(Debug)]
enum Target<'a> {
    Origin(Cow<'a, [u8]>),
    Absolute { origin: Cow<'a, [u8]>, path: Cow<'a, [u8]> },
    Asterisk,
    Authority(Cow<'a, [u8]>),
}

impl Draft<'_> {
    /// The request target, before the path of the target's URL is put in front.
    #[must_use]
    pub fn target(&self) -> RequestTarget<'_> {
        match &self.target {
            Target::Origin(path) => RequestTarget::Origin { path, query: b"" },
            Target::Absolute { origin, path } => RequestTarget::Absolute { origin, path },
            Target::Asterisk => RequestTarget::Asterisk,
            Target::Authority(authority) => RequestTarget::Authority(authority),
        }
    }

    /// Names and values of the headers, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Rewriter {
    /// What alters the copies for a target; `None` when nothing does.
    #[must_use]
    pub fn new(config: &TargetConfig) -> Option<Self> {
        if config.rewrite == Rewrite::default() && config.redact.rules.is_empty() {
            return None;
        }
        let hides = redact::hides(&config.redact);
        Some(Self {
            rules: config.rewrite.clone(),
            target: config.name.clone(),
            host: match &config.rewrite.host {
                HostRewrite::Original => None,
                HostRewrite::Target => {
                    let origin = config.url.origin();
                    origin.split_once("://").map(|(_, authority)| authority.to_owned())
                }
                HostRewrite::Literal(host) => Some(host.clone()),
            },
            redactor: Redactor::new(&hides),
            json: Editor::new(&config.rewrite, &hides),
            hidden_json: Editor::new(&Rewrite::default(), &hides),
        })
    }

    /// The copy of `request`, of which `headers` and `body` are to be sent; `truncated` says that a
    /// part of the body is missing.
    ///
    /// # Errors
    /// [`DropReason::NotRewritable`] when the body is not what a rule needs, and
    /// [`DropReason::Malformed`] when a rule makes what would break the framing of HTTP/1.
    pub fn draft<'d, 'a: 'd>(
        &'d self,
        request: &Request<'a>,
        headers: impl Iterator<Item = (&'d [u8], &'d [u8])>,
        body: &'d [u8],
        truncated: bool,
    ) -> Result<Draft<'d>, DropReason> {
        let (exchange, view) = (&request.exchange, &request.view);
        let seen = Seen { view, redactor: &self.redactor, target: &self.target };
        let body = self.body(view, body, truncated)?;
        let count = request.facts.as_ref().map_or(0, |facts| facts.count);
        let mut headers = self.headers(headers, count, &seen)?;
        if matches!(body, Cow::Owned(_)) {
            for digest in DIGESTS {
                headers.remove(digest);
            }
        }
        Ok(Draft { target: self.target(exchange, &seen)?, headers, body })
    }

    fn target<'a>(
        &'a self,
        exchange: &Exchange<'a>,
        seen: &Seen<'_, '_>,
    ) -> Result<Target<'a>, DropReason> {
        Ok(match exchange.target {
            RequestTarget::Origin { path, query: b"" } => {
                Target::Origin(self.path_and_query(path.into(), seen)?)
            }
            RequestTarget::Origin { path, query } => {
                let whole = [path, b"?", query].concat();
                Target::Origin(self.path_and_query(whole.into(), seen)?)
            }
            RequestTarget::Absolute { origin, path } => Target::Absolute {
                origin: self.origin(origin),
                // OPTIONS on the server as a whole, in the form for proxies.
                path: if path.is_empty() && exchange.method == b"OPTIONS" {
                    path.into()
                } else {
                    self.path_and_query(path.into(), seen)?
                },
            },
            RequestTarget::Asterisk => Target::Asterisk,
            RequestTarget::Authority(authority) => Target::Authority(self.authority(authority)),
        })
    }

    fn path_and_query<'a>(
        &self,
        whole: Cow<'a, [u8]>,
        seen: &Seen<'_, '_>,
    ) -> Result<Cow<'a, [u8]>, DropReason> {
        let (path, query) = view::split_query(&whole);
        let new_path = match self.rules.path.as_slice() {
            [] => Cow::Borrowed(path),
            steps => path::rewrite(steps, path).ok_or(DropReason::Malformed)?.into(),
        };
        let new_query = self.query(query, seen);
        if *new_path == *path && matches!(new_query, Cow::Borrowed(_)) {
            return Ok(whole);
        }
        let mark = match &new_query {
            Cow::Owned(query) => !query.is_empty(),
            Cow::Borrowed(_) => whole.len() > path.len(),
        };
        let mark: &[u8] = if mark { b"?" } else { b"" };
        Ok([&*new_path, mark, &*new_query].concat().into())
    }

    fn query<'q>(&self, query: &'q [u8], seen: &Seen<'_, '_>) -> Cow<'q, [u8]> {
        let rules = &self.rules;
        let set = |at: usize| rules.query_set.get(at).map(|(_, value)| seen.fill_encoded(value));
        let mut done = vec![false; rules.query_set.len()];
        let edited = query::edit(query, |name, value| {
            let wanted = |(set, _): &(String, _)| query::is_named(name, set);
            if let Some(at) = rules.query_set.iter().position(wanted) {
                let first = done.get_mut(at).is_some_and(|done| !std::mem::replace(done, true));
                return match set(at).filter(|_| first) {
                    Some(value) => Fate::Pair([name, b"=", &value].concat()),
                    None => Fate::Remove,
                };
            }
            if rules.query_remove.iter().any(|removed| query::is_named(name, removed)) {
                return Fate::Remove;
            }
            self.redactor.parameter(name, value)
        });
        if done.iter().all(|&done| done) {
            return edited;
        }
        let mut edited = edited.into_owned();
        for ((name, value), _) in rules.query_set.iter().zip(done).filter(|(_, done)| !done) {
            if !edited.is_empty() {
                edited.push(b'&');
            }
            edited.extend_from_slice(&query::encoded(name.as_bytes()));
            edited.push(b'=');
            edited.extend_from_slice(&seen.fill_encoded(value));
        }
        edited.into()
    }

    /// Scheme and authority: in an absolute target the authority is what counts, and Host repeats it
    /// (RFC 9112, section 3.2.2).
    fn origin<'a>(&'a self, origin: &'a [u8]) -> Cow<'a, [u8]> {
        let at = memchr::memmem::find(origin, b"://").map_or(0, |at| at + 3);
        let (scheme, authority) = origin.split_at(at);
        let altered = self.authority(authority);
        if *altered == *authority { origin.into() } else { [scheme, &altered].concat().into() }
    }

    fn authority<'a>(&'a self, authority: &'a [u8]) -> Cow<'a, [u8]> {
        if let Some(host) = &self.host {
            return host.as_bytes().into();
        }
        // A name and password before the host are credentials just like Authorization.
        let keeps = self.rules.authorization == Authorization::Keep
            && !self.redactor.hides_header("authorization");
        match memchr::memrchr(b'@', authority) {
            Some(at) if !keeps => authority[at + 1..].into(),
            _ => authority.into(),
        }
    }

    fn headers<'a>(
        &'a self,
        headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        count: usize,
        seen: &Seen<'_, '_>,
    ) -> Result<List<'a>, DropReason> {
        let rules = &self.rules;
        // With Host and Authorization, where there are none.
        let mut list =
            List::with_room(count + rules.headers_set.len() + rules.headers_add.len() + 2);
        for (name, value) in headers {
            let Some(value) = self.redactor.header(name, value) else { continue };
            let value = match name.len() {
                6 if name.eq_ignore_ascii_case(b"cookie") => self.cookies(value),
                13 if name.eq_ignore_ascii_case(b"authorization") => {
                    Some(value).filter(|_| rules.authorization != Authorization::Remove)
                }
                // For a proxy on the way, and as secret.
                19 if name.eq_ignore_ascii_case(b"proxy-authorization") => {
                    Some(value).filter(|_| rules.authorization == Authorization::Keep)
                }
                _ => Some(value),
            };
            if let Some(value) = value {
                list.add(name, value);
            }
        }
        if let Authorization::Set(secret) = &rules.authorization {
            list.set(b"authorization", checked(secret.reveal().as_bytes().into())?);
        }
        for (from, to) in &rules.headers_rename {
            list.rename(from.as_bytes(), to.as_bytes());
        }
        for name in &rules.headers_remove {
            list.remove(name.as_bytes());
        }
        for (name, value) in &rules.headers_set {
            list.set(name.as_bytes(), checked(seen.fill(value).into())?);
        }
        for (name, value) in &rules.headers_add {
            list.add(name.as_bytes(), checked(seen.fill(value).into())?);
        }
        if let Some(host) = &self.host {
            list.set_host(host.as_bytes());
        }
        Ok(list)
    }

    fn cookies<'a>(&self, header: Cow<'a, [u8]>) -> Option<Cow<'a, [u8]>> {
        let (names, keep) = match &self.rules.cookies {
            Cookies::Keep => return Some(header),
            Cookies::Remove => return None,
            Cookies::RemoveNamed(names) => (names, false),
            Cookies::KeepNamed(names) => (names, true),
        };
        let judge = |name: &[u8], _: &[u8]| {
            let named = names.iter().any(|known| known.as_bytes() == name);
            if named == keep { Fate::Keep } else { Fate::Remove }
        };
        match header {
            Cow::Borrowed(header) => query::cookies(header, judge),
            Cow::Owned(header) => Some(query::cookies(&header, judge)?.into_owned().into()),
        }
    }

    fn body<'a>(
        &self,
        view: &View<'_>,
        body: &'a [u8],
        truncated: bool,
    ) -> Result<Cow<'a, [u8]>, DropReason> {
        if body.is_empty() {
            return Ok(body.into());
        }
        let kind = Kind::of(view);
        let editor = if kind == Kind::Json { &self.json } else { &self.hidden_json };
        let concerned = match kind {
            Kind::Opaque => false,
            Kind::Form => self.redactor.has_fields() || body::looks_like_json(body),
            Kind::Json | Kind::Unknown => true,
        };
        let Some(editor) = editor.as_ref().filter(|_| concerned) else {
            return Ok(body.into());
        };
        if truncated || body::is_encoded(view) {
            return Err(DropReason::NotRewritable);
        }
        if kind == Kind::Form && !body::looks_like_json(body) {
            return Ok(self.redactor.form(body));
        }
        editor.edit(body).map_err(|_| DropReason::NotRewritable)
    }
}

fn checked(value: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, DropReason> {
    if headers::is_value(&value) { Ok(value) } else { Err(DropReason::Malformed) }
}

#[cfg(test)]
mod tests;
