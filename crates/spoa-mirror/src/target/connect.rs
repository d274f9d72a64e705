//! Makes a connection to a target: address, local end, TLS, and which HTTP version it speaks.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tracing::info;

use super::address::{Address, Trial};
use super::keep::Keep;
use super::resolve::Addresses;
use super::{Shared, h2, tls};
use crate::config::{HttpVersion, LocalEnd};
use crate::log::{Throttle, suppressed};
use crate::outcome::{Failure, Tally};

/// A connection, ready for copies.
pub(super) enum Link {
    Http1 { stream: TcpStream, tls: Option<Box<ClientConnection>>, keep: Keep },
    Http2(h2::Connection, Driver),
}

/// Does an HTTP/2 connection's reading and writing.
pub(super) type Driver = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// Why no connection came about.
#[derive(Debug)]
pub(super) struct ConnectError {
    pub(super) failure: Failure,
    pub(super) detail: String,
}

impl ConnectError {
    fn new(failure: Failure, detail: impl fmt::Display) -> Self {
        Self { failure, detail: detail.to_string() }
    }

    fn of(error: &io::Error, address: SocketAddr) -> Self {
        // EMFILE and ENFILE have no ErrorKind of their own.
        let failure = match (error.kind(), error.raw_os_error()) {
            (_, Some(23 | 24)) => Failure::NoDescriptor,
            (ErrorKind::ConnectionRefused, _) => Failure::ConnectRefused,
            (ErrorKind::TimedOut, _) => Failure::ConnectTimeout,
            // Accepted and reset before we looked: the same as a moment later.
            (ErrorKind::ConnectionReset, _) => Failure::Reset,
            (ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable, _) => Failure::NoLocalPort,
            _ => Failure::Connect,
        };
        Self::new(failure, format_args!("{address}: {error}"))
    }

    /// The attempt met a defect in this program.
    pub(super) fn defect() -> Self {
        Self::new(Failure::Internal, "the program panicked; please report it")
    }

    /// Whether it is the address that failed, and not something at this end.
    fn concerns_address(&self) -> bool {
        !matches!(self.failure, Failure::NoDescriptor | Failure::NoLocalPort)
    }
}

/// At most so many of a name's addresses are tried for one connection.
const MAX_TRIES: u32 = 4;

pub(super) struct Connector {
    shared: Arc<Shared>,
    tls: Option<Arc<ClientConfig>>,
    addresses: Addresses,
    /// Which address is tried first: they take turns.
    turn: Cell<usize>,
    /// Whether the last connection spoke HTTP/2.
    h2_last: Cell<bool>,
    pub(super) counts: Counts,
    /// For lines about addresses that fail, and that work again.
    failing: RefCell<Throttle>,
    recovering: RefCell<Throttle>,
}

/// What is counted of connections on their way.
#[derive(Default)]
pub(super) struct Counts {
    address_failures: Cell<u64>,
    tls_handshakes: Cell<u64>,
    tls_resumed: Cell<u64>,
    tls_failed: Cell<u64>,
}

impl Counts {
    /// Adds them to the target's counters.
    pub(super) fn add_to(&self, tally: &mut Tally) {
        tally.address_failures += self.address_failures.get();
        tally.tls_handshakes += self.tls_handshakes.get();
        tally.tls_resumed += self.tls_resumed.get();
        tally.tls_failed += self.tls_failed.get();
    }

    fn handshaken(&self, session: &ClientConnection) {
        count(&self.tls_handshakes);
        if session.handshake_kind() == Some(HandshakeKind::Resumed) {
            count(&self.tls_resumed);
        }
    }
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// Something that counts as failed unless it succeeds: a timeout just drops it.
struct Attempt<'a> {
    failures: Option<&'a Cell<u64>>,
}

impl<'a> Attempt<'a> {
    fn new(failures: &'a Cell<u64>) -> Self {
        Self { failures: Some(failures) }
    }

    fn succeeded(mut self) {
        self.failures = None;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(failures) = self.failures {
            count(failures);
        }
    }
}

