//! A connection that speaks HTTP/2 to a target. Copies are made from their HTTP/1 bytes; what
//! HTTP/2 cannot express is dropped as such, never altered.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong, Reason, RecvStream};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tokio::task::spawn_local;
use tokio::time::{sleep_until, timeout, timeout_at};

use super::answer::Settled;
use super::keep::Keep;
use super::{Copy, Target};
use crate::comparison::{Recording, Ticket};
use crate::outcome::{Answer, DropReason, Failure};
use crate::survive::caught_future;

/// Connections to one target from one worker; each carries many copies.
pub(super) const MAX_CONNECTIONS: usize = 4;

/// Copies under way at once on a connection: what servers commonly allow.
pub(super) const MAX_STREAMS: usize = 100;

/// A connection from which nothing was heard for this time is asked whether it is still there. Servers
/// that are strict about it allow few such questions in a row.
const PING_AFTER: Duration = Duration::from_secs(10);

/// It has this time to say so.
const PONG_WITHIN: Duration = Duration::from_secs(5);

/// A copy that a target refused unread, or that a connection did not take, is tried again so many
/// times.
const MAX_RESENDS: u8 = 5;

pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    active: Cell<usize>,
    idle_since: Cell<Instant>,
    keep: Keep,
    peer: Rc<Peer>,
}

/// What is known of the other end.
pub(super) struct Peer {
    /// When something was last heard from it.
    heard: Cell<Instant>,
    /// Why the connection ended, if it did not end well.
    trouble: RefCell<Option<(Failure, String)>>,
}

impl Peer {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { heard: Cell::new(Instant::now()), trouble: RefCell::new(None) })
    }

    fn heard(&self) {
        self.heard.set(Instant::now());
    }
}

/// Does a connection's reading and writing until it ends or turns out to be dead; says why.
pub(super) async fn drive<S>(
    mut connection: h2::client::Connection<S, Bytes>,
    peer: Rc<Peer>,
) -> Result<(), String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let pings = connection.ping_pong();
    let (failure, detail) = tokio::select! {
        ended = connection => match ended {
            Ok(()) => return Ok(()),
            Err(error) => (cause(&error), error.to_string()),
        },
        () = silence(pings, &peer) => {
            (Failure::Closed, format!("no answer to a PING for {PONG_WITHIN:?}"))
        }
    };
    peer.trouble.replace(Some((failure, detail.clone())));
    Err(detail)
}

/// Ready when the other end does not say anything any more.
async fn silence(pings: Option<PingPong>, peer: &Peer) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        let quiet = peer.heard.get() + PING_AFTER;
        if Instant::now() < quiet {
            sleep_until(quiet.into()).await;
            continue;
        }
        let asked = Instant::now();
        let pong = pings.ping(Ping::opaque());
        tokio::pin!(pong);
        loop {
            match timeout(PONG_WITHIN, &mut pong).await {
                Ok(Ok(_)) => {
                    peer.heard();
                    break;
                }
                // The connection is about to end by itself.
                Ok(Err(_)) => return std::future::pending().await,
                Err(_) if peer.heard.get() < asked => return,
                // Busy with an answer.
                Err(_) => {}
            }
        }
    }
}

impl Connection {
    pub(super) fn new(requests: SendRequest<Bytes>, keep: Keep, peer: Rc<Peer>) -> Self {
        let idle_since = Cell::new(Instant::now());
        Self { requests, active: Cell::new(0), idle_since, keep, peer }
    }

    /// Whether it has carried nothing for too long, or may carry nothing more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        if self.active.get() > 0 {
            return self.keep.is_old(now);
        }
        self.keep.is_over(now, self.idle_since.get())
    }

    pub(super) fn active(&self) -> usize {
        self.active.get()
    }

    pub(super) fn has_room(&self) -> bool {
        let limit = self.requests.current_max_send_streams().min(MAX_STREAMS);
        self.active.get() < limit
    }
}

/// Sends `copy` on a task of its own.
pub(super) fn send(target: &Rc<Target>, connection: &Rc<Connection>, mut copy: Copy) {
    let Some(request) = request(&copy, target.shared.config.url.https) else {
        target.count_drop(DropReason::Unrepresentable);
        return;
    };
    connection.active.set(connection.active.get() + 1);
    let (target, connection) = (Rc::clone(target), Rc::clone(connection));
    spawn_local(async move {
        let started = Instant::now();
        let deadline = started + target.shared.config.timeout;
        let exchange = exchange(&target, &connection, &copy, request, started);
        let sent = match timeout_at(deadline.into(), caught_future(exchange)).await {
            Ok(Some(sent)) => sent,
            Ok(None) => Sent::Settled(failed(Failure::Internal, started)),
            Err(_) => Sent::Settled(failed(Failure::Timeout, started)),
        };
        connection.active.set(connection.active.get() - 1);
        connection.idle_since.set(Instant::now());
        let (settled, usable) = match sent {
            Sent::Settled(mut settled) => {
                settled.sent = copy.bytes.len() as u64;
                // A connection that leads nowhere looks just like a slow target: start afresh.
                let usable = settled.result != Err(Failure::Timeout);
                (settled, usable)
            }
            Sent::NotAtAll { usable } if copy.resent < MAX_RESENDS => {
                if !usable {
                    target.retire_h2(&connection);
                }
                copy.resent += 1;
                target.put_back(copy);
                target.survive(|| target.pump());
                return;
            }
            Sent::NotAtAll { usable } => {
                let detail = "the target takes no requests".to_owned();
                (Settled { detail, ..failed(Failure::Http2, started) }, usable)
            }
        };
        if !usable {
            target.retire_h2(&connection);
        }
        target.survive(|| target.settle(&mut copy, settled));
        target.survive(|| target.pump());
    });
}

