//! Rules of a proxy (`http-request`, `tcp-request content`, ...), and the conditions behind them.

use haproxy_config::Word;

use super::lines::At;
use super::proxy::Proxy;

/// When rules are evaluated; those of the same transaction in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RuleSet {
    TcpConnection,
    TcpSession,
    TcpRequest,
    HttpRequest,
    TcpResponse,
    HttpResponse,
    AfterResponse,
}

/// A rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule<'a> {
    pub(crate) at: At<'a>,
    pub(crate) set: RuleSet,
    /// The index of the word that says what to do.
    action: usize,
    /// Its place among the proxy's lines, those that it inherits included.
    pub(crate) index: usize,
}

impl<'a> Rule<'a> {
    /// What it does, as HAProxy reads it: `set-var(txn.id)`.
    pub(crate) fn action(&self) -> &'a [u8] {
        self.at.text(self.action)
    }

    /// What stands between the action and the condition.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &'a Word> + use<'a> {
        self.at.words_from(self.action + 1).take_while(|word| !begins_condition(word))
    }

    fn of(index: usize, at: At<'a>) -> Option<Self> {
        let (set, action) = match (at.text(0), at.text(1)) {
            (b"tcp-request", b"connection") => (RuleSet::TcpConnection, 2),
            (b"tcp-request", b"session") => (RuleSet::TcpSession, 2),
            (b"tcp-request", b"content") => (RuleSet::TcpRequest, 2),
            (b"tcp-response", b"content") => (RuleSet::TcpResponse, 2),
            (b"http-request", _) => (RuleSet::HttpRequest, 1),
            (b"http-response", _) => (RuleSet::HttpResponse, 1),
            (b"http-after-response", _) => (RuleSet::AfterResponse, 1),
            _ => return None,
        };
        Some(Self { at, set, action, index })
    }
}

impl<'a> Proxy<'a> {
    /// Its rules of all kinds, in the order of its lines.
    pub(crate) fn rules(&self) -> impl Iterator<Item = Rule<'a>> + '_ {
        self.lines.lines.iter().enumerate().filter_map(|(index, at)| Rule::of(index, *at))
    }
}

/// What a condition asks: the words of an ACL, or of what stands in braces.
#[derive(Debug, Clone)]
pub(crate) struct Criterion<'a> {
    pub(crate) at: At<'a>,
    /// The expression, flags and patterns.
    pub(crate) words: Vec<&'a Word>,
    /// Whether it must not hold.
    pub(crate) negated: bool,
}

/// What the condition of a line asks, names of ACLs resolved by `acls`: lines among which theirs are.
pub(crate) fn criteria<'a>(at: At<'a>, acls: &[At<'a>]) -> Vec<Criterion<'a>> {
    let words: Vec<&'a Word> = at.words_from(0).collect();
    let Some(begin) = words.iter().position(|word| begins_condition(word)) else {
        return Vec::new();
    };
    let unless = words.get(begin).is_some_and(|word| word.text == b"unless");
    let mut found = Vec::new();
    let mut negated = unless;
    let mut rest = words.into_iter().skip(begin + 1);
    while let Some(word) = rest.next() {
        let mut text = word.text.as_slice();
        while let Some(behind) = text.strip_prefix(b"!") {
            negated = !negated;
            text = behind;
        }
        match text {
            b"" => continue,
            b"{" => {
                let words = rest.by_ref().take_while(|word| word.text != b"}").collect();
                found.push(Criterion { at, words, negated });
            }
            b"or" | b"||" => {}
            name => {
                let named = acls.iter().filter(|at| at.text(0) == b"acl" && at.text(1) == name);
                found.extend(named.map(|at| Criterion {
                    at: *at,
                    words: at.words_from(2).collect(),
                    negated,
                }));
            }
        }
        negated = unless;
    }
    found
}

fn begins_condition(word: &Word) -> bool {
    matches!(word.text.as_slice(), b"if" | b"unless")
}

impl Criterion<'_> {
    /// What it looks at: the expression.
    pub(crate) fn expression(&self) -> &[u8] {
        self.words.first().map_or(&[], |word| &word.text)
    }

    /// What it compares with, flags included.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &[u8]> {
        self.words.iter().skip(1).map(|word| word.text.as_slice())
    }
}