impl Connector {
    pub(super) fn new(
        shared: Arc<Shared>,
        tls: Option<Arc<ClientConfig>>,
        addresses: Addresses,
    ) -> Self {
        let h2_last = Cell::new(shared.config.http == HttpVersion::Http2);
        Self {
            shared,
            tls,
            addresses,
            turn: Cell::new(0),
            h2_last,
            counts: Counts::default(),
            failing: RefCell::default(),
            recovering: RefCell::default(),
        }
    }

    /// Whether the next connection will probably speak HTTP/2.
    pub(super) fn expects_h2(&self) -> bool {
        self.h2_last.get()
    }

    /// Connects to one of the target's addresses. They take turns; those that failed lately come
    /// last. Each gets its share of the time, so that one that does not answer leaves some to the
    /// next.
    pub(super) async fn connect(&self) -> Result<Link, ConnectError> {
        #[cfg(test)]
        assert_ne!(self.shared.config.name, "DEFECT", "a defect that a test wants");
        let config = &self.shared.config;
        let deadline = Instant::now() + config.connect_timeout;
        let known = Arc::clone(&self.addresses.borrow());
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let mut addresses: Vec<_> =
            known.iter().filter(|address| config.local.reaches(address.socket)).collect();
        let Some(first) = turn.checked_rem(addresses.len()) else {
            return Err(self.no_address(&known));
        };
        addresses.rotate_left(first);
        let mut tries = u32::try_from(addresses.len()).unwrap_or(u32::MAX).min(MAX_TRIES);
        let mut avoided = Vec::new();
        let mut failed = None;
        for address in addresses {
            if tries == 0 {
                break;
            }
            let Some(trial) = address.claim(Instant::now()) else {
                avoided.push(address);
                continue;
            };
            match self.connect_to(address, known.len(), share(deadline, tries)).await {
                Ok(link) => return Ok(link),
                Err(error) => {
                    if error.concerns_address() {
                        self.note_failure(address, trial, known.len(), &error);
                    }
                    failed = Some(error);
                }
            }
            tries -= 1;
        }
        for address in avoided {
            if tries == 0 {
                break;
            }
            match self.connect_to(address, known.len(), share(deadline, tries)).await {
                Ok(link) => return Ok(link),
                Err(error) => failed = Some(error),
            }
            tries -= 1;
        }
        Err(failed.unwrap_or_else(|| self.no_address(&known)))
    }

    fn no_address(&self, known: &[Arc<Address>]) -> ConnectError {
        let host = &self.shared.config.url.host;
        match self.shared.config.local.address {
            Some(local) if !known.is_empty() => ConnectError::new(
                Failure::Dns,
                format_args!("{host} has no address that can be reached from {local}"),
            ),
            _ => ConnectError::new(Failure::Dns, format_args!("{host} has no address yet")),
        }
    }

    /// Notes that an address failed; says so where another one can be used in its place.
    fn note_failure(&self, address: &Address, trial: Trial, known: usize, error: &ConnectError) {
        if let Some(pause) = address.failed(trial, Instant::now()) {
            let detail = &error.detail;
            self.report(
                &self.failing,
                known,
                format_args!("other addresses are tried first for {pause:?}: {detail}"),
            );
        }
    }

    /// Says what becomes of an address, where there are others; not more often than a log bears.
    fn report(&self, throttle: &RefCell<Throttle>, known: usize, what: fmt::Arguments<'_>) {
        if known < 2 {
            return;
        }
        if let Some(more) = throttle.borrow_mut().allow(Instant::now()) {
            info!("target {}: {what}{}", self.shared.config.name, suppressed(more));
        }
    }

    /// Connects to one of `known` addresses.
    async fn connect_to(
        &self,
        address: &Address,
        known: usize,
        limit: Duration,
    ) -> Result<Link, ConnectError> {
        let socket = address.socket;
        match timeout(limit, self.establish(socket)).await {
            Ok(Ok(link)) => {
                if address.succeeded() {
                    self.report(
                        &self.recovering,
                        known,
                        format_args!("{socket} takes connections again"),
                    );
                }
                Ok(link)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ConnectError::new(
                Failure::ConnectTimeout,
                format_args!("{socket}: not connected within {:?}", rounded(limit)),
            )),
        }
    }

