//! A stage for faults: clients, HAProxy with the guide's configuration, production, and the program with
//! small limits, whose memory and descriptors are watched.

use std::cell::Cell;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use testbed::agent::{Agent, Builder};
use testbed::backend::{Behaviour, Recorder, Response};
use testbed::client::http1;
use testbed::client::load::{self, Load, Report};
use testbed::counters::{Tally, Target};
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::lines::Lines;
use testbed::{ports, wait};

use crate::books;

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_spoa-mirror");

/// How long a bounded load may take on a busy machine.
pub(crate) const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// What the program may hold, as its command line says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) in_flight: u64,
    pub(crate) queue: u64,
    /// Bytes.
    pub(crate) queue_bytes: u64,
    /// The longest copy that the test sends, in bytes.
    pub(crate) copy: u64,
}

impl Limits {
    /// Small enough that a leak of what a test sends would show.
    pub(crate) const SMALL: Self =
        Self { in_flight: 50, queue: 200, queue_bytes: 4 << 20, copy: 16 << 10 };

    pub(crate) fn args(self) -> Vec<String> {
        let limits = [
            ("--max-in-flight", self.in_flight),
            ("--max-queue", self.queue),
            ("--max-queue-bytes", self.queue_bytes),
        ];
        limits.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value.to_string()]).collect()
    }

    /// The most resident memory, in bytes: the program itself, its buffers for logs, what waits, and what
    /// is under way. A copy's buffer grows by doubling, so that it may be twice as large as the copy.
    pub(crate) fn memory(self) -> u64 {
        /// The program, its stacks, runtimes and read buffers, built without optimisation.
        const PROGRAM: u64 = 16 << 20;
        /// What a connection to a target keeps: its last copy's buffer, and the head of an answer.
        const CONNECTION: u64 = (64 + 2 * 64) << 10;
        PROGRAM + 2 * self.queue_bytes + self.in_flight * (2 * self.copy + CONNECTION)
    }

    /// The most open descriptors, with as many SPOP connections.
    pub(crate) fn files(self, spop: usize) -> usize {
        /// Standard streams, event loops, signals, listener.
        const PROGRAM: usize = 24;
        PROGRAM + spop + usize::try_from(self.in_flight).expect("small")
    }
}

/// Starts the program on `address` with these arguments, and waits until it takes connections.
pub(crate) fn start_agent(builder: Builder, address: SocketAddr, args: &[&str]) -> Agent {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut agent = builder.args(["-a", &host, "-p", &port]).args(args).start();
    // Its log may be out of reach.
    wait::holds(wait::LIMIT, "the program to listen", || {
        assert!(agent.is_running(), "{:#?}", agent.output().all());
        TcpStream::connect(address).is_ok()
    });
    agent
}

/// What to set up.
pub(crate) struct Setup {
    version: Version,
    limits: Limits,
    builder: Option<Builder>,
    args: Vec<String>,
    guide: Box<dyn FnOnce(Guide) -> Guide>,
}

impl Setup {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            limits: Limits::SMALL,
            builder: None,
            args: Vec::new(),
            guide: Box::new(|guide| guide),
        }
    }

    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Starts the program by `builder`, whose program it must be or become.
    pub(crate) fn builder(mut self, builder: Builder) -> Self {
        self.builder = Some(builder);
        self
    }

    /// Gives the program arguments, separated by blanks.
    pub(crate) fn args(mut self, args: &str) -> Self {
        self.args.extend(args.split_whitespace().map(str::to_owned));
        self
    }

    /// Changes the guide's configuration.
    pub(crate) fn guide(mut self, change: impl FnOnce(Guide) -> Guide + 'static) -> Self {
        self.guide = Box::new(change);
        self
    }

    /// Starts all of it; the program copies to `url`.
    pub(crate) fn start(self, url: &str) -> Scene {
        let production = Recorder::builder()
            .behaviour(Behaviour::respond(Response::ok("production")))
            .record(false)
            .start();
        let address = ports::free_addr();
        let mut args = self.limits.args();
        // Only the last report of the counters, unless a test wants more.
        args.extend(["-i", "1h", "-u", url].map(str::to_owned));
        args.extend(self.args);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let builder = self.builder.unwrap_or_else(|| Agent::builder(PROGRAM));
        let agent = start_agent(builder, address, &args);
        let guide = Guide::new(production.address()).agent(address).processing("500ms");
        let guide = (self.guide)(guide);
        let haproxy = guide.start(self.version);
        Scene {
            production,
            agent,
            agent_address: address,
            agent_args: args.iter().map(|&arg| arg.to_owned()).collect(),
            guide,
            haproxy,
            limits: self.limits,
            sent: Cell::new(0),
            most_files: Cell::new(0),
        }
    }
}

/// All of it, running.
pub(crate) struct Scene {
    production: Recorder,
    pub(crate) agent: Agent,
    pub(crate) agent_address: SocketAddr,
    agent_args: Vec<String>,
    guide: Guide,
    pub(crate) haproxy: Haproxy,
    pub(crate) limits: Limits,
    /// Requests that clients sent.
    sent: Cell<u64>,
    most_files: Cell<usize>,
}

impl Scene {
    /// Load by six clients: GETs, and POSTs with a body of 2 kB, to `/load/NUMBER`.
    pub(crate) fn clients(&self) -> load::Builder {
        Load::builder(self.haproxy.address("http")).threads(6).request(request)
    }

    /// Load to its end, all of it answered by production.
    pub(crate) fn load(&self, total: u64) -> Report {
        self.load_while(total, |_| {})
    }

