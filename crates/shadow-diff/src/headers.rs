//! Compares headers by what they mean (RFC 9110 section 5).

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::difference::Kind;
use crate::natural::Nature;
use crate::path::Spot;
use crate::report::Report;
use crate::rules::Shape;

/// Names and values, in the order in which they came.
pub(crate) type Headers<'h> = &'h [Line<'h>];
/// A name and a value.
type Line<'h> = (&'h [u8], &'h [u8]);

/// Headers that are lists without an order, their items in any case.
const SETS: &[&[u8]] = &[
    b"vary",
    b"allow",
    b"cache-control",
    b"pragma",
    b"link",
    b"accept-ranges",
    b"accept-ch",
    b"accept-patch",
    b"accept-post",
    b"access-control-allow-headers",
    b"access-control-allow-methods",
    b"access-control-expose-headers",
    b"clear-site-data",
    b"timing-allow-origin",
];
/// Headers with parameters behind semicolons: their order and case mean nothing.
const PARAMETERS: &[&[u8]] = &[b"content-type", b"strict-transport-security", b"keep-alive"];
/// Headers that Connection may name.
const MAX_NAMED: usize = 32;
/// Attributes of a cookie that are compared.
const MAX_ATTRIBUTES: usize = 32;
/// Characters of a cookie's name that are shown.
const MAX_NAME: usize = 64;

/// Reports what differs between the headers of two responses.
pub(crate) fn compare(production: Headers<'_>, shadow: Headers<'_>, report: &mut Report<'_>) {
    if same_lines(production, shadow) {
        return;
    }
    report.step(production.len() + shadow.len());
    let (ours, theirs) = (by_name(production), by_name(shadow));
    let (mut ours, mut theirs) = (&ours[..], &theirs[..]);
    loop {
        let order = match (ours.first(), theirs.first()) {
            (Some((a, _)), Some((b, _))) => by_case(a, b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        let (mut a, mut b) = (&[][..], &[][..]);
        if order.is_le() {
            (a, ours) = first_group(ours);
        }
        if order.is_ge() {
            (b, theirs) = first_group(theirs);
        }
        let Some((name, _)) = a.first().or(b.first()) else { break };
        if !a.iter().map(|(_, value)| value).eq(b.iter().map(|(_, value)| value)) {
            let hop =
                is_named_by_connection(production, name) || is_named_by_connection(shadow, name);
            header(&name.to_ascii_lowercase(), hop, a, b, report);
        }
    }
}

/// Whether both are the same, line by line.
fn same_lines(production: Headers<'_>, shadow: Headers<'_>) -> bool {
    let same = |((a, value), (b, other)): (&Line<'_>, &Line<'_>)| {
        value == other && a.eq_ignore_ascii_case(b)
    };
    production.len() == shadow.len() && production.iter().zip(shadow).all(same)
}

/// Sorted by name, those of one name in their order.
fn by_name<'h>(headers: Headers<'h>) -> Vec<Line<'h>> {
    let mut sorted: Vec<_> =
        headers.iter().map(|&(name, value)| (name, value.trim_ascii())).collect();
    sorted.sort_by(|(a, _), (b, _)| by_case(a, b));
    sorted
}

fn by_case(a: &[u8], b: &[u8]) -> Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

/// The lines with the first name, and the others.
fn first_group<'l, 'h>(lines: &'l [Line<'h>]) -> (&'l [Line<'h>], &'l [Line<'h>]) {
    let Some((first, _)) = lines.first() else { return (lines, lines) };
    let count = lines.iter().take_while(|(name, _)| name.eq_ignore_ascii_case(first)).count();
    lines.split_at(count)
}

fn is_named_by_connection(headers: Headers<'_>, name: &[u8]) -> bool {
    let values = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"));
    values
        .flat_map(|(_, value)| value.split(|&byte| byte == b','))
        .take(MAX_NAMED)
        .any(|word| word.trim_ascii().eq_ignore_ascii_case(name))
}

