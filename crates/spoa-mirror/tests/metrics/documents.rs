//! OPERATIONS.md lists the metrics that there are, and the words that their labels may have.

use spoa_mirror::admin::metrics::CATALOGUE;
use spoa_mirror::outcome::{DropReason, Failure};
use testbed::prometheus;

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::exposition::Scrape;
use super::figures;

const OPERATIONS: &str = include_str!("../../../../docs/OPERATIONS.md");

/// The rows of the table after `marker`, as cells without backquotes.
pub(super) fn table(marker: &str) -> Vec<Vec<String>> {
    let start = OPERATIONS.split(&format!("<!-- {marker} -->\n")).nth(1).unwrap();
    let rows = start.lines().take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let inner = row.strip_prefix("| ").unwrap().strip_suffix(" |").unwrap();
        inner.split(" | ").map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

pub(super) fn word(cell: &str) -> &str {
    cell.trim_matches('`')
}

#[test]
fn the_catalogue_is_the_programs() {
    let rows = table("metrics");
    let documented: Vec<[&str; 4]> =
        rows.iter().map(|row| [word(&row[0]), &row[1], &row[2], &row[3]]).collect();
    let labels: Vec<String> = CATALOGUE
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            labels.join(", ")
        })
        .collect();
    let actual: Vec<[&str; 4]> = CATALOGUE
        .iter()
        .zip(&labels)
        .map(|(metric, labels)| [metric.name, metric.kind.name(), labels.as_str(), metric.help])
        .collect();
    assert_eq!(documented, actual);
}

#[test]
fn causes_and_reasons_are_the_programs() {
    let words = |rows: Vec<Vec<String>>, count: usize| -> Vec<Vec<String>> {
        rows.iter().map(|row| row[..count].iter().map(|c| word(c).to_owned()).collect()).collect()
    };
    let failures: Vec<Vec<String>> = Failure::ALL
        .iter()
        .map(|failure| vec![failure.to_string(), failure.fault().to_string()])
        .collect();
    assert_eq!(words(table("failures"), 2), failures);
    let drops: Vec<Vec<String>> = DropReason::ALL
        .iter()
        .map(|drop| vec![drop.to_string(), drop.class().to_string(), drop.fault().to_string()])
        .collect();
    assert_eq!(words(table("drops"), 3), drops);
}

#[test]
fn what_is_scraped_is_in_the_catalogue_and_promtool_finds_no_fault() {
    let (mirror, admin) = figures::start(&["-u", "http://127.0.0.1:9"]);
    let scrape = Scrape::of(admin);
    for (name, kind) in &scrape.kinds {
        let metric = CATALOGUE.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        assert_eq!((kind.as_str(), scrape.helps[name].as_str()), (metric.kind.name(), metric.help));
    }
    // Those that only some have: an engine is connected, a target has a rate limit or a breaker, or is
    // compared.
    let absent = CATALOGUE.iter().filter(|metric| !scrape.kinds.contains_key(metric.name));
    let absent: Vec<_> = absent.map(|metric| metric.name).collect();
    assert_eq!(
        absent,
        [
            "spoa_mirror_spop_engine_connections",
            "spoa_mirror_target_rate_limit_per_second",
            "spoa_mirror_target_breaker_state",
            "spoa_mirror_target_breaker_opened_total",
            "spoa_mirror_comparison_copies_total",
            "spoa_mirror_comparison_pairs_total",
            "spoa_mirror_comparison_control_pairs_total",
            "spoa_mirror_comparison_unpaired_total",
            "spoa_mirror_comparison_waiting",
            "spoa_mirror_comparison_held_bytes",
            "spoa_mirror_comparison_memory_limit_bytes",
            "spoa_mirror_verdict",
            "spoa_mirror_verdict_reasons",
            "spoa_mirror_verdict_requests",
        ]
    );
    drop(mirror);

    let mut promtool = Command::new(prometheus::programs().join("promtool"))
        .args(["check", "metrics", "--extended"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(scrape.text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    // The series of one target, and all of it.
    let series =
        |wanted: &dyn Fn(&str) -> bool| scrape.samples.keys().filter(|s| wanted(s)).count();
    let (target, all) = (series(&|s| s.contains("target=")), series(&|_| true));
    assert!(target < 140 && all < 300, "{target} of a target, {all} in all");
}
