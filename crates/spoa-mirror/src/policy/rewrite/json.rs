//! Alters a JSON document at given places, in one scan without a tree: what is not altered stays
//! byte for byte, with its order, whitespace and spelling of numbers.

use std::borrow::Cow;
use std::ops::Range;

use super::scan::{self, Unreadable};
use crate::config::{JsonPath, JsonStep, RedactPlace, Rewrite};
use crate::policy::redact::{Hide, Names};

/// Containers that may lie in one another; a deeper document is not read.
const MAX_DEPTH: usize = 128;

/// The places of a document that are altered, and how.
#[derive(Debug)]
pub(super) struct Editor {
    /// Those that come first take precedence.
    rules: Vec<Rule>,
    /// Members at any depth that are hidden; each with the number of rules that come first.
    fields: Names<(usize, Change)>,
}

/// What becomes of a value.
#[derive(Debug)]
enum Change {
    Set(Vec<u8>),
    Remove,
    Hide(Hide),
}

/// One place and what becomes of it. How far a value has come towards it is a set of bits: bit `n`
/// says that the first `n` steps lead there.
#[derive(Debug)]
struct Rule {
    steps: Vec<JsonStep>,
    /// The steps that lead to every child.
    every: u64,
    /// The steps that lead anywhere below.
    deep: u64,
    change: Change,
    /// The member written out, for an object that lacks it.
    create: Option<Vec<u8>>,
}

/// A bit beyond those of steps: the object has the member that the rule sets.
const SEEN: u64 = 1 << 63;

impl Editor {
    /// The editor that applies what `rewrite` and `hides` say of JSON; `None` when they say nothing.
    ///
    /// All places are those of the document as it came. The outermost value that a rule is about
    /// counts, and for the same value setting comes before removing, and that before hiding.
    pub(super) fn new(rewrite: &Rewrite, hides: &[(RedactPlace, Hide)]) -> Option<Self> {
        let sets = rewrite.json_set.iter().map(|(path, text)| {
            let value = text.trim().as_bytes().to_vec();
            Rule::new(path, Change::Set(value))
        });
        let removals = rewrite.json_remove.iter().map(|path| Rule::new(path, Change::Remove));
        let mut rules: Vec<Rule> = sets.chain(removals).collect();
        let mut fields = Names::default();
        for (place, hide) in hides {
            let change = Change::Hide(hide.clone());
            match place {
                RedactPlace::Json(path) => rules.push(Rule::new(path, change)),
                RedactPlace::Field(name) => fields.insert(name, (rules.len(), change)),
                _ => {}
            }
        }
        (!rules.is_empty() || !fields.is_empty()).then_some(Self { rules, fields })
    }

    /// The document altered.
    ///
    /// # Errors
    /// It is no JSON document, or nested too deeply.
    pub(super) fn edit<'d>(&self, document: &'d [u8]) -> Result<Cow<'d, [u8]>, Unreadable> {
        std::str::from_utf8(document).map_err(|_| Unreadable)?;
        let mut walk = Walk {
            editor: self,
            text: document,
            at: 0,
            frames: Vec::new(),
            states: Vec::new(),
            next: self.rules.iter().map(|rule| rule.closed(1)).collect(),
            output: Vec::new(),
            copied: 0,
        };
        walk.document()?;
        if walk.copied == 0 {
            return Ok(Cow::Borrowed(document));
        }
        walk.output.extend_from_slice(document.get(walk.copied..).unwrap_or_default());
        Ok(Cow::Owned(walk.output))
    }
}

impl Change {
    fn removes(&self) -> bool {
        matches!(self, Self::Remove | Self::Hide(Hide::Remove))
    }
}

impl Rule {
    fn new(path: &JsonPath, change: Change) -> Self {
        let bits = |wanted: &JsonStep| {
            let found = path.steps.iter().enumerate().filter(|(_, step)| *step == wanted);
            found.fold(0, |bits, (at, _)| bits | 1 << at)
        };
        let deep = bits(&JsonStep::Deep);
        let create = match (&change, path.steps.last()) {
            // `$..name` is about members that are there: it does not add one to every object.
            (Change::Set(value), Some(JsonStep::Member(name))) if deep == 0 => {
                let mut member = Vec::new();
                scan::quote(name.as_bytes(), &mut member);
                member.push(b':');
                member.extend_from_slice(value);
                Some(member)
            }
            _ => None,
        };
        Self { steps: path.steps.clone(), every: bits(&JsonStep::Every), deep, change, create }
    }

