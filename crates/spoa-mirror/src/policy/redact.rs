//! What is hidden from a target: which places of a request, and what stands there instead.
//!
//! Redaction is applied to what the client sent, before rewriting sees it: a renamed header or a
//! template shows no more of a hidden value than its own place does. What the configuration itself
//! sets is not the client's, and stays.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::rewrite::query;
use super::view::{cookies, percent_decoded, split_query};
use crate::config::{Redact, RedactPlace, RedactRule, RedactWith};

/// The shortest key for tokens, in bytes: below it the key is easier to guess than a token.
pub const MIN_KEY: usize = 16;

/// Headers that `redact = "default"` removes.
pub const DEFAULT_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "api-key",
    "apikey",
    "ocp-apim-subscription-key",
    "private-token",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-api-token",
    "x-auth-token",
    "x-client-secret",
    "x-csrf-token",
    "x-csrftoken",
    "x-functions-key",
    "x-goog-api-key",
    "x-session-token",
    "x-vault-token",
    "x-xsrf-token",
];

/// Query parameters, form fields and JSON fields whose values `redact = "default"` replaces by
/// [`DEFAULT_TEXT`]; in any case, with or without `_` and `-`.
pub const DEFAULT_NAMES: &[&str] = &[
    "access_key",
    "access_token",
    "account_number",
    "api_key",
    "api_token",
    "auth_token",
    "authenticity_token",
    "authorization",
    "bank_account",
    "bearer_token",
    "card_cvc",
    "card_number",
    "client_assertion",
    "client_secret",
    "confirm_password",
    "credentials",
    "credit_card",
    "credit_card_number",
    "csrf_token",
    "current_password",
    "cvc",
    "cvv",
    "cvv2",
    "iban",
    "id_token",
    "jsessionid",
    "mfa_code",
    "national_id",
    "new_password",
    "old_password",
    "otp",
    "passcode",
    "passphrase",
    "passport_number",
    "passwd",
    "password",
    "password_confirmation",
    "phpsessid",
    "pin",
    "private_key",
    "pwd",
    "refresh_token",
    "secret",
    "secret_key",
    "security_code",
    "session_id",
    "session_token",
    "social_security_number",
    "ssn",
    "tax_id",
    "token",
    "totp",
    "x_amz_security_token",
    "x_amz_signature",
    "x_goog_signature",
    "xsrf_token",
];

/// What stands in place of a value that `redact = "default"` hides.
pub const DEFAULT_TEXT: &str = "redacted";

/// The rules of `redact = "default"`.
#[must_use]
pub fn default_rules() -> Vec<RedactRule> {
    let headers = DEFAULT_HEADERS.iter().map(|name| RedactRule {
        place: RedactPlace::Header((*name).to_owned()),
        with: RedactWith::Remove,
    });
    let names = DEFAULT_NAMES.iter().flat_map(|name| {
        [RedactPlace::Query((*name).to_owned()), RedactPlace::Field((*name).to_owned())]
            .map(|place| RedactRule { place, with: RedactWith::Text(DEFAULT_TEXT.to_owned()) })
    });
    headers.chain(names).collect()
}

/// Checks the key of tokens.
///
/// # Errors
/// What is wrong with it.
pub fn check_key(key: &str) -> Result<(), String> {
    if key.len() < MIN_KEY {
        return Err(format!("a key of {} bytes; it needs {MIN_KEY} or more", key.len()));
    }
    Ok(())
}

/// Checks that a place can be hidden, and by this; `marker` is the name of the header that marks
/// copies.
///
/// # Errors
/// Why it cannot.
pub fn check_rule(rule: &RedactRule, marker: Option<&str>) -> Result<(), String> {
    let name = match &rule.place {
        RedactPlace::Header(name) => {
            super::rewrite::check_header_name(name, marker)?;
            name
        }
        RedactPlace::Cookie(name) | RedactPlace::Query(name) | RedactPlace::Field(name) => name,
        RedactPlace::Json(_) => "$",
    };
    if name.is_empty() {
        return Err("the name is missing".to_owned());
    }
    let RedactWith::Text(text) = &rule.with else { return Ok(()) };
    match &rule.place {
        RedactPlace::Header(_) => super::rewrite::check_header_value(text),
        RedactPlace::Cookie(_) if !text.bytes().all(is_cookie_octet) => Err(format!(
            "`{text}` cannot be a cookie's value: it holds a blank, a comma, a semicolon, a \
             backslash, a quotation mark or what is not ASCII"
        )),
        _ => Ok(()),
    }
}

