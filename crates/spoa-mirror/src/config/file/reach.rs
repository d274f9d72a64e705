//! Targets that no request can get to, or that every request gets to twice.

use super::walk::{Place, Reader, Section};
use crate::config::{Match, Pattern, TargetConfig};

/// Warns of a target that can never match.
pub(super) fn check(section: &Section<'_, '_, '_>, target: &TargetConfig) {
    let reader = section.reader;
    if let (Some(except), Some(place)) = (&target.except, section.place_of("except")) {
        if covers(except, &target.matching) {
            let other = section.place_of("match");
            let message = match other {
                Some(_) => "every request that `match` takes is excepted: this target gets nothing",
                None => "every request is excepted: this target gets nothing",
            };
            reader.warn(&place, message, None);
        }
    }
    if let Some(place) = section.place_of("match") {
        if let Some(why) = contradiction(&target.matching) {
            reader.warn(&place, format!("no request can match: {why}"), None);
        }
    }
}

/// Warns of a target that gets what another one gets already, at the same place.
pub(super) fn twins(
    reader: &Reader<'_>,
    place: &Place,
    target: &TargetConfig,
    others: &[TargetConfig],
) {
    let twin = others.iter().find(|other| {
        other.url == target.url
            && other.matching == target.matching
            && other.except == target.except
            && other.rewrite == target.rewrite
            && other.sample == target.sample
    });
    if let Some(twin) = twin {
        let message =
            format!("this is target `{}` again: each request goes there twice", twin.name);
        reader.warn(place, message, Some("to send copies several times, use `amplify`".to_owned()));
    }
}

/// Whether every request that meets `narrow` also meets `wide`, as far as can be told.
fn covers(wide: &Match, narrow: &Match) -> bool {
    let methods = wide.methods.is_empty()
        || (!narrow.methods.is_empty() && narrow.methods.iter().all(|m| wide.methods.contains(m)));
    let sources = wide.sources.is_empty()
        || (!narrow.sources.is_empty()
            && narrow.sources.iter().all(|net| wide.sources.iter().any(|wide| wide.contains(net))));
    methods
        && sources
        && all_covered(&wide.path, &narrow.path)
        && all_covered(&wide.host, &narrow.host)
        && all_named_covered(&wide.headers, &narrow.headers)
        && all_named_covered(&wide.query, &narrow.query)
        && all_named_covered(&wide.cookies, &narrow.cookies)
        && all_named_covered(&wide.args, &narrow.args)
}

fn all_named_covered(wide: &[(String, Vec<Pattern>)], narrow: &[(String, Vec<Pattern>)]) -> bool {
    wide.iter().all(|(name, wide)| {
        let same = narrow.iter().find(|(known, _)| known == name);
        same.is_some_and(|(_, narrow)| all_covered(wide, narrow))
    })
}

fn all_covered(wide: &[Pattern], narrow: &[Pattern]) -> bool {
    let one = |narrow: &Pattern| wide.iter().any(|wide| pattern_covers(wide, narrow));
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(one))
}

fn pattern_covers(wide: &Pattern, narrow: &Pattern) -> bool {
    if wide == narrow {
        return true;
    }
    match (wide, narrow) {
        (Pattern::Prefix(wide), _) if wide.is_empty() => true,
        (wide, Pattern::Exact(text)) => wide.matches(text.as_bytes()),
        (Pattern::Prefix(wide), Pattern::Prefix(narrow)) => narrow.starts_with(wide.as_str()),
        (Pattern::Suffix(wide), Pattern::Suffix(narrow)) => narrow.ends_with(wide.as_str()),
        _ => false,
    }
}

/// Two criteria about the same thing that cannot both hold.
fn contradiction(rule: &Match) -> Option<String> {
    let header =
        rule.headers.iter().find(|(name, _)| name == "host").map(|(_, patterns)| patterns)?;
    let exact = |patterns: &[Pattern]| -> Option<Vec<String>> {
        let text = |pattern: &Pattern| match pattern {
            Pattern::Exact(text) => Some(text.to_ascii_lowercase()),
            _ => None,
        };
        patterns.iter().map(text).collect()
    };
    let (hosts, headers) = (exact(&rule.host)?, exact(header)?);
    let without_port = |header: &String| {
        header.rsplit_once(':').map_or(header.clone(), |(host, _)| host.to_owned())
    };
    let common = headers.iter().any(|header| hosts.contains(&without_port(header)));
    (!hosts.is_empty() && !common)
        .then(|| "`host` and `headers.host` exclude each other".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rule(methods: &[&str], paths: &[&str]) -> Match {
        Match {
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            path: paths.iter().map(|path| Pattern::parse(path).unwrap()).collect(),
            ..Match::default()
        }
    }

    #[test]
    fn a_rule_covers_what_is_narrower() {
        for (wide, narrow) in [
            (rule(&["GET", "POST"], &[]), rule(&["GET"], &["/a"])),
            (rule(&[], &["/api/*"]), rule(&["GET"], &["/api/x", "/api/v1/*"])),
            (rule(&[], &["*.png", "/img/*"]), rule(&[], &["/a.png", "*/b.png", "/img/x"])),
            (rule(&[], &["^/a+$"]), rule(&[], &["/aaa", "^/a+$"])),
            (rule(&[], &["*"]), rule(&[], &["^x"])),
        ] {
            assert!(covers(&wide, &narrow), "{wide:?} {narrow:?}");
        }
        for (wide, narrow) in [
            (rule(&["GET"], &[]), rule(&[], &[])),
            (rule(&["GET"], &[]), rule(&["GET", "POST"], &[])),
            (rule(&[], &["/api/*"]), rule(&[], &["/ap*"])),
            (rule(&[], &["^/a+$"]), rule(&[], &["/a*"])),
            (rule(&["GET"], &["/a"]), rule(&["GET"], &["/a", "/b"])),
        ] {
            assert!(!covers(&wide, &narrow), "{wide:?} {narrow:?}");
        }
    }
}
