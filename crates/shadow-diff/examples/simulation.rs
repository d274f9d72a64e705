//! Plants differences among noise and counts which are found: the tables of docs/COMPARISON.md.
//!
//! `cargo run --release -p shadow-diff --example simulation`
#![allow(clippy::cast_possible_truncation)] // Numbers of pairs, 100,000 at most.

use std::collections::HashMap;

use shadow_diff::books::{LOOKS, requests_at};
use shadow_diff::significance::{Confidence, Share, Table, decide};

/// Rates at which places differ in the control, and in the candidate without a planted difference.
pub(crate) const NOISE: [f64; 8] = [0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5];

/// By how much the candidate's rate is higher where a difference is planted.
pub(crate) const PLANTED: [f64; 9] = [0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1.0];

fn main() {
    let confidence = Confidence::default();
    let plan = Plan { quiet: 125, pairs: 10_000, control: 10_000, confidence };
    println!("## Found of what was planted, 10,000 pairs and as many of the control\n");
    print_recall(&simulate(&plan, 400, 1));
    println!("\n## Found of what was planted, 10,000 pairs and 1,000 of the control\n");
    print_recall(&simulate(&Plan { control: 1_000, ..plan }, 400, 2));

    println!("\n## Smallest excess that is found in 95 of 100 runs\n");
    let everywhere = confidence.error_of_look() / 1_000.0;
    let of_20 = confidence.error_of_look() / 20.0;
    let columns = [
        ("1,000 pairs", 1_000, 1_000, everywhere),
        ("10,000 pairs", 10_000, 10_000, everywhere),
        ("100,000 pairs", 100_000, 100_000, everywhere),
        ("10,000 pairs, 20 places", 10_000, 10_000, of_20),
        ("10,000 pairs, control 3,000", 10_000, 3_000, everywhere),
        ("10,000 pairs, control 1,000", 10_000, 1_000, everywhere),
        ("10,000 pairs, limit", 10_000, 10_000, 1e-3),
    ];
    println!("| noise | {} |", columns.map(|column| column.0).join(" | "));
    println!("|---|{}", "---|".repeat(columns.len()));
    for noise in NOISE {
        let cells = columns.map(|(_, pairs, control, bar)| {
            detectable(noise, pairs, control, bar).map_or("none".to_owned(), points)
        });
        println!("| {} | {} |", points(noise), cells.join(" | "));
    }
}

fn print_recall(counts: &Counts) {
    let planted: Vec<_> = PLANTED.iter().map(|excess| format!("+{}", points(*excess))).collect();
    println!("| noise | false alarms in 1,000 places | {} |", planted.join(" | "));
    println!("|---|---|{}", "---|".repeat(PLANTED.len()));
    for noise in NOISE {
        let mut cells = vec![points(noise)];
        let quiet = counts.of(noise, 0.0);
        let alarms = |found: u64| found as f64 * 1e3 / quiet.places as f64;
        cells.push(format!("{:.2} ({:.0})", alarms(quiet.found), alarms(quiet.found_by_diffy)));
        for excess in PLANTED {
            let counts = counts.of(noise, excess);
            let share = |found: u64| found as f64 * 100.0 / counts.places as f64;
            cells.push(match counts.places {
                0 => String::new(),
                _ => format!("{:.0} ({:.0})", share(counts.found), share(counts.found_by_diffy)),
            });
        }
        println!("| {} |", cells.join(" | "));
    }
    let quiet = NOISE.map(|noise| counts.of(noise, 0.0));
    let sum = |of: fn(&Count) -> u64| quiet.iter().map(of).sum::<u64>();
    println!(
        "\nFalse alarms: {} (Diffy's rule: {}) at {} places in {} runs; {} runs had any.",
        sum(|count| count.found),
        sum(|count| count.found_by_diffy),
        sum(|count| count.places),
        counts.runs,
        counts.runs_with_false_alarms,
    );
}