/// Compares the lines of one name, which are not the same. `hop`: they are of this connection alone.
fn header(name: &[u8], hop: bool, ours: Headers<'_>, theirs: Headers<'_>, report: &mut Report<'_>) {
    let hop = if hop { report.natural.on(Nature::HopByHop) } else { None };
    if let Some(nature) = hop.or_else(|| report.natural.header(name)) {
        report.excuse_naturally(nature);
        return;
    }
    if name == b"set-cookie" {
        return cookies(ours, theirs, report);
    }
    let shown_name = String::from_utf8_lossy(name);
    let spot = Spot::Header(&shown_name);
    if report.ignores(spot) {
        return;
    }
    if ours.is_empty() {
        return report.add(spot, Kind::Extra, None, Some(&joined(theirs)));
    }
    if theirs.is_empty() {
        return report.add(spot, Kind::Missing, Some(&joined(ours)), None);
    }
    let in_any_order = SETS.contains(&name) || report.rules.shape(spot) == Some(&Shape::Set);
    let (a, b) = (items(name, ours), items(name, theirs));
    if a == b {
        return;
    }
    let elements = |items: &[Cow<'_, [u8]>]| {
        let mut items: Vec<Vec<u8>> = items.iter().map(|item| item.to_vec()).collect();
        items.sort_unstable();
        if in_any_order {
            items.dedup();
        }
        items
    };
    let same_elements = elements(&a) == elements(&b);
    if same_elements && (in_any_order || PARAMETERS.contains(&name)) {
        return;
    }
    if let Some(nature) = report.natural.header_values(name) {
        report.excuse_naturally(nature);
        return;
    }
    if name == b"content-type" && without_boundary(&a) == without_boundary(&b) {
        if let Some(nature) = report.natural.on(Nature::Boundary) {
            report.excuse_naturally(nature);
            return;
        }
    }
    let (a, b) = (joined(ours), joined(theirs));
    if !report.settles(spot, &a, &b) {
        let kind = if same_elements { Kind::Order } else { Kind::Value };
        report.add(spot, kind, Some(&a), Some(&b));
    }
}

/// All lines as one (RFC 9110 section 5.3).
fn joined<'h>(lines: Headers<'h>) -> Cow<'h, [u8]> {
    match lines {
        [(_, value)] => Cow::Borrowed(value),
        lines => {
            let values: Vec<&[u8]> = lines.iter().map(|(_, value)| *value).collect();
            Cow::Owned(values.join(&b", "[..]))
        }
    }
}

/// What the lines of a header list, in one spelling.
fn items<'h>(name: &[u8], lines: Headers<'h>) -> Vec<Cow<'h, [u8]>> {
    let values = lines.iter().map(|(_, value)| *value);
    if PARAMETERS.contains(&name) {
        let parameters = values.flat_map(|value| Split { rest: value, at: b';' });
        return parameters.map(|parameter| Cow::Owned(plain(parameter))).collect();
    }
    let items = values.flat_map(|value| Split { rest: value, at: b',' });
    if name == b"link" {
        // Addresses mean another thing in another case.
        return items.map(Cow::Borrowed).collect();
    }
    if SETS.contains(&name) {
        return items.map(|item| Cow::Owned(plain(item))).collect();
    }
    items.map(Cow::Borrowed).collect()
}

/// In lower case, without quotation marks, and without blanks around the equals sign.
fn plain(item: &[u8]) -> Vec<u8> {
    let (name, value) = match item.iter().position(|&byte| byte == b'=') {
        Some(at) => (item.get(..at).unwrap_or_default(), item.get(at..).unwrap_or_default()),
        None => (item, &b""[..]),
    };
    let mut plain = name.trim_ascii().to_ascii_lowercase();
    if let Some(value) = value.strip_prefix(b"=") {
        let value = value.trim_ascii();
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        plain.push(b'=');
        plain.extend(bare.unwrap_or(value).to_ascii_lowercase());
    }
    plain
}

fn without_boundary<'i>(parameters: &'i [Cow<'_, [u8]>]) -> Vec<&'i [u8]> {
    let parameters = parameters.iter().map(|parameter| &**parameter);
    parameters.filter(|parameter| !parameter.starts_with(b"boundary=")).collect()
}

/// The parts of a value between commas, or semicolons, that are not in quotation marks, without
/// empty ones.
struct Split<'v> {
    rest: &'v [u8],
    at: u8,
}

impl<'v> Iterator for Split<'v> {
    type Item = &'v [u8];

    fn next(&mut self) -> Option<&'v [u8]> {
        while !self.rest.is_empty() {
            let mut quoted = false;
            let mut escaped = false;
            let end = self.rest.iter().position(|&byte| {
                let ends = byte == self.at && !quoted;
                quoted ^= byte == b'"' && !escaped;
                escaped = byte == b'\\' && quoted && !escaped;
                ends
            });
            let (item, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            self.rest = rest.get(1..).unwrap_or_default();
            let item = item.trim_ascii();
            if !item.is_empty() {
                return Some(item);
            }
        }
        None
    }
}

