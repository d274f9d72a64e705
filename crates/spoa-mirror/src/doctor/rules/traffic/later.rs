//! What HAProxy does to a request after it was handed over: at `on-frontend-http-request`, which comes before all
//! rules, or by a rule that has others behind it. The copy is made of the request as it was.

use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::told::{Part, Told};
use crate::doctor::setup::proxy::ProxyKind;
use crate::doctor::setup::{At, Moment, Proxy, Rule, RuleSet, Sending};

pub(super) static HEADERS_ADDED_LATER: Code = code!("headers-added-later");
pub(super) static DENIED_COPIED: Code = code!("denied-copied");

/// Actions of `http-request` rules that change what production gets.
const CHANGING: [&str; 14] = [
    "set-header",
    "add-header",
    "del-header",
    "replace-header",
    "replace-value",
    "set-path",
    "replace-path",
    "set-pathq",
    "replace-pathq",
    "set-query",
    "set-uri",
    "replace-uri",
    "set-method",
    "normalize-uri",
];

/// Actions after which production does not get the request at all.
const ENDING: [&str; 7] = ["deny", "reject", "tarpit", "redirect", "return", "auth", "silent-drop"];

pub(super) fn examine(told: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    let Some(home) = told.setup.proxy_of(told.filter) else { return };
    let early = |sending: &&Sending<'_, '_>| {
        matches!(sending.moment, Moment::FrontendHttp | Moment::RequestRule)
    };
    let Some(sending) = told.sendings.iter().find(early) else { return };
    let changed = behind(home, sending, &CHANGING);
    let ended = behind(home, sending, &ENDING);
    // No event and no rule comes after it.
    let forwarded = home.lines.option("forwardfor").filter(|_| !told.has(Part::Source));
    let last = changed.iter().chain(&ended).max_by_key(|rule| rule.index).copied();
    let mended = |finding| mended(finding, home, sending, last);
    findings.extend(added(told, sending, &changed, forwarded, mended));
    findings.extend(denied(sending, &ended, mended));
}

/// The rules with one of these actions that come after the message is sent.
fn behind<'a>(home: &Proxy<'a>, sending: &Sending<'_, 'a>, actions: &[&str]) -> Vec<Rule<'a>> {
    let of = |action: &[u8]| {
        let name = action.split(|&byte| byte == b'(').next().unwrap_or_default();
        actions.iter().any(|known| known.as_bytes() == name)
    };
    let sent = sending.rule.map(|rule| rule.index);
    let rules = home.rules().filter(|rule| rule.set == RuleSet::HttpRequest && of(rule.action()));
    rules.filter(|rule| sent.is_none_or(|sent| rule.index > sent)).collect()
}

fn added(
    told: &Told<'_, '_>,
    sending: &Sending<'_, '_>,
    changed: &[Rule<'_>],
    forwarded: Option<At<'_>>,
    mended: impl Fn(Finding) -> Finding,
) -> Option<Finding> {
    let lines: Vec<_> = changed.iter().map(|rule| rule.at).chain(forwarded).collect();
    let (first, rest) = lines.split_first()?;
    let message = format!("`{}` comes after the request was handed over", short(first));
    let mut finding = Finding::new(&HEADERS_ADDED_LATER, Severity::Hint, message)
        .at(first.place())
        .and_at(sending.at.place(), sent(sending))
        .consequence("copies have the request as it was then: production gets another one");
    for at in rest.iter().take(8) {
        finding = finding.and_at(at.place(), "this comes after it as well");
    }
    let forward = "have the agent add the client's address: `src=src` in the `args` line, and in its configuration \
                   `headers.add = { x-forwarded-for = \"{source}\" }`";
    Some(match (changed, forwarded) {
        ([], Some(_)) => {
            let name = Part::Source.name(told.is_prefixed());
            finding.mend(forward).edit(told.with(&[format!("{name}=src")]))
        }
        (_, Some(_)) => {
            let finding = mended(finding);
            let say = format!("{}; and {forward}", finding.mend.say);
            finding.mend(say)
        }
        (_, None) => mended(finding),
    })
}

fn denied(
    sending: &Sending<'_, '_>,
    ended: &[Rule<'_>],
    mended: impl Fn(Finding) -> Finding,
) -> Option<Finding> {
    let (first, rest) = ended.split_first()?;
    let message = format!("requests that `{}` ends here are copied all the same", short(&first.at));
    let mut finding = Finding::new(&DENIED_COPIED, Severity::Hint, message)
        .at(first.at.place())
        .and_at(sending.at.place(), sent(sending))
        .consequence("targets get requests that production never sees");
    for rule in rest.iter().take(8) {
        finding = finding.and_at(rule.at.place(), "this comes after it as well");
    }
    Some(mended(finding))
}

fn sent(sending: &Sending<'_, '_>) -> &'static str {
    match sending.rule {
        Some(_) => "the message is sent here",
        None => "the message is sent here, before all rules",
    }
}

/// A later event, or the rule put behind the last of those that matter. In a `listen` section there is no later event.
fn mended(
    finding: Finding,
    home: &Proxy<'_>,
    sending: &Sending<'_, '_>,
    last: Option<Rule<'_>>,
) -> Finding {
    let at = sending.at;
    match (sending.rule, last) {
        (Some(_), Some(last)) => finding
            .mend("send the message behind these rules")
            .edit(at.removed())
            .edit(last.at.followed_by(&at.indentation(), &[&at.statement()])),
        (None, _) if home.kind == ProxyKind::Frontend => {
            let event = at.word(1).map(|event| at.replaced_word(event, "on-backend-http-request"));
            let finding = finding.mend(
                "send the message when the frontend's rules are done: `event on-backend-http-request`",
            );
            event.into_iter().fold(finding, Finding::edit)
        }
        _ => {
            finding.mend("send the message by a rule behind these: `http-request send-spoe-group`")
        }
    }
}

/// The first words of a rule: what it does.
fn short(at: &At<'_>) -> String {
    let words: Vec<_> = at.words_from(0).take(3).map(|word| at.shown(word).into_owned()).collect();
    let cut = words.iter().position(|word| word == "if" || word == "unless").unwrap_or(words.len());
    words.get(..cut).unwrap_or_default().join(" ")
}
