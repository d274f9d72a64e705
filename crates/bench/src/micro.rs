//! The steps of one request's walk through the data plane, one at a time, each as often as wanted:
//! for times (`cargo bench`) and for counts of instructions (`scripts/instructions.sh`).

mod policy;

use std::hint::black_box;

use spoa_mirror::config::{Marker, MirrorUrl, TargetConfig};
use spoa_mirror::exchange::{Completeness, Exchange, Facts};
use spoa_mirror::policy::{Request, approve};
use spoa_mirror::target::request;
use spoa_mirror::target::response::{Progress, ResponseReader};
use spop_proto::{Capabilities, Client, Connection, Event, Hello, Messages, Settings, Value};

use crate::decode;

/// Steps that do the same, ours and then another's.
pub const COMPARED: [(&str, &str); 2] =
    [("decode", "decode-spop-crate"), ("headers", "headers-spop-crate")];

/// A step that can be repeated.
pub struct Step {
    /// Its name.
    pub name: &'static str,
    run: Box<dyn FnMut()>,
}

impl Step {
    fn new(name: &'static str, run: impl FnMut() + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// Does it once.
    pub fn run(&mut self) {
        (self.run)();
    }
}

/// Every step.
#[must_use]
pub fn steps() -> Vec<Step> {
    let mut steps = vec![
        acknowledge(),
        on_notify("decode", HEADERS, |frame| decode::ours(frame, see)),
        on_notify("decode-spop-crate", HEADERS, |frame| decode::theirs(frame, see)),
        on_notify("headers", HEADERS, |frame| decode::our_headers(frame, see, see)),
        on_notify("headers-spop-crate", HEADERS, |frame| decode::their_headers(frame, see, see)),
        on_notify("headers-80", 80, |frame| decode::our_headers(frame, see, see)),
        exchange(),
        write(),
        response(),
    ];
    steps.extend(policy::steps());
    steps
}

/// Headers of the ordinary request.
const HEADERS: usize = 8;

/// A message as HAProxy sends it for a GET with so many headers.
fn payload(headers: usize) -> Vec<u8> {
    let names: Vec<String> = (1..headers).map(|number| format!("x-header-{number}")).collect();
    let mut pairs = vec![(&b"host"[..], &b"www.example.com"[..])];
    pairs.extend(names.iter().map(|name| (name.as_bytes(), &b"a value of ordinary length"[..])));
    let mut block = Vec::new();
    spop_proto::encode_header_block(pairs, &mut block);
    let mut payload = Vec::new();
    let arguments: [(&[u8], Value<'_>); 5] = [
        (b"arg_method", Value::String(b"GET")),
        (b"arg_path", Value::String(b"/some/path/to/a/page?with=a&few=parameters")),
        (b"arg_ver", Value::String(b"1.1")),
        (b"arg_hdrs", Value::Binary(&block)),
        (b"arg_body", Value::Binary(b"")),
    ];
    spop_proto::encode_message(b"mirror", &arguments, &mut payload);
    payload
}

fn first(payload: &[u8]) -> Exchange<'_> {
    let (_, exchange) = Exchange::next(&mut Messages::new(payload, 0)).unwrap().unwrap();
    exchange.unwrap()
}

fn facts<'a>(exchange: &Exchange<'a>) -> Facts<'a> {
    Facts::gather(&exchange.headers, Some("x-shadow")).unwrap()
}

/// A frame of a connection that has said HELLO, and what it is sent to.
fn greeted(headers: usize) -> (Connection, Vec<u8>) {
    let client = Client::new(16380);
    let mut connection = Connection::new(Settings::default());
    let (mut hello, mut output) = (Vec::new(), Vec::new());
    let said = Hello {
        versions: b"2.0",
        max_frame_size: 16380,
        capabilities: Capabilities::default(),
        engine_id: None,
        healthcheck: false,
    };
    client.hello(&said, &mut hello);
    connection.receive(&hello, &mut output);
    while connection.next_event(&hello).is_some() {}
    let mut frame = Vec::new();
    client.notify(1, 1, &payload(headers), &mut frame).unwrap();
    (connection, frame)
}

/// NOTIFY in, ACK out.
fn acknowledge() -> Step {
    let (mut connection, frame) = greeted(HEADERS);
    let mut output = Vec::new();
    Step::new("acknowledge", move || {
        output.clear();
        connection.receive(black_box(&frame), &mut output);
        while let Some(event) = connection.next_event(&frame) {
            black_box(matches!(event, Event::Notify(_)));
        }
        black_box(&output);
    })
}

/// Looks at what a step decodes.
fn see<const N: usize>(parts: [&[u8]; N]) {
    black_box(parts);
}

/// A NOTIFY as HAProxy sends it for a GET with so many headers.
#[must_use]
pub fn notify(headers: usize) -> Vec<u8> {
    greeted(headers).1
}

/// A step that takes a NOTIFY with so many headers.
fn on_notify(name: &'static str, headers: usize, run: impl Fn(&[u8]) + 'static) -> Step {
    let frame = notify(headers);
    Step::new(name, move || run(black_box(&frame)))
}

/// Message to exchange and facts.
fn exchange() -> Step {
    let payload = payload(HEADERS);
    Step::new("exchange", move || {
        let exchange = first(black_box(&payload));
        black_box(facts(&exchange));
        black_box(&exchange);
    })
}

/// Exchange to the bytes of a copy.
fn write() -> Step {
    let payload = payload(HEADERS);
    let target = ordinary_target();
    let marker = marker();
    let mut output = Vec::new();
    Step::new("write", move || {
        let exchange = first(&payload);
        let request = Request::new(&exchange, Ok(facts(&exchange)), Completeness::Complete, 1);
        let approval = approve(&request, &target, &marker).unwrap();
        output.clear();
        let name = marker.name.as_deref();
        let layout = request::write(&request, approval, &target, None, name, &mut output);
        black_box(layout.unwrap());
        black_box(&output);
    })
}

/// An answer, read to its end.
fn response() -> Step {
    let answer: &[u8] =
        b"HTTP/1.1 200 OK\r\nserver: nginx\r\ndate: Sat, 21 Nov 2026 00:00:00 GMT\r\n\
        content-type: text/plain\r\ncontent-length: 18\r\nconnection: keep-alive\r\n\r\n\
        answered by nginx\n";
    let mut reader = ResponseReader::new();
    Step::new("response", move || {
        reader.begin(false, 1 << 20);
        let progress = reader.feed(black_box(answer));
        assert!(matches!(progress, Progress::Whole { keep_alive: true, .. }));
    })
}

fn ordinary_target() -> TargetConfig {
    let url: MirrorUrl = "http://127.0.0.1:8080".parse().unwrap();
    TargetConfig::new("target".to_owned(), url)
}

fn marker() -> Marker {
    Marker { name: Some("x-shadow".to_owned()), max_hops: 1 }
}
