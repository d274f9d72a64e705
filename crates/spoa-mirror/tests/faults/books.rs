//! The program's counters, read from the lines that it logs, and what must be true of them.

use std::collections::BTreeMap;

use testbed::lines::Lines;

/// Counts by label.
pub(crate) type Labels = BTreeMap<String, u64>;

/// All counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) spop: Spop,
    /// The targets, in the order of the log.
    pub(crate) targets: Vec<Account>,
}

/// The SPOP side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spop {
    pub(crate) connections: u64,
    pub(crate) open: u64,
    pub(crate) notifies: u64,
    pub(crate) messages: u64,
    pub(crate) requests: u64,
    pub(crate) incomplete: u64,
    pub(crate) protocol_errors: u64,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) received: u64,
    pub(crate) answered: Labels,
    pub(crate) failed: Labels,
    pub(crate) dropped: Labels,
    pub(crate) waiting: u64,
    pub(crate) in_flight: u64,
}

impl Books {
    /// Every state of the counters that was logged, each checked ([`Books::check`]). The last one is left
    /// out as long as lines of it are missing.
    pub(crate) fn all(log: &Lines, targets: usize) -> Vec<Self> {
        let mut states: Vec<Self> = Vec::new();
        for line in log.all() {
            if let Some(text) = line.strip_prefix("counters spop: ") {
                states.push(Self { spop: Spop::parse(text), targets: Vec::new() });
            } else if let Some(text) = line.strip_prefix("counters target ") {
                let (_name, text) = text.split_once(": ").expect(text);
                let state = states.last_mut().expect("a spop line before");
                state.targets.push(Account::parse(text));
            }
        }
        if states.last().is_some_and(|state| state.targets.len() < targets) {
            states.pop();
        }
        for state in &states {
            assert_eq!(state.targets.len(), targets, "{state:#?}");
            state.check();
        }
        states
    }

    /// Nothing disappears: every message is a request or incomplete, every target received every request,
    /// and the printed sums hold.
    fn check(&self) {
        let Spop { messages, requests, incomplete, .. } = self.spop;
        assert_eq!(messages, requests + incomplete, "{self:#?}");
        for account in &self.targets {
            assert_eq!(account.received, requests, "a target did not receive all: {self:#?}");
            let ended = sum(&account.answered) + sum(&account.failed) + sum(&account.dropped);
            let open = account.waiting + account.in_flight;
            assert_eq!(account.received, ended + open, "it does not add up: {self:#?}");
        }
    }
}

impl Spop {
    fn parse(text: &str) -> Self {
        Self {
            connections: number_after(text, "connections "),
            open: number_after(text, "(open "),
            notifies: number_after(text, "NOTIFY frames "),
            messages: number_after(text, "messages "),
            requests: number_after(text, "requests "),
            incomplete: number_after(text, "incomplete "),
            protocol_errors: number_after(text, "protocol errors "),
        }
    }
}

impl Account {
    /// Takes `received 9 = answered 5 (2xx 4, 4xx 1) + failed 0 + dropped 4 (loop 4) + waiting 0 +
    /// in flight 0` apart.
    fn parse(text: &str) -> Self {
        let (received, sum) = text.split_once(" = ").expect(text);
        let terms: Vec<&str> = sum.split(" + ").collect();
        let [answered, failed, dropped, waiting, in_flight] = terms[..] else {
            panic!("five terms: {text}");
        };
        Self {
            received: number_after(received, "received "),
            answered: labels(answered, "answered "),
            failed: labels(failed, "failed "),
            dropped: labels(dropped, "dropped "),
            waiting: number_after(waiting, "waiting "),
            in_flight: number_after(in_flight, "in flight "),
        }
    }

    /// Copies answered, whatever the status.
    pub(crate) fn answers(&self) -> u64 {
        sum(&self.answered)
    }

    /// Copies failed, whatever the cause.
    pub(crate) fn failures(&self) -> u64 {
        sum(&self.failed)
    }

    /// Requests dropped, whatever the reason.
    pub(crate) fn drops(&self) -> u64 {
        sum(&self.dropped)
    }

    /// Asserts that there are no causes and reasons but these.
    #[track_caller]
    pub(crate) fn assert_only(&self, answered: &[&str], failed: &[&str], dropped: &[&str]) {
        let groups = [(&self.answered, answered), (&self.failed, failed), (&self.dropped, dropped)];
        for (labels, allowed) in groups {
            for label in labels.keys() {
                assert!(allowed.contains(&label.as_str()), "unexpected {label}: {self:#?}");
            }
        }
    }
}

/// The sum of all labels.
pub(crate) fn sum(labels: &Labels) -> u64 {
    labels.values().sum()
}

/// A group such as `answered 5 (2xx 4, 4xx 1)`, whose labels must give its total.
fn labels(group: &str, name: &str) -> Labels {
    let total = number_after(group, name);
    let mut labels = Labels::new();
    if let Some((_, list)) = group.split_once(" (") {
        for item in list.strip_suffix(')').expect(group).split(", ") {
            let (label, count) = item.rsplit_once(' ').expect(item);
            labels.insert(label.to_owned(), count.parse().expect(item));
        }
    }
    assert_eq!(sum(&labels), total, "{group}");
    labels
}

fn number_after(text: &str, name: &str) -> u64 {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name:?} in {text:?}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|e| panic!("{name:?} in {text:?}: {e}"))
}
