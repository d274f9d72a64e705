//! Many patterns on one value: which of them it meets, at the cost of a few instructions for each that
//! it does not, and of one search for many regular expressions.

use regex_automata::meta;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind, PatternSet};

use crate::config::Pattern;

/// Patterns that one value is compared with, each with the number of the criterion it speaks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Patterns {
    texts: Vec<Text>,
    searches: Vec<Search>,
}

/// So many regular expressions are searched for together. More would share states that many of them
/// ask for, and the states of a hundred with `.*` in them are too many to be remembered.
const TOGETHER: usize = 16;
/// What a search for them may remember, in bytes.
const MEMORY: usize = TOGETHER << 18;

/// Room for the answers of a search.
pub(super) fn room() -> PatternSet {
    PatternSet::new(TOGETHER)
}

impl Patterns {
    /// Makes the patterns ready.
    pub(super) fn new<'a>(patterns: impl IntoIterator<Item = (&'a Pattern, usize)>) -> Self {
        let (mut texts, mut regexes) = (Vec::new(), Vec::new());
        for (pattern, criterion) in patterns {
            match pattern {
                Pattern::Exact(text) => texts.push(Text::new(Site::Whole, text, criterion)),
                Pattern::Prefix(text) => texts.push(Text::new(Site::Beginning, text, criterion)),
                Pattern::Suffix(text) => texts.push(Text::new(Site::End, text, criterion)),
                Pattern::Regex(regex) => regexes.push((regex, criterion)),
            }
        }
        Self { texts, searches: regexes.chunks(TOGETHER).flat_map(Search::new).collect() }
    }

    /// Tells `met` the criteria of those that `value` meets.
    pub(super) fn each_met(&self, value: &[u8], room: &mut PatternSet, mut met: impl FnMut(usize)) {
        let (head, tail) = (head(value), tail(value));
        for text in &self.texts {
            if text.is_met(value, head, tail) {
                met(text.criterion);
            }
        }
        for search in &self.searches {
            search.each_met(value, room, &mut met);
        }
    }
}

/// A text that a value is, begins or ends with.
#[derive(Debug, Clone)]
struct Text {
    site: Site,
    criterion: usize,
    /// Eight bytes of the text, or all of it: of a beginning the last ones, of an end the first,
    /// for there texts of one kind differ.
    word: u64,
    /// Which of their bits count.
    mask: u64,
    text: Box<[u8]>,
}

/// The part of the value that is the text.
#[derive(Debug, Clone, Copy)]
enum Site {
    Whole,
    Beginning,
    End,
}

impl Text {
    fn new(site: Site, text: &str, criterion: usize) -> Self {
        let text: Box<[u8]> = text.as_bytes().into();
        let absent = u32::try_from(8 * 8usize.saturating_sub(text.len())).unwrap_or(0);
        let word = match (site, text.len() < 8) {
            (Site::Whole | Site::Beginning, true) | (Site::End, false) => head(&text),
            _ => tail(&text),
        };
        let mask = match site {
            Site::Whole | Site::Beginning => u64::MAX.checked_shr(absent),
            Site::End => u64::MAX.checked_shl(absent),
        };
        Self { site, criterion, word, mask: mask.unwrap_or(0), text }
    }

    /// `head` and `tail` are those of `value`.
    #[inline]
    fn is_met(&self, value: &[u8], head: u64, tail: u64) -> bool {
        let length = self.text.len();
        let Some(spare) = value.len().checked_sub(length) else { return false };
        let word = match self.site {
            Site::Whole if spare > 0 => return false,
            Site::Whole | Site::Beginning if length < 8 => head,
            Site::Whole | Site::Beginning => eight(value, length - 8),
            Site::End if length < 8 => tail,
            Site::End => eight(value, spare),
        };
        (word ^ self.word) & self.mask == 0
            && match self.site {
                Site::Whole | Site::Beginning => value.starts_with(&self.text),
                Site::End => value.ends_with(&self.text),
            }
    }
}

/// The first eight bytes, the first one lowest; zeros for those that are not there.
#[inline]
pub(super) fn head(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => few(bytes),
    }
}

/// The last eight bytes, the last one highest; zeros for those that are not there.
#[inline]
pub(super) fn tail(bytes: &[u8]) -> u64 {
    match bytes.last_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None if bytes.is_empty() => 0,
        None => few(bytes) << (64 - 8 * bytes.len()),
    }
}

/// Less than eight bytes.
#[inline]
fn few(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

#[inline]
fn eight(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).map_or(0, head)
}

/// Regular expressions, and the criteria that they speak for.
#[derive(Debug, Clone)]
enum Search {
    One(regex::bytes::Regex, usize),
    Together(meta::Regex, Vec<usize>),
}

impl Search {
    /// Searches for all of these: one, or else one for each.
    fn new(regexes: &[(&regex::bytes::Regex, usize)]) -> Vec<Self> {
        if let [_, _, ..] = regexes {
            // As the `regex` crate has it for bytes.
            let config = meta::Config::new()
                .match_kind(MatchKind::All)
                .utf8_empty(false)
                // Each was small enough by itself.
                .nfa_size_limit(None)
                .hybrid_cache_capacity(MEMORY)
                .which_captures(regex_automata::nfa::thompson::WhichCaptures::None);
            let texts: Vec<_> = regexes.iter().map(|(regex, _)| regex.as_str()).collect();
            let built = meta::Builder::new()
                .configure(config)
                .syntax(syntax::Config::new().utf8(false))
                .build_many(&texts);
            if let Ok(regex) = built {
                let criteria = regexes.iter().map(|&(_, criterion)| criterion).collect();
                return vec![Self::Together(regex, criteria)];
            }
        }
        regexes.iter().map(|&(regex, criterion)| Self::One(regex.clone(), criterion)).collect()
    }

    fn each_met(&self, value: &[u8], room: &mut PatternSet, met: &mut impl FnMut(usize)) {
        match self {
            Self::One(regex, criterion) => {
                if regex.is_match(value) {
                    met(*criterion);
                }
            }
            Self::Together(regex, criteria) => {
                room.clear();
                regex.which_overlapping_matches(&Input::new(value), room);
                if !room.is_empty() {
                    room.iter().filter_map(|id| criteria.get(id.as_usize())).for_each(|&c| met(c));
                }
            }
        }
    }
}
