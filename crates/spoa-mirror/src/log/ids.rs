//! The ids by which a log line about a copy is found again: the request's, and the trace's.

/// The longest request id that is logged, in bytes; the rest is cut off.
const MAX_ID: usize = 128;

/// The id that HAProxy gave a request, kept for as long as its copy lives.
#[derive(Debug, Clone)]
pub struct RequestId {
    length: usize,
    bytes: [u8; MAX_ID],
}

impl RequestId {
    /// Keeps `id`, cut at 128 bytes.
    #[must_use]
    pub fn new(id: &[u8]) -> Self {
        let length = id.len().min(MAX_ID);
        let mut bytes = [0; MAX_ID];
        bytes[..length].copy_from_slice(&id[..length]);
        Self { length, bytes }
    }

    /// The id.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The request's id: `given` by HAProxy's argument `id`, or the copy's X-Request-ID. `headers` are
/// `name: value` lines as sent.
pub(super) fn request_id<'a>(given: Option<&'a [u8]>, headers: &'a [u8]) -> Option<&'a [u8]> {
    let id = given.or_else(|| header(headers, b"x-request-id"))?;
    let id = &id[..id.len().min(MAX_ID)];
    (!id.is_empty()).then_some(id)
}

/// The id of the trace that the copy's `traceparent` names (W3C Trace Context): 32 hexadecimal digits,
/// not all of them zero.
pub(super) fn trace_id(headers: &[u8]) -> Option<&str> {
    let mut fields = header(headers, b"traceparent")?.split(|&byte| byte == b'-');
    let (version, trace) = (fields.next()?, fields.next()?);
    let hexadecimal = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let valid = version.len() == 2
        && trace.len() == 32
        && trace.iter().all(hexadecimal)
        && trace.iter().any(|&byte| byte != b'0');
    if valid { std::str::from_utf8(trace).ok() } else { None }
}

/// The first header of this name, which is in lower case.
fn header<'a>(headers: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    headers.split(|&byte| byte == b'\n').find_map(|line| {
        let (start, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":")?;
        start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: &[u8] = b"Host: a\r\nX-Request-Id: r-1\r\nX-Request-Id: r-2\r\n\
        Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

    #[test]
    fn what_haproxy_gives_comes_before_the_header() {
        assert_eq!(request_id(None, HEADERS), Some(&b"r-1"[..]));
        assert_eq!(request_id(Some(b"given"), HEADERS), Some(&b"given"[..]));
        assert_eq!(request_id(None, b"host: a\r\nx-request-ids: 1\r\nx-request-id\r\n"), None);
        assert_eq!(request_id(Some(b""), HEADERS), None);
    }

    #[test]
    fn an_id_is_kept_up_to_a_length() {
        assert_eq!(RequestId::new(b"r-1").as_bytes(), b"r-1");
        assert_eq!(RequestId::new(&[b'x'; 1000]).as_bytes(), [b'x'; MAX_ID]);
        let long = [b"x-request-id: ", &[b'x'; 1000][..]].concat();
        assert_eq!(request_id(None, &long), Some(&[b'x'; MAX_ID][..]));
    }

    #[test]
    fn only_a_valid_trace_has_an_id() {
        assert_eq!(trace_id(HEADERS), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            &b"traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01"[..],
            b"traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            b"traceparent: 00-4bf92f\"577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"traceparent: 4bf92f3577b34da6a3ce929d0e0e4736",
            b"traceparent:",
            b"host: a",
        ] {
            assert_eq!(trace_id(bad), None, "{}", bad.escape_ascii());
        }
    }
}
