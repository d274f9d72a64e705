//! What makes HAProxy send a message: an event, or a rule that sends a group of messages.

use super::lines::At;
use super::rule::{Criterion, Rule, RuleSet, criteria};
use super::spoe::{Filter, Message};
use super::{Proxy, Setup};

/// When in a transaction something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// `on-client-session`
    ClientSession,
    /// `on-frontend-tcp-request`
    FrontendTcp,
    /// `on-backend-tcp-request`
    BackendTcp,
    /// `on-frontend-http-request`
    FrontendHttp,
    /// `on-backend-http-request`
    BackendHttp,
    /// `on-server-session`
    ServerSession,
    /// `on-tcp-response`
    TcpResponse,
    /// `on-http-response`
    HttpResponse,
    /// `tcp-request content send-spoe-group`
    TcpRule,
    /// `http-request send-spoe-group`
    RequestRule,
    /// `tcp-response content send-spoe-group`
    TcpResponseRule,
    /// `http-response send-spoe-group`
    ResponseRule,
}

impl Moment {
    /// The moment of an event.
    pub(crate) fn of_event(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"on-client-session" => Self::ClientSession,
            b"on-frontend-tcp-request" => Self::FrontendTcp,
            b"on-backend-tcp-request" => Self::BackendTcp,
            b"on-frontend-http-request" => Self::FrontendHttp,
            b"on-backend-http-request" => Self::BackendHttp,
            b"on-server-session" => Self::ServerSession,
            b"on-tcp-response" => Self::TcpResponse,
            b"on-http-response" => Self::HttpResponse,
            _ => return None,
        })
    }

    fn of_rule(set: RuleSet) -> Option<Self> {
        Some(match set {
            RuleSet::TcpRequest => Self::TcpRule,
            RuleSet::HttpRequest => Self::RequestRule,
            RuleSet::TcpResponse => Self::TcpResponseRule,
            RuleSet::HttpResponse => Self::ResponseRule,
            _ => return None,
        })
    }

    /// Whether the answer's head is there.
    pub(crate) fn has_answer(self) -> bool {
        matches!(
            self,
            Self::TcpResponse | Self::HttpResponse | Self::TcpResponseRule | Self::ResponseRule
        )
    }
}

/// A message, and what makes HAProxy send it.
#[derive(Debug, Clone)]
pub(crate) struct Sending<'s, 'a> {
    pub(crate) message: &'s Message<'a>,
    pub(crate) moment: Moment,
    /// The event's line, or the rule's.
    pub(crate) at: At<'a>,
    /// The rule, unless it is an event.
    pub(crate) rule: Option<Rule<'a>>,
}

impl<'a> Setup<'a> {
    /// The messages that a filter sends, once for each event and rule that does it.
    pub(crate) fn sendings<'s>(&'s self, filter: &'s Filter<'a>) -> Vec<Sending<'s, 'a>> {
        let mut sendings = Vec::new();
        let Some(spoe) = &filter.spoe else { return sendings };
        let Some(agent) = &spoe.agent else { return sendings };
        for (_, name) in agent.messages() {
            let Some(message) = spoe.message(&name.text) else { continue };
            let Some(event) = message.event() else { continue };
            let Some(moment) = Moment::of_event(&event.name.text) else { continue };
            sendings.push(Sending { message, moment, at: event.at, rule: None });
        }
        let Some(proxy) = self.proxy_of(filter) else { return sendings };
        for rule in proxy.rules().filter(|rule| rule.action() == b"send-spoe-group") {
            let words: Vec<_> = rule.arguments().collect();
            let [engine, group] = words.as_slice() else { continue };
            let listed = agent.groups().iter().any(|(_, name)| name.text == group.text);
            if !listed || filter.engine.is_none_or(|name| name.text != engine.text) {
                continue;
            }
            let (Some(group), Some(moment)) = (spoe.group(&group.text), Moment::of_rule(rule.set))
            else {
                continue;
            };
            for (_, name) in group.messages() {
                let Some(message) = spoe.message(&name.text) else { continue };
                sendings.push(Sending { message, moment, at: rule.at, rule: Some(rule) });
            }
        }
        sendings
    }

    /// What decides whether a message is sent: the condition of its event or rule, and of the rules that set the
    /// variables that it asks.
    pub(crate) fn selection(
        &self,
        filter: &Filter<'a>,
        sending: &Sending<'_, 'a>,
    ) -> Vec<Criterion<'a>> {
        let acls = match sending.rule {
            Some(_) => self.proxy_of(filter).map_or(&[][..], |proxy| &proxy.lines.lines),
            None => &sending.message.lines.lines,
        };
        let mut found = criteria(sending.at, acls);
        let mut seen = Vec::new();
        let mut next = 0;
        while let Some(criterion) = found.get(next) {
            next += 1;
            let expression = crate::doctor::expression::Expression::parse(criterion.expression());
            let Some(variable) = expression.variable().map(str::to_owned) else { continue };
            if seen.contains(&variable) {
                continue;
            }
            for setter in self.setters(filter, &variable) {
                let acls = setter.proxy.map_or(&[][..], |proxy: &Proxy<'a>| &proxy.lines.lines);
                if let Some(rule) = setter.rule {
                    found.extend(criteria(rule.at, acls));
                }
            }
            seen.push(variable);
        }
        found
    }
}
