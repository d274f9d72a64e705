//! What is kept of an answer that is to be compared: its headers, and its body up to a bound.

use std::sync::Arc;
use std::time::Duration;

use super::half::{End, Extent, HeaderBytes, Recorded};
use super::memory::Weight;

/// An answer as it comes in.
#[derive(Debug)]
pub struct Recording {
    /// Header lines.
    headers: Vec<u8>,
    body: Vec<u8>,
    /// Bytes of the body that are kept.
    max_body: usize,
    /// Bytes of the body so far.
    body_len: u64,
    head_time: Option<Duration>,
    weight: Weight,
    /// There was no room for it.
    lost: bool,
}

impl Recording {
    /// Keeps `max_body` bytes of the body.
    pub(super) fn new(max_body: usize, weight: Weight) -> Self {
        Self {
            headers: Vec::new(),
            body: Vec::new(),
            max_body,
            body_len: 0,
            head_time: None,
            weight,
            lost: false,
        }
    }

    /// Adds a header.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        if self.make_room(name.len() + value.len() + 4, |recording| &mut recording.headers) {
            for part in [name, b": ", value, b"\r\n"] {
                self.headers.extend_from_slice(part);
            }
        }
    }

    /// The head is whole; that it is said again changes nothing.
    pub fn head_at(&mut self, time: Duration) {
        self.head_time.get_or_insert(time);
    }

    /// Adds bytes of the body.
    pub fn body(&mut self, bytes: &[u8]) {
        self.body_len += bytes.len() as u64;
        let room = self.max_body.saturating_sub(self.body.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        if self.make_room(kept.len(), |recording| &mut recording.body) {
            self.body.extend_from_slice(kept);
        }
    }

    /// Makes room for `more` bytes, if there is any: twice as much each time.
    fn make_room(&mut self, more: usize, of: impl Fn(&mut Self) -> &mut Vec<u8>) -> bool {
        let buffer = of(self);
        let (length, capacity) = (buffer.len(), buffer.capacity());
        if length + more > capacity {
            let wanted = (length + more).max(2 * capacity).max(256);
            self.lost = self.lost || !self.weight.grow(wanted - capacity);
            if self.lost {
                return false;
            }
            of(self).reserve_exact(wanted - length);
        }
        !self.lost
    }

    /// The answer, which ended so; `cut` says that its rest was not read.
    #[must_use]
    pub fn end(self, status: u16, cut: bool, time: Duration) -> End {
        if self.lost {
            return End::Lost;
        }
        let extent = match () {
            () if cut => Extent::Part(None),
            () if self.body.len() as u64 != self.body_len => Extent::Part(Some(self.body_len)),
            () => Extent::Whole,
        };
        End::Answered(Arc::new(Recorded {
            status,
            headers: Some(HeaderBytes::Text(self.headers)),
            body: self.body,
            extent,
            head_time: self.head_time,
            time: Some(time),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    fn recording(max_body: usize, memory: usize) -> (Recording, Memory) {
        let memory = Memory::new(memory);
        (Recording::new(max_body, memory.weight()), memory)
    }

    fn recorded(end: End) -> Recorded {
        let End::Answered(recorded) = end else { panic!("{end:?}") };
        Arc::unwrap_or_clone(recorded)
    }

    const TIME: Duration = Duration::from_millis(7);

    #[test]
    fn an_answer_is_kept_as_it_came() {
        let (mut recording, memory) = recording(1000, 10_000);
        recording.header(b"Content-Type", b"text/plain");
        recording.header(b"x", b"");
        recording.head_at(TIME / 2);
        recording.head_at(TIME);
        recording.body(b"hello ");
        recording.body(b"world");
        assert!(memory.held() >= 11);
        let recorded = recorded(recording.end(200, false, TIME));
        assert_eq!(
            recorded.headers().unwrap(),
            [(&b"Content-Type"[..], &b"text/plain"[..]), (b"x", b"")]
        );
        assert_eq!((recorded.status, &*recorded.body), (200, &b"hello world"[..]));
        assert_eq!(recorded.extent, Extent::Whole);
        assert_eq!((recorded.head_time, recorded.time), (Some(TIME / 2), Some(TIME)));
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn of_a_long_body_the_beginning_and_the_length_are_kept() {
        let (mut recording, _memory) = recording(4, 10_000);
        recording.body(b"123");
        recording.body(b"456");
        recording.body(b"789");
        let recorded = recorded(recording.end(200, false, TIME));
        assert_eq!((&*recorded.body, recorded.extent), (&b"1234"[..], Extent::Part(Some(9))));
    }

    #[test]
    fn of_an_answer_that_was_not_read_to_its_end_no_length_is_known() {
        let (mut recording, _memory) = recording(100, 10_000);
        recording.body(b"123");
        assert_eq!(recorded(recording.end(200, true, TIME)).extent, Extent::Part(None));
    }

    #[test]
    fn what_there_is_no_room_for_is_lost_and_stays_so() {
        let (mut recording, memory) = recording(1 << 20, 4096);
        for _ in 0..100 {
            recording.body(&[b'x'; 100]);
        }
        recording.body(b"");
        assert!(memory.held() <= 4096);
        assert!(matches!(recording.end(200, false, TIME), End::Lost));
        assert_eq!(memory.held(), 0);
    }
}
