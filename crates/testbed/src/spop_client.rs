//! A fake HAProxy: one SPOP connection, driven by hand. Blocking; exact bytes out, whole answers back.
//!
//! What it sends is built on the client side of `spop-proto`; what a test wants to send beyond that goes
//! out as raw bytes ([`SpopClient::send`]).

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use spop_proto::{Capabilities, Client, ClientEvent, Hello, Value};

/// How long a read may take before it is an error: a test must not hang.
const READ_LIMIT: Duration = Duration::from_secs(20);

/// What HAProxy offers as max-frame-size with its default buffers, in bytes.
pub const FRAME_SIZE: u32 = 16_380;

/// What the agent sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// AGENT-HELLO.
    Hello {
        /// The frame size that it settles on, in bytes.
        max_frame_size: u32,
        /// What it can do.
        capabilities: Capabilities,
    },
    /// ACK.
    Ack {
        /// The stream-id.
        stream_id: u64,
        /// The frame-id.
        frame_id: u64,
    },
    /// AGENT-DISCONNECT.
    Disconnected {
        /// The status code.
        status: u32,
        /// Its text.
        message: String,
    },
    /// The end of the connection.
    End,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }
}

/// A connection to an agent, as HAProxy makes it.
pub struct SpopClient {
    stream: Stream,
    protocol: Client,
    buffer: Vec<u8>,
    reads: u64,
}

impl SpopClient {
    /// Connects over TCP and says nothing yet.
    ///
    /// # Errors
    /// The connection's.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, READ_LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_LIMIT))?;
        stream.set_write_timeout(Some(READ_LIMIT))?;
        Ok(Self::over(Stream::Tcp(stream)))
    }

    /// Connects to a unix socket and says nothing yet.
    ///
    /// # Errors
    /// The connection's.
    pub fn open_unix(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(READ_LIMIT))?;
        stream.set_write_timeout(Some(READ_LIMIT))?;
        Ok(Self::over(Stream::Unix(stream)))
    }

    /// Connects over TCP and exchanges HELLOs as HAProxy does by default.
    ///
    /// # Errors
    /// The connection's, or [`SpopClient::hello`]'s.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let mut client = Self::open(address)?;
        client.hello(FRAME_SIZE)?;
        Ok(client)
    }

    fn over(stream: Stream) -> Self {
        Self { stream, protocol: Client::new(FRAME_SIZE), buffer: Vec::new(), reads: 0 }
    }

    /// Says HELLO with pipelining, offering frames of this many bytes, and gives the agent's answer.
    ///
    /// # Errors
    /// The connection's; `InvalidData` when the answer is no AGENT-HELLO.
    pub fn hello(&mut self, max_frame_size: u32) -> Result<Event> {
        self.greet(max_frame_size, false)
    }

    /// Says the HELLO of a health check, and gives the agent's answer.
    ///
    /// # Errors
    /// See [`SpopClient::hello`].
    pub fn health_check(&mut self) -> Result<Event> {
        self.greet(FRAME_SIZE, true)
    }

    fn greet(&mut self, max_frame_size: u32, healthcheck: bool) -> Result<Event> {
        self.protocol = Client::new(max_frame_size);
        let mut bytes = Vec::new();
        let hello = Hello {
            versions: b"2.0",
            max_frame_size,
            capabilities: Capabilities { pipelining: true, ..Capabilities::default() },
            engine_id: (!healthcheck).then_some(b"00000000-0000-0000-0000-000000000000"),
            healthcheck,
        };
        self.protocol.hello(&hello, &mut bytes);
        self.send(&bytes)?;
        match self.event()? {
            hello @ Event::Hello { .. } => Ok(hello),
            other => Err(Error::new(ErrorKind::InvalidData, format!("{other:?} for a HELLO"))),
        }
    }

    /// The bytes of a NOTIFY with this payload: one frame, or fragments when it is too long for one and
    /// the agent takes fragments.
    ///
    /// # Errors
    /// `InvalidInput` when it is too long and the agent takes no fragments.
    pub fn frame(&self, stream_id: u64, frame_id: u64, payload: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.protocol
            .notify(stream_id, frame_id, payload, &mut bytes)
            .map_err(|error| Error::new(ErrorKind::InvalidInput, error.to_string()))?;
        Ok(bytes)
    }

    /// Sends a NOTIFY ([`SpopClient::frame`]) in one write.
    ///
    /// # Errors
    /// The connection's.
    pub fn notify(&mut self, stream_id: u64, frame_id: u64, payload: &[u8]) -> Result<()> {
        let bytes = self.frame(stream_id, frame_id, payload)?;
        self.send(&bytes)
    }

    /// Sends these bytes in one write.
    ///
    /// # Errors
    /// The connection's.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next thing that the agent says. Frames of unknown kinds are passed over.
    ///
    /// # Errors
    /// `InvalidData` when it is not SPOP, `UnexpectedEof` when the connection ends within a frame,
    /// `WouldBlock` after 20 seconds of silence ([`SpopClient::set_patience`]).
    pub fn event(&mut self) -> Result<Event> {
        loop {
            let received = self.protocol.receive(&self.buffer);
            let received =
                received.map_err(|e| Error::new(ErrorKind::InvalidData, e.to_string()))?;
            if let Some((taken, event)) = received {
                let event = event.map(|event| owned(&event));
                self.buffer.drain(..taken);
                if let Some(event) = event {
                    return Ok(event);
                }
                continue;
            }
            if !self.fill()? {
                return match self.buffer.len() {
                    0 => Ok(Event::End),
                    _ => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Reads `count` ACKs and gives their stream-ids and frame-ids, in the order in which they came.
    ///
    /// # Errors
    /// [`SpopClient::event`]'s; `InvalidData` when something else comes.
    pub fn acks(&mut self, count: usize) -> Result<Vec<(u64, u64)>> {
        let mut acks = Vec::with_capacity(count);
        while acks.len() < count {
            match self.event()? {
                Event::Ack { stream_id, frame_id } => acks.push((stream_id, frame_id)),
                other => {
                    let text = format!("{other:?} after {} of {count} ACKs", acks.len());
                    return Err(Error::new(ErrorKind::InvalidData, text));
                }
            }
        }
        Ok(acks)
    }

    /// Sets how long a read may take before it is an error; 20 seconds at first.
    ///
    /// # Errors
    /// The connection's.
    pub fn set_patience(&self, limit: Duration) -> Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(limit)),
            Stream::Unix(stream) => stream.set_read_timeout(Some(limit)),
        }
    }

    /// This end's address, by which an agent's log names it; `None` on a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// How many reads brought bytes so far.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    fn fill(&mut self) -> Result<bool> {
        let old = self.buffer.len();
        self.buffer.resize(old + 64 * 1024, 0);
        let read = self.stream.read(&mut self.buffer[old..]);
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        let came = match read {
            // HAProxy's own death looks the same to an agent, and the other way round.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            read => read? > 0,
        };
        self.reads += u64::from(came);
        Ok(came)
    }
}

