//! Hides from people what is secret in a pair.
//!
//! In place of a hidden value stands `[hidden 5f3a91]`: a token by which one sees whether two hidden
//! values of a pair are the same, and nothing else. Its key is random, in this process alone, and never
//! written anywhere, so that nobody can try values until one has the token; and it changes with each pair,
//! so that nobody can compare with the token of a value that they sent themselves.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use aws_lc_rs::{hmac, rand};
use shadow_diff::{Place, Redact};

use super::secrets::Secrets;
use crate::policy::view::cookies;

/// Bytes of the digest that a token shows: of 16 million pairs of different values one looks the same.
const TOKEN_BYTES: usize = 3;
/// Bytes of one value that are looked at; what is behind them is hidden as a whole.
const LOOKED_AT: usize = 256 * 1024;
/// Schemes of credentials, which stay.
const SCHEMES: [&str; 6] = ["basic", "bearer", "digest", "negotiate", "ntlm", "token"];
/// Headers whose value is a URL.
const URLS: [&str; 5] = ["referer", "location", "content-location", "refresh", "origin"];

/// What is hidden from people.
#[derive(Debug)]
pub struct Redaction {
    secrets: Secrets,
    /// Without one, hidden values cannot be told from each other.
    key: Option<hmac::Key>,
    pair: AtomicU64,
}

impl Redaction {
    /// Hides values with the usual names, those with these names (of headers, cookies, query parameters,
    /// form fields, JSON members and XML elements, in any case, with or without `_` and `-`), and what
    /// looks like a secret.
    #[must_use]
    pub fn new(more_names: &[String]) -> Self {
        let mut key = [0; 32];
        let random = rand::fill(&mut key).is_ok();
        let key = random.then(|| hmac::Key::new(hmac::HMAC_SHA256, &key));
        Self { secrets: Secrets::new(more_names), key, pair: AtomicU64::new(0) }
    }

    /// From now on it is about another pair: equal values have other tokens than before.
    pub fn next_pair(&self) {
        self.pair.fetch_add(1, Relaxed);
    }

    /// A header's value as it is shown; `name` in any case. Of cookies the names are shown, of
    /// credentials the scheme.
    pub(super) fn header(&self, name: &str, value: &[u8]) -> Vec<u8> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("cookie") {
            let cookies = cookies(value).map(|(name, value)| self.pair(name, value));
            let cookies: Vec<_> = cookies.collect();
            return if cookies.is_empty() { self.hidden(value) } else { cookies.join(&b"; "[..]) };
        }
        if is("set-cookie") {
            let end = memchr::memchr(b';', value).unwrap_or(value.len());
            let (cookie, attributes) = value.split_at(end);
            let cookie = match memchr::memchr(b'=', cookie) {
                Some(at) => self.pair(&cookie[..at], &cookie[at + 1..]),
                None => self.hidden(cookie),
            };
            return [cookie, self.without(attributes, &self.secrets.find(attributes))].concat();
        }
        if self.secrets.is_named(name) {
            let (scheme, rest) = value.split_at(memchr::memchr(b' ', value).unwrap_or(0));
            let known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()));
            return match known {
                true => [scheme, b" ", &self.hidden(rest.trim_ascii_start())].concat(),
                false => self.hidden(value),
            };
        }
        match URLS.iter().any(|url| is(url)) {
            true => self.url(value),
            false => self.without(value, &self.secrets.find(value)),
        }
    }

    /// A URL or request target as it is shown.
    pub(super) fn url(&self, url: &[u8]) -> Vec<u8> {
        self.without(url, &self.secrets.find_in_url(url))
    }

    fn pair(&self, name: &[u8], value: &[u8]) -> Vec<u8> {
        [name, b"=", &self.hidden(value)].concat()
    }

    fn hidden(&self, value: &[u8]) -> Vec<u8> {
        if value.is_empty() { Vec::new() } else { self.instead(value).into_bytes() }
    }

    fn without(&self, text: &[u8], secrets: &[Range<usize>]) -> Vec<u8> {
        let mut output = Vec::with_capacity(text.len());
        let mut at = 0;
        for secret in secrets {
            output.extend_from_slice(text.get(at..secret.start).unwrap_or_default());
            let hidden = self.instead(text.get(secret.clone()).unwrap_or_default());
            output.extend_from_slice(hidden.as_bytes());
            at = secret.end;
        }
        output.extend_from_slice(text.get(at..).unwrap_or_default());
        output
    }
}

