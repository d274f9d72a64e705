//! Texts that take a part of themselves from the environment, and secrets.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::walk::{Place, Reader, Value};
use crate::config::Secret;

/// The longest secret in a file, in bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// The longest file of certificates, in bytes.
const MAX_PEM: u64 = 16 << 20;

/// A text of the file with its variables replaced.
pub(super) struct Text {
    pub(super) text: String,
    /// A part of it comes from the environment, and is not shown.
    pub(super) foreign: bool,
}

/// Replaces `${NAME}` from the environment, and `$$` by a dollar. Any other dollar stays: `$1` and
/// `${1}` in the replacement of a regular expression, `$` at a regular expression's end.
///
/// # Errors
/// A variable that is not set, and what is no name of a variable.
fn expand(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Text, String> {
    let mut expanded = Text { text: String::with_capacity(text.len()), foreign: false };
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            expanded.text.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('{').and_then(|r| r.split_once('}'))
        {
            let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let digit = |c: char| c.is_ascii_digit();
            if !name.is_empty() && name.chars().all(digit) {
                // A group of a regular expression.
                expanded.text.push_str(&format!("${{{name}}}"));
                rest = after;
                continue;
            }
            if name.is_empty() || !name.chars().all(letters) || name.starts_with(digit) {
                return Err(format!(
                    "`${{{name}}}` names no environment variable: letters, digits and `_`; \
                     `$$` stands for a dollar"
                ));
            }
            let value = environment(name)
                .ok_or_else(|| format!("the environment variable `{name}` is not set"))?;
            expanded.text.push_str(&value);
            expanded.foreign = true;
            rest = after;
        } else {
            expanded.text.push('$');
            rest = after;
        }
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

impl Reader<'_> {
    /// The text of a value with its variables replaced; `None` when that was not possible and was told.
    pub(super) fn expand(&self, value: &Value<'_>, text: &str) -> Option<Text> {
        match expand(text, self.environment) {
            Ok(text) => Some(text),
            Err(message) => {
                let help =
                    "set it where the agent is started (systemd: Environment=, EnvironmentFile=)";
                let unset = message.ends_with("is not set");
                self.error(&value.place, message, unset.then(|| help.to_owned()));
                None
            }
        }
    }

    /// Takes a value for a secret: a text with variables, or `file:PATH`.
    pub(super) fn secret(&self, value: &Value<'_>) -> Option<Secret> {
        self.hide(&value.place.span);
        let Some(written) = value.node.as_str() else {
            let message = format!("expected a secret as a text, found {}", value.kind());
            let help = "write it like \"${TOKEN}\" or \"file:/etc/spoa-mirror/token\"";
            self.error(&value.place, message, Some(help.to_owned()));
            return None;
        };
        let secret = match written.strip_prefix("file:") {
            None => self.expand(value, written)?.text,
            Some(path) => {
                let path = self.directory.join(self.expand(value, path)?.text);
                match read_secret(&path) {
                    Ok((secret, mode)) => {
                        self.warn_if_public(&value.place, &path, mode);
                        secret
                    }
                    Err(message) => {
                        self.error(&value.place, message, None);
                        return None;
                    }
                }
            }
        };
        if secret.is_empty() {
            self.error(&value.place, "the secret is empty", None);
            return None;
        }
        Some(Secret::new(secret))
    }

    /// Warns of a secret that everybody on the machine can read.
    pub(super) fn warn_if_public(&self, place: &Place, path: &Path, mode: u32) {
        if mode & 0o004 != 0 {
            let message = format!("everybody on this machine can read {}", path.display());
            self.warn(place, message, Some(format!("chmod o-r {}", path.display())));
        }
    }

    /// Whether a certificate or key is a file that can be read to its end; told otherwise.
    pub(super) fn is_usable(&self, place: &Place, path: &Path) -> bool {
        let shown = path.display();
        let message = match std::fs::metadata(path) {
            Err(error) => format!("cannot read {shown}: {error}"),
            Ok(metadata) if !metadata.is_file() => format!("{shown} is no regular file"),
            Ok(metadata) if metadata.len() > MAX_PEM => format!("{shown} is longer than 16 MiB"),
            Ok(_) => return true,
        };
        self.error(place, message, None);
        false
    }

    /// A path in the file, relative to the file's directory; absolute in the configuration, since a
    /// process in the background is elsewhere.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.directory.join(text)
    }
}

/// A secret without the end of its last line, and the mode of its file.
fn read_secret(path: &Path) -> Result<(String, u32), String> {
    let shown = path.display();
    let failed = |error: std::io::Error| format!("cannot read {shown}: {error}");
    // To open a pipe may take for ever.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(format!("{shown} is no regular file"));
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_SECRET + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_SECRET {
        return Err(format!("{shown} is longer than a secret may be, 64 KiB"));
    }
    let mut secret = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8 text"))?;
    if secret.ends_with('\n') {
        secret.pop();
        if secret.ends_with('\r') {
            secret.pop();
        }
    }
    Ok((secret, metadata.permissions().mode()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        let environment = |name: &str| (name == "HOME_1").then(|| "x${HOME_1}".to_owned());
        expand(text, &environment).map(|expanded| expanded.text)
    }

    #[test]
    fn variables_are_replaced_once_and_other_dollars_stay() {
        assert_eq!(expanded("a${HOME_1}b").unwrap(), "ax${HOME_1}b");
        assert_eq!(expanded("$${HOME_1}").unwrap(), "${HOME_1}");
        for same in ["", "$", "^a$", "$1-$name", "${1}x", "${open", "a{2}"] {
            assert_eq!(expanded(same).unwrap(), same);
        }
        for bad in ["${}", "${A B}", "${1x}", "${NOT_SET}"] {
            assert!(expanded(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_lose_one_line_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        for (content, secret) in [("a b", "a b"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n")] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read_secret(&path).unwrap().0, secret);
        }
        std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
        assert!(read_secret(&path).unwrap_err().contains("64 KiB"));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read_secret(&path).unwrap_err().contains("UTF-8"));
        assert!(read_secret(directory.path()).unwrap_err().contains("no regular file"));
    }
}
