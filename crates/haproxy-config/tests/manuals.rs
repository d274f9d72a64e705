//! HAProxy's manuals and the examples that come with it, of each version, are read without a mistake that HAProxy
//! itself does not find, and come back byte for byte. So does the configuration that Debian's package installs.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::fs;
use std::path::{Path, PathBuf};

use haproxy_config::{Document, MistakeKind, Surroundings, Syntax, parse};
use testbed::haproxy::{Haproxy, Version};

#[test]
fn examples_in_the_manuals_are_read() {
    for version in Version::ALL {
        let manual = fs::read_to_string(version.manuals().join("configuration.txt")).unwrap();
        let examples = examples(&manual);
        let (right, wrong): (Vec<_>, Vec<_>) = examples
            .into_iter()
            .map(|example| {
                // Most are lines of a section that the text names, and some are sections.
                let text = format!("frontend example\n{}", example.text);
                let document = read(text.as_bytes(), Syntax::Haproxy);
                (example.line, text, document)
            })
            .partition(|(_, _, document)| document.mistakes.is_empty());
        assert!(right.len() >= 215, "{version}: only {} examples were found", right.len());
        // Sessions at a shell and printing errors are among them, and HAProxy must agree.
        assert!(wrong.len() <= 5, "{version}: {} examples are not read", wrong.len());
        for (line, text, document) in wrong {
            agrees(version, &text, &document, &format!("{version}, line {line}"));
        }
    }
}

#[test]
fn examples_in_the_manual_of_spoe_are_read() {
    for version in Version::ALL {
        let manual = fs::read_to_string(version.manuals().join("SPOE.txt")).unwrap();
        let examples = examples(&manual);
        let mut scopes = 0;
        for Example { line, text } in &examples {
            let is_spoe = text.contains("spoe-agent") || text.contains("spoe-message");
            let syntax = if is_spoe { Syntax::Spoe } else { Syntax::Haproxy };
            let document = read(text.as_bytes(), syntax);
            assert_eq!(document.mistakes, [], "{version}, line {line}:\n{text}");
            scopes += document.lines().filter(|line| line.scope.is_some()).count();
        }
        assert!(examples.len() >= 2 && scopes >= 2, "{version}: {} examples", examples.len());
    }
}

/// Those of management, of reloads, of tests. What they call an example is mostly a session at a shell, so that only
/// sections are looked at.
#[test]
fn sections_in_other_manuals_are_read() {
    for version in Version::ALL {
        let mut count = 0;
        for entry in fs::read_dir(version.manuals()).unwrap() {
            let path = entry.unwrap().path();
            let of_others = ["configuration.txt", "SPOE.txt", "haproxy.cfg"];
            if !path.is_file() || of_others.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            let text = fs::read(&path).unwrap();
            let manual = String::from_utf8_lossy(&text).replace("Example", "Session");
            for Example { line, text } in examples(&manual) {
                let document = read(text.as_bytes(), Syntax::Haproxy);
                assert_eq!(document.mistakes, [], "{}, line {line}:\n{text}", path.display());
                count += 1;
            }
        }
        assert!(count >= 10, "{version}: only {count} sections were found");
    }
}

#[test]
fn examples_beside_the_manuals_are_read() {
    for version in Version::ALL {
        let examples = version.manuals().join("examples");
        let files = files_in(&examples);
        assert!(files.len() >= 5, "{version}: only {} examples were found", files.len());
        for file in files {
            let text = fs::read(&file).unwrap();
            let document = read(&text, Syntax::Haproxy);
            assert_eq!(document.mistakes, [], "{}", file.display());
            assert!(!document.sections.is_empty(), "{}", file.display());
        }
    }
}

#[test]
fn what_the_package_installs_is_read() {
    for version in Version::ALL {
        let text = fs::read(version.manuals().join("haproxy.cfg")).unwrap();
        let document = read(&text, Syntax::Haproxy);
        assert_eq!(document.mistakes, [], "{version}");
        let keywords: Vec<_> = document.sections.iter().map(|section| section.keyword()).collect();
        assert_eq!(keywords, [&b"global"[..], b"defaults"], "{version}");
    }
}

/// Where a text has a mistake, HAProxy finds it too.
fn agrees(version: Version, text: &str, document: &Document, place: &str) {
    let said = Haproxy::builder(version).config(text).check().expect_err(place);
    for mistake in &document.mistakes {
        assert_eq!(mistake.kind, MistakeKind::UnmatchedQuote, "{place}:\n{text}");
        let finds = format!("[haproxy.cfg:{}]: unmatched quote", mistake.line);
        assert!(said.contains(&finds), "{place}: {mistake}\n{text}\n{said}");
    }
}

struct Example {
    /// Of its first line in the manual.
    line: usize,
    text: String,
}

/// What stands below a line `Example:` and is indented more than that; and, where no such line is, what begins
/// with a section's header and is indented as much or more. Dots that stand for something left out become a
/// comment.
fn examples(manual: &str) -> Vec<Example> {
    let lines: Vec<&str> = manual.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let (first, least) = match (is_title(line), begins_section(line)) {
            (true, _) => (at + 1, indentation(line) + 1),
            (false, true) => (at, indentation(line)),
            (false, false) => {
                at += 1;
                continue;
            }
        };
        let block = lines[first..]
            .iter()
            .take_while(|line| line.trim().is_empty() || indentation(line) >= least);
        let block: Vec<&str> =
            block.map(|line| if line.trim() == "..." { "# ..." } else { line }).collect();
        at = (first + block.len()).max(at + 1);
        let has_more = block.get(1).is_some_and(|line| indentation(line) > least);
        if is_title(line) || has_more {
            found.push(Example { line: first + 1, text: block.join("\n") + "\n" });
        }
    }
    found
}

/// `Example:`, `Examples :`, `Example 2:`.
fn is_title(line: &str) -> bool {
    let Some(rest) = line.trim().strip_prefix("Example") else { return false };
    rest.trim_start_matches(|c: char| c == 's' || c == ' ' || c.is_ascii_digit()) == ":"
}

/// Whether the whole line is what begins a section, or a `[scope]`, and not a sentence.
fn begins_section(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_header = match words[..] {
        ["global" | "defaults"] => true,
        [
            "defaults" | "frontend" | "backend" | "listen" | "peers" | "resolvers" | "userlist",
            _,
        ] => true,
        [scope] => scope.starts_with('[') && scope.ends_with(']'),
        _ => false,
    };
    is_header && indentation(line) > 0
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The `.cfg` and `.conf` files in a directory; none if there is none.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("cfg" | "conf")) && path.is_file()
    };
    paths.filter(is_one).collect()
}

fn read(text: &[u8], syntax: Syntax) -> Document {
    let document = parse(text, syntax, &Surroundings::default()).unwrap();
    assert_eq!(document.to_bytes(), text);
    document
}
