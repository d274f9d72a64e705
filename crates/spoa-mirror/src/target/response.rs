//! Reads an HTTP/1 answer as it comes (RFC 9112): finds its end, keeps its status, and throws the
//! rest away. Bytes in, progress out; no I/O.

use std::mem::MaybeUninit;
use std::time::Duration;

use crate::comparison::Recording;

/// What is known of an answer so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answered {
    /// The status code; 0 until the head is there.
    pub status: u16,
    /// Bytes of the body received, without chunk framing.
    pub body: u64,
}

/// What the bytes fed so far amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The answer goes on.
    More,
    /// The answer is whole.
    Whole {
        /// Bytes of the last input that belong to it.
        taken: usize,
        /// Whether the connection may carry another request.
        keep_alive: bool,
    },
    /// The answer is over the limit; its connection must be closed.
    OverLimit,
    /// This is no HTTP/1 answer; its connection must be closed.
    Unparsable,
}

/// What the end of the connection means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The answer ends with the connection, as it may.
    Whole,
    /// Nothing was answered.
    Nothing,
    /// The answer breaks off.
    Incomplete,
}

/// The longest head, chunk-size line or trailer section, in bytes.
pub(super) const MAX_HEAD: usize = 64 * 1024;
/// The most header fields in a head.
const MAX_HEADERS: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// A body with this many bytes to come.
    Length(u64),
    /// Inside a chunk's size line: the size so far, whether a digit was seen, whether an extension
    /// has begun.
    ChunkSize {
        size: u64,
        digits: u8,
        extension: bool,
    },
    /// Inside a chunk.
    ChunkData(u64),
    /// At the line ending after a chunk.
    ChunkEnd,
    /// In the trailer section: bytes in the current line.
    Trailer {
        line: usize,
    },
    UntilClose,
    Done,
}

/// Reads one answer after another on a connection.
#[derive(Debug)]
pub struct ResponseReader {
    state: State,
    /// A head that came in pieces.
    head: Vec<u8>,
    /// Bytes of the current chunk-size line or trailer section.
    line: usize,
    head_request: bool,
    keep_alive: bool,
    /// Bytes that may still come.
    left: u64,
    answered: Answered,
    /// The answer itself, when it is wanted.
    recording: Option<Box<Recording>>,
}

