//! The rules of many targets together decide as each of them would by itself, looked at as plainly as
//! the documentation has it.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use spop_proto::Value;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::tests_support::{Asked, with_request};
use super::view::{cookies, parameters, percent_decoded};
use super::*;
use crate::config::tests_support::target;
use crate::config::{Key, Match, Pattern, Sample, WithoutKey};

/// What the target's rules say, without anything remembered or put in order.
fn plainly(request: &Request<'_>, config: &TargetConfig, share: Share) -> Result<(), DropReason> {
    let headers_cut = request.facts.is_err();
    let matching = &config.matching;
    let matches = outside(request, matching) && (headers_cut || inside(request, matching));
    let excepted = config.except.as_ref().is_some_and(|rule| {
        let looks_inside =
            !(rule.host.is_empty() && rule.cookies.is_empty() && rule.headers.is_empty());
        outside(request, rule) && if headers_cut { !looks_inside } else { inside(request, rule) }
    });
    if !matches || excepted {
        return Err(DropReason::NotMatched);
    }
    let sample = &config.sample;
    let seed = xxh3_64(sample.seed.as_bytes());
    let below = |bytes: &[u8]| {
        let place = u128::from(xxh3_64_with_seed(bytes, seed)) * 1_000_000;
        place >> 64 < u128::from(share.millionths())
    };
    let drawn = request.draw.to_le_bytes();
    let key = sample.by.as_ref().map(|key| values(request, key, false).into_iter().next());
    let taken = match key.map(|key| key.filter(|key| !key.is_empty())) {
        _ if share == Share::ALL && sample.without_key != WithoutKey::Skip => true,
        None => below(&drawn),
        Some(Some(key)) => below(&key),
        Some(None) => match sample.without_key {
            WithoutKey::Chance => below(&drawn),
            WithoutKey::Skip => false,
            WithoutKey::Copy => true,
        },
    };
    if taken { Ok(()) } else { Err(DropReason::NotSampled) }
}

fn outside(request: &Request<'_>, rule: &Match) -> bool {
    let view = &request.view;
    (rule.methods.is_empty() || rule.methods.iter().any(|m| m.as_bytes() == view.method()))
        && (rule.path.is_empty() || meets(&rule.path, view.path()))
        && (rule.sources.is_empty()
            || view.source().is_some_and(|s| rule.sources.iter().any(|net| net.contains(&s))))
        && every(request, &rule.args, Key::Argument)
        && every(request, &rule.query, Key::Query)
}

fn inside(request: &Request<'_>, rule: &Match) -> bool {
    (rule.host.is_empty() || meets(&rule.host, &request.view.host().to_ascii_lowercase()))
        && every(request, &rule.cookies, Key::Cookie)
        && every(request, &rule.headers, Key::Header)
}

fn every(
    request: &Request<'_>,
    criteria: &[(String, Vec<Pattern>)],
    key: fn(String) -> Key,
) -> bool {
    criteria.iter().all(|(name, patterns)| {
        values(request, &key(name.clone()), true).iter().any(|value| meets(patterns, value))
    })
}

fn meets(patterns: &[Pattern], value: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(value))
}

fn values(request: &Request<'_>, key: &Key, decoded: bool) -> Vec<Vec<u8>> {
    let view = &request.view;
    let headers = |name: &str| {
        let headers = request.exchange.headers.iter().map_while(Result::ok);
        let named = headers.filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value.to_vec()).collect::<Vec<_>>()
    };
    match key {
        Key::Header(name) => headers(name),
        Key::Cookie(name) => {
            let all = headers("cookie");
            let pairs = all.iter().flat_map(|header| cookies(header));
            pairs.filter(|(n, _)| *n == name.as_bytes()).map(|(_, v)| v.to_vec()).collect()
        }
        Key::Query(name) => parameters(view.query())
            .filter(|(n, _)| *percent_decoded(n) == *name.as_bytes())
            .map(|(_, v)| if decoded { percent_decoded(v).into_owned() } else { v.to_vec() })
            .collect(),
        Key::Source => view.source().iter().map(|s| s.to_string().into_bytes()).collect(),
        Key::Argument(name) => view.argument(name).iter().map(|text| text.to_vec()).collect(),
    }
}

/// Few names and values, so that rules and requests often meet.
const NAMES: &[&str] = &["a", "A", "b", "x-tenant", "x-tenant-2", "a-name-of-no-ordinary-length"];
const TEXTS: &[&str] =
    &["", "a", "ab", "/a", "/a/", "/api/v1/items", "/api/v1/itemsets", "3", "acme.example"];

fn pattern() -> impl Strategy<Value = Pattern> {
    let regexes = ["^/api/v[0-9]+/", "^/.*s$", "^[a-z]+$", "^$", r"^\w+\b", "^(?i)ACME", "^3|b"];
    let loose = ["tem", r"\bapi\b", "[^a]", "a*", r"[0-9]\z", "(?-u:\\xff)", "ä"];
    let text = select(TEXTS);
    prop_oneof![
        text.clone().prop_map(|text| Pattern::Exact(text.to_owned())),
        (text.clone(), 0..9usize)
            .prop_map(|(text, cut)| { Pattern::Prefix(text[..cut.min(text.len())].to_owned()) }),
        (text, 0..9usize)
            .prop_map(|(text, cut)| { Pattern::Suffix(text[cut.min(text.len())..].to_owned()) }),
        select(regexes.to_vec()).prop_map(|text| Pattern::parse(text).unwrap()),
        select(loose.to_vec()).prop_map(|text| Pattern::regex(text).unwrap()),
    ]
}

