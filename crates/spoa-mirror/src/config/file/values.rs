//! Values of keys: what type they must have, and what they mean.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::walk::{Reader, Section, Value};
use crate::config::{ListenAddress, Rate, Share, parse_rate, parse_share, parse_size, parse_time};

/// Elements in a list.
const MAX_ELEMENTS: usize = 500;

impl Reader<'_> {
    /// A value of the wrong type.
    pub(super) fn wrong_type(&self, value: &Value<'_>, what: &str, example: &str) {
        let message = format!("expected {what}, found {}", value.kind());
        self.error(&value.place, message, Some(format!("write it like {example}")));
    }

    /// A text, its variables replaced.
    pub(super) fn text(&self, value: &Value<'_>, what: &str, example: &str) -> Option<String> {
        match value.node {
            DeValue::String(text) => Some(self.expand(value, text)?.text),
            _ => {
                self.wrong_type(value, what, example);
                None
            }
        }
    }

    /// A text with a form of its own.
    pub(super) fn parsed<T>(
        &self,
        value: &Value<'_>,
        what: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let DeValue::String(text) = value.node else {
            self.wrong_type(value, what, example);
            return None;
        };
        let expanded = self.expand(value, text)?;
        match parse(&expanded.text) {
            Ok(parsed) => Some(parsed),
            // What is wrong may quote what the environment holds.
            Err(_) if expanded.foreign => {
                let message = format!("with its variables replaced, this is not {what}");
                let help = format!("what is expected looks like {example}");
                self.error(&value.place, message, Some(help));
                None
            }
            Err(message) => {
                self.error(&value.place, message, Some(format!("write it like {example}")));
                None
            }
        }
    }

    /// A text that is one of a few.
    pub(super) fn word<T: Copy>(&self, value: &Value<'_>, words: &[(&str, T)]) -> Option<T> {
        let list: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let one_of = format!("one of {}", list.join(", "));
        let DeValue::String(text) = value.node else {
            self.wrong_type(value, &one_of, &list[0]);
            return None;
        };
        let expanded = self.expand(value, text)?;
        let found = words.iter().find(|(word, _)| *word == expanded.text);
        if found.is_none() {
            let near = |(word, _): &(&str, T)| {
                strsim::damerau_levenshtein(&shortened(text).to_ascii_lowercase(), word) <= 2
            };
            let help = words
                .iter()
                .find(|word| near(word))
                .map(|(word, _)| format!("is \"{word}\" meant?"));
            self.error(&value.place, format!("expected {one_of}"), help);
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// An integer.
    pub(super) fn integer(&self, value: &Value<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(integer) = value.node else {
            self.wrong_type(value, "an integer", &range.start().max(&10).to_string());
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("out of range: from {} to {}", range.start(), range.end());
            self.error(&value.place, message, None);
        }
        number
    }

    /// A finite number.
    pub(super) fn number(&self, value: &Value<'_>) -> Option<f64> {
        match value.node {
            DeValue::Integer(number) => {
                // A number too large for this is out of every range.
                let number =
                    i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(i64::MAX);
                #[allow(clippy::cast_precision_loss)]
                Some(number as f64)
            }
            DeValue::Float(number) => number.as_str().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        }
    }

    /// A quantity: a number and a unit in a text. A plain number is shown how to get its unit.
    fn quantity<T>(
        &self,
        value: &Value<'_>,
        what: &str,
        units: &[&str],
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let bare = match value.node {
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            DeValue::String(text) if text.parse::<u64>().is_ok() => Some(text.to_string()),
            _ => None,
        };
        let forms = |number: &str| {
            let forms: Vec<_> = units.iter().map(|unit| format!("\"{number}{unit}\"")).collect();
            forms.join(" or ")
        };
        if let Some(number) = bare {
            let message = format!("{what} needs a unit");
            self.error(&value.place, message, Some(format!("write {}", forms(&number))));
            return None;
        }
        self.parsed(value, what, &forms("10"), parse)
    }

    /// A share, as a number of percent or a text.
    pub(super) fn share(&self, value: &Value<'_>) -> Option<Share> {
        match self.number(value) {
            Some(percent) => Share::percent(percent)
                .map_err(|message| self.error(&value.place, message, None))
                .ok(),
            None => self.parsed(value, "a share", "12.5 (percent) or \"12.5%\"", parse_share),
        }
    }
}

/// The elements of a list, or the value itself, no more than there may be.
pub(super) fn listed<'a>(reader: &Reader<'_>, value: &Value<'a>) -> Vec<Value<'a>> {
    at_most(reader, value, MAX_ELEMENTS, "elements")
}

/// The elements of a list, or the value itself, no more than this.
pub(super) fn at_most<'a>(
    reader: &Reader<'_>,
    value: &Value<'a>,
    most: usize,
    what: &str,
) -> Vec<Value<'a>> {
    let mut elements = value.elements();
    if let Some(first) = elements.get(most) {
        let message = format!("a list has no more than {most} {what}: this is one too many");
        reader.error(&first.place, message, None);
        elements.truncate(most);
    }
    elements
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Reading one key of a section.
impl<'a> Section<'_, '_, 'a> {
    pub(super) fn text(&mut self, key: &'static str, what: &str, example: &str) -> Option<String> {
        let value = self.get(key)?;
        self.reader.text(&value, what, &format!("{key} = {example}"))
    }

    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        what: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.get(key)?;
        self.reader.parsed(&value, what, &format!("{key} = {example}"), parse)
    }

    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let value = self.get(key)?;
        self.reader.word(&value, words)
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        if value.node.as_bool().is_none() {
            self.reader.wrong_type(&value, "true or false", &format!("{key} = true"));
        }
        value.node.as_bool()
    }

    pub(super) fn integer<T: TryFrom<u64>>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<T> {
        let value = self.get(key)?;
        T::try_from(self.reader.integer(&value, range)?).ok()
    }

    pub(super) fn time(
        &mut self,
        key: &'static str,
        lowest: &str,
        highest: &str,
    ) -> Option<Duration> {
        let value = self.get(key)?;
        self.reader.quantity(&value, "a time", &["ms", "s"], |text| {
            let time = parse_time(text)?;
            if parse_time(lowest)? <= time && time <= parse_time(highest)? {
                return Ok(time);
            }
            Err(format!("out of range: from {lowest} to {highest}"))
        })
    }

    pub(super) fn size(&mut self, key: &'static str, lowest: u64, highest: &str) -> Option<u64> {
        let value = self.get(key)?;
        self.reader.quantity(&value, "a size", &["B", "KiB", "MiB"], |text| {
            let size = parse_size(text)?;
            if lowest <= size && size <= parse_size(highest)? {
                return Ok(size);
            }
            Err(format!("out of range: from {lowest}B to {highest}"))
        })
    }

    pub(super) fn rate(&mut self, key: &'static str) -> Option<Rate> {
        let value = self.get(key)?;
        self.reader.quantity(&value, "a rate", &["/s", "/m"], parse_rate)
    }

    pub(super) fn share(&mut self, key: &'static str) -> Option<Share> {
        let value = self.get(key)?;
        self.reader.share(&value)
    }

    /// Whether a key is `"none"`: what the defaults have is not wanted. Otherwise the key is still to be
    /// read.
    pub(super) fn is_none(&mut self, key: &'static str) -> bool {
        self.get(key).is_some_and(|value| value.node.as_str() == Some("none"))
    }

    /// A value or a list of values.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<Value<'a>>> {
        let value = self.get(key)?;
        Some(listed(self.reader, &value))
    }

    /// Texts, each with its own form: a list or a single one.
    pub(super) fn texts<T>(
        &mut self,
        key: &'static str,
        what: &str,
        example: &str,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<Vec<(T, Value<'a>)>> {
        let reader = self.reader;
        let example = format!("{key} = [{example}]");
        let values = self.list(key)?;
        let read = |value: Value<'a>| {
            let parsed = reader.parsed(&value, what, &example, &mut parse)?;
            Some((parsed, value))
        };
        Some(values.into_iter().filter_map(read).collect())
    }

    /// Addresses to listen on, with their places.
    pub(super) fn listen(&mut self, example: &str) -> Option<Vec<(ListenAddress, Value<'a>)>> {
        let reader = self.reader;
        self.texts("listen", "an address", example, |text| listen_address(reader, text))
    }
}

/// `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`.
fn listen_address(reader: &Reader<'_>, text: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = if path.is_empty() { PathBuf::new() } else { reader.path(path) };
        return ListenAddress::unix(path);
    }
    let (host, port) = text.rsplit_once(':').ok_or("an address is HOST:PORT or unix:PATH")?;
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 => port,
        _ => return Err(format!("`{port}` is not a port from 1 to 65535")),
    };
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => {
            let address = address.parse::<std::net::Ipv6Addr>();
            address.map_err(|_| format!("`{host}` is no IPv6 address"))?.to_string()
        }
        None if host.contains(':') => {
            return Err("an IPv6 address stands in brackets: \"[::1]:12345\"".to_owned());
        }
        None => host.to_owned(),
    };
    if host.is_empty() || host.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err("the host is missing or holds a space".to_owned());
    }
    Ok(ListenAddress::Tcp(host, port))
}
