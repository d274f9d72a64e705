//! What a request costs its sender, by the way it is sent: from one buffer into which its body was
//! copied, or from two by one `sendmsg`; with the socket options that might matter. One connection,
//! one request after the other, to a server in the same process.
//!
//! `ways_to_send [REQUESTS]` prints microseconds of the sending thread's processor time for each
//! request, for bodies of three sizes: the medians of rounds that take turns.

use std::io::{Error, IoSlice, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use socket2::SockRef;

const HEAD: usize = 200;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const ROUNDS: usize = 5;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    OneBuffer,
    TwoBuffers,
    Nagle,
    QuickAck,
}

const WAYS: [(Way, &str); 4] = [
    (Way::OneBuffer, "one buffer, TCP_NODELAY"),
    (Way::TwoBuffers, "two buffers by sendmsg"),
    (Way::Nagle, "one buffer, without TCP_NODELAY"),
    (Way::QuickAck, "one buffer, TCP_QUICKACK after each answer"),
];

fn main() -> std::io::Result<()> {
    let requests = match std::env::args().nth(1) {
        Some(text) => text.parse::<usize>().map_err(Error::other)?.max(1),
        None => 20_000,
    };
    for body in [0, 10_000, 60_000] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || answer(&listener, HEAD + body));
        let stream = TcpStream::connect(address)?;
        let mut times = [const { Vec::new() }; WAYS.len()];
        for _ in 0..ROUNDS {
            for ((way, _), times) in WAYS.iter().zip(&mut times) {
                times.push(send(&stream, *way, body, requests)?);
            }
        }
        println!("a body of {body} bytes");
        for ((_, name), times) in WAYS.iter().zip(&mut times) {
            times.sort_by(f64::total_cmp);
            println!(
                "  {:6.2} µs ({:.2}–{:.2})  {name}",
                times[ROUNDS / 2],
                times[0],
                times[ROUNDS - 1]
            );
        }
    }
    Ok(())
}

/// Reads requests of this length, and answers each.
fn answer(listener: &TcpListener, length: usize) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 128 * 1024];
    let mut received = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => received += count,
        }
        while received >= length {
            received -= length;
            stream.write_all(ANSWER)?;
        }
    }
}

/// Sends requests one way; gives microseconds for each.
fn send(mut stream: &TcpStream, way: Way, body: usize, requests: usize) -> std::io::Result<f64> {
    stream.set_nodelay(way != Way::Nagle)?;
    let head = [b'h'; HEAD];
    let mut frame = vec![b'b'; body];
    let mut output = Vec::new();
    let mut answer = [0; 1024];
    let before = processor_time()?;
    for number in 0..requests {
        // As after a read from HAProxy, the body has just come into the cache.
        frame.iter_mut().step_by(64).for_each(|byte| *byte = number.to_le_bytes()[0]);
        if way == Way::TwoBuffers {
            let sent = stream.write_vectored(&[IoSlice::new(&head), IoSlice::new(&frame)])?;
            if sent < HEAD + body {
                stream.write_all(&frame[sent.saturating_sub(HEAD)..])?;
            }
        } else {
            output.clear();
            output.extend_from_slice(&head);
            output.extend_from_slice(&frame);
            stream.write_all(&output)?;
        }
        let mut received = 0;
        while received < ANSWER.len() {
            received += stream.read(&mut answer)?;
        }
        if way == Way::QuickAck {
            SockRef::from(stream).set_tcp_quickack(true)?;
        }
    }
    Ok((processor_time()? - before) as f64 / 1000.0 / requests as f64)
}

/// Nanoseconds that this thread has run.
fn processor_time() -> std::io::Result<u64> {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    schedule.split(' ').next().unwrap_or_default().parse().map_err(Error::other)
}
