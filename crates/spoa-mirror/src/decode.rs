//! `spoa-mirror decode`: SPOP bytes as text.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use spop_proto::{
    Actions, Frame, FrameType, HeaderBlock, Items, Messages, Value, decode_frame, needed,
};

/// What to decode.
#[derive(Debug, Args)]
pub struct DecodeArgs {
    /// The file with the bytes, or with their hexadecimal digits; `-` for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Print at most this many bytes of each value
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    width: usize,
}

/// No more than this is read, in bytes.
const MAX_INPUT: u64 = 1 << 30;

/// No HAProxy sends frames as long as this, in bytes: `tune.bufsize` ends far below.
const IMPLAUSIBLE: usize = 1 << 28;

/// Prints what is in the file; the exit code is 0 when all of it could be decoded.
pub(crate) fn main(arguments: &DecodeArgs) -> ExitCode {
    let bytes = match read(arguments) {
        Ok(bytes) => bytes,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {}: {error}", arguments.file.display());
            return ExitCode::from(crate::EXIT_FAILURE);
        }
    };
    let bytes = from_hex(&bytes).unwrap_or(bytes);
    let mut text = String::new();
    let problem = describe(&bytes, arguments.width, &mut text);
    // A reader that closed the pipe has seen enough.
    let _ = io::stdout().write_all(text.as_bytes());
    if let Some(problem) = problem {
        let _ = writeln!(io::stderr(), "error: {problem}");
        return ExitCode::from(crate::EXIT_FAILURE);
    }
    ExitCode::SUCCESS
}

fn read(arguments: &DecodeArgs) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if arguments.file.as_os_str() == "-" {
        io::stdin().lock().take(MAX_INPUT).read_to_end(&mut bytes)?;
    } else {
        File::open(&arguments.file)?.take(MAX_INPUT).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The bytes that hexadecimal digits stand for; spaces, line ends, commas, colons and `0x` may stand
/// between them. `None` when the input is something else.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut digits = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c == ',' || c == ':') {
        let word = word.strip_prefix("0x").unwrap_or(word);
        for digit in word.chars() {
            digits.push(u8::try_from(digit.to_digit(16)?).ok()?);
        }
    }
    let pairs = digits.chunks_exact(2);
    if digits.is_empty() || !pairs.remainder().is_empty() {
        return None;
    }
    Some(pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Describes each frame; gives what stopped it before the end.
fn describe(bytes: &[u8], width: usize, text: &mut String) -> Option<String> {
    let mut at = 0;
    let mut number = 0;
    let mut fragments = Fragments::default();
    while at < bytes.len() {
        number += 1;
        let rest = &bytes[at..];
        match decode_frame(rest, u32::MAX) {
            Ok(Some(frame)) => {
                describe_head(number, at, &frame, text);
                if let Err(error) = describe_payload(&frame, &mut fragments, width, text) {
                    return Some(format!("frame {number} at byte {at}: {error}"));
                }
                at += frame.wire_len();
            }
            Ok(None) if needed(rest).is_some_and(|length| length > IMPLAUSIBLE) => {
                return Some(format!(
                    "frame {number} at byte {at}: a frame of {} bytes; these are no SPOP bytes, \
                     neither raw nor as hexadecimal digits",
                    needed(rest).unwrap_or_default()
                ));
            }
            Ok(None) => {
                let wanted = needed(rest).map_or(String::new(), |n| format!(" of {n}"));
                return Some(format!(
                    "frame {number} at byte {at}: the input ends after {} bytes{wanted}",
                    rest.len()
                ));
            }
            Err(error) => return Some(format!("frame {number} at byte {at}: {error}")),
        }
    }
    None
}

/// The payload of a NOTIFY that comes in fragments, as far as they came.
#[derive(Default)]
struct Fragments {
    payload: Vec<u8>,
    count: usize,
}

fn describe_head(number: usize, at: usize, frame: &Frame<'_>, text: &mut String) {
    let mut flags = Vec::new();
    if frame.flags.is_fin() {
        flags.push("FIN");
    }
    if frame.flags.is_abort() {
        flags.push("ABORT");
    }
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "frame {number} at byte {at}: {} stream {} frame {} flags {} payload {} bytes",
        frame.kind,
        frame.stream_id,
        frame.frame_id,
        if flags.is_empty() { "none".to_owned() } else { flags.join("|") },
        frame.payload.len()
    );
}

