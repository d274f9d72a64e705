//! What the API says when it does not do what was asked: JSON of the same shape always, or a page to
//! whom asks for pages (see `dashboard::refusal`).

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

const BEARER: &str = "Bearer realm=\"spoa-mirror\"";
const BASIC: &str = "Basic realm=\"spoa-mirror\", charset=\"UTF-8\"";

/// The body of every answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    pub(super) error: ErrorInfo,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ErrorInfo {
    /// One word for programs.
    #[schema(example = "not-found")]
    pub(super) code: &'static str,
    /// A sentence for people: what is wrong, and what to do.
    pub(super) message: String,
    /// Each mistake in a configuration file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) problems: Vec<Problem>,
}

/// A mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `error` or `warning`.
    #[schema(example = "error")]
    pub(super) severity: String,
    /// What is wrong, and what would be right.
    pub(super) message: String,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    /// The character in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<usize>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
    retry_after: Option<Duration>,
    challenge: &'static str,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let error = ErrorInfo { code, message: message.into(), problems: Vec::new() };
        Self { status, body: ErrorBody { error }, retry_after: None, challenge: BEARER }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    pub(super) fn wrong_file(message: String, problems: Vec<Problem>) -> Self {
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong-configuration", message);
        error.body.error.problems = problems;
        error
    }

    /// The token is missing or wrong. A browser asks its user for one if the answer wants `Basic`.
    pub(super) fn unauthorized(browser: bool) -> Self {
        let (challenge, message) = if browser {
            let message = "this needs the token of the configuration's admin.token: as the password, \
                           with any user name";
            (BASIC, message)
        } else {
            let message = "this needs the header `authorization: Bearer TOKEN` with the token of \
                           the configuration's admin.token";
            (BEARER, message)
        };
        Self { challenge, ..Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message) }
    }

    pub(super) fn too_many(wait: Duration) -> Self {
        let message = "more requests than admin.rate allows came in the last second";
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", message);
        error.retry_after = Some(wait);
        error
    }

    /// What is wrong, and what to do.
    pub(crate) fn message(&self) -> &str {
        &self.body.error.message
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> axum::response::Response {
        let mut response = json(self.status, &self.body);
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(self.challenge));
        }
        if let Some(wait) = self.retry_after {
            // Whole seconds, not too few.
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// A response with a JSON body and a line end, so that a terminal shows it well.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    // These are plain structures with text keys: they can always be written.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to a path that is none.
pub(super) async fn no_such_path() -> ApiError {
    ApiError::not_found("there is nothing here; GET /api/v1/openapi.json describes what there is")
}

/// The answer to a method that a path does not know; the router adds which it does.
pub(super) async fn no_such_method(method: axum::http::Method) -> ApiError {
    let message = format!("{method} does nothing here; the header `{ALLOW}` says what does");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", message)
}
