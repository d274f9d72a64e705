//! Chance in HAProxy's conditions, and in the agent's configuration.

use crate::config::{Share, TargetConfig};
use crate::doctor::expression::Expression;
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::rules::percent;
use crate::doctor::rules::told::Told;
use crate::doctor::setup::Criterion;

pub(super) static SAMPLE_NOTHING: Code = code!("sample-nothing");
pub(super) static SAMPLED_TWICE: Code = code!("sampled-twice");

pub(super) fn examine(told: &Told<'_, '_>, findings: &mut Vec<Finding>) {
    for sending in &told.sendings {
        let selection = told.setup.selection(told.filter, sending);
        let drawn: Vec<_> = selection
            .into_iter()
            .filter_map(|criterion| Some((share(&criterion)?, criterion)))
            .collect();
        if let Some((_, criterion)) = drawn.iter().find(|(share, _)| *share <= 0.0) {
            findings.push(nothing(criterion));
            return;
        }
        // Of several draws nobody knows here how they go together.
        match drawn.as_slice() {
            [(share, criterion)] if *share < 1.0 => {
                findings.extend(twice(told, criterion, *share));
                return;
            }
            _ => {}
        }
    }
}

/// The share of the requests for which a criterion holds, if that is chance alone: `rand(100) lt 10`.
pub(in crate::doctor::rules) fn share(criterion: &Criterion<'_>) -> Option<f64> {
    let expression = Expression::parse(criterion.expression());
    if expression.name() != "rand" || !expression.converters.is_empty() {
        return None;
    }
    let range = match expression.fetch.arguments.trim() {
        "" => 4_294_967_296.0,
        range => range.parse::<f64>().ok().filter(|range| *range >= 1.0)?,
    };
    let mut patterns =
        criterion.patterns().filter(|word| !matches!(*word, b"-m" | b"int" | b"--")).peekable();
    let operator = match patterns.peek().copied() {
        Some(operator @ (b"lt" | b"le" | b"gt" | b"ge" | b"eq")) => {
            patterns.next();
            operator
        }
        _ => b"eq",
    };
    let number = std::str::from_utf8(patterns.next()?).ok()?.parse::<f64>().ok()?;
    // Several values, or a range of them.
    if patterns.next().is_some() {
        return None;
    }
    let held = match operator {
        b"lt" => number,
        b"le" => number + 1.0,
        b"gt" => range - number - 1.0,
        b"ge" => range - number,
        _ if (0.0..range).contains(&number) => 1.0,
        _ => 0.0,
    };
    let share = (held / range).clamp(0.0, 1.0);
    Some(if criterion.negated { 1.0 - share } else { share })
}

fn nothing(criterion: &Criterion<'_>) -> Finding {
    let words: Vec<_> = criterion.words.iter().map(|word| criterion.at.shown(word)).collect();
    let not = if criterion.negated { "always" } else { "never" };
    Finding::new(
        &SAMPLE_NOTHING,
        Severity::Error,
        format!("`{}` {not} holds, so that nothing is mirrored", words.join(" ")),
    )
    .at(criterion.at.place())
    .consequence("`rand(N)` is a whole number from 0 to N - 1")
    .mend("`rand(100) lt 10` holds for 10 % of the requests, `rand(10000) lt 5` for 0.05 %")
}

fn twice(told: &Told<'_, '_>, criterion: &Criterion<'_>, share: f64) -> Option<Finding> {
    let (path, config) = told.setup.agent?;
    let sampled = |target: &&TargetConfig| target.sample.share < Share::ALL && !target.paused;
    let target = config.targets.iter().find(sampled)?;
    let own = of(target.sample.share);
    let sticky = target.sample.by.is_some();
    let severity = if sticky { Severity::Warning } else { Severity::Hint };
    let shares = format!(
        "HAProxy hands over {} of the requests, and `{}` gets {} of those: {} of all",
        percent(share),
        target.name,
        percent(own),
        percent(share * own)
    );
    let finding = Finding::new(
        &SAMPLED_TWICE,
        severity,
        format!("a share is taken here, and another one for `{}` in {}", target.name, path.display()),
    )
    .at(criterion.at.place())
    .mend("take the share in one place: in HAProxy it saves the work, in the agent it can go by a key");
    Some(finding.consequence(if sticky {
        format!("{shares}; the agent's share goes by a key to keep what belongs together, which chance here breaks up")
    } else {
        shares
    }))
}

/// As a number from 0 to 1.
fn of(share: Share) -> f64 {
    share.as_percent() / 100.0
}

#[cfg(test)]
mod tests {
    use haproxy_config::{Surroundings, Syntax, parse};

    use super::*;
    use crate::doctor::setup::At;

    fn share_of(condition: &str) -> Option<f64> {
        let text = format!("frontend f\n http-request deny if {condition}\n");
        let document = parse(text.as_bytes(), Syntax::Haproxy, &Surroundings::default()).unwrap();
        let at = At { file: 0, line: &document.sections[0].lines[0] };
        let criteria = crate::doctor::setup::rule::criteria(at, &[]);
        share(criteria.first()?)
    }

    #[test]
    fn shares_of_chance() {
        for (condition, expected) in [
            ("{ rand(100) lt 10 }", Some(0.1)),
            ("{ rand(100) le 9 }", Some(0.1)),
            ("{ rand(100) ge 90 }", Some(0.1)),
            ("{ rand(100) gt 89 }", Some(0.1)),
            ("!{ rand(100) lt 90 }", Some(0.1)),
            ("! { rand(100) lt 90 }", Some(0.1)),
            ("{ rand(10000) -m int lt 5 }", Some(0.0005)),
            ("{ rand(10) 3 }", Some(0.1)),
            ("{ rand(10) gt 9 }", Some(0.0)),
            ("{ rand(10) lt 0 }", Some(0.0)),
            ("{ rand(10) lt 20 }", Some(1.0)),
            ("{ rand(10000),sub(txn.pct) -m int lt 0 }", None),
            ("{ rand(10) 1:3 }", None),
            ("{ path_beg / }", None),
            ("{ rand(x) lt 1 }", None),
        ] {
            match (share_of(condition), expected) {
                (Some(found), Some(expected)) => {
                    assert!((found - expected).abs() < 1e-9, "{condition}: {found}");
                }
                (found, expected) => assert_eq!(found, expected, "{condition}"),
            }
        }
    }
}
