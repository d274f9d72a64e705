//! The results: all of them as JSON, medians and ratios as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use testbed::haproxy::Version;

use crate::case::Case;
use crate::contender::Contender;
use crate::machine::Facts;
use crate::run::Measured;

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    machine: Facts,
    /// How long each measurement took.
    seconds: f64,
    results: Vec<Results>,
}

/// One contender's measurements in one case, in the order of repetitions.
#[derive(Serialize)]
struct Results {
    haproxy: String,
    case: String,
    about: String,
    contender: String,
    measured: Vec<Measured>,
}

impl Report {
    pub(crate) fn new(machine: Facts, seconds: f64) -> Self {
        Self { machine, seconds, results: Vec::new() }
    }

    pub(crate) fn add(
        &mut self,
        version: Version,
        case: &Case,
        contender: &Contender,
        measured: Measured,
    ) {
        let known = self.results.iter_mut().find(|results| {
            results.haproxy == version.name()
                && results.case == case.name
                && results.contender == contender.name
        });
        match known {
            Some(results) => results.measured.push(measured),
            None => self.results.push(Results {
                haproxy: version.name().to_owned(),
                case: case.name.to_owned(),
                about: case.about.to_owned(),
                contender: contender.name.clone(),
                measured: vec![measured],
            }),
        }
    }

    /// Writes `results.json` and `results.md` into `directory`.
    pub(crate) fn write(&self, directory: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("results.json"), serde_json::to_vec_pretty(self)?)?;
        std::fs::write(directory.join("results.md"), self.markdown())
    }

    /// A table for each case: medians, the range behind them, and ratios to HAProxy without SPOE and to
    /// the agent that only acknowledges, each taken within one repetition.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "{}, {} processors, {}; {}. Each measurement took {} s.\n",
            self.machine.processor,
            self.machine.processors,
            self.machine.kernel,
            self.machine.versions.join("; "),
            self.seconds
        );
        let mut tables: BTreeMap<(usize, &str), Vec<&Results>> = BTreeMap::new();
        let mut order = Vec::new();
        for results in &self.results {
            let index = order.iter().position(|case| *case == &results.case).unwrap_or_else(|| {
                order.push(&results.case);
                order.len() - 1
            });
            tables.entry((index, &results.haproxy)).or_default().push(results);
        }
        for ((_, haproxy), results) in tables {
            let Some(first) = results.first() else { continue };
            let _ = write!(text, "\n### {}: {}, HAProxy {haproxy}\n\n", first.case, first.about);
            text += "| | req/s | of no SPOE | of only ACKs | p50 ms | p99 ms | p99 of only ACKs \
                     | CPU µs | of floor | syscalls | RSS MiB | files | lost |\n\
                     |---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
            let named =
                |name: &str| results.iter().find(|r| r.contender == name).map(|r| &r.measured);
            let (none, acks) = (named("no SPOE"), named("only acknowledges"));
            for contender in &results {
                let own = &contender.measured;
                let floor = |m: &Measured| Some(m.cpu? + m.client_cpu?);
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                    contender.contender,
                    spread(own, 0, |m| Some(m.rate)),
                    ratio(own, none, |m| Some(m.rate), |m| Some(m.rate)),
                    ratio(own, acks, |m| Some(m.rate), |m| Some(m.rate)),
                    spread(own, 2, |m| Some(m.p50)),
                    spread(own, 2, |m| Some(m.p99)),
                    ratio(own, acks, |m| Some(m.p99), |m| Some(m.p99)),
                    spread(own, 2, |m| m.cpu),
                    ratio(own, acks, |m| m.cpu, floor),
                    spread(own, 2, |m| m.syscalls),
                    spread(own, 1, |m| m.rss),
                    spread(own, 0, |m| m.files.map(|files| files as f64)),
                    own.iter().map(lost).max().unwrap_or(0)
                );
            }
        }
        text
    }
}

/// Copies that did not arrive, where every request was to be copied to one target.
fn lost(measured: &Measured) -> u64 {
    if measured.copies == 0 { 0 } else { measured.requests.saturating_sub(measured.copies) }
}

/// The median, and the range.
fn spread(
    measured: &[Measured],
    digits: usize,
    value: impl Fn(&Measured) -> Option<f64>,
) -> String {
    let values = sorted(measured.iter().filter_map(value).collect());
    let (Some(low), Some(high)) = (values.first(), values.last()) else { return String::new() };
    let median = values[values.len() / 2];
    format!("{median:.digits$} ({low:.digits$}–{high:.digits$})")
}

/// The median of the ratios, repetition by repetition.
fn ratio(
    own: &[Measured],
    other: Option<&Vec<Measured>>,
    value: impl Fn(&Measured) -> Option<f64>,
    base: impl Fn(&Measured) -> Option<f64>,
) -> String {
    let pairs = own.iter().zip(other.into_iter().flatten());
    let ratios = pairs.filter_map(|(own, other)| Some(value(own)? / base(other)?));
    let ratios = sorted(ratios.collect());
    ratios.get(ratios.len() / 2).map_or(String::new(), |median| format!("{median:.2}"))
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
