//! The request target in its forms (RFC 9112, section 3.2).

/// A request target as HAProxy gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestTarget<'a> {
    /// `/path?query`.
    Origin {
        /// The path, with the query when HAProxy gave both in one.
        path: &'a [u8],
        /// The query when HAProxy gave it by itself, without the question mark.
        query: &'a [u8],
    },
    /// `scheme://authority/path?query`: a request to a proxy, and every HTTP/2 request.
    Absolute {
        /// Scheme and authority.
        origin: &'a [u8],
        /// Path and query; may be empty.
        path: &'a [u8],
    },
    /// `*`: OPTIONS on the server as a whole.
    Asterisk,
    /// `host:port`: what CONNECT has; HAProxy 2.6 passes it with other methods too.
    Authority(&'a [u8]),
}

impl<'a> RequestTarget<'a> {
    /// Takes HAProxy's `url` apart.
    #[must_use]
    pub fn from_url(url: &'a [u8]) -> Self {
        if url.first() == Some(&b'/') {
            return Self::Origin { path: url, query: &[] };
        }
        if url == b"*" {
            return Self::Asterisk;
        }
        let Some(scheme) = url.windows(3).position(|window| window == b"://") else {
            return Self::Authority(url);
        };
        let authority = scheme + 3;
        let path = url[authority..]
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .map_or(url.len(), |at| authority + at);
        let (origin, path) = url.split_at(path);
        Self::Absolute { origin, path }
    }

    /// The path, with the query where HAProxy gave both in one; `*` or `host:port` where there is none.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        match *self {
            Self::Origin { path, .. } => path,
            Self::Absolute { path, .. } => match path.first() {
                Some(b'/') => path,
                _ => b"/",
            },
            Self::Asterisk => b"*",
            Self::Authority(authority) => authority,
        }
    }

    /// A target from HAProxy's `path` (or `pathq`) and `query`.
    #[must_use]
    pub fn from_path(path: &'a [u8], query: &'a [u8]) -> Self {
        if path == b"*" { Self::Asterisk } else { Self::Origin { path, query } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let absolute = |origin, path| RequestTarget::Absolute { origin, path };
        for (url, target) in [
            (&b"/a?b"[..], RequestTarget::Origin { path: b"/a?b", query: b"" }),
            (b"*", RequestTarget::Asterisk),
            (b"example.com:443", RequestTarget::Authority(b"example.com:443")),
            (b"https://h/p?q", absolute(&b"https://h"[..], &b"/p?q"[..])),
            (b"http://h", absolute(b"http://h", b"")),
            (b"http://h?q=/", absolute(b"http://h", b"?q=/")),
            (b"//h/p", RequestTarget::Origin { path: b"//h/p", query: b"" }),
            (b"", RequestTarget::Authority(b"")),
        ] {
            assert_eq!(RequestTarget::from_url(url), target, "{}", url.escape_ascii());
        }
    }
}
