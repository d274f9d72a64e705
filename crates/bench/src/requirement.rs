//! What the agent must reach, and whether it does. Each is a ratio, or a figure, within one round.
//!
//! What a second and a third target add is held against the agent's processor time with one target, which is
//! what an operator knows, and not against what the first target adds to an agent that only acknowledges. That
//! is no more than the floor: a client that only sends may cost as much for the same copies, and nothing could
//! then add 0.8 of it. The table tells these figures, too.

use serde::Serialize;

use crate::case::Case;
use crate::contender::{ACKNOWLEDGING, OURS};
use crate::results::{NO_HAPROXY, Results, Spread};
use crate::run::Measured;

/// One must.
pub(crate) struct Requirement {
    pub(crate) what: &'static str,
    value: Value,
    /// The limits, by version of HAProxy.
    limits: &'static [(&'static str, Limit)],
    /// Which of the rounds' values is held against the limit.
    decides: Decides,
    digits: usize,
}

#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
    /// Told, and asked of nobody.
    Nothing,
}

#[derive(Clone, Copy, PartialEq)]
enum Decides {
    Median,
    Worst,
}

/// Where the value comes from.
enum Value {
    Plain(Term),
    /// One sum over another.
    Ratio(&'static [Part], &'static [Part]),
    /// The sum over all cases that tell.
    AllLost,
}

enum Part {
    Plus(Term),
    Minus(Term),
}

/// A figure of a contender in a case.
struct Term {
    contender: &'static str,
    case: &'static str,
    figure: Figure,
}

#[derive(Clone, Copy)]
enum Figure {
    Rate,
    P99,
    Cpu,
    /// CPU of the data plane's threads.
    WorkerCpu,
    /// CPU of a client that only sends the same copies.
    ClientCpu,
    Syscalls,
    Rss,
}

const fn ours(case: &'static str, figure: Figure) -> Term {
    Term { contender: OURS, case, figure }
}

const fn acknowledging(case: &'static str, figure: Figure) -> Term {
    Term { contender: ACKNOWLEDGING, case, figure }
}

/// A limit for the versions that are measured by default.
macro_rules! both {
    ($limit:expr) => {
        &[("2.6", $limit), ("3.4", $limit)]
    };
}

use Figure::{ClientCpu, Cpu, P99, Rate, Rss, Syscalls, WorkerCpu};
use Limit::{AtLeast, AtMost, Nothing};
use Part::{Minus, Plus};

