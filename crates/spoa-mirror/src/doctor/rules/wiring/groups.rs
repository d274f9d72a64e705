//! From rules to groups: what `send-spoe-group` sends, and from where.

use haproxy_config::Word;

use super::events::never_http;
use super::{REFUSED, Wired, id, is_certain, list, meant};
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::proxy::ProxyKind;
use crate::doctor::setup::{At, Filter, Group, Proxy, Setup, Spoe};

pub(super) static GROUP_UNDEFINED: Code = code!("group-undefined");
pub(super) static GROUP_UNLISTED: Code = code!("group-unlisted");
pub(super) static GROUP_EMPTY: Code = code!("group-empty");
pub(super) static GROUP_NEVER_SENT: Code = code!("group-never-sent");
pub(super) static GROUP_WRONG_ENGINE: Code = code!("group-wrong-engine");
pub(super) static GROUP_FROM_OTHER_PROXY: Code = code!("group-from-other-proxy");
pub(super) static GROUP_FROM_WRONG_RULES: Code = code!("group-from-wrong-rules");

/// Groups that the agent lists, or should.
pub(super) fn listed(wired: &Wired<'_, '_>, findings: &mut Vec<Finding>) {
    let rules = rules(wired.setup);
    for (at, word) in wired.agent.groups() {
        if !is_certain(word) {
            continue;
        }
        match wired.spoe.group(&word.text) {
            None => findings.push(undefined(wired.spoe, at, word, "the agent lists")),
            Some(group) if group.messages().is_empty() => findings.push(empty(group)),
            Some(group) => {
                let mut sending =
                    rules.iter().filter(|rule| rule.may_send(wired.filter, &word.text));
                match sending.next() {
                    None => findings.push(never_sent(wired, group)),
                    Some(rule) => {
                        let all_of_http = rule.is_of_http() && sending.all(Rule::is_of_http);
                        if all_of_http && never_http(wired.setup, wired.proxy) {
                            findings.push(never_evaluated(wired, group, rule));
                        }
                    }
                }
            }
        }
    }
    // One that the agent does not list may be meant by a name that is not there.
    let groups = wired.agent.groups();
    if groups.iter().any(|(_, word)| wired.spoe.group(&word.text).is_none()) {
        return;
    }
    let unlisted = wired.spoe.groups.iter().filter(|group| {
        let name = group.lines.header.text(1);
        !groups.iter().any(|(_, word)| word.text == name || !is_certain(word))
    });
    for group in unlisted {
        // A rule that sends it does not load, of which that rule's finding tells.
        let name = group.lines.header.text(1);
        let sent = rules.iter().any(|rule| {
            rule.group.is_some_and(|word| word.text == name) && rule.is_for(wired.filter)
        });
        findings.push(group_unlisted(wired, group, sent));
    }
}

/// What rules send, and whether it is there.
pub(super) fn sent(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    for rule in rules(setup) {
        let (Some(engine), Some(group)) = (rule.engine, rule.group) else { continue };
        if !is_certain(engine) || !is_certain(group) {
            continue;
        }
        let of_engine: Vec<&Filter<'_>> =
            setup.filters.iter().filter(|filter| rule.is_for(filter)).collect();
        if let Some(right) = rule.should_be() {
            if of_engine.iter().any(|filter| filter.mirrors) {
                findings.push(from_wrong_rules(&rule, right));
            }
        } else if let Some(filter) = of_engine.iter().find(|filter| filter.proxy == rule.proxy) {
            let spoe = filter.spoe.as_ref().filter(|_| filter.mirrors);
            let Some(spoe) = spoe else { continue };
            if spoe.group(&group.text).is_none() {
                findings.push(undefined(spoe, rule.at, group, "this rule sends"));
            }
        } else if let Some(filter) = of_engine.iter().find(|filter| filter.mirrors) {
            findings.extend(from_other_proxy(setup, &rule, filter, engine));
        } else if of_engine.is_empty() {
            findings.extend(wrong_engine(setup, &rule, engine, group));
        }
    }
}

