//! `[comparison]`.

use super::walk::Section;
use crate::config::ComparisonConfig;

/// Reads it into `config`, which has the defaults.
pub(super) fn read(root: &mut Section<'_, '_, '_>, config: &mut ComparisonConfig) {
    let mut section = root.section("comparison", "{ sample = 10 }");
    if let Some(share) = section.share("sample") {
        config.sample = share;
    }
    if let Some(time) = section.time("wait", "100ms", "1h") {
        config.wait = time;
    }
    if let Some(size) = section.size("memory", 1 << 20, "64GiB") {
        config.memory = usize::try_from(size).unwrap_or(usize::MAX);
    }
    if let Some(size) = section.size("max-body", 0, "64MiB") {
        config.max_body = usize::try_from(size).unwrap_or(usize::MAX);
    }
}
