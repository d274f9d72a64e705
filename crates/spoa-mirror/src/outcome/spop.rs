//! The counters of HAProxy's side.

use std::fmt;

use spop_proto::{FrameCounts, Status};

use super::{AckDelays, Histogram};

/// The counters of the SPOP side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpopTally {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// Health checks answered.
    pub health_checks: u64,
    /// NOTIFY frames acknowledged.
    pub notifies: u64,
    /// Messages in them.
    pub messages: u64,
    /// Messages that hold a whole request: what each target receives.
    pub requests: u64,
    /// Messages that hold production's answer to a request that another message held.
    pub answers: u64,
    /// Messages that lack what a copy needs.
    pub incomplete: u64,
    /// Fragmented frames that HAProxy gave up.
    pub aborted: u64,
    /// Connections ended because of a malformed frame, by the status that HAProxy was told.
    pub protocol_errors: StatusCounts,
    /// Connections that HAProxy ended, by the status that it told.
    pub disconnects: StatusCounts,
    /// Frames received, by type.
    pub frames: FrameCounts,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// From the return of the read that brought the last byte of a NOTIFY to the return of the write
    /// that took the last byte of its ACK.
    pub ack_delay: Histogram<AckDelays>,
}

/// How often each status was told. Codes that the SPOP document does not list count as 99, unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusCounts([u64; LISTED + 1]);

/// Codes from 0 that the document lists without a gap.
const LISTED: usize = 14;

impl StatusCounts {
    /// Counts one.
    pub fn count(&mut self, status: Status) {
        let code = usize::try_from(status.code()).unwrap_or(LISTED);
        self.0[code.min(LISTED)] += 1;
    }

    /// How often a status was told, whichever.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Each status, and how often it was told.
    pub fn iter(&self) -> impl Iterator<Item = (Status, u64)> + '_ {
        let codes = (0..=13).chain([99]);
        codes.zip(self.0).map(|(code, count)| (Status::from_code(code), count))
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }
}

impl SpopTally {
    /// Adds another worker's counters.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.open += other.open;
        self.health_checks += other.health_checks;
        self.notifies += other.notifies;
        self.messages += other.messages;
        self.requests += other.requests;
        self.answers += other.answers;
        self.incomplete += other.incomplete;
        self.aborted += other.aborted;
        self.protocol_errors.add(&other.protocol_errors);
        self.disconnects.add(&other.disconnects);
        self.frames.add(&other.frames);
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.ack_delay.add(&other.ack_delay);
    }

    /// The counters as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "connections": self.connections,
            "open": self.open,
            "health_checks": self.health_checks,
            "notifies": self.notifies,
            "messages": self.messages,
            "requests": self.requests,
            "answers": self.answers,
            "incomplete": self.incomplete,
            "aborted": self.aborted,
            "protocol_errors": self.protocol_errors.total(),
            "bytes_received": self.bytes_received,
            "bytes_sent": self.bytes_sent,
        })
    }
}

impl fmt::Display for SpopTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "connections {} (open {}), health checks {}, NOTIFY frames {}, messages {} = requests {}",
            self.connections,
            self.open,
            self.health_checks,
            self.notifies,
            self.messages,
            self.requests,
        )?;
        if self.answers > 0 {
            write!(f, " + answers {}", self.answers)?;
        }
        let errors = self.protocol_errors.total();
        write!(
            f,
            " + incomplete {}, aborted {}, protocol errors {errors}",
            self.incomplete, self.aborted
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_counted_under_its_code_or_as_unknown() {
        let mut counts = StatusCounts::default();
        for code in [0, 4, 13, 14, 99, 4_000_000_000] {
            counts.count(Status::from_code(code));
        }
        let told: Vec<(u32, u64)> = counts
            .iter()
            .filter(|&(_, count)| count > 0)
            .map(|(status, count)| (status.code(), count))
            .collect();
        assert_eq!(told, [(0, 1), (4, 1), (13, 1), (99, 3)]);
        assert_eq!(counts.total(), 6);
    }
}
