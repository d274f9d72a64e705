//! SPOE filters, and the engines that they name: agents, messages, groups.

use std::borrow::Cow;

use haproxy_config::{Argument, Scope, Section, Word};

use super::files::Files;
use super::lines::{At, Lines, taken};
use super::proxy::Proxy;

/// A `filter spoe` line, and what it names.
#[derive(Debug, Clone)]
pub(crate) struct Filter<'a> {
    /// The index of its proxy.
    pub(crate) proxy: usize,
    pub(crate) at: At<'a>,
    /// The name behind `engine`.
    pub(crate) engine: Option<&'a Word>,
    /// The file behind `config`.
    pub(crate) config: Option<&'a Word>,
    /// The file's index, if it was read.
    pub(crate) file: Option<usize>,
    /// The engine's scope in that file, if it has one.
    pub(crate) spoe: Option<Spoe<'a>>,
    /// Whether it is there to mirror requests; see [`filters`].
    pub(crate) mirrors: bool,
}

/// The part of a SPOE file that an engine reads.
#[derive(Debug, Clone)]
pub(crate) struct Spoe<'a> {
    pub(crate) file: usize,
    /// The agent; HAProxy takes the last one and refuses several in a scope.
    pub(crate) agent: Option<SpoeAgent<'a>>,
    /// Further `spoe-agent` sections.
    pub(crate) further_agents: Vec<Lines<'a>>,
    pub(crate) messages: Vec<Message<'a>>,
    pub(crate) groups: Vec<Group<'a>>,
}

/// A `spoe-agent` section.
#[derive(Debug, Clone)]
pub(crate) struct SpoeAgent<'a> {
    pub(crate) lines: Lines<'a>,
}

/// A `spoe-message` section.
#[derive(Debug, Clone)]
pub(crate) struct Message<'a> {
    pub(crate) lines: Lines<'a>,
}

/// A `spoe-group` section.
#[derive(Debug, Clone)]
pub(crate) struct Group<'a> {
    pub(crate) lines: Lines<'a>,
}

/// What makes HAProxy send a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) at: At<'a>,
    /// Its name: `on-frontend-http-request`.
    pub(crate) name: &'a Word,
}

impl<'a> SpoeAgent<'a> {
    /// The messages that it lists, with the lines that do.
    pub(crate) fn messages(&self) -> Vec<(At<'a>, &'a Word)> {
        listed(&self.lines, "messages")
    }

    /// The groups that it lists, with the lines that do.
    pub(crate) fn groups(&self) -> Vec<(At<'a>, &'a Word)> {
        listed(&self.lines, "groups")
    }
}

impl<'a> Group<'a> {
    /// The messages that it lists, with the lines that do.
    pub(crate) fn messages(&self) -> Vec<(At<'a>, &'a Word)> {
        listed(&self.lines, "messages")
    }
}

impl<'a> Message<'a> {
    /// Its name, lossily.
    pub(crate) fn name(&self) -> Cow<'a, str> {
        self.lines.name()
    }

    /// What it hands over, with the lines that say so. HAProxy takes all `args` lines, one after the other.
    pub(crate) fn arguments(&self) -> Vec<(At<'a>, Argument)> {
        let lines = self.lines.all(&["args"]);
        lines
            .flat_map(|at| at.line.arguments().into_iter().map(move |argument| (at, argument)))
            .collect()
    }

    /// Its event. Of several HAProxy takes the last.
    pub(crate) fn event(&self) -> Option<Event<'a>> {
        let value = self.lines.value(&["event"])?;
        Some(Event { at: value.at, name: value.word })
    }
}