fn owned(event: &ClientEvent<'_>) -> Event {
    match event {
        ClientEvent::Hello(hello) => {
            Event::Hello { max_frame_size: hello.max_frame_size, capabilities: hello.capabilities }
        }
        ClientEvent::Ack { stream_id, frame_id, .. } => {
            Event::Ack { stream_id: *stream_id, frame_id: *frame_id }
        }
        ClientEvent::Disconnected(disconnect) => Event::Disconnected {
            status: disconnect.status.code(),
            message: String::from_utf8_lossy(disconnect.message).into_owned(),
        },
    }
}

/// A request as the message `mirror` of HAProxy's guide tells of it.
#[derive(Clone, Debug)]
pub struct Request {
    /// `arg_method`; the argument is missing when it is empty.
    pub method: Vec<u8>,
    /// `arg_path`: HAProxy's `url`.
    pub url: Vec<u8>,
    /// `arg_ver`.
    pub version: Vec<u8>,
    /// `arg_hdrs`, sent as a binary header block.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// `arg_body`.
    pub body: Vec<u8>,
}

impl Request {
    /// `GET url`, HTTP/1.1, `host: localhost`.
    pub fn get(url: &str) -> Self {
        Self {
            method: b"GET".to_vec(),
            url: url.into(),
            version: b"1.1".to_vec(),
            headers: vec![(b"host".to_vec(), b"localhost".to_vec())],
            body: Vec::new(),
        }
    }

    /// `POST url` with this body and its Content-Length.
    pub fn post(url: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = body.len().to_string();
        let mut request = Self::get(url).header("content-length", length);
        request.method = b"POST".to_vec();
        request.body = body;
        request
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The binary header block.
    pub fn header_block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        let pairs = self.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        spop_proto::encode_header_block(pairs, &mut block);
        block
    }

    /// The payload of a NOTIFY with this request.
    pub fn payload(&self) -> Vec<u8> {
        self.payload_with_headers(&self.header_block())
    }

    /// [`Request::payload`], with these bytes for a header block.
    pub fn payload_with_headers(&self, block: &[u8]) -> Vec<u8> {
        let mut arguments: Vec<(&[u8], Value<'_>)> = Vec::new();
        if !self.method.is_empty() {
            arguments.push((b"arg_method", Value::String(&self.method)));
        }
        arguments.push((b"arg_path", Value::String(&self.url)));
        arguments.push((b"arg_ver", Value::String(&self.version)));
        arguments.push((b"arg_hdrs", Value::Binary(block)));
        arguments.push((b"arg_body", Value::Binary(&self.body)));
        let mut payload = Vec::new();
        spop_proto::encode_message(b"mirror", &arguments, &mut payload);
        payload
    }
}
