//! Where the programs of this crate begin that listen.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// Listens on the address that is the program's only argument, says so on standard output, and serves every
/// connection on this thread, for ever.
///
/// # Errors
/// A missing or wrong argument, and the listener's.
pub fn run<F>(serve: impl Fn(TcpStream) -> F) -> std::io::Result<()>
where
    F: Future<Output = std::io::Result<()>> + 'static,
{
    let address: SocketAddr = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| std::io::Error::other("the argument is ADDRESS:PORT"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on {address}");
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(serve(stream));
        }
    })
}
