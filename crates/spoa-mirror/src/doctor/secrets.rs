//! Covers what is secret in a line that is shown: passwords of users, tokens in headers, keys.
//!
//! HAProxy has no mark for secrets, so that this goes by keywords and names, and rather covers too much. What is
//! read from variables (`${TOKEN}`) or when a request comes (`%[...]`) is only named, and stays.

use std::ops::Range;

use haproxy_config::{Surroundings, Syntax, parse};

use crate::legible::legible;

/// What stands in a secret's place.
pub(super) const COVER: &str = "***";
/// A name with one of these in it is that of a secret.
const NAMES: &[&str] = &[
    "authoriz",
    "auth_bearer",
    "credential",
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api-key",
    "api_key",
    "apikey",
    "cookie",
    "signature",
    "private",
    "x-auth",
    "hmac",
];
/// The word behind one of these is a secret.
const BEFORE_SECRET: &[&str] =
    &["password", "insecure-password", "cluster-secret", "tune.quic.cluster-secret", "passphrase"];
/// Behind one of these stand a name, and what it gets.
const BEFORE_NAME: &[&str] = &[
    "set-header",
    "add-header",
    "replace-header",
    "replace-value",
    "early-hint",
    "hdr",
    "setenv",
    "presetenv",
    "set-param",
];
/// What begins a secret inside a word.
const SCHEMES: &[&str] = &["basic ", "basic\\ ", "bearer ", "bearer\\ ", "authorization:"];
/// Converters whose arguments hold keys.
const KEYED: &[&str] = &["hmac(", "jwt_verify(", "aes_gcm_", "aes_cbc_"];

/// A line as it can be shown.
#[derive(Debug)]
pub(super) struct Covered {
    pub(super) text: String,
    /// For each byte of the line, and its end, where that is in the text.
    at: Vec<usize>,
    /// Whether something is covered.
    pub(super) hides: bool,
}

impl Covered {
    /// Where these bytes of the line are in the text.
    pub(super) fn span(&self, span: &Range<usize>) -> Range<usize> {
        let at = |byte: usize| self.at.get(byte).copied().unwrap_or(self.text.len());
        at(span.start)..at(span.end).max(at(span.start))
    }
}

/// The line without its end, its secrets covered, with nothing that a terminal would obey.
pub(super) fn covered(line: &[u8]) -> Covered {
    let line = line.trim_ascii_end();
    let spans = spans(line);
    let mut shown = Covered {
        text: String::new(),
        at: Vec::with_capacity(line.len() + 1),
        hides: !spans.is_empty(),
    };
    let mut from = 0;
    for span in spans.iter().cloned().chain(std::iter::once(line.len()..line.len())) {
        for chunk in line.get(from..span.start).unwrap_or_default().utf8_chunks() {
            for character in chunk.valid().chars() {
                shown.at.extend(std::iter::repeat_n(shown.text.len(), character.len_utf8()));
                shown.text.push_str(&legible(character.encode_utf8(&mut [0; 4]), &['\t']));
            }
            shown.at.extend(std::iter::repeat_n(shown.text.len(), chunk.invalid().len()));
            shown.text.extend((!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER));
        }
        shown.at.extend(std::iter::repeat_n(shown.text.len(), span.len()));
        shown.text.push_str(if span.is_empty() { "" } else { COVER });
        from = span.end;
    }
    shown.at.push(shown.text.len());
    shown
}

/// The secrets of a line, with their quotes and without.
pub(super) fn texts(line: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    for span in spans(line.trim_ascii_end()) {
        let text = String::from_utf8_lossy(line.get(span).unwrap_or_default()).into_owned();
        texts.push(unquoted(&text).to_owned());
        texts.push(text);
    }
    texts
}

