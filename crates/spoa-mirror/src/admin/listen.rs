//! Accepts connections to the admin API: over TCP, with TLS where it is configured, and over unix
//! sockets.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::access;
use super::door::{Caller, Door};
use super::server::{App, serve_connection};
use super::stream::Stream;
use super::tls::Identity;
use crate::agent::{Bound, bind_with_mode};
use crate::config::{AdminConfig, ListenAddress};
use crate::log::{Throttle, suppressed};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 128;

/// Connections that each listener serves at once.
pub const MAX_CONNECTIONS: usize = 64;

/// Time for a TLS handshake, and for a client that reads nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// After the system ran out of descriptors: how long until the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// What a connection too many gets to read, if it reads.
const NO_ROOM: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
                       connection: close\r\nretry-after: 1\r\ncontent-length: 82\r\n\r\n\
                       {\"error\":{\"code\":\"no-room\",\"message\":\"too many connections are open; \
                       try later\"}}\n";

/// A bound socket: clients may connect from here on, though nobody accepts yet.
pub struct Listener {
    socket: Bound,
    tls: Option<Identity>,
    door: Arc<Door>,
}

/// Binds every address of the admin API. A unix socket's file may be used by its owner and group.
///
/// # Errors
/// Access is not restricted as it must be, an address cannot be bound, or the certificate cannot be
/// used; the text says what to do.
pub fn bind(config: &AdminConfig) -> Result<Vec<Listener>, String> {
    access::check_access(config)?;
    let mut listeners = Vec::new();
    for address in &config.listen {
        let bound =
            bind_with_mode(address, BACKLOG, 0o660).map_err(|error| format!("admin: {error}"))?;
        for listener in bound {
            let local = match &listener.socket {
                Bound::Tcp(socket) => socket.local_addr().ok().and_then(|a| a.as_socket()),
                Bound::Unix(..) => None,
            };
            if local.is_some_and(|a| !access::is_loopback(a.ip())) && config.token.is_none() {
                return Err(format!(
                    "admin: {address} is {}, which other machines could reach: set admin.token",
                    listener.address
                ));
            }
            let (host, tls) = match address {
                ListenAddress::Tcp(host, _) => {
                    let read = |files| Identity::read(files, Instant::now());
                    (Some(host.clone()), config.tls.as_ref().map(read).transpose()?)
                }
                ListenAddress::Unix(_) => (None, None),
            };
            let scheme = if tls.is_some() { "https" } else { "http" };
            let door = Arc::new(Door { address: listener.address, host, scheme });
            listeners.push(Listener { socket: listener.socket, tls, door });
        }
    }
    Ok(listeners)
}

impl Listener {
    /// What it is bound to, for people.
    #[must_use]
    pub fn address(&self) -> String {
        match self.door.host {
            Some(_) => format!("{}://{}", self.door.scheme, self.door.address),
            None => self.door.address.clone(),
        }
    }

    /// Accepts connections for as long as it is polled; they end with it.
    pub(super) async fn serve(self, app: Arc<App>) -> io::Result<()> {
        let mut hall = Hall {
            app,
            door: self.door,
            tls: self.tls,
            seats: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            connections: JoinSet::new(),
            throttle: Throttle::default(),
        };
        match self.socket {
            Bound::Tcp(socket) => {
                let listener = TcpListener::from_std(socket.into())?;
                loop {
                    match listener.accept().await {
                        Ok((stream, peer)) => hall.admit_tcp(stream, peer.to_string()),
                        Err(error) => hall.pause(&error).await,
                    }
                }
            }
            Bound::Unix(socket, file) => {
                let listener = UnixListener::from_std(socket.into())?;
                let _file = file;
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => hall.admit_unix(stream),
                        Err(error) => hall.pause(&error).await,
                    }
                }
            }
        }
    }
}

/// The connections of one listener.
struct Hall {
    app: Arc<App>,
    door: Arc<Door>,
    tls: Option<Identity>,
    seats: Arc<Semaphore>,
    connections: JoinSet<()>,
    throttle: Throttle,
}

impl Hall {
    fn admit_tcp(&mut self, stream: TcpStream, peer: String) {
        let Some(seat) = self.seat() else {
            if self.tls.is_none() {
                let _ = stream.try_write(NO_ROOM.as_bytes());
            }
            return;
        };
        let _ = stream.set_nodelay(true);
        let (app, caller) = (Arc::clone(&self.app), self.caller(peer));
        let tls = self.tls.as_mut().map(|identity| identity.acceptor(Instant::now()));
        let Some(tls) = tls else {
            self.connections.spawn(async move {
                serve_connection(app, caller, Stream::new(stream, PATIENCE)).await;
                drop(seat);
            });
            return;
        };
        self.connections.spawn(async move {
            match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                Ok(Ok(stream)) => {
                    serve_connection(app, caller, Stream::new(stream, PATIENCE)).await;
                }
                Ok(Err(error)) => debug!("admin API: {}: no TLS: {error}", caller.name),
                Err(_) => debug!("admin API: {}: no TLS handshake in time", caller.name),
            }
            drop(seat);
        });
    }

    fn admit_unix(&mut self, stream: UnixStream) {
        let Some(seat) = self.seat() else {
            let _ = stream.try_write(NO_ROOM.as_bytes());
            return;
        };
        let peer = stream.peer_cred().map_or_else(
            |_| "somebody".to_owned(),
            |who| match who.pid() {
                Some(pid) => format!("user {}, process {pid}", who.uid()),
                None => format!("user {}", who.uid()),
            },
        );
        let (app, caller) = (Arc::clone(&self.app), self.caller(peer));
        self.connections.spawn(async move {
            serve_connection(app, caller, Stream::new(stream, PATIENCE)).await;
            drop(seat);
        });
    }

    fn caller(&self, name: String) -> Caller {
        Caller { name, door: Arc::clone(&self.door) }
    }

    /// A place for one more connection, if there is any.
    fn seat(&mut self) -> Option<OwnedSemaphorePermit> {
        while self.connections.try_join_next().is_some() {}
        let seat = Arc::clone(&self.seats).try_acquire_owned().ok();
        if seat.is_none() {
            if let Some(more) = self.throttle.allow(Instant::now()) {
                warn!(
                    "admin API at {}: a connection was closed, {MAX_CONNECTIONS} are open{}",
                    self.door.address,
                    suppressed(more)
                );
            }
        }
        seat
    }

    async fn pause(&mut self, error: &io::Error) {
        if error.kind() == ErrorKind::ConnectionAborted {
            return;
        }
        if let Some(more) = self.throttle.allow(Instant::now()) {
            let door = &self.door.address;
            warn!("admin API at {door}: cannot accept: {error}{}", suppressed(more));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_has_the_length_that_it_says() {
        let (head, body) = NO_ROOM.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
