//! Serves one connection from HAProxy.
//!
//! What one read brings is answered by one write, before anything is looked into: HAProxy holds the
//! client's request until the ACK. Only then are the requests offered to the targets.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use spop_proto::{Connection as Protocol, Error, Event, Message, Notify, Status};
use tokio::time::{timeout, timeout_at};
use tracing::{debug, warn};

use super::engines;
use super::lineup::Active;
use super::stream::{Accepted, Stream};
use super::worker::Worker;
use crate::exchange::{Completeness, Exchange, Facts, Production};
use crate::policy::Request;
use crate::survive::caught_future;

/// A connection that does not say HELLO in this time is closed.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// HAProxy takes what we write in this time, or the connection is closed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a DISCONNECT, how long we wait for HAProxy to close.
const LINGER: Duration = Duration::from_millis(500);
/// A stash larger than this is given back once it is empty, in bytes.
pub(crate) const KEEP_STASH: usize = 64 * 1024;

/// Serves `accepted` until it ends, or until the worker winds down.
pub(super) async fn serve(worker: Rc<Worker>, accepted: Accepted, peer: String) {
    let stream = match accepted.register() {
        Ok(stream) => stream,
        Err(error) => {
            debug!("{peer}: cannot serve the connection: {error}");
            return;
        }
    };
    let key = worker.enter();
    let mut connection = Connection {
        protocol: Protocol::new(worker.settings.clone()),
        greeted: false,
        stash: Vec::new(),
        output: Vec::new(),
        read_at: Instant::now(),
        unwritten_acks: 0,
        engine: None,
        worker: Rc::clone(&worker),
        key,
        stream,
        peer,
    };
    match caught_future(connection.run()).await {
        Some(Ok(())) => {}
        // HAProxy resets the connection after a health check, and when a client goes away.
        Some(Err(error)) => debug!("{}: {error}", connection.peer),
        None => warn!("{}: the program panicked; please report it", connection.peer),
    }
    worker.leave(key);
}

struct Connection {
    worker: Rc<Worker>,
    key: usize,
    stream: Stream,
    peer: String,
    protocol: Protocol,
    /// Whether HAProxy said HELLO.
    greeted: bool,
    /// The beginning of a frame whose rest has not come yet; at most one frame.
    stash: Vec<u8>,
    /// Answers that the socket has not taken yet.
    output: Vec<u8>,
    /// When the last read returned.
    read_at: Instant,
    /// ACKs in `output`.
    unwritten_acks: u64,
    /// Whose connection it is, once HAProxy said so.
    engine: Option<engines::Seat>,
}

/// What is to be done after a read.
enum Turn {
    Read,
    /// The protocol is over.
    Over,
    /// HAProxy closed the connection.
    End,
    /// HAProxy did not say HELLO in time.
    NoHello,
    /// The worker winds down, or needs room for other connections.
    Leave,
}

impl Connection {
    async fn run(&mut self) -> io::Result<()> {
        let hello_by = Instant::now() + HELLO_TIMEOUT;
        loop {
            let greeted = self.greeted;
            let turn = std::future::poll_fn(|cx| self.poll_turn(cx));
            let turn = if greeted {
                turn.await?
            } else {
                timeout_at(hello_by.into(), turn).await.unwrap_or(Ok(Turn::NoHello))?
            };
            if matches!(turn, Turn::NoHello) {
                debug!("{}: no HELLO within {HELLO_TIMEOUT:?}", self.peer);
                self.protocol.disconnect(Status::Timeout, &mut self.output);
            }
            if matches!(turn, Turn::Leave) {
                self.protocol.disconnect(Status::Normal, &mut self.output);
            }
            if !self.output.is_empty() {
                let written = timeout(WRITE_TIMEOUT, self.stream.write_all(&self.output)).await;
                written.map_err(|_| ErrorKind::TimedOut)??;
                self.wrote(self.output.len());
            }
            match turn {
                Turn::Read => {}
                Turn::End => return Ok(()),
                Turn::Over | Turn::NoHello | Turn::Leave => return self.linger().await,
            }
        }
    }

