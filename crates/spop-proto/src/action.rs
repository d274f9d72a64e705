//! Actions (section 3.4): what an ACK asks HAProxy to do with its variables.

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind};
use crate::frame::FrameType;
use crate::value::{Value, encode_string};

const SET_VAR: u8 = 1;
const UNSET_VAR: u8 = 2;

/// Whose variable it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The HAProxy process.
    Process,
    /// The client's session.
    Session,
    /// The transaction: request and response.
    Transaction,
    /// The request.
    Request,
    /// The response.
    Response,
}

impl Scope {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, ErrorKind> {
        let start = cursor.clone();
        Ok(match cursor.byte()? {
            0 => Self::Process,
            1 => Self::Session,
            2 => Self::Transaction,
            3 => Self::Request,
            4 => Self::Response,
            other => return cursor.fail_at(start, ErrorKind::UnknownAction(other)),
        })
    }

    fn byte(self) -> u8 {
        match self {
            Self::Process => 0,
            Self::Session => 1,
            Self::Transaction => 2,
            Self::Request => 3,
            Self::Response => 4,
        }
    }
}

/// One action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// Give a variable a value. HAProxy prefixes the name with `option var-prefix`.
    SetVar {
        /// Whose variable.
        scope: Scope,
        /// Its name.
        name: &'a [u8],
        /// Its value.
        value: Value<'a>,
    },
    /// Forget a variable.
    UnsetVar {
        /// Whose variable.
        scope: Scope,
        /// Its name.
        name: &'a [u8],
    },
}

impl Action<'_> {
    /// Appends the action to an ACK payload.
    pub fn encode(&self, output: &mut Vec<u8>) {
        match *self {
            Self::SetVar { scope, name, value } => {
                output.extend_from_slice(&[SET_VAR, 3, scope.byte()]);
                encode_string(name, output);
                value.encode(output);
            }
            Self::UnsetVar { scope, name } => {
                output.extend_from_slice(&[UNSET_VAR, 2, scope.byte()]);
                encode_string(name, output);
            }
        }
    }
}

/// The actions in an ACK's payload. After an error the iterator ends.
#[derive(Debug, Clone)]
pub struct Actions<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Actions<'a> {
    /// The actions in `payload`, whose first byte stands at `offset` in its frame.
    #[must_use]
    pub fn new(payload: &'a [u8], offset: usize) -> Self {
        Self { cursor: Cursor::new(payload, offset) }
    }

    fn read(&mut self) -> Result<Action<'a>, ErrorKind> {
        let start = self.cursor.clone();
        let kind = self.cursor.byte()?;
        let count = self.cursor.byte()?;
        match (kind, count) {
            (SET_VAR, 3) => Ok(Action::SetVar {
                scope: Scope::decode(&mut self.cursor)?,
                name: self.cursor.string()?,
                value: Value::decode(&mut self.cursor)?,
            }),
            (UNSET_VAR, 2) => Ok(Action::UnsetVar {
                scope: Scope::decode(&mut self.cursor)?,
                name: self.cursor.string()?,
            }),
            (other, _) => self.cursor.fail_at(start, ErrorKind::UnknownAction(other)),
        }
    }
}

impl<'a> Iterator for Actions<'a> {
    type Item = Result<Action<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        Some(self.read().map_err(|kind| {
            let offset = self.cursor.offset();
            self.cursor = Cursor::new(&[], offset);
            Error::new(kind, Some(FrameType::Ack), offset)
        }))
    }
}
