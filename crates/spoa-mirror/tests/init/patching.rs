//! A given haproxy.cfg: everything but what is added stays, and what is added is where it works.

use std::fs;

use testbed::haproxy::{Haproxy, Version};

use crate::scene::{Way, Written, operators, run};

/// What `init` makes of a file, and the difference that it shows; `{DIR}` in it stands for its directory.
struct Patched {
    original: String,
    text: String,
    diff: String,
}

impl Patched {
    fn of(text: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let original = text.replace("{DIR}", &path(""));
        fs::write(path("haproxy.cfg"), &original).unwrap();
        let (haproxy, output) = (path("haproxy.cfg"), path("out"));
        let mut all = vec!["init", "--json", "--target", "http://staging", "--haproxy", &haproxy];
        all.extend(["--output", &output, "--haproxy-version", "any"]);
        all.extend(arguments);
        let said = run(&all);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        let diff = answer["diff"].as_str().unwrap().to_owned();
        let text = fs::read_to_string(path("out/haproxy.cfg")).unwrap();
        let patched = Self { original, text, diff };
        patched.assert_rest_is_the_same();
        for name in ["mirror.conf", "mirror.map"] {
            fs::copy(path(&format!("out/{name}")), path(name)).unwrap();
        }
        for version in Version::ALL {
            match Haproxy::builder(version).config(&patched.text).check() {
                Ok(said) => {
                    assert!(!said.contains("WARNING"), "{version}: {said}\n{}", patched.text);
                }
                Err(said) => panic!("{version}: {said}\n{}", patched.text),
            }
        }
        patched
    }

    /// Goes through the difference, backwards: what it says was added is there, and without it the file is the
    /// original one.
    fn assert_rest_is_the_same(&self) {
        let mut before: Vec<&str> = Vec::new();
        let new: Vec<&str> = self.text.split_inclusive('\n').collect();
        let mut next = 0;
        for line in self.diff.lines().skip(2).filter(|line| !line.starts_with('\\')) {
            if let Some(hunk) = line.strip_prefix("@@ -") {
                let start = hunk.split('+').nth(1).unwrap().split(',').next().unwrap();
                let start: usize = start.parse().unwrap();
                before.extend(&new[next..start - 1]);
                next = start - 1;
                continue;
            }
            let (sign, rest) = line.split_at(1);
            match sign {
                "-" => before.push(self.original.split_inclusive('\n').nth(before.len()).unwrap()),
                _ => {
                    assert_eq!(
                        new[next].trim_end_matches(['\r', '\n']),
                        rest.trim_end_matches('\r')
                    );
                    if sign == " " {
                        before.push(new[next]);
                    }
                    next += 1;
                }
            }
        }
        before.extend(&new[next..]);
        assert_eq!(before.concat(), self.original, "{}", self.diff);
    }

    /// The line after the one that contains this, of those that are no comments.
    #[track_caller]
    fn after(&self, text: &str) -> &str {
        let mut lines = self.text.lines().skip_while(|line| !line.contains(text)).skip(1);
        lines.find(|line| !line.trim().is_empty() && !line.contains('#')).unwrap().trim()
    }
}

const DEFAULTS: &str = "\
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
";
const BACKEND: &str = "\
backend app
    server app1 127.0.0.1:1
";

#[test]
fn an_operators_file_keeps_all_that_it_had() {
    for arguments in [&[][..], &["--compare"]] {
        let patched = Patched::of(&operators("127.0.0.1:1"), arguments);
        // Before the comment of what decides where a request goes.
        let choice = patched.text.find("    # Pictures come").unwrap();
        let group = patched.text.find("send-spoe-group").unwrap();
        assert!(group < choice && patched.text[group..choice].lines().count() == 1);
        let agents = patched.text.find("backend mirroragents").unwrap();
        assert!(agents < patched.text.find("# For all.\ndefaults").unwrap());
        assert!(patched.diff.contains("+    filter compression\n"));
        assert!(!patched.diff.contains("\n-"), "{}", patched.diff);
    }
}

#[test]
fn filters_that_haproxy_adds_by_itself_are_named_in_the_order_that_it_wants() {
    let cache = "cache small\n    total-max-size 4\n    max-age 10\n\n";
    let text = format!(
        "{cache}{DEFAULTS}    compression algo gzip\n\nfrontend www\n    bind :1\n    http-request cache-use small\n    \
         http-response cache-store small\n    default_backend app\n\n{BACKEND}"
    );
    let patched = Patched::of(&text, &["--compare"]);
    assert_eq!(patched.after("filter spoe"), "filter cache small");
    assert_eq!(patched.after("filter cache"), "filter compression");
    // What is named already is not named again.
    let named = text
        .replace("    default_b", "    filter cache small\n    filter compression\n    default_b");
    let patched = Patched::of(&named, &[]);
    assert!(!patched.diff.contains("+    filter c"), "{}", patched.diff);
}

