//! Files as a user writes them, and what is made of them.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use shadow_diff::significance::Confidence;
use shadow_diff::verdict::{Allowed, LatencyThresholds, Thresholds};
use shadow_diff::{Action, Rule};

use super::*;
use crate::config::{Compare, HistoryConfig};

fn read(text: &str) -> Result<(Config, Report), Report> {
    let environment = |name: &str| (name == "TOKEN").then(|| "s3cr3t-of-16-bytes".to_owned());
    parse(Path::new("/etc/spoa-mirror.toml"), text, &environment)
}

#[test]
fn an_empty_file_has_the_defaults() {
    let (config, warnings) = read("").unwrap();
    let expected = Config { file: config.file.clone(), ..Config::default() };
    assert_eq!(config, expected);
    assert_eq!(warnings.findings().len(), 1, "{warnings}");
}

const EVERYTHING: &str = r#"
[agent]
listen = ["127.0.0.1:12345", "unix:agent.sock"]
backlog = 100
max-connections = 500
max-frame-size = "64KiB"
workers = 1
ack-unset-var = "mirrored"
marker = "x-copy"
max-hops = 2
grace = "1s"
runtime = "1h"

[admin]
listen = "127.0.0.1:9600"
token = "${TOKEN}"
rate = "10/s"

[log]
file = "mirror.log"
truncate = true
line-buffered = true
level = "debug"
format = "json"
copies = "all"
interval = "10s"

[comparison]
run = "2.4.0-rc1"
endpoints = ["GET /users/{id}", "/static/*"]
natural-off = ["validator", "uuid", "uuid"]
redact = ["x-internal", "iban"]
rules-file = "rules.toml"
history = { file = "history.db", keep = "7d", max-size = "1GiB" }

[[comparison.rule]]
place = "header x-build"
ignore = true

[[comparison.rule]]
endpoint = "GET /items/*"
place = "$.items[].price"
tolerance = 1
tolerance-percent = 0.7

[[comparison.rule]]
place = "$.tags"
set = true

[[comparison.rule]]
place = "$.items"
keyed-by = "sku"

[[comparison.rule]]
place = "$.by-sku"
map = true

[[comparison.rule]]
place = "$..image"
replace = { pattern = "^https://(cdn)[0-9]+", with = "$1$${1}" }

[comparison.verdict]
confidence = 95
pairs = 2000
endpoint-pairs = 50
judged = 90
difference-rate = "0.1%"
error-rate-increase = 0.5
latency = { p50 = 1.5, p95 = 2, p99 = 3.0, slack = "5ms" }

[[comparison.verdict.allow]]
endpoint = "GET /version"
place = "*"

[[comparison.verdict.allow]]
place = "header x-build"

[defaults]
http = "1.1"
limit = { queue = 7, rate = "100/s" }
headers.set = { x-env = "default", x-from = "mirror" }

[[target]]
name = "staging"
url = "http://staging:8080/prefix"
match = { methods = "safe", path = ["/api/*", { regex = "[0-9]$" }], args = { customer = "acme" } }
except = { host = "*.Internal.example", sources = ["10.0.0.0/8", "::1"] }
sample = { percent = 12.5, by = "cookie:session", without-key = "skip", seed = "a" }
amplify = 2
truncated-body = "send"
max-body = "1MiB"
max-answer = "64KiB"
host = "target"
path = [{ strip-prefix = "/api" }, { add-prefix = "/v2" }, { regex = "^/a/([0-9]+)", replace = "/b/$1" }]
query = { set = { env = "test" }, remove = ["debug"] }
json = { set = { "$.env" = "test", "$.n" = [1, { a = true }], "$.x" = { json = "null" } }, remove = ["$..email"] }
authorization = { basic = "user:${TOKEN}" }
cookies = { keep = ["lang"] }
breaker = { failures = 5, open = "5s", probes = 2, server-errors = true }
timeout = { connect = "2s", total = "3s" }
local = { address = "127.0.0.1", ports = "40000-49999" }
connections = { max = 5, idle = "10s", lifetime = "1h" }
compare = true
control = "10%"

[target.headers]
set = { x-env = "staging" }
add = { via = "{method} {host}" }
remove = ["x-internal"]
rename = { x-user = "X-Original-User" }

[target.redact]
default = true
key = "${TOKEN}"
rules = [{ header = "x-user", with = "token" }, { json = "$.card", with = "text:none" }]

