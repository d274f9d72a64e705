//! An agent around a [`Connection`], and events, answers and values that outlive their input. The
//! fuzz targets use it too.

use spop_proto::{
    Capabilities, Client, ClientEvent, Connection, Error, Event, Hello, Notify, Settings, Status,
    Value,
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The owner of a [`Connection`], as an agent is one: it keeps what was not taken for the next
/// read, and closes the connection when a message is malformed.
pub(crate) struct Agent {
    /// Whether it does close it. What follows in the same read is answered all the same, so that
    /// only an agent that does not is told the same however a stream is cut.
    pub(crate) closes: bool,
    pub(crate) connection: Connection,
    pub(crate) stash: Vec<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) events: Vec<Seen>,
}

impl Agent {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            closes: true,
            connection: Connection::new(settings),
            stash: Vec::new(),
            output: Vec::new(),
            events: Vec::new(),
        }
    }

    /// An agent that has received all of `pieces`.
    pub(crate) fn fed<'a>(settings: Settings, pieces: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut agent = Self::new(settings);
        for piece in pieces {
            agent.read(piece);
        }
        agent
    }

    /// What follows when `bytes` arrive.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        self.stash.extend_from_slice(bytes);
        let mut taken = 0;
        loop {
            let rest = &self.stash[taken..];
            let step = self.connection.receive(rest, &mut self.output);
            assert!(step <= rest.len(), "took {step} of {} bytes", rest.len());
            let mut malformed = None;
            while let Some(event) = self.connection.next_event(rest) {
                let seen = Seen::from(event);
                if let Seen::Notify { error: Some(error), .. } = &seen {
                    malformed.get_or_insert(error.status());
                }
                self.events.push(seen);
            }
            if let Some(status) = malformed.filter(|_| self.closes) {
                self.connection.disconnect(status, &mut self.output);
            }
            taken += step;
            if step == 0 {
                break;
            }
        }
        self.stash.drain(..taken);
    }

    /// The answers so far, as HAProxy reads them.
    pub(crate) fn answers(&self) -> Vec<Answer> {
        answers(&mut Client::new(u32::MAX), &self.output)
    }
}

/// The frames of `stream`, all of which must be there in full, as HAProxy reads them.
pub(crate) fn answers(client: &mut Client, mut stream: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some((taken, event)) = client.receive(stream).expect("an agent's frame is malformed")
    {
        answers.extend(event.map(Answer::from));
        stream = &stream[taken..];
    }
    assert!(stream.is_empty(), "{} bytes of an unfinished frame", stream.len());
    answers
}

/// The answers that these events call for, as long as no message is malformed.
pub(crate) fn answers_due(settings: &Settings, events: &[Seen]) -> Vec<Answer> {
    let due = events.iter().filter_map(|event| match event {
        Seen::Hello(hello) => Some(Answer::hello(
            hello.max_frame_size.min(settings.max_frame_size),
            settings.fragmentation,
        )),
        Seen::Notify { stream_id, frame_id, .. } => Some(Answer::ack(*stream_id, *frame_id)),
        Seen::Aborted { .. } => None,
        Seen::Disconnected { .. } => Some(Answer::disconnected(Status::Normal)),
        Seen::Failed(error) => Some(Answer::disconnected(error.status())),
    });
    due.collect()
}

/// An [`Event`] that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Hello(SeenHello),
    Notify {
        stream_id: u64,
        frame_id: u64,
        payload_len: usize,
        messages: Vec<SeenMessage>,
        error: Option<Error>,
    },
    Aborted {
        stream_id: u64,
        frame_id: u64,
    },
    Disconnected {
        status: Status,
        message: Vec<u8>,
    },
    Failed(Error),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeenHello {
    pub(crate) versions: Vec<u8>,
    pub(crate) max_frame_size: u32,
    pub(crate) capabilities: Capabilities,
    pub(crate) engine_id: Option<Vec<u8>>,
    pub(crate) healthcheck: bool,
}

