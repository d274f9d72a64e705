//! Sends requests at a fixed rate, evenly spaced, whatever becomes of them: HTTP GETs as clients of HAProxy
//! do, or SPOP NOTIFYs as HAProxy does.
//!
//! Each connection has one request under way; the one that was idle longest takes the next, so that all are
//! used in turn. Where none is idle, the request waits. Times count from the moment a request was due, so that
//! waiting for a connection, or for this program to run, is not left out.
//!
//! It says `connected`, `warm` when the warm-up is over, and then what it saw as JSON; then it keeps its
//! connections until it is killed.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bench::http;
use clap::{Parser, ValueEnum};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use spop_proto::{Capabilities, Client, ClientEvent, Hello};
use testbed::spop_client::{FRAME_SIZE, Request};

/// How long answers may take after the last request was due.
const PATIENCE: Duration = Duration::from_secs(1);

/// The path that is asked for.
const PATH: &str = "/path?query=1";

#[derive(Parser)]
struct Arguments {
    protocol: Protocol,
    /// Where to connect
    address: SocketAddr,
    /// How many connections
    #[arg(long)]
    connections: usize,
    /// Requests a second
    #[arg(long)]
    rate: u32,
    /// Seconds of load before it counts
    #[arg(long)]
    warm_up: f64,
    /// Seconds of load that count
    #[arg(long)]
    seconds: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    Http,
    Spop,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut load = Load::connect(arguments.protocol, arguments.address, arguments.connections)?;
    println!("connected");
    let warm_up = load.run(arguments.rate, arguments.warm_up)?;
    println!("warm");
    let Seen { mut times, errors } = load.run(arguments.rate, arguments.seconds)?;
    times.sort_unstable();
    println!(
        "{}",
        serde_json::json!({
            "rate": times.len() as f64 / arguments.seconds,
            "p50": milliseconds(quantile(&times, 50)),
            "p99": milliseconds(quantile(&times, 99)),
            "errors": errors,
            "answered": times.len(),
            "answered_with_warm_up": times.len() + warm_up.times.len(),
        })
    );
    loop {
        std::thread::park();
    }
}

/// The value that so many percent of the sorted values do not exceed.
fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The timer among the tokens of connections, which are their indices.
const TIMER: u64 = u64::MAX;

struct Load {
    protocol: Protocol,
    address: SocketAddr,
    /// What is sent: the request, or the payload of the NOTIFY.
    message: Vec<u8>,
    epoll: Epoll,
    timer: TimerFd,
    connections: Vec<Connection>,
    /// Idle connections, the longest idle first.
    idle: VecDeque<usize>,
    frames: u64,
    input: Vec<u8>,
    output: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    spop: Client,
    input: Vec<u8>,
    /// When the request under way was due.
    due: Option<Instant>,
}

/// What became of one run's requests.
#[derive(Default)]
struct Seen {
    /// To each good answer.
    times: Vec<Duration>,
    errors: u64,
}

