//! A kept pair: the request, and both answers beside each other with what differs marked.

use std::time::{Duration, UNIX_EPOCH};

use super::figures::time;
use crate::comparison::sample::{Sample, ShownAnswer};
use crate::comparison::side_by_side::{header_rows, side_by_side};
use crate::date::rfc3339;

/// Equal lines around a change that are shown where others are folded away.
const CONTEXT: usize = 3;

/// A pair.
pub(super) struct Pair {
    pub(super) id: u64,
    pub(super) at: String,
    pub(super) target: String,
    pub(super) run: String,
    pub(super) endpoint: String,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<String>,
    pub(super) body_note: String,
    pub(super) curl: String,
    pub(super) differences: Vec<Difference>,
    pub(super) more: usize,
    /// Status and time.
    pub(super) production: Facts,
    pub(super) shadow: Facts,
    pub(super) header_lines: Vec<Line>,
    pub(super) headers_unknown: bool,
    pub(super) body_lines: Vec<Line>,
}

/// What is told of an answer beside its headers and body.
pub(super) struct Facts {
    pub(super) status: String,
    pub(super) time: String,
    /// What is not shown of its body.
    pub(super) note: String,
}

/// A difference; values that are absent are empty.
pub(super) struct Difference {
    pub(super) place: String,
    pub(super) kind: String,
    pub(super) production: Option<String>,
    pub(super) shadow: Option<String>,
}

/// A line of production's answer beside one of the candidate's.
pub(super) enum Line {
    /// A header's name is empty in bodies.
    Beside {
        name: String,
        production: Option<Marked>,
        shadow: Option<Marked>,
        changed: bool,
        /// It is changed, and a rule says that this is no difference.
        excused: bool,
    },
    /// So many equal lines that are left out.
    Folded(usize),
}

/// A text, and which part of it is not in the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) before: String,
    pub(super) changed: String,
    pub(super) after: String,
}

impl Pair {
    /// Shows `sample`; with `fold`, without equal lines far from changes.
    pub(super) fn new(sample: &Sample, fold: bool) -> Self {
        let at = UNIX_EPOCH.checked_add(Duration::from_millis(sample.at_ms));
        let (production, shadow) = (&sample.production, &sample.shadow);
        let headers = header_rows(production, shadow);
        let headers = headers
            .into_iter()
            .map(|row| {
                let excused = row.changed && is_excused(sample, &row.name);
                beside(row.name, row.production, row.shadow, row.changed, excused)
            })
            .collect();
        let bodies = side_by_side(&production.body.lines, &shadow.body.lines);
        let bodies = bodies
            .into_iter()
            .map(|row| beside(String::new(), row.production, row.shadow, row.changed, false))
            .collect();
        let differences = sample.differences.iter().map(|difference| Difference {
            place: difference.place.clone(),
            kind: difference.kind.clone(),
            production: difference.production.clone(),
            shadow: difference.shadow.clone(),
        });
        Self {
            id: sample.id,
            at: rfc3339(at.unwrap_or(UNIX_EPOCH)),
            target: sample.target.clone(),
            run: sample.run.clone(),
            endpoint: sample.endpoint.clone(),
            method: sample.request.method.clone(),
            url: sample.request.url.clone(),
            headers: sample.request.headers.clone(),
            body: sample.request.body.lines.clone(),
            body_note: sample.request.body.note.clone(),
            curl: sample.curl(),
            differences: differences.collect(),
            more: sample.more,
            production: facts(production),
            shadow: facts(shadow),
            header_lines: if fold { folded(headers) } else { headers },
            headers_unknown: production.headers.is_none() || shadow.headers.is_none(),
            body_lines: if fold { folded(bodies) } else { bodies },
        }
    }
}

fn facts(answer: &ShownAnswer) -> Facts {
    Facts {
        status: if answer.status == 0 { "none".to_owned() } else { answer.status.to_string() },
        time: time(answer.time_us.map(|us| Duration::from_micros(us).as_secs_f64())),
        note: answer.body.note.clone(),
    }
}

