//! Lines with their files, and the settings that they make.

use std::borrow::Cow;
use std::time::Duration;

use haproxy_config::{Line, Presence, Word};

use crate::doctor::finding::{Change, Edit, Place};

/// A line, and which file it is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) file: usize,
    pub(crate) line: &'a Line,
}

impl<'a> At<'a> {
    /// The word at an index, 0 being the keyword.
    pub(crate) fn word(&self, index: usize) -> Option<&'a Word> {
        self.line.words.get(index)
    }

    /// The text of that word as HAProxy reads it; nothing if there is none. It may hold the value of a variable:
    /// for what is shown, see [`At::shown`].
    pub(crate) fn text(&self, index: usize) -> &'a [u8] {
        self.word(index).map_or(&[], |word| &word.text)
    }

    /// A word as it is written, variables by their names.
    pub(crate) fn shown(&self, word: &Word) -> Cow<'a, str> {
        String::from_utf8_lossy(self.line.raw.get(word.span.clone()).unwrap_or_default())
    }

    /// The whole line as it is written, without indentation, comment and line end.
    pub(crate) fn statement(&self) -> Cow<'a, str> {
        let place = self.place();
        String::from_utf8_lossy(self.line.raw.get(place.span).unwrap_or_default())
    }

    /// What stands before the first word.
    pub(crate) fn indentation(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.line.raw.get(..self.place().span.start).unwrap_or_default())
    }

    /// Whether it begins with these words.
    pub(crate) fn begins(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(index, word)| self.text(index) == word.as_bytes())
    }

    /// The words behind the first `skip` ones.
    pub(crate) fn words_from(&self, skip: usize) -> impl Iterator<Item = &'a Word> + use<'a> {
        self.line.words.iter().skip(skip)
    }

    /// Whether it is a rule of requests, responses or connections.
    pub(crate) fn is_rule(&self) -> bool {
        matches!(
            self.text(0),
            b"http-request"
                | b"http-response"
                | b"http-after-response"
                | b"tcp-request"
                | b"tcp-response"
        )
    }

    /// The index of the first word that is this.
    pub(crate) fn position(&self, text: &str) -> Option<usize> {
        self.line.words.iter().position(|word| word.text == text.as_bytes())
    }

    /// Its place, from its first word to its last.
    pub(crate) fn place(&self) -> Place {
        Place::line(self.file, self.line)
    }

    /// The place of one of its words.
    pub(crate) fn place_of(&self, word: &Word) -> Place {
        Place::word(self.file, self.line, word)
    }

    /// This statement in its place, with its indentation and comment.
    pub(crate) fn replaced(&self, statement: &str) -> Edit {
        let raw = self.line.raw.trim_ascii_end();
        let rest = raw.get(self.place().span.end..).unwrap_or_default();
        let rest = String::from_utf8_lossy(rest);
        let line = format!("{}{statement}{rest}", self.indentation());
        Edit { file: self.file, line: self.line.number, change: Change::Replace(vec![line]) }
    }

    /// This text in the place of one of its words; the rest stays.
    pub(crate) fn replaced_word(&self, word: &Word, text: &str) -> Edit {
        let raw = self.line.raw.trim_ascii_end();
        let before = String::from_utf8_lossy(raw.get(..word.span.start).unwrap_or_default());
        let after = String::from_utf8_lossy(raw.get(word.span.end..).unwrap_or_default());
        let line = format!("{before}{text}{after}");
        Edit { file: self.file, line: self.line.number, change: Change::Replace(vec![line]) }
    }

    /// These texts in the places of words of this line, and more words behind its last; the rest stays.
    pub(crate) fn rewritten(&self, words: &[(&Word, String)], more: &[String]) -> Edit {
        let raw = self.line.raw.trim_ascii_end();
        let part =
            |from: usize, to: usize| String::from_utf8_lossy(raw.get(from..to).unwrap_or_default());
        let mut words: Vec<_> = words.iter().collect();
        words.sort_by_key(|(word, _)| word.span.start);
        let (mut line, mut at) = (String::new(), 0);
        for (word, text) in words {
            line += &part(at, word.span.start);
            line += text;
            at = word.span.end;
        }
        let end = self.place().span.end;
        line += &part(at, end);
        for word in more {
            line.push(' ');
            line += word;
        }
        line += &part(end, raw.len());
        Edit { file: self.file, line: self.line.number, change: Change::Replace(vec![line]) }
    }

    /// The line taken away.
    pub(crate) fn removed(&self) -> Edit {
        Edit { file: self.file, line: self.line.number, change: Change::Replace(Vec::new()) }
    }

    /// These statements behind it, indented like this.
    pub(crate) fn followed_by(&self, indentation: &str, statements: &[&str]) -> Edit {
        let lines =
            statements.iter().map(|statement| format!("{indentation}{statement}")).collect();
        Edit { file: self.file, line: self.line.number, change: Change::Append(lines) }
    }
}

/// The lines of a section, those that it inherits first.
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    pub(crate) header: At<'a>,
    /// Those that HAProxy takes, or may take, inherited ones first.
    pub(crate) lines: Vec<At<'a>>,
    /// How many of them are inherited.
    pub(crate) inherited: usize,
}

impl<'a> Lines<'a> {
    /// The section's own lines.
    pub(crate) fn own(&self) -> &[At<'a>] {
        self.lines.get(self.inherited..).unwrap_or_default()
    }

