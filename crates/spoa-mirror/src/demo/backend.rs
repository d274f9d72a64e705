//! Backends. This one answers every request with 200 and tells what it received.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// The header by which a request and its copy find each other.
pub(super) const ID_HEADER: &str = "x-request-id";

/// A longer request is not read: the demonstration sends none.
const MAX_REQUEST: usize = 64 * 1024;

pub(super) struct Backend {
    pub(super) address: SocketAddr,
    pub(super) received: mpsc::Receiver<Received>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Received {
    /// Request line and headers.
    pub(super) lines: Vec<String>,
    pub(super) body: String,
}

impl Received {
    pub(super) fn parse(head: &[u8], body: &[u8]) -> Self {
        let head = String::from_utf8_lossy(head);
        Self {
            lines: head.lines().map(str::to_owned).collect(),
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }

    pub(super) fn has_id(&self, id: &str) -> bool {
        self.header(ID_HEADER) == Some(id)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.lines.iter().skip(1).find_map(|line| {
            let (candidate, value) = line.split_once(':')?;
            candidate.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Backend {
    pub(super) async fn start(name: &'static str) -> Result<Self, String> {
        let failed = |error| format!("cannot start the {name} backend: {error}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (tell, received) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, name, tell.clone()));
            }
        });
        Ok(Self { address, received })
    }
}

/// Serves one connection; whatever is wrong with it ends it.
async fn serve(mut stream: TcpStream, name: &'static str, tell: mpsc::Sender<Received>) {
    let mut bytes = Vec::new();
    while let Some(received) = read_request(&mut stream, &mut bytes).await {
        if tell.send(received).await.is_err() {
            return;
        }
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads until a request is whole; `None` when there will be none.
pub(super) async fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Received> {
    loop {
        if let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") {
            let head = end + 4;
            let received = Received::parse(&bytes[..end], b"");
            let body = received.header("content-length").unwrap_or("0").parse::<usize>().ok()?;
            if body <= MAX_REQUEST && bytes.len() >= head + body {
                let rest = bytes.split_off(head + body);
                let request = std::mem::replace(bytes, rest);
                let (head, body) = request.split_at(head);
                return Some(Received::parse(head.trim_ascii_end(), body));
            }
        }
        if bytes.len() > MAX_REQUEST || stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}
