//! Listens for HAProxy and hands each connection to a worker.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::ToSocketAddrs as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tracing::{debug, warn};

use super::stream::Accepted;
use super::worker::Handle;
use crate::config::ListenAddress;
use crate::log::{Throttle, suppressed};

/// A bound socket: HAProxy may connect from here on, though nobody accepts yet.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: Bound,
    /// What it is bound to, for people.
    pub address: String,
}

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Bound {
    Tcp(Socket),
    /// The file of a socket that systemd opened is systemd's.
    Unix(Socket, Option<SocketFile>),
}

/// Removes the socket's file when the listener goes.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Binds and listens.
///
/// # Errors
/// The address cannot be resolved or bound; the text names it and says what to do.
pub fn bind(address: &ListenAddress, backlog: u32) -> Result<Vec<Listener>, String> {
    // HAProxy runs as another user; who may reach the socket is for its directory to say.
    bind_with_mode(address, backlog, 0o666)
}

/// [`bind`], with the mode of a unix socket's file.
pub(crate) fn bind_with_mode(
    address: &ListenAddress,
    backlog: u32,
    mode: u32,
) -> Result<Vec<Listener>, String> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    match address {
        ListenAddress::Tcp(host, port) => {
            let addresses: Vec<_> = (host.as_str(), *port)
                .to_socket_addrs()
                .map_err(|error| format!("cannot listen on {address}: {error}"))?
                .collect();
            let mut listeners = Vec::new();
            for socket_address in addresses {
                let socket =
                    bind_tcp(socket_address, backlog).map_err(|error| in_use(address, &error))?;
                let bound = socket.local_addr().ok().and_then(|address| address.as_socket());
                let address = bound.unwrap_or(socket_address).to_string();
                listeners.push(Listener { socket: Bound::Tcp(socket), address });
            }
            Ok(listeners)
        }
        ListenAddress::Unix(path) => {
            let socket = bind_unix(path, backlog, mode).map_err(|error| in_use(address, &error))?;
            let socket = Bound::Unix(socket, Some(SocketFile(path.clone())));
            Ok(vec![Listener { socket, address: address.to_string() }])
        }
    }
}

/// Listens on a socket that is bound already, by systemd.
#[must_use]
pub fn inherit(socket: Socket) -> Listener {
    let address = socket.local_addr().ok();
    let tcp = address.as_ref().and_then(SockAddr::as_socket);
    let named = match (tcp, address.as_ref().and_then(SockAddr::as_pathname)) {
        (Some(address), _) => address.to_string(),
        (None, Some(path)) => format!("unix:{}", path.display()),
        (None, None) => "a unix socket".to_owned(),
    };
    let socket = if tcp.is_some() { Bound::Tcp(socket) } else { Bound::Unix(socket, None) };
    Listener { socket, address: format!("{named} (from systemd)") }
}

fn in_use(address: &ListenAddress, error: &io::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => "; is another agent running there? (`ss -ltnp` shows it)",
        ErrorKind::PermissionDenied => "; choose a port over 1023, or run with the right to do so",
        _ => "",
    };
    format!("cannot listen on {address}: {error}{advice}")
}

fn bind_tcp(address: std::net::SocketAddr, backlog: i32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the kernel to forget old connections.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `::` would otherwise also take IPv4's port, or not, by a setting of the kernel.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bind_unix(path: &Path, backlog: i32, mode: u32) -> io::Result<Socket> {
    // A socket file that nobody listens on is left over from an agent that was killed.
    if fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
        && StdUnixStream::connect(path)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    {
        fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// After the system ran out of descriptors: how long until the next try.
const PAUSE: Duration = Duration::from_millis(100);

impl Listener {
    /// Accepts connections for as long as it is polled.
    ///
    /// # Errors
    /// The socket cannot become part of the event loop.
    pub async fn serve(self, workers: Handle) -> io::Result<()> {
        let mut throttle = Throttle::default();
        match self.socket {
            Bound::Tcp(socket) => {
                let listener = TcpListener::from_std(socket.into())?;
                loop {
                    match listener.accept().await {
                        Ok((stream, peer)) => {
                            let _ = stream.set_nodelay(true);
                            let accepted = stream.into_std().map(Accepted::Tcp)?;
                            workers.hand_over(accepted, peer.to_string());
                        }
                        Err(error) => pause(&error, &mut throttle).await,
                    }
                }
            }
            Bound::Unix(socket, file) => {
                let listener = UnixListener::from_std(socket.into())?;
                // Goes before the socket does: then the file is still ours, and not the next
                // agent's, who may bind as soon as nobody listens.
                let _file = file;
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => {
                            let accepted = stream.into_std().map(Accepted::Unix)?;
                            workers.hand_over(accepted, self.address.clone());
                        }
                        Err(error) => pause(&error, &mut throttle).await,
                    }
                }
            }
        }
    }
}

/// A connection that was given up before it was accepted is no matter; a lack of descriptors is,
/// and passes.
async fn pause(error: &io::Error, throttle: &mut Throttle) {
    if error.kind() == ErrorKind::ConnectionAborted {
        debug!("a connection was given up before it was accepted");
        return;
    }
    if let Some(more) = throttle.allow(Instant::now()) {
        warn!("cannot accept a connection from HAProxy: {error}{}", suppressed(more));
    }
    tokio::time::sleep(PAUSE).await;
}
