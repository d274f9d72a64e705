//! The body that HAProxy handed over, and whether it is all of it.
//!
//! HAProxy gives what its buffer holds. A longer body arrives as a prefix, and nothing in the
//! protocol says so: it shows only against what the headers promise.

use super::Facts;

/// A body as it came.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// The bytes; empty when there are none or the argument is missing.
    pub bytes: &'a [u8],
    /// Whether the message has the argument, with a value.
    pub given: bool,
    /// HAProxy's `req.body_size`, when the message has it.
    pub stated_size: Option<u64>,
}

/// Whether a body is all that the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// It is, or the request has none.
    Complete,
    /// A part is missing: the bytes there should be, where that is known.
    Truncated {
        /// The length that the headers or HAProxy state.
        expected: u64,
    },
    /// It has no stated length and comes close to what HAProxy's buffer holds, or nothing of it
    /// came: the client sent none, HAProxy did not wait for it, or the message does not hand it over.
    Unknown,
    /// More bytes than Content-Length says.
    Overlong,
}

/// What HAProxy keeps free in its buffer for rewriting headers by default (`tune.maxrewrite`), in
/// bytes: a body that fills the rest may go on.
const MAX_REWRITE: usize = 1024;

/// What HAProxy's buffer holds besides the bytes that we see, in bytes: for the request, and for
/// each header.
const BUFFER_OVERHEAD: usize = 256;
const HEADER_OVERHEAD: usize = 16;

impl Body<'_> {
    /// Judges the body by the request's headers and by the size of HAProxy's buffer, for which
    /// `frame_limit` (the SPOP frame size that HAProxy offers, 4 bytes less) stands in;
    /// `payload_len` is the length of the NOTIFY payload that held it all, in bytes.
    #[must_use]
    pub fn completeness(
        &self,
        facts: &Facts<'_>,
        payload_len: usize,
        frame_limit: u32,
    ) -> Completeness {
        let received = self.bytes.len() as u64;
        if let Some(expected) = facts.content_length {
            return match received.cmp(&expected) {
                std::cmp::Ordering::Equal => Completeness::Complete,
                std::cmp::Ordering::Less => Completeness::Truncated { expected },
                std::cmp::Ordering::Greater => Completeness::Overlong,
            };
        }
        if let Some(expected) = self.stated_size.filter(|&size| size > received) {
            return Completeness::Truncated { expected };
        }
        if received == 0 {
            // A chunked body without a byte is what comes when HAProxy does not wait for bodies.
            return if facts.chunked { Completeness::Unknown } else { Completeness::Complete };
        }
        let used = in_buffer(payload_len as u64, facts.count);
        if !self.given || used >= u64::from(frame_limit) {
            return Completeness::Unknown;
        }
        Completeness::Complete
    }
}

/// The least size of a buffer that holds these bytes of a message with `headers` headers, and is not full.
pub(super) fn in_buffer(bytes: u64, headers: usize) -> u64 {
    bytes + (BUFFER_OVERHEAD + HEADER_OVERHEAD * headers + MAX_REWRITE) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(bytes: usize, content_length: Option<u64>, chunked: bool) -> Completeness {
        let bytes = vec![b'x'; bytes];
        let body = Body { bytes: &bytes, given: true, stated_size: None };
        let facts = Facts { content_length, chunked, count: 5, ..Facts::default() };
        body.completeness(&facts, bytes.len() + 200, 16380)
    }

    #[test]
    fn a_content_length_settles_it() {
        assert_eq!(judge(10, Some(10), false), Completeness::Complete);
        assert_eq!(judge(0, Some(0), false), Completeness::Complete);
        assert_eq!(judge(15087, Some(20480), false), Completeness::Truncated { expected: 20480 });
        assert_eq!(judge(0, Some(1), false), Completeness::Truncated { expected: 1 });
        assert_eq!(judge(11, Some(10), false), Completeness::Overlong);
    }

    #[test]
    fn a_chunked_body_is_sure_only_well_below_the_buffer() {
        assert_eq!(judge(12, None, true), Completeness::Complete);
        assert_eq!(judge(14_000, None, true), Completeness::Complete);
        // What HAProxy 2.6 and 3.4 hand over of a longer chunked body with the default buffer.
        assert_eq!(judge(15_087, None, true), Completeness::Unknown);
        assert_eq!(judge(15_095, None, true), Completeness::Unknown);
    }

    #[test]
    fn a_chunked_body_of_which_nothing_came_is_not_known_to_be_empty() {
        assert_eq!(judge(0, None, true), Completeness::Unknown);
        assert_eq!(judge(0, None, false), Completeness::Complete);
    }

    #[test]
    fn the_stated_size_tells_a_cut_chunked_body() {
        let body = Body { bytes: b"abc", given: true, stated_size: Some(5) };
        let facts = Facts { chunked: true, ..Facts::default() };
        assert_eq!(body.completeness(&facts, 100, 16380), Completeness::Truncated { expected: 5 });
    }

    #[test]
    fn a_message_without_bodies_leaves_a_chunked_one_unknown() {
        let body = Body { bytes: b"", given: false, stated_size: None };
        let facts = Facts { chunked: true, ..Facts::default() };
        assert_eq!(body.completeness(&facts, 100, 16380), Completeness::Unknown);
        assert_eq!(body.completeness(&Facts::default(), 100, 16380), Completeness::Complete);
    }
}
