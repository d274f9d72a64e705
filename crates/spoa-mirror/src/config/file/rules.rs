//! Which requests a target gets: `match`, `except`, `sample`.

use toml::de::DeValue;

use super::values::listed;
use super::walk::{Place, Reader, Section, Value};
use crate::config::{Key, Match, Pattern, Sample, Share, WithoutKey};
use crate::exchange::SAFE_METHODS;

/// Regular expressions in a file, each of which may take a mebibyte.
const MAX_PATTERNS: usize = 500;

/// `match` or `except`, when it is there.
pub(super) fn read(parent: &mut Section<'_, '_, '_>, key: &'static str) -> Option<(Match, Place)> {
    let (plain, section) = parent.shape(key);
    if let Some(plain) = plain {
        if let Some(section) = section {
            section.leave();
        }
        if plain.node.as_str() != Some("none") {
            let example = format!("{key} = {{ path = \"/api/*\" }}");
            parent.reader.wrong_type(&plain, "a table", &example);
        }
        return None;
    }
    let mut section = section?;
    let place = section.place();
    if section.reader.is_cataloguing() {
        pattern_table(&mut Section::nothing(section.reader, "PATTERN"));
    }
    let rule = Match {
        methods: methods(&mut section),
        path: path(&mut section),
        host: host(&mut section),
        headers: named(&mut section, "headers", lower),
        query: named(&mut section, "query", same),
        cookies: named(&mut section, "cookies", same),
        sources: sources(&mut section),
        args: named(&mut section, "args", same),
    };
    if key == "except" && section.is_blank() {
        let help = "leave it out, or say which requests the target shall not get".to_owned();
        section.reader.warn(&place, "an `except` without a rule excludes nothing", Some(help));
    }
    (section.is_there() && rule != Match::default()).then_some((rule, place))
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn same(name: &str) -> String {
    name.to_owned()
}

/// A list that matches nothing is hardly meant.
fn not_empty(section: &Section<'_, '_, '_>, value: &Value<'_>) {
    if matches!(value.node, DeValue::Array(list) if list.is_empty()) {
        let help = "leave the key out to take any value".to_owned();
        section.reader.error(&value.place, "an empty list: no request could match", Some(help));
    }
}

fn methods(section: &mut Section<'_, '_, '_>) -> Vec<String> {
    let reader = section.reader;
    let Some(value) = section.get("methods") else { return Vec::new() };
    not_empty(section, &value);
    let mut methods: Vec<String> = Vec::new();
    for value in listed(reader, &value) {
        let Some(method) = reader.text(&value, "a method", "methods = [\"GET\", \"HEAD\"]") else {
            continue;
        };
        if method == "safe" {
            methods.extend(SAFE_METHODS.map(str::to_owned));
            continue;
        }
        if !crate::exchange::is_token(method.as_bytes()) {
            let help = "write methods = \"safe\" or methods = [\"GET\", \"HEAD\"]".to_owned();
            reader.error(&value.place, "this is no method", Some(help));
            continue;
        }
        if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
            let help = format!("is \"{}\" meant?", method.to_ascii_uppercase());
            reader.warn(&value.place, "methods are upper case on the wire", Some(help));
        }
        methods.push(method);
    }
    methods.sort_unstable();
    methods.dedup();
    methods
}

fn path(section: &mut Section<'_, '_, '_>) -> Vec<Pattern> {
    let reader = section.reader;
    let Some(value) = section.get("path") else { return Vec::new() };
    not_empty(section, &value);
    let mut patterns = Vec::new();
    for (pattern, value) in read_patterns(reader, &value) {
        let never = match &pattern {
            Pattern::Exact(text) | Pattern::Prefix(text) if text.contains('?') => {
                Some("the path is compared without the query; parameters are compared by `query`")
            }
            Pattern::Exact(text) if !text.starts_with('/') && text != "*" => {
                Some("no path is like this")
            }
            Pattern::Prefix(text) if !text.starts_with('/') && !text.is_empty() => {
                Some("no path begins like this")
            }
            _ => None,
        };
        if let Some(message) = never {
            let help =
                "a path begins with `/`; `^` begins a regular expression, `*` a suffix".to_owned();
            reader.warn(&value.place, message, Some(help));
        }
        patterns.push(pattern);
    }
    patterns
}

/// Host names, whose case does not count.
fn host(section: &mut Section<'_, '_, '_>) -> Vec<Pattern> {
    let reader = section.reader;
    let Some(value) = section.get("host") else { return Vec::new() };
    not_empty(section, &value);
    let mut patterns = Vec::new();
    for (pattern, value) in read_patterns(reader, &value) {
        let (Pattern::Exact(text) | Pattern::Prefix(text) | Pattern::Suffix(text)) = &pattern
        else {
            patterns.push(pattern);
            continue;
        };
        if text.contains(':') && !text.contains('[') {
            let help = "leave the port out".to_owned();
            reader.warn(&value.place, "the host is compared without its port", Some(help));
        }
        let text = lower(text);
        patterns.push(match pattern {
            Pattern::Exact(_) => Pattern::Exact(text),
            Pattern::Prefix(_) => Pattern::Prefix(text),
            _ => Pattern::Suffix(text),
        });
    }
    patterns
}

fn named(
    section: &mut Section<'_, '_, '_>,
    key: &'static str,
    fold: fn(&str) -> String,
) -> Vec<(String, Vec<Pattern>)> {
    let reader = section.reader;
    let mut rules = Vec::new();
    for (name, value) in section.names(key, "{ name = \"value\" }", fold) {
        not_empty(section, &value);
        if name.is_empty() || (key == "headers" && !crate::exchange::is_token(name.as_bytes())) {
            reader.error(&value.place, format!("`{name}` is no name for one of the {key}"), None);
            continue;
        }
        let patterns: Vec<_> =
            read_patterns(reader, &value).into_iter().map(|(pattern, _)| pattern).collect();
        if !patterns.is_empty() {
            rules.push((name, patterns));
        }
    }
    rules
}

