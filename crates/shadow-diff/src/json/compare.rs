//! Compares two documents value by value.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::difference::Kind;
use crate::path::{Segment, Spot};
use crate::report::Report;
use crate::rules::Shape;

use super::number::{self, Decimal};
use super::parse::{Document, Node, Type};
use super::show::show;

/// Members of an object from which on it is a map whatever its keys are.
const MANY_KEYS: u32 = 200;
/// Members by which the elements of an array are matched when nothing is configured: the first that
/// all of them have, each with another value.
const ID_NAMES: [&[u8]; 5] = [b"id", b"_id", b"uuid", b"key", b"name"];

/// Reports what differs between two documents.
pub(crate) fn compare(production: &Document<'_>, shadow: &Document<'_>, report: &mut Report<'_>) {
    Walk { production, shadow, path: Vec::new(), report }.values(0, 0);
}

struct Walk<'w, 'd, 'c> {
    production: &'w Document<'d>,
    shadow: &'w Document<'d>,
    /// The way to the values that are being compared.
    path: Vec<Segment<'d>>,
    report: &'w mut Report<'c>,
}

impl<'d> Walk<'_, 'd, '_> {
    /// Compares a value of production's with one of the shadow's, by their numbers.
    fn values(&mut self, p: usize, s: usize) {
        let (ours, theirs) = (self.production.node(p), self.shadow.node(s));
        if !self.report.step(1) || self.same_bytes(ours, theirs) {
            return;
        }
        match (ours.kind, theirs.kind) {
            (Type::Object, Type::Object) => self.objects(p, s),
            (Type::Array, Type::Array) => self.arrays(p, s),
            (Type::Null, Type::Null) => {}
            (a, b) if a != b => self.differ(Kind::Type, Some(p), Some(s)),
            _ if self.same_scalars(ours, theirs) => {}
            _ => {
                let (a, b) = (self.production.value(ours), self.shadow.value(theirs));
                if ours.kind == Type::Number {
                    if let Some(nature) = self.report.natural.numbers(&a, &b) {
                        return self.report.excuse_naturally(nature);
                    }
                }
                if !self.report.settles(Spot::Body(&self.path), &a, &b) {
                    self.add(Kind::Value, Some(p), Some(s));
                }
            }
        }
    }

    /// Compares two values inside a container, where one may be missing.
    fn inside(&mut self, segment: Segment<'d>, p: Option<usize>, s: Option<usize>) {
        self.path.push(segment);
        match (p, s) {
            (Some(p), Some(s)) => self.values(p, s),
            (Some(_), None) => self.differ(Kind::Missing, p, s),
            (None, Some(_)) => self.differ(Kind::Extra, p, s),
            (None, None) => {}
        }
        self.path.pop();
    }

    /// Adds a difference unless it is to be ignored.
    fn differ(&mut self, kind: Kind, p: Option<usize>, s: Option<usize>) {
        if self.report.step(1) && !self.report.ignores(Spot::Body(&self.path)) {
            self.add(kind, p, s);
        }
    }

    fn add(&mut self, kind: Kind, p: Option<usize>, s: Option<usize>) {
        let spot = Spot::Body(&self.path);
        if !self.report.lists(spot, kind) {
            return;
        }
        let (redact, limit) = (self.report.redact, self.report.limits.shown);
        let shown =
            |document: &Document<'_>, number| show(document, number, &self.path, redact, limit);
        let production = p.map(|p| shown(self.production, p));
        let shadow = s.map(|s| shown(self.shadow, s));
        self.report.push(spot.place(), kind, production.as_deref(), shadow.as_deref());
    }

    // Objects.

