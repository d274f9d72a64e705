//! The program's counters, read from its log.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use testbed::lines::Lines;

/// The counters of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Requests that came for the target.
    pub(crate) received: u64,
    /// Copies answered, by class of status.
    pub(crate) answered: BTreeMap<String, u64>,
    /// Copies failed, by cause.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Requests not copied, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Answers cut at the size limit.
    pub(crate) answers_cut: u64,
    /// Copies waiting or in flight.
    pub(crate) open: u64,
}

impl Counters {
    /// The last counters that a program with `--log-format json` wrote for this target.
    ///
    /// # Panics
    /// When it wrote none, or they do not add up.
    pub(crate) fn last(output: &Lines, target: &str) -> Self {
        let lines = output.all();
        let last = lines.iter().rev().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "counters").then(|| line["targets"][target].clone())
        });
        let Some(Value::Object(last)) = last else {
            panic!("no counters of target {target} in the log:\n{}", lines.join("\n"));
        };
        let number = |name: &str| last[name].as_u64().unwrap();
        let labels = |name: &str| -> BTreeMap<String, u64> {
            let counts = last[name].as_object().unwrap().iter();
            counts.map(|(label, count)| (label.clone(), count.as_u64().unwrap())).collect()
        };
        let counters = Self {
            received: number("received"),
            answered: labels("answered"),
            failed: labels("failed"),
            dropped: labels("dropped"),
            answers_cut: number("answers_cut"),
            open: number("waiting") + number("in_flight"),
        };
        let groups = [&counters.answered, &counters.failed, &counters.dropped];
        let sum: u64 = groups.iter().flat_map(|group| group.values()).sum();
        assert_eq!(counters.received, sum + counters.open, "they add up: {counters:?}");
        counters
    }
}

/// In one line, such as `received 3: answered 2xx 2, dropped loop 1`.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |name: &str, labels: &BTreeMap<String, u64>| -> Vec<String> {
            labels.iter().map(|(label, count)| format!("{name} {label} {count}")).collect()
        };
        let mut parts = group("answered", &self.answered);
        parts.extend(group("failed", &self.failed));
        parts.extend(group("dropped", &self.dropped));
        if self.open > 0 {
            parts.push(format!("open {}", self.open));
        }
        write!(f, "received {}: {}", self.received, parts.join(", "))
    }
}