/// A `send-spoe-group` rule.
struct Rule<'a> {
    /// The index of its proxy.
    proxy: usize,
    at: At<'a>,
    engine: Option<&'a Word>,
    group: Option<&'a Word>,
}

impl Rule<'_> {
    /// Whether HAProxy leaves it out of a proxy in `mode tcp`.
    fn is_of_http(&self) -> bool {
        self.at.text(0).starts_with(b"http-")
    }

    /// The kind of rules that it should be of, if it is of one that cannot send groups.
    fn should_be(&self) -> Option<&'static str> {
        match (self.at.text(0), self.at.text(1)) {
            (b"http-after-response", _) => Some("http-response"),
            (b"tcp-request", b"connection" | b"session") => Some("tcp-request content"),
            _ => None,
        }
    }

    /// Whether it names this filter's engine.
    fn is_for(&self, filter: &Filter<'_>) -> bool {
        self.engine.is_some_and(|engine| Some(engine.text.as_slice()) == id(filter))
    }

    /// Whether it sends this group, or was meant to: one with a mistake has a finding of its own.
    fn may_send(&self, filter: &Filter<'_>, group: &[u8]) -> bool {
        let certain = |word: &&Word| is_certain(word);
        let Some(named) = self.group.filter(certain) else { return true };
        let Some(engine) = self.engine.filter(certain) else { return true };
        let is_of_group = named.text == group;
        let knows = |spoe: &Spoe<'_>| spoe.group(&named.text).is_some();
        let is_typo = self.is_for(filter) && !filter.spoe.as_ref().is_some_and(knows);
        is_typo
            || is_of_group
                && (self.is_for(filter) || engine.text.is_empty() || self.is_stray(filter))
    }

    /// Whether its engine is near that of the filter, by a slip.
    fn is_stray(&self, filter: &Filter<'_>) -> bool {
        let name = filter.engine.map(|word| String::from_utf8_lossy(&word.text));
        self.engine.zip(name).is_some_and(|(engine, name)| meant(engine, [name.as_ref()]).is_some())
    }
}

fn rules<'a>(setup: &Setup<'a>) -> Vec<Rule<'a>> {
    let mut rules = Vec::new();
    for (proxy, section) in setup.proxies.iter().enumerate() {
        for at in &section.lines.lines {
            let Some(action) =
                at.position("send-spoe-group").filter(|word| at.is_rule() && *word <= 2)
            else {
                continue;
            };
            rules.push(Rule {
                proxy,
                at: *at,
                engine: at.word(action + 1),
                group: at.word(action + 2),
            });
        }
    }
    rules
}

fn undefined(spoe: &Spoe<'_>, at: At<'_>, word: &Word, who: &str) -> Finding {
    let finding = Finding::new(
        &GROUP_UNDEFINED,
        Severity::Error,
        format!("{who} the group `{}`, which is not there", at.shown(word)),
    )
    .at(at.place_of(word))
    .consequence(REFUSED);
    let names: Vec<_> = spoe.groups.iter().map(|group| group.lines.name()).collect();
    match meant(word, names.iter().map(AsRef::as_ref)) {
        Some(near) => finding.mend(format!("write `{near}`")).edit(at.replaced_word(word, near)),
        None if names.is_empty() => finding.mend(format!(
            "write a `spoe-group {}` section with a `messages` line into the scope of the agent",
            at.shown(word)
        )),
        None => finding
            .mend(format!("write a section for it, or name one that is there: {}", list(&names))),
    }
}

fn group_unlisted(wired: &Wired<'_, '_>, group: &Group<'_>, sent: bool) -> Finding {
    let (name, agent) = (group.lines.name(), wired.agent_name());
    let statement = format!("groups {name}");
    let edit = match wired.agent.lines.last(&["groups"]) {
        Some(at) => at.replaced(&format!("{} {name}", at.statement())),
        None => wired.agent.lines.begun(&[&statement]),
    };
    let severity = match sent || wired.spoe.sent().is_empty() {
        true => Severity::Error,
        false => Severity::Warning,
    };
    Finding::new(
        &GROUP_UNLISTED,
        severity,
        format!("agent `{agent}` does not list the group `{name}`"),
    )
    .at(group.lines.header.place())
    .and_at(wired.agent.lines.header.place(), "the agent")
    .consequence(if sent {
        format!("{REFUSED}: to the rule that sends the group it is not there")
    } else {
        "HAProxy starts without a word about it, and its messages cannot be sent".to_owned()
    })
    .mend(format!("list it under `spoe-agent {agent}`: `{statement}`"))
    .edit(edit)
}

