//! What a copy must be: the bytes that production got, with the documented differences and no other.

use testbed::backend::Request;
use testbed::haproxy::Version;

/// How a copy may differ from what production gets.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The mirror URL's path.
    pub(crate) prefix: String,
    /// The line that marks copies, without CRLF.
    pub(crate) marker: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { prefix: String::new(), marker: Some("x-shadow: 1".to_owned()) }
    }
}

/// One request as it came to production and to the shadow.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) production: Request,
    pub(crate) shadow: Request,
}

impl Pair {
    /// The shadow got what [`expected`] says, to the byte.
    #[track_caller]
    pub(crate) fn assert_faithful(&self, rules: &Rules, version: Version) {
        let expected = expected(&self.production, rules);
        let shadow = self.shadow.raw();
        assert!(
            shadow == expected && self.shadow.complete,
            "HAProxy {version}: the copy differs at byte {} from what production got, changed as \
             documented\nproduction {:?}\n  expected {}\n    shadow {:?}",
            expected.iter().zip(&shadow).take_while(|(left, right)| left == right).count(),
            self.production,
            expected[..expected.len().min(3000)].escape_ascii(),
            self.shadow
        );
    }
}

/// Headers that belong to the connection that a request came on (RFC 9110, section 7.6.1, and what older
/// documents add), or to the framing of its body there.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "transfer-encoding",
];

/// The bytes of the copy of a request that came to production as `production`:
/// - the mirror URL's path stands before the request's;
/// - hop-by-hop headers are gone, also those that Connection names;
/// - a chunked body is in one piece, its length where `transfer-encoding` stood;
/// - the marker comes last.
pub(crate) fn expected(production: &Request, rules: &Rules) -> Vec<u8> {
    let named: Vec<Vec<u8>> = production
        .header_values("connection")
        .iter()
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .collect();
    let marker = rules.marker.as_ref().map(|line| line.split(':').next().unwrap());
    let mut copy = [
        production.method(),
        b" ",
        &prefixed(production.target(), &rules.prefix),
        b" ",
        production.version(),
        b"\r\n",
    ]
    .concat();
    for line in production.header_lines() {
        let name = line.split(|&byte| byte == b':').next().unwrap().to_ascii_lowercase();
        if name == b"transfer-encoding" {
            copy.extend(format!("content-length: {}\r\n", production.body.len()).into_bytes());
        }
        let gone = HOP_BY_HOP.iter().any(|gone| gone.as_bytes() == name)
            || named.contains(&name)
            || marker.is_some_and(|marker| marker.as_bytes() == name);
        if !gone {
            copy.extend_from_slice(line);
            copy.extend_from_slice(b"\r\n");
        }
    }
    if let Some(line) = &rules.marker {
        copy.extend(format!("{line}\r\n").into_bytes());
    }
    copy.extend_from_slice(b"\r\n");
    copy.extend_from_slice(&production.body);
    copy
}

/// A request target with `prefix` before its path. What has no path (`*`, `host:port`) stays.
fn prefixed(target: &[u8], prefix: &str) -> Vec<u8> {
    let scheme = target.windows(3).position(|window| window == b"://");
    let path = match scheme {
        _ if target.starts_with(b"/") => 0,
        None => return target.to_vec(),
        Some(scheme) => {
            let authority = scheme + 3;
            let length = target[authority..].iter().position(|byte| b"/?".contains(byte));
            length.map_or(target.len(), |length| authority + length)
        }
    };
    [&target[..path], prefix.as_bytes(), &target[path..]].concat()
}
