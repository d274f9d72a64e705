//! What the doctor says of waiting, shown with real HAProxy and an agent that hangs.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use testbed::agent::Signal;
use testbed::backend::{Behaviour, Recorder, Step};
use testbed::client::http1::{self, Client};
use testbed::client::load::Load;
use testbed::haproxy::{Guide, Haproxy, Version};
use testbed::wait;

use super::running::mirror::Mirror;
use super::running::on_each_haproxy;
use super::running::stage::{Stage, answered_by_production, production};

/// `timeout processing` in these tests, so long that a busy machine does not hide it.
const PROCESSING: Duration = Duration::from_millis(600);
/// HAProxy counts whole milliseconds, and may have begun in the middle of one.
const NEARLY: Duration = Duration::from_millis(590);

/// An agent that hangs: it takes connections, reads, and says nothing.
struct Hanging {
    address: SocketAddr,
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Hanging {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, closed) = (Arc::default(), Arc::default());
        let agent = Self { address, opened: Arc::clone(&opened), closed: Arc::clone(&closed) };
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                opened.fetch_add(1, Relaxed);
                let closed = Arc::clone(&closed);
                std::thread::spawn(move || {
                    read_to_end(stream);
                    closed.fetch_add(1, Relaxed);
                });
            }
        });
        agent
    }
}

fn read_to_end(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
}

/// The files of a fixture, between this production and this agent, with `timeout processing` as above.
fn fixture(version: Version, name: &str, production: SocketAddr, agent: SocketAddr) -> Haproxy {
    changed(version, name, (production, agent), &str::to_owned)
}

/// The same, changed by this.
fn changed(
    version: Version,
    name: &str,
    (production, agent): (SocketAddr, SocketAddr),
    change: &dyn Fn(&str) -> String,
) -> Haproxy {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/fixtures").join(name);
    let read = |file: &str| std::fs::read_to_string(directory.join(file)).unwrap();
    let haproxy = read("haproxy.cfg")
        .replace("bind :80", "bind 127.0.0.1:{port:http}")
        .replace("127.0.0.1:8080", &production.to_string())
        .replace("127.0.0.1:12345 check inter 1s fastinter 200ms fall 2", &agent.to_string());
    let spoe = read("mirror.conf");
    let mine = format!("timeout processing {}ms", PROCESSING.as_millis());
    let spoe = spoe.replace("timeout processing 20ms", &mine);
    let haproxy = change(&format!("global\n    maxconn 1000\n    nbthread 1\n\n{haproxy}"));
    Haproxy::builder(version).config(haproxy).file("mirror.conf", spoe).start()
}

/// How long a request takes.
fn cost(haproxy: &Haproxy) -> Duration {
    let begin = Instant::now();
    answered_by_production(&http1::get(haproxy.address("http"), "/").unwrap());
    begin.elapsed()
}

/// Makes an agent hang, and waits until all of its threads do.
fn stop(mirror: &mut Mirror) {
    mirror.process.signal(Signal::SIGSTOP);
    let tasks = format!("/proc/{}/task", mirror.process.pid());
    wait::holds(wait::LIMIT, "all threads to be stopped", || {
        std::fs::read_dir(&tasks).unwrap().all(|task| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status"));
            status.is_ok_and(|status| status.contains("State:\tT"))
        })
    });
}