/// Where secrets are in a line, in their order.
fn spans(line: &[u8]) -> Vec<Range<usize>> {
    let mut finder = Finder { line, words: Vec::new(), found: Vec::new() };
    let comment = finder.read();
    finder.words_behind_keywords();
    finder.compared();
    finder.inside_words();
    finder.found.extend(comment.filter(|comment| named(&lower(line, comment))));
    let mut spans = finder.found;
    spans.sort_by_key(|span| (span.start, span.end));
    let mut joined: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined.into_iter().flat_map(|span| without_references(line, span)).collect()
}

struct Finder<'a> {
    line: &'a [u8],
    /// Each word's place, and itself as it is written, in lower case.
    words: Vec<(Range<usize>, String)>,
    found: Vec<Range<usize>>,
}

impl Finder<'_> {
    /// Splits the line into words; gives its comment.
    fn read(&mut self) -> Option<Range<usize>> {
        let document = parse(self.line, Syntax::Haproxy, &Surroundings::default()).ok()?;
        let line = document.lines().next()?;
        for word in &line.words {
            self.words.push((word.span.clone(), lower(self.line, &word.span)));
        }
        if let Some(comment) = line.comment {
            return Some(comment + 1..self.line.len());
        }
        // Behind a mistake, such as a quote that does not end, there are no words: one is made of the rest.
        let read = self.words.last().map_or(0, |(span, _)| span.end);
        let skipped =
            self.line.get(read..)?.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let rest = read + skipped..self.line.len();
        if !rest.is_empty() {
            let text = lower(self.line, &rest);
            self.words.push((rest, text));
        }
        None
    }

    fn words_behind_keywords(&mut self) {
        let text = |at: usize| self.words.get(at).map_or("", |(_, text)| text.as_str());
        let first = text(0).to_owned();
        if first == "stats" && text(1) == "auth" {
            let (span, text) = self.words.get(2).cloned().unwrap_or_default();
            let user = text.find(':').map_or(0, |at| at + 1);
            self.found.push(span.start + user..span.end);
        }
        if first == "tcp-check" && text(1).starts_with("send") {
            let (span, text) = self.words.get(2).cloned().unwrap_or_default();
            let logs_in = ["auth", "pass", "login"].iter().any(|word| text.contains(word));
            if logs_in || self.text(1).starts_with("send-binary") {
                self.found.push(span);
            }
        }
        for at in 0..self.words.len() {
            let keyword = unquoted(self.text(at)).to_owned();
            let flag = keyword.starts_with("--") && !keyword.contains('=') && named(&keyword);
            if BEFORE_SECRET.contains(&keyword.as_str()) || flag {
                self.cover(at + 1..at + 2);
            } else if BEFORE_NAME.contains(&keyword.as_str()) && named(self.text(at + 1)) {
                let rest = self.words.iter().skip(at + 2);
                let count = rest.take_while(|(_, text)| text != "if" && text != "unless").count();
                self.cover(at + 2..at + 2 + count);
            }
        }
    }

    /// What a secret's value is compared with, in an `acl` or in braces.
    fn compared(&mut self) {
        let mut inside = matches!(self.text(0), "acl");
        let mut secret = false;
        let mut skip = false;
        for at in 0..self.words.len() {
            let text = self.text(at).to_owned();
            match text.as_str() {
                "{" | "!{" => (inside, secret) = (true, false),
                "}" => (inside, secret) = (false, false),
                "-m" | "-f" | "-M" if secret => skip = true,
                _ if std::mem::take(&mut skip) => {}
                flag if flag.starts_with('-') => {}
                _ if secret => self.cover(at..at + 1),
                fetch => secret = inside && fetch_of_secret(fetch),
            }
        }
    }

    fn inside_words(&mut self) {
        let mut after_secret = false;
        for (span, text) in self.words.clone() {
            let start = span.start;
            for scheme in SCHEMES {
                if let Some(at) = text.find(scheme) {
                    let end = text.trim_end_matches(['"', '\'']).len();
                    self.found.push(start + at + scheme.len()..start + end.max(at + scheme.len()));
                }
            }
            if let Some(at) = text.find("://") {
                let authority = text.get(at + 3..).unwrap_or_default();
                let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
                if let Some(user) = authority.get(..end).and_then(|authority| authority.rfind('@'))
                {
                    self.found.push(start + at + 3..start + at + 3 + user);
                }
            }
            for converter in KEYED {
                if let Some(at) = text.find(converter) {
                    let open =
                        text.get(at..).and_then(|rest| rest.find('(')).map_or(0, |open| open + 1);
                    let close = text.get(at..).and_then(|rest| rest.find(')'));
                    let close = close.map_or(text.len(), |close| at + close);
                    self.found.push(start + at + open..start + close.max(at + open));
                }
            }
            self.assigned(start, &text);
            if after_secret || named(&text) {
                self.literal(start, &text);
            }
            after_secret = named(&text);
        }
    }

    /// `name=value` of a parameter or variable; a SPOE argument's value is a fetch, and no secret.
    fn assigned(&mut self, start: usize, text: &str) {
        if self.text(0) == "args" {
            return;
        }
        let mut from = 0;
        for part in text.split_inclusive(['?', '&']) {
            let pair = part.split_once('=').filter(|(name, _)| named(name));
            if let Some((name, value)) = pair {
                let at = from + name.len() + 1;
                let end = at + value.trim_end_matches(['?', '&', '"', '\'']).len();
                self.found.push(start + at..start + end);
            }
            from += part.len();
        }
    }

    /// `str(value)` beside the name of a secret.
    fn literal(&mut self, start: usize, text: &str) {
        if let Some(at) = text.find("str(") {
            let end = text.rfind(')').unwrap_or(text.len());
            self.found.push(start + at + 4..start + end.max(at + 4));
        }
    }

    fn cover(&mut self, words: Range<usize>) {
        let words = words.start..words.end.min(self.words.len());
        let spans = self.words.get(words).unwrap_or_default().iter().map(|(span, _)| span.clone());
        self.found.extend(spans);
    }

    fn text(&self, at: usize) -> &str {
        self.words.get(at).map_or("", |(_, text)| text.as_str())
    }
}

