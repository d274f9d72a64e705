//! Whether a request meets the rules of each target. What they ask about is in one table for all
//! targets: a part of the request is looked at once, when the first rule comes to it, and answers then
//! every criterion that looks at it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use ipnet::IpNet;
use regex_automata::PatternSet;

use super::patterns::{self, Patterns, head, tail};
use super::view::{View, cookies, parameters, percent_decoded};
use crate::config::{Match, Pattern, TargetConfig};

/// The rules of all targets, ready to be asked about requests. Each worker has its own: a compiled
/// regular expression that threads share would have them wait for each other.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    targets: Vec<Target>,
    /// Numbers of the criteria that rules ask for, rule by rule.
    wanted: Vec<usize>,
    /// Of the different criteria, those that look at each part have these numbers.
    parts: [Range<usize>; PARTS.len()],
    method: Patterns,
    path: Patterns,
    sources: Vec<(IpNet, usize)>,
    args: Named,
    query: Named,
    host: Patterns,
    cookies: Named,
    headers: Named,
}

/// A target's rules.
#[derive(Debug, Clone)]
struct Target {
    matching: Rule,
    except: Option<Rule>,
}

/// All of these must hold: a range of [`Matcher::wanted`].
#[derive(Debug, Clone)]
struct Rule {
    start: usize,
    /// From here on headers are looked at: the host, cookies, headers.
    inside: usize,
    end: usize,
}

/// What a criterion looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Method,
    Path,
    Source,
    Args,
    Query,
    Host,
    Cookies,
    Headers,
}

/// In the order in which a rule looks at them: what is cheap first, what is in the headers last.
const PARTS: [Part; 8] = [
    Part::Method,
    Part::Path,
    Part::Source,
    Part::Args,
    Part::Query,
    Part::Host,
    Part::Cookies,
    Part::Headers,
];

/// What is known of one request.
#[derive(Debug)]
pub(super) struct Answers {
    criteria: Vec<Answer>,
    room: PatternSet,
}

/// Whether a criterion holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Unknown,
    Yes,
    No,
}

impl Answers {
    /// Forgets the request.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.criteria.fill(Answer::Unknown);
    }

    fn yes(&mut self, number: usize) {
        yes(&mut self.criteria, number);
    }

    /// Asks `patterns` about a value.
    fn ask(&mut self, patterns: &Patterns, value: &[u8]) {
        let Self { criteria, room } = self;
        patterns.each_met(value, room, |number| yes(criteria, number));
    }
}

fn yes(criteria: &mut [Answer], number: usize) {
    if let Some(answer) = criteria.get_mut(number) {
        *answer = Answer::Yes;
    }
}

impl Matcher {
    /// Makes the rules of `targets` ready.
    #[must_use]
    pub(super) fn new(targets: &[&TargetConfig]) -> Self {
        let mut table = Table::default();
        for target in targets {
            table.gather(&target.matching);
            target.except.iter().for_each(|rule| table.gather(rule));
        }
        let mut wanted = Vec::new();
        let targets = targets.iter().map(|target| Target {
            matching: table.rule(&target.matching, &mut wanted),
            except: target.except.as_ref().map(|rule| table.rule(rule, &mut wanted)),
        });
        Self {
            targets: targets.collect(),
            parts: PARTS.map(|part| table.numbers(part)),
            method: table.unnamed(Part::Method),
            path: table.unnamed(Part::Path),
            sources: table.sources(),
            args: table.named(Part::Args),
            query: table.named(Part::Query),
            host: table.unnamed(Part::Host),
            cookies: table.named(Part::Cookies),
            headers: table.named(Part::Headers),
            wanted,
        }
    }

    /// Room for the answers to one request.
    #[must_use]
    pub(super) fn answers(&self) -> Answers {
        let criteria = self.parts.iter().map(Range::len).sum();
        Answers { criteria: vec![Answer::Unknown; criteria], room: patterns::room() }
    }

    /// Whether the target of this number wants the request. Where not `whole`, headers are missing.
    #[inline]
    pub(super) fn wants(
        &self,
        target: usize,
        view: &View<'_>,
        whole: bool,
        answers: &mut Answers,
    ) -> bool {
        let Some(Target { matching, except }) = self.targets.get(target) else { return false };
        if whole {
            return self.hold(matching.start..matching.end, view, answers)
                && !except
                    .as_ref()
                    .is_some_and(|rule| self.hold(rule.start..rule.end, view, answers));
        }
        // What is missing of the headers may be what a rule looks for. Only what the rest of the
        // request says settles it; otherwise the headers are the reason that it is not copied.
        self.hold(matching.start..matching.inside, view, answers)
            && !except.as_ref().is_some_and(|rule| {
                rule.inside == rule.end && self.hold(rule.start..rule.end, view, answers)
            })
    }