/// With an agent that is stopped after it has greeted HAProxy and answered a request: each further one costs the
/// timeout, and without it there is no end.
fn an_agent_that_hangs_costs_the_timeout(version: Version) {
    let production = production();
    for kind in ["good", "bad", "bad-zero"] {
        let shadow = Recorder::start();
        let mut mirror = Mirror::start(&["-r", "0", "-u", &shadow.url()]);
        let name = format!("processing-timeout-missing/{kind}");
        let haproxy = fixture(version, &name, production.address(), mirror.address);
        cost(&haproxy);
        shadow.wait_for(1, wait::LIMIT);
        stop(&mut mirror);
        if kind == "good" {
            let took = cost(&haproxy);
            assert!(took >= NEARLY && took < PROCESSING * 5, "{took:?}");
            continue;
        }
        let mut client = Client::connect(haproxy.address("http")).unwrap();
        client.stream().set_read_timeout(Some(PROCESSING * 5)).unwrap();
        let answer = client.exchange(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        let error = answer.expect_err("no answer comes").kind();
        assert_eq!(error, std::io::ErrorKind::WouldBlock, "{kind}");
    }
}

fn going_on_after_an_error_costs_the_timeout_twice(version: Version) {
    let (production, agent) = (production(), Hanging::start());
    let costs = |kind: &str| {
        // HAProxy since 3.1 gives a connection up when HELLO takes longer than this.
        let change = |text: &str| text.replace("timeout connect 100ms", "timeout connect 10s");
        let name = format!("continue-on-error/{kind}");
        let addresses = (production.address(), agent.address);
        cost(&changed(version, &name, addresses, &change))
    };
    let (once, twice) = (costs("good"), costs("bad"));
    assert!(once >= NEARLY && twice >= NEARLY * 2, "{once:?} {twice:?}");
    assert!(once < twice && twice < PROCESSING * 6, "{once:?} {twice:?}");
}

/// Each request leaves one.
fn an_agent_that_greets_nobody_is_left_with_open_connections(version: Version) {
    const REQUESTS: usize = 6;
    let production = production();
    let mut left = Vec::new();
    for kind in ["bad", "good"] {
        let agent = Hanging::start();
        let name = format!("hello-timeout/{kind}");
        let haproxy = fixture(version, &name, production.address(), agent.address);
        for _ in 0..REQUESTS {
            cost(&haproxy);
        }
        // The last connection may be about to be closed.
        let open = || agent.opened.load(Relaxed) - agent.closed.load(Relaxed);
        wait::poll(Duration::from_secs(2), || (open() == 0).then_some(()));
        left.push(open());
    }
    assert!(left[0] >= REQUESTS, "{left:?}");
    assert_eq!(left[1], 0, "{left:?}");
}

#[test]
fn an_agent_that_greets_nobody_is_left_with_open_connections_by_haproxy_2_6() {
    an_agent_that_greets_nobody_is_left_with_open_connections(Version::V2_6);
}

#[test]
fn an_agent_that_greets_nobody_is_left_with_open_connections_by_haproxy_3_0() {
    an_agent_that_greets_nobody_is_left_with_open_connections(Version::V3_0);
}

/// A request that comes when the last one's connection was closed for idleness needs a new one.
fn a_short_idle_timeout_costs_a_connection_for_each_request(version: Version) {
    const REQUESTS: usize = 5;
    let opened = |idle: &str, wait_closed: bool| {
        let stage = Stage::start(version, |guide| {
            guide.nbthread(1).agent_line(&format!("timeout idle {idle}"))
        });
        let connections = || {
            let table = stage.haproxy.command("show stat");
            let row = table.lines().find(|line| line.starts_with("mirroragents,agent1,")).unwrap();
            let number = |at: usize| row.split(',').nth(at).unwrap().parse::<usize>().unwrap();
            // scur and stot.
            (number(4), number(7))
        };
        for _ in 0..REQUESTS {
            stage.get("/");
            if wait_closed {
                wait::holds(wait::LIMIT, "idle connections close", || connections().0 == 0);
            }
        }
        connections().1
    };
    assert_eq!(opened("100ms", true), REQUESTS);
    assert!(opened("30s", false) < REQUESTS);
}

#[test]
fn a_short_idle_timeout_costs_a_connection_for_each_request_with_haproxy_2_6() {
    a_short_idle_timeout_costs_a_connection_for_each_request(Version::V2_6);
}

#[test]
fn a_short_idle_timeout_costs_a_connection_for_each_request_with_haproxy_3_0() {
    a_short_idle_timeout_costs_a_connection_for_each_request(Version::V3_0);
}

/// While the agent hangs, of eight messages one or two are handed over; with connections enough all are, and are copied
/// when the agent goes on.
fn a_server_of_few_connections_keeps_messages_waiting(version: Version) {
    let received = |options: &str| {
        let shadow = Recorder::start();
        let mut mirror = Mirror::start(&["-r", "0", "-u", &shadow.url(), "-i", "1s"]);
        let production = production();
        let haproxy = Guide::new(production.address())
            .agent(mirror.address)
            .nbthread(1)
            .processing("1s")
            .server_options(options)
            .start(version);
        // A connection is there that both have greeted on.
        cost(&haproxy);
        shadow.wait_for(1, wait::LIMIT);
        stop(&mut mirror);
        let load = Load::builder(haproxy.address("http")).threads(8).total(8).run();
        load.assert_all_ok();
        mirror.process.signal(Signal::SIGCONT);
        drop(haproxy);
        let tally = mirror.finish();
        tally.target().received - 1
    };
    let (few, many) = (received("maxconn 1"), received(""));
    assert!(few <= 2 && many >= 6, "{few} {many}");
}

#[test]
fn a_server_of_few_connections_keeps_messages_waiting_with_haproxy_3_2() {
    a_server_of_few_connections_keeps_messages_waiting(Version::V3_2);
}

#[test]
fn a_server_of_few_connections_keeps_messages_waiting_with_haproxy_3_4() {
    a_server_of_few_connections_keeps_messages_waiting(Version::V3_4);
}

/// A body that comes a while after its head.
fn waiting_for_every_answer_turns_slow_ones_into_504(version: Version) {
    let pause = Duration::from_millis(1500);
    let production = Recorder::with(Behaviour::steps(move |_| {
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 12000\r\n\r\n";
        vec![Step::Send(head.to_vec()), Step::Wait(pause), Step::Send(vec![b'x'; 12_000])]
    }));
    let shadow = Recorder::start();
    let mirror = Mirror::start(&["-r", "0", "-u", &shadow.url()]);
    for (kind, status) in [("bad", 504), ("good", 200)] {
        let name = format!("response-wait-unconditional/{kind}");
        let files = |text: &str| {
            text.replace("time 10s", "time 500ms").replace("rand(100) lt 10", "always_true")
        };
        let haproxy = changed(version, &name, (production.address(), mirror.address), &files);
        let answer = http1::get(haproxy.address("http"), "/").unwrap();
        assert_eq!(answer.status, status, "{kind}: {answer:?}");
    }
}

on_each_haproxy!(
    an_agent_that_hangs_costs_the_timeout,
    going_on_after_an_error_costs_the_timeout_twice,
    waiting_for_every_answer_turns_slow_ones_into_504,
);