/// Mostly nothing, as most rules leave most criteria out.
fn sometimes<T: std::fmt::Debug>(
    some: impl Strategy<Value = Vec<T>>,
) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![3 => Just(()).prop_map(|()| Vec::new()), 1 => some]
}

fn named(lower: bool) -> impl Strategy<Value = Vec<(String, Vec<Pattern>)>> {
    let name = select(NAMES)
        .prop_map(move |name| if lower { name.to_ascii_lowercase() } else { name.to_owned() });
    sometimes(vec((name, vec(pattern(), 1..3)), 1..3))
}

fn rule() -> impl Strategy<Value = Match> {
    let methods = subsequence(vec!["GET".to_owned(), "HEAD".to_owned(), "get".to_owned()], 1..3);
    let networks = ["10.0.0.0/8", "0.0.0.0/0", "::/0", "192.0.2.7/32"].map(|n| n.parse().unwrap());
    let paths = (sometimes(vec(pattern(), 1..4)), sometimes(vec(pattern(), 1..3)));
    let sources = sometimes(subsequence(networks.to_vec(), 1..3));
    let rest = (named(true), named(false), named(false), named(false));
    (sometimes(methods), paths, sources, rest).prop_map(
        |(methods, (path, host), sources, (headers, query, cookies, args))| Match {
            methods,
            path,
            host,
            headers,
            query,
            cookies,
            sources,
            args,
        },
    )
}

fn a_target() -> impl Strategy<Value = TargetConfig> {
    let name = || select(NAMES).prop_map(str::to_owned);
    let key = prop_oneof![
        name().prop_map(|name| Key::Header(name.to_ascii_lowercase())),
        name().prop_map(Key::Cookie),
        name().prop_map(Key::Query),
        name().prop_map(Key::Argument),
        Just(Key::Source),
    ];
    let without = select(vec![WithoutKey::Chance, WithoutKey::Skip, WithoutKey::Copy]);
    let sample = (0..=4u32, proptest::option::of(key), without, "[ab]?").prop_map(
        |(quarters, by, without_key, seed)| Sample {
            share: Share::of_millionths(quarters * 250_000),
            by,
            without_key,
            seed,
        },
    );
    (rule(), proptest::option::of(rule()), sample).prop_map(|(matching, except, sample)| {
        TargetConfig { matching, except, sample, ..target("http://t") }
    })
}

/// Names and values of a request.
type Pairs = Vec<(&'static str, &'static str)>;

fn pairs() -> impl Strategy<Value = Pairs> {
    vec((select(NAMES), select(TEXTS)), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn together_as_each_by_itself(
        targets in vec(a_target(), 1..40),
        requests in vec(
            (
                (select(vec!["GET", "HEAD", "POST"]), select(TEXTS), select(vec!["", "%61", "\u{e4}", "\0"])),
                (pairs(), pairs(), pairs(), pairs()),
                (select(vec!["acme.example", "ACME.example:80", "a"]), any::<bool>(), any::<u64>()),
                select(vec!["", "10.1.2.3", "::1", "192.0.2.7"]),
            ),
            1..4,
        ),
    ) {
        let configs: Vec<_> = targets.iter().collect();
        let judge = Judge::new(Rules::new(&configs));
        for ((method, path, more), (headers, cookies, query, args), (host, cut, draw), source) in requests {
            let query: Vec<_> = query.iter().map(|(n, v)| format!("{n}={v}{more}")).collect();
            let url = format!("{path}{more}?{}", query.join("&"));
            let cookies: Vec<_> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            let headers: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
            let end = if cut { "x-cut: " } else { "\r\n" };
            let headers = format!("Host: {host}\r\ncookie: {}\r\n{headers}{end}", cookies.join("; "));
            let source = [(&b"src"[..], Value::String(source.as_bytes()))];
            let args = args.iter().map(|(n, v)| (n.as_bytes(), Value::String(v.as_bytes())));
            let arguments: Vec<_> = source.into_iter().chain(args).collect();
            let asked = Asked {
                method: method.as_bytes(),
                url: url.as_bytes(),
                headers: headers.as_bytes(),
                arguments: &arguments,
                draw,
                ..Asked::default()
            };
            with_request(&asked, |request| together(&judge, request, &configs))?;
        }
    }

    /// Whatever bytes a client sends, and HAProxy passes.
    #[test]
    fn any_request_has_an_answer(
        targets in vec(a_target(), 1..20),
        url: Vec<u8>,
        query in "[?&=%+a-f0-9]{0,40}",
        headers: Vec<u8>,
        cookie in "[;= a-c]{0,20}",
        argument: Vec<u8>,
    ) {
        let url = [&url[..], query.as_bytes()].concat();
        let headers = [b"Host: H\r\ncookie: ", cookie.as_bytes(), b"\r\n", &headers].concat();
        let arguments = [(&b"src"[..], Value::Binary(&argument)), (b"a", Value::String(&argument))];
        let asked =
            Asked { url: &url, headers: &headers, arguments: &arguments, ..Asked::default() };
        let configs: Vec<_> = targets.iter().collect();
        let judge = Judge::new(Rules::new(&configs));
        with_request(&asked, |request| together(&judge, request, &configs))?;
    }
}

/// Asks twice: what is remembered must not tell otherwise.
fn together(
    judge: &Judge,
    request: &Request<'_>,
    configs: &[&TargetConfig],
) -> Result<(), TestCaseError> {
    let mut hearing = judge.hear(request);
    for (number, config) in configs.iter().enumerate().chain(configs.iter().enumerate()) {
        let share = config.sample.share;
        let expected = plainly(request, config, share);
        prop_assert_eq!(hearing.wanted(number, share), expected, "{:?}", config);
    }
    Ok(())
}
