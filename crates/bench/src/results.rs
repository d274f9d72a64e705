//! Everything that was measured, and how it is looked up and summed up.

use serde::Serialize;

use crate::run::Measured;

/// Where HAProxy takes no part.
pub(crate) const NO_HAPROXY: &str = "none";

/// One measurement.
#[derive(Serialize)]
pub(crate) struct Record {
    pub(crate) round: u64,
    /// Its version, or [`NO_HAPROXY`].
    pub(crate) haproxy: String,
    pub(crate) case: String,
    pub(crate) contender: String,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// What came of it.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Measured(Measured),
    /// Why there is none.
    Failed(String),
}

/// All of them, in the order in which they were made.
#[derive(Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Results(pub(crate) Vec<Record>);

impl Results {
    /// A measurement of one round.
    pub(crate) fn find(
        &self,
        round: u64,
        haproxy: &str,
        case: &str,
        contender: &str,
    ) -> Option<&Measured> {
        self.measured(haproxy, case, contender)
            .find(|(number, _)| *number == round)
            .map(|(_, measured)| measured)
    }

    /// The measurements of a contender in a case, with the numbers of their rounds.
    pub(crate) fn measured(
        &self,
        haproxy: &str,
        case: &str,
        contender: &str,
    ) -> impl Iterator<Item = (u64, &Measured)> {
        let matches = move |record: &&Record| {
            (&*record.haproxy, &*record.case, &*record.contender) == (haproxy, case, contender)
        };
        self.0.iter().filter(matches).filter_map(|record| match &record.outcome {
            Outcome::Measured(measured) => Some((record.round, measured)),
            Outcome::Failed(_) => None,
        })
    }

    pub(crate) fn rounds(&self) -> u64 {
        self.0.iter().map(|record| record.round).max().unwrap_or(0)
    }

    /// Measurements that failed.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&Record, &str)> {
        self.0.iter().filter_map(|record| match &record.outcome {
            Outcome::Failed(why) => Some((record, why.as_str())),
            Outcome::Measured(_) => None,
        })
    }

    /// The versions of HAProxy, in the order of their first measurement.
    pub(crate) fn haproxies(&self) -> Vec<&str> {
        let mut versions = Vec::new();
        for record in &self.0 {
            if !versions.contains(&record.haproxy.as_str()) {
                versions.push(&record.haproxy);
            }
        }
        versions
    }
}

/// The median of some values, the least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// `None` of no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, low, high })
    }

    /// `median (low–high)`; the value alone where there is no spread.
    pub(crate) fn text(&self, digits: usize) -> String {
        let Self { median, low, high } = self;
        let median = format!("{median:.digits$}");
        let (low, high) = (format!("{low:.digits$}"), format!("{high:.digits$}"));
        if low == high { median } else { format!("{median} ({low}–{high})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers_of_values() {
        let spread = |median, low, high| Some(Spread { median, low, high });
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), spread(2.0, 1.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), spread(2.5, 1.0, 4.0));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn no_range_where_nothing_spreads() {
        assert_eq!(Spread::of([1.04, 2.0, 2.96]).unwrap().text(1), "2.0 (1.0–3.0)");
        assert_eq!(Spread::of([2.01, 2.0]).unwrap().text(1), "2.0");
    }
}