/// A cookie as it is set (RFC 6265 section 4.1).
struct Cookie<'h> {
    name: &'h [u8],
    value: &'h [u8],
    /// Sorted by name, which is in lower case.
    attributes: Vec<(Vec<u8>, &'h [u8])>,
}

impl<'h> Cookie<'h> {
    fn parse(line: &'h [u8]) -> Self {
        let halves = |part: &'h [u8]| {
            let at = part.iter().position(|&byte| byte == b'=').unwrap_or(part.len());
            let (name, value) = part.split_at(at);
            (name.trim_ascii(), value.strip_prefix(b"=").unwrap_or_default().trim_ascii())
        };
        let mut parts = line.split(|&byte| byte == b';');
        let cookie = parts.next().unwrap_or_default();
        let (name, value) = match halves(cookie) {
            // What has no name is a value, and may be a secret.
            (value, b"") if !cookie.contains(&b'=') => (&b""[..], value),
            cookie => cookie,
        };
        let mut attributes: Vec<_> = parts
            .map(halves)
            .filter(|(name, _)| !name.is_empty())
            .take(MAX_ATTRIBUTES)
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        attributes.sort_unstable();
        Self { name, value, attributes }
    }

    /// All cookies of these lines, by name.
    fn sorted(lines: Headers<'h>) -> Vec<Self> {
        let mut cookies: Vec<Self> = lines.iter().map(|(_, line)| Self::parse(line)).collect();
        cookies.sort_by_key(|cookie| cookie.name);
        cookies
    }
}

/// Compares cookies by their names.
fn cookies(ours: Headers<'_>, theirs: Headers<'_>, report: &mut Report<'_>) {
    let (ours, theirs) = (Cookie::sorted(ours), Cookie::sorted(theirs));
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    while ours.peek().is_some() || theirs.peek().is_some() {
        let order = match (ours.peek(), theirs.peek()) {
            (Some(a), Some(b)) => a.name.cmp(b.name),
            (Some(_), None) => Ordering::Less,
            _ => Ordering::Greater,
        };
        let a = if order.is_le() { ours.next() } else { None };
        let b = if order.is_ge() { theirs.next() } else { None };
        cookie(a, b, report);
    }
}

fn cookie(ours: Option<&Cookie<'_>>, theirs: Option<&Cookie<'_>>, report: &mut Report<'_>) {
    let Some(Cookie { name, .. }) = ours.or(theirs) else { return };
    let name: String = String::from_utf8_lossy(name).chars().take(MAX_NAME).collect();
    let place = format!("set-cookie.{name}");
    let spot = Spot::Header(&place);
    let (a, b) = match (ours, theirs) {
        (Some(a), Some(b)) => (a, b),
        _ if report.ignores(spot) => return,
        (a, b) => {
            let kind = if a.is_some() { Kind::Missing } else { Kind::Extra };
            return report.add(spot, kind, a.map(|a| a.value), b.map(|b| b.value));
        }
    };
    if a.value != b.value {
        // A cookie that one side takes away is another matter.
        let both = !a.value.is_empty() && !b.value.is_empty();
        match report.natural.on(Nature::CookieValue).filter(|_| both) {
            Some(nature) => report.excuse_naturally(nature),
            None if report.settles(spot, a.value, b.value) => {}
            None => report.add(spot, Kind::Value, Some(a.value), Some(b.value)),
        }
    }
    attributes(&place, &a.attributes, &b.attributes, report);
}

fn attributes(
    cookie: &str,
    ours: &[(Vec<u8>, &[u8])],
    theirs: &[(Vec<u8>, &[u8])],
    report: &mut Report<'_>,
) {
    let of = |list: &[(Vec<u8>, &[u8])], name: &[u8]| {
        // The last of a kind counts (RFC 6265 section 5.3).
        list.iter().rev().find(|(candidate, _)| candidate == name).map(|(_, value)| value.to_vec())
    };
    let mut names: Vec<&Vec<u8>> = ours.iter().chain(theirs).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let shown: String = String::from_utf8_lossy(name).chars().take(MAX_NAME).collect();
        let place = format!("{cookie}.{shown}");
        let spot = Spot::Header(&place);
        match (of(ours, name), of(theirs, name)) {
            (Some(a), Some(b)) if a.eq_ignore_ascii_case(&b) && name != b"path" => {}
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                if !report.settles(spot, &a, &b) {
                    report.add(spot, Kind::Value, Some(&a), Some(&b));
                }
            }
            _ if report.ignores(spot) => {}
            (Some(a), None) => report.add(spot, Kind::Missing, Some(&a), None),
            (None, b) => report.add(spot, Kind::Extra, None, b.as_deref()),
        }
    }
}
