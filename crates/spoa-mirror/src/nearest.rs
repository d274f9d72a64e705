//! Which of the known names was probably meant.

/// A name longer than this is near to nothing, and slow to compare.
const MAX_NAME: usize = 60;

/// The one of `known` that is probably meant by `name`: it differs in case, in dashes for underscores, or in no
/// more than a third of its letters.
pub(crate) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name: String = name.chars().take(MAX_NAME).collect();
    let name = folded(&name);
    let near = |known: &'k str| (strsim::damerau_levenshtein(&name, &folded(known)), known);
    let (distance, nearest) =
        known.into_iter().filter(|known| known.len() <= 4 * MAX_NAME).map(near).min()?;
    (distance <= (nearest.len() / 3).max(1)).then_some(nearest)
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        let known = ["mirror", "mirror-agents", "timeout"];
        assert_eq!(nearest("miror", known), Some("mirror"));
        assert_eq!(nearest("Mirror_Agents", known), Some("mirror-agents"));
        assert_eq!(nearest("tiemout", known), Some("timeout"));
        assert_eq!(nearest("backend", known), None);
        assert_eq!(nearest(&"mirror".repeat(1000), known), None);
        assert_eq!(nearest("mirror", []), None);
    }
}
