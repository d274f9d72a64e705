//! Variables that are handed over: whether anything sets them, and before the message is sent.

use crate::doctor::finding::{Change, Code, Edit, Finding, Severity, code};
use crate::doctor::rules::told::{Given, Part, Told};
use crate::doctor::setup::{Moment, Reach, RuleSet, Sending, Setter};

pub(super) static VARIABLE_NEVER_SET: Code = code!("variable-never-set");
pub(super) static VARIABLE_SET_LATER: Code = code!("variable-set-later");

/// A variable that several messages hand over has one finding.
pub(super) fn examine(all: &[Told<'_, '_>], findings: &mut Vec<Finding>) {
    let mut said: Vec<(String, usize)> = Vec::new();
    for (told, given) in
        all.iter().flat_map(|told| told.given.iter().map(move |given| (told, given)))
    {
        let expression = given.expression();
        let Some(variable) = expression.variable() else { continue };
        if expression.has_default() || told.setup.may_be_set_elsewhere(variable) {
            continue;
        }
        if let Some((_, index)) = said.iter().find(|(known, _)| known == variable) {
            if let Some(finding) = findings.get_mut(*index) {
                finding.others.push((given.place(), "it is handed over here as well".to_owned()));
            }
            continue;
        }
        let setters = told.setup.setters(told.filter, variable);
        let found = if setters.is_empty() {
            Some(never_set(told, given, variable))
        } else {
            set_later(told, given, variable, &setters)
        };
        if let Some(finding) = found {
            said.push((variable.to_owned(), findings.len()));
            findings.push(finding);
        }
    }
}

fn severity(given: &Given<'_>) -> Severity {
    match given.part {
        Some(Part::Method | Part::Url | Part::Path | Part::Headers | Part::Status) => {
            Severity::Error
        }
        Some(_) => Severity::Warning,
        None => Severity::Hint,
    }
}

