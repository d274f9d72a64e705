//! A place where a candidate's answers differ: how often, pairs that show it, and how to ignore it.

use askama::Template;
use axum::extract::State;
use serde::Deserialize;

use super::endpoint::{Place, detail};
use super::frame::{Answer, Frame, filters, show};
use super::pair::{Line, Pair};
use crate::admin::comparison::api::{InQuery, comparing};
use crate::comparison::sample::Sample;
use crate::control::Control;

/// Pairs that are shown; the others have links.
const SHOWN: usize = 3;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    target: Option<String>,
    endpoint: String,
    place: String,
    #[serde(default)]
    kind: String,
}

pub(super) async fn page(State(control): State<Control>, InQuery(asked): InQuery<Asked>) -> Answer {
    let detail = detail(&control, asked.target.as_deref(), &asked.endpoint)?;
    let mut places = detail.places.iter();
    let place = places.find(|it| it.place == asked.place && it.kind == asked.kind);
    let ids = place.map(|place| place.samples.as_slice()).unwrap_or_default();
    let samples: Vec<Sample> = {
        let comparing = comparing(&control)?;
        let ledger = comparing.ledger();
        ids.iter().filter_map(|id| ledger.sample(*id)).take(SHOWN).cloned().collect()
    };
    let rule = place.and_then(|place| place.rule.as_deref());
    show(&Difference {
        frame: Frame::new("endpoints"),
        target: &detail.target,
        run: &detail.run,
        endpoint: &asked.endpoint,
        place: &asked.place,
        kind: &asked.kind,
        known: place.map(Place::new),
        rules: rule.map_or(Vec::new(), |place| rules(&asked.endpoint, place)),
        pairs: samples.iter().map(|sample| Pair::new(sample, true)).collect(),
        others: ids.get(SHOWN..).unwrap_or_default(),
        kept: control.config().comparison.rules_file.is_some(),
    })
}

#[derive(Template)]
#[template(path = "difference.html")]
struct Difference<'a> {
    frame: Frame,
    target: &'a str,
    run: &'a str,
    endpoint: &'a str,
    place: &'a str,
    kind: &'a str,
    /// `None` if no pair differs there now.
    known: Option<Place<'a>>,
    /// Those that would ignore it.
    rules: Vec<Rule>,
    pairs: Vec<Pair>,
    others: &'a [u64],
    /// Whether rules outlive the agent.
    kept: bool,
}

/// A rule that ignores the place.
struct Rule {
    endpoint: String,
    place: String,
    /// As it is written in the configuration.
    toml: String,
}

/// At this endpoint, and everywhere.
fn rules(endpoint: &str, place: &str) -> Vec<Rule> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let rule = |endpoint: &str| Rule {
        endpoint: endpoint.to_owned(),
        place: place.to_owned(),
        toml: format!(
            "[[comparison.rule]]\nendpoint = {}\nplace = {}\nignore = true",
            quoted(endpoint),
            quoted(place)
        ),
    };
    vec![rule(endpoint), rule("*")]
}
