//! Frontends, backends, and their servers.

use std::borrow::Cow;
use std::collections::HashMap;

use haproxy_config::{Section, Word};

use super::files::{Files, Kind};
use super::lines::{At, Lines, Value};

/// What a proxy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    Frontend,
    Backend,
    /// Both.
    Listen,
}

/// A frontend, a backend or both.
#[derive(Debug, Clone)]
pub(crate) struct Proxy<'a> {
    pub(crate) kind: ProxyKind,
    /// Its lines, inherited ones first.
    pub(crate) lines: Lines<'a>,
}

/// A server of a backend.
#[derive(Debug, Clone)]
pub(crate) struct Server<'a> {
    pub(crate) at: At<'a>,
    /// The `default-server` lines that apply to it, the first one first.
    defaults: Vec<At<'a>>,
}

impl<'a> Proxy<'a> {
    /// Its name, lossily.
    pub(crate) fn name(&self) -> Cow<'a, str> {
        self.lines.name()
    }

    /// Its `mode`, as it is written where it is; HAProxy's default is `tcp`.
    pub(crate) fn mode(&self) -> (&'a [u8], Option<Value<'a>>) {
        let value = self.lines.value(&["mode"]);
        (value.map_or(b"tcp", |value| value.text()), value)
    }

    /// Its servers, without `server-template`.
    pub(crate) fn servers(&self) -> Vec<Server<'a>> {
        let mut defaults = Vec::new();
        let mut servers = Vec::new();
        for at in &self.lines.lines {
            match at.text(0) {
                b"default-server" => defaults.push(*at),
                b"server" => servers.push(Server { at: *at, defaults: defaults.clone() }),
                _ => {}
            }
        }
        servers
    }

    /// Whether servers come from elsewhere than `server` lines: `server-template`, `use-server` and the like.
    pub(crate) fn has_templates(&self) -> bool {
        self.lines.lines.iter().any(|at| at.text(0) == b"server-template")
    }
}

impl<'a> Server<'a> {
    /// Its name, lossily.
    pub(crate) fn name(&self) -> Cow<'a, str> {
        self.at.word(1).map_or(Cow::Borrowed(""), |word| self.at.shown(word))
    }

    /// Its address as HAProxy reads it: `127.0.0.1:12345`, `unix@/run/agent.sock`.
    pub(crate) fn address(&self) -> &'a [u8] {
        self.at.text(2)
    }

    /// Whether `check` (or another flag) is on, by itself or by default; the one said last counts.
    pub(crate) fn flag(&self, name: &str) -> Option<At<'a>> {
        let off = format!("no-{name}");
        let mut found = None;
        for (at, skip) in self.sources() {
            for word in at.words_from(skip) {
                if word.text == name.as_bytes() {
                    found = Some(at);
                } else if word.text == off.as_bytes() {
                    found = None;
                }
            }
        }
        found
    }

    /// The value behind a keyword such as `inter`, its own or by default; the one said last counts.
    pub(crate) fn value(&self, name: &str) -> Option<Value<'a>> {
        let mut found = None;
        for (at, skip) in self.sources() {
            let words: Vec<&'a Word> = at.words_from(skip).collect();
            for pair in words.windows(2) {
                match pair {
                    [keyword, word] if keyword.text == name.as_bytes() => {
                        found = Some(Value { at, word });
                    }
                    _ => {}
                }
            }
        }
        found
    }

    /// Where its settings stand, those that count less first, with the words before the first setting.
    fn sources(&self) -> impl Iterator<Item = (At<'a>, usize)> + '_ {
        self.defaults.iter().map(|at| (*at, 1)).chain(std::iter::once((self.at, 3)))
    }
}

/// All proxies of all files, with what they inherit.
pub(super) fn all(files: &Files) -> Vec<Proxy<'_>> {
    // By address: HAProxy's files are one configuration, and a defaults section may be in an earlier one.
    let file_of: HashMap<*const Section, usize> = files
        .sections(Kind::Haproxy)
        .map(|(file, section)| (std::ptr::from_ref(section), file))
        .collect();
    let mut proxies = Vec::new();
    let mut earlier = Vec::new();
    for (file, document) in files.documents(Kind::Haproxy) {
        for (index, section) in document.sections.iter().enumerate() {
            let kind = match section.keyword() {
                b"frontend" => ProxyKind::Frontend,
                b"backend" => ProxyKind::Backend,
                b"listen" => ProxyKind::Listen,
                _ => continue,
            };
            let ancestry = document.ancestry(index, &earlier);
            let mut lines = Vec::new();
            let mut inherited = 0;
            for part in &ancestry.sections {
                let from =
                    file_of.get(&std::ptr::from_ref::<Section>(part)).copied().unwrap_or(file);
                inherited = lines.len();
                lines.extend(super::lines::taken(from, &part.lines));
            }
            let header = At { file, line: &section.header };
            proxies.push(Proxy { kind, lines: Lines { header, lines, inherited } });
        }
        earlier.push(document);
    }
    proxies
}
