//! What the admin API answers.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, FromRequest, Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{get, patch, post};

use http_body_util::{BodyExt as _, LengthLimitError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::comparison;
use super::config_view;
use super::door::Caller;
use super::error::{ApiError, ErrorBody, Problem, json, no_such_method, no_such_path};
use super::history;
use super::metrics;
use super::openapi;
use super::patch::Patch;
use super::view::{ChangeView, ReloadedView, StatusView, TargetView};
use crate::config::TargetConfig;
use crate::config::file::{Finding, Report};
use crate::control::{Control, NoSuchTarget, NotReloaded};
use crate::os::descriptors;
use crate::target::Overrides;

/// What an answer to a change says of how long it holds.
const KEPT: &str = "until restart";
const AT_RELOAD: &str =
    "what was set by hand stays in force; the file decides about everything else";

pub(super) type Answer = Result<Response, ApiError>;

/// All that is answered: the API, and `pages` for people.
pub(super) fn router(control: Control, pages: Router<Control>) -> Router {
    Router::new()
        .merge(pages)
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/openapi.json", get(description))
        .route("/api/v1/status", get(status))
        .route("/api/v1/config", get(config))
        .route("/api/v1/changes", get(changes))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/pause", post(pause_all))
        .route("/api/v1/resume", post(resume_all))
        .route("/api/v1/targets", get(targets))
        .route("/api/v1/targets/{name}", get(target).merge(patch(change)))
        .route("/api/v1/targets/{name}/pause", post(pause))
        .route("/api/v1/targets/{name}/resume", post(resume))
        .route("/api/v1/targets/{name}/overrides", axum::routing::delete(reset))
        .route("/api/v1/history", get(history::history))
        .merge(comparison::api::router())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(control)
}

/// That all is well.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok` or `ready`.
    status: &'static str,
}

/// The targets.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Targets {
    /// In the order of the configuration.
    targets: Vec<TargetView>,
}

/// The last changes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Changes {
    /// The newest at the end; 100 at most.
    changes: Vec<ChangeView>,
}

/// What a change has led to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Changed {
    /// How long it holds.
    #[schema(example = "until restart")]
    kept: String,
    /// What becomes of it at a reload.
    at_reload: String,
    /// The targets that were asked for, as they are now.
    targets: Vec<TargetView>,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "It does", body = Health)))]
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &Health { status: "ok" })
}

/// Whether it takes requests from HAProxy: all workers answer, and it was not told to end.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, description = "It does", body = Health),
              (status = 503, description = "It ends, or a worker hangs", body = ErrorBody)))]
pub(super) async fn readyz(State(control): State<Control>) -> Answer {
    let unready =
        |code, message: String| Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message));
    let status = control.status().await;
    if status.draining {
        let message = "the agent takes its leave; copies under way come to their end";
        return unready("draining", message.to_owned());
    }
    let (answered, all) = (status.snapshot.workers, status.snapshot.all_workers);
    if answered < all {
        let message = format!("{answered} of {all} workers answered within a second");
        return unready("worker-hangs", message);
    }
    Ok(json(StatusCode::OK, &Health { status: "ready" }))
}

/// Prometheus metrics.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Text format 0.0.4", body = String,
               content_type = "text/plain"),
              (status = 503, description = "A worker hangs", body = ErrorBody)))]
pub(super) async fn metrics(State(control): State<Control>) -> Answer {
    let page = metrics::render(&control.status().await).map_err(|error| {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no-metrics", error.to_string())
    })?;
    let mut response = Response::new(Body::from(page));
    let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(response)
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "status",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(super) async fn description() -> Response {
    json(StatusCode::OK, &openapi::document())
}

/// How the agent stands: HAProxy's side, targets, counters, reloads.
#[utoipa::path(get, path = "/api/v1/status", tag = "status",
    responses((status = 200, description = "How it stands", body = StatusView)))]
pub(super) async fn status(State(control): State<Control>) -> Response {
    json(StatusCode::OK, &StatusView::from(&control.status().await))
}

/// The configuration as the agent understands it, without secrets.
#[utoipa::path(get, path = "/api/v1/config", tag = "status",
    responses((status = 200, description = "Named as in the file", body = serde_json::Value)))]
pub(super) async fn config(State(control): State<Control>) -> Response {
    json(StatusCode::OK, &config_view::config(&control.config()))
}

/// The last changes made while the agent runs.
#[utoipa::path(get, path = "/api/v1/changes", tag = "status",
    responses((status = 200, description = "The newest at the end", body = Changes)))]
