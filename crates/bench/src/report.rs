//! The results for people and programs: what must be reached and whether it is, and everything else behind it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use bench::machine::Facts;
use serde::Serialize;

use crate::case::Case;
use crate::contender::{ACKNOWLEDGING, NO_SPOE};
use crate::requirement::{Finding, findings};
use crate::results::{NO_HAPROXY, Results, Spread};
use crate::run::Measured;

/// What the results are of.
pub(crate) struct Report<'a> {
    pub(crate) machine: &'a Facts,
    /// How it was started.
    pub(crate) command: &'a str,
    pub(crate) seconds: f64,
    pub(crate) cases: &'a [&'a Case],
    /// Names, in their order.
    pub(crate) contenders: Vec<&'a str>,
    pub(crate) results: &'a Results,
}

#[derive(Serialize)]
struct Json<'a> {
    machine: &'a Facts,
    command: &'a str,
    seconds: f64,
    cases: BTreeMap<&'a str, &'a str>,
    requirements: Vec<Finding>,
    results: &'a Results,
}

const LEGEND: &str = "\
Figures are medians over the rounds, with the range in brackets. A ratio is taken within each round, in which \
everything compared was measured within minutes; its median and range are of those ratios. *of floor*: \
agent CPU of (agent that only acknowledges + client that only sends the same copies). CPU, system calls and RSS \
are those of the agent, CPU and system calls for each request of a client; of nginx, which mirrors, those of the \
whole of it. *lost*: copies that should have arrived and did not, in the worst round; – where nothing is \
mirrored or the target does not take every copy. Closed loops end in the middle of their last requests, whose \
copies nginx then gives up. Our agent's limits are its usual ones, but for a queue of 10,000 copies where none \
may be lost, and 2,000 in flight to a target that answers after 1 s. Times at a fixed rate count from the moment a request was due.\n";

const COLUMNS: [&str; 14] = [
    "HAProxy",
    "",
    "req/s",
    "of no SPOE",
    "of only ACKs",
    "p50 ms",
    "p99 ms",
    "p99 of only ACKs",
    "CPU µs",
    "of floor",
    "syscalls",
    "RSS MiB",
    "files",
    "lost",
];

impl Report<'_> {
    /// Writes `results.json` and `results.md` into `directory`.
    pub(crate) fn write(&self, directory: &Path) -> std::io::Result<()> {
        let json = Json {
            machine: self.machine,
            command: self.command,
            seconds: self.seconds,
            cases: self.cases.iter().map(|case| (case.name, case.about.as_str())).collect(),
            requirements: findings(self.results, self.cases),
            results: self.results,
        };
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("results.json"), serde_json::to_vec_pretty(&json)?)?;
        std::fs::write(directory.join("results.md"), self.markdown())
    }

    /// Sections from the third level on, to be pasted into a document.
    pub(crate) fn markdown(&self) -> String {
        let Facts { processor, processors, kernel, versions } = self.machine;
        let mut text = format!(
            "`{}`: {processors} processors ({processor}), {kernel}; {}. Up to {} rounds; a measurement takes {} s \
             or a part or a multiple of that.\n",
            self.command,
            versions.join("; "),
            self.results.rounds(),
            self.seconds
        );
        text += "\n### Requirements\n\n";
        text += "| what | HAProxy | limit | measured | |\n|---|---|---|---|---|\n";
        for finding in findings(self.results, self.cases) {
            let Finding { what, haproxy, limit, measured, verdict, digits } = finding;
            let measured = measured.map_or(String::new(), |spread| spread.text(digits));
            let verdict = verdict.text();
            let _ =
                writeln!(text, "| {what} | {} | {limit} | {measured} | {verdict} |", dash(haproxy));
        }
        let failures = self.results.failures();
        for (record, why) in failures {
            let _ = writeln!(
                text,
                "\nNot measured: {} with {} and HAProxy {} in round {}: {}.",
                record.case,
                record.contender,
                dash(&record.haproxy),
                record.round,
                why.lines().next().unwrap_or_default()
            );
        }
        let _ = write!(text, "\n### Figures\n\n{LEGEND}");
        for case in self.cases {
            text += &self.case(case);
        }
        text
    }

    fn case(&self, case: &Case) -> String {
        let mut text = format!("\n#### {}: {}\n\n", case.name, case.about);
        let _ = writeln!(text, "| {} |", COLUMNS.join(" | "));
        let _ = writeln!(text, "|{}", "---|".repeat(COLUMNS.len()));
        let mut unanswered = String::new();
        let mut any = false;
        for haproxy in self.results.haproxies() {
            for contender in &self.contenders {
                let own: Vec<_> = self.results.measured(haproxy, case.name, contender).collect();
                if own.is_empty() {
                    continue;
                }
                any = true;
                text += &self.row(case, haproxy, contender, &own);
                unanswered += &fates(haproxy, contender, &own);
            }
        }
        if any { text + &unanswered } else { String::new() }
    }

    fn row(&self, case: &Case, haproxy: &str, name: &str, own: &[(u64, &Measured)]) -> String {
        type Figure<'a> = &'a dyn Fn(&Measured) -> Option<f64>;
        let spread = |digits: usize, figure: Figure<'_>| {
            let values = own.iter().filter_map(|(_, measured)| figure(measured));
            Spread::of(values).map_or(String::new(), |spread| spread.text(digits))
        };
        // Figures of those that know no targets are the base case's.
        let ratio = |base: &str, figure: Figure<'_>, of: Figure<'_>| {
            if name == base {
                return String::new();
            }
            let ratios = own.iter().filter_map(|(round, measured)| {
                let other = self.results.find(*round, haproxy, case.base, base)?;
                Some(figure(measured)? / of(other)?)
            });
            Spread::of(ratios).map_or(String::new(), |spread| spread.text(2))
        };
        let (rate, p99): (Figure<'_>, Figure<'_>) = (&|m| Some(m.rate), &|m| Some(m.p99));
        let lost = own.iter().filter_map(|(_, measured)| measured.lost).max();
        let mut cells = vec![
            dash(haproxy).to_owned(),
            name.to_owned(),
            spread(0, rate),
            ratio(NO_SPOE, rate, rate),
            ratio(ACKNOWLEDGING, rate, rate),
            spread(2, &|m| Some(m.p50)),
            spread(2, p99),
            ratio(ACKNOWLEDGING, p99, p99),
            spread(2, &|m| m.cpu),
            ratio(ACKNOWLEDGING, &|m| m.cpu, &|m| Some(m.cpu? + m.client_cpu?)),
            spread(2, &|m| m.syscalls),
            spread(1, &|m| m.rss),
            spread(0, &|m| m.files.map(|files| files as f64)),
            lost.map_or("–".to_owned(), |lost| lost.to_string()),
        ];
        let errors = own.iter().map(|(_, measured)| measured.errors).sum::<u64>();
        if errors > 0 {
            let _ = write!(cells[2], ", {errors} bad or missing answers in all");
        }
        format!("| {} |\n", cells.join(" | "))
    }
}

