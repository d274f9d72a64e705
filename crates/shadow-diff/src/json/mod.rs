//! Bodies with a structure. JSON is compared as it is; form data and XML are written as JSON first.

mod compare;
mod number;
mod parse;
mod pretty;
mod show;

pub(crate) use compare::compare;
pub(crate) use parse::{Document, Unreadable};
pub(crate) use pretty::{closed, pretty};
pub(crate) use show::show;

/// Appends `text` as a JSON string.
pub(crate) fn quote(text: &[u8], output: &mut Vec<u8>) {
    output.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => output.extend_from_slice(&[b'\\', byte]),
            b'\n' => output.extend_from_slice(b"\\n"),
            b'\r' => output.extend_from_slice(b"\\r"),
            b'\t' => output.extend_from_slice(b"\\t"),
            0..0x20 => output.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => output.push(byte),
        }
    }
    output.push(b'"');
}