pub(super) async fn changes(State(control): State<Control>) -> Response {
    let changes = control.changes().iter().map(Into::into).collect();
    json(StatusCode::OK, &Changes { changes })
}

/// All targets, their settings and counters.
#[utoipa::path(get, path = "/api/v1/targets", tag = "targets",
    responses((status = 200, description = "In the configuration's order", body = Targets)))]
pub(super) async fn targets(State(control): State<Control>) -> Response {
    let targets = control.status().await.targets.iter().map(Into::into).collect();
    json(StatusCode::OK, &Targets { targets })
}

/// One target, its settings and counters.
#[utoipa::path(get, path = "/api/v1/targets/{name}", tag = "targets",
    params(("name" = String, Path, description = "The target, percent-encoded")),
    responses((status = 200, description = "It", body = TargetView),
              (status = 404, description = "There is none of this name", body = ErrorBody)))]
pub(super) async fn target(State(control): State<Control>, Name(name): Name) -> Answer {
    Ok(json(StatusCode::OK, &find(&control, &name).await?))
}

/// Changes settings of a target while it works.
#[utoipa::path(patch, path = "/api/v1/targets/{name}", tag = "targets", request_body = Patch,
    params(("name" = String, Path, description = "The target, percent-encoded")),
    responses((status = 200, description = "Changed", body = Changed),
              (status = 409, description = "There are too few descriptors", body = ErrorBody),
              (status = 404, description = "There is none of this name", body = ErrorBody)))]
pub(super) async fn change(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
    Asked(patch): Asked<Patch>,
) -> Answer {
    let descriptors = descriptors::share(&control.config());
    edit(&control, &caller, &name, |target, now| patch.apply(target, now, descriptors))?;
    changed(&control, Some(&name)).await
}

/// Pauses a target: its requests are counted as dropped, and not copied. What waits or is under way
/// goes on.
#[utoipa::path(post, path = "/api/v1/targets/{name}/pause", tag = "targets",
    params(("name" = String, Path, description = "The target, percent-encoded")),
    responses((status = 200, description = "Paused", body = Changed),
              (status = 404, description = "There is none of this name", body = ErrorBody)))]
pub(super) async fn pause(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
) -> Answer {
    edit(&control, &caller, &name, |target, now| Ok(with_pause(target, now, true)))?;
    changed(&control, Some(&name)).await
}

/// Resumes a target.
#[utoipa::path(post, path = "/api/v1/targets/{name}/resume", tag = "targets",
    params(("name" = String, Path, description = "The target, percent-encoded")),
    responses((status = 200, description = "Resumed", body = Changed),
              (status = 404, description = "There is none of this name", body = ErrorBody)))]
pub(super) async fn resume(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
) -> Answer {
    edit(&control, &caller, &name, |target, now| Ok(with_pause(target, now, false)))?;
    changed(&control, Some(&name)).await
}

/// Takes back everything that was set by hand for a target.
#[utoipa::path(delete, path = "/api/v1/targets/{name}/overrides", tag = "targets",
    params(("name" = String, Path, description = "The target, percent-encoded")),
    responses((status = 200, description = "The configuration holds", body = Changed),
              (status = 404, description = "There is none of this name", body = ErrorBody)))]
pub(super) async fn reset(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Name(name): Name,
) -> Answer {
    edit(&control, &caller, &name, |_, _| Ok(Overrides::default()))?;
    changed(&control, Some(&name)).await
}

/// Reads the configuration file again: all of it takes effect, or nothing.
#[utoipa::path(post, path = "/api/v1/reload", tag = "configuration",
    responses((status = 200, description = "It is in force", body = ReloadedView),
              (status = 409, description = "There is no file to read", body = ErrorBody),
              (status = 422, description = "The file is wrong: nothing has changed",
               body = ErrorBody)))]
pub(super) async fn reload(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let by = format!("{} over {}", caller.name, caller.door.address);
    match control.reload(&by).await {
        Ok((reloaded, warnings)) => {
            Ok(json(StatusCode::OK, &ReloadedView::new(reloaded, problems(&warnings))))
        }
        Err(NotReloaded::NoFile) => {
            let message = "the agent was started without --config: there is no file to read again";
            Err(ApiError::new(StatusCode::CONFLICT, "no-file", message))
        }
        Err(NotReloaded::Wrong(report)) => {
            let message = format!("nothing has changed: {}", report.summary());
            Err(ApiError::wrong_file(message, problems(&report)))
        }
        Err(NotReloaded::Unusable(why)) => {
            Err(ApiError::wrong_file(format!("nothing has changed: {why}"), Vec::new()))
        }
    }
}

