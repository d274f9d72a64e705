use super::*;
use crate::case;
use crate::results::{Outcome, Record};

fn record(round: u64, case: &str, contender: &str, measured: Measured) -> Record {
    Record {
        round,
        haproxy: "2.6".to_owned(),
        case: case.to_owned(),
        contender: contender.to_owned(),
        outcome: Outcome::Measured(measured),
    }
}

fn cpu(cpu: f64) -> Measured {
    Measured { cpu: Some(cpu), client_cpu: Some(6.0), ..Measured::default() }
}

fn finding(results: &Results, what: &str) -> (Option<f64>, Verdict) {
    let cases = case::all();
    let found = findings(results, &cases.iter().collect::<Vec<_>>());
    let found = found.iter().find(|finding| finding.what.starts_with(what)).expect(what);
    (found.measured.map(|spread| spread.median), found.verdict)
}

#[test]
fn ratios_are_taken_within_a_round() {
    // The machine was twice as slow in the second one, and our agent failed in the third.
    let mut results = Results(vec![
        record(1, "get", OURS, cpu(8.0)),
        record(1, "get", ACKNOWLEDGING, cpu(2.0)),
        record(2, "get", OURS, cpu(16.0)),
        record(2, "get", ACKNOWLEDGING, Measured { client_cpu: Some(12.0), ..cpu(4.0) }),
        record(3, "get", ACKNOWLEDGING, cpu(100.0)),
    ]);
    assert_eq!(finding(&results, "CPU per mirrored"), (Some(1.0), Verdict::Met));
    results.0.push(record(3, "get", OURS, cpu(119.0)));
    results.0.push(record(4, "get", ACKNOWLEDGING, cpu(4.0)));
    results.0.push(record(4, "get", OURS, cpu(13.0)));
    // 1.0, 1.0, 1.12 and 1.3.
    let (median, verdict) = finding(&results, "CPU per mirrored");
    assert!((median.unwrap() - 1.0613).abs() < 0.001, "{median:?}");
    assert_eq!(verdict, Verdict::Met);
}

#[test]
fn a_target_adds_what_it_costs_beyond_the_others() {
    let results = Results(vec![
        record(1, "get", ACKNOWLEDGING, cpu(2.0)),
        record(1, "get", OURS, cpu(10.0)),
        record(1, "two", OURS, cpu(16.0)),
        record(1, "three", OURS, cpu(25.0)),
    ]);
    assert_eq!(
        finding(&results, "CPU that the second target adds, of that"),
        (Some(0.6), Verdict::Met)
    );
    assert_eq!(
        finding(&results, "CPU that the third target adds, of that"),
        (Some(0.9), Verdict::Missed)
    );
    assert_eq!(
        finding(&results, "CPU that the second target adds, of what"),
        (Some(0.75), Verdict::NotAsked)
    );
    assert_eq!(finding(&results, "CPU that a client"), (Some(0.75), Verdict::NotAsked));
}

#[test]
fn one_lost_copy_in_one_round_is_one_too_many() {
    let lost = |lost| Measured { lost: Some(lost), ..Measured::default() };
    let mut results =
        Results(vec![record(1, "get", OURS, lost(0)), record(2, "get", OURS, lost(0))]);
    results.0.push(record(3, "post-10k", OURS, lost(0)));
    // Nobody asks of the others.
    results.0.push(record(3, "get", "nginx mirror", lost(5)));
    assert_eq!(finding(&results, "copies lost"), (Some(0.0), Verdict::Met));
    results.0.push(record(4, "three", OURS, lost(1)));
    assert_eq!(finding(&results, "copies lost"), (Some(0.0), Verdict::Missed));
}

#[test]
fn what_was_not_measured_is_neither_met_nor_missed() {
    let results = Results(vec![record(1, "get", OURS, cpu(8.0))]);
    assert_eq!(finding(&results, "CPU per mirrored"), (None, Verdict::NotMeasured));
    // Of versions and cases that took no part, nothing is said.
    let cases = case::all();
    let get: Vec<_> = cases.iter().filter(|case| case.name == "get").collect();
    let found = findings(&results, &get);
    assert!(found.iter().all(|finding| finding.haproxy == "2.6"));
    assert!(found.iter().any(|finding| finding.what.starts_with("system calls")));
    assert!(!found.iter().any(|finding| finding.what.contains("HTTPS")));
}

#[test]
fn rates_have_a_floor_and_memory_its_worst_case() {
    let rate = |rate| Measured { rate, ..Measured::default() };
    let rss = |rss| Measured { rss: Some(rss), ..Measured::default() };
    let results = Results(vec![
        record(1, "get", OURS, rate(71.0)),
        record(1, "get", ACKNOWLEDGING, rate(100.0)),
        record(1, "slow", OURS, rss(4.0)),
        record(2, "slow", OURS, rss(17.0)),
        record(3, "slow", OURS, rss(4.0)),
    ]);
    assert_eq!(finding(&results, "client req/s"), (Some(0.71), Verdict::Missed));
    assert_eq!(finding(&results, "RSS at its highest, MiB: 1,000"), (Some(4.0), Verdict::Missed));
}

#[test]
fn every_case_that_a_requirement_names_exists() {
    let cases = case::all();
    let known = |name: &str| cases.iter().any(|case| case.name == name);
    for term in ALL.iter().flat_map(|requirement| requirement.value.terms()) {
        assert!(known(term.case), "{}", term.case);
    }
    let get = cases.iter().find(|case| case.name == "get").unwrap();
    let two = cases.iter().find(|case| case.name == "two").unwrap();
    assert!(needs(get, OURS) && needs(get, ACKNOWLEDGING) && needs(two, OURS));
    assert!(!needs(get, "nginx mirror") && !needs(two, ACKNOWLEDGING));
}

#[test]
fn figures_without_targets_come_from_a_case_that_has_them() {
    let cases = case::all();
    for case in &cases {
        let base = cases.iter().find(|base| base.name == case.base).expect(case.base);
        assert!(base.load == case.load && base.base == base.name, "{}", case.name);
    }
}
