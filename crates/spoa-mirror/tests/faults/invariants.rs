//! What must never break (DESIGN, section 2), looked at with a fake HAProxy: the ACK waits for nothing,
//! everything is bounded, nothing disappears, nothing is sent twice, and a fault stays where it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use testbed::agent::Agent;
use testbed::backend::{Behaviour, Recorder, Response};
use testbed::counters::{Labels, Tally};
use testbed::spop_client::{Event, FRAME_SIZE, Request, SpopClient};
use testbed::{ports, wait};

use crate::books;
use crate::dice::Dice;
use crate::scene::{Limits, PROGRAM, assert_never_twice, end, good, start_agent};

/// The program without HAProxy.
struct Mirror {
    agent: Agent,
    address: SocketAddr,
    targets: usize,
}

impl Mirror {
    /// Starts it with these mirror URLs and arguments, which are separated by blanks.
    fn start(urls: &[&str], args: &str) -> Self {
        Self::run(Agent::builder(PROGRAM), urls, args)
    }

    fn run(builder: testbed::agent::Builder, urls: &[&str], args: &str) -> Self {
        let address = ports::free_addr();
        let mut all = Vec::new();
        if !args.contains("-i ") {
            // Only the last report of the counters.
            all.extend(["-i", "1h"]);
        }
        all.extend(urls.iter().flat_map(|url| ["-u", url]));
        all.extend(args.split_whitespace());
        Self { agent: start_agent(builder, address, &all), address, targets: urls.len() }
    }

    fn connect(&self) -> SpopClient {
        SpopClient::connect(self.address).unwrap()
    }

    /// Ends it; every request must be in its books.
    fn end(mut self) -> Tally {
        end(&mut self.agent, self.targets)
    }
}

/// Hands over `GET /START` and so on, each when the one before is acknowledged.
fn gets(client: &mut SpopClient, numbers: std::ops::Range<u64>) {
    for number in numbers {
        client.notify(number, 1, &get(number)).unwrap();
        assert_eq!(client.acks(1).unwrap(), [(number, 1)]);
    }
}

fn get(number: u64) -> Vec<u8> {
    Request::get(&format!("/{number}")).payload()
}

fn labels<const N: usize>(labels: [(&str, u64); N]) -> Labels {
    BTreeMap::from(labels.map(|(label, count)| (label.to_owned(), count)))
}

#[test]
fn acks_come_though_the_target_hangs_and_its_queue_is_full() {
    let target = Recorder::with(Behaviour::mute());
    let args = "--max-in-flight 2 --max-queue 3 --timeout 1h --grace 0";
    let mirror = Mirror::start(&[&target.url()], args);
    let mut client = mirror.connect();
    gets(&mut client, 0..2);
    target.wait_count(2, wait::LIMIT);
    gets(&mut client, 2..200);
    assert_eq!(target.counts().requests, 2);
    let account = mirror.end().targets.remove(0);
    assert_eq!(account.answers(), 0);
    assert_eq!(account.failed, labels([("shutdown", 2)]));
    assert_eq!(account.dropped, labels([("queue-full", 195), ("shutdown", 3)]));
}

#[test]
fn acks_come_though_the_targets_name_does_not_resolve() {
    let mirror = Mirror::start(&["http://does-not-exist.invalid"], "--grace 0");
    gets(&mut mirror.connect(), 0..100);
    let account = mirror.end().targets.remove(0);
    assert_eq!(account.received, 100);
    account.assert_only(&[], &["dns"], &["shutdown"]);
}

/// The payload is looked into only when HAProxy, and so the client, has been let go.
#[test]
fn a_notify_is_acknowledged_before_its_payload_is_found_to_be_broken() {
    let target = Recorder::start();
    let mirror = Mirror::start(&[&target.url()], "");
    let mut client = mirror.connect();
    client.notify(7, 3, b"\x06mirror\x05\x0aarg_method\x08\xf0").unwrap();
    assert_eq!(client.event().unwrap(), Event::Ack { stream_id: 7, frame_id: 3 });
    assert!(matches!(client.event().unwrap(), Event::Disconnected { .. }));
    assert_eq!(client.event().unwrap(), Event::End);
    // The next connection notices nothing.
    gets(&mut mirror.connect(), 0..10);
    target.wait_count(10, wait::LIMIT);
    let books = mirror.end();
    assert_eq!((books.spop.notifies, books.spop.requests), (11, 10));
    assert_eq!(books.spop.protocol_errors, 1);
}

