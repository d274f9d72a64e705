//! A target that packets never come back from.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, SockAddr, Socket, Type};

/// An address on which connecting neither succeeds nor fails: a listener that accepts nothing and whose
/// queue is full, so that the kernel leaves further attempts without an answer (Linux drops their SYNs).
pub struct Blackhole {
    address: SocketAddr,
    // Kept open: the listener, and the connections that fill its queue.
    _sockets: Vec<Socket>,
}

impl Blackhole {
    /// Opens one on this address of the local machine; port 0 means a free one.
    ///
    /// # Panics
    /// When the address cannot be bound, or its queue does not fill.
    pub fn open(address: SocketAddr) -> Self {
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        listener.set_reuse_address(true).unwrap();
        listener.bind(&address.into()).and_then(|()| listener.listen(0)).unwrap();
        let bound = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        // A backlog of 0 holds one connection; some more, should a kernel be generous, and the last
        // ones of these hang as everybody else's will.
        for _ in 0..4 {
            sockets.push(filler(&bound));
        }
        Self { address: bound.as_socket().expect("an IP address"), _sockets: sockets }
    }

    /// Opens one on a free port of 127.0.0.1.
    pub fn start() -> Self {
        Self::open((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A connection under way; the kernel goes on with it.
fn filler(address: &SockAddr) -> Socket {
    let socket = Socket::new(address.domain(), Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    // "In progress" is what a non-blocking connect says.
    let _ = socket.connect(address);
    socket
}