[target.limit]
in-flight = 100
queue-bytes = "1MiB"
max-age = "1s"
drop = "oldest"
adaptive = { min = 5, tolerance = 3 }
"#;

#[test]
fn every_key_is_understood() {
    let (config, warnings) = read(EVERYTHING).map_err(|report| report.text(false)).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    let target = &config.targets[0];
    assert_eq!(config.agent.max_frame_size, 65536);
    assert_eq!(config.log.file.as_ref().unwrap().path, Path::new("/etc/mirror.log"));
    assert_eq!(config.agent.listen[1].to_string(), "unix:/etc/agent.sock");
    assert_eq!(target.matching.methods, ["GET", "HEAD", "OPTIONS", "TRACE"]);
    assert_eq!(target.except.as_ref().unwrap().host[0].to_string(), "*.internal.example");
    assert_eq!((target.limits.queue, target.limits.in_flight), (7, 100));
    assert_eq!(target.limits.rate.unwrap().burst, 100);
    let set: Vec<_> = target.rewrite.headers_set.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(set, ["x-from", "x-env"]);
    let json: Vec<_> = target.rewrite.json_set.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(json, ["\"test\"", "[1,{\"a\":true}]", "null"]);
    assert_eq!(format!("{:?}", target.rewrite.authorization), "Set([secret])");
    assert_eq!(target.redact.rules[0].place, super::super::RedactPlace::Header("x-user".into()));
    assert!(target.redact.rules.len() > 10);
    assert_eq!((target.compare, target.control.as_percent()), (Compare::Candidate, 10.0));
}

#[test]
fn what_is_said_of_comparison_is_understood() {
    let (config, _) = read(EVERYTHING).map_err(|report| report.text(false)).unwrap();
    let comparison = &config.comparison;
    assert_eq!(comparison.run, "2.4.0-rc1");
    let endpoints: Vec<_> = comparison.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["GET /users/{id}", "/static/*"]);
    assert_eq!(comparison.natural_off, ["validator", "uuid"]);
    assert_eq!(comparison.redact, ["x-internal", "iban"]);
    assert_eq!(comparison.rules_file.as_deref(), Some(Path::new("/etc/rules.toml")));
    let rule = |endpoint: &str, place: &str, action| Rule {
        endpoint: endpoint.to_owned(),
        place: place.to_owned(),
        action,
    };
    let replace =
        Action::Replace { pattern: "^https://(cdn)[0-9]+".to_owned(), with: "$1${1}".to_owned() };
    let rules = [
        rule("*", "header x-build", Action::Ignore),
        rule(
            "GET /items/*",
            "$.items[].price",
            Action::Tolerance { absolute: 1.0, relative: 0.007 },
        ),
        rule("*", "$.tags", Action::Set),
        rule("*", "$.items", Action::Keyed("sku".to_owned())),
        rule("*", "$.by-sku", Action::Map),
        rule("*", "$..image", replace),
    ];
    assert_eq!(comparison.rules, rules);
    let expected = Thresholds {
        confidence: Confidence::new(0.95).unwrap(),
        pairs: 2000,
        endpoint_pairs: 50,
        control_pairs: 100,
        judged_share: 0.9,
        difference_rate: 0.001,
        error_rate_increase: 0.005,
        latency: LatencyThresholds {
            p50: Some(1.5),
            p95: Some(2.0),
            p99: Some(3.0),
            slack: Duration::from_millis(5),
        },
        allowed: vec![
            Allowed::new("GET /version", "*").unwrap(),
            Allowed::new("*", "header x-build").unwrap(),
        ],
    };
    assert_eq!(comparison.thresholds, expected);
    let history = HistoryConfig {
        file: Some("/etc/history.db".into()),
        keep: Duration::from_secs(7 * 24 * 3600),
        max_size: 1 << 30,
    };
    assert_eq!(comparison.history, history);
}