impl Default for ResponseReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ResponseReader {
    /// A reader that waits for [`begin`](Self::begin).
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Done,
            head: Vec::new(),
            line: 0,
            head_request: false,
            keep_alive: false,
            left: 0,
            answered: Answered::default(),
            recording: None,
        }
    }

    /// Expects an answer; `head_request` says that its request was a HEAD, so that it has no body,
    /// and `limit` how many bytes it may have in all.
    pub fn begin(&mut self, head_request: bool, limit: u64) {
        self.state = State::Head;
        self.head.clear();
        self.line = 0;
        self.head_request = head_request;
        self.keep_alive = false;
        self.left = limit;
        self.answered = Answered::default();
        self.recording = None;
    }

    /// Keeps the answer that is expected.
    pub fn record(&mut self, recording: Option<Box<Recording>>) {
        self.recording = recording;
    }

    /// Says when the head was there, where the answer is kept.
    pub fn head_at(&mut self, time: Duration) {
        if self.recording.is_some() && self.has_head() {
            self.recording.iter_mut().for_each(|recording| recording.head_at(time));
        }
    }

    /// What was kept of the answer.
    pub fn recording(&mut self) -> Option<Box<Recording>> {
        self.recording.take()
    }

    fn body(&mut self, bytes: &[u8]) {
        self.answered.body += bytes.len() as u64;
        if let Some(recording) = &mut self.recording {
            recording.body(bytes);
        }
    }

    /// What is known of the answer.
    #[must_use]
    pub fn answered(&self) -> Answered {
        self.answered
    }

    /// Whether the head is there.
    #[must_use]
    pub fn has_head(&self) -> bool {
        !matches!(self.state, State::Head)
    }

    /// Takes bytes of the answer.
    pub fn feed(&mut self, input: &[u8]) -> Progress {
        if input.len() as u64 > self.left {
            // What fits is still looked at: the status may be in it.
            let fits = usize::try_from(self.left).unwrap_or(input.len());
            self.left = 0;
            return match self.advance(&input[..fits]) {
                Progress::More => Progress::OverLimit,
                Progress::Whole { taken, .. } => Progress::Whole { taken, keep_alive: false },
                other => other,
            };
        }
        self.left -= input.len() as u64;
        self.advance(input)
    }

    /// Takes the end of the connection.
    pub fn end(&mut self) -> End {
        match std::mem::replace(&mut self.state, State::Done) {
            State::UntilClose | State::Done => End::Whole,
            State::Head if self.head.is_empty() && self.answered.status == 0 => End::Nothing,
            _ => End::Incomplete,
        }
    }

    fn advance(&mut self, input: &[u8]) -> Progress {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            match self.state {
                State::Done => {
                    return Progress::Whole { taken: at, keep_alive: self.keep_alive };
                }
                State::Head => {
                    if rest.is_empty() {
                        return Progress::More;
                    }
                    match self.head(rest) {
                        Ok(Some(taken)) => at += taken,
                        Ok(None) => return Progress::More,
                        Err(Unparsable) => return Progress::Unparsable,
                    }
                }
                State::Length(left) => {
                    let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.body(&rest[..taken]);
                    at += taken;
                    let left = left - taken as u64;
                    if left > 0 {
                        self.state = State::Length(left);
                        return Progress::More;
                    }
                    self.state = State::Done;
                }
                State::ChunkData(left) => {
                    let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.body(&rest[..taken]);
                    at += taken;
                    let left = left - taken as u64;
                    if left > 0 {
                        self.state = State::ChunkData(left);
                        return Progress::More;
                    }
                    self.line = 0;
                    self.state = State::ChunkEnd;
                }
                State::UntilClose => {
                    self.body(rest);
                    return Progress::More;
                }
                State::ChunkSize { .. } | State::ChunkEnd | State::Trailer { .. } => {
                    let Some(&byte) = rest.first() else { return Progress::More };
                    at += 1;
                    if self.framing_byte(byte).is_err() {
                        return Progress::Unparsable;
                    }
                }
            }
        }
    }

    /// Takes what there is of the head; gives the bytes of `input` that belong to it once it is
    /// whole.
    fn head(&mut self, input: &[u8]) -> Result<Option<usize>, Unparsable> {
        if self.head.is_empty() {
            if let Some(taken) = self.parse_head(input)? {
                return Ok(Some(taken));
            }
            self.head.extend_from_slice(input);
            return if self.head.len() > MAX_HEAD { Err(Unparsable) } else { Ok(None) };
        }
        let before = self.head.len();
        let mut head = std::mem::take(&mut self.head);
        head.extend_from_slice(input);
        // Without a line ending the head cannot have become whole: parsing it again would let a
        // target that sends byte by byte cost quadratic time.
        if memchr::memchr(b'\n', input).is_none() {
            self.head = head;
            return if self.head.len() > MAX_HEAD { Err(Unparsable) } else { Ok(None) };
        }
        match self.parse_head(&head)? {
            Some(taken) => {
                head.clear();
                self.head = head;
                // The head did not end within the earlier bytes, so `taken` reaches into `input`.
                Ok(Some(taken.saturating_sub(before)))
            }
            None if head.len() > MAX_HEAD => Err(Unparsable),
            None => {
                self.head = head;
                Ok(None)
            }
        }
    }

    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Unparsable> {
        // Clearing so many headers would cost as much as reading the few that there are.
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let taken =
            match parser.parse_response_with_uninit_headers(&mut response, bytes, &mut headers) {
                Ok(httparse::Status::Complete(taken)) => taken,
                Ok(httparse::Status::Partial) => return Ok(None),
                Err(_) => return Err(Unparsable),
            };
        let status = response.code.ok_or(Unparsable)?;
        if (100..200).contains(&status) && status != 101 {
            // An interim answer: the final one follows. The state stays `Head`.
            return Ok(Some(taken));
        }
        let framing = Framing::of(response.headers)?;
        if let Some(recording) = &mut self.recording {
            for header in response.headers.iter() {
                recording.header(header.name.as_bytes(), header.value);
            }
        }
        let http11 = response.version == Some(1);
        self.answered.status = status;
        self.keep_alive = status != 101 && if http11 { !framing.close } else { framing.keep_alive };
        // RFC 9112, section 6.3.
        self.state = if self.head_request || matches!(status, 101 | 204 | 304) {
            State::Done
        } else if framing.chunked {
            // Both framings in one answer are a sign of trouble: read it, then close.
            self.keep_alive &= framing.length.is_none() && http11;
            State::ChunkSize { size: 0, digits: 0, extension: false }
        } else if framing.encoded {
            State::UntilClose
        } else {
            match framing.length {
                Some(length) => State::Length(length),
                None => State::UntilClose,
            }
        };
        if self.state == State::Length(0) {
            self.state = State::Done;
        }
        Ok(Some(taken))
    }

    /// Takes a byte of chunk framing or of the trailer section.
    fn framing_byte(&mut self, byte: u8) -> Result<(), Unparsable> {
        self.line += 1;
        if self.line > MAX_HEAD {
            return Err(Unparsable);
        }
        self.state = match (self.state, byte) {
            (State::ChunkSize { size, digits, extension }, b'\n') if digits > 0 => {
                let _ = extension;
                self.line = 0;
                if size == 0 { State::Trailer { line: 0 } } else { State::ChunkData(size) }
            }
            (State::ChunkSize { size, digits, extension: true }, byte) if byte != b'\n' => {
                State::ChunkSize { size, digits, extension: true }
            }
            (State::ChunkSize { size, digits, .. }, b'\r' | b';' | b' ' | b'\t') if digits > 0 => {
                State::ChunkSize { size, digits, extension: true }
            }
            (State::ChunkSize { size, digits, extension: false }, byte) if digits < 15 => {
                let digit = char::from(byte).to_digit(16).ok_or(Unparsable)?;
                let size = size << 4 | u64::from(digit);
                State::ChunkSize { size, digits: digits + 1, extension: false }
            }
            (State::ChunkEnd, b'\r') if self.line == 1 => State::ChunkEnd,
            (State::ChunkEnd, b'\n') => {
                self.line = 0;
                State::ChunkSize { size: 0, digits: 0, extension: false }
            }
            (State::Trailer { line: 0 }, b'\n') => State::Done,
            (State::Trailer { .. }, b'\n') => State::Trailer { line: 0 },
            (State::Trailer { line: 0 }, b'\r') => State::Trailer { line: 0 },
            (State::Trailer { line }, _) => State::Trailer { line: line + 1 },
            _ => return Err(Unparsable),
        };
        Ok(())
    }
}

