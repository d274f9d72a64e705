//! The configuration file as a user meets it: `check`, `--config`, and what docs/CONFIGURATION.md says.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use spoa_mirror::config::file;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_spoa-mirror");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A directory with `mirror.toml`, in which the program is run.
struct Place(TempDir);

impl Place {
    fn with(toml: &str) -> Self {
        let place = Self(TempDir::new().unwrap());
        place.file("mirror.toml", toml, 0o644);
        place
    }

    fn file(&self, name: &str, content: &str, mode: u32) {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.0.path());
        command.env("ACME_TOKEN", "the-token-of-acme").env_remove("NOT_SET").output().unwrap()
    }

    fn check(&self) -> Output {
        self.run(&["check", "--config", "mirror.toml"])
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn mistakes_are_told_at_once_with_their_places() {
    let place = Place::with(
        r#"[agent]
listne = "0.0.0.0:12345"
grace = 5

[[target]]
name = "staging"
url = "http://staging:8080"
limit = { in-flight = 10, queue = 0, adaptive = { min = 20 } }
tls.ca = "ca.pem"
timeout.total = true
max-age = "5s"

[[target]]
name = "staging"
url = "https://u:hunter2@staging"
authorization = { bearer = "${NOT_SET}", basik = "u:hunter2" }
match.path = "api"
"#,
    );
    let checked = place.check();
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(text(&checked.stdout), "");
    let expected = r#"error: there is no key `listne` in `agent`
 --> mirror.toml:2:1
  |
2 | listne = "0.0.0.0:12345"
  | ^^^^^^
  |
  = help: a key with a similar name exists: `listen`

error: a time needs a unit
 --> mirror.toml:3:9
  |
3 | grace = 5
  |         ^
  |
  = help: write "5ms" or "5s"

error: out of range: from 1 to 10000000
 --> mirror.toml:8:35
  |
8 | limit = { in-flight = 10, queue = 0, adaptive = { min = 20 } }
  |                                   ^

error: `min` is more than `in-flight`, 10
 --> mirror.toml:8:57
  |
8 | limit = { in-flight = 10, queue = 0, adaptive = { min = 20 } }
  |                       -- given here                     ^^

error: an http URL has no TLS
 --> mirror.toml:9:1
  |
7 | url = "http://staging:8080"
  |       --------------------- write https here
8 | limit = { in-flight = 10, queue = 0, adaptive = { min = 20 } }
9 | tls.ca = "ca.pem"
  | ^^^

error: expected a time, found true or false
  --> mirror.toml:10:17
   |
10 | timeout.total = true
   |                 ^^^^
   |
   = help: write it like "10ms" or "10s"

error: there is no key `max-age` in `target`
  --> mirror.toml:11:1
   |
11 | max-age = "5s"
   | ^^^^^^^
   |
   = help: `max-age` belongs in `target.limit`

error: there is a target `staging` already
  --> mirror.toml:14:8
   |
 6 | name = "staging"
   |        --------- here
...
14 | name = "staging"
   |        ^^^^^^^^^

error: user name and password in the URL are not supported
  --> mirror.toml:15:7
   |
15 | url = ***************************
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write it like url = "https://staging.example.net"

error: the environment variable `NOT_SET` is not set
  --> mirror.toml:16:28
   |
16 | authorization = { bearer = ************, basik = *********** }
   |                            ^^^^^^^^^^^^
   |
   = help: set it where the agent is started (systemd: Environment=, EnvironmentFile=)

error: there is no key `basik` in `target.authorization`
  --> mirror.toml:16:42
   |
16 | authorization = { bearer = ************, basik = *********** }
   |                                          ^^^^^
   |
   = help: a key with a similar name exists: `basic`

warning: no path is like this
  --> mirror.toml:17:14
   |
17 | match.path = "api"
   |              ^^^^^
   |
   = help: a path begins with `/`; `^` begins a regular expression, `*` a suffix

mirror.toml: 11 errors, 1 warning
"#;
    assert_eq!(text(&checked.stderr), expected);
    // The agent says the same, and starts nothing.
    let started = place.run(&["--config", "mirror.toml"]);
    assert_eq!(started.status.code(), Some(78));
    assert_eq!(text(&started.stderr), expected);
}

#[test]
fn mistakes_in_what_is_compared_are_told_inside_of_texts() {
    let place = Place::with(
        r#"[comparison]
natural-off = ["uuids"]
endpoints = ["/users/{id}", "/users/{user}"]
rules-file = "rules.toml"

[[comparison.rule]]
place = "$.items[0].price"
ignore = true

[[comparison.rule]]
place = "$.image"
replace = { pattern = "\\d+(px", with = "" }

[[target]]
name = "staging"
url = "http://staging:8080"
control = 10
"#,
    );
    place.file("rules.toml", "[[rule]]\nplace = \"status\"\nset = true\n", 0o644);
    let checked = place.check();
    assert_eq!(checked.status.code(), Some(1));
    let directory = place.0.path().display();
    let expected = format!(
        r#"error: there is no built-in rule of this name
 --> mirror.toml:2:16
  |
2 | natural-off = ["uuids"]
  |                ^^^^^^^
  |
  = help: is "uuid" meant?

error: an endpoint of the list matches just the same
 --> mirror.toml:3:29
  |
3 | endpoints = ["/users/{{id}}", "/users/{{user}}"]
  |              -------------  ^^^^^^^^^^^^^^^
  |              |
  |              this one

error: the rules in this file cannot be used
 --> mirror.toml:4:14
  |
4 | rules-file = "rules.toml"
  |              ^^^^^^^^^^^^
  |
  = help: {directory}/rules.toml:3:7: error: rule.set: it means nothing for `status`

error: brackets hold nothing, for any element, or a name in quotation marks; one element alone cannot be told apart
 --> mirror.toml:7:18
  |
7 | place = "$.items[0].price"
  |                  ^
  |
  = help: write it like place = "$.items[].price"

error: unclosed group
  --> mirror.toml:12:28
   |
12 | replace = {{ pattern = "\\d+(px", with = "" }}
   |                            ^
   |
   = help: write it like pattern = "^v[0-9]+"

error: `control` needs compare = true
  --> mirror.toml:17:11
   |
17 | control = 10
   |           ^^

mirror.toml: 6 errors
"#
    );
    assert_eq!(text(&checked.stderr), expected);
    assert_eq!(place.run(&["--config", "mirror.toml"]).status.code(), Some(78));
}

#[test]
fn what_is_no_toml_is_told_without_the_secrets_around_it() {
    let place =
        Place::with("[agent\n\n[[target]]\nauthorization = { bearer = \"hunter2\nurl = 5 5\n");
    let checked = place.check();
    assert_eq!(checked.status.code(), Some(1));
    let shown = text(&checked.stderr);
    assert!(
        shown.starts_with("error: unclosed table, expected `]`\n --> mirror.toml:1:7\n"),
        "{shown}"
    );
    assert!(shown.contains("mirror.toml:4:"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn files_that_are_none_are_told() {
    let place = Place::with("");
    for (file, told) in [("nowhere.toml", "cannot open it"), (".", "cannot read it")] {
        let checked = place.run(&["check", "--config", file]);
        assert_eq!(checked.status.code(), Some(1));
        assert!(text(&checked.stderr).contains(told), "{}", text(&checked.stderr));
    }
    place.file("mirror.toml", &"#".repeat(1 << 20), 0o644);
    assert!(place.check().status.success());
    place.file("mirror.toml", &"#".repeat((1 << 20) + 1), 0o644);
    assert!(text(&place.check().stderr).contains("no more than 1 MiB"));
}

#[test]
fn exit_codes_and_wrong_usage() {
    let place = Place::with("[[target]]\nname = \"a\"\nurl = \"http://a\"\nsample = 0\n");
    let checked = place.check();
    assert_eq!(checked.status.code(), Some(0), "a warning is no error");
    assert!(text(&checked.stderr).contains("mirror.toml: 1 warning"));
    assert!(text(&checked.stdout).contains("target a  http://a"));
    assert_eq!(place.run(&["check", "--confg", "x"]).status.code(), Some(64));
    let both = place.run(&["--config", "mirror.toml", "-u", "http://x"]);
    assert_eq!(both.status.code(), Some(64));
    assert!(text(&both.stderr).contains("--mirror-url: write target.url in the file"));
}

#[test]
fn secrets_are_shown_to_nobody() {
    let place = Place::with(
        r#"[admin]
listen = "127.0.0.1:9600"
token = "file:admin.token"

[[target]]
name = "a"
url = "http://a"
authorization = { basic = "user:${ACME_TOKEN}" }
redact = { default = true, key = "literal-key-0123456789", rules = [{ cookie = "s", with = "token" }] }
"#,
    );
    place.file("admin.token", "token-of-the-admin-api\n", 0o604);
    let secrets =
        ["the-token-of-acme", "literal-key-0123456789", "token-of-the-admin-api", "dXNlcjp0aGU"];
    let text_form = place.check();
    assert!(text(&text_form.stderr).contains("everybody on this machine can read"));
    let json = place.run(&["check", "--config", "mirror.toml", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["ok"], true);
    assert_eq!(value["findings"][0]["line"], 3);
    assert_eq!(value["findings"][0]["key"], "admin.token");
    assert!(value["memory"]["bytes"].as_u64().unwrap() > 1 << 20);
    let (config, warnings) = {
        let text = fs::read_to_string(place.0.path().join("mirror.toml")).unwrap();
        let environment = |_: &str| Some("the-token-of-acme".to_owned());
        file::parse(&place.0.path().join("mirror.toml"), &text, &environment).unwrap()
    };
    // A mistake beside each of them.
    let broken = place.0.path().join("mirror.toml");
    let shown = fs::read_to_string(&broken)
        .unwrap()
        .replace("listen =", "tokn = \"my-secret-0\", listen =");
    fs::write(
        &broken,
        shown.replace("default = true", "default = 1").replace(", listen", "\nlisten"),
    )
    .unwrap();
    let failed = place.check();
    assert_eq!(failed.status.code(), Some(1));
    let everything = format!(
        "{}{}{}{}{config:?}{warnings:?}{}",
        text(&text_form.stdout),
        text(&text_form.stderr),
        text(&json.stdout),
        text(&json.stderr),
        text(&failed.stderr)
    );
    for secret in secrets.iter().chain(&["my-secret-0"]) {
        assert!(!everything.contains(secret), "{secret}: {everything}");
    }
}

/// Keys in the first columns of the key tables of docs/CONFIGURATION.md.
fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join("docs/CONFIGURATION.md")).unwrap();
    let tables =
        text.split("<!-- keys -->").nth(1).unwrap().split("<!-- keys end -->").next().unwrap();
    tables
        .lines()
        .filter_map(|line| {
            line.strip_prefix("| `")?.split_once("` |").map(|(key, _)| key.to_owned())
        })
        .filter(|key| !key.starts_with('"'))
        .collect()
}

#[test]
fn every_key_is_documented_and_every_documented_key_accepted() {
    let keys = file::keys();
    // Of a table, its keys are documented.
    let is_table = |key: &str| keys.iter().any(|other| other.starts_with(&format!("{key}.")));
    let accepted: BTreeSet<_> = keys.iter().filter(|key| !is_table(key)).cloned().collect();
    let documented = documented();
    let missing: Vec<_> = accepted.difference(&documented).collect();
    let wrong: Vec<_> = documented.difference(&accepted).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "missing {missing:?}, wrong {wrong:?}");
}

/// Whether the value at this key, or of any element of the lists on the way there, is shown.
fn is_shown(value: &serde_json::Value, key: &str) -> bool {
    if let Some(list) = value.as_array() {
        return list.iter().any(|element| is_shown(element, key));
    }
    let (first, rest) =
        key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    value.get(first).is_some_and(|value| rest.is_none_or(|rest| is_shown(value, rest)))
}

#[test]
fn what_is_said_of_comparison_is_shown_as_it_is_written() {
    let place = Place::with(
        r#"[comparison]
endpoints = ["GET /users/{id}", "/static/*"]
rule = [
    { place = "header x-build", ignore = true },
    { place = "$.price", tolerance = 0.5, tolerance-percent = 0.7 },
    { place = "$.tags", set = true },
    { place = "$.items", keyed-by = "sku" },
    { place = "$.by-sku", map = true },
    { endpoint = "GET /a", place = "$..image", replace = { pattern = "^a", with = "b" } },
]

[comparison.verdict]
confidence = 99.9
difference-rate = 0.1
latency = { p50 = 1.5 }
allow = [{ endpoint = "GET /version", place = "*" }]

[[target]]
name = "candidate"
url = "http://candidate"
compare = true
control = 12.5
"#,
    );
    let json = place.run(&["check", "--config", "mirror.toml", "--json"]).stdout;
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let config = &value["config"];
    let keys = file::keys().iter().filter(|key| key.starts_with("comparison"));
    let hidden: Vec<_> = keys.filter(|key| !is_shown(config, key)).collect();
    assert!(hidden.is_empty(), "{hidden:?} in {config:#}");
    let comparison = &config["comparison"];
    assert_eq!(comparison["endpoints"], serde_json::json!(["GET /users/{id}", "/static/*"]));
    assert_eq!(comparison["rule"][1]["tolerance-percent"], 0.7);
    assert_eq!(comparison["verdict"]["confidence"], 99.9);
    assert_eq!(comparison["verdict"]["difference-rate"], 0.1);
    assert_eq!(comparison["verdict"]["control-pairs"], 100);
    assert_eq!(comparison["verdict"]["allow"][0]["place"], "*");
    assert_eq!(config["target"][0]["control"], 12.5);
    let told = text(&place.check().stdout);
    for part in ["rules 6, places that may differ 1", "12.5 % of safe requests sent twice"] {
        assert!(told.contains(part), "{told}");
    }
}

fn files(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|known| known == extension) {
            found.push(path);
        }
    }
}

