//! Tells open pages that they show something old: server-sent events.

use std::convert::Infallible;
use std::hash::Hasher as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use xxhash_rust::xxh3::Xxh3;

use super::overview;
use crate::admin::ApiError;
use crate::admin::view::StatusView;
use crate::control::Control;

/// Streams open at once; the other half of a listener's connections is left for questions.
const MAX_STREAMS: usize = 32;

/// Between two events.
const PACE: Duration = Duration::from_secs(2);

/// A stream that has nothing to tell says so as often, or proxies would end it.
const SILENCE: Duration = Duration::from_secs(15);

/// Where pages wait for changes. All clones are the same.
#[derive(Clone)]
pub(crate) struct Changes {
    count: watch::Sender<u64>,
    seats: Arc<Semaphore>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { count: watch::Sender::new(0), seats: Arc::new(Semaphore::new(MAX_STREAMS)) }
    }
}

impl Changes {
    /// Looks, while anybody waits, whether anything has changed.
    pub(crate) async fn watch(self, control: Control) -> Infallible {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = None;
        loop {
            pace.tick().await;
            if self.count.receiver_count() == 0 {
                continue;
            }
            let now = Some(fingerprint(&control).await);
            if now != known {
                known = now;
                self.count.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }
}

/// A number that is another one when pages would show something else.
async fn fingerprint(control: &Control) -> u64 {
    let mut status = StatusView::from(&control.status().await);
    // These change all the time, and nobody waits for them.
    status.uptime_seconds = 0.0;
    for target in &mut status.targets {
        if let Some(breaker) = &mut target.breaker {
            breaker.lasts_seconds = 0.0;
        }
    }
    let mut hash = Xxh3::new();
    hash.write(&serde_json::to_vec(&status).unwrap_or_default());
    hash.write(&serde_json::to_vec(&overview::verdicts(control)).unwrap_or_default());
    hash.finish()
}

pub(super) async fn stream(State(changes): State<Changes>) -> Result<Response<Body>, ApiError> {
    let seat = Arc::clone(&changes.seats).try_acquire_owned().map_err(|_| {
        let message = format!("{MAX_STREAMS} pages are kept current already; this one is not");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no-room", message)
    })?;
    let next = Box::pin(first(changes.count.subscribe()));
    let mut response = Response::new(Body::new(Events { next, _seat: seat }));
    let event_stream = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, event_stream);
    Ok(response)
}

/// What is sent next, and where to wait for what comes after it.
type Next = (String, watch::Receiver<u64>);

/// A stream of events. It holds its place until its connection ends.
struct Events {
    next: Pin<Box<dyn Future<Output = Next> + Send>>,
    _seat: OwnedSemaphorePermit,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (text, changes) = ready!(self.next.as_mut().poll(cx));
        self.next = Box::pin(after(changes));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))))
    }
}

/// At once, so that the browser knows that it is heard.
async fn first(changes: watch::Receiver<u64>) -> Next {
    ("retry: 3000\n: listening\n\n".to_owned(), changes)
}

async fn after(mut changes: watch::Receiver<u64>) -> Next {
    let text = match timeout(SILENCE, changes.changed()).await {
        Ok(Ok(())) => format!("event: changed\ndata: {}\n\n", *changes.borrow_and_update()),
        // The sender is gone with the server, and so is this connection in a moment.
        Ok(Err(_)) => std::future::pending().await,
        Err(_) => ": nothing has changed\n\n".to_owned(),
    };
    (text, changes)
}
