//! HAProxy's side of a connection to the program, in the words of these tests.

use std::net::SocketAddr;
use std::path::Path;

use spop_proto::{Capabilities, Hello, Status};
use testbed::spop_client::{Event, FRAME_SIZE, Request, SpopClient};

/// What the program said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Hello,
    /// Acknowledged the NOTIFY with this stream-id and frame-id.
    Ack(u64, u64),
    /// Took leave, with this status.
    Disconnect(Status),
    /// Closed the connection.
    End,
}

/// A connection to the program.
pub struct Peer {
    client: SpopClient,
}

impl Peer {
    /// Connects, and says nothing.
    pub fn connect(address: SocketAddr) -> Self {
        Self { client: SpopClient::open(address).unwrap() }
    }

    /// Connects and exchanges HELLOs.
    pub fn greeted(address: SocketAddr) -> Self {
        Self { client: SpopClient::connect(address).unwrap() }
    }

    /// Connects to a unix socket and exchanges HELLOs.
    pub fn greeted_unix(path: &Path) -> Self {
        let mut peer = Self { client: SpopClient::open_unix(path).unwrap() };
        peer.greet(FRAME_SIZE);
        peer
    }

    /// Says HELLO, offering frames of this many bytes, and expects the program's.
    pub fn greet(&mut self, max_frame_size: u32) {
        self.client.hello(max_frame_size).unwrap();
    }

    /// This end's address, as the program's log names it.
    pub fn name(&self) -> String {
        self.client.local_addr().unwrap().to_string()
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.client.send(bytes).unwrap();
    }

    /// Sends these bytes to a program that may have closed the connection.
    pub fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.client.send(bytes);
    }

    /// Sends a NOTIFY with a GET of `path`, and does not wait for the ACK.
    pub fn notify(&mut self, stream_id: u64, path: &str) {
        self.client.notify(stream_id, 1, &Request::get(path).payload()).unwrap();
    }

    /// Sends a NOTIFY with a GET of `path`, and expects its ACK.
    pub fn mirror(&mut self, stream_id: u64, path: &str) {
        self.notify(stream_id, path);
        assert_eq!(self.read(), Said::Ack(stream_id, 1));
    }

    /// What the program says next.
    ///
    /// # Panics
    /// When nothing comes for long, or something that is no SPOP.
    pub fn read(&mut self) -> Said {
        match self.client.event().unwrap() {
            Event::Hello { .. } => Said::Hello,
            Event::Ack { stream_id, frame_id } => Said::Ack(stream_id, frame_id),
            Event::Disconnected { status, .. } => Said::Disconnect(Status::from_code(status)),
            Event::End => Said::End,
        }
    }
}

/// HAProxy's HELLO, as a frame.
pub fn hello() -> Vec<u8> {
    let mut frame = Vec::new();
    Hello {
        versions: b"2.0",
        max_frame_size: FRAME_SIZE,
        capabilities: Capabilities { pipelining: true, ..Capabilities::default() },
        engine_id: Some(b"test"),
        healthcheck: false,
    }
    .encode(&mut frame);
    frame
}
