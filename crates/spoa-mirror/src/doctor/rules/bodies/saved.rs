//! Variables that bodies are saved in, and how much HAProxy lets them hold.

use super::passing::Body;
use crate::doctor::finding::{Code, Finding, Severity, code};
use crate::doctor::setup::{Setup, Value};

pub(super) static VARIABLES: Code = code!("saved-body-over-limit");

pub(super) fn examine(setup: &Setup<'_>, bodies: &[Body<'_, '_>]) -> Option<Finding> {
    bodies.iter().find_map(|body| {
        let (variable, setters) = body.saved.as_ref()?;
        let (value, limit) = limit(setup, variable)?;
        let most = body.most();
        // The variable itself, and others beside it, count as well.
        if most < limit {
            return None;
        }
        let size = most.min(1 << 30).saturating_mul(2).next_power_of_two();
        let message = format!(
            "a body of up to {most} bytes is saved in `{variable}`, and `{}` allows {limit} bytes",
            value.at.shown(value.at.word(0)?)
        );
        let finding = Finding::new(&VARIABLES, Severity::Warning, message)
            .at(value.place())
            .and_at(setters.first()?.at.place(), "the body is saved here")
            .consequence(format!(
                "a body of {limit} bytes or more is not saved, with HAProxy of every version: the agent gets none, \
                 and does not copy the request"
            ))
            .mend(format!("say {size}, or leave the setting out: there is no limit by default"))
            .edit(value.replaced(&size.to_string()));
        Some(finding)
    })
}

/// The least limit that holds for a variable, and where it is set: those of the scopes around it count it, too.
fn limit<'a>(setup: &Setup<'a>, variable: &str) -> Option<(Value<'a>, u64)> {
    let scopes: &[&str] = match variable.split('.').next()? {
        "req" | "res" => &["reqres", "txn", "sess", "proc", "global"],
        "txn" => &["txn", "sess", "proc", "global"],
        "sess" => &["sess", "proc", "global"],
        _ => &["proc", "global"],
    };
    let limits = scopes.iter().filter_map(|scope| {
        let value = setup.global(&[&format!("tune.vars.{scope}-max-size")])?;
        // 0 is no limit.
        Some((value, value.size().filter(|size| *size > 0)?))
    });
    limits.min_by_key(|(_, limit)| *limit)
}