    /// Waits for HAProxy to close, so that what we said last is not lost in a reset.
    async fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let worker = Rc::clone(&self.worker);
        let discard = std::future::poll_fn(|cx| {
            let mut scratch = worker.scratch.borrow_mut();
            while ready!(self.stream.poll_read(cx, &mut scratch))? > 0 {}
            Poll::Ready(io::Result::Ok(()))
        });
        timeout(LINGER, discard).await.unwrap_or(Ok(()))
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        self.worker.watch(self.key, cx.waker());
        let worker = Rc::clone(&self.worker);
        let mut scratch = worker.scratch.borrow_mut();
        let count = match self.stream.poll_read(cx, &mut scratch) {
            // What HAProxy has sent by now is still acknowledged.
            Poll::Pending if worker.takes_leave(self.key) => {
                return Poll::Ready(Ok(Turn::Leave));
            }
            read => ready!(read)?,
        };
        if count == 0 {
            return Poll::Ready(Ok(Turn::End));
        }
        self.read_at = Instant::now();
        worker.tally.borrow_mut().bytes_received += count as u64;
        self.take(&scratch[..count]);
        let turn = if self.protocol.is_closed() { Turn::Over } else { Turn::Read };
        Poll::Ready(Ok(turn))
    }

    /// Takes the bytes of one read.
    fn take(&mut self, mut input: &[u8]) {
        if !self.stash.is_empty() {
            let mut stash = std::mem::take(&mut self.stash);
            let complete = complete_frame(&self.protocol, &mut stash, &mut input);
            if complete {
                self.frames(&stash);
                stash.clear();
            }
            if !stash.is_empty() || stash.capacity() <= KEEP_STASH {
                self.stash = stash;
            }
            if !complete {
                return;
            }
        }
        let taken = self.frames(input);
        if !self.protocol.is_closed() {
            self.stash.extend_from_slice(&input[taken..]);
        }
    }

    /// Handles the frames that are whole; gives the number of bytes they took.
    fn frames(&mut self, input: &[u8]) -> usize {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            let count = self.protocol.receive(rest, &mut self.output);
            let counts = self.protocol.take_counts();
            self.unwritten_acks += counts.acknowledged;
            self.write_now();
            self.worker.tally.borrow_mut().frames.add(&counts);
            let mut failed = None;
            let frame_limit = self.protocol.max_frame_size();
            while let Some(event) = self.protocol.next_event(rest) {
                if let Event::Hello(hello) = &event {
                    self.greeted = true;
                    self.engine = (!hello.healthcheck).then(|| self.worker.engines.enter(hello));
                }
                // What was acknowledged along with a malformed message is mirrored all the same.
                if let Err(error) = handle(&self.worker, &self.peer, frame_limit, &event) {
                    failed.get_or_insert(error);
                }
            }
            if let Some(error) = failed {
                self.worker.report_protocol_error(&self.peer, &error);
                self.protocol.disconnect(error.status(), &mut self.output);
            }
            taken += count;
            if count == 0 {
                return taken;
            }
        }
    }

    /// Writes what the socket takes at once: nearly always everything.
    fn write_now(&mut self) {
        if self.output.is_empty() {
            return;
        }
        if let Ok(count) = self.stream.try_write(&self.output) {
            self.wrote(count);
        }
    }

    /// The socket took `count` bytes of the output.
    fn wrote(&mut self, count: usize) {
        self.output.drain(..count);
        let mut tally = self.worker.tally.borrow_mut();
        tally.bytes_sent += count as u64;
        if self.output.is_empty() && self.unwritten_acks > 0 {
            // An ACK that an earlier write took counts as late as the last one of its read.
            tally.ack_delay.observe_many(self.read_at.elapsed(), self.unwritten_acks);
            self.unwritten_acks = 0;
        }
    }
}

/// Moves bytes from `input` to `stash` until the frame that begins there is whole, or enough of it
/// is there to refuse it; false when more must come.
fn complete_frame(protocol: &Protocol, stash: &mut Vec<u8>, input: &mut &[u8]) -> bool {
    loop {
        let missing = protocol.wanted(stash).saturating_sub(stash.len());
        if missing == 0 {
            return true;
        }
        if input.is_empty() {
            return false;
        }
        let (part, rest) = input.split_at(missing.min(input.len()));
        stash.extend_from_slice(part);
        *input = rest;
    }
}

