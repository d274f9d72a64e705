//! An HTTP/2 recorder: over TLS with ALPN `h2`, or in the clear with prior knowledge.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::tls;

/// A request as it was decoded from its stream.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which connection it came on, counted from 0.
    pub connection: u64,
    /// `:method`
    pub method: String,
    /// `:scheme`
    pub scheme: Option<String>,
    /// `:authority`
    pub authority: Option<String>,
    /// `:path`, with the query.
    pub path: String,
    /// Headers; values of the same name keep their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// False if the stream was reset before its end.
    pub complete: bool,
}

impl Request {
    /// The first value of a header as text; `None` if it is absent.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

/// What the recorder does with each request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answers with this status and body; HEAD without the body.
    Respond(u16, Vec<u8>),
    /// Waits, then answers with 200 and an empty body.
    Delay(Duration),
    /// Never answers.
    Mute,
    /// Resets the stream with this error code (RFC 9113 section 7).
    ResetStream(u32),
    /// Answers with 200, then says GOAWAY and closes when the open streams are done.
    GoAway,
    /// Closes the TCP connection without an answer.
    Disconnect,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<Request>>,
    arrived: Condvar,
    connections: std::sync::atomic::AtomicU64,
    ended: std::sync::atomic::AtomicU64,
    failed_handshakes: std::sync::atomic::AtomicU64,
}

/// An HTTP/2 server that records the requests it receives. Dropping it closes its connections.
pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Recorder {
    /// Listens on a free port of 127.0.0.1 and speaks HTTP/2 in the clear.
    pub fn start(behaviour: Behaviour) -> Self {
        Self::with(behaviour, None)
    }

    /// Listens on a free port of 127.0.0.1 and speaks HTTP/2 over TLS; ALPN offers `h2` alone.
    pub fn start_tls(behaviour: Behaviour, identity: &tls::Identity) -> Self {
        Self::with(behaviour, Some(identity.server_config(&["h2"])))
    }

    /// Like [`Recorder::start_tls`], with this configuration.
    pub fn start_tls_config(behaviour: Behaviour, config: Arc<rustls::ServerConfig>) -> Self {
        Self::with(behaviour, Some(config))
    }

    fn with(behaviour: Behaviour, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = super::recorder::listen((Ipv4Addr::LOCALHOST, 0).into());
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(behaviour),
            requests: Mutex::default(),
            arrived: Condvar::new(),
            connections: 0.into(),
            ended: 0.into(),
            failed_handshakes: 0.into(),
        });
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let acceptor = tls.map(TlsAcceptor::from);
        runtime.spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Self { address, shared, runtime: Some(runtime) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does, from the next request on.
    pub fn set(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// Connections that completed their handshakes so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        let ended = self.shared.ended.load(std::sync::atomic::Ordering::SeqCst);
        self.connections() - ended
    }

    /// Connections whose TLS or HTTP/2 handshake failed.
    pub fn failed_handshakes(&self) -> u64 {
        self.shared.failed_handshakes.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// The requests so far, in the order in which they ended. A request is there before its answer is
    /// sent.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Waits until `count` requests are there, and gives them all.
    ///
    /// # Panics
    /// After `limit`, showing what there was.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<Request> {
        let end = Instant::now() + limit;
        let mut requests = self.shared.requests.lock().unwrap();
        while requests.len() < count {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                panic!("{} of {count} requests after {limit:?}: {requests:#?}", requests.len());
            }
            requests = self.shared.arrived.wait_timeout(requests, left).unwrap().0;
        }
        requests.clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
) {
    let listener = TcpListener::from_std(listener).expect("a listener for tokio");
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
        tokio::spawn(async move {
            let served = match acceptor {
                None => serve::<TcpStream>(stream, &shared).await,
                Some(acceptor) => match acceptor.accept(stream).into_fallible().await {
                    Ok(stream) => serve(stream, &shared).await,
                    Err((_, stream)) => {
                        linger(stream).await;
                        None
                    }
                },
            };
            let count = if served.is_some() { &shared.ended } else { &shared.failed_handshakes };
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
    }
}

/// Closes this side and waits for the other: what was written last would not arrive if the connection ended
/// with bytes unread.
async fn linger(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
}

/// Serves a connection to its end; `None` if it never became HTTP/2.
async fn serve<S>(stream: S, shared: &Arc<Shared>) -> Option<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut connection = h2::server::handshake(stream).await.ok()?;
    let number = shared.connections.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    // The first word counts; further ones say the same or come too late.
    let (leave, mut leaving) = tokio::sync::mpsc::channel(1);
    loop {
        let next = tokio::select! {
            next = connection.accept() => next,
            Some(disconnect) = leaving.recv() => {
                if disconnect {
                    return Some(());
                }
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, respond))) = next else { return Some(()) };
        let (shared, leave) = (Arc::clone(shared), leave.clone());
        tokio::spawn(async move {
            let request = read(number, request).await;
            let (complete, head) = (request.complete, request.method == "HEAD");
            shared.requests.lock().unwrap().push(request);
            shared.arrived.notify_all();
            let behaviour = shared.behaviour.lock().unwrap().clone();
            if complete {
                // A client that has gone away is no fault of the recorder.
                let _ = answer(behaviour, head, respond, &leave).await;
            }
        });
    }
}

async fn read(connection: u64, request: http::Request<RecvStream>) -> Request {
    let (head, mut stream) = request.into_parts();
    let mut recorded = Request {
        connection,
        method: head.method.to_string(),
        scheme: head.uri.scheme_str().map(str::to_owned),
        authority: head.uri.authority().map(ToString::to_string),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: pairs(&head.headers),
        body: Vec::new(),
        trailers: Vec::new(),
        complete: true,
    };
    while let Some(piece) = stream.data().await {
        let Ok(piece) = piece else {
            recorded.complete = false;
            return recorded;
        };
        let _ = stream.flow_control().release_capacity(piece.len());
        recorded.body.extend_from_slice(&piece);
    }
    if let Ok(Some(trailers)) = stream.trailers().await {
        recorded.trailers = pairs(&trailers);
    }
    recorded
}

fn pairs(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

async fn answer(
    behaviour: Behaviour,
    head: bool,
    mut respond: SendResponse<Bytes>,
    leave: &tokio::sync::mpsc::Sender<bool>,
) -> Result<(), h2::Error> {
    let (status, body) = match behaviour {
        Behaviour::Respond(status, body) => (status, body),
        Behaviour::Delay(time) => {
            tokio::time::sleep(time).await;
            (200, Vec::new())
        }
        Behaviour::Mute => {
            // Holding the handle keeps the stream open.
            std::future::pending::<()>().await;
            return Ok(());
        }
        Behaviour::ResetStream(code) => {
            respond.send_reset(Reason::from(code));
            return Ok(());
        }
        Behaviour::GoAway => {
            let _ = leave.try_send(false);
            (200, Vec::new())
        }
        Behaviour::Disconnect => {
            let _ = leave.try_send(true);
            // Dropping the handle would reset the stream first.
            std::future::pending::<()>().await;
            return Ok(());
        }
    };
    let mut response = http::Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    let ends = head || body.is_empty();
    let mut stream = respond.send_response(response, ends)?;
    if !ends {
        stream.send_data(Bytes::from(body), true)?;
    }
    Ok(())
}