/// Ids come back exactly, in order, whatever they are: zero, odd, huge, and the same ones again.
#[test]
fn every_frame_of_one_write_is_acknowledged_with_its_ids() {
    let target = Recorder::start();
    let mirror = Mirror::start(&[&target.url()], "");
    let mut client = mirror.connect();
    let mut dice = Dice::new();
    let ids: Vec<(u64, u64)> = (0..500)
        .map(|number| match number % 5 {
            0 => (0, 0),
            1 => (number, 1),
            2 => (dice.below(300), dice.below(300)),
            3 => (u64::MAX - dice.below(2), u64::MAX >> dice.below(64)),
            _ => (1, 1),
        })
        .collect();
    let frames = ids.iter().zip(0..).map(|(&(s, f), number)| client.frame(s, f, &get(number)));
    let frames: Vec<u8> = frames.flat_map(Result::unwrap).collect();
    client.send(&frames).unwrap();
    assert_eq!(client.acks(ids.len()).unwrap(), ids);
    target.wait_count(500, wait::LIMIT);
    assert_never_twice(&target);
    let books = mirror.end();
    assert_eq!((books.spop.notifies, books.targets[0].answers()), (500, 500));
}

/// What one read brings is answered by one write.
#[test]
fn acks_of_frames_that_came_together_come_together() {
    let target = Recorder::start();
    let mirror = Mirror::start(&[&target.url()], "");
    let mut client = mirror.connect();
    let mut together = 0;
    for round in 0..20 {
        let frames = (0..20).map(|number| client.frame(number, round, &get(number)).unwrap());
        let frames: Vec<u8> = frames.flatten().collect();
        let before = client.reads();
        client.send(&frames).unwrap();
        client.acks(20).unwrap();
        together += u64::from(client.reads() == before + 1);
    }
    // The kernel may cut a write in two; it has no reason to do so often.
    assert!(together >= 15, "only {together} of 20 times");
}

#[test]
fn a_fragmented_notify_is_one_request_with_one_ack() {
    let target = Recorder::start();
    let mirror = Mirror::start(&[&target.url()], "");
    let mut client = SpopClient::open(mirror.address).unwrap();
    client.hello(300).unwrap();
    let body: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    let payload = Request::post("/fragments", body.clone()).payload();
    client.notify(5, 9, &payload).unwrap();
    assert_eq!(client.acks(1).unwrap(), [(5, 9)]);
    gets(&mut client, 0..1);
    let requests = target.wait_for(2, wait::LIMIT);
    assert!(requests.iter().any(|request| request.body == body), "{requests:?}");
    assert_eq!(mirror.end().spop.requests, 2);
}

#[test]
fn a_thousand_connections_and_one_that_talks_nonsense() {
    const COUNT: u64 = 1000;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard >= 4096, "a hard limit of {hard} open files is too low for this test");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let target = Recorder::builder().record(false).start();
    let mirror = Mirror::start(&[&target.url()], "");
    let mut clients: Vec<_> = (0..COUNT).map(|_| mirror.connect()).collect();
    for (client, number) in clients.iter_mut().zip(0..) {
        client.notify(number, 1, &get(number)).unwrap();
    }
    clients[500].send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    for (client, number) in clients.iter_mut().zip(0..) {
        assert_eq!(client.acks(1).unwrap(), [(number, 1)]);
    }
    assert!(matches!(clients[500].event().unwrap(), Event::Disconnected { .. }));
    clients.remove(500);
    for client in &mut clients {
        gets(client, 0..1);
    }
    let most = Limits::SMALL.memory() + COUNT * 16 * 1024;
    assert!(mirror.agent.peak_rss() <= most, "{} kB", mirror.agent.peak_rss() >> 10);
    target.wait_count(2 * COUNT - 1, wait::LIMIT);
    let books = mirror.end();
    assert_eq!(books.spop.requests, 2 * COUNT - 1);
    assert_eq!(books.spop.protocol_errors, 1);
}

