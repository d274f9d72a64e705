//! What is told of an agent that was asked, and what is wrong with it.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::agent::{Greeting, Trouble};
use super::copies::{self, Copy, Outcome};
use super::socket::Running;
use super::{Probe, Test};
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::lines::shown;

pub(super) static AGENT_UNREACHABLE: Code = code!("agent-unreachable");
pub(super) static AGENT_NOT_SPOP: Code = code!("agent-not-spop");
pub(super) static AGENT_FAILS_CHECK: Code = code!("agent-fails-check");
pub(super) static AGENT_FRAME_SMALL: Code = code!("agent-frame-small");
pub(super) static AGENT_NO_PIPELINING: Code = code!("agent-no-pipelining");
pub(super) static AGENT_HELLO_SPLIT: Code = code!("agent-hello-split");
pub(super) static AGENT_SLOW: Code = code!("agent-slow");
pub(super) static AGENT_NO_ACK: Code = code!("agent-no-ack");
pub(super) static TEST_COPY_FAILED: Code = code!("test-copy-failed");
pub(super) static TEST_COPY_NOT_SENT: Code = code!("test-copy-not-sent");
pub(super) static TEST_COPY_UNKNOWN: Code = code!("test-copy-unknown");

/// A frame may hold this much less than its size, in bytes: HAProxy leaves it for the frame's own fields.
const FRAME_OVERHEAD: u32 = 32;

/// An answer to a message that takes longer is slow where the files do not say how long HAProxy waits.
const SLOW: Duration = Duration::from_millis(200);

/// An answer to a HELLO that takes longer is slow: requests wait for it only where there is no connection yet.
const SLOW_HELLO: Duration = Duration::from_secs(1);

/// What was seen, for people and programs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Seen {
    /// The running HAProxy.
    pub(crate) haproxy: Option<Running>,
    /// The agent.
    pub(crate) agent: Option<SeenAgent>,
}

/// An agent that answered.
#[derive(Debug, Serialize)]
pub(crate) struct SeenAgent {
    address: String,
    #[serde(flatten)]
    hello: Option<Greeting>,
    test: Option<SeenTest>,
}

/// The test request.
#[derive(Debug, Serialize)]
struct SeenTest {
    /// The value of its header `x-spoa-mirror-doctor`.
    id: String,
    acknowledged_us: Option<u64>,
    /// What became of its copies, where the admin API was asked.
    copies: Option<Vec<Copy>>,
}

/// What is wrong with what an agent said; `patience` is how long HAProxy waits for it.
pub(super) fn examine(
    probe: &Probe,
    patience: Option<Duration>,
    seen: &mut Seen,
    findings: &mut Vec<Finding>,
) {
    let address = probe.address.to_string();
    let hello = probe.traffic.as_ref().and_then(|answer| answer.as_ref().ok());
    match (&probe.check, &probe.traffic) {
        (_, Some(Err(trouble))) => findings.push(broken(&address, trouble)),
        (Err(trouble), None) => findings.push(broken(&address, trouble)),
        (Err(trouble), Some(Ok(_))) => findings.push(fails_check(&address, trouble)),
        (Ok(_), _) => {}
    }
    if let Some(hello) = hello {
        findings.extend(frame_small(&address, hello));
        findings.extend(no_pipelining(&address, hello));
        findings.extend(hello_split(&address, hello));
        let took = Duration::from_micros(hello.took_us);
        findings.extend((took > SLOW_HELLO).then(|| slow(&address, "HELLO", took, patience)));
    }
    let test = probe.test.as_ref().map(|test| {
        examine_test(&address, test, patience, findings);
        SeenTest {
            id: test.id.clone(),
            acknowledged_us: test.acknowledged.as_ref().ok().map(|took| micros(*took)),
            copies: test.copies.as_ref().and_then(|told| told.as_ref().ok().cloned().flatten()),
        }
    });
    if hello.is_some() || probe.check.is_ok() {
        seen.agent = Some(SeenAgent { address, hello: hello.cloned(), test });
    }
}

/// The finding for what stood in the way of asking at all.
pub(super) fn cannot(error: &str) -> Finding {
    Finding::new(&AGENT_UNREACHABLE, Severity::Error, format!("the agent was not asked: {error}"))
}

fn broken(address: &str, trouble: &Trouble) -> Finding {
    let message = format!("{address} {}", trouble.told());
    match trouble {
        Trouble::Unreachable(_) => Finding::new(&AGENT_UNREACHABLE, Severity::Error, message)
            .consequence("nothing is mirrored through this agent")
            .mend("start the agent, and look at which address it says it listens"),
        Trouble::Silent => Finding::new(&AGENT_NOT_SPOP, Severity::Error, message)
            .consequence("each request waits as long as `timeout processing` says")
            .mend("restart the agent if it is one: it hangs. Is it the agent's port?"),
        _ => Finding::new(&AGENT_NOT_SPOP, Severity::Error, message)
            .consequence("HAProxy cannot talk to it: nothing is mirrored")
            .mend("give the address that the agent says it listens at, not that of its admin API"),
    }
}