fn sources(section: &mut Section<'_, '_, '_>) -> Vec<ipnet::IpNet> {
    let reader = section.reader;
    let Some(value) = section.get("sources") else { return Vec::new() };
    not_empty(section, &value);
    let network = |text: &str| {
        let address = text.parse().map(|address: std::net::IpAddr| address.into());
        address
            .or_else(|_| text.parse())
            .map_err(|_| "this is no network and no address".to_owned())
    };
    let example = "sources = [\"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.7\"]";
    let read = |value: Value<'_>| reader.parsed(&value, "a network", example, network);
    listed(reader, &value)
        .into_iter()
        .filter_map(read)
        .map(|net: ipnet::IpNet| net.trunc())
        .collect()
}

/// The patterns of a value: one, or a list of them.
fn read_patterns<'a>(reader: &Reader<'_>, value: &Value<'a>) -> Vec<(Pattern, Value<'a>)> {
    let read = |value: Value<'a>| {
        let pattern = match Section::of(reader, &value, "PATTERN") {
            Some(mut section) => pattern_table(&mut section),
            None => {
                let example = "\"/api/*\", \"^/v[0-9]+/\" or { regex = \"...\" }";
                reader.parsed(&value, "a pattern", example, |text| {
                    if text.starts_with('^') { regex(reader, text) } else { Pattern::parse(text) }
                })
            }
        };
        pattern.map(|pattern| (pattern, value))
    };
    listed(reader, value).into_iter().filter_map(read).collect()
}

/// `{ regex = "..." }` or `{ exact = "..." }`.
fn pattern_table(section: &mut Section<'_, '_, '_>) -> Option<Pattern> {
    let reader = section.reader;
    let regex =
        section.parsed("regex", "a regular expression", "\"[0-9]+$\"", |text| regex(reader, text));
    let exact = section.text("exact", "a text", "\"*\"").map(Pattern::Exact);
    only_one(section, &["regex", "exact"]);
    regex.or(exact)
}

/// Whether exactly one of these keys is there; told otherwise.
pub(super) fn only_one(section: &Section<'_, '_, '_>, keys: &[&str]) -> bool {
    if section.reader.is_cataloguing() {
        return true;
    }
    let given: Vec<_> = keys.iter().filter_map(|key| section.place_of(key)).collect();
    let list: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    match given.as_slice() {
        [_] => {}
        [] => {
            let message = format!("one of {} is missing", list.join(", "));
            section.reader.error(&section.place(), message, None);
        }
        [first, second, ..] => {
            let message = format!("only one of {} can be given", list.join(", "));
            section.reader.clash(second, message, Some((first, "given too")));
        }
    }
    given.len() == 1
}

/// A compiled regular expression; the same text is compiled once.
pub(super) fn regex(reader: &Reader<'_>, text: &str) -> Result<Pattern, String> {
    let mut patterns = reader.patterns.borrow_mut();
    if let Some(pattern) = patterns.get(text) {
        return Ok(pattern.clone());
    }
    if patterns.len() >= MAX_PATTERNS {
        return Err(format!(
            "a file has no more than {MAX_PATTERNS} different regular expressions"
        ));
    }
    let pattern = Pattern::regex(text)?;
    patterns.insert(text.to_owned(), pattern.clone());
    Ok(pattern)
}

/// `sample`: a share, or a table.
pub(super) fn read_sample(parent: &mut Section<'_, '_, '_>) -> Sample {
    let reader = parent.reader;
    let (plain, section) = parent.shape("sample");
    let mut section = section.unwrap_or_else(|| Section::nothing(reader, "target.sample"));
    let in_table = section.share("percent");
    let share = plain.as_ref().map_or(in_table, |value| reader.share(value));
    let share_place = plain.map(|value| value.place).or_else(|| section.place_of("percent"));
    let by = section.parsed("by", "a key to go by", "\"cookie:session\"", key);
    let words =
        [("chance", WithoutKey::Chance), ("skip", WithoutKey::Skip), ("copy", WithoutKey::Copy)];
    let without_key = section.word("without-key", &words);
    let seed = section.text("seed", "a text", "\"october\"");
    for key in ["without-key", "seed"] {
        if let Some(place) = section.place_of(key).filter(|_| section.place_of("by").is_none()) {
            reader.clash(
                &place,
                format!("`{key}` has no effect without `by`: chance decides"),
                None,
            );
        }
    }
    if let (Some(Share::NONE), Some(place)) = (share, &share_place) {
        let help = "use paused = true for a target that starts later".to_owned();
        reader.warn(place, "a sample of 0 %: this target gets nothing", Some(help));
    }
    if let (None, Some(place)) = (&share_place, section.place_of("by")) {
        reader.warn(&place, "without `percent` every request is copied, whatever its key", None);
    }
    Sample {
        share: share.unwrap_or_default(),
        by,
        without_key: without_key.unwrap_or_default(),
        seed: seed.unwrap_or_default(),
    }
}

fn key(text: &str) -> Result<Key, String> {
    let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
    let key = match text.split_once(':') {
        None if text == "source" => Some(Key::Source),
        Some(("cookie", name)) => named(name).map(Key::Cookie),
        Some(("header", name)) => named(&lower(name)).map(Key::Header),
        Some(("query", name)) => named(name).map(Key::Query),
        Some(("args", name)) => named(name).map(Key::Argument),
        _ => None,
    };
    key.ok_or_else(|| {
        "a key is one of cookie:NAME, header:NAME, query:NAME, args:NAME, source".to_owned()
    })
}
