//! A connection that speaks HTTP/1 to a target, with or without TLS.
//!
//! Whoever has a copy writes it directly; a long-lived task of each connection reads the answers,
//! writes what the socket did not take at once, and notices when the target closes.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead as _, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::answer::Settled;
use super::keep::Keep;
use super::limits::slots::Slot;
use super::response::{Answered, End, Progress, ResponseReader};
use super::{Copy, Target};
use crate::config::TargetConfig;
use crate::outcome::{Answer, Failure};
use crate::survive::caught;

/// A connection idle for longer is looked at before it is used: the target may have closed it, and
/// the news may not have been read yet.
const FRESH: Duration = Duration::from_millis(50);

/// A buffer larger than this is not kept for the next copy, in bytes.
pub(super) const KEEP_BUFFER: usize = 64 * 1024;

pub(super) struct Connection {
    stream: OwnedWriteHalf,
    tls: Option<RefCell<ClientConnection>>,
    state: RefCell<State>,
    keep: Keep,
    key: Cell<usize>,
    /// Its place among the connections of all workers.
    _slot: Slot,
}

struct State {
    under_way: Option<UnderWay>,
    reader: ResponseReader,
    /// The last copy's buffer, for the next one.
    spare: Vec<u8>,
    idle_since: Instant,
    /// Set by the sweep: the connection is to be closed.
    ended: bool,
    waker: Option<Waker>,
}

struct UnderWay {
    copy: Copy,
    /// Bytes that the socket, or TLS, has taken.
    written: usize,
    started: Instant,
    /// When the answer began, counted from `started`.
    first_byte: Option<Duration>,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        tls: Option<Box<ClientConnection>>,
        keep: Keep,
        slot: Slot,
    ) -> (Self, OwnedReadHalf) {
        let (reader, writer) = stream.into_split();
        let connection = Self {
            stream: writer,
            tls: tls.map(|tls| RefCell::new(*tls)),
            state: RefCell::new(State {
                under_way: None,
                reader: ResponseReader::new(),
                spare: Vec::new(),
                idle_since: Instant::now(),
                ended: false,
                waker: None,
            }),
            keep,
            key: Cell::new(usize::MAX),
            _slot: slot,
        };
        (connection, reader)
    }

    pub(super) fn set_key(&self, key: usize) {
        self.key.set(key);
    }

    pub(super) fn key(&self) -> usize {
        self.key.get()
    }

    /// An empty buffer to write the next copy into.
    pub(super) fn buffer(&self) -> Vec<u8> {
        std::mem::take(&mut self.state.borrow_mut().spare)
    }

    /// Whether a copy may be sent now.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        let state = self.state.borrow();
        if state.ended || state.under_way.is_some() {
            return false;
        }
        // Nothing may have come on an idle connection: neither its end nor a byte.
        let socket = self.stream.as_ref();
        let look = || SockRef::from(socket).peek(&mut [std::mem::MaybeUninit::uninit()]);
        let seen = if now.duration_since(state.idle_since) >= FRESH {
            look()
        } else {
            // What the event loop has heard of already, it tells without a system call.
            socket.try_io(Interest::READABLE, look)
        };
        match seen {
            Err(error) => error.kind() == ErrorKind::WouldBlock,
            // A TLS session ticket may come at any time.
            Ok(count) => count > 0 && self.tls.is_some(),
        }
    }

    /// Sends `copy`; gives it back when the connection is closed and not a byte of it was taken.
    #[allow(clippy::result_large_err, reason = "the copy comes back as it went in")]
    pub(super) fn send(&self, copy: Copy, now: Instant, config: &TargetConfig) -> Result<(), Copy> {
        let mut state = self.state.borrow_mut();
        if state.ended {
            return Err(copy);
        }
        state.reader.begin(copy.is_head(), config.max_answer);
        if let Some(ticket) = &copy.ticket {
            state.reader.record(ticket.recording());
        }
        let mut under_way = UnderWay { copy, written: 0, started: now, first_byte: None };
        let written = self.write(&mut under_way);
        if let Err(error) = written {
            if error.kind() != ErrorKind::WouldBlock {
                state.ended = true;
                state.wake();
                if under_way.written == 0 {
                    return Err(under_way.copy);
                }
            }
        }
        if under_way.written < under_way.copy.bytes.len() || self.tls_wants_write() {
            state.wake();
        }
        state.under_way = Some(under_way);
        Ok(())
    }

    /// Writes as much as the socket takes.
    fn write(&self, under_way: &mut UnderWay) -> io::Result<()> {
        let Some(tls) = &self.tls else {
            while let Some(rest) = under_way.copy.bytes.get(under_way.written..) {
                if rest.is_empty() {
                    break;
                }
                under_way.written += self.stream.try_write(rest)?;
            }
            return Ok(());
        };
        let mut tls = tls.borrow_mut();
        loop {
            let rest = under_way.copy.bytes.get(under_way.written..).unwrap_or_default();
            if !rest.is_empty() {
                under_way.written += tls.writer().write(rest)?;
            }
            if !tls.wants_write() {
                return Ok(());
            }
            while tls.wants_write() {
                tls.write_tls(&mut Raw(&self.stream))?;
            }
        }
    }

    /// Writes what TLS has to say for itself.
    fn write_tls(&self) -> io::Result<()> {
        if let Some(tls) = &self.tls {
            let mut tls = tls.borrow_mut();
            while tls.wants_write() {
                tls.write_tls(&mut Raw(&self.stream))?;
            }
        }
        Ok(())
    }

    fn tls_wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.borrow().wants_write())
    }

    /// Whether the copy under way, or the lack of one, has lasted too long.
    pub(super) fn is_late(&self, now: Instant, timeout: Duration) -> bool {
        let state = self.state.borrow();
        match &state.under_way {
            Some(under_way) => now.duration_since(under_way.started) > timeout,
            None => self.keep.is_over(now, state.idle_since),
        }
    }

    /// Ends the connection, with the copy under way if there is one.
    pub(super) fn end(&self) {
        let mut state = self.state.borrow_mut();
        state.ended = true;
        state.wake();
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= KEEP_BUFFER {
            buffer.clear();
            self.spare = buffer;
        }
    }
}

