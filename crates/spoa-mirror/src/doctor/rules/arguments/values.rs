//! What arguments hand over, against what they are for.

use crate::doctor::expression::Expression;
use crate::doctor::fetches;
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::told::{Given, Part, Told};
use crate::doctor::setup::Setter;
use crate::doctor::versions::METHOD_IN_VARIABLE;

pub(super) static ARGUMENT_WRONG_FETCH: Code = code!("argument-wrong-fetch");
pub(super) static PATH_LOSES_QUERY: Code = code!("path-loses-query");
pub(super) static METHOD_AS_VARIABLE: Code = code!("method-as-variable");

/// Converters that make something else of a part of a request.
const GARBLING: [&str; 12] = [
    "base64", "ub64enc", "hex", "length", "json", "url_enc", "sha1", "sha2", "digest", "crc32",
    "xxh32", "xxh64",
];

pub(super) fn examine(told: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    for given in &told.given {
        let Some(part) = given.part else { continue };
        let first = told.part(part).is_some_and(|first| std::ptr::eq(first, given));
        // The agent takes the first of a name.
        if !first {
            continue;
        }
        match wrong(told, given, part) {
            Some(finding) => findings.push(finding),
            None if matches!(part, Part::Url | Part::Path) => {
                findings.extend(without_query(told, given, part));
            }
            None => {}
        }
        if part == Part::Method {
            findings.extend(method_as_variable(told, given));
        }
    }
}

fn wrong(told: &Told<'_, '_>, given: &Given<'_>, part: Part) -> Option<Finding> {
    let origins = told.origins(given);
    let origin = origins.first()?;
    let expression = Expression::parse(origin);
    let why = misfit(&expression, part)?;
    let needed =
        matches!(part, Part::Method | Part::Url | Part::Path | Part::Headers | Part::Status);
    let severity = if needed { Severity::Error } else { Severity::Warning };
    let name = given.name.clone().unwrap_or_default();
    let finding = Finding::new(
        &ARGUMENT_WRONG_FETCH,
        severity,
        format!(
            "`{name}` is for {}, and `{}` is not that",
            part.what(),
            String::from_utf8_lossy(origin)
        ),
    )
    .at(given.place())
    .consequence(why);
    let direct = given.expression == *origin;
    let mended = told.written(part).filter(|_| direct && given.is_plain());
    let expression = part.expression();
    Some(match mended {
        Some((argument, edits)) => {
            let (_, value) = argument.split_once('=').unwrap_or(("", expression));
            let word = (given.word, format!("{name}={value}"));
            let finding = finding.mend(format!("hand over `{value}`"));
            let finding = finding.edit(given.at.rewritten(&[word], &[]));
            edits.into_iter().fold(finding, Finding::edit)
        }
        None if direct => finding.mend(format!("hand over `{expression}`")),
        None => {
            let variable = given.expression().variable().unwrap_or_default().to_owned();
            let setters = told.in_time(&variable);
            let mut finding = finding.mend(format!("set the variable to `{expression}`"));
            for setter in &setters {
                finding = finding.and_at(setter.at.place(), format!("`{variable}` is set here"));
            }
            match setters.as_slice() {
                [setter] => set_anew(finding, setter, expression),
                _ => finding,
            }
        }
    })
}

/// The variable set to something else, where it is set by a rule in one word.
fn set_anew(finding: Finding, setter: &Setter<'_, '_>, expression: &str) -> Finding {
    let Some(rule) = setter.rule else { return finding };
    let mut words = rule.arguments();
    match (words.next(), words.next()) {
        (Some(word), None) => finding.edit(setter.at.replaced_word(word, expression)),
        _ => finding,
    }
}