fn fails_check(address: &str, trouble: &Trouble) -> Finding {
    let message = format!(
        "{address} takes part in traffic, but with the HELLO of a health check it {}",
        trouble.told()
    );
    Finding::new(&AGENT_FAILS_CHECK, Severity::Error, message)
        .consequence("with `option spop-check` HAProxy takes it for dead, and nothing is mirrored")
        .mend("bring the agent up to date; until then check it without `option spop-check`")
}

fn frame_small(address: &str, hello: &Greeting) -> Option<Finding> {
    (hello.max_frame_size < hello.offered_frame_size).then(|| {
        let message = format!(
            "{address} takes frames of up to {} bytes, of {} that HAProxy offers",
            hello.max_frame_size, hello.offered_frame_size
        );
        Finding::new(&AGENT_FRAME_SMALL, Severity::Warning, message)
            .consequence(format!(
                "requests whose headers and body take more than {} bytes are not mirrored (HAProxy since \
                 3.1), or only in fragments",
                hello.max_frame_size.saturating_sub(FRAME_OVERHEAD)
            ))
            .mend("raise the agent's limit: `--max-frame-size`, or `max-frame-size` under `[agent]`")
    })
}

fn no_pipelining(address: &str, hello: &Greeting) -> Option<Finding> {
    (!hello.pipelining).then(|| {
        let message = format!("{address} does not announce pipelining");
        Finding::new(&AGENT_NO_PIPELINING, Severity::Warning, message)
            .consequence("HAProxy needs a connection for each request that is under way at once")
            .mend("use an agent that announces it; spoa-mirror always does")
    })
}

fn hello_split(address: &str, hello: &Greeting) -> Option<Finding> {
    hello.split.then(|| {
        let message = format!("{address} sends its HELLO in several pieces");
        Finding::new(&AGENT_HELLO_SPLIT, Severity::Warning, message)
            .consequence("HAProxy since 3.1 resets the connection when that happens, and mirrors nothing")
            .mend("use an agent that writes each frame at once; spoa-mirror does. Is there a proxy in between?")
    })
}

fn slow(address: &str, what: &str, took: Duration, patience: Option<Duration>) -> Finding {
    let message = format!("{address} took {} to answer {what}", rounded(took));
    let consequence = match patience.filter(|patience| took > *patience) {
        Some(patience) => format!(
            "that is longer than `timeout processing` ({}): HAProxy gives up before it comes",
            shown(patience)
        ),
        None => "each request waits for the agent's answer, up to `timeout processing`".to_owned(),
    };
    Finding::new(&AGENT_SLOW, Severity::Warning, message)
        .consequence(consequence)
        .mend("run the agent beside HAProxy, and give it the processor time that it needs")
}

fn examine_test(
    address: &str,
    test: &Test,
    patience: Option<Duration>,
    findings: &mut Vec<Finding>,
) {
    match &test.acknowledged {
        Ok(took) if *took > patience.unwrap_or(SLOW) => {
            findings.push(slow(address, "a message", *took, patience));
        }
        Ok(_) => {}
        Err(trouble) => {
            let message =
                format!("{address} does not acknowledge a message: it {}", trouble.told());
            findings.push(
                Finding::new(&AGENT_NO_ACK, Severity::Error, message)
                    .consequence("each request waits as long as `timeout processing` says")
                    .mend("restart the agent, and tell what its log says"),
            );
        }
    }
    match &test.copies {
        Some(Ok(Some(copies))) => findings.extend(copies.iter().filter_map(copy)),
        Some(Ok(None)) => {
            let message =
                format!("the agent behind `--admin` did not receive the test request of {address}");
            findings.push(
                unknown(message).mend("give `--agent` and `--admin` of the same agent").consequence(
                    "what became of the copies is not known: it is another agent, or this one takes no \
                     such messages",
                ),
            );
        }
        Some(Err(error)) => findings.push(
            unknown(error.clone()).consequence("what became of the copies is not known").mend(
                "give the address of the agent's admin API: `--admin`, or `listen` under `[admin]`",
            ),
        ),
        None => {}
    }
}

