//! Compares texts line by line.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;

use crate::comparison::{Reason, Side};
use crate::difference::Kind;
use crate::path::{Segment, Spot};
use crate::redact::Redacted;
use crate::report::Report;

/// The place of any line.
const LINE: Spot<'static> = Spot::Body(&[Segment::Element]);
/// Comparisons of two lines, before lines are compared position by position instead.
const MAX_WORK: usize = 2_000_000;
/// Bytes of a text in which secrets are looked for that are longer than a line.
const LOOKED_AT: usize = 256 * 1024;

/// Reports what differs between two texts. The lines of HTML also end before and behind each tag,
/// and blanks around them mean nothing. How a line ends never does.
///
/// # Errors
/// They have too many lines.
pub(crate) fn compare(
    production: &[u8],
    shadow: &[u8],
    html: bool,
    report: &mut Report<'_>,
) -> Result<(), Reason> {
    let limit = report.limits.lines;
    let (ours, theirs) = (split(production, html, limit), split(shadow, html, limit));
    let (ours, theirs) = match (ours, theirs) {
        (Some(ours), Some(theirs)) => (ours, theirs),
        (None, None) => return Err(Reason::TooComplex(Side::Both)),
        (None, _) => return Err(Reason::TooComplex(Side::Production)),
        (_, None) => return Err(Reason::TooComplex(Side::Shadow)),
    };
    report.step(ours.lines.len() + theirs.lines.len());
    let found = differing(&ours.lines, &theirs.lines, report.limits.edits);
    let redacted = OnceCell::new();
    for hunk in found {
        for at in 0..hunk.ours.len().max(hunk.theirs.len()) {
            if !report.step(1) {
                return Ok(());
            }
            let line = |range: &Range<usize>| Some(range.start + at).filter(|at| *at < range.end);
            let (p, s) = (line(&hunk.ours), line(&hunk.theirs));
            let (a, b) =
                (p.and_then(|at| ours.lines.get(at)), s.and_then(|at| theirs.lines.get(at)));
            let Some(kind) = differ(a.copied(), b.copied(), report) else { continue };
            if !report.lists(LINE, kind) {
                continue;
            }
            let (of_production, of_shadow) = redacted.get_or_init(|| {
                let redacted = |text| Redacted::new(text, LOOKED_AT, report.redact);
                (redacted(production), redacted(shadow))
            });
            let p = p.and_then(|at| ours.shown(at, of_production, report));
            let s = s.and_then(|at| theirs.shown(at, of_shadow, report));
            report.push(LINE.place(), kind, p.as_deref(), s.as_deref());
        }
    }
    Ok(())
}

/// The parts that differ, in order. Of several ways that are as short it is the same one, whichever text
/// comes first.
pub(crate) fn differing(ours: &[&[u8]], theirs: &[&[u8]], edits: usize) -> Vec<Hunk> {
    let mut names = HashMap::new();
    let (named_ours, named_theirs) = (name(ours, &mut names), name(theirs, &mut names));
    if ours <= theirs {
        hunks(&named_ours, &named_theirs, edits)
    } else {
        hunks(&named_theirs, &named_ours, edits).into_iter().map(Hunk::turned).collect()
    }
}

/// In what way two lines differ, unless they do not or that is excused.
fn differ(ours: Option<&[u8]>, theirs: Option<&[u8]>, report: &mut Report<'_>) -> Option<Kind> {
    match (ours, theirs) {
        (Some(a), Some(b)) if a == b => None,
        (Some(a), Some(b)) => {
            report.step((a.len() + b.len()) / 64);
            (!report.settles(LINE, a, b)).then_some(Kind::Value)
        }
        _ if report.ignores(LINE) => None,
        (Some(_), None) => Some(Kind::Missing),
        _ => Some(Kind::Extra),
    }
}

/// The lines of a text.
struct Lines<'t> {
    lines: Vec<&'t [u8]>,
    /// Where each of them begins.
    starts: Vec<usize>,
}

impl Lines<'_> {
    /// A line as people are shown it: of a secret that spans several lines none is.
    fn shown(&self, at: usize, text: &Redacted<'_>, report: &Report<'_>) -> Option<String> {
        let (line, start) = (self.lines.get(at)?, *self.starts.get(at)?);
        if start + line.len() <= text.sure {
            let shown = text.piece(start..start + line.len());
            return Some(String::from_utf8_lossy(&shown).into_owned());
        }
        let line = String::from_utf8_lossy(line);
        Some(report.redact.shown(&LINE.place(), &line).into_owned())
    }
}

/// The lines of a text; `None` if there are more than `limit`.
fn split(text: &[u8], html: bool, limit: usize) -> Option<Lines<'_>> {
    let (mut lines, mut starts) = (Vec::new(), Vec::new());
    let mut rest = text;
    while !rest.is_empty() {
        if lines.len() >= limit {
            return None;
        }
        let start = text.len() - rest.len();
        let (line, after) = if html { html_piece(rest) } else { plain_line(rest) };
        rest = after;
        if html && line.trim_ascii().is_empty() {
            continue;
        }
        let blanks = if html { line.len() - line.trim_ascii_start().len() } else { 0 };
        starts.push(start + blanks);
        lines.push(if html { line.trim_ascii() } else { line });
    }
    Some(Lines { lines, starts })
}

