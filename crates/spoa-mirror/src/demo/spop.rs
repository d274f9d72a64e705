//! HAProxy's side of SPOP, without HAProxy.

use spop_proto::{
    Capabilities, Client as Protocol, ClientEvent, Hello, Value, encode_header_block,
    encode_message,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What HAProxy offers by default.
const FRAME_SIZE: u32 = 16380;

/// A connection to the agent.
pub(super) struct Spop {
    stream: TcpStream,
    protocol: Protocol,
    input: Vec<u8>,
    stream_id: u64,
}

type Failed = Box<dyn std::error::Error>;

impl Spop {
    /// Connects, and says HELLO.
    pub(super) async fn connect(port: u16) -> Result<Self, String> {
        let connected = async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            let protocol = Protocol::new(FRAME_SIZE);
            let mut hello = Vec::new();
            protocol.hello(
                &Hello {
                    versions: spop_proto::VERSION.as_bytes(),
                    max_frame_size: FRAME_SIZE,
                    capabilities: Capabilities { pipelining: true, ..Capabilities::default() },
                    engine_id: Some(b"demo"),
                    healthcheck: false,
                },
                &mut hello,
            );
            stream.write_all(&hello).await?;
            let mut spop = Self { stream, protocol, input: Vec::new(), stream_id: 0 };
            spop.answered().await?;
            Ok::<_, Failed>(spop)
        };
        connected.await.map_err(|error| format!("the agent did not answer HELLO: {error}"))
    }

    /// Sends a message, and waits until it is acknowledged.
    pub(super) async fn notify(
        &mut self,
        message: &str,
        arguments: &[(&[u8], Value<'_>)],
    ) -> Result<(), String> {
        let mut payload = Vec::new();
        encode_message(message.as_bytes(), arguments, &mut payload);
        self.stream_id += 1;
        let mut frame = Vec::new();
        let notified = async {
            self.protocol.notify(self.stream_id, 1, &payload, &mut frame)?;
            self.stream.write_all(&frame).await?;
            self.answered().await
        };
        notified.await.map_err(|error| format!("the agent did not acknowledge: {error}"))
    }

    /// Waits for the agent's next frame.
    async fn answered(&mut self) -> Result<(), Failed> {
        loop {
            if let Some((taken, event)) = self.protocol.receive(&self.input)? {
                if let Some(ClientEvent::Disconnected(disconnect)) = &event {
                    return Err(disconnect.status.text().into());
                }
                self.input.drain(..taken);
                return Ok(());
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err("the agent closed the connection".into());
            }
        }
    }
}

/// Headers as HAProxy's `req.hdrs_bin` and `res.hdrs_bin` give them.
pub(super) fn header_block<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut block = Vec::new();
    encode_header_block(headers.map(|(n, v)| (n.as_bytes(), v.as_bytes())), &mut block);
    block
}
