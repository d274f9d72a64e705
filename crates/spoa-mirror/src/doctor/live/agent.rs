//! Talks to an agent as HAProxy does (`--agent`): the HELLO of a health check, the HELLO of traffic, and, where
//! asked for, one message.

use std::time::{Duration, Instant};

use serde::Serialize;
use spop_proto::{Capabilities, Client, ClientEvent, Hello, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::connect::{Stream, connect};
use crate::config::ListenAddress;

/// Time for a connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an agent says in its HELLO, and how it says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Greeting {
    /// The SPOP version that it chose.
    pub(super) version: String,
    /// The frame size that it settles on, in bytes.
    pub(super) max_frame_size: u32,
    /// What was offered to it.
    pub(super) offered_frame_size: u32,
    pub(super) pipelining: bool,
    pub(super) fragmentation: bool,
    #[serde(rename = "async")]
    pub(super) asynchronous: bool,
    /// From the HELLO written to the answer read, in microseconds.
    pub(super) took_us: u64,
    /// Whether the answer came in several pieces.
    pub(super) split: bool,
}

/// What went wrong between us and the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no connection.
    Unreachable(String),
    /// There is one, and nothing came in time.
    Silent,
    /// It was closed without an answer.
    Closed,
    /// What came is not SPOP, or not what HAProxy accepts.
    NotSpop(String),
    /// The agent says that it ends the connection, and why.
    Disconnected(String),
}

impl Trouble {
    /// In words that follow the agent's name.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Unreachable(why) => format!("cannot be reached: {why}"),
            Self::Silent => format!("says nothing for {} s", PATIENCE.as_secs()),
            Self::Closed => "closes the connection without an answer".to_owned(),
            Self::NotSpop(why) => format!("does not answer as an agent does: {why}"),
            Self::Disconnected(why) => format!("ends the connection: {why}"),
        }
    }
}

/// A connection to an agent.
pub(super) struct Peer {
    stream: Box<dyn Stream>,
    protocol: Client,
    input: Vec<u8>,
    offered: u32,
}

/// What the agent said.
enum Said {
    Greeting(Greeting),
    Ack { stream_id: u64, frame_id: u64 },
}

impl Peer {
    /// Connects.
    ///
    /// # Errors
    /// [`Trouble::Unreachable`].
    pub(super) async fn connect(address: &ListenAddress, frame_size: u32) -> Result<Self, Trouble> {
        let late =
            || Trouble::Unreachable(format!("no connection within {} s", PATIENCE.as_secs()));
        let connected =
            tokio::time::timeout(PATIENCE, connect(address)).await.map_err(|_| late())?;
        let stream = connected.map_err(|error| Trouble::Unreachable(error.to_string()))?;
        Ok(Self {
            stream,
            protocol: Client::new(frame_size),
            input: Vec::new(),
            offered: frame_size,
        })
    }

    /// Exchanges HELLOs, as a health check or as traffic.
    ///
    /// # Errors
    /// What is wrong with the answer in HAProxy's eyes.
    pub(super) async fn greet(&mut self, healthcheck: bool) -> Result<Greeting, Trouble> {
        let hello = Hello {
            versions: spop_proto::VERSION.as_bytes(),
            max_frame_size: self.offered,
            capabilities: Capabilities { pipelining: true, ..Capabilities::default() },
            engine_id: (!healthcheck).then_some(&b"spoa-mirror-doctor"[..]),
            healthcheck,
        };
        let mut bytes = Vec::new();
        self.protocol.hello(&hello, &mut bytes);
        let said = self.exchange(&bytes).await?;
        let Said::Greeting(greeting) = said else {
            return Err(Trouble::NotSpop("an ACK in answer to a HELLO".to_owned()));
        };
        // What HAProxy itself does not take.
        if !greeting.version.starts_with("2.") {
            return Err(Trouble::NotSpop(format!(
                "it speaks SPOP {:?}, not 2.0",
                greeting.version
            )));
        }
        let range = spop_proto::MIN_FRAME_SIZE..=self.offered;
        if !range.contains(&greeting.max_frame_size) {
            return Err(Trouble::NotSpop(format!(
                "it wants frames of {} bytes, where HAProxy takes {} to {}",
                greeting.max_frame_size,
                spop_proto::MIN_FRAME_SIZE,
                self.offered
            )));
        }
        Ok(greeting)
    }

