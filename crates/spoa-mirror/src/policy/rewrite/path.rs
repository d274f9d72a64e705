//! Rewrites a path step by step.

use crate::config::{PathStep, Pattern};

/// A step may make a path longer by this many bytes, and no more.
const MAX_GROWTH: usize = 64 * 1024;

/// The path after all steps; `None` when it does not begin with a slash any more, or grows beyond
/// measure.
pub(super) fn rewrite(steps: &[PathStep], path: &[u8]) -> Option<Vec<u8>> {
    // An absolute URL may do without.
    let path = if path.is_empty() { b"/" } else { path };
    let longest = path.len() + MAX_GROWTH;
    let mut path = path.to_vec();
    for step in steps {
        match step {
            PathStep::StripPrefix(prefix) => strip(&mut path, prefix.as_bytes()),
            PathStep::AddPrefix(prefix) => {
                path.splice(..0, prefix.bytes());
            }
            PathStep::Replace { regex, with } => {
                path = replace(regex, &path, with.as_bytes());
            }
        }
        if path.len() > longest {
            return None;
        }
    }
    path.starts_with(b"/").then_some(path)
}

fn strip(path: &mut Vec<u8>, prefix: &[u8]) {
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    if let Some(rest @ (b"" | [b'/', ..])) = path.strip_prefix(prefix) {
        let rest = if rest.is_empty() { b"/" } else { rest };
        *path = rest.to_vec();
    }
}

fn replace(pattern: &Pattern, path: &[u8], with: &[u8]) -> Vec<u8> {
    let around = match pattern {
        Pattern::Regex(regex) => return regex.replace(path, with).into_owned(),
        Pattern::Exact(text) => (path == text.as_bytes()).then_some((&b""[..], &b""[..])),
        Pattern::Prefix(prefix) => {
            path.strip_prefix(prefix.as_bytes()).map(|rest| (&b""[..], rest))
        }
        Pattern::Suffix(suffix) => {
            path.strip_suffix(suffix.as_bytes()).map(|rest| (rest, &b""[..]))
        }
    };
    match around {
        Some((before, after)) => [before, with, after].concat(),
        None => path.to_vec(),
    }
}

/// Checks a text that comes into paths: a prefix, or what a match is replaced by.
///
/// # Errors
/// What is wrong with it.
pub fn check_path_text(text: &str) -> Result<(), String> {
    match text.bytes().find(|byte| !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#')) {
        None => Ok(()),
        Some(b'?' | b'#') => Err(format!(
            "`{text}` holds `?` or `#`, which end a path; query parameters are set by `query`"
        )),
        Some(_) => Err(format!(
            "`{text}` holds a blank, a control or a non-ASCII character: write it percent-encoded"
        )),
    }
}

/// Checks the prefix of a step.
///
/// # Errors
/// What is wrong with it.
pub fn check_path_prefix(prefix: &str) -> Result<(), String> {
    if !prefix.starts_with('/') {
        return Err(format!("`{prefix}` does not begin with `/`"));
    }
    check_path_text(prefix)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn after(steps: &[PathStep], path: &str) -> Option<String> {
        Some(rewrite(steps, path.as_bytes())?.escape_ascii().to_string())
    }

    fn regex(regex: &str, with: &str) -> PathStep {
        PathStep::Replace { regex: Pattern::regex(regex).unwrap(), with: with.to_owned() }
    }

    #[test]
    fn a_prefix_goes_only_where_a_segment_ends() {
        for prefix in ["/api", "/api/"] {
            let steps = [PathStep::StripPrefix(prefix.to_owned())];
            for (before, path) in [
                ("/api/a//b", "/a//b"),
                ("/api", "/"),
                ("/api/", "/"),
                ("/apis/a", "/apis/a"),
                ("/x/api/a", "/x/api/a"),
                ("", "/"),
            ] {
                assert_eq!(after(&steps, before).as_deref(), Some(path), "{prefix} {before}");
            }
        }
    }

    #[test]
    fn steps_follow_each_other() {
        let steps = [
            PathStep::StripPrefix("/v1".to_owned()),
            regex(r"^/users/(\d+)", "/people/${1}x"),
            PathStep::AddPrefix("/v2".to_owned()),
        ];
        assert_eq!(after(&steps, "/v1/users/12/a").as_deref(), Some("/v2/people/12x/a"));
        assert_eq!(after(&steps, "/v1").as_deref(), Some("/v2/"));
    }

    #[test]
    fn the_first_match_is_replaced_in_any_bytes() {
        assert_eq!(after(&[regex("a", "b")], "/a/a").as_deref(), Some("/b/a"));
        assert_eq!(rewrite(&[regex(r"(?-u:\xff)", "")], b"/\xff").unwrap(), b"/");
        let named = regex("^/(?P<first>[^/]+)/(?P<second>[^/]+)", "/$second/$first");
        assert_eq!(after(&[named], "/a/b/c").as_deref(), Some("/b/a/c"));
    }

    #[test]
    fn a_path_stays_a_path() {
        assert_eq!(after(&[regex("^/", "")], "/a"), None);
        let growing: Vec<_> = (0..64).map(|_| regex("^.*$", "$0$0")).collect();
        assert_eq!(after(&growing, "/a"), None);
        assert!(check_path_prefix("/a%20b").is_ok());
        for bad in ["a", "/a b", "/a?b", "/a#", "/\u{e4}"] {
            assert!(check_path_prefix(bad).is_err(), "{bad}");
        }
    }
}