    /// Whether all these criteria hold.
    #[inline]
    fn hold(&self, wanted: Range<usize>, view: &View<'_>, answers: &mut Answers) -> bool {
        let Some(wanted) = self.wanted.get(wanted) else { return false };
        wanted.iter().all(|&number| match answers.criteria.get(number) {
            Some(Answer::Unknown) => self.find_out(number, view, answers),
            answer => answer == Some(&Answer::Yes),
        })
    }

    #[cold]
    fn find_out(&self, number: usize, view: &View<'_>, answers: &mut Answers) -> bool {
        for (part, numbers) in PARTS.iter().zip(&self.parts) {
            if numbers.contains(&number) {
                self.look(*part, view, answers);
                let about_it = answers.criteria.get_mut(numbers.clone()).unwrap_or_default();
                for answer in about_it {
                    *answer = if *answer == Answer::Yes { Answer::Yes } else { Answer::No };
                }
            }
        }
        answers.criteria.get(number) == Some(&Answer::Yes)
    }

    /// Looks at a part of the request, for all criteria that ask about it.
    fn look(&self, part: Part, view: &View<'_>, answers: &mut Answers) {
        match part {
            Part::Method => answers.ask(&self.method, view.method()),
            Part::Path => answers.ask(&self.path, view.path()),
            Part::Host => answers.ask(&self.host, &view.host_lowercase()),
            Part::Source => {
                if let Some(source) = view.source() {
                    for (network, number) in &self.sources {
                        if network.contains(&source) {
                            answers.yes(*number);
                        }
                    }
                }
            }
            Part::Args => {
                for (name, patterns) in &self.args.names {
                    if let Some(value) = view.argument(name) {
                        answers.ask(patterns, &value);
                    }
                }
            }
            Part::Query => {
                for (name, value) in parameters(view.query()) {
                    let name = percent_decoded(name);
                    if let Some(patterns) = self.query.find(|known| *known == *name, &name) {
                        answers.ask(patterns, &percent_decoded(value));
                    }
                }
            }
            Part::Cookies => {
                for (name, value) in view.headers("cookie").flat_map(cookies) {
                    if let Some(patterns) = self.cookies.find(|known| known == name, name) {
                        answers.ask(patterns, value);
                    }
                }
            }
            Part::Headers => {
                for (name, value) in view.all_headers() {
                    let same = |known: &[u8]| known.eq_ignore_ascii_case(name);
                    if let Some(patterns) = self.headers.find(same, name) {
                        answers.ask(patterns, value);
                    }
                }
            }
        }
    }
}

/// Patterns by the name of the header, cookie, parameter or argument whose values they look at.
#[derive(Debug, Clone)]
struct Named {
    names: Vec<(String, Patterns)>,
    /// Indices of `names`: each at the hash of its name, or at the next place that was free. A power
    /// of two, at least half of it empty.
    places: Vec<Option<u32>>,
}

impl Named {
    fn new(names: Vec<(String, Patterns)>) -> Self {
        let mut named =
            Self { places: vec![None; (2 * names.len() + 1).next_power_of_two()], names };
        for (index, (name, _)) in (0u32..).zip(&named.names) {
            let mut at = named.first_place(name.as_bytes());
            while named.places[at].is_some() {
                at = named.next_place(at);
            }
            named.places[at] = Some(index);
        }
        named
    }

    /// The patterns for the name `name`, which is `same` as it.
    #[inline]
    fn find(&self, same: impl Fn(&[u8]) -> bool, name: &[u8]) -> Option<&Patterns> {
        let mut at = self.first_place(name);
        loop {
            let index = self.places.get(at).copied().flatten()?;
            let (known, patterns) = self.names.get(usize::try_from(index).ok()?)?;
            if same(known.as_bytes()) {
                return Some(patterns);
            }
            at = self.next_place(at);
        }
    }

    /// A hash by which the case of letters makes no difference.
    #[inline]
    fn first_place(&self, name: &[u8]) -> usize {
        const LOWER: u64 = 0x2020_2020_2020_2020;
        let (head, tail) = (head(name) | LOWER, tail(name) | LOWER);
        let hash =
            head.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ tail ^ name.len() as u64;
        let hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
        usize::try_from(hash).unwrap_or(0) & (self.places.len() - 1)
    }

