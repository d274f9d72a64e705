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

    /// As [`next`](Iterator::next), and hands each argument to `each` as it is walked over; a message
    /// that turns out to be malformed has then handed over some.
    #[inline]
    pub fn next_with(
        &mut self,
        each: impl FnMut(&'a [u8], Value<'a>),
    ) -> Option<Result<Message<'a>, Error>> {
        if self.cursor.is_empty() {
            return None;
        }
        // A copy of its own stays in registers.
        let mut cursor = self.cursor.clone();
        let message = read(&mut cursor, each);
        let offset = cursor.offset();
        self.cursor = if message.is_ok() { cursor } else { Cursor::new(&[], offset) };
        Some(message.map_err(|kind| Error::new(kind, Some(FrameType::Notify), offset)))
    }
}

#[inline]
fn read<'a>(
    cursor: &mut Cursor<'a>,
    mut each: impl FnMut(&'a [u8], Value<'a>),
) -> Result<Message<'a>, ErrorKind> {
    let name = cursor.string()?;
    let count = cursor.byte()?;
    let start = cursor.rest();
    for _ in 0..count {
        let name = cursor.string()?;
        each(name, Value::decode(cursor)?);
    }
    let taken = start.len() - cursor.rest().len();
    let arguments = start.get(..taken).ok_or(ErrorKind::Truncated)?;
    Ok(Message { name, count, arguments })
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_with(|_, _| {})
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
