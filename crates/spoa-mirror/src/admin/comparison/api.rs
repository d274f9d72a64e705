//! Answers requests about comparison.

use std::io;
use std::sync::{Arc, MutexGuard};

use axum::Router;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get};
use serde::Deserialize;
use shadow_diff::Rule;
use tracing::info;

use super::super::api::{Answer, Asked};
use super::super::door::Caller;
use super::super::error::{ApiError, ErrorBody, json};
use super::shown;
use super::view::{
    BeginView, EndpointDetailView, EndpointsView, ReportView, RuleView, RulesView, RunsView,
    VerdictsView,
};
use crate::comparison::Comparing;
use crate::comparison::ledger::{Candidate, Ledger, NotARule};
use crate::comparison::sample::Sample;
use crate::config::ComparisonConfig;
use crate::config::file::write_rules_file;
use crate::control::Control;
use crate::history::Unread;

pub(in crate::admin) fn router() -> Router<Control> {
    Router::new()
        .route("/api/v1/verdict", get(verdict))
        .route("/api/v1/comparison/endpoints", get(endpoints))
        .route("/api/v1/comparison/endpoint", get(endpoint))
        .route("/api/v1/comparison/samples/{id}", get(sample))
        .route("/api/v1/comparison/runs", get(runs).post(begin))
        .route("/api/v1/comparison/runs/{id}", get(ended_run))
        .route("/api/v1/comparison/rules", get(rules).post(add_rule))
        .route("/api/v1/comparison/rules/{number}", delete(remove_rule))
        .route("/api/v1/comparison/report", get(report))
}

/// Which candidate.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Which {
    target: Option<String>,
}

/// Which endpoint of which candidate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct WhichEndpoint {
    target: Option<String>,
    name: String,
}

/// May the candidates be shipped?
#[utoipa::path(get, path = "/api/v1/verdict", tag = "comparison",
    params(("target" = Option<String>, Query, description = "One candidate; all without it")),
    responses((status = 200, description = "The answer and why", body = VerdictsView),
              (status = 404, description = "Nothing is compared", body = ErrorBody)))]
pub(in crate::admin) async fn verdict(
    State(control): State<Control>,
    InQuery(which): InQuery<Which>,
) -> Answer {
    let comparing = comparing(&control)?;
    let ledger = comparing.ledger();
    if which.target.is_some() {
        pick(&ledger, which.target.as_deref())?;
    }
    Ok(json(StatusCode::OK, &shown::verdicts(&ledger, which.target.as_deref())))
}

/// A candidate's endpoints.
#[utoipa::path(get, path = "/api/v1/comparison/endpoints", tag = "comparison",
    params(("target" = Option<String>, Query, description = "Needed where there are several")),
    responses((status = 200, description = "Those with the most requests first",
               body = EndpointsView),
              (status = 404, description = "There is no such candidate", body = ErrorBody)))]
pub(in crate::admin) async fn endpoints(
    State(control): State<Control>,
    InQuery(which): InQuery<Which>,
) -> Answer {
    let comparing = comparing(&control)?;
    let ledger = comparing.ledger();
    let (name, candidate) = pick(&ledger, which.target.as_deref())?;
    Ok(json(StatusCode::OK, &shown::endpoints(&ledger, name, candidate)))
}

/// An endpoint: where answers differ, statuses, times.
#[utoipa::path(get, path = "/api/v1/comparison/endpoint", tag = "comparison",
    params(("target" = Option<String>, Query, description = "Needed where there are several"),
           ("name" = String, Query, description = "As in the list: `GET /users/{id}`")),
    responses((status = 200, description = "The endpoint", body = EndpointDetailView),
              (status = 404, description = "There is no such candidate or endpoint",
               body = ErrorBody)))]
pub(in crate::admin) async fn endpoint(
    State(control): State<Control>,
    InQuery(which): InQuery<WhichEndpoint>,
) -> Answer {
    let comparing = comparing(&control)?;
    let ledger = comparing.ledger();
    let (name, candidate) = pick(&ledger, which.target.as_deref())?;
    let detail = shown::endpoint_detail(&ledger, name, candidate, &which.name);
    let detail = detail.ok_or_else(|| {
        ApiError::not_found("there is no endpoint of this name; names change as paths are learned")
    })?;
    Ok(json(StatusCode::OK, &detail))
}

/// A kept pair: request, both answers, what differs; without secrets.
#[utoipa::path(get, path = "/api/v1/comparison/samples/{id}", tag = "comparison",
    params(("id" = u64, Path, description = "Its number")),
    responses((status = 200, description = "The pair", body = Sample),
              (status = 404, description = "It is not kept", body = ErrorBody)))]
pub(in crate::admin) async fn sample(State(control): State<Control>, id: Number) -> Answer {
    let comparing = comparing(&control)?;
    let ledger = comparing.ledger();
    let sample = ledger.sample(id.0).ok_or_else(|| {
        ApiError::not_found("no pair of this number is kept; newer ones may have taken its place")
    })?;
    Ok(json(StatusCode::OK, sample))
}