/// `req.hdr(authorization)`, `var(txn.token)`, `http_auth_bearer`.
fn fetch_of_secret(text: &str) -> bool {
    named(text)
}

fn named(name: &str) -> bool {
    NAMES.iter().any(|part| name.contains(part))
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

/// In lower case, byte for byte: places in it are places in the line.
fn lower(line: &[u8], span: &Range<usize>) -> String {
    let bytes = line.get(span.clone()).unwrap_or_default();
    bytes
        .iter()
        .map(|byte| if byte.is_ascii() { char::from(byte.to_ascii_lowercase()) } else { '?' })
        .collect()
}

/// A span without the `${NAME}` and `%[...]` in it.
fn without_references(line: &[u8], span: Range<usize>) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let (mut from, mut at) = (span.start, span.start);
    while at < span.end {
        let rest = line.get(at..span.end).unwrap_or_default();
        let length = match rest {
            [b'$', b'{', ..] => closed(rest, b'}').filter(|end| !rest[..*end].contains(&b'-')),
            [b'%', b'[', ..] => closed(rest, b']'),
            _ => None,
        };
        match length {
            Some(length) => {
                spans.push(from..at);
                at += length;
                from = at;
            }
            None => at += 1,
        }
    }
    spans.push(from..span.end);
    let only_quotes = |span: &Range<usize>| {
        line.get(span.clone())
            .unwrap_or_default()
            .iter()
            .all(|byte| matches!(byte, b'"' | b'\'' | b' '))
    };
    spans.into_iter().filter(|span| !only_quotes(span)).collect()
}

