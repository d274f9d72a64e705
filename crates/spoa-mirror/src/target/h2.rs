//! A connection that speaks HTTP/2 to a target. Copies are made from their HTTP/1 bytes; what
//! HTTP/2 cannot express is dropped as such, never altered.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tokio::task::spawn_local;
use tokio::time::timeout_at;

use super::answer::Settled;
use super::{Copy, Target};
use crate::outcome::{Answer, DropReason, Failure};

/// Connections to one target from one worker; each carries many copies.
pub(super) const MAX_CONNECTIONS: usize = 4;

/// Copies under way at once on a connection: what servers commonly allow.
const MAX_STREAMS: usize = 100;

pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    active: Cell<usize>,
}

impl Connection {
    pub(super) fn new(requests: SendRequest<Bytes>) -> Self {
        Self { requests, active: Cell::new(0) }
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
pub(super) fn send(target: &Rc<Target>, connection: &Rc<Connection>, copy: Copy) {
    let Some(request) = request(&copy, target.shared.config.url.https) else {
        target.count_drop(DropReason::Unrepresentable);
        return;
    };
    connection.active.set(connection.active.get() + 1);
    target.took_off();
    let (target, connection) = (Rc::clone(target), Rc::clone(connection));
    spawn_local(async move {
        let started = Instant::now();
        let deadline = started + target.shared.config.timeout;
        let exchange = exchange(&target, &connection, &copy, request, started);
        let sent = match timeout_at(deadline.into(), exchange).await {
            Ok(sent) => sent,
            Err(_) => Sent::Settled(failed(Failure::Timeout, started)),
        };
        connection.active.set(connection.active.get() - 1);
        match sent {
            Sent::Settled(mut settled) => {
                settled.sent = copy.bytes.len() as u64;
                // A connection that leads nowhere looks just like a slow target: start afresh.
                if settled.result == Err(Failure::Timeout) {
                    target.retire_h2(&connection);
                }
                target.settle(&copy, &settled);
                target.pump();
            }
            Sent::NotAtAll => {
                target.retire_h2(&connection);
                target.landed();
                target.put_back(copy);
                target.pump();
            }
        }
    });
}

enum Sent {
    Settled(Settled),
    /// The connection took no new request: nothing of the copy was sent.
    NotAtAll,
}

async fn exchange(
    target: &Target,
    connection: &Connection,
    copy: &Copy,
    request: Request<()>,
    started: Instant,
) -> Sent {
    let Ok(mut requests) = connection.requests.clone().ready().await else {
        return Sent::NotAtAll;
    };
    let body = copy.bytes.get(copy.layout.body.clone()).unwrap_or_default();
    let Ok((response, mut stream)) = requests.send_request(request, body.is_empty()) else {
        return Sent::NotAtAll;
    };
    // The body is sent within the target's flow-control window; h2 holds what does not fit.
    if !body.is_empty() && stream.send_data(Bytes::copy_from_slice(body), true).is_err() {
        return Sent::Settled(failed(Failure::Http2, started));
    }
    let response = match response.await {
        Ok(response) => response,
        Err(error) => return Sent::Settled(failed(cause(&error), started)),
    };
    let first_byte = started.elapsed();
    let status = response.status().as_u16();
    let limit = target.shared.config.max_answer;
    let (received, cut) = match drain(response.into_body(), limit).await {
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
    })
}

/// Reads a body up to `limit` and throws it away; gives its length and whether it was cut. Dropping
/// the stream resets it.
async fn drain(mut body: RecvStream, limit: u64) -> Result<(u64, bool), h2::Error> {
    let mut received = 0u64;
    while let Some(data) = body.data().await {
        let data = data?;
        received += data.len() as u64;
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

fn cause(error: &h2::Error) -> Failure {
    if error.is_io() { Failure::Closed } else { Failure::Http2 }
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