/// What may stand in a cookie's value (RFC 6265, section 4.1.1).
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

/// How a value is hidden, with what is needed for it.
#[derive(Debug, Clone)]
pub(super) enum Hide {
    Remove,
    Text(String),
    Token(Arc<hmac::Key>),
}

/// Bytes of the digest that a token shows: it takes 2^64 different values before two of them get the
/// same token with a probability of about 40 %.
const TOKEN_BYTES: usize = 16;

impl Hide {
    fn new(with: &RedactWith, key: Option<&Arc<hmac::Key>>) -> Self {
        match (with, key) {
            (RedactWith::Text(text), _) => Self::Text(text.clone()),
            (RedactWith::Token, Some(key)) => Self::Token(Arc::clone(key)),
            // Without a key nothing may be told of the value.
            (RedactWith::Remove | RedactWith::Token, _) => Self::Remove,
        }
    }

    /// What stands in place of `value`, without any encoding; `None` takes it away with its name.
    pub(super) fn value(&self, value: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Self::Remove => None,
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Token(key) => {
                let digest = hmac::sign(key, value);
                let shown = digest.as_ref().get(..TOKEN_BYTES).unwrap_or_default();
                let mut token = "tok_".to_owned();
                URL_SAFE_NO_PAD.encode_string(shown, &mut token);
                Some(Cow::Owned(token))
            }
        }
    }
}

/// Names and what they stand for, found in any case and with or without `_` and `-`.
#[derive(Debug)]
pub(crate) struct Names<T> {
    /// By length, without what does not count.
    by_length: Vec<Vec<(Vec<u8>, T)>>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { by_length: Vec::new() }
    }
}

impl<T> Names<T> {
    /// Takes a name in; of two equal ones the first stays.
    pub(crate) fn insert(&mut self, name: &str, value: T) {
        let letters: Vec<u8> = letters(name.as_bytes()).collect();
        if self.by_length.len() <= letters.len() {
            self.by_length.resize_with(letters.len() + 1, Vec::new);
        }
        if let Some(bucket) = self.by_length.get_mut(letters.len()) {
            if bucket.iter().all(|(known, _)| *known != letters) {
                bucket.push((letters, value));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_length.is_empty()
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<&T> {
        let bucket = self.by_length.get(letters(name).count())?;
        let found = bucket.iter().find(|(known, _)| letters(name).eq(known.iter().copied()))?;
        Some(&found.1)
    }

    /// Finds the name of a parameter, percent-encoded or not; `user[password]` and `user.password`
    /// are found by each of their parts too.
    pub(crate) fn find_parameter(&self, name: &[u8]) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        let name = percent_decoded(name);
        self.find(&name).or_else(|| {
            let mut parts = name.split(|byte| matches!(byte, b'[' | b']' | b'.'));
            parts.find_map(|part| self.find(part).filter(|_| !part.is_empty()))
        })
    }
}

/// What counts of a name.
fn letters(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().filter(|byte| !matches!(byte, b'_' | b'-')).map(u8::to_ascii_lowercase)
}

/// The rules of a target for everything but JSON.
#[derive(Debug)]
pub(super) struct Redactor {
    /// There is a rule, of whatever kind.
    active: bool,
    headers: Vec<(String, Hide)>,
    cookies: Vec<(String, Hide)>,
    query: Names<Hide>,
    fields: Names<Hide>,
}

/// The places that are hidden, in the order of their rules, and how.
pub(super) fn hides(redact: &Redact) -> Vec<(RedactPlace, Hide)> {
    let key = redact
        .key
        .as_ref()
        .map(|key| Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key.reveal().as_bytes())));
    let hide = |rule: &RedactRule| (rule.place.clone(), Hide::new(&rule.with, key.as_ref()));
    redact.rules.iter().map(hide).collect()
}