    /// Adds where taking no step leads.
    fn closed(&self, state: u64) -> u64 {
        state | (state & self.deep) << 1
    }

    /// How far a child of a value at `state` has come, to which a step leads that `fits`.
    fn child(&self, state: u64, fits: impl Fn(&JsonStep) -> bool) -> u64 {
        let mut next = (state & self.deep) | (state & self.every) << 1;
        let mut rest = state & (self.end() - 1) & !(self.deep | self.every);
        while rest != 0 {
            let at = rest.trailing_zeros();
            rest &= rest - 1;
            if self.steps.get(at as usize).is_some_and(&fits) {
                next |= 1 << (at + 1);
            }
        }
        self.closed(next)
    }

    /// The bit that says that all steps were taken.
    fn end(&self) -> u64 {
        1 << self.steps.len()
    }

    /// Whether an object at `state` is to have the member, and has not.
    fn wants_member(&self, state: u64) -> bool {
        self.create.is_some() && state & (self.end() >> 1) != 0 && state & SEEN == 0
    }
}

/// A value on the way, with its name if it has one.
#[derive(Clone, Copy)]
struct Element<'e> {
    /// Where it begins, with its name.
    start: usize,
    /// Where its value begins.
    value: usize,
    change: Option<&'e Change>,
}

/// A container that the scan is inside of.
struct Frame<'e> {
    object: bool,
    /// The container itself.
    element: Element<'e>,
    /// It is altered as a whole, or lies in one that is: no rule looks inside.
    whole: bool,
    /// Elements so far.
    count: usize,
    /// Where the last one ends.
    end: usize,
    /// Whether one of them stays.
    kept: bool,
    /// Where those begin that are removed before the first that stays.
    leading: Option<usize>,
}

struct Walk<'e, 'd> {
    editor: &'e Editor,
    text: &'d [u8],
    at: usize,
    frames: Vec<Frame<'e>>,
    /// For each frame, how far it has come for each rule.
    states: Vec<u64>,
    /// The same for the element on the way.
    next: Vec<u64>,
    output: Vec<u8>,
    /// How much of the document was copied to the output, or replaced there.
    copied: usize,
}

