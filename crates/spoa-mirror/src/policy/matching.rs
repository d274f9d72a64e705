//! Whether a request meets a rule. Rules are made ready once; what is cheap to look at comes first.

use ipnet::IpNet;

use super::view::{Place, View};
use crate::config::{Key, Match, Pattern};

/// A rule, ready to be asked about requests. Each worker has its own: a compiled regular expression
/// that threads share would have them wait for each other.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// What does not look at headers.
    outside: Vec<Criterion>,
    /// What does: the host, cookies, headers.
    inside: Vec<Criterion>,
}

/// One of them must hold.
#[derive(Debug, Clone)]
enum Criterion {
    Methods(Vec<String>),
    Sources(Vec<IpNet>),
    Path(Vec<Pattern>),
    Host(Vec<Pattern>),
    Named(Place, Vec<Pattern>),
}

impl Matcher {
    /// Makes `rule` ready.
    #[must_use]
    pub fn new(rule: &Match) -> Self {
        fn given<T: Clone>(of: fn(Vec<T>) -> Criterion, values: &[T]) -> Option<Criterion> {
            (!values.is_empty()).then(|| of(values.to_vec()))
        }
        fn named<'a>(
            of: fn(String) -> Key,
            criteria: &'a [(String, Vec<Pattern>)],
        ) -> impl Iterator<Item = Criterion> + 'a {
            criteria.iter().map(move |(name, patterns)| {
                Criterion::Named(Place::new(of(name.clone())), patterns.clone())
            })
        }
        Self {
            outside: (given(Criterion::Methods, &rule.methods).into_iter())
                .chain(given(Criterion::Sources, &rule.sources))
                .chain(given(Criterion::Path, &rule.path))
                .chain(named(Key::Argument, &rule.args))
                .chain(named(Key::Query, &rule.query))
                .collect(),
            inside: (given(Criterion::Host, &rule.host).into_iter())
                .chain(named(Key::Cookie, &rule.cookies))
                .chain(named(Key::Header, &rule.headers))
                .collect(),
        }
    }

    /// Whether the request meets every criterion.
    #[inline]
    #[must_use]
    pub fn meets(&self, view: &View<'_>) -> bool {
        self.meets_outside(view) && self.inside.iter().all(|criterion| criterion.holds(view))
    }

    /// Whether it meets those that do not look at headers.
    #[inline]
    #[must_use]
    pub fn meets_outside(&self, view: &View<'_>) -> bool {
        self.outside.iter().all(|criterion| criterion.holds(view))
    }

    /// Whether there is a criterion that looks at headers.
    #[must_use]
    pub fn looks_inside(&self) -> bool {
        !self.inside.is_empty()
    }
}

impl Criterion {
    #[inline]
    fn holds(&self, view: &View<'_>) -> bool {
        match self {
            Self::Methods(methods) => methods.iter().any(|m| m.as_bytes() == view.method()),
            Self::Sources(networks) => view
                .source()
                .is_some_and(|source| networks.iter().any(|network| network.contains(&source))),
            Self::Path(patterns) => any(patterns, view.path()),
            Self::Host(patterns) => any(patterns, view.host_lowercase()),
            Self::Named(place, patterns) => view.any(place, |value| any(patterns, value)),
        }
    }
}

