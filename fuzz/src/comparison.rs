//! Comparing two responses.

use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use shadow_diff::{
    Action, Body, Comparer, Comparison, Kind, Limits, NaturalRules, Outcome, Pair, Place, Response,
    Rule, Rules, ShowAll,
};

/// What ends production's body in an input: the control character that separates groups.
const SEPARATOR: u8 = 0x1d;

pub(crate) type Headers<'h> = Vec<(&'h [u8], &'h [u8])>;

/// `data` as the bodies of two responses. The first byte chooses their type and coding, whether there
/// are rules, and whether the lines of the bodies are headers too. The rest is also a rule's place.
pub fn comparison(data: &[u8]) {
    let [choice, rest @ ..] = data else { return };
    let mut halves = rest.splitn(2, |&byte| byte == SEPARATOR);
    let production = halves.next().unwrap_or_default();
    let shadow = halves.next().unwrap_or_default();
    place(production);

    let comparer = if choice & 0x40 == 0 { plain() } else { with_rules() };
    let (ours, theirs) = (headers(*choice, production), headers(*choice, shadow));
    let ours = Response { status: 200, headers: &ours, body: Body::Whole(production) };
    let theirs = Response { status: 200, headers: &theirs, body: Body::Whole(shadow) };
    for response in [ours, theirs] {
        let same = compare(comparer, response, response);
        assert!(same.differences.is_empty(), "it differs from itself: {same:?}");
        assert_ne!(same.outcome, Outcome::Different);
        if response.body == response_body(&response) {
            assert_eq!(same.outcome, Outcome::Same);
        }
    }
    let there = compare(comparer, ours, theirs);
    let back = compare(comparer, theirs, ours);
    check(&there);
    assert_eq!(there.outcome == Outcome::Same, back.outcome == Outcome::Same);
    if there.more == 0 {
        assert_eq!(found(&there, |kind| kind), found(&back, turned), "seen from the other side");
    }
}

/// The body, unless a Content-Length says that it is not whole.
fn response_body<'r>(response: &Response<'r>) -> Body<'r> {
    let lengths =
        response.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-length"));
    if lengths { Body::Unknown } else { response.body }
}

fn compare(comparer: &Comparer, production: Response<'_>, shadow: Response<'_>) -> Comparison {
    let now = UNIX_EPOCH + Duration::from_secs(1_767_323_045);
    comparer.compare(&Pair { method: b"GET", endpoint: "GET /", now, production, shadow }, &ShowAll)
}

fn check(comparison: &Comparison) {
    let limits = Limits::default();
    assert!(comparison.differences.len() <= limits.differences);
    let differs = !comparison.differences.is_empty() || comparison.more > 0;
    assert_eq!(comparison.outcome == Outcome::Different, differs);
    for difference in &comparison.differences {
        match difference.kind {
            Kind::Missing => assert!(difference.production.is_some()),
            Kind::Extra => assert!(difference.shadow.is_some()),
            _ => assert!(difference.production.is_some() && difference.shadow.is_some()),
        }
        for value in [&difference.production, &difference.shadow].into_iter().flatten() {
            assert!(value.chars().count() <= limits.shown + 80, "{value}");
        }
    }
}

/// Places and kinds, in one order.
fn found(comparison: &Comparison, kind: fn(Kind) -> Kind) -> Vec<(Place, Kind)> {
    let differences = comparison.differences.iter();
    let mut found: Vec<_> = differences.map(|one| (one.place.clone(), kind(one.kind))).collect();
    found.sort();
    found
}

fn turned(kind: Kind) -> Kind {
    match kind {
        Kind::Missing => Kind::Extra,
        Kind::Extra => Kind::Missing,
        kind => kind,
    }
}

pub(crate) fn headers(choice: u8, body: &[u8]) -> Headers<'_> {
    const TYPES: [&[u8]; 8] = [
        b"application/json",
        b"application/x-ndjson",
        b"application/x-www-form-urlencoded",
        b"application/xml",
        b"text/html",
        b"text/plain",
        b"text/plain; charset=utf-16le",
        b"",
    ];
    const CODINGS: [&[u8]; 8] = [b"", b"", b"", b"", b"gzip", b"deflate", b"br", b"zstd"];
    let mut headers: Headers<'_> = vec![
        (b"content-type", TYPES[usize::from(choice & 7)]),
        (b"content-encoding", CODINGS[usize::from(choice >> 3 & 7)]),
    ];
    if choice & 0x80 != 0 {
        for line in body.split(|&byte| byte == b'\n') {
            let end = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
            headers.push((&line[..end], line.get(end + 1..).unwrap_or_default()));
        }
    }
    headers
}

fn plain() -> &'static Comparer {
    static COMPARER: OnceLock<Comparer> = OnceLock::new();
    COMPARER.get_or_init(Comparer::default)
}

fn with_rules() -> &'static Comparer {
    static COMPARER: OnceLock<Comparer> = OnceLock::new();
    COMPARER.get_or_init(|| {
        let replace = Action::Replace { pattern: "[0-9]+".to_owned(), with: "<$0>".to_owned() };
        let tolerance = Action::Tolerance { absolute: 1.0, relative: 0.1 };
        let rules = [
            ("$..i", Action::Ignore),
            ("$.s", Action::Set),
            ("$..k", Action::Keyed("id".to_owned())),
            ("$.m", Action::Map),
            ("$..n", tolerance),
            ("$[]", replace.clone()),
            ("$", replace),
            ("header x-*", Action::Ignore),
            ("header s", Action::Set),
        ];
        let rule = |(place, action): (&str, Action)| Rule {
            endpoint: "GET *".to_owned(),
            place: place.to_owned(),
            action,
        };
        let rules = Rules::compile(&rules.map(rule)).expect("rules that can be used");
        Comparer::new(rules, NaturalRules::none(), Limits::default())
    })
}

/// `data` as the place of a rule, if it is a text.
fn place(data: &[u8]) {
    let Ok(place) = std::str::from_utf8(data) else { return };
    let rule = Rule { endpoint: "*".to_owned(), place: place.to_owned(), action: Action::Ignore };
    if let Err(error) = Rules::compile(&[rule]) {
        assert!(error.at <= place.len() && place.is_char_boundary(error.at), "{error}");
    }
}
