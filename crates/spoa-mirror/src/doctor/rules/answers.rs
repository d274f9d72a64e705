//! Production's answers, paired with their requests.

use super::Topic;
use crate::doctor::finding::Finding;
use crate::doctor::setup::Setup;

pub(super) const TOPIC: Topic = Topic { codes: &[], examine };

fn examine(_setup: &Setup<'_>, _findings: &mut Vec<Finding>) {}
