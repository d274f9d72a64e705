//! Patterns of places and endpoints, as rules have them.
//!
//! - `status`
//! - `header NAME`: `*` stands for any characters. A cookie is `header set-cookie.NAME`.
//! - `$`, `$.items[].price`: the body, a place in it. `.name` or `["any name"]` is a member, `.*` any
//!   member, `[]` any element (or line of a text), `{}` any entry of an object that is a map; `..name`
//!   is a member anywhere below.
//!
//! A pattern is about its place and all that is below it.

use crate::path::{Segment, Spot};

/// Steps that a pattern may have.
const MAX_STEPS: usize = 60;

/// Places that a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlacePattern {
    Status,
    /// The name in lower case, with `*` for any characters.
    Header(String),
    Body(Vec<Step>),
}

/// A step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Member(String),
    AnyMember,
    Element,
    Entry,
    /// To any value inside it, or to itself.
    Below,
}

/// What is wrong with a pattern, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) message: String,
}

fn fault<T>(at: usize, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { at, message: message.into() })
}

impl PlacePattern {
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        if text == "status" {
            return Ok(Self::Status);
        }
        if let Some(name) = text.strip_prefix("header ") {
            return header(name, "header ".len());
        }
        match text.strip_prefix('$') {
            Some(steps) => Ok(Self::Body(parse_steps(steps)?)),
            None => fault(
                0,
                "a place is `status`, `header NAME` or begins with `$`, as in `$.items[].price`",
            ),
        }
    }

    /// Whether the rule is about this place itself.
    pub(crate) fn is(&self, spot: Spot<'_>) -> bool {
        match (self, spot) {
            (Self::Header(pattern), Spot::Header(name)) => glob(pattern, name),
            (Self::Body(steps), Spot::Body(path)) => {
                walk(steps, path).is_some_and(|end| end == path.len())
            }
            _ => false,
        }
    }

    /// Whether the rule is about this place or one that it is in.
    pub(crate) fn covers(&self, spot: Spot<'_>) -> bool {
        match (self, spot) {
            (Self::Header(pattern), Spot::Header(name)) => {
                // `set-cookie` is also about `set-cookie.session`.
                glob(pattern, name) || above(name, pattern)
            }
            (Self::Body(steps), Spot::Body(path)) => walk(steps, path).is_some(),
            _ => false,
        }
    }
}

/// Whether the pattern fits what comes before one of the dots in `name`.
fn above(name: &str, pattern: &str) -> bool {
    name.match_indices('.').any(|(at, _)| name.get(..at).is_some_and(|part| glob(pattern, part)))
}

fn header(name: &str, at: usize) -> Result<PlacePattern, Fault> {
    let allowed = |character: char| {
        character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~{}:".contains(character)
    };
    if name.is_empty() {
        return fault(at, "the name of the header is missing");
    }
    match name.char_indices().find(|&(_, character)| !allowed(character)) {
        Some((offset, character)) => {
            fault(at + offset, format!("`{character}` cannot be in the name of a header"))
        }
        None => {
            // The names of cookies keep their case.
            let (header, cookie) = name.split_at(name.find('.').unwrap_or(name.len()));
            Ok(PlacePattern::Header(header.to_ascii_lowercase() + cookie))
        }
    }
}

fn parse_steps(text: &str) -> Result<Vec<Step>, Fault> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // Behind the `$`.
        let at = 1 + text.len() - rest.len();
        let (step, after) = parse_step(rest, at)?;
        if let (Some(Step::Below), Step::Below) = (steps.last(), &step) {
            return fault(at, "a member is missing behind `..`");
        }
        steps.push(step);
        rest = after;
        if steps.len() > MAX_STEPS {
            return fault(at, format!("a pattern has {MAX_STEPS} steps at most"));
        }
    }
    match steps.last() {
        Some(Step::Below) => fault(text.len() + 1, "a member is missing behind `..`"),
        _ => Ok(steps),
    }
}

fn parse_step(text: &str, at: usize) -> Result<(Step, &str), Fault> {
    if text.starts_with("..") {
        // What follows begins with the second dot, unless it has brackets of its own.
        let behind = text.get(2..).unwrap_or_default();
        let named = !behind.starts_with(['[', '{']);
        return Ok((Step::Below, text.get(if named { 1 } else { 2 }..).unwrap_or_default()));
    }
    if let Some(rest) = text.strip_prefix("[]").or_else(|| text.strip_prefix("[*]")) {
        return Ok((Step::Element, rest));
    }
    if let Some(rest) = text.strip_prefix("{}") {
        return Ok((Step::Entry, rest));
    }
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[', '{', ']', '}', '"', ' ']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        return match name {
            "" => fault(at + 1, "the name of a member is missing"),
            "*" => Ok((Step::AnyMember, rest)),
            name => Ok((Step::Member(name.to_owned()), rest)),
        };
    }
    if let Some(quoted) = text.strip_prefix('[') {
        return match quoted.chars().next() {
            Some(mark @ ('"' | '\'')) => quoted_name(quoted, mark, at + 1),
            _ => fault(
                at + 1,
                "brackets hold nothing, for any element, or a name in quotation marks; one \
                 element alone cannot be told apart",
            ),
        };
    }
    let found = text.chars().next().unwrap_or_default();
    fault(at, format!("`{found}` does not begin a step: `.name`, `[]`, `{{}}` and `..name` do"))
}