fn empty(group: &Group<'_>) -> Finding {
    Finding::new(
        &GROUP_EMPTY,
        Severity::Error,
        format!("the group `{}` has no message", group.lines.name()),
    )
    .at(group.lines.header.place())
    .consequence(
        "HAProxy starts without a word about it, and a rule that sends the group sends nothing",
    )
    .mend("list the messages that belong to it: `messages NAME`")
}

fn never_sent(wired: &Wired<'_, '_>, group: &Group<'_>) -> Finding {
    let name = group.lines.name();
    let engine = id(wired.filter).map_or_else(Default::default, |_| match wired.filter.engine {
        Some(engine) => wired.filter.at.shown(engine),
        None => wired.agent_name(),
    });
    let in_events = wired.agent.messages().iter().any(|(_, word)| {
        wired.spoe.message(&word.text).is_some_and(|message| message.event().is_some())
    });
    let of_response = group.messages().iter().any(|(_, word)| {
        wired.spoe.message(&word.text).is_some_and(|message| {
            message.arguments().iter().any(|(_, argument)| {
                argument.expression.starts_with(b"res.") || argument.expression == b"status"
            })
        })
    });
    let ruleset = match (wired.proxy.mode().0, of_response) {
        (b"http", true) => "http-response",
        (b"http", false) => "http-request",
        (_, true) => "tcp-response content",
        (_, false) => "tcp-request content",
    };
    let rule = format!("{ruleset} send-spoe-group {engine} {name}");
    // Behind the rules that prepare what it hands over.
    let kind = ruleset.split(' ').next().unwrap_or_default();
    let mut rules = wired.proxy.lines.own().iter();
    let last = rules.rfind(|at| at.text(0) == kind.as_bytes()).unwrap_or(&wired.filter.at);
    Finding::new(
        &GROUP_NEVER_SENT,
        if in_events { Severity::Warning } else { Severity::Error },
        format!("no rule sends the group `{name}`"),
    )
    .at(group.lines.header.place())
    .and_at(wired.filter.at.place(), "the rule belongs into this proxy")
    .consequence(if in_events {
        "HAProxy starts without a word, and the group's messages are not sent"
    } else {
        "HAProxy starts without a word, and nothing is mirrored: an `event` in a group's message does not count"
    })
    .mend(format!("send it from `{}`: `{rule}`", wired.proxy.name()))
    .edit(last.followed_by(&last.indentation(), &[&rule]))
}

/// The rules that send the group are there, and HAProxy leaves them out.
fn never_evaluated(wired: &Wired<'_, '_>, group: &Group<'_>, rule: &Rule<'_>) -> Finding {
    let (name, proxy) = (group.lines.name(), wired.proxy.name());
    let kind = String::from_utf8_lossy(rule.at.text(0)).into_owned();
    let finding = Finding::new(
        &GROUP_NEVER_SENT,
        Severity::Error,
        format!(
            "`{kind}` rules of `{proxy}` are never evaluated, and one is to send the group `{name}`"
        ),
    )
    .at(rule.at.place());
    match wired.proxy.mode().1 {
        Some(value) => finding.and_at(value.place(), "the mode"),
        None => finding.and_at(wired.proxy.lines.header.place(), "the default is `mode tcp`"),
    }
    .consequence("HAProxy starts with a warning, and the group's messages are not sent")
    .mend("if it is HTTP, write `mode http` there and in its backends; other traffic cannot be mirrored")
}

