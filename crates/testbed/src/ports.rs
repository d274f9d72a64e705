//! Free TCP ports for programs that must be told their port.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range out of which Linux gives ports to outgoing connections, so that none of the many
/// connections of a test run can take the port between our look and the program's bind.
const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

/// A TCP port on 127.0.0.1 on which nobody listens, different at every call in this process and in all that
/// run at the same time.
///
/// # Panics
/// When no port of the range is free.
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes run at the same time: each starts looking somewhere else.
    let start = u64::from(std::process::id()) * 397;
    for _ in 0..COUNT {
        let step = u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from((start + step) % u64::from(COUNT)).expect("below COUNT");
        let port = FIRST + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && reserve(port) {
            return port;
        }
    }
    panic!("no free port on 127.0.0.1 from {FIRST} to {}", FIRST + COUNT);
}

/// Keeps the port from other test processes for as long as this one runs, also while nobody listens on it;
/// false when another one has it.
fn reserve(port: u16) -> bool {
    static RESERVED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    // An abstract socket: it has no file, and is gone with its process.
    let name = UnixAddr::from_abstract_name(format!("spoa-mirror-testbed-port-{port}"));
    let socket = name.and_then(|name| UnixListener::bind_addr(&name));
    socket.map(|socket| RESERVED.lock().unwrap().push(socket)).is_ok()
}

/// [`free`], as an address on 127.0.0.1.
pub fn free_addr() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free()).into()
}
