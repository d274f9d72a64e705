//! The payload of a NOTIFY frame (section 3.2.6): messages, each with named, typed arguments.

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind};
use crate::frame::FrameType;
use crate::value::{Value, encode_string};

/// The messages of one NOTIFY; there may be none.
///
/// A message comes out only when all of its arguments are well-formed, so that reading them later
/// cannot fail. After an error the iterator ends.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Messages<'a> {
    /// The messages in `payload`, whose first byte stands at `offset` in its frame (0 for a
    /// reassembled payload); errors count from there.
    #[must_use]
    pub fn new(payload: &'a [u8], offset: usize) -> Self {
        Self { cursor: Cursor::new(payload, offset) }
    }

    fn read(&mut self) -> Result<Message<'a>, ErrorKind> {
        let name = self.cursor.string()?;
        let count = self.cursor.byte()?;
        let start = self.cursor.rest();
        for _ in 0..count {
            self.cursor.string()?;
            Value::decode(&mut self.cursor)?;
        }
        let taken = start.len() - self.cursor.rest().len();
        let arguments = start.get(..taken).ok_or(ErrorKind::Truncated)?;
        Ok(Message { name, count, arguments })
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        Some(self.read().map_err(|kind| {
            let offset = self.cursor.offset();
            self.cursor = Cursor::new(&[], offset);
            Error::new(kind, Some(FrameType::Notify), offset)
        }))
    }
}

/// One message: its name and arguments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Message<'a> {
    /// The name from HAProxy's `spoe-message` line.
    pub name: &'a [u8],
    count: u8,
    arguments: &'a [u8],
}

impl<'a> Message<'a> {
    /// How many arguments it has.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The arguments in their order; names may be empty and may come more than once.
    #[must_use]
    pub fn arguments(&self) -> Arguments<'a> {
        Arguments { cursor: Cursor::new(self.arguments, 0) }
    }

    /// The first argument with this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<Value<'a>> {
        self.arguments().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }
}

/// A message's arguments: name and value.
#[derive(Debug, Clone)]
pub struct Arguments<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Arguments<'a> {
    type Item = (&'a [u8], Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        // `Messages` has walked these bytes before: they do not fail.
        let name = self.cursor.string().ok()?;
        let value = Value::decode(&mut self.cursor).ok()?;
        Some((name, value))
    }
}

/// Appends a message to a NOTIFY payload. At most 255 arguments are written: the count is a byte.
pub fn encode(name: &[u8], arguments: &[(&[u8], Value<'_>)], output: &mut Vec<u8>) {
    let count = u8::try_from(arguments.len()).unwrap_or(u8::MAX);
    encode_string(name, output);
    output.push(count);
    for (name, value) in arguments.iter().take(usize::from(count)) {
        encode_string(name, output);
        value.encode(output);
    }
}
