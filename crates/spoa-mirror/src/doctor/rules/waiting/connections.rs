//! Connections to the agent: the timeouts that HAProxy before 3.1 takes from the SPOE file, and how many there
//! may be.

use std::time::Duration;

use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::spoe::SpoeAgent;
use crate::doctor::setup::{Filter, Proxy, Setup, Value};
use crate::doctor::versions::{AGENT_TIMEOUTS, MESSAGES_ARE_STREAMS};

pub(super) static HELLO: Code = code!("hello-timeout");
pub(super) static IDLE: Code = code!("idle-timeout");
pub(super) static MAXCONN: Code = code!("agent-maxconn");

/// A connection that an agent does not greet is of no use for so long.
const LONGEST_HELLO: Duration = Duration::from_secs(5);

/// Below this a moment without requests costs the next one a new connection.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);

/// As many messages HAProxy before 3.1 has on the way on one connection; later ones count messages, not
/// connections.
const FEW: u64 = 20;

/// What the guide says, for both.
const RECOMMENDED_HELLO: &str = "500ms";
const RECOMMENDED_IDLE: &str = "5s";

pub(super) fn hello(setup: &Setup<'_>, agent: &SpoeAgent<'_>) -> Option<Finding> {
    let versions = AGENT_TIMEOUTS.versions;
    let setting = Setting::of(setup, agent, "hello")?;
    let name = agent.lines.name();
    let (message, consequence) = match setting.time {
        None => (
            format!("agent `{name}` has no `timeout hello`"),
            format!(
                "with HAProxy {versions}, each request opens one more connection to an agent that hangs, and \
                 none is ever closed"
            ),
        ),
        Some(time) if time > LONGEST_HELLO => (
            format!("agent `{name}` has a long `timeout hello`: {}", setting.shown()),
            format!(
                "with HAProxy {versions}, each request opens one more connection to an agent that hangs, which \
                 stays for {} ms: at 100 requests a second there are {}",
                time.as_millis(),
                time.as_millis() / 10
            ),
        ),
        Some(_) => return None,
    };
    Some(setting.finding(&HELLO, message, consequence, RECOMMENDED_HELLO))
}

pub(super) fn idle(setup: &Setup<'_>, agent: &SpoeAgent<'_>) -> Option<Finding> {
    let versions = AGENT_TIMEOUTS.versions;
    let setting = Setting::of(setup, agent, "idle")?;
    let name = agent.lines.name();
    let (message, consequence) = match setting.time {
        None => (
            format!("agent `{name}` has no `timeout idle`"),
            format!(
                "HAProxy {versions} warns of it at each start, and does not close connections to the agent that \
                 are left over from a burst"
            ),
        ),
        Some(time) if time < SHORTEST_IDLE => (
            format!("agent `{name}` has a short `timeout idle`: {}", setting.shown()),
            format!(
                "with HAProxy {versions}, a request that comes {} ms after the last one waits for a new \
                 connection and its HELLO",
                time.as_millis()
            ),
        ),
        Some(_) => return None,
    };
    Some(setting.finding(&IDLE, message, consequence, RECOMMENDED_IDLE))
}

/// `maxconn` on servers that are agents.
pub(super) fn maxconn(setup: &Setup<'_>, filter: &Filter<'_>) -> Vec<Finding> {
    let servers = setup.agents_of(filter).map(Proxy::servers).unwrap_or_default();
    let limited = servers.iter().filter_map(|server| {
        let value = server.value("maxconn")?;
        let limit = value.size().filter(|limit| (1..FEW).contains(limit))?;
        let message = format!("agent server `{}` takes few connections: maxconn {limit}", server.name());
        let finding = Finding::new(&MAXCONN, Severity::Warning, message);
        Some(
            finding
                .at(value.place())
                .consequence(format!(
                    "with HAProxy {}, of messages that come while {limit} wait for the agent none is handed over \
                     before one of these has its answer: their clients wait, and their copies may be lost; \
                     earlier ones open a new connection for nearly every message",
                    MESSAGES_ARE_STREAMS.versions
                ))
                .mend("leave `maxconn` out: the agent takes what comes, and has limits of its own")
                .edit(value.at.replaced(&without(&value))),
        )
    });
    limited.collect()
}

/// The statement without a setting and its value.
fn without(value: &Value<'_>) -> String {
    let words = &value.at.line.words;
    let index = words.iter().position(|word| word.span == value.word.span).unwrap_or_default();
    let kept = words.iter().enumerate().filter(|(at, _)| *at != index && at + 1 != index);
    let shown: Vec<_> = kept.map(|(_, word)| value.at.shown(word)).collect();
    shown.join(" ")
}

/// A timeout of a `spoe-agent` section, where HAProxy heeds it.
struct Setting<'a, 's> {
    agent: &'s SpoeAgent<'a>,
    name: &'static str,
    value: Option<Value<'a>>,
    /// What it says; `None` without it, and for 0, which means the same.
    time: Option<Duration>,
    severity: Severity,
}

impl<'a, 's> Setting<'a, 's> {
    /// Nothing if HAProxy does not heed it, or if it cannot be understood.
    fn of(setup: &Setup<'_>, agent: &'s SpoeAgent<'a>, name: &'static str) -> Option<Self> {
        if !AGENT_TIMEOUTS.may_hold(setup.version) {
            return None;
        }
        // Of a HAProxy of an unknown version it is not known whether it matters.
        let known = AGENT_TIMEOUTS.holds(setup.version);
        let severity = if known { Severity::Warning } else { Severity::Hint };
        let value = agent.lines.value(&["timeout", name]);
        let time = match value {
            Some(value) => Some(value.time()?).filter(|time| !time.is_zero()),
            None => None,
        };
        Some(Self { agent, name, value, time, severity })
    }

    fn shown(&self) -> std::borrow::Cow<'a, str> {
        self.value.map_or("".into(), |value| value.shown())
    }

    fn finding(
        &self,
        code: &'static Code,
        message: String,
        consequence: String,
        recommended: &str,
    ) -> Finding {
        let statement = format!("timeout {} {recommended}", self.name);
        let (place, edit) = match self.value {
            Some(value) => (value.place(), value.replaced(recommended)),
            None => {
                let lines = &self.agent.lines;
                (lines.header.place(), lines.extended(&[&statement]))
            }
        };
        Finding::new(code, self.severity, message)
            .at(place)
            .consequence(consequence)
            .mend(format!("say `{statement}`"))
            .edit(edit)
    }
}
