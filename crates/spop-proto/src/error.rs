//! What can be wrong with a peer's bytes, where it was found, and the status that tells the peer.

use std::fmt;

use crate::frame::FrameType;

/// Why a connection is closed, as sent in DISCONNECT frames (section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 0: nothing is wrong.
    Normal,
    /// 1: I/O error.
    Io,
    /// 2: a timeout occurred.
    Timeout,
    /// 3: a frame is longer than agreed.
    TooBig,
    /// 4: a frame is malformed or out of place.
    Invalid,
    /// 5: HELLO without `supported-versions`.
    NoVersion,
    /// 6: HELLO without `max-frame-size`.
    NoFrameSize,
    /// 7: HELLO without `capabilities`.
    NoCapabilities,
    /// 8: no common version.
    UnsupportedVersion,
    /// 9: `max-frame-size` too big or too small.
    BadFrameSize,
    /// 10: fragmentation is not supported.
    FragmentationNotSupported,
    /// 11: a frame in the middle of another one's fragments.
    Interlaced,
    /// 12: a fragment of a frame that is not known.
    FrameIdNotFound,
    /// 13: out of resources.
    Resource,
    /// 99: anything else.
    Unknown,
    /// A code that the document does not list.
    Other(u32),
}

impl Status {
    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Normal => 0,
            Self::Io => 1,
            Self::Timeout => 2,
            Self::TooBig => 3,
            Self::Invalid => 4,
            Self::NoVersion => 5,
            Self::NoFrameSize => 6,
            Self::NoCapabilities => 7,
            Self::UnsupportedVersion => 8,
            Self::BadFrameSize => 9,
            Self::FragmentationNotSupported => 10,
            Self::Interlaced => 11,
            Self::FrameIdNotFound => 12,
            Self::Resource => 13,
            Self::Unknown => 99,
            Self::Other(code) => code,
        }
    }

    /// The status with this code.
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Normal,
            1 => Self::Io,
            2 => Self::Timeout,
            3 => Self::TooBig,
            4 => Self::Invalid,
            5 => Self::NoVersion,
            6 => Self::NoFrameSize,
            7 => Self::NoCapabilities,
            8 => Self::UnsupportedVersion,
            9 => Self::BadFrameSize,
            10 => Self::FragmentationNotSupported,
            11 => Self::Interlaced,
            12 => Self::FrameIdNotFound,
            13 => Self::Resource,
            99 => Self::Unknown,
            code => Self::Other(code),
        }
    }

    /// A short English text for people; sent as the `message` of a DISCONNECT frame.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Io => "I/O error",
            Self::Timeout => "a timeout occurred",
            Self::TooBig => "frame is too big",
            Self::Invalid => "invalid frame received",
            Self::NoVersion => "version value not found",
            Self::NoFrameSize => "max-frame-size value not found",
            Self::NoCapabilities => "capabilities value not found",
            Self::UnsupportedVersion => "unsupported version",
            Self::BadFrameSize => "max-frame-size too big or too small",
            Self::FragmentationNotSupported => "fragmentation not supported",
            Self::Interlaced => "invalid interlaced frames",
            Self::FrameIdNotFound => "frame-id not found",
            Self::Resource => "resource allocation error",
            Self::Unknown | Self::Other(_) => "unknown error",
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A field ends after its frame does.
    Truncated,
    /// A variable-length integer that does not end or does not fit 64 bits.
    BadVarint,
    /// A typed value of a type that does not exist.
    UnknownType(u8),
    /// A value of another type than its place demands.
    WrongType,
    /// An integer outside its type's range.
    OutOfRange,
    /// A frame longer than agreed: its length and the limit, in bytes.
    FrameTooLong {
        /// The length that the frame states.
        length: u32,
        /// The longest that is allowed.
        limit: u32,
    },
    /// A frame too short to hold a frame's fixed fields.
    FrameTooShort,
    /// A frame that may not come in this state of the connection, or not from this side.
    UnexpectedFrame,
    /// Fragments that add up to more than is allowed; the limit in bytes.
    MessageTooLong {
        /// The largest reassembled payload that is allowed.
        limit: usize,
    },
    /// A frame that begins inside another one's fragments.
    Interlaced,
    /// A fragment that continues nothing.
    UnknownFragment,
    /// A fragment though fragmentation was not announced.
    FragmentationNotAnnounced,
    /// A HELLO without this item.
    MissingItem(&'static str),
    /// A HELLO that offers no version of ours.
    UnsupportedVersion,
    /// A HELLO whose `max-frame-size` is under [`crate::MIN_FRAME_SIZE`].
    BadFrameSize(u32),
    /// An action of a type or scope that does not exist, or with a wrong number of arguments.
    UnknownAction(u8),
}