    /// [`Scene::load`], with something to do again and again meanwhile; it is told how many requests are
    /// done.
    pub(crate) fn load_while(&self, total: u64, meanwhile: impl FnMut(u64)) -> Report {
        let report = self.run(self.clients(), total, meanwhile);
        report.assert_all_ok();
        report
    }

    /// Runs these clients until they have sent `total` requests, whatever the answers.
    pub(crate) fn run(
        &self,
        clients: load::Builder,
        total: u64,
        mut meanwhile: impl FnMut(u64),
    ) -> Report {
        let load = clients.total(total).start();
        wait::holds(LOAD_LIMIT, "the load's end", || {
            meanwhile(load.done());
            self.most_files.set(self.most_files.get().max(self.agent.open_files()));
            load.done() >= total
        });
        self.sent.set(self.sent.get() + total);
        load.join()
    }

    /// Asserts that copies arrive at `target` again: sends requests until twenty in a row have arrived.
    pub(crate) fn recovers(&self, target: &Recorder) {
        let arrived = |number: u64| {
            let path = format!("/after/{number}");
            target.requests().iter().any(|r| r.complete && r.target() == path.as_bytes())
        };
        let mut number = 0;
        wait::holds(2 * wait::LIMIT, "copies to flow again", || {
            let row = number..number + 20;
            number = row.end;
            row.clone().for_each(|number| self.get(&format!("/after/{number}")));
            wait::poll(Duration::from_secs(2), || row.clone().all(arrived).then_some(())).is_some()
        });
    }

    fn get(&self, path: &str) {
        let response = http1::get(self.haproxy.address("http"), path).unwrap();
        assert_eq!(response.status, 200, "{path}");
        self.sent.set(self.sent.get() + 1);
    }

    /// How many requests clients have sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Starts the program again as it was started at first.
    pub(crate) fn restart_agent(&mut self) {
        let args: Vec<&str> = self.agent_args.iter().map(String::as_str).collect();
        self.agent = start_agent(Agent::builder(PROGRAM), self.agent_address, &args);
    }

    /// Starts another HAProxy with the same configuration, on another port, instead of the one before.
    pub(crate) fn restart_haproxy(&mut self) {
        self.haproxy = self.guide.start(self.haproxy.version());
    }

    /// Counts requests that were sent by other means.
    pub(crate) fn count_sent(&self, count: u64) {
        self.sent.set(self.sent.get() + count);
    }

    /// Ends the program, and asserts that the books are right: they add up, nothing is left open, memory
    /// and descriptors stayed within their bounds, and every request
    /// that clients sent reached production and the program.
    pub(crate) fn close(&mut self) -> Target {
        let account = self.close_with(|sent, received| sent == received);
        assert_eq!(self.production.counts().complete, self.sent());
        account
    }

    /// [`Scene::close`], with another rule for the requests sent by clients and received by the program.
    pub(crate) fn close_with(&mut self, handed_over: impl Fn(u64, u64) -> bool) -> Target {
        let (peak, files) = (self.agent.peak_rss(), self.most_files.get());
        let books = end(&mut self.agent, 1);
        let account = books.targets[0].clone();
        println!(
            "{}: {} kB, {files} files, {:?}, {account:?}",
            self.haproxy.version(),
            peak >> 10,
            books.spop
        );
        assert!(peak <= self.limits.memory(), "{} kB: {account:#?}", peak >> 10);
        let spop = usize::try_from(books.spop.connections).expect("small");
        assert!(files <= self.limits.files(spop), "{files} descriptors: {books:#?}");
        assert_eq!(books.spop.requests, books.spop.notifies, "{books:#?}");
        assert!(
            handed_over(self.sent(), account.received),
            "clients sent {} requests: {books:#?}",
            self.sent()
        );
        account
    }
}

/// Ends the program, which has so many targets, in order, and gives its last counters, with nothing left
/// open.
pub(crate) fn end(agent: &mut Agent, targets: usize) -> Tally {
    end_with(agent, targets, books::all)
}

/// [`end`], with another way to read the counters.
pub(crate) fn end_with(
    agent: &mut Agent,
    targets: usize,
    read: impl Fn(&Lines, usize) -> Vec<Tally>,
) -> Tally {
    let status = agent.stop(wait::LIMIT);
    assert!(status.success(), "{status}: {:#?}", agent.output().all());
    let books = wait::until(wait::LIMIT, "the last counters", || {
        read(agent.stdout(), targets).into_iter().next_back()
    });
    for account in &books.targets {
        assert_eq!((account.waiting, account.in_flight), (0, 0), "{account:#?}");
    }
    books
}

/// Asserts that no request came twice.
#[track_caller]
pub(crate) fn assert_never_twice(target: &Recorder) {
    let mut paths: Vec<_> = target.requests().iter().map(|r| r.target().to_vec()).collect();
    paths.sort_unstable();
    for pair in paths.windows(2) {
        assert_ne!(pair[0], pair[1], "{} came twice", pair[0].escape_ascii());
    }
}

fn request(number: u64) -> Vec<u8> {
    if number % 3 > 0 {
        return format!("GET /load/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    }
    post(number, 2000)
}

/// A POST to `/load/NUMBER` with a body of so many bytes.
pub(crate) fn post(number: u64, length: usize) -> Vec<u8> {
    let head = format!(
        "POST /load/{number} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.into_bytes(), vec![b'b'; length]].concat()
}

/// The behaviour of a target that is well.
pub(crate) fn good() -> Behaviour {
    Behaviour::respond(Response::ok("ok"))
}
