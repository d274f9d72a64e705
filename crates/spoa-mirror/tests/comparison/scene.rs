//! HAProxy with a configuration of docs/COMPARISON.md between a client, production and agents, and a
//! target whose answers are compared.

use std::net::SocketAddr;

use testbed::backend::{Behaviour, Recorder, Request, Response, h2};
use testbed::client::http1;
use testbed::counters::Labels;
use testbed::haproxy::{Haproxy, Version};
use testbed::wait;

use crate::running::mirror::Mirror;

const DOCUMENT: &str = include_str!("../../../../docs/COMPARISON.md");

/// The ways to get production's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    OneMessage,
    TwoMessages,
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::OneMessage, Self::TwoMessages];

    /// The block of this language in the form's section.
    fn block(self, language: &str) -> &'static str {
        let heading = match self {
            Self::OneMessage => "\n### One message\n",
            Self::TwoMessages => "\n### Two messages\n",
        };
        block_after(heading, language)
    }
}

/// The first block of this language after a text.
fn block_after(text: &str, language: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(text).unwrap();
    let (_, block) = rest.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0
}

/// What a test varies.
pub(crate) struct Setup {
    version: Version,
    form: Form,
    agents: usize,
    /// Lines of the target's table, and tables.
    toml: String,
    h2: Option<h2::Behaviour>,
    /// What is put in place of what in both of HAProxy's files.
    changes: Vec<(&'static str, String)>,
}

impl Setup {
    pub(crate) fn new(version: Version, form: Form) -> Self {
        Self {
            version,
            form,
            agents: 1,
            toml: "compare = true\n".to_owned(),
            h2: None,
            // Everything is copied; patience for a busy machine.
            changes: vec![
                (" if { rand(100) lt 10 } !", " if !".to_owned()),
                ("timeout processing 20ms", "timeout processing 5s".to_owned()),
                ("bind :80", "bind 127.0.0.1:{port:http}".to_owned()),
            ],
        }
    }

    /// So many agents, of which any gets any message.
    pub(crate) fn agents(mut self, agents: usize) -> Self {
        self.agents = agents;
        self
    }

    /// Both messages of a request reach the same agent.
    pub(crate) fn hashing(self) -> Self {
        let hash = block_after("sends both messages of a request to the same agent", "haproxy");
        self.change("    mode tcp\n    balance roundrobin\n", hash)
    }

    /// HAProxy waits for production's JSON, whether its length is known or not.
    pub(crate) fn waiting_for_json(self) -> Self {
        let line = block_after("are waited for with one line more", "haproxy");
        let wait = "    http-response wait-for-body";
        self.change(wait, &format!("{line}{wait}"))
    }

    /// The target's table, and what follows it.
    pub(crate) fn toml(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.toml);
        self
    }

    /// The target speaks HTTP/2.
    pub(crate) fn h2(mut self, behaviour: h2::Behaviour) -> Self {
        self.h2 = Some(behaviour);
        self.toml("http = \"2\"\ncompare = true\n")
    }

    /// Puts one text in place of another in HAProxy's files, where it must be.
    pub(crate) fn change(mut self, what: &'static str, with: &str) -> Self {
        self.changes.push((what, with.to_owned()));
        self
    }

    pub(crate) fn start(self) -> Scene {
        let production = Recorder::start();
        let shadow = Recorder::start();
        let h2_shadow = self.h2.map(h2::Recorder::start);
        let url = match &h2_shadow {
            Some(shadow) => format!("http://{}", shadow.address()),
            None => shadow.url(),
        };
        let toml = format!("[[target]]\nname = \"shadow\"\nurl = \"{url}\"\n{}", self.toml);
        let mirrors: Vec<_> = (0..self.agents).map(|_| Mirror::configured(&toml)).collect();
        let agent = "    server agent1 127.0.0.1:12345 check inter 1s fastinter 200ms fall 2\n";
        let servers = mirrors.iter().enumerate().map(|(index, mirror)| {
            format!("    server agent{} {} check inter 200ms\n", index + 1, mirror.address)
        });
        let mut files = ["haproxy", "spoe"].map(|language| self.form.block(language).to_owned());
        let address = production.address().to_string();
        let changes = [(agent, servers.collect()), ("127.0.0.1:8080", address)];
        for (what, with) in self.changes.into_iter().chain(changes) {
            assert!(files.iter().any(|file| file.contains(what)), "{what}");
            files.iter_mut().for_each(|file| *file = file.replace(what, &with));
        }
        let [config, spoe] = files;
        let haproxy = Haproxy::builder(self.version).config(config).file("mirror.conf", spoe);
        let haproxy = haproxy.start();
        let scene = Scene { production, shadow, _h2_shadow: h2_shadow, mirrors, haproxy };
        scene.wait_agents();
        scene
    }
}

/// All of it, running.
pub(crate) struct Scene {
    pub(crate) production: Recorder,
    pub(crate) shadow: Recorder,
    _h2_shadow: Option<h2::Recorder>,
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) haproxy: Haproxy,
}

impl Scene {
    /// Production and shadow answer alike.
    pub(crate) fn both(&self, behaviour: Behaviour) {
        self.production.set(behaviour.clone());
        self.shadow.set(behaviour);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.haproxy.address("http")
    }

    pub(crate) fn get(&self, path: &str) -> http1::Response {
        http1::get(self.address(), path).unwrap()
    }

    /// What was compared by all agents, as they last said.
    pub(crate) fn compared(&self) -> Labels {
        sum(self.mirrors.iter().filter_map(|mirror| Some(mirror.reports().pop()?.comparison)))
    }

    /// Waits until so many copies are over, and gives what became of them.
    #[track_caller]
    pub(crate) fn wait_over(&self, copies: u64) -> Labels {
        let over = wait::poll(wait::LIMIT, || {
            let compared = self.compared();
            let open = compared.get("waiting").copied().unwrap_or(0);
            (count(&compared, "copies") == copies && open == 0).then_some(compared)
        });
        over.unwrap_or_else(|| panic!("not {copies} copies are over: {:?}", self.compared()))
    }

    /// Ends all agents: what was compared, of which nothing waits.
    pub(crate) fn finish(&mut self) -> Labels {
        let finished = self.mirrors.iter_mut().map(|mirror| mirror.finish().comparison);
        let compared = sum(finished);
        assert_eq!(count(&compared, "waiting"), 0, "{compared:?}");
        compared
    }

    /// HAProxy sends nothing to an agent before its first check succeeded.
    fn wait_agents(&self) {
        wait::holds(wait::LIMIT, "the agents to be up", || {
            let state = self.haproxy.command("show stat");
            let up = state.lines().filter(|line| line.starts_with("mirroragents,agent"));
            up.filter(|line| line.contains(",UP,")).count() == self.mirrors.len()
        });
    }
}

/// How many of this kind there are.
pub(crate) fn count(compared: &Labels, label: &str) -> u64 {
    compared.get(label).copied().unwrap_or(0)
}

/// Asserts that all copies became this.
#[track_caller]
pub(crate) fn assert_all(compared: &Labels, label: &str, copies: usize) {
    let found = (count(compared, "copies"), count(compared, label));
    assert_eq!(found, (copies as u64, copies as u64), "{label}: {compared:?}");
}

/// Answers each request with the response that `of` makes for it.
pub(crate) fn answering(of: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Behaviour {
    Behaviour::custom(move |request| of(request).to_bytes(request.method()))
}

fn sum(all: impl Iterator<Item = Labels>) -> Labels {
    let mut sum = Labels::new();
    for (label, count) in all.flatten() {
        *sum.entry(label).or_default() += count;
    }
    sum
}
