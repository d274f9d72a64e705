//! Whatever the files say, the doctor comes to an end, tells places that there are, and its patch can be applied.

use std::fs;
use std::path::{Path, PathBuf};

use haproxy_config::{Surroundings, Syntax, Version, parse};
use proptest::prelude::*;

use super::assumed::Assumed;
use super::finding::{Finding, Place};
use super::live::Seen;
use super::patch::patch;
use super::rules;
use super::setup::{File, Files, Kind, Setup};
use super::shown::Answer;

/// Words that mean something to a rule, put where they mean nothing.
const WORDS: &[&str] = &[
    "",
    "\"\"",
    "0",
    "1",
    "-1",
    "5s",
    "99999999999999999999",
    "99999d",
    "if",
    "unless",
    "{",
    "}",
    "!",
    "mirror",
    "filter",
    "spoe",
    "engine",
    "config",
    "mirror.conf",
    "mode",
    "http",
    "tcp",
    "spop",
    "timeout",
    "processing",
    "option",
    "no",
    "http-buffer-request",
    "spop-check",
    "server",
    "127.0.0.1:80",
    "check",
    "inter",
    "messages",
    "args",
    "event",
    "on-frontend-http-request",
    "on-http-response",
    "req.body",
    "req.body,bytes(0,",
    "res.body",
    "var(txn.a)",
    "unique-id",
    "use-backend",
    "tune.bufsize",
    "send-spoe-group",
    "set-var(txn.a)",
    "rand(0)",
    "lt",
    "\u{e9}\u{fffd}",
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "spoe-agent",
    "spoe-message",
    "spoe-group",
    "[mirror]",
    "program",
    "from",
    "groups",
    "balance",
    "hash",
    "max-frame-size",
    "wait-for-body",
];

/// A change to a line of a file: which file, which line, which word, and what becomes of it.
type Mutation = (bool, prop::sample::Index, prop::sample::Index, Becomes);

#[derive(Debug, Clone)]
enum Becomes {
    Nothing,
    Twice,
    AWord(&'static str),
    /// A byte in it, which may be a part of a character.
    WithAByte(u8, prop::sample::Index),
    TheLineBefore,
    Cut,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_all_places_are_there(
        seed in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(mutation(), 0..8),
        version in prop::option::of(prop::sample::select(&[(2, 6), (3, 0), (3, 2), (3, 4)][..])),
    ) {
        let seeds = seeds();
        let [mut haproxy, mut spoe] = seeds[seed.index(seeds.len())].clone();
        for (first, line, word, becomes) in mutations {
            mutate(if first { &mut haproxy } else { &mut spoe }, line, word, &becomes);
        }
        let files = files(&haproxy, &spoe);
        let version = version.map(|(major, minor)| Version { major, minor, patch: None });
        let assumed = version.map_or_else(Assumed::default, Assumed::told);
        let setup = Setup::new(&files, assumed.version, None, None);
        let findings = rules::examine(&setup);
        for finding in &findings {
            check(&files, finding);
        }
        let seen = Seen::default();
        let answer =
            Answer { files: &files, assumed: &assumed, findings: &findings, setup: &setup, seen: &seen };
        prop_assert!(!answer.text(false).is_empty() && answer.json().is_object());
        let patch = patch(&files, &findings);
        for file in &patch.files {
            let lines = String::from_utf8_lossy(&file.new).lines().count();
            prop_assert!(lines < 10_000, "{} lines", lines);
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let becomes = prop_oneof![
        Just(Becomes::Nothing),
        Just(Becomes::Twice),
        prop::sample::select(WORDS).prop_map(Becomes::AWord),
        (any::<u8>(), any::<prop::sample::Index>())
            .prop_map(|(byte, at)| Becomes::WithAByte(byte, at)),
        Just(Becomes::TheLineBefore),
        Just(Becomes::Cut),
    ];
    (any::<bool>(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), becomes)
}

fn mutate(
    lines: &mut Vec<Vec<u8>>,
    line: prop::sample::Index,
    word: prop::sample::Index,
    becomes: &Becomes,
) {
    if lines.is_empty() {
        return;
    }
    let at = line.index(lines.len());
    let mut words: Vec<Vec<u8>> =
        lines[at].split(|&byte| byte == b' ').map(<[u8]>::to_vec).collect();
    let nth = word.index(words.len());
    match becomes {
        Becomes::Nothing => {
            words.remove(nth);
        }
        Becomes::Twice => words.insert(nth, words[nth].clone()),
        Becomes::AWord(word) => words[nth] = word.as_bytes().to_vec(),
        Becomes::WithAByte(byte, at) => {
            let length = words[nth].len();
            words[nth].insert(at.index(length + 1), *byte);
        }
        Becomes::TheLineBefore => return lines.swap(at, at.saturating_sub(1)),
        Becomes::Cut => return lines.truncate(at),
    }
    lines[at] = words.join(&b' ');
}

/// Every place is in a file, and every change is one of a line.
fn check(files: &Files, finding: &Finding) {
    let places = finding.place.iter().chain(finding.others.iter().map(|(place, _)| place));
    for Place { file, line, span } in places {
        let document = &files.files[*file].document;
        let raw = document.lines().find(|it| it.number == *line).map(|it| it.raw.len());
        assert!(span.start <= span.end, "{finding:?}");
        assert!(*line == 0 || raw.is_some_and(|length| span.end <= length.max(1)), "{finding:?}");
    }
    for edit in &finding.mend.edits {
        let document = &files.files[edit.file].document;
        assert!(document.lines().any(|line| line.number == edit.line), "{finding:?}");
    }
    assert!(!finding.message.is_empty() && !finding.message.ends_with('.'), "{finding:?}");
}

fn files(haproxy: &[Vec<u8>], spoe: &[Vec<u8>]) -> Files {
    let file = |path: &str, kind, lines: &[Vec<u8>]| {
        let syntax = if kind == Kind::Haproxy { Syntax::Haproxy } else { Syntax::Spoe };
        let text = [lines.join(&b'\n'), b"\n".to_vec()].concat();
        let document = parse(&text, syntax, &Surroundings::default()).unwrap();
        File { path: PathBuf::from(path), kind, document }
    };
    let haproxy = file("haproxy.cfg", Kind::Haproxy, haproxy);
    let spoe = file("mirror.conf", Kind::Spoe, spoe);
    let named = vec![(b"mirror.conf".to_vec(), 1)];
    Files { files: vec![haproxy, spoe], named, ..Files::default() }
}

/// The lines of all fixtures' files.
fn seeds() -> &'static [[Vec<Vec<u8>>; 2]] {
    static SEEDS: std::sync::OnceLock<Vec<[Vec<Vec<u8>>; 2]>> = std::sync::OnceLock::new();
    SEEDS.get_or_init(|| {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/fixtures");
        let mut seeds = Vec::new();
        for code in fs::read_dir(fixtures).unwrap() {
            for fixture in fs::read_dir(code.unwrap().path()).unwrap() {
                let directory = fixture.unwrap().path();
                let read = |name| fs::read_to_string(directory.join(name)).ok();
                if let (Some(haproxy), Some(spoe)) = (read("haproxy.cfg"), read("mirror.conf")) {
                    let lines =
                        |text: &str| text.lines().map(|line| line.as_bytes().to_vec()).collect();
                    seeds.push([lines(&haproxy), lines(&spoe)]);
                }
            }
        }
        assert!(seeds.len() > 20, "only {} fixtures", seeds.len());
        seeds.sort();
        seeds
    })
}