#[test]
fn a_control_is_expected_where_there_is_one() {
    for (lines, pairs) in [
        ("compare = true", 0),
        ("compare = true\ncontrol = 0", 0),
        ("compare = true\ncontrol = 0.5", 100),
        ("compare = \"baseline\"", 100),
        ("compare = true\ncontrol = 1\n[comparison]\nverdict.control-pairs = 0", 0),
        ("compare = true\ncontrol = 1\n[comparison]\nverdict.control-pairs = 7", 7),
        // What the defaults say is not for a target that is not compared.
        ("[defaults]\ncontrol = 5", 0),
        ("compare = true\n[defaults]\ncontrol = 5", 100),
    ] {
        let text = format!("[[target]]\nname = \"t\"\nurl = \"https://t\"\n{lines}");
        let (config, warnings) = read(&text).map_err(|report| report.text(false)).unwrap();
        assert!(warnings.is_empty(), "{lines}\n{warnings}");
        assert_eq!(config.comparison.thresholds.control_pairs, pairs, "{lines}");
    }
}

#[test]
fn a_baseline_is_not_written_to_unless_somebody_says_so() {
    let methods = |lines: &str| {
        let (config, _) = read(&format!(
            "[[target]]\nname = \"t\"\nurl = \"https://t\"\ncompare = \"baseline\"\n{lines}"
        ))
        .unwrap();
        config.targets[0].matching.methods.clone()
    };
    let safe = ["GET", "HEAD", "OPTIONS", "TRACE"];
    assert_eq!(methods(""), safe);
    assert_eq!(methods("match.path = \"/api/*\""), safe);
    assert_eq!(methods("match = \"none\"\n[defaults]\nmatch.methods = \"POST\""), safe);
    assert_eq!(methods("match.methods = [\"GET\", \"POST\"]"), ["GET", "POST"]);
    assert_eq!(methods("[defaults]\nmatch.methods = \"POST\""), ["POST"]);
}

#[test]
fn lists_for_comparison_have_an_end() {
    let many = |entry: &str, count: usize| format!("[comparison]\n{}", entry.repeat(count));
    for (entry, told) in [
        ("[[comparison.rule]]\nplace = \"status\"\nignore = true\n", "no more than 1000 tables"),
        ("[[comparison.verdict.allow]]\nplace = \"status\"\n", "no more than 1000 tables"),
    ] {
        assert!(read(&many(entry, 1000)).is_ok(), "{entry}");
        let report = read(&many(entry, 1001)).unwrap_err().lines().join("\n");
        assert!(report.contains(told), "{report}");
    }
    let endpoints = |count: usize| {
        let list: Vec<_> = (0..count).map(|number| format!("\"/a{number}\"")).collect();
        read(&format!("[comparison]\nendpoints = [{}]", list.join(", ")))
    };
    assert_eq!(endpoints(1000).unwrap().0.comparison.endpoints.len(), 1000);
    let report = endpoints(1001).unwrap_err().lines().join("\n");
    assert!(report.contains("no more than 1000 endpoints"), "{report}");
}

#[test]
fn the_command_line_has_the_same_defaults() {
    use clap::Parser as _;
    let cli = crate::cli::Cli::try_parse_from(["spoa-mirror", "-u", "http://staging"]).unwrap();
    let (by_flags, _, _) = cli.agent.into_config().unwrap();
    let (by_file, _) = read("[[target]]\nname = \"staging\"\nurl = \"http://staging\"").unwrap();
    assert_eq!(Config { file: None, ..by_file }, by_flags);
}

/// The messages for a target with these lines.
fn told(lines: &str) -> String {
    let text = format!("[[target]]\nname = \"t\"\nurl = \"https://t\"\n{lines}");
    match read(&text) {
        Ok((_, report)) | Err(report) => report.lines().join("\n"),
    }
}

