//! Writes a copy as HTTP/1, straight from the bytes that HAProxy sent.
//!
//! The copy is the request that production gets: the same method, target, headers in their order,
//! and body. Left out is what belongs to the client's connection; added is the marker, and a
//! Content-Length where the client sent the body in chunks.

use std::ops::Range;

use crate::config::TargetConfig;
use crate::exchange::{Exchange, Facts, RequestTarget, Version, is_token};
use crate::outcome::DropReason;
use crate::policy::Approval;

/// Where the parts of a written copy lie in its bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    /// The method.
    pub(super) method: Range<usize>,
    /// The request target.
    pub(super) target: Range<usize>,
    /// The header lines, with the line ending of each, without the empty line.
    pub(super) headers: Range<usize>,
    /// The body.
    pub(super) body: Range<usize>,
    /// HTTP/1.0: the target closes the connection after its answer, whether it says so or not.
    pub(super) closes: bool,
}

/// Appends the copy to `output`.
///
/// # Errors
/// [`DropReason::Malformed`] when a byte of the method or the target would break the framing;
/// `output` then holds a part of the copy, which the caller discards.
pub(super) fn write(
    exchange: &Exchange<'_>,
    facts: &Facts<'_>,
    approval: Approval,
    target: &TargetConfig,
    marker: Option<&str>,
    output: &mut Vec<u8>,
) -> Result<Layout, DropReason> {
    if !is_token(exchange.method) {
        return Err(DropReason::Malformed);
    }
    let mut layout = Layout {
        method: append(exchange.method, output),
        closes: exchange.version == Version::Http10,
        ..Layout::default()
    };
    output.push(b' ');
    let start = output.len();
    write_target(exchange, &target.url.prefix, output);
    layout.target = start..output.len();
    if layout.target.is_empty() || output[layout.target.clone()].iter().any(|&byte| byte <= b' ') {
        return Err(DropReason::Malformed);
    }
    output.extend_from_slice(match exchange.version {
        Version::Http10 => b" HTTP/1.0\r\n",
        Version::Http11 | Version::Later => b" HTTP/1.1\r\n",
    });
    let start = output.len();
    write_headers(exchange, facts, approval, marker, output);
    if let Some(name) = marker {
        output.extend_from_slice(name.as_bytes());
        output.extend_from_slice(b": ");
        write_decimal(u64::from(approval.hops), output);
        if approval.truncated {
            output.extend_from_slice(b"; body=truncated");
        }
        if approval.copies > 1 {
            output.extend_from_slice(b"; copy=");
            write_decimal(u64::from(approval.number), output);
            output.push(b'/');
            write_decimal(u64::from(approval.copies), output);
        }
        output.extend_from_slice(b"\r\n");
    }
    layout.headers = start..output.len();
    output.extend_from_slice(b"\r\n");
    layout.body = append(body(exchange, approval), output);
    Ok(layout)
}

fn body<'a>(exchange: &Exchange<'a>, approval: Approval) -> &'a [u8] {
    if approval.headers_only { &[] } else { exchange.body.bytes }
}

fn write_target(exchange: &Exchange<'_>, prefix: &str, output: &mut Vec<u8>) {
    match exchange.target {
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
            let relative = exchange.version == Version::Later && is_http(origin);
            if relative && path.is_empty() && exchange.method == b"OPTIONS" {
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

fn write_headers(
    exchange: &Exchange<'_>,
    facts: &Facts<'_>,
    approval: Approval,
    marker: Option<&str>,
    output: &mut Vec<u8>,
) {
    let length = body(exchange, approval).len() as u64;
    // Whether a length is still to be written: once, where the client's own framing header stood. A
    // request whose body is left out says that it has none.
    let has_body = !exchange.body.bytes.is_empty();
    let mut owed = facts.chunked || facts.content_length.is_some() || has_body;
    // `facts` was gathered from the same headers without an error.
    for (name, value) in exchange.headers.iter().flatten() {
        let framing = match name.len() {
            14 => name.eq_ignore_ascii_case(b"content-length"),
            17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
            _ => false,
        };
        if framing {
            if std::mem::take(&mut owed) {
                write_length(length, output);
            }
            continue;
        }
        if facts.is_hop_by_hop(name)
            || marker.is_some_and(|marker| name.eq_ignore_ascii_case(marker.as_bytes()))
            // Nobody may expect to be asked for a body that does not come (RFC 9110, section 10.1.1).
            || approval.headers_only && name.eq_ignore_ascii_case(b"expect")
        {
            continue;
        }
        output.extend_from_slice(name);
        output.extend_from_slice(b": ");
        output.extend_from_slice(value);
        output.extend_from_slice(b"\r\n");
    }
    if owed {
        write_length(length, output);
    }
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
    use crate::exchange::{Body, Headers};

    const APPROVAL: Approval =
        Approval { hops: 1, truncated: false, headers_only: false, number: 1, copies: 1 };

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
            message: Message::default(),
        };
        let facts = Facts::gather(&exchange.headers, Some("x-shadow")).unwrap();
        let mut output = Vec::new();
        write(&exchange, &facts, approval, &target(mirror), Some("x-shadow"), &mut output)?;
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
            message: Message::default(),
        };
        for (method, line) in
            [(&b"OPTIONS"[..], &b"OPTIONS * HTTP/1.1\r\n"[..]), (b"GET", b"GET / HTTP/1.1\r\n")]
        {
            let exchange = exchange(method);
            let facts = Facts::gather(&exchange.headers, None).unwrap();
            let mut output = Vec::new();
            write(&exchange, &facts, APPROVAL, &target("http://t"), None, &mut output).unwrap();
            assert!(output.starts_with(line));
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
