//! Known differences among known noise: what is found, and what is reported that is not there.

#[path = "../examples/simulation.rs"]
#[allow(dead_code)]
mod simulation;

use shadow_diff::significance::Confidence;
use simulation::{Counts, NOISE, PLANTED, Plan, power, simulate};

const PAIRS: u64 = 10_000;

/// Places in a run of [`simulated`].
const PLACES: f64 = 1_065.0;

fn simulated(runs: u64, seed: u64) -> Counts {
    let confidence = Confidence::default();
    simulate(&Plan { quiet: 125, pairs: PAIRS, control: PAIRS, confidence }, runs, seed)
}

/// Whether a difference of a point more than noise can be found: computed, for the level at which a place
/// is reported whatever the others show.
fn chance_to_find(noise: f64, excess: f64) -> f64 {
    let bar = Confidence::default().error_of_look() / PLACES;
    power(noise, excess, PAIRS, PAIRS, bar)
}

/// 1000 places without a difference in each run, looked at 21 times, beside 65 with one.
#[test]
fn noise_is_not_reported_and_differences_are() {
    let counts = simulated(10, 11);
    let quiet = NOISE.map(|noise| counts.of(noise, 0.0));
    let places: u64 = quiet.iter().map(|count| count.places).sum();
    let alarms: u64 = quiet.iter().map(|count| count.found).sum();
    assert_eq!(places, 10_000);
    assert!(alarms * 1_000 <= places, "{alarms} false alarms");
    // It is not a sample that would be easy for any rule.
    let others: u64 = quiet.iter().map(|count| count.found_by_diffy).sum();
    assert!(others * 1_000 > 10 * places, "{others} false alarms of a simpler rule");

    let (mut findable, mut found) = (0, 0);
    let all = NOISE.iter().flat_map(|noise| PLANTED.iter().map(move |excess| (*noise, *excess)));
    for (noise, excess) in all.filter(|(noise, excess)| noise + excess <= 1.0 && *excess >= 0.01) {
        let count = counts.of(noise, excess);
        if chance_to_find(noise, excess) > 0.99 {
            findable += count.places;
            found += count.found;
        }
    }
    // Three quarters of the 49 kinds of places that exceed their noise by a point or more; the others do so
    // by less than chance does.
    assert_eq!(findable, 10 * 36);
    assert!(found * 100 >= findable * 95, "{found} of {findable}");
}

/// How often noise is reported in a run, at a confidence so low that it happens: never more often than is
/// allowed for the looks that were taken. Without the share for each look or each place it would be.
#[test]
fn runs_with_a_false_alarm_are_as_rare_as_promised() {
    let confidence = Confidence::new(0.5).unwrap();
    let plan = Plan { quiet: 6, pairs: 3_200, control: 3_200, confidence };
    let counts = simulate(&plan, 400, 3);
    // 16 of 71 looks: 11 of 100 runs; the standard deviation is 1.6.
    let runs = counts.runs_with_false_alarms;
    assert!((4..=60).contains(&runs), "{runs} of {} runs", counts.runs);
}

/// Where noise is so rare that it can be told at all, a point more is found in 95 of 100 runs; where it is
/// more frequent, what docs/COMPARISON.md says.
#[test]
fn the_documented_excess_is_found() {
    for (noise, excess) in [
        (0.0, 0.01),
        (0.001, 0.01),
        (0.003, 0.01),
        (0.005, 0.01),
        (0.03, 0.02),
        (0.1, 0.032),
        (0.5, 0.05),
    ] {
        let chance = chance_to_find(noise, excess);
        assert!(chance >= 0.95, "{noise} + {excess}: {chance}");
    }
    // And it is not for want of a better test that a point is not found among noise of a half: even
    // for a single place, looked at once, with one false alarm in 1000, it is not.
    assert!(power(0.5, 0.01, PAIRS, PAIRS, 1e-3) < 0.1);
}

/// The column "10,000 pairs" of the last table in docs/COMPARISON.md.
#[test]
fn the_table_in_the_docs_is_what_is_computed() {
    let docs = include_str!("../../../docs/COMPARISON.md");
    let head = "| noise | 1,000 pairs | 10,000 pairs |";
    let table = docs.split_once(head).expect("the table").1;
    let percent = |cell: &str| -> f64 {
        cell.trim().strip_suffix(" %").and_then(|number| number.parse().ok()).expect("a percentage")
    };
    let rows: Vec<_> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = line.split('|').collect();
            (percent(cells[1]) / 100.0, percent(cells[3]) / 100.0)
        })
        .collect();
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), NOISE);
    let bar = Confidence::default().error_of_look() / 1_000.0;
    for (noise, excess) in rows {
        // Two digits are given.
        let chance = power(noise, excess + 5e-5, PAIRS, PAIRS, bar);
        assert!(chance >= 0.95, "{noise} + {excess}: {chance}");
        let chance = power(noise, excess * 0.9, PAIRS, PAIRS, bar);
        assert!(chance < 0.95, "{noise} + nine tenths of {excess}: {chance}");
    }
}

/// The computed chance is that of the simulation.
#[test]
fn the_computed_chance_is_the_simulated_one() {
    let confidence = Confidence::default();
    let plan = Plan { quiet: 0, pairs: 1_000, control: 1_000, confidence };
    let counts = simulate(&plan, 300, 5);
    let bar = |places: f64| Confidence::default().error_of_look() / places;
    for (noise, excess) in [(0.0, 0.02), (0.01, 0.05), (0.1, 0.1), (0.3, 0.1)] {
        let count = counts.of(noise, excess);
        let found = count.found as f64 / count.places as f64;
        // Between the levels at which the first and the last of all places is reported.
        let range = [55.0, 1.0].map(|places| power(noise, excess, 1_000, 1_000, bar(places)));
        assert!(
            found >= range[0] - 0.09 && found <= range[1] + 0.09,
            "{noise} {excess}: {found} {range:?}"
        );
    }
}
