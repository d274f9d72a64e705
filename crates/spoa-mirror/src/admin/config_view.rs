//! The configuration as the agent understands it, named as in the file and without secrets: neither
//! those that the configuration marks as such, nor the values that are put into copies, which may be.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

use serde_json::{Value, json};
use shadow_diff::verdict::{Allowed, Thresholds};
use shadow_diff::{Action, Rule};

use super::view::time;
use crate::config::{
    Authorization, Breaker, CertificateFiles, Compare, ComparisonConfig, Config, Cookies,
    DropWhich, HostRewrite, HttpVersion, Key, Match, PathStep, Pattern, Rate, Redact, RedactPlace,
    RedactWith, TargetConfig, TlsVersion, TruncatedBody, WithoutKey,
};

const HIDDEN: &str = "[hidden]";

pub(crate) fn config(config: &Config) -> Value {
    json!({
        "file": config.file.as_ref().map(|path| path.display().to_string()),
        "agent": {
            "listen": texts(&config.agent.listen),
            "backlog": config.agent.backlog,
            "max-connections": config.agent.max_connections,
            "max-frame-size": config.agent.max_frame_size,
            "workers": config.agent.workers,
            "ack-unset-var": config.agent.ack_unset_var,
            "runtime": config.runtime.map(time),
            "grace": time(config.grace),
        },
        "admin": {
            "listen": texts(&config.admin.listen),
            "token": config.admin.token.as_ref().map(|_| HIDDEN),
            "tls": config.admin.tls.as_ref().map(files),
            "rate": rate(config.admin.rate),
        },
        "marker": {
            "header": config.marker.name,
            "max-hops": config.marker.max_hops,
        },
        "log": {
            "file": config.log.file.as_ref().map(|file| file.path.display().to_string()),
            "level": config.log.level.to_string().to_lowercase(),
            "format": format!("{:?}", config.log.format).to_lowercase(),
            "copies": format!("{:?}", config.log.copies).to_lowercase(),
            "interval": time(config.monitor_interval),
        },
        "comparison": comparison(&config.comparison),
        "target": config.targets.iter().map(target).collect::<Vec<_>>(),
    })
}

fn comparison(comparison: &ComparisonConfig) -> Value {
    let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    json!({
        "sample": comparison.sample.as_percent(),
        "wait": time(comparison.wait),
        "memory": comparison.memory,
        "max-body": comparison.max_body,
        "run": comparison.run,
        "endpoints": texts(&comparison.endpoints),
        "natural-off": comparison.natural_off,
        "redact": comparison.redact,
        "rules-file": file(&comparison.rules_file),
        "rule": comparison.rules.iter().map(rule).collect::<Vec<_>>(),
        "verdict": thresholds(&comparison.thresholds),
        "history": {
            "file": file(&comparison.history.file),
            "keep": time(comparison.history.keep),
            "max-size": comparison.history.max_size,
        },
    })
}

fn rule(rule: &Rule) -> Value {
    let mut shown = json!({"endpoint": rule.endpoint, "place": rule.place});
    let mut put = |key: &str, value: Value| shown[key] = value;
    match &rule.action {
        Action::Ignore => put("ignore", json!(true)),
        Action::Set => put("set", json!(true)),
        Action::Map => put("map", json!(true)),
        Action::Keyed(member) => put("keyed-by", json!(member)),
        Action::Replace { pattern, with } => {
            put("replace", json!({"pattern": pattern, "with": with}));
        }
        Action::Tolerance { absolute, relative } => {
            if *absolute > 0.0 {
                put("tolerance", json!(absolute));
            }
            if *relative > 0.0 {
                put("tolerance-percent", json!(percent(*relative)));
            }
        }
    }
    shown
}

