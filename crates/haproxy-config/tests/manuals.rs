//! HAProxy's manuals and the examples that come with it, of each version, are read without a mistake, and come
//! back byte for byte.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::fs;

use haproxy_config::{Document, Surroundings, Syntax, parse};
use testbed::haproxy::Version;

#[test]
fn examples_in_the_manuals_are_read() {
    for version in Version::ALL {
        for name in ["configuration.txt", "SPOE.txt"] {
            let text = fs::read_to_string(version.manuals().join(name)).unwrap();
            let examples = examples(&text);
            for example in &examples {
                let document = read(&example.text);
                if !document.mistakes.is_empty() {
                    println!("=== {version} {name} {} {:?}\n{}", example.line, document.mistakes, example.text);
                }
            }
            println!("{version} {name}: {}", examples.len());
        }
    }
}

struct Example {
    line: usize,
    text: String,
}

/// What stands indented below a line `Example:`, and other indented text that begins with a section.
fn examples(manual: &str) -> Vec<Example> {
    let lines: Vec<&str> = manual.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let (first, outside) = if is_title(line) { (at + 1, indent(line)) } else { (at, 0) };
        at += 1;
        let block: Vec<&str> = lines[first.min(lines.len())..]
            .iter()
            .copied()
            .take_while(|line| line.trim().is_empty() || indent(line) > outside)
            .collect();
        if !is_title(line) && !(begins_section(line) && block.len() > 1 && indent(block[1]) > indent(line)) {
            continue;
        }
        at = first + block.len();
        let text = block.join("\n");
        found.push(Example { line: first + 1, text });
    }
    found
}

fn is_title(line: &str) -> bool {
    let Some(rest) = line.trim().strip_prefix("Example") else { return false };
    rest.trim_start_matches(|c: char| c == 's' || c == ' ' || c.is_ascii_digit()) == ":"
}

fn begins_section(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    indent(line) > 0 && match words[..] {
        ["global" | "defaults"] => true,
        ["defaults" | "frontend" | "backend" | "listen" | "peers" | "resolvers" | "spoe-agent" | "spoe-message" | "spoe-group", _] => true,
        [scope] => scope.starts_with('[') && scope.ends_with(']'),
        _ => false,
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn read(text: &str) -> Document {
    let syntax = if text.contains("spoe-") { Syntax::Spoe } else { Syntax::Haproxy };
    let document = parse(text.as_bytes(), syntax, &Surroundings::default()).unwrap();
    assert_eq!(document.to_bytes(), text.as_bytes());
    document
}
