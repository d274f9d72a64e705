//! `[[comparison.rule]]`, and `[[rule]]` in a file of rules: what is no difference, or is compared in another
//! way.

use shadow_diff::{Action, Rule, RulePart, Rules};
use toml::de::DeValue;

use super::super::inside::Written;
use super::super::rules::only_one;
use super::super::walk::{Place, Section};
use super::{check_endpoint, tables};

/// Rules in a file.
pub(super) const MAX_RULES: usize = 1000;

/// The longest endpoint, place or name, in bytes.
pub(super) const MAX_TEXT: usize = 1024;

/// The longest regular expression, and what it puts there, in bytes.
const MAX_PATTERN: usize = 4096;

/// All of them.
pub(super) fn read_all(parent: &mut Section<'_, '_, '_>, schema: &'static str) -> Vec<Rule> {
    tables(parent, "rule", schema, MAX_RULES, read)
}

/// A rule's action, and where it stands.
struct Found<'a> {
    action: Action,
    place: Place,
    /// The text in it that may be wrong, and how a right one looks.
    text: Option<(Written<'a>, &'static str)>,
}

fn read(section: &mut Section<'_, '_, '_>) -> Option<Rule> {
    let reader = section.reader;
    let endpoint = section.written("endpoint", "an endpoint", "\"GET /items/*\"", MAX_TEXT);
    let place = section.written("place", "a place", "\"$.items[].price\"", MAX_TEXT);
    let found = action(section);
    if section.place_of("place").is_none() && !reader.is_cataloguing() {
        let help = "write place = \"$.items[].price\", \"header x-build\" or \"status\"";
        reader.error(&section.place(), "a rule without `place`", Some(help.to_owned()));
    }
    if endpoint.is_none() && section.place_of("endpoint").is_some() {
        return None;
    }
    let place = place?;
    let name = endpoint.as_ref().map_or("*", |endpoint| &endpoint.text);
    // Without a usable action, the rest is looked at nevertheless.
    let action = found.as_ref().map_or(Action::Ignore, |found| found.action.clone());
    let rule = Rule { endpoint: name.to_owned(), place: place.text.clone(), action };
    let Err(error) = Rules::compile(std::slice::from_ref(&rule)) else {
        endpoint.iter().for_each(|endpoint| check_endpoint(reader, endpoint));
        return found.map(|_| rule);
    };
    // A regular expression's error is several lines, of which the last says what it is.
    let message = error.message.lines().last().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    match (error.part, &endpoint, found) {
        (RulePart::Endpoint, Some(endpoint), _) => {
            endpoint.error(reader, error.at, message, "endpoint = \"GET /items/*\"");
        }
        (RulePart::Action, _, Some(found)) => match found.text.filter(|_| !goes_anywhere(&rule)) {
            Some((text, example)) => text.error(reader, error.at, message, example),
            None => reader.clash(&found.place, message, Some((place.place(), "for this place"))),
        },
        _ => place.error(reader, error.at, message, "place = \"$.items[].price\""),
    }
    None
}

/// Whether the action is one, for some place or other.
fn goes_anywhere(rule: &Rule) -> bool {
    Rules::compile(&[Rule { place: "$".to_owned(), ..rule.clone() }]).is_ok()
}