fn thresholds(thresholds: &Thresholds) -> Value {
    let allowed =
        |allowed: &Allowed| json!({"endpoint": allowed.endpoint(), "place": allowed.place()});
    let latency = &thresholds.latency;
    json!({
        "confidence": percent(thresholds.confidence.share()),
        "pairs": thresholds.pairs,
        "endpoint-pairs": thresholds.endpoint_pairs,
        "control-pairs": thresholds.control_pairs,
        "judged": percent(thresholds.judged_share),
        "difference-rate": percent(thresholds.difference_rate),
        "error-rate-increase": percent(thresholds.error_rate_increase),
        "latency": {
            "p50": latency.p50,
            "p95": latency.p95,
            "p99": latency.p99,
            "slack": time(latency.slack),
        },
        "allow": thresholds.allowed.iter().map(allowed).collect::<Vec<_>>(),
    })
}

/// A share of 1 in percent, without what a float adds to it.
fn percent(share: f64) -> f64 {
    (share * 1e10).round() / 1e8
}

fn target(target: &TargetConfig) -> Value {
    let http = match target.http {
        HttpVersion::Auto => "auto",
        HttpVersion::Http1 => "1.1",
        HttpVersion::Http2 => "2",
    };
    let truncated = match target.truncated_body {
        TruncatedBody::Skip => "skip",
        TruncatedBody::Send => "send",
        TruncatedBody::HeadersOnly => "headers-only",
    };
    json!({
        "name": target.name,
        "url": target.url.to_string(),
        "http": http,
        "paused": target.paused,
        "match": matching(&target.matching),
        "except": target.except.as_ref().map(matching),
        "sample": {
            "percent": target.sample.share.as_percent(),
            "by": target.sample.by.as_ref().map(key),
            "without-key": match target.sample.without_key {
                WithoutKey::Chance => "chance",
                WithoutKey::Skip => "skip",
                WithoutKey::Copy => "copy",
            },
            "seed": target.sample.seed,
        },
        "amplify": target.amplify,
        "truncated-body": truncated,
        "max-body": target.max_body,
        "rewrite": rewrite(target),
        "redact": redact(&target.redact),
        "limit": limits(target),
        "breaker": target.breaker.as_ref().map(breaker),
        "timeout": { "connect": time(target.connect_timeout), "total": time(target.timeout) },
        "max-answer": target.max_answer,
        "compare": match target.compare {
            Compare::No => json!(false),
            Compare::Candidate => json!(true),
            Compare::Baseline => json!("baseline"),
        },
        "control": target.control.as_percent(),
        "tls": {
            "ca": target.tls.ca.as_ref().map(|path| path.display().to_string()),
            "insecure": target.tls.insecure,
            "client": target.tls.client.as_ref().map(files),
            "server-name": target.tls.server_name,
            "min-version": match target.tls.min_version {
                TlsVersion::Tls12 => "1.2",
                TlsVersion::Tls13 => "1.3",
            },
        },
        "local": {
            "address": target.local.address.map(|address| address.to_string()),
            "interface": target.local.interface,
            "ports": target.local.ports.as_ref().map(|p| format!("{}-{}", p.start(), p.end())),
        },
        "connections": {
            "max": target.connections.max,
            "idle": time(target.connections.idle),
            "lifetime": target.connections.lifetime.map(time),
        },
    })
}

fn matching(rule: &Match) -> Value {
    json!({
        "methods": rule.methods,
        "path": texts(&rule.path),
        "host": texts(&rule.host),
        "headers": named(&rule.headers),
        "query": named(&rule.query),
        "cookies": named(&rule.cookies),
        "sources": texts(&rule.sources),
        "args": named(&rule.args),
    })
}

