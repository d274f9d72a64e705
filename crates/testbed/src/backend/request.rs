//! A recorded HTTP/1 request, and the parsing that finds where it ends.

use std::net::SocketAddr;
use std::time::Instant;

/// A request as it came over the wire.
#[derive(Clone)]
pub struct Request {
    /// Which connection of the recorder it came on, counted from 0.
    pub connection: u64,
    /// The other end of that connection.
    pub peer: SocketAddr,
    /// Its place on that connection, counted from 0.
    pub index: usize,
    /// Request line and headers, with the empty line that ends them.
    pub raw_head: Vec<u8>,
    /// The body as on the wire: with chunk sizes and trailers if it was chunked.
    pub raw_body: Vec<u8>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Trailer lines of a chunked body, each with its CRLF; empty otherwise.
    pub trailers: Vec<u8>,
    /// False if the connection ended before the request did.
    pub complete: bool,
    /// When the head was complete.
    pub received: Instant,
}

impl Request {
    /// All bytes of the request.
    pub fn raw(&self) -> Vec<u8> {
        [self.raw_head.as_slice(), &self.raw_body].concat()
    }

    /// The first line, without CRLF.
    pub fn request_line(&self) -> &[u8] {
        self.raw_head.split(|&b| b == b'\r').next().unwrap_or_default()
    }

    /// The method.
    pub fn method(&self) -> &[u8] {
        self.request_line().split(|&b| b == b' ').next().unwrap_or_default()
    }

    /// The request target: all between the first and the last space of the request line.
    pub fn target(&self) -> &[u8] {
        let line = self.request_line();
        let first = line.iter().position(|&b| b == b' ').map_or(line.len(), |at| at + 1);
        let last = line.iter().rposition(|&b| b == b' ').unwrap_or(line.len());
        line.get(first..last).unwrap_or_default()
    }

    /// The version, such as `HTTP/1.1`.
    pub fn version(&self) -> &[u8] {
        self.request_line().rsplit(|&b| b == b' ').next().unwrap_or_default()
    }

    /// The header lines in order, without CRLF.
    pub fn header_lines(&self) -> impl Iterator<Item = &[u8]> {
        header_lines(&self.raw_head)
    }

    /// Names and values in order; the value without the blanks around it.
    pub fn headers(&self) -> Vec<(&[u8], &[u8])> {
        self.header_lines().map(split_header).collect()
    }

    /// The values of a header in order; the name in any case.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let wanted = |(n, v): (_, _)| name.as_bytes().eq_ignore_ascii_case(n).then_some(v);
        self.headers().into_iter().filter_map(wanted).collect()
    }

    /// The first value of a header as text; `None` if it is absent.
    pub fn header(&self, name: &str) -> Option<String> {
        let values = self.header_values(name);
        values.first().map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}.{} ", self.connection, self.index)?;
        write!(f, "{}", self.raw_head.escape_ascii())?;
        match self.raw_body.len() {
            0..=512 => write!(f, "{}", self.raw_body.escape_ascii())?,
            length => write!(f, "<{length} bytes of body>")?,
        }
        if self.complete { Ok(()) } else { write!(f, " <incomplete>") }
    }
}

/// The lines between the first line of a head and its end, without CRLF.
pub(crate) fn header_lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.split(|&b| b == b'\n').skip(1);
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).take_while(|line| !line.is_empty())
}

pub(crate) fn split_header(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&b| b == b':') {
        Some(colon) => (&line[..colon], line[colon + 1..].trim_ascii()),
        None => (line, b""),
    }
}

/// The end of a head that starts at the front of `bytes`, if it is there: just behind CRLF CRLF.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// How a message tells the end of its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BodyEnd {
    Length(u64),
    Chunked,
    /// No framing header: no body in a request, until close in a response.
    Unframed,
}

/// What the headers of `head` say of the body; chunked wins over a length.
pub(crate) fn body_end(head: &[u8]) -> BodyEnd {
    let mut end = BodyEnd::Unframed;
    for (name, value) in header_lines(head).map(split_header) {
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let codings = value.to_ascii_lowercase();
            if codings.ends_with(b"chunked") {
                return BodyEnd::Chunked;
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let text = String::from_utf8_lossy(value);
            end = text.parse().map_or(BodyEnd::Unframed, BodyEnd::Length);
        }
    }
    end
}

/// Undoes the chunked coding piece by piece.
#[derive(Default)]
pub(crate) struct Dechunker {
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<u8>,
    state: ChunkState,
}

#[derive(Default)]
enum ChunkState {
    #[default]
    Size,
    Data(usize),
    DataEnd,
    Trailer,
    Done,
}

impl Dechunker {
    /// Takes what it can from the front of `bytes`; gives how many bytes it took and whether the body is
    /// at its end. What it does not take lacks its continuation.
    ///
    /// # Errors
    /// When the coding is broken, the line where.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), String> {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            let line_end = rest.windows(2).position(|two| two == b"\r\n");
            match (&mut self.state, line_end) {
                (ChunkState::Done, _) => return Ok((taken, true)),
                (ChunkState::Data(left), _) => {
                    let piece = rest.len().min(*left);
                    self.body.extend_from_slice(&rest[..piece]);
                    taken += piece;
                    *left -= piece;
                    if *left > 0 {
                        return Ok((taken, false));
                    }
                    self.state = ChunkState::DataEnd;
                }
                (_, None) => return Ok((taken, false)),
                (ChunkState::Size, Some(end)) => {
                    let line = String::from_utf8_lossy(&rest[..end]);
                    let digits = line.split(';').next().unwrap_or_default().trim();
                    let size = usize::from_str_radix(digits, 16)
                        .map_err(|_| format!("not a chunk size: {line:?}"))?;
                    taken += end + 2;
                    self.state =
                        if size == 0 { ChunkState::Trailer } else { ChunkState::Data(size) };
                }
                (ChunkState::DataEnd, Some(end)) => {
                    if end != 0 {
                        return Err("a chunk is longer than its size says".to_owned());
                    }
                    taken += 2;
                    self.state = ChunkState::Size;
                }
                (ChunkState::Trailer, Some(end)) => {
                    let line = &rest[..end + 2];
                    taken += line.len();
                    if end == 0 {
                        self.state = ChunkState::Done;
                    } else {
                        self.trailers.extend_from_slice(line);
                    }
                }
            }
        }
    }
}
