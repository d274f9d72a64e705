//! Patterns of paths that people write: `/users/{id}/orders/{order}`.

use std::fmt;

use super::segment::normalise;

/// The most patterns that are taken.
pub const MAX_PATTERNS: usize = 1000;

/// The longest pattern in bytes.
pub const MAX_PATTERN: usize = 1024;

/// A method, if any, and segments: names, `{NAME}` for any one segment, and at the end `*` for any rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    method: Option<Box<str>>,
    path: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Normalised.
    Name(Box<str>),
    /// One segment that is not empty.
    Any,
    /// All segments that are left, at least one.
    Rest,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// The path does not begin with `/`.
    NoSlash,
    /// A brace that does not enclose a whole segment's name.
    Brace,
    /// `*` with other characters in its segment, or before the end.
    Star,
    /// A method with other characters than letters, digits, `-` and `_`.
    Method,
    /// Longer than [`MAX_PATTERN`].
    Long,
    /// There are already [`MAX_PATTERNS`].
    Many,
    /// Matches just what an earlier one does.
    Twice,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSlash => "the path must begin with a slash",
            Self::Brace => "braces must enclose a whole segment, as in /users/{id}",
            Self::Star => "an asterisk must be the whole last segment, as in /static/*",
            Self::Method => "a method is made of letters, digits, hyphens and underscores",
            Self::Long => "a pattern has at most 1024 bytes",
            Self::Many => "there can be at most 1000 patterns",
            Self::Twice => "an earlier pattern matches the same paths",
        })
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Reads `[METHOD ]PATH`.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN {
            return Err(PatternError::Long);
        }
        let (method, path) = match text.trim().split_once(' ') {
            Some((method, path)) => (Some(method), path.trim_start()),
            None => (None, text.trim()),
        };
        let in_method = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if method.is_some_and(|method| method.is_empty() || !method.bytes().all(in_method)) {
            return Err(PatternError::Method);
        }
        let segments = path.strip_prefix('/').ok_or(PatternError::NoSlash)?;
        let last = segments.split('/').count() - 1;
        let part = |(position, segment): (usize, &str)| match segment {
            "*" if position == last => Ok(Part::Rest),
            _ if segment.contains('*') => Err(PatternError::Star),
            _ => match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) if !name.is_empty() && !name.contains(['{', '}']) => Ok(Part::Any),
                None if !segment.contains(['{', '}']) => {
                    let mut name = String::new();
                    normalise(segment.as_bytes(), &mut name);
                    Ok(Part::Name(name.into()))
                }
                _ => Err(PatternError::Brace),
            },
        };
        let parts = segments.split('/').enumerate().map(part).collect::<Result<_, _>>()?;
        Ok(Self { method: method.map(Into::into), path: path.into(), parts })
    }

    /// The path as written: the name of its endpoints.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.method {
            Some(method) => write!(f, "{method} {}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// Patterns by their segments, so that many cost no more than few.
#[derive(Debug, Clone)]
pub(super) struct Patterns {
    patterns: Vec<Pattern>,
    /// The root first.
    nodes: Vec<Node>,
}

impl Default for Patterns {
    fn default() -> Self {
        Self { patterns: Vec::new(), nodes: vec![Node::default()] }
    }
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Sorted.
    names: Vec<(Box<str>, usize)>,
    any: Option<usize>,
    /// Patterns that end in `*` here.
    rest: Vec<usize>,
    /// Patterns that end here.
    ends: Vec<usize>,
}

impl Patterns {
    pub(super) fn new(patterns: Vec<Pattern>) -> Result<Self, PatternError> {
        if patterns.len() > MAX_PATTERNS {
            return Err(PatternError::Many);
        }
        let mut tree = Self::default();
        for pattern in patterns {
            tree.insert(pattern)?;
        }
        Ok(tree)
    }

    fn insert(&mut self, pattern: Pattern) -> Result<(), PatternError> {
        let mut at = 0;
        let mut rest = false;
        for part in &pattern.parts {
            let new = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { break };
            let next = match part {
                Part::Rest => {
                    rest = true;
                    break;
                }
                Part::Any => *node.any.get_or_insert(new),
                Part::Name(name) => {
                    match node.names.binary_search_by(|(other, _)| other.cmp(name)) {
                        Ok(found) => node.names.get(found).map_or(new, |(_, next)| *next),
                        Err(place) => {
                            node.names.insert(place, (name.clone(), new));
                            new
                        }
                    }
                }
            };
            if next == new {
                self.nodes.push(Node::default());
            }
            at = next;
        }
        let index = self.patterns.len();
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        let ends = if rest { &mut node.rest } else { &mut node.ends };
        let same =
            |&end: &usize| self.patterns.get(end).is_some_and(|p| p.method == pattern.method);
        if ends.iter().any(same) {
            return Err(PatternError::Twice);
        }
        ends.push(index);
        self.patterns.push(pattern);
        Ok(())
    }

    pub(super) fn get(&self, pattern: usize) -> Option<&Pattern> {
        self.patterns.get(pattern)
    }

    /// The pattern that is written so, for this method before one for all.
    pub(super) fn named(&self, method: &str, path: &str) -> Option<usize> {
        let of = |wanted: Option<&str>| {
            let same =
                |pattern: &Pattern| &*pattern.path == path && pattern.method.as_deref() == wanted;
            self.patterns.iter().position(same)
        };
        of(Some(method)).or_else(|| of(None))
    }

    /// The pattern for a normalised path: at the first segment in which two differ, a name goes before
    /// `{NAME}`, and that before `*`; a pattern for this method before one for all. Looks at each node of
    /// the tree at most once.
    pub(super) fn find(&self, method: &str, path: &str) -> Option<usize> {
        if self.patterns.is_empty() {
            return None;
        }
        self.find_below(0, method, Some(path.strip_prefix('/')?))
    }

    fn find_below(&self, at: usize, method: &str, path: Option<&str>) -> Option<usize> {
        let node = self.nodes.get(at)?;
        let Some(path) = path else { return self.choose(&node.ends, method) };
        let (segment, rest) = match path.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        let named = node.names.binary_search_by(|(name, _)| (**name).cmp(segment)).ok();
        let named = named.and_then(|found| node.names.get(found)).map(|(_, next)| *next);
        let any = node.any.filter(|_| !segment.is_empty());
        [named, any]
            .into_iter()
            .flatten()
            .find_map(|next| self.find_below(next, method, rest))
            .or_else(|| self.choose(&node.rest, method))
    }

    fn choose(&self, ends: &[usize], method: &str) -> Option<usize> {
        let of = |wanted: Option<&str>| {
            ends.iter().copied().find(|&end| {
                self.patterns.get(end).is_some_and(|pattern| pattern.method.as_deref() == wanted)
            })
        };
        of(Some(method)).or_else(|| of(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(patterns: &'a Patterns, method: &str, path: &str) -> Option<&'a str> {
        patterns.find(method, path).and_then(|found| patterns.get(found)).map(Pattern::path)
    }

    fn patterns(texts: &[&str]) -> Patterns {
        Patterns::new(texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()).unwrap()
    }

    #[test]
    fn the_most_special_pattern_wins() {
        let patterns = patterns(&[
            "/users/{id}",
            "/users/me",
            "/users/{user}/orders/{order}",
            "/users/me/profile",
            "DELETE /users/{any}",
            "/static/*",
            "/static/robots.txt",
            "/gr%c3%bcn",
            "/",
        ]);
        for (method, path, expected) in [
            ("GET", "/users/17", Some("/users/{id}")),
            ("GET", "/users/me", Some("/users/me")),
            ("DELETE", "/users/17", Some("/users/{any}")),
            // The name does not lead to an end, the placeholder does.
            ("GET", "/users/me/orders/5", Some("/users/{user}/orders/{order}")),
            ("GET", "/users/", None),
            ("GET", "/users", None),
            ("GET", "/static/a/b/c", Some("/static/*")),
            ("GET", "/static/robots.txt", Some("/static/robots.txt")),
            ("GET", "/static", None),
            ("GET", "/gr%C3%BCn", Some("/gr%c3%bcn")),
            ("GET", "/", Some("/")),
            ("OPTIONS", "*", None),
        ] {
            assert_eq!(find(&patterns, method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (text, error) in [
            ("users", PatternError::NoSlash),
            ("/a{b}", PatternError::Brace),
            ("/{}", PatternError::Brace),
            ("/{a", PatternError::Brace),
            ("/*/a", PatternError::Star),
            ("/a*", PatternError::Star),
            ("G,T /a", PatternError::Method),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
        assert_eq!(Pattern::parse(&"/a".repeat(600)), Err(PatternError::Long));
        for text in ["/a/{id}", "GET /a/*"] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
        let twice = ["/users/{id}", "/users/{user}"].map(|text| Pattern::parse(text).unwrap());
        assert_eq!(Patterns::new(twice.to_vec()).err(), Some(PatternError::Twice));
    }
}
