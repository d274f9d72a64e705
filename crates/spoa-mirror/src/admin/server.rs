//! One connection to the admin API and the dashboard: its requests within limits of size and time, and
//! what every answer carries.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
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
use super::guard::{Guard, page_wanted};
use super::listen::Listener;
use super::stream::Stream;
use crate::config::AdminConfig;
use crate::control::Control;
use crate::dashboard::{self, Changes};

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
const SAFE: [(HeaderName, &str); 3] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What a browser may do with an answer that is no page: nothing.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// What all connections share.
pub(super) struct App {
    guard: Guard,
    router: Router,
}

/// The running admin API; ends when it is dropped.
pub struct Server {
    _listeners: JoinSet<io::Result<()>>,
    _changes: JoinSet<Infallible>,
}

impl Server {
    /// Serves what [`super::bind`] bound, in the event loop of the thread that calls.
    #[must_use]
    pub fn start(listeners: Vec<Listener>, config: &AdminConfig, control: Control) -> Self {
        let changes = Changes::default();
        let mut watching = JoinSet::new();
        watching.spawn(changes.clone().watch(control.clone()));
        let router = api::router(control, dashboard::router(changes));
        let app = Arc::new(App { guard: Guard::new(config), router });
        let mut tasks = JoinSet::new();
        for listener in listeners {
            info!("admin API at {}", listener.address());
            tasks.spawn(listener.serve(Arc::clone(&app)));
        }
        Self { _listeners: tasks, _changes: watching }
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
    let page_wanted = page_wanted(&parts);
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
    if page_wanted {
        if let Some(error) = response.extensions_mut().remove::<ApiError>() {
            response = dashboard::refusal(&error, response);
        }
    }
    debug!("admin API: {name}: {what}: {}", response.status().as_u16());
    let headers = response.headers_mut();
    for (header, value) in SAFE {
        headers.insert(header, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let is_page =
        headers.get(CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"text/html"));
    let policy = if is_page { dashboard::POLICY } else { NOTHING };
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
    response
}
