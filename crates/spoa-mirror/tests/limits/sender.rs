//! HAProxy's side, as these tests need it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use testbed::backend::{Behaviour, Response};
use testbed::spop_client::{Request, SpopClient};

/// A connection that hands over requests one by one.
pub(crate) struct Sender {
    client: SpopClient,
    sent: u64,
}

impl Sender {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self { client: SpopClient::connect(address).unwrap(), sent: 0 }
    }

    /// Hands over `GET path`; it was taken care of when this returns.
    pub(crate) fn get(&mut self, path: &str) {
        self.sent += 1;
        self.client.notify(self.sent, 1, &Request::get(path).payload()).unwrap();
        self.client.acks(1).unwrap();
    }

    /// Hands over `count` requests in one go.
    pub(crate) fn batch(&mut self, count: usize) {
        let payload = Request::get("/").payload();
        let frames: Vec<_> = (0..count)
            .flat_map(|_| {
                self.sent += 1;
                self.client.frame(self.sent, 1, &payload).unwrap()
            })
            .collect();
        self.client.send(&frames).unwrap();
        self.client.acks(count).unwrap();
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }
}

/// Steady load on several connections, and so on all workers, until it is dropped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    sent: Arc<AtomicU64>,
}

impl Load {
    /// `connections` hand over `count` requests each in every `pause`.
    pub(crate) fn start(
        address: SocketAddr,
        connections: usize,
        count: usize,
        pause: Duration,
    ) -> Self {
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let threads = (0..connections).map(|_| {
            let (stop, total) = (Arc::clone(&stop), Arc::clone(&sent));
            std::thread::spawn(move || {
                let mut sender = Sender::connect(address);
                while !stop.load(Relaxed) {
                    sender.batch(count);
                    std::thread::park_timeout(pause);
                }
                total.fetch_add(sender.sent(), Relaxed);
            })
        });
        Self { threads: threads.collect(), stop, sent }
    }

    /// Ends it; gives the number of requests that were handed over.
    pub(crate) fn stop(mut self) -> u64 {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            thread.join().unwrap();
        }
        self.sent.load(Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// What a target does that takes its time, and how many requests it has at once.
#[derive(Clone, Default)]
pub(crate) struct Busy {
    millis: Arc<AtomicU64>,
    now: Arc<AtomicU64>,
    most: Arc<AtomicU64>,
}

impl Busy {
    /// Each request takes so long.
    pub(crate) fn new(millis: u64) -> Self {
        let busy = Self::default();
        busy.takes(millis);
        busy
    }

    pub(crate) fn takes(&self, millis: u64) {
        self.millis.store(millis, Relaxed);
    }

    /// Requests that it has now.
    pub(crate) fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    /// The most that it had at once.
    pub(crate) fn most(&self) -> u64 {
        self.most.load(Relaxed)
    }

    pub(crate) fn behaviour(&self) -> Behaviour {
        let busy = self.clone();
        Behaviour::custom(move |request| {
            let now = busy.now.fetch_add(1, Relaxed) + 1;
            busy.most.fetch_max(now, Relaxed);
            std::thread::park_timeout(Duration::from_millis(busy.millis.load(Relaxed)));
            busy.now.fetch_sub(1, Relaxed);
            Response::ok("ok").to_bytes(request.method())
        })
    }
}

/// A configuration with so many workers and one target, with these lines in its table.
pub(crate) fn toml(workers: usize, url: &str, lines: &str) -> String {
    format!(
        "[agent]\nworkers = {workers}\n\n[log]\ncopies = \"none\"\n\n[[target]]\nname = \"t\"\n\
         url = \"{url}\"\n{lines}\n"
    )
}