impl SeenHello {
    pub(crate) fn borrow(&self) -> Hello<'_> {
        Hello {
            versions: &self.versions,
            max_frame_size: self.max_frame_size,
            capabilities: self.capabilities,
            engine_id: self.engine_id.as_deref(),
            healthcheck: self.healthcheck,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeenMessage {
    pub(crate) name: Vec<u8>,
    pub(crate) arguments: Vec<(Vec<u8>, Owned)>,
}

impl SeenMessage {
    pub(crate) fn encode(&self, output: &mut Vec<u8>) {
        let arguments: Vec<(&[u8], Value<'_>)> =
            self.arguments.iter().map(|(name, value)| (&name[..], value.borrow())).collect();
        spop_proto::encode_message(&self.name, &arguments, output);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Owned> {
        self.arguments.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value)
    }
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Hello(hello) => Self::Hello(SeenHello {
                versions: hello.versions.to_vec(),
                max_frame_size: hello.max_frame_size,
                capabilities: hello.capabilities,
                engine_id: hello.engine_id.map(<[u8]>::to_vec),
                healthcheck: hello.healthcheck,
            }),
            Event::Notify(notify) => {
                let (messages, error) = read_messages(&notify);
                Self::Notify {
                    stream_id: notify.stream_id,
                    frame_id: notify.frame_id,
                    payload_len: notify.payload_len(),
                    messages,
                    error,
                }
            }
            Event::Aborted { stream_id, frame_id } => Self::Aborted { stream_id, frame_id },
            Event::Disconnected(disconnect) => Self::Disconnected {
                status: disconnect.status,
                message: disconnect.message.to_vec(),
            },
            Event::Failed(error) => Self::Failed(error),
        }
    }
}

/// The messages up to the first that is malformed, and what is wrong with that one.
pub(crate) fn read_messages(notify: &Notify<'_>) -> (Vec<SeenMessage>, Option<Error>) {
    let mut seen = Vec::new();
    let mut messages = notify.messages();
    for message in messages.by_ref() {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                assert!(messages.next().is_none(), "something follows the error");
                return (seen, Some(error));
            }
        };
        let arguments: Vec<_> =
            message.arguments().map(|(name, value)| (name.to_vec(), Owned::from(value))).collect();
        assert_eq!(arguments.len(), message.len(), "the message lost arguments");
        assert_eq!(message.is_empty(), arguments.is_empty());
        for (name, _) in &arguments {
            let first = arguments.iter().find(|(candidate, _)| candidate == name);
            let found = message.get(name).map(Owned::from);
            assert_eq!(found.as_ref(), first.map(|(_, value)| value));
        }
        seen.push(SeenMessage { name: message.name.to_vec(), arguments });
    }
    (seen, None)
}

/// A [`ClientEvent`] that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Hello {
        version: Vec<u8>,
        max_frame_size: u32,
        capabilities: Capabilities,
    },
    /// The actions as this crate encodes them.
    Ack {
        stream_id: u64,
        frame_id: u64,
        actions: Vec<u8>,
    },
    Disconnected {
        status: Status,
        message: Vec<u8>,
    },
}

impl Answer {
    /// An ACK that asks for nothing.
    pub(crate) fn ack(stream_id: u64, frame_id: u64) -> Self {
        Self::Ack { stream_id, frame_id, actions: Vec::new() }
    }

    /// What this crate says when it closes for this reason.
    pub(crate) fn disconnected(status: Status) -> Self {
        Self::Disconnected { status, message: status.text().into() }
    }

    /// What this crate says to a HELLO.
    pub(crate) fn hello(max_frame_size: u32, fragmentation: bool) -> Self {
        Self::Hello {
            version: b"2.0".to_vec(),
            max_frame_size,
            capabilities: Capabilities { pipelining: true, fragmentation, asynchronous: false },
        }
    }
}

impl From<ClientEvent<'_>> for Answer {
    fn from(event: ClientEvent<'_>) -> Self {
        match event {
            ClientEvent::Hello(hello) => Self::Hello {
                version: hello.version.to_vec(),
                max_frame_size: hello.max_frame_size,
                capabilities: hello.capabilities,
            },
            ClientEvent::Ack { stream_id, frame_id, actions } => {
                let mut encoded = Vec::new();
                for action in actions {
                    action.expect("malformed action").encode(&mut encoded);
                }
                Self::Ack { stream_id, frame_id, actions: encoded }
            }
            ClientEvent::Disconnected(disconnect) => Self::Disconnected {
                status: disconnect.status,
                message: disconnect.message.to_vec(),
            },
        }
    }
}

/// A [`Value`] that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Owned {
    Null,
    Bool(bool),
    Int32(i32),
    Uint32(u32),
    Int64(i64),
    Uint64(u64),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    String(Vec<u8>),
    Binary(Vec<u8>),
}

impl Owned {
    pub(crate) fn borrow(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int32(number) => Value::Int32(*number),
            Self::Uint32(number) => Value::Uint32(*number),
            Self::Int64(number) => Value::Int64(*number),
            Self::Uint64(number) => Value::Uint64(*number),
            Self::Ipv4(address) => Value::Ipv4(*address),
            Self::Ipv6(address) => Value::Ipv6(*address),
            Self::String(bytes) => Value::String(bytes),
            Self::Binary(bytes) => Value::Binary(bytes),
        }
    }
}

impl From<Value<'_>> for Owned {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Int32(number) => Self::Int32(number),
            Value::Uint32(number) => Self::Uint32(number),
            Value::Int64(number) => Self::Int64(number),
            Value::Uint64(number) => Self::Uint64(number),
            Value::Ipv4(address) => Self::Ipv4(address),
            Value::Ipv6(address) => Self::Ipv6(address),
            Value::String(bytes) => Self::String(bytes.to_vec()),
            Value::Binary(bytes) => Self::Binary(bytes.to_vec()),
        }
    }
}
