//! The HTTP/1 recorder: accepts connections, gives each to a thread, keeps what they receive.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::{Behaviour, Request, Response, connection};
use crate::{tls, wait};

/// How to start a [`Recorder`].
pub struct Builder {
    address: SocketAddr,
    behaviour: Behaviour,
    record: bool,
    tls: Option<Arc<rustls::ServerConfig>>,
    receive_buffer: Option<usize>,
}

impl Builder {
    /// Listens on this address instead of a free port of 127.0.0.1: to bring a backend back where it was.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// What it does at first; at first, `200` with the body `ok`.
    #[must_use]
    pub fn behaviour(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// False: only counts and keeps no requests, for load.
    #[must_use]
    pub fn record(mut self, record: bool) -> Self {
        self.record = record;
        self
    }

    /// Lets the kernel hold about this many received bytes for each connection (`SO_RCVBUF`), so that a
    /// recorder that does not read soon stops its peer.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Speaks TLS with this certificate; ALPN offers `http/1.1`.
    #[must_use]
    pub fn tls(mut self, identity: &tls::Identity) -> Self {
        self.tls = Some(identity.server_config(&["http/1.1"]));
        self
    }

    /// Speaks TLS as this says.
    #[must_use]
    pub fn tls_config(mut self, config: Arc<rustls::ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When the address cannot be bound.
    pub fn start(self) -> Recorder {
        let listener = listen(self.address);
        let address = listener.local_addr().unwrap();
        if let Some(bytes) = self.receive_buffer {
            // Accepted connections inherit it.
            socket2::SockRef::from(&listener).set_recv_buffer_size(bytes).unwrap();
        }
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(self.behaviour),
            record: self.record,
            tls: self.tls,
            requests: Mutex::default(),
            arrived: Condvar::new(),
            live: Mutex::default(),
            stop: AtomicBool::new(false),
            stopped: (Mutex::new(()), Condvar::new()),
            accepted: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            most_open: AtomicU64::new(0),
            heads: AtomicU64::new(0),
            complete: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        });
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        });
        Recorder { address, shared, acceptor: Some(acceptor) }
    }
}

/// Binds with a backlog that a burst of connections does not fill; the address may have been in use by a
/// recorder before.
pub(super) fn listen(address: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    let bound = socket.bind(&address.into()).and_then(|()| socket.listen(4096));
    bound.unwrap_or_else(|e| panic!("a backend cannot listen on {address}: {e}"));
    socket.into()
}

/// What a recorder has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// The most connections that were open at the same time.
    pub most_open: u64,
    /// Request heads received.
    pub requests: u64,
    /// Requests received to their end.
    pub complete: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Connections whose bytes were not HTTP, or whose TLS failed.
    pub broken: u64,
}

/// An HTTP/1 server that records the requests it receives. Dropping it closes its connections.
pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Describes a recorder on a free port of 127.0.0.1 that answers `200`, body `ok`.
    pub fn builder() -> Builder {
        Builder {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            behaviour: Behaviour::respond(Response::ok("ok")),
            record: true,
            tls: None,
            receive_buffer: None,
        }
    }

    /// Starts [`Recorder::builder`] as it is.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Starts a recorder with this behaviour.
    pub fn with(behaviour: Behaviour) -> Self {
        Self::builder().behaviour(behaviour).start()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what it does, from the next request (or accepted connection) on.
    pub fn set(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// What it has seen so far.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// The requests so far, in the order in which they ended (or broke off). A request is there before
    /// its answer is sent.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Takes the requests so far away, so that the next wait counts from none.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.shared.requests.lock().unwrap())
    }

    /// Waits until there are `count` requests that satisfy `predicate`; what there was when time was up
    /// otherwise.
    pub fn wait_matching(
        &self,
        count: usize,
        limit: Duration,
        predicate: impl Fn(&Request) -> bool,
    ) -> Result<Vec<Request>, Vec<Request>> {
        let end = Instant::now() + limit;
        let mut requests = self.shared.requests.lock().unwrap();
        loop {
            let matching: Vec<_> = requests.iter().filter(|r| predicate(r)).cloned().collect();
            if matching.len() >= count {
                return Ok(matching);
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                return Err(requests.clone());
            };
            requests = self.shared.arrived.wait_timeout(requests, left).unwrap().0;
        }
    }

    /// Waits until `count` requests are there, and gives them all.
    ///
    /// # Panics
    /// After `limit`, showing what there was.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<Request> {
        self.wait_matching(count, limit, |_| true).unwrap_or_else(|there| {
            panic!("{} of {count} requests after {limit:?}: {there:#?}", there.len())
        })
    }

    /// Waits until `count` requests have been received to their end, recorded or not.
    ///
    /// # Panics
    /// After `limit`, showing the counts.
    pub fn wait_count(&self, count: u64, limit: Duration) {
        let there = || (self.counts().complete >= count).then_some(());
        if wait::poll(limit, there).is_none() {
            panic!("not {count} requests after {limit:?}: {:?}", self.counts());
        }
    }

    /// Closes every open connection (FIN), as a server does that restarts.
    pub fn close_connections(&self) {
        self.shared.close_all();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        {
            let _guard = self.shared.stopped.0.lock().unwrap();
            self.shared.stopped.1.notify_all();
        }
        // Wakes the acceptor, which then sees the flag.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.shared.close_all();
        // Until the last thread is gone the port is not free for a successor.
        wait::poll(Duration::from_secs(5), || (self.counts().open == 0).then_some(()));
    }
}