#[test]
fn what_does_not_go_together_is_told() {
    for (lines, told_part) in [
        ("truncated-body = \"send\"\n[agent]\nmarker = \"none\"", "must be marked"),
        ("tls = { insecure = true, ca = \"x\" }", "`ca` has no effect"),
        ("tls.certificate = \"x\"", "without its `key`"),
        ("tls.ca = \"/nowhere/ca.pem\"", "cannot read /nowhere/ca.pem"),
        ("tls.ca = \"/dev/null\"", "/dev/null is no regular file"),
        ("tls = { certificate = \"/etc/hostname\", key = \"/nowhere\" }", "t.tls.key: cannot read"),
        ("authorization.bearer = \"file:/dev/zero\"", "/dev/zero is no regular file"),
        ("[agent]\nworkers = 1000", "processors, and no more workers"),
        ("limit.burst = 5", "no effect without `rate`"),
        ("limit.drop = \"odlest\"", "is \"oldest\" meant?"),
        ("limit.rate = 500", "write \"500/s\" or \"500/m\""),
        ("limit.queue-bytes = 1000000", "\"1000000B\" or \"1000000KiB\""),
        ("redact.rules = [{ header = \"x\", with = \"token\" }]", "needs `redact.key`"),
        ("redact.key = \"0123456789abcdef\"", "the key has no use"),
        ("redact = { key = \"short\" }", "it needs 16 or more"),
        ("redact.rules = [{ header = \"x\", cookie = \"y\", with = \"remove\" }]", "only one of"),
        ("redact.rules = [{ header = \"x\" }]", "`with` is missing"),
        ("host = \"target\"\nheaders.set.host = \"x\"", "`host` says already"),
        ("headers.set.host = \"x\"", "Host is set by `host`"),
        ("headers.remove = [\"content-length\"]", "framing of the body"),
        ("headers.set.x-shadow = \"1\"", "marks copies"),
        ("headers.set = { x-a = \"1\", X-A = \"2\" }", "given twice"),
        ("authorization = \"remove\"\nheaders.set.authorization = \"x\"", "says already"),
        ("authorization = { bearer = \"a\", basic = \"u:p\" }", "only one of"),
        ("authorization = { basic = \"nocolon\" }", "a colon and a password"),
        ("authorization = \"Bearer x\"", "expected \"keep\", \"remove\" or a table"),
        ("cookies = { keep = [\"a\"], remove = [\"b\"] }", "only one of"),
        ("json.remove = [\"$.a\"]\nmax-body = \"0B\"", "nothing for `json` to change"),
        ("json.set = { \"a.b\" = 1 }", "written like $.user.name"),
        ("path = [{ regex = \"^/a\" }]", "without `replace`"),
        ("path = [{ strip-prefix = \"api\" }]", "does not begin with `/`"),
        ("path = [\"/api\"]", "expected a step"),
        ("breaker = { failures = 0 }", "never opens"),
        ("breaker = { window = \"5s\" }", "no effect without `share`"),
        ("sample = 0", "gets nothing"),
        ("sample = { seed = \"x\" }", "no effect without `by`"),
        ("sample = { by = \"session\" }", "one of cookie:NAME"),
        ("match.methods = []", "no request could match"),
        ("match.methods = \"safe\"\nexcept.methods = \"safe\"", "every request that `match` takes"),
        ("match.path = \"/a/b\"\nexcept.path = \"/a/*\"", "every request that `match` takes"),
        ("match.host = \"a.example\"\nmatch.headers.host = \"b.example\"", "exclude each other"),
        ("match.path = \"/a?b\"", "compared without the query"),
        ("match.path = \"^(\"", "not a regular expression"),
        ("match.sources = \"10.0.0.0/40\"", "no network and no address"),
        ("match.method = \"GET\"", "similar name exists: `methods`"),
        ("match = \"/api\"", "expected a table, found a text"),
        ("except = {}", "excludes nothing"),
        ("local.address = \"::1\"\nurl2 = 1", "there is no key `url2`"),
        ("local.ports = \"40000-40001\"", "2 ports make no more than 2 connections"),
        ("connections.max = 2000", "are never open"),
        ("amplify = 2\n[agent]\nmarker = \"none\"", "nothing tells these copies"),
        ("[[target]]\nname = \"u\"\nurl = \"https://t\"", "target `t` again"),
        ("[admin]\nlisten = \"0.0.0.0:1\"", "set admin.token"),
        ("[admin]\nlisten = \"0.0.0.0:1\"\ntoken = \"${TOKEN}\"", "unencrypted"),
        ("[admin]\nlisten = \"0.0.0.0:12345\"\ntoken = \"${TOKEN}\"", "listened on already"),
        ("[log]\ntruncate = true", "there is no log `file`"),
        ("[agent]\nlisten = []", "HAProxy cannot connect"),
        ("[defaults]\nname = \"x\"", "there is no key `name` in `defaults`"),
        ("[defaults]\nlimit = { queue = \"x\" }", "expected an integer, found a text"),
        ("[staging]\nx = 1", "there is no key `staging`"),
        ("host = \"${NOT_SET}\"", "`NOT_SET` is not set"),
        ("url = \"https://u\"", "duplicate key"),
        ("control = 10", "`control` needs compare = true"),
        ("control = 10\ncompare = \"baseline\"", "a baseline is one itself"),
        ("control = 10\ncompare = true\nmatch.methods = \"POST\"", "nothing is sent twice"),
        ("[comparison]\nverdict.control-pairs = 5", "no target measures noise"),
        ("[comparison]\nrun = \"\"", "the name of a run has 1 to 100"),
        ("[comparison]\nendpoints = [\"/a/{b}\", \"/a/{c}\"]", "matches just the same"),
        ("[comparison]\nendpoints = \"GET users\"", "5:13: error: comparison.endpoints: the path"),
        ("[comparison]\nnatural-off = \"UUID\"", "is \"uuid\" meant?"),
        ("[comparison]\nnatural-off = \"etag\"", "the built-in rules are date, age"),
        ("[comparison]\nredact = [\"a\\u0000\"]", "no control characters"),
        ("[comparison]\nrules-file = \"/dev/null\"", "/dev/null is no regular file"),
        ("[comparison]\nrules-file = \"spoa-mirror.toml\"", "the configuration file itself"),
        ("[comparison]\nrules-file = \"x\"\nhistory.file = \"x\"", "in this file already"),
        ("[comparison]\nrule = 5", "write [[comparison.rule]]"),
        ("[comparison]\nrule = [5]", "expected a table, found an integer"),
        ("[comparison]\nhistory.keep = \"1s\"", "from 1m to 3650d"),
        ("[comparison]\nverdict.confidence = 100", "from 50 to 99.9999 percent"),
        ("[comparison]\nverdict.pairs = 0", "from 1 to 1000000000"),
        ("[comparison]\nverdict.judged = 101", "from 0 to 100 percent"),
        ("[comparison]\nverdict.latency.p50 = 0", "from 0.1 to 1000"),
        ("[comparison]\nverdict.latency.slack = 5", "needs a unit"),
        ("[[comparison.verdict.allow]]", "has a `place`"),
        (
            "[[comparison.verdict.allow]]\nplace = \"x\"",
            "5:10: error: comparison.verdict.allow.place",
        ),
        ("[[comparison.verdict.allow]]\nplace = \"*\"\nendpoint = \"\"", "`*` is any"),
    ] {
        let told = told(lines);
        assert!(told.contains(told_part), "{lines}\n{told}");
    }
}

