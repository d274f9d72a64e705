//! Makes a connection to a target: address, local end, TLS, and which HTTP version it speaks.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Shared;
use super::resolve::Addresses;
use crate::config::{HttpVersion, LocalEnd};
use crate::outcome::{Failure, Tally};

/// A connection, ready for copies.
pub(super) enum Link {
    Http1 { stream: TcpStream, tls: Option<Box<ClientConnection>> },
    Http2(h2::client::SendRequest<Bytes>, Driver),
}

/// Does an HTTP/2 connection's reading and writing.
pub(super) type Driver = Pin<Box<dyn Future<Output = Result<(), h2::Error>>>>;

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
}

/// At most so many of a name's addresses are tried for one connection.
const MAX_TRIES: usize = 4;

pub(super) struct Connector {
    shared: Arc<Shared>,
    tls: Option<Arc<ClientConfig>>,
    addresses: Addresses,
    /// Which address is tried first: they take turns.
    turn: Cell<usize>,
    /// Whether the last connection spoke HTTP/2.
    h2_last: Cell<bool>,
    pub(super) counts: Counts,
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
        Self { shared, tls, addresses, turn: Cell::new(0), h2_last, counts: Counts::default() }
    }

    /// Whether the next connection will probably speak HTTP/2.
    pub(super) fn expects_h2(&self) -> bool {
        self.h2_last.get()
    }

    pub(super) async fn connect(&self) -> Result<Link, ConnectError> {
        let limit = self.shared.config.connect_timeout;
        match timeout(limit, self.connect_unhurried()).await {
            Ok(connected) => connected,
            Err(_) => Err(late(limit)),
        }
    }

    async fn connect_unhurried(&self) -> Result<Link, ConnectError> {
        let stream = self.tcp().await?;
        // One write for each request: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let config = &self.shared.config;
        let Some(tls) = &self.tls else {
            if config.http == HttpVersion::Http2 {
                return self.http2(stream).await;
            }
            return Ok(Link::Http1 { stream, tls: None });
        };
        let name = ServerName::try_from(config.url.host.clone())
            .map_err(|error| ConnectError::new(Failure::Tls, error))?;
        let handshake = Attempt::new(&self.counts.tls_failed);
        let stream = TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await
            .map_err(|error| ConnectError::new(Failure::Tls, error))?;
        handshake.succeeded();
        self.counts.handshaken(stream.get_ref().1);
        let protocol = stream.get_ref().1.alpn_protocol();
        if protocol == Some(b"h2") {
            return self.http2(stream).await;
        }
        if config.http == HttpVersion::Http2 {
            return Err(ConnectError::new(Failure::Tls, "the target does not speak HTTP/2"));
        }
        self.h2_last.set(false);
        let (stream, session) = stream.into_inner();
        Ok(Link::Http1 { stream, tls: Some(Box::new(session)) })
    }

    async fn tcp(&self) -> Result<TcpStream, ConnectError> {
        let addresses = Arc::clone(&self.addresses.borrow());
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let mut failed = ConnectError::new(
            Failure::Dns,
            format_args!("{} has no address yet", self.shared.config.url.host),
        );
        for offset in 0..addresses.len().min(MAX_TRIES) {
            let Some(&address) = addresses.get((turn + offset) % addresses.len()) else { continue };
            let attempt = Attempt::new(&self.counts.address_failures);
            match connect_from(&self.shared.config.local, address).await {
                Ok(stream) => {
                    attempt.succeeded();
                    return Ok(stream);
                }
                Err(error) => failed = ConnectError::of(&error, address),
            }
        }
        Err(failed)
    }

    async fn http2<S>(&self, stream: S) -> Result<Link, ConnectError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        self.h2_last.set(true);
        let mut builder = h2::client::Builder::new();
        // Answers are read to a limit and thrown away: windows that do not need many updates.
        builder.initial_window_size(1 << 20).initial_connection_window_size(4 << 20);
        builder.enable_push(false).max_header_list_size(64 << 10);
        let (requests, connection) = builder
            .handshake::<_, Bytes>(stream)
            .await
            .map_err(|error| ConnectError::new(Failure::Http2, error))?;
        Ok(Link::Http2(requests, Box::pin(connection)))
    }
}

fn late(limit: Duration) -> ConnectError {
    ConnectError::new(Failure::ConnectTimeout, format_args!("not connected within {limit:?}"))
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