    /// Sends a message, and gives the time until it was acknowledged.
    ///
    /// # Errors
    /// It was not, or not rightly.
    pub(super) async fn notify(
        &mut self,
        message: &str,
        arguments: &[(&[u8], Value<'_>)],
    ) -> Result<Duration, Trouble> {
        let mut payload = Vec::new();
        spop_proto::encode_message(message.as_bytes(), arguments, &mut payload);
        let mut frame = Vec::new();
        let (stream, number) = (1, 1);
        let too_long = |error: spop_proto::Error| Trouble::NotSpop(error.to_string());
        self.protocol.notify(stream, number, &payload, &mut frame).map_err(too_long)?;
        let begin = Instant::now();
        match self.exchange(&frame).await? {
            Said::Ack { stream_id, frame_id } if (stream_id, frame_id) == (stream, number) => {
                Ok(begin.elapsed())
            }
            Said::Ack { .. } => Err(Trouble::NotSpop("an ACK of another message".to_owned())),
            Said::Greeting(_) => Err(Trouble::NotSpop("a second HELLO".to_owned())),
        }
    }

    /// Writes a frame in one go, and waits for the one that answers it.
    async fn exchange(&mut self, frame: &[u8]) -> Result<Said, Trouble> {
        let begin = Instant::now();
        let exchanged = async {
            self.stream.write_all(frame).await.map_err(|_| Trouble::Closed)?;
            self.answer(begin).await
        };
        tokio::time::timeout(PATIENCE, exchanged).await.unwrap_or(Err(Trouble::Silent))
    }

    async fn answer(&mut self, begin: Instant) -> Result<Said, Trouble> {
        let mut reads = 0;
        loop {
            // No more is held than a frame of the size agreed on: a longer one is an error of the protocol.
            let received = self.protocol.receive(&self.input);
            let received = received.map_err(|error| Trouble::NotSpop(error.to_string()))?;
            if let Some((taken, event)) = received {
                let said = event.map(|event| self.said(&event, begin, reads > 1)).transpose();
                self.input.drain(..taken);
                match said? {
                    Some(said) => return Ok(said),
                    None => continue,
                }
            }
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk).await.map_err(|_| Trouble::Closed)?;
            if read == 0 {
                return Err(match self.input.is_empty() {
                    true => Trouble::Closed,
                    false => Trouble::NotSpop("the connection ends within a frame".to_owned()),
                });
            }
            self.input.extend_from_slice(chunk.get(..read).unwrap_or_default());
            reads += 1;
        }
    }

    fn said(&self, event: &ClientEvent<'_>, begin: Instant, split: bool) -> Result<Said, Trouble> {
        match event {
            ClientEvent::Hello(hello) => Ok(Said::Greeting(Greeting {
                version: shown(hello.version),
                max_frame_size: hello.max_frame_size,
                offered_frame_size: self.offered,
                pipelining: hello.capabilities.pipelining,
                fragmentation: hello.capabilities.fragmentation,
                asynchronous: hello.capabilities.asynchronous,
                took_us: u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX),
                split,
            })),
            ClientEvent::Ack { stream_id, frame_id, .. } => {
                Ok(Said::Ack { stream_id: *stream_id, frame_id: *frame_id })
            }
            ClientEvent::Disconnected(disconnect) => Err(Trouble::Disconnected(format!(
                "status {}, {:?}",
                disconnect.status.code(),
                shown(disconnect.message)
            ))),
        }
    }
}

/// A peer's text, short and fit for a terminal.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().filter(|character| !character.is_control()).take(100).collect()
}
