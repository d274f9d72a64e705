//! Which requests are mirrored, and what of them.

mod later;
mod loops;
mod sampling;
mod upgrades;
mod urls;

use super::Topic;
use super::told::told;
use crate::doctor::finding::Finding;
use crate::doctor::setup::Setup;

pub(super) use sampling::share;

pub(super) const TOPIC: Topic = Topic {
    codes: &[
        &loops::MIRROR_LOOP,
        &sampling::SAMPLE_NOTHING,
        &urls::URL_ABSOLUTE,
        &sampling::SAMPLED_TWICE,
        &later::HEADERS_ADDED_LATER,
        &later::DENIED_COPIED,
        &upgrades::UPGRADE_MIRRORED,
    ],
    examine,
};

fn examine(setup: &Setup<'_>, findings: &mut Vec<Finding>) {
    for filter in setup.mirrors() {
        let all = told(setup, filter);
        loops::examine(setup, filter, findings);
        for told in all.iter().filter(|told| told.asks()) {
            sampling::examine(told, findings);
            urls::examine(told, findings);
            later::examine(told, findings);
            upgrades::examine(told, findings);
        }
    }
}