impl Load {
    fn connect(protocol: Protocol, address: SocketAddr, connections: usize) -> Result<Self> {
        let message = match protocol {
            Protocol::Http => http::request("GET", PATH, &format!("host: {address}\r\n"), 0, 0),
            Protocol::Spop => Request::get(PATH).payload(),
        };
        let epoll = Epoll::new(EpollCreateFlags::empty())?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty())?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        let mut load = Self {
            protocol,
            address,
            message,
            epoll,
            timer,
            connections: Vec::with_capacity(connections),
            idle: (0..connections).collect(),
            frames: 0,
            input: vec![0; 64 * 1024],
            output: Vec::new(),
        };
        for index in 0..connections {
            let connection = load.open(index)?;
            load.connections.push(connection);
        }
        Ok(load)
    }

    /// A connection on which requests can be sent. Its reads come after epoll's word, its writes fit the
    /// empty buffer of the socket: neither blocks.
    fn open(&self, index: usize) -> Result<Connection> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        let mut spop = Client::new(FRAME_SIZE);
        if matches!(self.protocol, Protocol::Spop) {
            greet(&mut stream, &mut spop)?;
        }
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        Ok(Connection { stream, spop, input: Vec::new(), due: None })
    }

    /// So many requests a second, for so long.
    fn run(&mut self, rate: u32, seconds: f64) -> Result<Seen> {
        let start = Instant::now();
        let due_at = |number: u64| {
            start + Duration::from_nanos(1_000_000_000 * number / u64::from(rate.max(1)))
        };
        let end = start + Duration::from_secs_f64(seconds);
        let mut seen = Seen::default();
        let mut waiting = VecDeque::new();
        let mut number = 0;
        let mut open = 0;
        loop {
            let now = Instant::now();
            while due_at(number) <= now && due_at(number) < end {
                waiting.push_back(due_at(number));
                number += 1;
            }
            let all_due = due_at(number) >= end;
            while !waiting.is_empty() {
                let Some(index) = self.idle.pop_front() else { break };
                self.send(index, waiting.pop_front())?;
                open += 1;
            }
            if all_due && (waiting.is_empty() && open == 0 || now >= end + PATIENCE) {
                // What is open still is none of the next run's.
                seen.errors += waiting.len() as u64 + open;
                return Ok(seen);
            }
            let next = if all_due { end + PATIENCE } else { due_at(number) };
            for index in self.wait(next)? {
                let due = self.connections[index].due;
                let Some(good) = self.read(index)? else { continue };
                // An answer to a request of the run before counts nowhere.
                if let Some(due) = due.filter(|due| *due >= start) {
                    open -= 1;
                    if good { seen.times.push(due.elapsed()) } else { seen.errors += 1 }
                }
            }
        }
    }

    fn send(&mut self, index: usize, due: Option<Instant>) -> Result<()> {
        let connection = &mut self.connections[index];
        connection.due = due;
        let sent = match self.protocol {
            Protocol::Http => connection.stream.write_all(&self.message),
            Protocol::Spop => {
                self.frames += 1;
                self.output.clear();
                let message = (&self.message, &mut self.output);
                let framed = connection.spop.notify(self.frames, 1, message.0, message.1);
                framed.map_err(Error::other)?;
                connection.stream.write_all(&self.output)
            }
        };
        // A connection that the other side closed says so to the read that follows.
        match sent {
            Err(error) if !is_end(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for `until` or for connections that can be read.
    fn wait(&self, until: Instant) -> Result<Vec<usize>> {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = if left.is_zero() {
            EpollTimeout::ZERO
        } else {
            let left = Expiration::OneShot(TimeSpec::from_duration(left));
            self.timer.set(left, TimerSetTimeFlags::empty())?;
            EpollTimeout::NONE
        };
        let mut events = [EpollEvent::empty(); 256];
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(nix::errno::Errno::EINTR) => 0,
            count => count?,
        };
        let tokens = events[..count].iter().map(EpollEvent::data);
        Ok(tokens
            .filter_map(|token| usize::try_from(token).ok())
            .filter(|t| *t < self.connections.len())
            .collect())
    }

    /// Reads what came: `None` while the answer is not whole, and otherwise whether it is a good one. A
    /// connection that ended is opened again.
    fn read(&mut self, index: usize) -> Result<Option<bool>> {
        let connection = &mut self.connections[index];
        let count = match connection.stream.read(&mut self.input) {
            Err(error) if is_end(&error) => 0,
            count => count?,
        };
        if count == 0 {
            // One that is idle is in its place in the queue already.
            let was_busy = connection.due.is_some();
            self.connections[index] = self.open(index)?;
            if was_busy {
                self.idle.push_back(index);
            }
            return Ok(was_busy.then_some(false));
        }
        connection.input.extend_from_slice(&self.input[..count]);
        let answer = match self.protocol {
            Protocol::Http => http_answer(&connection.input),
            Protocol::Spop => spop_answer(connection)?,
        };
        if answer.is_some() {
            connection.input.clear();
            if connection.due.take().is_some() {
                self.idle.push_back(index);
            }
        }
        Ok(answer)
    }
}

fn is_end(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn http_answer(input: &[u8]) -> Option<bool> {
    let length = http::answer_length(input)?;
    (input.len() >= length).then(|| input.starts_with(b"HTTP/1.1 200 "))
}

fn spop_answer(connection: &mut Connection) -> Result<Option<bool>> {
    let received = connection.spop.receive(&connection.input).map_err(Error::other)?;
    Ok(received.map(|(_, event)| matches!(event, Some(ClientEvent::Ack { .. }))))
}

/// Exchanges HELLOs as HAProxy does.
fn greet(stream: &mut TcpStream, spop: &mut Client) -> Result<()> {
    let hello = Hello {
        versions: b"2.0",
        max_frame_size: FRAME_SIZE,
        capabilities: Capabilities { pipelining: true, ..Capabilities::default() },
        engine_id: Some(b"00000000-0000-0000-0000-000000000000"),
        healthcheck: false,
    };
    let mut bytes = Vec::new();
    spop.hello(&hello, &mut bytes);
    stream.write_all(&bytes)?;
    let mut input = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        input.extend_from_slice(&buffer[..count]);
        match spop.receive(&input).map_err(Error::other)? {
            Some((_, Some(ClientEvent::Hello(_)))) => return Ok(()),
            Some(_) => return Err(Error::other("no AGENT-HELLO")),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 50), Duration::from_millis(100));
        assert_eq!(quantile(&times, 99), Duration::from_millis(198));
        assert_eq!(quantile(&times[..1], 99), Duration::from_millis(1));
        assert_eq!(quantile(&[], 99), Duration::ZERO);
    }

    /// A server with one connection that asks for each answer's status when a request came.
    fn server(mut status: impl FnMut() -> &'static str + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).unwrap_or(0) > 0 {
                let answer = format!("HTTP/1.1 {}\r\ncontent-length: 2\r\n\r\nok", status());
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn waiting_for_a_connection_counts() {
        let delay = Duration::from_millis(50);
        let mut statuses = ["200 OK", "503 No", "200 OK", "200 OK", "200 OK"].into_iter();
        let address = server(move || {
            let until = Instant::now() + delay;
            while Instant::now() < until {
                std::thread::park_timeout(delay);
            }
            statuses.next().unwrap()
        });
        let mut load = Load::connect(Protocol::Http, address, 1).unwrap();
        // Due at 0, 10, 20, 30 and 40 ms; answered not before 50, 100, 150, 200 and 250 ms.
        let Seen { mut times, errors } = load.run(100, 0.05).unwrap();
        times.sort_unstable();
        assert_eq!((times.len(), errors), (4, 1));
        assert!(times[0] >= delay, "{times:?}");
        assert!(times[3] >= Duration::from_millis(210), "{times:?}");
    }

    #[test]
    fn an_answer_to_an_earlier_run_counts_nowhere() {
        let (allow, allowed) = std::sync::mpsc::sync_channel(2);
        let address = server(move || allowed.recv().map_or("500 Gone", |()| "200 OK"));
        let mut load = Load::connect(Protocol::Http, address, 1).unwrap();
        let first = load.run(10, 0.1).unwrap();
        assert_eq!((first.times.len(), first.errors), (0, 1));
        allow.send(()).unwrap();
        allow.send(()).unwrap();
        let second = load.run(1000, 0.001).unwrap();
        assert_eq!((second.times.len(), second.errors), (1, 0));
    }
}