fn points(rate: f64) -> String {
    let text = format!("{:.2}", rate * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What a run consists of.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Places without a difference for each rate of [`NOISE`]; one more for each that is planted.
    pub(crate) quiet: usize,
    /// The candidate's pairs.
    pub(crate) pairs: u64,
    /// The control's.
    pub(crate) control: u64,
    /// The confidence that nothing is reported that is not planted.
    pub(crate) confidence: Confidence,
}

/// What was found at places of one kind.
#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    /// Places in all runs.
    pub(crate) places: u64,
    /// Reported: what is planted at the end of a run, anything else ever.
    pub(crate) found: u64,
    /// What Diffy's rule reports at the end.
    pub(crate) found_by_diffy: u64,
}

/// What was found in all runs.
pub(crate) struct Counts {
    kinds: Vec<(f64, f64, Count)>,
    /// Runs.
    pub(crate) runs: u64,
    /// Those in which anything was reported that was not planted.
    pub(crate) runs_with_false_alarms: u64,
}

impl Counts {
    /// At places with this noise and this excess.
    pub(crate) fn of(&self, noise: f64, excess: f64) -> Count {
        let kind = self.kinds.iter().find(|kind| (kind.0, kind.1) == (noise, excess));
        kind.map(|kind| kind.2).unwrap_or_default()
    }
}

/// One place of a run.
struct Site {
    kind: usize,
    noise: f64,
    rate: f64,
    table: Table,
    ever: bool,
}

/// Runs the plan so often. Pairs come look by look, and all places are judged at each.
pub(crate) fn simulate(plan: &Plan, runs: u64, seed: u64) -> Counts {
    let mut kinds = Vec::new();
    let mut sites = Vec::new();
    for noise in NOISE {
        for excess in std::iter::once(0.0).chain(PLANTED) {
            // All of what is left to differ, at most.
            let rate = noise + excess;
            if rate > 1.0 {
                continue;
            }
            let places = if excess == 0.0 { plan.quiet } else { 1 };
            let count = Count { places: places as u64 * runs, ..Count::default() };
            for _ in 0..places {
                let kind = kinds.len();
                sites.push(Site { kind, noise, rate, table: Table::default(), ever: false });
            }
            kinds.push((noise, excess, count));
        }
    }
    let mut counts = Counts { kinds, runs, runs_with_false_alarms: 0 };
    let mut draws = Draws { state: seed, tables: HashMap::new() };
    let error = plan.confidence.error_of_look();
    for _ in 0..runs {
        for site in &mut sites {
            (site.table, site.ever) = (Table::default(), false);
        }
        let mut last = Vec::new();
        for look in (1..=LOOKS).map(requests_at).take_while(|pairs| *pairs <= plan.pairs) {
            for site in &mut sites {
                draws.grow(&mut site.table.candidate, look, site.rate);
                draws.grow(&mut site.table.control, look * plan.control / plan.pairs, site.noise);
            }
            let tables: Vec<_> = sites.iter().map(|site| site.table).collect();
            last = decide(&tables, error).0;
            for (site, decision) in sites.iter_mut().zip(&last) {
                site.ever |= decision.beyond_noise;
            }
        }
        let mut false_alarm = false;
        for (site, decision) in sites.iter().zip(&last) {
            let planted = site.rate > site.noise;
            let found = if planted { decision.beyond_noise } else { site.ever };
            false_alarm |= found && !planted;
            let count = &mut counts.kinds[site.kind].2;
            count.found += u64::from(found);
            count.found_by_diffy += u64::from(diffy(&site.table));
        }
        counts.runs_with_false_alarms += u64::from(false_alarm);
    }
    counts
}

/// Diffy's rule: more differences than in the control, by over 20 % of both together, and by over 0.03 % of
/// all. It has as many of the control; fewer are scaled.
pub(crate) fn diffy(table: &Table) -> bool {
    let total = table.candidate.pairs as f64;
    let raw = table.candidate.differing as f64;
    let noise = table.control.rate() * total;
    raw > noise && (raw - noise) / (raw + noise) > 0.2 && (raw - noise) / total > 0.0003
}

