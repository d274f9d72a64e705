//! An HTTP/2 client: any method, path, headers and body that the h2 crate can carry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderName, HeaderValue, Method, Request as HttpRequest, Uri};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// How long an exchange may take before it is an error: a test must not hang.
const LIMIT: Duration = Duration::from_secs(30);

/// A request to send.
#[derive(Clone, Debug)]
pub struct Request {
    /// `:method`
    pub method: String,
    /// `:scheme`
    pub scheme: String,
    /// `:authority`
    pub authority: String,
    /// `:path`, with the query.
    pub path: String,
    /// Headers in order; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; `None` ends the stream with the headers. No `content-length` is added.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A request without headers and body to `localhost`.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            scheme: "http".to_owned(),
            authority: "localhost".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn head(&self) -> HttpRequest<()> {
        let uri = Uri::builder()
            .scheme(self.scheme.as_str())
            .authority(self.authority.as_str())
            .path_and_query(self.path.as_str())
            .build()
            .expect("a URI that the http crate can represent");
        let mut request = HttpRequest::new(());
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).expect("a method");
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            let value = HeaderValue::from_bytes(value).expect("a header value");
            request.headers_mut().append(name, value);
        }
        request
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// A connection to an HTTP/2 server.
pub struct Client {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

/// What may go wrong, as text.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    /// Connects in the clear with prior knowledge.
    ///
    /// # Errors
    /// The connection's or the handshake's.
    pub fn connect(address: SocketAddr) -> Result<Self, Error> {
        let runtime = runtime()?;
        let sender = runtime.block_on(async {
            let stream = tokio::time::timeout(LIMIT, TcpStream::connect(address)).await??;
            stream.set_nodelay(true)?;
            handshake(stream).await
        })?;
        Ok(Self { runtime, sender })
    }

    /// Connects over TLS with ALPN `h2`, asking for `name`.
    ///
    /// # Errors
    /// The connection's or the handshake's, or that the server does not choose `h2`.
    pub fn connect_tls(
        address: SocketAddr,
        name: &str,
        config: &Arc<rustls::ClientConfig>,
    ) -> Result<Self, Error> {
        let runtime = runtime()?;
        let name = rustls::pki_types::ServerName::try_from(name.to_owned())?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        let sender = runtime.block_on(async {
            let stream = tokio::time::timeout(LIMIT, TcpStream::connect(address)).await??;
            let stream = connector.connect(name, stream).await?;
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                return Err("the server did not choose h2".into());
            }
            handshake(stream).await
        })?;
        Ok(Self { runtime, sender })
    }

    /// Sends a request and reads the response to its end.
    ///
    /// # Errors
    /// The stream's or the connection's, or that 30 seconds were over.
    ///
    /// # Panics
    /// When the http crate cannot represent the request.
    pub fn exchange(&self, request: &Request) -> Result<Response, Error> {
        let sender = self.sender.clone();
        self.runtime.block_on(async { tokio::time::timeout(LIMIT, send(sender, request)).await? })
    }

    /// Sends all requests at once, on streams of one connection, and gives the responses in the same
    /// order.
    ///
    /// # Panics
    /// See [`Client::exchange`].
    pub fn exchange_all(&self, requests: &[Request]) -> Vec<Result<Response, Error>> {
        self.runtime.block_on(async {
            let tasks: Vec<_> = requests
                .iter()
                .map(|request| {
                    let (sender, request) = (self.sender.clone(), request.clone());
                    tokio::spawn(async move {
                        tokio::time::timeout(LIMIT, send(sender, &request)).await?
                    })
                })
                .collect();
            let mut responses = Vec::new();
            for task in tasks {
                responses.push(task.await.expect("the task does not panic"));
            }
            responses
        })
    }
}

fn runtime() -> Result<Runtime, Error> {
    // One worker thread drives the connection between exchanges (pings, settings, windows).
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Bytes>, Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(async move {
        // Its error reaches the streams, and so the caller of `exchange`.
        let _ = connection.await;
    });
    Ok(sender)
}

async fn send(sender: SendRequest<Bytes>, request: &Request) -> Result<Response, Error> {
    let mut sender = sender.ready().await?;
    let (response, mut stream) = sender.send_request(request.head(), request.body.is_none())?;
    if let Some(body) = &request.body {
        // h2 buffers what the window does not allow yet.
        stream.send_data(Bytes::copy_from_slice(body), true)?;
    }
    let (head, mut incoming) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = incoming.data().await {
        let piece = piece?;
        incoming.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
}