impl<'e> Walk<'e, '_> {
    fn document(&mut self) -> Result<(), Unreadable> {
        self.skip_blanks();
        let mut element = Element { start: self.at, value: self.at, change: None };
        loop {
            let opened = match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    self.open(bracket == b'{', element)?;
                    true
                }
                _ => {
                    self.at = scan::scalar(self.text, self.at)?;
                    self.finish(element);
                    false
                }
            };
            let mut more = opened && !matches!(self.peek(), Some(b'}' | b']'));
            while !more {
                self.skip_blanks();
                let Some(frame) = self.frames.last() else {
                    return if self.at == self.text.len() { Ok(()) } else { Err(Unreadable) };
                };
                match (self.peek(), frame.object) {
                    (Some(b','), _) => {
                        self.at += 1;
                        more = true;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => self.close(),
                    _ => return Err(Unreadable),
                }
            }
            element = self.element()?;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        self.at = scan::blanks(self.text, self.at);
    }

    /// Enters the container that begins here.
    fn open(&mut self, object: bool, element: Element<'e>) -> Result<(), Unreadable> {
        if self.frames.len() == MAX_DEPTH {
            return Err(Unreadable);
        }
        let inside = self.frames.last().is_some_and(|frame| frame.whole);
        self.frames.push(Frame {
            object,
            element,
            whole: inside || element.change.is_some(),
            count: 0,
            end: self.at + 1,
            kept: false,
            leading: None,
        });
        self.states.extend_from_slice(&self.next);
        self.at += 1;
        self.skip_blanks();
        Ok(())
    }

    /// Reads up to the value of the next element of the container that the scan is inside of.
    fn element(&mut self) -> Result<Element<'e>, Unreadable> {
        self.skip_blanks();
        let start = self.at;
        let Some(frame) = self.frames.last() else { return Err(Unreadable) };
        let (index, whole) = (frame.count, frame.whole);
        let mut key = None;
        if frame.object {
            let text = self.text;
            let name = scan::string(text, start)?;
            let inside = text.get(start + 1..name.end - 1).unwrap_or_default();
            self.at = scan::blanks(text, name.end);
            if self.peek() != Some(b':') {
                return Err(Unreadable);
            }
            self.at += 1;
            self.skip_blanks();
            if !whole {
                key = Some(if name.escaped { scan::unescaped(inside) } else { inside.into() });
            }
        }
        let change = if whole { None } else { self.change(key.as_deref(), index) };
        let removed = change.is_some_and(Change::removes);
        let mut leading = None;
        if let Some(frame) = self.frames.last_mut() {
            frame.count += 1;
            if !removed {
                leading = frame.leading.take();
            }
        }
        if let Some(leading) = leading {
            self.replace(leading..start, b"");
        }
        Ok(Element { start, value: self.at, change })
    }

    /// What becomes of the member `key`, or the element `index`.
    fn change(&mut self, key: Option<&[u8]>, index: usize) -> Option<&'e Change> {
        let editor = self.editor;
        let row = (self.frames.len() - 1) * editor.rules.len();
        let states = self.states.get_mut(row..).unwrap_or_default();
        let mut first = None;
        for (at, rule) in editor.rules.iter().enumerate() {
            let (Some(state), Some(next)) = (states.get_mut(at), self.next.get_mut(at)) else {
                break;
            };
            *next = 0;
            if *state == 0 {
                continue;
            }
            *next = rule.child(*state, |step| match (step, key) {
                (JsonStep::Member(name), Some(key)) => name.as_bytes() == key,
                (JsonStep::Index(wanted), None) => *wanted == index,
                _ => false,
            });
            if *next & rule.end() != 0 {
                *state |= SEEN;
                first = first.or(Some((at, &rule.change)));
            }
        }
        let field = key.and_then(|key| editor.fields.find(key));
        match (first, field) {
            (Some((at, change)), Some((before, _))) if at < *before => Some(change),
            (_, Some((_, change))) => Some(change),
            (Some((_, change)), None) => Some(change),
            (None, None) => None,
        }
    }

    /// Applies what becomes of a value that ends here.
    fn finish(&mut self, element: Element<'e>) {
        let end = self.at;
        match element.change {
            None => {}
            Some(Change::Set(value)) => self.replace(element.value..end, value),
            Some(change @ (Change::Remove | Change::Hide(_))) => {
                let value = self.text.get(element.value..end).unwrap_or_default();
                if let Change::Hide(hide) = change {
                    if let Some(shown) = hide.value(&meaning(value)) {
                        let mut quoted = Vec::with_capacity(shown.len() + 2);
                        scan::quote(shown.as_bytes(), &mut quoted);
                        self.replace(element.value..end, &quoted);
                    }
                }
            }
        }
        let Some(frame) = self.frames.last_mut() else { return };
        let last = std::mem::replace(&mut frame.end, end);
        if !element.change.is_some_and(Change::removes) {
            frame.kept = true;
        } else if frame.kept {
            self.replace(last..end, b"");
        } else {
            frame.leading.get_or_insert(element.start);
        }
    }

    /// Leaves the container that ends here.
    fn close(&mut self) {
        let Some(mut frame) = self.frames.pop() else { return };
        let row = self.frames.len() * self.editor.rules.len();
        if !frame.whole {
            if let Some(leading) = frame.leading {
                self.replace(leading..frame.end, b"");
            }
            if frame.object {
                self.create(&mut frame, row);
            }
        }
        self.states.truncate(row);
        self.at += 1;
        self.finish(frame.element);
    }

    /// Adds the members that the object lacks.
    fn create(&mut self, frame: &mut Frame<'e>, row: usize) {
        let rules = &self.editor.rules;
        let state = |at: usize| self.states.get(row + at).copied().unwrap_or_default();
        let wanted = |at: usize| rules.get(at).filter(|rule| rule.wants_member(state(at)));
        let missing: Vec<&[u8]> = (0..rules.len())
            .filter_map(|at| {
                let rule = wanted(at)?;
                let same = |other: &Rule| other.steps.last() == rule.steps.last();
                if (0..at).any(|earlier| wanted(earlier).is_some_and(same)) {
                    return None;
                }
                rule.create.as_deref()
            })
            .collect();
        for member in missing {
            if frame.kept {
                self.replace(frame.end..frame.end, b",");
            }
            self.replace(frame.end..frame.end, member);
            frame.kept = true;
        }
    }

    fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        self.output.extend_from_slice(self.text.get(self.copied..range.start).unwrap_or_default());
        self.output.extend_from_slice(with);
        self.copied = range.end;
    }
}

/// What a value says: the text of a string, and otherwise the value as it is written.
fn meaning(value: &[u8]) -> Cow<'_, [u8]> {
    match value {
        [b'"', inside @ .., b'"'] => scan::unescaped(inside),
        value => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod tests;
