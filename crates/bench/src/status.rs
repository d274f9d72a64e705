//! What became of the copies: our agent's counters, by its own `status`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The sum over all targets.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    pub(crate) received: u64,
    pub(crate) answered: u64,
    /// Waiting or in flight.
    pub(crate) open: u64,
    /// Those that rules and sample say no to.
    pub(crate) unwanted: u64,
    /// The others, by what became of them: `failed connect`, `dropped queue-full`.
    pub(crate) others: BTreeMap<String, u64>,
}

impl Copies {
    /// Asks the agent whose admin API listens at `socket`.
    pub(crate) fn ask(program: &Path, socket: &Path) -> Result<Self, String> {
        let output = Command::new(program)
            .args(["status", "--json", "--admin", &format!("unix:{}", socket.display())])
            .output()
            .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let read =
            serde_json::from_slice(&output.stdout).ok().and_then(|status| Self::read(&status));
        read.ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("the agent's status cannot be read: {said}")
        })
    }

    /// What became of those of `expected` copies that were wanted and not answered.
    pub(crate) fn unanswered(self, expected: u64) -> BTreeMap<String, u64> {
        let mut fates = self.others;
        // HAProxy gave up, or never asked.
        let never_came = expected.saturating_sub(self.received);
        fates.insert("never came".to_owned(), never_came);
        fates.insert("still open".to_owned(), self.open);
        fates.retain(|_, count| *count > 0);
        fates
    }

    fn read(status: &Value) -> Option<Self> {
        let mut sum = Self::default();
        for target in status["targets"].as_array()? {
            let counters = &target["counters"];
            sum.received += counters["received"].as_u64()?;
            sum.open += counters["waiting"].as_u64()? + counters["in_flight"].as_u64()?;
            sum.answered += labels(&counters["answered"])?.map(|(_, count)| count).sum::<u64>();
            for (reason, count) in labels(&counters["dropped"])? {
                match reason {
                    "not-matched" | "not-sampled" => sum.unwanted += count,
                    _ => *sum.others.entry(format!("dropped {reason}")).or_default() += count,
                }
            }
            for (cause, count) in labels(&counters["failed"])? {
                *sum.others.entry(format!("failed {cause}")).or_default() += count;
            }
        }
        Some(sum)
    }
}

fn labels(counts: &Value) -> Option<impl Iterator<Item = (&str, u64)>> {
    let counts = counts.as_object()?.iter();
    Some(counts.map(|(label, count)| (label.as_str(), count.as_u64().unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn targets_are_summed_up() {
        let target = json!({"counters": {
            "received": 10, "answered": {"2xx": 3, "5xx": 1}, "failed": {"connect": 1},
            "dropped": {"not-sampled": 2, "queue-full": 1, "loop": 0}, "waiting": 1, "in_flight": 1,
        }});
        let copies = Copies::read(&json!({"targets": [target, target]})).expect("counters");
        assert_eq!((copies.received, copies.answered, copies.open, copies.unwanted), (20, 8, 4, 4));
        let fates = [
            ("dropped queue-full", 2),
            ("failed connect", 2),
            ("never came", 1),
            ("still open", 4),
        ];
        let fates = fates.map(|(fate, count)| (fate.to_owned(), count));
        assert_eq!(copies.unanswered(21), fates.into());
    }
}
