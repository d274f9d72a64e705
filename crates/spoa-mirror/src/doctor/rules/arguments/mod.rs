//! The arguments of messages: what a copy is made of.

mod moments;
mod named;
mod traced;
mod values;

use super::Topic;
use super::keywords::misspelt;
use super::told::told;
use crate::doctor::finding::Finding;
use crate::doctor::setup::Setup;

pub(super) const TOPIC: Topic = Topic {
    codes: &[
        &moments::FETCH_NOT_AT_EVENT,
        &moments::FETCH_TOO_NEW,
        &named::ARGUMENT_UNKNOWN,
        &named::ARGUMENT_MISSING,
        &values::ARGUMENT_WRONG_FETCH,
        &traced::VARIABLE_NEVER_SET,
        &traced::VARIABLE_SET_LATER,
        &values::PATH_LOSES_QUERY,
        &values::METHOD_AS_VARIABLE,
    ],
    examine,
};

fn examine(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    for filter in setup.mirrors() {
        let all = told(setup, filter);
        // What they hand over stands in a line that HAProxy leaves out: of that line something is told already.
        if all.iter().any(|told| misspelt(&told.message.lines, "args")) {
            continue;
        }
        named::nothing_asked(&all, findings);
        for told in &all {
            moments::examine(told, findings);
            named::examine(told, findings);
            values::examine(told, findings);
        }
        traced::examine(&all, findings);
    }
}
