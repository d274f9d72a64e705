//! What waiting for bodies costs: when production sees a request and a client its answer, and HAProxy's memory.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use testbed::backend::{Behaviour, Step};
use testbed::client::http1::Client;
use testbed::document::Files;
use testbed::haproxy::Version;
use testbed::wait;

use crate::scene::{REQUEST, Scene, comparison, mirror_only};
use crate::table::{Row, milliseconds};

/// How long a slow body takes.
const PAUSE: Duration = Duration::from_millis(300);

const FILTER: &str = "    filter spoe engine mirror config /etc/haproxy/mirror.conf\n";

/// When production has a request's head, and when the client has the head of the answer, for this version.
pub(crate) fn moments(version: Version, agent: &Path) -> Vec<Row> {
    let start = |files: Files| Scene::start(version, agent, files);
    let with = |line: &str| mirror_only(version).change(FILTER, &format!("{FILTER}    {line}\n"));
    let hanging = |files: Files| {
        let files = files.unchecked().change("timeout processing 20ms", "timeout processing 500ms");
        let mut scene = start(files);
        scene.client().exchange(REQUEST).unwrap();
        scene.hang();
        scene
    };
    let unbuffered = mirror_only(version).change("    option http-buffer-request\n", "");
    // Without it HAProxy holds a head back for up to 200 ms when the body has not come with it.
    let delays = "option http-no-delay";
    let slow = |name: &str, files: Files| upload(name, &start(files));
    let slow_answer = |name: &str, files: Files| answer(name, &start(files));
    let request = "the client sends the body 300 ms after the head";
    let response = "production sends the body 300 ms after the head, `option http-no-delay`";
    let hung = "the agent hangs, `timeout processing 500ms`";
    vec![
        slow(&format!("{request}, no `option http-buffer-request`"), unbuffered),
        slow(&format!("{request}, `option http-buffer-request`"), mirror_only(version)),
        slow_answer(&format!("{response}, no `http-response wait-for-body`"), with(delays)),
        slow_answer(
            &format!("{response}, `http-response wait-for-body time 1m`"),
            with(&format!("{delays}\n    http-response wait-for-body time 1m")),
        ),
        slow_answer(
            &format!("{response}, `http-response wait-for-body time 100ms`"),
            with(&format!("{delays}\n    http-response wait-for-body time 100ms")),
        ),
        small(&format!("{hung}, message at the request"), &hanging(mirror_only(version))),
        small(&format!("{hung}, message at the answer"), &hanging(comparison(version))),
    ]
}

/// HAProxy's memory with many connections, for this version.
pub(crate) fn memory(version: Version, agent: &Path) -> Vec<Row> {
    const CONNECTIONS: usize = 500;
    let mut rows = Vec::new();
    for size in [16384, 65536] {
        let size_line = format!("tune.bufsize {size}");
        let files = mirror_only(version).change("tune.bufsize 65536", &size_line);
        let mut scene = Scene::start(version, agent, files);
        let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| scene.client()).collect();
        clients
            .iter_mut()
            .for_each(|client| assert_eq!(client.exchange(REQUEST).unwrap().status, 200));
        let idle = scene.haproxy.process().rss();
        // As large as a buffer, and the rest of it does not come.
        let body = vec![b'x'; size - 4096];
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
        for client in &mut clients {
            client.send(&[head.as_bytes(), &body].concat()).unwrap();
        }
        let waiting = settled(|| scene.haproxy.process().rss());
        for (what, bytes) in [("idle", idle), ("waiting for the rest of a body", waiting)] {
            let setting = format!("`{size_line}`, {CONNECTIONS} connections {what}");
            rows.push(Row::new(setting, format!("{:.0}", bytes as f64 / f64::from(1 << 20))));
        }
    }
    rows
}

/// The value, once it has not changed for a while.
fn settled(mut value: impl FnMut() -> u64) -> u64 {
    let (mut last, mut since) = (value(), Instant::now());
    wait::until(wait::LIMIT, "memory that stays", || {
        let now = value();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() > PAUSE).then_some(last)
    })
}

/// The request's body comes late.
fn upload(setting: &str, scene: &Scene) -> Row {
    let mut client = scene.client();
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n").unwrap();
    let mut stream = client.stream().try_clone().unwrap();
    let later = std::thread::spawn(move || {
        wait::poll(PAUSE, || None::<()>);
        stream.write_all(b"body").unwrap();
    });
    let row = observed(setting, scene, &mut client);
    later.join().unwrap();
    row
}

/// The answer's body comes late.
fn answer(setting: &str, scene: &Scene) -> Row {
    let head = Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n".to_vec());
    let steps = vec![head, Step::Wait(PAUSE), Step::Send(b"body".to_vec())];
    scene.production.set(Behaviour::steps(move |_| steps.clone()));
    small(setting, scene)
}

fn small(setting: &str, scene: &Scene) -> Row {
    let mut client = scene.client();
    client.send(REQUEST).unwrap();
    observed(setting, scene, &mut client)
}

/// When production had the head of what the client has just sent, and when the client has that of the answer.
fn observed(setting: &str, scene: &Scene, client: &mut Client) -> Row {
    let begin = Instant::now();
    let before = scene.production.counts().requests;
    let stream = client.stream().try_clone().unwrap();
    let answer = std::thread::spawn(move || (status(&stream), begin.elapsed()));
    wait::holds(wait::LIMIT, "production to have the request", || {
        scene.production.counts().requests > before
    });
    let asked = begin.elapsed();
    let (status, answered) = answer.join().unwrap();
    let status = if status == 200 { String::new() } else { format!(": {status}") };
    Row::new(setting, format!("{}, {}{status}", milliseconds(asked), milliseconds(answered)))
}

/// The status of the answer, as soon as its first bytes are there.
fn status(stream: &TcpStream) -> u16 {
    let mut first = [0; 12];
    wait::until(wait::LIMIT, "an answer", || (stream.peek(&mut first).ok()? == 12).then_some(()));
    String::from_utf8_lossy(&first[9..]).parse().unwrap()
}
