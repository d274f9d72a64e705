//! The requests that are shown beside their copies, and who sends them: a client through HAProxy, or
//! HAProxy's side of SPOP without HAProxy.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request};
use spop_proto::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::backend::{ID_HEADER, Received};
use super::spop::{Spop, header_block};

/// A request.
pub(super) struct Sample {
    pub(super) title: &'static str,
    method: &'static str,
    target: &'static str,
    http2: bool,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    /// Whether its session is in canary's sample.
    pub(super) canary: bool,
}

const HOST: &str = "shop.example";

/// What is sent, in turns.
pub(super) const SAMPLES: &[Sample] = &[
    Sample {
        title: "GET over HTTP/1.1",
        method: "GET",
        target: "/products?page=2&sort=price",
        http2: false,
        headers: &[
            ("accept", "text/html"),
            ("authorization", "Basic YW5uYTpob3JzZQ=="),
            ("cookie", "session=b7f3"),
        ],
        body: "",
        canary: true,
    },
    Sample {
        title: "POST with a body",
        method: "POST",
        target: "/orders",
        http2: false,
        headers: &[
            ("cookie", "session=c1d8"),
            ("content-type", "application/json"),
            ("content-length", "32"),
        ],
        body: "{\"article\": 4711, \"quantity\": 2}",
        canary: false,
    },
    Sample {
        title: "GET over HTTP/2",
        method: "GET",
        target: "/search?q=umbrella",
        http2: true,
        headers: &[("accept", "application/json"), ("cookie", "session=b7f3")],
        body: "",
        canary: true,
    },
];

pub(super) enum Client {
    ThroughHaproxy(SocketAddr),
    Spop(Box<Spop>),
}

impl Client {
    /// HAProxy's side of SPOP, connected to the agent.
    pub(super) async fn spop(port: u16) -> Result<Self, String> {
        Spop::connect(port).await.map(|spop| Self::Spop(Box::new(spop)))
    }
}

/// Sends a request through HAProxy; gives the status of the answer.
pub(super) async fn send(address: SocketAddr, sample: &Sample, id: &str) -> Result<u16, String> {
    let sent = if sample.http2 {
        send_http2(address, sample, id).await
    } else {
        send_http1(address, sample, id).await
    };
    sent.map_err(|error| format!("the request to HAProxy failed: {error}"))
}

type Failed = Box<dyn std::error::Error>;

async fn send_http1(address: SocketAddr, sample: &Sample, id: &str) -> Result<u16, Failed> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(http1(sample, id).as_bytes()).await?;
    let mut answer = Vec::new();
    while memchr::memmem::find(&answer, b"\r\n\r\n").is_none() {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err("closed without an answer".into());
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(&answer)?;
    Ok(response.code.unwrap_or_default())
}

fn http1(sample: &Sample, id: &str) -> String {
    let mut request = format!("{} {} HTTP/1.1\r\nhost: {HOST}\r\n", sample.method, sample.target);
    for (name, value) in headers(sample, id) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request + "\r\n" + sample.body
}

fn headers<'a>(sample: &'a Sample, id: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    sample.headers.iter().copied().chain([(ID_HEADER, id)])
}

async fn send_http2(address: SocketAddr, sample: &Sample, id: &str) -> Result<u16, Failed> {
    let stream = TcpStream::connect(address).await?;
    let (requests, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(Method::from_bytes(sample.method.as_bytes())?)
        .uri(format!("http://{HOST}{}", sample.target));
    for (name, value) in headers(sample, id) {
        request = request.header(name, value);
    }
    let mut requests = requests.ready().await?;
    let (response, mut body) = requests.send_request(request.body(())?, sample.body.is_empty())?;
    if !sample.body.is_empty() {
        body.send_data(Bytes::from_static(sample.body.as_bytes()), true)?;
    }
    Ok(response.await?.status().as_u16())
}

/// Hands a request over as HAProxy would; gives it as production would have got it.
pub(super) async fn notify(spop: &mut Spop, sample: &Sample, id: &str) -> Result<Received, String> {
    let url = if sample.http2 {
        format!("https://{HOST}{}", sample.target)
    } else {
        sample.target.to_owned()
    };
    let block = header_block(std::iter::once(("host", HOST)).chain(headers(sample, id)));
    spop.notify(
        "mirror",
        &[
            (b"arg_method", Value::String(sample.method.as_bytes())),
            (b"arg_path", Value::String(url.as_bytes())),
            (b"arg_ver", Value::String(if sample.http2 { b"2.0" } else { b"1.1" })),
            (b"arg_hdrs", Value::Binary(&block)),
            (b"arg_body", Value::Binary(sample.body.as_bytes())),
        ],
    )
    .await?;
    let head = http1(sample, id);
    let head = head.split("\r\n\r\n").next().unwrap_or_default();
    Ok(Received::parse(head.as_bytes(), sample.body.as_bytes()))
}