/// All that real HAProxy and real load can tell.
pub(crate) const ALL: &[Requirement] = &[
    Requirement {
        what: "CPU per mirrored small GET, of (agent that only acknowledges + client that only sends)",
        value: Value::Ratio(
            &[Plus(ours("get", Cpu))],
            &[Plus(acknowledging("get", Cpu)), Plus(acknowledging("get", ClientCpu))],
        ),
        limits: both!(AtMost(1.1)),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "client req/s in a closed loop, of those with an agent that only acknowledges",
        value: Value::Ratio(&[Plus(ours("get", Rate))], &[Plus(acknowledging("get", Rate))]),
        limits: &[("2.6", AtLeast(0.72)), ("3.4", AtLeast(0.80))],
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "client p99 at 2,000 req/s, of that with an agent that only acknowledges",
        value: Value::Ratio(&[Plus(ours("rate", P99))], &[Plus(acknowledging("rate", P99))]),
        limits: both!(AtMost(1.15)),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "copies lost, in all cases whose targets take every copy",
        value: Value::AllLost,
        limits: &[("2.6", AtMost(0.0)), ("3.4", AtMost(0.0)), (NO_HAPROXY, AtMost(0.0))],
        decides: Decides::Worst,
        digits: 0,
    },
    Requirement {
        what: "system calls per mirrored small GET, closed loop",
        value: Value::Plain(ours("get", Syscalls)),
        limits: both!(AtMost(3.0)),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "RSS at its highest, MiB: 1,000 copies in flight to a 1 s target",
        value: Value::Plain(ours("slow", Rss)),
        limits: both!(AtMost(16.0)),
        decides: Decides::Worst,
        digits: 1,
    },
    Requirement {
        what: "RSS at its highest, MiB: the same with three targets and everything on",
        value: Value::Plain(ours("everything", Rss)),
        limits: both!(AtMost(32.0)),
        decides: Decides::Worst,
        digits: 1,
    },
    Requirement {
        what: "client p99 at 1,000 req/s with a 1 s target, of that with a good one",
        value: Value::Ratio(&[Plus(ours("slow", P99))], &[Plus(ours("rate-1000", P99))]),
        limits: both!(AtMost(1.15)),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "CPU that the second target adds, of that with one",
        value: Value::Ratio(
            &[Plus(ours("two", Cpu)), Minus(ours("get", Cpu))],
            &[Plus(ours("get", Cpu))],
        ),
        limits: both!(AtMost(0.8)),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "CPU that the third target adds, of that with one",
        value: Value::Ratio(
            &[Plus(ours("three", Cpu)), Minus(ours("two", Cpu))],
            &[Plus(ours("get", Cpu))],
        ),
        limits: both!(AtMost(0.8)),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "CPU that the second target adds, of what the first adds to an agent that only acknowledges",
        value: Value::Ratio(
            &[Plus(ours("two", Cpu)), Minus(ours("get", Cpu))],
            &[Plus(ours("get", Cpu)), Minus(acknowledging("get", Cpu))],
        ),
        limits: both!(Nothing),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "CPU that the third target adds, of what the first adds to an agent that only acknowledges",
        value: Value::Ratio(
            &[Plus(ours("three", Cpu)), Minus(ours("two", Cpu))],
            &[Plus(ours("get", Cpu)), Minus(acknowledging("get", Cpu))],
        ),
        limits: both!(Nothing),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "CPU that a client costs that only sends, of the same",
        value: Value::Ratio(
            &[Plus(acknowledging("get", ClientCpu))],
            &[Plus(ours("get", Cpu)), Minus(acknowledging("get", Cpu))],
        ),
        limits: both!(Nothing),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "CPU per request at 10,000 SPOP connections (see spop-many), of that at 32",
        value: Value::Ratio(&[Plus(ours("spop-many", Cpu))], &[Plus(ours("spop-32", Cpu))]),
        limits: &[(NO_HAPROXY, AtMost(1.3))],
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "CPU with an HTTPS target, of that with plain HTTP",
        value: Value::Ratio(&[Plus(ours("tls", Cpu))], &[Plus(ours("get", Cpu))]),
        limits: both!(AtMost(1.6)),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "CPU of the data plane with 10 % compared, of that with nothing compared",
        value: Value::Ratio(
            &[Plus(ours("compared", WorkerCpu))],
            &[Plus(ours("answered", WorkerCpu))],
        ),
        limits: both!(AtMost(1.05)),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "client p99 at 2,000 req/s with 10 % compared, of that with nothing compared",
        value: Value::Ratio(
            &[Plus(ours("rate-compared", P99))],
            &[Plus(ours("rate-answered", P99))],
        ),
        limits: both!(AtMost(1.05)),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "CPU of the whole agent with 10 % compared, of that with nothing compared",
        value: Value::Ratio(&[Plus(ours("compared", Cpu))], &[Plus(ours("answered", Cpu))]),
        limits: both!(Nothing),
        decides: Decides::Median,
        digits: 2,
    },
    Requirement {
        what: "CPU with an HTTP/2 target, of that with HTTP/1.1",
        value: Value::Ratio(&[Plus(ours("http2", Cpu))], &[Plus(ours("get", Cpu))]),
        limits: both!(AtMost(1.5)),
        decides: Decides::Median,
        digits: 2,
    },
];

/// How a requirement stands with one version of HAProxy.
#[derive(Serialize)]
pub(crate) struct Finding {
    pub(crate) what: &'static str,
    pub(crate) haproxy: &'static str,
    pub(crate) limit: String,
    pub(crate) measured: Option<Spread>,
    pub(crate) verdict: Verdict,
    #[serde(skip)]
    pub(crate) digits: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Met,
    Missed,
    NotMeasured,
    NotAsked,
}

impl Verdict {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::NotMeasured => "not measured",
            Self::NotAsked => "",
        }
    }
}