#[test]
fn every_example_loads() {
    let mut examples = Vec::new();
    let mut documents = vec![repository().join("README.md")];
    files(&repository().join("docs"), "md", &mut documents);
    for document in &documents {
        let text = fs::read_to_string(document).unwrap();
        let blocks = text.split("```toml\n").skip(1);
        let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
        examples.extend(blocks.map(|block| (document.clone(), block)));
    }
    assert!(examples.len() >= 6, "{}", examples.len());
    let mut packaged = Vec::new();
    files(&repository().join("packaging"), "toml", &mut packaged);
    assert!(!packaged.is_empty());
    examples
        .extend(packaged.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())));
    for (source, toml) in examples {
        let place = Place::with("");
        // A directory that the service has.
        let toml = toml.replace("/var/lib/spoa-mirror", place.0.path().to_str().unwrap());
        place.file("mirror.toml", &toml, 0o644);
        place.file("staging.password", "user:password\n", 0o600);
        place.file("redact.key", "0123456789abcdef\n", 0o600);
        let checked = place.check();
        let shown = text(&checked.stderr);
        assert!(checked.status.success(), "{}:\n{toml}\n{shown}", source.display());
        // The package's file has no target yet.
        let allowed = toml.contains("[[target]]") && !toml.contains("# [[target]]");
        assert!(!allowed || shown.is_empty(), "{}:\n{toml}\n{shown}", source.display());
    }
}