/// Handles an event; the error is a mistake in a NOTIFY's payload, found after its ACK.
fn handle(worker: &Worker, peer: &str, frame_limit: u32, event: &Event<'_>) -> Result<(), Error> {
    match event {
        Event::Hello(hello) => {
            if hello.healthcheck {
                worker.tally.borrow_mut().health_checks += 1;
            } else {
                debug!(
                    "{peer}: HAProxy engine {} offers frames of {} bytes",
                    hello.engine_id.unwrap_or_default().escape_ascii(),
                    hello.max_frame_size
                );
            }
            Ok(())
        }
        Event::Notify(notify) => mirror(worker, notify, frame_limit),
        Event::Aborted { .. } => {
            worker.tally.borrow_mut().aborted += 1;
            Ok(())
        }
        Event::Disconnected(disconnect) => {
            worker.report_disconnect(peer, disconnect);
            Ok(())
        }
        Event::Failed(error) => Err(*error),
    }
}

/// Offers each request in a NOTIFY to each target.
fn mirror(worker: &Worker, notify: &Notify<'_>, frame_limit: u32) -> Result<(), Error> {
    worker.tally.borrow_mut().notifies += 1;
    let active = worker.lineup.active();
    let mut messages = notify.messages();
    while let Some(told) = Exchange::next(&mut messages) {
        let (message, exchange) = told?;
        worker.tally.borrow_mut().messages += 1;
        let exchange = match exchange {
            Ok(exchange) => exchange,
            // An answer that comes by itself, to a request that another message held.
            Err(_) if late_answer(worker, &active, &message, frame_limit) => continue,
            Err(incomplete) => {
                worker.tally.borrow_mut().incomplete += 1;
                worker.report_incomplete(message.name, incomplete);
                continue;
            }
        };
        worker.tally.borrow_mut().requests += 1;
        let facts = Facts::gather(&exchange.headers, active.marker.as_deref());
        let completeness = facts.as_ref().map_or(Completeness::Complete, |facts| {
            exchange.body.completeness(facts, notify.payload_len(), frame_limit)
        });
        let opened = active.intake.as_ref().and_then(|intake| {
            let number = (worker.number, worker.tally.borrow().requests);
            let opened =
                intake.open(number, exchange.id, frame_limit, || Production::read(&message));
            opened.map(|opened| opened.at(exchange.target.path()))
        });
        let mut request = Request::new(&exchange, facts, completeness, worker.chance.draw());
        request.opened = opened.as_ref();
        active.offer(&request);
        if let Some(opened) = opened {
            opened.seal();
        }
    }
    Ok(())
}

/// Takes a message that holds production's answer and no request; whether it is one.
fn late_answer(worker: &Worker, active: &Active, message: &Message<'_>, frame_limit: u32) -> bool {
    let Some(production) = Production::read(message).filter(|answer| !answer.with_request) else {
        return false;
    };
    worker.tally.borrow_mut().answers += 1;
    if let Some(intake) = &active.intake {
        intake.late(&production, frame_limit);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts a frame in pieces together.
    fn complete(pieces: &[&[u8]]) -> (bool, Vec<u8>, usize) {
        let protocol = Protocol::new(spop_proto::Settings::default());
        let (mut stash, mut complete, mut left) = (Vec::new(), false, 0);
        for piece in pieces {
            let mut input = *piece;
            complete = complete_frame(&protocol, &mut stash, &mut input);
            left = input.len();
        }
        (complete, stash, left)
    }

    #[test]
    fn a_stash_takes_one_frame_and_no_more() {
        let frame = [0, 0, 0, 9, 1, 0, 0, 0, 1, 0, 0, 7, 7];
        assert_eq!(complete(&[&frame[..1], &frame[1..5]]), (false, frame[..5].to_vec(), 0));
        let (whole, stash, left) = complete(&[&frame[..2], &frame[2..]]);
        assert!(whole);
        assert_eq!((stash, left), (frame.to_vec(), 0));
        let more: Vec<u8> = frame[2..].iter().chain(&[9, 9]).copied().collect();
        let (whole, stash, left) = complete(&[&frame[..2], &more]);
        assert!(whole);
        assert_eq!((stash, left), (frame.to_vec(), 2));
    }

    #[test]
    fn a_stash_does_not_grow_for_a_frame_over_the_limit() {
        let (known, stash, left) = complete(&[&[0xff, 0xff], &[0xff, 0xff, 1, 7, 7]]);
        assert!(known);
        assert_eq!((stash.len(), left), (5, 2));
        let (known, _, _) = complete(&[&[0xff; 4]]);
        assert!(!known, "the type of the frame is still to come");
    }
}
