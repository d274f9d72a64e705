//! The counters of one target.

use std::fmt;

use super::{Answer, CopyTimes, DropReason, Failure, Histogram};

/// The counters of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that came for this target, and copies more than one of a request.
    pub received: u64,
    /// Those of them that repeat a request, so that the target's two answers can be held against each other.
    pub repeats: u64,
    answered: [u64; Answer::ALL.len()],
    failed: [u64; Failure::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
    /// Answers that were cut at the size limit; they count as answered.
    pub answers_cut: u64,
    /// Copies that wait for a connection now.
    pub waiting: u64,
    /// Copies sent, or being sent, and not yet answered now.
    pub in_flight: u64,
    /// Bytes of requests sent, heads and bodies; over HTTP/2 what HTTP/1 would have taken. Counted when
    /// the copy is answered or has failed.
    pub request_bytes: u64,
    /// Bytes of the answers' bodies received, without their framing.
    pub answer_body_bytes: u64,
    /// From a copy's first byte sent to the last byte of its answer.
    pub duration: Histogram<CopyTimes>,
    /// From a copy's first byte sent to the first byte of its answer (over HTTP/2 its head); answered
    /// copies only.
    pub first_byte: Histogram<CopyTimes>,
    /// Connections that were made.
    pub connections_opened: u64,
    /// Those of them that are closed.
    pub connections_closed: u64,
    /// Addresses of the target that no connection could be made to; another one may have been tried.
    pub address_failures: u64,
    /// TLS handshakes that succeeded.
    pub tls_handshakes: u64,
    /// Those of them that went on with an earlier session.
    pub tls_resumed: u64,
    /// TLS handshakes that failed, or took too long.
    pub tls_failed: u64,
}

impl Tally {
    /// Counts an answered copy.
    pub fn count_answer(&mut self, answer: Answer) {
        self.answered[answer as usize] += 1;
    }

    /// Counts a failed copy.
    pub fn count_failure(&mut self, failure: Failure) {
        self.failed[failure as usize] += 1;
    }

    /// Counts so many copies that were not sent.
    pub fn count_drops(&mut self, reason: DropReason, count: u64) {
        self.dropped[reason as usize] += count;
    }

    /// Connections that are open now.
    #[must_use]
    pub fn connections_open(&self) -> u64 {
        self.connections_opened.saturating_sub(self.connections_closed)
    }

    /// Copies answered, by class.
    pub fn answered(&self) -> impl Iterator<Item = (Answer, u64)> + Clone + '_ {
        Answer::ALL.iter().map(|&answer| (answer, self.answered[answer as usize]))
    }

    /// Copies failed, by cause.
    pub fn failed(&self) -> impl Iterator<Item = (Failure, u64)> + Clone + '_ {
        Failure::ALL.iter().map(|&failure| (failure, self.failed[failure as usize]))
    }

    /// Copies dropped, by reason.
    pub fn dropped(&self) -> impl Iterator<Item = (DropReason, u64)> + Clone + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.dropped[reason as usize]))
    }

    /// Whether every copy is accounted for.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.received == self.accounted()
    }

    /// Copies of which nobody knows any more.
    pub(crate) fn missing(&self) -> u64 {
        self.received.saturating_sub(self.accounted())
    }

    fn accounted(&self) -> u64 {
        self.answered.iter().sum::<u64>()
            + self.failed.iter().sum::<u64>()
            + self.dropped.iter().sum::<u64>()
            + self.waiting
            + self.in_flight
    }

    /// Adds another worker's counters for the same target.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.repeats += other.repeats;
        self.answers_cut += other.answers_cut;
        self.waiting += other.waiting;
        self.in_flight += other.in_flight;
        self.request_bytes += other.request_bytes;
        self.answer_body_bytes += other.answer_body_bytes;
        self.duration.add(&other.duration);
        self.first_byte.add(&other.first_byte);
        self.connections_opened += other.connections_opened;
        self.connections_closed += other.connections_closed;
        self.address_failures += other.address_failures;
        self.tls_handshakes += other.tls_handshakes;
        self.tls_resumed += other.tls_resumed;
        self.tls_failed += other.tls_failed;
        for (sum, more) in self.answered.iter_mut().zip(other.answered) {
            *sum += more;
        }
        for (sum, more) in self.failed.iter_mut().zip(other.failed) {
            *sum += more;
        }
        for (sum, more) in self.dropped.iter_mut().zip(other.dropped) {
            *sum += more;
        }
    }

    /// The counters as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        fn nonzero<L: fmt::Display>(
            counts: impl Iterator<Item = (L, u64)>,
        ) -> serde_json::Map<String, serde_json::Value> {
            counts
                .filter(|(_, count)| *count > 0)
                .map(|(label, count)| (label.to_string(), count.into()))
                .collect()
        }
        serde_json::json!({
            "received": self.received,
            "repeats": self.repeats,
            "answered": nonzero(self.answered()),
            "answers_cut": self.answers_cut,
            "failed": nonzero(self.failed()),
            "dropped": nonzero(self.dropped()),
            "waiting": self.waiting,
            "in_flight": self.in_flight,
            "request_bytes": self.request_bytes,
            "answer_body_bytes": self.answer_body_bytes,
            "connections_opened": self.connections_opened,
            "connections_open": self.connections_open(),
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received {} = answered ", self.received)?;
        group(f, self.answered())?;
        f.write_str(" + failed ")?;
        group(f, self.failed())?;
        f.write_str(" + dropped ")?;
        group(f, self.dropped())?;
        write!(f, " + waiting {} + in flight {}", self.waiting, self.in_flight)
    }
}

/// A sum, and in parentheses what it consists of.
fn group<L: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    counts: impl Iterator<Item = (L, u64)> + Clone,
) -> fmt::Result {
    let total: u64 = counts.clone().map(|(_, count)| count).sum();
    write!(f, "{total}")?;
    if total == 0 {
        return Ok(());
    }
    for (index, (label, count)) in counts.filter(|(_, count)| *count > 0).enumerate() {
        write!(f, "{}{label} {count}", if index == 0 { " (" } else { ", " })?;
    }
    f.write_str(")")
}