    #[inline]
    fn next_place(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }
}

/// The different criteria of all rules, as they are gathered, in the order of [`PARTS`].
#[derive(Default)]
struct Table<'a> {
    rows: [Vec<Row<'a>>; PARTS.len()],
}

#[derive(PartialEq)]
struct Row<'a> {
    /// Of the header, cookie, parameter or argument.
    name: &'a str,
    patterns: Cow<'a, [Pattern]>,
    networks: &'a [IpNet],
}

impl<'a> Table<'a> {
    /// Takes up the criteria of a rule.
    fn gather(&mut self, rule: &'a Match) {
        for part in PARTS {
            let known = &mut self.rows[part as usize];
            for row in rows(rule, part) {
                if !known.contains(&row) {
                    known.push(row);
                }
            }
        }
    }

    /// The numbers of the criteria that look at `part`.
    fn numbers(&self, part: Part) -> Range<usize> {
        let [before @ .., at] = &self.rows[..=part as usize] else { return 0..0 };
        let start = before.iter().map(Vec::len).sum();
        start..start + at.len()
    }

    /// Appends the numbers of a rule's criteria to `wanted`.
    fn rule(&self, rule: &Match, wanted: &mut Vec<usize>) -> Rule {
        let start = wanted.len();
        let mut inside = start;
        for part in PARTS {
            if part == Part::Host {
                inside = wanted.len();
            }
            let known = &self.rows[part as usize];
            let found =
                rows(rule, part).into_iter().filter_map(|r| known.iter().position(|k| *k == r));
            wanted.extend(found.map(|index| self.numbers(part).start + index));
        }
        Rule { start, inside, end: wanted.len() }
    }

    /// The criteria that look at `part`, with their numbers.
    fn about(&self, part: Part) -> impl Iterator<Item = (usize, &Row<'a>)> {
        self.numbers(part).zip(&self.rows[part as usize])
    }

    fn unnamed(&self, part: Part) -> Patterns {
        let rows = self.about(part);
        Patterns::new(rows.flat_map(|(n, row)| row.patterns.iter().map(move |p| (p, n))))
    }

    fn named(&self, part: Part) -> Named {
        let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (number, row) in self.about(part) {
            let patterns = row.patterns.iter().map(|pattern| (pattern, number));
            names.entry(row.name).or_default().extend(patterns);
        }
        let names = names.into_iter();
        Named::new(names.map(|(name, p)| (name.to_owned(), Patterns::new(p))).collect())
    }

    fn sources(&self) -> Vec<(IpNet, usize)> {
        let rows = self.about(Part::Source);
        rows.flat_map(|(n, row)| row.networks.iter().map(move |&network| (network, n))).collect()
    }
}

/// The criteria of a rule that look at `part`.
fn rows(rule: &Match, part: Part) -> Vec<Row<'_>> {
    fn one<'a>(patterns: impl Into<Cow<'a, [Pattern]>>, networks: &'a [IpNet]) -> Vec<Row<'a>> {
        let row = Row { name: "", patterns: patterns.into(), networks };
        if row.patterns.is_empty() && networks.is_empty() { Vec::new() } else { vec![row] }
    }
    fn each(criteria: &[(String, Vec<Pattern>)]) -> Vec<Row<'_>> {
        let rows = criteria.iter();
        rows.map(|(name, patterns)| Row { name, patterns: patterns.into(), networks: &[] })
            .collect()
    }
    match part {
        Part::Method => {
            let methods = rule.methods.iter().cloned().map(Pattern::Exact);
            one(methods.collect::<Vec<_>>(), &[])
        }
        Part::Path => one(&rule.path, &[]),
        Part::Source => one(&[][..], &rule.sources),
        Part::Args => each(&rule.args),
        Part::Query => each(&rule.query),
        Part::Host => one(&rule.host, &[]),
        Part::Cookies => each(&rule.cookies),
        Part::Headers => each(&rule.headers),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use spop_proto::Value;

    use super::*;
    use crate::config::tests_support::target;
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
            wants(rule, view)
        })
    }

    /// Whether a target with this rule and no other wants a request.
    fn wants(rule: &Match, view: &View<'_>) -> bool {
        let target = TargetConfig { matching: rule.clone(), ..target("http://t") };
        let matcher = Matcher::new(&[&target]);
        matcher.wants(0, view, true, &mut matcher.answers())
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
                assert!(!wants(&rule, view));
            });
        }
    }
}
