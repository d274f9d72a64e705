//! What HAProxy does to a request after it was handed over at `on-frontend-http-request`, which comes before all
//! rules: the copy is made of the request as the client sent it.

use crate::doctor::finding::{Code, Edit, Finding, Severity, code};
use crate::doctor::rules::told::{Part, Told};
use crate::doctor::setup::proxy::ProxyKind;
use crate::doctor::setup::{At, Moment, Proxy, RuleSet, Sending};

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
    let Some(sending) = told.sendings.iter().find(|sending| sending.moment == Moment::FrontendHttp)
    else {
        return;
    };
    let changed = rules(home, &CHANGING);
    let forwarded = home.lines.option("forwardfor").filter(|_| !tells_source(told));
    findings.extend(added(told, home, sending, &changed, forwarded));
    findings.extend(denied(home, sending, &rules(home, &ENDING)));
}

fn rules<'a>(home: &Proxy<'a>, actions: &[&str]) -> Vec<At<'a>> {
    let of = |action: &[u8]| {
        let name = action.split(|&byte| byte == b'(').next().unwrap_or_default();
        actions.iter().any(|known| known.as_bytes() == name)
    };
    let rules = home.rules().filter(|rule| rule.set == RuleSet::HttpRequest && of(rule.action()));
    rules.map(|rule| rule.at).collect()
}

/// Whether the agent gets the client's address by itself.
fn tells_source(told: &Told<'_, '_>) -> bool {
    told.has(Part::Source)
}

fn added(
    told: &Told<'_, '_>,
    home: &Proxy<'_>,
    sending: &Sending<'_, '_>,
    changed: &[At<'_>],
    forwarded: Option<At<'_>>,
) -> Option<Finding> {
    let lines: Vec<_> = changed.iter().copied().chain(forwarded).collect();
    let (first, rest) = lines.split_first()?;
    let message = format!("`{}` comes after the request was handed over", short(first));
    let mut finding = Finding::new(&HEADERS_ADDED_LATER, Severity::Hint, message)
        .at(first.place())
        .and_at(sending.at.place(), "the message is sent here, before all rules")
        .consequence("copies have the request as the client sent it: production gets another one");
    for at in rest.iter().take(8) {
        finding = finding.and_at(at.place(), "this comes after it as well");
    }
    let forward = "have the agent add the client's address: `src=src` in the `args` line, and in its configuration \
                   `headers.add = { x-forwarded-for = \"{source}\" }`";
    Some(match (changed, forwarded) {
        ([], Some(_)) => {
            // No event and no rule comes after it.
            let name = Part::Source.name(told.is_prefixed());
            finding.mend(forward).edit(told.with(&[format!("{name}=src")]))
        }
        (_, Some(_)) => with_event(finding, home, sending).mend(format!(
            "{}; and {forward}",
            "send the message when the frontend's rules are done: `event on-backend-http-request`"
        )),
        (_, None) => with_event(finding, home, sending).mend(
            "send the message when the frontend's rules are done: `event on-backend-http-request`",
        ),
    })
}

fn denied(home: &Proxy<'_>, sending: &Sending<'_, '_>, ended: &[At<'_>]) -> Option<Finding> {
    let (first, rest) = ended.split_first()?;
    let message = format!("requests that `{}` ends here are copied all the same", short(first));
    let mut finding = Finding::new(&DENIED_COPIED, Severity::Hint, message)
        .at(first.place())
        .and_at(sending.at.place(), "the message is sent here, before all rules")
        .consequence("targets get requests that production never sees")
        .mend(
            "send the message when the frontend's rules are done: `event on-backend-http-request`",
        );
    for at in rest.iter().take(8) {
        finding = finding.and_at(at.place(), "this comes after it as well");
    }
    Some(with_event(finding, home, sending))
}

/// The event that comes after a frontend's rules; in a `listen` section there is none.
fn with_event(finding: Finding, home: &Proxy<'_>, sending: &Sending<'_, '_>) -> Finding {
    let edit = |at: At<'_>| -> Option<Edit> {
        Some(at.replaced_word(at.word(1)?, "on-backend-http-request"))
    };
    match edit(sending.at).filter(|_| home.kind == ProxyKind::Frontend) {
        Some(edit) => finding.edit(edit),
        None => finding,
    }
}

/// The first words of a rule: what it does.
fn short(at: &At<'_>) -> String {
    let words: Vec<_> = at.words_from(0).take(3).map(|word| at.shown(word).into_owned()).collect();
    let cut = words.iter().position(|word| word == "if" || word == "unless").unwrap_or(words.len());
    words.get(..cut).unwrap_or_default().join(" ")
}
