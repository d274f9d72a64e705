//! The program's counters, read from its log, text or JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// Counts by label.
pub type Labels = BTreeMap<String, u64>;

/// All counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// HAProxy's side.
    pub spop: Spop,
    /// What was compared: `copies`, and what became of them; empty where nothing is.
    pub comparison: Labels,
    /// In the order of the log.
    pub targets: Vec<Target>,
}

impl Tally {
    /// Every report in a log, oldest first. Lines of the last one may still be missing where the log is
    /// text.
    ///
    /// # Panics
    /// When one has another shape, or does not add up.
    pub fn all(lines: &[String]) -> Vec<Self> {
        let mut reports: Vec<Self> = Vec::new();
        for line in lines {
            if let Some(report) = Self::parse_json(line) {
                reports.push(report);
            } else if let Some(spop) = Spop::parse(line) {
                reports.push(Self { spop, ..Self::default() });
            } else if let Some(comparison) = comparison(line) {
                reports.last_mut().expect("HAProxy's side comes first").comparison = comparison;
            } else if let Some(target) = Target::parse(line) {
                reports.last_mut().expect("HAProxy's side comes first").targets.push(target);
            }
        }
        for Self { spop, targets, .. } in &reports {
            let all = spop.requests + spop.answers + spop.incomplete;
            assert_eq!(spop.messages, all, "{spop:?}");
            targets.iter().for_each(Target::check);
        }
        reports
    }

    fn parse_json(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        if line["message"] != "counters" {
            return None;
        }
        let spop = Spop::read(|name| line["spop"][name.replace(' ', "_")].as_u64().unwrap());
        let targets = line["targets"].as_object().unwrap();
        let targets = targets.iter().map(|(name, counts)| Target::from_json(name, counts));
        Some(Self { spop, targets: targets.collect(), ..Self::default() })
    }

    /// The counters of the only target.
    ///
    /// # Panics
    /// When there is another number of targets.
    pub fn target(&self) -> &Target {
        let [target] = self.targets.as_slice() else { panic!("not one target: {self:?}") };
        target
    }

    /// The counters of the target of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn named(&self, name: &str) -> &Target {
        let found = self.targets.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("no target {name}: {self:?}"))
    }
}

/// The counters of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Requests that came for it, and copies more than one of a request.
    pub received: u64,
    /// By class of status.
    pub answered: Labels,
    /// By cause.
    pub failed: Labels,
    /// By reason.
    pub dropped: Labels,
    /// Answers cut at the size limit; text does not tell.
    pub answers_cut: u64,
    /// Copies that wait.
    pub waiting: u64,
    /// Copies under way.
    pub in_flight: u64,
}

impl Target {
    /// Reads `counters target NAME: received 3 = answered 2 (2xx 2) + failed 0 + ...`; `None` for any
    /// other line.
    fn parse(line: &str) -> Option<Self> {
        let (name, counts) = line.strip_prefix("counters target ")?.split_once(": ")?;
        let (received, sum) = counts.split_once(" = ").expect(line);
        let [answered, failed, dropped, waiting, in_flight] =
            sum.split(" + ").collect::<Vec<_>>().try_into().expect(line);
        Some(Self {
            name: name.to_owned(),
            received: count("received", received),
            answered: group("answered", answered),
            failed: group("failed", failed),
            dropped: group("dropped", dropped),
            answers_cut: 0,
            waiting: count("waiting", waiting),
            in_flight: count("in flight", in_flight),
        })
    }

    fn from_json(name: &str, counts: &Value) -> Self {
        let number = |name: &str| counts[name].as_u64().unwrap();
        let labels = |name: &str| -> Labels {
            let counts = counts[name].as_object().unwrap().iter();
            counts.map(|(label, count)| (label.clone(), count.as_u64().unwrap())).collect()
        };
        Self {
            name: name.to_owned(),
            received: number("received"),
            answered: labels("answered"),
            failed: labels("failed"),
            dropped: labels("dropped"),
            answers_cut: number("answers_cut"),
            waiting: number("waiting"),
            in_flight: number("in_flight"),
        }
    }

    fn check(&self) {
        let ended = self.answers() + self.failures() + self.drops();
        assert_eq!(self.received, ended + self.open(), "it does not add up: {self:?}");
    }