fn describe_payload(
    frame: &Frame<'_>,
    fragments: &mut Fragments,
    width: usize,
    text: &mut String,
) -> Result<(), spop_proto::Error> {
    match frame.kind {
        FrameType::Notify | FrameType::Unset if frame.flags.is_abort() => {
            *fragments = Fragments::default();
            let _ = writeln!(text, "  HAProxy gave the message up");
        }
        FrameType::Notify if frame.flags.is_fin() => {
            describe_messages(Messages::new(frame.payload, frame.payload_offset), width, text)?;
        }
        FrameType::Notify => {
            *fragments = Fragments { payload: frame.payload.to_vec(), count: 1 };
            let _ = writeln!(text, "  the first fragment");
        }
        FrameType::Unset if fragments.count > 0 => {
            fragments.payload.extend_from_slice(frame.payload);
            fragments.count += 1;
            let (count, bytes) = (fragments.count, fragments.payload.len());
            if frame.flags.is_fin() {
                let _ = writeln!(text, "  the last of {count} fragments, {bytes} bytes in all");
                let Fragments { payload, .. } = std::mem::take(fragments);
                describe_messages(Messages::new(&payload, 0), width, text)?;
            } else {
                let _ = writeln!(text, "  fragment {count}, {bytes} bytes so far");
            }
        }
        FrameType::HaproxyHello
        | FrameType::HaproxyDisconnect
        | FrameType::AgentHello
        | FrameType::AgentDisconnect => {
            for item in Items::new(frame) {
                let (name, value) = item?;
                describe_item("  ", name, &value, width, text);
            }
        }
        FrameType::Ack => {
            for action in Actions::new(frame.payload, frame.payload_offset) {
                let _ = writeln!(text, "  action {:?}", action?);
            }
        }
        _ => {
            let _ = writeln!(text, "  {}", shortened(frame.payload, width));
        }
    }
    Ok(())
}

fn describe_messages(
    messages: Messages<'_>,
    width: usize,
    text: &mut String,
) -> Result<(), spop_proto::Error> {
    for message in messages {
        let message = message?;
        let _ = writeln!(
            text,
            "  message \"{}\", {} arguments",
            message.name.escape_ascii(),
            message.len()
        );
        for (name, value) in message.arguments() {
            describe_item("    ", name, &value, width, text);
        }
    }
    Ok(())
}

fn describe_item(indent: &str, name: &[u8], value: &Value<'_>, width: usize, text: &mut String) {
    let _ = write!(text, "{indent}{} = ", name.escape_ascii());
    let _ = match *value {
        Value::Null => writeln!(text, "null"),
        Value::Bool(value) => writeln!(text, "bool {value}"),
        Value::Int32(n) => writeln!(text, "int32 {n}"),
        Value::Uint32(n) => writeln!(text, "uint32 {n}"),
        Value::Int64(n) => writeln!(text, "int64 {n}"),
        Value::Uint64(n) => writeln!(text, "uint64 {n}"),
        Value::Ipv4(address) => writeln!(text, "ipv4 {address}"),
        Value::Ipv6(address) => writeln!(text, "ipv6 {address}"),
        Value::String(bytes) => writeln!(text, "string {}", shortened(bytes, width)),
        Value::Binary(bytes) => match headers(bytes) {
            None => writeln!(text, "binary {}", shortened(bytes, width)),
            Some(headers) => {
                let _ = writeln!(text, "binary, {} headers", headers.len());
                for (name, value) in headers {
                    let (name, value) = (name.escape_ascii(), shortened(value, width));
                    let _ = writeln!(text, "{indent}  {name}: {value}");
                }
                Ok(())
            }
        },
    };
}

/// The pairs of a header block, if that is what the bytes are.
fn headers(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let headers: Vec<_> = HeaderBlock::new(bytes).collect::<Result<_, _>>().ok()?;
    let named = headers.iter().all(|(name, _)| crate::exchange::is_token(name));
    (!headers.is_empty() && named).then_some(headers)
}

fn shortened(bytes: &[u8], width: usize) -> String {
    let shown = &bytes[..bytes.len().min(width)];
    let more = bytes.len() - shown.len();
    if more == 0 {
        format!("\"{}\"", shown.escape_ascii())
    } else {
        format!("\"{}\" and {more} bytes more", shown.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_in_the_shapes_that_tools_print() {
        for text in ["00ff10", "00 FF\n10\n", "0x00,0xff,0x10", "00:ff:10"] {
            assert_eq!(from_hex(text.as_bytes()), Some(vec![0, 255, 16]), "{text}");
        }
        for text in ["", "0", "0g", "\u{0}\u{0}"] {
            assert_eq!(from_hex(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_cut_frame_says_where() {
        let mut text = String::new();
        let problem = describe(&[0, 0, 0, 9, 3, 0], 80, &mut text);
        assert_eq!(
            problem.as_deref(),
            Some("frame 1 at byte 0: the input ends after 6 bytes of 13")
        );
    }
}
