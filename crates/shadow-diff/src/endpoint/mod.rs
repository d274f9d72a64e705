//! Endpoints: method and template of the path, learned from traffic.
//!
//! `/users/17/orders/5` becomes `/users/{id}/orders/{id}`. A segment that looks like an id is one at
//! once. Names are kept until there are too many different ones at a position: then those that are rare
//! become `{id}` too, for good, and their endpoints are merged. Patterns from the configuration go
//! before all that.

mod pattern;
mod segment;
#[cfg(test)]
mod tests;
mod tree;

use std::borrow::Cow;
use std::fmt;

pub use pattern::{MAX_PATTERN, MAX_PATTERNS, Pattern, PatternError};
use serde::{Deserialize, Serialize};

use pattern::Patterns;
use tree::{NodeId, Tree};

/// Bytes of a path that are looked at.
const LONGEST_PATH: usize = 4096;

/// Methods that are told apart besides those of [`METHODS`].
const OWN_METHODS: usize = 8;

const LONGEST_METHOD: usize = 24;

const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"];

/// All methods that are not told apart.
const OTHER_METHODS: &str = "(other)";

/// What is remembered of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointLimits {
    /// Endpoints at a time, besides those of patterns and one `other` for each method.
    pub endpoints: usize,
    /// Different names at a position that are kept. When half of the room for endpoints is taken it is
    /// half as many, when three quarters are a quarter, when all is an eighth.
    pub names: usize,
}

impl Default for EndpointLimits {
    fn default() -> Self {
        Self { endpoints: 500, names: 100 }
    }
}

/// An endpoint. Never given to another; when endpoints are merged, one of their ids goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EndpointId(u32);

/// What was counted for `from` belongs to `into` from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "books that are not merged keep an endpoint that is gone"]
pub struct Merge {
    /// The endpoint that is gone.
    pub from: EndpointId,
    /// The one that goes on.
    pub into: EndpointId,
}

/// A request's endpoint, and what its path taught.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Assigned {
    /// Its endpoint.
    pub endpoint: EndpointId,
    /// To be done in this order; rarely any.
    pub merges: Vec<Merge>,
}

/// An endpoint's name, shown as `GET /users/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointName<'a> {
    /// The method, or `(other)`.
    pub method: &'a str,
    /// The template or pattern; `(other)` for paths that there was no room to tell apart.
    pub path: Cow<'a, str>,
}

impl EndpointName<'_> {
    /// Whether the method is safe (RFC 9110, section 9.2.1), so that a control may be measured.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }
}

impl fmt::Display for EndpointName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// All endpoints. With the default limits and without patterns at most 2 MiB, mostly less than 100 KiB:
/// of 4000 positions in paths at most 300 bytes each, and 64,000 ids of 12 bytes.
#[derive(Debug, Clone)]
pub struct Endpoints {
    limits: EndpointLimits,
    patterns: Patterns,
    methods: Vec<Method>,
    tree: Tree,
    /// By id.
    slots: Vec<Slot>,
    /// How many of `slots` are templates.
    templates: usize,
    revision: u64,
    /// The path that is looked at, written in one way; empty between two.
    path: String,
}

#[derive(Debug, Clone)]
struct Method {
    name: Box<str>,
    /// The endpoint of paths that there is no room for, and the requests that went there.
    other: Option<EndpointId>,
    overflow: u64,
    /// The endpoints of patterns, by pattern.
    by_pattern: Vec<(usize, EndpointId)>,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Template { method: u8, node: NodeId },
    Pattern { method: u8, pattern: u32 },
    Other { method: u8 },
    Merged(EndpointId),
}

impl Endpoints {
    /// No endpoints yet.
    ///
    /// # Errors
    /// If there are too many patterns, or two match the same.
    pub fn new(limits: EndpointLimits, patterns: Vec<Pattern>) -> Result<Self, PatternError> {
        Ok(Self::with(limits, Patterns::new(patterns)?))
    }

    /// No endpoints yet, and no patterns: all are learned.
    #[must_use]
    pub fn learning(limits: EndpointLimits) -> Self {
        Self::with(limits, Patterns::default())
    }