impl<'a> Spoe<'a> {
    /// The message of this name.
    pub(crate) fn message(&self, name: &[u8]) -> Option<&Message<'a>> {
        self.messages.iter().find(|message| message.lines.header.text(1) == name)
    }

    /// The group of this name.
    pub(crate) fn group(&self, name: &[u8]) -> Option<&Group<'a>> {
        self.groups.iter().find(|group| group.lines.header.text(1) == name)
    }

    /// The messages that HAProxy can come to send: those that the agent lists, and those in its groups.
    pub(crate) fn sent(&self) -> Vec<&Message<'a>> {
        let Some(agent) = &self.agent else { return Vec::new() };
        let mut names: Vec<&[u8]> =
            agent.messages().iter().map(|(_, word)| word.text.as_slice()).collect();
        for (_, group) in agent.groups() {
            if let Some(group) = self.group(&group.text) {
                names.extend(group.messages().iter().map(|(_, word)| word.text.as_slice()));
            }
        }
        self.messages
            .iter()
            .filter(|message| names.contains(&message.lines.header.text(1)))
            .collect()
    }

    fn new(file: usize, scope: &Scope<'a>) -> Self {
        let lines = |section: &&'a Section| {
            let section: &'a Section = section;
            let header = At { file, line: &section.header };
            Lines { header, lines: taken(file, &section.lines).collect(), inherited: 0 }
        };
        let mut agents = scope.agents.iter().map(lines);
        Self {
            file,
            agent: agents.next().map(|lines| SpoeAgent { lines }),
            further_agents: agents.collect(),
            messages: scope
                .messages
                .iter()
                .map(|section| Message { lines: lines(section) })
                .collect(),
            groups: scope.groups.iter().map(|section| Group { lines: lines(section) }).collect(),
        }
    }

    /// Whether it looks as if it were there to mirror requests: something is called so, or hands over what the
    /// agent asks for.
    fn looks_like_mirror(&self) -> bool {
        let called = |lines: &Lines<'_>| contains_mirror(lines.header.text(1));
        let hands_over = |message: &Message<'_>| {
            message.arguments().iter().any(|(_, argument)| {
                let name = argument.name.as_deref().unwrap_or_default();
                name.starts_with(b"arg_") || matches!(name, b"hdrs" | b"res_hdrs")
            })
        };
        self.agent.as_ref().is_some_and(|agent| {
            called(&agent.lines)
                || agent
                    .lines
                    .value(&["use-backend"])
                    .is_some_and(|value| contains_mirror(value.text()))
        }) || self.messages.iter().any(|message| called(&message.lines) || hands_over(message))
    }
}

impl Spoe<'_> {
    /// Whether HAProxy looks at variables that the agent sets, as it does with one that judges requests. One that
    /// mirrors sets none; those that HAProxy itself sets for an agent do not count (`doc/SPOE.txt`, section 2.2).
    fn is_listened_to(&self, proxies: &[Proxy<'_>]) -> bool {
        let Some(agent) = &self.agent else { return false };
        let prefix = agent.lines.value(&["option", "var-prefix"]);
        let prefix = prefix.map_or(agent.lines.header.text(1), |prefix| prefix.text());
        let prefix = [b".", prefix, b"."].concat();
        let of_haproxy = ["set-on-error", "set-process-time", "set-total-time"];
        let of_haproxy: Vec<&[u8]> = of_haproxy
            .iter()
            .filter_map(|option| Some(agent.lines.value(&["option", option])?.text()))
            .collect();
        let looks = |word: &Word| {
            memchr::memmem::find_iter(&word.text, &prefix).any(|at| {
                let name = word.text.get(at + prefix.len()..).unwrap_or_default();
                let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"._".contains(byte);
                let end = name.iter().position(|byte| !is_part(byte)).unwrap_or(name.len());
                let name = name.get(..end).unwrap_or_default();
                !name.is_empty() && !of_haproxy.contains(&name)
            })
        };
        let lines = proxies.iter().flat_map(|proxy| &proxy.lines.lines);
        lines.flat_map(|at| &at.line.words).any(looks)
    }
}