/// How all of them stand of which these cases tell, for the versions that were measured.
pub(crate) fn findings(results: &Results, cases: &[&Case]) -> Vec<Finding> {
    let measured = results.haproxies();
    let known = |term: &Term| cases.iter().any(|case| case.name == term.case);
    let told = ALL.iter().filter(|requirement| requirement.value.terms().into_iter().all(known));
    let with_limits = told.flat_map(|requirement| {
        requirement.limits.iter().map(move |(haproxy, limit)| (requirement, *haproxy, *limit))
    });
    with_limits
        .filter(|(_, haproxy, _)| measured.contains(haproxy))
        .map(|(requirement, haproxy, limit)| requirement.finding(haproxy, limit, results))
        .collect()
}

/// Whether a requirement needs this contender in this case.
pub(crate) fn needs(case: &Case, contender: &str) -> bool {
    let terms = ALL.iter().flat_map(|requirement| requirement.value.terms());
    terms.into_iter().any(|term| (term.case, term.contender) == (case.name, contender))
}

impl Requirement {
    fn finding(&self, haproxy: &'static str, limit: Limit, results: &Results) -> Finding {
        let rounds = 1..=results.rounds();
        let values = rounds.filter_map(|number| self.value.of(results, number, haproxy));
        let measured = Spread::of(values);
        let verdict = measured.map_or(Verdict::NotMeasured, |spread| {
            let met = match (limit, self.decides) {
                (Limit::Nothing, _) => return Verdict::NotAsked,
                (Limit::AtMost(limit), Decides::Median) => spread.median <= limit,
                (Limit::AtMost(limit), Decides::Worst) => spread.high <= limit,
                (Limit::AtLeast(limit), Decides::Median) => spread.median >= limit,
                (Limit::AtLeast(limit), Decides::Worst) => spread.low >= limit,
            };
            if met { Verdict::Met } else { Verdict::Missed }
        });
        let limit = match limit {
            Limit::AtMost(limit) => format!("≤ {limit}"),
            Limit::AtLeast(limit) => format!("≥ {limit}"),
            Limit::Nothing => "–".to_owned(),
        };
        Finding { what: self.what, haproxy, limit, measured, verdict, digits: self.digits }
    }
}

impl Value {
    /// What it needs.
    fn terms(&self) -> Vec<&Term> {
        match self {
            Self::Plain(term) => vec![term],
            Self::Ratio(over, under) => {
                over.iter().chain(*under).map(|(Plus(term) | Minus(term))| term).collect()
            }
            Self::AllLost => Vec::new(),
        }
    }

    /// The value of one round, where everything that it needs was measured in that one.
    fn of(&self, results: &Results, round: u64, haproxy: &str) -> Option<f64> {
        let get = |term: &Term| {
            let measured = results.find(round, haproxy, term.case, term.contender)?;
            term.figure.of(measured)
        };
        let sum = |parts: &[Part]| {
            let values = parts.iter().map(|part| match part {
                Plus(term) => get(term),
                Minus(term) => get(term).map(|value| -value),
            });
            values.sum::<Option<f64>>()
        };
        match self {
            Self::Plain(term) => get(term),
            Self::Ratio(over, under) => {
                let (over, under) = (sum(over)?, sum(under)?);
                (under > 0.0).then(|| over / under)
            }
            Self::AllLost => {
                let own = results.0.iter().filter(|record| {
                    record.round == round && record.haproxy == haproxy && record.contender == OURS
                });
                let lost =
                    own.filter_map(|record| results.find(round, haproxy, &record.case, OURS)?.lost);
                let lost: Vec<u64> = lost.collect();
                (!lost.is_empty()).then(|| lost.iter().sum::<u64>() as f64)
            }
        }
    }
}

impl Figure {
    fn of(self, measured: &Measured) -> Option<f64> {
        match self {
            Self::Rate => Some(measured.rate),
            Self::P99 => Some(measured.p99),
            Self::Cpu => measured.cpu,
            Self::WorkerCpu => measured.worker_cpu,
            Self::ClientCpu => measured.client_cpu,
            Self::Syscalls => measured.syscalls,
            Self::Rss => measured.rss,
        }
    }
}

#[cfg(test)]
mod tests;
