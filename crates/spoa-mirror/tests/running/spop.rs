//! HAProxy's side of a connection to the program.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use spop_proto::{
    Capabilities, Client, ClientEvent, Hello, Status, Value, encode_header_block, encode_message,
};
use testbed::wait;

/// What the program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Hello {
        max_frame_size: u32,
        capabilities: String,
    },
    /// Acknowledged the NOTIFY with this stream-id and frame-id.
    Ack(u64, u64),
    /// Took leave, with this status.
    Disconnect(Status),
    /// Closed the connection.
    End,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection to the program.
pub struct Peer {
    /// This end's address, as the program's log names it.
    pub name: String,
    stream: Box<dyn Stream>,
    client: Client,
    input: Vec<u8>,
}

/// What [`Peer::greeted`] offers, in bytes: as much as HAProxy with its usual buffers.
pub const FRAME_SIZE: u32 = 16380;

impl Peer {
    /// Connects, and says nothing.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
        stream.set_write_timeout(Some(wait::LIMIT)).unwrap();
        let name = stream.local_addr().unwrap().to_string();
        let client = Client::new(FRAME_SIZE);
        Self { name, stream: Box::new(stream), client, input: Vec::new() }
    }

    /// Connects to a unix socket and exchanges HELLOs.
    pub fn greeted_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
        let client = Client::new(FRAME_SIZE);
        let name = format!("unix:{}", path.display());
        let mut peer = Self { name, stream: Box::new(stream), client, input: Vec::new() };
        peer.greet(FRAME_SIZE);
        peer
    }

    /// Connects and exchanges HELLOs.
    pub fn greeted(address: SocketAddr) -> Self {
        let mut peer = Self::connect(address);
        peer.greet(FRAME_SIZE);
        peer
    }

    /// Says HELLO, offering frames of this many bytes, and expects the program's.
    pub fn greet(&mut self, max_frame_size: u32) {
        self.client = Client::new(max_frame_size);
        self.send(&hello(max_frame_size));
        let said = self.read();
        assert!(matches!(said, Said::Hello { .. }), "{said:?}");
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends these bytes to a program that may have closed the connection.
    pub fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a NOTIFY with these messages, and does not wait for the ACK.
    pub fn notify(&mut self, stream_id: u64, frame_id: u64, messages: &[u8]) {
        let mut frame = Vec::new();
        self.client.notify(stream_id, frame_id, messages, &mut frame).unwrap();
        self.send(&frame);
    }

    /// Sends a NOTIFY with a GET of `path`, and expects its ACK.
    pub fn mirror(&mut self, stream_id: u64, path: &str) {
        self.notify(stream_id, 1, &request(b"GET", path.as_bytes(), b""));
        assert_eq!(self.read(), Said::Ack(stream_id, 1));
    }

    /// What the program says next.
    ///
    /// # Panics
    /// When nothing comes for long, or something that is no SPOP.
    pub fn read(&mut self) -> Said {
        loop {
            if let Some((taken, event)) = self.client.receive(&self.input).unwrap() {
                let said = event.map(|event| match event {
                    ClientEvent::Hello(hello) => Said::Hello {
                        max_frame_size: hello.max_frame_size,
                        capabilities: hello.capabilities.to_list(),
                    },
                    ClientEvent::Ack { stream_id, frame_id, .. } => Said::Ack(stream_id, frame_id),
                    ClientEvent::Disconnected(disconnect) => Said::Disconnect(disconnect.status),
                });
                self.input.drain(..taken);
                match said {
                    Some(said) => return said,
                    None => continue,
                }
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => {
                    assert!(self.input.is_empty(), "a frame is cut: {:?}", self.input);
                    return Said::End;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Said::End,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) => panic!("nothing more from the program: {error}"),
            }
        }
    }
}

/// HAProxy's HELLO, as a frame.
pub fn hello(max_frame_size: u32) -> Vec<u8> {
    let mut frame = Vec::new();
    Hello {
        versions: b"2.0",
        max_frame_size,
        capabilities: Capabilities { pipelining: true, ..Capabilities::default() },
        engine_id: Some(b"test"),
        healthcheck: false,
    }
    .encode(&mut frame);
    frame
}

/// A message as the guide has it, with the headers of a client that asks for `localhost`.
pub fn request(method: &[u8], url: &[u8], body: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    let length = body.len().to_string();
    let mut pairs: Vec<(&[u8], &[u8])> = vec![(b"host", b"localhost")];
    if !body.is_empty() {
        pairs.push((b"content-length", length.as_bytes()));
    }
    encode_header_block(pairs, &mut headers);
    let mut message = Vec::new();
    encode_message(
        b"mirror",
        &[
            (b"arg_method", Value::String(method)),
            (b"arg_path", Value::String(url)),
            (b"arg_ver", Value::String(b"1.1")),
            (b"arg_hdrs", Value::Binary(&headers)),
            (b"arg_body", Value::Binary(body)),
        ],
        &mut message,
    );
    message
}