enum Sent {
    Settled(Settled),
    /// The target has not looked at it: the connection took no new request, or said so. The
    /// connection may be good for others.
    NotAtAll {
        usable: bool,
    },
}

async fn exchange(
    target: &Target,
    connection: &Connection,
    copy: &Copy,
    request: Request<()>,
    started: Instant,
) -> Sent {
    let Ok(mut requests) = connection.requests.clone().ready().await else {
        return not_sent(connection, started);
    };
    #[cfg(test)]
    copy.defect("LATE-DEFECT");
    let body = copy.bytes.get(copy.layout.body.clone()).unwrap_or_default();
    let Ok((response, mut stream)) = requests.send_request(request, body.is_empty()) else {
        return not_sent(connection, started);
    };
    // The body is sent within the target's flow-control window; h2 holds what does not fit.
    if !body.is_empty() && stream.send_data(Bytes::copy_from_slice(body), true).is_err() {
        return Sent::Settled(failed(Failure::Http2, started));
    }
    let response = match response.await {
        Ok(response) => response,
        Err(error) => return not_answered(&error, connection, started),
    };
    let first_byte = started.elapsed();
    connection.peer.heard();
    let status = response.status().as_u16();
    let limit = target.shared.config.max_answer;
    let (head, body) = response.into_parts();
    let mut recording = copy.ticket.as_ref().and_then(Ticket::recording);
    if let Some(recording) = &mut recording {
        for (name, value) in &head.headers {
            recording.header(name.as_str().as_bytes(), value.as_bytes());
        }
        recording.head_at(first_byte);
    }
    let drained = drain(body, limit, &connection.peer, recording.as_deref_mut()).await;
    let (received, cut) = match drained {
        Ok(drained) => drained,
        Err(_) => {
            let mut settled = failed(Failure::IncompleteAnswer, started);
            settled.status = status;
            return Sent::Settled(settled);
        }
    };
    Sent::Settled(Settled {
        result: Ok(Answer::of(status)),
        status,
        sent: 0,
        received,
        cut,
        time: started.elapsed(),
        first_byte,
        version: "HTTP/2",
        recording,
        detail: String::new(),
    })
}

/// Reads a body up to `limit`, and throws away what is not recorded; gives its length and whether it was
/// cut. Dropping the stream resets it.
async fn drain(
    mut body: RecvStream,
    limit: u64,
    peer: &Peer,
    mut recording: Option<&mut Recording>,
) -> Result<(u64, bool), h2::Error> {
    let mut received = 0u64;
    while let Some(data) = body.data().await {
        let data = data?;
        peer.heard();
        received += data.len() as u64;
        if let Some(recording) = &mut recording {
            recording.body(&data);
        }
        if received > limit {
            return Ok((received, true));
        }
        body.flow_control().release_capacity(data.len())?;
    }
    Ok((received, false))
}

fn failed(failure: Failure, started: Instant) -> Settled {
    let time: Duration = started.elapsed();
    Settled { version: "HTTP/2", ..Settled::failed(failure, time) }
}

/// A connection took no request. Another one will do no better when it is TLS that failed, which with
/// TLS 1.3 shows only after the handshake.
fn not_sent(connection: &Connection, started: Instant) -> Sent {
    match &*connection.peer.trouble.borrow() {
        Some((Failure::Tls, detail)) => {
            Sent::Settled(Settled { detail: detail.clone(), ..failed(Failure::Tls, started) })
        }
        _ => Sent::NotAtAll { usable: false },
    }
}

/// A copy went out, and no answer came.
fn not_answered(error: &h2::Error, connection: &Connection, started: Instant) -> Sent {
    // GOAWAY concerns the streams that it says were not processed; the others go on, or end with their
    // connection. A refused stream was not processed either (RFC 9113, sections 6.8 and 8.7).
    if error.is_remote() && error.is_go_away() {
        return Sent::NotAtAll { usable: false };
    }
    if error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM) {
        return Sent::NotAtAll { usable: true };
    }
    // The connection knows better what broke it.
    let trouble = connection.peer.trouble.borrow().clone();
    let (failure, detail) = trouble.unwrap_or_else(|| (cause(error), error.to_string()));
    Sent::Settled(Settled { detail, ..failed(failure, started) })
}

fn cause(error: &h2::Error) -> Failure {
    match error.get_io() {
        // TLS has no other way to say it through an I/O error.
        Some(io) if io.kind() == ErrorKind::InvalidData => Failure::Tls,
        Some(_) => Failure::Closed,
        None => Failure::Http2,
    }
}

/// The copy as an HTTP/2 request; `None` when HTTP/2, or the library that speaks it, cannot express
/// it.
fn request(copy: &Copy, https: bool) -> Option<Request<()>> {
    let bytes = &copy.bytes;
    let target = bytes.get(copy.layout.target.clone())?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(bytes.get(copy.layout.method.clone())?).ok()?;
    *request.version_mut() = http::Version::HTTP_2;
    let mut authority = None;
    let lines = bytes.get(copy.layout.headers.clone())?;
    for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let line = line.strip_suffix(b"\r")?;
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = (line.get(..colon)?, line.get(colon + 2..)?);
        if name.eq_ignore_ascii_case(b"host") {
            authority = Some(value);
            continue;
        }
        let name = HeaderName::from_bytes(name).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    // `h2` sends no request without an authority: one without Host stays unsent.
    let authority = Authority::try_from(authority?).ok()?;
    // `http` accepts less than HTTP does, and drops a fragment: what does not come out as it went
    // in is not sent.
    let path = PathAndQuery::try_from(target).ok()?;
    if path.as_str().as_bytes() != target {
        return None;
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if https { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    parts.path_and_query = Some(path);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    Some(request)
}
