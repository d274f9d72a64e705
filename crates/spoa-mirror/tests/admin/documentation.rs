//! The documentation's examples work, and it names every path that the API has.

use std::collections::BTreeSet;

use super::api::Agent;

const OPERATIONS: &str = include_str!("../../../../docs/OPERATIONS.md");

/// The section on the admin API.
fn section() -> &'static str {
    let section = OPERATIONS.split("\n## Live control\n").nth(1).unwrap();
    section.split("\n## ").next().unwrap()
}

/// The words of a command line, without the quotes around them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

#[test]
fn the_examples_work() {
    let agent = Agent::start();
    let commands: Vec<_> =
        section().lines().filter_map(|line| line.strip_prefix("$ curl -fsS ")).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        let (mut method, mut headers, mut body, mut path) =
            ("GET".to_owned(), vec![], String::new(), None);
        let mut words = words(command).into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-X" => method = words.next().unwrap(),
                "-d" => body = words.next().unwrap(),
                "-H" => {
                    let header = words.next().unwrap();
                    let (name, value) = header.split_once(": ").unwrap();
                    headers.push((name.to_owned(), value.to_owned()));
                }
                url => path = url.strip_prefix("http://127.0.0.1:9600").map(str::to_owned),
            }
        }
        let path = path.unwrap().replace("staging", &agent.target());
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = agent.ask_with(&format!("{method} {path}"), &headers, &body);
        assert_eq!(answer.status(), 200, "{command}: {answer:?}");
    }
}

#[test]
fn every_path_is_documented_and_no_other() {
    let agent = Agent::start();
    let description = agent.ask("GET /api/v1/openapi.json").json();
    let mut paths: BTreeSet<String> =
        description["paths"].as_object().unwrap().keys().cloned().collect();
    paths.remove("/api/v1/openapi.json");
    let table = section().split("| request |").nth(1).unwrap().split("\n\n").next().unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let mut documented = BTreeSet::new();
    for cell in cells {
        let mut last = String::new();
        for word in cell.split(['`', ',', ' ']).filter(|word| word.contains('/')) {
            // `.../resume` follows a path that it shares all but the end with.
            let path = match word.strip_prefix("...") {
                Some(end) => format!("{}{end}", last.rsplit_once('/').unwrap().0),
                None => word.to_owned(),
            };
            documented.insert(path.replace("NAME", "{name}"));
            last = path;
        }
    }
    assert_eq!(documented, paths);
}
