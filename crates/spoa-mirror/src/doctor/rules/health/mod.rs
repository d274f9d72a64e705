//! Whether HAProxy notices that an agent is gone, how soon, and what clients pay until then.

mod checks;
mod cost;

use std::time::Duration;

use super::Topic;
use crate::doctor::finding::{Code, Edit, Finding, Severity, code};
use crate::doctor::setup::lines::shown;
use crate::doctor::setup::{At, Known, Proxy, Server, Setup};
use crate::doctor::versions::DEAD_WAITS_PROCESSING;
use checks::Check;
use cost::{Timing, Waiting, time};

static AGENT_UNCHECKED: Code = code!("agent-unchecked");
static CHECK_NOT_SPOP: Code = code!("check-not-spop");
static CHECK_CANNOT_WORK: Code = code!("check-cannot-work");
static CHECK_SLOW: Code = code!("check-slow");
static DOWN_AGENT_KEPT: Code = code!("down-agent-kept");
static RETRIES_ON_AGENT: Code = code!("retries-on-agent");
static CONNECT_TIMEOUT_MISSING: Code = code!("connect-timeout-missing");

pub(super) const TOPIC: Topic = Topic {
    codes: &[
        &AGENT_UNCHECKED,
        &CHECK_CANNOT_WORK,
        &CHECK_NOT_SPOP,
        &CHECK_SLOW,
        &DOWN_AGENT_KEPT,
        &RETRIES_ON_AGENT,
        &CONNECT_TIMEOUT_MISSING,
    ],
    examine,
};

/// An agent that hangs should be noticed within this time.
const NOTICED_IN: Duration = Duration::from_secs(10);

/// Time enough for a check.
const SOON: Duration = Duration::from_secs(1);

/// A wait of this much and more is worth a finding of its own: clients feel it.
const FELT: Duration = Duration::from_millis(50);

/// Time enough for a connection to an agent that is near.
const NEAR: Duration = Duration::from_millis(100);

/// What the documented configuration has behind an agent's address.
const CHECKED: &str = "check inter 1s fastinter 200ms fall 2";

/// A backend with agents.
struct Agents<'s, 'a> {
    backend: &'s Proxy<'a>,
    servers: Vec<Server<'a>>,
    /// How its check is done.
    check: Check<'a>,
    waiting: Waiting,
    version: Known,
}

fn examine(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    for agents in all(setup) {
        // Where the check does nothing, its kind and its times are no matter of their own.
        if let Some(finding) = agents.cannot_work().or_else(|| agents.unchecked()) {
            findings.push(finding);
        } else {
            findings.extend(agents.not_spop());
            findings.extend(agents.slow());
            findings.extend(agents.kept_when_down());
        }
        findings.extend(agents.retries());
        findings.extend(agents.connect_timeout());
    }
}

/// How soon HAProxy notices, at the latest, that an agent of this backend is gone, and that one hangs; none where
/// no check would.
pub(crate) fn noticed(backend: &Proxy<'_>) -> Option<(Duration, Duration)> {
    let servers = backend.servers();
    let is_checked =
        !servers.is_empty() && servers.iter().all(|server| server.flag("check").is_some());
    if !is_checked || !Check::of(&backend.lines).is_spop() {
        return None;
    }
    let timings = servers.iter().map(|server| Timing::new(&backend.lines, server));
    let slowest = timings.max_by_key(|timing| timing.notices_hung())?;
    Some((slowest.notices_refused(), slowest.notices_hung()))
}

/// The backends that hold the agents of the filters that mirror, each once; of several filters the one whose
/// requests wait longest counts.
fn all<'s, 'a>(setup: &'s Setup<'a>) -> Vec<Agents<'s, 'a>> {
    let mut all: Vec<Agents<'s, 'a>> = Vec::new();
    for filter in setup.mirrors() {
        let (Some(backend), Some(spoe)) = (setup.agents_of(filter), &filter.spoe) else { continue };
        let Some(agent) = &spoe.agent else { continue };
        let processing =
            agent.lines.value(&["timeout", "processing"]).and_then(|value| value.time());
        let waiting = Waiting::new(&backend.lines, processing);
        if let Some(known) = all.iter_mut().find(|known| std::ptr::eq(known.backend, backend)) {
            let both = known.waiting.processing.zip(processing);
            known.waiting.processing = both.map(|(one, other)| one.max(other));
            continue;
        }
        let servers = backend.servers();
        // What a template makes, and what has no servers, others speak of.
        if !servers.is_empty() {
            let check = Check::of(&backend.lines);
            all.push(Agents { backend, servers, check, waiting, version: setup.version });
        }
    }
    all
}