#[test]
fn what_is_wrong_with_a_rule_is_told_at_its_place() {
    let place = "place = \"$.a\"\n";
    for (lines, told_part) in [
        ("ignore = true", "4:1: error: comparison.rule: a rule without `place`"),
        ("place = \"$.a[0]\"\nignore = true", "5:14: error: comparison.rule.place: brackets hold"),
        ("place = '$.a[0]'", "5:14: error: comparison.rule.place: brackets hold"),
        ("place = \"$.${TOKEN} x\"\nignore = true", "with its variables replaced"),
        (place, "4:1: error: comparison.rule: one of `ignore`, `tolerance`, `tolerance-percent`"),
        ("place = \"$\"\nset = true\nmap = true", "7:7: error: comparison.rule.map: only one of"),
        ("place = \"$\"\nignore = false", "6:10: error: comparison.rule.ignore: `ignore` can only"),
        ("place = \"status\"\ntolerance = 1", "6:13: error: comparison.rule.tolerance: it means"),
        ("place = \"$\"\ntolerance = 0", "tolerates nothing"),
        ("place = \"$\"\ntolerance = -0.1", "6:13: error: comparison.rule.tolerance: out of range"),
        ("place = \"$\"\ntolerance = nan", "out of range"),
        ("place = \"$\"\ntolerance-percent = 100.1", "up to 100 percent"),
        ("place = \"$\"\ntolerance = \"1\"", "expected a number, found a text"),
        ("place = \"$\"\nkeyed-by = \"\"", "6:12: error: comparison.rule.keyed-by: the name"),
        (
            "place = \"$\"\nreplace.pattern = \"\\\\d(x\"",
            "6:23: error: comparison.rule.replace.pattern: unclosed group",
        ),
        ("place = \"$\"\nreplace.pattern = \"\\\\w{900}\"", "replace.pattern: "),
        ("place = \"$\"\nreplace = { with = \"\" }", "`pattern` is missing"),
        ("place = \"$\"\nreplace = \"x\"", "expected a table, found a text"),
        ("place = \"$\"\nignore = true\nendpoint = \"\"", "7:12: error: comparison.rule.endpoint"),
        ("place = \"$\"\nignore = true\nendpoint = \"/a\"", "begins with its method"),
        ("place = \"$\"\nignore = true\nendpoit = \"/a\"", "similar name exists: `endpoint`"),
    ] {
        let told = told(&format!("[[comparison.rule]]\n{lines}"));
        assert!(told.contains(told_part) && !told.contains("s3cr3t"), "{lines}\n{told}");
    }
    let long =
        told(&format!("[[comparison.rule]]\nignore = true\nplace = \"$.{}\"", "a".repeat(1025)));
    assert!(long.contains("no more than 1024 bytes"), "{long}");
}

