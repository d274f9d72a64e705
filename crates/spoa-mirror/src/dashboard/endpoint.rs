//! One endpoint of a candidate: where answers differ, statuses, times.

use askama::Template;
use axum::extract::State;
use serde::Deserialize;

use super::candidate::choose;
use super::distribution::Distribution;
use super::endpoints::{Pair, times};
use super::figures::count;
use super::frame::{Answer, Frame, show};
use super::interval::Interval;
use crate::admin::ApiError;
use crate::admin::comparison::api::{InQuery, comparing};
use crate::admin::comparison::shown;
use crate::admin::comparison::view::{EndpointDetailView, PlaceView};
use crate::control::Control;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    target: Option<String>,
    name: String,
}

pub(super) async fn page(State(control): State<Control>, InQuery(asked): InQuery<Asked>) -> Answer {
    let detail = detail(&control, asked.target.as_deref(), &asked.name)?;
    show(&Endpoint::new(&detail))
}

/// What is known of the endpoint.
///
/// # Errors
/// There is no such candidate or endpoint.
pub(super) fn detail(
    control: &Control,
    target: Option<&str>,
    name: &str,
) -> Result<EndpointDetailView, ApiError> {
    let comparing = comparing(control)?;
    let ledger = comparing.ledger();
    let chosen = choose(&ledger, target)?;
    let detail = chosen
        .and_then(|(target, candidate)| shown::endpoint_detail(&ledger, target, candidate, name));
    detail.ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no endpoint {name:?} in this run; names change as paths are learned, and a \
             new run begins with none"
        ))
    })
}

#[derive(Template)]
#[template(path = "endpoint.html")]
struct Endpoint<'a> {
    frame: Frame,
    target: &'a str,
    run: &'a str,
    name: &'a str,
    facts: Vec<(&'static str, String)>,
    places: Vec<Place<'a>>,
    noise_measured: bool,
    statuses: Vec<(u16, u16, String)>,
    drawn: Option<Distribution>,
    times: Vec<(&'static str, Pair)>,
    measured: (String, String),
}

/// A place where answers differ.
pub(super) struct Place<'a> {
    pub(super) place: &'a str,
    pub(super) kind: &'a str,
    pub(super) interval: Interval,
    pub(super) noise: &'a str,
    pub(super) reported: bool,
    pub(super) samples: &'a [u64],
}

impl<'a> Place<'a> {
    pub(super) fn new(place: &'a PlaceView) -> Self {
        Self {
            place: &place.place,
            kind: &place.kind,
            interval: Interval::new(&place.candidate, place.control.as_ref(), place.reported),
            noise: noise(&place.noise),
            reported: place.reported,
            samples: &place.samples,
        }
    }
}

/// What a place's noise means, for people.
pub(super) fn noise(noise: &str) -> &str {
    match noise {
        "beyond" => "beyond noise",
        "within" => "within noise",
        "unmeasured" => "noise not measured",
        other => other,
    }
}

impl<'a> Endpoint<'a> {
    fn new(detail: &'a EndpointDetailView) -> Self {
        let endpoint = &detail.endpoint;
        let statuses = detail.statuses.iter();
        Self {
            frame: Frame::new("endpoints"),
            target: &detail.target,
            run: &detail.run,
            name: &endpoint.name,
            facts: vec![
                ("Requests", count(endpoint.requests)),
                ("Pairs compared", count(endpoint.different.pairs)),
                ("Pairs that differ", count(endpoint.different.differing)),
                ("Pairs of the control", count(endpoint.control.map_or(0, |it| it.pairs))),
                ("Errors of the candidate only", count(endpoint.errors)),
                ("Errors of production only", count(endpoint.production_errors)),
                ("Errors of both", count(endpoint.both_errors)),
            ],
            places: detail.places.iter().map(Place::new).collect(),
            noise_measured: endpoint.control.is_some(),
            statuses: statuses.map(|it| (it.production, it.shadow, count(it.pairs))).collect(),
            drawn: Distribution::new(
                (&detail.production, &endpoint.production),
                (&detail.shadow, &endpoint.shadow),
            ),
            times: ["p50", "p95", "p99"].into_iter().zip(times(endpoint)).collect(),
            measured: (count(endpoint.production.count), count(endpoint.shadow.count)),
        }
    }
}