#[test]
fn the_ceiling_grows_with_what_it_is_computed_from() {
    let bytes = |toml: &str| {
        let place = Place::with(&format!("[[target]]\nname = \"a\"\nurl = \"http://a\"\n{toml}"));
        let json = place.run(&["check", "--config", "mirror.toml", "--json"]).stdout;
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let parts = value["memory"]["parts"].as_array().unwrap();
        let sum: u64 = parts.iter().map(|part| part["bytes"].as_u64().unwrap()).sum();
        assert_eq!(value["memory"]["bytes"], sum);
        sum
    };
    let plain = bytes("limit = { queue-bytes = \"1MiB\", in-flight = 10 }");
    for larger in [
        "limit = { queue-bytes = \"2MiB\", in-flight = 10 }",
        "limit = { queue-bytes = \"1MiB\", in-flight = 11 }",
        "limit = { queue-bytes = \"1MiB\", in-flight = 10 }\nheaders.set = { a = \"{path}\" }",
        "limit = { queue-bytes = \"1MiB\", in-flight = 10 }\nmatch.path = \"^/a\"",
        "limit = { queue-bytes = \"1MiB\", in-flight = 10 }\n[agent]\nmax-frame-size = \"2MiB\"",
    ] {
        assert!(bytes(larger) > plain, "{larger}");
    }
    let compared = bytes("compare = true\n[comparison]\nmemory = \"1MiB\"");
    assert!(compared > bytes("[comparison]\nmemory = \"1MiB\""));
    let more = bytes("compare = true\n[comparison]\nmemory = \"3MiB\"");
    assert_eq!(more - compared, 2 << 20);
    let rule = "[[comparison.rule]]\nplace = \"$\"\nreplace = { pattern = \"^a\" }\n";
    assert!(bytes(&format!("compare = true\n{rule}")) > bytes("compare = true"));
}