impl Redactor {
    pub(super) fn new(hides: &[(RedactPlace, Hide)]) -> Self {
        let mut redactor = Self {
            active: !hides.is_empty(),
            headers: Vec::new(),
            cookies: Vec::new(),
            query: Names::default(),
            fields: Names::default(),
        };
        for (place, hide) in hides {
            let hide = hide.clone();
            match place {
                RedactPlace::Header(name) => redactor.headers.push((name.clone(), hide)),
                RedactPlace::Cookie(name) => redactor.cookies.push((name.clone(), hide)),
                RedactPlace::Query(name) => redactor.query.insert(name, hide),
                RedactPlace::Field(name) => redactor.fields.insert(name, hide),
                RedactPlace::Json(_) => {}
            }
        }
        redactor
    }

    /// Whether anything is hidden.
    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// What a target sees of a header; `None` when it does not see it. Cookies are hidden in the
    /// Cookie header, and query parameters in the URL that Referer holds.
    pub(super) fn header<'v>(&self, name: &[u8], value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
        let rule =
            self.headers.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        if let Some((_, hide)) = rule {
            return hide.value(value).map(|shown| Cow::Owned(shown.into_owned().into_bytes()));
        }
        match name.len() {
            6 if name.eq_ignore_ascii_case(b"cookie") => self.cookie_header(value),
            7 if name.eq_ignore_ascii_case(b"referer") => Some(self.referer(value)),
            _ => Some(Cow::Borrowed(value)),
        }
    }

    /// Whether a header of this name is hidden.
    pub(super) fn hides_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    fn cookie_header<'v>(&self, value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
        let hidden = |name: &[u8]| self.cookies.iter().find(|(known, _)| known.as_bytes() == name);
        if self.cookies.is_empty() || cookies(value).all(|(name, _)| hidden(name).is_none()) {
            return Some(Cow::Borrowed(value));
        }
        query::cookies(value, |name, value| match hidden(name) {
            None => query::Fate::Keep,
            Some((_, hide)) => query::Fate::of(hide.value(value), |shown| shown.into()),
        })
    }

    fn referer<'v>(&self, value: &'v [u8]) -> Cow<'v, [u8]> {
        let (before, query) = split_query(value);
        let end = memchr::memchr(b'#', query).unwrap_or(query.len());
        let (query, after) = query.split_at(end);
        match self.query(query) {
            Cow::Borrowed(_) => Cow::Borrowed(value),
            Cow::Owned(query) => {
                let mark = if query.is_empty() { &b""[..] } else { b"?" };
                Cow::Owned([before, mark, &query, after].concat())
            }
        }
    }

    /// What a target sees of a query.
    pub(super) fn query<'q>(&self, query: &'q [u8]) -> Cow<'q, [u8]> {
        query::edit(query, |name, value| self.parameter(name, value))
    }

    /// What becomes of a query parameter.
    pub(super) fn parameter(&self, name: &[u8], value: &[u8]) -> query::Fate {
        Self::in_query(self.query.find_parameter(name), value)
    }

    /// Whether fields of forms are hidden.
    pub(super) fn has_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// What a target sees of a form.
    pub(super) fn form<'f>(&self, form: &'f [u8]) -> Cow<'f, [u8]> {
        query::edit(form, |name, value| Self::in_query(self.fields.find_parameter(name), value))
    }

    fn in_query(hide: Option<&Hide>, value: &[u8]) -> query::Fate {
        let Some(hide) = hide else { return query::Fate::Keep };
        query::Fate::of(hide.value(&percent_decoded(value)), query::encoded)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn redactor(rules: &[(RedactPlace, RedactWith)]) -> Redactor {
        let rules = rules.iter().cloned().map(|(place, with)| RedactRule { place, with });
        let key = Some(Secret::new("0123456789abcdef".to_owned()));
        Redactor::new(&hides(&Redact { rules: rules.collect(), key }))
    }

    fn header(name: &str) -> RedactPlace {
        RedactPlace::Header(name.to_owned())
    }

    fn cookie(name: &str) -> RedactPlace {
        RedactPlace::Cookie(name.to_owned())
    }

    fn parameter(name: &str) -> RedactPlace {
        RedactPlace::Query(name.to_owned())
    }

    fn text(text: &str) -> RedactWith {
        RedactWith::Text(text.to_owned())
    }

    #[test]
    fn headers_are_removed_replaced_or_made_tokens() {
        let redactor = redactor(&[
            (header("a"), RedactWith::Remove),
            (header("b"), text("hidden")),
            (header("b"), RedactWith::Remove),
            (header("c"), RedactWith::Token),
        ]);
        assert_eq!(redactor.header(b"A", b"secret"), None);
        assert_eq!(redactor.header(b"B", b"secret").as_deref(), Some(&b"hidden"[..]));
        assert_eq!(redactor.header(b"d", b"plain").as_deref(), Some(&b"plain"[..]));
        let token = redactor.header(b"c", b"secret").unwrap();
        assert_eq!(token, redactor.header(b"C", b"secret").unwrap());
        assert_ne!(token, redactor.header(b"c", b"secret2").unwrap());
        assert_eq!(token.len(), 26);
        assert!(token.starts_with(b"tok_"));
    }

    /// The value of a token is a promise: other tools may compute it.
    #[test]
    fn a_token_is_the_beginning_of_hmac_sha256() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        // RFC 4231, test case 2: 5bdcc146bf60754e6a042426089575c7...
        let shown =
            Hide::Token(Arc::new(key)).value(b"what do ya want for nothing?").unwrap().into_owned();
        assert_eq!(shown, "tok_W9zBRr9gdU5qBCQmCJV1xw");
    }

    #[test]
    fn the_same_value_has_the_same_token_everywhere() {
        let redactor = redactor(&[
            (header("x"), RedactWith::Token),
            (cookie("x"), RedactWith::Token),
            (parameter("x"), RedactWith::Token),
        ]);
        let token = redactor.header(b"x", b"a@b c").unwrap().into_owned();
        assert_eq!(redactor.query(b"x=a%40b+c").into_owned(), [b"x=", &token[..]].concat());
        let cookies = redactor.header(b"cookie", b"x=a@b c").unwrap();
        assert_eq!(cookies.into_owned(), [b"x=", &token[..]].concat());
    }

    #[test]
    fn cookies_keep_what_is_around_them() {
        let redactor =
            redactor(&[(cookie("a"), RedactWith::Remove), (cookie("b"), text("hidden"))]);
        for (before, after) in [
            ("a=1", None),
            ("a=1; a=2", None),
            ("b=1;c=2", Some("b=hidden;c=2")),
            ("a=1; c=2;  b=x=y", Some("c=2;  b=hidden")),
            ("A=1; c", Some("A=1; c")),
        ] {
            let seen = redactor.header(b"cookie", before.as_bytes());
            assert_eq!(seen.as_deref(), after.map(str::as_bytes), "{before}");
        }
    }

    #[test]
    fn query_parameters_in_every_spelling() {
        let redactor = redactor(&[
            (parameter("access_token"), text("a b")),
            (parameter("password"), RedactWith::Remove),
        ]);
        for (before, after) in [
            ("access_token=x&b=1", "access_token=a%20b&b=1"),
            ("accessToken=x&Access-Token=y", "accessToken=a%20b&Access-Token=a%20b"),
            ("access%5Ftoken=x", "access%5Ftoken=a%20b"),
            ("user%5Bpassword%5D=x&&b", "&b"),
            ("user.password=x", ""),
            ("b=password=x&passwords=1", "b=password=x&passwords=1"),
            ("access_token", "access_token"),
        ] {
            let seen = redactor.query(before.as_bytes());
            assert_eq!(seen.escape_ascii().to_string(), after, "{before}");
        }
        let referer = redactor.header(b"Referer", b"https://h/a?password=x#password=y").unwrap();
        assert_eq!(referer.escape_ascii().to_string(), "https://h/a#password=y");
    }

    #[test]
    fn what_cannot_be_hidden_is_refused() {
        let check = |place, with| check_rule(&RedactRule { place, with }, Some("x-m"));
        assert!(check(header("content-length"), RedactWith::Remove).is_err());
        assert!(check(header("X-M"), RedactWith::Remove).is_err());
        assert!(check(header("a b"), RedactWith::Remove).is_err());
        assert!(check(header("x"), text("a\nb")).is_err());
        assert!(check(cookie("x"), text("a;b")).is_err());
        assert!(check(parameter(""), RedactWith::Remove).is_err());
        assert!(check(parameter("x"), text("a b;\n")).is_ok());
        assert!(check_key("short").is_err());
        assert!(default_rules().iter().all(|rule| check_rule(rule, None).is_ok()));
    }
}