/// All about a candidate's run, for a release ticket.
#[utoipa::path(get, path = "/api/v1/comparison/report", tag = "comparison",
    params(("target" = Option<String>, Query, description = "Needed where there are several")),
    responses((status = 200, description = "The report", body = ReportView),
              (status = 404, description = "There is no such candidate", body = ErrorBody)))]
pub(in crate::admin) async fn report(
    State(control): State<Control>,
    InQuery(which): InQuery<Which>,
) -> Answer {
    let comparing = comparing(&control)?;
    let ledger = comparing.ledger();
    let (name, candidate) = pick(&ledger, which.target.as_deref())?;
    Ok(json(StatusCode::OK, &shown::report(&ledger, name, candidate)))
}

/// The runs.
#[utoipa::path(get, path = "/api/v1/comparison/runs", tag = "comparison",
    responses((status = 200, description = "Those that go on first", body = RunsView),
              (status = 404, description = "Nothing is compared", body = ErrorBody)))]
pub(in crate::admin) async fn runs(State(control): State<Control>) -> Answer {
    comparing(&control)?;
    Ok(json(StatusCode::OK, &all_runs(&control).await?))
}

/// The runs that go on, then those of the history.
pub(crate) async fn all_runs(control: &Control) -> Result<RunsView, ApiError> {
    let mut runs: Vec<_> = control.comparing().map_or_else(Vec::new, |comparing| {
        let ledger = comparing.ledger();
        ledger.candidates().map(|(name, candidate)| shown::run(name, candidate)).collect()
    });
    let ended = control.history().runs(None).await.map_err(|error| unread(&error))?;
    runs.extend(ended.into_iter().map(shown::ended_run));
    Ok(RunsView { runs })
}

/// A run that ended: its report.
#[utoipa::path(get, path = "/api/v1/comparison/runs/{id}", tag = "comparison",
    params(("id" = u64, Path, description = "Its number")),
    responses((status = 200, description = "The report at its end", body = ReportView),
              (status = 404, description = "It is not kept", body = ErrorBody)))]
pub(in crate::admin) async fn ended_run(State(control): State<Control>, id: Number) -> Answer {
    Ok(json(StatusCode::OK, &report_of(&control, id.0).await?))
}

/// The report of a run that ended.
pub(crate) async fn report_of(control: &Control, id: u64) -> Result<ReportView, ApiError> {
    let run = control.history().run(id).await.map_err(|error| unread(&error))?;
    let run = run.ok_or_else(|| ApiError::not_found("no run of this number is kept"))?;
    serde_json::from_str(&run.report).map_err(|_| {
        ApiError::not_found("the report of this run was written by another version of the program")
    })
}

fn unread(error: &Unread) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no-history", error.to_string())
}

/// Begins a run: everything counted so far belongs to the one before.
#[utoipa::path(post, path = "/api/v1/comparison/runs", tag = "comparison",
    request_body = BeginView,
    responses((status = 200, description = "Begun", body = RunsView),
              (status = 404, description = "There is no such candidate", body = ErrorBody)))]
pub(in crate::admin) async fn begin(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Asked(asked): Asked<BeginView>,
) -> Answer {
    let name = asked.name.trim();
    ComparisonConfig::check_run(name).map_err(ApiError::bad_request)?;
    let comparing = comparing(&control)?;
    begin_run(&comparing, &caller, name, asked.target.as_deref())?;
    control.keep_comparison();
    Ok(json(StatusCode::OK, &all_runs(&control).await?))
}

fn begin_run(
    comparing: &Comparing,
    caller: &Caller,
    name: &str,
    target: Option<&str>,
) -> Result<(), ApiError> {
    let mut ledger = comparing.ledger();
    let targets: Vec<String> = match target {
        Some(target) => vec![pick(&ledger, Some(target))?.0.to_owned()],
        None => ledger.candidates().map(|(name, _)| name.to_owned()).collect(),
    };
    for target in &targets {
        // It is there: nobody else can take it away while this is held.
        if ledger.begin(target, name).is_ok() {
            info!("comparison of {target}: run {name:?} begun by {}", caller.name);
        }
    }
    Ok(())
}

/// The rules that were made while the agent runs.
#[utoipa::path(get, path = "/api/v1/comparison/rules", tag = "comparison",
    responses((status = 200, description = "In their order", body = RulesView),
              (status = 404, description = "Nothing is compared", body = ErrorBody)))]
pub(in crate::admin) async fn rules(State(control): State<Control>) -> Answer {
    let comparing = comparing(&control)?;
    let rules = comparing.ledger().own_rules().to_vec();
    Ok(shown_rules(&control, &rules))
}

fn shown_rules(control: &Control, rules: &[Rule]) -> Response {
    let file = control.config().comparison.rules_file.clone();
    let file = file.map(|file| file.display().to_string());
    json(StatusCode::OK, &RulesView { rules: rules.iter().map(Into::into).collect(), file })
}