/// A peer's mistake: what, in which kind of frame, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// In which kind of frame; `None` when not even that could be read.
    pub frame_type: Option<FrameType>,
    /// Where the field begins that is wrong, or the end where one is missing: bytes from the start
    /// of the frame's length prefix (0 when the length itself is wrong; where the payload begins when
    /// the frame as a whole may not be); in a reassembled message, bytes from the start of its
    /// payload.
    pub offset: usize,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, frame_type: Option<FrameType>, offset: usize) -> Self {
        Self { kind, frame_type, offset }
    }

    /// The status that tells the peer of this mistake.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.kind {
            ErrorKind::FrameTooLong { .. } | ErrorKind::MessageTooLong { .. } => Status::TooBig,
            ErrorKind::Interlaced => Status::Interlaced,
            ErrorKind::UnknownFragment => Status::FrameIdNotFound,
            ErrorKind::FragmentationNotAnnounced => Status::FragmentationNotSupported,
            ErrorKind::MissingItem("supported-versions" | "version") => Status::NoVersion,
            ErrorKind::MissingItem("max-frame-size") => Status::NoFrameSize,
            ErrorKind::MissingItem("capabilities") => Status::NoCapabilities,
            ErrorKind::UnsupportedVersion => Status::UnsupportedVersion,
            ErrorKind::BadFrameSize(_) => Status::BadFrameSize,
            ErrorKind::Truncated
            | ErrorKind::BadVarint
            | ErrorKind::UnknownType(_)
            | ErrorKind::WrongType
            | ErrorKind::OutOfRange
            | ErrorKind::FrameTooShort
            | ErrorKind::UnexpectedFrame
            | ErrorKind::MissingItem(_)
            | ErrorKind::UnknownAction(_) => Status::Invalid,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("a field reaches past the end of its frame"),
            Self::BadVarint => f.write_str("a variable-length integer does not fit 64 bits"),
            Self::UnknownType(byte) => write!(f, "value type {byte} does not exist"),
            Self::WrongType => f.write_str("a value has another type than its place demands"),
            Self::OutOfRange => f.write_str("an integer is outside its type's range"),
            Self::FrameTooLong { length, limit } => {
                write!(f, "frame of {length} bytes, {limit} are allowed")
            }
            Self::FrameTooShort => f.write_str("frame shorter than a frame's fixed fields"),
            Self::UnexpectedFrame => f.write_str("this frame may not come here"),
            Self::MessageTooLong { limit } => {
                write!(f, "fragments add up to more than the {limit} bytes allowed")
            }
            Self::Interlaced => f.write_str("a frame begins inside another one's fragments"),
            Self::UnknownFragment => f.write_str("a fragment continues no known frame"),
            Self::FragmentationNotAnnounced => {
                f.write_str("a fragment, though fragmentation was not announced")
            }
            Self::MissingItem(name) => write!(f, "`{name}` is missing"),
            Self::UnsupportedVersion => {
                write!(f, "no supported version offered (need {})", crate::VERSION)
            }
            Self::BadFrameSize(size) => {
                write!(f, "max-frame-size {size} is under the minimum of {}", crate::MIN_FRAME_SIZE)
            }
            Self::UnknownAction(byte) => {
                write!(f, "no action has this type or scope ({byte}) or number of arguments")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.frame_type {
            Some(kind) => write!(f, "{kind} frame, offset {}: {}", self.offset, self.kind),
            None => write!(f, "frame header, offset {}: {}", self.offset, self.kind),
        }
    }
}

impl std::error::Error for Error {}
