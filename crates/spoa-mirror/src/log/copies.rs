//! One line for each copy, in the C program's shape or as JSON, collected by each worker and handed
//! to the log in blocks.

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::config::{CopyLines, LogConfig, LogFormat};
use crate::log::{Sink, ids};

/// What a line tells of a copy.
#[derive(Debug)]
pub struct CopyLine<'a> {
    /// The target's name.
    pub target: &'a str,
    /// Scheme, host and port of the target.
    pub origin: &'a str,
    /// The method.
    pub method: &'a [u8],
    /// The request target as sent.
    pub path: &'a [u8],
    /// The version spoken to the target.
    pub version: &'static str,
    /// The status of the answer; 0 without one.
    pub status: u16,
    /// Bytes of the body sent.
    pub sent: u64,
    /// Bytes of the answer's body received.
    pub received: u64,
    /// From the first byte sent to the end of the answer.
    pub time: Duration,
    /// `ok`, or what went wrong.
    pub result: &'static str,
    /// The request's id, if HAProxy gave one as an argument.
    pub id: Option<&'a [u8]>,
    /// The headers as sent, for the ids in them.
    pub headers: &'a [u8],
}

/// A block is handed over when it has this many bytes.
pub(super) const BLOCK: usize = 16 * 1024;

/// Collects the lines of one worker.
#[derive(Debug)]
pub struct CopyLog {
    sink: Sink,
    format: LogFormat,
    lines: CopyLines,
    at_once: bool,
    worker: usize,
    started: Instant,
    block: Vec<u8>,
}

impl CopyLog {
    /// The log of worker number `worker`, counted from 1; `started` is when the program was.
    #[must_use]
    pub fn new(sink: Sink, config: &LogConfig, worker: usize, started: Instant) -> Self {
        let lines =
            if config.level >= tracing::Level::INFO { config.copies } else { CopyLines::None };
        Self {
            sink,
            format: config.format,
            lines,
            at_once: config.file.as_ref().is_some_and(|file| file.line_buffered),
            worker,
            started,
            block: Vec::new(),
        }
    }

    /// Whether there are lines about copies at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.lines != CopyLines::None
    }

    /// Takes a line about an answered or failed copy, if such copies get one.
    pub fn line(&mut self, line: &CopyLine<'_>, failed: bool) {
        let wanted = if failed { self.lines.failed() } else { self.lines.answered() };
        if !wanted {
            return;
        }
        match self.format {
            LogFormat::Text => self.text(line),
            LogFormat::Json => self.json(line),
        }
        if self.at_once || self.block.len() >= BLOCK {
            self.flush();
        }
    }

    /// Hands over what was collected.
    pub fn flush(&mut self) {
        if !self.block.is_empty() {
            let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK + 512));
            self.sink.info(block);
        }
    }

    fn text(&mut self, line: &CopyLine<'_>) {
        let seconds = self.started.elapsed().as_secs_f64();
        let block = &mut self.block;
        // Writing to a Vec does not fail.
        let _ = write!(block, "[{:2}][{seconds:12.6}] \"", self.worker);
        block.extend_from_slice(line.method);
        block.push(b' ');
        if line.path.first().is_none_or(|&first| first == b'/' || first == b'*') {
            block.extend_from_slice(line.origin.as_bytes());
        }
        printable(line.path, block);
        let _ = write!(
            block,
            " {}\" {} {}/{} {:.3} {}",
            line.version,
            line.status,
            line.sent,
            line.received,
            line.time.as_secs_f64() * 1000.0,
            line.result
        );
        if let Some(id) = ids::request_id(line.id, line.headers) {
            block.extend_from_slice(b" id=");
            printable(id, block);
        }
        block.push(b'\n');
    }

    fn json(&mut self, line: &CopyLine<'_>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut object = serde_json::json!({
            "time": now.as_secs_f64(),
            "level": "INFO",
            "message": "copy",
            "worker": self.worker,
            "target": line.target,
            "method": String::from_utf8_lossy(line.method),
            "url": format!("{}{}", line.origin, String::from_utf8_lossy(line.path)),
            "version": line.version,
            "status": line.status,
            "body_bytes_sent": line.sent,
            "body_bytes_received": line.received,
            "milliseconds": line.time.as_secs_f64() * 1000.0,
            "result": line.result,
        });
        if let Some(id) = ids::request_id(line.id, line.headers) {
            let mut shown = Vec::with_capacity(id.len());
            printable(id, &mut shown);
            object["request_id"] = String::from_utf8_lossy(&shown).into();
        }
        if let Some(trace) = ids::trace_id(line.headers) {
            object["trace_id"] = trace.into();
        }
        let _ = writeln!(self.block, "{object}");
    }
}

/// Appends bytes so that a terminal shows them and a line stays a line.
fn printable(bytes: &[u8], output: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            0x21..=0x7e => output.push(byte),
            _ => {
                let _ = write!(output, "\\x{byte:02x}");
            }
        }
    }
}
