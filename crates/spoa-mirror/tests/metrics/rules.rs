//! The rules for Prometheus and the dashboard for Grafana: right in themselves, and about metrics that there
//! are. A real Prometheus scrapes the program, evaluates every rule and answers every query.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use spoa_mirror::admin::metrics::{CATALOGUE, Kind};
use testbed::agent::Agent;
use testbed::backend::Recorder;
use testbed::client::http1;
use testbed::{ports, prometheus, wait};

use super::figures;
use super::running::spop::Peer;

const OPERATIONS: &str = include_str!("../../../../docs/OPERATIONS.md");
const RECORDING: &str = include_str!("../../../../packaging/prometheus/recording.yml");
const ALERTS: &str = include_str!("../../../../packaging/prometheus/alerts.yml");
const ALERT_TESTS: &str = include_str!("../../../../packaging/prometheus/alerts_test.yml");
const DASHBOARD: &str = include_str!("../../../../packaging/grafana/spoa-mirror.json");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/prometheus").canonicalize().unwrap()
}

/// The values of `key: value` lines.
fn values<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    let key = format!("{key}: ");
    let lines = yaml.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(&key)).collect()
}

#[test]
fn promtool_passes_the_rules_and_their_tests() {
    for args in [
        &["check", "rules", "recording.yml", "alerts.yml"][..],
        &["test", "rules", "alerts_test.yml"],
    ] {
        let output = Command::new(prometheus::programs().join("promtool"))
            .args(args)
            .current_dir(folder())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn every_alert_is_tested_to_fire_and_to_keep_silent_and_leads_to_what_to_do() {
    let alerts = values(ALERTS, "alert");
    assert!(alerts.len() >= 15, "{alerts:?}");
    let cases: Vec<&str> = ALERT_TESTS.split("alertname: ").skip(1).collect();
    for alert in alerts {
        let of: Vec<_> = cases.iter().filter(|case| case.lines().next() == Some(alert)).collect();
        let silent = of.iter().filter(|case| case.contains("exp_alerts: []")).count();
        assert!(silent >= 1 && silent < of.len(), "{alert}: {silent} of {} are silent", of.len());
        assert!(OPERATIONS.contains(&format!("`{alert}`")), "{alert} is not documented");
    }
    let headings: BTreeSet<String> = OPERATIONS
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|title| title.chars().filter(|c| c.is_alphanumeric() || " -".contains(*c)).collect())
        .map(|title: String| title.replace(' ', "-"))
        .collect();
    let leads = values(ALERTS, "runbook_url").into_iter().map(|url| url.split_once('#').unwrap().1);
    let links = OPERATIONS.split("](#").skip(1).map(|rest| rest.split_once(')').unwrap().0);
    for anchor in leads.chain(links) {
        assert!(headings.contains(anchor), "no heading for #{anchor} in {headings:?}");
    }
}

/// The expressions of the rules.
fn rule_expressions(yaml: &str) -> Vec<String> {
    let mut expressions = Vec::new();
    let mut lines = yaml.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim_start().strip_prefix("expr: ") else { continue };
        if expression != "|" {
            expressions.push(expression.to_owned());
            continue;
        }
        let depth = line.len() - line.trim_start().len();
        let deeper = |line: &&str| line.len() - line.trim_start().len() > depth;
        let mut block = String::new();
        while let Some(more) = lines.next_if(deeper) {
            block += more;
            block.push('\n');
        }
        expressions.push(block);
    }
    expressions
}

/// The expressions of the dashboard, with its variables put in.
fn dashboard_expressions() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| collect(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(DASHBOARD).unwrap(), &mut found);
    assert!(found.len() > 40, "{} expressions", found.len());
    let put_in = |expression: String| {
        ["job", "instance", "target"]
            .iter()
            .fold(expression, |text, name| text.replace(&format!("\"${name}\""), "\".*\""))
            .replace("$__rate_interval", "10s")
    };
    let found: Vec<String> = found.into_iter().map(put_in).collect();
    assert!(found.iter().all(|expression| !expression.contains('$')), "{found:#?}");
    found
}

/// The names and labels that an expression may use: each metric's, as its samples are called.
fn known() -> BTreeMap<String, Vec<&'static str>> {
    let mut known = BTreeMap::new();
    for metric in CATALOGUE {
        let mut labels = metric.labels.to_vec();
        if metric.kind == Kind::Histogram {
            for suffix in ["_sum", "_count"] {
                known.insert(format!("{}{suffix}", metric.name), labels.clone());
            }
            labels.push("le");
            known.insert(format!("{}_bucket", metric.name), labels);
        } else {
            known.insert(metric.name.to_owned(), labels);
        }
    }
    for record in values(RECORDING, "record") {
        known.insert(record.to_owned(), vec!["target"]);
    }
    known.insert("up".to_owned(), Vec::new());
    known
}

/// The words of an expression outside of quotes, each with whether `{` follows.
fn words(expression: &str) -> Vec<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
    let unquoted = expression.split('"').step_by(2);
    unquoted.flat_map(move |part| part.split(move |c| !word(c))).filter(|w| !w.is_empty()).collect()
}

