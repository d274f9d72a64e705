//! Texts with a meaning of their own: patterns, templates, places in JSON.

use std::fmt;

/// What a value is compared with.
///
/// Written as a text, one that begins with `^` is a regular expression, one that ends with `*` a
/// prefix (`*` alone: any value), one that begins with `*` a suffix, and anything else the value
/// itself.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// The value is this.
    Exact(String),
    /// The value begins with this; with an empty text, there is a value.
    Prefix(String),
    /// The value ends with this.
    Suffix(String),
    /// The value, or a part of it, matches.
    Regex(regex::bytes::Regex),
}

/// A compiled pattern takes no more memory than this, in bytes.
const MAX_REGEX: usize = 1 << 20;

impl Pattern {
    /// Reads a pattern as it is written.
    ///
    /// # Errors
    /// What is wrong with the regular expression.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('^') {
            return Self::regex(text);
        }
        if let Some(prefix) = text.strip_suffix('*') {
            return Ok(Self::Prefix(prefix.to_owned()));
        }
        Ok(match text.strip_prefix('*') {
            Some(suffix) => Self::Suffix(suffix.to_owned()),
            None => Self::Exact(text.to_owned()),
        })
    }

    /// A regular expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn regex(text: &str) -> Result<Self, String> {
        let regex = regex::bytes::RegexBuilder::new(text)
            .size_limit(MAX_REGEX)
            .dfa_size_limit(MAX_REGEX)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
                error => format!("not a regular expression: {error}"),
            })?;
        Ok(Self::Regex(regex))
    }

    /// Whether `value` is what it says.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text.as_bytes() == value,
            Self::Prefix(prefix) => value.starts_with(prefix.as_bytes()),
            Self::Suffix(suffix) => value.ends_with(suffix.as_bytes()),
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b))
            | (Self::Prefix(a), Self::Prefix(b))
            | (Self::Suffix(a), Self::Suffix(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
            Self::Regex(regex) => f.write_str(regex.as_str()),
        }
    }
}

/// A text with places to fill in from the request: `{method}`, `{path}`, `{query}`, `{host}`,
/// `{source}`, `{target}`, `{header.NAME}`, `{cookie.NAME}`, `{query.NAME}`, `{args.NAME}`; `{{` and
/// `}}` stand for braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The pieces, in their order.
    pub pieces: Vec<Piece>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// The method.
    Method,
    /// The path as the client wrote it.
    Path,
    /// The query as the client wrote it, without the question mark.
    Query,
    /// The host that the client asked for.
    Host,
    /// The client's address.
    Source,
    /// The name of the target.
    Target,
    /// The first header of this name, in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A query parameter, as the client wrote it.
    Parameter(String),
    /// An argument of the SPOE message.
    Argument(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, and what may stand between braces.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let found = &rest[at..];
            if found.starts_with("{{") || found.starts_with("}}") {
                literal.push_str(&found[..1]);
                rest = &found[2..];
                continue;
            }
            let Some((name, after)) = found[1..].split_once('}').filter(|_| found.starts_with('{'))
            else {
                return Err(
                    "a brace without its partner; `{{` and `}}` stand for braces".to_owned()
                );
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::parse(name)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }
}

impl Piece {
    fn parse(name: &str) -> Result<Self, String> {
        let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        let piece = match name.split_once('.') {
            None => match name {
                "method" => Some(Self::Method),
                "path" => Some(Self::Path),
                "query" => Some(Self::Query),
                "host" => Some(Self::Host),
                "source" => Some(Self::Source),
                "target" => Some(Self::Target),
                _ => None,
            },
            Some(("header", name)) => named(&name.to_ascii_lowercase()).map(Self::Header),
            Some(("cookie", name)) => named(name).map(Self::Cookie),
            Some(("query", name)) => named(name).map(Self::Parameter),
            Some(("args", name)) => named(name).map(Self::Argument),
            Some(_) => None,
        };
        piece.ok_or_else(|| {
            format!(
                "`{{{name}}}` is none of {{method}}, {{path}}, {{query}}, {{host}}, {{source}}, \
                 {{target}}, {{header.NAME}}, {{cookie.NAME}}, {{query.NAME}}, {{args.NAME}}"
            )
        })
    }
}

/// A place in a JSON document: `$.user.emails[0]`, `$.items[*].price`, `$["a.b"]`, `$..password`
/// (at any depth).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    /// The steps from the root.
    pub steps: Vec<JsonStep>,
}

/// A step in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonStep {
    /// The member of this name.
    Member(String),
    /// The element at this index, from 0.
    Index(usize),
    /// Every element of an array, every member of an object.
    Every,
    /// Any number of steps, none included.
    Deep,
}