fn rewrite(target: &TargetConfig) -> Value {
    let rewrite = &target.rewrite;
    let names = |pairs: &[(String, crate::config::Template)]| -> Value {
        pairs.iter().map(|(name, _)| (name.clone(), json!(HIDDEN))).collect()
    };
    let path = rewrite.path.iter().map(|step| match step {
        PathStep::StripPrefix(prefix) => json!({"strip-prefix": prefix}),
        PathStep::AddPrefix(prefix) => json!({"add-prefix": prefix}),
        PathStep::Replace { regex, with } => json!({"regex": regex.to_string(), "with": with}),
    });
    json!({
        "host": match &rewrite.host {
            HostRewrite::Original => "original",
            HostRewrite::Target => "target",
            HostRewrite::Literal(host) => host,
        },
        "path": path.collect::<Vec<_>>(),
        "query": { "remove": rewrite.query_remove, "set": names(&rewrite.query_set) },
        "headers": {
            "remove": rewrite.headers_remove,
            "rename": rewrite.headers_rename.iter().cloned().collect::<BTreeMap<_, _>>(),
            "set": names(&rewrite.headers_set),
            "add": names(&rewrite.headers_add),
        },
        "authorization": match rewrite.authorization {
            Authorization::Keep => "keep",
            Authorization::Remove => "remove",
            Authorization::Set(_) => HIDDEN,
        },
        "cookies": match &rewrite.cookies {
            Cookies::Keep => json!("keep"),
            Cookies::Remove => json!("remove"),
            Cookies::RemoveNamed(names) => json!({"remove": names}),
            Cookies::KeepNamed(names) => json!({"keep": names}),
        },
        "json": {
            "remove": texts(&rewrite.json_remove),
            "set": rewrite.json_set.iter().map(|(path, _)| (path.to_string(), json!(HIDDEN)))
                .collect::<Value>(),
        },
    })
}

fn redact(redact: &Redact) -> Value {
    let rules = redact.rules.iter().map(|rule| {
        let (place, name) = match &rule.place {
            RedactPlace::Header(name) => ("header", name.clone()),
            RedactPlace::Cookie(name) => ("cookie", name.clone()),
            RedactPlace::Query(name) => ("query", name.clone()),
            RedactPlace::Json(path) => ("json", path.to_string()),
            RedactPlace::Field(name) => ("field", name.clone()),
        };
        let with = match &rule.with {
            RedactWith::Remove => json!("remove"),
            RedactWith::Text(text) => json!({"text": text}),
            RedactWith::Token => json!("token"),
        };
        json!({place: name, "with": with})
    });
    json!({
        "rules": rules.collect::<Vec<_>>(),
        "key": redact.key.as_ref().map(|_| HIDDEN),
    })
}

fn limits(target: &TargetConfig) -> Value {
    let limits = &target.limits;
    json!({
        "rate": limits.rate.map(|limit| rate(limit.rate)),
        "burst": limits.rate.map(|limit| limit.burst),
        "in-flight": limits.in_flight,
        "adaptive": limits.adaptive.map(|a| json!({"min": a.min, "tolerance": a.tolerance})),
        "queue": limits.queue,
        "queue-bytes": limits.queue_bytes,
        "max-age": time(limits.max_age),
        "drop": match limits.drop {
            DropWhich::Newest => "newest",
            DropWhich::Oldest => "oldest",
        },
    })
}

fn breaker(breaker: &Breaker) -> Value {
    json!({
        "failures": breaker.failures,
        "share": breaker.share.map(|share| format!("{}%", share.as_percent())),
        "window": time(breaker.window),
        "minimum": breaker.minimum,
        "open": time(breaker.open),
        "probes": breaker.probes,
        "server-errors": breaker.server_errors,
    })
}

fn rate(rate: Rate) -> String {
    format!("{}/s", rate.per_second)
}

fn key(key: &Key) -> String {
    match key {
        Key::Header(name) => format!("header:{name}"),
        Key::Cookie(name) => format!("cookie:{name}"),
        Key::Query(name) => format!("query:{name}"),
        Key::Source => "source".to_owned(),
        Key::Argument(name) => format!("args:{name}"),
    }
}

fn files(files: &CertificateFiles) -> Value {
    json!({
        "certificate": files.certificate.display().to_string(),
        "key": files.key.display().to_string(),
    })
}

fn texts<T: Display>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn named(pairs: &[(String, Vec<Pattern>)]) -> Value {
    pairs.iter().map(|(name, patterns)| (name.clone(), json!(texts(patterns)))).collect()
}
