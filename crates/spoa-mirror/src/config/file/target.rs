//! `[defaults]` and `[[target]]`.

use toml::de::DeValue;

use super::walk::{Place, Section, Value};
use super::{limits, reach, rewrite, rules, transport};
use crate::config::{Compare, Config, HttpVersion, MirrorUrl, Share, TargetConfig, TruncatedBody};
use crate::exchange::SAFE_METHODS;

/// Targets in a file.
const MAX_TARGETS: usize = 1000;

/// Reads all targets; everything else is in `config`.
pub(super) fn read_all(root: &mut Section<'_, '_, '_>, config: &Config) -> Vec<TargetConfig> {
    let reader = root.reader;
    let defaults = root.get("defaults");
    if let Some(value) = &defaults {
        match Section::of(reader, value, "defaults") {
            // By itself, so that it is checked also where every target has its own.
            Some(mut section) => {
                reader.set_incomplete(true);
                let _ = read(&mut section, config, TargetConfig::new(String::new(), nowhere()));
                reader.set_incomplete(false);
            }
            None => reader.wrong_type(value, "a table", "[defaults]"),
        }
    }
    let Some(value) = root.get("target") else {
        if reader.is_cataloguing() {
            let mut section = Section::nothing(reader, "target");
            let _ = name_and_url(&mut section);
            let _ = read(&mut section, config, TargetConfig::new(String::new(), nowhere()));
        } else {
            let help = "add a [[target]] with name and url".to_owned();
            let message = "without a target, requests are acknowledged and nothing is copied";
            let place = Place { span: 0..0, path: "target".to_owned() };
            reader.warn(&place, message, Some(help));
        }
        return Vec::new();
    };
    if matches!(value.node, DeValue::Table(_)) {
        let message = "targets are a list";
        reader.error(&value.place, message, Some("write [[target]]".to_owned()));
        return Vec::new();
    }
    let mut elements = value.elements();
    if elements.len() > MAX_TARGETS {
        let message = format!("a file has no more than {MAX_TARGETS} targets");
        reader.error(&value.place, message, None);
        elements.truncate(MAX_TARGETS);
    }
    let mut targets: Vec<TargetConfig> = Vec::new();
    let mut names: Vec<(String, Place)> = Vec::new();
    for element in elements {
        if let Some(target) = read_one(root, &element, defaults.as_ref(), config, &mut names) {
            reach::twins(reader, &element.place, &target, &targets);
            targets.push(target);
        }
    }
    targets
}

/// Takes the place of a URL that is missing or wrong, so that the rest can be read.
fn nowhere() -> MirrorUrl {
    MirrorUrl { https: true, host: "target.invalid".to_owned(), port: 443, prefix: String::new() }
}

fn read_one<'a>(
    root: &Section<'_, '_, 'a>,
    element: &Value<'a>,
    defaults: Option<&Value<'a>>,
    config: &Config,
    names: &mut Vec<(String, Place)>,
) -> Option<TargetConfig> {
    let reader = root.reader;
    let Some(section) = Section::of(reader, element, "target") else {
        reader.wrong_type(element, "a table", "[[target]]");
        return None;
    };
    let mut section = section.over(defaults);
    let (name, url) = name_and_url(&mut section);
    if let (Some(name), Some(place)) = (&name, section.place_of("name")) {
        match names.iter().find(|(known, _)| known == name) {
            Some((_, first)) => {
                let message = format!("there is a target `{name}` already");
                reader.clash(&place, message, Some((first, "here")));
            }
            None => names.push((name.clone(), place)),
        }
    }
    let known = url.is_some();
    let target = TargetConfig::new(name.unwrap_or_default(), url.unwrap_or_else(nowhere));
    let target = read(&mut section, config, target);
    reach::check(&section, &target);
    known.then_some(target)
}

fn name_and_url(section: &mut Section<'_, '_, '_>) -> (Option<String>, Option<MirrorUrl>) {
    let reader = section.reader;
    let name = section.parsed("name", "a name", "\"staging\"", |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]#".contains(&byte);
        match (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            true => Ok(text.to_owned()),
            false => Err("a name has 1 to 64 letters, digits and -_.:[]#".to_owned()),
        }
    });
    if let Some(value) = section.get("url") {
        // It may hold a password, which it must not.
        if value.node.as_str().is_some_and(|text| text.contains('@')) {
            reader.hide(&value.place.span);
        }
    }
    let url = section.parsed("url", "a URL", "\"https://staging.example.net\"", |text| {
        text.parse::<MirrorUrl>()
    });
    for (key, example) in [("name", "\"staging\""), ("url", "\"https://staging.example.net\"")] {
        if section.place_of(key).is_none() && !reader.is_cataloguing() {
            let place = Place { path: format!("target.{key}"), ..section.place() };
            let help = format!("write {key} = {example}");
            reader.error(&place, format!("a target without `{key}`"), Some(help));
        }
    }
    (name, url)
}