    /// Copies answered, whatever the status.
    pub fn answers(&self) -> u64 {
        self.answered.values().sum()
    }

    /// Copies failed, whatever the cause.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Requests not copied, whatever the reason.
    pub fn drops(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Copies that wait or are under way.
    pub fn open(&self) -> u64 {
        self.waiting + self.in_flight
    }

    /// Asserts that there are no classes, causes and reasons but these.
    #[track_caller]
    pub fn assert_only(&self, answered: &[&str], failed: &[&str], dropped: &[&str]) {
        let groups = [(&self.answered, answered), (&self.failed, failed), (&self.dropped, dropped)];
        for (labels, allowed) in groups {
            for label in labels.keys() {
                assert!(allowed.contains(&label.as_str()), "unexpected {label}: {self:#?}");
            }
        }
    }
}

/// In one line without zeros, such as `received 3: answered 2xx 2, dropped loop 1`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |name: &str, labels: &Labels| -> Vec<String> {
            labels.iter().map(|(label, count)| format!("{name} {label} {count}")).collect()
        };
        let mut parts = group("answered", &self.answered);
        parts.extend(group("failed", &self.failed));
        parts.extend(group("dropped", &self.dropped));
        if self.open() > 0 {
            parts.push(format!("open {}", self.open()));
        }
        write!(f, "received {}: {}", self.received, parts.join(", "))
    }
}

/// The counters of HAProxy's side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the log")]
pub struct Spop {
    pub connections: u64,
    pub open: u64,
    pub health_checks: u64,
    pub notifies: u64,
    pub messages: u64,
    pub requests: u64,
    pub answers: u64,
    pub incomplete: u64,
    pub aborted: u64,
    pub protocol_errors: u64,
}

impl Spop {
    /// Reads `counters spop: connections 1 (open 0), ...`; `None` for any other line.
    fn parse(line: &str) -> Option<Self> {
        let counts = line.strip_prefix("counters spop: ")?;
        Some(Self::read(|name| {
            let name = if name == "notifies" { "NOTIFY frames" } else { name };
            let found = counts.split_once(&format!("{name} "));
            // There only in the two-message form.
            let Some((_, rest)) = found.or((name == "answers").then_some(("", "0"))) else {
                panic!("{name} in {line:?}")
            };
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            digits.parse().unwrap_or_else(|_| panic!("{name} in {line:?}"))
        }))
    }

    fn read(number: impl Fn(&str) -> u64) -> Self {
        Self {
            connections: number("connections"),
            open: number("open"),
            health_checks: number("health checks"),
            notifies: number("notifies"),
            messages: number("messages"),
            requests: number("requests"),
            answers: number("answers"),
            incomplete: number("incomplete"),
            aborted: number("aborted"),
            protocol_errors: number("protocol errors"),
        }
    }
}

/// Reads `counters comparison: copies 3 = same 2 + ...`, which must add up; `None` for any other line.
fn comparison(line: &str) -> Option<Labels> {
    let (copies, parts) = line.strip_prefix("counters comparison: ")?.split_once(" = ")?;
    let label = |text: &str| {
        let (name, number) = text.rsplit_once(' ').expect(line);
        (name.to_owned(), number.parse::<u64>().expect(line))
    };
    let mut labels: Labels = parts.split(" + ").map(label).collect();
    let copies = label(copies);
    assert_eq!(copies.1, labels.values().sum::<u64>(), "it does not add up: {line}");
    labels.insert(copies.0, copies.1);
    Some(labels)
}

/// Reads `name 5`.
fn count(name: &str, text: &str) -> u64 {
    let number = text.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} in {text:?}"))
}

/// Reads `name 5 (label 2, other label 3)`, whose labels must give the sum, or `name 0`.
fn group(name: &str, text: &str) -> Labels {
    let Some((total, labels)) = text.split_once(" (") else {
        assert_eq!(count(name, text), 0, "a sum without its parts: {text:?}");
        return Labels::new();
    };
    let labels = labels.strip_suffix(')').expect(text).split(", ");
    let counts: Labels = labels
        .map(|item| {
            let (label, number) = item.rsplit_once(' ').expect(text);
            (label.to_owned(), number.parse().expect(text))
        })
        .collect();
    assert_eq!(count(name, total), counts.values().sum::<u64>(), "{text:?}");
    counts
}