/// Frames that come faster than any target takes them, and a lot of them.
#[test]
fn memory_has_a_ceiling() {
    let target = Recorder::with(Behaviour::mute());
    let limits = Limits { queue: 1_000_000, ..Limits::SMALL };
    let args = format!("{} --timeout 1h --grace 0", limits.args().join(" "));
    let mirror = Mirror::start(&[&target.url()], &args);
    let mut client = mirror.connect();
    let payload = Request::post("/", vec![b'b'; 12_000]).payload();
    let frame = client.frame(1, 1, &payload).unwrap();
    let frames = frame.repeat(10);
    for _ in 0..800 {
        client.send(&frames).unwrap();
        client.acks(10).unwrap();
    }
    let peak = mirror.agent.peak_rss();
    let books = mirror.end();
    let account = &books.targets[0];
    assert_eq!(account.received, 8000);
    account.assert_only(&[], &["shutdown"], &["queue-bytes", "shutdown"]);
    assert!(peak <= limits.memory(), "{} kB for {account:#?}", peak >> 10);
}

/// What the socket does not take at once goes out as the target reads; nobody waits for that.
#[test]
fn a_copy_that_no_socket_buffer_holds_arrives_whole() {
    const FRAME: u32 = 14 << 20;
    let pause = Duration::from_millis(300);
    let target =
        Recorder::builder().receive_buffer(4096).behaviour(Behaviour::deaf(pause, good())).start();
    let mirror = Mirror::start(&[&target.url()], "--max-frame-size 16M");
    let mut client = SpopClient::open(mirror.address).unwrap();
    client.hello(FRAME).unwrap();
    let body: Vec<u8> = (0..=250).cycle().take(12 << 20).collect();
    client.notify(1, 1, &Request::post("/large", body.clone()).payload()).unwrap();
    assert_eq!(client.acks(1).unwrap(), [(1, 1)]);
    // While it is on its way, others are acknowledged and arrive over other connections.
    gets(&mut client, 2..10);
    let requests = target.wait_for(9, wait::LIMIT);
    let large = requests.iter().find(|request| request.target() == b"/large");
    assert!(large.is_some_and(|request| request.complete && request.body == body));
    assert_eq!(mirror.end().targets[0].answered, labels([("2xx", 9)]));
}

/// An answer is counted as it comes and thrown away, whatever its length.
#[test]
fn a_large_answer_takes_no_memory() {
    let target = Recorder::with(Behaviour::huge_body(1 << 28));
    let mirror = Mirror::start(&[&target.url()], "--max-answer 1G --timeout 1m");
    gets(&mut mirror.connect(), 0..1);
    // The line says how much came.
    mirror.agent.wait_line(Duration::from_secs(60), |line| line.contains(" 200 0/268435456 "));
    let (peak, most) = (mirror.agent.peak_rss(), Limits::SMALL.memory());
    assert!(peak <= most, "{} kB", peak >> 10);
    assert_eq!(mirror.end().targets[0].answered, labels([("2xx", 1)]));
}