/// More steps than this no document needs.
const MAX_STEPS: usize = 32;

impl JsonPath {
    /// Reads a place.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str =
            "a place in JSON is written like $.user.name, $.items[*].id, $..password";
        let mut rest = text.strip_prefix('$').ok_or(FORM)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix("[\"") {
                let (name, after) = inside.split_once("\"]").ok_or("`\"]` is missing")?;
                steps.push(JsonStep::Member(name.to_owned()));
                rest = after;
            } else if let Some(inside) = rest.strip_prefix('[') {
                let (index, after) = inside.split_once(']').ok_or("`]` is missing")?;
                steps.push(match index {
                    "*" => JsonStep::Every,
                    index => JsonStep::Index(
                        index.parse().map_err(|_| format!("`{index}` is no index"))?,
                    ),
                });
                rest = after;
            } else if let Some(after) = rest.strip_prefix('.') {
                let after = match after.strip_prefix('.') {
                    Some(after) => {
                        steps.push(JsonStep::Deep);
                        after
                    }
                    None => after,
                };
                let end = after.find(['.', '[']).unwrap_or(after.len());
                match &after[..end] {
                    "" if !after.starts_with('[') => return Err(FORM.to_owned()),
                    "" => {}
                    "*" => steps.push(JsonStep::Every),
                    name => steps.push(JsonStep::Member(name.to_owned())),
                }
                rest = &after[end..];
            } else {
                return Err(FORM.to_owned());
            }
            if steps.len() > MAX_STEPS {
                return Err(format!("more than {MAX_STEPS} steps"));
            }
        }
        if steps.is_empty() || steps.last() == Some(&JsonStep::Deep) {
            return Err(FORM.to_owned());
        }
        Ok(Self { steps })
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        let mut deep = false;
        for step in &self.steps {
            match step {
                JsonStep::Member(name) if name.is_empty() || name.contains(['.', '[', '*']) => {
                    write!(f, "{}[\"{name}\"]", if deep { ".." } else { "" })?;
                }
                JsonStep::Member(name) => write!(f, "{}.{name}", if deep { "." } else { "" })?,
                JsonStep::Index(index) => write!(f, "{}[{index}]", if deep { ".." } else { "" })?,
                JsonStep::Every => write!(f, "{}[*]", if deep { ".." } else { "" })?,
                JsonStep::Deep => {}
            }
            deep = *step == JsonStep::Deep;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_show_what_they_are() {
        for (text, yes, no) in [
            ("acme", "acme", "acmes"),
            ("/api/*", "/api/x", "/ap"),
            ("*.example.net", "a.example.net", "example.net"),
            ("^/a/\\d+$", "/a/12", "/a/b"),
            ("*", "", "\0"),
        ] {
            let pattern = Pattern::parse(text).unwrap();
            assert!(pattern.matches(yes.as_bytes()), "{text} {yes}");
            assert!(text == "*" || !pattern.matches(no.as_bytes()), "{text} {no}");
        }
        assert!(Pattern::parse("^(").is_err());
        assert!(Pattern::parse("^(a{1000}){1000}").is_err());
    }

    #[test]
    fn templates_have_pieces() {
        let template = Template::parse("a{{{method}-{header.X-Y}}}").unwrap();
        let text = |text: &str| Piece::Text(text.to_owned());
        let pieces = [text("a{"), Piece::Method, text("-"), Piece::Header("x-y".into()), text("}")];
        assert_eq!(template.pieces, pieces);
        for bad in ["{", "}", "{x}", "{header.}", "{header}", "{a.b}", "{{}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn places_in_json_have_steps() {
        use JsonStep::{Deep, Every, Index, Member};
        let member = |name: &str| Member(name.to_owned());
        for (text, steps) in [
            ("$.a.b", vec![member("a"), member("b")]),
            ("$.a[0][*].b", vec![member("a"), Index(0), Every, member("b")]),
            ("$[\"a.b\"].*", vec![member("a.b"), Every]),
            ("$..a", vec![Deep, member("a")]),
            ("$..[0]", vec![Deep, Index(0)]),
        ] {
            assert_eq!(JsonPath::parse(text).unwrap().steps, steps, "{text}");
            let written = JsonPath { steps }.to_string();
            assert_eq!(JsonPath::parse(&written).unwrap().to_string(), written, "{text}");
        }
        for bad in ["", "$", "a", "$a", "$.", "$..", "$.a[", "$.a[x]", "$.a..", "$[\"a"] {
            assert!(JsonPath::parse(bad).is_err(), "{bad}");
        }
    }
}
