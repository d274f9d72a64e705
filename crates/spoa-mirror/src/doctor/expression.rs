//! HAProxy's sample expressions, taken apart: a fetch, and converters behind it. `req.body,bytes(0,20000)`.

use std::borrow::Cow;

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expression<'a> {
    /// Where the value comes from.
    pub(crate) fetch: Call<'a>,
    /// What is done with it, in order.
    pub(crate) converters: Vec<Call<'a>>,
}

/// A name, and what stands in the parentheses behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) arguments: Cow<'a, str>,
}

impl<'a> Expression<'a> {
    /// Takes it apart; what is not well-formed gives what can be made of it.
    pub(crate) fn parse(text: &'a [u8]) -> Self {
        let mut calls = Vec::new();
        let (mut start, mut depth) = (0, 0_usize);
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    calls.push(Call::parse(text.get(start..at).unwrap_or_default()));
                    start = at + 1;
                }
                _ => {}
            }
        }
        let last = Call::parse(text.get(start..).unwrap_or_default());
        if calls.is_empty() {
            return Self { fetch: last, converters: Vec::new() };
        }
        let fetch = calls.remove(0);
        calls.push(last);
        Self { fetch, converters: calls }
    }

    /// The fetch's name.
    pub(crate) fn name(&self) -> &str {
        &self.fetch.name
    }

    /// The variable that it reads, with its scope: `txn.id`.
    pub(crate) fn variable(&self) -> Option<&str> {
        if self.fetch.name != "var" {
            return None;
        }
        // A default may stand behind the name.
        self.fetch.arguments.split(',').next().map(str::trim)
    }

    /// Whether it has a value of its own where the variable has none: `var(txn.id,none)`.
    pub(crate) fn has_default(&self) -> bool {
        self.fetch.name == "var" && self.fetch.arguments.contains(',')
    }

    /// The converter of this name.
    pub(crate) fn converter(&self, name: &str) -> Option<&Call<'a>> {
        self.converters.iter().find(|call| call.name == name)
    }
}

impl<'a> Call<'a> {
    fn parse(text: &'a [u8]) -> Self {
        let text = text.trim_ascii();
        let open = text.iter().position(|&byte| byte == b'(').unwrap_or(text.len());
        let (name, rest) = text.split_at(open);
        let inside = rest.strip_prefix(b"(").unwrap_or(rest);
        let inside = inside.strip_suffix(b")").unwrap_or(inside);
        Self { name: String::from_utf8_lossy(name), arguments: String::from_utf8_lossy(inside) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_and_its_converters() {
        let expression = Expression::parse(b"req.body,bytes(0,20000),base64");
        assert_eq!(expression.name(), "req.body");
        let converters: Vec<_> =
            expression.converters.iter().map(|call| (&*call.name, &*call.arguments)).collect();
        assert_eq!(converters, [("bytes", "0,20000"), ("base64", "")]);
        assert!(expression.converter("base64").is_some());
        assert_eq!(expression.variable(), None);
    }

    #[test]
    fn a_variable_may_have_a_default() {
        let plain = Expression::parse(b"var(txn.id)");
        assert_eq!((plain.variable(), plain.has_default()), (Some("txn.id"), false));
        let with = Expression::parse(b"var(txn.id,none),lower");
        assert_eq!((with.variable(), with.has_default()), (Some("txn.id"), true));
    }

    #[test]
    fn what_is_not_closed_is_taken_as_it_is() {
        for text in [&b""[..], b"(", b")", b"a(b", b"a)b,c(", b",,", b"\xff(\xff"] {
            let _ = Expression::parse(text);
        }
        assert_eq!(Expression::parse(b"date(0,us").fetch.arguments, "0,us");
    }
}