    async fn establish(&self, address: SocketAddr) -> Result<Link, ConnectError> {
        let config = &self.shared.config;
        let attempt = Attempt::new(&self.counts.address_failures);
        let stream = connect_from(&config.local, address)
            .await
            .map_err(|error| ConnectError::of(&error, address))?;
        attempt.succeeded();
        // One write for each request: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            if config.http == HttpVersion::Http2 {
                return self.http2(stream, address).await;
            }
            return Ok(Link::Http1 { stream, tls: None, keep: self.keep() });
        };
        let failed = |error: &dyn fmt::Display| {
            ConnectError::new(Failure::Tls, format_args!("{address}: {error}"))
        };
        let name = tls::server_name(config).map_err(|error| failed(&error))?;
        let handshake = Attempt::new(&self.counts.tls_failed);
        let stream = TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await
            .map_err(|error| failed(&error))?;
        handshake.succeeded();
        self.counts.handshaken(stream.get_ref().1);
        let protocol = stream.get_ref().1.alpn_protocol();
        if protocol == Some(b"h2") {
            return self.http2(stream, address).await;
        }
        if config.http == HttpVersion::Http2 {
            return Err(failed(&"the target does not speak HTTP/2"));
        }
        self.h2_last.set(false);
        let (stream, session) = stream.into_inner();
        Ok(Link::Http1 { stream, tls: Some(Box::new(session)), keep: self.keep() })
    }

    fn keep(&self) -> Keep {
        Keep::new(&self.shared.config.connections, Instant::now())
    }

    async fn http2<S>(&self, stream: S, address: SocketAddr) -> Result<Link, ConnectError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        self.h2_last.set(true);
        let mut builder = ::h2::client::Builder::new();
        // Answers are read to a limit and thrown away: windows that do not need many updates.
        builder.initial_window_size(1 << 20).initial_connection_window_size(4 << 20);
        builder.enable_push(false).max_header_list_size(64 << 10);
        let (requests, connection) =
            builder.handshake::<_, Bytes>(stream).await.map_err(|error| {
                ConnectError::new(Failure::Http2, format_args!("{address}: {error}"))
            })?;
        let peer = h2::Peer::new();
        let driver = Box::pin(h2::drive(connection, Rc::clone(&peer)));
        Ok(Link::Http2(h2::Connection::new(requests, self.keep(), peer), driver))
    }
}

/// The time for one of so many tries.
fn share(deadline: Instant, tries: u32) -> Duration {
    deadline.saturating_duration_since(Instant::now()) / tries.max(1)
}

