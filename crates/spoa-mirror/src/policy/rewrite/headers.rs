//! The headers of a copy while they are altered, and which names and values rules may use.

use std::borrow::Cow;

use crate::exchange::is_token;

/// Names and values in their order, borrowed where they are as they came.
#[derive(Debug)]
pub(super) struct List<'a> {
    entries: Vec<Header<'a>>,
}

type Header<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl<'a> List<'a> {
    /// An empty one with room for `count` headers.
    pub(super) fn with_room(count: usize) -> Self {
        Self { entries: Vec::with_capacity(count) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Adds a header at the end.
    pub(super) fn add(&mut self, name: &'a [u8], value: Cow<'a, [u8]>) {
        self.entries.push((Cow::Borrowed(name), value));
    }

    /// Replaces the first header of this name by `value` and takes the others away; where there is
    /// none, adds it at the end.
    pub(super) fn set(&mut self, name: &'a [u8], value: Cow<'a, [u8]>) {
        let at = self.position(name).unwrap_or(self.entries.len());
        self.remove(name);
        self.entries.insert(at, (Cow::Borrowed(name), value));
    }

    /// The same for Host, which is the first header where there was none.
    pub(super) fn set_host(&mut self, host: &'a [u8]) {
        let at = self.position(b"host").unwrap_or(0);
        self.remove(b"host");
        self.entries.insert(at, (Cow::Borrowed(b"host"), Cow::Borrowed(host)));
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        self.entries.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
    }

    pub(super) fn rename(&mut self, from: &[u8], to: &'a [u8]) {
        for (name, _) in &mut self.entries {
            if name.eq_ignore_ascii_case(from) {
                *name = Cow::Borrowed(to);
            }
        }
    }

    /// Where the first header of this name is: nothing before it has the name, so that it is there
    /// still when all of that name are gone.
    fn position(&self, name: &[u8]) -> Option<usize> {
        self.entries.iter().position(|(found, _)| found.eq_ignore_ascii_case(name))
    }
}

/// Headers that describe the connection or the body's framing: a copy has its own.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks the name of a header that a rule renames, removes, sets, adds or hides; `marker` is the
/// name of the header that marks copies.
///
/// # Errors
/// Why no rule may be about it, and what can be done.
pub fn check_header_name(name: &str, marker: Option<&str>) -> Result<(), String> {
    if !is_token(name.as_bytes()) {
        return Err(format!(
            "`{name}` is no header name: letters, digits and !#$%&'*+-.^_`|~ make one"
        ));
    }
    if name.eq_ignore_ascii_case("host") {
        return Err("Host is set by `host`: \"original\", \"target\" or a name".to_owned());
    }
    if FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name)) {
        return Err(format!(
            "`{name}` belongs to the connection or to the framing of the body; a copy gets what is \
             right for it"
        ));
    }
    if marker.is_some_and(|marker| marker.eq_ignore_ascii_case(name)) {
        return Err(format!("`{name}` marks copies, so that they do not go round in circles"));
    }
    Ok(())
}

/// Checks a text that stands in a header's value: a template's text, a Host.
///
/// # Errors
/// What is wrong with it.
pub fn check_header_value(text: &str) -> Result<(), String> {
    if is_value(text.as_bytes()) {
        Ok(())
    } else {
        Err("it holds a control character, which no header may".to_owned())
    }
}

/// Whether a header may have this value: it ends where it seems to.
pub(super) fn is_value(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte == b'\t' || byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list<'a>(headers: &[(&'a str, &'a str)]) -> List<'a> {
        let mut list = List::with_room(0);
        for (name, value) in headers {
            list.add(name.as_bytes(), Cow::Borrowed(value.as_bytes()));
        }
        list
    }

    fn shown(list: &List<'_>) -> String {
        let lines = list
            .iter()
            .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()));
        lines.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn headers_keep_their_order() {
        let mut headers = list(&[("a", "1"), ("B", "2"), ("c", "3"), ("b", "4")]);
        headers.set(b"b", Cow::Borrowed(b"5"));
        assert_eq!(shown(&headers), "a: 1, b: 5, c: 3");
        headers.set(b"d", Cow::Borrowed(b"6"));
        headers.rename(b"A", b"x-a");
        headers.remove(b"C");
        headers.add(b"b", Cow::Borrowed(b"7"));
        assert_eq!(shown(&headers), "x-a: 1, b: 5, d: 6, b: 7");
    }

    #[test]
    fn host_stays_where_it_was_or_comes_first() {
        let mut headers = list(&[("a", "1"), ("Host", "h"), ("b", "2")]);
        headers.set_host(b"t");
        assert_eq!(shown(&headers), "a: 1, host: t, b: 2");
        let mut headers = list(&[("a", "1")]);
        headers.set_host(b"t");
        assert_eq!(shown(&headers), "host: t, a: 1");
    }

    #[test]
    fn names_that_no_rule_may_use() {
        for name in ["Content-Length", "transfer-encoding", "connection", "HOST", "x-m", "a:", ""] {
            assert!(check_header_name(name, Some("x-m")).is_err(), "{name}");
        }
        assert!(check_header_name("x-m", None).is_ok());
        assert!(check_header_value("a\tb \u{e4}").is_ok());
        assert!(check_header_value("a\r\nb").is_err());
    }
}
