//! What a message tells the agent: its arguments by what they are for, with the variables in between followed.

mod part;

use haproxy_config::Word;

use crate::doctor::expression::Expression;
use crate::doctor::fetches;
use crate::doctor::finding::{Change, Edit, Place};
use crate::doctor::setup::{At, Filter, Message, Reach, Sending, Setter, Setup};

pub(super) use part::Part;

/// A message that HAProxy sends, and what is in it.
pub(super) struct Told<'s, 'a> {
    pub(super) setup: &'s Setup<'a>,
    pub(super) filter: &'s Filter<'a>,
    pub(super) message: &'s Message<'a>,
    /// What makes HAProxy send it; at least one.
    pub(super) sendings: Vec<Sending<'s, 'a>>,
    pub(super) given: Vec<Given<'a>>,
}

/// An argument.
#[derive(Debug, Clone)]
pub(super) struct Given<'a> {
    pub(super) at: At<'a>,
    /// Its first word.
    pub(super) word: &'a Word,
    pub(super) name: Option<String>,
    /// What the agent takes it for.
    pub(super) part: Option<Part>,
    pub(super) expression: Vec<u8>,
}

/// All messages of a filter that HAProxy sends.
pub(super) fn told<'s, 'a>(setup: &'s Setup<'a>, filter: &'s Filter<'a>) -> Vec<Told<'s, 'a>> {
    let mut all: Vec<Told<'s, 'a>> = Vec::new();
    for sending in setup.sendings(filter) {
        match all.iter_mut().find(|told| std::ptr::eq(told.message, sending.message)) {
            Some(told) => told.sendings.push(sending),
            None => {
                let message = sending.message;
                let given = given(message);
                all.push(Told { setup, filter, message, sendings: vec![sending], given });
            }
        }
    }
    all
}

fn given<'a>(message: &Message<'a>) -> Vec<Given<'a>> {
    let arguments = message.arguments().into_iter();
    arguments
        .filter_map(|(at, argument)| {
            let word = at.line.words.iter().find(|word| word.column == argument.column)?;
            let name = argument.name.map(|name| String::from_utf8_lossy(&name).into_owned());
            let part = name.as_deref().and_then(Part::named);
            Some(Given { at, word, name, part, expression: argument.expression })
        })
        .collect()
}

/// Edits of which those that put lines behind the same line are one.
pub(super) fn together(edits: Vec<Edit>) -> Vec<Edit> {
    let mut all: Vec<Edit> = Vec::new();
    for edit in edits {
        let known = all.iter_mut().find(|known| (known.file, known.line) == (edit.file, edit.line));
        match (known.map(|known| &mut known.change), edit) {
            (Some(Change::Append(lines)), Edit { change: Change::Append(more), .. }) => {
                lines.extend(more);
            }
            (_, edit) => all.push(edit),
        }
    }
    all
}

impl<'a> Given<'a> {
    /// It, taken apart.
    pub(super) fn expression(&self) -> Expression<'_> {
        Expression::parse(&self.expression)
    }

    pub(super) fn place(&self) -> Place {
        self.at.place_of(self.word)
    }

    /// As it is written: its first word.
    pub(super) fn shown(&self) -> String {
        self.at.shown(self.word).into_owned()
    }

    /// Its expression as it is written.
    pub(super) fn shown_expression(&self) -> String {
        let shown = self.shown();
        match (&self.name, shown.split_once('=')) {
            (Some(_), Some((_, expression))) => expression.to_owned(),
            _ => shown,
        }
    }

    /// Whether it is one word, as it is written, so that it can be written anew.
    pub(super) fn is_plain(&self) -> bool {
        let open = self.word.text.iter().filter(|&&byte| byte == b'(').count();
        open == self.word.text.iter().filter(|&&byte| byte == b')').count()
            && self.word.references.is_empty()
    }
}

impl<'s, 'a> Told<'s, 'a> {
    /// The argument for this; of several the first counts.
    pub(super) fn part(&self, part: Part) -> Option<&Given<'a>> {
        self.given.iter().find(|given| given.part == Some(part))
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.part(part).is_some()
    }

    /// Whether it speaks of a request, as it is or as it was meant.
    pub(super) fn asks(&self) -> bool {
        let parts = [Part::Url, Part::Path, Part::Headers];
        let others = [Part::Method, Part::Query, Part::Body, Part::BodySize];
        parts.iter().any(|part| self.has(*part))
            || !self.answers() && others.iter().any(|part| self.has(*part))
    }

    /// Whether it speaks of an answer, as it is or as it was meant.
    pub(super) fn answers(&self) -> bool {
        let parts = [Part::Status, Part::AnswerHeaders, Part::AnswerBody];
        parts.iter().any(|part| self.has(*part))
    }

    /// Whether its names are the C program's.
    pub(super) fn is_prefixed(&self) -> bool {
        let mut names = self.given.iter().filter_map(|given| given.name.as_deref());
        names.any(|name| name.starts_with("arg_"))
    }

    /// The expressions that an argument's value comes from: itself, or what the variable is set to before.
    pub(super) fn origins(&self, given: &Given<'a>) -> Vec<Vec<u8>> {
        let expression = given.expression();
        let Some(variable) = expression.variable() else { return vec![given.expression.clone()] };
        let setters = self.in_time(variable);
        setters.into_iter().filter_map(|setter| setter.expression).collect()
    }

    /// What sets a variable before any of the message's sendings.
    pub(super) fn in_time(&self, variable: &str) -> Vec<Setter<'s, 'a>> {
        let mut setters = self.setup.setters(self.filter, variable);
        setters.retain(|setter| {
            let reach = |sending| self.setup.reach(self.filter, sending, variable, setter);
            self.sendings.iter().any(|sending| reach(sending) == Reach::InTime)
        });
        setters
    }

    /// An argument for a part, and what else must be written for it: a variable where the value is gone when the
    /// message is sent. `None` where that cannot be had at all.
    pub(super) fn written(&self, part: Part) -> Option<(String, Vec<Edit>)> {
        let (name, expression) = (part.name(self.is_prefixed()), part.expression());
        let fetch = Expression::parse(expression.as_bytes());
        let can = |available: fetches::Available| {
            self.sendings.iter().all(|sending| available.at(sending.moment))
        };
        let rows = || {
            fetches::rows(fetch.name()).filter(|row| row.versions.may_include(self.setup.version))
        };
        if rows().all(|row| can(row.available)) {
            return Some((format!("{name}={expression}"), Vec::new()));
        }
        if part.is_of_answer() {
            return None;
        }
        let variable = format!("txn.mirror_{}", part.name(false));
        let statement = format!("http-request set-var({variable}) {expression}");
        let indentation = self.filter.at.indentation();
        let edit = self.filter.at.followed_by(&indentation, &[&statement]);
        Some((format!("{name}=var({variable})"), vec![edit]))
    }

    /// Where its arguments end, or where it begins.
    pub(super) fn last_line(&self) -> At<'a> {
        self.message.lines.last(&["args"]).unwrap_or(self.message.lines.header)
    }

    /// More arguments.
    pub(super) fn with(&self, arguments: &[String]) -> Edit {
        match self.message.lines.last(&["args"]) {
            Some(at) => at.rewritten(&[], arguments),
            None => self.message.lines.begun(&[&format!("args {}", arguments.join(" "))]),
        }
    }

    /// "the message `mirror`".
    pub(super) fn named(&self) -> String {
        format!("the message `{}`", self.message.name())
    }
}