fn consequence(given: &Given<'_>) -> &'static str {
    match given.part {
        Some(Part::Method | Part::Url | Part::Path | Part::Headers) => {
            "the agent gets no value for it, and drops each request as incomplete: nothing is mirrored"
        }
        Some(Part::Status) => "the agent gets no value for it, and no answer is compared",
        Some(Part::Body) => "the agent gets no value for it: requests with bodies are not copied",
        Some(Part::Id) => "the agent gets no value for it: answers find no requests",
        _ => "the agent gets no value for it",
    }
}

fn never_set(told: &Told<'_, '_>, given: &Given<'_>, variable: &str) -> Finding {
    let finding = Finding::new(
        &VARIABLE_NEVER_SET,
        severity(given),
        format!("nothing sets the variable `{variable}`"),
    )
    .at(given.place())
    .consequence(consequence(given));
    // Names of variables are told apart by case as well.
    let wanted = variable.to_ascii_lowercase().replace(['-', '_'], "");
    let known = told.setup.set_variables();
    let near = known
        .iter()
        .find(|known| slip(&known.to_ascii_lowercase().replace(['-', '_'], ""), &wanted));
    if let Some(near) = near {
        let text = given.shown().replacen(variable, near, 1);
        let finding = finding.mend(format!("the variable that is set is `{near}`"));
        return finding.edit(given.at.rewritten(&[(given.word, text)], &[]));
    }
    let Some(part) = given.part else { return finding.mend("set it, or leave the argument out") };
    let by_event = told.sendings.iter().any(|sending| sending.rule.is_none());
    let written = told.written(part).filter(|(_, edits)| edits.is_empty());
    if let Some((argument, _)) = written.filter(|_| given.is_plain() && by_event) {
        // An event comes before all rules: there is nothing to save.
        let (_, value) = argument.split_once('=').unwrap_or_default();
        let name = given.name.clone().unwrap_or_default();
        let word = (given.word, format!("{name}={value}"));
        let finding = finding.mend(format!("hand over `{value}` itself"));
        return finding.edit(given.at.rewritten(&[word], &[]));
    }
    let expression = part.expression();
    let asked = !part.is_of_answer();
    let rule = if asked { "http-request" } else { "http-response" };
    let statement = match part {
        Part::Method => format!("http-request set-var-fmt({variable}) %[method]"),
        _ => format!("{rule} set-var({variable}) {expression}"),
    };
    let finding = finding.mend(format!("set it before the message is sent: `{statement}`"));
    // Before the rule that sends the message; an event comes before all rules.
    let [Sending { rule: Some(sender), at, .. }] = told.sendings.as_slice() else { return finding };
    if asked && sender.set == RuleSet::HttpRequest || !asked && sender.set == RuleSet::HttpResponse
    {
        let lines = vec![
            format!("{}{statement}", at.indentation()),
            String::from_utf8_lossy(at.line.raw.trim_ascii_end()).into_owned(),
        ];
        return finding.edit(Edit {
            file: at.file,
            line: at.line.number,
            change: Change::Replace(lines),
        });
    }
    if asked && told.sendings.iter().all(|sending| sending.moment.has_answer()) {
        let at = told.filter.at;
        return finding.edit(at.followed_by(&at.indentation(), &[&statement]));
    }
    finding
}

fn slip(left: &str, right: &str) -> bool {
    left == right
        || left.len() == right.len() && {
            let different =
                left.bytes().zip(right.bytes()).filter(|(left, right)| left != right).count();
            different == 1 && left.len() > 6
        }
}

fn set_later(
    told: &Told<'_, '_>,
    given: &Given<'_>,
    variable: &str,
    setters: &[Setter<'_, '_>],
) -> Option<Finding> {
    // Every event and rule that sends the message must find it.
    let (sending, reaches) = told.sendings.iter().find_map(|sending| {
        let reach = |setter| told.setup.reach(told.filter, sending, variable, setter);
        let reaches: Vec<_> = setters.iter().map(reach).collect();
        (!reaches.contains(&Reach::InTime)).then_some((sending, reaches))
    })?;
    let gone = reaches.contains(&Reach::Gone);
    let what = if gone {
        format!("`{variable}` is gone when the answer is there: it belongs to the request")
    } else {
        format!("`{variable}` is set after the message is sent")
    };
    let mut finding = Finding::new(&VARIABLE_SET_LATER, severity(given), what)
        .at(given.place())
        .consequence(consequence(given));
    for setter in setters {
        finding = finding.and_at(setter.at.place(), "it is set here");
    }
    finding = finding.and_at(sending.at.place(), "the message is sent here");
    Some(mended(told, given, variable, setters, sending, finding, gone))
}

fn mended(
    told: &Told<'_, '_>,
    given: &Given<'_>,
    variable: &str,
    setters: &[Setter<'_, '_>],
    sending: &Sending<'_, '_>,
    finding: Finding,
    gone: bool,
) -> Finding {
    let Some(home) = told.setup.proxy_of(told.filter) else { return finding };
    if gone {
        let right = variable.replacen("req.", "txn.", 1);
        let text = given.shown().replacen(variable, &right, 1);
        let mut finding = finding
            .mend(format!("give it the scope of the transaction: `{right}`"))
            .edit(given.at.rewritten(&[(given.word, text)], &[]));
        for setter in setters {
            let word = setter
                .at
                .words_from(0)
                .find(|word| setter.rule.is_some_and(|rule| word.text == rule.action()));
            if let Some(word) = word {
                let text = setter.at.shown(word).replacen(variable, &right, 1);
                finding = finding.edit(setter.at.replaced_word(word, &text));
            }
        }
        return finding;
    }
    let here =
        |setter: &Setter<'_, '_>| setter.proxy.is_some_and(|proxy| std::ptr::eq(proxy, home));
    let in_request =
        |setter: &Setter<'_, '_>| setter.rule.is_some_and(|rule| rule.set == RuleSet::HttpRequest);
    let frontend = home.kind == crate::doctor::setup::proxy::ProxyKind::Frontend;
    let at_frontend = sending.moment == Moment::FrontendHttp;
    if at_frontend && frontend && setters.iter().all(|setter| here(setter) && in_request(setter)) {
        let finding = finding.mend("send the message when the frontend's rules are done");
        return match sending.at.word(1) {
            Some(event) => finding.edit(sending.at.replaced_word(event, "on-backend-http-request")),
            None => finding,
        };
    }
    let Some(sender) = sending.rule else {
        return finding.mend("send the message by a rule behind: `http-request send-spoe-group`");
    };
    let finding = finding.mend("set it before the rule that sends the message");
    match setters {
        [setter] if here(setter) && setter.rule.is_some_and(|rule| rule.set == sender.set) => {
            let lines = vec![
                format!("{}{}", sending.at.indentation(), setter.at.statement()),
                String::from_utf8_lossy(sending.at.line.raw.trim_ascii_end()).into_owned(),
            ];
            let line = sending.at.line.number;
            finding.edit(setter.at.removed()).edit(Edit {
                file: sending.at.file,
                line,
                change: Change::Replace(lines),
            })
        }
        _ => finding,
    }
}
