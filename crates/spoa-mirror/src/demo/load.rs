//! Steady traffic on the shop: a few customers with a connection each, through HAProxy, or straight to
//! production with HAProxy's side of SPOP played.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use spop_proto::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::backend::ID_HEADER;
use super::shop::draw;
use super::spop::{Spop, header_block};

/// Requests a second, on a machine that is not too busy for that.
pub(super) const RATE: u32 = 200;
/// Customers: more than what is under way at a time, reports included.
const CUSTOMERS: u32 = 20;

const HOST: &str = "shop.example";

/// How requests get to the agent.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// Through the HAProxy that listens here.
    Haproxy(SocketAddr),
    /// Production listens here; the agent is told on this port.
    Spop(SocketAddr, u16),
}

/// Traffic, until it is dropped.
pub(super) struct Load {
    customers: JoinSet<()>,
    sent: Rc<Cell<u64>>,
    failure: Rc<RefCell<Option<String>>>,
}

impl Load {
    /// Begins it; inside of a `LocalSet`.
    pub(super) fn start(way: Way) -> Self {
        let mut load =
            Self { customers: JoinSet::new(), sent: Rc::default(), failure: Rc::default() };
        let apart = Duration::from_secs(1) / RATE;
        for number in 0..CUSTOMERS {
            let (sent, failure) = (Rc::clone(&load.sent), Rc::clone(&load.failure));
            let first = Instant::now() + apart * number;
            load.customers.spawn_local(async move {
                let ended = customer(way, first, apart * CUSTOMERS, &sent).await;
                if let Err(message) = ended {
                    failure.replace(Some(message));
                }
            });
        }
        load
    }

    /// Requests that were made.
    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Why a customer gave up.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }
}

/// A customer, who asks again and again, `every` so often.
async fn customer(
    way: Way,
    first: Instant,
    every: Duration,
    sent: &Cell<u64>,
) -> Result<(), String> {
    let mut ticks = interval_at(first, every);
    // What a busy machine was late with is not made up for in one go.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut client = Client::connect(way).await?;
    loop {
        ticks.tick().await;
        let number = sent.get();
        sent.set(number + 1);
        let request = Request::number(number);
        // An idle connection may be closed at any time; a new one is not idle.
        if client.send(&request).await.is_err() {
            client = Client::connect(way).await?;
            client.send(&request).await?;
        }
    }
}

/// What a customer wants.
pub(super) struct Request {
    id: String,
    method: &'static str,
    pub(super) target: String,
    pub(super) body: String,
}

impl Request {
    /// The same at each demonstration.
    pub(super) fn number(number: u64) -> Self {
        const WORDS: [&str; 4] = ["umbrella", "boots", "coat", "hat"];
        let id = format!("shop-{number}");
        let which = draw("customer", "id", &id);
        let (mut method, mut body) = ("GET", String::new());
        let target = match draw("customer", "target", &id) % 100 {
            0..35 => format!("/products/{}", 1000 + which % 500),
            35..55 => format!("/customers/{}", 70_000 + which % 900),
            55..80 => format!("/search?q={}", WORDS.get((which % 4) as usize).unwrap_or(&"")),
            80..90 => format!("/reports/2026-{:02}", 1 + which % 12),
            _ => {
                method = "POST";
                body = format!(
                    "{{\"article\": {}, \"quantity\": {}}}",
                    1000 + which % 500,
                    1 + which % 3
                );
                "/orders".to_owned()
            }
        };
        Self { id, method, target, body }
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("host", HOST.to_owned()),
            ("accept", "application/json".to_owned()),
            (ID_HEADER, self.id.clone()),
        ];
        if !self.body.is_empty() {
            headers.push(("content-type", "application/json".to_owned()));
            headers.push(("content-length", self.body.len().to_string()));
        }
        headers
    }

    pub(super) fn http(&self) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in self.headers() {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text + "\r\n" + &self.body
    }
}

/// A connection, and what tells the agent where HAProxy does not.
struct Client {
    stream: TcpStream,
    input: BytesMut,
    spop: Option<Spop>,
}

impl Client {
    async fn connect(way: Way) -> Result<Self, String> {
        let (address, spop) = match way {
            Way::Haproxy(address) => (address, None),
            Way::Spop(production, agent) => (production, Some(Spop::connect(agent).await?)),
        };
        let connected = TcpStream::connect(address).await;
        let stream = connected.map_err(|error| format!("cannot connect to {address}: {error}"))?;
        Ok(Self { stream, input: BytesMut::new(), spop })
    }

    /// Sends a request, and waits for all of its answer.
    async fn send(&mut self, request: &Request) -> Result<(), String> {
        let asked = now();
        let failed = |error: std::io::Error| format!("request {} failed: {error}", request.id);
        self.stream.write_all(request.http().as_bytes()).await.map_err(failed)?;
        let (answer, answered) = loop {
            let answer = Answer::parse(&self.input).map_err(|error| {
                format!("the answer to request {} is wrong: {error}", request.id)
            })?;
            if let Some(answer) = answer {
                break (answer, now());
            }
            if self.stream.read_buf(&mut self.input).await.map_err(failed)? == 0 {
                return Err(format!("request {} failed: the connection was closed", request.id));
            }
        };
        let bytes = self.input.split_to(answer.length);
        let Some(spop) = &mut self.spop else { return Ok(()) };
        let asked_headers = request.headers();
        let asked_headers = header_block(asked_headers.iter().map(|(n, v)| (*n, v.as_str())));
        let headers = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let body = bytes.get(answer.head..).unwrap_or_default();
        spop.notify(
            "exchange",
            &[
                (b"id", Value::String(request.id.as_bytes())),
                (b"method", Value::String(request.method.as_bytes())),
                (b"url", Value::String(request.target.as_bytes())),
                (b"ver", Value::String(b"1.1")),
                (b"hdrs", Value::Binary(&asked_headers)),
                (b"body", Value::Binary(request.body.as_bytes())),
                (b"body_size", Value::Int64(request.body.len() as i64)),
                (b"status", Value::Int64(answer.status.into())),
                (b"res_hdrs", Value::Binary(&header_block(headers))),
                (b"res_body", Value::Binary(body)),
                (b"res_body_size", Value::Int64(body.len() as i64)),
                (b"res_body_waited", Value::Bool(true)),
                (b"t_request", Value::Int64(asked)),
                (b"t_response", Value::Int64(answered)),
            ],
        )
        .await
    }
}

/// What is known of an answer.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    /// Bytes of its head.
    head: usize,
    /// Bytes of all of it.
    length: usize,
}

impl Answer {
    /// The answer that begins here; `None` if not all of it is there.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(bytes).map_err(|error| error.to_string())?;
        let httparse::Status::Complete(head) = parsed else { return Ok(None) };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers: Vec<_> =
            response.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect();
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|(_, value)| value.parse::<usize>().ok());
        let length = head.saturating_add(length.ok_or("it has no Content-Length")?);
        let status = response.code.unwrap_or_default();
        Ok((bytes.len() >= length).then_some(Self { status, headers, head, length }))
    }
}

/// As HAProxy's `date(0,us)`.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
