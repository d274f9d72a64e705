//! A raw HTTP/1 client: exact bytes out, a parsed response back, on a connection that stays.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::backend::{BodyEnd, Dechunker, body_end, head_end, header_lines, split_header};

/// How long a read may take before it is an error: a test must not hang.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// A connection to an HTTP/1 server.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response as it came over the wire.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Status line and headers, with the empty line that ends them.
    pub raw_head: Vec<u8>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Statuses of the interim responses (1xx) before it.
    pub interim: Vec<u16>,
}

impl Response {
    /// The first value of a header as text; `None` if it is absent.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut headers = header_lines(&self.raw_head).map(split_header);
        let (_, value) = headers.find(|(n, _)| name.as_bytes().eq_ignore_ascii_case(n))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// The connection's.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, READ_LIMIT)?;
        // Fails on a connection that the server has reset already; reading will tell that.
        let _ = stream.set_nodelay(true);
        stream.set_read_timeout(Some(READ_LIMIT))?;
        stream.set_write_timeout(Some(READ_LIMIT))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    /// The TCP connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads the next final response; `head` says that it answers HEAD.
    ///
    /// # Errors
    /// `UnexpectedEof` when the connection ends before the response does, `InvalidData` when it is not
    /// HTTP, `WouldBlock` after 30 seconds of silence.
    pub fn response(&mut self, head: bool) -> Result<Response> {
        let mut interim = Vec::new();
        loop {
            let mut response = self.read_head()?;
            if (100..200).contains(&response.status) && response.status != 101 {
                interim.push(response.status);
                continue;
            }
            response.interim = interim;
            if !head && !matches!(response.status, 101 | 204 | 304) {
                response.body = self.read_body(&response.raw_head)?;
            }
            return Ok(response);
        }
    }

    /// Sends these bytes and reads the response to them.
    ///
    /// # Errors
    /// See [`Client::response`].
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Response> {
        self.send(bytes)?;
        self.response(bytes.starts_with(b"HEAD "))
    }

    /// Reads until the server closes; everything not read so far.
    ///
    /// # Errors
    /// The connection's.
    pub fn read_to_end(&mut self) -> Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.buffer);
        self.stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self) -> Result<()> {
        let old = self.buffer.len();
        self.buffer.resize(old + 16 * 1024, 0);
        let read = self.stream.read(&mut self.buffer[old..]);
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")),
            _ => Ok(()),
        }
    }

    fn read_head(&mut self) -> Result<Response> {
        let end = loop {
            match head_end(&self.buffer) {
                Some(end) => break end,
                None => self.fill()?,
            }
        };
        let raw_head: Vec<u8> = self.buffer.drain(..end).collect();
        let line = String::from_utf8_lossy(&raw_head).into_owned();
        let status = line.starts_with("HTTP/1.").then(|| line.get(9..12)?.parse().ok()).flatten();
        let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, line))?;
        Ok(Response { status, raw_head, body: Vec::new(), interim: Vec::new() })
    }

    fn read_body(&mut self, head: &[u8]) -> Result<Vec<u8>> {
        match body_end(head) {
            BodyEnd::Unframed => self.read_to_end(),
            BodyEnd::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                while self.buffer.len() < length {
                    self.fill()?;
                }
                Ok(self.buffer.drain(..length).collect())
            }
            BodyEnd::Chunked => {
                let mut dechunker = Dechunker::default();
                loop {
                    let fed = dechunker.feed(&self.buffer);
                    let (taken, done) = fed.map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
                    self.buffer.drain(..taken);
                    if done {
                        return Ok(dechunker.body);
                    }
                    self.fill()?;
                }
            }
        }
    }
}

/// Sends these bytes on a connection of their own and reads the response.
///
/// # Errors
/// See [`Client::response`].
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Result<Response> {
    Client::connect(address)?.exchange(bytes)
}

/// `GET path` with `Host: localhost` on a connection of its own.
///
/// # Errors
/// See [`Client::response`].
pub fn get(address: SocketAddr, path: &str) -> Result<Response> {
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
}

/// `POST path` with `Host: localhost` and this body on a connection of its own.
///
/// # Errors
/// See [`Client::response`].
pub fn post(address: SocketAddr, path: &str, body: &[u8]) -> Result<Response> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    exchange(address, &[head.as_bytes(), body].concat())
}
