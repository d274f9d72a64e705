//! Targets with rules decide about one request, which was read before.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use spoa_mirror::config::{Key, LogConfig, Match, Pattern, Rate, RateLimit, Share, TargetConfig};
use spoa_mirror::exchange::{Completeness, Exchange};
use spoa_mirror::log::{CopyLog, Sink};
use spoa_mirror::policy::{Judge, Request, Rules, approve};
use spoa_mirror::target::{Context, Shared, Target, resolve};
use spop_proto::Value;

use super::{Step, facts, first, marker, ordinary_target};

/// A target without rules; then a hundred of which two want the request, each with a rule of one kind.
pub(super) fn steps() -> Vec<Step> {
    let hundred = |rule: fn(usize, &mut TargetConfig)| {
        let target = |number| {
            let mut target = ordinary_target();
            rule(number, &mut target);
            target
        };
        (0..100).map(target).collect::<Vec<_>>()
    };
    vec![
        policy("policy-1", &[ordinary_target()]),
        policy("policy-100", &hundred(|n, target| target.matching.path = path(n))),
        policy(
            "policy-100-values",
            &hundred(|n, target| {
                let tenant = n.max(1);
                target.matching.headers = named("x-tenant", &format!("tenant-{tenant}"));
            }),
        ),
        policy(
            "policy-100-headers",
            &hundred(|n, target| {
                let name = if n < 2 { "x-header-1".to_owned() } else { format!("x-team-{n}") };
                target.matching.headers = named(&name, "*");
            }),
        ),
        policy("policy-100-samples", &hundred(|n, target| sticky(n, "", target))),
        policy("policy-100-seeds", &hundred(|n, target| sticky(n, &format!("seed {n}"), target))),
        policy(
            "policy-100-four",
            &hundred(|n, target| {
                target.matching = Match {
                    methods: vec!["GET".to_owned(), "HEAD".to_owned()],
                    path: patterns("/some/*"),
                    headers: named("x-header-1", "a value *"),
                    cookies: named("tenant", &format!("{}", n / 2)),
                    ..Match::default()
                };
            }),
        ),
        policy(
            "policy-100-regexes",
            &hundred(|n, target| {
                let text = if n < 2 {
                    format!("^/[a-z]+/path/to/.*p{}", ["a", "ag"][n])
                } else {
                    format!("^/[a-z]+/v[0-9]+/resource-{n}/[^/]*$")
                };
                target.matching.path = patterns(&text);
            }),
        ),
        offer("offer-100", hundred(|n, target| target.matching.path = path(n))),
    ]
}

fn patterns(text: &str) -> Vec<Pattern> {
    vec![Pattern::parse(text).unwrap()]
}

fn named(name: &str, text: &str) -> Vec<(String, Vec<Pattern>)> {
    vec![(name.to_owned(), patterns(text))]
}

fn path(number: usize) -> Vec<Pattern> {
    patterns(&if number < 2 { "/some/*".to_owned() } else { format!("/{number}/*") })
}

/// The first two are certain of every key.
fn sticky(number: usize, seed: &str, target: &mut TargetConfig) {
    let percent = if number < 2 { 99.9999 } else { 0.0001 };
    target.sample.share = Share::percent(percent).unwrap();
    target.sample.by = Some(Key::Cookie("session".to_owned()));
    seed.clone_into(&mut target.sample.seed);
}

/// What a client with two cookies and a tenant asks for, for as long as the program runs.
fn request() -> Exchange<'static> {
    let mut block = Vec::new();
    let value: &[u8] = b"a value of ordinary length";
    let headers: [(&[u8], &[u8]); 8] = [
        (b"host", b"www.example.com"),
        (b"user-agent", value),
        (b"accept", value),
        (b"x-header-1", value),
        (b"x-tenant", b"tenant-1"),
        (b"x-header-3", value),
        (b"cookie", b"session=8f14e45fceea167a5a36dedd4bea2543; tenant=0"),
        (b"x-header-4", value),
    ];
    spop_proto::encode_header_block(headers, &mut block);
    let arguments: [(&[u8], Value<'_>); 5] = [
        (b"arg_method", Value::String(b"GET")),
        (b"arg_path", Value::String(b"/some/path/to/a/page?with=a&few=parameters")),
        (b"arg_ver", Value::String(b"1.1")),
        (b"arg_hdrs", Value::Binary(&block)),
        (b"arg_body", Value::Binary(b"")),
    ];
    let mut payload = Vec::new();
    spop_proto::encode_message(b"mirror", &arguments, &mut payload);
    first(payload.leak())
}

fn policy(name: &'static str, targets: &[TargetConfig]) -> Step {
    let exchange = request();
    let facts = facts(&exchange);
    let targets = targets.to_vec();
    let judge = Judge::new(Rules::new(&targets.iter().collect::<Vec<_>>()));
    let marker = marker();
    let expected = if targets.len() > 1 { 2 } else { 1 };
    Step::new(name, move || {
        let request = Request::new(black_box(&exchange), Ok(facts), Completeness::Complete, 1);
        let mut wanted = 0;
        let mut hearing = judge.hear(&request);
        for (number, target) in black_box(&targets).iter().enumerate() {
            let verdict = hearing.wanted(number, target.sample.share);
            let approval = verdict.and_then(|()| approve(&request, target, &marker));
            wanted += u32::from(approval.is_ok());
        }
        assert_eq!(wanted, expected, "{name}");
    })
}

/// The whole way of a request past a hundred targets, up to the two that want it and have used up
/// their rates: what it is counted with included.
fn offer(name: &'static str, targets: Vec<TargetConfig>) -> Step {
    let exchange = request();
    let facts = facts(&exchange);
    let judge = Judge::new(Rules::new(&targets.iter().collect::<Vec<_>>()));
    let log = LogConfig::default();
    let log = CopyLog::new(Sink::open(&log).unwrap(), &log, 1, Instant::now());
    let context = Rc::new(Context::new(log));
    let targets: Vec<_> = targets
        .into_iter()
        .map(|mut config| {
            let (_, addresses) = resolve::resolver(&config.url.host, config.url.port);
            config.limits.rate = Some(RateLimit { rate: Rate { per_second: 1e-9 }, burst: 1 });
            config.limits.queue = 0;
            let shared = Arc::new(Shared::new(config, marker()));
            Target::new(shared, Rc::clone(&context), None, addresses)
        })
        .collect();
    Step::new(name, move || {
        let request = Request::new(black_box(&exchange), Ok(facts), Completeness::Complete, 1);
        let mut hearing = judge.hear(&request);
        for (number, target) in targets.iter().enumerate() {
            target.offer(&request, number, &mut hearing);
        }
    })
}