fn dash(haproxy: &str) -> &str {
    if haproxy == NO_HAPROXY { "–" } else { haproxy }
}

/// What became of the copies that were not answered, over all rounds.
fn fates(haproxy: &str, contender: &str, own: &[(u64, &Measured)]) -> String {
    let mut sum: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, count) in own.iter().flat_map(|(_, measured)| &measured.unanswered) {
        *sum.entry(what).or_default() += count;
    }
    if sum.is_empty() {
        return String::new();
    }
    let requests: u64 = own.iter().map(|(_, measured)| measured.requests).sum();
    let sum: Vec<String> = sum.iter().map(|(what, count)| format!("{what} {count}")).collect();
    format!(
        "\n{contender}, HAProxy {}: of {requests} requests in all rounds, copies {}.\n",
        dash(haproxy),
        sum.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case;
    use crate::contender::OURS;
    use crate::results::{Outcome, Record};

    fn results() -> Results {
        let record = |round, haproxy: &str, case: &str, contender: &str, outcome| Record {
            round,
            haproxy: haproxy.to_owned(),
            case: case.to_owned(),
            contender: contender.to_owned(),
            outcome,
        };
        let measured = |rate, cpu| {
            let client_cpu = Some(6.0);
            Outcome::Measured(Measured { rate, cpu: Some(cpu), client_cpu, ..Measured::default() })
        };
        let mut down = Measured { rate: 400.0, requests: 400, ..Measured::default() };
        down.unanswered.insert("dropped queue-full".to_owned(), 390);
        Results(vec![
            record(1, "2.6", "get", ACKNOWLEDGING, measured(1000.0, 2.0)),
            record(1, "2.6", "get", OURS, measured(800.0, 8.0)),
            record(1, "2.6", "down", OURS, Outcome::Measured(down)),
            record(1, "3.4", "get", OURS, Outcome::Failed("HAProxy\nis ill".to_owned())),
            record(1, NO_HAPROXY, "spop-32", OURS, measured(100.0, 9.0)),
        ])
    }

    fn with_report<T>(results: &Results, look: impl FnOnce(Report<'_>) -> T) -> T {
        let cases = case::all();
        let machine = Facts {
            processor: "fast".to_owned(),
            processors: 2,
            kernel: "Linux 6".to_owned(),
            versions: vec!["nginx 1".to_owned()],
        };
        look(Report {
            machine: &machine,
            command: "scripts/bench.sh",
            seconds: 4.0,
            cases: &cases.iter().collect::<Vec<_>>(),
            contenders: vec![NO_SPOE, ACKNOWLEDGING, OURS],
            results,
        })
    }

    #[test]
    fn requirements_come_first_then_tables_of_what_was_measured() {
        let text = with_report(&results(), |report| report.markdown());
        let met =
            "(agent that only acknowledges + client that only sends) | 2.6 | ≤ 1.1 | 1.00 | met |";
        assert!(text.contains(met), "{text}");
        assert!(
            text.contains(
                "Not measured: get with spoa-mirror and HAProxy 3.4 in round 1: HAProxy."
            )
        );
        // A case with another target is held against the base case's agent that knows no targets.
        assert!(text.contains("| 2.6 | spoa-mirror | 400 |  | 0.40 |"), "{text}");
        assert!(text.contains("| – | spoa-mirror | 100 |"), "{text}");
        assert!(text.contains(
            "spoa-mirror, HAProxy 2.6: of 400 requests in all rounds, copies dropped queue-full 390."
        ));
        assert!(!text.contains("#### tls"), "a table without a measurement: {text}");
        let columns = |line: &str| line.matches('|').count();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.iter().all(|row| [6, COLUMNS.len() + 1].contains(&columns(row))), "{text}");
    }

    #[test]
    fn programs_get_requirements_and_every_measurement() {
        let directory = tempfile::tempdir().unwrap();
        with_report(&results(), |report| report.write(directory.path())).unwrap();
        let json = std::fs::read(directory.path().join("results.json")).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["requirements"][0]["verdict"], "met");
        assert_eq!(json["results"].as_array().unwrap().len(), 5);
        assert_eq!(json["results"][1]["measured"]["cpu"], 8.0);
        assert_eq!(json["results"][3]["failed"], "HAProxy\nis ill");
    }
}