/// Makes a rule: from now on, and for what was counted at places that it ignores.
#[utoipa::path(post, path = "/api/v1/comparison/rules", tag = "comparison",
    request_body = RuleView,
    responses((status = 200, description = "In force", body = RulesView),
              (status = 404, description = "Nothing is compared", body = ErrorBody),
              (status = 422, description = "The rule cannot be used", body = ErrorBody)))]
pub(in crate::admin) async fn add_rule(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    Asked(asked): Asked<RuleView>,
) -> Answer {
    let comparing = comparing(&control)?;
    let _turn = comparing.changing_rules().await;
    let rule = Rule::try_from(asked).map_err(|message| unusable(&message))?;
    let mut rules = comparing.ledger().own_rules().to_vec();
    if !rules.contains(&rule) {
        info!("comparison: a rule for {} at {} made by {}", rule.place, rule.endpoint, caller.name);
        rules.push(rule);
    }
    change_rules(&control, &comparing, rules).await
}

/// Takes a rule back.
#[utoipa::path(delete, path = "/api/v1/comparison/rules/{number}", tag = "comparison",
    params(("number" = u64, Path, description = "Its place in the list, from 1")),
    responses((status = 200, description = "The rules that are left", body = RulesView),
              (status = 404, description = "There is no such rule", body = ErrorBody)))]
pub(in crate::admin) async fn remove_rule(
    State(control): State<Control>,
    Extension(caller): Extension<Caller>,
    number: Number,
) -> Answer {
    let comparing = comparing(&control)?;
    let _turn = comparing.changing_rules().await;
    let mut rules = comparing.ledger().own_rules().to_vec();
    let place = usize::try_from(number.0).ok().and_then(|number| number.checked_sub(1));
    let Some(place) = place.filter(|place| *place < rules.len()) else {
        let message = format!("there are {} rules, counted from 1", rules.len());
        return Err(ApiError::not_found(message));
    };
    let rule = rules.remove(place);
    info!("comparison: the rule for {} taken back by {}", rule.place, caller.name);
    change_rules(&control, &comparing, rules).await
}

async fn change_rules(control: &Control, comparing: &Comparing, rules: Vec<Rule>) -> Answer {
    let not_taken = |error| match error {
        NotARule::Wrong(error) => unusable(&error.to_string()),
        NotARule::Many => unusable("there are 1000 rules already; take some back"),
    };
    Ledger::check_own_rules(&rules).map_err(not_taken)?;
    if let Some(file) = control.config().comparison.rules_file.clone() {
        let (path, written) = (file.clone(), rules.clone());
        let writing = tokio::task::spawn_blocking(move || write_rules_file(&path, &written));
        let written = writing.await.map_err(io::Error::other).and_then(|written| written);
        written.map_err(|error| {
            let message = format!(
                "nothing has changed: {}, which comparison.rules-file names, cannot be written: \
                 {error}",
                file.display()
            );
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "rules-file", message)
        })?;
    }
    comparing.ledger().set_own_rules(rules.clone()).map_err(not_taken)?;
    Ok(shown_rules(control, &rules))
}

fn unusable(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong-rule", message)
}

/// What compares, if anything does.
pub(crate) fn comparing(control: &Control) -> Result<Arc<Comparing>, ApiError> {
    control.comparing().ok_or_else(|| {
        let message = "no target's answers are compared: give one `compare = true`, and let \
                       HAProxy hand over production's answers; see docs/COMPARISON.md";
        ApiError::new(StatusCode::NOT_FOUND, "no-comparison", message)
    })
}

/// The candidate that is asked for.
pub(crate) fn pick<'l>(
    ledger: &'l MutexGuard<'_, Ledger>,
    target: Option<&str>,
) -> Result<(&'l str, &'l Candidate), ApiError> {
    let names = || ledger.candidates().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    let mut candidates = ledger.candidates();
    match target {
        Some(target) => candidates.find(|(name, _)| *name == target).ok_or_else(|| {
            let message = format!("{target:?} is no candidate; candidates: {}", names());
            ApiError::not_found(message)
        }),
        None => match (candidates.next(), candidates.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => {
                Err(ApiError::not_found("there is no candidate: no target has `compare = true`"))
            }
            (Some(_), Some(_)) => {
                let message = format!(
                    "there are several candidates: say which, as ?target=NAME, of {}",
                    names()
                );
                Err(ApiError::bad_request(message))
            }
        },
    }
}

/// A query of known parameters.
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: serde::de::DeserializeOwned> axum::extract::FromRequestParts<Control> for InQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &Control,
    ) -> Result<Self, ApiError> {
        let query = Query::try_from_uri(&parts.uri);
        query
            .map(|Query(query)| Self(query))
            .map_err(|error| ApiError::bad_request(format!("the query: {}", error.body_text())))
    }
}

/// The number in the path.
pub(crate) struct Number(pub(crate) u64);

impl axum::extract::FromRequestParts<Control> for Number {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        control: &Control,
    ) -> Result<Self, ApiError> {
        let path: Result<Path<u64>, _> = Path::from_request_parts(parts, control).await;
        path.map(|Path(number)| Self(number))
            .map_err(|_| ApiError::not_found("what stands in the path is no number"))
    }
}
