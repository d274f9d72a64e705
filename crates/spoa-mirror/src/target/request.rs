//! Writes a copy as HTTP/1, straight from the bytes that HAProxy sent; for a target with rules that
//! alter copies, from a draft.
//!
//! The copy is the request that production gets: the same method, target, headers in their order,
//! and body. Left out is what belongs to the client's connection; added is the marker, and a
//! Content-Length where the client sent the body in chunks.

use std::ops::Range;

use crate::comparison::Turn;
use crate::config::TargetConfig;
use crate::exchange::{RequestTarget, Version, is_framing, is_target, is_token};
use crate::outcome::DropReason;
use crate::policy::rewrite::Rewriter;
use crate::policy::{Approval, Request};

/// Where the parts of a written copy lie in its bytes.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// The method.
    pub method: Range<usize>,
    /// The request target.
    pub target: Range<usize>,
    /// The header lines, with the line ending of each, without the empty line.
    pub headers: Range<usize>,
    /// The body.
    pub body: Range<usize>,
    /// HTTP/1.0: the target closes the connection after its answer, whether it says so or not.
    pub closes: bool,
}

/// What a copy is written from, besides its headers: the request, or a draft made from it.
struct Parts<'a> {
    method: &'a [u8],
    target: RequestTarget<'a>,
    version: Version,
    body: &'a [u8],
    /// Whether a length is told even without a byte of body.
    has_length: bool,
}

/// Appends the copy to `output`, as `rewriter` alters it.
///
/// # Errors
/// [`DropReason::Malformed`] when a byte of the method or the target would break the framing, and
/// what [`Rewriter::draft`] gives; `output` then holds a part of the copy, which the caller discards.
pub fn write(
    request: &Request<'_>,
    approval: Approval,
    target: &TargetConfig,
    rewriter: Option<&Rewriter>,
    marker: Option<&str>,
    output: &mut Vec<u8>,
) -> Result<Layout, DropReason> {
    let exchange = &request.exchange;
    let Ok(facts) = &request.facts else { return Err(DropReason::Malformed) };
    let headers = facts.copied(&exchange.headers, marker).filter(|(name, _)| {
        // Nobody may expect to be asked for a body that does not come (RFC 9110, section 10.1.1).
        !(approval.headers_only && name.eq_ignore_ascii_case(b"expect"))
    });
    let body = exchange.body.bytes;
    let parts = Parts {
        method: exchange.method,
        target: exchange.target,
        version: exchange.version,
        body: if approval.headers_only { &[] } else { body },
        // A request whose body is left out says that it has none.
        has_length: facts.chunked || facts.content_length.is_some() || !body.is_empty(),
    };
    let mut write = Writer { approval, prefix: &target.url.prefix, marker, output };
    match rewriter {
        None => write.copy(&parts, headers),
        Some(rewriter) => {
            let draft = rewriter.draft(request, headers, parts.body, approval.truncated)?;
            let parts = Parts { target: draft.target(), body: draft.body(), ..parts };
            write.copy(&parts, draft.headers())
        }
    }
}

struct Writer<'w> {
    approval: Approval,
    /// The path of the target's URL.
    prefix: &'w str,
    marker: Option<&'w str>,
    output: &'w mut Vec<u8>,
}

