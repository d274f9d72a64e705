//! The counters, read from the text of the log.

use std::collections::BTreeMap;

/// The counters of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    pub received: u64,
    /// By class of status.
    pub answered: BTreeMap<String, u64>,
    /// By cause.
    pub failed: BTreeMap<String, u64>,
    /// By reason.
    pub dropped: BTreeMap<String, u64>,
    pub waiting: u64,
    pub in_flight: u64,
}

impl Target {
    /// Reads `counters target NAME: received 3 = answered 2 (2xx 2) + failed 0 + ...`; `None` for any
    /// other line.
    ///
    /// # Panics
    /// When the line has another shape, or does not add up.
    pub fn parse(line: &str) -> Option<Self> {
        let (name, counts) = line.strip_prefix("counters target ")?.split_once(": ")?;
        let (received, sum) = counts.split_once(" = ").unwrap();
        let [answered, failed, dropped, waiting, in_flight] =
            sum.split(" + ").collect::<Vec<_>>().try_into().unwrap();
        let target = Self {
            name: name.to_owned(),
            received: count("received", received),
            answered: group("answered", answered),
            failed: group("failed", failed),
            dropped: group("dropped", dropped),
            waiting: count("waiting", waiting),
            in_flight: count("in flight", in_flight),
        };
        let ended = target.answers() + target.failures() + target.drops();
        assert_eq!(target.received, ended + target.waiting + target.in_flight, "{line}");
        Some(target)
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
}

/// Reads `name 5`.
fn count(name: &str, text: &str) -> u64 {
    let number = text.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} in {text:?}"))
}

/// Reads `name 5 (label 2, other label 3)`, or `name 0`.
fn group(name: &str, text: &str) -> BTreeMap<String, u64> {
    let Some((total, labels)) = text.split_once(" (") else {
        assert_eq!(count(name, text), 0, "a sum without its parts: {text:?}");
        return BTreeMap::new();
    };
    let labels = labels.strip_suffix(')').unwrap().split(", ");
    let counts: BTreeMap<_, _> = labels
        .map(|item| {
            let (label, number) = item.rsplit_once(' ').unwrap();
            (label.to_owned(), number.parse().unwrap())
        })
        .collect();
    assert_eq!(count(name, total), counts.values().sum::<u64>(), "{text:?}");
    counts
}

/// The counters of HAProxy's side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spop {
    pub connections: u64,
    pub open: u64,
    pub health_checks: u64,
    pub notifies: u64,
    pub messages: u64,
    pub requests: u64,
    pub incomplete: u64,
    pub aborted: u64,
    pub protocol_errors: u64,
}

impl Spop {
    /// Reads `counters spop: connections 1 (open 0), ...`; `None` for any other line.
    ///
    /// # Panics
    /// When the line has another shape, or does not add up.
    pub fn parse(line: &str) -> Option<Self> {
        let counts = line.strip_prefix("counters spop: ")?;
        let number = |name: &str| {
            let (_, rest) = counts.split_once(&format!("{name} ")).unwrap();
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
            digits.parse().unwrap_or_else(|_| panic!("{name} in {line:?}"))
        };
        let spop = Self {
            connections: number("connections"),
            open: number("open"),
            health_checks: number("health checks"),
            notifies: number("NOTIFY frames"),
            messages: number("messages"),
            requests: number("requests"),
            incomplete: number("incomplete"),
            aborted: number("aborted"),
            protocol_errors: number("protocol errors"),
        };
        assert_eq!(spop.messages, spop.requests + spop.incomplete, "{line}");
        Some(spop)
    }
}

/// All counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub spop: Spop,
    /// In the order of the command line.
    pub targets: Vec<Target>,
}

impl Tally {
    /// Every report in a log, oldest first.
    ///
    /// # Panics
    /// When one does not add up.
    pub fn all(lines: &[String]) -> Vec<Self> {
        let mut reports: Vec<Self> = Vec::new();
        for line in lines {
            if let Some(spop) = Spop::parse(line) {
                reports.push(Self { spop, targets: Vec::new() });
            } else if let Some(target) = Target::parse(line) {
                reports.last_mut().unwrap().targets.push(target);
            }
        }
        reports
    }

    /// The counters of the only target.
    ///
    /// # Panics
    /// When there is another number of targets.
    pub fn target(&self) -> &Target {
        let [target] = self.targets.as_slice() else { panic!("not one target: {self:?}") };
        target
    }
}
