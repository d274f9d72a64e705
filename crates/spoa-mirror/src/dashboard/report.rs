//! A run as one file that needs nothing else: for a release ticket.

use std::sync::LazyLock;

use askama::Template;
use aws_lc_rs::digest;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::endpoint::Place;
use super::endpoints::{Pair as Times, times};
use super::figures::count;
use super::frame::{Answer, filters, show};
use super::interval::Interval;
use super::pair::{Line, Pair};
use super::verdict::{self, Card};
use crate::admin::ApiError;
use crate::admin::comparison::api::{InQuery, comparing, report_of};
use crate::admin::comparison::shown;
use crate::admin::comparison::view::{EndpointDetailView, ReportView};
use crate::control::Control;

/// The style is in the file itself; nothing else is, and nothing may be loaded.
const STYLE: &str = include_str!("../../assets/dashboard.css");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
});

/// Which candidate, or which run that ended.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    target: Option<String>,
    run: Option<u64>,
}

pub(super) async fn page(State(control): State<Control>, InQuery(asked): InQuery<Asked>) -> Answer {
    let view = match asked.run {
        Some(run) => report_of(&control, run).await?,
        None => of_candidate(&control, asked.target.as_deref())?,
    };
    let mut response = show(&Report::new(&view))?;
    let policy = format!("{}; frame-ancestors 'none'", *POLICY);
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

fn of_candidate(control: &Control, target: Option<&str>) -> Result<ReportView, ApiError> {
    let comparing = comparing(control)?;
    let ledger = comparing.ledger();
    let chosen = super::candidate::choose(&ledger, target)?;
    let (target, candidate) =
        chosen.ok_or_else(|| ApiError::not_found("no target has `compare = true`"))?;
    Ok(shown::report(&ledger, target, candidate))
}

#[derive(Template)]
#[template(path = "report.html")]
struct Report<'a> {
    policy: &'static str,
    style: &'static str,
    view: &'a ReportView,
    card: Card<'a>,
    endpoints: Vec<Endpoint<'a>>,
    pairs: Vec<Pair>,
}

struct Endpoint<'a> {
    name: &'a str,
    requests: String,
    errors: String,
    interval: Interval,
    times: [Times; 3],
    places: Vec<Place<'a>>,
}

impl<'a> Report<'a> {
    fn new(view: &'a ReportView) -> Self {
        Self {
            policy: POLICY.as_str(),
            style: STYLE,
            view,
            card: verdict::card(&view.verdict),
            endpoints: view.endpoints.iter().map(endpoint).collect(),
            pairs: view.samples.iter().map(|sample| Pair::new(sample, true)).collect(),
        }
    }
}

fn endpoint(detail: &EndpointDetailView) -> Endpoint<'_> {
    let of = &detail.endpoint;
    Endpoint {
        name: &of.name,
        requests: count(of.requests),
        errors: count(of.errors),
        interval: Interval::new(&of.different, of.control.as_ref(), of.reported > 0),
        times: times(of),
        places: detail.places.iter().filter(|place| place.reported).map(Place::new).collect(),
    }
}