fn problems(report: &Report) -> Vec<Problem> {
    let problem = |finding: &Finding| Problem {
        message: match &finding.help {
            Some(help) => format!("{}; {help}", finding.message),
            None => finding.message.clone(),
        },
        severity: finding.severity.name().to_owned(),
        file: Some(report.file().display().to_string()),
        line: report.place(finding).map(|(line, _)| line),
        column: report.place(finding).map(|(_, column)| column),
    };
    report.findings().iter().map(problem).collect()
}

/// Pauses all targets.
#[utoipa::path(post, path = "/api/v1/pause", tag = "targets",
    responses((status = 200, description = "Paused", body = Changed)))]
pub(super) async fn pause_all(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    all(&control, &caller, true).await
}

/// Resumes all targets.
#[utoipa::path(post, path = "/api/v1/resume", tag = "targets",
    responses((status = 200, description = "Resumed", body = Changed)))]
pub(super) async fn resume_all(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    all(&control, &caller, false).await
}

async fn all(control: &Control, caller: &Caller, paused: bool) -> Answer {
    for target in &control.config().targets {
        let edited =
            edit(control, caller, &target.name, |target, now| Ok(with_pause(target, now, paused)));
        // A reload may have taken the target away in between: then nothing is left to do.
        if edited.as_ref().is_err_and(|error| error.status() != StatusCode::NOT_FOUND) {
            edited?;
        }
    }
    changed(control, None).await
}

/// Nothing is set by hand where the configuration says the same anyway, except that a pause outlasts
/// a reload.
fn with_pause(target: &TargetConfig, now: &Overrides, paused: bool) -> Overrides {
    let paused = (paused || target.paused).then_some(paused);
    Overrides { paused, ..now.clone() }
}

fn edit(
    control: &Control,
    caller: &Caller,
    name: &str,
    next: impl FnOnce(&TargetConfig, &Overrides) -> Result<Overrides, ApiError>,
) -> Result<(), ApiError> {
    let config = control.config();
    let target = config.targets.iter().find(|target| target.name == name);
    let target = target.ok_or_else(|| unknown(control, &NoSuchTarget(name.to_owned())))?;
    let by = format!("{} over {}", caller.name, caller.door.address);
    let mut refused = Ok(());
    control
        .adjust(name, &by, |overrides| match next(target, overrides) {
            Ok(next) => *overrides = next,
            Err(error) => refused = Err(error),
        })
        .map_err(|error| unknown(control, &error))?;
    refused
}

async fn changed(control: &Control, name: Option<&str>) -> Answer {
    let targets = match name {
        Some(name) => vec![find(control, name).await?],
        None => control.status().await.targets.iter().map(Into::into).collect(),
    };
    let changed = Changed { kept: KEPT.to_owned(), at_reload: AT_RELOAD.to_owned(), targets };
    Ok(json(StatusCode::OK, &changed))
}

async fn find(control: &Control, name: &str) -> Result<TargetView, ApiError> {
    let status = control.status().await;
    let target = status.targets.iter().find(|target| target.shared.config.name == name);
    target.map(Into::into).ok_or_else(|| unknown(control, &NoSuchTarget(name.to_owned())))
}

fn unknown(control: &Control, error: &NoSuchTarget) -> ApiError {
    let config = control.config();
    let names: Vec<_> = config.targets.iter().map(|target| target.name.as_str()).collect();
    let known = if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
    ApiError::not_found(format!("{error}; targets: {known}"))
}

/// The target's name in the path.
pub(super) struct Name(String);

impl axum::extract::FromRequestParts<Control> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        control: &Control,
    ) -> Result<Self, ApiError> {
        let path: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, control).await;
        path.map(|Path(name)| Self(name)).map_err(|_| {
            ApiError::bad_request("the target's name in the path is no percent-encoded UTF-8")
        })
    }
}

/// A body of JSON.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Control> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Control) -> Result<Self, ApiError> {
        let bytes = read(request.into_body()).await?;
        // An array with the values in their order would be understood, too.
        if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(ApiError::bad_request("the body: it must be a JSON object"));
        }
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| ApiError::bad_request(format!("the body: {error}")))
    }
}

/// Reads a body, which is bounded already.
async fn read(body: Body) -> Result<bytes::Bytes, ApiError> {
    body.collect().await.map(http_body_util::Collected::to_bytes).map_err(|error| {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            if error.is::<LengthLimitError>() {
                let message = "the body is longer than 64 KiB";
                return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message);
            }
            cause = error.source();
        }
        ApiError::bad_request(format!("the body did not come in full: {error}"))
    })
}
