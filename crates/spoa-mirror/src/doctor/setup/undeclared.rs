//! Filters that HAProxy adds by itself for as long as a proxy has none of its own.

use super::lines::{At, Lines};

/// A filter that must be declared beside another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undeclared {
    /// What stands behind `filter`: `compression`, `cache NAME`.
    pub(crate) filter: String,
    /// Where the line that needs it is, as an index into [`Lines::lines`].
    pub(crate) needed_by: usize,
}

/// The filters that a proxy uses and does not declare. With a `filter` line of any kind HAProxy adds none by itself
/// and refuses the configuration (measured, 2.6 to 3.4). Caches come before compression.
pub(crate) fn undeclared(lines: &Lines<'_>) -> Vec<Undeclared> {
    let mut filters: Vec<Undeclared> = Vec::new();
    let mut compresses = None;
    for (needed_by, at) in lines.lines.iter().enumerate() {
        if at.begins(&["compression"]) {
            compresses = compresses.or(Some(needed_by));
        }
        let Some(filter) = cache(lines, at) else { continue };
        if filters.iter().all(|known| known.filter != filter) {
            filters.push(Undeclared { filter, needed_by });
        }
    }
    let told = |name: &&str| lines.all(&["filter", name]).next().is_some();
    let is_told = ["compression", "comp-req", "comp-res"].iter().any(told);
    if let Some(needed_by) = compresses.filter(|_| !is_told) {
        filters.push(Undeclared { filter: "compression".to_owned(), needed_by });
    }
    filters
}

/// The filter that a rule needs which caches, unless it is there.
fn cache(lines: &Lines<'_>, at: &At<'_>) -> Option<String> {
    let rule = matches!(at.text(0), b"http-request" | b"http-response");
    let caches = matches!(at.text(1), b"cache-use" | b"cache-store");
    let name = at.word(2).filter(|_| rule && caches)?;
    let is_told = lines.all(&["filter", "cache"]).any(|at| at.text(2) == name.text);
    (!is_told).then(|| format!("cache {}", at.shown(name)))
}
