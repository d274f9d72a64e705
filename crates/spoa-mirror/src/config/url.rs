//! The URL of a target.

use std::fmt;
use std::str::FromStr;

/// A mirror URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorUrl {
    /// Whether the scheme is `https`.
    pub https: bool,
    /// The host as written, without brackets.
    pub host: String,
    /// The port, given or the scheme's own.
    pub port: u16,
    /// What comes before each request's path: empty, or `/` and more without a slash at its end.
    pub prefix: String,
}

impl MirrorUrl {
    /// Scheme, host and port as log lines show them: the port only where it is not the scheme's.
    #[must_use]
    pub fn origin(&self) -> String {
        let (scheme, default) = if self.https { ("https", 443) } else { ("http", 80) };
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }
}

impl fmt::Display for MirrorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.prefix)
    }
}

impl FromStr for MirrorUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other => return Err(format!("scheme `{other}` is neither http nor https")),
        };
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        if authority.contains('@') {
            return Err("user name and password in the URL are not supported".to_owned());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) =
                    bracketed.split_once(']').ok_or("`]` is missing after the IPv6 address")?;
                host.parse::<std::net::Ipv6Addr>()
                    .map_err(|_| format!("`{host}` is no IPv6 address"))?;
                let port = match port.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if port.is_empty() => None,
                    None => return Err(format!("`{port}` follows the IPv6 address")),
                };
                (host, port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err("the host is missing".to_owned());
        }
        if host.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err("the host holds a space or control character".to_owned());
        }
        let port = match port {
            None => {
                if https {
                    443
                } else {
                    80
                }
            }
            Some(port) => match port.parse::<u16>() {
                Ok(port) if port > 0 => port,
                _ => return Err(format!("port `{port}` is not a number from 1 to 65535")),
            },
        };
        if path.contains(['?', '#']) {
            return Err(
                "a mirror URL has no query and no fragment: each request brings its own".to_owned()
            );
        }
        if path.bytes().any(|b| b <= b' ' || b >= 0x7f) {
            return Err("the path holds a space, a control or a non-ASCII character: \
                        write it percent-encoded"
                .to_owned());
        }
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Self { https, host: host.to_owned(), port, prefix })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn mirror_urls() {
        let url: MirrorUrl = "http://localhost:8100/".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.prefix.as_str()), ("localhost", 8100, ""));
        let url: MirrorUrl = "https://[::1]/a/b/".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.prefix.as_str()), ("::1", 443, "/a/b"));
        assert_eq!(url.to_string(), "https://[::1]/a/b");
        // libcurl takes a URL without a scheme as http; so does this.
        assert_eq!("staging:80".parse::<MirrorUrl>().unwrap().to_string(), "http://staging");
        for bad in [
            "",
            "http://",
            "ftp://x",
            "http://x:0",
            "http://x:70000",
            "http://u:p@x",
            "http://x/?q",
            "http://x/#f",
            "http://[::1",
            "http://[::1]x",
            "http://x/a b",
            "http://a b/",
        ] {
            assert!(bad.parse::<MirrorUrl>().is_err(), "{bad}");
        }
    }
}
