//! What SPOE files have besides: scopes, and the arguments of messages.

use crate::document::{Document, Line, Section};

/// The sections under a `[scope]`, which an engine of that name reads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scope<'a> {
    /// Its name; none for what stands before the first.
    pub name: Option<&'a [u8]>,
    /// Its `spoe-agent` sections, of which HAProxy takes one.
    pub agents: Vec<&'a Section>,
    /// Its `spoe-message` sections.
    pub messages: Vec<&'a Section>,
    /// Its `spoe-group` sections.
    pub groups: Vec<&'a Section>,
}

/// What a message hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name, if it has one.
    pub name: Option<Vec<u8>>,
    /// How HAProxy gets its value.
    pub expression: Vec<u8>,
    /// The byte in the line where it begins, from 1.
    pub column: usize,
}

impl Document {
    /// A SPOE file's sections by scope, in the order in which the scopes first occur.
    pub fn scopes(&self) -> Vec<Scope<'_>> {
        let mut scopes: Vec<Scope<'_>> = Vec::new();
        let mut places = std::collections::BTreeMap::new();
        for section in &self.sections {
            let name = section.scope.as_deref();
            let place = *places.entry(name).or_insert_with(|| {
                let (agents, messages, groups) = (Vec::new(), Vec::new(), Vec::new());
                scopes.push(Scope { name, agents, messages, groups });
                scopes.len() - 1
            });
            let Some(scope) = scopes.get_mut(place) else { continue };
            match section.keyword() {
                b"spoe-agent" => scope.agents.push(section),
                b"spoe-message" => scope.messages.push(section),
                b"spoe-group" => scope.groups.push(section),
                _ => {}
            }
        }
        scopes
    }
}

impl Line {
    /// What an `args` line of a `spoe-message` hands over: its words, of which those inside parentheses that are
    /// not closed belong together. Nothing of other lines.
    pub fn arguments(&self) -> Vec<Argument> {
        let mut arguments: Vec<Argument> = Vec::new();
        if self.keyword() != Some(b"args") {
            return arguments;
        }
        let mut depth = 0_usize;
        for word in self.words.iter().skip(1) {
            match arguments.last_mut() {
                Some(argument) if depth > 0 => {
                    argument.expression.push(b' ');
                    argument.expression.extend_from_slice(&word.text);
                }
                _ => arguments.push(argument(&word.text, word.column)),
            }
            for byte in &word.text {
                match byte {
                    b'(' => depth += 1,
                    b')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
        arguments
    }
}

fn argument(text: &[u8], column: usize) -> Argument {
    let mut parts = text.splitn(2, |&byte| byte == b'=');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    match second {
        Some(expression) if !first.contains(&b'(') => {
            Argument { name: Some(first.to_vec()), expression: expression.to_vec(), column }
        }
        _ => Argument { name: None, expression: text.to_vec(), column },
    }
}
