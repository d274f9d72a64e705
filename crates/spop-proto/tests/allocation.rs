//! Once its buffers are warm, a NOTIFY in one frame is acknowledged and read to its last header
//! without an allocation. The allocator here counts, thread by thread.
#![allow(clippy::unwrap_used)]

use spop_proto::{Connection, Event, HeaderBlock, Settings, Value, decode_frame};

const STREAM: &[u8] = include_bytes!("data/captures/2.6-bigframe64k/conn-02/haproxy-to-agent.bin");

#[test]
fn an_unfragmented_notify_costs_no_allocation() {
    let mut agent = Agent { connection: Connection::new(Settings::default()), output: Vec::new() };
    let hello = decode_frame(STREAM, u32::MAX).unwrap().unwrap().wire_len();
    let (hello, notifies) = STREAM.split_at(hello);
    agent.read(hello);
    let warm = agent.read(notifies);

    for size in [notifies.len(), 4096, 1] {
        let mut read = Counts::default();
        let allocations =
            allocation_counter::measure(|| read = agent.read_in_parts(notifies, size));
        assert_eq!(allocations.count_total, 0, "in parts of {size} bytes: {allocations:?}");
        assert_eq!(read, warm, "in parts of {size} bytes");
    }
    assert_eq!(warm, Counts { notifies: 6, arguments: 30, headers: 28, body: 72_820 });
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![0u8; 100])));
    assert_eq!((counted.count_total, counted.bytes_total), (1, 100));
}

/// What was read of NOTIFY frames.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    notifies: usize,
    arguments: usize,
    headers: usize,
    body: usize,
}

struct Agent {
    connection: Connection,
    output: Vec<u8>,
}

impl Agent {
    /// Reads `stream` as from a socket whose reads end every `size` bytes; nothing is taken twice.
    fn read_in_parts(&mut self, stream: &[u8], size: usize) -> Counts {
        let mut counts = Counts::default();
        let (mut start, mut end) = (0, 0);
        while end < stream.len() {
            end = (end + size).min(stream.len());
            let (taken, more) = self.receive(&stream[start..end]);
            start += taken;
            counts.notifies += more.notifies;
            counts.arguments += more.arguments;
            counts.headers += more.headers;
            counts.body += more.body;
        }
        counts
    }

    fn read(&mut self, stream: &[u8]) -> Counts {
        self.read_in_parts(stream, stream.len())
    }

    fn receive(&mut self, input: &[u8]) -> (usize, Counts) {
        self.output.clear();
        let mut counts = Counts::default();
        let taken = self.connection.receive(input, &mut self.output);
        while let Some(event) = self.connection.next_event(input) {
            let Event::Notify(notify) = event else { continue };
            counts.notifies += 1;
            for message in notify.messages() {
                let message = message.unwrap();
                counts.arguments += message.arguments().count();
                if let Some(Value::Binary(block)) = message.get(b"arg_hdrs") {
                    counts.headers += HeaderBlock::new(block).map(Result::unwrap).count();
                }
                let body = message.get(b"arg_body").unwrap();
                counts.body += body.as_bytes().unwrap().len();
            }
        }
        (taken, counts)
    }
}