fn from_wrong_rules(rule: &Rule<'_>, right: &str) -> Finding {
    let kind = match rule.at.text(0) {
        b"tcp-request" => format!("tcp-request {}", String::from_utf8_lossy(rule.at.text(1))),
        other => String::from_utf8_lossy(other).into_owned(),
    };
    let skip = if kind.contains(' ') { 2 } else { 1 };
    let rest: Vec<_> = rule.at.words_from(skip).map(|word| rule.at.shown(word)).collect();
    let statement = format!("{right} {}", rest.join(" "));
    Finding::new(
        &GROUP_FROM_WRONG_RULES,
        Severity::Error,
        format!("`{kind}` rules cannot send groups"),
    )
    .at(rule.at.place())
    .consequence(format!(
        "{REFUSED}. `http-request`, `http-response`, `tcp-request content` and `tcp-response content` can"
    ))
    .mend(format!("write `{right}`"))
    .edit(rule.at.replaced(&statement))
}

fn from_other_proxy(
    setup: &Setup<'_>,
    rule: &Rule<'_>,
    filter: &Filter<'_>,
    engine: &Word,
) -> Option<Finding> {
    let (here, there) = (setup.proxies.get(rule.proxy)?, setup.proxy_of(filter)?);
    let finding = Finding::new(
        &GROUP_FROM_OTHER_PROXY,
        Severity::Error,
        format!(
            "`{}` sends a group of the engine `{}`, whose filter is in `{}`",
            here.name(),
            rule.at.shown(engine),
            there.name()
        ),
    )
    .at(rule.at.place())
    .and_at(filter.at.place(), "the filter")
    .consequence(format!(
        "{REFUSED}. It says that there is no such engine: it only looks in the rule's own proxy"
    ));
    let is_own = here.lines.own().iter().any(|at| at.line.number == rule.at.line.number);
    // What a frontend does with requests, its backends' requests see as well; not the other way round.
    let moves = is_own && here.kind == ProxyKind::Backend && there.kind != ProxyKind::Backend;
    let finding = finding.mend(format!("move the rule to `{}`, where the filter is", there.name()));
    Some(if moves && conditions_are_plain(rule, here) {
        let statement = rule.at.statement().into_owned();
        let indentation = filter.at.indentation().into_owned();
        finding.edit(rule.at.removed()).edit(filter.at.followed_by(&indentation, &[&statement]))
    } else {
        finding
    })
}

/// Whether its condition uses no ACL by name, which would have to move as well.
fn conditions_are_plain(rule: &Rule<'_>, proxy: &Proxy<'_>) -> bool {
    let names = proxy.lines.all(&["acl"]).map(|at| at.text(1).to_vec()).collect::<Vec<_>>();
    !rule.at.words_from(1).any(|word| names.contains(&word.text))
}

fn wrong_engine(
    setup: &Setup<'_>,
    rule: &Rule<'_>,
    engine: &Word,
    group: &Word,
) -> Option<Finding> {
    let mirrors: Vec<&Filter<'_>> = setup.mirrors().collect();
    let knows = |filter: &&&Filter<'_>| {
        filter.spoe.as_ref().is_some_and(|spoe| spoe.group(&group.text).is_some())
    };
    // A rule for an engine that is none of ours, and is missing, is not ours either.
    let meant = mirrors
        .iter()
        .find(|filter| rule.is_stray(filter))
        .or_else(|| mirrors.iter().find(knows))?;
    let name = match meant.engine {
        Some(engine) => meant.at.shown(engine),
        None => meant.spoe.as_ref()?.agent.as_ref()?.lines.name(),
    };
    Some(
        Finding::new(
            &GROUP_WRONG_ENGINE,
            Severity::Error,
            format!(
                "no filter has the engine `{}` that this rule sends a group of",
                rule.at.shown(engine)
            ),
        )
        .at(rule.at.place_of(engine))
        .and_at(meant.at.place(), "the filter that is there")
        .consequence(REFUSED)
        .mend(format!("name the engine as the filter does: `{name}`"))
        .edit(rule.at.replaced_word(engine, &name)),
    )
}