fn action<'a>(section: &mut Section<'_, '_, 'a>) -> Option<Found<'a>> {
    let ignore = on(section, "ignore");
    let absolute = tolerance(section, "tolerance", |number| Some(number.to_owned()));
    let relative = tolerance(section, "tolerance-percent", hundredth);
    let set = on(section, "set");
    let keyed = section.written("keyed-by", "the name of a member", "\"sku\"", MAX_TEXT);
    let map = on(section, "map");
    let replace = replace(section);
    let both = section.place_of("tolerance").is_some();
    let keys = ["ignore", "tolerance", "tolerance-percent", "set", "keyed-by", "map", "replace"];
    let keys: Vec<_> =
        keys.into_iter().filter(|key| !both || *key != "tolerance-percent").collect();
    if !only_one(section, &keys) {
        return None;
    }
    let place = keys.iter().find_map(|key| section.place_of(key))?;
    let plain = |action| Found { action, place: place.clone(), text: None };
    if ignore.is_some() {
        return Some(plain(Action::Ignore));
    }
    if set.is_some() {
        return Some(plain(Action::Set));
    }
    if map.is_some() {
        return Some(plain(Action::Map));
    }
    if let Some(keyed) = keyed {
        let action = Action::Keyed(keyed.text.clone());
        return Some(Found { action, place, text: Some((keyed, "keyed-by = \"sku\"")) });
    }
    if let Some((pattern, with)) = replace {
        let action = Action::Replace { pattern: pattern.text.clone(), with };
        return Some(Found { action, place, text: Some((pattern, "pattern = \"^v[0-9]+\"")) });
    }
    // One that is there and wrong was told.
    let wrong = |key, read: Option<f64>| section.place_of(key).is_some() && read.is_none();
    if wrong("tolerance", absolute) || wrong("tolerance-percent", relative) {
        return None;
    }
    if absolute.is_none() && relative.is_none() {
        return None;
    }
    let (absolute, relative) = (absolute.unwrap_or(0.0), relative.unwrap_or(0.0));
    if absolute + relative == 0.0 {
        let help = "write it like tolerance = 0.01".to_owned();
        section.reader.error(&place, "a tolerance of 0 tolerates nothing", Some(help));
        return None;
    }
    Some(plain(Action::Tolerance { absolute, relative }))
}

/// A key that can only be `true`: without the action there is no rule.
fn on(section: &mut Section<'_, '_, '_>, key: &'static str) -> Option<()> {
    if section.flag(key)? {
        return Some(());
    }
    if let Some(place) = section.place_of(key) {
        let help = format!("write {key} = true, or leave the rule out");
        section.reader.error(&place, format!("`{key}` can only be true"), Some(help));
    }
    None
}

/// A number from 0, `meant` by the digits that are written.
fn tolerance(
    section: &mut Section<'_, '_, '_>,
    key: &'static str,
    meant: impl Fn(&str) -> Option<String>,
) -> Option<f64> {
    let value = section.get(key)?;
    let percent = key == "tolerance-percent";
    let digits = match value.node {
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
            number.unwrap_or(i64::MAX).to_string()
        }
        DeValue::Float(number) => number.as_str().to_owned(),
        _ => {
            section.reader.wrong_type(&value, "a number", &format!("{key} = 0.5"));
            return None;
        }
    };
    let number = meant(&digits).and_then(|digits| digits.parse::<f64>().ok());
    let highest = if percent { 1.0 } else { 1e300 };
    let number = number.filter(|number| (0.0..=highest).contains(number));
    if number.is_none() {
        let range = if percent { "above 0, up to 100 percent" } else { "above 0" };
        let help = format!("write it like {key} = 0.5");
        section.reader.error(&value.place, format!("out of range: {range}"), Some(help));
    }
    number
}

/// A hundredth of the number, in digits: a division would lose some.
fn hundredth(digits: &str) -> Option<String> {
    let (digits, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    Some(format!("{digits}e{}", exponent.checked_sub(2)?))
}

fn replace<'a>(parent: &mut Section<'_, '_, 'a>) -> Option<(Written<'a>, String)> {
    let mut section = parent.section("replace", "{ pattern = \"^v[0-9]+\", with = \"v\" }");
    let pattern = section.written("pattern", "a regular expression", "\"^v[0-9]+\"", MAX_PATTERN);
    let with = section.written("with", "a text", "\"v\"", MAX_PATTERN);
    if section.is_there() && section.place_of("pattern").is_none() {
        let help = "write replace = { pattern = \"^v[0-9]+\", with = \"v\" }".to_owned();
        section.reader.error(&section.place(), "`pattern` is missing", Some(help));
    }
    if with.is_none() && section.place_of("with").is_some() {
        return None;
    }
    Some((pattern?, with.map_or_else(String::new, |with| with.text)))
}
