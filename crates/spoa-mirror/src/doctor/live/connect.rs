//! Addresses of HAProxy and of agents, and connections to them.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::admin::AdminAddress;
use crate::config::ListenAddress;

/// A connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Connects. How long that may take is the caller's to say.
pub(super) async fn connect(address: &ListenAddress) -> io::Result<Box<dyn Stream>> {
    Ok(match address {
        ListenAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
        ListenAddress::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
    })
}

/// Reads the address of an agent: `HOST:PORT` or `unix:PATH`.
pub(super) fn agent(text: &str) -> Result<ListenAddress, String> {
    let AdminAddress(address) = text.parse().map_err(|_| {
        "an agent's address is HOST:PORT, such as 127.0.0.1:12345, or unix:PATH".to_owned()
    })?;
    Ok(address)
}

/// Reads the address of HAProxy's `stats socket`: a path with a slash in it, `unix@PATH` as HAProxy writes it,
/// `unix:PATH`, or `HOST:PORT`.
pub(super) fn socket(text: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix("unix@").or_else(|| text.contains('/').then_some(text)) {
        let path = path.strip_prefix("unix:").unwrap_or(path);
        return ListenAddress::unix(path.into());
    }
    let AdminAddress(address) = text.parse().map_err(|_| {
        "where `stats socket` is: a path with a slash in it, such as /run/haproxy/admin.sock, or HOST:PORT"
            .to_owned()
    })?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_socket_is_a_path_or_an_address() {
        for (text, path) in [
            ("/run/haproxy/admin.sock", "/run/haproxy/admin.sock"),
            ("./h.sock", "./h.sock"),
            ("unix@h.sock", "h.sock"),
            ("unix:/run/h.sock", "/run/h.sock"),
            ("unix:h.sock", "h.sock"),
        ] {
            assert_eq!(socket(text), Ok(ListenAddress::Unix(path.into())), "{text}");
        }
        assert_eq!(socket("[::1]:99"), Ok(ListenAddress::Tcp("::1".to_owned(), 99)));
        let long = format!("/{}", "x".repeat(200));
        for bad in ["", "haproxy.sock", "host:", ":9999", "host:99999", "unix:", &long] {
            assert!(socket(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_agent_is_at_an_address_or_a_unix_socket() {
        assert_eq!(agent("a:1"), Ok(ListenAddress::Tcp("a".to_owned(), 1)));
        assert_eq!(agent("unix:/a"), Ok(ListenAddress::Unix("/a".into())));
        assert!(agent("a").unwrap_err().contains("12345"));
    }
}