    /// Its name, lossily; empty without one.
    pub(crate) fn name(&self) -> Cow<'a, str> {
        self.header.word(1).map_or(Cow::Borrowed(""), |word| self.header.shown(word))
    }

    /// The lines that begin with these words, in their order.
    pub(crate) fn all<'s>(&'s self, words: &'s [&'s str]) -> impl Iterator<Item = At<'a>> + 's {
        self.lines.iter().copied().filter(move |at| at.begins(words))
    }

    /// The last line that begins with these words: of a setting given twice, the one that counts.
    pub(crate) fn last(&self, words: &[&str]) -> Option<At<'a>> {
        self.all(words).last()
    }

    /// The `option NAME` line, unless a later `no option NAME` takes it back.
    pub(crate) fn option(&self, name: &str) -> Option<At<'a>> {
        self.said_of(name).filter(|at| at.text(0) == b"option")
    }

    /// The `no option NAME` line, unless a later `option NAME` takes it back.
    pub(crate) fn no_option(&self, name: &str) -> Option<At<'a>> {
        self.said_of(name).filter(|at| at.text(0) == b"no")
    }

    /// The last line that sets or takes back an option.
    fn said_of(&self, name: &str) -> Option<At<'a>> {
        let is_it =
            |at: &&At<'_>| at.begins(&["option", name]) || at.begins(&["no", "option", name]);
        self.lines.iter().rev().find(is_it).copied()
    }

    /// A setting whose value follows these words.
    pub(crate) fn value(&self, words: &[&str]) -> Option<Value<'a>> {
        let at = self.last(words)?;
        Some(Value { at, word: at.word(words.len())? })
    }

    /// How the section's own lines are indented; four spaces in an empty one.
    pub(crate) fn indentation(&self) -> String {
        let first = self.own().iter().find(|at| at.place().span.start > 0);
        first.map_or_else(|| "    ".to_owned(), |at| at.indentation().into_owned())
    }

    /// These statements as the section's last lines.
    pub(crate) fn extended(&self, statements: &[&str]) -> Edit {
        let last = self.own().last().unwrap_or(&self.header);
        last.followed_by(&self.indentation(), statements)
    }

    /// These statements as the section's first lines.
    pub(crate) fn begun(&self, statements: &[&str]) -> Edit {
        self.header.followed_by(&self.indentation(), statements)
    }
}

/// A setting's value, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a> {
    pub(crate) at: At<'a>,
    pub(crate) word: &'a Word,
}

impl<'a> Value<'a> {
    pub(crate) fn place(&self) -> Place {
        self.at.place_of(self.word)
    }

    pub(crate) fn text(&self) -> &'a [u8] {
        &self.word.text
    }

    pub(crate) fn shown(&self) -> Cow<'a, str> {
        self.at.shown(self.word)
    }

    /// As a time; `None` if it is none.
    pub(crate) fn time(&self) -> Option<Duration> {
        time(&self.word.text)
    }

    /// As a number of bytes or other things, with HAProxy's `k`, `m`, `g`.
    pub(crate) fn size(&self) -> Option<u64> {
        size(&self.word.text)
    }

    /// Another value in its place.
    pub(crate) fn replaced(&self, text: &str) -> Edit {
        self.at.replaced_word(self.word, text)
    }
}

/// Of lines those that HAProxy takes or may take, without comments, empty lines and directives.
pub(super) fn taken<'a>(
    file: usize,
    lines: impl IntoIterator<Item = &'a Line>,
) -> impl Iterator<Item = At<'a>> {
    lines.into_iter().map(move |line| At { file, line }).filter(|at| {
        let line = at.line;
        line.keyword().is_some() && !line.is_directive() && line.presence != Presence::Skipped
    })
}

/// A time as HAProxy has it: a number and a unit of `us`, `ms`, `s`, `m`, `h`, `d`, milliseconds without one
/// (configuration manual, "Time format").
pub(crate) fn time(text: &[u8]) -> Option<Duration> {
    let (number, unit) = number(text)?;
    let micros = match unit {
        b"us" => 1,
        b"" | b"ms" => 1_000,
        b"s" => 1_000_000,
        b"m" => 60_000_000,
        b"h" => 3_600_000_000,
        b"d" => 86_400_000_000,
        _ => return None,
    };
    number.checked_mul(micros).map(Duration::from_micros)
}

/// A size as HAProxy has it: a number and `k`, `m` or `g` (configuration manual, "Size format").
pub(crate) fn size(text: &[u8]) -> Option<u64> {
    let (number, unit) = number(text)?;
    let factor = match unit {
        b"" => 1,
        b"k" | b"K" => 1 << 10,
        b"m" | b"M" => 1 << 20,
        b"g" | b"G" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A time as a person reads it, and as HAProxy takes it.
pub(crate) fn shown(time: Duration) -> String {
    let micros = time.as_micros();
    for (unit, factor) in [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000)] {
        if micros >= factor && micros % factor == 0 {
            return format!("{}{unit}", micros / factor);
        }
    }
    match micros {
        _ if micros >= 1_000_000 && micros % 1_000_000 == 0 => format!("{}s", micros / 1_000_000),
        _ if micros % 1_000 == 0 => format!("{}ms", micros / 1_000),
        _ => format!("{micros}us"),
    }
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at_checked(digits)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(time(b"500"), Some(Duration::from_millis(500)));
        assert_eq!(time(b"1500us"), Some(Duration::from_micros(1500)));
        assert_eq!(time(b"2m"), Some(Duration::from_secs(120)));
        assert_eq!(time(b"2x"), None);
        assert_eq!(time(b"s"), None);
        assert_eq!(time(b"99999999999999999999d"), None);
        assert_eq!(size(b"64k"), Some(65536));
        assert_eq!(size(b"16384"), Some(16384));
        for shown in ["1ms", "1500us", "20ms", "1500ms", "5s", "2m", "1h", "3d", "90s"] {
            assert_eq!(super::shown(time(shown.as_bytes()).unwrap()), shown);
        }
    }
}
