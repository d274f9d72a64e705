//! Repeated messages are summed up: the first of a kind is logged at once, those that follow are
//! counted, and the count comes with the next one that is logged.

use std::time::{Duration, Instant};

/// Lets one message through in each interval.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    last: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// Between two messages of one kind.
    const INTERVAL: Duration = Duration::from_secs(30);

    /// Whether a message may be logged now; if so, how many were not since the last one.
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < Self::INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// What a log line says of the messages that were not logged.
#[must_use]
pub fn suppressed(count: u64) -> String {
    if count == 0 { String::new() } else { format!(" (and {count} more since the last such line)") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_passes_and_the_rest_are_counted() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.allow(start), Some(0));
        assert_eq!(throttle.allow(start), None);
        assert_eq!(throttle.allow(start + Duration::from_secs(29)), None);
        assert_eq!(throttle.allow(start + Duration::from_secs(31)), Some(2));
        assert_eq!(throttle.allow(start + Duration::from_secs(62)), Some(0));
    }
}