/// Reads the keys that a target and `[defaults]` have in common.
fn read(
    section: &mut Section<'_, '_, '_>,
    config: &Config,
    mut target: TargetConfig,
) -> TargetConfig {
    let reader = section.reader;
    let versions =
        [("auto", HttpVersion::Auto), ("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)];
    if let Some(http) = section.word("http", &versions) {
        target.http = http;
    }
    if let Some(paused) = section.flag("paused") {
        target.paused = paused;
    }
    if let Some((rule, _)) = rules::read(section, "match") {
        target.matching = rule;
    }
    target.except = rules::read(section, "except").map(|(rule, _)| rule);
    target.sample = rules::read_sample(section);
    if let Some(amplify) = section.integer("amplify", 1..=1000) {
        target.amplify = amplify;
    }
    let truncated = [
        ("skip", TruncatedBody::Skip),
        ("send", TruncatedBody::Send),
        ("headers-only", TruncatedBody::HeadersOnly),
    ];
    if let Some(truncated) = section.word("truncated-body", &truncated) {
        target.truncated_body = truncated;
    }
    target.max_body =
        if section.is_none("max-body") { None } else { section.size("max-body", 0, "1024GiB") };
    if let Some(size) = section.size("max-answer", 1024, "1024GiB") {
        target.max_answer = size;
    }
    if let Some(value) = section.get("compare") {
        target.compare = match (value.node.as_bool(), value.node.as_str()) {
            (Some(true), _) => Compare::Candidate,
            (Some(false), _) => Compare::No,
            (_, Some("baseline")) => Compare::Baseline,
            _ => {
                reader.wrong_type(&value, "true, false or \"baseline\"", "compare = true");
                Compare::No
            }
        };
    }
    control(section, &mut target);
    target.rewrite = rewrite::read(section, &config.marker);
    target.redact = rewrite::read_redact(section, &config.marker);
    limits::read(section, &mut target);
    transport::read(section, &mut target);
    if config.marker.name.is_none() {
        if let (true, Some(place)) =
            (target.truncated_body != TruncatedBody::Skip, section.place_of("truncated-body"))
        {
            let message =
                "a copy without its whole body must be marked, and agent.marker is \"none\"";
            reader.clash(&place, message, None);
        }
        if let (true, Some(place)) = (target.amplify > 1, section.place_of("amplify")) {
            let message = "nothing tells these copies from each other: agent.marker is \"none\"";
            reader.warn(&place, message, None);
        }
    }
    target
}

/// Reads `control`, and keeps from a target that measures noise what would change it.
fn control(section: &mut Section<'_, '_, '_>, target: &mut TargetConfig) {
    let reader = section.reader;
    if let Some(share) = section.share("control") {
        target.control = share;
    }
    let own = section.own("control").filter(|_| target.control > Share::NONE);
    let methods = &target.matching.methods;
    let is_safe = |method: &String| SAFE_METHODS.contains(&method.as_str());
    match (target.compare, own) {
        (Compare::Candidate, Some(place)) => {
            if !methods.is_empty() && !methods.iter().any(is_safe) {
                let message = "nothing is sent twice: `match` takes no GET, HEAD, OPTIONS or TRACE";
                reader.warn(&place, message, None);
            }
        }
        (Compare::Candidate, None) => {}
        (Compare::No | Compare::Baseline, own) => {
            if let Some(place) = own {
                let message = match target.compare {
                    Compare::Baseline => "`control` needs compare = true; a baseline is one itself",
                    _ => "`control` needs compare = true",
                };
                let compare = section.place_of("compare");
                reader.clash(&place, message, compare.as_ref().map(|place| (place, "here")));
            }
            target.control = Share::NONE;
        }
    }
    // It measures noise: it is not written to unless somebody says so.
    if target.compare == Compare::Baseline && target.matching.methods.is_empty() {
        target.matching.methods = SAFE_METHODS.map(str::to_owned).to_vec();
    }
}