/// The socket as rustls writes to it.
struct Raw<'a>(&'a OwnedWriteHalf);

impl io::Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads answers until the connection ends, then takes it off the target's books.
pub(super) async fn run(target: Rc<Target>, connection: Rc<Connection>, mut reader: OwnedReadHalf) {
    // A copy may wait for this very connection.
    target.survive(|| target.pump());
    let Over { failure, detail } = std::future::poll_fn(|cx| {
        // A defect must cost one copy, and leave the books in order.
        caught(|| poll(cx, &target, &connection, &mut reader))
            .unwrap_or(Poll::Ready(Failure::Internal.into()))
    })
    .await;
    let under_way = {
        let mut state = connection.state.borrow_mut();
        state.ended = true;
        state.under_way.take()
    };
    if let Some(mut under_way) = under_way {
        let time = under_way.started.elapsed();
        let failure = if time > target.shared.config.timeout { Failure::Timeout } else { failure };
        let mut settled = Settled::failed(failure, time);
        settled.status = connection.state.borrow().reader.answered().status;
        settled.sent = under_way.written as u64;
        settled.detail = detail;
        target.survive(|| target.settle(&mut under_way.copy, settled));
    }
    target.survive(|| target.forget(&connection));
    if failure == Failure::Internal {
        target.count_panic();
    }
}

/// What the end of a connection means for the copy under way, if there is one.
struct Over {
    failure: Failure,
    detail: String,
}

impl From<Failure> for Over {
    fn from(failure: Failure) -> Self {
        Self { failure, detail: String::new() }
    }
}

/// Ready when the connection is over.
fn poll(
    cx: &mut TaskContext<'_>,
    target: &Rc<Target>,
    connection: &Rc<Connection>,
    reader: &mut OwnedReadHalf,
) -> Poll<Over> {
    {
        let mut state = connection.state.borrow_mut();
        if state.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        if state.ended {
            return Poll::Ready(Failure::Reset.into());
        }
        #[cfg(test)]
        if let Some(under_way) = &state.under_way {
            under_way.copy.defect("LATE-DEFECT");
        }
    }
    if let Err(error) = write_rest(cx, connection) {
        // An answer may be there all the same: a target that refuses a body answers, then closes.
        if error.kind() != ErrorKind::BrokenPipe && error.kind() != ErrorKind::ConnectionReset {
            return Poll::Ready(Failure::Reset.into());
        }
    }
    loop {
        let read = {
            let mut scratch = target.context.scratch.borrow_mut();
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *reader).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => Read::End,
                Poll::Ready(Ok(())) => received(target, connection, buffer.filled()),
                Poll::Ready(Err(_)) => Read::Broken,
            }
        };
        match read {
            Read::More => {}
            Read::Settled { mut copy, settled, keep_alive } => {
                target.settle(&mut copy, settled);
                let mut state = connection.state.borrow_mut();
                let now = Instant::now();
                state.idle_since = now;
                state.keep_buffer(copy.bytes);
                if !keep_alive || connection.keep.is_old(now) {
                    return Poll::Ready(Failure::Closed.into());
                }
                drop(state);
                target.reuse(Rc::clone(connection));
            }
            Read::End => return Poll::Ready(at_end(target, connection).into()),
            Read::Broken => {
                let head = connection.state.borrow().reader.has_head();
                let failure = if head { Failure::IncompleteAnswer } else { Failure::Reset };
                return Poll::Ready(failure.into());
            }
            Read::Tls(error) => {
                let detail = error.to_string();
                return Poll::Ready(Over { failure: Failure::Tls, detail });
            }
        }
    }
}

/// What a read amounts to.
#[allow(clippy::large_enum_variant, reason = "it is looked at where it was made")]
enum Read {
    More,
    Settled {
        copy: Copy,
        settled: Settled,
        keep_alive: bool,
    },
    End,
    Broken,
    /// The session failed; with TLS 1.3 this is how a target refuses a client's certificate.
    Tls(rustls::Error),
}