impl<'a> Agents<'_, 'a> {
    fn name(&self) -> String {
        self.backend.name().into_owned()
    }

    /// The servers that HAProxy does not check.
    fn without_check(&self) -> Vec<&Server<'a>> {
        let checked = |server: &&Server<'a>| {
            server.flag("check").is_some() || server.value("track").is_some()
        };
        self.servers.iter().filter(|server| !checked(server)).collect()
    }

    fn checked(&self) -> impl Iterator<Item = &Server<'a>> {
        self.servers.iter().filter(|server| server.flag("check").is_some())
    }

    /// What each request pays while an agent is gone.
    fn pays(&self) -> String {
        let refused = self.waiting.refused().told(self.version);
        let hung = self.waiting.hung().told(self.version);
        format!("each request waits {refused} while an agent is gone, and {hung} while one hangs")
    }

    fn unchecked(&self) -> Option<Finding> {
        let without = self.without_check();
        let first = without.first()?;
        let message = match without.len() {
            1 => format!("agent `{}` of backend `{}` is not checked", first.name(), self.name()),
            many => format!("{many} agents of backend `{}` are not checked", self.name()),
        };
        let mut finding = Finding::new(&AGENT_UNCHECKED, Severity::Warning, message)
            .at(first.at.place())
            .consequence(format!(
                "HAProxy does not notice that one is dead: {}{}",
                self.pays(),
                self.storm()
            ))
            .mend("check it with `option spop-check`");
        for server in without.iter().skip(1) {
            finding = finding.and_at(server.at.place(), "nor is this one");
        }
        for server in &without {
            finding = finding.edit(checked(server));
        }
        if self.check.is_connection() {
            finding = finding.edit(self.spop_check());
        }
        Some(finding)
    }

    /// HAProxy before 3.1 connects again and again while a request waits, without a pause where there are no
    /// retries.
    fn storm(&self) -> &'static str {
        if self.waiting.retries == 0 && DEAD_WAITS_PROCESSING.may_hold(self.version) {
            "; with `retries 0` HAProxy before 3.1 connects again all the while, thousands of times a second"
        } else {
            ""
        }
    }

    fn cannot_work(&self) -> Option<Finding> {
        let spop = self.check.spop_line();
        if let Some(at) = spop.filter(|_| self.without_check().len() == self.servers.len()) {
            let message = format!(
                "`option spop-check` in backend `{}` checks nothing: no server says `check`",
                self.name()
            );
            let mut finding = Finding::new(&CHECK_CANNOT_WORK, Severity::Warning, message)
                .at(at.place())
                .consequence(format!("HAProxy does not notice a dead agent: {}", self.pays()))
                .mend("say `check` behind each server");
            for server in &self.servers {
                let place = server.at.place();
                finding = finding.and_at(place, "this has no `check`").edit(checked(server));
            }
            return Some(finding);
        }
        if let Check::Other { at, name } = &self.check {
            let server = self.checked().next()?;
            let message = format!(
                "`option {name}` cannot check an agent: server `{}` of backend `{}` is taken for dead",
                server.name(),
                self.name()
            );
            let finding = self.taken_for_dead(message).at(at.place());
            let own = self.backend.lines.own().iter().any(|own| std::ptr::eq(own.line, at.line));
            let edit = if own { at.replaced("option spop-check") } else { self.spop_check() };
            let inherited = if own { "" } else { "; this backend inherits it" };
            return Some(
                finding.mend(format!("check with `option spop-check`{inherited}")).edit(edit),
            );
        }
        self.checked().find_map(|server| self.misses_the_agent(server))
    }

    /// A server whose check goes elsewhere than its traffic, or speaks in another way.
    fn misses_the_agent(&self, server: &Server<'a>) -> Option<Finding> {
        let (message, at, remedy) = checks::elsewhere(server)?;
        let finding = self.taken_for_dead(format!(
            "the check of agent `{}` of backend `{}` {message}",
            server.name(),
            self.name()
        ));
        Some(finding.at(at.0).mend(remedy).edit(at.1))
    }

    fn taken_for_dead(&self, message: String) -> Finding {
        Finding::new(&CHECK_CANNOT_WORK, Severity::Error, message)
            .consequence("the check fails while the agent works: nothing is mirrored")
    }

    fn not_spop(&self) -> Option<Finding> {
        let server = self.checked().next()?;
        if !self.check.is_connection() {
            return None;
        }
        let message = format!(
            "the check of backend `{}` sees that the agent's port is open, not that the agent works",
            self.name()
        );
        let hung = self.waiting.hung().told(self.version);
        Some(
            Finding::new(&CHECK_NOT_SPOP, Severity::Warning, message)
                .at(server.at.place())
                .consequence(format!(
                    "an agent that hangs is never noticed: each request waits {hung} until it is restarted"
                ))
                .mend("check with `option spop-check`")
                .edit(self.spop_check()),
        )
    }

    /// `option spop-check` as the backend's last statement but its servers.
    fn spop_check(&self) -> Edit {
        match &self.check {
            Check::Connection(Some(at)) if self.is_own(*at) => at.replaced("option spop-check"),
            _ => self.backend.lines.begun(&["option spop-check"]),
        }
    }

    fn is_own(&self, at: At<'a>) -> bool {
        self.backend.lines.own().iter().any(|own| std::ptr::eq(own.line, at.line))
    }

    fn slow(&self) -> Option<Finding> {
        let timings =
            self.checked().map(|server| (server, Timing::new(&self.backend.lines, server)));
        let (server, timing) = timings.max_by_key(|(_, timing)| timing.notices_hung())?;
        let (refused, hung) = (timing.notices_refused(), timing.notices_hung());
        if hung <= NOTICED_IN {
            return None;
        }
        let message = format!(
            "HAProxy notices only after {} that agent `{}` is gone, after {} that it hangs",
            shown(refused),
            server.name(),
            shown(hung)
        );
        let finding = Finding::new(&CHECK_SLOW, Severity::Warning, message)
            .at(server.at.place())
            .consequence(format!("until then {}", self.pays()))
            .mend("check more often: `inter 1s fastinter 200ms fall 2` takes 1200ms and 3200ms")
            .edit(server.at.replaced(&checks::faster(server)));
        // Each check of an agent that hangs takes as long as this.
        let each = self.backend.lines.value(&["timeout", "check"]);
        let each = each
            .filter(|value| value.time().is_some_and(|time| time > SOON) && self.is_own(value.at));
        Some(match each {
            Some(value) => finding.edit(value.replaced(&shown(SOON))),
            None => finding,
        })
    }

    fn kept_when_down(&self) -> Option<Finding> {
        let felt = self.waiting.processing.is_none_or(|processing| processing > FELT);
        let server = self.checked().find(|server| cost::kept_when_down(server, self.version))?;
        if !felt || !self.check.is_spop() {
            return None;
        }
        let message = format!(
            "HAProxy before 3.1 keeps its connections to agent `{}` when the check finds that it hangs",
            server.name()
        );
        let hung = time(self.waiting.processing);
        Some(
            Finding::new(&DOWN_AGENT_KEPT, Severity::Warning, message)
                .at(server.at.place())
                .consequence(format!(
                    "each request goes on to wait {hung}, until the agent is restarted"
                ))
                .mend("say `on-marked-down shutdown-sessions` behind the server")
                .edit(followed(server, "on-marked-down shutdown-sessions")),
        )
    }

    fn retries(&self) -> Option<Finding> {
        // Without retries another agent is not tried either.
        let redispatched =
            self.servers.len() > 1 && self.backend.lines.option("redispatch").is_some();
        if self.waiting.retries == 0
            || redispatched
            || DEAD_WAITS_PROCESSING.holds(self.version)
            || self.waiting.refused().since == Some(Duration::ZERO)
        {
            return None;
        }
        let set = self.backend.lines.value(&["retries"]);
        let given = if set.is_some() { "" } else { ", as it does unless told otherwise" };
        let message = format!(
            "HAProxy tries {} times more to connect to an agent of backend `{}` that refuses{given}",
            self.waiting.retries,
            self.name()
        );
        let cost = time(self.waiting.refused().since);
        let finding = Finding::new(&RETRIES_ON_AGENT, Severity::Warning, message)
            .consequence(format!(
                "with HAProxy since 3.1 each request waits {cost} until it notices that the agent is gone; without \
                 retries it does not wait"
            ))
            .mend("say `retries 0`");
        Some(match set {
            Some(value) if self.is_own(value.at) => {
                finding.at(value.place()).edit(value.replaced("0"))
            }
            Some(value) => finding.at(value.place()).edit(self.backend.lines.begun(&["retries 0"])),
            None => finding
                .at(self.backend.lines.header.place())
                .edit(self.backend.lines.begun(&["retries 0"])),
        })
    }

    /// A long one is no matter of its own: `timeout processing` ends the wait before it does, and is what is too
    /// long where clients feel it.
    fn connect_timeout(&self) -> Option<Finding> {
        if self.waiting.connect.is_some() {
            return None;
        }
        let set = self.backend.lines.value(&["timeout", "connect"]);
        let near = format!("timeout connect {}", shown(NEAR));
        let (place, edit) = match set {
            Some(value) if self.is_own(value.at) => (value.place(), value.replaced(&shown(NEAR))),
            _ => (self.backend.lines.header.place(), self.backend.lines.begun(&[&near])),
        };
        let message = format!("backend `{}` has no `timeout connect`", self.name());
        let unanswered = self.waiting.unanswered().told(self.version);
        Some(
            Finding::new(&CONNECT_TIMEOUT_MISSING, Severity::Warning, message)
                .at(place)
                .consequence(format!(
                    "each request waits {unanswered} while an agent's machine is gone; HAProxy gives a connection up \
                     only when the system does, after some two minutes"
                ))
                .mend(format!("say `{near}`: agents are near"))
                .edit(edit),
        )
    }
}

/// The server's line with a check.
fn checked(server: &Server<'_>) -> Edit {
    followed(server, CHECKED)
}

/// The server's line with these words at its end.
fn followed(server: &Server<'_>, words: &str) -> Edit {
    server.at.replaced(&format!("{} {words}", server.at.statement()))
}