/// To whole milliseconds, as people read it.
fn rounded(time: Duration) -> Duration {
    Duration::from_secs_f64((time.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// Connects from the configured local end. Every port of a range is tried, as long as it is taken.
async fn connect_from(local: &LocalEnd, address: SocketAddr) -> io::Result<TcpStream> {
    let Some(ports) = local.ports.clone() else {
        return socket(local, address, 0)?.connect(address).await;
    };
    let mut failed = io::Error::from(ErrorKind::AddrInUse);
    for port in ports {
        let connected = match socket(local, address, port) {
            Ok(socket) => socket.connect(address).await,
            Err(error) => Err(error),
        };
        match connected {
            Err(error)
                if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable) =>
            {
                failed = error;
            }
            other => return other,
        }
    }
    Err(failed)
}

fn socket(local: &LocalEnd, address: SocketAddr, port: u16) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(interface) = &local.interface {
        SockRef::from(&socket)
            .bind_device(Some(interface.as_bytes()))
            .map_err(|error| from(format_args!("interface {interface}"), &error))?;
    }
    if local.address.is_some() || port != 0 {
        // A port of an earlier connection may be used again while the kernel still remembers that.
        socket.set_reuseaddr(true)?;
        let any = match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let end = SocketAddr::new(local.address.unwrap_or(any), port);
        socket.bind(end).map_err(|error| from(end, &error))?;
    }
    Ok(socket)
}

/// An error of the local end: says which it is.
fn from(end: impl fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("from {end}: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use testbed::backend::Blackhole;
    use testbed::ports;
    use tokio::sync::watch;

    use super::*;
    use crate::config::{Marker, tests_support};

    /// A server that keeps its connections open.
    fn server(address: SocketAddr) {
        let listener = TcpListener::bind(address).unwrap();
        std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    }

    /// Workers that connect to a name with these addresses.
    fn workers(count: usize, addresses: &[SocketAddr], limit: Duration) -> Vec<Connector> {
        let mut config = tests_support::target("http://shadow.example");
        config.connect_timeout = limit;
        let marker = Marker { name: None, max_hops: 1 };
        let shared = Arc::new(Shared::new(config, marker));
        let known = addresses.iter().map(|&socket| Arc::new(Address::new(socket))).collect();
        let (_, told) = watch::channel(known);
        (0..count).map(|_| Connector::new(Arc::clone(&shared), None, told.clone())).collect()
    }

    fn loopback(last: u8, port: u16) -> SocketAddr {
        (Ipv4Addr::new(127, 0, 0, last), port).into()
    }

    fn end(link: &Link) -> SocketAddr {
        let Link::Http1 { stream, .. } = link else { panic!("not HTTP/1") };
        stream.peer_addr().unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    /// The addresses that failed since `when` and did not succeed after that.
    fn avoided(worker: &Connector, when: Instant) -> Vec<SocketAddr> {
        let known = worker.addresses.borrow();
        let avoided = known.iter().filter(|address| address.claim(when).is_none());
        avoided.map(|address| address.socket).collect()
    }

    #[tokio::test]
    async fn addresses_take_turns_and_those_that_refuse_come_last() {
        let (started, port) = (Instant::now(), ports::free());
        let all = [2, 3, 4, 5].map(|last| loopback(last, port));
        server(all[0]);
        server(all[2]);
        let workers = workers(2, &all, LONG);
        let mut links = Vec::new();
        for _ in 0..10 {
            for worker in &workers {
                links.push(worker.connect().await.unwrap());
            }
        }
        let first = links.iter().filter(|link| end(link) == all[0]).count();
        let third = links.iter().filter(|link| end(link) == all[2]).count();
        assert!(first >= 5 && third >= 5 && first + third == 20, "{first} and {third}");
        // Both workers know of those that refuse.
        for worker in &workers {
            assert_eq!(avoided(worker, started), [all[1], all[3]]);
        }
    }

    #[tokio::test]
    async fn an_address_of_the_other_family_takes_its_turn() {
        let port = ports::free();
        let six = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        server(loopback(1, port));
        server(six);
        let worker = workers(1, &[loopback(1, port), six], LONG).remove(0);
        let links = [worker.connect().await.unwrap(), worker.connect().await.unwrap()];
        assert_eq!((end(&links[0]), end(&links[1])), (loopback(1, port), six));
    }

    #[tokio::test]
    async fn one_that_does_not_answer_leaves_time_for_the_next() {
        let (started, silent) = (Instant::now(), Blackhole::start());
        let port = silent.address().port();
        server(loopback(2, port));
        let all = [silent.address(), loopback(2, port)];
        let worker = workers(1, &all, Duration::from_secs(4)).remove(0);
        assert_eq!(end(&worker.connect().await.unwrap()), all[1]);
        assert_eq!(avoided(&worker, started), [all[0]]);
    }

    #[tokio::test]
    async fn one_that_is_back_is_found_although_all_are_avoided() {
        let (started, port) = (Instant::now(), ports::free());
        let all = [loopback(2, port), loopback(3, port)];
        let worker = workers(1, &all, LONG).remove(0);
        let error = worker.connect().await.err().unwrap();
        assert_eq!(error.failure, Failure::ConnectRefused);
        assert_eq!(avoided(&worker, started), all);
        server(all[1]);
        assert_eq!(end(&worker.connect().await.unwrap()), all[1]);
        assert_eq!(avoided(&worker, started), [all[0]]);
    }

    #[tokio::test]
    async fn no_more_than_some_are_tried_for_one_connection() {
        let (started, port) = (Instant::now(), ports::free());
        let all: Vec<_> = (2..=9).map(|last| loopback(last, port)).collect();
        let worker = workers(1, &all, LONG).remove(0);
        assert!(worker.connect().await.is_err());
        assert_eq!(avoided(&worker, started), all[..4]);
    }
}