    fn with(limits: EndpointLimits, patterns: Patterns) -> Self {
        let method = |name: &&str| Method::new(name);
        let methods = METHODS.iter().chain(&[OTHER_METHODS]).map(method).collect();
        Self {
            limits,
            patterns,
            methods,
            tree: Tree::new(limits.endpoints.saturating_mul(8)),
            slots: Vec::new(),
            templates: 0,
            revision: 0,
            path: String::new(),
        }
    }

    /// The endpoint of a request for `path`, whose query is ignored. Neither needs to be UTF-8.
    pub fn assign(&mut self, method: &[u8], path: &[u8]) -> Assigned {
        let method = self.method(method);
        let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
        let end = end.min(LONGEST_PATH);
        let mut text = std::mem::take(&mut self.path);
        segment::normalise(path.get(..end).unwrap_or_default(), &mut text);
        let assigned = self.assign_normalised(method, &text);
        self.path = text;
        assigned
    }

    fn assign_normalised(&mut self, method: u8, path: &str) -> Assigned {
        let name = self.methods.get(usize::from(method)).map_or(OTHER_METHODS, |m| &m.name);
        if let Some(pattern) = self.patterns.find(name, path) {
            return Assigned { endpoint: self.of_pattern(method, pattern), merges: Vec::new() };
        }
        let mut moves = Vec::new();
        let node = self.tree.walk(path, self.names_kept(), &mut moves);
        let merges = self.follow(&moves);
        let endpoint = node.and_then(|node| self.of_node(method, node));
        Assigned { endpoint: endpoint.unwrap_or_else(|| self.other(method)), merges }
    }

    /// The endpoint that once had this name, so that what was counted for it can go on after a restart. It
    /// is learned anew from there: names at a position count as new.
    pub fn restore(&mut self, method: &str, path: &str) -> Assigned {
        let own = self.method(method.as_bytes());
        if path == OTHER_METHODS {
            return Assigned { endpoint: self.other_quietly(own), merges: Vec::new() };
        }
        if let Some(pattern) = self.patterns.named(method, path) {
            return Assigned { endpoint: self.of_pattern(own, pattern), merges: Vec::new() };
        }
        self.assign_normalised(own, path)
    }

    /// The endpoint that goes on for `id`: itself, or the one that it was merged into.
    #[must_use]
    pub fn current(&self, id: EndpointId) -> EndpointId {
        let mut id = id;
        // Each step leads to one that was still there when the last was merged, so that this ends.
        while let Some(Slot::Merged(into)) = self.slot(id) {
            id = into;
        }
        id
    }

