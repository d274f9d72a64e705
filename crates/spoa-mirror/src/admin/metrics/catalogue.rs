//! Every metric there is: its name, kind, labels and meaning. `docs/OPERATIONS.md` has the same list.

use prometheus::proto::MetricType;

/// What Prometheus is told of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the program ends.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations in buckets, with their sum and number.
    Histogram,
}

impl Kind {
    /// The name in the exposition.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }

    pub(super) fn encoded(self) -> MetricType {
        match self {
            Self::Counter => MetricType::COUNTER,
            Self::Gauge => MetricType::GAUGE,
            Self::Histogram => MetricType::HISTOGRAM,
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with its unit.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

macro_rules! catalogue {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) const $constant: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// All metrics, in the order in which they are shown.
        pub const CATALOGUE: &[Metric] = &[$($constant),+];
    };
}

catalogue! {
    BUILD_INFO: Gauge "spoa_mirror_build_info" ["version"]
        "The program's version, as a label; always 1.";
    WORKERS: Gauge "spoa_mirror_workers" []
        "Data plane threads.";
    DRAINING: Gauge "spoa_mirror_draining" []
        "1 once the agent was told to end and takes leave of HAProxy.";
    RELOADS: Counter "spoa_mirror_config_reloads_total" ["result"]
        "Reloads of the configuration: `done`, or `failed`, which changed nothing.";
    LAST_RELOAD_SUCCESSFUL: Gauge "spoa_mirror_config_last_reload_successful" []
        "1 if the last reload was done or there was none, 0 if it failed.";
    MEMORY_CEILING: Gauge "spoa_mirror_memory_ceiling_bytes" ["traffic"]
        "The most memory that the configuration allows, as `spoa-mirror check` computes it: `any`, whatever is sent, or `usual`, with HAProxy 3.1 or later and its `tune.bufsize` unchanged.";
    LOG_LOST: Counter "spoa_mirror_log_lost_total" []
        "Log lines, and blocks of lines about copies, that were dropped because too many came at once or nobody read them.";

    SPOP_CONNECTIONS_OPENED: Counter "spoa_mirror_spop_connections_opened_total" []
        "Connections from HAProxy, health checks included.";
    SPOP_CONNECTIONS: Gauge "spoa_mirror_spop_connections" []
        "Connections from HAProxy that are open now.";
    SPOP_CONNECTIONS_LIMIT: Gauge "spoa_mirror_spop_connections_limit" []
        "Connections from HAProxy that may be open at once.";
    SPOP_CONNECTIONS_REFUSED: Counter "spoa_mirror_spop_connections_refused_total" []
        "Connections from HAProxy that were closed because there was no room for them.";
    SPOP_ENGINE_CONNECTIONS: Gauge "spoa_mirror_spop_engine_connections" ["engine", "version"]
        "Open connections by the id of HAProxy's engine and the SPOP versions that it offers; engines over 64 count as `other`. HAProxy does not tell its own version.";
    SPOP_HEALTH_CHECKS: Counter "spoa_mirror_spop_health_checks_total" []
        "HAProxy's health checks answered.";
    SPOP_FRAMES: Counter "spoa_mirror_spop_frames_total" ["type"]
        "Frames received: `hello`, `notify`, `fragment` (what goes on with a NOTIFY), `disconnect`, `other`.";
    SPOP_ACKS: Counter "spoa_mirror_spop_acks_total" []
        "NOTIFY frames that came in full and were acknowledged; one in fragments counts once.";
    SPOP_ACK_DELAY: Histogram "spoa_mirror_spop_ack_delay_seconds" []
        "From the return of the read that brought the end of a NOTIFY to the return of the write that took its ACK: how long HAProxy's clients wait for the agent.";
    SPOP_MESSAGES: Counter "spoa_mirror_spop_messages_total" ["result"]
        "Messages in NOTIFY frames: `request` if it holds a whole request, which every target receives, `answer` if it holds production's answer to one that another message held, `incomplete` if it lacks what a copy needs.";
    SPOP_ABORTED: Counter "spoa_mirror_spop_aborted_total" []
        "Fragmented NOTIFY frames that HAProxy gave up.";
    SPOP_PROTOCOL_ERRORS: Counter "spoa_mirror_spop_protocol_errors_total" ["code"]
        "Connections ended because of a malformed frame, by the SPOP status code that HAProxy was told.";
    SPOP_DISCONNECTS: Counter "spoa_mirror_spop_disconnects_total" ["code"]
        "Connections that HAProxy ended, by the SPOP status code that it told.";
    SPOP_RECEIVED_BYTES: Counter "spoa_mirror_spop_received_bytes_total" []
        "Bytes received from HAProxy.";
    SPOP_SENT_BYTES: Counter "spoa_mirror_spop_sent_bytes_total" []
        "Bytes sent to HAProxy.";

    RECEIVED: Counter "spoa_mirror_target_received_total" ["target"]
        "Requests that came for the target, and copies more than one of a request: answered + failed + dropped + waiting + in flight.";
    REPEATS: Counter "spoa_mirror_target_repeats_total" ["target"]
        "Second copies of requests that the target gets twice, to hold its two answers against each other; they are among the received ones.";
    ANSWERED: Counter "spoa_mirror_target_answered_total" ["target", "class"]
        "Copies answered, by class of status; `unparsable` if the answer was no HTTP.";
    FAILED: Counter "spoa_mirror_target_failed_total" ["target", "cause", "fault"]
        "Copies that were to be sent and have no answer, by cause and by whose fault it is.";
    DROPPED: Counter "spoa_mirror_target_dropped_total" ["target", "reason", "class", "fault"]
        "Requests that were not copied, by reason, its class, and whose doing it is.";
    ANSWERS_CUT: Counter "spoa_mirror_target_answers_cut_total" ["target"]
        "Answers over the size limit, of which the rest was not read; they count as answered.";
    QUEUE_COPIES: Gauge "spoa_mirror_target_queue_copies" ["target"]
        "Copies that wait for a connection now.";
    QUEUE_COPIES_LIMIT: Gauge "spoa_mirror_target_queue_copies_limit" ["target"]
        "Copies that may wait at once.";
    QUEUE_BYTES: Gauge "spoa_mirror_target_queue_bytes" ["target"]
        "Bytes of the copies that wait now.";
    QUEUE_BYTES_LIMIT: Gauge "spoa_mirror_target_queue_bytes_limit" ["target"]
        "Bytes of copies that may wait at once.";
    QUEUE_AGE_LIMIT: Gauge "spoa_mirror_target_queue_age_limit_seconds" ["target"]
        "A copy that waited longer is dropped.";
    IN_FLIGHT: Gauge "spoa_mirror_target_in_flight" ["target"]
        "Copies sent, or being sent, and not yet answered now.";
    IN_FLIGHT_LIMIT: Gauge "spoa_mirror_target_in_flight_limit" ["target"]
        "Copies that may be in flight at once, now: an adaptive limit moves.";
    PAUSED: Gauge "spoa_mirror_target_paused" ["target"]
        "1 while requests for the target are only counted.";
    SAMPLE_RATIO: Gauge "spoa_mirror_target_sample_ratio" ["target"]
        "The share of requests that is copied, from 0 to 1.";
    RATE_LIMIT: Gauge "spoa_mirror_target_rate_limit_per_second" ["target"]
        "Copies that the target gets in a second at most; absent without a limit.";
    BREAKER_STATE: Gauge "spoa_mirror_target_breaker_state" ["target", "state"]
        "1 for what the target's circuit breaker does with copies now: `closed` lets them pass, `open` none, `half-open` a few; absent without one.";
    BREAKER_OPENED: Counter "spoa_mirror_target_breaker_opened_total" ["target"]
        "How often the circuit breaker opened since the target was configured; absent without one.";
    REQUEST_BYTES: Counter "spoa_mirror_target_request_bytes_total" ["target"]
        "Bytes of requests sent, heads and bodies, of copies that were answered or failed; over HTTP/2 what HTTP/1 would have taken.";
    ANSWER_BODY_BYTES: Counter "spoa_mirror_target_answer_body_bytes_total" ["target"]
        "Bytes of the bodies of answers, without their framing.";
    DURATION: Histogram "spoa_mirror_target_duration_seconds" ["target"]
        "From the first byte of a copy sent to the last byte of its answer; answered copies only.";
    FIRST_BYTE: Histogram "spoa_mirror_target_first_byte_seconds" ["target"]
        "From the first byte of a copy sent to the first byte of its answer (over HTTP/2: its head); answered copies only.";
    CONNECTIONS: Gauge "spoa_mirror_target_connections" ["target"]
        "Connections to the target that are open now.";
    CONNECTIONS_LIMIT: Gauge "spoa_mirror_target_connections_limit" ["target"]
        "Connections to the target that may be open at once.";
    CONNECTIONS_OPENED: Counter "spoa_mirror_target_connections_opened_total" ["target"]
        "Connections made to the target.";
    CONNECTIONS_CLOSED: Counter "spoa_mirror_target_connections_closed_total" ["target"]
        "Connections to the target that were closed, by either side.";
    ADDRESS_FAILURES: Counter "spoa_mirror_target_address_failures_total" ["target"]
        "Addresses of the target that no TCP connection could be made to; others may have been tried for the same copy.";
    TLS_HANDSHAKES: Counter "spoa_mirror_target_tls_handshakes_total" ["target", "result"]
        "TLS handshakes: `full`, `resumed` (with an earlier session), `failed` (or took too long).";

    COMPARISON_COPIES: Counter "spoa_mirror_comparison_copies_total" []
        "Copies whose answers are to be compared: pairs + control pairs + unpaired + waiting. It and its like are absent until a target's answers are first compared.";
    COMPARISON_PAIRS: Counter "spoa_mirror_comparison_pairs_total" ["target", "result"]
        "Copies that met production's answer: `same`, `different`, `incomparable` (nothing is known to differ, and not everything could be compared), `failed` (the copy has no answer).";
    COMPARISON_CONTROL: Counter "spoa_mirror_comparison_control_pairs_total" ["target", "result"]
        "Second copies of requests that a target got twice, and that met its first answer: `same`, `different`, `incomparable`, `failed`. What differs there is noise.";
    COMPARISON_UNPAIRED: Counter "spoa_mirror_comparison_unpaired_total" ["half", "reason"]
        "Halves of pairs that met no other half. Of `shadow`: `not-sent` (the copy was dropped), `without-production` (production's answer did not come in time), `without-first` (a second copy whose first was not answered); of `production`: `without-shadow`; of both: `pushed-out` (given up early) and `lost` for want of `comparison.memory`.";
    COMPARISON_WAITING: Gauge "spoa_mirror_comparison_waiting" ["half"]
        "Halves that may yet meet the other one: of `shadow` with the copies under way.";
    COMPARISON_HELD: Gauge "spoa_mirror_comparison_held_bytes" []
        "Bytes of answers and requests that comparison holds now.";
    COMPARISON_MEMORY: Gauge "spoa_mirror_comparison_memory_limit_bytes" []
        "Bytes of answers and requests that comparison may hold.";
    VERDICT: Gauge "spoa_mirror_verdict" ["target", "answer"]
        "1 for the answer to whether the candidate may be shipped, 0 for the others: `pass`, `fail`, `not-enough-data`.";
    VERDICT_REASONS: Gauge "spoa_mirror_verdict_reasons" ["target"]
        "Reasons to fail.";
    VERDICT_REQUESTS: Gauge "spoa_mirror_verdict_requests" ["target"]
        "The candidate's requests that were judged; 0 when a run begins.";
    HISTORY_BYTES: Gauge "spoa_mirror_history_bytes" []
        "Size of the history, without its write-ahead log. It and its like are absent where none is kept.";
    HISTORY_LIMIT: Gauge "spoa_mirror_history_limit_bytes" []
        "What the history may grow to.";
    HISTORY_LOST: Counter "spoa_mirror_history_lost_total" []
        "Writes to the history that were given up: too many at once, or the database failed.";
    HISTORY_ERRORS: Counter "spoa_mirror_history_errors_total" []
        "What the history's database failed to do; the log says why.";

    CPU_SECONDS: Counter "process_cpu_seconds_total" []
        "User and system CPU time spent, in seconds.";
    RESIDENT_BYTES: Gauge "process_resident_memory_bytes" []
        "Resident memory.";
    VIRTUAL_BYTES: Gauge "process_virtual_memory_bytes" []
        "Virtual memory.";
    OPEN_FDS: Gauge "process_open_fds" []
        "Open file descriptors.";
    MAX_FDS: Gauge "process_max_fds" []
        "File descriptors that may be open.";
    THREADS: Gauge "process_threads" []
        "Threads.";
    START_TIME: Gauge "process_start_time_seconds" []
        "When the process started, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_counter_is() {
        for metric in CATALOGUE {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{metric:?}");
            assert!(metric.help.ends_with('.'), "{metric:?}");
        }
    }
}
