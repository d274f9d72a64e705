//! One connection to the admin API: its requests within limits of size and time, and what every
//! answer carries.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tower::ServiceExt as _;
use tracing::{debug, info};

use super::api;
use super::door::Caller;
use super::error::ApiError;
use super::guard::Guard;
use super::listen::Listener;
use super::stream::Stream;
use crate::config::AdminConfig;
use crate::control::Control;

/// A request's line and headers together, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// A request's headers.
const MAX_HEADERS: usize = 64;

/// A request's body, in bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// Time for a request's head to come, counted from the end of the one before.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Time for a request's body to come and for its answer to be made.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// What answers carry so that a browser does nothing with them but show them.
const SAFE: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What all connections share.
pub(super) struct App {
    guard: Guard,
    router: Router,
}

/// The running admin API; ends when it is dropped.
pub struct Server {
    _listeners: JoinSet<io::Result<()>>,
}

impl Server {
    /// Serves what [`super::bind`] bound, in the event loop of the thread that calls.
    #[must_use]
    pub fn start(listeners: Vec<Listener>, config: &AdminConfig, control: Control) -> Self {
        let app = Arc::new(App { guard: Guard::new(config), router: api::router(control) });
        let mut tasks = JoinSet::new();
        for listener in listeners {
            info!("admin API at {}", listener.address());
            tasks.spawn(listener.serve(Arc::clone(&app)));
        }
        Self { _listeners: tasks }
    }
}

/// Answers a connection's requests until it ends.
pub(super) async fn serve_connection(app: Arc<App>, caller: Caller, stream: Stream) {
    let name = caller.name.clone();
    let service = service_fn(move |request| {
        let (app, caller) = (Arc::clone(&app), caller.clone());
        async move { Ok::<_, Infallible>(answer(&app, caller, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!("admin API: {name}: {error}");
    }
}

async fn answer(app: &App, caller: Caller, request: Request<Incoming>) -> Response {
    let (mut parts, body) = request.into_parts();
    let what = format!("{} {}", parts.method, parts.uri.path());
    let name = caller.name.clone();
    let mut response = match app.guard.check(&caller, &parts) {
        Ok(()) => {
            parts.extensions.insert(caller);
            let body = Body::new(Limited::new(body, MAX_BODY));
            let answered = app.router.clone().oneshot(Request::from_parts(parts, body));
            match tokio::time::timeout(REQUEST_TIME, answered).await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => {
                    let message = "the request did not come to its end within 10 seconds";
                    ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message).into_response()
                }
            }
        }
        Err(refusal) => refusal.into_response(),
    };
    debug!("admin API: {name}: {what}: {}", response.status().as_u16());
    for (header, value) in SAFE {
        response.headers_mut().insert(header, HeaderValue::from_static(value));
    }
    response
}