pub(crate) fn plain_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == b'\n');
    let (line, rest) = match end.and_then(|end| text.split_at_checked(end)) {
        Some((line, rest)) => (line, rest.get(1..).unwrap_or_default()),
        None => (text, &b""[..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// A tag, or what is before the next one or the end of the line.
pub(crate) fn html_piece(text: &[u8]) -> (&[u8], &[u8]) {
    let mut bytes = text.iter().enumerate().skip(1);
    let end = if text.first() == Some(&b'<') {
        bytes
            .find(|(_, byte)| matches!(byte, b'>' | b'<'))
            .map(|(at, byte)| at + usize::from(*byte == b'>'))
    } else {
        bytes.find(|(_, byte)| matches!(byte, b'\n' | b'<')).map(|(at, _)| at)
    };
    text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, b""))
}

/// A number for each line, the same for the same.
fn name<'t>(lines: &[&'t [u8]], names: &mut HashMap<&'t [u8], u32>) -> Vec<u32> {
    let mut named = Vec::with_capacity(lines.len());
    for line in lines {
        let new = u32::try_from(names.len()).unwrap_or(u32::MAX);
        named.push(*names.entry(line).or_insert(new));
    }
    named
}

/// A part of each text that stands in place of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hunk {
    pub(crate) ours: Range<usize>,
    pub(crate) theirs: Range<usize>,
}

impl Hunk {
    fn turned(self) -> Self {
        Self { ours: self.theirs, theirs: self.ours }
    }
}

/// The parts that differ. When more than `edits` lines would have to go or come, all that is between
/// the first and the last difference is one part.
fn hunks(ours: &[u32], theirs: &[u32], edits: usize) -> Vec<Hunk> {
    let same = |(a, b): &(&u32, &u32)| a == b;
    let start = ours.iter().zip(theirs).take_while(same).count();
    let (a, b) = (ours.get(start..).unwrap_or_default(), theirs.get(start..).unwrap_or_default());
    let end = a.iter().rev().zip(b.iter().rev()).take_while(same).count();
    let (a, b) =
        (a.get(..a.len() - end).unwrap_or_default(), b.get(..b.len() - end).unwrap_or_default());
    if a.is_empty() && b.is_empty() {
        return Vec::new();
    }
    let whole = || vec![Hunk { ours: 0..a.len(), theirs: 0..b.len() }];
    let mut found = if a.is_empty() || b.is_empty() {
        whole()
    } else {
        shortest(a, b, edits).unwrap_or_else(whole)
    };
    for hunk in &mut found {
        for range in [&mut hunk.ours, &mut hunk.theirs] {
            *range = range.start + start..range.end + start;
        }
    }
    found
}

/// The shortest way from one text to the other, by Myers' greedy search: for each number of edits how
/// far one comes on each diagonal.
fn shortest(a: &[u32], b: &[u32], edits: usize) -> Option<Vec<Hunk>> {
    let edits = edits.min(a.len() + b.len());
    let mut reach = Reach::new(edits);
    let mut history = Vec::new();
    let mut work = 0;
    for count in 0..=edits {
        history.push(reach.clone_around(count));
        for diagonal in reach.diagonals(count) {
            let mut x = reach.start(diagonal, count);
            let Some(mut y) = x.checked_add_signed(-diagonal) else { continue };
            while x < a.len() && y < b.len() && a.get(x) == b.get(y) {
                (x, y) = (x + 1, y + 1);
                work += 1;
            }
            reach.set(diagonal, x);
            if x >= a.len() && y >= b.len() {
                return Some(trace_back(a.len(), b.len(), &history));
            }
        }
        work += count;
        if work > MAX_WORK {
            return None;
        }
    }
    None
}

/// How far one comes in the first text, for each diagonal (the place in the first text less the one
/// in the second).
#[derive(Debug, Clone)]
struct Reach {
    /// From the diagonal `-around` on.
    far: Vec<usize>,
    around: isize,
}

impl Reach {
    fn new(edits: usize) -> Self {
        Self { far: vec![0; 2 * edits + 3], around: signed(edits) + 1 }
    }

    fn get(&self, diagonal: isize) -> usize {
        let at = usize::try_from(diagonal + self.around).ok();
        at.and_then(|at| self.far.get(at)).copied().unwrap_or(0)
    }

    fn set(&mut self, diagonal: isize, x: usize) {
        let at = usize::try_from(diagonal + self.around).ok();
        if let Some(far) = at.and_then(|at| self.far.get_mut(at)) {
            *far = x;
        }
    }

    /// The part that `count` edits need.
    fn clone_around(&self, count: usize) -> Self {
        let around = signed(count) + 1;
        let start = usize::try_from(self.around - around).unwrap_or(0);
        let far = self.far.get(start..start + 2 * count + 3).unwrap_or(&self.far).to_vec();
        Self { far, around }
    }

