//! An agent that only acknowledges: what any agent costs that speaks SPOP, and the floor that ours is
//! measured against. It reads as ours does, and looks into nothing.
//!
//! `acknowledge ADDRESS:PORT`

use spop_proto::{Connection, Settings};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

fn main() -> std::io::Result<()> {
    bench::server::run(serve)
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut protocol = Connection::new(Settings::default());
    let mut input = vec![0; 128 * 1024];
    let mut filled = 0;
    let mut output = Vec::new();
    loop {
        if filled == input.len() {
            input.resize(2 * filled, 0);
        }
        let count = stream.read(&mut input[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let mut taken = 0;
        loop {
            let rest = &input[taken..filled];
            let count = protocol.receive(rest, &mut output);
            while protocol.next_event(rest).is_some() {}
            if count == 0 {
                break;
            }
            taken += count;
        }
        input.copy_within(taken..filled, 0);
        filled -= taken;
        let mut written = 0;
        while written < output.len() {
            match stream.try_write(&output[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        output.clear();
        if protocol.is_closed() {
            return Ok(());
        }
    }
}