/// A name in quotation marks and the bracket behind it.
fn quoted_name(text: &str, mark: char, at: usize) -> Result<(Step, &str), Fault> {
    let mut name = String::new();
    let mut escaped = false;
    for (offset, character) in text.char_indices().skip(1) {
        if escaped || (character != mark && character != '\\') {
            name.push(character);
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else {
            let rest = text.get(offset + 1..).unwrap_or_default();
            return match rest.strip_prefix(']') {
                Some(rest) => Ok((Step::Member(name), rest)),
                None => fault(at + offset + 1, "`]` is missing behind the name"),
            };
        }
    }
    fault(at, "the quotation mark behind the name is missing")
}

/// Where on the path the steps have all been taken: the place farthest down, or `None`.
fn walk(steps: &[Step], path: &[Segment<'_>]) -> Option<usize> {
    // Bit n: the first n steps lead here.
    let mut state = closed(steps, 1);
    let end = 1_u64 << steps.len();
    let mut found = (state & end != 0).then_some(0);
    for (depth, segment) in path.iter().enumerate() {
        let mut next = 0;
        for (at, step) in steps.iter().enumerate() {
            if state & 1 << at == 0 {
                continue;
            }
            match step {
                Step::Below => next |= 1 << at,
                step if fits(step, segment) => next |= 1 << (at + 1),
                _ => {}
            }
        }
        state = closed(steps, next);
        if state & end != 0 {
            found = Some(depth + 1);
        }
    }
    found
}

/// Adds where taking no step leads.
fn closed(steps: &[Step], state: u64) -> u64 {
    let mut state = state;
    for (at, step) in steps.iter().enumerate() {
        if *step == Step::Below && state & 1 << at != 0 {
            state |= 1 << (at + 1);
        }
    }
    state
}

fn fits(step: &Step, segment: &Segment<'_>) -> bool {
    match (step, segment) {
        (Step::Member(name), Segment::Member(key) | Segment::Entry(key)) => {
            name.as_bytes() == &**key
        }
        (Step::AnyMember, Segment::Member(_) | Segment::Entry(_)) => true,
        (Step::Element, Segment::Element) | (Step::Entry, Segment::Entry(_)) => true,
        _ => false,
    }
}

/// Whether `*` for any characters, in `pattern`, makes it `text`.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<Segment<'_>> {
        text.split_whitespace()
            .map(|word| match word.strip_prefix('#') {
                _ if word == "[]" => Segment::Element,
                Some(key) => Segment::Entry(key.as_bytes().into()),
                None => Segment::Member(word.as_bytes().into()),
            })
            .collect()
    }

    fn covers(pattern: &str, text: &str) -> (bool, bool) {
        let pattern = PlacePattern::parse(pattern).unwrap();
        let path = path(text);
        (pattern.is(Spot::Body(&path)), pattern.covers(Spot::Body(&path)))
    }

    #[test]
    fn a_pattern_is_about_its_place_and_what_is_below() {
        for (pattern, text, is, below) in [
            ("$", "", true, true),
            ("$", "a", false, true),
            ("$.a", "a", true, true),
            ("$.a", "a [] b", false, true),
            ("$.a", "b", false, false),
            ("$.items[].price", "items [] price", true, true),
            ("$.items[].price", "items price", false, false),
            ("$.by{}.n", "by #17 n", true, true),
            ("$.by[\"17\"].n", "by #17 n", true, true),
            ("$.by{}.n", "by x n", false, false),
            ("$..id", "id", true, true),
            ("$..id", "a [] #3 id", true, true),
            ("$..id", "a id b", false, true),
            ("$..id", "a id b id", true, true),
            ("$.a..b.c", "a b b c", true, true),
            ("$..[].x", "a [] x", true, true),
            ("$.*.n", "by n", true, true),
            ("$.*", "[]", false, false),
            ("$['a b'][*]", "a", false, false),
        ] {
            assert_eq!(covers(pattern, text), (is, below), "{pattern} {text}");
        }
    }

    #[test]
    fn headers_are_found_by_name() {
        let header = |pattern: &str| PlacePattern::parse(&format!("header {pattern}")).unwrap();
        assert!(header("X-Foo").is(Spot::Header("x-foo")));
        assert!(header("x-*").is(Spot::Header("x-foo")));
        assert!(!header("x-foo").is(Spot::Header("x-foot")));
        assert!(header("set-cookie").covers(Spot::Header("set-cookie.Session.path")));
        assert!(header("Set-Cookie.Session").covers(Spot::Header("set-cookie.Session.path")));
        assert!(!header("set-cookie.Session").covers(Spot::Header("set-cookie.session")));
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("items", 0),
            ("header ", 7),
            ("header a b", 8),
            ("$items", 1),
            ("$.", 2),
            ("$.a.", 4),
            ("$.a..", 5),
            ("$.a[0]", 4),
            ("$.a[\"b]", 4),
            ("$.a[\"b\"", 7),
            ("$.a b", 3),
            ("$.a{b}", 3),
        ] {
            let fault = PlacePattern::parse(text).unwrap_err();
            assert_eq!(fault.at, at, "{text}: {}", fault.message);
        }
        assert!(PlacePattern::parse(&format!("${}", ".a".repeat(61))).is_err());
    }

    #[test]
    fn globs_match_anything_in_between() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "GET /", true),
            ("GET /a", "GET /a", true),
            ("GET /a", "GET /ab", false),
            ("GET /a*", "GET /a", true),
            ("* /a/*/b", "GET /a/x/y/b", true),
            ("* /a/*/b", "GET /a/b", false),
            ("a*a", "a", false),
            ("a**a", "aa", true),
            ("*b*c*", "abcd", true),
            ("*c*b*", "abcd", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