/// All SPOE filters. One mirrors if its engine is the one asked for, or, when none is asked for, if its names or
/// arguments say so, or if it is the only one and HAProxy does not do what its agent says.
pub(super) fn filters<'a>(
    files: &'a Files,
    proxies: &[Proxy<'a>],
    engine: Option<&str>,
) -> Vec<Filter<'a>> {
    let mut filters = Vec::new();
    for (index, proxy) in proxies.iter().enumerate() {
        for at in proxy.lines.own().iter().filter(|at| at.begins(&["filter", "spoe"])) {
            let behind = |keyword: &str| at.word(at.position(keyword)? + 1);
            let (name, config) = (behind("engine"), behind("config"));
            let file = config.and_then(|word| files.spoe(&word.text));
            let scope = file.and_then(|file| {
                let wanted = name.map(|word| word.text.as_slice());
                let document = &files.files.get(file)?.document;
                document.scopes().into_iter().find(|scope| scope.name == wanted)
            });
            let spoe = file.zip(scope).map(|(file, scope)| Spoe::new(file, &scope));
            filters.push(Filter {
                proxy: index,
                at: *at,
                engine: name,
                config,
                file,
                spoe,
                mirrors: false,
            });
        }
    }
    let only = filters.len() == 1;
    for filter in &mut filters {
        let name = filter.engine.map_or(&b""[..], |word| &word.text);
        let config = filter.config.map_or(&b""[..], |word| &word.text);
        filter.mirrors = match engine {
            Some(engine) => name == engine.as_bytes(),
            None => {
                let spoe = filter.spoe.as_ref();
                contains_mirror(name)
                    || contains_mirror(config)
                    || spoe.is_some_and(Spoe::looks_like_mirror)
                    || (only && !spoe.is_some_and(|spoe| spoe.is_listened_to(proxies)))
            }
        };
    }
    filters
}

fn contains_mirror(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    [&b"mirror"[..], b"shadow"]
        .iter()
        .any(|word| name.windows(word.len()).any(|part| part == *word))
}

/// The words behind a keyword, of all its lines.
fn listed<'a>(lines: &Lines<'a>, keyword: &str) -> Vec<(At<'a>, &'a Word)> {
    lines.all(&[keyword]).flat_map(|at| at.words_from(1).map(move |word| (at, word))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use haproxy_config::{Surroundings, Syntax, parse};

    use crate::doctor::setup::{File, Files, Kind, Known, Setup};

    #[test]
    fn the_only_filter_mirrors_unless_haproxy_acts_on_its_answers() {
        let mirrors = |condition: &str| {
            let haproxy = format!(
                "frontend www\n  filter spoe engine only config only.conf\n  http-request deny if {condition}\n"
            );
            let spoe = "[only]\nspoe-agent guard\n  messages all\n  option set-on-error failed\n\
                        spoe-message all\n  args m=method\n  event on-frontend-http-request\n";
            let mut files = Files::default();
            for (name, text, kind, syntax) in [
                ("haproxy.cfg", haproxy.as_str(), Kind::Haproxy, Syntax::Haproxy),
                ("only.conf", spoe, Kind::Spoe, Syntax::Spoe),
            ] {
                let document = parse(text.as_bytes(), syntax, &Surroundings::default()).unwrap();
                files.files.push(File { path: PathBuf::from(name), kind, document });
            }
            files.named.push((b"only.conf".to_vec(), 1));
            let setup = Setup::new(&files, Known::default(), None, None);
            assert_eq!(setup.filters.len(), 1);
            setup.mirrors().count() == 1
        };
        assert!(mirrors("{ path /x }"));
        assert!(mirrors("{ var(txn.guard.failed) -m found }"), "HAProxy says that");
        assert!(mirrors("{ var(txn.lifeguard.action) -m found }"), "another's");
        assert!(!mirrors("{ var(txn.guard.action) -m str deny }"));
        assert!(!mirrors("{ var(sess.guard.failed_before),add(1) gt 3 }"));
    }
}
