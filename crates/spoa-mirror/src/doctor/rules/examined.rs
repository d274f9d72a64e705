//! For tests of rules: what they find in a configuration that is given as text.

use std::path::PathBuf;

use haproxy_config::{Surroundings, Syntax, Version, parse};

use super::Topic;
use crate::doctor::finding::Finding;
use crate::doctor::setup::{File, Files, Kind, Known, Setup};

/// What the rules of a topic find in a `haproxy.cfg` and its `mirror.conf`, by this version or one that is not
/// known.
pub(super) fn findings(
    topic: &Topic,
    haproxy: &str,
    mirror: &str,
    version: Option<(u32, u32)>,
) -> Vec<Finding> {
    let version = version.map(|(major, minor)| Version { major, minor, patch: None });
    let mut files = Files::default();
    for (name, text, kind, syntax) in [
        ("haproxy.cfg", haproxy, Kind::Haproxy, Syntax::Haproxy),
        ("mirror.conf", mirror, Kind::Spoe, Syntax::Spoe),
    ] {
        let surroundings = Surroundings { file: name, version, ..Surroundings::default() };
        let document = parse(text.as_bytes(), syntax, &surroundings).unwrap();
        files.files.push(File { path: PathBuf::from(name), kind, document });
    }
    files.named.push((b"mirror.conf".to_vec(), 1));
    let setup = Setup::new(&files, Known(version), None, None);
    assert_eq!(setup.mirrors().filter(|filter| filter.spoe.is_some()).count(), 1);
    let mut findings = Vec::new();
    (topic.examine)(&setup, &mut findings);
    findings
}

/// The names of what is found.
pub(super) fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code.name).collect()
}

/// The configurations that the documentation shows: `haproxy.cfg` and `mirror.conf`.
pub(super) fn documented() -> Vec<(String, String)> {
    let blocks = |text: &str, language: &str| {
        let fence = format!("```{language}\n");
        let parts = text.split(&fence).skip(1);
        parts.map(|part| part.split("```").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for text in [
        include_str!("../../../../../README.md"),
        include_str!("../../../../../docs/COMPARISON.md"),
    ] {
        let whole = |block: &String| block.contains("filter spoe");
        let haproxy = blocks(text, "haproxy").into_iter().filter(whole);
        found.extend(haproxy.zip(blocks(text, "spoe")));
    }
    assert_eq!(found.len(), 3, "the README's, one message, two messages");
    found.push((
        include_str!("../../../../../packaging/examples/haproxy.cfg").to_owned(),
        include_str!("../../../../../packaging/examples/mirror.conf").to_owned(),
    ));
    found
}

/// All versions that matter, and none.
pub(super) const VERSIONS: [Option<(u32, u32)>; 5] =
    [None, Some((2, 6)), Some((3, 0)), Some((3, 2)), Some((3, 4))];