impl Writer<'_> {
    fn copy<'h>(
        &mut self,
        parts: &Parts<'_>,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) -> Result<Layout, DropReason> {
        if !is_token(parts.method) {
            return Err(DropReason::Malformed);
        }
        let output = &mut *self.output;
        let mut layout = Layout {
            method: append(parts.method, output),
            closes: parts.version == Version::Http10,
            ..Layout::default()
        };
        output.push(b' ');
        let start = output.len();
        write_target(parts, self.prefix, output);
        layout.target = start..output.len();
        if !is_target(&output[layout.target.clone()]) {
            return Err(DropReason::Malformed);
        }
        output.extend_from_slice(match parts.version {
            Version::Http10 => b" HTTP/1.0\r\n",
            Version::Http11 | Version::Later => b" HTTP/1.1\r\n",
        });
        let start = output.len();
        self.headers(parts, headers);
        self.mark();
        let output = &mut *self.output;
        layout.headers = start..output.len();
        output.extend_from_slice(b"\r\n");
        layout.body = append(parts.body, output);
        Ok(layout)
    }

    fn headers<'h>(
        &mut self,
        parts: &Parts<'_>,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) {
        let output = &mut *self.output;
        let length = parts.body.len() as u64;
        // Whether a length is still to be written: once, where the client's own framing header stood.
        let mut owed = parts.has_length;
        headers.for_each(|(name, value)| {
            if !is_framing(name) {
                output.extend_from_slice(name);
                output.extend_from_slice(b": ");
                output.extend_from_slice(value);
                output.extend_from_slice(b"\r\n");
            } else if std::mem::take(&mut owed) {
                write_length(length, output);
            }
        });
        if owed {
            write_length(length, output);
        }
    }

    fn mark(&mut self) {
        let Some(name) = self.marker else { return };
        self.output.extend_from_slice(name.as_bytes());
        self.output.extend_from_slice(b": ");
        write_decimal(u64::from(self.approval.hops), self.output);
        if self.approval.truncated {
            self.output.extend_from_slice(b"; body=truncated");
        }
        if self.approval.copies > 1 {
            self.output.extend_from_slice(b"; copy=");
            write_decimal(u64::from(self.approval.number), self.output);
            self.output.push(b'/');
            write_decimal(u64::from(self.approval.copies), self.output);
        }
        if self.approval.turn == Some(Turn::Second) {
            self.output.extend_from_slice(b"; repeat");
        }
        self.output.extend_from_slice(b"\r\n");
    }
}

fn write_target(parts: &Parts<'_>, prefix: &str, output: &mut Vec<u8>) {
    match parts.target {
        RequestTarget::Origin { path, query } => {
            output.extend_from_slice(prefix.as_bytes());
            output.extend_from_slice(path);
            if !query.is_empty() {
                output.push(b'?');
                output.extend_from_slice(query);
            }
        }
        RequestTarget::Absolute { origin, path } => {
            // HAProxy passes an HTTP/1 client's absolute target on as it is, and makes an HTTP/2
            // client's relative.
            let relative = parts.version == Version::Later && is_http(origin);
            if relative && path.is_empty() && parts.method == b"OPTIONS" {
                output.push(b'*');
                return;
            }
            if !relative {
                output.extend_from_slice(origin);
            }
            output.extend_from_slice(prefix.as_bytes());
            if relative && prefix.is_empty() && !path.starts_with(b"/") {
                output.push(b'/');
            }
            output.extend_from_slice(path);
        }
        // Neither has a path that the prefix could stand before.
        RequestTarget::Asterisk => output.push(b'*'),
        RequestTarget::Authority(authority) => output.extend_from_slice(authority),
    }
}

fn is_http(origin: &[u8]) -> bool {
    let scheme = origin.split(|&byte| byte == b':').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
}

fn write_length(length: u64, output: &mut Vec<u8>) {
    output.extend_from_slice(b"content-length: ");
    write_decimal(length, output);
    output.extend_from_slice(b"\r\n");
}

fn append(bytes: &[u8], output: &mut Vec<u8>) -> Range<usize> {
    let start = output.len();
    output.extend_from_slice(bytes);
    start..output.len()
}