fn any(patterns: &[Pattern], value: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use spop_proto::Value;

    use super::*;
    use crate::policy::tests_support::with_view;

    const ARGUMENTS: &[(&[u8], Value<'_>)] = &[
        (b"src", Value::Ipv4(std::net::Ipv4Addr::new(10, 1, 2, 3))),
        (b"customer", Value::String(b"acme")),
        (b"arg_tier", Value::Int64(3)),
    ];

    const HEADERS: &[u8] = b"host: Shop.Example.net:8080\r\nX-Beta: 1\r\nx-beta: on\r\n\
        cookie: session=abc; lang=de\r\ncookie: lang=fr\r\n\r\n";

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    fn named(name: &str, texts: &[&str]) -> Vec<(String, Vec<Pattern>)> {
        vec![(name.to_owned(), patterns(texts))]
    }

    fn meets(rule: &Match) -> bool {
        with_view(b"GET", b"/api/v1/x?debug=a%20b&debug=c", HEADERS, ARGUMENTS, |view| {
            Matcher::new(rule).meets(view)
        })
    }

    #[test]
    fn each_criterion_by_itself() {
        let none = Match::default;
        let methods = |methods: &[&str]| Match {
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            ..none()
        };
        let path = |texts: &[&str]| Match { path: patterns(texts), ..none() };
        let host = |texts: &[&str]| Match { host: patterns(texts), ..none() };
        let headers = |name, texts: &[&str]| Match { headers: named(name, texts), ..none() };
        let query = |name, texts: &[&str]| Match { query: named(name, texts), ..none() };
        let cookies = |name, texts: &[&str]| Match { cookies: named(name, texts), ..none() };
        let args = |name, texts: &[&str]| Match { args: named(name, texts), ..none() };
        let sources = |networks: &[&str]| Match {
            sources: networks.iter().map(|network| network.parse().unwrap()).collect(),
            ..none()
        };
        assert!(meets(&none()));
        for (yes, no) in [
            (methods(&["POST", "GET"]), methods(&["get", "HEAD"])),
            (path(&["/api/*"]), path(&["/api", "/x*"])),
            (path(&["/api/v1/x"]), path(&["/api/v1/x?*"])),
            (path(&["^/v1/|^/api/v\\d/"]), path(&["^api"])),
            (host(&["shop.example.net"]), host(&["Shop.Example.net", "example.net"])),
            (host(&["*.example.net"]), host(&["shop.*:8080"])),
            (headers("x-beta", &["on"]), headers("x-beta", &["off", "1*1"])),
            (headers("x-beta", &["*"]), headers("x-gamma", &["*"])),
            (query("debug", &["a b"]), query("debug", &["a%20b"])),
            (query("debug", &["c"]), query("d", &["*"])),
            (cookies("session", &["a*"]), cookies("session", &["b*"])),
            (cookies("lang", &["fr"]), cookies("lang", &["it"])),
            (args("customer", &["acme"]), args("customer", &["acm"])),
            (args("tier", &["3"]), args("tier", &["1", "2"])),
            (sources(&["192.0.2.0/24", "10.0.0.0/8"]), sources(&["10.0.0.0/16", "::/0"])),
        ] {
            assert!(meets(&yes), "{yes:?}");
            assert!(!meets(&no), "{no:?}");
        }
    }

    #[test]
    fn every_criterion_must_hold() {
        let rule = Match {
            methods: vec!["GET".to_owned()],
            path: patterns(&["/api/*"]),
            args: named("customer", &["acme"]),
            headers: named("x-beta", &["on"]),
            ..Match::default()
        };
        assert!(meets(&rule));
        assert!(!meets(&Match { methods: vec!["PUT".to_owned()], ..rule.clone() }));
        assert!(!meets(&Match { path: patterns(&["/b"]), ..rule.clone() }));
        assert!(!meets(&Match { args: named("customer", &["b"]), ..rule.clone() }));
        let mut two = rule.clone();
        two.headers.extend(named("x-gamma", &["on"]));
        assert!(!meets(&two));
        assert!(!meets(&Match { headers: named("x-beta", &["2"]), ..rule }));
    }

    #[test]
    fn without_an_address_no_network_holds() {
        let rule = Match { sources: vec!["0.0.0.0/0".parse().unwrap()], ..Match::default() };
        for arguments in [&[][..], &[(&b"src"[..], Value::String(b"unknown"))]] {
            with_view(b"GET", b"/", b"", arguments, |view| {
                assert!(!Matcher::new(&rule).meets(view));
            });
        }
    }

    proptest! {
        /// Whatever bytes a client sends: no panic, and the same answer when it is remembered.
        #[test]
        fn any_request_has_an_answer(
            url: Vec<u8>,
            query in "[?&=%+a-f0-9]{0,40}",
            headers: Vec<u8>,
            cookie in "[;= a-c]{0,20}",
            argument: Vec<u8>,
        ) {
            let url = [&url[..], query.as_bytes()].concat();
            let headers = [b"Host: H\r\ncookie: ", cookie.as_bytes(), b"\r\n", &headers].concat();
            let arguments = [(&b"src"[..], Value::Binary(&argument)), (b"a", Value::String(&argument))];
            let rule = Match {
                path: patterns(&["/x", "^."]),
                host: patterns(&["h"]),
                headers: named("cookie", &["^[ab]"]),
                query: named("a", &["*a", "b*", "f"]),
                cookies: named("a", &["*"]),
                sources: vec!["0.0.0.0/1".parse().unwrap()],
                args: named("a", &["^[0-9]"]),
                ..Match::default()
            };
            with_view(b"GET", &url, &headers, &arguments, |view| {
                let matcher = Matcher::new(&rule);
                for criterion in matcher.outside.iter().chain(&matcher.inside) {
                    assert_eq!(criterion.holds(view), criterion.holds(view));
                }
                assert!(matcher.outside.iter().all(|c| c.holds(view)) == matcher.meets_outside(view));
            });
        }
    }
}
