//! One connection of an HTTP/1 recorder: splits what it reads into requests and does the behaviour's steps.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::recorder::Shared;
use super::request::{BodyEnd, Dechunker, Request, body_end, head_end, header_lines, split_header};
use super::{Behaviour, Step};

/// No head of these tests is longer; what is, is not HTTP.
const LONGEST_HEAD: usize = 4 << 20;

pub(super) fn serve(shared: &Arc<Shared>, tcp: TcpStream, number: u64) {
    let _ = tcp.set_nodelay(true);
    let Ok(handle) = tcp.try_clone() else { return };
    match &shared.tls {
        None => Connection::new(shared, tcp, handle, number).run(),
        Some(config) => {
            let session = rustls::ServerConnection::new(Arc::clone(config)).expect("a TLS session");
            let mut stream = rustls::StreamOwned::new(session, tcp);
            // A handshake that fails counts as broken; a test asserts on that when it must fail.
            while stream.conn.is_handshaking() {
                if stream.conn.complete_io(&mut stream.sock).is_err() {
                    let _ = stream.conn.write_tls(&mut stream.sock);
                    shared.broken.fetch_add(1, Ordering::SeqCst);
                    linger(&stream.sock);
                    return;
                }
            }
            Connection::new(shared, stream, handle, number).run();
        }
    }
}

/// Closes this side and waits for the other: what was written last would not arrive if the connection ended
/// with bytes unread.
fn linger(mut stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut rest = [0; 4096];
    while matches!(stream.read(&mut rest), Ok(count) if count > 0) {}
}

/// A byte stream that may have an end of its own above TCP's.
trait Stream: Read + Write {
    fn say_goodbye(&mut self);
}

impl Stream for TcpStream {
    fn say_goodbye(&mut self) {}
}

impl Stream for rustls::StreamOwned<rustls::ServerConnection, TcpStream> {
    fn say_goodbye(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }
}

/// What to do with the connection after some steps.
#[derive(PartialEq, Eq)]
enum Next {
    KeepAlive,
    End,
}

struct Connection<'a, S> {
    shared: &'a Shared,
    stream: S,
    tcp: TcpStream,
    peer: SocketAddr,
    number: u64,
    /// Bytes read and not yet part of a request.
    buffer: Vec<u8>,
}

