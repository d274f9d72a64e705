//! What an operator's files say, as HAProxy would understand them: proxies with what they inherit, SPOE filters
//! with the engines that they name, backends with their servers. It holds no opinion; rules do.

pub(crate) mod files;
pub(crate) mod lines;
pub(crate) mod proxy;
pub(crate) mod rule;
pub(crate) mod sending;
pub(crate) mod spoe;
mod undeclared;
pub(crate) mod variables;
pub(crate) mod version;

use std::path::Path;

#[cfg(test)]
pub(crate) use files::File;
pub(crate) use files::{Files, Kind};
pub(crate) use lines::{At, Lines, Value};
pub(crate) use proxy::{Proxy, Server};
pub(crate) use rule::{Criterion, Rule, RuleSet};
pub(crate) use sending::{Moment, Sending};
pub(crate) use spoe::{Event, Filter, Group, Message, Spoe, SpoeAgent};
pub(crate) use undeclared::undeclared;
pub(crate) use variables::{Reach, Setter};
pub(crate) use version::Known;

use crate::config::Config;

/// Everything that the rules look at.
pub(crate) struct Setup<'a> {
    /// The files, by index.
    pub(crate) files: &'a Files,
    /// What is known of the HAProxy that reads them.
    pub(crate) version: Known,
    /// The agent's own configuration, if it was given: the path of the file, and what it says.
    pub(crate) agent: Option<(&'a Path, &'a Config)>,
    /// The engine that is asked about, if one is.
    pub(crate) engine: Option<&'a str>,
    /// The lines of all `global` sections.
    pub(crate) global: Vec<At<'a>>,
    /// The headers of sections that are neither `global` nor proxies: `program`, `ring`.
    pub(crate) sections: Vec<Lines<'a>>,
    /// Frontends, backends and `listen` sections, in their order.
    pub(crate) proxies: Vec<Proxy<'a>>,
    /// All SPOE filters, in their order.
    pub(crate) filters: Vec<Filter<'a>>,
}

impl<'a> Setup<'a> {
    /// Makes sense of files that were read.
    pub(crate) fn new(
        files: &'a Files,
        version: Known,
        agent: Option<(&'a Path, &'a Config)>,
        engine: Option<&'a str>,
    ) -> Self {
        let mut global = Vec::new();
        let mut sections = Vec::new();
        for (file, section) in files.sections(Kind::Haproxy) {
            let header = At { file, line: &section.header };
            let lines: Vec<_> = lines::taken(file, &section.lines).collect();
            match section.keyword() {
                b"global" => global.extend(lines),
                _ if section.is_proxy() => {}
                _ => sections.push(Lines { header, lines, inherited: 0 }),
            }
        }
        let proxies = proxy::all(files);
        let filters = spoe::filters(files, &proxies, engine);
        Self { files, version, agent, engine, global, sections, proxies, filters }
    }

    /// The filters that mirror requests. An agent for other purposes is none of our business.
    pub(crate) fn mirrors(&self) -> impl Iterator<Item = &Filter<'a>> {
        self.filters.iter().filter(|filter| filter.mirrors)
    }

    /// The proxy that a filter is in.
    pub(crate) fn proxy_of(&self, filter: &Filter<'a>) -> Option<&Proxy<'a>> {
        self.proxies.get(filter.proxy)
    }

    /// The backend (or `listen` section) of this name.
    pub(crate) fn backend(&self, name: &[u8]) -> Option<&Proxy<'a>> {
        self.proxies.iter().find(|proxy| {
            proxy.kind != proxy::ProxyKind::Frontend && proxy.lines.header.text(1) == name
        })
    }

    /// The backend that holds a filter's agents, where it is named and exists.
    pub(crate) fn agents_of(&self, filter: &Filter<'a>) -> Option<&Proxy<'a>> {
        let agent = filter.spoe.as_ref()?.agent.as_ref()?;
        self.backend(agent.lines.value(&["use-backend"])?.text())
    }

    /// A setting of the `global` sections, the last one given.
    pub(crate) fn global(&self, words: &[&str]) -> Option<Value<'a>> {
        let at = *self.global.iter().rev().find(|at| at.begins(words))?;
        Some(Value { at, word: at.word(words.len())? })
    }

    /// `tune.bufsize`, bytes: 16384 unless it is set.
    pub(crate) fn bufsize(&self) -> u64 {
        self.global(&["tune.bufsize"]).and_then(|value| value.size()).unwrap_or(16384)
    }

    /// `tune.maxrewrite`, bytes: 1024 unless it is set, and no more than half of the buffer.
    pub(crate) fn maxrewrite(&self) -> u64 {
        let set = self.global(&["tune.maxrewrite"]).and_then(|value| value.size());
        set.unwrap_or(1024).min(self.bufsize() / 2)
    }

    /// Where a `global` statement can be put: behind the last line of the last `global` section.
    pub(crate) fn last_global(&self) -> Option<At<'a>> {
        self.global.last().copied()
    }
}