/// The smallest excess over `noise` that Fisher's test finds at the level `bar` with a probability of
/// 95 %, to a tenth of its size; computed, not simulated.
pub(crate) fn detectable(noise: f64, pairs: u64, control: u64, bar: f64) -> Option<f64> {
    let (mut low, mut high) = (0.0, 1.0 - noise);
    if power(noise, high, pairs, control, bar) < 0.95 {
        return None;
    }
    while high - low > high / 50.0 {
        let middle = f64::midpoint(low, high);
        if power(noise, middle, pairs, control, bar) < 0.95 { low = middle } else { high = middle }
    }
    Some(high)
}

/// With which probability Fisher's test has a p-value of at most `bar`, exactly but for outcomes with a
/// probability of 1e-12.
pub(crate) fn power(noise: f64, excess: f64, pairs: u64, control: u64, bar: f64) -> f64 {
    let of_control = Binomial::new(control, noise);
    let of_candidate = Binomial::new(pairs, (noise + excess).min(1.0));
    let significant = |x: u64, y: u64| {
        let candidate = Share { differing: x, pairs };
        x <= pairs
            && Table { candidate, control: Share { differing: y, pairs: control } }.p_value() <= bar
    };
    let (mut sum, mut x) = (0.0, of_candidate.first);
    for (y, probability) in of_control.outcomes() {
        // More in the control ask for more in the candidate.
        while x <= pairs && x < of_candidate.end() && !significant(x, y) {
            x += 1;
        }
        sum += probability * of_candidate.at_least(x);
    }
    sum
}

/// The outcomes of a binomial variable that are not too improbable.
struct Binomial {
    first: u64,
    /// The probability of `first`, of that or the next, and so on.
    up_to: Vec<f64>,
}

impl Binomial {
    fn new(n: u64, p: f64) -> Self {
        let (mean, deviation) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
        let reach = 8.0 * deviation + 16.0;
        let whole = |value: f64| value.clamp(0.0, n as f64) as u64;
        let (first, last) = (whole(mean - reach), whole(mean + reach));
        let middle = whole(mean.floor());
        // Relative to the middle, and scaled to a sum of 1 afterwards.
        let mut weights = vec![1.0; (last - first) as usize + 1];
        let place = |k: u64| (k - first) as usize;
        let odds = p / (1.0 - p);
        for k in middle + 1..=last {
            weights[place(k)] = weights[place(k - 1)] * (n - k + 1) as f64 / k as f64 * odds;
        }
        for k in (first..middle).rev() {
            weights[place(k)] = weights[place(k + 1)] * (k + 1) as f64 / (n - k) as f64 / odds;
        }
        let sum: f64 = weights.iter().sum();
        let mut up_to = 0.0;
        let cumulate = |weight: f64| {
            up_to += weight / sum;
            up_to
        };
        Self { first, up_to: weights.into_iter().map(cumulate).collect() }
    }

    fn end(&self) -> u64 {
        self.first + self.up_to.len() as u64
    }

    fn outcomes(&self) -> impl Iterator<Item = (u64, f64)> {
        let before = std::iter::once(&0.0).chain(&self.up_to);
        let probabilities = self.up_to.iter().zip(before).map(|(up_to, before)| up_to - before);
        (self.first..).zip(probabilities)
    }

    fn at_least(&self, k: u64) -> f64 {
        match k.checked_sub(self.first + 1) {
            None => 1.0,
            Some(place) => 1.0 - self.up_to.get(place as usize).copied().unwrap_or(1.0),
        }
    }
}

/// Random numbers (SplitMix64), always the same for a seed.
struct Draws {
    state: u64,
    tables: HashMap<(u64, u64), Binomial>,
}

impl Draws {
    /// Adds pairs up to `pairs`, each of which differs with the probability `rate`.
    fn grow(&mut self, share: &mut Share, pairs: u64, rate: f64) {
        let more = pairs - share.pairs;
        let uniform = self.uniform();
        let table = self.tables.entry((more, rate.to_bits()));
        let table = table.or_insert_with(|| Binomial::new(more, rate));
        let place = table.up_to.partition_point(|up_to| *up_to < uniform);
        share.differing += (table.first + place as u64).min(table.end() - 1);
        share.pairs = pairs;
    }

    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
