//! What a comparison is given: two responses to one request, as far as they were seen.

use std::time::SystemTime;

/// Two responses to one request.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'p> {
    /// The request's method: a response to HEAD has no body.
    pub method: &'p [u8],
    /// The endpoint, `GET /orders/{id}` say: what the endpoint patterns of rules are held against.
    pub endpoint: &'p str,
    /// When the responses came about: times near it differ by nature.
    pub now: SystemTime,
    /// Production's response.
    pub production: Response<'p>,
    /// The shadow's response.
    pub shadow: Response<'p>,
}

/// One response, as far as it was seen.
#[derive(Debug, Clone, Copy)]
pub struct Response<'r> {
    /// The status: 200, say.
    pub status: u16,
    /// Names and values of the headers, in the order in which they came.
    pub headers: &'r [(&'r [u8], &'r [u8])],
    /// The body.
    pub body: Body<'r>,
}

/// What is known of a body: its bytes as they were sent, still compressed if they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'r> {
    /// All of it. A Content-Length that says otherwise makes it a part.
    Whole(&'r [u8]),
    /// Only its beginning: HAProxy's buffer or a cap cut it off, or the rest was not there yet.
    Part {
        /// The beginning.
        bytes: &'r [u8],
        /// The size of the whole in bytes, where it is known.
        total: Option<u64>,
    },
    /// Nothing: not handed over, lost, or not known to be complete.
    Unknown,
}

impl<'r> Body<'r> {
    /// The body of which `bytes` arrived and which is `total` bytes long, if anything tells.
    /// Without a total nothing says that these bytes are all.
    #[must_use]
    pub fn arrived(bytes: &'r [u8], total: Option<u64>) -> Self {
        if total == Some(bytes.len() as u64) {
            Self::Whole(bytes)
        } else {
            Self::Part { bytes, total: total.filter(|&total| total > bytes.len() as u64) }
        }
    }
}

impl<'r> Response<'r> {
    /// The value of the only header, or the first of several, with this name in lower case.
    pub(crate) fn header(&self, name: &[u8]) -> Option<&'r [u8]> {
        self.headers
            .iter()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|&(_, value)| value.trim_ascii())
    }

    /// The size that Content-Length announces, in bytes.
    pub(crate) fn content_length(&self) -> Option<u64> {
        let digits = self.header(b"content-length")?;
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The body, or less where Content-Length says that there is more, or that these are not its
    /// bytes at all.
    pub(crate) fn sure_body(&self) -> Body<'r> {
        let announced = self.content_length();
        match (self.body, announced) {
            (Body::Whole(bytes), Some(length)) if length > bytes.len() as u64 => {
                Body::Part { bytes, total: announced }
            }
            (Body::Whole(bytes), Some(length)) if length < bytes.len() as u64 => Body::Unknown,
            (Body::Part { bytes, total: None }, Some(_)) => Body::arrived(bytes, announced),
            (body, _) => body,
        }
    }

    /// The size of the body in bytes, where anything tells.
    pub(crate) fn body_size(&self) -> Option<u64> {
        match self.sure_body() {
            Body::Whole(bytes) => Some(bytes.len() as u64),
            Body::Part { total, .. } => total,
            Body::Unknown => self.content_length(),
        }
    }
}

impl Pair<'_> {
    /// Whether one of the responses has no body by its nature (RFC 9110 sections 9.3.2, 15.3.5,
    /// 15.4.5): then there is nothing to compare.
    pub(crate) fn without_bodies(&self) -> bool {
        let bodiless = |status: u16| matches!(status, 100..=199 | 204 | 304);
        self.method == b"HEAD" || bodiless(self.production.status) || bodiless(self.shadow.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response<'r>(headers: &'r [(&'r [u8], &'r [u8])], body: Body<'r>) -> Response<'r> {
        Response { status: 200, headers, body }
    }

    #[test]
    fn a_body_is_whole_only_if_its_length_says_nothing_else() {
        let five: &[(&[u8], &[u8])] = &[(b"content-LENGTH", b" 5 ")];
        assert_eq!(response(five, Body::Whole(b"12345")).sure_body(), Body::Whole(b"12345"));
        assert_eq!(
            response(five, Body::Whole(b"123")).sure_body(),
            Body::Part { bytes: b"123", total: Some(5) }
        );
        assert_eq!(response(five, Body::Whole(b"1234567")).sure_body(), Body::Unknown);
        assert_eq!(
            response(five, Body::Part { bytes: b"12345", total: None }).sure_body(),
            Body::Whole(b"12345")
        );
        assert_eq!(response(&[], Body::Whole(b"123")).sure_body(), Body::Whole(b"123"));
    }

    #[test]
    fn what_arrived_is_whole_when_it_has_the_announced_size() {
        assert_eq!(Body::arrived(b"abc", Some(3)), Body::Whole(b"abc"));
        assert_eq!(Body::arrived(b"abc", Some(9)), Body::Part { bytes: b"abc", total: Some(9) });
        assert_eq!(Body::arrived(b"abc", None), Body::Part { bytes: b"abc", total: None });
    }

    #[test]
    fn a_length_that_is_no_number_says_nothing() {
        for value in [&b""[..], b"+5", b"5, 5", b"99999999999999999999999"] {
            assert_eq!(
                response(&[(b"Content-Length", value)], Body::Unknown).content_length(),
                None
            );
        }
    }
}
