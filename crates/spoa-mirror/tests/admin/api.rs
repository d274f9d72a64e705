//! An agent with an admin API, and how tests ask it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;
use testbed::backend::Recorder;
use testbed::client::http1;
use testbed::{ports, wait};

use super::running::mirror::Mirror;
use super::running::spop::Peer;

/// An agent with one target, and an admin API on a port of 127.0.0.1.
pub(crate) struct Agent {
    pub(crate) mirror: Mirror,
    pub(crate) admin: SocketAddr,
    pub(crate) shadow: Recorder,
}

impl Agent {
    /// Starts it with a shadow server that answers at once.
    pub(crate) fn start() -> Self {
        Self::with(Recorder::start(), &[])
    }

    /// Starts it with this shadow server and more arguments.
    pub(crate) fn with(shadow: Recorder, args: &[&str]) -> Self {
        let admin = ports::free_addr();
        let (url, address) = (shadow.url(), admin.to_string());
        let usual = ["-r", "0", "-u", &url, "-i", "1s", "--admin", &address];
        let mirror = Mirror::start(&[&usual, args].concat());
        Self { mirror, admin, shadow }
    }

    /// The target's name.
    pub(crate) fn target(&self) -> String {
        self.shadow.address().to_string()
    }

    /// `METHOD PATH`, without a body.
    pub(crate) fn ask(&self, line: &str) -> Answer {
        self.ask_with(line, &[], "")
    }

    /// `METHOD PATH` with a body of JSON.
    pub(crate) fn send(&self, line: &str, json: &str) -> Answer {
        self.ask_with(line, &[("content-type", "application/json")], json)
    }

    /// `METHOD PATH` with these headers and this body.
    pub(crate) fn ask_with(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = request(line, headers, body);
        Answer(http1::exchange(self.admin, request.as_bytes()).unwrap())
    }

    /// The target's part of the status.
    pub(crate) fn standing(&self) -> Value {
        let status = self.ask("GET /api/v1/status").json();
        let targets = status["targets"].as_array().unwrap();
        let target = targets.iter().find(|target| target["name"] == *self.target());
        target.unwrap().clone()
    }

    /// Has the target's counters satisfy `condition`, and gives them.
    pub(crate) fn wait_counters(&self, condition: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = wait::poll(wait::LIMIT, || {
            last = self.standing()["counters"].clone();
            condition(&last).then_some(())
        });
        assert!(found.is_some(), "no such counters; at last {last}");
        last
    }

    /// Hands over so many requests as HAProxy does.
    pub(crate) fn mirror(&self, count: u64) {
        let mut peer = Peer::greeted(self.mirror.address);
        for stream in 1..=count {
            peer.mirror(stream, "/");
        }
    }
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) http1::Response);

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.0.header("content-type").as_deref(), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.0.body).unwrap()
    }

    /// The code of an error, which has a message too.
    pub(crate) fn error(&self) -> String {
        let json = self.json();
        assert!(json["error"]["message"].as_str().is_some_and(|text| text.len() > 10), "{json}");
        json["error"]["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// A request's bytes; `host` is `localhost` unless it is among the headers.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut request = format!("{line} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        request.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    format!("{request}\r\n{body}")
}

/// Asks over a unix socket, or any other stream: status and body.
pub(crate) fn ask_over(
    mut stream: impl Read + Write,
    line: &str,
    headers: &[(&str, &str)],
) -> (u16, String) {
    let headers = [headers, &[("connection", "close")]].concat();
    stream.write_all(request(line, &headers, "").as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no HTTP: {answer:?}"));
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// A connection to a unix socket.
pub(crate) fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
    stream
}
