//! An agent that compares, and what HAProxy hands over: each request with production's answer to it, as
//! hostile as a client and a server can make them.

use std::net::SocketAddr;

use spop_proto::Value;
use testbed::backend::{Behaviour, Recorder, Request, Response};
use testbed::client::http1;
use testbed::spop_client::{self, SpopClient};
use testbed::{ports, wait};

use super::api::request;
use super::html::Page;
use super::running::mirror::Mirror;

/// What would run if it were put into a page as it is.
pub(crate) const HOSTILE: &str = "<script>alert('1')</script>\"><img src=x onerror=alert(2)>";

/// Requests that are sent: more than the first look needs.
const REQUESTS: u64 = 130;

/// Every path but `/same` is answered differently.
pub(crate) struct Scene {
    _mirror: Mirror,
    _shadow: Recorder,
    pub(crate) admin: SocketAddr,
}

impl Scene {
    /// All requests are compared, and the answer is known. `more` is for the configuration.
    pub(crate) fn start(more: &str) -> Self {
        let shadow = Recorder::start();
        shadow.set(Behaviour::custom(|request: &Request| {
            shadow_answer(request).to_bytes(request.method())
        }));
        let admin = ports::free_addr();
        let mirror = Mirror::configured(&format!(
            "[admin]\nlisten = \"{admin}\"\n\n[comparison]\nsample = 100\nrun = \"{RUN}\"\n{more}\n\
             [comparison.verdict]\npairs = 20\nendpoint-pairs = 10\ncontrol-pairs = 0\n\n\
             [[target]]\nname = \"staging\"\nurl = \"{}\"\ncompare = true\n",
            shadow.url()
        ));
        let mut haproxy = SpopClient::connect(mirror.address).unwrap();
        for stream in 1..=REQUESTS {
            let path = if stream % 2 == 0 { "/same" } else { "/items" };
            haproxy.notify(stream, 1, &exchange(path, stream)).unwrap();
            haproxy.acks(1).unwrap();
        }
        let scene = Self { _mirror: mirror, _shadow: shadow, admin };
        wait::holds(wait::LIMIT, "all is counted", || {
            let verdict = &scene.json("/api/v1/verdict")["targets"][0];
            verdict["counted"] == REQUESTS && verdict["answer"] == "fail"
        });
        scene
    }

    pub(crate) fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> http1::Response {
        http1::exchange(self.admin, request(line, headers, body).as_bytes()).unwrap()
    }

    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        let answer = self.ask(&format!("GET {path}"), &[], "");
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The page at this path, which must be one.
    pub(crate) fn page(&self, path: &str) -> Page {
        let answer = self.ask(&format!("GET {path}"), &[("accept", "text/html")], "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        Page::of(&answer)
    }
}

/// A run's name may be anything that people write.
pub(crate) const RUN: &str = "rc-1 <b>&amp;";

fn body(price: u64) -> String {
    serde_json::json!({ "price": price, HOSTILE: HOSTILE, "note": "</pre></code></td>" })
        .to_string()
}

fn shadow_answer(request: &Request) -> Response {
    let path = String::from_utf8_lossy(request.target()).into_owned();
    if path.starts_with("/same") {
        return Response::ok("same").header("content-type", "text/plain");
    }
    Response::ok(body(2)).header("content-type", "application/json").header("x-flavour", HOSTILE)
}

/// A message with a request and production's answer.
fn exchange(path: &str, number: u64) -> Vec<u8> {
    let (body, content_type) = if path == "/same" {
        ("same".to_owned(), "text/plain")
    } else {
        (body(1), "application/json")
    };
    let url = format!("{path}?q={HOSTILE}&n={number}").replace(' ', "%20");
    let asked = spop_client::Request::get(&url).header("x-from", HOSTILE);
    let answered = spop_client::Request::get("/")
        .header("content-type", content_type)
        .header("content-length", body.len().to_string());
    let answered = spop_client::Request {
        headers: answered.headers.into_iter().filter(|(name, _)| name != b"host").collect(),
        ..answered
    };
    let (asked_headers, answer_headers) = (asked.header_block(), answered.header_block());
    let size = body.len() as u64;
    let arguments: [(&[u8], Value<'_>); 10] = [
        (b"method", Value::String(b"GET")),
        (b"url", Value::String(url.as_bytes())),
        (b"ver", Value::String(b"1.1")),
        (b"hdrs", Value::Binary(&asked_headers)),
        (b"body", Value::Binary(b"")),
        (b"body_size", Value::Uint64(0)),
        (b"status", Value::Int64(200)),
        (b"res_hdrs", Value::Binary(&answer_headers)),
        (b"res_body", Value::Binary(body.as_bytes())),
        (b"res_body_size", Value::Uint64(size)),
    ];
    let mut payload = Vec::new();
    spop_proto::encode_message(b"exchange", &arguments, &mut payload);
    payload
}
