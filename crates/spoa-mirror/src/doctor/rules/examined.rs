//! For tests of rules: what they find in a configuration that is given as text.

use std::path::PathBuf;

use haproxy_config::{Surroundings, Syntax, Version, parse};

use super::Topic;
use crate::doctor::finding::Finding;
use crate::doctor::setup::{File, Files, Kind, Known, Setup};

/// A `mirror.conf` with what must be in it, for a backend `mirroragents`.
pub(super) const MIRROR: &str = "[mirror]
spoe-agent mirror
    messages mirror
    use-backend mirroragents
    timeout processing 20ms
spoe-message mirror
    args arg_method=method arg_path=url arg_hdrs=req.hdrs_bin
    event on-frontend-http-request
";

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

/// All versions that matter, and none.
pub(super) const VERSIONS: [Option<(u32, u32)>; 5] =
    [None, Some((2, 6)), Some((3, 0)), Some((3, 2)), Some((3, 4))];
