//! A client that sends the same request again and again over connections that stay open, and reads
//! the answers: what the copies alone cost when nothing is decided, timed or counted.
//!
//! `raw_client ADDRESS:PORT CONNECTIONS SECONDS METHOD PATH BODY_BYTES HEADERS` prints the requests
//! answered and the nanoseconds of processor time that they took.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bench::http::{answer_length, request};
use tokio::net::TcpStream;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, seconds, method, path, body, headers] = arguments.as_slice() else {
        return Err(Error::other(
            "usage: raw_client ADDRESS:PORT CONNECTIONS SECONDS METHOD PATH BODY_BYTES HEADERS",
        ));
    };
    let number = |text: &String| text.parse::<usize>().map_err(Error::other);
    let address: SocketAddr = address.parse().map_err(Error::other)?;
    let (connections, body) = (number(connections)?, number(body)?);
    let end = Instant::now() + Duration::from_secs_f64(seconds.parse().map_err(Error::other)?);
    // As a mirror would write it for what the benchmark's client sends.
    let lines = format!("host: {address}\r\nx-shadow: 1\r\n");
    let request = request(method, path, &lines, body, number(headers)?);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answered = tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..connections {
            clients.spawn_local(ask(address, request.clone(), end));
        }
        let mut answered = 0;
        while let Some(client) = clients.join_next().await {
            answered += client.map_err(Error::other)??;
        }
        Ok::<_, Error>(answered)
    })?;
    let schedule = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = schedule.split(' ').next().unwrap_or_default();
    println!("{answered} {nanoseconds}");
    Ok(())
}

async fn ask(address: SocketAddr, request: Vec<u8>, end: Instant) -> std::io::Result<u64> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut answered = 0;
    let mut buffer = vec![0; 32 * 1024];
    let mut length = None;
    while Instant::now() < end {
        let mut written = 0;
        while written < request.len() {
            match stream.try_write(&request[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
                Err(error) => return Err(error),
            }
        }
        let mut read = 0;
        // Every answer is as long as the first one.
        while length.is_none_or(|length| read < length) {
            stream.readable().await?;
            match stream.try_read(&mut buffer[read..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => read += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            length = length.or_else(|| answer_length(&buffer[..read]));
        }
        answered += 1;
    }
    Ok(answered)
}