/// Whether a header is not among the differences, of which all are known.
fn is_excused(sample: &Sample, name: &str) -> bool {
    let place = format!("header {}", name.to_ascii_lowercase());
    let is_there = |found: &str| {
        found.strip_prefix(&place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    sample.more == 0 && !sample.differences.iter().any(|found| is_there(&found.place))
}

fn beside(
    name: String,
    production: Option<String>,
    shadow: Option<String>,
    changed: bool,
    excused: bool,
) -> Line {
    let (production, shadow) = match (production, shadow) {
        (Some(production), Some(shadow)) if changed => {
            let (production, shadow) = marked(&production, &shadow);
            (Some(production), Some(shadow))
        }
        (production, shadow) => {
            let whole = |text: String| match changed {
                true => Marked { before: String::new(), changed: text, after: String::new() },
                false => Marked { before: text, changed: String::new(), after: String::new() },
            };
            (production.map(whole), shadow.map(whole))
        }
    };
    Line::Beside { name, production, shadow, changed, excused }
}

/// Marks what is between the first and the last character that differ.
fn marked(production: &str, shadow: &str) -> (Marked, Marked) {
    let ends = |pair: (char, char)| (pair.0 == pair.1).then(|| pair.0.len_utf8());
    let before: usize = production.chars().zip(shadow.chars()).map_while(ends).sum();
    let (rest_of_production, rest_of_shadow) =
        (production.get(before..).unwrap_or_default(), shadow.get(before..).unwrap_or_default());
    let from_behind = rest_of_production.chars().rev().zip(rest_of_shadow.chars().rev());
    let after: usize = from_behind.map_while(ends).sum();
    let part = |text: &str| {
        let (before, rest) = text.split_at_checked(before).unwrap_or((text, ""));
        let end = rest.len().saturating_sub(after);
        let (changed, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        Marked { before: before.to_owned(), changed: changed.to_owned(), after: after.to_owned() }
    };
    (part(production), part(shadow))
}

/// Leaves out equal lines that are far from any change.
fn folded(lines: Vec<Line>) -> Vec<Line> {
    let changed: Vec<bool> =
        lines.iter().map(|line| matches!(line, Line::Beside { changed: true, .. })).collect();
    let near = |index: usize| {
        let from = index.saturating_sub(CONTEXT);
        let to = index.saturating_add(CONTEXT).min(changed.len().saturating_sub(1));
        changed.get(from..=to).is_some_and(|lines| lines.contains(&true))
    };
    let mut kept = Vec::new();
    let mut hidden = Vec::new();
    for (index, line) in lines.into_iter().enumerate() {
        if near(index) {
            unfold(&mut kept, &mut hidden);
            kept.push(line);
        } else {
            hidden.push(line);
        }
    }
    unfold(&mut kept, &mut hidden);
    kept
}

/// A fold takes a line itself: one or two are shown as well.
fn unfold(kept: &mut Vec<Line>, hidden: &mut Vec<Line>) {
    if hidden.len() > 2 {
        kept.push(Line::Folded(hidden.len()));
        hidden.clear();
    }
    kept.append(hidden);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::sample::{ShownDifference, ShownRequest};

    fn parts(marked: &Marked) -> [&str; 3] {
        [&marked.before, &marked.changed, &marked.after]
    }

    #[test]
    fn what_differs_within_a_line_is_marked() {
        for (production, shadow, ours, theirs) in [
            (
                "\"price\": 4.11,",
                "\"price\": 5.11,",
                ["\"price\": ", "4", ".11,"],
                ["\"price\": ", "5", ".11,"],
            ),
            ("aa", "aaa", ["aa", "", ""], ["aa", "a", ""]),
            ("", "x", ["", "", ""], ["", "x", ""]),
            ("für", "fär", ["f", "ü", "r"], ["f", "ä", "r"]),
            ("é", "è", ["", "é", ""], ["", "è", ""]),
            ("same", "same", ["same", "", ""], ["same", "", ""]),
        ] {
            let (production, shadow) = marked(production, shadow);
            assert_eq!((parts(&production), parts(&shadow)), (ours, theirs));
        }
    }

    #[test]
    fn headers_that_a_rule_excuses_are_told_from_differences() {
        let body = crate::comparison::sample::ShownBody::default();
        let answer = ShownAnswer { status: 200, headers: None, body: body.clone(), time_us: None };
        let difference = |place: &str| ShownDifference {
            place: place.to_owned(),
            kind: "value".to_owned(),
            production: None,
            shadow: None,
        };
        let request =
            ShownRequest { method: String::new(), url: String::new(), headers: Vec::new(), body };
        let mut sample = Sample {
            id: 1,
            at_ms: 0,
            target: String::new(),
            run: String::new(),
            endpoint: String::new(),
            request,
            production: answer.clone(),
            shadow: answer,
            differences: vec![difference("header etag"), difference("header set-cookie.id.path")],
            more: 0,
        };
        let names = ["ETag", "Set-Cookie", "Date", "e"];
        let excused = |sample: &Sample| names.map(|name| is_excused(sample, name));
        assert_eq!(excused(&sample), [false, false, true, true]);
        sample.more = 1;
        assert_eq!(excused(&sample), [false; 4]);
    }

    #[test]
    fn equal_lines_far_from_changes_are_folded() {
        let line = |changed| beside(String::new(), Some("a".to_owned()), None, changed, false);
        let lines = (0..30).map(|index| line(index == 10)).collect();
        let shape: Vec<usize> = folded(lines)
            .iter()
            .map(|line| match line {
                Line::Beside { .. } => 1,
                Line::Folded(count) => *count,
            })
            .collect();
        assert_eq!(shape, [7, 1, 1, 1, 1, 1, 1, 1, 16]);
        assert_eq!(folded((0..2).map(|_| line(false)).collect()).len(), 2);
        assert!(folded(Vec::new()).is_empty());
    }
}