/// Up to this byte and with it.
fn closed(text: &[u8], by: u8) -> Option<usize> {
    text.iter().position(|byte| *byte == by).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        covered(line.as_bytes()).text
    }

    #[test]
    fn secrets_are_covered() {
        for (line, expected) in [
            ("  stats auth admin:hunter2 # here", "  stats auth admin:*** # here"),
            (
                "user anna insecure-password hunter2 groups a",
                "user anna insecure-password *** groups a",
            ),
            ("user anna password $5$ab/c", "user anna password ***"),
            (
                "http-request set-header Authorization \"Basic aHVudGVyMg==\" if a",
                "http-request set-header Authorization *** if a",
            ),
            ("http-request set-header X-Api-Key hunter2", "http-request set-header X-Api-Key ***"),
            (
                "http-check send meth GET hdr Authorization \"Bearer hunter2\"",
                "http-check send meth GET hdr Authorization ***",
            ),
            (
                "option httpchk GET / HTTP/1.0\\r\\nAuthorization:\\ Basic\\ hunter2",
                "option httpchk GET / HTTP/1.0\\r\\nAuthorization:***",
            ),
            ("tcp-check send AUTH\\ hunter2\\r\\n", "tcp-check send ***"),
            ("setenv DB_PASSWORD hunter2", "setenv DB_PASSWORD ***"),
            ("cluster-secret hunter2", "cluster-secret ***"),
            (
                "acl in req.hdr(authorization) -m str \"Bearer hunter2\" hunter3",
                "acl in req.hdr(authorization) -m str *** ***",
            ),
            (
                "http-request deny if !{ req.hdr(x-token) -m str hunter2 } or",
                "http-request deny if !{ req.hdr(x-token) -m str *** } or",
            ),
            (
                "http-request set-var(proc.token) str(hunter2)",
                "http-request set-var(proc.token) str(***)",
            ),
            (
                "http-request set-var(txn.k) req.body,hmac(sha256,hunter2)",
                "http-request set-var(txn.k) req.body,hmac(***)",
            ),
            (
                "command spoa-mirror -u http://anna:hunter2@host/x --token hunter3 --password=hunter4",
                "command spoa-mirror -u http://***@host/x --token *** --password=***",
            ),
            (
                "http-request redirect location /x?a=1&token=hunter2&b=2",
                "http-request redirect location /x?a=1&token=***&b=2",
            ),
            ("server a 127.0.0.1:1 # password hunter2", "server a 127.0.0.1:1 #***"),
            (
                "http-request set-header Authorization \"Basic hunter2",
                "http-request set-header Authorization ***",
            ),
            ("setenv TOKEN \"${OTHER-hunter2}\"", "setenv TOKEN ***"),
        ] {
            assert_eq!(shown(line), expected);
            assert!(covered(line.as_bytes()).hides);
        }
    }

    #[test]
    fn what_is_only_named_stays() {
        for line in [
            "    filter spoe engine mirror config mirror.conf",
            "server s1 127.0.0.1:8080 cookie s1 check inter 1s fall 2",
            "cookie SERVERID insert indirect",
            "args arg_hdrs=req.hdrs_bin token=var(txn.token) id=unique-id arg_body=req.body,bytes(0,20000)",
            "http-request set-var(txn.token) req.hdr(authorization)",
            "http-request set-header Authorization \"${TOKEN}\"",
            "http-request set-header X-Token %[var(txn.token)]",
            "http-request set-header X-Forwarded-Proto https if { ssl_fc }",
            "http-request set-var(txn.m_url) url if { var(txn.mirror) -m bool }",
            "bind :443 ssl crt /etc/haproxy/certs/site.pem alpn h2,http/1.1 # the site's",
        ] {
            assert_eq!(shown(line), line);
            assert!(!covered(line.as_bytes()).hides, "{line}");
        }
    }

    #[test]
    fn places_are_those_of_what_is_shown() {
        let line = b"stats auth a:hunter2 \xff\x1b\xc3\xa4 word\n";
        let covered = covered(line);
        assert_eq!(covered.text, "stats auth a:*** \u{fffd}\\u{1b}ä word");
        let word = line.len() - 5..line.len() - 1;
        assert_eq!(covered.text.get(covered.span(&word)), Some("word"));
        assert_eq!(covered.text.get(covered.span(&(13..20))), Some("***"));
        assert_eq!(covered.span(&(1000..2000)), covered.text.len()..covered.text.len());
    }
}
