//! The runs, how to begin one, and the rules that were made while the agent runs.

use askama::Template;
use axum::extract::State;

use super::figures::count;
use super::frame::{Answer, Frame, filters, show};
use super::verdict;
use crate::admin::comparison::api::all_runs;
use crate::admin::comparison::view::{RuleView, RunView};
use crate::control::Control;

pub(super) async fn page(State(control): State<Control>) -> Answer {
    let Some(comparing) = control.comparing() else {
        return show(&Runs {
            frame: Frame::new("runs"),
            runs: Vec::new(),
            candidates: Vec::new(),
            rules: Vec::new(),
            file: None,
        });
    };
    let runs = all_runs(&control).await?.runs;
    let rules: Vec<_> = comparing.ledger().own_rules().iter().map(RuleView::from).collect();
    let candidates = runs.iter().filter(|run| run.ended.is_none());
    let file = control.config().comparison.rules_file.clone();
    show(&Runs {
        frame: Frame::new("runs"),
        candidates: candidates.map(|run| run.target.clone()).collect(),
        runs: runs.into_iter().map(Run::new).collect(),
        rules: rules.iter().map(Rule::new).collect(),
        file: file.map(|file| file.display().to_string()),
    })
}

#[derive(Template)]
#[template(path = "runs.html")]
struct Runs {
    frame: Frame,
    runs: Vec<Run>,
    /// The targets that have a run.
    candidates: Vec<String>,
    rules: Vec<Rule>,
    /// Where rules are kept.
    file: Option<String>,
}

struct Run {
    run: RunView,
    answer: verdict::Answer,
    requests: String,
}

impl Run {
    fn new(run: RunView) -> Self {
        let answer = verdict::answer(run.answer);
        let requests = run.requests.map(count).unwrap_or_default();
        Self { run, answer, requests }
    }
}

struct Rule {
    endpoint: String,
    place: String,
    what: String,
}

impl Rule {
    fn new(rule: &RuleView) -> Self {
        let number = |number: Option<f64>, after: &str| number.map(|it| format!("± {it}{after}"));
        let what = [
            rule.ignore.and_then(|on| on.then(|| "is not compared".to_owned())),
            number(rule.tolerance, ""),
            number(rule.tolerance_percent, " %"),
            rule.set.and_then(|on| on.then(|| "in any order".to_owned())),
            rule.keyed_by.as_ref().map(|member| format!("elements matched by {member}")),
            rule.map.and_then(|on| on.then(|| "keys are values".to_owned())),
            rule.replace.as_ref().map(|it| format!("{} replaced by {}", it.pattern, it.with)),
        ];
        Self {
            endpoint: rule.endpoint.clone().unwrap_or_else(|| "*".to_owned()),
            place: rule.place.clone(),
            what: what.into_iter().flatten().collect::<Vec<_>>().join(", "),
        }
    }
}
