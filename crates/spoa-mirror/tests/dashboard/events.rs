//! How open pages are told of changes.

use std::io::Read as _;
use std::time::{Duration, Instant};

use testbed::agent::Signal;
use testbed::client::http1::Client;
use testbed::wait;

use super::api::{Agent, request};
use super::running::gate;

/// A stream of events, as bytes come.
struct Stream {
    client: Client,
    text: String,
}

impl Stream {
    fn open(agent: &Agent) -> Self {
        let mut client = Client::connect(agent.admin).unwrap();
        client.send(request("GET /events", &[], "").as_bytes()).unwrap();
        let mut stream = Self { client, text: String::new() };
        stream.wait("listening");
        stream
    }

    /// Reads until `what` is there once more; gives what came until then.
    fn wait(&mut self, what: &str) -> String {
        let mut tcp = self.client.stream();
        let mut buffer = [0; 4096];
        while !self.text.contains(what) {
            let read = tcp.read(&mut buffer).unwrap();
            assert!(read > 0, "the stream ended; it told {:?}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        let end = self.text.find(what).unwrap() + what.len();
        self.text.drain(..end).collect()
    }

    /// Whether the other side has ended it.
    fn ended(&mut self) -> bool {
        let mut tcp = self.client.stream();
        tcp.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        matches!(tcp.read(&mut [0; 4096]), Ok(0))
    }
}

#[test]
fn a_page_is_told_when_it_shows_something_old_and_not_more_often_than_it_can_load() {
    let agent = Agent::start();
    let mut stream = Stream::open(&agent);
    stream.wait("event: changed");
    let begin = Instant::now();
    agent.mirror(1);
    stream.wait("event: changed");
    agent.mirror(1);
    agent.mirror(1);
    stream.wait("event: changed");
    // Two seconds and two more, less what had gone by of the first when this began.
    assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn a_stream_outlives_what_a_request_may_take_and_says_that_it_lives() {
    let agent = Agent::start();
    let mut stream = Stream::open(&agent);
    stream.wait("event: changed");
    let quiet = stream.wait(": nothing has changed");
    assert!(!quiet.contains("event:"), "{quiet}");
    agent.mirror(1);
    stream.wait("event: changed");
}

#[test]
fn streams_are_bounded_and_leave_room_for_questions() {
    let agent = Agent::start();
    let mut streams: Vec<_> = (0..32).map(|_| Stream::open(&agent)).collect();
    let refused = agent.ask("GET /events");
    assert_eq!((refused.status(), refused.error().as_str()), (503, "no-room"));
    assert_eq!(agent.ask("GET /api/v1/status").status(), 200);
    streams.pop();
    wait::holds(wait::LIMIT, "a place becomes free", || {
        let mut client = Client::connect(agent.admin).unwrap();
        client.send(request("GET /events", &[], "").as_bytes()).unwrap();
        let mut head = [0; 12];
        client.stream().read_exact(&mut head).is_ok() && head == *b"HTTP/1.1 200"
    });
}

#[test]
fn open_streams_do_not_hold_up_the_end() {
    let (shadow, gate) = gate::recorder();
    let mut agent = Agent::with(shadow, &["--grace", "1m"]);
    let mut stream = Stream::open(&agent);
    agent.mirror(1);
    agent.wait_counters(|counters| counters["in_flight"] == 1);
    agent.mirror.process.signal(Signal::SIGTERM);
    // While copies come to their end, pages show it.
    wait::holds(wait::LIMIT, "not ready", || agent.ask("GET /readyz").status() == 503);
    stream.wait("event: changed");
    gate.open();
    assert!(agent.mirror.process.wait_exit(wait::LIMIT).success());
    wait::holds(wait::LIMIT, "the stream ends", || stream.ended());
}