fn write_decimal(mut number: u64, output: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        #[allow(clippy::cast_possible_truncation)] // below 10
        let digit = (number % 10) as u8;
        digits[at] = b'0' + digit;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    output.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use spop_proto::Message;

    use super::*;
    use crate::config::tests_support::target;
    use crate::exchange::{Body, Completeness, Exchange, Facts, Headers};

    const APPROVAL: Approval = Approval {
        hops: 1,
        truncated: false,
        headers_only: false,
        number: 1,
        copies: 1,
        turn: None,
    };

    fn request<'a>(exchange: &Exchange<'a>) -> Request<'a> {
        let facts = Facts::gather(&exchange.headers, Some("x-shadow"));
        Request::new(exchange, facts, Completeness::Complete, 0)
    }

    fn copy(
        url: &[u8],
        version: Version,
        headers: &[(&str, &[u8])],
        body: &[u8],
        mirror: &str,
    ) -> Result<String, DropReason> {
        approved_copy(url, version, headers, body, mirror, APPROVAL)
    }

    fn approved_copy(
        url: &[u8],
        version: Version,
        headers: &[(&str, &[u8])],
        body: &[u8],
        mirror: &str,
        approval: Approval,
    ) -> Result<String, DropReason> {
        let mut block = Vec::new();
        let pairs = headers.iter().map(|&(name, value)| (name.as_bytes(), value));
        spop_proto::encode_header_block(pairs, &mut block);
        let exchange = Exchange {
            method: b"POST",
            target: RequestTarget::from_url(url),
            version,
            headers: Headers::Block(&block),
            body: Body { bytes: body, given: true, stated_size: None },
            id: None,
            message: Message::default(),
        };
        let request = request(&exchange);
        let mut output = Vec::new();
        write(&request, approval, &target(mirror), None, Some("x-shadow"), &mut output)?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    fn target_of(url: &str, version: Version, mirror: &str) -> String {
        let copy = copy(url.as_bytes(), version, &[], b"", mirror).unwrap();
        copy.split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn targets_follow_the_prefix_of_the_mirror_url() {
        use Version::{Http11, Later};
        for (url, version, mirror, expected) in [
            ("/a//b/../c?d=%20", Http11, "http://t", "/a//b/../c?d=%20"),
            ("/a", Http11, "http://t/p/", "/p/a"),
            ("https://h/a?b", Later, "http://t", "/a?b"),
            ("https://h/a?b", Later, "http://t/p", "/p/a?b"),
            ("https://h", Later, "http://t", "/"),
            ("coap://h/a", Later, "http://t", "coap://h/a"),
            ("http://h/a", Http11, "http://t", "http://h/a"),
            ("http://h/a", Http11, "http://t/p", "http://h/p/a"),
            ("http://h", Http11, "http://t", "http://h"),
            ("http://h?q", Http11, "http://t/p", "http://h/p?q"),
            ("*", Http11, "http://t/p", "*"),
            ("h:80", Http11, "http://t/p", "h:80"),
        ] {
            assert_eq!(target_of(url, version, mirror), expected, "{url} {mirror}");
        }
    }

    #[test]
    fn options_for_the_whole_server_over_http2_has_no_path() {
        let exchange = |method| Exchange {
            method,
            target: RequestTarget::from_url(b"https://h"),
            version: Version::Later,
            headers: Headers::Text(b""),
            body: Body { bytes: b"", given: true, stated_size: None },
            id: None,
            message: Message::default(),
        };
        for (method, line) in
            [(&b"OPTIONS"[..], &b"OPTIONS * HTTP/1.1\r\n"[..]), (b"GET", b"GET / HTTP/1.1\r\n")]
        {
            let exchange = exchange(method);
            let mut output = Vec::new();
            let request = request(&exchange);
            write(&request, APPROVAL, &target("http://t"), None, None, &mut output).unwrap();
            assert!(output.starts_with(line));
        }
    }

    /// Rules about what a request does not have change no byte of its copy.
    #[test]
    fn a_draft_without_changes_is_the_request() {
        let mut altered = target("http://t/p");
        altered.rewrite.headers_remove = vec!["x-none".to_owned()];
        altered.rewrite.query_remove = vec!["none".to_owned()];
        altered.redact.rules = crate::policy::redact::default_rules();
        let rewriter = Rewriter::new(&altered).unwrap();
        let headers = b"Host: h\r\nconnection: x-hop\r\nx-hop: 1\r\nTransfer-Encoding: chunked\r\n\
            content-length: 9\r\nX-A:  b \r\nx-shadow: 1\r\ncontent-type: image/png\r\n\r\n";
        for url in ["/", "/a?", "/a?b=%20&&c", "//a?b?c#d", "http://h", "http://h?a", "*", "h:80"] {
            for (version, headers_only) in [(Version::Http11, false), (Version::Later, true)] {
                for (path, query) in [(url, ""), ("/split", "x=1")] {
                    let target = if query.is_empty() {
                        RequestTarget::from_url(path.as_bytes())
                    } else {
                        RequestTarget::from_path(path.as_bytes(), query.as_bytes())
                    };
                    let exchange = Exchange {
                        method: b"OPTIONS",
                        target,
                        version,
                        headers: Headers::Text(headers),
                        body: Body { bytes: b"abc", given: true, stated_size: None },
                        id: None,
                        message: Message::default(),
                    };
                    let request = request(&exchange);
                    let approval = Approval { headers_only, copies: 2, ..APPROVAL };
                    let copy = |rewriter| {
                        let mut output = Vec::new();
                        let marker = Some("x-shadow");
                        write(&request, approval, &altered, rewriter, marker, &mut output).unwrap();
                        output.escape_ascii().to_string()
                    };
                    assert_eq!(copy(Some(&rewriter)), copy(None), "{path} {query}");
                }
            }
        }
    }

    #[test]
    fn a_chunked_body_gets_its_length_where_the_encoding_stood() {
        let headers: &[(&str, &[u8])] =
            &[("host", b"h"), ("transfer-encoding", b"chunked"), ("x", b"1")];
        assert_eq!(
            copy(b"/", Version::Http11, headers, b"abc", "http://t").unwrap(),
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\nx: 1\r\nx-shadow: 1\r\n\r\nabc"
        );
        assert!(
            copy(b"/", Version::Http11, headers, b"", "http://t")
                .unwrap()
                .contains("content-length: 0\r\n")
        );
    }

    /// Whatever announced the body, the target waits for none.
    #[test]
    fn a_body_that_is_left_out_has_no_length() {
        let approval = Approval { truncated: true, headers_only: true, ..APPROVAL };
        let rest = [("expect", &b"100-continue"[..]), ("content-type", b"text/plain")];
        for framing in
            [Some(("content-length", &b"100"[..])), Some(("transfer-encoding", b"chunked")), None]
        {
            let headers: Vec<_> = framing.into_iter().chain(rest).collect();
            let copy =
                approved_copy(b"/", Version::Http11, &headers, b"part", "http://t", approval)
                    .unwrap();
            let (length, rest) = ("content-length: 0\r\n", "content-type: text/plain\r\n");
            let order = if framing.is_some() { [length, rest] } else { [rest, length] }.concat();
            let marker = "x-shadow: 1; body=truncated";
            assert_eq!(copy, format!("POST / HTTP/1.1\r\n{order}{marker}\r\n\r\n"));
        }
    }

    #[test]
    fn copies_of_one_request_are_numbered() {
        let approval = Approval { truncated: true, number: 2, copies: 3, ..APPROVAL };
        let copy = approved_copy(b"/", Version::Http11, &[], b"", "http://t", approval).unwrap();
        let marker = "x-shadow: 1; body=truncated; copy=2/3";
        assert_eq!(copy, format!("POST / HTTP/1.1\r\n{marker}\r\n\r\n"));
    }

    /// And nothing else: a first copy is what it is without a second one.
    #[test]
    fn a_second_copy_for_the_control_says_so() {
        for (turn, marker) in [
            (None, "x-shadow: 1"),
            (Some(Turn::Only), "x-shadow: 1"),
            (Some(Turn::First), "x-shadow: 1"),
            (Some(Turn::Second), "x-shadow: 1; repeat"),
        ] {
            let approval = Approval { turn, ..APPROVAL };
            let copy =
                approved_copy(b"/", Version::Http11, &[], b"", "http://t", approval).unwrap();
            assert_eq!(copy, format!("POST / HTTP/1.1\r\n{marker}\r\n\r\n"));
        }
    }

    #[test]
    fn no_body_and_no_length_stay_so() {
        assert_eq!(
            copy(b"/", Version::Http10, &[("x-shadow", b"7")], b"", "http://t").unwrap(),
            "POST / HTTP/1.0\r\nx-shadow: 1\r\n\r\n"
        );
    }

    #[test]
    fn two_equal_lengths_become_one() {
        let headers: &[(&str, &[u8])] = &[("content-length", b"1"), ("content-length", b"1")];
        let copy = copy(b"/", Version::Http11, headers, b"a", "http://t").unwrap();
        assert_eq!(copy.matches("content-length").count(), 1);
    }

    #[test]
    fn a_target_that_would_break_the_request_line_is_refused() {
        for url in [&b""[..], b"/a b", b"/a\r\nx: y", b"/a\0", b"/\t"] {
            let copy = copy(url, Version::Http11, &[], b"", "http://t");
            assert_eq!(copy.unwrap_err(), DropReason::Malformed);
        }
    }

    #[test]
    fn numbers() {
        for number in [0, 9, 10, 12345, u64::MAX] {
            let mut output = Vec::new();
            write_decimal(number, &mut output);
            assert_eq!(output, number.to_string().as_bytes());
        }
    }
}