/// What comes of an expression for a part that it is not.
fn misfit(expression: &Expression<'_>, part: Part) -> Option<&'static str> {
    let fetch = expression.name();
    let right = part.fetches();
    if right.is_empty() {
        return None;
    }
    if matches!(part, Part::AskedAt | Part::AnsweredAt) {
        let micros = expression.fetch.arguments.trim_end().ends_with("us");
        let date = matches!(fetch, "date" | "accept_date" | "request_date");
        return (fetch == "date_us" || date && !micros && expression.converters.is_empty())
            .then_some("production's times are wrong: the agent takes the number for microseconds since 1970");
    }
    if right.contains(&fetch) {
        let garbled = expression.converters.iter().any(|call| GARBLING.contains(&&*call.name));
        return (garbled && !matches!(part, Part::Method | Part::Status)).then_some(match part {
            Part::Headers => "nothing is mirrored: the agent cannot read such headers",
            Part::AnswerHeaders | Part::AnswerBody => {
                "every pair differs: the agent compares what it gets"
            }
            _ => "the target gets what the converter makes, not what the client sent",
        });
    }
    // Only what is known to be something else: constants and fetches of modules may be right.
    let constant = matches!(fetch, "str" | "bool" | "int" | "var" | "date");
    if constant || fetches::rows(fetch).next().is_none() {
        return None;
    }
    Some(match part {
        Part::Method | Part::Url | Part::Path | Part::Headers => {
            "nothing useful is mirrored: what the agent gets is no such part of a request"
        }
        Part::BodySize | Part::AnswerBodySize => {
            "it tells nothing of a body that HAProxy cut off: it is the size of the part that is there"
        }
        Part::Body => "the target gets another body than production",
        Part::Query => "the target gets another query than production",
        Part::Status => "no answer is compared",
        _ => "answers are compared by what they are not",
    })
}

fn without_query(told: &Told<'_, '_>, given: &Given<'_>, part: Part) -> Option<Finding> {
    let origins = told.origins(given);
    let origin = origins.iter().find(|origin| Expression::parse(origin).name() == "path")?;
    if part == Part::Path && told.has(Part::Query) {
        return None;
    }
    // With a URL, the agent does not look at a path.
    if part == Part::Path && told.has(Part::Url) {
        return None;
    }
    let name = given.name.clone().unwrap_or_default();
    let finding = Finding::new(
        &PATH_LOSES_QUERY,
        Severity::Warning,
        format!(
            "`{name}` is handed over without the query: `path` ends where the question mark stands"
        ),
    )
    .at(given.place())
    .consequence("a copy of `GET /search?q=1` asks for `/search`");
    let finding = match told.part(Part::Query) {
        Some(query) => {
            finding.and_at(query.place(), format!("a query goes with `path`, not with `{name}`"))
        }
        None => finding,
    };
    let right = if part == Part::Path { "pathq" } else { "url" };
    let finding = finding.mend(format!("hand over `{right}`"));
    let plain = given.expression().converters.is_empty() && given.is_plain();
    if *origin == given.expression && plain {
        let word = (given.word, format!("{name}={right}"));
        return Some(finding.edit(given.at.rewritten(&[word], &[])));
    }
    let variable = given.expression().variable().unwrap_or_default().to_owned();
    let mut setters = told.in_time(&variable).into_iter();
    Some(match setters.find(|setter| setter.expression.as_ref() == Some(origin)) {
        Some(setter) => {
            let path = setter.at.words_from(0).find(|word| word.text == b"path");
            let finding = finding.and_at(setter.at.place(), format!("`{variable}` is set here"));
            match path {
                Some(word) => finding.edit(setter.at.replaced_word(word, right)),
                None => finding,
            }
        }
        None => finding,
    })
}

fn method_as_variable(told: &Told<'_, '_>, given: &Given<'_>) -> Option<Finding> {
    if !METHOD_IN_VARIABLE.may_hold(told.setup.version) {
        return None;
    }
    let expression = given.expression();
    let variable = expression.variable()?;
    let setters = told.in_time(variable);
    // Any converter that takes text makes it right.
    let setter = setters.iter().find(|setter| setter.expression.as_deref() == Some(b"method"))?;
    let versions = METHOD_IN_VARIABLE.versions;
    let finding = Finding::new(
        &METHOD_AS_VARIABLE,
        Severity::Warning,
        format!("`{variable}` holds `method` itself, which HAProxy {versions} cannot keep"),
    )
    .at(setter.at.place())
    .and_at(given.place(), "the agent gets it here")
    .consequence(
        "PATCH, QUERY and all methods that HAProxy has no number for are copied as OPTIONS",
    )
    .mend("save it as text");
    let rule = setter.rule?;
    let action = setter.at.words_from(0).find(|word| word.text == rule.action())?;
    let method = setter.at.words_from(0).find(|word| word.text == b"method")?;
    let name = setter.at.shown(action).replacen("set-var(", "set-var-fmt(", 1);
    let words = [(action, name), (method, "%[method]".to_owned())];
    Some(finding.edit(setter.at.rewritten(&words, &[])))
}
