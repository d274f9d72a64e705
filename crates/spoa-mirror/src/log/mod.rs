//! Logs that never hold up the data plane: lines go through a bounded channel to one thread that
//! writes them; when the channel is full they are dropped and counted.

mod copies;
mod ids;
mod throttle;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFile, LogFormat};

pub use copies::{CopyLine, CopyLog};
pub use ids::RequestId;
pub use throttle::{Throttle, suppressed};

/// How many chunks may wait for the writing thread; a chunk is a line of diagnostics or some
/// kilobytes of copy lines.
const QUEUE: usize = 1024;

/// What may wait for the writing thread at most, in bytes.
pub(crate) const QUEUED_BYTES: usize = QUEUE * copies::BLOCK;

/// What the writing thread is told.
enum Order {
    Info(Vec<u8>),
    Problem(Vec<u8>),
    /// See [`State::reopen`].
    Reopen,
    /// Write everything out, then say so.
    Flush(SyncSender<()>),
}

/// Where lines go. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub struct Sink {
    orders: SyncSender<Order>,
    state: Arc<State>,
}

/// What the writing thread is told beside the channel, which may be full.
#[derive(Debug, Default)]
struct State {
    /// Lines and blocks of lines that found the channel full.
    lost: AtomicU64,
    reopen: AtomicBool,
}

impl Sink {
    /// Opens the log and starts its thread.
    ///
    /// # Errors
    /// The log file cannot be opened.
    pub fn open(config: &LogConfig) -> io::Result<Self> {
        let output = Output::open(config.file.clone())?;
        let format = config.format;
        let (orders, queue) = sync_channel(QUEUE);
        let state = Arc::<State>::default();
        let thread_state = Arc::clone(&state);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_out(&queue, output, format, &thread_state))?;
        Ok(Self { orders, state })
    }

    /// Takes lines of the ordinary kind.
    pub fn info(&self, lines: Vec<u8>) {
        self.send(Order::Info(lines));
    }

    fn send(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines, and blocks of lines, that were dropped because too many came at once.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::Relaxed)
    }

    /// Opens the log file anew, after somebody moved it away.
    pub fn reopen(&self) {
        self.state.reopen.store(true, Ordering::Relaxed);
        // Wakes the thread; one that has more to write than fits the channel is awake.
        let _ = self.orders.try_send(Order::Reopen);
    }

    /// Waits until everything taken so far is written, but not for ever.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(Duration::from_secs(2));
        }
    }
}

/// Sends diagnostics of this program to `sink`, in the configured shape.
pub fn install(sink: Sink, config: &LogConfig) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(config.level)
        .with_target(false)
        .with_ansi(false)
        .with_writer(sink);
    // A second call (a test that runs two agents in one process) keeps the first logger.
    let _ = match config.format {
        LogFormat::Text => tracing::subscriber::set_global_default(builder.finish()),
        LogFormat::Json => {
            tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish())
        }
    };
}

/// One line of diagnostics; goes to the sink when it is dropped.
pub struct Line<'a> {
    sink: &'a Sink,
    problem: bool,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let order = if self.problem { Order::Problem(bytes) } else { Order::Info(bytes) };
        self.sink.send(order);
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { sink: self, problem: false, bytes: Vec::new() }
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        let problem = *meta.level() <= tracing::Level::WARN;
        Line { sink: self, problem, bytes: Vec::new() }
    }
}

enum Output {
    /// Ordinary lines to standard output, problems to standard error.
    Standard,
    /// The throttle is for complaints that the file cannot be written.
    File(LogFile, File, Throttle),
}

impl Output {
    fn open(file: Option<LogFile>) -> io::Result<Self> {
        let Some(log) = file else { return Ok(Self::Standard) };
        let mut options = OpenOptions::new();
        options.create(true);
        if log.truncate {
            options.write(true).truncate(true);
        } else {
            options.append(true);
        }
        let file = options.open(&log.path)?;
        Ok(Self::File(log, file, Throttle::default()))
    }

    fn write(&mut self, bytes: &[u8], problem: bool) {
        // A log that cannot be written must not stop the mirror.
        let _ = match self {
            Self::File(log, file, throttle) => file.write_all(bytes).or_else(|error| {
                let Some(more) = throttle.allow(Instant::now()) else { return Ok(()) };
                let path = log.path.display();
                let what = format!("cannot write to {path}: {error}{}\n", suppressed(more));
                io::stderr().write_all(what.as_bytes())
            }),
            Self::Standard if problem => io::stderr().write_all(bytes),
            Self::Standard => {
                let mut output = io::stdout().lock();
                output.write_all(bytes).and_then(|()| output.flush())
            }
        };
    }

    /// Keeps the old file when the new one cannot be opened; gives what went wrong.
    fn reopen(&mut self) -> Result<(), String> {
        if let Self::File(log, file, _) = self {
            *file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&log.path)
                .map_err(|error| format!("cannot reopen {}: {error}", log.path.display()))?;
        }
        Ok(())
    }
}

fn write_out(orders: &Receiver<Order>, mut output: Output, format: LogFormat, state: &State) {
    let mut told = 0;
    loop {
        let order = orders.recv_timeout(Duration::from_secs(1));
        if state.reopen.swap(false, Ordering::Relaxed) {
            if let Err(message) = output.reopen() {
                output.write(&own_line(&message, format), true);
            }
        }
        match order {
            Ok(Order::Info(bytes)) => output.write(&bytes, false),
            Ok(Order::Problem(bytes)) => output.write(&bytes, true),
            Ok(Order::Flush(done)) => {
                let _ = done.send(());
            }
            Ok(Order::Reopen) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let all = state.lost.load(Ordering::Relaxed);
        let lost = all - std::mem::replace(&mut told, all);
        if lost > 0 {
            let message =
                format!("{lost} log lines or blocks of lines were dropped: too many at once");
            output.write(&own_line(&message, format), true);
        }
    }
}

/// What the writing thread itself has to say: it cannot send itself a line.
fn own_line(message: &str, format: LogFormat) -> Vec<u8> {
    let line = match format {
        LogFormat::Text => format!("{message}\n"),
        LogFormat::Json => format!("{}\n", json!({"level": "WARN", "message": message})),
    };
    line.into_bytes()
}