    fn diagonals(&self, count: usize) -> impl Iterator<Item = isize> + use<> {
        let count = signed(count);
        (-count..=count).step_by(2)
    }

    /// The diagonal from which this one is reached by the last of `count` edits.
    fn origin(&self, diagonal: isize, count: usize) -> isize {
        let count = signed(count);
        let comes = diagonal == -count
            || (diagonal != count && self.get(diagonal - 1) < self.get(diagonal + 1));
        if comes { diagonal + 1 } else { diagonal - 1 }
    }

    /// Where it begins.
    fn start(&self, diagonal: isize, count: usize) -> usize {
        if count == 0 {
            return 0;
        }
        let origin = self.origin(diagonal, count);
        self.get(origin) + usize::from(origin < diagonal)
    }
}

/// A number of lines, which the limits keep small.
fn signed(number: usize) -> isize {
    isize::try_from(number).unwrap_or(isize::MAX)
}

/// Goes the way found backwards and puts neighbouring edits together.
fn trace_back(a: usize, b: usize, history: &[Reach]) -> Vec<Hunk> {
    let (mut x, mut y) = (a, b);
    let mut hunks: Vec<Hunk> = Vec::new();
    for (count, reach) in history.iter().enumerate().skip(1).rev() {
        let diagonal = signed(x) - signed(y);
        let origin = reach.origin(diagonal, count);
        let from_x = reach.get(origin);
        let from_y = usize::try_from(signed(from_x) - origin).unwrap_or(0);
        // One line goes, or one comes.
        let goes = origin < diagonal;
        let edit = Hunk {
            ours: from_x..from_x + usize::from(goes),
            theirs: from_y..from_y + usize::from(!goes),
        };
        match hunks.last_mut() {
            Some(last)
                if last.ours.start == edit.ours.end && last.theirs.start == edit.theirs.end =>
            {
                last.ours.start = edit.ours.start;
                last.theirs.start = edit.theirs.start;
            }
            _ => hunks.push(edit),
        }
        (x, y) = (from_x, from_y);
    }
    hunks.reverse();
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<u32> {
        text.chars().map(u32::from).collect()
    }

    fn shown(a: &str, b: &str, edits: usize) -> Vec<(String, String)> {
        let slice = |text: &str, range: &Range<usize>| text[range.clone()].to_owned();
        let hunks = hunks(&named(a), &named(b), edits);
        hunks.iter().map(|hunk| (slice(a, &hunk.ours), slice(b, &hunk.theirs))).collect()
    }

    #[test]
    fn what_differs_is_found_where_it_is() {
        for (a, b, expected) in [
            ("", "", &[][..]),
            ("abc", "abc", &[]),
            ("abc", "axc", &[("b", "x")]),
            ("abc", "abxc", &[("", "x")]),
            ("abc", "ac", &[("b", "")]),
            ("", "ab", &[("", "ab")]),
            ("abcdefgh", "abXdefh", &[("c", "X"), ("g", "")]),
            ("1abcdef", "abcdef2", &[("1", ""), ("", "2")]),
        ] {
            let found = shown(a, b, 10);
            let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!(found, expected, "{a} {b}");
        }
    }

    #[test]
    fn too_many_edits_make_one_part() {
        let parts = [("b1c2".to_owned(), "B1C2".to_owned())];
        assert_eq!(shown("ab1c2d3", "aB1C2d3", 10).len(), 2);
        assert_eq!(
            shown("xab1c2", "xaB1C2", 3),
            [(parts[0].0[..3].into(), parts[0].1[..3].into())]
        );
    }

    proptest::proptest! {
        /// Whatever is found, taking it turns one text into the other.
        #[test]
        fn hunks_lead_from_one_text_to_the_other(a in "[abc]{0,40}", b in "[abc]{0,40}", edits in 0_usize..50) {
            let (mut built, mut at) = (String::new(), 0);
            for hunk in hunks(&named(&a), &named(&b), edits) {
                built.push_str(&a[at..hunk.ours.start]);
                proptest::prop_assert_eq!(built.len(), hunk.theirs.start);
                built.push_str(&b[hunk.theirs.clone()]);
                at = hunk.ours.end;
            }
            built.push_str(&a[at..]);
            proptest::prop_assert_eq!(built, b);
        }
    }

    #[test]
    fn lines_end_in_any_way() {
        let lines = |text: &'static str| split(text.as_bytes(), false, 10).unwrap().lines;
        assert_eq!(lines("a\r\nb\n\nc"), [&b"a"[..], b"b", b"", b"c"]);
        assert_eq!(lines("a\n"), lines("a"));
        assert!(split(b"a\nb\nc", false, 2).is_none());
        let html = split(b"<p class=x>Hi <b>you</b>\n  there</p>\n", true, 20).unwrap().lines;
        assert_eq!(html, [&b"<p class=x>"[..], b"Hi", b"<b>", b"you", b"</b>", b"there", b"</p>"]);
        assert_eq!(split(b"a < b < c", true, 20).unwrap().lines, [&b"a"[..], b"< b", b"< c"]);
    }
}