    fn objects(&mut self, p: usize, s: usize) {
        let map = self.is_map(p, s);
        let mut ours = self.production.children(p);
        let mut theirs = self.shadow.children(s);
        // Members mostly come in the same order: go along as long as they do.
        loop {
            let (a, b) = (ours.next(), theirs.next());
            let (Some(p), Some(s)) = (a, b) else {
                let ours = a.into_iter().chain(ours).collect();
                let theirs = b.into_iter().chain(theirs).collect();
                return self.members(map, ours, theirs);
            };
            let (node, other) = (self.production.node(p), self.shadow.node(s));
            if !self.production.same_key(node, self.shadow, other) {
                let ours = [p].into_iter().chain(ours).collect();
                let theirs = [s].into_iter().chain(theirs).collect();
                return self.members(map, ours, theirs);
            }
            if self.report.is_exhausted() {
                return;
            }
            if !self.same_bytes(node, other) {
                let key = self.production.key(node);
                self.inside(segment(map, key), Some(p), Some(s));
            }
        }
    }

    /// Compares members in any order: by name, and those of one name in their order.
    fn members(&mut self, map: bool, ours: Vec<usize>, theirs: Vec<usize>) {
        if ours.is_empty() && theirs.is_empty() {
            return;
        }
        if !self.report.step(ours.len() + theirs.len()) {
            return;
        }
        let key = |document: &Document<'d>, number| document.key(document.node(number));
        let ours = by_key(ours, |number| key(self.production, number));
        let theirs = by_key(theirs, |number| key(self.shadow, number));
        for (key, p, s) in paired(ours, theirs) {
            self.inside(segment(map, key), p, s);
        }
    }

