//! Lines that a process writes or a syslog socket receives, collected for assertions.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A growing list of lines, filled by background threads. Clones share it.
#[derive(Clone, Default)]
pub struct Lines {
    shared: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Lines {
    /// Adds a line.
    pub fn push(&self, line: String) {
        self.shared.0.lock().unwrap().push(line);
        self.shared.1.notify_all();
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.shared.0.lock().unwrap().clone()
    }

    /// The lines so far that satisfy `predicate`.
    pub fn matching(&self, predicate: impl Fn(&str) -> bool) -> Vec<String> {
        self.all().into_iter().filter(|line| predicate(line)).collect()
    }

    /// Waits for the first line, among those already there and those to come, that satisfies
    /// `predicate`; `None` after `limit`.
    pub fn wait(&self, limit: Duration, predicate: impl Fn(&str) -> bool) -> Option<String> {
        let end = Instant::now() + limit;
        let mut seen = 0;
        let mut lines = self.shared.0.lock().unwrap();
        loop {
            if let Some(line) = lines[seen..].iter().find(|line| predicate(line)) {
                return Some(line.clone());
            }
            seen = lines.len();
            let left = end.checked_duration_since(Instant::now())?;
            lines = self.shared.1.wait_timeout(lines, left).unwrap().0;
        }
    }
}

/// Reads `source` to its end in a thread and adds each line to all of `into`; bytes that are not UTF-8
/// are replaced. The thread ends with the source.
pub fn collect(source: impl Read + Send + 'static, into: Vec<Lines>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(source);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']);
            into.iter().for_each(|lines| lines.push(text.to_owned()));
            line.clear();
        }
    })
}

/// A syslog server on a unix datagram socket; HAProxy's `log PATH local0` writes to it.
pub struct Syslog {
    lines: Lines,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Syslog {
    /// Listens on a new socket at `path`.
    ///
    /// # Panics
    /// When the socket cannot be made.
    pub fn start(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path)
            .unwrap_or_else(|e| panic!("cannot bind the syslog socket {}: {e}", path.display()));
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (lines, stop) = (Lines::default(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (lines, stop) = (lines.clone(), Arc::clone(&stop));
            move || {
                let mut buffer = vec![0; 70_000];
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(length) = socket.recv(&mut buffer) {
                        let text = String::from_utf8_lossy(&buffer[..length]);
                        lines.push(text.trim_end_matches('\n').to_owned());
                    }
                }
            }
        });
        Self { lines, stop, thread: Some(thread) }
    }

    /// What arrived, one entry for each datagram, with its `<priority>` and header.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
