//! Files as a user writes them, and what is made of them.
#![allow(clippy::unwrap_used)]

use super::*;

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
}