#[test]
fn what_the_environment_holds_is_not_shown_in_an_error() {
    for lines in
        ["limit.rate = \"${TOKEN}\"", "headers.set.a = \"{${TOKEN}}\"", "http = \"${TOKEN}\""]
    {
        let told = told(lines);
        assert!(told.contains("error") && !told.contains("s3cr3t"), "{told}");
    }
}

#[test]
fn defaults_are_completed_replaced_and_taken_away() {
    let text = r#"
[defaults]
breaker = { failures = 5 }
limit = { rate = "10/s", queue = 7 }
tls.ca = "not-read-for-http.pem"
authorization = { bearer = "abc" }
sample.by = "source"
match = { methods = "GET", path = "/a" }

[[target]]
name = "a"
url = "http://a"
sample = 50
breaker = { open = "1s" }
match.path = "/b"

[[target]]
name = "b"
url = "http://b"
breaker = "none"
limit.rate = "none"
match = "none"
authorization = { basic = "u:p" }
"#;
    let (config, warnings) = read(text).map_err(|report| report.text(false)).unwrap();
    let [a, b] = config.targets.as_slice() else { panic!("{warnings}") };
    assert_eq!((a.breaker.unwrap().failures, a.breaker.unwrap().open.as_secs()), (5, 1));
    assert_eq!(a.sample.share.as_percent(), 50.0);
    assert_eq!(a.sample.by, Some(super::super::Key::Source));
    assert_eq!(
        (a.matching.methods[0].as_str(), a.matching.path[0].to_string()),
        ("GET", "/b".into())
    );
    assert_eq!((b.breaker, b.limits.rate, b.limits.queue), (None, None, 7));
    assert_eq!(b.matching, Default::default());
    assert_ne!(a.rewrite.authorization, b.rewrite.authorization);
}

#[test]
fn findings_are_bounded_however_many_mistakes_there_are() {
    let text: String = (0..100_000).map(|number| format!("a{number} = 1\n")).collect();
    let report = read(&text).unwrap_err();
    assert!(report.findings().len() <= 50);
    assert!(report.summary().contains("more"), "{}", report.summary());
    assert!(report.text(true).len() < 100_000);
    let many = "[[target]]\n".repeat(1001);
    assert!(read(&many).unwrap_err().findings().len() <= 50);
}

/// Pieces that a file is made of, put together at random.
fn pieces() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let mut pieces: Vec<String> = keys().iter().map(|key| key.replace("NAME", "x")).collect();
    pieces.extend(EVERYTHING.lines().map(|line| format!("{line}\n")));
    let marks = "[ ] [[ ]] { } = , \n \" ' \"\"\" \\u0000 ${A} $$ file: ^( * 0 1e400 -1 nan 0x7fffffffffffffff \
                 true é \u{feff} 1979-05-27 \r\n # .. $..a {header.}";
    pieces.extend(marks.split(' ').map(str::to_owned));
    proptest::collection::vec(proptest::sample::select(pieces), 0..60)
        .prop_map(|chosen| chosen.concat())
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(100))]

    /// No text makes it panic, and what it says of it can always be shown.
    #[test]
    fn any_text_is_read_or_refused(text in pieces(), cut in 0usize..2000, byte in proptest::char::any()) {
        for text in [text.clone(), format!("{EVERYTHING}{text}"), {
            let mut everything: String = EVERYTHING.to_owned();
            let at = cut.min(everything.len());
            everything.replace_range(at..at, &byte.to_string());
            everything
        }] {
            let (Ok((_, report)) | Err(report)) = read(&text);
            let _ = (report.text(true), report.text(false), report.json(), report.lines());
        }
    }
}