impl<'a, S: Stream> Connection<'a, S> {
    fn new(shared: &'a Shared, stream: S, tcp: TcpStream, number: u64) -> Self {
        // A connection that is reset already has no other end; nothing comes over it either.
        let peer = tcp.peer_addr().unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into());
        Self { shared, stream, tcp, peer, number, buffer: Vec::with_capacity(16 * 1024) }
    }

    fn run(&mut self) {
        let at_accept = self.behaviour().at_accept;
        if self.perform(at_accept) == Next::End {
            return;
        }
        for index in 0.. {
            let Some(request) = self.read_request(index) else { return };
            let behaviour = self.behaviour();
            let complete = request.complete;
            let mut steps = if complete { (behaviour.answer)(&request) } else { Vec::new() };
            if wants_close(&request.raw_head) {
                steps.push(Step::Close);
            }
            self.shared.keep(request);
            if !complete || self.perform(steps) == Next::End {
                return;
            }
        }
    }

    fn behaviour(&self) -> Behaviour {
        self.shared.behaviour.lock().unwrap().clone()
    }

    /// Reads more into the buffer; false at the end of the connection.
    fn fill(&mut self) -> bool {
        let old = self.buffer.len();
        self.buffer.resize(old + 16 * 1024, 0);
        let read = loop {
            match self.stream.read(&mut self.buffer[old..]) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other.unwrap_or(0),
            }
        };
        self.buffer.truncate(old + read);
        self.shared.bytes.fetch_add(read as u64, Ordering::SeqCst);
        read > 0
    }

    /// The next request; incomplete if the connection ends within it, `None` if it ends before.
    fn read_request(&mut self, index: usize) -> Option<Request> {
        let end = loop {
            if let Some(end) = head_end(&self.buffer) {
                break end;
            }
            let ended = !self.fill();
            if ended && self.buffer.is_empty() {
                return None;
            }
            if ended || self.buffer.len() > LONGEST_HEAD {
                self.shared.broken.fetch_add(1, Ordering::SeqCst);
                return None;
            }
        };
        self.shared.heads.fetch_add(1, Ordering::SeqCst);
        let raw_head: Vec<u8> = self.buffer.drain(..end).collect();
        let mut request = Request {
            connection: self.number,
            peer: self.peer,
            index,
            raw_head,
            raw_body: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            complete: true,
            received: Instant::now(),
        };
        let body_end = body_end(&request.raw_head);
        if body_end != BodyEnd::Unframed && self.buffer.is_empty() && expects(&request.raw_head) {
            let _ = self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        match body_end {
            BodyEnd::Unframed => {}
            BodyEnd::Length(length) => self.read_length(&mut request, length),
            BodyEnd::Chunked => self.read_chunks(&mut request),
        }
        Some(request)
    }

    fn read_length(&mut self, request: &mut Request, length: u64) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        while self.buffer.len() < length {
            if !self.fill() {
                request.complete = false;
                break;
            }
        }
        let there = length.min(self.buffer.len());
        request.raw_body = self.buffer.drain(..there).collect();
        if self.shared.record {
            request.body.clone_from(&request.raw_body);
        }
    }

    fn read_chunks(&mut self, request: &mut Request) {
        let mut dechunker = Dechunker::default();
        loop {
            let (taken, done) = dechunker.feed(&self.buffer).unwrap_or_else(|_| {
                self.shared.broken.fetch_add(1, Ordering::SeqCst);
                request.complete = false;
                (0, true)
            });
            request.raw_body.extend(self.buffer.drain(..taken));
            if done {
                break;
            }
            if !self.fill() {
                request.raw_body.append(&mut self.buffer);
                request.complete = false;
                break;
            }
        }
        request.body = dechunker.body;
        request.trailers = dechunker.trailers;
    }

    fn perform(&mut self, steps: Vec<Step>) -> Next {
        for step in steps {
            let gone = match step {
                Step::Send(bytes) => self.stream.write_all(&bytes).is_err(),
                Step::Stream { total } => self.send_filler(total).is_err(),
                Step::Wait(time) => {
                    self.shared.pause(time);
                    false
                }
                Step::Hold => {
                    while self.fill() {
                        self.buffer.clear();
                    }
                    true
                }
                Step::Close => {
                    self.close();
                    true
                }
                Step::Reset => {
                    // Closing with a linger time of zero makes the kernel send RST.
                    let socket = socket2::SockRef::from(&self.tcp);
                    let _ = socket.set_linger(Some(Duration::ZERO));
                    true
                }
            };
            if gone {
                return Next::End;
            }
        }
        Next::KeepAlive
    }

    fn send_filler(&mut self, total: u64) -> std::io::Result<()> {
        let block = [b'x'; 64 * 1024];
        let mut left = total;
        while left > 0 {
            let piece = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
            self.stream.write_all(&block[..piece])?;
            left -= piece as u64;
        }
        Ok(())
    }

    /// Sends FIN, and waits for the peer's, so that unread bytes do not turn it into RST.
    fn close(&mut self) {
        self.stream.say_goodbye();
        let _ = self.tcp.shutdown(Shutdown::Write);
        let _ = self.tcp.set_read_timeout(Some(Duration::from_secs(2)));
        let mut sink = [0; 4096];
        while matches!(self.tcp.read(&mut sink), Ok(1..)) {}
    }
}

/// Does the client say that this is its last request?
fn wants_close(head: &[u8]) -> bool {
    let old = head.split(|&b| b == b'\r').next().is_some_and(|line| line.ends_with(b"HTTP/1.0"));
    let mut keep_alive = !old;
    for (name, value) in header_lines(head).map(split_header) {
        if name.eq_ignore_ascii_case(b"connection") {
            match value.to_ascii_lowercase().as_slice() {
                b"close" => keep_alive = false,
                b"keep-alive" => keep_alive = true,
                _ => {}
            }
        }
    }
    !keep_alive
}

fn expects(head: &[u8]) -> bool {
    let mut headers = header_lines(head).map(split_header);
    headers.any(|(name, value)| {
        name.eq_ignore_ascii_case(b"expect") && value.eq_ignore_ascii_case(b"100-continue")
    })
}