/// The program reads no more from a peer than it can answer, and gives it up after a while.
#[test]
fn a_peer_that_does_not_read_its_acks_is_closed() {
    let target = Recorder::builder().record(false).start();
    let mirror = Mirror::start(&[&target.url()], "--max-queue 10");
    let mut deaf = mirror.connect();
    let frames = deaf.frame(1, 1, &get(1)).unwrap().repeat(500);
    let sender = std::thread::spawn(move || {
        let mut sent = 0;
        // Ends when the program closes the connection.
        while deaf.send(&frames).is_ok() {
            sent += 500;
        }
        sent
    });
    let mut other = mirror.connect();
    let mut number = 10;
    wait::holds(2 * wait::LIMIT, "the end of the connection", || {
        gets(&mut other, number..number + 1);
        number += 1;
        sender.is_finished()
    });
    let sent = sender.join().unwrap();
    let (peak, most) = (mirror.agent.peak_rss(), Limits::SMALL.memory());
    assert!(peak <= most, "{} kB for {sent} requests", peak >> 10);
    let books = mirror.end();
    assert!(books.spop.notifies <= sent + 500 + number, "{sent} sent: {books:#?}");
}

#[test]
fn a_queue_is_bounded_by_count() {
    let target = Recorder::with(Behaviour::mute());
    let mirror =
        Mirror::start(&[&target.url()], "--max-in-flight 1 --max-queue 5 --timeout 1h --grace 0");
    let mut client = mirror.connect();
    gets(&mut client, 0..1);
    target.wait_count(1, wait::LIMIT);
    gets(&mut client, 1..21);
    let account = mirror.end().targets.remove(0);
    assert_eq!(account.dropped, labels([("queue-full", 15), ("shutdown", 5)]));
    assert_eq!(account.failed, labels([("shutdown", 1)]));
}

#[test]
fn a_queue_is_bounded_by_bytes() {
    let target = Recorder::with(Behaviour::mute());
    let args = "--max-in-flight 1 --max-queue-bytes 10k --timeout 1h --grace 0";
    let mirror = Mirror::start(&[&target.url()], args);
    let mut client = mirror.connect();
    gets(&mut client, 0..1);
    target.wait_count(1, wait::LIMIT);
    for number in 1..11 {
        let payload = Request::post(&format!("/{number}"), vec![b'b'; 3000]).payload();
        client.notify(number, 1, &payload).unwrap();
        client.acks(1).unwrap();
    }
    // A small one still finds room.
    gets(&mut client, 11..12);
    let account = mirror.end().targets.remove(0);
    assert_eq!(account.dropped, labels([("queue-bytes", 7), ("shutdown", 4)]));
}

#[test]
fn a_queue_is_bounded_by_age() {
    let target = Recorder::with(Behaviour::mute());
    let args = "--max-in-flight 1 --max-queue-age 200ms --timeout 2s -i 1s";
    let mirror = Mirror::start(&[&target.url()], args);
    let mut client = mirror.connect();
    gets(&mut client, 0..1);
    target.wait_count(1, wait::LIMIT);
    gets(&mut client, 1..4);
    // All that waited is dropped while the one before it is still under way.
    wait::holds(wait::LIMIT, "the copies to be too old", || {
        let books = books::all(mirror.agent.stdout(), 1);
        books.last().is_some_and(|books| books.targets[0].drops() == 3)
    });
    target.set(good());
    wait::holds(wait::LIMIT, "the target to be usable again", || {
        gets(&mut client, 100..101);
        target.counts().complete > 1
    });
    let account = mirror.end().targets.remove(0);
    account.assert_only(&["2xx"], &["timeout"], &["too-old"]);
    assert_eq!(account.failures(), 1);
}

#[test]
fn a_bad_target_costs_its_own_queue_only() {
    let (mute, well) = (Recorder::with(Behaviour::mute()), Recorder::start());
    let dead = format!("http://{}", ports::free_addr());
    let args = "--max-in-flight 5 --max-queue 10 --timeout 1h --grace 0";
    let mirror = Mirror::start(&[&mute.url(), &dead, &well.url()], args);
    let mut client = mirror.connect();
    for number in 0..300 {
        gets(&mut client, number..number + 1);
        well.wait_count(number + 1, wait::LIMIT);
    }
    let books = mirror.end();
    let [mute, dead, well] = &books.targets[..] else { panic!("three targets") };
    assert_eq!(well.answered, labels([("2xx", 300)]));
    mute.assert_only(&[], &["shutdown"], &["queue-full", "shutdown"]);
    dead.assert_only(&[], &["connect-refused"], &["queue-full", "shutdown"]);
}