impl Read {
    /// What this and the `next` read amount to together. Whatever follows an answer spoils its
    /// connection: its end, or bytes that nobody asked for.
    fn then(self, next: Self) -> Self {
        match (self, next) {
            (read, Self::More) | (Self::More, read) => read,
            (Self::Settled { copy, settled, .. }, _) => {
                Self::Settled { copy, settled, keep_alive: false }
            }
            (read, _) => read,
        }
    }
}

fn write_rest(cx: &mut TaskContext<'_>, connection: &Connection) -> io::Result<()> {
    loop {
        let mut state = connection.state.borrow_mut();
        let pending = state
            .under_way
            .as_ref()
            .is_some_and(|under_way| under_way.written < under_way.copy.bytes.len());
        if !pending && !connection.tls_wants_write() {
            return Ok(());
        }
        if connection.stream.as_ref().poll_write_ready(cx)?.is_pending() {
            return Ok(());
        }
        let written = match &mut state.under_way {
            Some(under_way) => connection.write(under_way),
            None => connection.write_tls(),
        };
        match written {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(()) => {}
        }
    }
}

/// Takes bytes from the socket.
fn received(target: &Target, connection: &Connection, bytes: &[u8]) -> Read {
    let Some(tls) = &connection.tls else { return answer_bytes(connection, bytes) };
    let mut rest = bytes;
    let mut read = Read::More;
    while !rest.is_empty() {
        {
            let mut tls = tls.borrow_mut();
            if !matches!(tls.read_tls(&mut rest), Ok(count) if count > 0) {
                return read.then(Read::Broken);
            }
            if let Err(error) = tls.process_new_packets() {
                return read.then(Read::Tls(error));
            }
        }
        loop {
            let mut plaintext = target.context.plaintext.borrow_mut();
            let count = tls.borrow_mut().reader().read(&mut plaintext);
            read = match count {
                Ok(0) => return read.then(Read::End),
                Ok(count) => read.then(answer_bytes(connection, &plaintext[..count])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return read.then(Read::Broken),
            };
            if let Read::Broken = read {
                return read;
            }
        }
    }
    if connection.tls_wants_write() {
        // A key update or an alert; what the socket does not take now goes with the next copy.
        let _ = connection.write_tls();
    }
    read
}

/// Takes bytes of an answer.
fn answer_bytes(connection: &Connection, bytes: &[u8]) -> Read {
    let mut state = connection.state.borrow_mut();
    let State { under_way, reader, .. } = &mut *state;
    let Some(current) = under_way else {
        // Bytes that nobody asked for: whatever they are, the connection cannot be trusted.
        return Read::Broken;
    };
    let time = current.started.elapsed();
    current.first_byte.get_or_insert(time);
    let progress = reader.feed(bytes);
    reader.head_at(time);
    let answered = reader.answered();
    let (cut, keep_alive, unparsable) = match progress {
        Progress::More => return Read::More,
        Progress::Whole { taken, keep_alive } => {
            let all_sent = current.written == current.copy.bytes.len();
            let reusable = taken == bytes.len() && all_sent && !current.copy.layout.closes;
            (false, keep_alive && reusable, false)
        }
        Progress::OverLimit => (true, false, answered.status == 0),
        Progress::Unparsable => (false, false, true),
    };
    let Some(under_way) = under_way.take() else { return Read::More };
    let mut settled = answer(&under_way, answered, time, cut, unparsable);
    settled.recording = reader.recording();
    Read::Settled { copy: under_way.copy, settled, keep_alive }
}

fn answer(
    under_way: &UnderWay,
    answered: Answered,
    time: Duration,
    cut: bool,
    unparsable: bool,
) -> Settled {
    let class = if unparsable { Answer::Unparsable } else { Answer::of(answered.status) };
    Settled {
        result: Ok(class),
        status: answered.status,
        sent: under_way.written as u64,
        received: answered.body,
        cut,
        time,
        first_byte: under_way.first_byte.unwrap_or(time),
        version: "HTTP/1.1",
        recording: None,
        detail: String::new(),
    }
}

/// The target closed the connection: settles an answer that ends so.
fn at_end(target: &Rc<Target>, connection: &Connection) -> Failure {
    let mut state = connection.state.borrow_mut();
    if state.under_way.is_none() {
        return Failure::Closed;
    }
    match state.reader.end() {
        End::Nothing => Failure::Closed,
        End::Incomplete => Failure::IncompleteAnswer,
        End::Whole => {
            let answered = state.reader.answered();
            let recording = state.reader.recording();
            if let Some(mut under_way) = state.under_way.take() {
                drop(state);
                let time = under_way.started.elapsed();
                let mut settled = answer(&under_way, answered, time, false, false);
                settled.recording = recording;
                target.settle(&mut under_way.copy, settled);
            }
            Failure::Closed
        }
    }
}
