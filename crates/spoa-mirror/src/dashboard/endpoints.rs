//! The endpoints of a candidate: where do answers differ, and which are slower?

use std::cmp::Ordering;

use askama::Template;
use axum::extract::State;
use serde::Deserialize;

use super::candidate::{Choice, choices, choose};
use super::figures::{count, times_slower};
use super::frame::{self, Frame, show};
use super::interval::Interval;
use crate::admin::comparison::api::InQuery;
use crate::admin::comparison::shown;
use crate::admin::comparison::view::{EndpointView, EndpointsView, TimesView};
use crate::control::Control;

/// The longest text to look for, in characters.
const LONGEST_SEARCH: usize = 200;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    target: Option<String>,
    /// A column's name, with `-` before it for the other direction.
    #[serde(default)]
    sort: String,
    /// What endpoints have in their names.
    #[serde(default)]
    q: String,
}

pub(super) async fn page(
    State(control): State<Control>,
    InQuery(asked): InQuery<Asked>,
) -> frame::Answer {
    let Some(comparing) = control.comparing() else { return show(&Endpoints::none()) };
    let (view, choices) = {
        let ledger = comparing.ledger();
        let Some((target, candidate)) = choose(&ledger, asked.target.as_deref())? else {
            return show(&Endpoints::none());
        };
        (shown::endpoints(&ledger, target, candidate), choices(&ledger, target))
    };
    show(&Endpoints::new(&view, choices, &asked))
}

#[derive(Template)]
#[template(path = "endpoints.html")]
struct Endpoints {
    frame: Frame,
    choices: Vec<Choice>,
    target: String,
    run: String,
    q: String,
    sort: String,
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// How many there are in all.
    all: usize,
    overflow: String,
}

/// A column's head.
struct Column {
    name: &'static str,
    /// What clicking on it sorts by.
    sort: String,
    /// `ascending`, `descending` or `none`.
    sorted: &'static str,
    class: &'static str,
    title: &'static str,
}

struct Row {
    name: String,
    requests: String,
    reported: usize,
    interval: Interval,
    status_changes: String,
    errors: String,
    production_errors: String,
    times: [Pair; 3],
}

/// A time of production and of the candidate.
pub(super) struct Pair {
    pub(super) production: String,
    pub(super) shadow: String,
    /// `× 1.52`, where both are known.
    pub(super) ratio: String,
    pub(super) class: &'static str,
}

/// Columns: what they are called in an address, for people, and why.
const COLUMNS: [(&str, &str, &str); 9] = [
    ("name", "Endpoint", ""),
    ("requests", "Requests", "pairs, and requests that the candidate did not answer"),
    ("reported", "Reported", "places that differ beyond noise, or of unknown noise"),
    ("different", "Pairs that differ", "with the interval that the share is in; logarithmic"),
    ("status", "Status changes", "pairs whose statuses differ"),
    ("errors", "Errors", "pairs of which only the candidate's answer is an error"),
    ("p50", "p50", "production's median above the candidate's"),
    ("p95", "p95", "what 95 % take no longer than, production's above the candidate's"),
    ("p99", "p99", "what 99 % take no longer than, production's above the candidate's"),
];

impl Endpoints {
    fn none() -> Self {
        Self {
            frame: Frame::new("endpoints"),
            choices: Vec::new(),
            target: String::new(),
            run: String::new(),
            q: String::new(),
            sort: String::new(),
            columns: Vec::new(),
            rows: Vec::new(),
            all: 0,
            overflow: String::new(),
        }
    }

    fn new(view: &EndpointsView, choices: Vec<Choice>, asked: &Asked) -> Self {
        let q: String = asked.q.trim().chars().take(LONGEST_SEARCH).collect();
        let wanted = q.to_lowercase();
        let (key, reversed) = match asked.sort.strip_prefix('-') {
            Some(key) => (key, true),
            None => (asked.sort.as_str(), false),
        };
        let known = COLUMNS.iter().find(|(column, _, _)| *column == key);
        let key = known.map_or("requests", |(column, _, _)| column);
        let all = view.endpoints.iter();
        let mut endpoints: Vec<_> =
            all.filter(|endpoint| endpoint.name.to_lowercase().contains(&wanted)).collect();
        endpoints.sort_by(|one, other| {
            let order = by(key, one, other);
            let order = if reversed { order.reverse() } else { order };
            order.then_with(|| one.name.cmp(&other.name))
        });
        let overflow = if view.overflow > 0 { count(view.overflow) } else { String::new() };
        Self {
            frame: Frame::new("endpoints"),
            choices,
            target: view.target.clone(),
            run: view.run.clone(),
            q,
            sort: if reversed { format!("-{key}") } else { key.to_owned() },
            columns: columns(key, reversed),
            rows: endpoints.into_iter().map(row).collect(),
            all: view.endpoints.len(),
            overflow,
        }
    }
}

fn columns(key: &str, reversed: bool) -> Vec<Column> {
    let column = |(sort, name, title): &(&'static str, &'static str, &'static str)| {
        let here = *sort == key;
        // Names begin with A, numbers with the greatest.
        let ascending = (*sort == "name") != reversed;
        Column {
            name,
            sort: if here && !reversed { format!("-{sort}") } else { (*sort).to_owned() },
            sorted: match (here, ascending) {
                (false, _) => "none",
                (true, true) => "ascending",
                (true, false) => "descending",
            },
            class: if matches!(*sort, "name" | "different") { "" } else { "number" },
            title,
        }
    };
    COLUMNS.iter().map(column).collect()
}

/// What is worth a look first, but for names.
fn by(key: &str, one: &EndpointView, other: &EndpointView) -> Ordering {
    let greater = |of: fn(&EndpointView) -> f64| of(other).total_cmp(&of(one));
    match key {
        "name" => one.name.cmp(&other.name),
        "reported" => other.reported.cmp(&one.reported),
        "different" => greater(|it| it.different.low),
        "status" => other.status_changes.cmp(&one.status_changes),
        "errors" => other.errors.cmp(&one.errors),
        "p50" => greater(|it| slower(it, |times| times.p50)),
        "p95" => greater(|it| slower(it, |times| times.p95)),
        "p99" => greater(|it| slower(it, |times| times.p99)),
        _ => other.requests.cmp(&one.requests),
    }
}

/// How many times slower the candidate is; 0 where that is not known.
fn slower(endpoint: &EndpointView, of: fn(&TimesView) -> Option<f64>) -> f64 {
    match (of(&endpoint.production), of(&endpoint.shadow)) {
        (Some(production), Some(shadow)) if production > 0.0 => shadow / production,
        _ => 0.0,
    }
}

fn row(endpoint: &EndpointView) -> Row {
    Row {
        name: endpoint.name.clone(),
        requests: count(endpoint.requests),
        reported: endpoint.reported,
        interval: Interval::new(
            &endpoint.different,
            endpoint.control.as_ref(),
            endpoint.reported > 0,
        ),
        status_changes: count(endpoint.status_changes),
        errors: count(endpoint.errors),
        production_errors: count(endpoint.production_errors),
        times: times(endpoint),
    }
}

/// p50, p95 and p99.
pub(super) fn times(endpoint: &EndpointView) -> [Pair; 3] {
    let quantiles: [fn(&TimesView) -> Option<f64>; 3] = [|it| it.p50, |it| it.p95, |it| it.p99];
    quantiles.map(|of| times_slower(of(&endpoint.production), of(&endpoint.shadow)))
}