/// Whatever a target does with its connections. A copy that may have arrived is not sent again, even
/// where its method would allow it.
#[test]
fn nothing_is_sent_twice() {
    let ok = || Response::ok("ok");
    let target = Recorder::start();
    let mirror = Mirror::start(&[&target.url()], "--max-in-flight 20 --timeout 1s");
    let mut client = mirror.connect();
    let mut number = 0;
    for behaviour in [
        Behaviour::close_without_answer_after(3, ok()),
        Behaviour::close_after(2, ok()),
        Behaviour::close_without_answer(),
        Behaviour::reset(),
        Behaviour::reset_at_accept(),
        Behaviour::cut_short("HTTP/1.1 200 OK\r\n"),
        Behaviour::raw([ok().to_bytes(b"GET"), ok().to_bytes(b"GET")].concat()),
        good(),
    ] {
        target.set(behaviour);
        for _ in 0..20 {
            let frames = (number..number + 5).map(|number| {
                let path = format!("/{number}");
                let request = match number % 3 {
                    0 => Request::post(&path, "body"),
                    _ => Request::get(&path),
                };
                client.frame(number, 1, &request.payload()).unwrap()
            });
            let frames: Vec<u8> = frames.flatten().collect();
            client.send(&frames).unwrap();
            client.acks(5).unwrap();
            number += 5;
        }
    }
    let books = mirror.end();
    assert_eq!(books.targets[0].received, number);
    assert_never_twice(&target);
}

#[test]
fn a_connection_that_the_target_closes_while_idle_costs_nothing() {
    let target = Recorder::start();
    let mirror = Mirror::start(&[&target.url()], "");
    let mut client = mirror.connect();
    let at_rest = mirror.agent.open_files();
    for round in 0..10 {
        gets(&mut client, round * 10..round * 10 + 10);
        target.wait_count(round * 10 + 10, wait::LIMIT);
        target.close_connections();
        wait::holds(wait::LIMIT, "the connections to be gone", || {
            mirror.agent.open_files() == at_rest
        });
    }
    let books = mirror.end();
    assert_eq!(books.targets[0].answered, labels([("2xx", 100)]));
    assert!(target.counts().connections >= 10);
    assert_never_twice(&target);
}

/// With descriptors for four connections: HAProxy's fifth gets in as soon as one of the others has not
/// been used for a moment.
#[test]
fn connections_that_are_not_used_make_room() {
    let target = Recorder::start();
    let builder = Agent::builder(PROGRAM).with_nofile_limit(40);
    let mirror = Mirror::run(builder, &[&target.url()], "");
    let mut clients = Vec::new();
    wait::holds(wait::LIMIT, "four connections", || {
        clients.extend(SpopClient::connect(mirror.address).ok());
        clients.len() == 4
    });
    let mut fifth =
        wait::until(wait::LIMIT, "a fifth connection", || SpopClient::connect(mirror.address).ok());
    gets(&mut fifth, 0..1);
    // One of the four was told, in order.
    let told = wait::until(wait::LIMIT, "a leave", || {
        clients.iter_mut().find_map(|client| {
            client.set_patience(Duration::from_millis(5)).unwrap();
            client.event().ok()
        })
    });
    assert_eq!(told, Event::Disconnected { status: 0, message: "normal".to_owned() });
    assert!(mirror.agent.open_files() <= 40);
}

#[test]
fn health_checks_are_answered_and_counted_apart() {
    let target = Recorder::start();
    let mirror = Mirror::start(&[&target.url()], "");
    for _ in 0..10 {
        let mut check = SpopClient::open(mirror.address).unwrap();
        let Event::Hello { max_frame_size, .. } = check.health_check().unwrap() else {
            panic!("a HELLO")
        };
        assert_eq!(max_frame_size, FRAME_SIZE);
    }
    gets(&mut mirror.connect(), 0..1);
    let books = mirror.end();
    assert_eq!((books.spop.notifies, books.targets[0].received), (1, 1));
}
