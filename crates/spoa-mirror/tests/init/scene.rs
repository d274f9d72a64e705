//! A run of `spoa-mirror init`, and what an operator does with its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use testbed::agent::Agent;
use testbed::haproxy::{Builder, Haproxy, Version};
use testbed::{ports, wait};

use crate::running::mirror::PROGRAM;

/// An operator's file, with what is common and in the way: settings in `defaults` that are nothing for agents,
/// a frontend that compresses, comments, choices of backends.
pub(crate) fn operators(production: &str) -> String {
    format!(
        "\
# The shop's HAProxy.
global
    maxconn 200
    tune.ssl.maxrecord 1400

# For all.
defaults
    mode http
    log global
    option httplog
    option forwardfor
    option redispatch
    cookie SRV insert indirect
    default-server inter 10s
    timeout connect 5s
    timeout client 30s
    timeout server 30s

frontend redirecting
    bind 127.0.0.1:{{port:plain}}
    http-request redirect scheme https

frontend www
    bind 127.0.0.1:{{port:http}}
    compression algo gzip
    http-request deny if {{ path /denied }}

    # Pictures come from the same place.
    use_backend production if {{ path_beg /pictures }}
    default_backend production

# Production.
backend production
    server web1 {production}
"
    )
}

/// A run of the program.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// How HAProxy's part gets into its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Pasted,
    Patched,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Pasted, Self::Patched];
}

/// What `init` wrote for an operator's file.
pub(crate) struct Written {
    directory: TempDir,
    /// HAProxy's file, complete.
    pub(crate) config: String,
    agents: usize,
}

impl Written {
    /// Runs it, takes the files to where they go, and puts HAProxy's together.
    ///
    /// # Panics
    /// When it does not succeed, with what it said.
    pub(crate) fn new(way: Way, original: &str, version: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("haproxy.cfg"), original).unwrap();
        let (haproxy, output, beside) = (path("haproxy.cfg"), path("out"), path(""));
        let mut all = vec!["init", "--output", &output, "--haproxy-version", version];
        match way {
            Way::Patched => all.extend(["--haproxy", &haproxy]),
            Way::Pasted => all.extend(["--haproxy-dir", &beside]),
        }
        all.extend(arguments);
        let said = run(&all);
        let errors = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success() && errors.is_empty(), "{all:?}: {errors}");
        let written = |name: &str| fs::read_to_string(Path::new(&output).join(name)).unwrap();
        let config = match way {
            Way::Patched => written("haproxy.cfg"),
            Way::Pasted => pasted(original, written),
        };
        assert_eq!(fs::read_to_string(&haproxy).unwrap(), original);
        for name in ["mirror.conf", "mirror.map"] {
            fs::write(path(name), written(name)).unwrap();
        }
        let agents = arguments.iter().filter(|argument| **argument == "--agent").count();
        Self { directory, config, agents }
    }

    /// The file of this name as it was written.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("out").join(name)
    }

    /// Where HAProxy reads the map.
    pub(crate) fn map(&self) -> String {
        self.directory.path().join("mirror.map").to_str().unwrap().to_owned()
    }

    pub(crate) fn builder(&self, version: Version) -> Builder {
        Haproxy::builder(version).config(&self.config)
    }

    /// Asserts that HAProxy takes the file and has nothing to say about it.
    #[track_caller]
    pub(crate) fn assert_taken(&self, version: Version) {
        match self.builder(version).check() {
            Ok(said) => assert!(!said.contains("WARNING"), "{version}: {said}\n{}", self.config),
            Err(said) => panic!("{version}: {said}\n{}", self.config),
        }
    }

    /// Asserts that the doctor has nothing to mend in it.
    #[track_caller]
    pub(crate) fn assert_healthy(&self, version: &str) {
        let path = self.directory.path().join("whole.cfg");
        let text = self.config.replace("{port:http}", "8080").replace("{port:plain}", "8081");
        fs::write(&path, text).unwrap();
        let (path, tomls) = (path.to_str().unwrap(), self.tomls());
        let toml = tomls[0].to_str().unwrap();
        let mut arguments = vec!["doctor", "--json", "--haproxy", path, "--config", toml];
        if version != "any" {
            arguments.extend(["--haproxy-version", version]);
        }
        let said = run(&arguments);
        let answer: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        let findings = answer["findings"].as_array().unwrap();
        assert!(said.status.success() && findings.is_empty(), "{version}: {findings:#?}");
    }

    /// The agents' configurations.
    pub(crate) fn tomls(&self) -> Vec<PathBuf> {
        match self.agents {
            0 | 1 => vec![self.path("spoa-mirror.toml")],
            agents => {
                (1..=agents).map(|n| self.path(&format!("agent{n}/spoa-mirror.toml"))).collect()
            }
        }
    }

    /// The agents, each with its configuration.
    pub(crate) fn agents(&self) -> Vec<Agent> {
        let start = |toml: &PathBuf| {
            let checked = run(&["check", "--config", toml.to_str().unwrap()]);
            let (said, errors) = (&checked.stdout, &checked.stderr);
            let errors = String::from_utf8_lossy(errors);
            assert!(checked.status.success() && errors.is_empty(), "{errors}");
            assert!(String::from_utf8_lossy(said).contains("can be used"));
            let agent = Agent::builder(PROGRAM).arg("--config").arg(toml).start();
            agent.wait_line(wait::LIMIT, |line| line.contains("listening on"));
            agent
        };
        self.tomls().iter().map(start).collect()
    }
}

/// Puts the parts where their first lines say.
fn pasted(original: &str, written: impl Fn(&str) -> String) -> String {
    let put = |text: String, name: &str, goes: &str, before: &str| {
        let part = written(name);
        assert!(part.starts_with(&format!("# Goes {goes}")), "{part}");
        assert_eq!(text.matches(before).count(), 1, "{before}");
        text.replacen(before, &format!("{part}{before}"), 1)
    };
    let text = put(
        original.to_owned(),
        "global.cfg",
        "into the `global` section of haproxy.cfg",
        "    maxconn",
    );
    let text =
        put(text, "backend.cfg", "into haproxy.cfg, before its first `defaults`", "defaults\n");
    // As it is told to be done in a frontend that compresses.
    let frontend = |name: &str| {
        let part = written(name);
        assert!(part.contains("write\n# `filter cache NAME` and `filter compression`"), "{part}");
        let filter = part.lines().find(|line| line.contains("filter spoe")).unwrap().to_owned();
        part.replace(&filter, &format!("{filter}\n    filter compression"))
    };
    let before = "    # Pictures";
    let part = frontend("frontend.cfg");
    assert!(
        part.starts_with("# Goes into the frontend in haproxy.cfg, before its first `redirect`")
    );
    text.replacen(before, &format!("{part}{before}"), 1)
}

/// Two ports in a row: of agents on one machine the second one's admin API has the next.
pub(crate) fn two_ports() -> u16 {
    let mut last = ports::free();
    loop {
        let next = ports::free();
        if next == last + 1 {
            return last;
        }
        last = next;
    }
}