#[test]
fn buffers_are_enlarged_where_they_must_be() {
    let with = |global: &str| {
        format!(
            "{global}\n{DEFAULTS}\nfrontend www\n    bind :1\n    default_backend app\n\n{BACKEND}"
        )
    };
    let patched = Patched::of(&with("global\n    tune.bufsize 32768 # for long headers\n"), &[]);
    assert!(patched.diff.contains(
        "-    tune.bufsize 32768 # for long headers\n+    tune.bufsize 65536 # for long"
    ));
    let patched = Patched::of(&with("global\n    tune.bufsize 131072\n"), &[]);
    assert!(!patched.diff.contains("+    tune.bufsize"));
    let patched = Patched::of(&with(""), &["--max-body", "100k"]);
    assert_eq!(patched.after("global"), "tune.bufsize 118784");
    let patched = Patched::of(&with("global\n    tune.maxrewrite 20000\n    maxconn 100\n"), &[]);
    assert_eq!(patched.after("maxconn 100"), "tune.bufsize 73728");
}

#[test]
fn no_condition_is_torn_apart() {
    let text = format!(
        "global\n    maxconn 100\n.if defined(NOBODY_SETS_THIS)\n    nbthread 1\n.endif\n\n.if defined(NOR_THIS)\n\
         {DEFAULTS}.else\n{DEFAULTS}.endif\n\nfrontend www\n    bind :1\n\n    # A choice.\n.if \
         defined(NOBODY_SETS_THIS)\n    use_backend other\n.endif\n    default_backend app\n\n{BACKEND}"
    );
    let patched = Patched::of(&text, &[]);
    assert_eq!(patched.after("send-spoe-group"), ".if defined(NOBODY_SETS_THIS)");
    let position = |part: &str| patched.text.find(part).unwrap();
    assert!(position("backend mirroragents") < position(".if defined(NOR_THIS)"));
    assert!(position(".endif") < position("tune.bufsize"));
}

#[test]
fn files_of_every_shape_are_patched() {
    let frontend = "frontend www\n    bind :1\n    default_backend app";
    let usual = format!("global\n    maxconn 100\n\n{DEFAULTS}\n{BACKEND}\n{frontend}\n");
    for text in [
        // Other line ends, other indentation, nothing between sections, the first line in the way.
        usual.replace('\n', "\r\n"),
        usual.replace("    ", "\t"),
        usual.replace("    ", "  "),
        usual.replace("\n\n", "\n"),
        usual.split_once("\n\n").unwrap().1.to_owned(),
        // No defaults, no global, a listen section.
        format!(
            "{frontend}\n    mode http\n    timeout client 1s\n\n{BACKEND}    mode http\n    timeout connect \
                 1s\n    timeout server 1s\n"
        ),
        format!("{DEFAULTS}\nlisten www\n    bind :1\n    server app1 127.0.0.1:1\n"),
    ] {
        for arguments in [&[][..], &["--compare"]] {
            let patched = Patched::of(&text, arguments);
            let tabs = text.contains('\t');
            assert_eq!(patched.text.contains("\n\tfilter spoe"), tabs);
            let ends = |line_end: &str| patched.text.matches(line_end).count();
            assert!(!text.contains("\r\n") || ends("\r\n") == ends("\n"));
        }
    }
}

#[test]
fn secrets_beside_a_change_are_not_shown() {
    let secret = "    http-request set-header authorization \"Bearer hunter2\"\n";
    let text = format!(
        "{DEFAULTS}\nfrontend www\n    bind :1\n{secret}    default_backend app\n\n{BACKEND}"
    );
    let patched = Patched::of(&text, &[]);
    assert!(!patched.diff.contains("hunter2"), "{}", patched.diff);
    assert!(patched.diff.contains("+    filter spoe"), "{}", patched.diff);
}

#[test]
fn a_file_that_mirrors_already_is_left_to_the_doctor() {
    let written =
        Written::new(Way::Patched, &operators("127.0.0.1:1"), "any", &["--target", "http://x"]);
    let path = written.path("haproxy.cfg");
    let said = run(&[
        "init",
        "--target",
        "http://x",
        "--haproxy",
        path.to_str().unwrap(),
        "--output",
        "x",
    ]);
    let error = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(1), "{error}");
    assert!(error.contains("mirrors already, see line") && error.contains("doctor"), "{error}");
}
