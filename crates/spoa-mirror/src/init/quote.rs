//! How a text is written so that it means itself: in HAProxy's files, in TOML, in a shell, in the Runtime API.

/// As a word of HAProxy's files: in single quotation marks, in which everything means itself, unless it needs
/// none (configuration manual, "Quoting and escaping").
pub(super) fn word(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// A sample expression as a word: without need it stays as people write it.
pub(super) fn expression(text: &str) -> String {
    if text.contains([' ', '\'', '"', '\\', '#', '$']) { quoted(text) } else { text.to_owned() }
}

/// As an argument of a converter, which is parsed once more inside its word: commas and parentheses would end it.
pub(super) fn argument(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// As a word of the Runtime API, which knows backslashes but no quotation marks.
pub(super) fn runtime(text: &str) -> String {
    let special = [' ', '\\', ';'];
    text.chars().fold(String::new(), |mut quoted, c| {
        if special.contains(&c) {
            quoted.push('\\');
        }
        quoted.push(c);
        quoted
    })
}

/// As a value in the agent's configuration, where `$$` is a dollar.
pub(super) fn toml(text: &str) -> String {
    toml::Value::from(text.replace('$', "$$")).to_string()
}

/// As a word of a POSIX shell, whose single quotation marks are like HAProxy's.
pub(super) fn shell(text: &str) -> String {
    word(text)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Whether it means itself everywhere.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:@+=".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_stays_and_the_rest_is_quoted() {
        for quote in [word, argument, runtime, shell] {
            assert_eq!(quote("/etc/haproxy/mirror.map"), "/etc/haproxy/mirror.map");
        }
        assert_eq!(word("/it's $HOME #1"), r"'/it'\''s $HOME #1'");
        assert_eq!(argument(r#"/a,b)"\c"#), r#""/a,b)\"\\c""#);
        assert_eq!(runtime("/a b;c"), r"/a\ b\;c");
        assert_eq!(shell("a b$(c)'"), r"'a b$(c)'\'''");
        let value = toml(r#"a"b\${HOME}'"#);
        let read: toml::Table = toml::from_str(&format!("x = {value}")).unwrap();
        assert_eq!(read["x"].as_str(), Some(r#"a"b\$${HOME}'"#));
    }
}
