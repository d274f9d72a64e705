//! Where variables get their values, and whether that is before a message is sent.

use super::lines::At;
use super::proxy::{Proxy, ProxyKind};
use super::rule::{Rule, RuleSet};
use super::sending::{Moment, Sending};
use super::spoe::Filter;
use super::{Kind, Setup};

/// Something that sets a variable.
#[derive(Debug, Clone)]
pub(crate) struct Setter<'s, 'a> {
    pub(crate) at: At<'a>,
    /// The proxy that it is in; none for `global`.
    pub(crate) proxy: Option<&'s Proxy<'a>>,
    /// The rule, where it is `set-var` or `set-var-fmt`.
    pub(crate) rule: Option<Rule<'a>>,
    /// What `set-var` sets it to; nothing for other ways.
    pub(crate) expression: Option<Vec<u8>>,
}

/// Whether a message finds a variable's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It is set before.
    InTime,
    /// It is set only afterwards.
    Later,
    /// It was set, and its scope is over: `req` when the answer is there.
    Gone,
}

impl<'a> Setup<'a> {
    /// What sets a variable (`txn.id`) for the traffic of a filter's proxy.
    pub(crate) fn setters<'s>(
        &'s self,
        filter: &Filter<'a>,
        variable: &str,
    ) -> Vec<Setter<'s, 'a>> {
        let mut setters = self.all_setters(variable);
        let home = self.proxy_of(filter);
        setters.retain(|setter| match (home, setter.proxy) {
            (Some(home), Some(proxy)) => shares_traffic(home, proxy),
            _ => true,
        });
        setters
    }

    /// Whether variables may be set by what is not in these files: Lua, other agents.
    pub(crate) fn may_be_set_elsewhere(&self, variable: &str) -> bool {
        let lua = self.global.iter().any(|at| at.text(0).starts_with(b"lua-"));
        // `txn.PREFIX.NAME` is what agents set; `proc.NAME` can be set by the Runtime API.
        lua || variable.matches('.').count() > 1 || variable.starts_with("proc.")
    }

    /// The names of all variables that rules set.
    pub(crate) fn set_variables(&self) -> Vec<String> {
        let rules = self.proxies.iter().flat_map(|proxy| proxy.rules());
        rules.filter_map(|rule| variable_of(rule.action())).collect()
    }

    fn all_setters(&self, variable: &str) -> Vec<Setter<'_, 'a>> {
        let mut setters = Vec::new();
        for proxy in &self.proxies {
            for rule in proxy.rules() {
                if variable_of(rule.action()).as_deref() != Some(variable) {
                    continue;
                }
                let words: Vec<_> = rule.arguments().map(|word| word.text.as_slice()).collect();
                let plain = rule.action().starts_with(b"set-var(");
                let expression = plain.then(|| words.join(&b' '));
                setters.push(Setter {
                    at: rule.at,
                    proxy: Some(proxy),
                    rule: Some(rule),
                    expression,
                });
            }
            // The converter `set-var` can stand in any expression.
            let converter = format!(",set-var({variable})");
            let lines = proxy.lines.lines.iter().filter(|at| holds(at, &converter));
            setters.extend(lines.map(|at| Setter {
                at: *at,
                proxy: Some(proxy),
                rule: proxy.rules().find(|rule| rule.at.line.number == at.line.number),
                expression: None,
            }));
        }
        let global = self.global.iter().filter(|at| {
            matches!(at.text(0), b"set-var" | b"set-var-fmt") && at.text(1) == variable.as_bytes()
        });
        setters.extend(global.map(|at| Setter {
            at: *at,
            proxy: None,
            rule: None,
            expression: None,
        }));
        setters
    }

    /// Whether a message finds what this set.
    pub(crate) fn reach(
        &self,
        filter: &Filter<'a>,
        sending: &Sending<'_, 'a>,
        variable: &str,
        setter: &Setter<'_, 'a>,
    ) -> Reach {
        let (Some(home), Some(proxy), Some(rule)) =
            (self.proxy_of(filter), setter.proxy, setter.rule)
        else {
            return Reach::InTime;
        };
        let same = std::ptr::eq(home, proxy);
        // A frontend's rules come before its backends' as long as there is no answer; then it is the reverse.
        let earlier_proxy =
            !same && (proxy.kind == ProxyKind::Frontend) != sending.moment.has_answer();
        let before_rule = sending.rule.is_some_and(|sender| rule.index < sender.index);
        let answered = rule.set >= RuleSet::TcpResponse;
        if rule.set == RuleSet::AfterResponse {
            return Reach::Later;
        }
        if rule.set <= RuleSet::TcpSession {
            return Reach::InTime;
        }
        let in_time = match sending.moment {
            _ if !answered && sending.moment.has_answer() => {
                return if variable.starts_with("req.") { Reach::Gone } else { Reach::InTime };
            }
            _ if answered && !sending.moment.has_answer() => false,
            Moment::ClientSession | Moment::FrontendTcp | Moment::BackendTcp => {
                rule.set == RuleSet::TcpRequest
            }
            Moment::TcpRule => rule.set == RuleSet::TcpRequest && (before_rule || earlier_proxy),
            Moment::FrontendHttp => same && rule.set == RuleSet::TcpRequest || earlier_proxy,
            Moment::BackendHttp => {
                let frontend = proxy.kind != ProxyKind::Backend;
                rule.set == RuleSet::TcpRequest && same || frontend
            }
            Moment::ServerSession => true,
            Moment::RequestRule => {
                same && (rule.set == RuleSet::TcpRequest || before_rule) || earlier_proxy
            }
            Moment::TcpResponse | Moment::HttpResponse => rule.set == RuleSet::TcpResponse,
            Moment::TcpResponseRule => rule.set == RuleSet::TcpResponse && before_rule,
            Moment::ResponseRule => {
                rule.set == RuleSet::TcpResponse || same && before_rule || earlier_proxy
            }
        };
        if in_time { Reach::InTime } else { Reach::Later }
    }
}

/// Whether a transaction can pass both: a proxy and itself, a frontend and a backend.
fn shares_traffic(home: &Proxy<'_>, other: &Proxy<'_>) -> bool {
    std::ptr::eq(home, other)
        || (home.kind == ProxyKind::Backend) != (other.kind == ProxyKind::Backend)
}

/// The variable that `set-var(txn.id,ifnotset)` or `set-var-fmt(txn.id)` sets.
fn variable_of(action: &[u8]) -> Option<String> {
    let inside =
        action.strip_prefix(b"set-var(").or_else(|| action.strip_prefix(b"set-var-fmt("))?;
    let name = inside.split(|&byte| matches!(byte, b',' | b')')).next()?;
    Some(String::from_utf8_lossy(name.trim_ascii()).into_owned())
}

fn holds(at: &At<'_>, text: &str) -> bool {
    let text = text.as_bytes();
    at.words_from(1).any(|word| word.text.windows(text.len()).any(|part| part == text))
}

impl Setup<'_> {
    /// Whether HAProxy's files name this anywhere.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        let mut sections = self.files.sections(Kind::Haproxy);
        sections.any(|(file, section)| {
            super::lines::taken(file, &section.lines).any(|at| holds(&at, text))
        })
    }
}