    /// Whether the keys of these objects are ids, so that all their members are one place.
    fn is_map(&self, p: usize, s: usize) -> bool {
        if self.report.rules.shape(Spot::Body(&self.path)) == Some(&Shape::Map) {
            return true;
        }
        let ids = |document: &Document<'_>, number: usize| {
            let mut keys =
                document.children(number).map(|child| document.key(document.node(child)));
            document.node(number).count > MANY_KEYS || keys.all(|key| looks_like_id(&key))
        };
        ids(self.production, p) && ids(self.shadow, s)
    }

    // Arrays.

    fn arrays(&mut self, p: usize, s: usize) {
        let ours: Vec<usize> = self.production.children(p).collect();
        let theirs: Vec<usize> = self.shadow.children(s).collect();
        if !self.report.step((ours.len() + theirs.len()) / 16) {
            return;
        }
        match self.report.rules.shape(Spot::Body(&self.path)).cloned() {
            Some(Shape::Set) => return self.set(&ours, &theirs),
            Some(Shape::Keyed(name)) => {
                let name = name.as_bytes();
                let ours = self.ids(self.production, &ours, name);
                return self.keyed(ours, self.ids(self.shadow, &theirs, name));
            }
            _ => {}
        }
        let (ours, theirs) = self.without_same_ends(&ours, &theirs);
        match (ours, theirs) {
            ([p], [s]) => self.inside(Segment::Element, Some(*p), Some(*s)),
            ([], _) | (_, []) => self.in_order(ours, theirs),
            _ if self.is_reordered(ours, theirs) => self.differ(Kind::Order, Some(p), Some(s)),
            _ => match self.own_ids(ours, theirs) {
                Some((ours, theirs)) => {
                    if is_other_order(&ours, &theirs) {
                        self.differ(Kind::Order, Some(p), Some(s));
                    }
                    self.keyed(ours, theirs);
                }
                None => self.in_order(ours, theirs),
            },
        }
    }

    /// What is left of two lists without the elements that are the same at the start and at the end.
    fn without_same_ends<'l>(
        &mut self,
        mut ours: &'l [usize],
        mut theirs: &'l [usize],
    ) -> (&'l [usize], &'l [usize]) {
        while let (Some((p, rest)), Some((s, others))) = (ours.split_first(), theirs.split_first())
        {
            if !self.same(*p, *s) {
                break;
            }
            (ours, theirs) = (rest, others);
        }
        while let (Some((p, rest)), Some((s, others))) = (ours.split_last(), theirs.split_last()) {
            if !self.same(*p, *s) {
                break;
            }
            (ours, theirs) = (rest, others);
        }
        (ours, theirs)
    }

    fn in_order(&mut self, ours: &[usize], theirs: &[usize]) {
        for at in 0..ours.len().max(theirs.len()) {
            if self.report.is_exhausted() {
                return;
            }
            self.inside(Segment::Element, ours.get(at).copied(), theirs.get(at).copied());
        }
    }

    /// Whether both have the same elements.
    fn is_reordered(&mut self, ours: &[usize], theirs: &[usize]) -> bool {
        let Some(&first) = ours.first() else { return false };
        // Most often the first is nowhere, which is soon seen.
        ours.len() == theirs.len() && theirs.iter().any(|&s| self.same(first, s)) && {
            let (ours, theirs) = self.unmatched(ours, theirs);
            ours.is_empty() && theirs.is_empty()
        }
    }

    /// The elements that the other side does not have.
    fn unmatched(&mut self, ours: &[usize], theirs: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let hashed = |walk: &mut Self, document: &Document<'_>, numbers: &[usize]| {
            let hash = |&number: &usize| (walk.hash(document, number), number);
            let mut hashed: Vec<(u64, usize)> = numbers.iter().map(hash).collect();
            hashed.sort_unstable();
            hashed
        };
        let ours = hashed(self, self.production, ours);
        let theirs = hashed(self, self.shadow, theirs);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
        loop {
            match (ours.peek().copied(), theirs.peek().copied()) {
                (Some((a, p)), Some((b, s))) if a == b => {
                    ours.next();
                    theirs.next();
                    // Another value with the same hash is none of the same elements.
                    if !self.same(p, s) {
                        left.push(p);
                        right.push(s);
                    }
                }
                (Some((a, p)), other) if other.is_none_or(|(b, _)| a < b) => {
                    left.push(p);
                    ours.next();
                }
                (_, Some((_, s))) => {
                    right.push(s);
                    theirs.next();
                }
                (_, None) => break,
            }
        }
        left.sort_unstable();
        right.sort_unstable();
        (left, right)
    }

    /// Compares arrays without order: elements that the other side does not have are compared with
    /// each other as far as they have members, and are missing or extra otherwise.
    fn set(&mut self, ours: &[usize], theirs: &[usize]) {
        let (ours, theirs) = self.unmatched(ours, theirs);
        let nested = |document: &Document<'_>, numbers: &[usize]| {
            let kind = |&number: &usize| document.node(number).kind;
            numbers.iter().all(|number| matches!(kind(number), Type::Object | Type::Array))
        };
        if nested(self.production, &ours) && nested(self.shadow, &theirs) {
            return self.in_order(&ours, &theirs);
        }
        for p in ours {
            self.inside(Segment::Element, Some(p), None);
        }
        for s in theirs {
            self.inside(Segment::Element, None, Some(s));
        }
    }

    /// Compares elements that have the same value of a member.
    fn keyed(&mut self, ours: Vec<Keyed<'d>>, theirs: Vec<Keyed<'d>>) {
        for (_, p, s) in paired(sorted(ours), sorted(theirs)) {
            if self.report.is_exhausted() {
                return;
            }
            self.inside(Segment::Element, p, s);
        }
    }

    /// Elements with the value of a member; nothing for those that do not have it.
    fn ids(&self, document: &Document<'d>, numbers: &[usize], name: &[u8]) -> Vec<Keyed<'d>> {
        let id = |number| {
            let mut members = document.children(number).map(|child| document.node(child));
            members.find(|&member| *document.key(member) == *name)
        };
        numbers
            .iter()
            .map(|&number| match document.node(number).kind {
                Type::Object => {
                    (id(number).map_or(Cow::default(), |id| document.value(id)), number)
                }
                _ => (Cow::default(), number),
            })
            .collect()
    }

    /// Elements with what identifies them, if something does on both sides and half of them are on
    /// both.
    fn own_ids(
        &mut self,
        ours: &[usize],
        theirs: &[usize],
    ) -> Option<(Vec<Keyed<'d>>, Vec<Keyed<'d>>)> {
        for name in ID_NAMES {
            if !self.report.step(ours.len() + theirs.len()) {
                return None;
            }
            let unique = |document: &Document<'d>, numbers: &[usize]| {
                let first = *numbers.first()?;
                // Soon seen where there is no such member.
                let (key, _) = self.ids(document, &[first], name).into_iter().next()?;
                (!key.is_empty()).then_some(())?;
                let ids = self.ids(document, numbers, name);
                let sorted = sorted(ids.clone());
                let apart = sorted.windows(2).all(|two| match two {
                    [(a, _), (b, _)] => a != b,
                    _ => true,
                });
                (apart && sorted.first().is_some_and(|(key, _)| !key.is_empty())).then_some(ids)
            };
            let Some(a) = unique(self.production, ours) else { continue };
            let Some(b) = unique(self.shadow, theirs) else { continue };
            let both = paired(sorted(a.clone()), sorted(b.clone()));
            let both = both.filter(|(_, p, s)| p.is_some() && s.is_some()).count();
            if both * 2 >= a.len().min(b.len()) {
                return Some((a, b));
            }
        }
        None
    }

    // Sameness.

    /// Whether two values say the same, rules aside.
    fn same(&mut self, p: usize, s: usize) -> bool {
        let (ours, theirs) = (self.production.node(p), self.shadow.node(s));
        if !self.report.step(1) || ours.kind != theirs.kind {
            return false;
        }
        if self.same_bytes(ours, theirs) {
            return true;
        }
        match ours.kind {
            Type::Array => {
                let theirs = self.shadow.children(s);
                self.production.node(p).count == self.shadow.node(s).count
                    && self.production.children(p).zip(theirs).all(|(p, s)| self.same(p, s))
            }
            Type::Object => ours.count == theirs.count && self.same_members(p, s),
            Type::Null => true,
            _ => self.same_scalars(ours, theirs),
        }
    }

    fn same_members(&mut self, p: usize, s: usize) -> bool {
        let (mut ours, mut theirs) = (self.production.children(p), self.shadow.children(s));
        while let (Some(p), Some(s)) = (ours.next(), theirs.next()) {
            let (node, other) = (self.production.node(p), self.shadow.node(s));
            if self.production.same_key(node, self.shadow, other) {
                if !self.same(p, s) {
                    return false;
                }
                continue;
            }
            let (production, shadow) = (self.production, self.shadow);
            let ours = [p].into_iter().chain(ours).collect();
            let theirs = [s].into_iter().chain(theirs).collect();
            let ours = by_key(ours, |number| production.key(production.node(number)));
            let theirs = by_key(theirs, |number| shadow.key(shadow.node(number)));
            return paired(ours, theirs).all(|pair| match pair {
                (_, Some(p), Some(s)) => self.same(p, s),
                _ => false,
            });
        }
        true
    }

    fn same_bytes(&mut self, ours: &Node, theirs: &Node) -> bool {
        let (a, b) = (self.production.raw(ours), self.shadow.raw(theirs));
        ours.kind == theirs.kind && a.len() == b.len() && self.report.step(a.len() / 1024) && a == b
    }

    fn same_scalars(&mut self, ours: &Node, theirs: &Node) -> bool {
        let length = self.production.raw(ours).len() + self.shadow.raw(theirs).len();
        if !self.report.step(length / 64) {
            return false;
        }
        match (ours.kind, theirs.kind) {
            (Type::String, Type::String) => self.production.same_string(ours, self.shadow, theirs),
            (Type::Number, Type::Number) => {
                number::same(self.production.raw(ours), self.shadow.raw(theirs))
            }
            _ => self.production.raw(ours) == self.shadow.raw(theirs),
        }
    }

    /// The same for values that say the same.
    fn hash(&mut self, document: &Document<'_>, number: usize) -> u64 {
        let node = document.node(number);
        if !self.report.step(1) {
            return 0;
        }
        let seed = node.kind as u64;
        match node.kind {
            Type::Null => seed,
            Type::Bool | Type::String => xxh3_64_with_seed(&document.value(node), seed),
            Type::Number => match Decimal::parse(document.raw(node)) {
                Some(decimal) => {
                    let start = seed ^ decimal.power.unsigned_abs() << 8;
                    let sign = u64::from(decimal.negative) + 2 * u64::from(decimal.power < 0);
                    decimal.digits().fold(mix(start, sign), |hash, digit| mix(hash, digit.into()))
                }
                None => xxh3_64_with_seed(document.raw(node), seed),
            },
            Type::Array => document
                .children(number)
                .fold(seed, |hash, child| mix(hash, self.hash(document, child))),
            Type::Object => document.children(number).fold(seed, |hash, child| {
                let key = document.key(document.node(child));
                // In any order.
                hash.wrapping_add(xxh3_64_with_seed(&key, self.hash(document, child)))
            }),
        }
    }
}

fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

fn segment(map: bool, key: Cow<'_, [u8]>) -> Segment<'_> {
    if map { Segment::Entry(key) } else { Segment::Member(key) }
}

/// The number of a value, with what it is found by.
type Keyed<'d> = (Cow<'d, [u8]>, usize);

fn by_key<'d>(numbers: Vec<usize>, key: impl Fn(usize) -> Cow<'d, [u8]>) -> Vec<Keyed<'d>> {
    sorted(numbers.into_iter().map(|number| (key(number), number)).collect())
}

/// By key, those with the same in their order.
fn sorted(mut list: Vec<Keyed<'_>>) -> Vec<Keyed<'_>> {
    list.sort_unstable();
    list
}

/// Both of two sorted lists, those with the same key together.
fn paired<'d>(
    ours: Vec<Keyed<'d>>,
    theirs: Vec<Keyed<'d>>,
) -> impl Iterator<Item = (Cow<'d, [u8]>, Option<usize>, Option<usize>)> {
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    std::iter::from_fn(move || {
        let order = match (ours.peek(), theirs.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return None,
        };
        let first = if order.is_le() { ours.next() } else { None };
        let second = if order.is_ge() { theirs.next() } else { None };
        match (first, second) {
            (Some((key, p)), second) => Some((key, Some(p), second.map(|(_, s)| s))),
            (None, Some((key, s))) => Some((key, None, Some(s))),
            (None, None) => None,
        }
    })
}

/// Whether what both lists have comes in another order.
fn is_other_order(ours: &[Keyed<'_>], theirs: &[Keyed<'_>]) -> bool {
    let on_both = |list: &[Keyed<'_>], other: &[Keyed<'_>]| {
        let other = sorted(other.to_vec());
        let has = |key: &[u8]| other.binary_search_by(|(other, _)| (**other).cmp(key)).is_ok();
        list.iter().map(|(key, _)| key.to_vec()).filter(|key| has(key)).collect::<Vec<_>>()
    };
    on_both(ours, theirs) != on_both(theirs, ours)
}

/// Whether a key is made for one thing, not a name that a programmer gave: a number, a date, a UUID
/// or another long id.
fn looks_like_id(key: &[u8]) -> bool {
    let digits = key.iter().filter(|byte| byte.is_ascii_digit()).count();
    let of = |allowed: fn(&u8) -> bool| key.iter().all(allowed);
    let numeric =
        digits > 0 && of(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b':'));
    let hex = key.len() >= 12 && of(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let long = key.len() >= 16
        && of(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && key.iter().filter(|byte| byte.is_ascii_alphabetic()).count() > 0;
    numeric || (hex && digits > 0) || (long && digits >= 4)
}