struct Unparsable;

/// What a head says about the body and the connection.
struct Framing {
    length: Option<u64>,
    /// The last transfer coding is `chunked`.
    chunked: bool,
    /// There is a Transfer-Encoding.
    encoded: bool,
    close: bool,
    keep_alive: bool,
}

impl Framing {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, Unparsable> {
        let mut framing =
            Self { length: None, chunked: false, encoded: false, close: false, keep_alive: false };
        for header in headers {
            let (name, value) = (header.name, header.value);
            match name.len() {
                10 if name.eq_ignore_ascii_case("connection") => {
                    for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                        framing.close |= option.eq_ignore_ascii_case(b"close");
                        framing.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let length = parse_length(value).ok_or(Unparsable)?;
                    if framing.length.is_some_and(|other| other != length) {
                        return Err(Unparsable);
                    }
                    framing.length = Some(length);
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    framing.encoded = true;
                    let last = value.rsplit(|&byte| byte == b',').next().unwrap_or_default();
                    framing.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
                }
                _ => {}
            }
        }
        Ok(framing)
    }
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = (!value.is_empty()).then_some(value)?.iter();
    digits.copied().try_fold(0u64, |sum, byte| {
        let digit = char::from(byte).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 20;

    /// Feeds `bytes` whole, in two pieces at every place, and byte by byte; all must end alike.
    fn read(head_request: bool, bytes: &[u8]) -> (Progress, Answered) {
        let run = |pieces: &[&[u8]]| {
            let mut reader = ResponseReader::new();
            reader.begin(head_request, LIMIT);
            let mut before = 0;
            for piece in pieces {
                match reader.feed(piece) {
                    Progress::More => before += piece.len(),
                    Progress::Whole { taken, keep_alive } => {
                        let whole = Progress::Whole { taken: before + taken, keep_alive };
                        return (whole, reader.answered());
                    }
                    other => return (other, reader.answered()),
                }
            }
            (Progress::More, reader.answered())
        };
        let whole = run(&[bytes]);
        for at in 1..bytes.len() {
            assert_eq!(run(&[&bytes[..at], &bytes[at..]]), whole, "split at {at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(run(&single), whole, "byte by byte");
        whole
    }

    fn whole(taken: usize, keep_alive: bool) -> Progress {
        Progress::Whole { taken, keep_alive }
    }

    #[test]
    fn a_body_with_a_length() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        let expected = (whole(answer.len(), true), Answered { status: 200, body: 3 });
        assert_eq!(read(false, answer), expected);
    }

    #[test]
    fn surplus_bytes_are_not_taken() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1";
        assert_eq!(read(false, answer).0, whole(answer.len() - 8, true));
    }

    #[test]
    fn head_204_and_304_have_no_body_whatever_they_say() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n";
        assert_eq!(read(true, answer).0, whole(answer.len(), true));
        for status in ["204 No Content", "304 Not Modified"] {
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 30\r\n\r\n");
            assert_eq!(read(false, answer.as_bytes()).0, whole(answer.len(), true));
        }
    }

    #[test]
    fn interim_answers_are_skipped() {
        let answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
                       HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
        let expected = (whole(answer.len(), true), Answered { status: 201, body: 0 });
        assert_eq!(read(false, answer), expected);
    }

    #[test]
    fn chunks_extensions_and_trailers() {
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n\
                       3;a=b\r\nabc\r\nA \r\n0123456789\r\n0\r\nx-sum: 1\r\ny: 2\r\n\r\n";
        let expected = (whole(answer.len(), true), Answered { status: 200, body: 13 });
        assert_eq!(read(false, answer), expected);
    }

    #[test]
    fn broken_chunks_are_unparsable() {
        for chunks in ["x\r\n", "\r\n", "3\r\nabcd\r\n", "ffffffffffffffff1\r\n", "-1\r\n"] {
            let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
            assert_eq!(read(false, answer.as_bytes()).0, Progress::Unparsable, "{chunks:?}");
        }
    }

    #[test]
    fn without_a_length_the_answer_ends_with_the_connection() {
        let mut reader = ResponseReader::new();
        reader.begin(false, LIMIT);
        assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\n\r\nabc"), Progress::More);
        assert_eq!(reader.end(), End::Whole);
        assert_eq!(reader.answered(), Answered { status: 200, body: 3 });
    }

    #[test]
    fn the_end_tells_nothing_from_a_part() {
        let mut reader = ResponseReader::new();
        reader.begin(false, LIMIT);
        assert_eq!(reader.end(), End::Nothing);
        for part in ["HTTP/1.1 2", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na"] {
            reader.begin(false, LIMIT);
            assert_eq!(reader.feed(part.as_bytes()), Progress::More);
            assert_eq!(reader.end(), End::Incomplete, "{part}");
        }
    }

    #[test]
    fn who_may_keep_the_connection() {
        for (head, keep_alive) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: foo, Close\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n", true),
            ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", false),
        ] {
            assert_eq!(read(false, head.as_bytes()).0, whole(head.len(), keep_alive), "{head}");
        }
    }

    #[test]
    fn what_is_no_answer() {
        for bytes in [
            "SSH-2.0-OpenSSH_9.2\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
            "HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad name: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        ] {
            assert_eq!(read(false, bytes.as_bytes()).0, Progress::Unparsable, "{bytes}");
        }
    }

    #[test]
    fn an_answer_over_the_limit_still_tells_its_status() {
        let mut reader = ResponseReader::new();
        reader.begin(false, 60);
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
        assert_eq!(reader.feed(head), Progress::More);
        assert_eq!(reader.feed(&[b'x'; 100]), Progress::OverLimit);
        assert_eq!(reader.answered().status, 200);
        reader.begin(false, 1 << 30);
        let mut endless = Progress::More;
        for _ in 0..100 {
            endless = reader.feed(&[b'H'; 1000]);
            if endless != Progress::More {
                break;
            }
        }
        assert_eq!(endless, Progress::Unparsable);
    }
}