pub(super) struct Shared {
    pub(super) behaviour: Mutex<Behaviour>,
    pub(super) record: bool,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    requests: Mutex<Vec<Request>>,
    arrived: Condvar,
    live: Mutex<HashMap<u64, TcpStream>>,
    stop: AtomicBool,
    stopped: (Mutex<()>, Condvar),
    accepted: AtomicU64,
    finished: AtomicU64,
    most_open: AtomicU64,
    pub(super) heads: AtomicU64,
    complete: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) broken: AtomicU64,
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept() else {
                // Out of descriptors, most likely: let some connections end.
                wait::pause(Duration::from_millis(5));
                continue;
            };
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let number = self.accepted.fetch_add(1, Ordering::SeqCst);
            self.most_open.fetch_max(self.counts().open, Ordering::SeqCst);
            if let Ok(handle) = stream.try_clone() {
                self.live.lock().unwrap().insert(number, handle);
            }
            let shared = Arc::clone(self);
            // Small stacks: there may be thousands.
            let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || {
                // Also when the connection's thread panics (on a broken chunk, say), it is counted out.
                let _end = ConnectionEnd { shared: &shared, number };
                connection::serve(&shared, stream, number);
            });
            thread.expect("a thread for the connection");
        }
    }

    fn close_all(&self) {
        for stream in self.live.lock().unwrap().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn counts(&self) -> Counts {
        let finished = self.finished.load(Ordering::SeqCst);
        let connections = self.accepted.load(Ordering::SeqCst);
        Counts {
            connections,
            open: connections - finished,
            most_open: self.most_open.load(Ordering::SeqCst),
            requests: self.heads.load(Ordering::SeqCst),
            complete: self.complete.load(Ordering::SeqCst),
            bytes: self.bytes.load(Ordering::SeqCst),
            broken: self.broken.load(Ordering::SeqCst),
        }
    }

    /// Keeps a request that has ended.
    pub(super) fn keep(&self, request: Request) {
        if self.record {
            let complete = request.complete;
            self.requests.lock().unwrap().push(request);
            self.complete.fetch_add(u64::from(complete), Ordering::SeqCst);
            self.arrived.notify_all();
        } else {
            self.complete.fetch_add(u64::from(request.complete), Ordering::SeqCst);
        }
    }

    /// Waits for `time`, or until the recorder stops.
    pub(super) fn pause(&self, time: Duration) {
        let guard = self.stopped.0.lock().unwrap();
        let running = |(): &mut ()| !self.stop.load(Ordering::SeqCst);
        drop(self.stopped.1.wait_timeout_while(guard, time, running).unwrap());
    }
}

struct ConnectionEnd<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for ConnectionEnd<'_> {
    fn drop(&mut self) {
        if let Ok(mut live) = self.shared.live.lock() {
            live.remove(&self.number);
        }
        self.shared.finished.fetch_add(1, Ordering::SeqCst);
    }
}