    /// What `id` is called. A template's name may change when [`Endpoints::revision`] does.
    #[must_use]
    pub fn name(&self, id: EndpointId) -> EndpointName<'_> {
        let (method, path) = match self.slot(self.current(id)) {
            Some(Slot::Template { method, node }) => (method, Cow::Owned(self.tree.path(node))),
            Some(Slot::Pattern { method, pattern }) => {
                let pattern = self.patterns.get(pattern as usize);
                (method, Cow::Borrowed(pattern.map_or(OTHER_METHODS, Pattern::path)))
            }
            Some(Slot::Other { method }) => (method, Cow::Borrowed(OTHER_METHODS)),
            Some(Slot::Merged(_)) | None => return OTHER_NAME,
        };
        let method = self.methods.get(usize::from(method)).map_or(OTHER_METHODS, |m| &m.name);
        EndpointName { method, path }
    }

    /// How often names at a position became `{id}`: what was derived from a name is to be derived again
    /// when this has changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Endpoints at this time, those of patterns and `other` included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|slot| !matches!(slot, Slot::Merged(_))).count()
    }

    /// Whether there are none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Requests that went to an `other` endpoint for want of room.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.methods.iter().fold(0, |sum, method| sum.saturating_add(method.overflow))
    }

    fn slot(&self, id: EndpointId) -> Option<Slot> {
        self.slots.get(id.0 as usize).copied()
    }

    fn method(&mut self, method: &[u8]) -> u8 {
        let known = |known: &Method| known.name.as_bytes() == method;
        let found = self.methods.iter().position(known).unwrap_or_else(|| {
            let token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            let name = Some(method).filter(|m| !m.is_empty() && m.len() <= LONGEST_METHOD);
            let name =
                name.filter(|m| m.iter().all(token)).and_then(|m| std::str::from_utf8(m).ok());
            match name.filter(|_| self.methods.len() < METHODS.len() + 1 + OWN_METHODS) {
                Some(name) => {
                    self.methods.push(Method::new(name));
                    self.methods.len() - 1
                }
                None => METHODS.len(),
            }
        });
        u8::try_from(found).unwrap_or_default()
    }

    /// How many names a position may have by now.
    fn names_kept(&self) -> usize {
        let (taken, room) = (self.templates, self.limits.endpoints);
        let divisor = match () {
            () if taken >= room => 8,
            () if taken >= room / 4 * 3 => 4,
            () if taken >= room / 2 => 2,
            () => 1,
        };
        (self.limits.names / divisor).max(2)
    }

    /// An id for `slot`, unless all are used up.
    fn add(&mut self, slot: Slot) -> Option<EndpointId> {
        let id = EndpointId(u32::try_from(self.slots.len()).ok()?);
        self.slots.push(slot);
        Some(id)
    }

    fn of_pattern(&mut self, method: u8, pattern: usize) -> EndpointId {
        let known = self.methods.get(usize::from(method)).map(|method| &method.by_pattern);
        let place = known.map(|known| known.binary_search_by_key(&pattern, |(known, _)| *known));
        let place = match place {
            Some(Ok(found)) => {
                let known = known.and_then(|known| known.get(found));
                return known.map_or(EndpointId(0), |(_, id)| *id);
            }
            Some(Err(place)) => place,
            None => 0,
        };
        let number = u32::try_from(pattern).unwrap_or(u32::MAX);
        let Some(id) = self.add(Slot::Pattern { method, pattern: number }) else {
            return self.other(method);
        };
        if let Some(method) = self.methods.get_mut(usize::from(method)) {
            method.by_pattern.insert(place, (pattern, id));
        }
        id
    }

    /// The endpoint of a template; `None` without room for a new one.
    fn of_node(&mut self, method: u8, node: NodeId) -> Option<EndpointId> {
        if let Some(id) = self.tree.end(node, method) {
            return Some(id);
        }
        // Ids are not given twice, so that there is an end to those that are merged, too.
        let ids = self.limits.endpoints.saturating_mul(128);
        if self.templates >= self.limits.endpoints || self.slots.len() >= ids {
            return None;
        }
        let id = self.add(Slot::Template { method, node })?;
        self.tree.set_end(node, method, id);
        self.templates += 1;
        Some(id)
    }

    fn other(&mut self, method: u8) -> EndpointId {
        if let Some(method) = self.methods.get_mut(usize::from(method)) {
            method.overflow = method.overflow.saturating_add(1);
        }
        self.other_quietly(method)
    }

    fn other_quietly(&mut self, method: u8) -> EndpointId {
        let known = self.methods.get(usize::from(method)).and_then(|method| method.other);
        // There are at most 18 of them, so that ids never run out before.
        let id = known.or_else(|| self.add(Slot::Other { method })).unwrap_or(EndpointId(0));
        if let Some(method) = self.methods.get_mut(usize::from(method)) {
            method.other = Some(id);
        }
        id
    }

    /// Does in `slots` what the tree did with its ends.
    fn follow(&mut self, moves: &[tree::Move]) -> Vec<Merge> {
        self.revision += u64::from(!moves.is_empty());
        let mut merges = Vec::new();
        for change in moves {
            match *change {
                tree::Move::Collapsed => {}
                tree::Move::End { id, node } => {
                    if let Some(Slot::Template { node: old, .. }) =
                        self.slots.get_mut(id.0 as usize)
                    {
                        *old = node;
                    }
                }
                tree::Move::Merged(merge) => {
                    if let Some(slot) = self.slots.get_mut(merge.from.0 as usize) {
                        *slot = Slot::Merged(merge.into);
                        self.templates = self.templates.saturating_sub(1);
                        merges.push(merge);
                    }
                }
            }
        }
        merges
    }
}

const OTHER_NAME: EndpointName<'static> =
    EndpointName { method: OTHER_METHODS, path: Cow::Borrowed(OTHER_METHODS) };

impl Method {
    fn new(name: &str) -> Self {
        Self { name: name.into(), other: None, overflow: 0, by_pattern: Vec::new() }
    }
}