fn copy(copy: &Copy) -> Option<Finding> {
    let target = &copy.target;
    match &copy.outcome {
        Outcome::Answered(_) => None,
        Outcome::Failed(cause) => {
            let message = format!("the test copy for target `{target}` failed: {cause}");
            let finding = Finding::new(&TEST_COPY_FAILED, Severity::Error, message)
                .consequence("other copies for it fail in the same way")
                .mend("look at the target's URL, and at what listens there");
            Some(finding)
        }
        Outcome::NotSent(reason) => {
            let wanted = copies::is_wanted(reason);
            let severity = if wanted { Severity::Hint } else { Severity::Warning };
            let message = format!("the test copy for target `{target}` was not sent: {reason}");
            let finding = Finding::new(&TEST_COPY_NOT_SENT, severity, message)
                .consequence(if wanted {
                    "the configuration or an operator wants it so"
                } else {
                    "other copies for it are lost in the same way"
                })
                .mend(not_sent(reason));
            Some(finding)
        }
        Outcome::Unended => {
            let message = format!("the test copy for target `{target}` has not ended after 12 s");
            Some(
                unknown(message)
                    .consequence("the target is slow, or its timeouts are long")
                    .mend("`spoa-mirror status --watch` shows how it ends"),
            )
        }
        Outcome::Unclear(ends) => {
            let message = format!("target `{target}` got other copies at the same time: {ends}");
            Some(
                unknown(message)
                    .consequence("counters do not tell which of them was the test copy")
                    .mend(format!("look for the header `{}` in the target's log", copies::MARKER)),
            )
        }
        Outcome::NotReceived => {
            let message = format!("target `{target}` was not offered the test request");
            Some(unknown(message).consequence("it may have been added just now").mend("try again"))
        }
    }
}

/// What to do about a copy that was not sent.
fn not_sent(reason: &str) -> &'static str {
    match reason {
        "paused" => "`spoa-mirror resume` copies again",
        "not-matched" => "give a URL that its `match` takes: `--send http://HOST/PATH`",
        "not-sampled" => "try again: its sample left this one out",
        "loop" => "the agent's marker header came with it: is a copy mirrored once more?",
        "breaker-open" => {
            "the target failed too often: `spoa-mirror status` shows when it is tried again"
        }
        _ => "`spoa-mirror status` shows how often that happens, docs/OPERATIONS.md what it means",
    }
}

fn unknown(message: String) -> Finding {
    Finding::new(&TEST_COPY_UNKNOWN, Severity::Hint, message)
}

impl Seen {
    /// Whether nothing was seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.haproxy.is_none() && self.agent.is_none()
    }

    /// What was seen, in lines for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        if let Some(running) = &self.haproxy {
            let through = if running.through_master { " (its master)" } else { "" };
            let _ = writeln!(text, "HAProxy {} at {}{through}", running.version, running.socket);
            for server in &running.servers {
                let check = match (server.check.as_str(), server.check_ms) {
                    ("", _) => String::new(),
                    (check, Some(ms)) => format!(", check {check} in {ms} ms"),
                    (check, None) => format!(", check {check}"),
                };
                let _ = writeln!(
                    text,
                    "  {}/{}: {}{check}; connections {} (at most {}), not come about {}, broken off {}",
                    server.backend,
                    server.name,
                    server.status,
                    server.sessions,
                    server.most_sessions,
                    server.connect_errors,
                    server.response_errors
                );
            }
        }
        if let Some(agent) = &self.agent {
            agent.tell(&mut text);
        }
        text
    }
}

impl SeenAgent {
    fn tell(&self, text: &mut String) {
        let _ = write!(text, "agent at {}", self.address);
        if let Some(hello) = &self.hello {
            let able = [
                (hello.pipelining, "pipelining"),
                (hello.fragmentation, "fragmentation"),
                (hello.asynchronous, "async"),
            ];
            let able: Vec<&str> =
                able.iter().filter_map(|(on, name)| on.then_some(*name)).collect();
            let able = if able.is_empty() { "nothing else".to_owned() } else { able.join(", ") };
            let took = rounded(Duration::from_micros(hello.took_us));
            let _ = write!(
                text,
                ": SPOP {}, frames up to {} bytes, {able}; HELLO answered in {took}",
                hello.version, hello.max_frame_size
            );
        }
        let _ = writeln!(text);
        let Some(test) = &self.test else { return };
        let took = test.acknowledged_us.map_or_else(
            || "not acknowledged".to_owned(),
            |took| format!("acknowledged in {}", rounded(Duration::from_micros(took))),
        );
        let _ = writeln!(text, "  test request {}: {id}: {took}", copies::MARKER, id = test.id);
        for copy in test.copies.iter().flatten() {
            let _ = writeln!(text, "  copy for {}: {}", copy.target, copy.outcome.told());
        }
    }
}

/// A time with the digits that a person wants.
fn rounded(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
