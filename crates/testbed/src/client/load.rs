//! A small closed-loop load generator: every thread sends its next request when the last is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::http1::Client;
use crate::wait;

/// What became of one request.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its number in the run, from 0.
    pub number: u64,
    /// The status, or the error's text.
    pub outcome: Result<u16, String>,
    /// From the first byte sent (or from connecting, if it took a new connection) to the last received.
    pub latency: Duration,
    /// When it began.
    pub started: Instant,
}

/// A finished run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every request, in the order of their ends for each thread.
    pub samples: Vec<Sample>,
}

impl Report {
    /// Requests sent.
    pub fn total(&self) -> u64 {
        self.samples.len() as u64
    }

    /// Requests answered with `status`.
    pub fn count(&self, status: u16) -> u64 {
        self.samples.iter().filter(|sample| sample.outcome == Ok(status)).count() as u64
    }

    /// Requests not answered with 200.
    pub fn failures(&self) -> Vec<&Sample> {
        self.samples.iter().filter(|sample| sample.outcome != Ok(200)).collect()
    }

    /// Asserts that there were requests and that every one was answered with 200.
    ///
    /// # Panics
    /// If not, with up to ten of the others.
    #[track_caller]
    pub fn assert_all_ok(&self) {
        let failures = self.failures();
        assert!(!self.samples.is_empty(), "no request was sent");
        assert!(
            failures.is_empty(),
            "{} of {} requests were not answered with 200: {:#?}",
            failures.len(),
            self.total(),
            &failures[..failures.len().min(10)]
        );
    }

    /// The latency that a share `q` (0 to 1) of the requests did not exceed.
    pub fn quantile(&self, q: f64) -> Duration {
        let mut latencies: Vec<_> = self.samples.iter().map(|sample| sample.latency).collect();
        latencies.sort_unstable();
        let last = latencies.len().saturating_sub(1);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "an index between 0 and a small number"
        )]
        let index = (last as f64 * q).round() as usize;
        latencies.get(index).copied().unwrap_or_default()
    }

    /// Requests that took longer than `limit`.
    pub fn slower_than(&self, limit: Duration) -> usize {
        self.samples.iter().filter(|sample| sample.latency > limit).count()
    }
}

/// How to make load.
pub struct Builder {
    address: SocketAddr,
    threads: usize,
    total: u64,
    requests_per_connection: u64,
    request: Arc<dyn Fn(u64) -> Vec<u8> + Send + Sync>,
}

impl Builder {
    /// Threads, each with a connection of its own; 4 at first.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Ends after this many requests in all; at first there is no end but [`Load::stop`].
    #[must_use]
    pub fn total(mut self, total: u64) -> Self {
        self.total = total;
        self
    }

    /// Takes a new connection after this many requests; at first never.
    #[must_use]
    pub fn requests_per_connection(mut self, count: u64) -> Self {
        self.requests_per_connection = count;
        self
    }

    /// The bytes of the request with a given number; at first a GET of `/load/NUMBER`.
    #[must_use]
    pub fn request(mut self, request: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.request = Arc::new(request);
        self
    }

    /// Begins.
    pub fn start(self) -> Load {
        let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let done = Arc::new(AtomicU64::new(0));
        let threads = (0..self.threads).map(|_| {
            let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
            let (done, request) = (Arc::clone(&done), Arc::clone(&self.request));
            let (address, total) = (self.address, self.total);
            let per_connection = self.requests_per_connection;
            std::thread::spawn(move || {
                let mut samples = Vec::new();
                let mut client: Option<(Client, u64)> = None;
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= total {
                        break;
                    }
                    let bytes = request(number);
                    let started = Instant::now();
                    let outcome = one(address, &mut client, &bytes, per_connection);
                    let failed = outcome.is_err();
                    let latency = started.elapsed();
                    samples.push(Sample { number, outcome, latency, started });
                    done.fetch_add(1, Ordering::Relaxed);
                    if failed {
                        client = None;
                        // A server that refuses at once must not turn this loop into a storm.
                        wait::pause(Duration::from_millis(5));
                    }
                }
                samples
            })
        });
        Load { threads: threads.collect(), stop, done }
    }

    /// Begins, and waits for the end.
    ///
    /// # Panics
    /// Without a [`Builder::total`].
    pub fn run(self) -> Report {
        assert_ne!(self.total, u64::MAX, "a run needs a total; use start() and stop()");
        self.start().join()
    }
}

fn one(
    address: SocketAddr,
    client: &mut Option<(Client, u64)>,
    bytes: &[u8],
    per_connection: u64,
) -> Result<u16, String> {
    let (connection, used) = match client {
        Some(open) => open,
        None => {
            let connection = Client::connect(address).map_err(|e| format!("connect: {e}"))?;
            client.insert((connection, 0))
        }
    };
    let response = connection.exchange(bytes).map_err(|e| e.to_string())?;
    *used += 1;
    let closes = response.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
    if closes || *used >= per_connection {
        *client = None;
    }
    Ok(response.status)
}

/// Load under way. Stopped on drop.
pub struct Load {
    threads: Vec<JoinHandle<Vec<Sample>>>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl Load {
    /// Describes load on `address`.
    pub fn builder(address: SocketAddr) -> Builder {
        Builder {
            address,
            threads: 4,
            total: u64::MAX,
            requests_per_connection: u64::MAX,
            request: Arc::new(|number| {
                format!("GET /load/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
            }),
        }
    }

    /// Requests that have an outcome so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Ends it after the requests under way.
    pub fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until the total is reached.
    pub fn join(mut self) -> Report {
        let threads = std::mem::take(&mut self.threads);
        Report { samples: threads.into_iter().flat_map(|t| t.join().unwrap()).collect() }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
