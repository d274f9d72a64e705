//! Text out of traffic, made safe to show: nothing in it moves a terminal's cursor or turns the direction of
//! reading around.

/// The text with control characters, but for those `kept`, and those that direct the order of characters in
/// Rust's notation: `\u{1b}`.
pub(crate) fn legible(text: &str, kept: &[char]) -> String {
    let mut legible = String::with_capacity(text.len());
    for character in text.chars() {
        let obeyed = character.is_control() || DIRECTIONS.contains(&character);
        if obeyed && !kept.contains(&character) {
            legible.extend(character.escape_default());
        } else {
            legible.push(character);
        }
    }
    legible
}

/// Marks, embeddings, overrides and isolates of Unicode's bidirectional algorithm.
const DIRECTIONS: [char; 12] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_obeyed_is_written_out_and_the_rest_is_as_it_was() {
        let text = "tab\tline\n\x1b[31m\u{0}\u{9b}\u{202e}é\u{1f600}\\";
        assert_eq!(
            legible(text, &['\n']),
            r"tab\tline
\u{1b}[31m\u{0}\u{9b}\u{202e}é😀\"
        );
    }
}