#[test]
fn rules_and_dashboard_ask_for_metrics_and_labels_that_there_are() {
    let known = known();
    let everywhere = ["job", "instance"];
    let mut asked = BTreeSet::new();
    let expressions = [rule_expressions(RECORDING), rule_expressions(ALERTS)].concat();
    for expression in expressions.into_iter().chain(dashboard_expressions()) {
        let ours = |word: &str| word.contains("spoa_mirror") || word.starts_with("process_");
        let metrics: Vec<&str> = words(&expression).into_iter().filter(|w| ours(w)).collect();
        for metric in &metrics {
            assert!(known.contains_key(*metric), "there is no {metric}: {expression}");
            asked.insert((*metric).to_owned());
        }
        let labels: BTreeSet<&str> =
            metrics.iter().flat_map(|metric| known[*metric].clone()).collect();
        // What `by (...)` and `{...}` name.
        let grouped = expression.split("by (").skip(1).map(|rest| rest.split(')').next().unwrap());
        let braced = expression.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
        let named = grouped.flat_map(words).chain(braced.flat_map(words));
        for label in named {
            let there = labels.contains(label) || everywhere.contains(&label);
            assert!(there, "{metrics:?} have no label {label}: {expression}");
        }
    }
    // And the other way: what is counted is looked at, except what is the difference of others.
    let shown = |name: &str| {
        ["", "_bucket"].iter().any(|suffix| asked.contains(&format!("{name}{suffix}")))
    };
    let unasked: Vec<_> = CATALOGUE.iter().map(|m| m.name).filter(|name| !shown(name)).collect();
    let expected = [
        "spoa_mirror_draining",
        "spoa_mirror_spop_connections_limit",
        "spoa_mirror_spop_health_checks_total",
        "spoa_mirror_spop_acks_total",
        "spoa_mirror_target_repeats_total",
        "spoa_mirror_target_answers_cut_total",
        "spoa_mirror_target_queue_age_limit_seconds",
        "spoa_mirror_target_connections_closed_total",
        "process_virtual_memory_bytes",
        "process_threads",
    ];
    assert_eq!(unasked, expected);
}

/// Asks Prometheus; gives `data` of its answer.
fn ask(server: std::net::SocketAddr, path: &str) -> Result<Value, String> {
    let response = http1::get(server, path).map_err(|error| error.to_string())?;
    let text = response.text();
    let mut answer: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
    if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(text) }
}

fn query(server: std::net::SocketAddr, expression: &str) -> Vec<Value> {
    let mut path = String::from("/api/v1/query?query=");
    for byte in expression.bytes() {
        path += &format!("%{byte:02X}");
    }
    let data = ask(server, &path).unwrap_or_else(|error| panic!("{expression}: {error}"));
    data["result"].as_array().unwrap().clone()
}

#[test]
fn a_real_prometheus_scrapes_evaluates_and_answers() {
    let target = Recorder::start();
    let url = target.url();
    let (mirror, admin) = figures::start(&["-u", &url, "-L", "NONE"]);
    let directory = tempfile::tempdir().unwrap();
    let rules = folder();
    let config = format!(
        "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files:\n  \
         - {0}/recording.yml\n  - {0}/alerts.yml\nscrape_configs:\n  - job_name: spoa-mirror\n    \
         static_configs:\n      - targets: [\"{admin}\"]\n",
        rules.display()
    );
    std::fs::write(directory.path().join("prometheus.yml"), config).unwrap();
    let server = ports::free_addr();
    let program = prometheus::programs().join("prometheus");
    let prometheus = Agent::builder(program)
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
        .arg(format!("--web.listen-address={server}"))
        .directory(directory.path())
        .start();
    let mut peer = Peer::greeted(mirror.address);
    let mut stream = 0;
    let groups = wait::poll(wait::LIMIT, || {
        stream += 1;
        peer.mirror(stream, "/");
        let data = ask(server, "/api/v1/rules").ok()?;
        let all = |field: &str| -> Vec<Value> {
            let groups = data["groups"].as_array().into_iter().flatten();
            let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
            rules.map(|rule| rule[field].clone()).collect()
        };
        let evaluated = all("health").iter().all(|health| health == "ok");
        (!all("name").is_empty() && evaluated).then(|| (all("name"), all("state")))
    });
    let (names, states) =
        groups.unwrap_or_else(|| panic!("rules do not work: {:#?}", prometheus.output().all()));
    let expected = values(RECORDING, "record").len() + values(ALERTS, "alert").len();
    assert_eq!(names.len(), expected);
    assert!(!states.contains(&Value::from("firing")), "{names:?} {states:?}");
    wait::holds(wait::LIMIT, "rates", || {
        stream += 1;
        peer.mirror(stream, "/");
        !query(server, "rate(spoa_mirror_spop_acks_total[10s]) > 0").is_empty()
    });
    for expression in dashboard_expressions() {
        let result = query(server, &expression);
        // What is left out where there is nothing to tell.
        let filters = [" > 0", "== 1", "rate_limit", "breaker", "comparison", "verdict"];
        let may_be_empty = filters.iter().any(|filter| expression.contains(filter));
        assert!(may_be_empty || !result.is_empty(), "nothing for {expression}");
    }
    let delay = wait::until(wait::LIMIT, "the recorded ACK delay", || {
        let recorded = query(server, "instance:spoa_mirror_spop_ack_delay_seconds:p99_5m");
        recorded.first()?["value"][1]
            .as_str()?
            .parse::<f64>()
            .ok()
            .filter(|delay| delay.is_finite())
    });
    assert!(delay > 0.0, "{delay}");
}