impl Redact for Redaction {
    fn shown<'v>(&self, place: &Place, value: &'v str) -> Cow<'v, str> {
        if value.is_empty() {
            return Cow::Borrowed(value);
        }
        if self.hides(place) && !is_attribute(place, value) {
            return Cow::Owned(self.instead(value.as_bytes()));
        }
        let end = (0..=LOOKED_AT.min(value.len())).rev().find(|&at| value.is_char_boundary(at));
        let (text, rest) = value.split_at(end.unwrap_or(0));
        let secrets = match place {
            Place::Header(name) if URLS.contains(&&**name) => {
                self.secrets.find_in_url(text.as_bytes())
            }
            _ => self.secrets.find(text.as_bytes()),
        };
        if secrets.is_empty() && rest.is_empty() {
            return Cow::Borrowed(value);
        }
        let mut shown = self.without(text.as_bytes(), &secrets);
        if !rest.is_empty() {
            shown.extend(self.hidden(rest.as_bytes()));
        }
        Cow::Owned(String::from_utf8_lossy(&shown).into_owned())
    }

    fn hides(&self, place: &Place) -> bool {
        match place {
            Place::Status => false,
            Place::Header(name) => name.starts_with("set-cookie.") || self.secrets.is_named(name),
            Place::Body(path) => Names(path.strip_prefix('$').unwrap_or(path))
                .any(|name| self.secrets.is_named(name.strip_suffix('\u{2026}').unwrap_or(&name))),
        }
    }

    fn secrets(&self, text: &[u8]) -> Vec<Range<usize>> {
        self.secrets.find(text)
    }

    fn instead(&self, secret: &[u8]) -> String {
        let Some(key) = &self.key else { return "[hidden]".to_owned() };
        let mut context = hmac::Context::with_key(key);
        context.update(&self.pair.load(Relaxed).to_le_bytes());
        context.update(secret);
        let digest = context.sign();
        let shown = digest.as_ref().iter().take(TOKEN_BYTES);
        let token: String = shown.map(|byte| format!("{byte:02x}")).collect();
        format!("[hidden {token}]")
    }
}

/// Whether this is an attribute of a cookie, as in `set-cookie.NAME.path`. A cookie's name may end like
/// one, so the value must look like one too.
fn is_attribute(place: &Place, value: &str) -> bool {
    let Place::Header(name) = place else { return false };
    let Some(cookie) = name.strip_prefix("set-cookie.") else { return false };
    let Some((_, attribute)) = cookie.rsplit_once('.') else { return false };
    match attribute {
        "path" => value.starts_with('/'),
        "domain" => {
            value.contains('.')
                && value.len() < 64
                && !value.contains(|c: char| c.is_ascii_uppercase())
        }
        "expires" => value.len() < 40 && value.ends_with("GMT"),
        "max-age" => {
            value.len() < 12 && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        }
        "samesite" => {
            ["lax", "strict", "none"].iter().any(|known| value.eq_ignore_ascii_case(known))
        }
        _ => false,
    }
}

/// The names in a path as it is written in a place, behind its `$`.
struct Names<'p>(&'p str);

impl<'p> Iterator for Names<'p> {
    type Item = Cow<'p, str>;

    fn next(&mut self) -> Option<Cow<'p, str>> {
        loop {
            if let Some(quoted) = self.0.strip_prefix("[\"") {
                let mut name = String::new();
                let mut characters = quoted.char_indices();
                while let Some((at, character)) = characters.next() {
                    match character {
                        '"' => {
                            self.0 = quoted.get(at + 1..).unwrap_or_default();
                            return Some(Cow::Owned(name));
                        }
                        '\\' => name.extend(characters.next().map(|(_, character)| character)),
                        character => name.push(character),
                    }
                }
                self.0 = "";
                return Some(Cow::Owned(name));
            }
            let mut characters = self.0.chars();
            let first = characters.next()?;
            self.0 = characters.as_str();
            if first == '.' {
                let end = self.0.find(['.', '[', '{']).unwrap_or(self.0.len());
                let (name, rest) = self.0.split_at(end);
                self.0 = rest;
                return Some(Cow::Borrowed(name));
            }
        }
    }
}

#[cfg(test)]
mod tests;
